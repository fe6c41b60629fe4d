package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestC8APinHasAReasonAndAWaitHasADeadline: kept connections leaked, or the pool locked up.
func TestC8APinHasAReasonAndAWaitHasADeadline(t *testing.T) {
	onBoth(t, "pinned", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 1, wait_timeout: 300ms}"})
		a, b, watcher := e.dial(d, nil), e.dial(d, nil), e.dial(d, nil)
		if got, err := a.one("SELECT GET_LOCK('c8', 1)"); got != "1" || err != nil {
			e.Fatal(got, err)
		}
		if why := e.pinned(watcher, a); !strings.Contains(why, "named lock") {
			e.Errorf("the session is shown as pinned for %q", why)
		}
		if _, body := d.get("/metrics"); !strings.Contains(body, `shardway_pins{reason="named lock"} 1`) {
			e.Error("no metric counts the pin")
		}
		began := time.Now()
		rs, err := b.query("UPDATE notes SET user_id = 1 WHERE id = 1")
		e.must(err)
		if rs[0].Err == nil || !strings.HasPrefix(rs[0].Err.Message, "shardway:") || time.Since(began) > 10*time.Second {
			e.Errorf("with every connection kept: %v after %v, want an error of Shardway's", rs[0], time.Since(began))
		}
		a.close()
		e.until("the connection of a client that left is free", func() bool {
			rs, err := b.query("UPDATE notes SET user_id = 1 WHERE id = 1")
			e.must(err)
			return rs[0].Err == nil
		})
	})
}

// TestC7WhatFollowsTheClientKeepsNoConnection: a variable that is computed pinned its client for good.
func TestC7WhatFollowsTheClientKeepsNoConnection(t *testing.T) {
	onBoth(t, "free", app, func(e *env) {
		d := e.serve(nil)
		watcher := e.dial(d, nil)
		for _, c := range []struct{ sqls, why string }{
			{"SET @a = 1;SET @b = @a + 1.5, @c = CONCAT('é', @a), @d = NULL", ""},
			{"SELECT @n := COUNT(*) FROM notes;SELECT name INTO @name FROM users WHERE id = 8;UPDATE notes SET user_id = @n WHERE id = 1", ""},
			{"SELECT @n := 1, CAST('abc' AS SIGNED);SELECT 1", ""},
			{"BEGIN;SELECT id INTO @i FROM users WHERE id = 8 FOR UPDATE;COMMIT", ""},
			{"SET @OLD_SQL_MODE = @@sql_mode, sql_mode = 'NO_AUTO_VALUE_ON_ZERO';SET sql_mode = @OLD_SQL_MODE", ""},
			{"SET @big = REPEAT('x', 100000)", "user variable"},
			{"SET @big = REPEAT('x', 100000);SET @big = NULL", ""},
			{"LOCK TABLES notes READ;UNLOCK TABLES;SELECT GET_LOCK('a', 1);SELECT RELEASE_LOCK('a')", ""},
			{"/* shardway: shard=s0 */ XA START 'free'", "xa"},
			{"/* shardway: shard=s0 */ XA START 'free';/* shardway: shard=s0 */ XA END 'free';/* shardway: shard=s0 */ XA ROLLBACK 'free'", ""},
			{"UPDATE notes SET user_id = 1 WHERE id = 1;SELECT ROW_COUNT() + 1, CONNECTION_ID();SET @rc = ROW_COUNT()", ""},
		} {
			w := e.dial(d, nil)
			for sql := range strings.SplitSeq(c.sqls, ";") {
				if rs, err := w.query(sql); err != nil || rs[0].Err != nil {
					e.Errorf("%s: %v, %v", sql, err, rs)
				}
			}
			e.givenBack(watcher, w)
			if why := e.pinned(watcher, w); (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				e.Errorf("after %s the session keeps a connection for %q, want %q", c.sqls, why, c.why)
			}
			w.close()
		}
	})
}

