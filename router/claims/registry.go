package claims

import (
	"slices"
	"sync"
	"sync/atomic"

	"shardway/shardmap"
)

// Registry has the claims of all sessions of a proxy. It is safe for concurrent use.
type Registry struct {
	live *shardmap.Live

	mu     sync.Mutex
	claims map[*Claim]struct{}

	draining sync.Mutex // held while a drain is made
	drain    atomic.Pointer[drain]

	waits waits
}

// New returns a Registry of sessions that plan by the maps of live.
func New(live *shardmap.Live) *Registry {
	return &Registry{live: live, claims: map[*Claim]struct{}{}}
}

// Claim returns the claim of a session that is yet to begin.
func (r *Registry) Claim() *Claim { return &Claim{r: r} }

// Add returns the claim of one more session, until its Leave.
func (r *Registry) Add() *Claim {
	c := r.Claim()
	c.Enter()
	return c
}

// Draining says whether somebody waits for the end of what uses paused slots.
func (r *Registry) Draining() bool { return r.drain.Load() != nil }

// Oldest is the version of the oldest map by which a statement was planned that runs, or of whose transaction one ran; it
// is that of the current map where there is none.
func (r *Registry) Oldest() uint64 {
	oldest := r.live.Current().Version()
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.claims {
		for _, m := range [...]*shardmap.Map{c.planned.Load(), c.read.Load()} {
			if m != nil {
				oldest = min(oldest, m.Version())
			}
		}
	}
	return oldest
}

// Moving lists the moves, as DATABASE/ID, whose slots wait in the current map and which something from before the pause
// still uses, and gives a channel that is closed when this is over for one of them. It is nil when there are none.
func (r *Registry) Moving() (busy []string, left <-chan struct{}) {
	d := r.drainNow()
	if d == nil {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.moves {
		if u := &d.moves[i]; len(u.by) > 0 {
			busy = append(busy, u.move.Database.Name+"/"+u.move.ID)
		}
	}
	if busy == nil {
		return nil, nil
	}
	slices.Sort(busy)
	return busy, d.left
}

// drain is one map's waiting moves, and who still uses them.
type drain struct {
	m *shardmap.Map

	mu    sync.Mutex
	moves []use
	left  chan struct{} // closed and replaced when nobody uses one of the moves any more
}

type use struct {
	move *shardmap.Move
	by   map[*Claim]struct{}
}

// drainNow is the current map's drain, nil when none of its moves waits.
func (r *Registry) drainNow() *drain {
	r.draining.Lock()
	defer r.draining.Unlock()
	m, d := r.live.Current(), r.drain.Load()
	if d != nil && d.m == m {
		return d
	}
	var moves []use
	for _, db := range m.Databases() {
		for _, v := range db.Moves() {
			if v.Waits() {
				moves = append(moves, use{v, map[*Claim]struct{}{}})
			}
		}
	}
	if moves == nil {
		r.drain.Store(nil)
		return nil
	}
	d = &drain{m: m, moves: moves, left: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	r.drain.Store(d) // before the look at the claims: a use that ends meanwhile waits for the end of that
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.claims {
		for i := range d.moves {
			if u := &d.moves[i]; c.uses(u.move) {
				u.by[c] = struct{}{}
			}
		}
	}
	return d
}

// look takes out what a claim doesn't use any more.
func (d *drain) look(c *Claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.moves {
		u := &d.moves[i]
		if _, in := u.by[c]; !in || c.uses(u.move) {
			continue
		}
		delete(u.by, c)
		if len(u.by) == 0 {
			close(d.left)
			d.left = make(chan struct{})
		}
	}
}
