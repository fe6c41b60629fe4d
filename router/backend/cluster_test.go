package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"shardway/protocol"
)

// inBubble runs f with a fake clock; the fleet's clean-up happens inside.
func inBubble(t *testing.T, f func(t *testing.T, fl *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newFleet(t)) })
}

func TestAcquireReusesNewestConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		a, b := mustAcquire(t, c, wantPrimary), mustAcquire(t, c, wantPrimary)
		if a == b || a.Addr() != "p:1" || a.Shard() != "s0" || a.Role() != Primary || !a.Tracks {
			t.Fatalf("a is %s %s %s, tracks %v", a.Addr(), a.Shard(), a.Role(), a.Tracks)
		}
		a.Release()
		b.Release()
		b.Release() // does nothing
		if got := mustAcquire(t, c, wantPrimary); got != b {
			t.Error("not the newest connection")
		}
		p := poolOf(c, "p:1")
		if p.Idle != 1 || p.Busy != 1 || p.Dials != 2 || p.Reused != 1 {
			t.Errorf("pool is %+v", p)
		}
		if s := stateOf(c, "p:1"); s.Writes != 3 || s.Reads != 0 {
			t.Errorf("served %d writes, %d reads", s.Writes, s.Reads)
		}
	})
}

func TestAcquirePrefersState(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		a, b := mustAcquire(t, c, wantPrimary), mustAcquire(t, c, wantPrimary)
		a.State = unique.Make("time_zone=UTC")
		a.Release()
		b.Release()
		w := wantPrimary
		w.Prefer = a.State
		if mustAcquire(t, c, w) != a {
			t.Error("not the connection with the state")
		}
		if mustAcquire(t, c, w) != b {
			t.Error("without the state, any connection will do")
		}
		b.Release()
		a.Release()
		w.Prefer = unique.Make("time_zone=CET")
		if mustAcquire(t, c, w) != b {
			t.Error("the base state has nothing to undo")
		}
		if mustAcquire(t, c, w) != a {
			t.Error("without the state, any connection will do")
		}
	})
}

func TestFoundRowsArePooledApart(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{MaxPerServer: 1})
		w := wantPrimary
		w.FoundRows = true
		plain := mustAcquire(t, c, wantPrimary)
		plain.Release()
		found := mustAcquire(t, c, w) // the idle plain one makes room
		if !found.FoundRows() || !found.Capabilities().Has(protocol.CapFoundRows) || found == plain {
			t.Error("not a connection with CapFoundRows")
		}
		done := make(chan *Conn)
		go func() { done <- mustAcquire(t, c, wantPrimary) }()
		synctest.Wait()
		found.Release() // nobody can use it: it is closed for the one who waits
		if conn := <-done; conn.FoundRows() {
			t.Error("got the other kind")
		}
		if p := poolOf(c, "p:1"); p.Closed["ceiling"] != 2 || p.Idle+p.Busy != 1 {
			t.Errorf("pool is %+v", p)
		}
	})
}

func TestReleaseClosesUncleanConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		conn := mustAcquire(t, c, wantPrimary)
		if err := conn.WriteCommand(protocol.ComQuery, []byte("SELECT 1")); err != nil {
			t.Fatal(err)
		}
		conn.Release() // its reply was never read
		p := poolOf(c, "p:1")
		if p.Idle != 0 || p.Busy != 0 || p.Closed["unclean"] != 1 {
			t.Errorf("pool is %+v", p)
		}
		if next := mustAcquire(t, c, wantPrimary); next == conn {
			t.Error("an unclean connection came back")
		}
	})
}

func TestReleaseTakesDeadlinesOff(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		conn := mustAcquire(t, c, wantPrimary)
		conn.Interrupt()
		conn.Release()
		next := mustAcquire(t, c, wantPrimary)
		if next != conn {
			t.Fatal("another connection")
		}
		if _, err := next.Exec("SET x=1"); err != nil {
			t.Error(err)
		}
	})
}

func TestCeilingAndOrderOfArrival(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{MaxPerServer: 2, WaitTimeout: time.Minute})
		held := []*Conn{mustAcquire(t, c, wantPrimary), mustAcquire(t, c, wantPrimary)}
		order := make(chan int, 3)
		var waiting sync.WaitGroup
		defer waiting.Wait()
		for i := range 3 {
			waiting.Go(func() {
				conn := mustAcquire(t, c, wantPrimary)
				order <- i
				time.Sleep(time.Second)
				conn.Release()
			})
			synctest.Wait()
		}
		if p := poolOf(c, "p:1"); p.Waiting != 3 || p.Busy != 2 {
			t.Errorf("pool is %+v", p)
		}
		held[0].Release()
		synctest.Wait()
		held[1].Discard("test") // frees a place: a new one is dialed
		for i := range 3 {
			if got := <-order; got != i {
				t.Errorf("%d was served as number %d", got, i)
			}
		}
		if most := f.at("p:1").mostLive.Load(); most > 3 { // and the prober's
			t.Errorf("%d connections at once", most)
		}
	})
}

