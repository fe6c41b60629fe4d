package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shardway/protocol"
	"shardway/router/claims"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("the server is shut down")

// Server serves clients.
type Server struct {
	options atomic.Pointer[Options]
	rsa     protocol.RSAKey
	started time.Time

	nextID   atomic.Uint32
	draining atomic.Bool
	counters counters
	claims   *claims.Registry
	failures failures

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[uint32]*session
	byUser    map[string]int
	wg        sync.WaitGroup // sessions

	watching sync.Once
	watchers sync.WaitGroup // the goroutine of watch, and its cuts
	stop     chan struct{}  // closed when it is to end
	stopping sync.Once
}

// counters count what has no statement.
type counters struct {
	accepted, probes, loginFailures, panics, statements atomic.Uint64
}

// New returns a Server that serves as o says.
func New(o Options) *Server {
	s := &Server{
		started:   time.Now(),
		listeners: map[net.Listener]struct{}{},
		sessions:  map[uint32]*session{},
		byUser:    map[string]int{},
		stop:      make(chan struct{}),
	}
	s.SetOptions(o)
	s.claims = claims.New(o.Maps)
	return s
}

// SetOptions replaces the options. Clients that are logged in stay, and see the change with their next statement;
// those whose user is gone end then.
func (s *Server) SetOptions(o Options) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LoginTimeout <= 0 {
		o.LoginTimeout = 10 * time.Second
	}
	if o.HoldTimeout <= 0 {
		o.HoldTimeout = 10 * time.Second
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = time.Minute
	}
	var before *accounts
	if old := s.options.Load(); old != nil {
		before = old.accounts
	}
	o.accounts = newAccounts(o.Users, before)
	s.options.Store(&o)
}

// Serve accepts clients on a listener, which it closes, until ctx ends or Shutdown is called; it then returns
// ErrServerClosed. Sessions go on until Shutdown ends them.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		ln.Close()
		return ErrServerClosed
	}
	s.listeners[ln] = struct{}{}
	s.watching.Do(func() { s.watchers.Go(s.watch) })
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer func() {
		ln.Close()
		s.mu.Lock()
		delete(s.listeners, ln)
		s.mu.Unlock()
	}()
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		if err != nil {
			if s.draining.Load() || ctx.Err() != nil {
				return ErrServerClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors, most often: it passes.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.options.Load().Log.Warn("accept failed", "listen", ln.Addr().String(), "error", err, "again_in", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		s.counters.accepted.Add(1)
		s.mu.Lock()
		if s.draining.Load() {
			s.mu.Unlock()
			nc.Close()
			return ErrServerClosed
		}
		s.wg.Add(1)
		s.mu.Unlock()
		go s.serveClient(context.WithoutCancel(ctx), nc)
	}
}

// Shutdown stops listening, ends idle clients at once and the others after their statement or transaction. When ctx
// ends first, it cuts those that are left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	for ln := range s.listeners {
		ln.Close()
	}
	for _, c := range s.sessions {
		c.wake()
	}
	s.mu.Unlock()
	defer func() {
		s.stopping.Do(func() { close(s.stop) })
		s.watchers.Wait()
	}()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	left := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	var cuts sync.WaitGroup
	for _, c := range left {
		cuts.Go(func() { c.cut(ctx) })
	}
	cuts.Wait()
	select {
	case <-done:
	case <-time.After(cutWait): // some wait for a server that doesn't answer
	}
	return fmt.Errorf("%d clients were cut off: %w", len(left), ctx.Err())
}

// cutWait bounds how long Shutdown waits for the sessions that it has cut.
const cutWait = 5 * time.Second

// Draining says whether Shutdown has been called.
func (s *Server) Draining() bool { return s.draining.Load() }

// Sessions is the number of clients that are logged in.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Moving lists the moves, as DATABASE/ID, whose slots wait in the current map and which a statement or transaction from
// before the pause still uses, and gives a channel that is closed when this is over for one of them. It is nil when there
// are none.
func (s *Server) Moving() (busy []string, left <-chan struct{}) { return s.claims.Moving() }

// Oldest is the version of the oldest map by which a statement was planned that runs, or of whose transaction one ran; it
// is that of the current map where there is none.
func (s *Server) Oldest() uint64 { return s.claims.Oldest() }

// Ready is nil when statements can be served: a map is loaded, every shard has a usable primary, and the server isn't
// draining. Else it says what is missing.
func (s *Server) Ready() error {
	o := s.options.Load()
	switch {
	case s.draining.Load():
		return errors.New("draining")
	case o.Maps.Current() == nil:
		return errors.New("no map is loaded")
	}
	return o.Executor.Cluster().Ready()
}

