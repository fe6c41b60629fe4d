package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

// network is two network namespaces with a cable between them: the proxy in one,
// the servers, each with an address of its own, in the other.
type network struct {
	e              *env
	proxy, servers string
}

const proxyHost = "10.98.7.1"

func serverHost(i int) string { return fmt.Sprintf("10.98.7.%d", 10+i) }

func (e *env) network(servers int) *network {
	e.Helper()
	n := &network{e: e, proxy: fmt.Sprintf("swp%d", os.Getpid()), servers: fmt.Sprintf("sws%d", os.Getpid())}
	e.Cleanup(func() {
		for _, name := range []string{n.proxy, n.servers} {
			_ = exec.Command("ip", "netns", "del", name).Run() // it may never have been made
		}
	})
	n.ip("netns", "add", n.proxy)
	n.ip("netns", "add", n.servers)
	n.ip("link", "add", "cable", "netns", n.proxy, "type", "veth", "peer", "name", "cable", "netns", n.servers)
	n.ip("-n", n.proxy, "addr", "add", proxyHost+"/24", "dev", "cable")
	for i := range servers {
		n.ip("-n", n.servers, "addr", "add", serverHost(i)+"/24", "dev", "cable")
	}
	for _, name := range []string{n.proxy, n.servers} {
		n.ip("-n", name, "link", "set", "lo", "up")
		n.ip("-n", name, "link", "set", "cable", "up")
	}
	return n
}

func (n *network) ip(args ...string) {
	n.e.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.e.Fatalf("ip %s: %v %s", strings.Join(args, " "), err, out)
	}
}

// cut drops every packet that a server sends; mend lets them pass again.
func (n *network) cut(server int)  { n.rule("add", server) }
func (n *network) mend(server int) { n.rule("del", server) }

func (n *network) rule(verb string, server int) {
	n.ip("-n", n.servers, "rule", verb, "from", serverHost(server), "to", proxyHost, "blackhole")
}

// Packets between the proxy and a server vanish: clients get an answer all the
// same, from another server or an error, and all is well when the network is.
func TestL19NetworkCut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip isn't installed: install iproute2, or run make test-tools")
	}
	if why := cluster.MariaDB.Missing(); why != "" {
		t.Skip(why)
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	e := &env{T: t, ctx: ctx, db: cluster.Data{Name: "cut"}}
	n := e.network(2)
	c, err := cluster.Start(ctx, cluster.Options{
		Flavor: cluster.MariaDB, Shards: 1, Replicas: 1, Namespace: n.servers, Hosts: []string{serverHost(0), serverHost(1)},
	})
	e.must(err)
	e.Cleanup(func() { e.must(c.Close()) })
	e.c = c
	e.must(c.Exec(ctx, "CREATE DATABASE cut", "CREATE TABLE cut.t (id INT PRIMARY KEY, n INT)", "INSERT INTO cut.t VALUES (1, 0)"))
	e.must(c.Sync(ctx))
	d := e.serveIn(n.proxy, settings{"servers": "{user: shardway, password: secret, dial_timeout: 1s}"}, c.Map(""))
	db := e.open(d, func(c *mysql.Config) { c.Net, c.Addr = "unix", d.socket })

	const primary, replica = 0, 1
	read := func(conn *sql.Conn) error {
		var v int
		return conn.QueryRowContext(ctx, "SELECT n FROM t WHERE id = 1").Scan(&v)
	}
	write := func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = 1")
		return err
	}
	// within fails unless f answers in time; it says what the answer was.
	within := func(what string, limit time.Duration, f func() error) error {
		t.Helper()
		began := time.Now()
		err := f()
		took := time.Since(began).Round(10 * time.Millisecond)
		t.Logf("note: %s: an answer after %s: %v", what, took, err)
		if took > limit {
			t.Errorf("%s: the answer came after %s, the limit is %s", what, took, limit)
		}
		return err
	}
	var conns [3]*sql.Conn
	for i := range conns {
		conns[i], err = db.Conn(ctx)
		e.must(err)
		defer func() { _ = conns[i].Close() }()
		e.must(read(conns[i]))
		e.must(write(conns[i]))
	}

	// A read under way at the replica is answered by the primary: the probe fails
	// (1 s), and 3 s later the statement is given up and sent there.
	running := make(chan error, 1)
	go func() {
		var v int
		running <- conns[0].QueryRowContext(ctx, "SELECT SLEEP(0.7) + n FROM t WHERE id = 1").Scan(&v)
	}()
	e.until("the read runs at the replica", func() bool {
		n, err := c.Shards[0].Replicas[0].Text(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(0.7)%'")
		return err == nil && n == "1"
	})
	n.cut(replica)
	if err := within("a read under way at a replica that is cut off", 20*time.Second, func() error { return <-running }); err != nil {
		t.Errorf("the read failed: %v", err)
	}
	if err := within("a new read with the replica cut off", 5*time.Second, func() error { return read(conns[1]) }); err != nil {
		t.Errorf("the read failed: %v", err)
	}
	n.mend(replica)
	e.until("the replica is up again", func() bool {
		_, body := d.get("/api/v1/servers")
		return strings.Count(body, `"up"`) == 2
	})

	n.cut(primary)
	if err := within("a write under way at a primary that is cut off", 20*time.Second, func() error { return write(conns[0]) }); err == nil {
		t.Error("a write was acknowledged by a primary that is cut off")
	}
	if err := within("a new write with the primary cut off", 5*time.Second, func() error { return write(conns[1]) }); err == nil {
		t.Error("a write was acknowledged by a primary that is cut off")
	} else if e, ok := errors.AsType[*mysql.MySQLError](err); !ok || e.Number != 1205 {
		t.Errorf("the error isn't one that clients retry: %v", err)
	}
	// A session that was there before the replica's outage may be told to try again:
	// nobody but the primary can say whether the replica has all that it saw.
	fresh, err := db.Conn(ctx)
	e.must(err)
	defer func() { _ = fresh.Close() }()
	if err := within("a read with the primary cut off", 5*time.Second, func() error { return read(fresh) }); err != nil {
		t.Errorf("the read failed: %v", err)
	}
	n.mend(primary)
	e.until("writes are taken again", func() bool { return write(conns[2]) == nil })
}

// until waits for something that has no event.
func (e *env) until(what string, ok func() bool) {
	e.Helper()
	e.untilWithin(time.Minute, what, ok)
}

// untilWithin waits for something that has no event and takes long.
func (e *env) untilWithin(d time.Duration, what string, ok func() bool) {
	e.Helper()
	deadline := time.Now().Add(d)
	for !ok() {
		if time.Now().After(deadline) {
			e.Fatalf("not within %s: %s", d, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
