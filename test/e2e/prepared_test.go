package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

func u32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// TestE12PreparedStatements uses the binary protocol by hand: ids, types that are
// not sent again, long data, reset, close, cursors, and routing by what is
// bound.
func TestE12PreparedStatements(t *testing.T) {
	onBoth(t, "prep", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 3, wait_timeout: 30s}"})
		e.logging()
		w := e.dial(d, nil)
		s, err := w.prepare("SELECT name, 'prep-token' FROM users WHERE id = ?")
		e.must(err)
		if s.Params != 1 || s.Columns != 2 {
			e.Errorf("%d parameters and %d columns, want 1 and 2", s.Params, s.Columns)
		}
		// The types are sent once, and hold on whichever server connection and
		// shard the statement runs.
		for i := range 60 {
			id := int64(i%30 - 5)
			rs, err := w.execute(s, i == 0, id)
			e.must(err)
			if rs[0].Err != nil {
				e.Fatal(rs[0].Err)
			}
			if want := fmt.Sprintf("user %d", id); len(rs[0].Rows) != 1 || !bytes.Contains(rs[0].Rows[0], []byte(want)) {
				e.Errorf("id %d: rows %q, want %s", id, rs[0].Rows, want)
			}
		}
		got := e.served("prep-token")
		for _, name := range []string{"s0r1", "s0r2", "s1r1", "s1r2"} {
			if got[name] == 0 {
				e.Errorf("%s served none: %v", name, got)
			}
		}
		// Other types take effect, and stay.
		for i, want := range []string{"user 7", "user 8"} {
			rs, err := w.execute(s, i == 0, fmt.Sprint(7+i))
			e.must(err)
			if len(rs[0].Rows) != 1 || !bytes.Contains(rs[0].Rows[0], []byte(want)) {
				e.Errorf("bound as text: %q %v, want %s", rs[0].Rows, rs[0].Err, want)
			}
		}

		// Two statements of one text have ids of their own.
		s2, err := w.prepare("SELECT name, 'prep-token' FROM users WHERE id = ?")
		e.must(err)
		if s2.ID == s.ID {
			e.Errorf("two statements have the id %d", s.ID)
		}
		e.must(w.send(comStmtClose, u32(s.ID)))
		if rs, err := w.execute(s2, true, int64(7)); err != nil || len(rs[0].Rows) != 1 {
			e.Errorf("the other statement after a close: %v, %v", rs, err)
		}
		if rs, err := w.execute(s, true, int64(7)); err != nil || rs[0].Err == nil || rs[0].Err.Code != 1243 {
			e.Errorf("a closed statement: %v, %v, want 1243", rs, err)
		}

		// Long data, in pieces, also twice, and dropped by a reset.
		ins, err := w.prepare("REPLACE INTO sessions (token, user_id, data) VALUES (?, ?, ?)")
		e.must(err)
		long := func(param byte, data string) {
			e.must(w.send(comStmtLongData, u32(ins.ID), []byte{param, 0}, []byte(data)))
		}
		read := func(want string) {
			e.Helper()
			if got, err := w.one("/* shardway: primary */ SELECT data FROM sessions WHERE token = 'long'"); got != want || err != nil {
				e.Errorf("long data is %.40q, %v, want %.40q", got, err, want)
			}
		}
		exec := func(args ...any) {
			e.Helper()
			rs, err := w.execute(ins, true, args...)
			e.must(err)
			if rs[0].Err != nil {
				e.Error(rs[0].Err)
			}
		}
		long(2, "piece one, ")
		long(2, "piece two")
		exec("long", int64(1), longData{})
		read("piece one, piece two")
		exec("long", int64(1), "no long data")
		read("no long data")
		long(2, "lost")
		if _, err := w.simple(comStmtReset, u32(ins.ID)); err != nil {
			e.Error(err)
		}
		exec("long", int64(1), "after a reset")
		read("after a reset")
		// The key itself as long data routes like any other value.
		long(0, "lo")
		long(0, "ng")
		exec(longData{}, int64(1), "the key was long data")
		read("the key was long data")

		// A cursor is either opened and fetched from, or not opened.
		all, err := w.prepare("SELECT code FROM countries ORDER BY code")
		e.must(err)
		e.must(w.send(comStmtExecute, all.executePacket(1, true)))
		r, rows := result{}, 0
		p, err := w.readPacket()
		e.must(err)
		if p[0] != 1 {
			e.Fatalf("the answer to EXECUTE begins with % x", p)
		}
		_, err = w.readPacket()
		e.must(err)
		p, err = w.readPacket()
		e.must(err)
		status := uint16(0)
		switch {
		case p[0] == 0xfe && len(p) < 20:
			r.OK = w.parseOK(p)
			status = r.OK.Status
		default:
			r.Rows = append(r.Rows, p)
			e.must(w.rows(&r))
			rows = len(r.Rows)
		}
		for status&statusCursor != 0 && status&statusLastRowSent == 0 {
			e.must(w.send(comStmtFetch, u32(all.ID), u32(2)))
			f := result{}
			e.must(w.rows(&f))
			if f.Err != nil {
				e.Fatal(f.Err)
			}
			rows, status = rows+len(f.Rows), f.OK.Status
		}
		if rows != 5 {
			e.Errorf("through a cursor came %d rows, want 5", rows)
		}
		// Without an open cursor FETCH is an error, and the session goes on.
		if _, err := w.simple(comStmtFetch, u32(s2.ID), u32(1)); err == nil {
			e.Error("FETCH without a cursor went well")
		}
		if got, err := w.one("SELECT 1"); got != "1" || err != nil {
			e.Error(got, err)
		}
	})
}

