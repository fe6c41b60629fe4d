package exec_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

// transacting answers everything with OK and says whether a transaction is open.
func transacting() fakemysql.Handler {
	var mu sync.Mutex
	open := map[*fakemysql.Session]bool{}
	return func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		switch sql := string(payload); {
		case cmd != protocol.ComQuery:
		case sql == "START TRANSACTION":
			open[s] = true
		case sql == "ROLLBACK" || sql == "COMMIT":
			open[s] = false
		}
		status := protocol.StatusAutocommit
		if open[s] {
			status |= protocol.StatusInTrans
		}
		if !fakemysql.Silent(cmd) {
			s.OK(protocol.OK{Status: status, AffectedRows: 1})
		}
	}
}

// TestKilledBetween kills a statement that is made of several while none of them runs.
func TestKilledBetween(t *testing.T) {
	for _, when := range []string{"before the second", "before the commit"} {
		s := onShards(t, transacting())
		part := func() error {
			r := s.request(nil).Parts[0]
			return s.session.Keep(protocol.NewMemory(0), func() error {
				_, err := s.session.Run(s.Context(), &r)
				return err
			})
		}
		err := s.session.Atomically(s.Context(), true, func() error {
			if err := part(); err != nil {
				return err
			}
			if err := s.session.Kill(s.Context()); err != nil {
				return err
			}
			if when == "before the second" {
				return part()
			}
			return nil
		})
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != 1317 {
			t.Errorf("%s: %v, want error 1317", when, err)
		}
		queries := s.servers[0].Queries()
		n := 0
		for _, q := range queries {
			if q == "part" {
				n++
			}
		}
		if n != 1 || !slices.Contains(queries, "ROLLBACK") || slices.Contains(queries, "COMMIT") {
			t.Errorf("%s: the server got %q", when, queries)
		}
		// The next statement isn't meant.
		s.session.Begins()
		if err := s.session.Atomically(s.Context(), true, part); err != nil {
			t.Errorf("the next statement: %v", err)
		}
		s.idle()
	}
}
