package router_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router"
	"shardway/router/backend"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/shardmap"
	"shardway/test/fakemysql"
)

// fakeServer is a fake that keeps a transaction flag, reports variables that are set, and runs hooks by text.
type fakeServer struct {
	*fakemysql.Server
	name string

	mu    sync.Mutex
	hooks map[string]func(s *fakemysql.Session)
	seen  []string // texts that weren't Shardway's own
}

var setOne = regexp.MustCompile(`^SET (?:SESSION )?([a-z_]+) ?= ?'?([^',]*)'?$`)

func newFake(t *testing.T, name string) *fakeServer {
	f := &fakeServer{name: name, hooks: map[string]func(*fakemysql.Session){}}
	f.Server = fakemysql.Serve(t, f.handle)
	return f
}

// on runs a hook in place of the answer to a text.
func (f *fakeServer) on(text string, hook func(s *fakemysql.Session)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks[text] = hook
}

func (f *fakeServer) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

func (f *fakeServer) handle(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
	status := protocol.StatusAutocommit
	if s.Values["tx"] != "" {
		status |= protocol.StatusInTrans
	}
	if cmd == protocol.ComStmtPrepare {
		s.Prepared(1, strings.Count(string(payload), "?"), "server")
		return
	}
	if cmd == protocol.ComStmtExecute {
		s.Result(fakemysql.Table([]string{"server"}, []any{f.name}), true, status)
		return
	}
	if cmd != protocol.ComQuery {
		s.OK(protocol.OK{Status: status})
		return
	}
	sql := string(payload)
	f.mu.Lock()
	hook := f.hooks[sql]
	if !strings.Contains(sql, "session_track") && !strings.Contains(sql, "GLOBAL") && !strings.Contains(sql, "information_schema") &&
		sql != "SHOW DATABASES" && sql != "SELECT 1" && !strings.Contains(sql, "@@global") {
		f.seen = append(f.seen, sql)
	}
	f.mu.Unlock()
	if hook != nil {
		hook(s)
		return
	}
	upper := strings.ToUpper(sql)
	switch {
	case strings.HasPrefix(upper, "BEGIN"), strings.HasPrefix(upper, "START TRANSACTION"):
		s.Values["tx"] = "open"
		s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans})
	case strings.HasPrefix(upper, "COMMIT"), strings.HasPrefix(upper, "ROLLBACK"):
		delete(s.Values, "tx")
		s.OK(protocol.OK{Status: protocol.StatusAutocommit})
	case strings.HasPrefix(upper, "SET "):
		ok := protocol.OK{Status: status}
		if m := setOne.FindStringSubmatch(sql); m != nil {
			s.Values["@@"+m[1]] = m[2]
			ok.Changes = []protocol.Change{{Kind: protocol.ChangeSysVar, Name: m[1], Value: m[2]}}
		}
		s.OK(ok)
	case strings.HasPrefix(upper, "SHOW GLOBAL"), strings.Contains(upper, "INFORMATION_SCHEMA"), strings.Contains(upper, "@@GLOBAL"):
		s.Error(1064, "42000", "You have an error in your SQL syntax")
	case strings.HasPrefix(upper, "SELECT @@"):
		s.Result(fakemysql.Table([]string{"v"}, []any{s.Values[sql[len("SELECT "):]]}), false, status)
	case strings.HasPrefix(upper, "SELECT"), strings.HasPrefix(upper, "SHOW"):
		s.Result(fakemysql.Table([]string{"server"}, []any{f.name}), false, status)
	default:
		s.OK(protocol.OK{Status: status, AffectedRows: 1})
	}
}

// proxy is a running Shardway over fakes: shards s0 and s1, each with a primary and two replicas.
type proxy struct {
	*router.Server
	t     *testing.T
	addr  string
	fakes map[string]*fakeServer
	opts  router.Options
}

