package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/test/cluster"
)

// logging turns the general log of all servers on for the rest of the test.
func (e *env) logging() {
	e.Helper()
	for _, s := range e.c.Servers() {
		e.must(s.LogQueries(e.ctx, true))
	}
	e.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, s := range e.c.Servers() {
			if err := s.LogQueries(ctx, false); err != nil {
				e.Error(err)
			}
		}
	})
}

// served counts the queries with the text in each server's general log.
func (e *env) served(text string) map[string]int {
	e.Helper()
	m := map[string]int{}
	for _, s := range e.c.Servers() {
		n, err := s.Logged(e.ctx, text)
		e.must(err)
		if n > 0 {
			m[s.Name] = n
		}
	}
	return m
}

func (e *env) name(sh *cluster.Shard) (primary string, replicas []string) {
	for _, r := range sh.Replicas {
		replicas = append(replicas, r.Name)
	}
	return sh.Primary.Name, replicas
}

// TestReadsAreSpread runs 1,000 reads and looks into the servers' logs.
func TestReadsAreSpread(t *testing.T) {
	onEach(t, "spread", app, func(e *env) {
		// Nothing keeps a replica from taking its turns: not its first look at the
		// lag, nor the load of the machine, nor that it is behind what a session has
		// seen, as it may be after each beat when the machine is busy.
		d := e.serve(settings{"replicas": "{warm_up: 0, eject: {latency_factor: 0, errors: 0}, max_lag: 0, causal_reads: \"off\"}"})
		e.until("all servers are up", func() bool {
			_, body := d.get("/api/v1/servers")
			return strings.Count(body, `"up"`) == 6
		})
		e.logging()
		const clients, reads = 8, 1000
		for _, sh := range e.c.Shards {
			key := 7 // slot 7 is of s0
			if sh.ID == "s1" {
				key = 8
			}
			token := "spread-" + sh.ID
			var wg sync.WaitGroup
			for range clients {
				w := e.dial(d, nil)
				wg.Go(func() {
					for range reads / clients {
						if got, err := w.one(fmt.Sprintf("SELECT name, '%s' FROM users WHERE id = %d", token, key)); err != nil || got != fmt.Sprintf("user %d", key) {
							e.Errorf("%q, %v", got, err)
							return
						}
					}
				})
			}
			wg.Wait()
			got := e.served(token)
			total := 0
			for _, r := range sh.Replicas {
				n := got[r.Name]
				total += n
				if want := reads / len(sh.Replicas); n < want-clients || n > want+clients {
					e.Errorf("%s served %d of %d reads, want %d±%d", r.Name, n, reads, want, clients)
				}
			}
			if total != reads {
				e.Errorf("the replicas of %s served %d of %d reads: %v", sh.ID, total, reads, got)
			}
		}
	})
}

