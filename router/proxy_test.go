package router_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router"
	"shardway/router/backend"
	"shardway/router/backend/health"
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
	// command answers what isn't a query, if it says so.
	command func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool
	seen    []string // texts that weren't Shardway's own
}

var setOne = regexp.MustCompile(`^SET (?:SESSION )?([a-z_]+) ?= ?'?([^',]*)'?$`)

func newFake(t testing.TB, name, version string) *fakeServer {
	f := &fakeServer{name: name, hooks: map[string]func(*fakemysql.Session){}}
	f.Server = fakemysql.Options{Version: version}.Serve(t, f.handle)
	return f
}

// on runs a hook in place of the answer to a text.
func (f *fakeServer) on(text string, hook func(s *fakemysql.Session)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks[text] = hook
}

// onCommand lets a hook answer commands.
func (f *fakeServer) onCommand(hook func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.command = hook
}

func (f *fakeServer) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

func (f *fakeServer) handle(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
	status := protocol.StatusAutocommit
	if s.Values["@@autocommit"] == "0" {
		status = 0
	}
	if s.Values["tx"] != "" {
		status |= protocol.StatusInTrans
	}
	f.mu.Lock()
	command := f.command
	f.mu.Unlock()
	if command != nil && command(s, cmd, payload) {
		return
	}
	if cmd == protocol.ComStmtPrepare {
		s.Prepared(1, strings.Count(string(payload), "?"), "server")
		return
	}
	if cmd == protocol.ComStmtExecute {
		s.Result(fakemysql.Table([]string{"server"}, []any{f.name}), true, status)
		return
	}
	if fakemysql.Silent(cmd) {
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
		sql != "SHOW DATABASES" && !strings.Contains(sql, "shardway.fence") && sql != "SELECT 1" && !strings.Contains(sql, "@@global") && !strings.HasSuffix(sql, " STATUS") {
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
			if m[1] == "autocommit" && m[2] == "0" {
				ok.Status = protocol.StatusSessionStateChanged // 0 would be autocommit
			}
			ok.Changes = []protocol.Change{{Kind: protocol.ChangeSysVar, Name: m[1], Value: m[2]}}
		}
		s.OK(ok)
	case strings.Contains(upper, "SHARDWAY.FENCE"):
		s.Error(1146, "42S02", "Table 'shardway.fence' doesn't exist")
	case strings.HasPrefix(upper, "SHOW GLOBAL"), strings.Contains(upper, "INFORMATION_SCHEMA"), strings.Contains(upper, "@@GLOBAL"),
		upper == "SHOW REPLICA STATUS", upper == "SHOW SLAVE STATUS":
		s.Error(1064, "42000", "You have an error in your SQL syntax")
	case strings.HasPrefix(upper, "SELECT @@"):
		s.Result(fakemysql.Table([]string{"v"}, []any{s.Values[sql[len("SELECT "):]]}), false, status)
	case strings.HasPrefix(upper, "SELECT"), strings.HasPrefix(upper, "SHOW"):
		if status == 0 && strings.Contains(upper, " FROM ") {
			s.Values["tx"], status = "open", protocol.StatusInTrans
		}
		s.Result(fakemysql.Table([]string{"server"}, []any{f.name}), false, status)
	default:
		s.OK(protocol.OK{Status: status, AffectedRows: 1})
	}
}

// proxy is a running Shardway over fakes: shards s0 and s1, each with a primary and two replicas.
type proxy struct {
	*router.Server
	t     testing.TB
	addr  string
	fakes map[string]*fakeServer
	opts  router.Options
}

func newProxy(t testing.TB, change func(*router.Options)) *proxy {
	t.Helper()
	return newProxyOf(t, "", change)
}

// newProxyOf is newProxy with servers of a version; "" is the fakes' own.
func newProxyOf(t testing.TB, version string, change func(*router.Options)) *proxy {
	t.Helper()
	p := &proxy{t: t, fakes: map[string]*fakeServer{}}
	var shards strings.Builder
	for _, id := range []string{"s0", "s1"} {
		for _, role := range []string{"p", "r1", "r2"} {
			p.fakes[id+role] = newFake(t, id+role, version)
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
	ctx := t.Context()
	go func() { done <- p.Serve(ctx, ln) }()
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
			if s.State != health.Up {
				return false
			}
		}
		return true
	})
	return p
}

// eventually waits for something that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
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

func exec1(t testing.TB, c *protocol.Conn, sql string) protocol.Reply {
	t.Helper()
	r, err := c.Exec(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return r
}

// one runs a query whose answer is one cell.
func one(t testing.TB, c *protocol.Conn, sql string) string {
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

func wantError(t testing.TB, err error, code uint16, parts ...string) {
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
