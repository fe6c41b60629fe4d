package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	Reply   protocol.ReplyKind
	Shard   string
	Role    backend.Role
	Read    bool // changes nothing, so it may run again on another server

	Uses Why // holds whose connection it needs, if there is one
	// Holds are the reasons for which the connection is kept when it succeeds, Frees those that end.
	Holds, Frees Why
	// Sets are the assignments of a SET to user variables whose values are plain literals, and Assigns the names of
	// the session's system variables that it assigns, which servers report.
	Sets    []Set
	Assigns []string
	// Names is the text of SET NAMES without these words; AsksCharset says that it is SET CHARACTER SET.
	Names       string
	AsksCharset bool
	Schema      string // the schema that the command selects
	// AnySchema says that the statement is the same whatever the current schema is.
	AnySchema bool

	UsesLastInsertID, SetsLastInsertID bool
	// Given says whether an insert id may come from the statement itself instead of the server; nil for never.
	Given func(id uint64) bool

	Statement *Prepared // of ComStmtExecute: Payload is then ignored
	Execute   *protocol.Execute
	Types     []byte
	LongData  []LongData

	EndsTransaction bool            // COMMIT or ROLLBACK
	SetStatus       protocol.Status // flags that the client sees besides the server's

	Timeout time.Duration // 0 for none

	on *backend.Conn // the held connection that alone can serve it, as it is; nil for any
}

// Outcome is what a server answered to a Request. When Reply.Held is true nothing was relayed to the client.
type Outcome struct {
	Reply  protocol.Reply
	Server string // address
}

