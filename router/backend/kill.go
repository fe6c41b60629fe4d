package backend

import (
	"context"
	"fmt"
)

// killsAtOnce bounds the side connections to one server.
const killsAtOnce = 4

// Kill ends the statement that runs on conn, or conn as a whole if queryOnly is
// false, over a side connection to its server. conn must be held until Kill
// returns, else the server may kill what its next holder runs; it may be in use by
// another goroutine. Without a deadline in ctx, DialTimeout is one. An error says
// that the server may not have been reached, or what it answered; error 1094 means
// that the connection is gone already.
func (c *Cluster) Kill(ctx context.Context, conn *Conn, queryOnly bool) error {
	s := conn.srv
	ctx, cancel := context.WithTimeout(ctx, c.options().DialTimeout)
	defer cancel()
	select {
	case s.kills <- struct{}{}:
		defer func() { <-s.kills }()
	case <-ctx.Done():
		return fmt.Errorf("kill on %s: %w", s.addr, context.Cause(ctx))
	}
	wire, _, err := s.login(ctx, kind{})
	if err != nil {
		return fmt.Errorf("kill on %s: %w", s.addr, err)
	}
	defer wire.Close()
	stop := interruptOn(ctx, wire)
	defer stop()
	verb := "KILL"
	if queryOnly {
		verb = "KILL QUERY"
	}
	if _, err := wire.Exec(fmt.Sprintf("%s %d", verb, conn.ConnectionID())); err != nil {
		return fmt.Errorf("kill on %s: %w", s.addr, err)
	}
	return nil
}
