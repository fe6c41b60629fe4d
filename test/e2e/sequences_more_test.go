package e2e

import (
	"fmt"
	"strings"
	"sync"

	"shardway/test/cluster"
)

// numbersInParts are a numbered INSERT whose values are sent in parts, and one whose shards commit each by itself.
func (e *env) numbersInParts(w *wire) {
	e.Helper()
	s, err := w.prepare("INSERT INTO users (id, name, doc) VALUES (?, ?, ?), (?, ?, ?)")
	e.must(err)
	id := u32(s.ID)
	for _, part := range []struct {
		param byte
		text  string
	}{{2, "the first, "}, {4, "na"}, {2, "in parts"}, {4, "me"}, {5, strings.Repeat("x", 70_000)}} {
		e.must(w.send(comStmtLongData, append(append(append([]byte{}, id...), part.param, 0), part.text...)))
	}
	rs, err := w.execute(s, true, nil, "one", longData{}, int64(0), longData{}, longData{})
	e.must(err)
	if rs[0].Err != nil || rs[0].OK.Affected != 2 {
		e.Fatalf("values sent in parts: %v, %d rows", rs[0].Err, rs[0].OK.Affected)
	}
	first := rs[0].OK.InsertID
	rows, err := w.text(fmt.Sprintf("SELECT id, name, LENGTH(doc), LEFT(doc, 20) FROM users WHERE id >= %d ORDER BY id", first))
	e.must(err)
	want := [][]string{{fmt.Sprint(first), "one", "19", "the first, in parts"}, {fmt.Sprint(first + 1), "name", "70000", strings.Repeat("x", 20)}}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		e.Errorf("values sent in parts: %.200v, want %.200v", rows, want)
	}
	e.must(errorOf(w.query("SET shardway_cross_shard = 'unsafe'")))
	rs, err = w.query("INSERT INTO users (name) VALUES ('u1'), ('u2'), ('u3'), ('u4'), ('u5'), ('u6'), ('u7'), ('u8'), ('u9')")
	e.must(err)
	e.must(errorOf(rs, nil))
	n, err := w.one(fmt.Sprintf("SELECT COUNT(*) FROM users WHERE id BETWEEN %d AND %d AND name = CONCAT('u', id - %[1]d + 1)", rs[0].OK.InsertID, rs[0].OK.InsertID+8))
	e.must(err)
	last, err := w.one("SELECT LAST_INSERT_ID()")
	e.must(err)
	if n != "9" || rs[0].OK.Affected != 9 || last != fmt.Sprint(rs[0].OK.InsertID) {
		e.Errorf("cross_shard=unsafe: %s rows have their numbers, %d affected, LAST_INSERT_ID() %s for %d", n, rs[0].OK.Affected, last, rs[0].OK.InsertID)
	}
	e.must(errorOf(w.query("SET shardway_cross_shard = DEFAULT")))
}

// numbersDeadlocked has two transactions wait for one another, one of them inside a numbered INSERT: one fails with all
// its rows, and the other one goes on.
func (e *env) numbersDeadlocked(d *daemon) {
	e.Helper()
	one, two := e.dial(d, nil), e.dial(d, nil)
	for _, q := range []string{"INSERT INTO users (id, name) VALUES (1600, 'a'), (1616, 'b')"} { // both in slot 0
		e.must(errorOf(one.query(q)))
	}
	for _, q := range []struct {
		w   *wire
		sql string
	}{
		{one, "BEGIN"},
		{two, "BEGIN"},
		{one, "UPDATE users SET n = 7 WHERE id = 1600"},
		{two, "INSERT INTO users (name) VALUES ('deadlock')"},
		{two, "UPDATE users SET n = 8 WHERE id = 1616"},
	} {
		e.must(errorOf(q.w.query(q.sql)))
	}
	var waits sync.WaitGroup
	var first error
	waits.Go(func() { first = errorOf(one.query("UPDATE users SET n = 9 WHERE id = 1616")) })
	e.until("the first waits for the second", func() bool {
		rows, err := two.text("SHOW FULL PROCESSLIST")
		e.must(err)
		return strings.Contains(fmt.Sprint(rows), "SET n = 9 WHERE id = 1616")
	})
	second := errorOf(two.query("INSERT INTO users (id, name) VALUES (NULL, 'deadlock'), (1600, 'x'), (NULL, 'deadlock') ON DUPLICATE KEY UPDATE n = 10"))
	if second != nil {
		waits.Wait() // who wasn't chosen goes on
	} else {
		e.must(errorOf(two.query("COMMIT")))
		waits.Wait()
	}
	failed := 0
	for _, err := range []error{first, second} {
		if err != nil {
			failed++
			if !strings.Contains(err.Error(), "1213") {
				e.Errorf("a deadlock: %v", err)
			}
		}
	}
	if failed != 1 {
		e.Errorf("a deadlock: %v and %v", first, second)
	}
	for _, w := range []*wire{one, two} {
		e.must(errorOf(w.query("COMMIT")))
	}
	n, err := one.one("SELECT COUNT(*) FROM users WHERE name = 'deadlock'")
	e.must(err)
	if want := map[bool]string{true: "0", false: "3"}[second != nil]; n != want {
		e.Errorf("after a deadlock %s rows are there, want %s", n, want)
	}
	e.must(errorOf(two.query("INSERT INTO users (name) VALUES ('after'), ('after')")))
}

// numbersForbidden is a proxy whose account may not use the table of the sequences.
func (e *env) numbersForbidden() {
	e.Helper()
	for _, sh := range e.c.Shards {
		e.must(sh.Primary.Exec(e.ctx, "CREATE USER IF NOT EXISTS poor@'%' IDENTIFIED BY '"+cluster.Password+"'", "GRANT ALL ON numbers.* TO poor@'%'"))
	}
	w := e.dial(e.serve(settings{"servers": "{user: poor, password: " + cluster.Password + "}"}), nil)
	err := errorOf(w.query("INSERT INTO users (name) VALUES ('nobody')"))
	if err == nil || !strings.Contains(err.Error(), "ALL on shardway.*") || !strings.Contains(err.Error(), "numbers.users") {
		e.Errorf("an account without shardway.*: %v", err)
	}
	e.must(errorOf(w.query("UPDATE users SET n = n WHERE id = 1")))
}
