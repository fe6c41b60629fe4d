package exec

import (
	"errors"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// serverGone are the errors after which a server ends the connection.
func serverGone(e *protocol.Error) bool {
	switch e.Code {
	case 1053, // shutdown in progress
		1077, // normal shutdown
		1152, // aborted connection
		1927, // MariaDB: connection was killed
		3169, // session was killed
		4031: // disconnected because of inactivity
		return true
	}
	return false
}

// lostError is a server connection that broke.
type lostError struct {
	err    error
	addr   string
	held   bool // the session had something on the connection
	inTx   bool // a transaction
	unsent bool // the server can't have run the statement
}

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

func (s *Session) lost(c *backend.Conn, err error, unsent bool) error {
	_, broke := errors.AsType[*protocol.SideError](err)
	if refused, ok := errors.AsType[*protocol.Error](err); ok && !broke && !serverGone(refused) {
		if s.holdOf(c) == nil {
			c.Discard("state refused")
		}
		return refused
	}
	inTx := false
	if h := s.holdOf(c); h != nil {
		inTx = h.why&WhyTransaction != 0
	}
	return &lostError{err: err, addr: c.Addr(), inTx: inTx, held: s.lose(c, errors.New(err.Error())), unsent: unsent}
}

// forClient is what the client is told: a code that makes drivers retry where that is safe and helps.
func (e *lostError) forClient(r *Request) *protocol.Error {
	addr := e.addr
	what := strings.TrimSuffix(e.err.Error(), ".")
	switch {
	case e.inTx && !r.EndsTransaction:
		return protocol.Errorf(1213, "40001", "shardway: the connection to %s of shard %s broke (%s), so the transaction was rolled back; try it again from its start", addr, r.Shard, what)
	case e.inTx:
		return protocol.Errorf(1105, "HY000", "shardway: the connection to %s of shard %s broke (%s) during COMMIT or ROLLBACK: whether the transaction was committed isn't known; look before you try it again", addr, r.Shard, what)
	case r.Read || e.unsent:
		return protocol.Errorf(1105, "HY000", "shardway: the connection to %s of shard %s broke (%s) and no other server could answer; nothing was changed, so the statement may be tried again", addr, r.Shard, what)
	default:
		return protocol.Errorf(1105, "HY000", "shardway: the connection to %s of shard %s broke (%s): whether the statement ran isn't known; look before you try it again", addr, r.Shard, what)
	}
}

// then is the error of finding no other server, err, with what broke the connection: the states of the servers may have
// forgotten that by now.
func (e *lostError) then(err error) error {
	none, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		return err
	}
	return protocol.Errorf(none.Code, none.State, "%s; the connection to %s broke (%s)", none.Message, e.addr, strings.TrimSuffix(e.err.Error(), "."))
}

// acquireError is what the client is told when no connection is to be had.
func acquireError(err error) *protocol.Error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	return protocol.Errorf(1105, "HY000", "shardway: %v", err)
}
