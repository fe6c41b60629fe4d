package e2e

import (
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/test/cluster"
)

// gathered is app with a table of odd columns.
func gathered(f cluster.Flavor) cluster.Data {
	d := app(f)
	d.Script = append(d.Script,
		"CREATE TABLE odd (id INT NOT NULL AUTO_INCREMENT, n BIGINT NOT NULL DEFAULT 3, low VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, hidden INT DEFAULT 5 INVISIBLE, "+
			"gen INT GENERATED ALWAYS AS (n * 2) VIRTUAL, geo GEOMETRY, wide VARCHAR(10) CHARACTER SET utf16, z INT(8) UNSIGNED ZEROFILL, dflt VARCHAR(30) NOT NULL DEFAULT 'it''s \"a\" \\\\ default', "+
			"fl FLOAT NOT NULL, big DECIMAL(65,30), stamp TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), zero DATE NOT NULL DEFAULT '2020-01-01', bits BIT(64), "+
			"PRIMARY KEY (id, n), UNIQUE KEY (z), KEY two (low(10), fl))",
		"INSERT INTO odd (id, n, low, hidden, geo, wide, z, fl, big, stamp, bits) VALUES "+
			"(1, 3, 'Straße', 7, ST_GeomFromText('POINT(1 2)'), 'wörd', 42, 1.1, 12345678901234567890123456789012345.123456789012345678901234567890, '2026-03-04 05:06:07.123456', X'ffffffffffffffff'),"+
			"(2, 12, 'STRASSE', NULL, NULL, '', 4294967295, 3.4028234e38, -0.000000000000000000000000000001, NULL, 0),"+
			"(3, 5, 'a\\\\b''c\\n\\0d', 1, ST_GeomFromText('LINESTRING(0 0,1 1)'), NULL, NULL, -1e-30, NULL, '2038-01-19 03:14:07', NULL),"+
			"(4, 14, NULL, 2, NULL, NULL, 0, 16777217, 0, '1970-01-02 00:00:01', 5)",
	)
	d.Tables = append(d.Tables, cluster.Placed{Name: "odd", Key: "n", Placement: "mod", Options: "key_type: bigint"})
	return d
}

// TestGather runs testdata/gather.sql through Shardway and on the plain server, as text and prepared, and looks at what
// it leaves behind.
func TestGather(t *testing.T) {
	statements := readStatements(t, "testdata/gather.sql")
	onBoth(t, "gather", gathered, func(e *env) {
		d := e.serve(settings{"limits": "{gather_rows: 100000}"})
		e.gatherLeavesNothing(d)
		for _, prepared := range []bool{false, true} {
			compared, refused := e.compare(statements, prepared, func() *wire { return e.dial(d, nil) }, func() *wire { return e.plain(nil) }, nil)
			e.Logf("note: %d statements answered alike, %d refused", compared, refused)
		}
		e.gatherExplains(d)
		e.gatherEnds(d)
		few := e.serve(settings{"limits": "{gather_rows: 100}"})
		e.gatherLimits(few)
		e.gatherKeys(few)
		e.gatherStops(d)
		e.gatherPools()
	})
}

// TestViews runs testdata/views.sql through Shardway and on the plain server, as text and prepared.
func TestViews(t *testing.T) {
	statements := readStatements(t, "testdata/views.sql")
	onBoth(t, "viewed", app, func(e *env) {
		d := e.serve(nil)
		statements := slices.Clone(statements)
		for i := range statements {
			statements[i].viewed = e.mysql()
		}
		for _, prepared := range []bool{false, true} {
			compared, refused := e.compare(statements, prepared, func() *wire { return e.dial(d, nil) }, func() *wire { return e.plain(nil) }, nil)
			e.Logf("note: %d statements answered alike, %d refused", compared, refused)
		}
	})
}

// logPositions are the ends of the servers' binary logs.
func (e *env) logPositions() (list [][2]string) {
	for _, s := range e.c.Servers() {
		rows := e.rowsOf(s, e.say("SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"))
		list = append(list, [2]string{rows[0][0], rows[0][1]})
	}
	return list
}

