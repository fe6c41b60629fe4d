package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/test/cluster"
)

// ownCluster is for tests that change who is the primary: one shard of its own. The
// kinds of servers are at once or one after the other, as with onBoth and onEach.
func ownCluster(t *testing.T, atOnce bool, test func(e *env)) {
	t.Helper()
	cluster.OnEach(t, atOnce, 4*time.Minute, cluster.Of(cluster.Options{Shards: 1, Replicas: 2}), func(ctx context.Context, t *testing.T, c *cluster.Cluster) {
		e := &env{T: t, ctx: ctx, c: c, db: cluster.Data{Name: "roles", Slots: 1}}
		_, err := daemonBinary()
		e.must(err)
		e.must(c.Shards[0].Primary.Exec(ctx, "CREATE DATABASE roles", "CREATE TABLE roles.t (id INT AUTO_INCREMENT PRIMARY KEY, who VARCHAR(40))"))
		e.must(c.Sync(ctx))
		test(e)
	})
}

// say is what a statement is called on a kind of server.
func (e *env) say(mysql, mariadb string) string {
	if e.mysql() {
		return mysql
	}
	return mariadb
}

// promote makes a replica the primary as an outside tool does.
func (e *env) promote(s *cluster.Server) {
	e.Helper()
	e.must(s.Exec(e.ctx, e.say("STOP REPLICA", "STOP SLAVE"), e.say("RESET REPLICA ALL", "RESET SLAVE ALL"), "SET GLOBAL read_only=OFF"))
}

// repoint makes a server follow another.
func (e *env) repoint(s, primary *cluster.Server) {
	e.Helper()
	change := fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='repl', MASTER_PASSWORD='repl', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1", primary.Port)
	if e.mysql() {
		change = fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=%d, SOURCE_USER='repl', SOURCE_PASSWORD='repl', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1", primary.Port)
	}
	e.must(s.Exec(e.ctx, e.say("STOP REPLICA", "STOP SLAVE"), change, e.say("START REPLICA", "START SLAVE"), "SET GLOBAL read_only=ON"))
}

// shown is a column of SHOW SHARDWAY SERVERS for one server.
func (e *env) shown(db *sql.DB, s *cluster.Server, column string) string {
	e.Helper()
	rows, err := db.QueryContext(e.ctx, "SHOW SHARDWAY SERVERS")
	e.must(err)
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	e.must(err)
	cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		e.must(rows.Scan(into...))
		if cells[slices.Index(names, "server")].String == s.Addr {
			return cells[slices.Index(names, column)].String
		}
	}
	e.Fatalf("%s isn't shown: %v", s.Addr, rows.Err())
	return ""
}

// untilShown waits until a column shows something.
func (e *env) untilShown(db *sql.DB, s *cluster.Server, column string, is func(string) bool) (took time.Duration) {
	e.Helper()
	began := time.Now()
	for {
		got := e.shown(db, s, column)
		if is(got) {
			return time.Since(began)
		}
		if time.Since(began) > 20*time.Second {
			e.Fatalf("%s of %s is %q after 20s", column, s.Name, got)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// writers insert until stopped and count what went well.
type writers struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
	good atomic.Int64
}

func (e *env) startWriters(d *daemon, n int) *writers {
	ctx, cancel := context.WithCancel(e.ctx)
	l := &writers{stop: cancel}
	for range n {
		l.wg.Go(func() {
			var w *wire
			for ctx.Err() == nil {
				if w == nil {
					var err error
					if w, err = dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: "roles"}); err != nil {
						w = nil
						continue
					}
				}
				w.deadline(20 * time.Second)
				rs, err := w.query("INSERT INTO t (who) VALUES (@@server_id)")
				switch {
				case err != nil:
					w.close()
					w = nil
				case rs[0].Err == nil:
					l.good.Add(1)
				}
				select {
				case <-ctx.Done():
				case <-time.After(2 * time.Millisecond):
				}
			}
			if w != nil {
				w.close()
			}
		})
	}
	return l
}

