package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// running is a serve command under test. No server of its map answers, which
// is enough for logins (the version is configured) and for what Shardway
// answers itself.
type running struct {
	t       *testing.T
	dir     string
	d       *daemon
	signals chan os.Signal
	log     *logLines
	status  chan int
}

// logLines is a log to wait for.
type logLines struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced at each write
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(p)
}

func (l *logLines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

// waitFor waits for the n-th line that contains text, and returns it.
func (l *logLines) waitFor(t *testing.T, text string, n int) string {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		grown, seen := l.grown, 0
		for line := range strings.Lines(l.text.String()) {
			if strings.Contains(line, text) {
				if seen++; seen == n {
					l.mu.Unlock()
					return line
				}
			}
		}
		l.mu.Unlock()
		select {
		case <-grown:
		case <-late:
			t.Fatalf("there is no %q, %d times, in\n%s", text, n, l)
		}
	}
}

const serveConfig = `listen: [127.0.0.1:0, "unix:DIR/s.sock"]
admin: {listen: "unix:DIR/admin.sock"}
map: shards.yaml
users: {app: {password: app}}
handshake: {version: 8.4.0}
replicas: {causal_reads: off}
transactions: {cross_shard: forbid}
drain_timeout: 20s
`

func start(t *testing.T, conf string) *running { t.Helper(); return startWith(t, conf, goodMap) }

func startWith(t *testing.T, conf, shards string) *running {
	t.Helper()
	r := &running{
		t: t, dir: t.TempDir(), signals: make(chan os.Signal), status: make(chan int, 1),
		log: &logLines{grown: make(chan struct{})},
	}
	r.write("shards.yaml", shards)
	r.write("shardway.yaml", conf)
	ready := make(chan *daemon, 1)
	p := &program{
		args: []string{"serve", "-c", filepath.Join(r.dir, "shardway.yaml")}, stdout: io.Discard, stderr: r.log,
		signals: r.signals, ready: func(d *daemon) { ready <- d },
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.status <- run(ctx, p)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case r.d = <-ready:
	case status := <-r.status:
		t.Fatalf("ended with status %d:\n%s", status, r.log)
	}
	return r
}

func (r *running) write(name, text string) {
	r.t.Helper()
	// By renaming, so that the watcher never reads half a file.
	file := filepath.Join(r.dir, name)
	write(r.t, file+".new", strings.ReplaceAll(text, "DIR", r.dir))
	if err := os.Rename(file+".new", file); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	select {
	case r.signals <- s:
	case <-time.After(20 * time.Second):
		r.t.Fatalf("nobody takes %s", s)
	}
}

// login connects a client; socket is relative to the directory.
func (r *running) login(socket, user, password string) (*sql.Conn, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = user, password, "unix", filepath.Join(r.dir, socket)
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	r.t.Cleanup(func() { _ = db.Close() })
	return db.Conn(r.t.Context())
}

func (r *running) mustLogin(socket, user, password string) *sql.Conn {
	r.t.Helper()
	c, err := r.login(socket, user, password)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// variable asks Shardway for one of its settings.
func variable(t *testing.T, c *sql.Conn, name string) (string, error) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), "SHOW SHARDWAY VARIABLES")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var n, v string
		if err := rows.Scan(&n, &v); err != nil {
			return "", err
		}
		if n == name {
			return v, nil
		}
	}
	return "", errors.Join(errors.New("no such variable"), rows.Err())
}

