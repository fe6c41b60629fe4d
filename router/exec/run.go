package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
)

// Set is one assignment to a user variable: Name is "@x" in lower case, SQL the value's text.
type Set struct{ Name, SQL string }

// Request is one command for one server.
type Request struct {
	Command protocol.Command
	Payload []byte // after the command byte
	// Attributes are a QUERY's query attributes, which servers without them don't get.
	Attributes []byte
	Reply      protocol.ReplyKind
	Shard      string
	Role       backend.Role
	Read       bool // changes nothing, so it may run again on another server

	Uses Why // holds whose connection it needs, if there is one
	// Holds are the reasons for which the connection is kept when it succeeds, Frees those that end.
	Holds, Frees Why
	// Sets are the assignments of a SET to user variables whose values are plain literals, and Assigns the names of
	// the session's system variables that it assigns, which servers report.
	Sets    []Set
	Assigns []string
	// Variables are the user variables, "@x" in lower case, to which the statement may give values that its text doesn't
	// tell.
	Variables []string
	// Passing are variables that hold for the statement alone: what the server reports of them is over with it.
	Passing []string
	// Names is the text of SET NAMES without these words; AsksCharset says that it is SET CHARACTER SET.
	Names       string
	AsksCharset bool
	Schema      string // the schema that the command selects
	// AnySchema says that the statement is the same whatever the current schema is.
	AnySchema bool

	// Blank says that no warnings of another client's statement may be on the connection: MariaDB keeps them for long.
	Blank bool

	UsesLastInsertID, SetsLastInsertID bool
	// Given says whether an insert id may come from the statement itself instead of the server; nil for never.
	Given func(id uint64) bool
	// Upserts says of an INSERT that it may change a row instead, whose id its reply then tells.
	Upserts bool

	Statement *Prepared // of ComStmtExecute: Payload is then ignored
	Execute   *protocol.Execute
	Types     []byte
	LongData  []LongData

	LocalFile       []byte          // the text of a LOAD DATA LOCAL: the server may ask for the client's file
	File            io.Reader       // what the server gets instead of that file; nil for the file itself
	EndsTransaction bool            // COMMIT or ROLLBACK
	SetStatus       protocol.Status // flags that the client sees besides the server's

	Timeout time.Duration // 0 for none
	MaxLag  time.Duration // of a replica that may serve it; 0 for what the configuration says
	Stale   bool          // a read that takes what any replica has, whatever the session has written or seen
	NoTable bool          // it reads no table, so that it begins no transaction

	on *backend.Conn // the held connection that alone can serve it, as it is; nil for any
}

// Outcome is what a server answered to a Request; all of it was relayed to the client.
type Outcome struct {
	Reply  protocol.Reply
	Server string // address, of several servers all addresses
	// Warnings is what SHOW WARNINGS says of a statement on several shards; nil where a connection is kept that knows.
	Warnings *protocol.Result
	// Found is FOUND_ROWS() after SQL_CALC_FOUND_ROWS; nil where a connection is kept that knows, and without.
	Found *uint64
}

// Run takes a request to a server and relays the reply to the client without flushing it. An error is a
// *protocol.Error to show to the client, whose connection can go on, or else ends the client's connection.
func (s *Session) Run(ctx context.Context, r *Request) (Outcome, error) {
	if err := s.spared(); err != nil && !r.EndsTransaction {
		return Outcome{}, err
	}
	s.endShort(r)
	var tried []string
	var before *lostError // of the try before
	next := s.next
	for try := 0; ; try++ {
		var out Outcome
		c, err := s.connection(ctx, r, tried)
		if err == nil {
			out, err = s.runOn(ctx, c, r)
		}
		if err == nil {
			return out, nil
		}
		lost, ok := errors.AsType[*lostError](err)
		switch {
		case !ok && c == nil && before != nil:
			return out, before.then(err)
		case !ok:
			return out, err
		}
		before = lost
		if !r.Read && !lost.unsent {
			s.noteLost(r.Shard)
		}
		primary := s.roleOf(r) == backend.Primary // there is no other server: one fresh connection to it may do
		retry := (lost.unsent || r.Read) && !lost.held && !out.Reply.FirstByte
		switch {
		case retry && (primary && try < 1 || !primary && try < maxTries):
			if !primary {
				tried = append(tried, lost.addr)
			}
			s.next = next
		case out.Reply.Broken:
			return out, fmt.Errorf("the reply of %s broke off: %w", lost.addr, lost.err)
		default:
			return out, lost.forClient(r)
		}
	}
}

