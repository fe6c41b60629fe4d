package backend

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shardway/protocol"
	"shardway/router/backend/circuit"
	"shardway/router/backend/health"
)

func TestFailedReplicaIsOutAtOnceAndBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{})
		synctest.Wait()
		r1 := Want{Shard: "s0", Role: Replica, Exclude: []string{"r2:1"}}
		idle, conn, other := mustAcquire(t, c, r1), mustAcquire(t, c, r1), mustAcquire(t, c, r1)
		idle.Release()
		f.at("r1:1").crash()
		conn.Failed(errors.New("connection reset"))
		if s := stateOf(c, "r1:1"); s.Eligible {
			t.Errorf("state is %+v", s)
		}
		if p := poolOf(c, "r1:1"); p.Idle != 0 || p.Closed["failed"] != 2 {
			t.Errorf("pool is %+v", p)
		}
		for range 10 {
			got := mustAcquire(t, c, wantReplica)
			if got.Addr() != "r2:1" {
				t.Errorf("got %s", got.Addr())
			}
			got.Release()
		}
		synctest.Wait()
		down := stateOf(c, "r1:1")
		if down.State != health.Down || down.Why != "connection refused" {
			t.Errorf("state is %+v", down)
		}
		f.at("r1:1").recover()
		time.Sleep(300 * time.Millisecond) // fast back-off: at most 240ms after the first failure
		up := stateOf(c, "r1:1")
		if up.State != health.Up || !up.Since.After(down.Since) || up.Why != "" {
			t.Errorf("state is %+v", up)
		}
		// A connection from before the outage says nothing about the server now.
		other.Failed(errors.New("connection reset"))
		if s := stateOf(c, "r1:1"); s.State != health.Up {
			t.Errorf("state is %+v", s)
		}
		seen := map[string]int{}
		for range 10 {
			got := mustAcquire(t, c, wantReplica)
			seen[got.Addr()]++
			got.Release()
		}
		if seen["r1:1"] != 5 {
			t.Errorf("served: %v", seen)
		}
	})
}

func TestKilledConnectionOfPrimary(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		synctest.Wait()
		conn := mustAcquire(t, c, wantPrimary)
		conn.Failed(errors.New("unexpected EOF")) // somebody killed it; the server is well
		mustAcquire(t, c, wantPrimary).Release()
		synctest.Wait()
		if s := stateOf(c, "p:1"); s.State != health.Up {
			t.Errorf("state is %+v", s)
		}
	})
}

func TestDownPrimaryIsRefusedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{})
		conn := mustAcquire(t, c, wantPrimary)
		synctest.Wait()
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
		f.at("p:1").crash()
		conn.Failed(errors.New("connection reset"))
		began := time.Now()
		var wire *protocol.Error
		for range 3 {
			_, err := c.Acquire(t.Context(), wantPrimary)
			if !errors.Is(err, ErrNoServer) || !errors.As(err, &wire) || wire.Code != 1205 {
				t.Fatalf("error is %v", err)
			}
		}
		for _, part := range []string{"shardway: shard s0", "role primary", "p:1 is down (connection refused)"} {
			if !strings.Contains(wire.Message, part) {
				t.Errorf("no %q in %q", part, wire.Message)
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("took %s", waited)
		}
		if err := c.Ready(); err == nil || !strings.Contains(err.Error(), "shard s0") {
			t.Errorf("ready: %v", err)
		}
		// Nobody dials a server that is down, whoever asks for it.
		synctest.Wait()
		dials := f.at("p:1").dials.Load()
		for range 1000 {
			if _, err := c.Acquire(t.Context(), wantPrimary); err == nil {
				t.Fatal("got a connection")
			}
		}
		if n := f.at("p:1").dials.Load(); n != dials {
			t.Errorf("%d dials for requesters", n-dials)
		}
		f.at("p:1").recover()
		time.Sleep(probeBackoffMax)
		mustAcquire(t, c, wantPrimary).Release()
	})
}

func TestProbeBacksOff(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.add("p:1").refuse = errors.New("connection refused")
		c := New(Options{Dial: f.dial})
		defer c.Close()
		c.Apply(oneShard(t, 0))
		time.Sleep(time.Minute)
		// 200ms, 400, 800, 1600, then 2s each: about 33 a minute.
		if n := f.at("p:1").dials.Load(); n < 25 || n > 42 {
			t.Errorf("%d dials in a minute", n)
		}
	})
}

