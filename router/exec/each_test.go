package exec_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/plan"
	"shardway/test/fakemysql"
)

// definer is a server that has a table of some columns and answers "part" by what answer gives.
func definer(columns []string, answer func(s *fakemysql.Session)) fakemysql.Handler {
	return func(s *fakemysql.Session, _ protocol.Command, payload []byte) {
		switch sql := string(payload); {
		case sql == "part":
			answer(s)
		case strings.HasPrefix(sql, "SELECT CONCAT('column"):
			var rows [][]any
			for _, c := range columns {
				rows = append(rows, []any{c, int64(1)})
			}
			s.Table([]string{"a", "b"}, rows...)
		}
	}
}

func done(s *fakemysql.Session) {
	s.OK(protocol.OK{AffectedRows: 2, Info: "Records: 2  Duplicates: 0  Warnings: 0"})
}

// runEach runs DDL on all servers and reads what the client gets.
func (s *shards) runEach(r *exec.EachRequest) (exec.Outcome, protocol.OK, *protocol.Error, error) {
	s.Helper()
	r.Parts, r.Verb = s.request(nil).Parts, "ALTER TABLE"
	s.begin()
	out, err := s.session.RunEach(s.Context(), r)
	if err != nil {
		e, ok := err.(*protocol.Error) //nolint:errorlint // RunEach's errors for the client are bare
		if !ok {
			s.Fatal(err)
		}
		_ = s.conn.WriteError(e)
	}
	_ = s.conn.Flush()
	g := s.read()
	s.idle()
	e, _ := g.err.(*protocol.Error) //nolint:errorlint // as the client reads it
	return out, g.ok, e, err
}

func TestEach(t *testing.T) {
	table := []plan.Defined{{Schema: "shop", Name: "orders", Alike: true}}
	var calls atomic.Int32
	locked := func(s *fakemysql.Session) {
		if calls.Add(1) == 1 {
			s.Error(1205, "HY000", "Lock wait timeout exceeded")
			return
		}
		done(s)
	}
	full := func(s *fakemysql.Session) { s.Error(1114, "HY000", "The table is full") }
	for _, c := range []struct {
		name    string
		servers []fakemysql.Handler
		r       exec.EachRequest
		err     string // "" for none
		code    uint16
	}{
		{name: "all of them", servers: []fakemysql.Handler{definer([]string{"x"}, done), definer([]string{"x"}, done)}, r: exec.EachRequest{Tables: table}},
		{name: "a table that is locked at first", servers: []fakemysql.Handler{definer([]string{"x"}, done), definer([]string{"x"}, locked)}, r: exec.EachRequest{Tables: table}},
		{
			name: "the first fails", servers: []fakemysql.Handler{definer([]string{"x"}, full), definer([]string{"x"}, done)}, r: exec.EachRequest{Tables: table},
			err: "The table is full (shard s0)", code: 1114,
		},
		{
			name: "the second fails", servers: []fakemysql.Handler{definer([]string{"x"}, done), definer([]string{"x"}, full), definer([]string{"x"}, done)},
			r:   exec.EachRequest{Tables: table},
			err: "shardway: ALTER TABLE is done on s0, failed on s1, not tried on s2, and can't be rolled back; to finish, send it with /* shardway: shard=s1 */, and so for the others. Shard s1: The table is full", code: 1114,
		},
		{
			name: "one that can be repeated fails", servers: []fakemysql.Handler{definer(nil, done), definer([]string{"x"}, full)}, r: exec.EachRequest{Tables: table, Repeatable: true},
			err: "shardway: ALTER TABLE is done on s0, failed on s1, and can't be rolled back; to finish, send it again. Shard s1: The table is full", code: 1114,
		},
		{
			name: "tables that aren't alike", servers: []fakemysql.Handler{definer([]string{"column a int", "column b int"}, full), definer([]string{"column a int"}, full)}, r: exec.EachRequest{Tables: table},
			err: "shardway: ALTER TABLE: nothing was changed, since shop.orders isn't alike on s0 and s1 (the former has column b int): change it with /* shardway: shard=s1 */ first, so that it is", code: 1105,
		},
		{
			name: "a table that is missing", servers: []fakemysql.Handler{definer([]string{"column a int"}, full), definer(nil, full)}, r: exec.EachRequest{Tables: table},
			err: "shardway: ALTER TABLE: nothing was changed, since shop.orders exists on s0 and not on s1: say IF EXISTS where the server knows it, or make the table with /* shardway: shard=s1 */ where it is missing", code: 1146,
		},
		{
			name: "a table that is there already", servers: []fakemysql.Handler{definer([]string{"column a int"}, full), definer(nil, full)},
			r:   exec.EachRequest{Tables: []plan.Defined{{Schema: "shop", Name: "orders", Makes: true}}},
			err: "shardway: ALTER TABLE: nothing was changed, since shop.orders exists on s0 and not on s1: say IF NOT EXISTS, or make it with /* shardway: shard=s1 */ where it is missing", code: 1050,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := onShards(t, c.servers...)
			out, ok, e, err := s.runEach(&c.r)
			switch {
			case c.err == "" && (err != nil || e != nil || ok.AffectedRows != 4 || ok.Info != "Records: 4  Duplicates: 0  Warnings: 0"):
				t.Errorf("%v, %v, %+v", err, e, out.Reply)
			case c.err != "" && (e == nil || e.Message != c.err || e.Code != c.code):
				t.Errorf("%v, the client got %v", err, e)
			}
			if v := s.session.Variable("lock_wait_timeout"); v != "" {
				t.Errorf("lock_wait_timeout is left at %s", v)
			}
		})
	}
}
