package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// bound is how long a cluster may take to start on two cores.
var bound = map[Flavor]time.Duration{MariaDB: 10 * time.Second, MySQL: 30 * time.Second}

func TestCluster(t *testing.T) {
	for _, f := range Flavors() {
		t.Run(string(f), func(t *testing.T) {
			if why := f.Missing(); why != "" {
				t.Skip(why)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			began := time.Now()
			c, err := Start(ctx, Options{Flavor: f, Shards: 2, Replicas: 2, Plain: true})
			if err != nil {
				t.Fatal(err)
			}
			closed := false
			defer func() {
				if !closed {
					_ = c.Close()
				}
			}()
			took := time.Since(began)
			t.Logf("7 servers in %s", took.Round(time.Millisecond))
			if took > bound[f] {
				t.Errorf("started in %s, want at most %s", took, bound[f])
			}

			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(c.Exec(ctx, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)"))
			for i, sh := range c.Shards {
				must(sh.Primary.Exec(ctx, fmt.Sprintf("INSERT INTO app.t VALUES (%d), (%d)", i, i+10)))
			}
			must(c.Sync(ctx))
			for i, sh := range c.Shards {
				for _, r := range sh.Replicas {
					if got, err := r.Text(ctx, "SELECT GROUP_CONCAT(id ORDER BY id) FROM app.t"); err != nil || got != fmt.Sprintf("%d,%d", i, i+10) {
						t.Errorf("%s has %q, %v", r.Name, got, err)
					}
					if got, err := r.Text(ctx, "SELECT @@read_only"); err != nil || got != "1" {
						t.Errorf("%s: read_only is %q, %v", r.Name, got, err)
					}
				}
			}

			r := c.Shards[0].Replicas[0]
			must(r.LogQueries(ctx, true))
			out, err := f.Client("-h127.0.0.1", fmt.Sprintf("-P%d", r.Port), "-u"+User, "-p"+Password, "-e",
				"SELECT 'token', COUNT(*) FROM app.t").CombinedOutput()
			if err != nil {
				t.Errorf("%s\n%v", out, err)
			}
			if n, err := r.Logged(ctx, "'token'"); n != 1 || err != nil {
				t.Errorf("the general log has %d entries, %v, want 1", n, err)
			}
			must(r.LogQueries(ctx, false))
			out, err = f.Client("-h127.0.0.1", fmt.Sprintf("-P%d", r.Port), "-u"+User, "-p"+Password, "-e",
				"INSERT INTO app.t VALUES (99)").CombinedOutput()
			if err == nil || !strings.Contains(string(out), "1290") {
				t.Errorf("a write on a replica got %v, %s, want error 1290", err, out)
			}

			// A replica that was killed is back and catches up.
			must(r.Kill())
			must(c.Shards[0].Primary.Exec(ctx, "INSERT INTO app.t VALUES (20)"))
			must(r.Start(ctx))
			must(c.Sync(ctx))
			if got, err := r.Text(ctx, "SELECT COUNT(*) FROM app.t"); err != nil || got != "3" {
				t.Errorf("after a restart %q rows, %v, want 3", got, err)
			}
			// So is a primary, and its replicas find it again.
			p := c.Shards[0].Primary
			must(p.Kill())
			must(p.Start(ctx))
			must(p.Exec(ctx, "INSERT INTO app.t VALUES (30)"))
			must(c.Sync(ctx))
			status, err := p.Status(ctx, "Com_insert")
			if err != nil || status["com_insert"] != 1 {
				t.Errorf("Com_insert is %v, %v, want 1", status, err)
			}

			closed = true
			must(c.Close())
			if _, err := os.Stat(c.Dir); err == nil {
				t.Errorf("%s is still there", c.Dir)
			}
			for _, s := range c.Servers() {
				if s.PID() != 0 {
					t.Errorf("%s still runs", s.Name)
				}
			}
		})
	}
}
