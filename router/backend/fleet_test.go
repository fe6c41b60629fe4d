package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router/backend/pulse"
	"shardway/shardmap"
)

const testCaps = protocol.CapProtocol41 | protocol.CapDeprecateEOF | protocol.CapSessionTrack | protocol.CapTransactions

// fleet is a set of servers, reached by Options.Dial.
type fleet struct {
	t       testing.TB
	mu      sync.Mutex
	servers map[string]*fakeServer
	running sync.WaitGroup
	tcp     bool // real sockets and not net.Pipe
}

func newFleet(t testing.TB) *fleet {
	f := &fleet{t: t, servers: map[string]*fakeServer{}}
	t.Cleanup(func() {
		f.mu.Lock()
		for _, s := range f.servers {
			s.killAll()
		}
		f.mu.Unlock()
		f.running.Wait()
	})
	return f
}

// fakeServer answers what probes and set-up ask.
type fakeServer struct {
	addr string

	mu       sync.Mutex
	refuse   error // what a dial gets
	hang     bool  // dials and queries get no answer
	minimal  bool  // knows no variables at all
	unknown  string
	version  string
	vars     map[string]string
	lag      *protocol.Rows  // what SHOW REPLICA STATUS answers
	lagErr   *protocol.Error // or the error
	fence    string          // what shardway.fence holds; "" for no such table
	beats    uint64          // of shardway.heartbeat; 0: no table
	beatAt   time.Time
	beatErr  *protocol.Error // what CREATE and UPDATE of it get
	limit    int             // max_connections; 0: none
	conns    map[uint32]*protocol.Conn
	nextID   uint32
	heard    []string
	told     []*protocol.ProxyHeader // of each dial
	slow     time.Duration           // before any answer
	dialTime time.Duration

	dials, dialing, mostDialing atomic.Int32
	live, mostLive              atomic.Int32 // connections from the dial's begin to the close
}

// counted is a connection that counts in live until it is closed.
type counted struct {
	net.Conn
	once sync.Once
	live *atomic.Int32
}

func (c *counted) Close() error {
	c.once.Do(func() { c.live.Add(-1) })
	return c.Conn.Close()
}

func (f *fleet) add(addr string) *fakeServer {
	s := &fakeServer{
		addr: addr, version: "8.4.0-fake", conns: map[uint32]*protocol.Conn{},
		vars: map[string]string{
			"read_only": "OFF", "super_read_only": "OFF", "server_uuid": "uuid-" + addr, "max_connections": "500",
			"max_allowed_packet": "67108864", "collation_server": "utf8mb4_0900_ai_ci", "character_set_server": "utf8mb4",
			"lower_case_table_names": "0",
		},
	}
	f.mu.Lock()
	f.servers[addr] = s
	f.mu.Unlock()
	return s
}

func (f *fleet) dial(ctx context.Context, o protocol.DialOptions) (*protocol.Conn, *protocol.Greeting, error) {
	s := f.at(o.Addr)
	if s == nil {
		return nil, nil, fmt.Errorf("dial %s: no such host", o.Addr)
	}
	n := s.live.Add(1)
	for most := s.mostLive.Load(); n > most && !s.mostLive.CompareAndSwap(most, n); most = s.mostLive.Load() {
	}
	c, g, err := f.connect(ctx, s, o)
	if err != nil {
		s.live.Add(-1)
	}
	return c, g, err
}

func (f *fleet) connect(ctx context.Context, s *fakeServer, o protocol.DialOptions) (*protocol.Conn, *protocol.Greeting, error) {
	s.dials.Add(1)
	if n := s.dialing.Add(1); n > s.mostDialing.Load() {
		s.mostDialing.Store(n)
	}
	defer s.dialing.Add(-1)
	s.mu.Lock()
	s.told = append(s.told, o.Proxy)
	refuse, hang, wait := s.refuse, s.hang, s.dialTime
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, nil, context.Cause(ctx)
	}
	if wait > 0 {
		time.Sleep(wait)
	}
	if refuse != nil {
		return nil, nil, refuse
	}
	near, far, err := f.sockets()
	if err != nil {
		return nil, nil, err
	}
	if !f.tcp {
		near = &counted{Conn: near, live: &s.live}
	}
	client, server := protocol.NewConn(near), protocol.NewConn(far)
	client.SetCapabilities(testCaps | o.Capabilities)
	server.SetCapabilities(testCaps)
	s.mu.Lock()
	if s.limit > 0 && len(s.conns) >= s.limit {
		s.mu.Unlock()
		near.Close()
		far.Close()
		return nil, nil, protocol.Errorf(1040, "08004", "Too many connections")
	}
	s.nextID++
	id := s.nextID
	s.conns[id] = server
	s.mu.Unlock()
	f.running.Go(func() { s.serve(id, server) })
	return client, &protocol.Greeting{Version: s.version, ConnectionID: id, Collation: 255}, nil
}

