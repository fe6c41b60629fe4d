package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestB5SessionStateFollowsItsClient runs testdata/session.sql on the plain server and through a Shardway with two
// connections a server, while other clients use these between any two statements.
func TestB5SessionStateFollowsItsClient(t *testing.T) {
	statements := readStatements(t, "testdata/session.sql")
	for _, mode := range []struct {
		name           string
		prepared, late bool
	}{{name: "text"}, {name: "prepared", prepared: true}, {name: "late", late: true}} {
		t.Run(mode.name, func(t *testing.T) {
			onBoth(t, "follows", app, func(e *env) {
				d := e.serve(settings{"pool": "{max_per_server: 3, wait_timeout: 30s}"})
				others, watcher := e.others(d), e.dial(d, nil)
				between := func(*wire) { others() }
				if mode.late {
					between = func(w *wire) {
						e.givenBack(watcher, w)
						others()
					}
				}
				compared, _ := e.compare(statements, mode.prepared, func() *wire { return e.dial(d, nil) }, func() *wire { return e.plain(nil) }, between)
				e.Logf("note: %d statements answered alike", compared)
			})
		})
	}
}

// others returns a function that lets other clients change what server connections hold: each leaves its own state,
// insert id, warnings, found rows and error on the connections of every server in turn.
func (e *env) others(d *daemon) func() {
	var all []*wire
	for range 2 {
		all = append(all, e.dial(d, func(o *wireOptions) { o.collation = 8 }))
	}
	_, err := all[0].query("CREATE TABLE IF NOT EXISTS strangers (id INT AUTO_INCREMENT PRIMARY KEY, txt VARCHAR(20)) AUTO_INCREMENT = 1000000")
	e.must(err)
	n := 0
	return func() {
		w := all[n%len(all)]
		n++
		for _, q := range []string{
			"SET @other = 'of another', @a = 'of another', time_zone = '-03:00', sql_mode = ''",
			"INSERT INTO strangers (txt) VALUES ('of another')",
			"SELECT SQL_CALC_FOUND_ROWS id FROM countries LIMIT 0",
			"/* shardway: primary */ SELECT CAST('of another' AS SIGNED) FROM users WHERE id = 7",
			"SELECT CAST('of another' AS SIGNED) FROM users WHERE id = 8",
			"SELECT name FROM users WHERE id = 7",
			"SELECT nothing FROM users WHERE id = 7",
			"SELECT name FROM users WHERE id = 8",
		} {
			if _, err := w.query(q); err != nil {
				e.Fatalf("another client: %s: %v", q, err)
			}
		}
	}
}

// pinned is why a client keeps a connection, "" when it keeps none.
func (e *env) pinned(watcher, w *wire) string {
	e.Helper()
	rows, err := watcher.text("SHOW SHARDWAY SESSIONS")
	e.must(err)
	for _, row := range rows {
		if row[2] == w.nc.LocalAddr().String() {
			return row[8]
		}
	}
	return ""
}

// givenBack waits until a client holds no connection for what it may still ask about its last statement.
func (e *env) givenBack(watcher, w *wire) {
	e.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		kept := e.pinned(watcher, w)
		if !strings.Contains(kept, "warnings") && !strings.Contains(kept, "found rows") && !strings.Contains(kept, "insert id") {
			return
		}
		if time.Now().After(deadline) {
			e.Fatalf("a client keeps its connection for its %s", kept)
		}
	}
}