// logged are the events after positions that are about the test's database, whose name no other session uses.
func (e *env) logged(from [][2]string) (list []string) {
	for i, s := range e.c.Servers() {
		for _, row := range e.rowsOf(s, "SHOW BINLOG EVENTS IN '"+from[i][0]+"' FROM "+from[i][1]) {
			if text := strings.Join(row, " "); strings.Contains(text, "gather") || strings.Contains(text, "TEMPORARY") {
				list = append(list, s.Name+": "+text)
			}
		}
	}
	return list
}

// rowsOf are the rows of a query on a server itself.
func (e *env) rowsOf(s *cluster.Server, q string) (list [][]string) {
	rows, err := s.DB().QueryContext(e.ctx, q)
	e.must(err)
	defer rows.Close()
	names, err := rows.Columns()
	e.must(err)
	for rows.Next() {
		values, at := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			at[i] = &values[i]
		}
		e.must(rows.Scan(at...))
		row := make([]string, len(names))
		for i := range values {
			row[i] = values[i].String
		}
		list = append(list, row)
	}
	e.must(rows.Err())
	return list
}

// gatherLeavesNothing gathers on replicas that take no write at all, and on primaries.
func (e *env) gatherLeavesNothing(d *daemon) {
	e.must(e.c.Sync(e.ctx))
	if e.mysql() {
		for _, sh := range e.c.Shards {
			for _, r := range sh.Replicas {
				e.must(r.Exec(e.ctx, "SET GLOBAL super_read_only=ON"))
				defer func() { e.must(r.Exec(e.ctx, "SET GLOBAL super_read_only=OFF")) }()
			}
		}
	}
	before := e.logPositions()
	w := e.dial(d, nil)
	for _, hint := range []string{"", "/* shardway: primary */ "} {
		for range 3 {
			got, err := w.one("SELECT " + hint + "COUNT(*) FROM users a JOIN users b ON a.id = b.id + 1")
			e.must(err)
			if got != "70" {
				e.Errorf("a join over the shards counts %s rows", got)
			}
			got, err = w.one("SELECT " + hint + "COUNT(*) FROM users WHERE id = 3")
			e.must(err)
			if got != "1" {
				e.Errorf("%s rows after a join, on a connection that may have been the join's", got)
			}
		}
	}
	if got := e.logged(before); len(got) > 0 {
		e.Errorf("the servers have written to their binary logs:\n%s", strings.Join(got, "\n"))
	}
	if !e.mysql() {
		return
	}
	e.until("no temporary table is left", func() bool {
		n := 0
		for _, s := range e.c.Servers() {
			text, err := s.Text(e.ctx, "SELECT COUNT(*) FROM information_schema.INNODB_TEMP_TABLE_INFO")
			e.must(err)
			here, err := strconv.Atoi(text)
			e.must(err)
			n += here
		}
		return n == 0
	})
}

// gatherEnds kills a statement, lets its time be over, and leaves.
func (e *env) gatherEnds(d *daemon) {
	const slow = "SELECT SLEEP(77) FROM users a JOIN users b ON a.id = b.id + 1 ORDER BY 1"
	sleeping := func() int {
		n := 0
		for _, s := range e.c.Servers() {
			rows, err := e.onServer(s, "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(77)%' AND INFO NOT LIKE '%PROCESSLIST%'")
			e.must(err)
			n += len(rows)
		}
		return n
	}
	w, other := e.dial(d, nil), e.dial(d, nil)
	id, err := w.one("SELECT CONNECTION_ID()")
	e.must(err)
	e.must(w.send(comQuery, []byte(slow)))
	e.until("the statement runs", func() bool { return sleeping() == 1 })
	_, err = other.query("KILL QUERY " + id)
	e.must(err)
	e.until("a killed statement has ended", func() bool { return sleeping() == 0 })
	w.close()

	w = e.dial(d, nil)
	rs, err := w.query("SELECT /* shardway: timeout=300ms */" + strings.TrimPrefix(slow, "SELECT"))
	e.must(err)
	if got := rs[0].Err; got == nil || got.Code != 3024 && got.Code != 1317 { // the latter once columns have been sent
		e.Errorf("a statement whose time is over: %v", got)
	}
	if got, err := w.one("SELECT COUNT(*) FROM users a JOIN users b ON a.id = b.id + 1"); err != nil || got != "70" {
		e.Errorf("after a timeout: %s, %v", got, err)
	}
	e.must(w.send(comQuery, []byte(slow)))
	e.until("the statement runs", func() bool { return sleeping() == 1 })
	w.close()
	e.until("the statement of a client that left has ended", func() bool { return sleeping() == 0 })
}