func (f *fleet) sockets() (near, far net.Conn, err error) {
	if !f.tcp {
		near, far = net.Pipe()
		return near, far, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err = l.Accept()
	return near, far, err
}

func (s *fakeServer) serve(id uint32, c *protocol.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, id)
		s.mu.Unlock()
	}()
	for {
		cmd, payload, err := c.ReadCommand()
		if err != nil || cmd == protocol.ComQuit {
			return
		}
		sql := string(payload)
		s.mu.Lock()
		hang, slow := s.hang, s.slow
		s.heard = append(s.heard, sql)
		s.mu.Unlock()
		if slow > 0 {
			time.Sleep(slow)
		}
		if !hang && s.answer(c, sql) != nil {
			return
		}
	}
}

func (s *fakeServer) answer(c *protocol.Conn, sql string) error {
	s.mu.Lock()
	rows, wire := s.reply(sql)
	s.mu.Unlock()
	var err error
	switch {
	case sql == "BEGIN":
		err = c.WriteOK(protocol.OK{Status: protocol.StatusInTrans})
	case wire != nil:
		err = c.WriteError(wire)
	case rows != nil:
		err = c.WriteRows(rows, false, protocol.StatusAutocommit)
	default:
		err = c.WriteOK(protocol.OK{Status: protocol.StatusAutocommit})
	}
	return errors.Join(err, c.Flush())
}

func (s *fakeServer) reply(sql string) (*protocol.Rows, *protocol.Error) {
	switch {
	case strings.HasPrefix(sql, "SET ") && (s.minimal || s.unknown != "" && strings.Contains(sql, s.unknown)):
		return nil, protocol.Errorf(1193, "HY000", "Unknown system variable")
	case strings.HasPrefix(sql, "SET "):
		return nil, nil
	case strings.HasPrefix(sql, "KILL "):
		var id uint32
		_, _ = fmt.Sscanf(strings.TrimPrefix(sql[5:], "QUERY "), "%d", &id)
		if !strings.Contains(sql, "QUERY") && s.conns[id] != nil {
			s.conns[id].Close()
		}
		return nil, nil
	case s.minimal:
		return nil, protocol.Errorf(1064, "42000", "You have an error in your SQL syntax")
	case strings.HasPrefix(sql, "SHOW GLOBAL VARIABLES"):
		var list [][]any
		for name, value := range s.vars {
			list = append(list, []any{name, value})
		}
		return table("Variable_name,Value", list...), nil
	case strings.Contains(sql, "information_schema.COLLATIONS"):
		return table("ID,COLLATION_NAME,CHARACTER_SET_NAME", []any{"255", "utf8mb4_0900_ai_ci", "utf8mb4"}, []any{"8", "latin1_swedish_ci", "latin1"}), nil
	case sql == "SHOW DATABASES":
		return table("Database", []any{"shop"}, []any{"db_" + strings.NewReplacer(":", "_").Replace(s.addr)}), nil
	case strings.HasPrefix(sql, "SELECT @@global.read_only"):
		return s.look(sql)
	case sql == fenceSQL && s.fence != "":
		return table("version", []any{s.fence}), nil
	case strings.Contains(sql, "shardway.heartbeat"), sql == pulse.Schema:
		return nil, s.write(sql)
	case strings.HasPrefix(sql, "SHOW REPLICA STATUS"):
		if s.lagErr != nil {
			return nil, s.lagErr
		}
		if s.lag == nil {
			return table("Seconds_Behind_Source"), nil
		}
		return s.lag, nil
	default:
		return nil, protocol.Errorf(1064, "42000", "the fake server doesn't know: %s", sql)
	}
}