// serveClient logs one client in and serves it until it leaves.
func (s *Server) serveClient(ctx context.Context, nc net.Conn) {
	defer s.wg.Done()
	o := s.options.Load()
	c := protocol.NewConn(nc)
	defer c.Close()
	_ = c.SetUserTimeout(o.StallTimeout) // fails on a closed socket only, which the login finds out
	defer func() {
		if p := recover(); p != nil {
			s.counters.panics.Add(1)
			o.Log.Error("session panicked", "client", c.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	sess, err := s.logIn(ctx, o, c)
	if err != nil {
		if errors.Is(err, protocol.ErrProbe) {
			s.counters.probes.Add(1)
			return
		}
		s.counters.loginFailures.Add(1)
		o.Log.Info("login failed", "client", c.RemoteAddr().String(), "error", err)
		return
	}
	defer s.leave(sess)
	sess.serve(ctx)
}

// offered are the capabilities that clients can use.
const offered = protocol.CapLongPassword | protocol.CapFoundRows | protocol.CapLongFlag | protocol.CapConnectWithDB |
	protocol.CapProtocol41 | protocol.CapTransactions | protocol.CapSecureConnection | protocol.CapMultiResults |
	protocol.CapPSMultiResults | protocol.CapPluginAuth | protocol.CapConnectAttrs | protocol.CapPluginAuthLenenc |
	protocol.CapSessionTrack | protocol.CapDeprecateEOF | protocol.CapInteractive | protocol.CapIgnoreSpace |
	protocol.CapMultiStatements | protocol.CapLocalFiles

// relayed are the capabilities that clients can use where the servers offer them. Of MariaDB's own, metadata caching isn't
// among them, since what a client has cached would be of one server connection, and bulk execution neither, since its rows
// are on many shards: clients without it execute row by row.
const relayed = protocol.CapQueryAttributes | protocol.CapExtendedMetadata

// logIn does the handshake and makes the client's session.
func (s *Server) logIn(ctx context.Context, o *Options, c *protocol.Conn) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, o.LoginTimeout)
	defer cancel()
	refuse := func(e *protocol.Error) (*session, error) {
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if err := c.WriteError(e); err == nil {
			_ = c.Flush()
		}
		return nil, e
	}
	if o.MaxConnections > 0 && s.Sessions() >= o.MaxConnections {
		return refuse(protocol.Errorf(1040, "08004", "Too many connections"))
	}
	cluster := o.Executor.Cluster()
	learned := cluster.Learned()
	version, collation := o.Version, o.Collation
	if version == "" {
		version = learned.Version
	}
	if collation == 0 {
		collation = learned.Collation
	}
	if version == "" {
		why := "no server has answered yet"
		if err := cluster.Ready(); err != nil {
			why = err.Error()
		}
		return refuse(protocol.Errorf(1105, "HY000", "shardway: %s", why))
	}
	if collation == 0 || collation > 255 {
		collation = 45
	}
	c.SetMaxPacket(maxPacket(o))
	id := s.nextID.Add(1)
	capabilities := offered | learned.Capabilities&relayed
	for _, a := range o.Compression {
		capabilities |= protocol.CompressionCapability(a)
	}
	login := &protocol.Login{
		Version: version, ConnectionID: id, Collation: uint8(collation), Status: protocol.StatusAutocommit,
		Capabilities: capabilities, Auth: &guard{ctx: ctx, s: s, conn: c}, TLS: o.TLS, RequireTLS: o.RequireTLS, RSAKey: &s.rsa, Proxies: o.Proxies,
	}
	client, err := login.Accept(ctx, c)
	if err != nil {
		return nil, err
	}
	user := o.Users[client.User]
	if user == nil {
		return refuse(protocol.AccessDenied(c, client.User, true))
	}
	if e := mayUse(user, client.Database); e != nil {
		return refuse(e)
	}
	if e := mayBegin(o, client.Collation); e != nil {
		return refuse(e)
	}
	sess := newSession(s, o, c, id, user, client, login)
	if e := s.enter(sess, o); e != nil {
		return refuse(e)
	}
	if client.Database != "" {
		if e := sess.checkSchema(ctx, client.Database); e != nil {
			s.leave(sess)
			return refuse(e)
		}
	}
	err = c.WriteOK(protocol.OK{Status: sess.x.Status()})
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		s.leave(sess)
		return nil, err
	}
	return sess, nil
}

// maxPacket bounds a client's packet: what the servers take, and no more than the options say.
func maxPacket(o *Options) int {
	servers := o.Executor.Cluster().Learned().MaxAllowedPacket
	if o.MaxPacket == 0 || servers > 0 && servers < o.MaxPacket {
		return servers
	}
	return o.MaxPacket
}

// enter adds a session to the registry, unless a limit is reached.
func (s *Server) enter(c *session, o *Options) *protocol.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining.Load():
		return protocol.Errorf(1053, "08S01", "Server shutdown in progress")
	case o.MaxConnections > 0 && len(s.sessions) >= o.MaxConnections:
		return protocol.Errorf(1040, "08004", "Too many connections")
	case c.user.MaxConnections > 0 && s.byUser[c.user.Name] >= c.user.MaxConnections:
		return protocol.Errorf(1226, "42000", "User '%s' has exceeded the 'max_user_connections' resource (current value: %d)", c.user.Name, c.user.MaxConnections)
	}
	s.sessions[c.id] = c
	s.byUser[c.user.Name]++
	c.entered = c.user.Name
	return nil
}

func (s *Server) leave(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[c.id]; ok {
		delete(s.sessions, c.id)
		if s.byUser[c.entered]--; s.byUser[c.entered] <= 0 {
			delete(s.byUser, c.entered)
		}
	}
}

// session returns a session and its user's name; nil when there is none.
func (s *Server) session(id uint32) (c *session, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.sessions[id]; c != nil {
		user = c.entered
	}
	return c, user
}

// clientAddr is the address of a client, the zero Addr for one on a unix socket.
func clientAddr(c *protocol.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		addr := a.AddrPort().Addr()
		return addr.Unmap()
	}
	return netip.Addr{}
}