// Run takes a request to a server and relays the reply to the client without flushing it. An error is a
// *protocol.Error to show to the client, whose connection can go on, or else ends the client's connection.
func (s *Session) Run(ctx context.Context, r *Request) (Outcome, error) {
	switch {
	case len(s.holds) == 0:
	case r.Uses&whyShort != 0:
		s.let(whyShort &^ (r.Uses | WhyInsertID)) // asking for the id would end what the statement reads
	default:
		s.AskInsertID()
		s.let(whyShort)
	}
	var tried []string
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
		var lost *lostError
		if !errors.As(err, &lost) {
			return out, err
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

// maxTries bounds on how many servers one read is tried.
const maxTries = 4

// roleOf says which server of the shard a request needs. What opens a transaction or stays on the connection has to be
// at the primary, since later writes follow it there.
func (s *Session) roleOf(r *Request) backend.Role {
	switch {
	case s.binds(r):
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
	if len(s.holds) > 0 {
		if h := s.holdFor(r); h != nil {
			c := h.conn
			var err error
			if s.binds(r) {
				err = s.bind(c, h.shard)
			} else {
				err = s.sync(c, s.needs(c, r))
			}
			if errors.Is(err, errSchemaStays) {
				err = protocol.Errorf(1046, "3D000", "No database selected; shardway: the connection that this session keeps on shard %s (%s) has a current schema: name the schema of each table, or USE one", h.shard, h.why)
			}
			return c, err
		}
	}
	binds := s.binds(r)
	c, err := s.acquire(ctx, r, s.roleOf(r), tried)
	if err != nil {
		return nil, err
	}
	switch {
	case binds:
		err = s.bind(c, r.Shard)
	case len(s.next) > 0 && r.Role != backend.Any:
		err = s.applyNext(c, r.Shard)
	}
	return c, err
}

// acquire takes a connection from the cluster and gives it the session's state.
func (s *Session) acquire(ctx context.Context, r *Request, role backend.Role, tried []string) (*backend.Conn, error) {
	shard := r.Shard
	want := backend.Want{Shard: shard, Role: role, Client: s.addr, Prefer: s.handle, Exclude: tried, FoundRows: s.found}
	for try := len(tried); ; {
		c, err := s.x.cluster.Acquire(ctx, want)
		if err != nil {
			return nil, acquireError(err)
		}
		err = s.sync(c, s.needs(c, r))
		var refused *refusedError
		switch {
		case err == nil:
			return c, nil
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
		if role != backend.Primary {
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
	stays := r.Holds&^whyShort != 0 || s.binds(r) || !s.autocommit
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
		if h := s.holdOf(c); h.why&WhyTransaction != 0 {
			s.tx = transaction{}
		}
		s.forget(c)
	}
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		c.Discard("state refused")
	} else {
		c.Failed(err)
	}
	return held
}

// unknownStatement is the error of an EXECUTE whose statement the server doesn't know.
const unknownStatement = 1243

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
	if r.UsesLastInsertID {
		if _, err := c.Exec("SET last_insert_id=" + strconv.FormatUint(s.lastInsertID, 10)); err != nil {
			return out, s.lost(c, err, true)
		}
	}
	stop, stopped := s.limit(ctx, c, r.Timeout)
	defer stop()

	again := false
	for {
		if err := s.send(c, r); err != nil {
			return out, err
		}
		relay := protocol.Relay{HoldError: holdError, SetStatus: r.SetStatus}
		if s.tx.open && s.holdOf(c) == nil {
			relay.SetStatus |= protocol.StatusInTrans
		}
		out.Reply, err = c.Forward(s.client, r.Reply, &relay)
		if err != nil {
			var side *protocol.SideError
			if errors.As(err, &side) && side.Side == protocol.SideClient {
				s.dropUnread(c)
				return out, err
			}
			return out, s.lost(c, err, false)
		}
		if !out.Reply.Held {
			break
		}
		e := out.Reply.Err
		switch {
		case e.Code == unknownStatement && r.Statement != nil && !again:
			again = true
			statementsOf(c).forget(r.Statement.keyFor(r.Execute))
			continue
		case serverGone(e):
			return out, s.lost(c, e, true)
		case e.Code == 1317 && stopped():
			e = protocol.Errorf(3024, "HY000", "shardway: stopped after %v, as its timeout asks", r.Timeout)
		}
		out.Reply.Err, out.Reply.Held = e, false
		stop()
		s.settle(c, r, &out.Reply, s.ran() || stopped())
		return out, s.client.WriteError(e)
	}
	stop()
	s.settle(c, r, &out.Reply, s.ran() || stopped())
	return out, nil
}

func holdError(e *protocol.Error) bool {
	return e.Code == unknownStatement || e.Code == 1317 || serverGone(e)
}

// dropUnread ends a connection whose reply nobody reads any more.
func (s *Session) dropUnread(c *backend.Conn) {
	if h := s.holdOf(c); h != nil {
		if h.why&WhyTransaction != 0 {
			s.tx = transaction{}
		}
		s.forget(c)
	}
	c.Discard("client left")
}

// send writes a request to a server.
func (s *Session) send(c *backend.Conn, r *Request) error {
	if r.Statement != nil {
		return s.sendExecute(c, r)
	}
	err := c.WriteCommand(r.Command, r.Payload)
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		return s.lost(c, err, false)
	}
	return nil
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

// settle decides, after a reply, what the session now has at the server and whether it keeps the connection.
func (s *Session) settle(c *backend.Conn, r *Request, reply *protocol.Reply, struck bool) {
	if r.Statement != nil && r.Execute.Flags != 0 && (reply.Err != nil || !reply.Status.Has(protocol.StatusCursorExists)) {
		statementsOf(c).get(r.Statement.cursorKey()).open = false // there is no cursor after all
	}
	if len(reply.Changes) > 0 || len(r.Sets) > 0 || len(r.Assigns) > 0 || r.Schema != "" || r.Names != "" || r.AsksCharset {
		s.learn(c, r, reply)
	}
	h := s.holdOf(c)
	var why Why
	if h != nil {
		why = h.why
	}
	autocommit := s.autocommit
	inTx := reply.Status&protocol.StatusInTrans != 0
	switch {
	case reply.Err != nil && why&WhyTransaction == 0 && s.autocommit && r.Holds&WhyUnknown == 0:
		inTx = false
	case reply.Err != nil:
		// An ERR packet says nothing of the transaction, and some errors end it.
		status, err := ping(c)
		if err != nil {
			s.broke(c, err)
			return
		}
		inTx = status&protocol.StatusInTrans != 0
	case r.Reply == protocol.ReplyString:
		inTx = why&WhyTransaction != 0
	default:
		s.autocommit = reply.Status&protocol.StatusAutocommit != 0
	}

	var add Why
	if inTx {
		add |= WhyTransaction
	}
	if reply.Err != nil || reply.Warnings > 0 {
		add |= WhyDiagnostics
	}
	add |= why & r.Uses & WhyDiagnostics // looking at it doesn't end it
	if r.Uses&whyShort != 0 {
		add |= why & WhyInsertID
	}
	if struck {
		add &^= whyShort
	}
	if reply.Err == nil {
		add |= r.Holds
		if reply.Status&protocol.StatusCursorExists != 0 {
			add |= WhyCursor
		}
		add |= s.learnInsertID(c, r, reply)
		if (h == nil || !h.spoilt) && leaves(r, reply) {
			add |= WhyUnknown | WhyUserVariable
		}
	} else {
		add |= r.Holds & whyPartly
	}
	if !autocommit && s.autocommit && s.tx.open && s.tx.shard == "" {
		s.tx = transaction{} // autocommit came back on, which commits
	}
	drop := Why(0)
	if reply.Err == nil {
		drop = r.Frees
	}
	if why&WhyTransaction != 0 && !inTx {
		drop |= WhyTransaction
	}
	if why&whyShort&^add != 0 {
		drop |= whyShort &^ add
	}
	switch {
	case h == nil && add == 0:
		switch {
		case s.nextUsed == c:
			s.nextUsed = nil
			c.Discard("transaction characteristics")
		case struck:
			c.Discard("killed")
		default:
			c.Release()
		}
		return
	case add != 0:
		s.keep(c, r.Shard, add)
		if s.nextUsed == c {
			s.nextUsed = nil
			if h := s.holdOf(c); !inTx {
				h.spoilt = true // a statement that failed may not have used the characteristics up
			}
		}
	}
	if inTx && s.tx.shard == "" {
		s.tx.shard = c.Shard()
		s.publish()
	}
	if drop != 0 {
		if drop&WhyTransaction != 0 {
			s.tx = transaction{}
		}
		s.letOf(c, drop)
	}
}

// leaves says whether a server reports a change of the session's state for which nothing in the statement accounts: a
// user variable that a trigger or a stored function has set, most often.
func leaves(r *Request, reply *protocol.Reply) bool {
	changed := false
	for i := range reply.Changes {
		switch ch := &reply.Changes[i]; ch.Kind {
		case protocol.ChangeState:
			changed = true
		case protocol.ChangeSchema:
			return false
		case protocol.ChangeSysVar:
			if !untold[strings.ToLower(ch.Name)] {
				return false
			}
		default:
		}
	}
	return changed && len(r.Sets) == 0 && len(r.Assigns) == 0 && r.Names == "" && !r.AsksCharset && r.Schema == "" &&
		r.Holds&^WhyUnknown&whySpoils == 0
}

// letOf takes reasons away from one connection.
func (s *Session) letOf(c *backend.Conn, why Why) {
	for i := range s.holds {
		if h := &s.holds[i]; h.conn == c {
			h.why &^= why
			break
		}
	}
	s.let(0)
}

// learnInsertID takes over the insert id of a reply. A server reports the id of an insert also when the statement
// gave it, which doesn't change LAST_INSERT_ID(): where that can't be told apart, the connection is kept until the
// next statement, which may ask.
func (s *Session) learnInsertID(c *backend.Conn, r *Request, reply *protocol.Reply) Why {
	switch {
	case r.Holds&WhyUnknown != 0: // its reply doesn't tell
		s.givenID = 0
		return WhyInsertID
	case r.SetsLastInsertID && reply.ResultSets > 0:
		if id, err := askNumber(c, "SELECT LAST_INSERT_ID()"); err == nil {
			s.lastInsertID = id
		}
	case reply.InsertID == 0:
	case r.Given != nil && r.Given(reply.InsertID):
		s.givenID = reply.InsertID
		return WhyInsertID
	default:
		s.lastInsertID = reply.InsertID
	}
	return 0
}

// AskInsertID finds out what LAST_INSERT_ID() is when the last insert left it open. It is called before a statement
// that reads it.
func (s *Session) AskInsertID() {
	h := s.holdWith(WhyInsertID)
	if h == nil {
		return
	}
	id, err := askNumber(h.conn, "SELECT LAST_INSERT_ID()")
	switch {
	case err != nil:
		s.broke(h.conn, err)
	case s.givenID == 0 || id == s.givenID:
		s.lastInsertID = id
	}
	if h := s.holdWith(WhyInsertID); h != nil {
		h.why &^= WhyInsertID // the next let gives the connection back
	}
}
