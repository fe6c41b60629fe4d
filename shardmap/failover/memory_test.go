package failover

import (
	"context"
	"sync"
	"testing"
	"time"

	"shardway/shardmap"
)

// memory is a store with proxies that do what they must at once, or not.
type memory struct {
	mu      sync.Mutex
	m       *shardmap.Map
	changed chan struct{}
	proxies map[string]*fakeProxy
	seen    []string // the Paused texts of every stored map
}

type fakeProxy struct {
	stuck  uint64 // serves this version for ever, unless 0
	busy   bool   // never leaves a paused shard
	silent bool   // isn't announced
	gone   map[string]time.Time
}

func newMemory(t *testing.T, text string, proxies ...string) *memory {
	t.Helper()
	m, err := shardmap.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &memory{m: m, changed: make(chan struct{}), proxies: map[string]*fakeProxy{}}
	for _, id := range proxies {
		s.proxies[id] = &fakeProxy{}
	}
	return s
}

func (s *memory) Load(context.Context) (*shardmap.Map, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m, nil
}

func (s *memory) Watch(ctx context.Context, after uint64) (*shardmap.Map, error) {
	for {
		s.mu.Lock()
		m, changed := s.m, s.changed
		s.mu.Unlock()
		if m.Version() != after {
			return m, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *memory) Swap(_ context.Context, base uint64, next *shardmap.Map) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.Version() != base {
		return shardmap.ErrConflict
	}
	s.m = next
	s.seen = append(s.seen, next.Shards()[0].Paused)
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

func (s *memory) Announce(context.Context, shardmap.Proxy) error { return nil }
func (s *memory) Withdraw(context.Context, string) error         { return nil }

func (s *memory) Proxies(context.Context) ([]shardmap.Proxy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []shardmap.Proxy
	for id, f := range s.proxies {
		if f.silent {
			continue
		}
		p := shardmap.Proxy{ID: id, Serving: s.m.Version(), Gone: f.gone}
		if f.stuck > 0 {
			p.Serving = f.stuck
		}
		for _, sh := range s.m.Shards() {
			if f.busy && sh.Paused != "" {
				p.Busy = append(p.Busy, sh.ID)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// change edits the map as somebody else would.
func (s *memory) change(t *testing.T, edit func(*shardmap.Map) (*shardmap.Map, error)) {
	t.Helper()
	m, _ := s.Load(t.Context())
	next, err := edit(m)
	if err == nil {
		err = s.Swap(t.Context(), m.Version(), next)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// set changes what a proxy does.
func (s *memory) set(id string, f fakeProxy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxies[id] = &f
}

func (s *memory) shard(t *testing.T) *shardmap.Shard {
	t.Helper()
	m, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m.Shards()[0]
}