// TestE10StatementsThatDifferInALiteral: LIMIT 8 and LIMIT 10 were taken for one statement, and its schema and
// character set were left out of account.
func TestE10StatementsThatDifferInALiteral(t *testing.T) {
	onBoth(t, "collide", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 1, wait_timeout: 30s}"})
		type prepared struct {
			w    *wire
			s    *stmt
			rows int
		}
		var all []prepared
		for i, collation := range []byte{45, 8, 63} {
			w := e.dial(d, func(o *wireOptions) { o.collation = collation })
			for _, limit := range []int{8, 10, 0, 8} {
				s, err := w.prepare(fmt.Sprintf("SELECT id, 'é' FROM notes WHERE id <= ? ORDER BY id LIMIT %d", limit))
				e.must(err)
				all = append(all, prepared{w, s, limit})
			}
			if i == 1 {
				_, err := w.query("SET sql_mode = 'ANSI_QUOTES'")
				e.must(err)
			}
		}
		r := rand.New(rand.NewPCG(10, 10))
		for range 100 {
			p := all[r.IntN(len(all))]
			rs, err := p.w.execute(p.s, true, int64(20))
			e.must(err)
			if rs[0].Err != nil || len(rs[0].Rows) != p.rows {
				e.Fatalf("LIMIT %d: %d rows, %v", p.rows, len(rs[0].Rows), rs[0].Err)
			}
		}
	})
}

// TestE11WhatCanBePrepared: wrong counts and names of columns, SET and CALL that couldn't be prepared, and a prepared
// CALL with several results that hung.
func TestE11WhatCanBePrepared(t *testing.T) {
	onBoth(t, "orm", app, func(e *env) {
		procedure := "/* shardway: shard=s0 */ CREATE PROCEDURE several(IN a INT, OUT b INT) BEGIN SELECT a + 1 AS next; SELECT code, name FROM countries ORDER BY code; SET b = a * 2; END"
		w, plain := e.dial(e.serve(nil), nil), e.plain(nil)
		for _, w := range []*wire{w, plain} {
			if rs, err := w.query(procedure); err != nil || rs[0].Err != nil {
				e.Fatal(err, rs)
			}
		}
		e.must(e.c.Sync(e.ctx))
		s := func(text string, args ...any) statement { return statement{text: text, hasArgs: true, args: args} }
		compared, _ := e.compare([]statement{
			s("SELECT id, txt AS `the text`, ? + 1 AS n, COUNT(*) OVER () FROM notes WHERE id = ? AND txt LIKE ?", int64(5), int64(3), "note%"),
			s("SELECT u.id, u.name AS n, o.id AS order_id FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id = ? ORDER BY o.id LIMIT ?", int64(8), int64(2)),
			s("SET @a = ?, sql_select_limit = 3", int64(7)),
			s("SELECT @a, code FROM countries ORDER BY code"),
			s("SET sql_select_limit = DEFAULT"),
			s("INSERT INTO notes (id, txt) VALUES (?, ?), (?, ?)", int64(600), "six", int64(601), nil),
			s("UPDATE notes SET txt = ? WHERE id = ?", "sixes", int64(601)),
			s("DELETE FROM notes WHERE id IN (?, ?)", int64(600), int64(601)),
			s("DO ?", int64(1)),
			s("CALL several(?, @out)", int64(4)),
			s("SELECT @out"),
			s("CALL several(?, ?)", int64(4), nil),
			s("SELECT ?", "after"),
		}, true, func() *wire { return w }, func() *wire { return plain }, nil)
		if compared != 13 {
			e.Errorf("%d statements were compared", compared)
		}
	})
}

// TestE12NullBitmaps: parameters that are NULL were mistaken for others.
func TestE12NullBitmaps(t *testing.T) {
	onBoth(t, "nulls", app, func(e *env) {
		w, plain := e.dial(e.serve(nil), nil), e.plain(nil)
		r := rand.New(rand.NewPCG(12, 12))
		for range 40 {
			args := make([]any, 1+r.IntN(20))
			for i := range args {
				switch r.IntN(4) {
				case 0:
				case 1:
					args[i] = r.Int64() - r.Int64()
				case 2:
					args[i] = strings.Repeat("日", r.IntN(100))
				case 3:
					args[i] = r.Float64()
				}
			}
			s := statement{text: "SELECT " + strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", "), hasArgs: true, args: args}
			got, err := s.run(w, true)
			e.must(err)
			want, err := s.run(plain, true)
			e.must(err)
			if !bytes.Equal(bytes.Join(got.results[0].Rows, nil), bytes.Join(want.results[0].Rows, nil)) {
				e.Fatalf("%d parameters %v: %v %q, want %v %q", len(args), args, got.err(), got.results[0].Rows, want.err(), want.results[0].Rows)
			}
		}
	})
}