// look answers the prober's SELECT.
func (s *fakeServer) look(sql string) (*protocol.Rows, *protocol.Error) {
	columns, _, beat := strings.Cut(strings.TrimPrefix(sql, "SELECT "), ",(SELECT")
	var names []string
	var row []any
	for name := range strings.SplitSeq(columns, ",") {
		names = append(names, name)
		row = append(row, s.vars[strings.TrimPrefix(name, "@@global.")])
	}
	if beat {
		if s.beats == 0 {
			return nil, protocol.Errorf(1146, "42S02", "Table 'shardway.heartbeat' doesn't exist")
		}
		names = append(names, "beat", "stamp", "now")
		row = append(row, fmt.Sprint(s.beats), fmt.Sprint(s.beatAt.UnixMicro()), fmt.Sprint(time.Now().UnixMicro()))
	}
	return table(strings.Join(names, ","), row), nil
}

// write does what the heartbeat asks for.
func (s *fakeServer) write(sql string) *protocol.Error {
	var n uint64
	switch {
	case s.beatErr != nil:
		return s.beatErr
	case strings.HasPrefix(sql, "CREATE"):
	case strings.HasPrefix(sql, "INSERT IGNORE"):
		s.beats, s.beatAt = max(s.beats, 1), time.Now()
	case strings.HasPrefix(sql, "UPDATE"):
		if _, err := fmt.Sscanf(sql[strings.LastIndex(sql, "beat="):], "beat=%d", &n); err == nil && n == s.beats {
			s.beats, s.beatAt = s.beats+1, time.Now()
		}
	}
	return nil
}

func table(columns string, rows ...[]any) *protocol.Rows {
	r := &protocol.Rows{Rows: rows}
	for name := range strings.SplitSeq(columns, ",") {
		r.Columns = append(r.Columns, protocol.Column{Name: name, Type: protocol.TypeVarString})
	}
	return r
}

func lagOf(seconds any) *protocol.Rows {
	return table("Replica_IO_Running,Replica_SQL_Running,Seconds_Behind_Source", []any{"Yes", "Yes", seconds})
}

func (s *fakeServer) set(f func(s *fakeServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *fakeServer) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// crash refuses dials and breaks every connection.
func (s *fakeServer) crash() {
	s.set(func(s *fakeServer) { s.refuse = errors.New("connection refused") })
	s.killAll()
}

func (s *fakeServer) recover() { s.set(func(s *fakeServer) { s.refuse = nil }) }

func (s *fakeServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *fakeServer) said(sql string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, h := range s.heard {
		if h == sql {
			n++
		}
	}
	return n
}

// oneShard is a map with primary p:1 and replicas r1:1, r2:1, …
func oneShard(t testing.TB, replicas int, extra ...string) *shardmap.Map {
	var list []string
	for i := range replicas {
		more := ""
		if i < len(extra) {
			more = extra[i]
		}
		list = append(list, fmt.Sprintf("{addr: \"r%d:1\"%s}", i+1, more))
	}
	return parseMap(t, "version: 1\nshards:\n  s0: {primary: \"p:1\", replicas: ["+strings.Join(list, ", ")+"]}\n")
}

func parseMap(t testing.TB, text string) *shardmap.Map {
	t.Helper()
	m, err := shardmap.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// cluster makes a Cluster over one shard with its servers, all fine.
func (f *fleet) cluster(replicas int, o Options, extra ...string) *Cluster {
	f.add("p:1")
	for i := range replicas {
		f.add(fmt.Sprintf("r%d:1", i+1))
	}
	o.Dial = f.dial
	c := New(o)
	f.t.Cleanup(c.Close)
	c.Apply(oneShard(f.t, replicas, extra...))
	return c
}

func (f *fleet) at(addr string) *fakeServer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.servers[addr]
}

func mustAcquire(t testing.TB, c *Cluster, w Want) *Conn {
	t.Helper()
	conn, err := c.Acquire(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

var (
	wantPrimary = Want{Shard: "s0", Role: Primary}
	wantReplica = Want{Shard: "s0", Role: Replica}
)

func stateOf(c *Cluster, addr string) ServerStatus {
	for _, s := range c.Servers() {
		if s.Addr == addr {
			return s
		}
	}
	return ServerStatus{}
}

func poolOf(c *Cluster, addr string) PoolStatus {
	for _, p := range c.Pools() {
		if p.Addr == addr {
			return p
		}
	}
	return PoolStatus{}
}