func newProxy(t *testing.T, change func(*router.Options)) *proxy {
	t.Helper()
	p := &proxy{t: t, fakes: map[string]*fakeServer{}}
	var shards strings.Builder
	for _, id := range []string{"s0", "s1"} {
		for _, role := range []string{"p", "r1", "r2"} {
			p.fakes[id+role] = newFake(t, id+role)
		}
		fmt.Fprintf(&shards, "  %s: {primary: %q, replicas: [{addr: %q}, {addr: %q}]}\n", id,
			p.fakes[id+"p"].Addr, p.fakes[id+"r1"].Addr, p.fakes[id+"r2"].Addr)
	}
	m, err := shardmap.Parse([]byte("version: 1\nshards:\n" + shards.String() +
		"databases:\n  shop:\n    slots: 2\n    owners: {s0: [\"0\"], s1: [\"1\"]}\n    default_shard: s0\n" +
		"    tables:\n      users: {key: id, placement: mod}\n"))
	if err != nil {
		t.Fatal(err)
	}
	cluster := backend.New(backend.Options{User: "shardway", TLS: protocol.TLSDisabled, FallbackToPrimary: true, WaitTimeout: 2 * time.Second})
	t.Cleanup(func() { cluster.Close() })
	cluster.Apply(m)
	p.opts = router.Options{
		Executor: exec.New(cluster), Maps: shardmap.NewLive(m), Statements: parse.NewCache(1000, 1<<20),
		Users: map[string]*router.User{"app": {Name: "app", Password: "app"}},
	}
	if change != nil {
		change(&p.opts)
	}
	p.Server = router.New(p.opts)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ln.Addr().String()
	done := make(chan error, 1)
	go func() { done <- p.Serve(t.Context(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Shutdown(ctx)
		if err := <-done; !errors.Is(err, router.ErrServerClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	eventually(t, "every server is up", func() bool {
		for _, s := range cluster.Servers() {
			if s.State != backend.StateUp {
				return false
			}
		}
		return true
	})
	return p
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after 10 s: %s", what)
		}
	}
}

func (p *proxy) connect() *protocol.Conn {
	p.t.Helper()
	c, err := p.dial("app")
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *proxy) dial(user string) (*protocol.Conn, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := protocol.Dial(ctx, protocol.DialOptions{Network: "tcp", Addr: p.addr, User: user, Password: "app", Database: "shop", TLS: protocol.TLSDisabled})
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	p.t.Cleanup(func() { c.Close() })
	return c, nil
}

func exec1(t *testing.T, c *protocol.Conn, sql string) protocol.Reply {
	t.Helper()
	r, err := c.Exec(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return r
}

// one runs a query whose answer is one cell.
func one(t *testing.T, c *protocol.Conn, sql string) string {
	t.Helper()
	res, err := c.Query(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(res.Rows) != 1 || len(res.Rows[0]) < 1 || res.Rows[0][0] == nil {
		t.Fatalf("%s: got %d rows", sql, len(res.Rows))
	}
	return *res.Rows[0][0]
}

func wantError(t *testing.T, err error, code uint16, parts ...string) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want error %d", err, code)
	}
	if e.Code != code {
		t.Errorf("got %v, want error %d", e, code)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			t.Errorf("%q doesn't say %q", e.Message, part)
		}
	}
}

func count(texts []string, sql string) int {
	n := 0
	for _, t := range texts {
		if t == sql {
			n++
		}
	}
	return n
}

func TestReadsGoToReplicasInTurnAndWritesToThePrimary(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	served := map[string]int{}
	for range 10 {
		served[one(t, c, "SELECT server FROM users WHERE id = 3")]++
	}
	if served["s1r1"] != 5 || served["s1r2"] != 5 {
		t.Errorf("reads of shard s1 were served by %v", served)
	}
	exec1(t, c, "UPDATE users SET name = 'x' WHERE id = 2")
	if got := p.fakes["s0p"].texts(); count(got, "UPDATE users SET name = 'x' WHERE id = 2") != 1 {
		t.Errorf("the primary of s0 saw %q", got)
	}
	_, err := c.Query("SELECT * FROM users WHERE id IN (2, 3)")
	wantError(t, err, 1235, "s0", "s1")
}

func TestAReadWhoseServerDiesIsAnsweredByAnother(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "SELECT server FROM users WHERE id = 3"
	var died atomic.Int32
	for _, name := range []string{"s1r1", "s1r2"} {
		p.fakes[name].on(sql, func(s *fakemysql.Session) {
			died.Add(1)
			s.Close()
		})
	}
	if got := one(t, p.connect(), sql); got != "s1p" {
		t.Errorf("served by %s", got)
	}
	if died.Load() != 2 {
		t.Errorf("%d replicas were tried", died.Load())
	}
}

func TestAWriteIsNeverSentTwice(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "UPDATE users SET name = 'x' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) { s.Close() })
	c := p.connect()
	_, err := c.Exec(sql)
	wantError(t, err, 1105, "s0", "isn't known")
	if n := count(p.fakes["s0p"].texts(), sql); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	if got := one(t, c, "SELECT server FROM users WHERE id = 3"); !strings.HasPrefix(got, "s1r") {
		t.Errorf("afterwards served by %s", got)
	}
}

func TestATransactionIsOpenedAtTheShardOfItsFirstStatement(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	if r := exec1(t, c, "BEGIN"); !r.Status.Has(protocol.StatusInTrans) {
		t.Error("BEGIN is answered without a transaction in its status")
	}
	exec1(t, c, "SAVEPOINT a")
	if got := one(t, c, "SELECT server FROM users WHERE id = 3"); got != "s1p" {
		t.Errorf("a read in the transaction was served by %s", got)
	}
	_, err := c.Exec("UPDATE users SET name = 'x' WHERE id = 2")
	wantError(t, err, 1235, "s0", "s1")
	exec1(t, c, "UPDATE users SET name = 'x' WHERE id = 5")
	if r := exec1(t, c, "COMMIT"); r.Status.Has(protocol.StatusInTrans) {
		t.Error("the transaction is still open after COMMIT")
	}
	want := []string{"BEGIN", "SAVEPOINT a", "SELECT server FROM users WHERE id = 3", "UPDATE users SET name = 'x' WHERE id = 5", "COMMIT"}
	if got := p.fakes["s1p"].texts(); strings.Join(got, ";") != strings.Join(want, ";") {
		t.Errorf("the primary saw %q, want %q", got, want)
	}
	if got := p.fakes["s0p"].texts(); len(got) != 0 {
		t.Errorf("the other shard saw %q", got)
	}
}

func TestALostTransactionAsksForARetryAndALostCommitDoesNot(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "UPDATE users SET name = 'x' WHERE id = 3"
	c := p.connect()
	p.fakes["s1p"].on(sql, func(s *fakemysql.Session) { s.Close() })
	exec1(t, c, "BEGIN")
	one(t, c, "SELECT server FROM users WHERE id = 3")
	_, err := c.Exec(sql)
	wantError(t, err, 1213, "rolled back")
	if r := exec1(t, c, "SET @x = 1"); r.Status.Has(protocol.StatusInTrans) {
		t.Error("the lost transaction is still open")
	}

	p.fakes["s1p"].on(sql, func(s *fakemysql.Session) {
		s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans})
	})
	p.fakes["s1p"].on("COMMIT", func(s *fakemysql.Session) { s.Close() })
	exec1(t, c, "BEGIN")
	exec1(t, c, sql)
	_, err = c.Exec("COMMIT")
	wantError(t, err, 1105, "isn't known")
}

