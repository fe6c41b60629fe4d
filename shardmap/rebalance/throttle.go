package rebalance

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
)

// limiter lets so many rows each second pass.
type limiter struct {
	mu    sync.Mutex
	limit int // 0: as many as come
	free  time.Time
}

func newLimiter(limit int) *limiter { return &limiter{limit: limit} }

// wait waits until n more rows may pass.
func (l *limiter) wait(ctx context.Context, n int) error {
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

// meter says how many rows passed each second, lately.
type meter struct {
	mu   sync.Mutex
	from time.Time
	rows float64
}

// lately is how far back a meter looks, about.
const lately = 5 * time.Second

func (m *meter) add(n int) {
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

func (m *meter) rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := time.Since(m.from).Seconds()
	if m.from.IsZero() || d < 0.1 {
		return 0
	}
	return m.rows / d
}

// strained says why no rows should be copied or removed just now, or is "".
func (r *run) strained(ctx context.Context, sides []*side, replicas []*server.Server) string {
	for _, e := range sides {
		if e == nil {
			continue
		}
		var name, text string
		err := e.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_running'").Scan(&name, &text)
		if n, _ := strconv.Atoi(text); err == nil && n > r.MaxRunning {
			return fmt.Sprintf("%d statements run at %s, more than %d", n, e.addr, r.MaxRunning)
		}
	}
	for _, n := range replicas {
		query, column := "SHOW REPLICA STATUS", "Seconds_Behind_Source"
		if n.MariaDB {
			query, column = "SHOW SLAVE STATUS", "Seconds_Behind_Master"
		}
		list, err := n.Query(ctx, query)
		if err != nil || len(list) == 0 {
			continue
		}
		if s, err := strconv.Atoi(list[0][column]); err == nil && time.Duration(s)*time.Second > r.MaxLag {
			return fmt.Sprintf("the replica %s is %ds behind, more than %s", n.Addr, s, r.MaxLag)
		}
	}
	return ""
}

// replicas connects to the replicas of a shard. With an error it returns those
// that answered before.
func (r *run) replicas(ctx context.Context, sh *shardmap.Shard) ([]*server.Server, error) {
	var all []*server.Server
	for _, s := range sh.Replicas {
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		n, err := r.open(within, s.Addr)
		cancel()
		if err != nil {
			return all, fmt.Errorf("the replica can't be reached: %w; start it, or take it out of the map until it is made anew", err)
		}
		all = append(all, n)
	}
	return all, nil
}

func closeAll(servers []*server.Server) {
	for _, n := range servers {
		n.Close()
	}
}
