package e2e

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"shardway/test/cluster"
)

// numbered is a database of tables that have sequences: one whose sequence is the key, one whose isn't, both with
// AUTO_INCREMENT, so that a plain server numbers alike; a reference table; and two whose columns only Shardway numbers.
func numbered(cluster.Flavor) cluster.Data {
	return cluster.Data{
		Slots: 16,
		Script: []string{
			"CREATE TABLE users (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), n INT NOT NULL DEFAULT 5, parent BIGINT, doc LONGBLOB)",
			"CREATE TABLE orders (id BIGINT NOT NULL AUTO_INCREMENT, user_id BIGINT NOT NULL, txt VARCHAR(40), PRIMARY KEY (user_id, id), UNIQUE KEY (id))",
			"CREATE TABLE kinds (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) UNIQUE, at DATETIME(6))",
			"CREATE TABLE bare (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(40))",
			"INSERT INTO users (name) VALUES ('a'), ('b'), ('c'), ('d')",
			"INSERT INTO orders (user_id, txt) VALUES (1, 'x'), (2, 'y'), (3, 'z')",
			"INSERT INTO kinds (name) VALUES ('one'), ('two')",
		},
		Tables: []cluster.Placed{
			{Name: "users", Key: "id", Placement: "mod", Options: "key_type: bigint, sequence: id"},
			{Name: "orders", Key: "user_id", Placement: "mod", Options: "key_type: bigint, sequence: id"},
			{Name: "kinds", Options: "sequence: id"},
			{Name: "bare", Key: "id", Placement: "mod", Options: "sequence: id"},
		},
	}
}

// numberedStatements number rows as a plain server does, in one session.
func numberedStatements() (all []statement) {
	for _, sql := range []string{
		"INSERT INTO users (name) VALUES ('e')",
		"SELECT LAST_INSERT_ID(), @@last_insert_id, @@identity",
		"INSERT INTO users (id, name) VALUES (NULL, 'f'), (NULL, 'g'), (NULL, 'h')",
		"SELECT LAST_INSERT_ID()",
		"SELECT ROW_COUNT()",
		"INSERT INTO users (id, name) VALUES (0, 'i')",
		"INSERT INTO users (id, name) VALUES (DEFAULT, 'j')",
		"INSERT INTO users VALUES (DEFAULT, 'k', DEFAULT, LAST_INSERT_ID(), NULL)",
		"INSERT INTO users SET name = 'l'",
		"INSERT INTO users SET name = 'm', id = NULL, n = 3",
		"INSERT INTO users () VALUES ()",
		"INSERT INTO users (name, parent) VALUES ('child', LAST_INSERT_ID())",
		"INSERT INTO users (name, parent) VALUES ('child', LAST_INSERT_ID()), ('child', LAST_INSERT_ID()), ('child', LAST_INSERT_ID())",
		"SET @name = 'from a variable'",
		"INSERT INTO users (name) VALUES (@name)",
		"INSERT INTO users (name) VALUES (@n2 := 'into a variable')",
		"SELECT @n2",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO users (name, n) VALUES ('count', ROW_COUNT())",
		"INSERT INTO users (name, n) VALUES ('count', 3), ('count', 4)",
		"INSERT INTO users (name, n) VALUES ('count', ROW_COUNT())",
		"UPDATE users SET parent = LAST_INSERT_ID() WHERE n = 4",
		"INSERT INTO users (id, name) VALUES (100, 'own')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO users (id, name) VALUES (107, 'own'), (108, 'own'), (102, 'own')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO users (name) VALUES ('after the own ones')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO users (id, name) VALUES (-7, 'negative'), ('120', 'text')",
		"INSERT INTO users (name) VALUES ('after 120')",
		"SELECT LAST_INSERT_ID()",
		"REPLACE INTO users (id, name) VALUES (3, 'replaced')",
		"REPLACE INTO users (name) VALUES ('new')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO users (id, name) VALUES (4, 'x') ON DUPLICATE KEY UPDATE name = VALUES(name)",
		"INSERT INTO users (id, name) VALUES (NULL, 'y') ON DUPLICATE KEY UPDATE name = VALUES(name)",
		"SELECT LAST_INSERT_ID()",
		"INSERT IGNORE INTO users (id, name) VALUES (4, 'again')",
		"INSERT INTO orders (user_id, txt) VALUES (7, 'a')",
		"INSERT INTO orders (user_id, txt) VALUES (8, 'b'), (9, 'c'), (7, 'd')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO orders (id, user_id, txt) VALUES (40, 3, 'own')",
		"INSERT INTO orders (user_id, txt) VALUES (4, 'after 40')",
		"SELECT LAST_INSERT_ID()",
		"BEGIN",
		"INSERT INTO users (name) VALUES ('undone'), ('undone')",
		"SELECT LAST_INSERT_ID()",
		"ROLLBACK",
		"INSERT INTO users (name) VALUES ('the numbers of undone rows are gone')",
		"SELECT LAST_INSERT_ID()",
		"SET autocommit = 0",
		"INSERT INTO users (name) VALUES ('in a transaction'), ('in a transaction')",
		"INSERT INTO users (id, name) VALUES (2, 'taken')",
		"COMMIT",
		"SET autocommit = 1",
		"INSERT INTO kinds (name) VALUES ('three'), ('four')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO kinds (name) VALUES ('one') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), name = 'first'",
		"SELECT LAST_INSERT_ID()",
		"INSERT IGNORE INTO kinds (name) VALUES ('first')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO orders (user_id, txt) SELECT id, name FROM users WHERE id BETWEEN 1 AND 3 ORDER BY id",
		"SELECT * FROM users ORDER BY id",
		"SELECT user_id, txt FROM orders ORDER BY user_id, txt",
		"SELECT name FROM kinds ORDER BY name",
	} {
		all = append(all, statement{text: sql, code: true})
	}
	return all
}

