package backend

import (
	"context"
	"errors"
	"strings"
	"time"

	"shardway/protocol"
)

// setupParts are the assignments that Setup makes, each for itself if a server
// doesn't know all of them. The first one is what Conn.Tracks is about.
//
// The server's wait_timeout is raised to 8 hours where it is less, so that pooled
// connections are closed by the pool and not under it.
var setupParts = [...]string{
	"session_track_system_variables='*'",
	"session_track_schema=ON",
	"session_track_state_change=ON",
	"session_track_transaction_info='STATE'",
	gtidTracking,
	// MySQL doesn't take GREATEST's own type for it.
	"wait_timeout=CAST(GREATEST(@@wait_timeout,28800) AS UNSIGNED)",
}

// gtidTracking makes MySQL report the GTIDs of a session's own transactions.
// MariaDB doesn't know it: it reports last_gtid, a system variable.
const gtidTracking = "session_track_gtids='OWN_GTID'"

// setupAll is everything in one statement.
var setupAll = "SET " + strings.Join(setupParts[:], ",")

// Setup sets the session up: tracking of changes, and a wait_timeout that outlasts
// the pool. Acquire returns connections that are set up; COM_RESET_CONNECTION and
// COM_CHANGE_USER undo it, so whoever sends these calls Setup again, or sends
// SetupSQL along. What the server doesn't know is left out. It takes one round
// trip, but for the first connection to a server that doesn't know everything.
// An error says that the connection is broken. State is set to "".
func (c *Conn) Setup(ctx context.Context) error {
	stop := interruptOn(ctx, c.Conn)
	err := c.setUp()
	if !stop() {
		return context.Cause(ctx)
	}
	if err == nil {
		c.State = baseState
		c.Tracks = c.Capabilities().Has(protocol.CapSessionTrack) && strings.Contains(c.setup, setupParts[0])
	}
	return err
}

// SetupSQL is the statement that Setup sends, "" if the server knows none of it.
func (c *Conn) SetupSQL() string { return c.setup }

func (c *Conn) setUp() error {
	known := setupAll
	if p := c.srv.setup.Load(); p != nil {
		known = *p
	}
	if known == "" {
		return nil
	}
	err := c.exec(known)
	if err == nil {
		c.setup = known
		return nil
	}
	if !isSQLError(err) {
		return err
	}
	// One by one, to find out what the server knows.
	var parts []string
	for _, part := range setupParts {
		switch err := c.exec("SET " + part); {
		case err == nil:
			parts = append(parts, part)
		case !isSQLError(err):
			return err
		}
	}
	c.setup = ""
	if len(parts) > 0 {
		c.setup = "SET " + strings.Join(parts, ",")
	}
	learned := c.setup // a copy: other connections read it
	c.srv.setup.Store(&learned)
	return nil
}

func (c *Conn) exec(sql string) error {
	_, err := c.Exec(sql)
	return err
}

// isSQLError says whether err is an answer of the server after which the
// connection goes on.
func isSQLError(err error) bool {
	_, ok := sqlError(err)
	return ok
}

func sqlError(err error) (*protocol.Error, bool) {
	if _, broken := errors.AsType[*protocol.SideError](err); broken {
		return nil, false
	}
	var wire *protocol.Error
	return wire, errors.As(err, &wire) && wire.Code != codeServerShutdown
}

// interruptOn lets the end of ctx end reads and writes on c. The function returned
// ends that and says whether c is still fit for use.
func interruptOn(ctx context.Context, c *protocol.Conn) (stop func() bool) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline) // a closed connection fails at its next use
	}
	after := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return func() bool {
		if !after() {
			return false
		}
		_ = c.SetDeadline(time.Time{})
		return true
	}
}
