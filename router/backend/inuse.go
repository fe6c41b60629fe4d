package backend

import "shardway/router/backend/health"

// inUse lists the connections of a pool that have holders. The pool's lock
// guards it.
type inUse struct{ first *Conn }

func (l *inUse) add(c *Conn) {
	c.prev, c.next, c.listed = nil, l.first, true
	if l.first != nil {
		l.first.prev = c
	}
	l.first = c
}

// remove does nothing with a connection that isn't listed.
func (l *inUse) remove(c *Conn) {
	if !c.listed {
		return
	}
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next, c.listed = nil, nil, false
}

// interruptLost ends the statements that run on a server which is known to be gone
// since longer than Options.DownTimeout: the holders see their connections fail,
// as they would see it much later by the network's own deadlines, or, of a
// server that is frozen, never. Where the server is well and its fence keeps this
// proxy out, it ends them at once: they were planned by a map that is too old.
func (s *server) interruptLost() {
	h := s.health.Load()
	if h.state != health.Down || h.refused {
		return
	}
	if !h.fenced && s.cluster.now()-h.at < s.cluster.options().DownTimeout {
		return
	}
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := p.inUse.first; c != nil; c = c.next {
		c.Interrupt()
	}
}
