package fakemysql

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/protocol/secret"
)

// loginTimeout ends a login that a test's client doesn't go on with.
const loginTimeout = 10 * time.Second

// Options change what the server is like. The zero value is a server of
// version 8.4.0 without TLS that lets everybody in.
type Options struct {
	Version      string
	Collation    uint8
	Status       protocol.Status
	Capabilities protocol.Capability // offered
	Users        map[string]string   // passwords; nil lets everybody in
	TLS          *tls.Config
	Plugin       string         // of authentication, named in the greeting
	FullAuth     bool           // see protocol.Login
	Network      string         // "tcp", the default, or "unix"
	Ended        func(*Session) // called when a session is over; nil for nobody
}

// Handler answers one command; payload is valid until it returns. One that
// writes nothing has answered OK. COM_QUIT doesn't come here.
type Handler func(s *Session, cmd protocol.Command, payload []byte)

// Got is a command that came.
type Got struct {
	Session uint32 // Session.ID
	Command protocol.Command
	Payload string
}

// Server is a running fake.
type Server struct {
	// Addr is where it listens, as protocol.DialOptions takes it.
	Addr string

	t       testing.TB
	options Options
	handler Handler
	rsa     protocol.RSAKey

	wg sync.WaitGroup // the listener's goroutine and those of sessions

	mu       sync.Mutex
	listener net.Listener
	stopped  bool // no session begins any more
	sessions map[*Session]struct{}
	got      []Got
	nextID   uint32
	refusal  *protocol.Error
	ended    chan struct{} // closed when the test ends
}

// Serve starts a server whose commands the handler answers.
func Serve(t testing.TB, h Handler) *Server {
	t.Helper()
	return Options{}.Serve(t, h)
}

// Serve starts a server with these options.
func (o Options) Serve(t testing.TB, h Handler) *Server {
	t.Helper()
	if o.Version == "" {
		o.Version = "8.4.0"
	}
	s := &Server{t: t, options: o, handler: h, sessions: make(map[*Session]struct{}), ended: make(chan struct{})}
	if o.Network == "unix" {
		dir, err := os.MkdirTemp("", "fakemysql")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		s.Addr = "unix:" + dir + "/s"
	}
	s.Start()
	t.Cleanup(s.end)
	return s
}

func (s *Server) end() {
	close(s.ended)
	s.Stop()
	s.wg.Wait()
}

// Start listens again after Stop, at the same address.
func (s *Server) Start() {
	s.t.Helper()
	network, addr := "tcp", s.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	} else if s.options.Network == "unix" {
		network, addr = "unix", addr[len("unix:"):]
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if network == "tcp" {
		s.Addr = l.Addr().String()
	}
	s.mu.Lock()
	s.listener, s.stopped = l, false
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(nc)
		}
	})
}

// Stop is a server that has died: it listens no more and its connections are
// cut. It returns when nothing is accepted any more.
func (s *Server) Stop() {
	s.mu.Lock()
	l := s.listener
	s.listener, s.stopped = nil, true
	s.mu.Unlock()
	if l != nil {
		l.Close()
	}
	s.Drop()
}

// Drop cuts all connections.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		c.Conn.Close()
	}
}

// Cut cuts the connection of one session, if it is there.
func (s *Server) Cut(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		if c.ID == id {
			c.Conn.Close()
		}
	}
}

// Refuse makes the server answer new connections with an error in place of a
// greeting, 1040 for one; nil ends that.
func (s *Server) Refuse(e *protocol.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = e
}

// Sessions is how many clients are connected.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Connections is how many clients have ever connected.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.nextID)
}

// Got is what has come so far, in order.
func (s *Server) Got() []Got {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// Queries is the text of the queries among Got.
func (s *Server) Queries() []string {
	var q []string
	for _, g := range s.Got() {
		if g.Command == protocol.ComQuery {
			q = append(q, g.Payload)
		}
	}
	return q
}

// Forget empties Got.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = nil
}

// Pipe connects over net.Pipe and gives the client's end, which isn't logged
// in yet.
func (s *Server) Pipe() net.Conn {
	client, server := net.Pipe()
	s.serve(server)
	return client
}

