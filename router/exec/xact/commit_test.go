package xact_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/router/backend"
	"shardway/router/exec/xact"
	"shardway/shardmap"
	"shardway/test/fakemysql"
)

// begin opens a transaction on all shards and writes on those that are named.
func begin(t *testing.T, x *xact.Transactions, c *backend.Cluster, f *fleet, writes ...int) (xact.ID, []*xact.Participant) {
	t.Helper()
	id := x.Name("s0")
	var parts []*xact.Participant
	for i, s := range f.servers {
		if err := x.Ready(t.Context(), s.name, s.Addr); err != nil {
			t.Fatal(err)
		}
		conn, err := c.Acquire(t.Context(), backend.Want{Shard: s.name, Role: backend.Primary})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Discard("the test is over") })
		p := &xact.Participant{Shard: s.name, Conn: conn}
		sql := "BEGIN"
		if i > 0 {
			p.Branch = id.Branch(conn.ConnectionID())
			sql = "XA START " + p.Branch
		}
		for _, sql := range []string{sql, "WRITE"} {
			if sql == "WRITE" && !slices.Contains(writes, i) {
				continue
			}
			if _, err := conn.Exec(sql); err != nil {
				t.Fatal(err)
			}
		}
		p.Wrote = slices.Contains(writes, i)
		parts = append(parts, p)
	}
	return id, parts
}

// recoverAll ends what is in doubt and returns when nothing is.
func recoverAll(t *testing.T, x *xact.Transactions, f *fleet) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := xact.Recovery{
		Transactions: x, Map: func() *shardmap.Map { return f.m }, Every: 10 * time.Millisecond, Grace: func() time.Duration { return 0 }, Keep: time.Hour,
		Spread: func() bool { return true }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer stop()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n := 0
		for _, s := range f.servers {
			n += s.inDoubt()
		}
		if n == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d branches are still in doubt", n)
		}
	}
}

// whole fails unless the transaction is on all shards or none, and says which.
func whole(t *testing.T, f *fleet, writers int) bool {
	t.Helper()
	n := 0
	for _, s := range f.servers {
		n += s.committed()
	}
	if n != 0 && n != writers {
		t.Errorf("%d of %d parts are committed", n, writers)
	}
	return n > 0
}

func flavors(t *testing.T, test func(t *testing.T, attaches bool)) {
	t.Run("mariadb", func(t *testing.T) { test(t, true) })
	t.Run("mysql", func(t *testing.T) { test(t, false) })
}

// What each server gets for a COMMIT, by who has written.
func TestCommitSends(t *testing.T) {
	for _, tc := range []struct {
		writes []int
		want   [3]string
	}{
		{nil, [3]string{"COMMIT", "END ROLLBACK", "END ROLLBACK"}},
		{[]int{0}, [3]string{"COMMIT", "END ROLLBACK", "END ROLLBACK"}},
		{[]int{1}, [3]string{"ROLLBACK", "END COMMIT ONE PHASE", "END ROLLBACK"}},
		{[]int{0, 2}, [3]string{"INSERT COMMIT", "END ROLLBACK", "END PREPARE COMMIT"}},
		{[]int{1, 2}, [3]string{"INSERT COMMIT", "END PREPARE COMMIT", "END PREPARE COMMIT"}},
		{[]int{0, 1, 2}, [3]string{"INSERT COMMIT", "END PREPARE COMMIT", "END PREPARE COMMIT"}},
	} {
		t.Run(fmt.Sprint(tc.writes), func(t *testing.T) {
			f := newFleet(t, true)
			c := f.proxy(t)
			x := xact.New(c)
			id, parts := begin(t, x, c, f, tc.writes...)
			if r := x.Commit(t.Context(), id, parts); r.Outcome != xact.Committed || len(r.Late) > 0 {
				t.Fatalf("%+v", r)
			}
			for i, s := range f.servers {
				var got []string
				s.mu.Lock()
				did := slices.Clone(s.did)
				s.mu.Unlock()
				for _, sql := range did {
					if !strings.HasPrefix(sql, "XA ") {
						got = append(got, sql)
						continue
					}
					word := strings.Fields(sql)[1]
					if strings.HasSuffix(sql, " ONE PHASE") {
						word += " ONE PHASE"
					}
					if word != "START" {
						got = append(got, word)
					}
				}
				if text := strings.Join(got, " "); text != tc.want[i] {
					t.Errorf("s%d got %q, want %q", i, text, tc.want[i])
				}
				if !parts[i].Ended || parts[i].Err != nil {
					t.Errorf("s%d: %+v", i, parts[i])
				}
			}
			whole(t, f, len(tc.writes))
		})
	}
}

