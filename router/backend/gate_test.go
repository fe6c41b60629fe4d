package backend

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shardway/protocol"
	"shardway/shardmap"
)

func paused(t *testing.T, m *shardmap.Map, why string) *shardmap.Map {
	t.Helper()
	next, err := m.WithPaused("s0", why)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func promoted(t *testing.T, m *shardmap.Map, addr string) *shardmap.Map {
	t.Helper()
	next, err := m.WithPrimary("s0", addr)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

type acquired struct {
	conn *Conn
	err  error
}

// acquireLater acquires in the background.
func acquireLater(c *Cluster, w Want) <-chan acquired {
	done := make(chan acquired, 1)
	go func() {
		conn, err := c.Acquire(context.Background(), w)
		done <- acquired{conn, err}
	}()
	return done
}

func TestAPausedShardHoldsBackWhatComes(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{})
		synctest.Wait()
		m := c.snapshot.Load().m
		before := mustAcquire(t, c, wantPrimary)
		m = paused(t, m, "switchover to r1:1")
		c.Apply(m)
		busy, left := c.Paused()
		if !slices.Equal(busy, []string{"s0"}) {
			t.Fatalf("busy are %v", busy)
		}
		later := acquireLater(c, wantPrimary)
		synctest.Wait()
		select {
		case a := <-later:
			t.Fatalf("a statement went on in a paused shard: %v", a)
		case <-left:
			t.Fatal("the shard was left while a connection was in use")
		default:
		}
		// Reads of replicas don't wait.
		mustAcquire(t, c, wantReplica).Release()

		before.Release()
		select {
		case <-left:
		default:
			t.Fatal("nobody was told that the shard was left")
		}
		if busy, _ := c.Paused(); busy != nil {
			t.Errorf("busy are still %v", busy)
		}
		c.Apply(promoted(t, m, "r1:1"))
		a := <-later
		if a.err != nil || a.conn.Addr() != "r1:1" {
			t.Fatalf("went on with %v", a)
		}
		a.conn.Release()
		mustAcquire(t, c, wantPrimary).Release()
	})
}

func TestAPauseIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{HoldTimeout: 3 * time.Second})
		synctest.Wait()
		c.Apply(paused(t, c.snapshot.Load().m, "switchover to r1:1"))
		began := time.Now()
		_, err := c.Acquire(context.Background(), wantPrimary)
		var wire *protocol.Error
		if !errors.Is(err, ErrNoServer) || !errors.As(err, &wire) || wire.Code != codeLockWaitTimeout || !strings.Contains(wire.Message, "switchover to r1:1") {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it waited for %s", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := c.Acquire(ctx, wantPrimary); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		if busy, _ := c.Paused(); busy != nil {
			t.Errorf("who gave up counts: %v", busy)
		}
		later := acquireLater(c, wantPrimary)
		synctest.Wait()
		c.Close()
		if a := <-later; !errors.Is(a.err, ErrClosed) {
			t.Errorf("the error after Close is %v", a.err)
		}
	})
}

func TestParkedConnectionsLeaveTheShard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{})
		synctest.Wait()
		m := c.snapshot.Load().m
		conn := mustAcquire(t, c, wantPrimary)
		conn.Park()
		m = paused(t, m, "a")
		c.Apply(m)
		if busy, _ := c.Paused(); busy != nil {
			t.Fatalf("a parked connection counts: %v", busy)
		}
		// Let go on as before: the connection is good.
		resumed := make(chan error, 1)
		go func() { resumed <- conn.Resume(context.Background()) }()
		synctest.Wait()
		if len(resumed) > 0 {
			t.Fatal("it didn't wait")
		}
		m = paused(t, m, "")
		c.Apply(m)
		if err := <-resumed; err != nil {
			t.Fatal(err)
		}
		m = paused(t, m, "b")
		c.Apply(m)
		if busy, _ := c.Paused(); busy == nil {
			t.Fatal("a resumed connection doesn't count")
		}
		conn.Park()
		go func() { resumed <- conn.Resume(context.Background()) }()
		c.Apply(promoted(t, m, "r1:1"))
		if err := <-resumed; !errors.Is(err, ErrMoved) {
			t.Fatalf("the error is %v", err)
		}
		conn.Discard("test")
		if n := c.snapshot.Load().shards["s0"].gate.running.Load(); n != 0 {
			t.Errorf("%d are counted", n)
		}
	})
}

func TestALostPrimaryIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{HoldLost: true, HoldTimeout: 5 * time.Second})
		synctest.Wait()
		f.at("p:1").crash()
		mustFail(t, c)
		later := acquireLater(c, wantPrimary)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(later) > 0 {
			t.Fatalf("it didn't wait: %v", <-later)
		}
		c.Apply(promoted(t, c.snapshot.Load().m, "r1:1"))
		if a := <-later; a.err != nil || a.conn.Addr() != "r1:1" {
			t.Fatalf("went on with %v", a)
		} else {
			a.conn.Release()
		}
	})
}

// mustFail waits until the primary is known to be down.
func mustFail(t *testing.T, c *Cluster) {
	t.Helper()
	began := time.Now()
	if _, err := c.Acquire(context.Background(), wantPrimary); !errors.Is(err, ErrNoServer) {
		t.Fatalf("the error is %v", err)
	}
	if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
		t.Errorf("it waited for %s", took)
	}
}

// What runs while a pause begins is either counted or held back.
func TestNothingSlipsThroughAPause(t *testing.T) {
	g := newGate()
	for range 2000 {
		entered := make(chan bool, 4)
		for range cap(entered) {
			go func() { entered <- g.enter() }()
		}
		g.set("test")
		p := g.paused.Load()
		n := 0
		for range cap(entered) {
			if <-entered {
				n++
			}
		}
		select {
		case <-p.left:
			if n > 0 {
				t.Fatalf("%d run in a shard that was left", n)
			}
		default:
			if n == 0 {
				t.Fatal("nobody runs, and the shard isn't left")
			}
		}
		for range n {
			g.leave()
		}
		<-p.left
		g.set("")
	}
}

// A proxy whose map is older than a server's fence doesn't use the server, and
// does at once when it has the newer map.
func TestFence(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{})
		synctest.Wait()
		conn := mustAcquire(t, c, wantPrimary)
		f.at("p:1").set(func(s *fakeServer) { s.fence = "2" })
		f.at("p:1").killAll()
		conn.Failed(errors.New("connection was killed"))
		_, err := c.Acquire(context.Background(), wantPrimary)
		if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "fence") {
			t.Fatalf("the error is %v", err)
		}
		if why := c.Fenced(); !strings.Contains(why, "p:1") {
			t.Errorf("fenced: %q", why)
		}
		time.Sleep(time.Minute) // the circuit's back-off has grown
		next := c.snapshot.Load().m.WithVersion(2)
		c.Apply(next)
		synctest.Wait()
		mustAcquire(t, c, wantPrimary).Release()
		if why := c.Fenced(); why != "" {
			t.Errorf("still fenced: %q", why)
		}
	})
}

// A fence that is raised while all is well is noticed: what runs on the server
// was planned by a map that is too old.
func TestFenceIsRaised(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{})
		synctest.Wait()
		held := mustAcquire(t, c, wantPrimary)
		f.at("p:1").set(func(s *fakeServer) { s.fence = "1" }) // the version in use
		time.Sleep(3 * fenceEvery)
		if why := c.Fenced(); why != "" {
			t.Fatalf("fenced: %q", why)
		}
		if _, err := held.Query(fenceSQL); err != nil {
			t.Fatal(err)
		}
		f.at("p:1").set(func(s *fakeServer) { s.fence = "2" })
		time.Sleep(3 * fenceEvery)
		if why := c.Fenced(); !strings.Contains(why, "p:1") {
			t.Errorf("fenced: %q", why)
		}
		if _, err := held.Query(fenceSQL); err == nil {
			t.Error("a held connection goes on")
		} else {
			held.Failed(err)
		}
		if _, err := c.Acquire(context.Background(), wantPrimary); !errors.Is(err, ErrNoServer) {
			t.Errorf("the error is %v", err)
		}
		c.Apply(c.snapshot.Load().m.WithVersion(2))
		synctest.Wait()
		mustAcquire(t, c, wantPrimary).Release()
	})
}
