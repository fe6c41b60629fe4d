package exec_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

// branching is a server that has branches. Its first "part" in one fails, which ends the transaction: the server says that
// none is open any more, and the branch is there until it is ended.
type branching struct {
	end      func(s *fakemysql.Session) // answers XA END after the failure
	rollBack func(ended bool) bool      // whether it takes XA ROLLBACK after the failure
	mu       sync.Mutex
	at       map[*fakemysql.Session]*xaBranch
	failed   bool
	refused  []string // what it was sent that doesn't go with a branch
}

type xaBranch struct{ active, idle, rolledBack bool }

func (b *branching) serve(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.at[s]
	if x == nil {
		x = new(xaBranch)
		b.at[s] = x
	}
	sql := string(payload)
	is := func(prefix string) bool { return cmd == protocol.ComQuery && strings.HasPrefix(sql, prefix) }
	rmFail := func() {
		b.refused = append(b.refused, sql)
		s.Error(1399, "XAE07", "XAER_RMFAIL: The command cannot be executed when global transaction is in the ACTIVE state")
	}
	switch {
	case is("XA START") && x.active, is("START TRANSACTION") && x.active:
		rmFail()
		return
	case is("XA START"):
		x.active = true
	case is("XA END") && x.rolledBack:
		x.idle = true
		b.end(s)
		return
	case is("XA END"):
		x.idle = true
	case is("XA ROLLBACK") && x.rolledBack && !b.rollBack(x.idle), is("XA ROLLBACK") && !x.rolledBack && !x.idle:
		rmFail()
		return
	case is("XA ROLLBACK"), is("XA COMMIT"):
		*x = xaBranch{}
	case is("part") && !b.failed:
		b.failed, x.rolledBack = true, true
		s.Error(1213, "40001", "Deadlock found when trying to get lock; try restarting transaction")
		return
	}
	status := protocol.StatusAutocommit
	if x.active && !x.rolledBack {
		status |= protocol.StatusInTrans
	}
	if !fakemysql.Silent(cmd) {
		s.OK(protocol.OK{Status: status, AffectedRows: 1})
	}
}

// A branch that its server has rolled back by itself is ended before another client has its connection.
func TestBranchDeadlocked(t *testing.T) {
	for name, b := range map[string]*branching{
		"mysql": { // it has to be told of the end first
			end: func(s *fakemysql.Session) {
				s.Error(1614, "XA102", "XA_RBDEADLOCK: Transaction branch was rolled back: deadlock was detected")
			},
			rollBack: func(ended bool) bool { return ended },
		},
		"mariadb": {
			end: func(s *fakemysql.Session) {
				s.Error(1399, "XAE07", "XAER_RMFAIL: The command cannot be executed when global transaction is in the  ROLLBACK ONLY state")
			},
			rollBack: func(bool) bool { return true },
		},
		"one that can't be ended": {
			end:      func(s *fakemysql.Session) { s.Error(1317, "70100", "Query execution was interrupted") },
			rollBack: func(bool) bool { return false },
		},
	} {
		for _, own := range []bool{false, true} {
			t.Run(name+map[bool]string{false: ", autocommit", true: ", in a transaction"}[own], func(t *testing.T) {
				b.at, b.failed, b.refused = map[*fakemysql.Session]*xaBranch{}, false, nil
				s := onShards(t, transacting(), b.serve)
				write := func() error {
					r := s.request(nil)
					r.OneByOne = true
					return s.session.Keep(protocol.NewMemory(0), func() error {
						_, err := s.session.RunWrite(s.Context(), r)
						return err
					})
				}
				if own {
					s.session.Begin("START TRANSACTION", false, true)
				}
				err := write()
				if e, ok := errors.AsType[*protocol.Error](err); own && (!ok || e.Code != 1213) {
					t.Errorf("%v, want error 1213", err)
				}
				if !own && err != nil { // it was run again
					t.Error(err)
				}
				if s.session.InTransaction() {
					t.Error("the transaction is still open")
				}
				s.idle()
				if err := write(); err != nil {
					t.Errorf("the next statement: %v", err)
				}
				s.idle()
				for _, sql := range b.refused {
					if !strings.HasPrefix(sql, "XA ROLLBACK") || b.rollBack(true) {
						t.Errorf("a server with a branch got %s", sql)
					}
				}
			})
		}
	}
}