func TestRollback(t *testing.T) {
	f := newFleet(t, false)
	c := f.proxy(t)
	x := xact.New(c)
	_, parts := begin(t, x, c, f, 0, 1)
	xact.Rollback(parts)
	for _, p := range parts {
		if !p.Ended || p.Err != nil {
			t.Errorf("%+v", p)
		}
	}
	if whole(t, f, 2) {
		t.Error("it is committed")
	}
}

// steps are the messages of a commit over three shards, by shard.
var steps = []struct{ shard, message string }{
	{"s0", "INSERT INTO shardway.decisions"},
	{"s0", "COMMIT"},
	{"s1", "XA END"},
	{"s1", "XA PREPARE"},
	{"s1", "XA COMMIT"},
	{"s2", "XA END"},
	{"s2", "XA PREPARE"},
	{"s2", "XA COMMIT"},
}

// breaks calls test for each message of a commit, before it and after it is run.
func breaks(t *testing.T, attaches bool, test func(t *testing.T, f *fleet, at *server, message string, after bool)) {
	for _, st := range steps {
		for _, after := range []bool{false, true} {
			when := "before"
			if after {
				when = "after"
			}
			t.Run(when+" "+st.message+" on "+st.shard, func(t *testing.T) {
				f := newFleet(t, attaches)
				test(t, f, f.servers[st.shard[1]-'0'], st.message, after)
			})
		}
	}
}

// once makes a fault happen at a message, the first time.
func (f *server) once(message string, after bool, fault func(s *fakemysql.Session)) {
	var mu sync.Mutex
	happened := false
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = func(s *fakemysql.Session, sql string, now bool) bool {
		mu.Lock()
		due := !happened && now == after && strings.HasPrefix(sql, message)
		happened = happened || due
		mu.Unlock()
		if due {
			fault(s)
		}
		return due
	}
}

// A connection is cut at each step: the answer is always known, and true.
func TestCutConnections(t *testing.T) {
	flavors(t, func(t *testing.T, attaches bool) {
		breaks(t, attaches, func(t *testing.T, f *fleet, at *server, message string, after bool) {
			c := f.proxy(t)
			x := xact.New(c)
			id, parts := begin(t, x, c, f, 0, 1, 2)
			at.once(message, after, func(s *fakemysql.Session) { s.Close() })
			r := x.Commit(t.Context(), id, parts)
			for _, p := range parts {
				if p.Err != nil {
					p.Conn.Discard("broken")
				} else if !p.Ended {
					t.Errorf("%s is neither ended nor broken", p.Shard)
				}
			}
			if r.Outcome == xact.Committed && (len(r.Late) > 0 || !whole(t, f, 3)) {
				t.Errorf("the client reads what it has written from some shards alone: %+v", r)
			}
			recoverAll(t, x, f)
			committed := whole(t, f, 3)
			switch {
			case r.Outcome == xact.Committed && !committed, r.Outcome == xact.RolledBack && committed:
				t.Errorf("the answer is %+v, and that it is committed is %v", r, committed)
			case r.Outcome == xact.Unknown:
				t.Errorf("the answer is %+v though all servers answer", r)
			}
			if decided := message == "COMMIT" && after || message == "XA COMMIT"; decided != committed {
				t.Errorf("that it is committed is %v", committed)
			}
		})
	})
}

// The proxy dies at each step, and another one finishes.
func TestTheProxyDies(t *testing.T) {
	flavors(t, func(t *testing.T, attaches bool) {
		breaks(t, attaches, func(t *testing.T, f *fleet, at *server, message string, after bool) {
			c := f.proxy(t)
			x := xact.New(c)
			id, parts := begin(t, x, c, f, 0, 1, 2)
			died := make(chan struct{})
			at.once(message, after, func(*fakemysql.Session) {
				for _, s := range f.servers {
					s.gone()
				}
				close(died)
			})
			ctx, cancel := context.WithCancel(t.Context())
			var dying sync.WaitGroup
			dying.Go(func() { x.Commit(ctx, id, parts) })
			c.Close()
			dying.Wait()
			<-died
			for _, s := range f.servers {
				s.Refuse(nil)
			}
			cancel()
			other := f.proxy(t)
			recoverAll(t, xact.New(other), f)
			whole(t, f, 3)
		})
	})
}

