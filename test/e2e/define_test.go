package e2e

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// onShard is what Shardway adds to an error of a shard's server.
var onShard = regexp.MustCompile(` \(shard s\d\)`)

// TestDefine makes, changes and drops tables through Shardway and on the plain server, and compares every reply.
func TestDefine(t *testing.T) {
	onBoth(t, "define", app, func(e *env) {
		d := e.serve(nil)
		w, plain := e.dial(d, nil), e.plain(nil)
		const columns = "(id BIGINT NOT NULL, user_id BIGINT NOT NULL, total DECIMAL(12,2) NOT NULL DEFAULT 0, note VARCHAR(20), PRIMARY KEY (user_id, id))"
		for _, q := range []string{
			"DROP TABLE orders",
			"DROP TABLE orders",
			"DROP TABLE IF EXISTS orders",
			"SHOW WARNINGS",
			"CREATE TABLE orders " + columns,
			"CREATE TABLE orders " + columns,
			"CREATE TABLE IF NOT EXISTS orders " + columns,
			"SHOW WARNINGS",
			"CREATE TABLE fresh " + columns,
			"SHOW TABLES",
			"INSERT INTO orders VALUES (1, 1, 5, 'a'), (2, 2, 7, 'b'), (3, 9, 8, NULL), (4, 10, 9, 'd'), (5, 25, 1, 'e')",
			"ALTER TABLE orders ADD COLUMN lead_in INT DEFAULT 3 FIRST",
			"INSERT INTO orders VALUES (4, 6, 11, 2.5, 'f')",
			"ALTER TABLE orders ADD INDEX by_total (total)",
			"ALTER TABLE orders ADD INDEX by_total (total)",
			"CREATE INDEX by_note ON orders (note)",
			"DROP INDEX by_note ON orders",
			"ALTER TABLE orders MODIFY note VARCHAR(30), ALGORITHM=COPY",
			"ALTER TABLE orders NOSUCH",
			"ALTER TABLE orders DROP COLUMN nosuch",
			"SHOW CREATE TABLE orders",
			"SHOW COLUMNS FROM orders",
			"DESCRIBE orders",
			"SELECT * FROM orders ORDER BY user_id, id",
			"CHECKSUM TABLE orders",
			"CHECKSUM TABLE orders, users",
			"CHECKSUM TABLE countries",
			"CHECK TABLE orders",
			"ANALYZE TABLE orders, users",
			"OPTIMIZE TABLE orders",
			"ANALYZE TABLE countries",
			"BEGIN",
			"INSERT INTO users (id, name) VALUES (8000, 'committed')",
			"ALTER TABLE orders ADD COLUMN last_out INT",
			"ROLLBACK",
			"SELECT name FROM users WHERE id = 8000",
			"SET autocommit = 0",
			"ALTER TABLE orders DROP COLUMN last_out",
			"INSERT INTO users (id, name) VALUES (8001, 'committed too')",
			"TRUNCATE TABLE orders",
			"ROLLBACK",
			"SET autocommit = 1",
			"SELECT name FROM users WHERE id = 8001",
			"SELECT COUNT(*) FROM orders",
			"ALTER TABLE countries ADD COLUMN area INT",
			"INSERT INTO countries VALUES ('xx', 'Nowhere', 1)",
			"SELECT * FROM countries WHERE code = 'xx'",
			"DROP TABLE IF EXISTS orders, users",
			"CREATE DATABASE define",
			"CREATE DATABASE IF NOT EXISTS define",
			"ALTER DATABASE define CHARACTER SET latin1",
			"DROP DATABASE define",
			"SELECT DATABASE()",
			"CREATE DATABASE define",
			"USE define",
			"CREATE TABLE orders " + columns,
			"SHOW TABLES",
		} {
			got, err1 := w.query(q)
			want, err2 := plain.query(q)
			if err1 != nil || err2 != nil {
				e.Fatalf("%s: %v, %v", q, err1, err2)
			}
			if g, p := onShard.ReplaceAllString(replies(got), ""), replies(want); g != p {
				e.Errorf("%s: the reply is\n%s\nwant\n%s", q, g, p)
			}
		}
		for _, sh := range e.c.Shards {
			rows, err := e.onServer(sh.Primary, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'define' AND TABLE_NAME = 'orders'")
			e.must(err)
			if rows[0][0] != "1" {
				e.Errorf("%s has %s tables orders", sh.ID, rows[0][0])
			}
		}
		db := e.open(d, nil)
		e.definesLate(db)
		e.definesHalf(db)
		e.sizes(db)
	})
}

// definesLate changes a table that another client reads.
func (e *env) definesLate(db *sql.DB) {
	_, err := db.ExecContext(e.ctx, "INSERT INTO orders (id, user_id) VALUES (1, 1), (2, 9), (3, 9), (4, 10)")
	e.must(err)
	tx, err := db.BeginTx(e.ctx, nil)
	e.must(err)
	var n int
	e.must(tx.QueryRowContext(e.ctx, "SELECT COUNT(*) FROM orders WHERE user_id = 9").Scan(&n))
	done := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(e.ctx, "ALTER TABLE orders ADD COLUMN late INT")
		done <- err
	}()
	select {
	case err := <-done:
		e.Errorf("it didn't wait for the other client: %v", err)
		return
	case <-time.After(4 * time.Second): // longer than one wait for the lock
	}
	e.must(tx.Commit())
	e.must(<-done)
	stmt, err := db.PrepareContext(e.ctx, "ALTER TABLE orders DROP COLUMN late")
	e.must(err)
	_, err = stmt.ExecContext(e.ctx)
	e.must(err)
	e.must(stmt.Close())
}