func TestAnErrorThatEndsATransactionEndsItForTheClient(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "UPDATE users SET name = 'x' WHERE id = 3"
	p.fakes["s1p"].on(sql, func(s *fakemysql.Session) {
		delete(s.Values, "tx")
		s.Error(1213, "40001", "Deadlock found when trying to get lock; try restarting transaction")
	})
	c := p.connect()
	exec1(t, c, "BEGIN")
	one(t, c, "SELECT server FROM users WHERE id = 3")
	_, err := c.Exec(sql)
	wantError(t, err, 1213, "Deadlock found")
	if got := one(t, c, "SELECT server FROM users WHERE id = 3"); got == "s1p" {
		t.Error("the read after the deadlock is still in the transaction")
	}
}

func TestVariablesFollowTheClientAndNobodyElse(t *testing.T) {
	p := newProxy(t, nil)
	a, b := p.connect(), p.connect()
	exec1(t, a, "SET time_zone = '+05:00'")
	for range 6 {
		if got := one(t, a, "SELECT @@time_zone"); got != "+05:00" {
			t.Fatalf("the client has time_zone %q", got)
		}
		if got := one(t, b, "SELECT @@time_zone"); got == "+05:00" {
			t.Fatal("another client got the variable")
		}
	}
}

func TestAStatementDoesNotRunUnderAStateThatItsServerRefuses(t *testing.T) {
	p := newProxy(t, nil)
	refuse := func(s *fakemysql.Session) { s.Error(1231, "42000", "Variable 'time_zone' can't be set to the value") }
	for _, name := range []string{"s1p", "s1r1", "s1r2"} {
		p.fakes[name].on("SET SESSION time_zone='+05:00'", refuse)
	}
	c := p.connect()
	exec1(t, c, "SET time_zone = '+05:00'")
	const sql = "SELECT server FROM users WHERE id = 3"
	_, err := c.Query(sql)
	wantError(t, err, 1231, "s1", "state")
	for _, name := range []string{"s1p", "s1r1", "s1r2"} {
		if n := count(p.fakes[name].texts(), sql); n != 0 {
			t.Errorf("%s ran the statement", name)
		}
	}
	if got := one(t, c, "SELECT server FROM users WHERE id = 2"); !strings.HasPrefix(got, "s0r") {
		t.Errorf("the other shard's read was served by %s", got)
	}
}