func TestBlackHole(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{DialTimeout: 3 * time.Second, FallbackToPrimary: true})
		synctest.Wait()
		f.at("r1:1").set(func(s *fakeServer) { s.hang = true })
		began := time.Now()
		conn := mustAcquire(t, c, wantReplica) // dials in vain, then the primary serves
		if conn.Addr() != "p:1" || conn.Role() != Primary || time.Since(began) > 3*time.Second {
			t.Errorf("got %s after %s", conn.Addr(), time.Since(began))
		}
		conn.Release()
		began = time.Now()
		mustAcquire(t, c, wantReplica).Release()
		if time.Since(began) != 0 {
			t.Error("waited for a server that is down")
		}
		if s := stateOf(c, "r1:1"); s.State != health.Down || s.Why != "no answer within 3s" {
			t.Errorf("state is %+v", s)
		}
		f.at("r1:1").set(func(s *fakeServer) { s.hang = false })
		time.Sleep(6 * time.Second)
		if s := stateOf(c, "r1:1"); s.State != health.Up {
			t.Errorf("state is %+v", s)
		}
	})
}

func TestHungServerIsFoundByProbe(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{DialTimeout: 3 * time.Second})
		synctest.Wait()
		f.at("r1:1").set(func(s *fakeServer) { s.hang = true })
		f.at("p:1").set(func(s *fakeServer) { s.hang = true })
		time.Sleep(4200 * time.Millisecond) // an interval and a probe
		if s := stateOf(c, "p:1"); s.State != health.Up {
			t.Errorf("state is %+v", s)
		}
		if s := stateOf(c, "r1:1"); s.State != health.Down {
			t.Errorf("state is %+v", s)
		}
		time.Sleep(3 * time.Second) // and a dial
		if s := stateOf(c, "p:1"); s.State != health.Down {
			t.Errorf("state is %+v", s)
		}
		if s := stateOf(c, "r1:1"); s.State != health.Down {
			t.Errorf("state is %+v", s)
		}
	})
}

func TestFallbackToPrimary(t *testing.T) {
	for _, on := range []bool{true, false} {
		inBubble(t, func(t *testing.T, f *fleet) {
			c := f.cluster(1, Options{FallbackToPrimary: on})
			synctest.Wait()
			f.at("r1:1").crash()
			time.Sleep(2 * time.Second)
			conn, err := c.Acquire(t.Context(), wantReplica)
			if on {
				if err != nil || conn.Role() != Primary {
					t.Fatalf("got %v", err)
				}
				conn.Release()
				if s := stateOf(c, "p:1"); s.Reads != 1 || s.Writes != 0 {
					t.Errorf("served %+v", s)
				}
			} else if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "fallback_to_primary is off") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestReplicaThatCannotBeDialedGivesWay(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for _, addr := range []string{"p:1", "r1:1", "r2:1", "r3:1"} {
			f.add(addr)
		}
		c := New(Options{Dial: f.dial})
		defer c.Close()
		f.at("r1:1").refuse = errors.New("connection refused")
		f.at("r3:1").refuse = errors.New("connection refused")
		c.Apply(oneShard(t, 3)) // all replicas are tried though nothing is known of them yet
		for range 6 {
			conn := mustAcquire(t, c, wantReplica)
			if conn.Addr() != "r2:1" {
				t.Errorf("got %s", conn.Addr())
			}
			conn.Release()
		}
		synctest.Wait()
		w := wantReplica
		w.Exclude = []string{"r2:1"}
		if _, err := c.Acquire(t.Context(), w); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "r2:1 is up, failed this statement already") {
			t.Errorf("got %v", err)
		}
	})
}

func TestTooManyConnectionsIsBusyNotDown(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{WaitTimeout: 10 * time.Second})
		synctest.Wait()
		f.at("p:1").set(func(s *fakeServer) { s.limit = 2 }) // the prober's and one more
		held := mustAcquire(t, c, wantPrimary)
		time.AfterFunc(3*time.Second, held.Release)
		began := time.Now()
		second := mustAcquire(t, c, wantPrimary) // waits for the one in use
		if waited := time.Since(began); waited != 3*time.Second || second != held {
			t.Errorf("waited %s", waited)
		}
		if s := stateOf(c, "p:1"); s.State != health.Busy || !s.Eligible || !strings.Contains(s.Why, "Too many connections") {
			t.Errorf("state is %+v", s)
		}
		if p := poolOf(c, "p:1"); p.DialErrors == 0 || p.Dials > 12 || !strings.Contains(p.Circuit, "1040") {
			t.Errorf("pool is %+v", p)
		}
		// The wait's error says what the server said.
		_, err := c.Acquire(t.Context(), wantPrimary)
		if !errors.Is(err, ErrPoolWait) || !strings.Contains(err.Error(), "Too many connections") {
			t.Errorf("error is %v", err)
		}
		// Room again: the state follows.
		f.at("p:1").set(func(s *fakeServer) { s.limit = 0 })
		mustAcquire(t, c, wantPrimary).Release()
		if s := stateOf(c, "p:1"); s.State != health.Up {
			t.Errorf("state is %+v", s)
		}
		// A replica that refuses more gives way to another one.
		f.at("r1:1").set(func(s *fakeServer) { s.limit = 1 })
		began = time.Now()
		for range 4 {
			if conn := mustAcquire(t, c, wantReplica); conn.Addr() != "r2:1" {
				t.Errorf("got %s", conn.Addr())
			}
		}
		if time.Since(began) != 0 {
			t.Error("waited although r2 had room")
		}
	})
}

