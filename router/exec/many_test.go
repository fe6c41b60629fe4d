package exec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec"
	"shardway/router/exec/merge"
	"shardway/router/plan"
	"shardway/shardmap"
	"shardway/test/fakemysql"
)

// shards are fake servers, a session over them and its client.
type shards struct {
	*testing.T
	servers []*fakemysql.Server
	cluster *backend.Cluster
	session *exec.Session
	conn    *protocol.Conn // the session's side
	client  *protocol.Conn
}

// onShards starts a server for each handler.
func onShards(t *testing.T, handlers ...fakemysql.Handler) *shards {
	t.Helper()
	s := &shards{T: t}
	text := "version: 1\nshards:\n"
	for i, h := range handlers {
		f := fakemysql.Serve(t, h)
		s.servers = append(s.servers, f)
		text += fmt.Sprintf("  s%d: {primary: %q}\n", i, f.Addr)
	}
	m, err := shardmap.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.cluster = backend.New(backend.Options{User: "shardway", TLS: protocol.TLSDisabled, WaitTimeout: 3 * time.Second, DialTimeout: 3 * time.Second})
	t.Cleanup(s.cluster.Close)
	s.cluster.Apply(m)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.client, s.conn = protocol.NewConn(a), protocol.NewConn(b)
	t.Cleanup(func() {
		s.client.Close()
		s.conn.Close()
	})
	s.session = exec.New(s.cluster).NewSession(s.conn, netip.Addr{}, &protocol.Client{})
	t.Cleanup(s.session.Close)
	return s
}

// request is a statement for all shards.
func (s *shards) request(p *plan.Merge) *exec.ManyRequest {
	r := &exec.ManyRequest{Merge: p}
	for i := range s.servers {
		r.Parts = append(r.Parts, exec.Request{
			Command: protocol.ComQuery, Payload: []byte("part"), Reply: protocol.ReplyQuery, Shard: fmt.Sprint("s", i), Role: exec.Primary, Read: p != nil,
		})
	}
	return r
}

// got is what the client got.
type got struct {
	rows []string
	ok   protocol.OK
	err  error
}

// run runs a statement as a session of the router does, while the client reads the answer.
func (s *shards) run(r *exec.ManyRequest) (out exec.Outcome, client got, err error) {
	s.Helper()
	s.begin()
	var reading sync.WaitGroup
	reading.Go(func() { client = s.read() })
	out, err = s.session.RunMany(s.Context(), r)
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		_ = s.conn.WriteError(e)
	}
	_ = s.conn.Flush()
	if _, ok := errors.AsType[*merge.UnmergeableError](err); ok {
		s.client.Interrupt()
	}
	reading.Wait()
	s.idle()
	return out, client, err
}

// begin sends the session a command.
func (s *shards) begin() {
	s.Helper()
	if err := s.client.WriteCommand(protocol.ComQuery, []byte("x")); err != nil {
		s.Fatal(err)
	}
	if err := s.client.Flush(); err != nil {
		s.Fatal(err)
	}
	if _, _, err := s.conn.ReadCommand(); err != nil {
		s.Fatal(err)
	}
}

func (s *shards) read() (g got) {
	var in protocol.Incoming
	if g.err = in.Begin(s.client); g.err != nil {
		return g
	}
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			g.ok = in.Reply.OK
			return g
		}
		if err != nil {
			g.err = err
			return g
		}
		g.rows = append(g.rows, string(row[1:]))
	}
}

// idle checks that no connection is left with the session.
func (s *shards) idle() {
	s.Helper()
	for _, p := range s.cluster.Pools() {
		if p.Busy != 0 {
			s.Errorf("%d connections to %s are in use after the statement", p.Busy, p.Addr)
		}
	}
}

func (s *shards) killed(i int) bool {
	return slices.ContainsFunc(s.servers[i].Queries(), func(q string) bool { return strings.HasPrefix(q, "KILL QUERY") })
}

// table answers the part with rows of one column, and all else with OK.
func table(values ...any) fakemysql.Handler {
	return func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		if cmd == protocol.ComQuery && string(payload) == "part" {
			s.Rows(rowsOf(values...))
		}
	}
}

func rowsOf(values ...any) *protocol.Rows {
	r := &protocol.Rows{Columns: []protocol.Column{{Name: "n", Type: protocol.TypeLongLong}}}
	for _, v := range values {
		r.Rows = append(r.Rows, []any{v})
	}
	return r
}

var byFirst = []plan.Key{{Column: 0, Weight: plan.NoColumn, Collation: plan.NoColumn}}

// endless answers the part with rows until its statement is killed or the client has left, and counts them.
type endless struct {
	kill chan struct{}
	once sync.Once
	mu   sync.Mutex
	sent int
	left bool
}

func newEndless() *endless { return &endless{kill: make(chan struct{})} }

