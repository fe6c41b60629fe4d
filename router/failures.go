package router

import (
	"container/list"
	"sync"
	"time"
)

// What a user's failed logins from one address cost the next ones.
const (
	freeFailures   = 3                      // cost nothing: people mistype
	firstDelay     = 100 * time.Millisecond // of the next one; each more doubles it
	longestDelay   = 5 * time.Second        // less than a client waits for a connection
	waitingLogins  = 64                     // of one user from one address; more are refused
	forgetFailures = 10 * time.Minute       // after the last one
	knownFailures  = 4096                   // users and addresses; then the oldest are forgotten
)

// attempt is who tries to log in, and from where.
type attempt struct{ host, user string }

// failures counts failed logins. The zero value is ready, and it is safe for concurrent use.
type failures struct {
	mu    sync.Mutex
	byWho map[attempt]*list.Element
	order list.List // of *failed, the newest in front
}

type failed struct {
	who     attempt
	count   int
	waiting int // logins that have begun and not ended
	last    time.Time
}

// begin says how long the login has to wait; false when too many do. After true, end is called.
func (f *failures) begin(who attempt, now time.Time) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.find(who, now)
	if e == nil {
		return 0, true
	}
	if e.count < freeFailures {
		return 0, true
	}
	if e.waiting >= waitingLogins {
		return 0, false
	}
	e.waiting++
	return min(firstDelay<<min(e.count-freeFailures, 10), longestDelay), true
}

// end takes over how a login went, which had to wait or not: one that goes well is the end of the count.
func (f *failures) end(who attempt, waited, ok bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.find(who, now)
	switch {
	case ok && e == nil:
		return
	case ok:
		f.forget(e)
		return
	case e == nil:
		if f.byWho == nil {
			f.byWho = map[attempt]*list.Element{}
		}
		if len(f.byWho) >= knownFailures {
			f.forget(f.order.Back().Value.(*failed))
		}
		e = &failed{who: who}
		f.byWho[who] = f.order.PushFront(e)
	}
	f.order.MoveToFront(f.byWho[who])
	if waited {
		e.waiting = max(e.waiting-1, 0) // 0 where it has been forgotten meanwhile
	}
	e.count++
	e.last = now
}

func (f *failures) find(who attempt, now time.Time) *failed {
	element := f.byWho[who]
	if element == nil {
		return nil
	}
	e := element.Value.(*failed)
	if now.Sub(e.last) > forgetFailures {
		f.forget(e)
		return nil
	}
	return e
}

func (f *failures) forget(e *failed) {
	f.order.Remove(f.byWho[e.who])
	delete(f.byWho, e.who)
}