// gatherLimits goes beyond limits.gather_rows, in a transaction that lives on.
func (e *env) gatherLimits(d *daemon) {
	w := e.dial(d, nil)
	for _, q := range []string{"BEGIN", "UPDATE users SET age = 77 WHERE id = 3"} {
		_, err := w.query(q)
		e.must(err)
	}
	rs, err := w.query("SELECT COUNT(*) FROM users u JOIN orders o ON o.user_id = u.id + 1")
	e.must(err)
	if got := rs[0].Err; got == nil || got.Code != 1105 || !strings.Contains(got.Message, "limits.gather_rows") || !strings.Contains(got.Message, "gather.orders") {
		e.Errorf("more rows than the limit: %v", got)
	}
	if got, err := w.one("SELECT COUNT(*) FROM countries c JOIN users u ON u.country = c.code AND u.id = 3 WHERE u.age = 77"); err != nil || got != "1" {
		e.Errorf("after the limit the transaction sees %s of its rows, %v", got, err)
	}
	_, err = w.query("ROLLBACK")
	e.must(err)
}

// gatherKeys joins a few rows with those of tables that have more than the limit: most of these stay where they are.
func (e *env) gatherKeys(d *daemon) {
	w, plain := e.dial(d, nil), e.plain(nil)
	defer plain.close()
	for _, q := range []string{
		"SELECT COUNT(*), MAX(o.id) FROM users u JOIN orders o ON o.user_id = u.age WHERE u.id BETWEEN 3 AND 9",
		"SELECT COUNT(*), MAX(o.id) FROM orders o JOIN counters c ON o.id = c.n + 0 AND o.user_id = c.id WHERE c.n IN (4, 5)",
		"SELECT COUNT(*), MAX(o.id) FROM counters c LEFT JOIN orders o ON o.id = c.n WHERE c.n BETWEEN 4 AND 30",
		"SELECT COUNT(*), MAX(o.id) FROM orders o WHERE o.user_id IN (SELECT age FROM users WHERE id < 0)",
		"SELECT COUNT(*), MAX(o.id) FROM orders o WHERE EXISTS (SELECT 1 FROM users u WHERE u.age = o.user_id AND u.id < 0)",
		"SELECT COUNT(*), MAX(o.id) FROM kinds k JOIN users u ON u.id = k.id + 0 AND u.age = k.u8 JOIN orders o ON o.user_id = u.age",
		"SELECT COUNT(*), MAX(o.id) FROM users u JOIN orders o ON o.user_id = u.age WHERE u.id = 3 AND u.name = 'nobody'",
		"SELECT COUNT(*), MAX(o.id) FROM countries c JOIN users u ON u.country = c.code JOIN orders o ON o.user_id = u.age WHERE c.name = 'Polska'",
		"SELECT COUNT(*), MAX(orders.id) FROM users JOIN orders ON user_id = age WHERE country = 'de' AND note = 'order 1' AND name LIKE 'user%'",
	} {
		got, err := w.one(q)
		if err != nil {
			e.Errorf("%s: %v", q, err)
			continue
		}
		want, err := plain.one(q)
		e.must(err)
		if got != want {
			e.Errorf("%s: %s, want %s", q, got, want)
		}
	}
}

