package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/etcdstore"
	"shardway/test/cluster"
)

// Three proxies follow one map in etcd within a second, and are known there by
// what they serve. Without etcd they serve, take a new configuration, and
// follow again when etcd is back.
func TestServeMapInEtcd(t *testing.T) {
	if why := cluster.EtcdMissing(); why != "" {
		t.Skip(why)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	e, err := cluster.StartEtcd(ctx, cluster.EtcdOptions{Root: "r00t", Users: map[string]string{"shardway": "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := etcdstore.Open(e.Map("shop"), etcdstore.Options{User: "shardway", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	m, err := shardmap.Parse([]byte(goodMap))
	if err != nil {
		t.Fatal(err)
	}
	swap := func(next *shardmap.Map) {
		t.Helper()
		if err := store.Swap(ctx, next.Version()-1, next); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Swap(ctx, 0, m); err != nil {
		t.Fatal(err)
	}

	conf := strings.Replace(serveConfig, "map: shards.yaml", "map: "+e.Map("shop")+"\netcd: {user: shardway, password_file: etcd.txt}", 1)
	secret := filepath.Join(t.TempDir(), "etcd.txt")
	write(t, secret, "secret\n")
	conf = strings.Replace(conf, "etcd.txt", secret, 1)
	var fleet []*running
	for range 3 {
		fleet = append(fleet, startWith(t, conf, ""))
	}
	// serving waits until the proxies that etcd knows serve the version.
	serving := func(version uint64, want int) []shardmap.Proxy {
		t.Helper()
		for {
			list, err := store.Proxies(ctx)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, p := range list {
				if p.Serving == version {
					n++
				}
			}
			if n == want && len(list) == want {
				return list
			}
			select {
			case <-ctx.Done():
				t.Fatalf("etcd knows the proxies %+v, want %d that serve version %d", list, want, version)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	serving(m.Version(), 3)
	var took []time.Duration
	for range 5 {
		m = m.WithVersion(m.Version() + 1)
		began := time.Now()
		swap(m)
		serving(m.Version(), 3)
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	slices.Sort(took)
	// How long it takes depends on what else the machine does; one that missed a
	// change would have it from its next look at etcd only, seconds later.
	t.Logf("note: three proxies have followed a change of the map after %s", took)

	client := fleet[0].mustLogin("s.sock", "app", "app")
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, r := range fleet {
		r.log.waitFor(t, "the map store can't be reached", 1)
		if line := r.log.waitFor(t, "this proxy can't be announced", 1); strings.Contains(line, "secret\"") {
			t.Errorf("the log shows a password: %s", line)
		}
	}
	fleet[0].write("shardway.yaml", strings.Replace(conf, "drain_timeout: 20s", "drain_timeout: 19s", 1))
	fleet[0].log.waitFor(t, `"msg":"reloaded"`, 1)
	if v, err := variable(t, client, "drain_timeout"); err != nil || v != "19s" {
		t.Errorf("a reload without etcd: drain_timeout is %s, %v", v, err)
	}
	if err := e.Start(ctx); err != nil {
		t.Fatal(err)
	}
	m = m.WithVersion(m.Version() + 1)
	for { // until the test's own connection is back
		if err = store.Swap(ctx, m.Version()-1, m); !errors.Is(err, shardmap.ErrUnavailable) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	serving(m.Version(), 3)
	for _, r := range fleet {
		r.log.waitFor(t, "the map store is reached again", 1)
		if n := strings.Count(r.log.String(), "the map store can't be reached"); n != 1 {
			t.Errorf("%d lines tell of one outage", n)
		}
	}

	// One that ends is off the list before its lease runs out.
	began := time.Now()
	fleet[2].signal(syscall.SIGTERM)
	serving(m.Version(), 2)
	if took := time.Since(began); took > shardmap.PresenceTTL {
		t.Errorf("a proxy that ended was on the list for %s", took)
	}

	status, out, _ := runIt(t, "check", "-c", filepath.Join(fleet[1].dir, "shardway.yaml"))
	if want := fmt.Sprintf("version %d: ", m.Version()); status != 0 || !strings.Contains(out, want) || !strings.Contains(out, e.Map("shop")) {
		t.Errorf("check: status %d\n%s", status, out)
	}
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	status, out, _ = runIt(t, "check", "-c", filepath.Join(fleet[1].dir, "shardway.yaml"))
	if status != 1 || !strings.Contains(out, "read the map: ") || !strings.Contains(out, "check that etcd runs there") {
		t.Errorf("check without etcd: status %d\n%s", status, out)
	}
}
