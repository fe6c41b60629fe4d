package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// TestB5StateDoesNotLeak gives many clients different session variables, lets
// them share few server connections in a random order, and checks each time
// that each client has what it set, and only that.
func TestB5StateDoesNotLeak(t *testing.T) {
	onBoth(t, "state", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 4, wait_timeout: 30s}"})
		const clients, rounds, workers = 200, 3000, 8
		type session struct {
			mu   sync.Mutex
			w    *wire
			want map[string]string
		}
		isolation := "tx_isolation"
		if e.mysql() {
			isolation = "transaction_isolation"
		}
		names := []string{"sql_mode", "time_zone", "autocommit", "group_concat_max_len", "character_set_results", "collation_connection", isolation, "unique_checks", "sql_select_limit"}
		query := "SELECT @@" + strings.Join(names, ", @@")
		sets := [][]struct{ sql, name, value string }{
			{{"SET sql_mode = ''", "sql_mode", ""}, {"SET SESSION sql_mode = 'ANSI_QUOTES,NO_ZERO_DATE'", "sql_mode", "ANSI_QUOTES,NO_ZERO_DATE"}, {"SET @@sql_mode := 'PIPES_AS_CONCAT'", "sql_mode", "PIPES_AS_CONCAT"}},
			{{"SET time_zone = '+02:00'", "time_zone", "+02:00"}, {"SET time_zone = '-11:30'", "time_zone", "-11:30"}},
			{{"SET autocommit = 0", "autocommit", "0"}, {"SET autocommit = ON", "autocommit", "1"}},
			{{"SET group_concat_max_len = 77", "group_concat_max_len", "77"}, {"SET SESSION group_concat_max_len = 4242", "group_concat_max_len", "4242"}},
			{{"SET NAMES latin1", "character_set_results", "latin1"}, {"SET NAMES utf8mb4", "character_set_results", "utf8mb4"}},
			{{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", isolation, "READ-COMMITTED"}, {"SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", isolation, "SERIALIZABLE"}},
			{{"SET unique_checks = 0", "unique_checks", "0"}},
		}
		all := make([]*session, clients)
		for i := range all {
			collation, name := byte(45), "utf8mb4_general_ci"
			charset := "utf8mb4"
			switch i % 4 {
			case 1:
				collation, name = 46, "utf8mb4_bin"
			case 2:
				collation, name, charset = 8, "latin1_swedish_ci", "latin1"
			}
			s := &session{w: e.dial(d, func(o *wireOptions) { o.collation = collation }), want: map[string]string{}}
			rows, err := s.w.text(query)
			e.must(err)
			for j, v := range rows[0] {
				s.want[names[j]] = v
			}
			if s.want["collation_connection"] != name || s.want["character_set_results"] != charset {
				e.Errorf("collation %d in the handshake gave %s and %s, want %s", collation, s.want["collation_connection"], s.want["character_set_results"], name)
			}
			all[i] = s
		}
		var wg sync.WaitGroup
		for n := range workers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(n)))
				for range rounds / workers {
					s := all[r.IntN(clients)]
					s.mu.Lock()
					if r.IntN(3) == 0 {
						group := sets[r.IntN(len(sets))]
						c := group[r.IntN(len(group))]
						rs, err := s.w.query(c.sql)
						if err != nil || rs[0].Err != nil {
							e.Errorf("%s: %v, %v", c.sql, err, rs)
							s.mu.Unlock()
							return
						}
						s.want[c.name] = c.value
						switch {
						case strings.HasSuffix(c.sql, "latin1"):
							s.want["collation_connection"] = "latin1_swedish_ci"
						case strings.HasSuffix(c.sql, "utf8mb4"):
							delete(s.want, "collation_connection") // the server's default, taken from its answer
						}
					}
					// On either shard, on a replica or the primary, text or prepared.
					q := fmt.Sprintf("%s FROM users WHERE id = %d", query, 7+r.IntN(2))
					switch r.IntN(3) {
					case 0:
						q = "/* shardway: primary */ " + q
					case 1:
						q = query
					}
					rows, err := s.w.text(q)
					if err == nil && s.want["autocommit"] == "0" {
						_, err = s.w.query("COMMIT")
					}
					if err != nil {
						e.Errorf("%s: %v", q, err)
						s.mu.Unlock()
						return
					}
					for j, v := range rows[0] {
						if want, known := s.want[names[j]]; !known {
							s.want[names[j]] = v
						} else if v != want {
							e.Errorf("@@%s is %q, want %q", names[j], v, want)
						}
					}
					s.mu.Unlock()
					if e.Failed() {
						return
					}
				}
			})
		}
		wg.Wait()
		for _, s := range e.c.Servers() {
			if s == e.c.Plain {
				continue
			}
			n, err := s.Text(e.ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'shardway'")
			e.must(err)
			if n > "6" && len(n) == 1 || len(n) > 1 {
				e.Errorf("%s has %s connections, want at most 4 and a probe", s.Name, n)
			}
		}
	})
}