// definesHalf has a change fail on the second shard, and finishes it.
func (e *env) definesHalf(db *sql.DB) {
	const change = "ALTER TABLE orders ADD UNIQUE KEY one (user_id, total)"
	_, err := db.ExecContext(e.ctx, change) // 9 has two rows
	for _, part := range []string{"1062", "is done on s0, failed on s1", "/* shardway: shard=s1 */"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			e.Errorf("no %q in %v", part, err)
		}
	}
	_, err = db.ExecContext(e.ctx, "ALTER TABLE orders ADD COLUMN next INT")
	if err == nil || !strings.Contains(err.Error(), "isn't alike on s0 and s1") || !strings.Contains(err.Error(), "nothing was changed") {
		e.Errorf("a table that isn't alike: %v", err)
	}
	_, err = db.ExecContext(e.ctx, "UPDATE orders SET total = id WHERE user_id = 9")
	e.must(err)
	_, err = db.ExecContext(e.ctx, "/* shardway: shard=s1 */ "+change)
	e.must(err)
	_, err = db.ExecContext(e.ctx, "ALTER TABLE orders ADD COLUMN next INT")
	e.must(err)

	_, err = db.ExecContext(e.ctx, "/* shardway: shard=s0 */ DROP TABLE orders")
	e.must(err)
	for _, q := range []string{"CREATE TABLE orders (user_id BIGINT)", "TRUNCATE TABLE orders", "DROP TABLE orders"} {
		_, err = db.ExecContext(e.ctx, q)
		if err == nil || !strings.Contains(err.Error(), "exists on s1 and not on s0") {
			e.Errorf("%s of a table that one shard has: %v", q, err)
		}
	}
	_, err = db.ExecContext(e.ctx, "DROP TABLE IF EXISTS orders")
	e.must(err)
	_, err = db.ExecContext(e.ctx, "CREATE TABLE orders (user_id BIGINT PRIMARY KEY)")
	e.must(err)
}

// sizes looks at what SHOW TABLE STATUS says of a table's rows.
func (e *env) sizes(db *sql.DB) {
	conn, err := db.Conn(e.ctx)
	e.must(err)
	defer func() { _ = conn.Close() }()
	if e.mysql() {
		_, err = conn.ExecContext(e.ctx, "SET information_schema_stats_expiry = 0")
		e.must(err)
	}
	var values []string
	for i := range 40 {
		values = append(values, fmt.Sprintf("(%d)", i+1))
	}
	_, err = conn.ExecContext(e.ctx, "INSERT INTO orders VALUES "+strings.Join(values, ","))
	e.must(err)
	for _, q := range []string{
		"ANALYZE TABLE orders", "/* shardway: primary */ SHOW TABLE STATUS LIKE 'orders'",
		"/* shardway: primary */ SELECT TABLE_NAME, TABLE_ROWS AS n, CREATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'define' AND TABLE_NAME = 'orders'",
	} {
		counted := strings.HasPrefix(q, "ANALYZE")
		rows, err := conn.QueryContext(e.ctx, q)
		e.must(err)
		names, err := rows.Columns()
		e.must(err)
		for rows.Next() {
			cells := make([]any, len(names))
			text := make([]sql.NullString, len(names))
			for i := range cells {
				cells[i] = &text[i]
			}
			e.must(rows.Scan(cells...))
			if at := slices.IndexFunc(names, func(n string) bool { return n == "Rows" || n == "n" }); at >= 0 {
				counted = true
				if text[at].String != "40" {
					e.Errorf("%s: %s rows, want 40", q, text[at].String)
				}
			}
		}
		if !counted {
			e.Errorf("%s: no rows are told", q)
		}
		e.must(rows.Err())
		e.must(rows.Close())
	}
}
