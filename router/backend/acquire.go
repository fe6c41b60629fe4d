package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Acquire returns a connection to a server that can serve w. It waits, in turn,
// while the server's connections are all in use. A server that can't be reached
// is left for the next eligible one; a primary has none. Errors are ErrNoServer,
// ErrPoolWait, ErrClosed, or the cause of ctx.
//
// ctx ends a wait; a connection that is at hand is returned in any case.
//
// Who wants a primary waits while the shard is paused, up to
// Options.HoldTimeout.
func (c *Cluster) Acquire(ctx context.Context, w Want) (*Conn, error) {
	s := c.snapshot.Load().shards[w.Shard]
	if s == nil {
		return nil, c.noShard(w.Shard)
	}
	if w.Role != Primary {
		return c.acquire(ctx, s, &w)
	}
	return c.acquirePrimary(ctx, s, &w)
}

// acquire is Acquire without regard to a pause.
func (c *Cluster) acquire(ctx context.Context, s *shard, w *Want) (*Conn, error) {
	v := s.view.Load()
	var m *member
	switch w.Role {
	case Primary:
		if !v.deciding {
			m = v.primary
		}
	case Replica:
		m = s.choose(v, w, c.now())
	case Any:
		return c.acquireAny(ctx, s, v, w)
	}
	if m != nil && len(w.Exclude) > 0 && slices.Contains(w.Exclude, m.srv.addr) {
		m = nil
	}
	if m != nil {
		if conn := m.srv.pool.take(w, m); conn != nil {
			return conn, nil
		}
	}
	return c.acquireSlow(ctx, s, *w, m)
}

// acquireAny takes whatever has an idle connection, the primary first.
func (c *Cluster) acquireAny(ctx context.Context, s *shard, v *view, w *Want) (*Conn, error) {
	usable := func(m *member) bool {
		return m != nil && (len(w.Exclude) == 0 || !slices.Contains(w.Exclude, m.srv.addr))
	}
	if usable(v.primary) {
		if conn := v.primary.srv.pool.take(w, v.primary); conn != nil {
			return conn, nil
		}
	}
	if n := len(v.eligible); n > 0 {
		start := int(s.turn.Load() % uint64(n))
		for i := range n {
			if m := v.eligible[(start+i)%n]; usable(m) {
				if conn := m.srv.pool.take(w, m); conn != nil {
					return conn, nil
				}
			}
		}
	}
	return c.acquireSlow(ctx, s, *w, nil)
}

// acquireSlow waits for a connection: to m, unless it is nil, then to the others
// that may serve w.
func (c *Cluster) acquireSlow(ctx context.Context, s *shard, w Want, m *member) (*Conn, error) {
	o := c.options()
	wait := o.WaitTimeout
	if w.Wait > 0 {
		wait = w.Wait
	}
	deadline := c.now() + wait
	var tried []string
	var busy *member // the first one that refused more connections
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if now := c.snapshot.Load().shards[w.Shard]; now != nil {
			s = now // another member may have been promoted meanwhile
		}
		v := s.view.Load()
		list := s.candidates(v, &w, tried)
		if m == nil && len(list) > 0 {
			m = list[0]
		}
		if m == nil && busy == nil {
			return nil, c.noServer(s, &w, o)
		}
		moves := false
		if m == nil {
			m = busy
		} else {
			if w.Role == Any || v.policy == PolicyLeastConnections || v.policy == PolicyLatency {
				m = withRoom(m, list)
			}
			moves = busy != nil || slices.ContainsFunc(list, func(other *member) bool { return other != m })
		}
		if conn := m.srv.pool.take(&w, m); conn != nil {
			return conn, nil
		}
		conn, err := m.srv.pool.wait(ctx, &w, m, deadline, moves)
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, errLeft):
			// The map changed meanwhile: begin anew with the current one.
			if s = c.snapshot.Load().shards[w.Shard]; s == nil {
				return nil, c.noShard(w.Shard)
			}
			busy, tried = nil, nil
		case errors.Is(err, errBusy):
			if busy == nil {
				busy = m
			}
			tried = append(tried, m.srv.addr)
		case errors.Is(err, ErrPoolWait), errors.Is(err, ErrClosed), ctx.Err() != nil:
			return nil, err
		default: // the server can't be reached
			tried = append(tried, m.srv.addr)
		}
		m = nil
	}
}

// withRoom returns m, or another one if m's connections are all in use and the
// other's aren't.
func withRoom(m *member, list []*member) *member {
	if m.srv.pool.hasRoom() {
		return m
	}
	for _, other := range list {
		if other.role == m.role && other.srv.pool.hasRoom() {
			return other
		}
	}
	for _, other := range list {
		if other.srv.pool.hasRoom() {
			return other
		}
	}
	return m
}

// hasRoom says whether a connection could be had without waiting for its holder.
func (p *pool) hasRoom() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.head == nil && (len(p.idle) > 0 || p.total() < p.ceiling())
}

