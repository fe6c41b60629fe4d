package e2e

import (
	"context"
	"encoding/binary"
	"testing"
)

// attributes are query attributes of text, as they lie before a statement.
func attributes(pairs ...string) []byte {
	n := len(pairs) / 2
	b := []byte{byte(n), 1}
	b = append(b, make([]byte, (n+7)/8)...)
	b = append(b, 1)
	for i := range n {
		b = appendLenenc(append(b, typeString, 0), []byte(pairs[2*i]))
	}
	for i := range n {
		b = appendLenenc(b, []byte(pairs[2*i+1]))
	}
	return b
}

// TestQueryAttributes: a client of MySQL 8 and later sends some with each statement, and the statement sees them.
func TestQueryAttributes(t *testing.T) {
	onBoth(t, "attributes", app, func(e *env) {
		d := e.serve(nil)
		with := func(o *wireOptions) { o.caps = capAttributes | capMultiStmts }
		w, plain := e.dial(d, with), e.plain(with)
		if w.offered&capAttributes != plain.offered&capAttributes {
			e.Fatalf("offered %x, want as the servers do: %x", w.offered, plain.offered)
		}
		if w.caps&capAttributes == 0 {
			return // MariaDB has none
		}
		// The component is no part of replication.
		component := func(ctx context.Context, verb string) {
			for _, s := range e.c.Servers() {
				e.must(s.Exec(ctx, verb+" COMPONENT 'file://component_query_attributes'"))
			}
		}
		component(e.ctx, "INSTALL")
		e.Cleanup(func() { component(context.Background(), "UNINSTALL") })
		const get = "mysql_query_attribute_string('trace'), mysql_query_attribute_string('n')"
		for _, both := range []struct {
			attributes []byte
			q          string
		}{
			{[]byte{0, 1}, "SELECT " + get},
			{attributes("trace", "abc"), "SELECT " + get},
			{attributes("n", "1", "trace", "\U0001f600"), "SELECT " + get + ", name FROM users WHERE id = 9"},
			{attributes("trace", "kept?"), "SELECT " + get + "; SELECT " + get},
			{[]byte{0, 1}, "SELECT " + get}, // none is left
			{attributes("trace", "long", "n", string(make([]byte, 5000))), "UPDATE users SET name = mysql_query_attribute_string('trace') WHERE id = 3"},
			{[]byte{0, 1}, "/* shardway: primary */ SELECT name FROM users WHERE id = 3"},
			{attributes("trace", "x"), "SELEC"},
		} {
			got, err1 := w.queryWith(both.attributes, both.q)
			want, err2 := plain.queryWith(both.attributes, both.q)
			if err1 != nil || err2 != nil {
				e.Fatalf("%s: %v, %v", both.q, err1, err2)
			}
			e.sameReplies(both.q, got, want)
		}
		for _, q := range []string{"SELECT " + get + ", ?, ?", "SELECT " + get} {
			s, err := w.prepare(q)
			e.must(err)
			p, err := plain.prepare(q)
			e.must(err)
			for _, pairs := range [][]string{nil, {"trace", "of an execution"}, {"n", "1", "trace", "2", "other", "3"}, nil} {
				e.must(w.send(comStmtExecute, s.attributed(pairs, 77, "text")))
				e.must(plain.send(comStmtExecute, p.attributed(pairs, 77, "text")))
				got, err1 := w.results()
				want, err2 := plain.results()
				if err1 != nil || err2 != nil {
					e.Fatalf("%s: %v, %v", q, err1, err2)
				}
				e.sameReplies(q, got, want)
			}
		}
		// Malformed ones are an error, and nothing else.
		if rs, err := w.queryWith([]byte{7, 1}, "SELECT 1"); err != nil || rs[0].Err == nil || rs[0].Err.Code != 1835 {
			e.Errorf("malformed attributes: %v, %v", rs, err)
		}
		if got, err := w.one("SELECT 1"); got != "1" || err != nil {
			e.Error(got, err)
		}
	})
}