func TestAnInsertIDThatTheStatementGaveIsNotLastInsertID(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	f := p.fakes["s0p"]
	insert := func(sql string, id uint64, generated string) {
		f.on(sql, func(s *fakemysql.Session) {
			s.Values["generated"] = generated
			s.OK(protocol.OK{Status: protocol.StatusAutocommit, InsertID: id, AffectedRows: 1})
		})
		exec1(t, c, sql)
	}
	var asked atomic.Pointer[string]
	f.on("SELECT LAST_INSERT_ID()", func(s *fakemysql.Session) {
		v := s.Values["generated"]
		if p := asked.Load(); p != nil {
			v = *p
		}
		s.Table([]string{"LAST_INSERT_ID()"}, []any{v})
	})
	set := func(id string) {
		f.on("SET last_insert_id="+id, func(s *fakemysql.Session) {
			asked.Store(&id)
			s.OK(protocol.OK{Status: protocol.StatusAutocommit})
		})
	}
	set("77")
	set("40")
	insert("INSERT INTO notes (note) VALUES ('a')", 77, "77")
	if got := one(t, c, "SELECT LAST_INSERT_ID()"); got != "77" {
		t.Errorf("after a generated id LAST_INSERT_ID() is %s", got)
	}
	asked.Store(nil)
	insert("INSERT INTO notes (id, note) VALUES (40, 'b')", 40, "0")
	if got := one(t, c, "SELECT LAST_INSERT_ID()"); got != "77" {
		t.Errorf("after a given id LAST_INSERT_ID() is %s", got)
	}
}

func TestWarningsAreThereAtOnceAndLater(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	f := p.fakes["s0p"]
	const sql = "UPDATE users SET name = 'long' WHERE id = 2"
	f.on(sql, func(s *fakemysql.Session) { s.OK(protocol.OK{Status: protocol.StatusAutocommit, Warnings: 1}) })
	f.on("SHOW WARNINGS", func(s *fakemysql.Session) {
		s.Table([]string{"Level", "Code", "Message"}, []any{"Warning", "1265", "Data truncated"})
	})
	for _, later := range []bool{false, true} {
		exec1(t, c, sql)
		if later {
			eventually(t, "the connection was given back", func() bool {
				table, err := p.Table("sessions")
				return err == nil && len(table.Rows) == 1 && table.Rows[0][7] == ""
			})
		}
		res, err := c.Query("SHOW WARNINGS")
		if err != nil || len(res.Rows) != 1 || *res.Rows[0][2] != "Data truncated" {
			t.Errorf("later=%v: got %v, %v", later, res, err)
		}
	}
	one(t, c, "SELECT server FROM users WHERE id = 2")
	if res, err := c.Query("SHOW WARNINGS"); err != nil || len(res.Rows) != 0 {
		t.Errorf("after a statement without warnings: got %v, %v", res, err)
	}
}

