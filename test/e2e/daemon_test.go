package e2e

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

// daemon is a running shardway.
type daemon struct {
	t      testing.TB
	dir    string
	addr   string // TCP
	socket string // unix
	admin  string // TCP, or unix: and a path
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the exit, once exited is closed
	log    *logBuffer
}

// settings change the configuration of a daemon: top-level keys to YAML.
type settings map[string]string

func (d *daemon) configuration(s settings, database string) string {
	keys := settings{
		"listen":  fmt.Sprintf("[%q, %q]", d.addr, "unix:"+d.socket),
		"admin":   fmt.Sprintf("{listen: %q}", d.admin),
		"map":     "./shards.yaml",
		"users":   fmt.Sprintf("{app: {password: app, databases: [%s]}}", database),
		"servers": "{user: shardway, password: secret}",
		"pool":    "{max_per_server: 50}",
		"log":     "{format: text, level: info}",
	}
	maps.Copy(keys, s)
	var b strings.Builder
	for k, v := range keys {
		if v != "" {
			fmt.Fprintf(&b, "%s: %s\n", k, v)
		}
	}
	return b.String()
}

// serve starts a daemon over the test's database and ends it with the test:
// the end must be clean.
func (e *env) serve(s settings) *daemon {
	e.Helper()
	return e.serveMap(s, e.c.Map(e.db.Map(e.c.Shards)))
}

func (e *env) serveMap(s settings, shardmap string) *daemon {
	e.Helper()
	return e.serveIn("", s, shardmap)
}

// serveIn starts a daemon in a network namespace, where only its unix sockets
// can be reached from ours; "" is ours.
func (e *env) serveIn(namespace string, s settings, shardmap string) *daemon {
	e.Helper()
	d := e.launch(namespace, s, shardmap)
	deadline := time.Now().Add(20 * time.Second)
	for {
		code, body := d.get("/readyz")
		if code == http.StatusOK {
			return d
		}
		d.wait(deadline, fmt.Sprintf("isn't ready: %d %s", code, body))
	}
}

// wait lets a moment pass, unless the daemon has ended or it is too late.
func (d *daemon) wait(deadline time.Time, why string) {
	d.t.Helper()
	select {
	case <-d.exited:
		d.t.Fatalf("the daemon ended: %v\n%s", d.err, d.log)
	case <-time.After(20 * time.Millisecond):
	}
	if time.Now().After(deadline) {
		d.t.Fatalf("the daemon %s\n%s", why, d.log)
	}
}

// launch starts a daemon that may not be ready for long, as serveIn does.
func (e *env) launch(namespace string, s settings, shardmap string) *daemon {
	e.Helper()
	binary := e.binary
	if binary == nil {
		binary = daemonBinary
	}
	path, err := binary()
	e.must(err)
	dir, err := os.MkdirTemp("", "swd")
	e.must(err)
	d := &daemon{t: e, dir: dir, addr: freeAddr(e), admin: freeAddr(e), socket: filepath.Join(dir, "sock"), exited: make(chan struct{}), log: &logBuffer{}}
	if namespace != "" {
		d.admin = "unix:" + filepath.Join(dir, "admin")
	}
	e.must(os.WriteFile(filepath.Join(dir, "shards.yaml"), []byte(shardmap), 0o600))
	e.must(os.WriteFile(filepath.Join(dir, "shardway.yaml"), []byte(d.configuration(s, e.db.Name)), 0o600))
	d.cmd = shardwayCommand(path, "serve", "-c", filepath.Join(dir, "shardway.yaml"))
	if namespace != "" {
		inside := exec.Command("ip", append([]string{"netns", "exec", namespace}, d.cmd.Args...)...)
		inside.Env = d.cmd.Env
		d.cmd = inside
	}
	e.must(d.start())
	e.Cleanup(d.end)
	return d
}

// start starts the daemon's command.
func (d *daemon) start() error {
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	return nil
}

// killed ends the daemon as kill -9 does and starts it again at the same addresses.
func (d *daemon) killed() error {
	d.signal(syscall.SIGKILL)
	<-d.exited
	again := exec.Command(d.cmd.Path, d.cmd.Args[1:]...)
	again.Env = d.cmd.Env
	d.cmd, d.exited, d.err = again, make(chan struct{}), nil
	return d.start()
}

// shardwayCommand runs the daemon's program without our own SHARDWAY_…
// variables, which are no keys of its configuration.
func shardwayCommand(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SHARDWAY_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GORACE=halt_on_error=0 exitcode=66")
	return cmd
}

// end ends the daemon in order and fails the test if it ends in any other way,
// raced or panicked.
func (d *daemon) end() {
	defer func() { _ = os.RemoveAll(d.dir) }()
	select {
	case <-d.exited:
	default:
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.exited:
			if d.err != nil {
				d.t.Errorf("the daemon ended with %v", d.err)
			}
		case <-time.After(40 * time.Second):
			_ = d.cmd.Process.Signal(syscall.SIGQUIT) // for its stacks
			select {
			case <-d.exited:
			case <-time.After(5 * time.Second):
				_ = d.cmd.Process.Kill()
				<-d.exited
			}
			d.t.Errorf("the daemon didn't end on SIGTERM:\n%s", d.log)
			return
		}
	}
	text := d.log.String()
	if strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") || d.t.Failed() {
		if strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
			d.t.Error("the daemon raced or panicked")
		}
		d.t.Logf("the daemon's log:\n%s", d.log.tail(12000))
	}
}

// get asks the admin address.
func (d *daemon) get(path string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client, host := http.DefaultClient, d.admin
	if socket, ok := strings.CutPrefix(d.admin, "unix:"); ok {
		host = "admin"
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// rewrite puts a file of the daemon's directory in place of the old one.
func (d *daemon) rewrite(name, content string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) signal(sig syscall.Signal) { _ = d.cmd.Process.Signal(sig) }

// config is a go-sql-driver configuration for the daemon.
func (d *daemon) config(database string) *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = "app", "app", "tcp", d.addr, database
	c.Timeout, c.ReadTimeout = 10*time.Second, 60*time.Second
	c.Logger = &mysql.NopLogger{}
	return c
}

// open is a pool of connections to the daemon.
func (e *env) open(d *daemon, change func(*mysql.Config)) *sql.DB {
	e.Helper()
	c := d.config(e.db.Name)
	if change != nil {
		change(c)
	}
	connector, err := mysql.NewConnector(c)
	e.must(err)
	db := sql.OpenDB(connector)
	e.Cleanup(func() { _ = db.Close() })
	return db
}

// dial is one wire connection to the daemon, closed with the test.
func (e *env) dial(d *daemon, change func(*wireOptions)) *wire {
	e.Helper()
	o := wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name}
	if change != nil {
		change(&o)
	}
	w, err := dialWire(o)
	e.must(err)
	e.Cleanup(w.close)
	return w
}

// plain is one wire connection to the plain server.
func (e *env) plain(change func(*wireOptions)) *wire {
	e.Helper()
	o := wireOptions{addr: e.c.Plain.Addr, user: "shardway", password: "secret", db: e.db.Name}
	if change != nil {
		change(&o)
	}
	w, err := dialWire(o)
	e.must(err)
	e.Cleanup(w.close)
	return w
}

// rss is the daemon's resident memory in bytes.
func (d *daemon) rss() int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for in := bufio.NewScanner(f); in.Scan(); {
		if rest, ok := strings.CutPrefix(in.Text(), "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// logBuffer keeps a process's output; reading it while it is written is safe.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}