// attributed is an EXECUTE of a client with query attributes; a statement with parameters has an integer and a text.
func (s *stmt) attributed(pairs []string, n int64, text string) []byte {
	all := s.Params + len(pairs)/2
	b := append(u32(s.ID), 8, 1, 0, 0, 0, byte(all))
	if all == 0 {
		return b
	}
	b = append(b, make([]byte, (all+7)/8)...)
	b = append(b, 1)
	var values []byte
	if s.Params > 0 {
		b = append(b, typeLongLong, 0, 0, typeString, 0, 0)
		values = appendLenenc(binary.LittleEndian.AppendUint64(values, uint64(n)), []byte(text))
	}
	for i := 0; i < len(pairs); i += 2 {
		b = appendLenenc(append(b, typeString, 0), []byte(pairs[i]))
		values = appendLenenc(values, []byte(pairs[i+1]))
	}
	return append(b, values...)
}

// TestMariaDBCapabilities: extended metadata is relayed to the clients that can read it, and to no others; metadata
// caching and bulk execution aren't offered, so that clients do without.
func TestMariaDBCapabilities(t *testing.T) {
	onBoth(t, "mariacaps", app, func(e *env) {
		d := e.serve(nil)
		extended := func(o *wireOptions) { o.own = ownBulk | ownExtended | ownCache }
		w := e.dial(d, extended)
		if e.mysql() {
			if w.own != 0 || w.offered&capLongPassword == 0 {
				e.Errorf("MariaDB's capabilities %x are offered for MySQL", w.own)
			}
			return
		}
		if w.own != ownExtended {
			e.Errorf("offered are %x of MariaDB's capabilities, want %x", w.own, ownExtended)
		}
		plain := e.plain(func(o *wireOptions) { o.own = ownExtended })
		bare, barePlain := e.dial(d, nil), e.plain(nil)
		for _, pair := range [][2]*wire{{w, plain}, {bare, barePlain}} {
			for _, q := range []string{
				"SELECT * FROM kinds WHERE id = 1", "SELECT js, id FROM kinds WHERE id = 9", "SELECT 1, NULL", "SHOW TABLES LIKE 'kind%'",
				"SELECT CAST('1' AS INET6), POINT(1, 2)", "SHOW COLUMNS FROM kinds", "SELECT JSON_ARRAY(1)",
			} {
				got, err1 := pair[0].query(q)
				want, err2 := pair[1].query(q)
				if err1 != nil || err2 != nil {
					e.Fatalf("%s: %v, %v", q, err1, err2)
				}
				e.sameReplies(q, got, want)
				e.sameColumns(q, got, want)
			}
			const q = "SELECT js, ?, id FROM kinds WHERE id = ?"
			s, err := pair[0].prepare(q)
			e.must(err)
			p, err := pair[1].prepare(q)
			e.must(err)
			if quoted(s.Defs) != quoted(p.Defs) || quoted(s.ParamDefs) != quoted(p.ParamDefs) {
				e.Errorf("PREPARE: %s %s, want %s %s", quoted(s.ParamDefs), quoted(s.Defs), quoted(p.ParamDefs), quoted(p.Defs))
			}
			got, err1 := pair[0].execute(s, true, "x", int64(1))
			want, err2 := pair[1].execute(p, true, "x", int64(1))
			if err1 != nil || err2 != nil {
				e.Fatalf("%s: %v, %v", q, err1, err2)
			}
			e.sameReplies(q, got, want)
			e.sameColumns(q, got, want)
		}
		// What Shardway answers itself, has it too: every client can read it.
		for _, c := range []*wire{w, bare} {
			rs, err := c.query("SHOW SHARDWAY SHARDS")
			if err != nil || len(rs) != 1 || rs[0].Err != nil || len(rs[0].Rows) != 2 {
				e.Errorf("SHOW SHARDWAY SHARDS: %v, %v", rs, err)
				continue
			}
			if length := len(rs[0].Columns[0]); length != len("\x03def\x00\x00\x00\x05shard\x00\x0c")+12+map[bool]int{true: 1}[c == w] {
				e.Errorf("a column of %d bytes: %q", length, rs[0].Columns[0])
			}
		}
	})
}