// TestSTheCollationOfTheHandshakeReachesTheServer: it was lost, or mapped to the default.
func TestSTheCollationOfTheHandshakeReachesTheServer(t *testing.T) {
	onBoth(t, "charsets", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 2, wait_timeout: 30s}"})
		others := e.others(d)
		for _, c := range []struct {
			name      string
			collation byte
			text      string // in its character set
		}{
			{"latin1_swedish_ci", 8, "caf\xe9"},
			{"latin1_bin", 47, "\xfc"},
			{"utf8mb3_general_ci", 33, "é日"},
			{"utf8mb4_general_ci", 45, "é日😀"},
			{"utf8mb4_bin", 46, "😀"},
			{"utf8mb4_unicode_ci", 224, "😀"},
			{"binary", 63, "\xff\x00\xe9"},
			{"gbk_chinese_ci", 28, "abc"},
			{"gbk_bin", 87, "abc"},
			{"sjis_japanese_ci", 13, "abc"},
			{"utf8mb4_0900_ai_ci", 255, "😀"},
			{"ucs2_general_ci", 35, "abc"},
			{"utf16_general_ci", 54, "abc"},
			{"utf32_general_ci", 60, "abc"},
			{"one that doesn't exist", 254, "abc"},
		} {
			change := func(o *wireOptions) { o.collation = c.collation }
			var statements []statement
			for _, sql := range []string{
				"SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection",
				"SELECT HEX('" + c.text + "'), '" + c.text + "', COLLATION('x'), LENGTH('" + c.text + "')",
				"SELECT name, HEX(name) FROM countries WHERE code = 'jp'",
				"INSERT INTO users (id, name) VALUES (" + fmt.Sprint(3000+int(c.collation)) + ", '" + c.text + "')",
				"SELECT HEX(name), name FROM users WHERE id = " + fmt.Sprint(3000+int(c.collation)),
			} {
				statements = append(statements, statement{text: sql, line: int(c.collation), code: true})
			}
			_, errPlain := dialWire(e.wireTo(e.c.Plain.Addr, "shardway", "secret", change))
			w, err := dialWire(e.wireTo(d.addr, "app", "app", change))
			if (err == nil) != (errPlain == nil) {
				e.Errorf("%s: login %v, the plain server's %v", c.name, err, errPlain)
				continue
			}
			if err != nil {
				continue
			}
			w.close()
			for _, prepared := range []bool{false, true} {
				e.compare(statements, prepared, func() *wire { return e.dial(d, change) }, func() *wire { return e.plain(change) }, func(*wire) { others() })
				e.dropUser(d, 3000+int(c.collation))
			}
		}
	})
}

// wireTo is a login to the test's database.
func (e *env) wireTo(addr, user, password string, change func(*wireOptions)) wireOptions {
	o := wireOptions{addr: addr, user: user, password: password, db: e.db.Name}
	change(&o)
	return o
}

// dropUser takes a user back that compare has made.
func (e *env) dropUser(d *daemon, id int) {
	e.Helper()
	for _, w := range []*wire{e.dial(d, nil), e.plain(nil)} {
		rs, err := w.query(fmt.Sprintf("DELETE FROM users WHERE id = %d", id))
		e.must(err)
		if rs[0].Err != nil {
			e.Fatal(rs[0].Err)
		}
	}
}

// TestB5WaitTimeoutIsTheSessions: server connections have another wait_timeout than their clients.
func TestB5WaitTimeoutIsTheSessions(t *testing.T) {
	onBoth(t, "timeouts", app, func(e *env) {
		set := func(seconds int) {
			for _, s := range e.c.Servers() {
				e.must(s.Exec(e.ctx, fmt.Sprintf("SET GLOBAL wait_timeout = %d, GLOBAL interactive_timeout = %d", seconds, seconds+1)))
			}
		}
		set(600)
		defer set(28800)
		d := e.serve(nil)
		const capInteractive = 1 << 10
		for _, caps := range []uint32{0, capInteractive} {
			change := func(o *wireOptions) { o.caps = caps }
			var all []statement
			for _, sql := range []string{
				"SELECT @@wait_timeout", "SELECT @@session.wait_timeout + 1 AS n, @@global.wait_timeout FROM users WHERE id = 7", "SET wait_timeout = 77",
				"SELECT @@SESSION.wait_timeout, 'wait_timeout'", "SET @w = @@wait_timeout", "SELECT @w", "SET SESSION wait_timeout = DEFAULT", "SELECT @@wait_timeout",
			} {
				all = append(all, statement{text: sql, rows: true})
			}
			e.compare(all, false, func() *wire { return e.dial(d, change) }, func() *wire { return e.plain(change) }, nil)
		}
	})
}