// TestD9InsertIDs checks that each client sees its own insert ids, row counts and
// found rows over shared connections.
func TestD9InsertIDs(t *testing.T) {
	onBoth(t, "ids", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 3, wait_timeout: 30s}"})
		var wg sync.WaitGroup
		for n := range 20 {
			w := e.dial(d, nil)
			wg.Go(func() {
				for i := range 25 {
					rs, err := w.query(fmt.Sprintf("INSERT INTO notes (txt) VALUES ('ids %d %d')", n, i))
					if err != nil || rs[0].Err != nil {
						e.Error(err, rs)
						return
					}
					id := fmt.Sprint(rs[0].OK.InsertID)
					for _, q := range []string{"SELECT LAST_INSERT_ID()", "SELECT LAST_INSERT_ID() FROM notes WHERE id = 1", "SELECT @@last_insert_id", "SELECT id FROM notes WHERE id = LAST_INSERT_ID()"} {
						if got, err := w.one(q); err != nil || got != id {
							e.Errorf("%s is %s, %v, want %s", q, got, err, id)
							return
						}
					}
					if _, err := w.text(fmt.Sprintf("SELECT SQL_CALC_FOUND_ROWS id FROM notes WHERE txt LIKE 'ids %d %%' LIMIT 1", n)); err != nil {
						e.Error(err)
						return
					}
					if got, err := w.one("SELECT FOUND_ROWS()"); err != nil || i > 2 && got == "1" {
						e.Errorf("FOUND_ROWS() is %s, %v after %d inserts", got, err, i+1)
						return
					}
					rs, err = w.query(fmt.Sprintf("UPDATE notes SET user_id = %d WHERE txt LIKE 'ids %d %%'", i+1, n))
					if err != nil || rs[0].Err != nil {
						e.Error(err, rs)
						return
					}
					if got, err := w.one("SELECT ROW_COUNT()"); err != nil || got != fmt.Sprint(i+1) {
						e.Errorf("ROW_COUNT() is %s, %v, want %d", got, err, i+1)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestH15HeldState checks what keeps a server connection: user variables,
// temporary tables and locks stay with their client, are nobody else's, and are
// gone when it resets or leaves.
func TestH15HeldState(t *testing.T) {
	onBoth(t, "held", app, func(e *env) {
		d := e.serve(nil)
		var wg sync.WaitGroup
		for n := range 12 {
			w := e.dial(d, nil)
			wg.Go(func() {
				good := func(q string) bool {
					rs, err := w.query(q)
					if err != nil || rs[0].Err != nil {
						e.Errorf("%s: %v %v", q, err, rs)
						return false
					}
					return true
				}
				is := func(q, want string) {
					if got, err := w.one(q); err != nil || got != want {
						e.Errorf("%s is %q, %v, want %q", q, got, err, want)
					}
				}
				for range 10 {
					if !good(fmt.Sprintf("SET @mine = %d", n)) ||
						!good("CREATE TEMPORARY TABLE mine (n INT)") ||
						!good(fmt.Sprintf("INSERT INTO mine VALUES (%d)", n)) {
						return
					}
					is("SELECT @mine", fmt.Sprint(n))
					is("SELECT n FROM mine", fmt.Sprint(n))
					is(fmt.Sprintf("SELECT GET_LOCK('held %d', 0)", n), "1")
					is(fmt.Sprintf("SELECT IS_FREE_LOCK('held %d')", n), "0")
					is("SELECT COUNT(*) FROM notes", "20")
					if _, err := w.simple(comReset); err != nil {
						e.Error("COM_RESET_CONNECTION:", err)
						return
					}
					is("SELECT @mine", "NULL")
					is(fmt.Sprintf("SELECT IS_FREE_LOCK('held %d')", n), "1")
					if rs, err := w.query("SELECT n FROM mine"); err != nil || rs[0].Err == nil || rs[0].Err.Code != 1146 {
						e.Errorf("the temporary table after a reset: %v, %v", err, rs)
					}
				}
			})
		}
		wg.Wait()
		// A client that goes away leaves no lock.
		w := e.dial(d, nil)
		if got, err := w.one("SELECT GET_LOCK('gone', 0)"); got != "1" || err != nil {
			e.Fatal(got, err)
		}
		w.close()
		w = e.dial(d, nil)
		if got, err := w.one("SELECT GET_LOCK('gone', 10)"); got != "1" || err != nil {
			e.Errorf("the lock of a client that left: %s, %v", got, err)
		}
	})
}
