package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestI16SeveralStatements sends texts of several statements to Shardway and to a plain server, and compares every
// reply: how many there are, their rows, status flags and errors.
func TestI16SeveralStatements(t *testing.T) {
	onBoth(t, "several", app, func(e *env) {
		d := e.serve(settings{"users": "{app: {password: app}}"})
		for _, mode := range []struct {
			name   string
			change func(*wireOptions)
		}{
			{"modern", func(o *wireOptions) { o.caps = capMultiStmts }},
			{"old", func(o *wireOptions) { o.caps, o.without = capMultiStmts, capDeprecateEOF }},
			{"without", nil},
		} {
			e.Run(mode.name, func(*testing.T) {
				w, plain := e.dial(d, mode.change), e.plain(mode.change)
				for _, q := range []string{
					"SELECT 1; SELECT 2",
					"SELECT 1; SELECT 2;",
					"SELECT 1;",
					"/* nothing */",
					"# nothing",
					";",
					"",
					"SELECT ';'; SELECT 2 /* ; */; SELECT 3 -- ;",
					"SELECT 1;; SELECT 2",
					"SELECT 1; /* nothing */",
					"SELECT 1; -- nothing",
					"SELECT 1; SELECT nothing; SELECT 2",
					"SELECT 1; SELEC 2; SELECT 3",
					"SELECT name FROM users WHERE id = 3; UPDATE users SET age = 1 WHERE id = 3; SELECT age FROM users WHERE id = 3",
					"BEGIN; UPDATE users SET age = 2 WHERE id = 4; SELECT age FROM users WHERE id = 4; ROLLBACK; BEGIN; SELECT age FROM users WHERE id = 4; COMMIT",
					"BEGIN; UPDATE users SET age = 9 WHERE id = 5",
					"SELECT age FROM users WHERE id = 5; ROLLBACK; SELECT age FROM users WHERE id = 5",
					"SET @a = 3; SELECT @a; SET @a = 1 + @a; SELECT @a",
					"SET sql_mode = 'ANSI_QUOTES'; SELECT \"a;b\" FROM (SELECT 1 AS \"a;b\") x; SET sql_mode = DEFAULT; SELECT \"a;b\"",
					"INSERT INTO notes (txt) VALUES ('several'); SELECT ROW_COUNT(); SELECT ROW_COUNT(); DELETE FROM notes WHERE txt = 'several'",
					"DELETE FROM notes WHERE txt = 'no such'; SELECT ROW_COUNT()",
					"SELECT 1/0; SHOW WARNINGS",
					"USE mysql; SELECT DATABASE(); USE several; SELECT DATABASE()",
					"CREATE TEMPORARY TABLE tt (a INT); INSERT INTO tt VALUES (1), (2); SELECT COUNT(*) FROM tt; DROP TEMPORARY TABLE tt",
					"DROP PROCEDURE IF EXISTS p1; CREATE PROCEDURE p1(IN a INT) BEGIN DECLARE d INT DEFAULT CASE WHEN a THEN 1 ELSE 2 END; IF d = 1 THEN SELECT 'one;'; ELSE SELECT 'two'; END IF; END; CALL p1(1); CALL p1(0); SELECT 3",
					"CALL p1(1); DROP PROCEDURE p1",
					"BEGIN NOT ATOMIC SELECT 1; SELECT 2; END; SELECT 3",
					"PREPARE s FROM 'SELECT ?'; SET @x = 5; EXECUTE s USING @x; DEALLOCATE PREPARE s",
					"COMMIT; START TRANSACTION READ ONLY; UPDATE users SET age = 1 WHERE id = 3; COMMIT",
					"ROLLBACK; SELECT @@autocommit; SET autocommit = 0; SELECT 1; SET autocommit = 1",
				} {
					got, err1 := w.query(q)
					want, err2 := plain.query(q)
					if err1 != nil || err2 != nil {
						e.Fatalf("%s: %v, %v", q, err1, err2)
					}
					e.sameReplies(q, got, want)
				}
				// A text that is prepared is one statement.
				_, err1 := w.prepare("SELECT 1; SELECT 2")
				_, err2 := plain.prepare("SELECT 1; SELECT 2")
				if fmt.Sprint(err1) != fmt.Sprint(err2) {
					e.Errorf("two statements in one PREPARE: %v, want %v", err1, err2)
				}
				// SET_OPTION turns it on and off.
				for _, option := range []byte{0, 1} {
					for _, c := range []*wire{w, plain} {
						if _, err := c.simple(comSetOption, []byte{option, 0}); err != nil {
							e.Error(err)
						}
					}
					got, err1 := w.query("SELECT 1; SELECT 2")
					want, err2 := plain.query("SELECT 1; SELECT 2")
					if err1 != nil || err2 != nil {
						e.Fatal(err1, err2)
					}
					e.sameReplies(fmt.Sprintf("after SET_OPTION %d", option), got, want)
				}
			})
		}
	})
}

// sameReplies compares replies in all that a client can see, but for what each server words in its own way.
func (e *env) sameReplies(q string, got, want []result) {
	e.Helper()
	if len(got) != len(want) {
		e.Errorf("%s: %d replies, want %d\n%s\n%s", q, len(got), len(want), replies(got), replies(want))
		return
	}
	for i := range got {
		if g, w := replies(got[i:i+1]), replies(want[i:i+1]); g != w {
			e.Errorf("%s: reply %d is\n%s\nwant\n%s", q, i+1, g, w)
		}
	}
}

func replies(rs []result) string {
	var b strings.Builder
	for i := range rs {
		r := &rs[i]
		if r.Err != nil {
			// A server quotes what follows the error up to the end of the whole text.
			message, _, _ := strings.Cut(r.Err.Message, " near ")
			fmt.Fprintf(&b, "error %d (%s) %s\n", r.Err.Code, r.Err.State, message)
			continue
		}
		// That no index was used, or a slow one, depends on the server's statistics.
		fmt.Fprintf(&b, "%d columns, %d rows %q, %d affected, status %#x, %d warnings, info %q\n", len(r.Columns), len(r.Rows),
			bytes.Join(r.Rows, []byte("|")), r.OK.Affected, r.OK.Status&^0x4030, r.OK.Warnings, r.OK.Info)
	}
	return b.String()
}

// TestI16DriverWithMultiStatements uses the option of a driver.
func TestI16DriverWithMultiStatements(t *testing.T) {
	onBoth(t, "severaldrv", app, func(e *env) {
		d := e.serve(nil)
		db := e.open(d, func(c *mysql.Config) { c.MultiStatements = true })
		rows, err := db.QueryContext(e.ctx, "SELECT name FROM users WHERE id = 3; UPDATE users SET age = 77 WHERE id = 3; SELECT age FROM users WHERE id = 3")
		e.must(err)
		var got []string
		for more := true; more; more = rows.NextResultSet() {
			for rows.Next() {
				var cell sql.NullString
				e.must(rows.Scan(&cell))
				got = append(got, cell.String)
			}
		}
		e.must(rows.Err())
		e.must(rows.Close())
		if want := "user 3 77"; strings.Join(got, " ") != want {
			e.Errorf("got %q, want %s", got, want)
		}
		if _, err := db.ExecContext(e.ctx, "UPDATE users SET age = 78 WHERE id = 3; UPDATE users SET age = 79 WHERE id = 9"); err != nil {
			e.Error(err)
		}
	})
}