func (e *endless) serve(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
	switch {
	case cmd != protocol.ComQuery:
	case bytes.HasPrefix(payload, []byte("KILL QUERY")):
		e.once.Do(func() { close(e.kill) })
	case string(payload) == "part":
		def := (&protocol.Column{Name: "n", Type: protocol.TypeLongLong}).Definition(nil)
		_ = s.WriteColumns([][]byte{def}, protocol.StatusAutocommit)
		row := append([]byte{19}, "5000000000000000000"...)
		for {
			select {
			case <-e.kill:
				s.Error(1317, "70100", "Query execution was interrupted")
				return
			default:
			}
			if s.WriteRow(row) != nil {
				e.mu.Lock()
				e.left = true
				e.mu.Unlock()
				return
			}
			e.mu.Lock()
			e.sent++
			e.mu.Unlock()
		}
	}
}

func (e *endless) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sent
}

func TestManyRows(t *testing.T) {
	s := onShards(t, table(int64(1), int64(4), int64(5)), table(int64(2), int64(4)), table())
	for _, p := range []*plan.Merge{{Order: byFirst}, {}} {
		out, client, err := s.run(s.request(p))
		if len(p.Order) == 0 {
			slices.Sort(client.rows)
		}
		if err != nil || client.err != nil || strings.Join(client.rows, " ") != "1 2 4 4 5" || out.Reply.Rows != 5 || out.Reply.ResultSets != 1 {
			t.Errorf("%s: %v, %v, %+v, %+v", p, err, client.err, client.rows, out.Reply)
		}
		if client.ok.Status != protocol.StatusAutocommit {
			t.Errorf("status %x", client.ok.Status)
		}
	}
	for _, f := range s.servers {
		if n := f.Connections(); n > 3 { // its prober's and one to work with, or one more where both runs dialed
			t.Errorf("%d connections for two statements", n)
		}
	}
}

func TestManyWarnings(t *testing.T) {
	warns := func(n int) fakemysql.Handler {
		return func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
			switch string(payload) {
			case "part":
				def := (&protocol.Column{Name: "n", Type: protocol.TypeLongLong}).Definition(nil)
				_ = s.WriteColumns([][]byte{def}, protocol.StatusAutocommit)
				s.Raw([]byte{1, '7'})
				_ = s.WriteEOF(protocol.StatusAutocommit, uint16(n))
			case "SHOW WARNINGS":
				var rows [][]any
				for i := range n {
					rows = append(rows, []any{"Warning", "1365", fmt.Sprint("warning ", i, " of ", n)})
				}
				s.Table([]string{"Level", "Code", "Message"}, rows...)
			}
		}
	}
	s := onShards(t, warns(2), warns(0), warns(3))
	out, client, err := s.run(s.request(&plan.Merge{Order: byFirst}))
	if err != nil || client.ok.Warnings != 5 || out.Reply.Warnings != 5 || out.Warnings == nil || len(out.Warnings.Rows) != 5 {
		t.Fatalf("%v, %+v, %+v", err, client.ok, out)
	}
	if s.session.HasDiagnostics() {
		t.Error("a connection is kept for its warnings")
	}
}

func TestManyError(t *testing.T) {
	for _, p := range []*plan.Merge{{Order: byFirst}, {}} {
		s := onShards(t, newEndless().serve, func(s *fakemysql.Session, _ protocol.Command, payload []byte) {
			if string(payload) == "part" {
				s.Error(1054, "42S22", "Unknown column 'x'")
			}
		})
		out, client, err := s.run(s.request(p))
		e, ok := errors.AsType[*protocol.Error](client.err)
		if err != nil || !ok || e.Code != 1054 || e.State != "42S22" || e.Message != "Unknown column 'x' (shard s1)" || out.Reply.Err == nil {
			t.Fatalf("%s: %v; the client got %v", p, err, client.err)
		}
		if out.Warnings == nil || *out.Warnings.Rows[0][2] != e.Message {
			t.Errorf("SHOW WARNINGS would say %+v", out.Warnings)
		}
		if !s.killed(0) {
			t.Error("the other shard's statement goes on")
		}
	}
}

func TestManyLimit(t *testing.T) {
	flood := newEndless()
	s := onShards(t, table(int64(1), int64(2)), flood.serve)
	_, client, err := s.run(s.request(&plan.Merge{Order: byFirst, Limit: plan.Bound{Set: true, N: 4}}))
	if err != nil || len(client.rows) != 4 || client.err != nil || !s.killed(1) {
		t.Errorf("%v, %v, %v, killed %t", err, client.rows, client.err, s.killed(1))
	}
}

func TestManyLost(t *testing.T) {
	breaks := 1
	var mu sync.Mutex
	breakTimes := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		breaks = n
	}
	s := onShards(t, table(int64(1)), func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		if string(payload) == "part" && breaks > 0 {
			breaks--
			s.Close()
			return
		}
		table(int64(2))(s, cmd, payload)
	})
	_, client, err := s.run(s.request(&plan.Merge{Order: byFirst}))
	if err != nil || strings.Join(client.rows, " ") != "1 2" {
		t.Fatalf("it wasn't tried again: %v, %+v", err, client)
	}
	breakTimes(2)
	_, _, err = s.run(s.request(&plan.Merge{Order: byFirst}))
	if e, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(e.Message, "shard s1") {
		t.Errorf("%v", err)
	}
	breakTimes(2)
	r := s.request(nil)
	r.Parts[0].Payload = []byte("answered OK")
	_, _, err = s.run(r)
	if e, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(e.Message, "isn't known") {
		t.Errorf("a write whose server is gone: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if breaks != 1 {
		t.Error("a write was tried again")
	}
}

