package backend

import (
	"slices"
	"time"
)

// queue holds those who wait for a connection of one pool, in order of arrival.
// The pool's lock guards it.
type queue struct {
	head, tail *waiter
	length     int
	dials      int // of all lanes
	common     [logins]lane
	own        map[kind]*lane // of owners, while they are in use
	round      uint64         // of serve
}

// lane counts, for one kind of connection, those who wait and the dials under way.
type lane struct {
	kind             kind
	waiting, dialing int
	// missing is how many more dials those who wait need, in the round of serve.
	missing int
	round   uint64
}

// lane returns a kind's lane. One of an owner must be given to close when it may
// have become empty.
func (q *queue) lane(k kind) *lane {
	if k.owner == nil {
		l := &q.common[k.login]
		l.kind = kind{login: k.login}
		return l
	}
	l := q.own[k]
	if l == nil {
		if q.own == nil {
			q.own = make(map[kind]*lane)
		}
		l = &lane{kind: k}
		q.own[k] = l
	}
	return l
}

// close forgets an owner's lane if nobody uses it.
func (q *queue) close(l *lane) {
	if l.kind.owner != nil && l.waiting == 0 && l.dialing == 0 {
		delete(q.own, l.kind)
	}
}

// waiter is one who waits. Its channel has room for the one result it gets; who
// removes it from the queue under the lock sends the result.
type waiter struct {
	kind       kind
	lane       *lane // while queued
	role       Role  // of the member it waits for
	moves      bool  // would rather try another server than wait for one that refuses connections
	result     chan result
	prev, next *waiter
	queued     bool
}

// result is a connection, or why there is none.
type result struct {
	conn  *Conn
	stale bool // it comes from the idle list and must be examined
	err   error
}

func (q *queue) push(w *waiter) {
	w.prev, w.next, w.queued = q.tail, nil, true
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
	q.length++
	w.lane = q.lane(w.kind)
	w.lane.waiting++
}

func (q *queue) remove(w *waiter) {
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	q.length--
	w.lane.waiting--
	q.close(w.lane)
}

// first returns who came first of those whom a connection of kind k serves, or nil.
func (q *queue) first(k kind) *waiter {
	if len(q.own) == 0 && (k.owner != nil || q.common[k.login].waiting == 0) {
		return nil
	}
	for w := q.head; w != nil; w = w.next {
		if k.serves(w.kind) {
			return w
		}
	}
	return nil
}

// deliver gives c to w, whose it is from now on. The caller holds the lock.
func (p *pool) deliver(w *waiter, c *Conn, stale bool) {
	p.queue.remove(w)
	c.kind = w.kind
	p.inUse.add(c)
	p.setBusy(+1)
	w.result <- result{conn: c, stale: stale}
}

// fail sends err to those who wait, or to those of them whom pick chooses. The
// caller holds the lock.
func (p *pool) fail(err error, pick func(*waiter) bool) {
	for w := p.queue.head; w != nil; {
		next := w.next
		if pick == nil || pick(w) {
			p.queue.remove(w)
			w.result <- result{err: err}
		}
		w = next
	}
}

// serve does what can be done for those who wait: gives them idle connections of
// their kind and dials for the rest, evicting idle connections of the other kind
// if the ceiling asks for it. It is called whenever something changed in their
// favour. The caller holds the lock.
func (p *pool) serve(now time.Duration) {
	if p.queue.head == nil || p.closed != nil {
		return
	}
	for i, e := range slices.Backward(p.idle) {
		if w := p.queue.first(e.kind); w != nil {
			p.deliver(w, p.remove(i).conn, true)
		}
	}
	p.queue.round++
	for w := p.queue.head; w != nil; w = w.next {
		l := w.lane
		if l.round != p.queue.round {
			l.round, l.missing = p.queue.round, l.waiting-l.dialing
		}
		if l.missing <= 0 {
			continue
		}
		if p.total() >= p.ceiling() && !p.evict() {
			return
		}
		if !p.admitDial(now) {
			return
		}
		l.missing--
		p.startDial(l)
	}
}

// evict closes the oldest idle connection. Those that are idle while somebody
// waits are of the other kind. The caller holds the lock.
func (p *pool) evict() bool {
	if len(p.idle) == 0 {
		return false
	}
	e := p.remove(0)
	p.countClosed("ceiling")
	// No goodbye: it could block, and the lock is held.
	e.conn.end(false)
	return p.total() < p.ceiling()
}