// boundNumbers are prepared statements for tables that a plain server numbers alike.
func boundNumbers() []statement {
	long := strings.Repeat("long data ", 3000)
	var all []statement
	for _, s := range []statement{
		{text: "INSERT INTO users VALUES (DEFAULT, ?, ?, ?, ?)", args: []any{"orm", int64(-3), nil, long}},
		{text: "INSERT INTO users (id, name, n, parent, doc) VALUES (?, ?, ?, ?, ?)", args: []any{nil, "null", int64(1), int64(-9), long}},
		{text: "INSERT INTO users (id, name) VALUES (?, ?), (?, ?), (?, ?)", args: []any{nil, "one", int64(0), "two", nil, "three"}},
		{text: "SELECT LAST_INSERT_ID()"},
		{text: "INSERT INTO users (name, n) VALUES (?, 1 + ?), (?, ?)", args: []any{"sum", int64(4), []byte("blob"), 2.0}},
		{text: "INSERT INTO users (id, name) VALUES (?, ?)", args: []any{int64(900), "own"}},
		{text: "INSERT INTO orders (user_id, txt) VALUES (?, ?)", args: []any{int64(5), "after"}},
		{text: "SELECT id, name, n, parent, MD5(doc) FROM users ORDER BY id"},
	} {
		s.hasArgs, s.code = true, true
		all = append(all, s)
	}
	return all
}

// TestSequences compares the numbers that rows get, and what a client is told of them, with a plain server's, and has
// clients of two proxies draw numbers while one is killed.
func TestSequences(t *testing.T) {
	onBoth(t, "numbers", numbered, func(e *env) {
		config := settings{"users": "{app: {password: app, databases: [numbers]}, reader: {password: reader, databases: [numbers], read_only: true}}"}
		d := e.serve(config)
		w, plain := e.dial(d, nil), e.plain(nil)
		for _, s := range append(numberedStatements(), boundNumbers()...) {
			got, err := s.run(w, false)
			if err != nil {
				e.Fatalf("%s: %v\n%s", s.text, err, d.log.tail(2000))
			}
			want, err := s.run(plain, false)
			e.must(err)
			if text := s.difference(got, want); text != "" {
				e.Errorf("%s\n%s", s.text, text)
			}
		}
		e.numbersAlone(w)
		e.numbersInParts(w)
		e.numbersDeadlocked(d)
		e.numbersForbidden()
		e.numbersRefused(d, w)
		e.numbersOfTwo(d, config)
	})
}

// numbersAlone are rows that a plain server wouldn't number so.
func (e *env) numbersAlone(w *wire) {
	for _, c := range []struct {
		sql  string
		rows uint64
	}{
		{"INSERT INTO bare (name) VALUES ('a')", 1},
		{"INSERT INTO bare VALUES (NULL, 'b'), (0, 'c'), (50, 'd')", 3},
		{"INSERT INTO bare (name) SELECT name FROM users ORDER BY id LIMIT 5", 5},
		{"REPLACE INTO bare SET name = 'e'", 1},
	} {
		before, err := w.one("SELECT MAX(id) FROM bare")
		e.must(err)
		rs, err := w.query(c.sql)
		e.must(err)
		if rs[0].Err != nil || rs[0].OK.Affected != c.rows {
			e.Fatalf("%s: %v, %d rows", c.sql, rs[0].Err, rs[0].OK.Affected)
		}
		last, err := w.one("SELECT LAST_INSERT_ID()")
		e.must(err)
		if last != fmt.Sprint(rs[0].OK.InsertID) || last == "0" || last == before {
			e.Errorf("%s: the id is %d, LAST_INSERT_ID() %s, and the last was %s", c.sql, rs[0].OK.InsertID, last, before)
		}
		n, err := w.one("SELECT COUNT(*) FROM bare WHERE id >= " + last)
		e.must(err)
		if n == "0" {
			e.Errorf("%s: no row has number %s or one behind it", c.sql, last)
		}
	}
	// 0 is a value in this mode.
	for _, q := range []string{"SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'", "INSERT INTO orders (id, user_id, txt) VALUES (0, 6, 'zero')", "SET sql_mode = DEFAULT"} {
		rs, err := w.query(q)
		e.must(err)
		if rs[0].Err != nil {
			e.Errorf("%s: %v", q, rs[0].Err)
		}
	}
	if n, err := w.one("SELECT COUNT(*) FROM orders WHERE id = 0"); err != nil || n != "1" {
		e.Errorf("%s rows have number 0, %v", n, err)
	}
	// The copies of a reference table are alike.
	var first string
	for i, sh := range e.c.Shards {
		rows, err := e.onServer(sh.Primary, "SELECT * FROM numbers.kinds")
		e.must(err)
		if text := sorted(rows); i == 0 {
			first = text
		} else if text != first {
			e.Errorf("the copies of kinds differ: %s", firstDifference(text, first))
		}
	}
}

