package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// writes are what a user who may only read tries, to change a row, a table, a file, a lock or a setting. What one kind
// of server doesn't know is an error of that server's.
var writes = []string{
	"INSERT INTO notes (txt) VALUES ('w')", "REPLACE INTO notes (id, txt) VALUES (1, 'w')", "UPDATE notes SET txt = 'w' WHERE id = 1",
	"DELETE FROM notes WHERE id = 1", "DELETE FROM notes WHERE id = 1 RETURNING id", "WITH x AS (SELECT 1) DELETE FROM notes",
	"WITH x AS (SELECT 1 i) UPDATE notes, x SET txt = 'w' WHERE id = i", "INSERT INTO notes (txt) WITH x AS (SELECT 'w') SELECT * FROM x",
	"/*!50000 DELETE FROM notes */", "/*! DELETE FROM notes */", "/*M! DELETE FROM notes */", "/*M!100100 DELETE FROM notes */",
	"/*!99999 SELECT 1 */ DELETE FROM notes", "SELECT 1; DELETE FROM notes", "/* shardway: shard=s0 */ DELETE FROM notes",
	"EXPLAIN ANALYZE UPDATE notes SET txt = 'w'", "ANALYZE UPDATE notes SET txt = 'w'", "ANALYZE FORMAT=JSON DELETE FROM notes",
	"DESC ANALYZE DELETE FROM notes", "SET STATEMENT max_statement_time = 1 FOR DELETE FROM notes", "SELECT writes()", "SELECT access.writes()",
	"SELECT @x := writes()", "DO writes()", "SET @x = writes()", "SHOW TABLES WHERE writes()", "SHOW TABLES WHERE access.writes()",
	"SHOW TABLES WHERE `writes`()", "SELECT * FROM notes WHERE writes()", "SELECT 1 FROM notes ORDER BY writes()", "CALL w()", "CALL access.w()",
	"TRUNCATE notes", "DROP TABLE notes", "ALTER TABLE notes ADD w INT", "CREATE TABLE w (id INT)", "CREATE TEMPORARY TABLE w (id INT)",
	"CREATE VIEW v AS SELECT 1", "CREATE INDEX w ON notes (user_id)", "RENAME TABLE notes TO w", "LOCK TABLES notes WRITE",
	"PREPARE w FROM 'DELETE FROM notes'", "EXECUTE IMMEDIATE 'DELETE FROM notes'", "BEGIN NOT ATOMIC DELETE FROM notes; END",
	"HANDLER notes OPEN", "LOAD DATA INFILE '/etc/hostname' INTO TABLE notes (txt)", "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE notes (txt)",
	"SELECT txt FROM notes INTO OUTFILE 'shardway-w'", "SELECT @x := 1 INTO OUTFILE 'shardway-w'", "SELECT 1 INTO DUMPFILE 'shardway-w'",
	"SELECT 1 /*! INTO OUTFILE 'shardway-w' */", "TABLE notes INTO OUTFILE 'shardway-w'", "SELECT @x, LOAD_FILE('/etc/hostname')",
	"SELECT txt FROM notes WHERE id = 1 FOR UPDATE", "SELECT txt FROM notes WHERE id = 1 LOCK IN SHARE MODE", "SET @x = (SELECT txt FROM notes WHERE id = 1 FOR UPDATE)",
	"XA START 'w'", "SET GLOBAL max_connections = 601", "SET @@global.max_connections = 601", "SET @x = 1, GLOBAL max_connections = 601",
	"SET PERSIST max_connections = 601", "SET PASSWORD = 'w'", "GRANT ALL ON access.* TO w", "CREATE USER w", "FLUSH TABLES", "ANALYZE TABLE notes",
	"OPTIMIZE TABLE notes", "KILL USER shardway", "SHUTDOWN",
}

