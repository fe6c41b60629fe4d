package router

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shardway/protocol"
	"shardway/router/claims"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/plan"
)

// activity is what a session is doing.
type activity int32

const (
	idle    activity = iota // waits for a command; successor: running
	running                 // serves a command; successor: idle
)

// session is one client that is logged in. It belongs to its goroutine, except for wake, cut and the atomics.
type session struct {
	srv     *Server
	conn    *protocol.Conn
	id      uint32
	user    *User
	entered string // the name under which the registry counts the user
	login   *protocol.Login
	client  *protocol.Client
	addr    string
	started time.Time

	x     *exec.Session
	claim *claims.Claim
	facts plan.Facts
	// mode and charset follow from the session's variables at the state of seen.
	mode parse.Mode
	seen exec.Handle

	prepared map[uint32]*statement
	nextStmt uint32
	several  bool // a text may hold several statements

	interactive bool // interactive_timeout is its wait_timeout

	affected int64  // what ROW_COUNT() is
	rows     uint64 // what FOUND_ROWS() is
	kept     kept
	told     told

	event  Event
	text   text          // of the COM_QUERY that runs
	digest *parse.Digest // of its text

	info  sync.Mutex // guards shown
	shown []byte     // the text that runs, nil when none does

	clock   time.Time // when a command came or a statement ended, whichever was later
	doing   atomic.Int32
	since   atomic.Int64 // unix nanoseconds: when doing changed
	queries atomic.Uint64
	schema  atomic.Pointer[string]
	attrs   atomic.Pointer[map[string]string]
	killed  atomic.Bool
	cutting atomic.Bool                             // a cut is under way
	endWait atomic.Pointer[context.CancelCauseFunc] // of a statement that waits for slots
	limit   atomic.Int64                            // nanoseconds that the client may be idle
	expired atomic.Bool                             // it was idle for longer
	inTx    atomic.Int64                            // unix nanoseconds: when its transaction was first seen open; 0 when none is
}

func newSession(s *Server, o *Options, c *protocol.Conn, id uint32, user *User, client *protocol.Client, login *protocol.Login) *session {
	addr := clientAddr(c)
	sess := &session{
		srv: s, conn: c, id: id, user: user, login: login, client: client, addr: c.RemoteAddr().String(), started: time.Now(),
		x: o.Executor.NewSession(c, addr, client), claim: s.claims.Claim(),
	}
	sess.clock = sess.started
	sess.since.Store(sess.started.UnixNano())
	sess.affected = -1
	sess.interactive = client.Capabilities.Has(protocol.CapInteractive)
	sess.several = client.Capabilities.Has(protocol.CapMultiStatements)
	sess.schema.Store(&client.Database)
	sess.attrs.Store(&client.Attrs)
	sess.limit.Store(int64(sess.idleLimit()))
	return sess
}

// mayUse says whether a user may use a schema.
func mayUse(u *User, schema string) *protocol.Error {
	if schema == "" || len(u.Databases) == 0 || strings.EqualFold(schema, "information_schema") {
		return nil
	}
	for _, db := range u.Databases {
		if strings.EqualFold(db, schema) {
			return nil
		}
	}
	return protocol.Errorf(1044, "42000", "Access denied for user '%s' to database '%s'", u.Name, schema)
}

// mayBegin says whether a client's character set can be one: texts in the wide ones aren't SQL to a server.
func mayBegin(o *Options, collation uint16) *protocol.Error {
	switch set := o.Executor.Cluster().Learned().Collations[collation].Charset; set {
	case "ucs2", "utf16", "utf16le", "utf32":
		return protocol.Errorf(1231, "42000", "Variable 'character_set_client' can't be set to the value of '%s'", set)
	default:
		return nil
	}
}

