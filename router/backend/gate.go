package backend

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shardway/router/backend/health"
)

// ErrMoved says that a connection which its holder kept is to a server that is
// no longer the shard's primary.
var ErrMoved = errors.New("the shard has another primary now")

// gate counts what runs on a shard's primary and holds back what comes while
// the map says that the shard is paused. It outlives the snapshots.
type gate struct {
	running atomic.Int64 // holders of connections to the primary, those that come and go in a moment included
	paused  atomic.Pointer[pause]

	mu   sync.Mutex
	bell chan struct{} // closed and replaced when those who wait should look again
}

// pause is one span of time in which a shard is paused.
type pause struct {
	why     string
	left    chan struct{} // closed when nothing from before the pause runs any more
	leaving sync.Once
}

func newGate() *gate { return &gate{bell: make(chan struct{})} }

// enter counts one holder more, unless the shard is paused. The count comes
// first: who finds it at zero after setting the pause knows that nobody slipped
// through.
func (g *gate) enter() bool {
	g.running.Add(1)
	if g.paused.Load() == nil {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.running.Add(-1) == 0 {
		if p := g.paused.Load(); p != nil {
			p.leaving.Do(func() { close(p.left) })
		}
	}
}

// set pauses the shard for the reason given; "" lets everything go on.
func (g *gate) set(why string) {
	p := g.paused.Load()
	switch {
	case why == "" && p == nil, why != "" && p != nil && p.why == why:
		return
	case why == "":
		g.paused.Store(nil)
	case p != nil: // for another reason, but what runs is still from before
		next := &pause{why: why, left: make(chan struct{})}
		g.paused.Store(next)
		g.running.Add(1)
		g.leave()
	default:
		g.paused.Store(&pause{why: why, left: make(chan struct{})})
		g.running.Add(1)
		g.leave()
	}
	g.ring()
}

// ring lets those who wait look again.
func (g *gate) ring() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.bell)
	g.bell = make(chan struct{})
}

// rung is closed by the next ring.
func (g *gate) rung() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bell
}

// pass waits until the shard isn't paused and enters.
func (c *Cluster) pass(ctx context.Context, g *gate, shard string) error {
	if g.enter() {
		return nil
	}
	o := c.options()
	began := c.now()
	timer := time.NewTimer(o.HoldTimeout)
	defer timer.Stop()
	for {
		rung := g.rung()
		if g.enter() {
			return nil
		}
		if c.closed.Load() {
			return c.noShard(shard)
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			why := "its map changes"
			if p := g.paused.Load(); p != nil {
				why = p.why
			}
			return newError(ErrNoServer, codeLockWaitTimeout, "HY000",
				"shardway: shard %s is paused (%s) and the statement has waited for %s, as failover.hold_timeout says; nothing was done, try it again",
				shard, why, (c.now() - began).Round(time.Millisecond))
		}
	}
}

// lookAgain is how often who waits for a lost primary tries, besides when the
// shard's servers change.
const lookAgain = 50 * time.Millisecond

// acquirePrimary is Acquire for the primary of s: not while the shard is paused,
// and counted until the connection is released or parked.
func (c *Cluster) acquirePrimary(ctx context.Context, s *shard, w *Want) (*Conn, error) {
	var hold time.Duration // until when to wait for a primary that was lost
	again := 0
	for {
		g := s.gate
		if err := c.pass(ctx, g, w.Shard); err != nil {
			return nil, err
		}
		// While it waited the shard may have got another primary.
		if s = c.snapshot.Load().shards[w.Shard]; s == nil {
			g.leave()
			return nil, c.noShard(w.Shard)
		}
		conn, err := c.acquire(ctx, s, w)
		if err == nil {
			if now := c.snapshot.Load().shards[w.Shard]; now != nil && now.gate == g && now.primary.srv == conn.srv {
				conn.gate = g
				return conn, nil
			}
			conn.Release()
		}
		g.leave()
		if err == nil {
			if s = c.snapshot.Load().shards[w.Shard]; s == nil {
				return nil, c.noShard(w.Shard)
			}
			continue
		}
		if s = c.snapshot.Load().shards[w.Shard]; s == nil || !errors.Is(err, ErrNoServer) {
			return nil, err
		}
		v := s.view.Load()
		if again < triesAgain && v.primary != nil && !v.deciding && !slices.Contains(w.Exclude, v.primary.srv.addr) {
			again++ // it has become usable since
			continue
		}
		o := c.options()
		if hold == 0 {
			hold = c.now() + o.HoldTimeout
		}
		if holds := v.deciding || o.HoldLost && s.primary.lost(); !holds || c.now() >= hold {
			return nil, err
		}
		timer := time.NewTimer(lookAgain)
		select {
		case <-g.rung():
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// triesAgain bounds how often a primary is tried at once that couldn't be used and
// now can.
const triesAgain = 3

// lost says whether the member's server can't be reached, other than because it
// refuses the login.
func (m *member) lost() bool {
	h := m.srv.health.Load()
	return !h.refused && (h.state == health.Down || h.state == health.Suspect)
}

// Park says that the holder keeps the connection with nothing running on it:
// no statement, no transaction and no lock. Before the next statement it calls
// Resume.
func (c *Conn) Park() {
	if g := c.gate; g != nil {
		c.gate = nil
		g.leave()
	}
}

// Resume ends Park. It waits while the shard is paused; the errors are those of
// Acquire and ErrMoved.
func (c *Conn) Resume(ctx context.Context) error {
	if c.gate != nil || c.member.role != Primary || c.wanted != Primary {
		return nil
	}
	cluster := c.srv.cluster
	s := cluster.snapshot.Load().shards[c.member.shard]
	if s == nil {
		return cluster.noShard(c.member.shard)
	}
	if err := cluster.pass(ctx, s.gate, s.id); err != nil {
		return err
	}
	if now := cluster.snapshot.Load().shards[s.id]; now == nil || now.primary.srv != c.srv {
		s.gate.leave()
		return ErrMoved
	}
	c.gate = s.gate
	return nil
}

// GonePrimaries are the primaries, by address, that can't be reached, and since
// when.
func (c *Cluster) GonePrimaries() map[string]time.Time {
	var gone map[string]time.Time
	for _, s := range c.snapshot.Load().order {
		if h := s.primary.srv.health.Load(); h.state == health.Down {
			if gone == nil {
				gone = map[string]time.Time{}
			}
			gone[s.primary.srv.addr] = h.since
		}
	}
	return gone
}

// Paused lists the shards that the map pauses and on whose primaries something
// from before the pause still runs, and gives a channel that is closed when the
// first of them is left. It is nil when there are none.
func (c *Cluster) Paused() (busy []string, left <-chan struct{}) {
	for _, s := range c.snapshot.Load().order {
		p := s.gate.paused.Load()
		if p == nil {
			continue
		}
		select {
		case <-p.left:
		default:
			busy = append(busy, s.id)
			left = p.left
		}
	}
	slices.Sort(busy)
	return busy, left
}
