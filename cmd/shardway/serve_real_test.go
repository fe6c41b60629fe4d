package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shardway/test/cluster"
)

// On a real server: readiness, a statement that is counted and logged as slow
// without its values, and a drain that waits for a transaction until a second
// signal cuts it off.
func TestServeAndDrain(t *testing.T) {
	if why := cluster.MariaDB.Missing(); why != "" {
		t.Skip(why)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Options{Flavor: cluster.MariaDB, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.Shards[0].Primary.Exec(ctx, "CREATE DATABASE shop", "CREATE TABLE shop.notes (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	conf := strings.Replace(serveConfig, "handshake: {version: 8.4.0}", "servers: {user: shardway, password: secret}\nlog: {slow_query: 1ns}", 1)
	r := startWith(t, conf, c.Map(""))
	waitReady(t, r)
	busy, idle := r.mustLogin("s.sock", "app", "app"), r.mustLogin("s.sock", "app", "app")
	for _, sql := range []string{"BEGIN", "INSERT INTO shop.notes VALUES (4711)"} {
		if _, err := busy.ExecContext(ctx, sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	if line := r.log.waitFor(t, `"kind":"insert"`, 1); strings.Contains(line, "4711") || !strings.Contains(line, "INSERT INTO shop.notes VALUES (?)") {
		t.Errorf("the slow statement's line is %s", line)
	}
	if _, body := r.http("/metrics"); !strings.Contains(body, `shardway_queries_total{kind="insert",outcome="ok",role="primary",shard="s0"} 1`) || !strings.Contains(body, "shardway_sessions_pinned 1\n") {
		t.Errorf("the metrics don't show the statement or its pin:\n%s", body)
	}

	everyMetric(t, r)

	r.signal(syscall.SIGTERM)
	r.log.waitFor(t, `"msg":"draining"`, 1)
	for idle.PingContext(ctx) == nil { // until it has been told
		continue
	}
	if code, body := r.http("/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if _, err := busy.ExecContext(ctx, "INSERT INTO shop.notes VALUES (4712)"); err != nil {
		t.Errorf("the client in a transaction was cut off: %v", err)
	}
	select {
	case status := <-r.status:
		t.Fatalf("ended with status %d while a client was in a transaction", status)
	default:
	}
	r.signal(syscall.SIGHUP) // changes nothing any more
	r.signal(os.Interrupt)
	if status := <-r.status; status != 0 {
		t.Errorf("status %d", status)
	}
	r.log.waitFor(t, `"msg":"drained in part"`, 1)
	if n, err := c.Shards[0].Primary.Text(ctx, "SELECT COUNT(*) FROM shop.notes"); err != nil || n != "0" {
		t.Errorf("%s rows of the transaction that was cut off, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "s.sock")); !os.IsNotExist(err) {
		t.Error("the socket is still there")
	}
}

func waitReady(t *testing.T, r *running) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		code, body := r.http("/readyz")
		if code == 200 {
			return
		}
		select {
		case <-late:
			t.Fatalf("not ready: %s", body)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// everyMetric checks that a running proxy has each metric that is documented,
// except those of errors and of replicas, of which there are none here.
func everyMetric(t *testing.T, r *running) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, body := r.http("/metrics")
	happens := []string{"shardway_errors_total", "shardway_moves", "shardway_server_replication_lag_seconds"} // not here
	for _, m := range regexp.MustCompile("(?m)^\\| `(shardway_[a-z_]+)`").FindAllStringSubmatch(string(doc), -1) {
		if name := m[1]; !slices.Contains(happens, name) && !strings.Contains(body, "\n# HELP "+name+" ") {
			t.Errorf("there is no metric %s", name)
		}
	}
}