// TestAUserWhoMayOnlyReadWritesNothing sends all that writes, as text and prepared, by itself and in a transaction.
func TestAUserWhoMayOnlyReadWritesNothing(t *testing.T) {
	onBoth(t, "access", app, func(e *env) {
		e.must(e.c.Exec(e.ctx, "USE access", "CREATE TABLE written (id INT AUTO_INCREMENT PRIMARY KEY)",
			"CREATE FUNCTION writes() RETURNS INT DETERMINISTIC BEGIN INSERT INTO written VALUES (NULL); RETURN 1; END",
			"CREATE PROCEDURE w() INSERT INTO written VALUES (NULL)"))
		e.must(e.c.Sync(e.ctx))
		d := e.serve(settings{"users": "{app: {password: app, read_only: true}, some: {password: app, read_only: true, databases: [access]}}"})
		const state = "SELECT CONCAT((SELECT COUNT(*) FROM access.written), '/', (SELECT COUNT(*) FROM access.notes), '/', " +
			"(SELECT GROUP_CONCAT(txt ORDER BY id) FROM access.notes), '/', @@global.max_connections, '/', (SELECT COUNT(*) FROM mysql.user))"
		// What takes the servers long to say is asked for less often.
		const tables = "SELECT GROUP_CONCAT(CONCAT(table_name, '.', column_name) ORDER BY table_name, ordinal_position) FROM information_schema.columns WHERE table_schema = 'access'"
		columns := func() (all []string) {
			for _, sh := range e.c.Shards {
				text, err := sh.Primary.Text(e.ctx, tables)
				e.must(err)
				all = append(all, text)
			}
			return all
		}
		states := func() (all []string) {
			for _, sh := range e.c.Shards {
				text, err := sh.Primary.Text(e.ctx, state)
				if err != nil { // the second shard has no notes
					text, err = sh.Primary.Text(e.ctx, "SELECT COUNT(*) FROM access.written")
				}
				if err != nil {
					text = err.Error()
				}
				all = append(all, text)
			}
			return all
		}
		before, shape := states(), columns()
		tried := 0
		for _, user := range []string{"app", "some"} {
			for _, begin := range []string{"", "BEGIN"} {
				w := e.dial(d, func(o *wireOptions) { o.user, o.caps = user, capMultiStmts|capLocalFiles })
				for _, sql := range writes {
					if begin != "" {
						_, err := w.query(begin)
						e.must(err)
					}
					var failed bool
					rs, err := w.query(sql)
					failed = errorOf(rs, err) != nil
					if err != nil {
						e.Fatalf("%s: %v", sql, err)
					}
					if s, err := w.prepare(sql); err == nil {
						rs, err := w.execute(s, true)
						failed = failed && errorOf(rs, err) != nil
						if err != nil {
							e.Fatalf("%s, prepared: %v", sql, err)
						}
					}
					tried += 2
					if !failed && !strings.HasPrefix(sql, "KILL USER") {
						e.Errorf("%s was not refused", sql)
					}
					if after := states(); !slices.Equal(after, before) {
						e.Fatalf("%s of %s made of %q %q", sql, user, before, after)
					}
				}
				if after := columns(); !slices.Equal(after, shape) {
					e.Fatalf("one of %s's statements made of the columns %q %q", user, shape, after)
				}
			}
		}
		// What it may do.
		w := e.dial(d, nil)
		for _, sql := range []string{"SELECT txt FROM notes WHERE id = 1", "SHOW TABLES WHERE Tables_in_access IN ('notes')", "SELECT @x := 1", "SELECT 1 INTO @x", "BEGIN", "COMMIT", "SET NAMES utf8mb4", "EXPLAIN SELECT 1"} {
			rs, err := w.query(sql)
			if err := errorOf(rs, err); err != nil {
				e.Errorf("%s: %v", sql, err)
			}
		}
		e.Logf("note: %d attempts of a user who may only read changed nothing", tried)
		e.noLeaks(d)
	})
}