// endShort ends the reasons that end with the next statement, which is r.
func (s *Session) endShort(r *Request) {
	switch {
	case len(s.holds) == 0:
	case r.Uses&whyShort != 0:
		s.let(whyShort &^ (r.Uses | WhyInsertID)) // asking for the id would end what the statement reads
	default:
		s.AskInsertID()
		s.let(whyShort)
	}
}

// maxTries bounds on how many servers one read is tried.
const maxTries = 4

// roleOf says which server of the shard a request needs. What opens a transaction or stays on the connection has to be
// at the primary, since later writes follow it there.
func (s *Session) roleOf(r *Request) backend.Role {
	switch {
	case s.binds(r), s.joins(r):
		if s.tx.readOnly && r.Role == backend.Replica {
			return backend.Replica
		}
		return backend.Primary
	case r.Role == backend.Any && (r.Holds&^whyShort != 0 || slices.ContainsFunc(r.Assigns, func(name string) bool { return oneShot[name] })):
		return backend.Primary
	default:
		return r.Role
	}
}

// connection returns the connection on which a request has to run, in the session's state.
func (s *Session) connection(ctx context.Context, r *Request, tried []string) (*backend.Conn, error) {
	if r.on != nil {
		return r.on, nil
	}
	for len(s.holds) > 0 {
		h := s.holdFor(r)
		if h == nil {
			break
		}
		c, err := s.onHold(ctx, r, h)
		if !errors.Is(err, backend.ErrMoved) {
			return c, err
		}
		// Nothing on it was worth an error.
	}
	if h := s.holdWith(WhyVariable); h != nil && h.shard != r.Shard && r.Role == backend.Primary && !r.Read {
		return nil, protocol.Errorf(1235, "42000", "shardway: this session has set a variable that one connection alone can have (insert_id and the like), on shard %s, and this statement is for shard %s: send it on another connection, or reset this one", h.shard, r.Shard)
	}
	binds, joins := s.binds(r), s.joins(r)
	c, err := s.acquire(ctx, r, s.roleOf(r), tried)
	if err != nil {
		return nil, err
	}
	switch {
	case binds:
		err = s.bind(c, r.Shard)
	case joins:
		err = s.join(ctx, c, r.Shard)
	case len(s.next) > 0 && r.Role != backend.Any && !r.NoTable:
		err = s.applyNext(c, r.Shard)
	}
	return c, err
}

// onHold gives the connection of a hold the state that a request needs.
func (s *Session) onHold(ctx context.Context, r *Request, h *hold) (*backend.Conn, error) {
	c, shard, why := h.conn, h.shard, h.why
	if err := s.resume(ctx, h); err != nil {
		return nil, err
	}
	switch {
	case s.binds(r):
		return c, s.bind(c, shard)
	case s.joins(r):
		return c, s.join(ctx, c, shard)
	}
	if err := s.admitHeld(c, r); err != nil {
		return nil, err
	}
	err := s.sync(c, s.needs(c, r))
	if errors.Is(err, errSchemaStays) {
		err = protocol.Errorf(1046, "3D000", "No database selected; shardway: the connection that this session keeps on shard %s (%s) has a current schema: name the schema of each table, or USE one", shard, why)
	}
	return c, err
}

// acquire takes a connection from the cluster and gives it the session's state.
func (s *Session) acquire(ctx context.Context, r *Request, role backend.Role, tried []string) (*backend.Conn, error) {
	shard := r.Shard
	want := backend.Want{Shard: shard, Role: role, Client: s.addr, Prefer: s.handle, Exclude: tried, FoundRows: s.found, Extended: s.extended, Owner: s.owner, MaxLag: r.MaxLag}
	if role == backend.Replica && !r.Stale {
		if err := s.follow(ctx, &want); err != nil {
			return nil, err
		}
	}
	for try := len(tried); ; {
		c, err := s.x.cluster.Acquire(ctx, want)
		if err != nil {
			return nil, acquireError(err)
		}
		if ok, err := s.admit(c, &want); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		if err = s.sync(c, s.needs(c, r)); err == nil {
			return c, nil
		}
		var refused *refusedError // not above: it is on the heap
		switch {
		case errors.Is(err, errSchemaStays):
			c.Discard("another client's schema")
			continue
		case errors.As(err, &refused):
			c.Release()
			return nil, refused.e
		}
		if try++; try > maxTries {
			return nil, protocol.Errorf(1105, "HY000", "shardway: no connection to shard %s lives long enough to be used: %v", shard, err)
		}
		if want.Role != backend.Primary {
			want.Exclude = append(want.Exclude, c.Addr())
		}
	}
}

