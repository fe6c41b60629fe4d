package backend

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"shardway/router/backend/circuit"
)

// freshFor is how long a connection is trusted to be as clean as when it was found
// to be so; after that it is examined again before its next use.
const freshFor = 5 * time.Millisecond

// pool holds the connections to one server. Counts obey
// len(idle)+busy+dialing <= ceiling, except for a while after the ceiling was
// lowered. While somebody waits there is no idle connection of the kind waited
// for; see serve.
type pool struct {
	srv  *server
	load atomic.Int32 // busy, readable without the lock

	mu     sync.Mutex
	idle   []idleConn // by time of release, the newest last
	busy   int
	inUse  inUse
	queue  queue
	closed error  // non-nil once the server left or the cluster closed
	login  uint64 // generation of the login options

	circuit circuit.Circuit
	timer   *time.Timer // calls serve when a dial that was held back is due
	counts  PoolStatus  // only the counters
}

// idleConn is a pooled connection, with what is looked for beside it so that a
// search touches one array.
type idleConn struct {
	conn  *Conn
	state unique.Handle[string]
	kind  kind
	since time.Duration
}

// take returns an idle connection or nil: the newest one whose state is w.Prefer,
// else the newest in its base state, which has nothing to undo, else the newest. An
// owner's own come before those that no owner has.
// It is the hot path.
func (p *pool) take(w *Want, m *member) *Conn {
	kind := p.kindOf(w)
	for {
		now := p.srv.cluster.now()
		p.mu.Lock()
		at := p.find(kind, w.Prefer)
		if at < 0 {
			p.mu.Unlock()
			return nil
		}
		e := p.remove(at)
		e.conn.kind = kind
		p.inUse.add(e.conn)
		p.setBusy(+1)
		p.counts.Reused++
		p.mu.Unlock()
		if now-e.conn.seen > freshFor && !e.conn.Clean() {
			p.put(e.conn, "unclean")
			continue
		}
		e.conn.hand(m, w, now)
		return e.conn
	}
}

// find returns the place of the idle connection that take takes, or -1. The
// caller holds the lock.
func (p *pool) find(want kind, prefer unique.Handle[string]) int {
	newest, base, anybodys := -1, -1, -1
	for i := len(p.idle) - 1; i >= 0; i-- {
		e := &p.idle[i]
		if e.kind != want {
			if anybodys < 0 && e.kind.serves(want) {
				anybodys = i
			}
			continue
		}
		if e.state == prefer || prefer == (unique.Handle[string]{}) {
			return i
		}
		if newest < 0 {
			newest = i
		}
		if base < 0 && e.state == baseState {
			base = i
		}
	}
	if base >= 0 {
		return base
	}
	if newest >= 0 {
		return newest
	}
	return anybodys
}

// hand makes the caller of Acquire the connection's holder.
func (c *Conn) hand(m *member, w *Want, now time.Duration) {
	c.member, c.wanted = m, w.Role
	c.taken = now
	c.held.Store(true)
	c.Served(w.Role != Primary)
}

// remove takes one entry out of the idle list. The caller holds the lock.
func (p *pool) remove(at int) idleConn {
	e := p.idle[at]
	last := len(p.idle) - 1
	copy(p.idle[at:], p.idle[at+1:])
	p.idle[last] = idleConn{}
	p.idle = p.idle[:last]
	return e
}

// setBusy keeps the two forms of the count together. The caller holds the lock.
func (p *pool) setBusy(delta int) {
	p.busy += delta
	p.load.Store(int32(p.busy))
}

// total counts all connections. The caller holds the lock.
func (p *pool) total() int {
	return len(p.idle) + p.busy + p.queue.dials
}

// put takes a connection back from its holder: to the next in the queue, to the
// idle list, or, if why names a reason or there is one, to its end. Its place is
// free for another only once it is closed.
func (p *pool) put(c *Conn, why string) { p.putAt(c, why, p.srv.cluster.now()) }

