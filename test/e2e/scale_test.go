package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestManyClients connects 5,000 clients that stay, and lets some of them ask.
func TestManyClients(t *testing.T) {
	const clients = 5000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < 2*clients {
		t.Skipf("%d open files are allowed, %d needed", limit.Max, 2*clients)
	}
	limit.Cur = limit.Max
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	onEach(t, "many", app, func(e *env) {
		d := e.serve(nil)
		e.dial(d, nil) // whatever is needed once
		before := d.rss()
		all := make([]*wire, clients)
		var wg sync.WaitGroup
		next := make(chan int)
		for range 32 {
			wg.Go(func() {
				for i := range next {
					w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
					if err != nil {
						e.Errorf("client %d: %v", i, err)
						continue
					}
					_ = w.nc.SetDeadline(time.Time{})
					if i%10 == 0 {
						if got, err := w.one(fmt.Sprintf("SELECT name FROM users WHERE id = %d", i%50)); err != nil || got != fmt.Sprintf("user %d", i%50) {
							e.Errorf("client %d: %q, %v", i, got, err)
						}
					}
					w.r.Reset(nil)
					all[i] = w
				}
			})
		}
		for i := range clients {
			next <- i
		}
		close(next)
		wg.Wait()
		if e.Failed() {
			e.FailNow()
		}
		grown := d.rss() - before
		race := "built with the race detector"
		if os.Getenv("SHARDWAY_BINARY") != "" {
			race = "SHARDWAY_BINARY"
		}
		e.Logf("note: %d clients took %.1f KiB of memory each (%s; the benchmark measures the plain build)", clients, float64(grown)/clients/1024, race)
		if _, body := d.get("/metrics"); !strings.Contains(body, "shardway_sessions") {
			e.Error("no shardway_sessions metric")
		}
		// All of them are still there and served.
		for i, w := range all {
			w.r.Reset(w.nc)
			w.deadline(30 * time.Second)
			if i%7 == 0 {
				if got, err := w.one("SELECT 1"); got != "1" || err != nil {
					e.Fatalf("client %d after a while: %q, %v", i, got, err)
				}
			} else if _, err := w.simple(comPing); err != nil {
				e.Fatalf("client %d after a while: %v", i, err)
			}
		}
		for _, s := range e.c.Servers() {
			n, err := s.Text(e.ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'shardway'")
			e.must(err)
			if len(n) > 2 || len(n) == 2 && n > "55" {
				e.Errorf("%s has %s connections of %d clients, want at most 50 and a probe", s.Name, n, clients)
			}
		}
		for _, w := range all {
			w.close()
		}
	})
}

// TestW30Reload changes the configuration and the map under clients that stay.
func TestW30Reload(t *testing.T) {
	onEach(t, "reload", app, func(e *env) {
		d := e.serve(nil)
		l := e.startWorkload(d, 4, false)
		l.until(50)
		w := e.dial(d, nil)
		if got, err := w.one("SELECT name FROM users WHERE id = 7"); got != "user 7" || err != nil {
			e.Fatal(got, err)
		}
		waitFor := func(what string, ok func() bool) {
			e.Helper()
			deadline := time.Now().Add(20 * time.Second)
			for !ok() {
				if time.Now().After(deadline) {
					e.Fatalf("no sign of %s:\n%s", what, d.log.tail(3000))
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		version := func() string {
			rows, err := w.text("SHOW SHARDWAY MAP")
			if err != nil {
				return err.Error()
			}
			return fmt.Sprint(rows)
		}
		// A user is new, another's password changes; connected clients stay.
		d.rewrite("shardway.yaml", d.configuration(settings{"users": fmt.Sprintf("{app: {password: changed, databases: [%s]}, late: {password: late, databases: [%s]}}", e.db.Name, e.db.Name)}, e.db.Name))
		d.signal(syscall.SIGHUP)
		waitFor("the new user", func() bool {
			w, err := dialWire(wireOptions{addr: d.addr, user: "late", password: "late", db: e.db.Name})
			if err == nil {
				w.close()
			}
			return err == nil
		})
		if _, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name}); err == nil {
			e.Error("the old password still works")
		}
		if got, err := w.one("SELECT 1"); got != "1" || err != nil {
			e.Errorf("a connected client after the reload: %q, %v", got, err)
		}
		l.stop()
		l.wg.Wait()

		// A broken configuration changes nothing and is in the log.
		d.rewrite("shardway.yaml", "listen: [nonsense\n")
		d.signal(syscall.SIGHUP)
		waitFor("the error", func() bool { return strings.Contains(d.log.String(), "shardway.yaml") })
		late, err := dialWire(wireOptions{addr: d.addr, user: "late", password: "late", db: e.db.Name})
		e.must(err)
		late.close()

		// A new map is taken, by the change of its file alone; then one with a
		// hole is refused as a whole.
		d.rewrite("shardway.yaml", d.configuration(nil, e.db.Name))
		old := version()
		next := strings.Replace(e.c.Map(e.db.Map(e.c.Shards)), "version: 1", "version: 2", 1)
		next = strings.Replace(next, fmt.Sprintf(", {addr: %q}", e.c.Shards[0].Replicas[1].Addr), "", 1)
		d.rewrite("shards.yaml", next)
		waitFor("the new map", func() bool { return version() != old })
		e.logging()
		for range 20 {
			if got, err := w.one("SELECT name, 'reload-token' FROM users WHERE id = 7"); got != "user 7" || err != nil {
				e.Fatal(got, err)
			}
		}
		if got := e.served("reload-token"); got["s0r1"] != 20 {
			e.Errorf("after s0r2 left the map: %v, want s0r1 alone", got)
		}
		old = version()
		d.rewrite("shards.yaml", strings.Replace(strings.Replace(next, "version: 2", "version: 3", 1), `"0-7"`, `"0-6"`, 1))
		d.signal(syscall.SIGHUP)
		waitFor("the error", func() bool { return strings.Contains(d.log.String(), "slot 7") })
		if got := version(); got != old {
			e.Errorf("a broken map was taken: %s", got)
		}
		if got, err := w.one("SELECT name FROM users WHERE id = 7"); got != "user 7" || err != nil {
			e.Error(got, err)
		}
	})
}

// TestW30Drain: SIGTERM lets transactions end, refuses new clients, and ends.
func TestW30Drain(t *testing.T) {
	onBoth(t, "drain", app, func(e *env) {
		d := e.serve(settings{"drain_timeout": "20s"})
		idle, busy := e.dial(d, nil), e.dial(d, nil)
		for _, q := range []string{"BEGIN", "UPDATE users SET age = 77 WHERE id = 7"} {
			rs, err := busy.query(q)
			e.must(err)
			if rs[0].Err != nil {
				e.Fatal(rs[0].Err)
			}
		}
		d.signal(syscall.SIGTERM)
		// An idle client is let go.
		_ = idle.nc.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := idle.r.ReadByte(); err == nil {
			e.Log("an idle client was told why it is let go")
		} else if strings.Contains(err.Error(), "timeout") {
			e.Error("an idle client is kept while draining")
		}
		if w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app"}); err == nil {
			e.Error("a new client was let in while draining")
			w.close()
		}
		if code, _ := d.get("/readyz"); code == 200 {
			e.Error("/readyz is fine while draining")
		}
		rs, err := busy.query("UPDATE users SET age = age + 1 WHERE id = 7")
		if err != nil || rs[0].Err != nil {
			e.Errorf("in a transaction while draining: %v, %v", rs, err)
		}
		rs, err = busy.query("COMMIT")
		if err != nil || rs[0].Err != nil {
			e.Errorf("COMMIT while draining: %v, %v", rs, err)
		}
		select {
		case <-d.exited:
			if d.err != nil {
				e.Errorf("ended with %v", d.err)
			}
		case <-time.After(15 * time.Second):
			e.Error("it doesn't end after the last transaction")
		}
		if got, err := e.c.Shards[0].Primary.Text(e.ctx, "SELECT age FROM drain.users WHERE id = 7"); got != "78" || err != nil {
			e.Errorf("age is %s, %v, want 78", got, err)
		}
	})
}