// TestWhereItGoes sends each statement ten times and looks at who got it.
func TestWhereItGoes(t *testing.T) {
	const primary, replica = "primary", "replica"
	tests := []struct {
		sql   string
		shard int
		role  string
	}{
		{"SELECT name FROM users WHERE id = 7", 0, replica},
		{"SELECT name FROM users WHERE id = 8", 1, replica},
		{"SELECT name FROM users WHERE id = -1", 1, replica}, // floor modulo: slot 15
		{"SELECT name FROM users WHERE id = -16", 0, replica},
		{"SELECT n FROM counters WHERE id = 18446744073709551615", 1, replica},
		{"SELECT n FROM counters WHERE id = 9223372036854775808", 0, replica},
		{"(SELECT name FROM users WHERE id = 8)", 1, replica},
		{"/* shardway */ -- comment\n SELECT name FROM users\nWHERE id = 8", 1, replica},
		{"WITH x AS (SELECT name FROM users WHERE id = 8) SELECT * FROM x", 1, replica},
		{"/*!50000 SELECT name FROM users WHERE id = 8 */", 1, replica},
		{"SELECT COUNT(*) FROM notes", 0, replica},
		{"SELECT name FROM users WHERE id = 8 FOR UPDATE", 1, primary},
		{"SELECT name FROM users WHERE id = 8 LOCK IN SHARE MODE", 1, primary},
		{"SELECT /*!50000 name FROM users WHERE id = 8 FOR UPDATE */", 1, primary},
		{"SELECT * FROM (SELECT name FROM users WHERE id = 8 FOR UPDATE) x", 1, primary},
		{"SELECT name FROM users WHERE id = 7 AND GET_LOCK('where', 0) + RELEASE_LOCK('where') > -1", 0, primary},
		{"SELECT LAST_INSERT_ID(5) FROM users WHERE id = 8", 1, primary},
		{"SELECT @v := name FROM users WHERE id = 8", 1, primary},
		{"SELECT name INTO @v FROM users WHERE id = 8", 1, primary},
		{"/* shardway: primary */ SELECT name FROM users WHERE id = 8", 1, primary},
		{"UPDATE users SET age = age + 1 WHERE id = 8", 1, primary},
		{"/* a read? SELECT */ UPDATE users SET age = 3 WHERE id = 7", 0, primary},
		{"DELETE FROM users WHERE id = 424200", 1, primary},
		{"REPLACE INTO sessions VALUES ('where-a', 1, '')", -1, primary},
		{"UPDATE notes SET user_id = user_id + 1 WHERE id = 1", 0, primary},
	}
	onBoth(t, "goes", app, func(e *env) {
		d := e.serve(nil)
		e.logging()
		const times = 10
		for i, c := range tests {
			// The token is a comment in the middle, where none is dropped, and
			// each run has a session of its own.
			token := fmt.Sprintf("goes%03dx", i)
			sql := strings.Replace(c.sql, " ", " /* "+token+" */ ", 1)
			if strings.HasPrefix(c.sql, "/*") {
				sql = c.sql + " /* " + token + " */"
			}
			for range times {
				w := e.dial(d, nil)
				rs, err := w.query(sql)
				e.must(err)
				if rs[0].Err != nil {
					e.Errorf("%s: %v", sql, rs[0].Err)
				}
				_ = w.send(comQuit)
				w.close()
			}
			got := e.served(token)
			if c.shard < 0 {
				continue
			}
			p, rs := e.name(e.c.Shards[c.shard])
			want := map[string]int{p: times}
			if c.role == replica {
				want = map[string]int{rs[0]: times / 2, rs[1]: times / 2}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				e.Errorf("%s: served by %v, want %v", c.sql, got, want)
			}
		}
	})
}

// TestCounters reads the servers' own counters around a known load.
func TestCounters(t *testing.T) {
	onEach(t, "counts", app, func(e *env) {
		d := e.serve(settings{"replicas": "{heartbeat: 0}"}) // whose beats are updates too
		before := map[string]map[string]int64{}
		read := func(s *cluster.Server) map[string]int64 {
			m, err := s.Status(e.ctx, "Com_%")
			e.must(err)
			return m
		}
		for _, s := range e.c.Servers() {
			before[s.Name] = read(s)
		}
		w := e.dial(d, nil)
		for i := range 60 {
			for _, q := range []string{
				"INSERT INTO users (id, name) VALUES (%d, 'x')", "UPDATE users SET age = 1 WHERE id = %d", "DELETE FROM users WHERE id = %d",
			} {
				rs, err := w.query(fmt.Sprintf(q, 7000+i))
				e.must(err)
				if rs[0].Err != nil {
					e.Fatal(rs[0].Err)
				}
			}
		}
		e.must(e.c.Sync(e.ctx))
		// A replica counts the rows that its primary sends it, and nothing else.
		for _, name := range []string{"com_insert", "com_update", "com_delete"} {
			sum := int64(0)
			for _, sh := range e.c.Shards {
				n := read(sh.Primary)[name] - before[sh.Primary.Name][name]
				sum += n
				if n < 20 || n > 40 {
					e.Errorf("%s: %s rose by %d, want about 30", sh.Primary.Name, name, n)
				}
				for _, r := range sh.Replicas {
					if got := read(r)[name] - before[r.Name][name]; got != n {
						e.Errorf("%s: %s rose by %d, on its primary by %d", r.Name, name, got, n)
					}
				}
			}
			if sum != 60 {
				e.Errorf("%s rose by %d over the primaries, want 60", name, sum)
			}
		}
	})
}

