package backend

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shardway/protocol"
	"shardway/router/backend/health"
)

func TestLag(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.add("p:1")
		s := f.add("r1:1")
		s.lag = lagOf("0")
		s.dialTime = time.Millisecond // the first probe takes a while
		c := New(Options{Dial: f.dial, MaxLag: 4 * time.Second, FallbackToPrimary: true, ProbeInterval: time.Second})
		defer c.Close()
		c.Apply(oneShard(t, 1))
		// Before the lag is known the replica serves nothing.
		conn := mustAcquire(t, c, wantReplica)
		if conn.Role() != Primary {
			t.Error("a replica of unknown lag served a read")
		}
		conn.Release()
		time.Sleep(2 * time.Millisecond)
		check := func(want health.State, why string) {
			t.Helper()
			st := stateOf(c, "r1:1")
			if st.State != want || !strings.Contains(st.Why, why) || st.Eligible != (want == health.Up) {
				t.Errorf("state is %+v, want %s (%s)", st, want, why)
			}
		}
		answer := func(rows *protocol.Rows, wire *protocol.Error) {
			s.set(func(s *fakeServer) { s.lag, s.lagErr = rows, wire })
			time.Sleep(1200 * time.Millisecond) // one probe, two at the most
		}
		check(health.Up, "")
		answer(lagOf("4"), nil)
		check(health.Up, "")
		answer(lagOf("5"), nil)
		check(health.Lagging, "lag 5s is over replicas.max_lag 4s")
		answer(lagOf("3"), nil)
		check(health.Lagging, "within replicas.max_lag")
		time.Sleep(3 * time.Second)
		check(health.Up, "") // three probes in a row
		answer(lagOf("9"), nil)
		answer(lagOf("2"), nil)
		check(health.Up, "") // half of the limit is enough at once
		answer(lagOf(nil), nil)
		check(health.Lagging, "lag unknown: the server reports no seconds behind")
		answer(table("Replica_IO_Running,Replica_SQL_Running,Seconds_Behind_Source,Last_SQL_Error", []any{"Yes", "No", "0", "duplicate entry"}), nil)
		check(health.Lagging, "applier isn't running (No): duplicate entry")
		answer(table("Slave_IO_Running,Slave_SQL_Running,Seconds_Behind_Master", []any{"Connecting", "Yes", "0"}), nil)
		check(health.Lagging, "receiver isn't running (Connecting)")
		answer(nil, nil)
		check(health.Lagging, "isn't a replica of any source")
		answer(nil, protocol.Errorf(1227, "42000", "Access denied"))
		check(health.Lagging, "GRANT it REPLICATION CLIENT ON *.*")
		answer(table("Replica_IO_Running,Replica_SQL_Running,Seconds_Behind_Source", []any{"Yes", "Yes", "1"}, []any{"Yes", "Yes", "7"}), nil)
		check(health.Lagging, "lag 7s") // the worst channel counts
		answer(lagOf("1"), nil)
		check(health.Up, "")
		if st := stateOf(c, "r1:1"); !st.LagKnown || st.Lag != time.Second {
			t.Errorf("state is %+v", st)
		}
		if st := stateOf(c, "p:1"); st.State != health.Up || st.LagKnown || st.LagFrom != "" {
			t.Errorf("a primary has no lag: %+v", st)
		}
		// Turned off, nobody looks.
		answer(lagOf("99"), nil)
		check(health.Lagging, "")
		c.SetOptions(Options{Dial: f.dial})
		synctest.Wait()
		check(health.Up, "")
	})
}

func TestMinimalServerIsWelcome(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		s := f.add("p:1")
		s.minimal = true
		f.add("r1:1").minimal = true
		c := New(Options{Dial: f.dial})
		defer c.Close()
		c.Apply(oneShard(t, 1))
		synctest.Wait()
		conn := mustAcquire(t, c, wantPrimary)
		if conn.Tracks || conn.SetupSQL() != "" {
			t.Errorf("tracks %v with %q", conn.Tracks, conn.SetupSQL())
		}
		conn.Release()
		for _, st := range c.Servers() {
			if st.State != health.Up || st.Version != "8.4.0-fake" {
				t.Errorf("state is %+v", st)
			}
		}
		// What a server doesn't know is found out once and not for each connection;
		// only the fence may come up at any time.
		before, fences := len(s.heard), s.said(fenceSQL)
		a, b := mustAcquire(t, c, wantPrimary), mustAcquire(t, c, wantPrimary)
		if said := len(s.heard) - before - (s.said(fenceSQL) - fences); said != 0 {
			t.Errorf("asked %d statements more", said)
		}
		a.Release()
		b.Release()
	})
}

