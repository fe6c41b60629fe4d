package compose

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// TestImage looks at the container: its health, its user, what is in it.
func TestImage(t *testing.T) {
	s := open(t)
	if out := s.compose("exec", "-T", "shardway", "shardway", "health"); out != "ready" {
		t.Errorf("shardway health says %q", out)
	}
	out := s.compose("exec", "-T", "shardway", "shardway", "check", "-c", "/etc/shardway/shardway.yaml", "--connect")
	if !strings.Contains(out, " 0 failures") {
		t.Errorf("shardway check:\n%s", out)
	}
	if out := s.compose("exec", "-T", "shardway", "shardctl", "-c", "/etc/shardway/shardway.yaml", "map", "check"); !strings.Contains(out, "2 shards") {
		t.Errorf("shardctl map check: %s", out)
	}
	id := s.compose("ps", "-q", "shardway")
	inspect := func(format string) string { return s.docker("inspect", "--format", format, id) }
	if user := inspect("{{.Config.User}}"); user != "65532:65532" {
		t.Errorf("the container runs as user %q", user)
	}
	s.eventually(func() string {
		if state := inspect("{{.State.Health.Status}}"); state != "healthy" {
			return "the container is " + state
		}
		return ""
	})
}

// TestAdmin has open probes, and metrics for those who have the token.
func TestAdmin(t *testing.T) {
	s := open(t)
	if code, body := s.get("/livez", ""); code != http.StatusOK {
		t.Errorf("/livez: %d %s", code, body)
	}
	if code, _ := s.get("/metrics", ""); code != http.StatusUnauthorized {
		t.Errorf("/metrics without the token: %d", code)
	}
	code, body := s.get("/metrics", setting("ADMIN_TOKEN", "admin"))
	if code != http.StatusOK || !strings.Contains(body, "\nshardway_ready 1\n") || strings.Count(body, "\nshardway_server_up{") != len(servers()) {
		t.Errorf("/metrics: %d\n%s", code, body)
	}
}

// TestReadsAreSpread has each replica of a shard serve its part of the reads,
// and the primary none.
func TestReadsAreSpread(t *testing.T) {
	s := open(t)
	served := s.logging()
	const each, reads = 8, 50
	for shard, names := range shards {
		token := fmt.Sprintf("spread %s %d", shard, time.Now().UnixNano())
		clients(each, func(int) {
			for range reads {
				got, err := one(s.ctx, s.db, fmt.Sprintf("SELECT CONCAT(name, ', %s') FROM users WHERE id = %d", token, user[shard]))
				if want := fmt.Sprintf("user %d, %s", user[shard], token); err != nil || got != want {
					t.Errorf("%q, want %q: %v", got, want, err)
				}
			}
		})
		counts := served(token)
		if n := counts[names[1]] + counts[names[2]]; n != each*reads || len(counts) != 2 {
			t.Errorf("%d reads of %s on its replicas, want %d: %v", n, shard, each*reads, counts)
		}
		for _, name := range names[1:] {
			if n := counts[name]; n < each*reads/3 {
				t.Errorf("%s served %d of %d reads", name, n, each*reads)
			}
		}
	}
}

// TestRowsFindTheirShard writes rows and looks for them on the servers.
func TestRowsFindTheirShard(t *testing.T) {
	s := open(t)
	const first, last = 10_000, 10_199
	s.Cleanup(func() { s.deleteUsers(first, last) })
	insert, err := s.db.PrepareContext(s.ctx, "INSERT INTO users (id, name, country) VALUES (?, ?, ?)")
	s.must(err)
	defer insert.Close()
	for id := first; id <= last; id++ {
		_, err := insert.ExecContext(s.ctx, id, fmt.Sprintf("new %d", id), "pl")
		s.must(err)
	}
	for shard, names := range shards {
		want := 0
		for id := first; id <= last; id++ {
			if shardOf(id) == shard {
				want++
			}
		}
		for _, name := range names {
			server := s.server(name)
			s.eventually(func() string { // replicas come after
				total, err := one(s.ctx, server, "SELECT COUNT(*) FROM shop.users WHERE id BETWEEN ? AND ?", first, last)
				if err != nil || total != fmt.Sprint(want) {
					return fmt.Sprintf("%s has %s of %d rows: %v", name, total, want, err)
				}
				return ""
			})
		}
	}
	read, err := s.db.PrepareContext(s.ctx, "SELECT name FROM users WHERE id = ?")
	s.must(err)
	defer read.Close()
	clients(8, func(client int) {
		for id := first + client; id <= last; id += 8 {
			var name string
			if err := read.QueryRowContext(s.ctx, id).Scan(&name); err != nil || name != fmt.Sprintf("new %d", id) {
				t.Errorf("row %d: %q: %v", id, name, err)
			}
		}
	})
}

