package rebalance

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"shardway/shardmap"
)

// memory is a store with one proxy that does what proxies must: it takes each
// map over at once, lets statements for paused slots wait, and says what runs.
type memory struct {
	mu      sync.Mutex
	m       *shardmap.Map
	changed chan struct{}
	running map[int]*statement
	next    int
	others  map[string]*shardmap.Proxy // announced too
	down    bool                       // it can't be used
	states  []shardmap.MoveState       // that moves went through
}

// statement is one that runs, or a transaction.
type statement struct {
	version uint64
	moves   []string
}

func newMemory(t *testing.T, text string) *memory {
	t.Helper()
	m, err := shardmap.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &memory{m: m, changed: make(chan struct{}), running: map[int]*statement{}, others: map[string]*shardmap.Proxy{}}
}

func (s *memory) Load(context.Context) (*shardmap.Map, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, shardmap.ErrUnavailable
	}
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
	if s.down {
		return shardmap.ErrUnavailable
	}
	if s.m.Version() != base {
		return shardmap.ErrConflict
	}
	s.m = next
	for _, d := range next.Databases() {
		for _, mv := range d.Moves() {
			s.states = append(s.states, mv.State)
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

func (s *memory) Announce(context.Context, shardmap.Proxy) error { return nil }
func (s *memory) Withdraw(context.Context, string) error         { return nil }

func (s *memory) Proxies(context.Context) ([]shardmap.Proxy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, shardmap.ErrUnavailable
	}
	p := shardmap.Proxy{ID: "p1", Serving: s.m.Version(), Oldest: s.m.Version(), Seen: time.Now()}
	for _, st := range s.running {
		p.Oldest = min(p.Oldest, st.version)
	}
	for _, d := range s.m.Databases() {
		for _, mv := range d.Moves() {
			name := d.Name + "/" + mv.ID
			for _, st := range s.running {
				if mv.Waits() && slices.Contains(st.moves, name) && !slices.Contains(p.Moving, name) {
					p.Moving = append(p.Moving, name)
				}
			}
		}
	}
	all := []shardmap.Proxy{p}
	for _, o := range s.others {
		all = append(all, *o)
	}
	return all, nil
}

// begin waits until none of the moves that a write touches is paused, and
// returns the map by which it is planned. The slots are of the database; none
// are all.
func (s *memory) begin(ctx context.Context, db string, slots ...int) (*shardmap.Map, func(), error) {
	for {
		s.mu.Lock()
		d := s.m.Database(db)
		var names []string
		waits := false
		for _, mv := range d.Moves() {
			if mv.Begun() && (len(slots) == 0 || slices.ContainsFunc(slots, mv.Has)) {
				names = append(names, d.Name+"/"+mv.ID)
				waits = waits || mv.Waits()
			}
		}
		if !waits {
			id := s.next
			s.next++
			s.running[id] = &statement{version: s.m.Version(), moves: names}
			m := s.m
			s.mu.Unlock()
			return m, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.running, id)
			}, nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// change edits the map as an operator's command would.
func (s *memory) change(t *testing.T, edit func(*shardmap.Map) (*shardmap.Map, error)) {
	t.Helper()
	for {
		m, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		next, err := edit(m)
		if err != nil {
			t.Fatal(err)
		}
		if s.Swap(t.Context(), m.Version(), next) == nil {
			return
		}
	}
}

// want asks for something to be done with a move.
func (s *memory) want(t *testing.T, id string, want shardmap.MoveWant) {
	t.Helper()
	s.change(t, func(m *shardmap.Map) (*shardmap.Map, error) {
		return m.WithMove("shop", id, func(mv *shardmap.Move) bool { mv.Want = want; return true })
	})
}

// plan adds moves of slots to those of the database.
func (s *memory) plan(t *testing.T, want shardmap.MoveWant, id, from, to string, slots ...int) {
	t.Helper()
	s.change(t, func(m *shardmap.Map) (*shardmap.Map, error) {
		moves := slices.Clone(m.Database("shop").Moves())
		return m.WithMoves("shop", append(moves, shardmap.NewMove(id, m.Shard(from), m.Shard(to), slots, want, "test")))
	})
}

func (s *memory) move(t *testing.T, id string) *shardmap.Move {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return find(s.m, "shop", id)
}
