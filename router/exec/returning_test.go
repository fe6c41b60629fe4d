package exec_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/test/fakemysql"
)

// rowsIn is a server that answers "part" with rows while a transaction is open, and "bad" with an error.
func rowsIn(values ...any) fakemysql.Handler {
	other := transacting()
	return func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		switch string(payload) {
		case "part":
			s.Result(rowsOf(values...), false, protocol.StatusAutocommit|protocol.StatusInTrans)
		case "bad":
			s.Error(1062, "23000", "Duplicate entry")
		default:
			other(s, cmd, payload)
		}
	}
}

// TestReturning runs writes that answer with rows: parts one after another, all of them or none.
func TestReturning(t *testing.T) {
	for _, c := range []struct {
		name   string
		parts  []int    // their servers
		texts  []string // theirs; "part" for those that are missing
		copies bool
		rows   string
		code   uint16
	}{
		{name: "in the order of the parts", parts: []int{0, 1, 0}, rows: "1,2,3,1,2"},
		{name: "the last one fails", parts: []int{0, 1, 0}, texts: []string{"part", "part", "bad"}, code: 1062},
		{name: "nothing on one of them", parts: []int{0, 1}, texts: []string{"nothing", "part"}, rows: "3"},
		{name: "copies that are alike", parts: []int{1, 2}, copies: true, rows: "3"},
		{name: "copies that differ", parts: []int{0, 1}, copies: true, code: 1105},
	} {
		s := onShards(t, rowsIn(1, 2), rowsIn(3), rowsIn(3))
		s.session.SetCrossShard(exec.CrossShardUnsafe)
		r := &exec.ManyRequest{Copies: c.copies, MaxBytes: 1 << 20}
		all := s.request(nil).Parts
		for i, at := range c.parts {
			part := all[at]
			if i < len(c.texts) {
				part.Payload = []byte(c.texts[i])
			}
			r.Parts = append(r.Parts, part)
		}
		s.begin()
		var client got
		var reading sync.WaitGroup
		reading.Go(func() { client = s.read() })
		_, err := s.session.RunReturning(t.Context(), r)
		e, refused := errors.AsType[*protocol.Error](err)
		if refused {
			_ = s.conn.WriteError(e)
		}
		_ = s.conn.Flush()
		reading.Wait()
		s.idle()
		var rows []string
		for _, row := range client.rows {
			rows = append(rows, strings.TrimSpace(row))
		}
		switch {
		case c.code != 0 && (!refused || e.Code != c.code || len(client.rows) > 0):
			t.Errorf("%s: %v, rows %q, want error %d and no rows", c.name, err, rows, c.code)
		case c.code == 0 && (err != nil || strings.Join(rows, ",") != c.rows):
			t.Errorf("%s: %v, rows %q, want %s", c.name, err, rows, c.rows)
		}
		end := "COMMIT"
		if c.code != 0 {
			end = "ROLLBACK"
		}
		for _, at := range c.parts {
			if queries := s.servers[at].Queries(); !slices.Contains(queries, end) {
				t.Errorf("%s: server %d got %q, and no %s", c.name, at, queries, end)
			}
		}
	}
}