// A statement that is a deadlock's victim each time ends with that error.
func TestDeadlockedEachTime(t *testing.T) {
	tries := 0
	victim := func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		switch sql := string(payload); {
		case sql == "part":
			tries++
			s.Error(1213, "40001", "Deadlock found when trying to get lock; try restarting transaction")
		case !fakemysql.Silent(cmd):
			s.OK(protocol.OK{Status: protocol.StatusAutocommit})
		}
	}
	s := onShards(t, transacting(), victim)
	r := s.request(nil)
	r.OneByOne = true
	err := s.session.Keep(protocol.NewMemory(0), func() error {
		_, err := s.session.RunWrite(s.Context(), r)
		return err
	})
	if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != 1213 {
		t.Errorf("%v, want error 1213", err)
	}
	if tries != 4 || s.session.InTransaction() {
		t.Errorf("it was run %d times", tries)
	}
	for _, server := range s.servers {
		if slices.ContainsFunc(server.Queries(), func(sql string) bool { return strings.Contains(sql, "COMMIT") }) {
			t.Errorf("it was committed: %q", server.Queries())
		}
	}
	s.idle()
}

// Where a statement can't be undone on all shards, its transaction is rolled back.
func TestStatementNotUndone(t *testing.T) {
	first := transacting()
	var failing atomic.Bool
	stubborn := func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		switch sql := string(payload); {
		case sql == "part" && failing.Load():
			s.Error(1062, "23000", "Duplicate entry")
		case strings.HasPrefix(sql, "ROLLBACK TO") && failing.Load():
			s.Error(1317, "70100", "Query execution was interrupted")
		case strings.HasPrefix(sql, "XA ROLLBACK"):
		case !fakemysql.Silent(cmd):
			s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans, AffectedRows: 1})
		}
	}
	s := onShards(t, first, stubborn)
	write := func() error {
		r := s.request(nil)
		r.OneByOne = true
		return s.session.Keep(protocol.NewMemory(0), func() error {
			_, err := s.session.RunWrite(s.Context(), r)
			return err
		})
	}
	s.session.Begin("START TRANSACTION", false, true)
	if err := write(); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	if e, ok := errors.AsType[*protocol.Error](write()); !ok || e.Code != 1213 {
		t.Errorf("%v, want error 1213", e)
	}
	if s.session.InTransaction() || !slices.Contains(s.servers[0].Queries(), "ROLLBACK") {
		t.Errorf("the transaction goes on: %q", s.servers[0].Queries())
	}
	s.idle()
}

// A LOAD DATA that fails on one shard, which ends the transaction there, leaves the connections alone that went with it.
func TestLoadDeadlocked(t *testing.T) {
	deadlock := func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		switch string(payload) {
		case "part":
			s.Error(1213, "40001", "Deadlock found when trying to get lock; try restarting transaction")
		case "START TRANSACTION":
			s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans})
		}
	}
	b := &branching{at: map[*fakemysql.Session]*xaBranch{}, failed: true}
	s := onShards(t, deadlock, b.serve)
	s.session.Begin("START TRANSACTION", false, true)
	r := s.request(nil).Parts[0]
	_, err := s.session.Load(s.Context(), &r, []string{"s0", "s1"}, false, func([]io.Writer) error { return nil })
	if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != 1213 {
		t.Errorf("%v, want error 1213", err)
	}
	if s.session.InTransaction() {
		t.Error("a transaction is still open")
	}
	s.session.Shed() // what is kept for SHOW WARNINGS
	s.idle()
}