// TestTransactions sees its own writes, takes them back and keeps them.
func TestTransactions(t *testing.T) {
	s := open(t)
	for shard, id := range user {
		name := func(q interface {
			QueryRow(query string, args ...any) *sql.Row
		},
		) (name string) {
			s.must(q.QueryRow("SELECT /* shardway: primary */ name FROM users WHERE id = ?", id).Scan(&name))
			return name
		}
		before := name(s.db)
		s.Cleanup(func() {
			_, err := s.db.Exec("UPDATE users SET name = ? WHERE id = ?", before, id)
			s.must(err)
		})
		for _, commit := range []bool{false, true} {
			tx, err := s.db.BeginTx(s.ctx, nil)
			s.must(err)
			after := fmt.Sprintf("%s, renamed", before)
			_, err = tx.ExecContext(s.ctx, "UPDATE users SET name = ? WHERE id = ?", after, id)
			s.must(err)
			if got := name(tx); got != after {
				t.Errorf("%s: inside the transaction the name is %q", shard, got)
			}
			if got := name(s.db); got != before {
				t.Errorf("%s: outside the transaction the name is %q", shard, got)
			}
			want := before
			if commit {
				want = after
				s.must(tx.Commit())
			} else {
				s.must(tx.Rollback())
			}
			if got := name(s.db); got != want {
				t.Errorf("%s: after the transaction (commit: %t) the name is %q, want %q", shard, commit, got, want)
			}
		}
	}
}

// TestOwnWritesAreRead has each client read, on replicas, what it just wrote.
func TestOwnWritesAreRead(t *testing.T) {
	s := open(t)
	const first, last = 30_000, 30_007
	s.Cleanup(func() { s.deleteUsers(first, last) })
	clients(last-first+1, func(client int) {
		id := first + client
		c, err := s.db.Conn(s.ctx)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := c.ExecContext(s.ctx, fmt.Sprintf("INSERT INTO users (id, name, country) VALUES (%d, '', 'us')", id)); err != nil {
			t.Error(err)
			return
		}
		for i := range 50 {
			name := fmt.Sprintf("version %d", i)
			if _, err := c.ExecContext(s.ctx, fmt.Sprintf("UPDATE users SET name = '%s' WHERE id = %d", name, id)); err != nil {
				t.Error(err)
				return
			}
			if got, err := one(s.ctx, c, fmt.Sprintf("SELECT name FROM users WHERE id = %d", id)); err != nil || got != name {
				t.Errorf("row %d: %q, want %q: %v", id, got, name, err)
				return
			}
		}
	})
}

// TestSwitchover makes a replica the primary while clients write, and takes it
// back: no client sees an error, and no row is missing.
func TestSwitchover(t *testing.T) {
	s := open(t)
	const first, writers = 1024 * 100, 4 // slot 0 is of s0
	var stop atomic.Bool
	var next atomic.Int64
	next.Store(-1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		clients(writers, func(int) {
			for !stop.Load() {
				n := next.Add(1)
				if _, err := s.db.ExecContext(s.ctx, fmt.Sprintf("INSERT INTO users (id, name, country) VALUES (%d, 'switched', 'de')", first+n*1024)); err != nil {
					t.Errorf("row %d: %v", n, err)
				}
			}
		})
	}()
	s.Cleanup(func() {
		for n := range next.Load() + 1 {
			_, err := s.db.Exec(fmt.Sprintf("DELETE FROM users WHERE id = %d", first+n*1024))
			s.must(err)
		}
	})
	defer func() {
		stop.Store(true)
		<-done
	}()
	for _, to := range []string{"s0b", "s0a"} {
		before := next.Load()
		out := s.compose("exec", "-T", "shardway", "shardctl", "-c", "/etc/shardway/shardway.yaml", "--yes", "switchover", "s0", "--to", to+":3306")
		t.Logf("note: %s", out[strings.LastIndex(out, "\n")+1:])
		if read, err := one(s.ctx, s.server(to), "SELECT @@global.read_only"); err != nil || read != "0" {
			t.Errorf("the new primary %s has read_only=%s: %v", to, read, err)
		}
		s.eventually(func() string {
			if next.Load() < before+100 {
				return "the writers stand still"
			}
			return ""
		})
		s.ready()
	}
	stop.Store(true)
	<-done
	want := fmt.Sprint(next.Load() + 1)
	if got, err := one(s.ctx, s.server("s0a"), "SELECT COUNT(*) FROM shop.users WHERE name = 'switched'"); err != nil || got != want {
		t.Errorf("%s rows of %s: %v", got, want, err)
	}
}

