package e2e

import (
	"context"
	"encoding/json"
	"errors"
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
	"testing"
	"time"

	"shardway/test/cluster"
)

// fleet is three daemons over real servers and one etcd.
type fleet struct {
	*env
	etcd    *cluster.Etcd
	daemons []*daemon
	conf    string // of shardctl
}

// fleetDatabase is where the clients of a fleet write.
const fleetDatabase = "fleet"

// onFleets runs a test on a fleet of its own for each kind of server. Keys change
// the daemons' configuration; semiSync makes each commit wait for a replica.
func onFleets(t *testing.T, limit time.Duration, semiSync bool, keys settings, test func(f *fleet)) {
	t.Helper()
	t.Parallel()
	for _, flavor := range cluster.Flavors() {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			startFleet(t, limit, flavor, semiSync, keys, test)
		})
	}
}

// onFleet is for what doesn't depend on the kind of server.
func onFleet(t *testing.T, test func(f *fleet)) {
	t.Helper()
	t.Parallel()
	startFleet(t, 3*time.Minute, cluster.MariaDB, false, nil, test)
}

func startFleet(t *testing.T, limit time.Duration, flavor cluster.Flavor, semiSync bool, keys settings, test func(f *fleet)) {
	t.Helper()
	var plugins []string
	if semiSync {
		// A server that is restarted is a replica that acknowledges; the one that
		// waits for that is chosen by hand or by the failover.
		plugins = []string{"--rpl-semi-sync-master-timeout=600000", "--rpl-semi-sync-master-wait-point=AFTER_SYNC", "--rpl-semi-sync-slave-enabled=ON"}
		if flavor == cluster.MySQL {
			plugins = []string{
				"--plugin-load-add=semisync_source.so", "--plugin-load-add=semisync_replica.so",
				"--loose-rpl-semi-sync-source-timeout=600000", "--loose-rpl-semi-sync-replica-enabled=ON",
			}
		}
	}
	servers := cluster.Options{Flavor: flavor, Shards: 1, Replicas: 2, Args: plugins}
	startFleetOf(t, limit, servers, cluster.Data{Name: fleetDatabase, Slots: 1}, keys, func(e *env) {
		e.must(e.c.Shards[0].Primary.Exec(e.ctx, "CREATE DATABASE "+fleetDatabase, "USE "+fleetDatabase,
			"CREATE TABLE ledger (id BIGINT AUTO_INCREMENT PRIMARY KEY, client INT NOT NULL, seq INT NOT NULL, server INT NOT NULL, KEY (client, seq))",
			"CREATE TABLE counters (id INT PRIMARY KEY, n INT NOT NULL)"))
		e.must(e.c.Sync(e.ctx))
		if semiSync {
			e.must(e.c.Shards[0].Primary.Exec(e.ctx, "SET GLOBAL rpl_semi_sync_"+e.say("source", "master")+"_enabled = ON"))
		}
	}, test)
}

// startFleetOf starts three daemons over the servers given, on which load has put the data.
func startFleetOf(t *testing.T, limit time.Duration, servers cluster.Options, data cluster.Data, keys settings, load func(e *env), test func(f *fleet)) {
	t.Helper()
	if why := servers.Flavor.Missing(); why != "" {
		t.Skip(why)
	}
	if why := cluster.EtcdMissing(); why != "" {
		t.Skip(why)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	e := &env{T: t, ctx: ctx, db: data}
	_, err := daemonBinary()
	e.must(err)
	e.c, err = cluster.Start(ctx, servers)
	e.must(err)
	t.Cleanup(func() { _ = e.c.Close() })
	f := &fleet{env: e}
	f.etcd, err = cluster.StartEtcd(ctx, cluster.EtcdOptions{})
	e.must(err)
	t.Cleanup(func() { _ = f.etcd.Close() })
	load(e)

	dir := t.TempDir()
	f.conf = filepath.Join(dir, "shardway.yaml")
	secret := filepath.Join(dir, "password")
	e.must(os.WriteFile(secret, []byte(cluster.Password+"\n"), 0o600))
	e.must(os.WriteFile(f.conf, fmt.Appendf(nil, "map: %s\nservers: {user: %s, password_file: %s}\nfailover: {user: %s, password_file: %s, replication_user: repl, replication_password: repl}\n",
		f.etcd.Map("map"), cluster.User, secret, cluster.Operator, secret), 0o600))
	first := filepath.Join(dir, "first.yaml")
	e.must(os.WriteFile(first, []byte(e.c.Map(e.db.Map(e.c.Shards))), 0o600))
	if out, status := f.shardctl("map", "apply", first, "--yes"); status != 0 {
		e.Fatalf("map apply: status %d, %s", status, out)
	}
	for range 3 {
		f.daemons = append(f.daemons, f.join(keys, f.etcd.Addr))
	}
	for _, d := range f.daemons {
		f.ready(d)
	}
	test(f)
}

// join starts a daemon over the fleet's map, whose etcd is at the address.
func (f *fleet) join(keys settings, etcd string) *daemon {
	f.Helper()
	s := settings{
		"map":      "etcd://" + etcd + "/map",
		"failover": fmt.Sprintf("{hold_timeout: 30s, user: %s, password: %s, replication_user: repl, replication_password: repl}", cluster.Operator, cluster.Password),
		"pool":     "{max_per_server: 100}",
	}
	maps.Copy(s, keys)
	return f.launch("", s, "")
}

// ready waits until a daemon is.
func (f *fleet) ready(d *daemon) {
	f.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		code, body := d.get("/readyz")
		if code == http.StatusOK {
			return
		}
		d.wait(deadline, fmt.Sprintf("isn't ready: %d %s", code, body))
	}
}