// checkSchema asks a server whether the schema of the login exists. A server that is away is no reason to refuse.
func (s *session) checkSchema(ctx context.Context, schema string) *protocol.Error {
	m := s.srv.options.Load().Maps.Current()
	if m.Database(schema) != nil {
		return nil
	}
	err := s.x.CheckSchema(ctx, m.DefaultShard(schema).ID, schema)
	var e *protocol.Error
	if errors.As(err, &e) && (e.Code == 1049 || e.Code == 1044) {
		return e
	}
	return nil
}

// serve runs the client's commands until it leaves.
func (s *session) serve(ctx context.Context) {
	s.claim.Enter()
	defer s.claim.Leave()
	defer s.x.Close()
	for {
		s.become(idle)
		s.noteTransaction()
		if s.x.Keeps() && !s.shed() {
			return
		}
		// This comes after shed, which takes away the deadline that cut has set.
		if s.killed.Load() || s.srv.draining.Load() && !s.x.InTransaction() && !s.x.Holding() {
			_ = s.conn.Flush()
			return
		}
		cmd, payload, err := s.conn.ReadCommand()
		if err != nil && !s.readAgain(err) {
			s.sayExpired()
			return
		}
		s.clock = time.Now()
		s.become(running)
		if err != nil {
			// A packet that can't be read: the error goes to the client and the session goes on.
			var e *protocol.Error
			errors.As(err, &e)
			err = s.conn.WriteError(e)
		} else {
			if cmd == protocol.ComQuit {
				return
			}
			err = s.command(ctx, cmd, payload)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, errLeave) {
				s.srv.options.Load().Log.Debug("session broke off", "session", s.id, "client", s.addr, "error", err)
			}
			_ = s.conn.Flush()
			return
		}
		if s.killed.Load() {
			return
		}
	}
}

// patience is how long a connection is kept for what a client may ask about its last statement.
const patience = 50 * time.Millisecond

// shed gives such connections back when the client doesn't ask soon. It says false when the client has left.
func (s *session) shed() bool {
	ready, err := s.conn.Wait(patience)
	if err != nil {
		return errors.Is(err, io.EOF)
	}
	if !ready {
		s.takeBack()
	}
	return true
}

// takeBack gives back the connections that are kept for what the client may ask about its last statement.
func (s *session) takeBack() {
	left := s.x.Shed()
	if left.Warnings != nil {
		s.told = told{warnings: left.Warnings, count: left.Count}
	}
	if left.Found != nil {
		s.rows = *left.Found
	}
}

// errLeave ends a session in good order.
var errLeave = errors.New("the session ends")

// readAgain says whether a session goes on after its connection couldn't be read.
func (s *session) readAgain(err error) bool {
	e, ok := errors.AsType[*protocol.Error](err)
	return ok && (e.Code == 1153 || e.Code == 1835)
}

// become says what the session does from s.clock on.
func (s *session) become(a activity) {
	s.doing.Store(int32(a))
	s.since.Store(s.clock.UnixNano())
}