// errSchemaStays: a connection that has a current schema can't be made to have none.
var errSchemaStays = errors.New("a current schema can't be taken back")

// needs is the state that a request needs on a connection: the session's, but a client without a current schema can
// use a connection that has one for a statement to which it makes no difference, unless the connection is going to be
// kept for others.
func (s *Session) needs(c *backend.Conn, r *Request) Handle {
	if s.state.schema != "" || c.State == s.handle {
		return s.handle
	}
	held := s.holdOf(c) != nil
	stays := r.Holds&^whyShort != 0 || s.binds(r) || s.joins(r) || !s.autocommit
	if free := r.AnySchema && (held || !stays) || held && r.Uses&whyShort != 0; !free {
		return s.handle
	}
	want := s.state
	want.schema = stateOf(c.State).schema
	return want.handle()
}

// sync gives a connection a state. After a *refusedError the connection is as usable as before, in the state that it
// says; after any other error but errSchemaStays it is gone.
func (s *Session) sync(c *backend.Conn, want Handle) error {
	if c.State == want {
		return nil
	}
	at, to := stateOf(c.State), stateOf(want)
	if to.schema == "" && at.schema != "" {
		return errSchemaStays
	}
	for _, step := range script(&at, &to) {
		if _, err := c.Exec(step.sql); err != nil {
			return s.unsynced(c, step.sql, err)
		}
		at = step.then
		c.State = at.handle()
	}
	if to.schema != at.schema {
		if err := initDB(c, to.schema); err != nil {
			return s.unsynced(c, "USE "+to.schema, err)
		}
	}
	c.State = want
	return nil
}

// refusedError is a server that doesn't take a session's state. The statement wasn't sent.
type refusedError struct{ e *protocol.Error }

func (e *refusedError) Error() string { return e.e.Error() }
func (e *refusedError) Unwrap() error { return e.e }

func (s *Session) unsynced(c *backend.Conn, sql string, err error) error {
	var refused *protocol.Error
	if errors.As(err, &refused) && !serverGone(refused) {
		return &refusedError{protocol.Errorf(refused.Code, refused.State, "shardway: %s of shard %s doesn't take this session's state (%s): %s",
			c.Addr(), c.Shard(), sql, refused.Message)}
	}
	return s.lost(c, err, true)
}

// broke notes that a connection failed at a question of Shardway's own. If the client has anything there, it isn't
// forgotten silently: the next statement that needs it fails and says so.
func (s *Session) broke(c *backend.Conn, err error) {
	if _, ok := errors.AsType[*protocol.SideError](err); !ok {
		return // the server has answered
	}
	if h := s.holdOf(c); h != nil && h.why&^whyShort != 0 {
		c.Interrupt()
		return
	}
	s.lose(c, err)
}

// lose ends a connection that failed, and what the session had on it.
func (s *Session) lose(c *backend.Conn, err error) (held bool) {
	held = s.holdOf(c) != nil
	if held {
		inTx := s.holdOf(c).why&WhyTransaction != 0
		s.forget(c)
		if inTx {
			defer s.dissolve(c)
		}
	}
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		c.Discard("state refused")
	} else {
		c.Failed(err)
	}
	return held
}

// timedOut is the error of a server that had closed the connection before the statement came.
const timedOut = 4031

// unknownStatement is the error of an EXECUTE whose statement the server doesn't know.
const unknownStatement = 1243

// interrupted is the error of a statement that was killed.
const interrupted = 1317

// staleTypes is MySQL's error of an EXECUTE whose values don't fit the types that it has given the parameters for
// earlier ones. Those may have been another client's: a statement that is prepared anew takes the values.
const staleTypes = 3988

