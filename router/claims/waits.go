package claims

import (
	"context"
	"sync"
	"time"

	"shardway/shardmap"
)

// Waits count the statements that wait for slots, and those that have.
type Waits struct {
	Now map[string]int // by move, as DATABASE/ID

	Count  uint64
	Sum    time.Duration
	Within [len(bounds)]uint64 // how many waited no longer than each of Bounds
}

var bounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Bounds are those of Waits.Within.
func Bounds() []time.Duration { return bounds[:] }

type waits struct {
	mu sync.Mutex
	Waits
}

// Waits says what has waited and what waits now.
func (r *Registry) Waits() Waits {
	w := &r.waits
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Waits
	now.Now = make(map[string]int, len(w.Now))
	for move, n := range w.Now {
		now.Now[move] = n
	}
	return now
}

func (w *waits) began(move string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Now == nil {
		w.Now = map[string]int{}
	}
	w.Now[move]++
}

func (w *waits) ended(move string, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Now[move]--; w.Now[move] == 0 {
		delete(w.Now, move)
	}
	w.Count++
	w.Sum += took
	for i, b := range bounds {
		if took <= b {
			w.Within[i]++
		}
	}
}

// Wait waits until another map than m is current, for the sake of a move's slots. It returns the cause of ctx when that
// ends first.
func (c *Claim) Wait(ctx context.Context, m *shardmap.Map, v *shardmap.Move) error {
	move := v.Database.Name + "/" + v.ID
	c.r.waits.began(move)
	c.waiting.Store(v)
	began := time.Now()
	defer func() {
		c.waiting.Store(nil)
		c.r.waits.ended(move, time.Since(began))
	}()
	select {
	case <-c.r.live.Changed(m):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
