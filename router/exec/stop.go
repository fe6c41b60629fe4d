package exec

import (
	"context"
	"sync"
	"time"

	"shardway/router/backend"
)

// finish waits for the end of all replies. What the servers still send is read past for a moment, then they are told to
// stop. Who is in a transaction is waited for, since its connection is needed.
func (m *many) finish(ctx context.Context) {
	defer m.streams.Wait()
	_, failed := m.streams.First()
	if m.r.Merge != nil || failed {
		m.streams.Stop()
		timer := time.NewTimer(patience)
		defer timer.Stop()
		for i := range m.branches {
			if m.branches[i].begun {
				select {
				case <-m.streams.Done(i):
				case <-timer.C:
					m.halt(ctx)
					return
				}
			}
		}
	}
}

// halt tells the servers to stop that still run a part.
func (m *many) halt(ctx context.Context) {
	var kills sync.WaitGroup
	for i := range m.branches {
		b := &m.branches[i]
		if !b.begun {
			continue
		}
		select {
		case <-m.streams.Done(i):
			continue
		default:
		}
		b.struck = true
		keep := m.s.holdOf(m.conns[i]) != nil
		kills.Go(func() {
			if err := m.s.x.cluster.Kill(context.WithoutCancel(ctx), m.conns[i], true); err != nil || !keep {
				m.conns[i].Interrupt()
			}
		})
	}
	kills.Wait()
}

// manyLimit is a statement's timeout.
type manyLimit struct {
	timer *time.Timer
	done  chan struct{}
	fired bool
	ended bool
}

// limitMany kills the parts at their servers after d.
func (s *Session) limitMany(ctx context.Context, conns []*backend.Conn, d time.Duration) *manyLimit {
	l := &manyLimit{}
	if d <= 0 {
		l.ended = true
		return l
	}
	l.done = make(chan struct{})
	l.timer = time.AfterFunc(d, func() {
		defer close(l.done)
		l.fired = true
		s.killAll(ctx, conns)
	})
	return l
}

// stop ends the timeout, after a kill that is under way, so that it can't hit the next statement, and says whether there
// was one.
func (l *manyLimit) stop() bool {
	if !l.ended && !l.timer.Stop() {
		<-l.done
	}
	l.ended = true
	return l.fired
}

// killAll ends the statements that run on connections. A server that can't be told doesn't keep the client waiting.
func (s *Session) killAll(ctx context.Context, conns []*backend.Conn) {
	var kills sync.WaitGroup
	for _, c := range conns {
		kills.Go(func() {
			if err := s.x.cluster.Kill(ctx, c, true); err != nil {
				c.Interrupt()
			}
		})
	}
	kills.Wait()
}