// wake ends a client that waits for nothing, when the server drains. It is called from another goroutine.
func (s *session) wake() {
	if activity(s.doing.Load()) == idle && len(s.x.Pins()) == 0 {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// cut ends the session, and the statement that it runs. It is called from another goroutine.
func (s *session) cut(ctx context.Context) {
	s.killed.Store(true)
	s.stopWaiting(errLeave)
	s.x.Cut(context.WithoutCancel(ctx))
	s.conn.Interrupt()
}

// command runs one command. An error ends the session.
func (s *session) command(ctx context.Context, cmd protocol.Command, payload []byte) error {
	o := s.srv.options.Load()
	if known := o.Users[s.user.Name]; known != s.user {
		if known == nil {
			_ = s.conn.WriteError(protocol.Errorf(1045, "28000", "shardway: user '%s' is no longer configured", s.user.Name))
			return errLeave
		}
		s.user = known
	}
	if cmd == protocol.ComQuery && s.several {
		if end, rest := s.firstPart(payload); rest < len(payload) {
			return s.parts(ctx, o, payload, end, rest)
		}
	}
	started := s.begun()
	return s.ended(o, started, len(payload), s.dispatch(ctx, o, cmd, payload))
}

// begun begins the event of a statement.
func (s *session) begun() time.Time {
	s.event = Event{User: s.user.Name, Client: s.addr, Outcome: OutcomeOK}
	s.x.Begins()
	s.queries.Add(1)
	s.srv.counters.statements.Add(1)
	return s.clock
}

// notPrepared is the error after which a client sends as text what it couldn't prepare. What it asks about is then
// still the statement before.
const notPrepared = 1295

// ended tells the client of the error that a statement of n bytes ended with, if it is one of the statement's own, and
// observes the event. What it returns ends the session.
func (s *session) ended(o *Options, started time.Time, n int, err error) error {
	s.claim.End(s.x.Bound())
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		if s.event.Outcome == OutcomeOK {
			s.event.Outcome, s.event.Code = OutcomeRefused, e.Code
			if e.Code != notPrepared {
				s.x.ForgetDiagnostics()
				s.told, s.affected = told{refused: e}, -1
			}
		}
		err = s.conn.WriteError(e)
	}
	if *s.schema.Load() != s.x.Schema() {
		schema := s.x.Schema()
		s.schema.Store(&schema)
	}
	if s.x.Handle() != s.seen {
		_ = s.sqlMode() // wait_timeout counts from now on
	}
	s.clock = time.Now()
	if o.Observer != nil && s.event.Kind != "" {
		if err != nil {
			s.event.Outcome = OutcomeLost
		}
		s.event.DB = s.facts.DB
		s.event.Duration = s.clock.Sub(started)
		o.Observer.Observe(&s.event)
	}
	if s.digest != nil {
		s.event.Digest = nil
		putDigest(s.digest, n)
		s.digest = nil
	}
	return err
}

func (s *session) dispatch(ctx context.Context, o *Options, cmd protocol.Command, payload []byte) error {
	switch cmd {
	case protocol.ComQuery:
		return s.query(ctx, o, payload)
	case protocol.ComStmtExecute:
		return s.stmtExecute(ctx, o, payload)
	case protocol.ComStmtPrepare:
		return s.stmtPrepare(ctx, o, payload)
	case protocol.ComStmtClose:
		return s.stmtClose(payload)
	case protocol.ComStmtReset:
		return s.stmtReset(payload)
	case protocol.ComStmtSendLongData:
		return s.stmtLongData(o, payload)
	case protocol.ComStmtFetch:
		return s.stmtFetch(ctx, payload)
	case protocol.ComPing:
		s.event.Kind = "ping"
		return s.ok()
	case protocol.ComInitDB:
		return s.initDB(ctx, o, string(payload))
	case protocol.ComFieldList:
		return s.fieldList(ctx, o, payload)
	case protocol.ComStatistics:
		return s.conn.WritePacket([]byte(s.srv.statistics()))
	case protocol.ComProcessKill:
		s.event.Kind = "kill"
		if len(payload) < 4 {
			return protocol.Errorf(1835, "HY000", "Malformed communication packet.")
		}
		return s.kill(ctx, uint64(binary.LittleEndian.Uint32(payload)), false)
	case protocol.ComProcessInfo:
		return s.processlist(o, false, false)
	case protocol.ComSetOption:
		return s.setOption(payload)
	case protocol.ComResetConnection:
		return s.resetConnection()
	case protocol.ComChangeUser:
		return s.changeUser(ctx, o, payload)
	default:
		return protocol.Errorf(1047, "08S01", "Unknown command")
	}
}

// ok answers with an OK packet of the session's own.
func (s *session) ok() error { return s.conn.WriteOK(protocol.OK{Status: s.x.Status()}) }

func (s *session) initDB(ctx context.Context, o *Options, schema string) error {
	s.event.Kind = "use"
	if e := mayUse(s.user, schema); e != nil {
		return e
	}
	out, err := s.x.Run(ctx, &exec.Request{
		Command: protocol.ComInitDB, Payload: []byte(schema), Reply: protocol.ReplySimple,
		Shard: o.Maps.Current().DefaultShard(schema).ID, Role: exec.Any, Read: true, Schema: schema,
	})
	return s.ran(&out, err)
}

func (s *session) fieldList(ctx context.Context, o *Options, payload []byte) error {
	s.event.Kind = "field_list"
	if e := mayUse(s.user, s.x.Schema()); e != nil {
		return e
	}
	out, err := s.x.Run(ctx, &exec.Request{
		Command: protocol.ComFieldList, Payload: payload, Reply: protocol.ReplyFieldList,
		Shard: o.Maps.Current().DefaultShard(s.x.Schema()).ID, Role: exec.Any, Read: true,
	})
	return s.ran(&out, err)
}

func (s *session) setOption(payload []byte) error {
	if len(payload) != 2 {
		return protocol.Errorf(1835, "HY000", "Malformed communication packet.")
	}
	switch binary.LittleEndian.Uint16(payload) {
	case 0:
		s.several = true
	case 1:
		s.several = false
	default:
		return protocol.Errorf(1047, "08S01", "Unknown command")
	}
	return s.conn.WriteEOF(s.x.Status(), 0)
}

func (s *session) resetConnection() error {
	s.event.Kind = "reset"
	s.x.Reset(s.client, s.x.Schema())
	s.forgetAll()
	return s.ok()
}

// forgetAll drops what the client had besides the state at servers.
func (s *session) forgetAll() {
	clear(s.prepared)
	s.kept = kept{}
	s.affected, s.rows, s.told = -1, 0, told{}
}

func (s *session) changeUser(ctx context.Context, o *Options, payload []byte) error {
	s.event.Kind = "change_user"
	s.login.Auth = &guard{ctx: ctx, s: s.srv, conn: s.conn}
	client, err := s.login.ChangeUser(s.conn, payload)
	if err != nil {
		if _, ok := errors.AsType[*protocol.Error](err); ok {
			return errLeave // the client has the error; a failed change ends the connection, as at a server
		}
		return err
	}
	user := o.Users[client.User]
	var refused *protocol.Error
	if user == nil {
		refused = protocol.AccessDenied(s.conn, client.User, true)
	} else {
		refused = mayUse(user, client.Database)
	}
	if refused == nil {
		refused = mayBegin(o, client.Collation)
	}
	if refused == nil && client.Database != "" {
		refused = s.checkSchema(ctx, client.Database)
	}
	if refused == nil {
		s.srv.leave(s)
		s.user = user
		refused = s.srv.enter(s, o)
	}
	if refused != nil {
		_ = s.conn.WriteError(refused)
		return errLeave
	}
	s.client = client
	s.attrs.Store(&client.Attrs)
	s.x.Reset(client, client.Database)
	s.forgetAll()
	return s.ok()
}

// ran takes over the outcome of a command that a server answered.
func (s *session) ran(out *exec.Outcome, err error) error {
	s.told = told{}
	if out.Warnings != nil {
		s.told.warnings, s.told.count = out.Warnings, max(uint64(out.Reply.Warnings), uint64(len(out.Warnings.Rows)))
	}
	s.event.Server = out.Server
	if err != nil {
		if e, ok := errors.AsType[*protocol.Error](err); ok {
			s.event.Outcome, s.event.Code = OutcomeLost, e.Code
			s.told.refused = e
		}
		s.affected = -1
		return err
	}
	r := &out.Reply
	s.event.Rows, s.event.Affected = r.Rows, r.AffectedRows
	switch {
	case r.Err != nil:
		s.event.Outcome, s.event.Code = OutcomeError, r.Err.Code
		s.affected = -1
	case r.ResultSets > 0:
		s.affected, s.rows = -1, r.Rows
	default:
		s.affected = int64(r.AffectedRows)
	}
	return nil
}