// The server that decides is gone: nobody can tell, and once it is back its row does.
func TestTheDecidingServerIsGone(t *testing.T) {
	flavors(t, func(t *testing.T, attaches bool) {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(after), func(t *testing.T) {
				f := newFleet(t, attaches)
				c := f.proxy(t)
				x := xact.New(c)
				x.Wait = 100 * time.Millisecond
				id, parts := begin(t, x, c, f, 0, 1, 2)
				died := make(chan struct{})
				f.servers[0].once("COMMIT", after, func(*fakemysql.Session) {
					f.servers[0].gone()
					close(died)
				})
				r := x.Commit(t.Context(), id, parts)
				if r.Outcome != xact.Unknown || !r.Waits || r.Shard != "s0" {
					t.Errorf("%+v", r)
				}
				for _, p := range parts {
					p.Conn.Discard("broken")
				}
				<-died
				f.servers[0].Refuse(nil)
				recoverAll(t, x, f)
				if whole(t, f, 3) != after {
					t.Error("the row says otherwise")
				}
			})
		}
	})
}

// Another proxy takes a slow one for dead and rolls back: the late COMMIT can't win.
func TestALateCommit(t *testing.T) {
	flavors(t, func(t *testing.T, attaches bool) {
		f := newFleet(t, attaches)
		c := f.proxy(t)
		x := xact.New(c)
		id, parts := begin(t, x, c, f, 0, 1, 2)
		for _, p := range parts[1:] {
			for _, sql := range []string{"XA END ", "XA PREPARE "} {
				if _, err := p.Conn.Exec(sql + p.Branch); err != nil {
					t.Fatal(err)
				}
			}
		}
		recoverAll(t, xact.New(f.proxy(t)), f)
		if r := x.Commit(t.Context(), id, parts); r.Outcome != xact.RolledBack {
			t.Errorf("%+v", r)
		}
		if whole(t, f, 3) {
			t.Error("it is committed")
		}
	})
}

// Proxies that recover at once don't get into each other's way, and old decisions go.
func TestTwoRecover(t *testing.T) {
	f := newFleet(t, true)
	c := f.proxy(t)
	x := xact.New(c)
	x.Wait = time.Nanosecond // what is late is left to the recovery
	for range 8 {
		id, parts := begin(t, x, c, f, 0, 1, 2)
		f.servers[1].once("XA COMMIT", false, func(s *fakemysql.Session) { s.Close() })
		if r := x.Commit(t.Context(), id, parts); r.Outcome != xact.Committed || len(r.Late) != 1 {
			t.Errorf("%+v", r)
		}
		for _, p := range parts {
			p.Conn.Discard("over")
		}
	}
	if f.servers[1].inDoubt() == 0 {
		t.Fatal("nothing is in doubt")
	}
	var both sync.WaitGroup
	for range 2 {
		other := xact.New(f.proxy(t))
		both.Go(func() { recoverAll(t, other, f) })
	}
	both.Wait()
	for _, s := range f.servers {
		if n := s.committed(); n != 8 {
			t.Errorf("%s has %d of 8", s.name, n)
		}
	}
}

// A statement that wasn't known to open a transaction has opened a plain one on a further shard.
func TestAPlainParticipantIsCommittedBehindTheDecision(t *testing.T) {
	f := newFleet(t, false)
	c := f.proxy(t)
	x := xact.New(c)
	id, parts := begin(t, x, c, f, 0, 1)
	plain := parts[2]
	for _, sql := range []string{"XA END " + plain.Branch, "XA ROLLBACK " + plain.Branch, "BEGIN", "WRITE"} {
		if _, err := plain.Conn.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	plain.Branch, plain.Wrote = "", true
	if r := x.Commit(t.Context(), id, parts); r.Outcome != xact.Committed {
		t.Errorf("%+v", r)
	}
	if !whole(t, f, 3) {
		t.Error("it isn't committed")
	}
	if counts := x.Counts(); counts.Committed != 1 || counts.Commits[3].Count != 1 {
		t.Errorf("%+v", counts)
	}
}
