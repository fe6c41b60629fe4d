package pace

import (
	"context"
	"sync"
	"time"
)

// Limiter lets so many rows each second pass.
type Limiter struct {
	mu    sync.Mutex
	limit int // 0: as many as come
	free  time.Time
}

// NewLimiter returns a limiter; with a limit of 0 as many rows pass as come.
func NewLimiter(limit int) *Limiter { return &Limiter{limit: limit} }

// Wait waits until n more rows may pass.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	if l.limit <= 0 || n == 0 {
		return ctx.Err()
	}
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	wait := l.free.Sub(now)
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.limit) * float64(time.Second)))
	l.mu.Unlock()
	if wait > 0 && !sleep(ctx, wait) {
		return context.Cause(ctx)
	}
	return nil
}

// Meter says how many rows passed each second, lately.
type Meter struct {
	mu   sync.Mutex
	from time.Time
	rows float64
}

// lately is how far back a meter looks, about.
const lately = 5 * time.Second

// Add notes that n rows pass now.
func (m *Meter) Add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.from.IsZero() {
		m.from = now
	}
	if d := now.Sub(m.from); d > 2*lately { // forget the older half
		m.rows /= 2
		m.from = now.Add(-d / 2)
	}
	m.rows += float64(n)
}

// Rate is how many rows pass each second, 0 when that isn't known.
func (m *Meter) Rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := time.Since(m.from).Seconds()
	if m.from.IsZero() || d < 0.1 {
		return 0
	}
	return m.rows / d
}

// sleep waits, and says false when ctx is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