func (r *running) http(path string) (int, string) {
	r.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialUnix(filepath.Join(r.dir, "admin.sock"))}}
	resp, err := client.Get("http://admin" + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServeWhileServersAreDown(t *testing.T) {
	r := start(t, serveConfig)
	if code, _ := r.http("/livez"); code != 200 {
		t.Errorf("livez: %d", code)
	}
	if code, body := r.http("/readyz"); code != 503 || !strings.Contains(body, "s0") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, body := r.http("/metrics"); code != 200 || !strings.Contains(body, `shardway_server_up{role="primary",server="127.0.0.1:1",shard="s0"} 0`) || !strings.Contains(body, "shardway_map_version 3\n") {
		t.Errorf("metrics: %d %s", code, body)
	}
	var first map[string]any
	line := r.log.waitFor(t, `"msg":"serving"`, 1)
	if err := json.Unmarshal([]byte(line), &first); err != nil || first["map_version"] != 3.0 || first["shards"] != 2.0 {
		t.Errorf("%v in %s", err, line)
	}
	c := r.mustLogin("s.sock", "app", "app")
	if v, err := variable(t, c, "replicas.max_lag"); err != nil || v != "5s" {
		t.Errorf("max_lag %q, %v", v, err)
	}
	r.signal(syscall.SIGTERM)
	if status := <-r.status; status != 0 {
		t.Errorf("status %d", status)
	}
	r.log.waitFor(t, `"msg":"drained"`, 1)
	if _, err := os.Stat(filepath.Join(r.dir, "s.sock")); !os.IsNotExist(err) {
		t.Error("the socket is still there")
	}
}

// A reload changes everything at once and keeps the clients.
func TestReload(t *testing.T) {
	r := start(t, serveConfig)
	c := r.mustLogin("s.sock", "app", "app")
	next := strings.NewReplacer("replicas: {", "replicas: {max_lag: 9s, ", "s.sock", "t.sock", "users: {", "users: {two: {password: zwei}, ").Replace(serveConfig)
	r.write("shardway.yaml", next)
	line := r.log.waitFor(t, `"msg":"reloaded"`, 1)
	for _, want := range []string{`"why":"a file has changed"`, "replicas.max_lag: 5s -", "users.two.password: changed", "t.sock"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q isn't in %s", want, line)
		}
	}
	if strings.Contains(line, "zwei") {
		t.Error("the log holds a password")
	}
	if v, err := variable(t, c, "replicas.max_lag"); err != nil || v != "9s" {
		t.Errorf("a client from before sees max_lag %q, %v", v, err)
	}
	r.mustLogin("t.sock", "two", "zwei")
	if _, err := r.login("s.sock", "app", "app"); err == nil {
		t.Error("the address that was taken out still answers")
	}

	r.write("shards.yaml", strings.Replace(goodMap, "version: 3", "version: 4", 1))
	r.log.waitFor(t, `"map_version":4`, 1)
	if code, body := r.http("/api/v1/status"); code != 200 || !strings.Contains(body, `"map_version": 4`) {
		t.Errorf("%d %s", code, body)
	}

	r.signal(syscall.SIGHUP)
	if line := r.log.waitFor(t, "nothing has changed", 1); !strings.Contains(line, `"why":"SIGHUP"`) {
		t.Error(line)
	}
	if err := c.PingContext(t.Context()); err != nil {
		t.Errorf("the client was dropped: %v", err)
	}
}

// A reload with a mistake anywhere changes nothing at all.
func TestReloadRefused(t *testing.T) {
	r := start(t, serveConfig)
	c := r.mustLogin("s.sock", "app", "app")
	taken, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	changed := strings.Replace(serveConfig, "replicas: {", "replicas: {max_lag: 9s, ", 1)
	n := 0
	refused := func(want string) {
		t.Helper()
		n++
		if line := r.log.waitFor(t, "reload refused", n); !strings.Contains(line, want) {
			t.Errorf("%q isn't in %s", want, line)
		}
		if v, err := variable(t, c, "replicas.max_lag"); err != nil || v != "5s" {
			t.Errorf("after %q max_lag is %q, %v", want, v, err)
		}
	}
	r.write("shardway.yaml", changed+"nope: 1\n")
	refused("shardway.yaml:9: nope: is not a key")
	r.write("shardway.yaml", strings.Replace(changed, "listen: [", "listen: ["+taken.Addr().String()+", ", 1))
	refused("in use by another program")
	r.write("shardway.yaml", changed+"log: {format: text}\n")
	refused("needs a restart")
	r.write("shardway.yaml", changed+"tls: {cert: gone, key: gone}\n")
	refused("tls: ")
	// A broken map and a good configuration, in whatever order they are seen.
	r.write("shards.yaml", "version: 5\n")
	r.log.waitFor(t, `"msg":"map refused`, 1)
	refused("map")
	r.write("shards.yaml", goodMap)
	r.write("shardway.yaml", changed)
	r.log.waitFor(t, `"msg":"reloaded"`, 1)
	if v, err := variable(t, c, "replicas.max_lag"); err != nil || v != "9s" {
		t.Errorf("after all was mended max_lag is %q, %v", v, err)
	}
}

func TestServeFailsPlainly(t *testing.T) {
	for _, tc := range []struct{ from, to, want string }{
		{"shards.yaml", "gone.yaml", "gone.yaml"},
		{"shards.yaml", "etcd://127.0.0.1:1/x", "connection refused; check that etcd runs there"},
		{"unix:DIR/s.sock", "unix:DIR/none/s.sock", "no such file or directory"},
		{"127.0.0.1:0", "192.0.2.1:4406", "listen on 192.0.2.1:4406"},
	} {
		dir := files(t, "shards.yaml", goodMap)
		write(t, filepath.Join(dir, "c.yaml"), strings.ReplaceAll(strings.Replace(serveConfig, tc.from, tc.to, 1), "DIR", dir))
		status, _, errs := runIt(t, "serve", "-c", filepath.Join(dir, "c.yaml"))
		if status != 1 || !strings.Contains(errs, tc.want) {
			t.Errorf("%s: status %d, %s", tc.to, status, errs)
		}
	}
}