func TestAnUnknownCommandAndAProbeEndNothing(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	if err := c.WriteCommand(protocol.ComBinlogDump, []byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := c.Forward(nil, protocol.ReplySimple, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, r.Err, 1047)
	one(t, c, "SELECT server FROM users WHERE id = 2")

	probe, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	eventually(t, "the probe is counted", func() bool {
		table, err := p.Table("variables")
		if err != nil {
			return false
		}
		for _, row := range table.Rows {
			if row[0] == "status.probes" {
				return row[1] == "1"
			}
		}
		return false
	})
}

// panics panics on a certain statement.
type panics struct{}

func (panics) Observe(e *router.Event) {
	if e.Kind == "do" {
		panic("as the test asks")
	}
}

func TestAPanicEndsOneSession(t *testing.T) {
	p := newProxy(t, func(o *router.Options) { o.Observer = panics{} })
	a, b := p.connect(), p.connect()
	if _, err := a.Exec("DO 1"); err == nil {
		t.Error("the session that panicked got an answer")
	}
	one(t, b, "SELECT server FROM users WHERE id = 2")
	eventually(t, "the session is gone", func() bool { return p.Sessions() == 1 })
}

func TestLimitsOfConnections(t *testing.T) {
	p := newProxy(t, func(o *router.Options) {
		o.MaxConnections = 3
		o.Users["few"] = &router.User{Name: "few", Password: "app", MaxConnections: 1}
	})
	if _, err := p.dial("few"); err != nil {
		t.Fatal(err)
	}
	_, err := p.dial("few")
	wantError(t, err, 1203)
	p.connect()
	c := p.connect()
	_, err = p.dial("app")
	wantError(t, err, 1040)
	c.Close()
	eventually(t, "a place is free", func() bool { return p.Sessions() == 2 })
	p.connect()
	_, err = p.dial("nobody")
	if err == nil {
		t.Error("a user that isn't configured was let in")
	}
}

func TestShutdownLetsTransactionsEnd(t *testing.T) {
	p := newProxy(t, nil)
	idle, busy := p.connect(), p.connect()
	exec1(t, busy, "BEGIN")
	exec1(t, busy, "UPDATE users SET name = 'x' WHERE id = 2")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- p.Shutdown(ctx)
	}()
	if _, err := idle.ReadPacket(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle client got %v", err)
	}
	exec1(t, busy, "UPDATE users SET name = 'y' WHERE id = 2")
	exec1(t, busy, "COMMIT")
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if count(p.fakes["s0p"].texts(), "COMMIT") != 1 {
		t.Error("the transaction wasn't committed")
	}
}

func TestATimeoutAndKillEndAStatementAtItsServer(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "/* shardway: timeout=20ms */ SELECT server FROM users WHERE id = 2 AND SLEEP(10)"
	const long = "SELECT server FROM users WHERE id = 2 AND SLEEP(20)"
	running := make(chan uint32, 8)
	for _, name := range []string{"s0p", "s0r1", "s0r2"} {
		f := p.fakes[name]
		killed := make(chan struct{}, 8)
		wait := func(s *fakemysql.Session) {
			running <- s.ID
			<-killed
			s.Error(1317, "70100", "Query execution was interrupted")
		}
		f.on(sql, wait)
		f.on(long, wait)
		for id := range uint32(64) {
			f.on(fmt.Sprintf("KILL QUERY %d", id), func(s *fakemysql.Session) {
				killed <- struct{}{}
				s.OK(protocol.OK{})
			})
		}
	}
	a, b := p.connect(), p.connect()
	_, err := a.Query(sql)
	wantError(t, err, 3024, "20ms")
	<-running

	done := make(chan error, 1)
	go func() {
		_, err := a.Query(long)
		done <- err
	}()
	<-running
	table, err := p.Table("sessions")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Rows {
		if row[4] == "running" {
			exec1(t, b, fmt.Sprintf("KILL QUERY %d", row[0]))
		}
	}
	wantError(t, <-done, 1317)
	one(t, a, "SELECT server FROM users WHERE id = 3")
	_, err = b.Exec("KILL 4000000")
	wantError(t, err, 1094)
}

func TestAPreparedStatementGoesWhereEachExecutionBinds(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	send := func(cmd protocol.Command, payload []byte) {
		t.Helper()
		if err := c.WriteCommand(cmd, payload); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send(protocol.ComStmtPrepare, []byte("SELECT server FROM users WHERE id = ?"))
	prepared, refused, err := c.ReadPrepared()
	if err != nil || refused != nil {
		t.Fatal(err, refused)
	}
	served := func() (s0, s1 int) {
		for name, f := range p.fakes {
			for _, got := range f.Got() {
				if got.Command == protocol.ComStmtExecute {
					if strings.HasPrefix(name, "s0") {
						s0++
					} else {
						s1++
					}
				}
			}
		}
		return s0, s1
	}
	for i, id := range []byte{2, 3, 3, 2, 4, 5} {
		e := protocol.Execute{Iterations: 1, NullBitmap: []byte{0}, Values: []byte{id}}
		if i == 0 {
			e.Types = []byte{protocol.TypeTiny, 0}
		}
		payload := protocol.AppendExecute(nil, prepared.ID, &e, e.Types)
		if i > 0 { // the types are remembered
			payload = append(payload, 0, 0, id)
		}
		send(protocol.ComStmtExecute, payload)
		r, err := c.Forward(nil, protocol.ReplyQuery, nil)
		if err != nil || r.Err != nil || r.Rows != 1 {
			t.Fatal(err, r.Err, r.Rows)
		}
	}
	if s0, s1 := served(); s0 != 3 || s1 != 3 {
		t.Errorf("%d executions went to s0 and %d to s1, want 3 and 3", s0, s1)
	}
}