// gatherExplains has the steps of statements explained that aren't for one shard.
func (e *env) gatherExplains(d *daemon) {
	w := e.dial(d, nil)
	const join = "SELECT u.name, o.total FROM users u JOIN orders o ON o.user_id = u.age WHERE u.country = 'de'"
	for _, c := range []struct {
		sql    string
		tables string // the column of that name, where it is the same everywhere
		rows   int
		holds  string
	}{
		{sql: "EXPLAIN FORMAT=TRADITIONAL " + join, tables: "users users orders orders", rows: 6},
		{sql: e.say("DESC ", "EXPLAIN EXTENDED ") + join, rows: map[bool]int{true: 5, false: 6}[e.mysql()]},
		{sql: "EXPLAIN FORMAT=TRADITIONAL SELECT COUNT(*), AVG(total) FROM orders", tables: "orders orders", rows: 2},
		{sql: "EXPLAIN FORMAT=TRADITIONAL UPDATE users SET age = 3 WHERE age = 4", tables: "users users", rows: 2},
		{sql: "EXPLAIN FORMAT=TRADITIONAL DELETE FROM orders ORDER BY total LIMIT 3", tables: "orders orders", rows: 2},
		{sql: "EXPLAIN FORMAT=TRADITIONAL UPDATE users u JOIN notes n ON n.user_id = u.age SET u.name = n.txt", tables: "users users", rows: 4},
		{sql: "EXPLAIN FORMAT=TRADITIONAL INSERT INTO notes (id, user_id) SELECT id + 100, id FROM users", tables: "users users", rows: 2},
		{sql: "EXPLAIN FORMAT=JSON " + join, rows: 5, holds: "\"table_name\": \"o\""},
		{sql: e.say("EXPLAIN ANALYZE ", "ANALYZE ") + join, rows: map[bool]int{true: 5, false: 6}[e.mysql()]},
		{sql: e.say("EXPLAIN FORMAT=TREE ", "ANALYZE FORMAT=JSON ") + join, rows: 5, holds: "orders"},
	} {
		rows, err := w.text(c.sql)
		if err != nil {
			e.Errorf("%s: %v", c.sql, err)
			continue
		}
		var tables, all []string
		for _, row := range rows {
			tables = append(tables, row[min(2, len(row)-1)])
			all = append(all, row...)
		}
		if !strings.HasPrefix(strings.Join(tables, " "), c.tables) || len(rows) != c.rows || !strings.Contains(strings.Join(all, " "), c.holds) {
			e.Errorf("%s gives %d rows: %q", c.sql, len(rows), all)
		}
	}
	for q, want := range map[string]string{
		e.say("EXPLAIN ANALYZE DELETE FROM orders", "ANALYZE DELETE FROM orders"): "ANALYZE would run",
		"EXPLAIN SELECT * FROM users WHERE nosuch = 3":                            "nosuch",
	} {
		rs, err := w.query(q)
		e.must(err)
		if got := rs[0].Err; got == nil || !strings.Contains(got.Message, want) {
			e.Errorf("%s: %v", q, got)
		}
	}
	if got, err := w.one("SELECT COUNT(*) FROM orders"); err != nil || got != "284" {
		e.Errorf("after EXPLAINs there are %s orders, %v", got, err)
	}
	w.close()
}