// numbersRefused are the errors.
func (e *env) numbersRefused(d *daemon, w *wire) {
	for _, c := range []struct {
		sql  string
		code uint16
	}{
		{"INSERT INTO users (id, name) VALUES ('abc', 'x')", 1235},
		{"INSERT INTO users (id, name) VALUES (1.5, 'x')", 1235},
		{"INSERT INTO users (id, name) VALUES (UUID_SHORT(), 'x')", 1235},
		{"INSERT INTO users (name) VALUES ('x', 'y')", 1136},
		{"INSERT INTO users (id, name) VALUES (1, 'taken'), (NULL, 'goes with it')", 1062},
	} {
		rs, err := w.query(c.sql)
		e.must(err)
		if rs[0].Err == nil || rs[0].Err.Code != c.code {
			e.Errorf("%s: %v, want error %d", c.sql, rs[0].Err, c.code)
		}
	}
	if n, err := w.one("SELECT COUNT(*) FROM users WHERE name = 'goes with it'"); err != nil || n != "0" {
		e.Errorf("%s rows of a statement that failed, %v", n, err)
	}
	reader := e.dial(d, func(o *wireOptions) { o.user, o.password = "reader", "reader" })
	rs, err := reader.query("INSERT INTO users (name) VALUES ('x')")
	e.must(err)
	if rs[0].Err == nil {
		e.Error("a user who only reads has inserted a row")
	}
	// The end of all numbers.
	for _, q := range []string{"INSERT INTO bare (id, name) VALUES (9007199254740991, 'last')"} {
		if rs, err := w.query(q); err != nil || rs[0].Err != nil {
			e.Errorf("%s: %v %v", q, err, rs[0].Err)
		}
	}
	rs, err = w.query("INSERT INTO bare (name) VALUES ('none left')")
	e.must(err)
	if rs[0].Err == nil || rs[0].Err.Code != 1467 {
		e.Errorf("behind the greatest number: %v, id %d", rs[0].Err, rs[0].OK.InsertID)
	}
}

// numbersOfTwo has eight clients of two proxies insert rows, and kills one proxy amid that: each number that a client was
// told is one row, and no two rows have the same.
func (e *env) numbersOfTwo(first *daemon, config settings) {
	second := e.serve(config)
	var mu sync.Mutex
	told := map[uint64]bool{}
	var clients sync.WaitGroup
	enough := make(chan struct{})
	insert := func(d *daemon, name string, most int) {
		w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
		if err != nil {
			return
		}
		defer w.close()
		for i := range most {
			rs, err := w.query(fmt.Sprintf("INSERT INTO orders (user_id, txt) VALUES (%d, '%s'), (%d, '%s')", 1000+i, name, 2001+i*7, name))
			if err != nil {
				return // killed
			}
			if rs[0].Err != nil {
				e.Errorf("%s: %v", name, rs[0].Err)
				return
			}
			mu.Lock()
			for n := rs[0].OK.InsertID; n < rs[0].OK.InsertID+2; n++ {
				if told[n] {
					e.Errorf("number %d was told twice", n)
				}
				told[n] = true
			}
			if len(told) == 400 {
				close(enough)
			}
			mu.Unlock()
		}
	}
	for i := range 8 {
		d := first
		if i%2 == 1 {
			d = second
		}
		clients.Go(func() { insert(d, fmt.Sprint("client ", i), 100) })
	}
	select {
	case <-enough:
	case <-e.ctx.Done():
		e.Fatal("the clients inserted too few rows")
	}
	second.signal(syscall.SIGKILL)
	<-second.exited
	clients.Wait()
	third := e.serve(config)
	for range 4 {
		clients.Go(func() { insert(third, "client of the third", 20) })
	}
	clients.Wait()
	// What was prepared when the proxy was killed is resolved before all rows can be counted.
	e.until("the rows are those that clients were told of", func() bool {
		seen := map[string]bool{}
		for _, sh := range e.c.Shards {
			rows, err := e.onServer(sh.Primary, "SELECT id FROM numbers.orders WHERE user_id >= 1000")
			e.must(err)
			for _, r := range rows {
				if seen[r[0]] {
					e.Fatalf("two rows have number %s", r[0])
				}
				seen[r[0]] = true
			}
		}
		for n := range told {
			if !seen[fmt.Sprint(n)] {
				return false
			}
		}
		return true
	})
}