func TestSetupFallsBackToWhatTheServerKnows(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.add("p:1").unknown = "session_track_transaction_info"
		c := New(Options{Dial: f.dial})
		defer c.Close()
		c.Apply(oneShard(t, 0))
		synctest.Wait()
		conn := mustAcquire(t, c, wantPrimary)
		want := "SET session_track_system_variables='*',session_track_schema=ON,session_track_state_change=ON,session_track_gtids='OWN_GTID',wait_timeout=CAST(GREATEST(@@wait_timeout,28800) AS UNSIGNED)"
		if !conn.Tracks || conn.SetupSQL() != want {
			t.Errorf("tracks %v with %q", conn.Tracks, conn.SetupSQL())
		}
		n := f.at("p:1").said(want)
		if err := conn.Setup(t.Context()); err != nil || f.at("p:1").said(want) != n+1 {
			t.Errorf("again: %v, said %d times", err, f.at("p:1").said(want))
		}
		conn.Release()
	})
}

func TestWarnings(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		p := f.add("p:1")
		p.vars["read_only"], p.vars["max_connections"] = "ON", "50"
		c := New(Options{Dial: f.dial})
		defer c.Close()
		c.Apply(oneShard(t, 0))
		synctest.Wait()
		st := stateOf(c, "p:1")
		if st.State != health.Up || !st.Eligible || !st.ReadOnly ||
			!strings.Contains(st.Warning, "the primary is read_only") || !strings.Contains(st.Warning, "max_connections 50 is less than pool.max_per_server 100") {
			t.Errorf("state is %+v", st)
		}
		p.set(func(s *fakeServer) { s.vars["read_only"] = "OFF" })
		time.Sleep(2 * time.Second)
		if st = stateOf(c, "p:1"); st.ReadOnly {
			t.Errorf("state is %+v", st)
		}
	})
}

func TestLearned(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for _, addr := range []string{"a:1", "b:1", "c:1", "d:1"} {
			f.add(addr).version = "8.4.0-" + addr
		}
		f.at("a:1").vars["max_allowed_packet"] = "1000"
		f.at("b:1").vars["max_allowed_packet"] = "2000"
		f.at("c:1").vars["max_allowed_packet"] = "10"
		f.at("b:1").refuse = errTest
		f.at("a:1").refuse = errTest
		c := New(Options{Dial: f.dial})
		defer c.Close()
		if c.Learned().OK {
			t.Error("learned from nobody")
		}
		c.Apply(parseMap(t, `
version: 1
default_shard: s1
shards:
  s0: {primary: "a:1", replicas: ["c:1"]}
  s1: {primary: "b:1", replicas: ["d:1"]}
`))
		synctest.Wait()
		if l := c.Learned(); !l.OK || l.Addr != "d:1" { // the default shard's replica, before others'
			t.Errorf("learned %+v", l)
		}
		f.at("a:1").recover()
		time.Sleep(5 * time.Second)
		if l := c.Learned(); l.Addr != "a:1" || l.MaxAllowedPacket != 1000 {
			t.Errorf("learned %+v", l)
		}
		f.at("b:1").recover()
		time.Sleep(5 * time.Second)
		l := c.Learned()
		if l.Addr != "b:1" || l.Version != "8.4.0-b:1" || l.MaxAllowedPacket != 1000 || l.Collation != 255 || l.Charset != "utf8mb4" ||
			l.Collations[8].Charset != "latin1" || !slices.Equal(l.Databases, []string{"db_a_1", "db_b_1", "shop"}) {
			t.Errorf("learned %+v", l)
		}
		f.at("b:1").set(func(s *fakeServer) { s.vars["lower_case_table_names"] = "1" })
		time.Sleep(time.Minute)
		if l = c.Learned(); l.LowerCaseTables != 1 {
			t.Error("what a server says isn't asked for again")
		}
	})
}

func TestKill(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		conn := mustAcquire(t, c, wantPrimary)
		if err := c.Kill(t.Context(), conn, true); err != nil {
			t.Error(err)
		}
		if _, err := conn.Exec("SET x=1"); err != nil {
			t.Errorf("KILL QUERY ended the connection: %v", err)
		}
		if err := c.Kill(t.Context(), conn, false); err != nil {
			t.Error(err)
		}
		if _, err := conn.Exec("SET x=1"); err == nil {
			t.Error("the connection lives")
		}
		conn.Discard("test")
		f.at("p:1").set(func(s *fakeServer) { s.hang = true })
		began := time.Now()
		if err := c.Kill(t.Context(), conn, true); err == nil || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
