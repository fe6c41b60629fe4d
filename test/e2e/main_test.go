package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"shardway/test/cluster"
)

// daemonBinary is the daemon under test: SHARDWAY_BINARY, or built here with the race
// detector.
var daemonBinary = sync.OnceValues(func() (string, error) { return build("shardway-race", "-race") })

// plainBinary is the daemon as users have it, for tests that run long: SHARDWAY_BINARY, or built here.
var plainBinary = sync.OnceValues(func() (string, error) { return build("shardway") })

// tags are those that everything is built with, so that what is built once is used again.
const tags = "gms_pure_go,grpcnotrace"

func build(name string, flags ...string) (string, error) {
	if path := os.Getenv("SHARDWAY_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "swb")
	if err != nil {
		return "", err
	}
	atExit(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", slices.Concat([]string{"build", "-tags", tags}, flags, []string{"-o", path, "shardway/cmd/shardway"})...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w\n%s", err, out)
	}
	return path, nil
}

// clusters are the servers that the tests share, started when first used.
var clusters = map[cluster.Flavor]func() (*cluster.Cluster, error){
	cluster.MariaDB: sync.OnceValues(func() (*cluster.Cluster, error) { return start(cluster.MariaDB) }),
	cluster.MySQL:   sync.OnceValues(func() (*cluster.Cluster, error) { return start(cluster.MySQL) }),
}

func start(f cluster.Flavor) (*cluster.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Options{Flavor: f, Shards: 2, Replicas: 2, Plain: true})
	if err == nil {
		atExit(func() { _ = c.Close() })
	}
	return c, err
}

var (
	exitMu sync.Mutex
	exits  []func()
)

func atExit(f func()) {
	exitMu.Lock()
	defer exitMu.Unlock()
	exits = append(exits, f)
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range exits {
		f()
	}
	os.Exit(code)
}

// env is what a test has: the cluster of one kind, and a database of its own.
type env struct {
	*testing.T
	ctx    context.Context
	c      *cluster.Cluster
	db     cluster.Data
	binary func() (string, error) // of its daemons; daemonBinary when nil

	moves *handMade // nil where no slots move
}

func (e *env) mysql() bool { return e.c.Flavor == cluster.MySQL }

// must fails the test at once.
func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// onEach runs a test on each kind of server, with the data loaded as a database
// of the given name: on one after the other, for tests that go by the time that
// something takes, or keep all of the machine busy.
func onEach(t *testing.T, name string, data func(cluster.Flavor) cluster.Data, test func(e *env)) {
	t.Helper()
	for _, f := range cluster.Flavors() {
		t.Run(string(f), func(t *testing.T) { on(t, f, name, data, test) })
	}
}

// onBoth is onEach on both kinds of servers at once, for tests that wait: for answers,
// for servers that start, for time to pass. Tests whose servers are their own wait
// side by side with each other, by t.Parallel, when those with shared ones have ended.
func onBoth(t *testing.T, name string, data func(cluster.Flavor) cluster.Data, test func(e *env)) {
	t.Helper()
	var running sync.WaitGroup
	defer running.Wait()
	for _, f := range cluster.Flavors() {
		running.Go(func() {
			t.Run(string(f), func(t *testing.T) { on(t, f, name, data, test) })
		})
	}
}

// on runs a test on one kind of server, for what doesn't depend on the kind.
func on(t *testing.T, f cluster.Flavor, name string, data func(cluster.Flavor) cluster.Data, test func(e *env)) {
	t.Helper()
	if why := f.Missing(); why != "" {
		t.Skip(why)
	}
	c, err := clusters[f]()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := daemonBinary(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	e := &env{T: t, ctx: ctx, c: c}
	if data != nil {
		e.db = data(f)
		e.db.Name = name
		e.must(c.Load(ctx, e.db))
	}
	test(e)
}

// restartAfter is for tests that end servers: they are all running again afterwards.
func (e *env) restartAfter() {
	e.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		for _, s := range e.c.Servers() {
			if s.PID() == 0 {
				if err := s.Start(ctx); err != nil {
					e.Errorf("restart %s: %v", s.Name, err)
				}
			}
		}
		if err := e.c.Sync(ctx); err != nil {
			e.Error(err)
		}
	})
}