func TestPoolWaitTimesOut(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{MaxPerServer: 1, WaitTimeout: 5 * time.Second})
		held := mustAcquire(t, c, wantPrimary)
		began := time.Now()
		_, err := c.Acquire(t.Context(), wantPrimary)
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("waited %s", waited)
		}
		var wire *protocol.Error
		if !errors.Is(err, ErrPoolWait) || !errors.As(err, &wire) || wire.Code != 1040 {
			t.Fatalf("error is %v", err)
		}
		for _, part := range []string{"shardway: ", "p:1", "5s", "1 of its 1", "pool.max_per_server is 1"} {
			if !strings.Contains(wire.Message, part) {
				t.Errorf("no %q in %q", part, wire.Message)
			}
		}
		w := wantPrimary
		w.Wait = time.Second
		began = time.Now()
		if _, err = c.Acquire(t.Context(), w); !errors.Is(err, ErrPoolWait) || time.Since(began) != time.Second {
			t.Errorf("error is %v after %s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the client left"))
		defer cancel()
		if _, err = c.Acquire(ctx, wantPrimary); err == nil || err.Error() != "the client left" {
			t.Errorf("error is %v", err)
		}
		p := poolOf(c, "p:1")
		if p.Waiting != 0 || p.WaitTimeouts != 2 || p.Waits != 4 || p.WaitTime < 7*time.Second {
			t.Errorf("pool is %+v", p)
		}
		held.Release()
		mustAcquire(t, c, wantPrimary).Release()
	})
}

func TestIdleConnectionsAreReaped(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{IdleTimeout: time.Minute})
		a, b := mustAcquire(t, c, wantPrimary), mustAcquire(t, c, wantPrimary)
		a.Release()
		time.Sleep(40 * time.Second)
		b.Release()
		time.Sleep(35 * time.Second)
		if p := poolOf(c, "p:1"); p.Idle != 1 || p.Closed["idle"] != 1 {
			t.Errorf("pool is %+v", p)
		}
		if mustAcquire(t, c, wantPrimary) != b {
			t.Error("the wrong one was closed")
		}
	})
}

func TestConnectionClosedByServerWhileIdle(t *testing.T) {
	f := newFleet(t)
	f.tcp = true // Clean looks at real sockets only
	c := f.cluster(0, Options{ProbeInterval: time.Hour})
	conn := mustAcquire(t, c, wantPrimary)
	old := conn.ConnectionID()
	conn.Release()
	conn.seen -= time.Second
	s := f.at("p:1")
	s.mu.Lock()
	s.conns[old].Close()
	s.mu.Unlock()
	for conn.Clean() { // the end of the stream takes a moment to arrive
		runtime.Gosched()
	}
	next := mustAcquire(t, c, wantPrimary)
	if next.ConnectionID() == old {
		t.Error("a closed connection came back")
	}
	if p := poolOf(c, "p:1"); p.Closed["unclean"] != 1 {
		t.Errorf("pool is %+v", p)
	}
	next.Release()
}

func TestApplyKeepsAndDrops(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{MaxPerServer: 1})
		synctest.Wait()
		reads := map[string]*Conn{}
		for range 2 {
			conn := mustAcquire(t, c, wantReplica)
			reads[conn.Addr()] = conn
		}
		waiting := make(chan string)
		go func() {
			w := wantReplica
			w.Exclude = []string{"r1:1", "p:1"}
			conn, err := c.Acquire(t.Context(), w)
			if err != nil {
				waiting <- err.Error()
				return
			}
			conn.Release()
			waiting <- conn.Addr()
		}()
		synctest.Wait()
		f.add("r3:1")
		c.Apply(parseMap(t, `
version: 2
shards:
  s0: {primary: "r1:1", replicas: ["p:1", "r3:1"]}
`))
		if got := <-waiting; got != "r3:1" {
			t.Errorf("who waited for r2 got %s", got)
		}
		reads["r1:1"].Release()
		reads["r2:1"].Release()
		if conn := mustAcquire(t, c, wantPrimary); conn != reads["r1:1"] || conn.Role() != Primary {
			t.Error("the server that became primary lost its pool")
		}
		time.Sleep(time.Second)
		if n := f.at("r2:1").open(); n != 0 {
			t.Errorf("r2 left and has %d connections", n)
		}
		if s := stateOf(c, "r2:1"); s.Addr != "" {
			t.Errorf("r2 left and is %+v", s)
		}
	})
}