// runOn runs a request on a connection that has the session's state.
func (s *Session) runOn(ctx context.Context, c *backend.Conn, r *Request) (out Outcome, err error) {
	out.Server = c.Addr()
	s.run(c)
	defer func() {
		s.ran()
		if p := recover(); p != nil {
			s.dropUnread(c) // else nobody would ever give it back
			panic(p)
		}
	}()
	if err := s.prepareSession(c, r); err != nil {
		return out, err
	}
	stop, stopped := s.limit(ctx, c, r.Timeout)
	defer stop()

	again := false
	for {
		if err := s.send(c, r); err != nil {
			return out, err
		}
		relay := protocol.Relay{HoldError: s.holdError, SetStatus: r.SetStatus, TrackKinds: s.tracked(), LocalFile: r.LocalFile, File: r.File}
		if r.Timeout > 0 {
			relay.LateError = lateError(r.Timeout, stopped)
		}
		if h := s.holdOf(c); s.tx.open && (h == nil || h.why&WhyTransaction == 0) {
			relay.SetStatus |= protocol.StatusInTrans
		}
		out.Reply, err = c.Forward(s.client, r.Reply, &relay)
		if err != nil {
			if own, ok := errors.AsType[*protocol.FileError](err); ok {
				s.dropUnread(c)
				return out, own.Err
			}
			var side *protocol.SideError
			if errors.As(err, &side) && side.Side == protocol.SideClient {
				s.dropUnread(c)
				return out, err
			}
			return out, s.lost(c, err, false)
		}
		if out.Reply.Err != nil {
			c.Refused(out.Reply.Err.Code)
		}
		if !out.Reply.Held {
			break
		}
		e := out.Reply.Err
		switch {
		case (e.Code == unknownStatement || e.Code == staleTypes) && r.Statement != nil && !again:
			again = true
			if err := statementsOf(c).drop(c, r.Statement.keyFor(r)); err != nil {
				return out, s.lost(c, err, true)
			}
			continue
		case serverGone(e):
			return out, s.lost(c, e, e.Code == timedOut) // the others may have ended it halfway
		default:
			if r.Timeout > 0 {
				e = lateError(r.Timeout, stopped)(e)
			}
		}
		out.Reply.Err, out.Reply.Held = e, false
		stop()
		s.settle(c, r, &out.Reply, s.ran() || stopped())
		if e.Code == lockTimeout && s.spread() {
			e = s.deadlocked(c.Addr()+" of shard "+r.Shard, e)
			out.Reply.Err = e
		}
		return out, s.client.WriteError(e)
	}
	stop()
	s.settle(c, r, &out.Reply, s.ran() || stopped())
	return out, nil
}

// prepareSession gives a connection what a request needs besides the session's state.
func (s *Session) prepareSession(c *backend.Conn, r *Request) error {
	if r.Blank {
		if _, err := c.Exec("SELECT 1 FROM (SELECT 1) AS one"); err != nil {
			return s.lost(c, err, true)
		}
	}
	if r.UsesLastInsertID {
		if _, err := c.Exec("SET last_insert_id=" + strconv.FormatUint(s.lastInsertID, 10)); err != nil {
			return s.lost(c, err, true)
		}
	}
	return nil
}

// lateError makes of a server's error the one of a statement that was stopped after its timeout.
func lateError(timeout time.Duration, stopped func() bool) func(*protocol.Error) *protocol.Error {
	return func(e *protocol.Error) *protocol.Error {
		if e.Code != interrupted || !stopped() {
			return e
		}
		return protocol.Errorf(3024, "HY000", "shardway: stopped after %v, as its timeout asks", timeout)
	}
}

func (s *Session) holdError(e *protocol.Error) bool {
	return e.Code == unknownStatement || e.Code == staleTypes || e.Code == interrupted || e.Code == lockTimeout && s.spread() || serverGone(e)
}

// dropUnread ends a connection whose reply nobody reads any more.
func (s *Session) dropUnread(c *backend.Conn) {
	if h := s.holdOf(c); h != nil {
		inTx := h.why&WhyTransaction != 0
		s.forget(c)
		if inTx {
			defer s.dissolve(c)
		}
	}
	c.Discard("client left")
}

// send writes a request to a server. It is flushed when its reply is read.
func (s *Session) send(c *backend.Conn, r *Request) error {
	if r.Statement != nil {
		return s.sendExecute(c, r)
	}
	if err := write(c, r); err != nil {
		return s.lost(c, err, false)
	}
	return nil
}

// write sends a request's text. An error is of writing.
func write(c *backend.Conn, r *Request) error {
	var err error
	if r.Command == protocol.ComQuery {
		err = c.WriteQuery(r.Attributes, r.Payload)
	} else {
		err = c.WriteCommand(r.Command, r.Payload)
	}
	return err
}

// limit kills the statement at the server after d. stopped says whether that happened; stop waits for a kill that
// is under way, so that it can't hit the next statement.
func (s *Session) limit(ctx context.Context, c *backend.Conn, d time.Duration) (stop func(), stopped func() bool) {
	if d <= 0 {
		return func() {}, func() bool { return false }
	}
	done := make(chan struct{})
	fired := false
	timer := time.AfterFunc(d, func() {
		defer close(done)
		fired = true
		if err := s.x.cluster.Kill(ctx, c, true); err != nil {
			c.Interrupt() // a server that can't be told doesn't keep the client waiting
		}
	})
	ended := false
	end := func() {
		if !ended && !timer.Stop() {
			<-done
		}
		ended = true
	}
	return end, func() bool { end(); return fired }
}