// Connect logs in to the server. The connection is closed when the test ends.
func (s *Server) Connect() *protocol.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	c, _, err := protocol.Dial(ctx, protocol.DialOptions{Addr: s.Addr, User: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Account makes, with Admit and Proved, a Server the protocol.Authenticator of
// its own logins.
func (s *Server) Account(user string) *secret.Account {
	p, ok := s.options.Users[user]
	if !ok {
		return nil
	}
	return &secret.Account{Secrets: []*secret.Secret{secret.Password(p)}}
}

// Admit lets everybody try.
func (*Server) Admit(string) error { return nil }

// Proved has nothing to remember.
func (*Server) Proved(string, bool) {}

// serve runs one connection in its own goroutine.
func (s *Server) serve(nc net.Conn) {
	c := &Session{Conn: protocol.NewConn(nc), server: s, Values: make(map[string]string)}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		nc.Close()
		return
	}
	s.nextID++
	c.ID = s.nextID
	s.sessions[c] = struct{}{}
	refusal := s.refusal
	s.mu.Unlock()
	s.wg.Go(func() {
		defer func() {
			c.Conn.Close()
			s.mu.Lock()
			delete(s.sessions, c)
			s.mu.Unlock()
			if ended := s.options.Ended; ended != nil {
				ended(c)
			}
		}()
		if refusal != nil {
			c.Error(refusal.Code, refusal.State, refusal.Message)
			return
		}
		if c.login() {
			c.run()
		}
	})
}

// Session is one client's connection. Its methods fail silently when the
// client is gone: that is for the test's client to notice.
type Session struct {
	*protocol.Conn

	ID     uint32
	Client *protocol.Client
	Values map[string]string // for the handler's own use

	server   *Server
	answered bool
}

func (c *Session) login() bool {
	o := &c.server.options
	l := &protocol.Login{
		Version: o.Version, ConnectionID: c.ID, Collation: o.Collation, Status: o.Status,
		Capabilities: o.Capabilities, Auth: c.server, Trust: o.Users == nil,
		DefaultPlugin: o.Plugin, FullAuth: o.FullAuth, RSAKey: &c.server.rsa,
	}
	if o.TLS != nil {
		l.TLS = func() *tls.Config { return o.TLS }
	}
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	client, err := l.Accept(ctx, c.Conn)
	if err != nil {
		return false
	}
	c.Client = client
	return c.WriteOK(protocol.OK{Status: protocol.StatusAutocommit}) == nil && c.Flush() == nil
}

func (c *Session) run() {
	for {
		cmd, payload, err := c.ReadCommand()
		if e, ok := errors.AsType[*protocol.Error](err); ok {
			c.Error(e.Code, e.State, e.Message)
			continue
		}
		if err != nil || cmd == protocol.ComQuit {
			return
		}
		s := c.server
		s.mu.Lock()
		s.got = append(s.got, Got{Session: c.ID, Command: cmd, Payload: string(payload)})
		s.mu.Unlock()
		c.answered = false
		s.handler(c, cmd, payload)
		if !c.answered && !Silent(cmd) {
			c.OK(protocol.OK{Status: protocol.StatusAutocommit})
		}
		if c.Flush() != nil {
			return
		}
	}
}

// Silent says that a command has no answer.
func Silent(cmd protocol.Command) bool {
	return cmd == protocol.ComStmtClose || cmd == protocol.ComStmtSendLongData || cmd == protocol.ComQuit
}

// OK answers with an OK packet; a status of 0 becomes autocommit.
func (c *Session) OK(ok protocol.OK) {
	c.answered = true
	if ok.Status == 0 {
		ok.Status = protocol.StatusAutocommit
	}
	_ = c.WriteOK(ok)
}

// Error answers with an ERR packet, and sends it.
func (c *Session) Error(code uint16, state, message string) {
	c.answered = true
	if c.WriteError(protocol.Errorf(code, state, "%s", message)) == nil {
		_ = c.Flush()
	}
}

// Rows answers with a result in text.
func (c *Session) Rows(r *protocol.Rows) { c.Result(r, false, protocol.StatusAutocommit) }

// Table answers with a result of strings: first the columns' names, and then
// row by row.
func (c *Session) Table(columns []string, rows ...[]any) { c.Rows(Table(columns, rows...)) }

// Result answers with a result in text or binary.
func (c *Session) Result(r *protocol.Rows, binary bool, status protocol.Status) {
	c.answered = true
	_ = c.WriteRows(r, binary, status)
}

// Prepared answers STMT_PREPARE with a statement of so many parameters and
// with columns of these names.
func (c *Session) Prepared(id uint32, params int, columns ...string) {
	c.answered = true
	p := &protocol.Prepared{ID: id, Params: params, Columns: len(columns)}
	for range params {
		p.ParamDefs = append(p.ParamDefs, (&protocol.Column{Name: "?", Type: protocol.TypeVarString}).Definition(nil))
	}
	for _, name := range columns {
		p.ColumnDefs = append(p.ColumnDefs, (&protocol.Column{Name: name, Type: protocol.TypeVarString}).Definition(nil))
	}
	_ = c.WritePrepared(id, p)
}

// Raw answers with packets as they are.
func (c *Session) Raw(packets ...[]byte) {
	c.answered = true
	for _, p := range packets {
		_ = c.WritePacket(p)
	}
}

// Close cuts the connection; what is buffered is sent before. Like all that
// writes, it is for the handler: others call Server.Cut.
func (c *Session) Close() {
	c.answered = true
	_ = c.Flush()
	_ = c.Conn.Close()
}

// Wait blocks until release is closed or the test ends.
func (c *Session) Wait(release <-chan struct{}) {
	select {
	case <-release:
	case <-c.server.ended:
	}
}

// Table makes a result of text columns.
func Table(columns []string, rows ...[]any) *protocol.Rows {
	r := &protocol.Rows{Rows: rows}
	for _, name := range columns {
		r.Columns = append(r.Columns, protocol.Column{Name: name, Type: protocol.TypeVarString})
	}
	return r
}
