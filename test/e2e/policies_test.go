package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/test/cluster"
)

// whoServes reads slot 7, which is of s0, and returns the replica that answered.
func (e *env) whoServes(w *wire) string {
	e.Helper()
	rows, err := w.text("SELECT @@server_id, name FROM users WHERE id = 7")
	e.must(err)
	if len(rows) != 1 || rows[0][1] != "user 7" {
		e.Fatalf("a wrong answer: %q", rows)
	}
	return e.byID(rows[0][0])
}

func (e *env) byID(id string) string {
	for _, s := range e.c.Servers() {
		if strconv.Itoa(s.ID) == id {
			return s.Name
		}
	}
	return "server " + id
}

// reads lets clients read at once, n times in all, and counts what each server served.
func (e *env) reads(d *daemon, clients, n int, sql string) map[string]int {
	e.Helper()
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for range clients {
		w := e.dial(d, nil)
		wg.Go(func() {
			defer w.close()
			for range n / clients {
				id, err := w.one(sql)
				if err != nil {
					e.Error(err)
					return
				}
				mu.Lock()
				got[e.byID(id)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return got
}

// policy is a policy alone: what a session has seen doesn't keep it from a replica.
func policy(name string) settings {
	return settings{"replicas": "{policy: " + name + ", max_lag: 0, warm_up: 0, causal_reads: \"off\"}"}
}

func TestPolicyWeighted(t *testing.T) {
	on(t, cluster.MariaDB, "weighted", app, func(e *env) {
		shardmap := e.c.Map(e.db.Map(e.c.Shards))
		for addr, weight := range map[string]int{
			e.c.Shards[0].Replicas[0].Addr: 3, e.c.Shards[0].Replicas[1].Addr: 1,
			e.c.Shards[1].Replicas[0].Addr: 0, e.c.Shards[1].Replicas[1].Addr: 5,
		} {
			shardmap = strings.Replace(shardmap, fmt.Sprintf("{addr: %q}", addr), fmt.Sprintf("{addr: %q, weight: %d}", addr, weight), 1)
		}
		d := e.serveMap(policy("weighted"), shardmap)
		const clients, n = 4, 400
		for _, c := range []struct {
			key  int
			want map[string]int
		}{{7, map[string]int{"s0r1": n * 3 / 4, "s0r2": n / 4}}, {8, map[string]int{"s1r2": n}}} {
			got := e.reads(d, clients, n, fmt.Sprintf("SELECT @@server_id FROM users WHERE id = %d", c.key))
			for _, name := range slices.Sorted(maps.Keys(got)) {
				if diff := got[name] - c.want[name]; diff < -clients || diff > clients {
					e.Errorf("id %d: served by %v, want %v", c.key, got, c.want)
				}
			}
		}
	})
}

// TestPolicyLeastConnections: while one replica is busy with a long read, all
// others go to the idle one.
func TestPolicyLeastConnections(t *testing.T) {
	on(t, cluster.MariaDB, "leastconn", app, func(e *env) {
		d := e.serve(policy("least_connections"))
		busy, w := e.dial(d, nil), e.dial(d, nil)
		idle := map[string]int{}
		for range 20 {
			idle[e.whoServes(w)]++
		}
		if len(idle) != 2 {
			e.Errorf("without load %v serve, want both replicas", idle)
		}
		e.must(busy.send(comQuery, []byte("SELECT @@server_id, SLEEP(3) FROM users WHERE id = 7")))
		deadline := time.Now().Add(10 * time.Second)
		sleeps := func() bool {
			for _, r := range e.c.Shards[0].Replicas {
				n, err := r.Text(e.ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%, SLEEP(3) FROM%' AND user = 'shardway'")
				e.must(err)
				if n == "1" {
					return true
				}
			}
			return false
		}
		for !sleeps() {
			if time.Now().After(deadline) {
				e.Fatal("the long read is on no replica of s0")
			}
		}
		began := time.Now()
		got := map[string]int{}
		for range 100 {
			got[e.whoServes(w)]++
		}
		if took := time.Since(began); took > 2*time.Second {
			e.Fatalf("100 reads took %s: they waited, or the long read was over", took)
		}
		rs, err := busy.results()
		e.must(err)
		if rs[0].Err != nil {
			e.Fatal(rs[0].Err)
		}
		name := e.byID(textRow(rs[0].Rows[0])[0])
		if len(got) != 1 || got[name] != 0 {
			e.Errorf("%s was busy, reads were served by %v, want the other replica alone", name, got)
		}
	})
}

// TestPolicyLatency: a replica that answers late gets few reads, and many again
// when it answers early and the other doesn't.
func TestPolicyLatency(t *testing.T) {
	on(t, cluster.MariaDB, "latency", app, func(e *env) {
		d := e.serve(policy("latency"))
		const clients, n = 4, 200
		for _, slow := range []int{0, 1, 0} {
			late, early := e.c.Shards[0].Replicas[slow], e.c.Shards[0].Replicas[1-slow]
			sql := fmt.Sprintf("SELECT @@server_id FROM users WHERE id = 7 AND SLEEP(IF(@@server_id = %d, 0.02, 0)) = 0", late.ID)
			deadline := time.Now().Add(20 * time.Second)
			for {
				got := e.reads(d, clients, n, sql)
				if got[early.Name] >= n*8/10 {
					break
				}
				if e.Failed() || time.Now().After(deadline) {
					e.Fatalf("%s takes 20 ms longer: served by %v, want %s mostly", late.Name, got, early.Name)
				}
			}
		}
	})
}

// TestPolicyClientIPHash: each client's address has its replica, however often
// it connects; when a replica dies its clients alone move, and come back to it.
func TestPolicyClientIPHash(t *testing.T) {
	on(t, cluster.MariaDB, "iphash", app, func(e *env) {
		e.restartAfter()
		// The plain server has all rows: it is a third replica here. With two
		// the clients of the one that is left have no other place to be.
		sh := e.c.Shards[0]
		last := sh.Replicas[len(sh.Replicas)-1].Addr
		shardmap := strings.Replace(e.c.Map(e.db.Map(e.c.Shards)), fmt.Sprintf("{addr: %q}", last), fmt.Sprintf("{addr: %q}, {addr: %q}", last, e.c.Plain.Addr), 1)
		// It doesn't replicate, so no session can be followed to it.
		d := e.serveMap(settings{"replicas": "{policy: client_ip_hash, max_lag: 0, causal_reads: off}"}, shardmap)
		replicas := append(slices.Clone(sh.Replicas), e.c.Plain)

		const clients, times = 30, 6
		all := map[string]*wire{}
		for i := range clients {
			from := fmt.Sprintf("127.0.0.%d", 2+i)
			all[from] = e.dial(d, func(o *wireOptions) { o.from = from })
		}
		// homes asks for each address from a connection that stays and from a new one.
		homes := func() map[string]string {
			e.Helper()
			m := map[string]string{}
			for from, w := range all {
				again := e.dial(d, func(o *wireOptions) { o.from = from })
				for range times {
					for _, w := range []*wire{w, again} {
						name := e.whoServes(w)
						if m[from] != "" && m[from] != name {
							e.Fatalf("%s is served by %s and by %s", from, m[from], name)
						}
						m[from] = name
					}
				}
				again.close()
			}
			return m
		}
		before := homes()
		count := map[string]int{}
		for _, name := range before {
			count[name]++
		}
		e.Logf("note: %d addresses on %v", clients, count)
		for _, r := range replicas {
			if count[r.Name] < clients/10 {
				e.Errorf("%d addresses on %v, want some on each of three replicas", clients, count)
			}
		}
		for _, gone := range replicas[:2] {
			e.must(gone.Kill())
			to := map[string]bool{}
			for from, name := range homes() {
				switch {
				case before[from] == gone.Name:
					to[name] = true
				case before[from] != name:
					e.Errorf("%s died, and %s moved from %s to %s", gone.Name, from, before[from], name)
				}
			}
			if len(to) != 2 || to[gone.Name] {
				e.Errorf("the clients of %s moved to %v, want both other replicas", gone.Name, to)
			}
			e.must(gone.Start(e.ctx))
			for from, w := range all {
				e.until(from+" is back on "+before[from]+", which runs again", func() bool { return e.whoServes(w) == before[from] })
			}
		}
	})
}