// TestTransactionsStay checks that a transaction is on one primary, a READ ONLY
// one on one replica, and that a second shard is refused without harm.
func TestTransactionsStay(t *testing.T) {
	onBoth(t, "txs", app, func(e *env) {
		d := e.serve(settings{"transactions": "{cross_shard: forbid}"})
		e.logging()
		w := e.dial(d, nil)
		run := func(q string) *wireError {
			e.Helper()
			rs, err := w.query(q)
			e.must(err)
			return rs[0].Err
		}
		good := func(q string) {
			e.Helper()
			if err := run(q); err != nil {
				e.Errorf("%s: %v", q, err)
			}
		}
		good("BEGIN")
		for range 4 {
			good("SELECT name, 'tx-read' FROM users WHERE id = 8")
		}
		good("UPDATE users SET age = 99 /* tx-write */ WHERE id = 8")
		if err := run("SELECT name, 'tx-other' FROM users WHERE id = 7"); err == nil || !strings.HasPrefix(err.Message, "shardway:") || err.Code != 1235 {
			e.Errorf("a second shard in a transaction: %v, want 1235", err)
		} else if !strings.Contains(err.Message, "s0") || !strings.Contains(err.Message, "s1") {
			e.Errorf("%q doesn't name both shards", err.Message)
		}
		if err := run("UPDATE users SET age = 1 WHERE id = 7"); err == nil {
			e.Error("a write on a second shard went through")
		}
		good("SELECT code, 'tx-ref' FROM countries")
		good("SAVEPOINT x")
		good("UPDATE users SET age = 98 WHERE id = 8")
		good("ROLLBACK TO x")
		good("COMMIT")
		for _, token := range []string{"tx-read", "tx-write", "tx-ref"} {
			if got := e.served(token); len(got) != 1 || got["s1p"] == 0 {
				e.Errorf("%s: served by %v, want s1p alone", token, got)
			}
		}
		if got := e.served("tx-other"); len(got) != 0 {
			e.Errorf("the refused statement reached %v", got)
		}
		if got, err := w.one("/* shardway: primary */ SELECT age FROM users WHERE id = 8"); got != "99" || err != nil {
			e.Errorf("after the commit age is %s, %v, want 99", got, err)
		}
		good("START TRANSACTION READ ONLY")
		for range 6 {
			good("SELECT name, 'ro-read' FROM users WHERE id = 8")
		}
		good("COMMIT")
		got := e.served("ro-read")
		if len(got) != 1 || got["s1r1"]+got["s1r2"] != 6 {
			e.Errorf("a READ ONLY transaction was served by %v, want one replica of s1", got)
		}
		// Not autocommit: a transaction begins with the first statement.
		good("SET autocommit = 0")
		good("SELECT name, 'ac-read' FROM users WHERE id = 8")
		good("SELECT name, 'ac-read' FROM users WHERE id = 8")
		if err := run("SELECT name FROM users WHERE id = 7"); err == nil {
			e.Error("a second shard without autocommit went through")
		}
		good("COMMIT")
		good("SELECT name FROM users WHERE id = 7")
		good("ROLLBACK")
		if got := e.served("ac-read"); got["s1p"] != 2 {
			e.Errorf("without autocommit the reads were served by %v, want s1p", got)
		}
	})
}