// TestManyClientStops: a client that doesn't read stops the shards, and one that leaves ends their statements.
func TestManyClientStops(t *testing.T) {
	floods := []*endless{newEndless(), newEndless()}
	s := onShards(t, floods[0].serve, floods[1].serve)
	s.begin()
	done := make(chan error)
	go func() {
		_, err := s.session.RunMany(context.Background(), s.request(&plan.Merge{Order: byFirst}))
		done <- err
	}()
	// All buffers on the way are full when no more rows come.
	last, same := -1, 0
	for deadline := time.Now().Add(20 * time.Second); same < 20 && time.Now().Before(deadline); {
		n := floods[0].count() + floods[1].count()
		if n == last && n > 0 {
			same++
		} else {
			last, same = n, 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	if same < 20 {
		t.Error("the shards go on though nobody reads")
	}
	s.client.Close()
	s.conn.Interrupt()
	err := <-done
	if side, ok := errors.AsType[*protocol.SideError](err); !ok || side.Side != protocol.SideClient {
		t.Errorf("%v", err)
	}
	s.idle()
}

func TestManyStops(t *testing.T) {
	for _, how := range []string{"timeout", "kill", "cut"} {
		t.Run(how, func(t *testing.T) {
			floods := []*endless{newEndless(), newEndless()}
			s := onShards(t, floods[0].serve, floods[1].serve)
			r := s.request(&plan.Merge{Order: byFirst})
			want := uint16(1317)
			var killing sync.WaitGroup
			if how == "timeout" {
				r.Parts[0].Timeout = 50 * time.Millisecond
				want = 3024
			} else {
				killing.Go(func() {
					for floods[0].count() == 0 || floods[1].count() == 0 {
						time.Sleep(time.Millisecond)
					}
					if how == "cut" {
						s.session.Cut(context.Background())
					} else if err := s.session.Kill(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			_, client, err := s.run(r)
			killing.Wait()
			if e, ok := errors.AsType[*protocol.Error](client.err); err != nil || !ok || e.Code != want {
				t.Errorf("%v; the client got %v", err, client.err)
			}
			if !s.killed(0) || !s.killed(1) {
				t.Error("a shard's statement goes on")
			}
		})
	}
}

func TestManyWrites(t *testing.T) {
	wrote := func(ok protocol.OK) fakemysql.Handler {
		return func(s *fakemysql.Session, _ protocol.Command, payload []byte) {
			if string(payload) == "part" {
				s.OK(ok)
			}
		}
	}
	s := onShards(t,
		wrote(protocol.OK{AffectedRows: 3, Info: "Rows matched: 5  Changed: 3  Warnings: 0"}),
		wrote(protocol.OK{AffectedRows: 4, InsertID: 9, Info: "Rows matched: 12  Changed: 4  Warnings: 0"}))
	r := s.request(nil)
	r.OneByOne = true
	out, client, err := s.run(r)
	if err != nil || client.ok.AffectedRows != 7 || client.ok.InsertID != 9 || client.ok.Info != "Rows matched: 17  Changed: 7  Warnings: 0" || out.Reply.Records != 17 {
		t.Errorf("%v, %+v, %+v", err, client.ok, out.Reply)
	}
	s.begin()
	r.Silent = true
	before := s.conn.Mark()
	if out, err = s.session.RunMany(t.Context(), r); err != nil || out.Reply.AffectedRows != 7 || s.conn.Mark() != before {
		t.Errorf("%v, %+v", err, out.Reply)
	}
}

func TestManyCannotMerge(t *testing.T) {
	text := func(s *fakemysql.Session, _ protocol.Command, payload []byte) {
		if string(payload) == "part" {
			s.Table([]string{"x"}, []any{"a"})
		}
	}
	s := onShards(t, text, text)
	_, client, err := s.run(s.request(&plan.Merge{Order: byFirst}))
	if _, ok := errors.AsType[*merge.UnmergeableError](err); !ok || len(client.rows) > 0 {
		t.Errorf("%v, %+v", err, client)
	}
	if _, ok := errors.AsType[*protocol.SideError](client.err); !ok {
		t.Errorf("the client got %v before another way was tried", client.err)
	}
}

func TestManyDrift(t *testing.T) {
	s := onShards(t, table(int64(1)), func(s *fakemysql.Session, _ protocol.Command, payload []byte) {
		if string(payload) == "part" {
			s.Table([]string{"n"}, []any{"a"})
		}
	})
	_, client, err := s.run(s.request(&plan.Merge{}))
	if e, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(e.Message, "make them alike") || !errors.Is(client.err, e) {
		t.Errorf("%v; the client got %v", err, client.err)
	}
}