// TestAUserOfOneDatabaseSeesNoRowOfAnother looks for a secret of another database in every answer.
func TestAUserOfOneDatabaseSeesNoRowOfAnother(t *testing.T) {
	onBoth(t, "mine", app, func(e *env) {
		e.must(e.c.Exec(e.ctx, "DROP DATABASE IF EXISTS theirs", "CREATE DATABASE theirs", "CREATE TABLE theirs.hidden (secret VARCHAR(40), other INT)",
			"INSERT INTO theirs.hidden VALUES ('topsecret', 1)", "CREATE VIEW theirs.v AS SELECT * FROM theirs.hidden",
			"CREATE PROCEDURE theirs.p() SELECT * FROM theirs.hidden", "CREATE FUNCTION theirs.f() RETURNS VARCHAR(40) DETERMINISTIC READS SQL DATA RETURN (SELECT secret FROM theirs.hidden)"))
		e.Cleanup(func() { _ = e.c.Exec(e.ctx, "DROP DATABASE IF EXISTS theirs") })
		e.must(e.c.Sync(e.ctx))
		d := e.serve(settings{"users": "{app: {password: app, databases: [mine]}, root: {password: app, admin: true}}"})
		root := e.dial(d, func(o *wireOptions) { o.user = "root"; o.db = "theirs" })
		if got, err := root.one("SELECT 'topsecret' = secret FROM hidden"); got != "1" || err != nil {
			e.Fatal(got, err)
		}
		e.must(root.send(comQuery, []byte("SELECT 'topsecret', SLEEP(79) FROM hidden FOR UPDATE")))
		e.until("a statement of another user runs", func() bool { return e.running("SLEEP(79)") == 1 })

		w := e.dial(d, func(o *wireOptions) { o.caps = capMultiStmts })
		looks := func(what string, rs []result, err error) {
			e.Helper()
			if err != nil {
				e.Fatalf("%s: %v", what, err)
			}
			if text := shownIn(rs); strings.Contains(text, "topsecret") {
				e.Errorf("%s shows the secret: %s", what, text)
			}
		}
		for _, sql := range []string{
			"SELECT * FROM theirs.hidden", "SELECT * FROM `theirs`.`hidden`", "SELECT * FROM theirs . hidden", "SELECT * FROM theirs/**/.hidden",
			"SELECT * FROM /*! theirs.*/ hidden", "SELECT * FROM theirs.v", "CALL theirs.p()", "SELECT theirs.f()", "TABLE theirs.hidden", "SELECT 1; SELECT * FROM theirs.hidden",
			"USE theirs; SELECT * FROM hidden", "HANDLER theirs.hidden OPEN", "SELECT (SELECT secret FROM theirs.hidden)", "SET @x = (SELECT secret FROM theirs.hidden); SELECT @x",
			"SELECT * FROM notes JOIN theirs.hidden h", "SELECT * FROM users u WHERE u.id = 3 AND EXISTS (SELECT 1 FROM theirs.hidden WHERE secret LIKE 'tops%')",
			"SHOW TABLES WHERE (SELECT secret FROM theirs.hidden) = 'tops'", "CREATE VIEW vv AS SELECT * FROM theirs.hidden; SELECT * FROM vv",
			"CREATE TABLE tt SELECT * FROM theirs.hidden; SELECT * FROM tt", "CREATE TABLE tt LIKE theirs.hidden; SELECT * FROM tt",
			"PREPARE s FROM 'SELECT * FROM theirs.hidden'; EXECUTE s", "PREPARE s FROM CONCAT('SELECT * FROM thei', 'rs.hidden'); EXECUTE s",
			"SET @q = CONCAT('SELECT * FROM theirs', '.', 'hidden'); PREPARE s FROM @q; EXECUTE s", "EXECUTE IMMEDIATE CONCAT('SELECT * FROM theirs', '.', 'hidden')",
			"BEGIN NOT ATOMIC EXECUTE IMMEDIATE CONCAT('SELECT * FROM theirs', '.', 'hidden'); END", "EXPLAIN SELECT * FROM theirs.hidden", "ANALYZE SELECT * FROM theirs.hidden",
			"SELECT * FROM information_schema.processlist", "SHOW FULL PROCESSLIST", "/* shardway: shard=s0 */ SHOW FULL PROCESSLIST", "SHOW ENGINE INNODB STATUS",
			"SELECT * FROM information_schema.innodb_trx", "SELECT * FROM performance_schema.events_statements_history", "SELECT * FROM performance_schema.threads",
			"SELECT * FROM performance_schema.processlist", "SELECT * FROM sys.processlist", "SELECT * FROM mysql.general_log", "SHOW BINLOG EVENTS",
			"SHOW SHARDWAY SESSIONS", "SHOW SHARDWAY MAP", "SHOW SHARDWAY VARIABLES", "EXPLAIN ROUTE SELECT * FROM theirs.hidden",
			"LOAD DATA LOCAL INFILE 'x' INTO TABLE notes (txt) SET txt = (SELECT secret FROM theirs.hidden)", "SELECT LOAD_FILE('theirs/hidden.ibd')",
			"RENAME TABLE theirs.hidden TO mine.hidden", "INSERT INTO notes (txt) SELECT secret FROM theirs.hidden; SELECT * FROM notes", "USE information_schema; SELECT * FROM processlist; USE mine",
		} {
			rs, err := w.query(sql)
			looks(sql, rs, err)
			if s, err := w.prepare(sql); err == nil {
				rs, err := w.execute(s, true)
				looks(sql+", prepared", rs, err)
			}
		}
		// The other ways to another schema.
		_, err := w.simple(comInitDB, []byte("theirs"))
		e.refusedWith("COM_INIT_DB", err, 1044, "theirs")
		_, err = dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: "theirs"})
		e.refusedWith("a login", err, 1044, "theirs")
		e.refusedWith("COM_CHANGE_USER", e.dial(d, nil).changeUser("app", "app", "theirs"), 1044, "theirs")
		w = e.dial(d, nil)
		for sql, want := range map[string]string{
			"SHOW DATABASES":                                 "[[information_schema] [mine]]",
			"SHOW DATABASES LIKE '%i%'":                      "[[information_schema] [mine]]",
			"SHOW DATABASES LIKE 'the%'":                     "[]",
			"SHOW SCHEMAS WHERE `Database` LIKE 'the%'":      "[]",
			"SHOW DATABASES WHERE `Database` LIKE 'm%' OR 1": "[[information_schema] [mine]]",
		} {
			rows, err := w.text(sql)
			if got := fmt.Sprint(rows); got != want || err != nil {
				e.Errorf("%s: %s, %v, want %s", sql, got, err, want)
			}
			s, err := w.prepare(sql)
			e.must(err)
			rs, err := w.execute(s, true)
			e.must(err)
			if n := strings.Count(want, "[") - 1; len(rs[0].Rows) != n {
				e.Errorf("%s, prepared: %d rows, want %d", sql, len(rs[0].Rows), n)
			}
		}
		_, err = e.dial(d, func(o *wireOptions) { o.user = "root" }).query(fmt.Sprintf("KILL %d", root.id))
		e.must(err)
		e.noLeaks(d)
	})
}

// shownIn is all text of replies, in lower case.
func shownIn(rs []result) string {
	var b strings.Builder
	for i := range rs {
		for _, def := range rs[i].Columns {
			b.Write(def)
		}
		for _, row := range rs[i].Rows {
			b.Write(row)
		}
		if rs[i].Err != nil {
			b.WriteString(rs[i].Err.Message)
		}
	}
	return strings.ToLower(b.String())
}