// shardctl runs the operator's tool with the fleet's configuration.
func (f *fleet) shardctl(args ...string) (string, int) {
	f.Helper()
	tool, err := toolBinary()
	f.must(err)
	cmd := exec.CommandContext(f.ctx, tool, append([]string{"-c", f.conf}, args...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		f.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// switched is what `shardctl switchover --output json` prints.
type switched struct {
	Done     bool          `json:"done"`
	Undone   bool          `json:"undone"`
	Pause    time.Duration `json:"pause_ns"`
	Fenced   []string      `json:"fenced"`
	Warnings []string      `json:"warnings"`
	Steps    []struct {
		Name string        `json:"name"`
		Took time.Duration `json:"took_ns"`
	} `json:"steps"`
	Error string `json:"error"`
}

// switchover makes a server the primary.
func (f *fleet) switchover(to *cluster.Server, flags ...string) (report switched, status int) {
	f.Helper()
	out, status := f.shardctl(append([]string{"switchover", "s0", "--to", to.Addr, "--yes", "--output", "json"}, flags...)...)
	// Progress may come before.
	if at := strings.Index(out, "{\n"); at < 0 || json.Unmarshal([]byte(out[at:]), &report) != nil {
		f.Logf("switchover: status %d, %s", status, out)
		report.Error = out
	}
	return report, status
}

// proxyLine is a line of `shardctl proxies`.
type proxyLine struct {
	PID     int    `json:"pid"`
	Serving uint64 `json:"serving"`
	Behind  bool   `json:"behind"`
	Refused string `json:"refused"`
}

func (f *fleet) proxies() (stored uint64, list []proxyLine) {
	f.Helper()
	out, status := f.shardctl("proxies", "--output", "json")
	var all struct {
		Stored  uint64      `json:"stored_version"`
		Proxies []proxyLine `json:"proxies"`
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil || status != 0 {
		f.Fatalf("proxies: status %d, %v, %s", status, err, out)
	}
	return all.Stored, all.Proxies
}

// listed is the daemon's line of `shardctl proxies`, nil when it isn't there.
func (f *fleet) listed(d *daemon) *proxyLine {
	f.Helper()
	_, list := f.proxies()
	for i := range list {
		if list[i].PID == d.cmd.Process.Pid {
			return &list[i]
		}
	}
	return nil
}

// serving waits until all daemons are announced and serve the stored map.
func (f *fleet) serving() {
	f.Helper()
	f.until("all proxies serve the stored map", func() bool {
		_, list := f.proxies()
		for _, p := range list {
			if p.Behind || p.Refused != "" {
				return false
			}
		}
		return len(list) == len(f.daemons)
	})
}

// primary is the server that the stored map calls so.
func (f *fleet) primary() *cluster.Server {
	f.Helper()
	out, status := f.shardctl("map", "show", "--output", "json")
	var m struct {
		Shards []struct{ Primary struct{ Addr string } }
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil || status != 0 {
		f.Fatalf("map show: status %d, %v, %s", status, err, out)
	}
	return f.c.Server(m.Shards[0].Primary.Addr)
}

// replicas are the servers but the primary.
func (f *fleet) replicas(primary *cluster.Server) []*cluster.Server {
	var list []*cluster.Server
	for _, s := range f.c.Servers() {
		if s != primary {
			list = append(list, s)
		}
	}
	return list
}

// gateway is a way to etcd that can be shut: connections break, and no new ones
// are taken.
type gateway struct {
	addr, to string
	mu       sync.Mutex
	ln       net.Listener
	conns    map[net.Conn]bool
	all      sync.WaitGroup
}

func (e *env) gateway(to string) *gateway {
	e.Helper()
	g := &gateway{addr: freeAddr(e), to: to, conns: map[net.Conn]bool{}}
	e.must(g.open())
	e.Cleanup(g.shut)
	return g
}

func (g *gateway) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	ln, err := net.Listen("tcp", g.addr)
	if err != nil {
		return err
	}
	g.ln = ln
	g.all.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", g.to)
			if err != nil {
				_ = from.Close()
				continue
			}
			g.pass(ln, from, to)
		}
	})
	return nil
}

// pass copies both ways until either end closes.
func (g *gateway) pass(ln net.Listener, from, to net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ln != ln {
		_ = from.Close()
		_ = to.Close()
		return
	}
	g.conns[from], g.conns[to] = true, true
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		g.all.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // it ends with either end
			_ = from.Close()
			_ = to.Close()
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.conns, way[0])
		})
	}
}

func (g *gateway) shut() {
	g.mu.Lock()
	if g.ln != nil {
		_ = g.ln.Close()
		g.ln = nil
	}
	for c := range g.conns {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.all.Wait()
}

// count is how many of something an environment variable asks for.
func count(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err == nil && n < 1 {
		err = errors.New("it must be at least 1")
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