// TestReplicaKilled goes on reading while a replica dies, and uses it again
// when it is back.
func TestReplicaKilled(t *testing.T) {
	s := open(t)
	const victim, other = "s1b", "s1c"
	var stop atomic.Bool
	var good, bad atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		clients(8, func(int) {
			for !stop.Load() {
				got, err := one(s.ctx, s.db, "SELECT name FROM users WHERE id = ?", user["s1"])
				switch {
				case err != nil:
					bad.Add(1)
				case got != fmt.Sprintf("user %d", user["s1"]):
					t.Errorf("a wrong row: %q", got)
				default:
					good.Add(1)
				}
			}
		})
	}()
	defer func() {
		stop.Store(true)
		<-done
	}()
	s.kill(victim)
	before := good.Load()
	s.eventually(func() string {
		if n := good.Load() - before; n < 1000 {
			return fmt.Sprintf("%d reads in the time since a replica is dead", n)
		}
		return ""
	})
	stop.Store(true)
	<-done
	if n := bad.Load(); n > 0 {
		t.Errorf("%d reads failed and %d didn't while a replica died", n, good.Load())
	}
	t.Logf("note: %d reads, none failed, while a replica died", good.Load())
	s.start(victim)
	served := s.logging()
	token := fmt.Sprintf("back %d", time.Now().UnixNano())
	s.eventually(func() string {
		for range 20 {
			_, err := one(s.ctx, s.db, fmt.Sprintf("SELECT CONCAT(name, '%s') FROM users WHERE id = %d", token, user["s1"]))
			s.must(err)
		}
		if counts := served(token); counts[victim] == 0 || counts[other] == 0 {
			return fmt.Sprintf("the replica serves no reads again: %v", counts)
		}
		return ""
	})
}

// TestPrimaryKilled refuses a shard's writes within the deadlines, goes on with
// the other shard, and takes the writes again when the primary is back.
func TestPrimaryKilled(t *testing.T) {
	s := open(t)
	write := func(shard string) error {
		_, err := s.db.ExecContext(s.ctx, fmt.Sprintf("UPDATE users SET name = name WHERE id = %d", user[shard]))
		return err
	}
	s.kill("s0a")
	began := time.Now()
	err := write("s0")
	if took := time.Since(began); err == nil || took > 15*time.Second {
		t.Errorf("a write to a shard without its primary: %v after %s", err, took)
	}
	if err := write("s1"); err != nil {
		t.Errorf("a write to the other shard: %v", err)
	}
	if got, err := one(s.ctx, s.db, fmt.Sprintf("SELECT name FROM users WHERE id = %d", user["s1"])); err != nil || got != fmt.Sprintf("user %d", user["s1"]) {
		t.Errorf("a read of the other shard: %q: %v", got, err)
	}
	s.eventually(func() string {
		if code, body := s.get("/readyz", ""); code != http.StatusServiceUnavailable {
			return fmt.Sprintf("/readyz answers %d %s", code, body)
		}
		return ""
	})
	s.start("s0a")
	if err := write("s0"); err != nil {
		t.Errorf("a write when the primary is back: %v", err)
	}
}

// TestDrain ends the proxy in order under a transaction, which it lets finish.
func TestDrain(t *testing.T) {
	s := open(t)
	s.Cleanup(func() { s.deleteUsers(20_000, 20_000) })
	tx, err := s.db.BeginTx(s.ctx, nil)
	s.must(err)
	_, err = tx.ExecContext(s.ctx, "INSERT INTO users (id, name, country) VALUES (20000, 'drained', 'jp')")
	s.must(err)
	id := s.compose("ps", "-q", "shardway")
	stopped := make(chan error, 1)
	go func() {
		_, err := s.run([]string{"docker", "stop", "--time", "40", id})
		stopped <- err
	}()
	s.eventually(func() string {
		if code, body := s.get("/readyz", ""); code == http.StatusOK {
			return "still " + body
		}
		return ""
	})
	select {
	case err := <-stopped:
		t.Fatalf("the proxy didn't wait for a transaction: %v", err)
	default:
	}
	s.must(tx.Commit())
	s.must(<-stopped)
	if status := s.docker("inspect", "--format", "{{.State.ExitCode}}", id); status != "0" {
		t.Errorf("the proxy ended with status %s", status)
	}
	s.start("shardway")
	if got, err := one(s.ctx, s.db, "SELECT /* shardway: primary */ name FROM users WHERE id = 20000"); err != nil || got != "drained" {
		t.Errorf("the row of the transaction: %q: %v", got, err)
	}
}

// TestWrongPassword is refused as a server would.
func TestWrongPassword(t *testing.T) {
	s := open(t)
	db := s.connect(s.port("shardway", 4406), "app", "wrong", "shop")
	var refused *mysql.MySQLError
	if err := db.PingContext(s.ctx); !errors.As(err, &refused) || refused.Number != 1045 {
		t.Errorf("a login with a wrong password: %v", err)
	}
}