// until waits for n more writes that went well.
func (l *writers) until(e *env, n int64) time.Duration {
	e.Helper()
	began := time.Now()
	want := l.good.Load() + n
	for l.good.Load() < want {
		if time.Since(began) > 30*time.Second {
			e.Fatalf("no %d writes in half a minute", n)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func (l *writers) end() {
	l.stop()
	l.wg.Wait()
}

// TestOutsidePromotion: an outside tool promotes a replica while clients write.
// They go on within a second, and a former primary that comes back writable gets
// nothing.
func TestOutsidePromotion(t *testing.T) {
	ownCluster(t, false, func(e *env) {
		d := e.serve(settings{"servers": "{user: shardway, password: secret}"})
		p, a, b := e.c.Shards[0].Primary, e.c.Shards[0].Replicas[0], e.c.Shards[0].Replicas[1]
		db := e.open(d, nil)
		l := e.startWriters(d, 8)
		l.until(e, 200)

		// Planned: the primary is made read-only, the replica has everything.
		e.must(p.Exec(e.ctx, "SET GLOBAL read_only=ON"))
		e.must(a.Sync(e.ctx))
		e.promote(a)
		took := l.until(e, 50)
		e.Logf("note: writes went on %s after a promotion while the primary was up", took)
		if took > time.Second {
			e.Errorf("writes went on only %s after the promotion", took)
		}
		e.repoint(b, a)
		e.repoint(p, a)
		e.untilShown(db, a, "role", func(s string) bool { return s == "primary" })
		e.untilShown(db, p, "state", func(s string) bool { return s == "up" })
		e.untilShown(db, b, "state", func(s string) bool { return s == "up" })
		if got := e.shown(db, p, "role"); got != "replica" {
			e.Errorf("the former primary is %s", got)
		}

		// Unplanned: the primary is gone, another replica has everything.
		l.until(e, 100)
		l.end()
		e.must(a.Exec(e.ctx, "FLUSH TABLES WITH READ LOCK"))
		e.untilReached(b, a)
		e.must(a.Kill())
		e.untilShown(db, a, "state", func(s string) bool { return s == "down" })
		l = e.startWriters(d, 8)
		e.promote(b)
		took = l.until(e, 50)
		e.Logf("note: writes went on %s after a promotion while the primary was down", took)
		if took > time.Second {
			e.Errorf("writes went on only %s after the promotion", took)
		}

		// The former primary is back and takes writes: not Shardway's.
		if err := a.Start(e.ctx); a.PID() == 0 { // it was no replica any more and can't go on as one
			e.Fatal(err)
		}
		e.must(a.Exec(e.ctx, "SET GLOBAL read_only=OFF"))
		e.untilShown(db, a, "warning", func(s string) bool { return strings.Contains(s, "was the primary before") })
		before, err := a.Text(e.ctx, "SELECT COUNT(*) FROM roles.t")
		e.must(err)
		l.until(e, 200)
		after, err := a.Text(e.ctx, "SELECT COUNT(*) FROM roles.t")
		e.must(err)
		if before != after {
			e.Errorf("the former primary took writes: %s rows, then %s", before, after)
		}
		if got := e.shown(db, a, "eligible"); got != "0" {
			e.Errorf("the former primary is eligible: %s", got)
		}
		l.end()
		if text := d.log.String(); !strings.Contains(text, "another primary is followed") || !strings.Contains(text, "a server is used for nothing") {
			e.Error("the log doesn't tell of it")
		}
	})
}

// untilReached waits until a replica has all that its primary wrote, whichever
// the cluster began with.
func (e *env) untilReached(replica, primary *cluster.Server) {
	e.Helper()
	position, err := primary.Text(e.ctx, e.say("SELECT @@GLOBAL.gtid_executed", "SELECT @@GLOBAL.gtid_binlog_pos"))
	e.must(err)
	got, err := replica.Text(e.ctx, fmt.Sprintf(e.say("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', 20)", "SELECT MASTER_GTID_WAIT('%s', 20)"), position))
	e.must(err)
	if got != "0" {
		e.Fatalf("%s didn't reach %s", replica.Name, position)
	}
}

// TestStrayAndSplitBrain: a stray writable replica changes nothing while the
// primary is up; when a proxy starts between two servers that went apart, it
// refuses writes.
func TestStrayAndSplitBrain(t *testing.T) {
	t.Parallel()
	ownCluster(t, true, func(e *env) {
		d := e.serve(nil)
		p, a := e.c.Shards[0].Primary, e.c.Shards[0].Replicas[0]
		db, w := e.open(d, nil), e.dial(d, nil)
		l := e.startWriters(d, 4)
		l.until(e, 50)
		e.promote(a)
		e.untilShown(db, a, "warning", func(s string) bool { return strings.Contains(s, "isn't the primary of shard s0") })
		l.until(e, 50)
		l.end()
		if got := e.shown(db, p, "role"); got != "primary" {
			e.Errorf("the primary became a %s", got)
		}
		for range 10 { // reads of the primary's newest row never come from the stray
			id, err := w.one("SELECT @@server_id FROM t LIMIT 1")
			e.must(err)
			if id == fmt.Sprint(a.ID) {
				e.Error("a stray served a read")
			}
		}
		e.must(a.Exec(e.ctx, "INSERT INTO roles.t (id, who) VALUES (1000000, 'stray')"))

		other := e.launch("", nil, e.c.Map(e.db.Map(e.c.Shards)))
		deadline := time.Now().Add(20 * time.Second)
		for {
			code, body := other.get("/readyz")
			if code != 0 && strings.Contains(body, "split brain") {
				break
			}
			other.wait(deadline, "isn't unready for the split brain, but "+body)
		}
		second := e.dial(other, nil)
		e.untilShown(e.open(other, nil), p, "split_brain", func(s string) bool { return s == "1" })
		rs, err := second.query("INSERT INTO t (who) VALUES ('x')")
		e.must(err)
		if rs[0].Err == nil || !strings.Contains(rs[0].Err.Message, p.Addr) || !strings.Contains(rs[0].Err.Message, a.Addr) {
			e.Errorf("a write in a split brain: %v", rs[0].Err)
		}
		e.must(a.Exec(e.ctx, "SET GLOBAL read_only=ON"))
		for {
			rs, err := second.query("INSERT INTO t (who) VALUES ('x')")
			e.must(err)
			if rs[0].Err == nil {
				break
			}
			if time.Now().After(deadline) {
				e.Fatalf("the split brain is over, but: %v", rs[0].Err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}
