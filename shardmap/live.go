package shardmap

import (
	"sync"
	"sync/atomic"
)

// Live is the Map that is current in this process. Reading it takes no lock.
type Live struct {
	current atomic.Pointer[Map]

	swap sync.Mutex // held while subscribers run, so that all see the same order
	mu   sync.Mutex // guards subs, next and bell
	subs []subscriber
	next int
	bell chan struct{} // closed and replaced when another map is current
}

type subscriber struct {
	id int
	f  func(*Map)
}

// NewLive returns a Live whose current map is m, which must not be nil.
func NewLive(m *Map) *Live {
	l := &Live{bell: make(chan struct{})}
	l.current.Store(m)
	return l
}

// Current returns the current map. A statement calls it once and uses that one
// map to its end.
func (l *Live) Current() *Map { return l.current.Load() }

// Swap makes m current and then calls the subscribers in the order in which
// they subscribed. It returns when they have returned. Concurrent calls run
// one after the other. A subscriber must not call Swap.
func (l *Live) Swap(m *Map) {
	l.swap.Lock()
	defer l.swap.Unlock()
	l.current.Store(m)
	l.mu.Lock()
	close(l.bell)
	l.bell = make(chan struct{})
	subs := append([]subscriber(nil), l.subs...)
	l.mu.Unlock()
	for _, s := range subs {
		s.f(m)
	}
}

// Changed returns a channel that is closed when m isn't the current map any
// more.
func (l *Live) Changed(m *Map) <-chan struct{} {
	l.mu.Lock()
	bell := l.bell
	l.mu.Unlock()
	if l.Current() != m {
		bell = make(chan struct{})
		close(bell)
	}
	return bell
}

// Subscribe calls f with each map that becomes current from now on, in order
// and never two at once. Cancel ends that and can be called twice and from
// within f; a call that has begun may still be running when it returns.
func (l *Live) Subscribe(f func(*Map)) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.next
	l.next++
	l.subs = append(l.subs, subscriber{id, f})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, s := range l.subs {
			if s.id == id {
				l.subs = append(l.subs[:i:i], l.subs[i+1:]...)
				return
			}
		}
	}
}