func TestSetOptions(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{User: "a", MaxPerServer: 1})
		held := mustAcquire(t, c, wantPrimary)
		o := Options{User: "a", MaxPerServer: 2, Dial: f.dial}
		c.SetOptions(o)
		second := mustAcquire(t, c, wantPrimary) // the ceiling was raised
		second.Release()
		o.User = "b"
		c.SetOptions(o)
		held.Release()
		p := poolOf(c, "p:1")
		if p.Idle != 0 || p.Busy != 0 || p.Closed["options"] != 2 {
			t.Errorf("pool is %+v", p)
		}
		mustAcquire(t, c, wantPrimary).Release()
		o.MaxPerServer = 1
		c.SetOptions(o)
		mustAcquire(t, c, wantPrimary).Release()
	})
}

func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{MaxPerServer: 1})
		held := mustAcquire(t, c, wantPrimary)
		failed := make(chan error)
		go func() {
			_, err := c.Acquire(t.Context(), wantPrimary)
			failed <- err
		}()
		synctest.Wait()
		c.Close()
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("who waited got %v", err)
		}
		if _, err := c.Acquire(t.Context(), wantPrimary); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		held.Release()
		synctest.Wait()
		for _, addr := range []string{"p:1", "r1:1"} {
			if n := f.at(addr).open(); n != 0 {
				t.Errorf("%s has %d connections", addr, n)
			}
		}
	})
}

func TestUnknownShard(t *testing.T) {
	c := New(Options{})
	defer c.Close()
	if _, err := c.Acquire(t.Context(), wantPrimary); !errors.Is(err, ErrNoServer) {
		t.Errorf("without a map: %v", err)
	}
	if c.Ready() == nil {
		t.Error("ready without a map")
	}
	c.Apply(oneShard(t, 0))
	if _, err := c.Acquire(t.Context(), Want{Shard: "s9"}); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "'s9'") {
		t.Errorf("with a map: %v", err)
	}
}

func TestReleaseClosesOpenTransactions(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		conn := mustAcquire(t, c, wantPrimary)
		if _, err := conn.Exec("BEGIN"); err != nil {
			t.Fatal(err)
		}
		conn.Release()
		if p := poolOf(c, "p:1"); p.Idle != 0 || p.Busy != 0 || p.Closed["transaction"] != 1 {
			t.Errorf("pool is %+v", p)
		}
	})
}

func TestDialOptions(t *testing.T) {
	var got []protocol.DialOptions
	var mu sync.Mutex
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	c := New(Options{
		User: "u", Password: "p", TLS: protocol.TLSRequired, TLSConfig: config, Attrs: map[string]string{"a": "b"},
		Dial: func(_ context.Context, o protocol.DialOptions) (*protocol.Conn, *protocol.Greeting, error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, o)
			return nil, nil, errTest
		},
	})
	c.Apply(parseMap(t, "version: 1\nshards:\n  s0: {primary: \"unix:/run/db.sock\"}\n"))
	w := wantPrimary
	w.FoundRows = true
	if _, err := c.Acquire(t.Context(), w); !errors.Is(err, ErrNoServer) {
		t.Error(err)
	}
	c.Close()
	for _, o := range got {
		o.Capabilities, o.Attrs = 0, nil
		want := protocol.DialOptions{
			Network: "unix", Addr: "/run/db.sock", User: "u", Password: "p", Collation: 45,
			TLS: protocol.TLSRequired, TLSConfig: config, KeepAlive: 15 * time.Second, UserTimeout: 15 * time.Second,
		}
		if fmt.Sprintf("%+v", o) != fmt.Sprintf("%+v", want) {
			t.Errorf("dialed with\n%+v, want\n%+v", o, want)
		}
	}
}

// Requests that give up at the moment when they are served lose nothing.
func TestGivingUpLosesNoConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{MaxPerServer: 2})
		var all sync.WaitGroup
		var served, gaveUp, left atomic.Int32
		for i := range 64 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 7))
				for range 100 {
					w := wantPrimary
					w.FoundRows = r.IntN(4) == 0
					w.Wait = time.Duration(r.IntN(50)+1) * time.Millisecond
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(50)+1)*time.Millisecond)
					conn, err := c.Acquire(ctx, w)
					cancel()
					switch {
					case err == nil:
						served.Add(1)
						time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
						conn.Release()
					case errors.Is(err, ErrPoolWait):
						gaveUp.Add(1)
					case errors.Is(err, context.DeadlineExceeded):
						left.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if served.Load() == 0 || gaveUp.Load() == 0 || left.Load() == 0 {
			t.Errorf("%d served, %d gave up, %d left", served.Load(), gaveUp.Load(), left.Load())
		}
		synctest.Wait()
		p := poolOf(c, "p:1")
		if p.Busy != 0 || p.Waiting != 0 || p.Idle > 2 || p.WaitTimeouts != uint64(gaveUp.Load()) {
			t.Errorf("pool is %+v", p)
		}
		a, b := mustAcquire(t, c, wantPrimary), mustAcquire(t, c, wantPrimary)
		a.Release()
		b.Release()
		if most := f.at("p:1").mostLive.Load(); most > 3 {
			t.Errorf("%d connections at once", most)
		}
	})
}
