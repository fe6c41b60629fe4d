package exec

import (
	"context"

	"shardway/router/backend"
)

// Kill ends the client's statement: at the server that runs it, if any, and else before it goes on. It may be called from any goroutine.
func (s *Session) Kill(ctx context.Context) error {
	s.killing.Lock()
	defer s.killing.Unlock()
	s.doomed.Store(true)
	if s.running == nil {
		return nil
	}
	s.struck = true
	s.killAll(ctx, s.others)
	return s.x.cluster.Kill(ctx, s.running, true)
}

// Cut is Kill for a session that ends. A server that can't be told doesn't keep it waiting.
func (s *Session) Cut(ctx context.Context) {
	s.killing.Lock()
	defer s.killing.Unlock()
	s.doomed.Store(true)
	if s.running == nil {
		return
	}
	s.struck = true
	s.killAll(ctx, s.others)
	if err := s.x.cluster.Kill(ctx, s.running, true); err != nil {
		s.running.Interrupt()
	}
}

// run says that a statement runs on c from now on, ran that it has ended. ran waits for a kill that is under way, so
// that it can't hit the next statement, and says whether there was one.
func (s *Session) run(c *backend.Conn) {
	s.killing.Lock()
	s.running, s.struck = c, false
	s.killing.Unlock()
}

func (s *Session) ran() (struck bool) {
	s.killing.Lock()
	defer s.killing.Unlock()
	s.running, s.others = nil, nil
	return s.struck
}

// Begins says that a statement of the client's begins: a kill that came before isn't for it.
func (s *Session) Begins() { s.doomed.Store(false) }

// spared is the error of a statement that was killed; nil for one that wasn't. It is asked before each of the statements
// that it is made of, and before its commit.
func (s *Session) spared() error {
	if s.doomed.Load() {
		return killed()
	}
	return nil
}