// putAt is put where the time is known.
func (p *pool) putAt(c *Conn, why string, now time.Duration) {
	if g := c.gate; g != nil {
		c.gate = nil    // now, since the next holder may have it in a moment
		defer g.leave() // then, when the server has seen the end of it
	}
	polite := why == ""
	if why == "" {
		p.mu.Lock()
		p.inUse.remove(c)
		p.setBusy(-1)
		if c.member.role == Replica {
			p.srv.latency.Observe(now-c.taken, now)
		}
		if c.deadlines.Load() {
			why = "failed" // interruptLost was quicker than the holder
		} else if why = p.place(c, now); why == "" {
			p.mu.Unlock()
			return
		}
		p.setBusy(+1)
		p.mu.Unlock()
	}
	c.end(polite)
	p.mu.Lock()
	p.inUse.remove(c)
	p.setBusy(-1)
	p.countClosed(why)
	p.serve(p.srv.cluster.now())
	p.mu.Unlock()
}

// place gives a connection that nobody holds to the queue or the idle list, or
// returns why it must be closed. The caller holds the lock.
func (p *pool) place(c *Conn, now time.Duration) string {
	switch {
	case p.closed != nil:
		return "left"
	case c.login != p.login:
		return "options"
	case p.total() >= p.ceiling():
		return "ceiling"
	}
	if c.kind.owner != nil && c.kind.owner.left.Load() {
		c.kind.owner = nil
	}
	if head := p.queue.head; head != nil {
		// One of another kind that came earlier must not starve behind a stream of
		// connections that it can't use.
		w := p.queue.first(c.kind)
		if head != w && head.lane.dialing == 0 && p.total()+1 >= p.ceiling() {
			return "ceiling"
		}
		if w != nil {
			p.deliver(w, c, false)
			return ""
		}
	}
	if p.idle == nil {
		p.idle = make([]idleConn, 0, 16)
	}
	p.idle = append(p.idle, idleConn{conn: c, state: c.State, kind: c.kind, since: now})
	return ""
}

func (p *pool) ceiling() int { return p.srv.cluster.options().MaxPerServer }

// countClosed counts a closed connection. The caller holds the lock.
func (p *pool) countClosed(why string) {
	if p.counts.Closed == nil {
		p.counts.Closed = make(map[string]uint64)
	}
	// The reasons are few; a caller that breaks this rule must not grow the map.
	if _, known := p.counts.Closed[why]; !known {
		why = strings.Clone(why)
		if len(p.counts.Closed) >= 32 {
			why = "other"
		}
	}
	p.counts.Closed[why]++
}

// drop closes the idle connections for which doomed says true and counts them
// under why. They count as busy until they are closed.
func (p *pool) drop(why string, doomed func(idleConn) bool) {
	var gone []*Conn
	p.mu.Lock()
	kept := p.idle[:0]
	for _, e := range p.idle {
		if doomed(e) {
			gone = append(gone, e.conn)
			p.countClosed(why)
		} else {
			kept = append(kept, e)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.setBusy(len(gone))
	p.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	for _, c := range gone {
		c.end(why != "failed")
	}
	p.mu.Lock()
	p.setBusy(-len(gone))
	p.serve(p.srv.cluster.now())
	p.mu.Unlock()
}

// reap closes what was idle since before the time given, and takes the buffers
// of what is idle for longer than a moment.
func (p *pool) reap(before time.Duration) {
	now := p.srv.cluster.now()
	p.mu.Lock()
	old := len(p.idle) > 0 && p.idle[0].since <= before
	for _, e := range p.idle {
		if now-e.since > time.Second {
			e.conn.Idle()
		}
	}
	p.mu.Unlock()
	if old {
		p.drop("idle", func(e idleConn) bool { return e.since <= before })
	}
}

// close ends the pool: whoever waits gets err, idle connections are closed, and
// those in use will be when they are released.
func (p *pool) close(err error) {
	p.mu.Lock()
	p.closed = err
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.fail(err, nil)
	p.mu.Unlock()
	p.drop("left", func(idleConn) bool { return true })
}

// status adds what the pool knows to s.
func (p *pool) status(s *PoolStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := *s
	*s = p.counts
	s.Addr, s.Shard, s.Role = id.Addr, id.Shard, id.Role
	s.Closed = maps.Clone(p.counts.Closed)
	s.Ceiling = p.ceiling()
	s.Idle, s.Busy = len(p.idle), p.busy
	s.Dialing = p.queue.dials
	s.Waiting = p.queue.length
	s.Circuit, s.Since = p.circuit.Describe(p.srv.cluster.now())
}