func TestRefusedLoginSaysTheFix(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.add("p:1").refuse = protocol.Errorf(1045, "28000", "Access denied for user 'shardway'@'10.0.0.1' (using password: YES)")
		c := New(Options{User: "shardway", Dial: f.dial})
		defer c.Close()
		c.Apply(oneShard(t, 0))
		_, err := c.Acquire(t.Context(), wantPrimary)
		var wire *protocol.Error
		if !errors.Is(err, ErrNoServer) || !errors.As(err, &wire) || wire.Code != 1105 {
			t.Fatalf("error is %v", err)
		}
		for _, part := range []string{"login refused: 1045", "Access denied for user 'shardway'", "check servers.user and servers.password"} {
			if !strings.Contains(wire.Message, part) {
				t.Errorf("no %q in %q", part, wire.Message)
			}
		}
	})
}

func TestDialsAreFewAtOnceAndRated(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.add("p:1").dialTime = 5 * time.Millisecond
		c := New(Options{Dial: f.dial, MaxPerServer: 1000, DialRate: 50, WaitTimeout: time.Minute})
		defer c.Close()
		c.Apply(oneShard(t, 0))
		got := make(chan *Conn)
		began := time.Now()
		for range 200 {
			go func() { got <- mustAcquire(t, c, wantPrimary) }()
		}
		var held []*Conn
		for range 200 {
			held = append(held, <-got)
		}
		// 50 at once and 150 more at 50 a second.
		if took := time.Since(began); took < 2900*time.Millisecond || took > 4*time.Second {
			t.Errorf("took %s", took)
		}
		if n := f.at("p:1").mostDialing.Load(); n > circuit.DialsAtOnce+1 {
			t.Errorf("%d dials at once", n)
		}
		for _, conn := range held {
			conn.Release()
		}
	})
}

func TestOneDialAtATimeToAServerThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		s := f.add("p:1")
		s.refuse, s.dialTime = errors.New("connection refused"), 100*time.Millisecond
		c := New(Options{Dial: f.dial})
		defer c.Close()
		c.Apply(oneShard(t, 0))
		failed := make(chan error)
		for range 400 {
			go func() {
				_, err := c.Acquire(context.Background(), wantPrimary)
				failed <- err
			}()
		}
		for range 400 {
			if err := <-failed; !errors.Is(err, ErrNoServer) {
				t.Error(err)
			}
		}
		if n := s.dials.Load(); n > 3 {
			t.Errorf("%d dials for 400 requesters", n)
		}
	})
}

func TestFailuresThatSayNothingOfTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		var log strings.Builder
		c := f.cluster(1, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		synctest.Wait()
		for _, err := range []error{context.Canceled, protocol.Errorf(1317, "70100", "Query execution was interrupted")} {
			conn := mustAcquire(t, c, wantReplica)
			conn.Failed(err)
			if s := stateOf(c, "r1:1"); s.State != health.Up {
				t.Errorf("after %v: %+v", err, s)
			}
		}
		mustAcquire(t, c, wantReplica).Failed(protocol.Errorf(1053, "08S01", "Server shutdown in progress"))
		synctest.Wait()
		c.Close()
		for _, part := range []string{"addr=r1:1 state=up before=connecting", "addr=r1:1 state=suspect before=up why=\"a connection broke", "Server shutdown in progress", "addr=r1:1 state=up before=suspect"} {
			if !strings.Contains(log.String(), part) {
				t.Errorf("no %q in\n%s", part, log.String())
			}
		}
	})
}

// A server that neither answers probes nor lets anybody in doesn't keep those
// who wait for its answers.
func TestAFrozenServerLetsGo(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{DownTimeout: 4 * time.Second})
		synctest.Wait()
		conn, idle := mustAcquire(t, c, wantReplica), mustAcquire(t, c, wantPrimary)
		f.at("r1:1").set(func(s *fakeServer) { s.hang = true })
		began := time.Now()
		if _, err := conn.Exec("SELECT SLEEP(1000)"); err == nil {
			t.Fatal("a frozen server has answered")
		}
		// A probe fails within 3.5 s of its begin, and then 4 s pass, up to the next probe.
		if took := time.Since(began); took < 4*time.Second || took > 15*time.Second {
			t.Errorf("the answer came after %s", took)
		}
		conn.Failed(errTest)
		if err := idle.exec("SET x=1"); err != nil {
			t.Errorf("a connection to another server failed: %v", err)
		}
		idle.Release()
	})
}
