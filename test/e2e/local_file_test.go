package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestJ17LoadDataLocal loads a client's file through Shardway and on a plain server, and compares what comes of it.
func TestJ17LoadDataLocal(t *testing.T) {
	onBoth(t, "localfile", app, func(e *env) {
		if e.mysql() {
			e.must(e.c.Exec(e.ctx, "SET GLOBAL local_infile = ON"))
			e.Cleanup(func() { _ = e.c.Exec(e.ctx, "SET GLOBAL local_infile = OFF") })
		}
		d := e.serve(nil)
		var csv strings.Builder
		for i := range 20000 {
			fmt.Fprintf(&csv, "%d,note of a file %d %s\n", 100+i, i, strings.Repeat("x", 100))
		}
		mysql.RegisterReaderHandler("notes", func() io.Reader { return strings.NewReader(csv.String()) })
		mysql.RegisterReaderHandler("users", func() io.Reader { return strings.NewReader("1,x\n") })
		db := e.open(d, func(c *mysql.Config) { c.MultiStatements = true })
		const load = "LOAD DATA LOCAL INFILE 'Reader::notes' INTO TABLE notes FIELDS TERMINATED BY ',' (user_id, txt)"
		res, err := db.ExecContext(e.ctx, load)
		e.must(err)
		if n, err := res.RowsAffected(); n != 20000 || err != nil {
			e.Errorf("%d rows are loaded, %v", n, err)
		}
		// Rows that are there already are skipped with a warning, as LOCAL asks.
		res, err = db.ExecContext(e.ctx, load)
		e.must(err)
		if n, err := res.RowsAffected(); n != 0 || err != nil {
			e.Errorf("%d rows are loaded again, %v", n, err)
		}
		var n int
		e.must(db.QueryRowContext(e.ctx, "/* shardway: primary */ SELECT COUNT(*) FROM notes WHERE user_id >= 100").Scan(&n))
		if n != 20000 {
			e.Errorf("%d rows are there", n)
		}
		// Between other statements of one text.
		if _, err := db.ExecContext(e.ctx, "DELETE FROM notes WHERE user_id >= 100; "+load+"; UPDATE notes SET user_id = 7 WHERE user_id >= 100"); err != nil {
			e.Error(err)
		}
		e.must(db.QueryRowContext(e.ctx, "/* shardway: primary */ SELECT COUNT(*) FROM notes WHERE user_id = 7").Scan(&n))
		if n != 20001 {
			e.Errorf("%d rows are there after a text of three statements", n)
		}
		if _, err := db.ExecContext(e.ctx, "/* shardway: shard=s0 */ LOAD DATA LOCAL INFILE 'Reader::users' REPLACE INTO TABLE users FIELDS TERMINATED BY ',' (id, name)"); err != nil {
			e.Error(err)
		}

		// A file that isn't there, a table that isn't, and a client that has none of this.
		with := func(o *wireOptions) { o.caps = capLocalFiles }
		w, plain := e.dial(d, with), e.plain(with)
		bare, barePlain := e.dial(d, nil), e.plain(nil)
		for _, q := range []string{
			"LOAD DATA LOCAL INFILE '/nowhere' INTO TABLE notes (txt)", "LOAD DATA LOCAL INFILE '/nowhere' INTO TABLE nothing (txt)", "SELECT 1",
			"LOAD DATA LOCAL INFILE 'it''s' INTO TABLE notes (txt)", "SHOW WARNINGS",
		} {
			for _, pair := range [][2]*wire{{w, plain}, {bare, barePlain}} {
				got, err1 := pair[0].query(q)
				want, err2 := pair[1].query(q)
				if err1 != nil || err2 != nil {
					e.Fatalf("%s: %v, %v", q, err1, err2)
				}
				e.sameReplies(q, got, want)
			}
		}
		// A client that goes away in the middle takes nothing with it.
		cut := e.dial(d, with)
		e.must(cut.send(comQuery, []byte("LOAD DATA LOCAL INFILE 'cut.csv' INTO TABLE notes (txt)")))
		if p, err := cut.readPacket(); err != nil || string(p) != "\xfbcut.csv" {
			e.Fatalf("%q, %v", p, err)
		}
		e.must(cut.writePacket([]byte("half a li")))
		cut.close()
		if got, err := w.one("SELECT COUNT(*) FROM notes WHERE txt LIKE 'half%'"); got != "0" || err != nil {
			e.Errorf("%s rows of a file that broke off, %v", got, err)
		}
	})
}