// wait queues for a connection until the deadline, a time of Cluster.now. Its
// errors are errLeft, errBusy (only if moves), ErrPoolWait, ErrClosed, the cause
// of ctx, or why the server can't be reached.
func (p *pool) wait(ctx context.Context, w *Want, m *member, deadline time.Duration, moves bool) (*Conn, error) {
	c := p.srv.cluster
	for {
		began := c.now()
		self := &waiter{kind: p.kindOf(w), role: m.role, moves: moves, result: make(chan result, 1)}
		p.mu.Lock()
		if p.closed != nil {
			defer p.mu.Unlock()
			return nil, p.closed
		}
		if moves && p.circuit.Refusing(began) && len(p.idle) == 0 {
			p.mu.Unlock()
			return nil, errBusy
		}
		p.counts.Waits++
		p.queue.push(self)
		p.serve(began)
		p.mu.Unlock()

		r, err := p.await(ctx, self, began, deadline, m)
		if err != nil {
			return nil, err
		}
		if r.stale && !r.conn.Clean() {
			p.put(r.conn, "unclean")
			continue
		}
		r.conn.hand(m, w, c.now())
		return r.conn, nil
	}
}

// await returns what self is sent, or gives up.
func (p *pool) await(ctx context.Context, self *waiter, began, deadline time.Duration, m *member) (result, error) {
	c := p.srv.cluster
	var r result
	var quit error
	timer := time.NewTimer(max(deadline-began, 0))
	defer timer.Stop()
	select {
	case r = <-self.result:
	case <-timer.C:
		quit = ErrPoolWait
	case <-ctx.Done():
		quit = context.Cause(ctx)
	}
	now := c.now()
	p.mu.Lock()
	p.counts.WaitTime += now - began
	if quit == nil {
		p.mu.Unlock()
		return r, r.err
	}
	if !self.queued {
		// The result came at the same moment; it would be lost if it weren't used.
		p.mu.Unlock()
		r = <-self.result
		return r, r.err
	}
	p.queue.remove(self)
	// Its place may let another kind of connection be dialed or kept.
	p.serve(now)
	if !errors.Is(quit, ErrPoolWait) {
		p.mu.Unlock()
		return r, quit
	}
	p.counts.WaitTimeouts++
	circuit, _ := p.circuit.Describe(now)
	total, busy, ceiling := p.total(), p.busy, p.ceiling()
	p.mu.Unlock()
	if circuit != "" {
		circuit = "; new ones: " + circuit
	}
	return r, newError(ErrPoolWait, codeTooManyConnections, "08004",
		"shardway: no connection to %s (%s of shard %s) became free within %s: %d of its %d connections are in use, ceiling pool.max_per_server is %d%s; "+
			"shorten transactions, raise the ceiling or pool.wait_timeout",
		p.srv.addr, m.role, m.shard, (now - began).Round(time.Millisecond), busy, total, ceiling, circuit)
}

func (c *Cluster) noShard(id string) error {
	if c.closed.Load() {
		return newError(ErrClosed, codeServerShutdown, "08S01", "shardway: shutting down")
	}
	if c.snapshot.Load().m == nil {
		return newError(ErrNoServer, codeLockWaitTimeout, "HY000", "shardway: no map is loaded yet")
	}
	return newError(ErrNoServer, codeUnknownError, "HY000", "shardway: the map has no shard '%s'", id)
}

// noServer says why no server of the shard serves w.
func (c *Cluster) noServer(s *shard, w *Want, o *Options) error {
	v := s.view.Load()
	if v.split != "" && w.Role == Primary {
		return newError(ErrNoServer, codeReadOnly, "HY000", "shardway: writes to shard %s are refused: %s", s.id, v.split)
	}
	var members []*member
	if w.Role != Primary {
		members = append(members, s.replicas...)
	}
	if s.primary != nil && (w.Role != Replica || o.FallbackToPrimary) {
		members = append(members, s.primary)
	}
	code := uint16(codeLockWaitTimeout)
	var reasons strings.Builder
	for i, m := range members {
		h := m.srv.health.Load()
		why := string(h.state)
		if h.why != "" {
			why += " (" + h.why + ")"
		}
		if stray := v.strays[m.srv.addr]; stray != "" {
			why += " (" + stray + ")"
		}
		if !m.within(w) {
			why += fmt.Sprintf(", its lag isn't known to be within max_lag %s", w.MaxLag)
		}
		if slices.Contains(w.Exclude, m.srv.addr) {
			why += ", failed this statement already"
		}
		if h.refused {
			code = codeUnknownError
		}
		if i > 0 {
			reasons.WriteString("; ")
		}
		fmt.Fprintf(&reasons, "%s %s is %s for %s", m.role, m.srv.addr, why, time.Since(h.since).Round(time.Millisecond))
	}
	if len(members) == 0 {
		reasons.WriteString("the map lists none")
	}
	fix := ""
	if w.Role == Primary && s.roles != nil {
		fix = s.heirless()
	}
	if w.Role == Replica && !o.FallbackToPrimary {
		fix = "; replicas.fallback_to_primary is off"
	}
	return newError(ErrNoServer, code, "HY000", "shardway: shard %s has no usable server for role %s: %s%s", s.id, w.Role, reasons.String(), fix)
}