// gatherStops kills statements whose rows are being read, and leaves while they are.
func (e *env) gatherStops(d *daemon) {
	const q = "SELECT COUNT(*) FROM users u JOIN orders o ON o.user_id = u.id + 1"
	e.must(e.c.Sync(e.ctx))
	var locks []*sql.Conn
	servers := append([]*cluster.Server{e.c.Shards[1].Primary}, e.c.Shards[1].Replicas...)
	for _, s := range servers {
		c, err := s.DB().Conn(e.ctx)
		e.must(err)
		defer c.Close()
		_, err = c.ExecContext(e.ctx, "LOCK TABLES "+e.db.Name+".orders WRITE")
		e.must(err)
		locks = append(locks, c)
	}
	waiting := func() int {
		n := 0
		for _, s := range servers {
			rows, err := e.onServer(s, "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%' AND INFO LIKE 'SELECT%orders%'")
			e.must(err)
			n += len(rows)
		}
		return n
	}
	for _, first := range []string{"", "BEGIN"} {
		w, other := e.dial(d, nil), e.dial(d, nil)
		id, err := w.one("SELECT CONNECTION_ID()")
		e.must(err)
		if first != "" {
			_, err = w.query(first)
			e.must(err)
		}
		e.must(w.send(comQuery, []byte(q)))
		e.until("rows are waited for", func() bool { return waiting() == 1 })
		_, err = other.query("KILL QUERY " + id)
		e.must(err)
		rs, err := w.results()
		e.must(err)
		if got := rs[0].Err; got == nil || got.Code != 1317 {
			e.Errorf("a statement that was killed while its rows were read: %v", got)
		}
		e.until("nobody waits for rows any more", func() bool { return waiting() == 0 })
		if got, err := w.one("SELECT COUNT(*) FROM users"); err != nil || got != "71" {
			e.Errorf("after a kill: %s, %v", got, err)
		}
		e.must(w.send(comQuery, []byte(q)))
		e.until("rows are waited for", func() bool { return waiting() == 1 })
		w.close()
		e.until("nobody waits for a client that left", func() bool { return waiting() == 0 })
		other.close()
	}
	for _, c := range locks {
		_, err := c.ExecContext(e.ctx, "UNLOCK TABLES")
		e.must(err)
	}
	w := e.dial(d, nil)
	if got, err := w.one(q); err != nil || got != "280" {
		e.Errorf("once the rows can be read: %s, %v", got, err)
	}
	w.close()
	e.until("all connections are given back", func() bool { return busy(e, d) == 0 })
}

// busy is how many connections to servers are in use.
func busy(e *env, d *daemon) int {
	w := e.dial(d, nil)
	defer w.close()
	rows, err := w.text("SHOW SHARDWAY POOLS")
	e.must(err)
	n := 0
	for _, row := range rows {
		here, err := strconv.Atoi(row[4])
		e.must(err)
		n += here
	}
	return n
}

// gatherPools gathers where connections are few.
func (e *env) gatherPools() {
	const q = "SELECT COUNT(*) FROM users u JOIN orders o ON o.user_id = u.id + 1"
	d := e.serve(settings{"pool": "{max_per_server: 4, wait_timeout: 30s}"})
	var sessions sync.WaitGroup
	for i := range 12 {
		hint := []string{"", "/* shardway: primary */ "}[i%2]
		w := e.dial(d, nil)
		sessions.Go(func() {
			defer w.close()
			for range 2 {
				if got, err := w.one(strings.Replace(q, "COUNT", hint+"COUNT", 1)); err != nil || got != "280" {
					e.Errorf("one of many at once: %s, %v", got, err)
				}
			}
		})
	}
	sessions.Wait()

	d = e.serve(settings{"pool": "{max_per_server: 1, wait_timeout: 10s}"})
	w := e.dial(d, nil)
	if got, err := w.one(q); err != nil || got != "280" {
		e.Errorf("over one connection to each server: %s, %v", got, err)
	}
	began := time.Now()
	rs, err := w.query("SELECT /* shardway: primary */" + strings.TrimPrefix(q, "SELECT"))
	e.must(err)
	if got := rs[0].Err; got == nil || got.Code != 1040 || !strings.Contains(got.Message, "pool.max_per_server is 1") {
		e.Errorf("at primaries with one connection each: %v", got)
	}
	if took := time.Since(began); took > 20*time.Second {
		e.Errorf("that one connection isn't enough takes %s to say", took)
	}
	if got, err := w.one("SELECT COUNT(*) FROM users"); err != nil || got != "71" {
		e.Errorf("after that: %s, %v", got, err)
	}
	w.close()
}