// TestR27LargePackets sends and receives payloads around 16 MiB and twice that.
func TestR27LargePackets(t *testing.T) {
	onBoth(t, "large", app, func(e *env) {
		if e.mysql() { // the race detector, slow with so many bytes, sees the same code on MariaDB
			e.binary = plainBinary
		}
		for _, s := range e.c.Servers() {
			e.must(s.Exec(e.ctx, "SET GLOBAL max_allowed_packet = 1073741824"))
		}
		e.must(e.c.Exec(e.ctx, "CREATE TABLE large.big (id BIGINT PRIMARY KEY, v LONGBLOB)"))
		e.must(e.c.Sync(e.ctx))
		shardmap := e.c.Map(e.db.Map(e.c.Shards) + "      big: {key: id, placement: mod}\n")
		d := e.serveMap(settings{"limits": "{max_packet: 64MiB}"}, shardmap)
		w := e.dial(d, nil)
		filler := bytes.Repeat([]byte("0123456789abcdef"), (34<<20)/16)
		before := d.rss()
		for _, size := range []int{1<<24 - 2, 1<<24 - 1, 1 << 24, 2*(1<<24-1) - 1, 2 * (1<<24 - 1), 2*(1<<24-1) + 1} {
			w.deadline(2 * 60e9)
			// A query whose whole payload has exactly this size, command included.
			head, tail := "SELECT LENGTH('", "')"
			n := size - 1 - len(head) - len(tail)
			e.must(w.send(comQuery, []byte(head), filler[:n], []byte(tail)))
			rs, err := w.results()
			e.must(err)
			if rs[0].Err != nil {
				e.Errorf("a query of %d bytes: %v", size, rs[0].Err)
			} else if got := textRow(rs[0].Rows[0])[0]; got != fmt.Sprint(n) {
				e.Errorf("a query of %d bytes: length %s, want %d", size, got, n)
			}
			// A row whose payload has exactly this size: 4 or 9 bytes of length and the text.
			n = size - 4
			if n >= 1<<24 {
				n = size - 9
			}
			rows, err := w.text(fmt.Sprintf("SELECT REPEAT('x', %d)", n))
			e.must(err)
			if got := len(rows[0][0]); got != n {
				e.Errorf("a row of %d bytes has %d of them, want %d", size, got, n)
			}
			// An EXECUTE of this size, and its value back in a row; once into a table.
			q := "SELECT id, ? FROM users WHERE id = ?"
			if size == 1<<24-1 {
				q = "REPLACE INTO big (v, id) VALUES (?, ?)"
			}
			s, err := w.prepare(q)
			e.must(err)
			empty := len(s.executePacket(0, true, []byte{}, int64(8))) - 1
			n = size - 1 - empty - 4
			if n >= 1<<24 {
				n = size - 1 - empty - 9
			}
			if got := 1 + len(s.executePacket(0, true, filler[:n], int64(8))); got != size {
				e.Fatalf("the EXECUTE has %d bytes, want %d", got, size)
			}
			rs, err = w.execute(s, true, filler[:n], int64(8))
			e.must(err)
			if rs[0].Err != nil {
				e.Errorf("an EXECUTE of %d bytes: %v", size, rs[0].Err)
				continue
			}
			if size == 1<<24-1 {
				rows, err = w.text("/* shardway: primary */ SELECT v FROM big WHERE id = 8")
				e.must(err)
				if rows[0][0] != string(filler[:n]) {
					e.Errorf("%d bytes came back other than they went", n)
				}
			} else if row := rs[0].Rows[0]; !bytes.HasSuffix(row, filler[:n]) {
				e.Errorf("%d bytes came back as %d, other than they went", n, len(row))
			}
		}
		e.largeOverShards(w, filler)
		e.Logf("note: memory before %d MiB, after packets of up to 32 MiB %d MiB", before>>20, d.rss()>>20)
		// Results are relayed, not held: many megabytes leave little behind.
		d2 := e.serveMap(nil, shardmap)
		w2 := e.dial(d2, nil)
		w2.deadline(2 * 60e9)
		before = d2.rss()
		for range 4 {
			if rows, err := w2.text("SELECT REPEAT('x', 33554500)"); err != nil || len(rows[0][0]) != 33554500 {
				e.Fatal(err)
			}
		}
		if grown := d2.rss() - before; grown > 24<<20 {
			e.Errorf("relaying rows of 32 MiB took %d MiB of memory", grown>>20)
		}
		// Too large for the limit: an error, not a torn connection.
		d3 := e.serveMap(settings{"limits": "{max_packet: 20MiB}"}, shardmap)
		w3 := e.dial(d3, nil)
		e.must(w3.send(comQuery, []byte("SELECT LENGTH('"), filler[:21<<20], []byte("')")))
		if rs, err := w3.results(); err == nil && (rs[0].Err == nil || rs[0].Err.Code != 1153) {
			e.Errorf("a packet over max_packet: %v, want 1153", rs[0].Err)
		} else if err != nil {
			e.Errorf("a packet over max_packet: %v, want error 1153", err)
		}
	})
}
