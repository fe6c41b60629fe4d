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
	waiting    [kinds]int
}

// waiter is one who waits. Its channel has room for the one result it gets; who
// removes it from the queue under the lock sends the result.
type waiter struct {
	kind       kind
	role       Role // of the member it waits for
	moves      bool // would rather try another server than wait for one that refuses connections
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
	q.waiting[w.kind]++
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
	q.waiting[w.kind]--
}

// first returns who of that kind came first, or nil.
func (q *queue) first(kind kind) *waiter {
	if q.waiting[kind] == 0 {
		return nil
	}
	for w := q.head; w != nil; w = w.next {
		if w.kind == kind {
			return w
		}
	}
	return nil
}

// deliver gives c to w, whose it is from now on. The caller holds the lock.
func (p *pool) deliver(w *waiter, c *Conn, stale bool) {
	p.queue.remove(w)
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
	var missing [kinds]int
	for k := range missing {
		missing[k] = p.queue.waiting[k] - p.dialing[k]
	}
	for w := p.queue.head; w != nil; w = w.next {
		if missing[w.kind] <= 0 {
			continue
		}
		if p.total() >= p.ceiling() && !p.evict() {
			return
		}
		if !p.admitDial(now) {
			return
		}
		missing[w.kind]--
		p.startDial(w.kind)
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
