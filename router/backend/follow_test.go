package backend

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shardway/protocol"
	"shardway/router/backend/health"
	"shardway/router/backend/pulse"
)

// replicates is the answer of a replica of the source to SHOW REPLICA STATUS.
func replicates(source string) *protocol.Rows {
	host, port, _ := strings.Cut(source, ":")
	return table("Source_Host,Source_Port,Replica_IO_Running,Replica_SQL_Running,Seconds_Behind_Source", []any{host, port, "Yes", "Yes", "0"})
}

// withGTIDs makes p:1 a primary and the others its replicas, all with the same
// transactions.
func (f *fleet) withGTIDs(executed string) {
	for addr, s := range f.servers {
		s.set(func(s *fakeServer) {
			s.vars["gtid_executed"] = executed
			if addr != "p:1" {
				s.vars["read_only"], s.lag = "ON", replicates("p:1")
			}
		})
	}
}

// promote makes a server one that takes writes and follows nobody.
func (s *fakeServer) promote(executed string) {
	s.set(func(s *fakeServer) { s.vars["read_only"], s.lag, s.vars["gtid_executed"] = "OFF", nil, executed })
}

const (
	ofP = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9"
	ofA = ",4e11fa47-71ca-11e1-9e33-c80aa9429562:1-2"
)

// promotable is a cluster with roles to observe, and what OnPromoted was told.
func (f *fleet) promotable(o Options) (*Cluster, *atomic.Pointer[string]) {
	for _, addr := range []string{"p:1", "r1:1", "r2:1"} {
		f.add(addr)
	}
	f.withGTIDs(ofP)
	told := new(atomic.Pointer[string])
	o.Dial = f.dial
	o.OnPromoted = func(shard, from, to string) {
		text := shard + " " + from + " " + to
		told.Store(&text)
	}
	c := New(o)
	f.t.Cleanup(c.Close)
	c.Apply(oneShard(f.t, 2))
	synctest.Wait()
	return c, told
}

func TestPromotionIsFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c, told := f.promotable(Options{})
		old, reader := mustAcquire(t, c, wantPrimary), mustAcquire(t, c, wantReplica)
		f.at("p:1").crash()
		old.Failed(errors.New("connection reset"))
		reader.Release()
		f.at("r1:1").promote(ofP)
		time.Sleep(time.Second)
		conn := mustAcquire(t, c, wantPrimary)
		if conn.Addr() != "r1:1" || conn.Role() != Primary {
			t.Fatalf("the primary is %s", conn.Addr())
		}
		conn.Release()
		if got := told.Load(); got == nil || *got != "s0 p:1 r1:1" {
			t.Errorf("told %v", got)
		}
		for range 4 {
			conn := mustAcquire(t, c, wantReplica)
			if conn.Addr() != "r2:1" {
				t.Errorf("a read is served by %s", conn.Addr())
			}
			conn.Release()
		}
		// A map that doesn't know yet changes nothing.
		c.Apply(parseMap(t, "version: 2\nshards:\n  s0: {primary: \"p:1\", replicas: [\"r1:1\", \"r2:1\"]}\n"))
		if st := stateOf(c, "r1:1"); st.Role != Primary || st.MapRole != Replica || !strings.Contains(st.Warning, "the map doesn't say yet") {
			t.Errorf("state is %+v", st)
		}
		// The former primary is back and takes writes.
		f.at("p:1").recover()
		time.Sleep(5 * time.Second)
		if st := stateOf(c, "p:1"); st.Role != Replica || st.Eligible || !strings.Contains(st.Warning, "was the primary before r1:1") {
			t.Errorf("state is %+v", st)
		}
		for range 20 {
			conn := mustAcquire(t, c, wantPrimary)
			if conn.Addr() != "r1:1" {
				t.Errorf("a write goes to %s", conn.Addr())
			}
			conn.Release()
		}
		// The map knows; the override is over, and the next change is the map's.
		c.Apply(parseMap(t, "version: 3\nshards:\n  s0: {primary: \"r1:1\", replicas: [\"p:1\", \"r2:1\"]}\n"))
		if st := stateOf(c, "r1:1"); st.Role != Primary || st.MapRole != Primary || st.Warning != "" {
			t.Errorf("state is %+v", st)
		}
		c.Apply(parseMap(t, "version: 4\nshards:\n  s0: {primary: \"p:1\", replicas: [\"r1:1\", \"r2:1\"]}\n"))
		if st := stateOf(c, "p:1"); st.Role != Primary {
			t.Errorf("state is %+v", st)
		}
	})
}

func TestRefusedWriteLooksAround(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c, _ := f.promotable(Options{ProbeInterval: time.Hour})
		time.Sleep(time.Second)
		held := mustAcquire(t, c, wantPrimary)
		conn := mustAcquire(t, c, wantPrimary)
		f.at("p:1").set(func(s *fakeServer) { s.vars["read_only"] = "ON" })
		f.at("r2:1").promote(ofP + ofA)
		conn.Refused(1062)
		synctest.Wait()
		if st := stateOf(c, "r2:1"); st.Role != Replica {
			t.Error("looked around for an ordinary error")
		}
		conn.Refused(1290)
		synctest.Wait()
		if st := stateOf(c, "r2:1"); st.Role != Primary {
			t.Errorf("state is %+v", st)
		}
		// What was in use on the former primary can't write there once more.
		if _, err := held.Exec("SET x=1"); err == nil {
			t.Error("a connection to the former primary lives")
		}
		held.Failed(errors.New("closed"))
		conn.Release()
	})
}

func TestSplitBrainRefusesWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		var log strings.Builder
		for _, addr := range []string{"p:1", "r1:1"} {
			f.add(addr)
		}
		f.withGTIDs(ofP + ",5e11fa47-71ca-11e1-9e33-c80aa9429562:1")
		f.at("r1:1").promote(ofP + ofA)
		c := New(Options{Dial: f.dial, FallbackToPrimary: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
		defer c.Close()
		c.Apply(oneShard(t, 1))
		synctest.Wait()
		_, err := c.Acquire(t.Context(), wantPrimary)
		var wire *protocol.Error
		if !errors.As(err, &wire) || wire.Code != 1290 || !strings.Contains(wire.Message, "p:1 and r1:1 take writes") {
			t.Errorf("a write: %v", err)
		}
		if _, err := c.Acquire(t.Context(), wantReplica); err == nil {
			t.Error("a read of one of two truths")
		}
		if err := c.Ready(); err == nil || !strings.Contains(err.Error(), "split brain") {
			t.Errorf("ready: %v", err)
		}
		if st := stateOf(c, "p:1"); !st.SplitBrain || st.Eligible {
			t.Errorf("state is %+v", st)
		}
		f.at("r1:1").set(func(s *fakeServer) { s.vars["read_only"] = "ON" })
		time.Sleep(time.Second)
		mustAcquire(t, c, wantPrimary).Release()
		c.Close()
		if !strings.Contains(log.String(), "level=ERROR msg=\"split brain") || !strings.Contains(log.String(), "the split brain is over") {
			t.Errorf("the log is\n%s", log.String())
		}
	})
}

func TestSights(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c, _ := f.promotable(Options{})
		list := c.Sights()
		if len(list) != 3 {
			t.Fatalf("%d sights", len(list))
		}
		p, r := list[0], list[1]
		if p.Addr != "p:1" || p.Role != Primary || p.ReadOnly || !p.SourceKnown || p.ReplicaOf != "" || p.Position != ofP || p.GTID.Count() != 9 || p.Seen.IsZero() {
			t.Errorf("the primary is %+v", p)
		}
		if r.Addr != "r1:1" || r.Role != Replica || !r.ReadOnly || r.ReplicaOf != "p:1" || r.IO != "Yes" || r.SQL != "Yes" || !r.Follows(&p) {
			t.Errorf("the replica is %+v", r)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c, _ := f.promotable(Options{Heartbeat: 500 * time.Millisecond, MaxLag: 4 * time.Second})
		other := New(Options{Dial: f.dial, Heartbeat: 500 * time.Millisecond})
		defer other.Close()
		other.Apply(oneShard(t, 2))
		time.Sleep(2 * time.Second)
		p, r := f.at("p:1"), f.at("r1:1")
		copied := func(s *fakeServer) {
			p.mu.Lock()
			n, at := p.beats, p.beatAt
			p.mu.Unlock()
			s.set(func(s *fakeServer) { s.beats, s.beatAt = n, at })
		}
		beats := func() uint64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.beats
		}
		first := beats()
		time.Sleep(20 * time.Second)
		if n := beats() - first; n < 30 || n > 50 {
			t.Errorf("%d beats of two proxies in 20s, want about 40", n)
		}
		copied(r)
		time.Sleep(2500 * time.Millisecond)
		st := stateOf(c, "r1:1")
		if st.LagFrom != "heartbeat" || st.Lag < 500*time.Millisecond || st.Lag > 2600*time.Millisecond || st.State != health.Up {
			t.Errorf("state is %+v", st)
		}
		w := wantReplica
		w.MaxLag = 100 * time.Millisecond
		w.Exclude = []string{"r2:1"}
		if _, err := c.Acquire(t.Context(), w); err == nil || !strings.Contains(err.Error(), "within max_lag 100ms") {
			t.Errorf("a read that asks for less lag: %v", err)
		}
		w.MaxLag = 3 * time.Second
		mustAcquire(t, c, w).Release()
		time.Sleep(4 * time.Second)
		if st := stateOf(c, "r1:1"); st.State != health.Lagging || !strings.Contains(st.Why, "is over replicas.max_lag 4s") {
			t.Errorf("state is %+v", st)
		}
		copied(r)
		copied(f.at("r2:1"))
		time.Sleep(1100 * time.Millisecond)
		p.crash()
		time.Sleep(time.Minute)
		if st := stateOf(c, "r1:1"); st.State != health.Up || !strings.Contains(st.LagFrom, "until the primary was last seen") {
			t.Errorf("without the primary: %+v", st)
		}
		r.set(func(s *fakeServer) {
			s.lag = table("Source_Host,Source_Port,Replica_IO_Running,Replica_SQL_Running,Seconds_Behind_Source", []any{"p", "1", "Connecting", "No", nil})
		})
		time.Sleep(time.Second)
		if st := stateOf(c, "r1:1"); st.State != health.Lagging || !strings.Contains(st.Why, "isn't running") {
			t.Errorf("with a stopped applier: %+v", st)
		}
	})
}

func TestHeartbeatThatIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		f.add("p:1").beatErr = protocol.Errorf(1044, "42000", "Access denied to database 'shardway'")
		f.add("r1:1")
		f.withGTIDs(ofP)
		c := New(Options{User: "shardway", Dial: f.dial, Heartbeat: 500 * time.Millisecond, MaxLag: time.Second})
		defer c.Close()
		c.Apply(oneShard(t, 1))
		time.Sleep(10 * time.Second)
		if st := stateOf(c, "p:1"); st.State != health.Up || !strings.Contains(st.Heartbeat, "GRANT ALL ON shardway.* TO 'shardway'") {
			t.Errorf("state is %+v", st)
		}
		if st := stateOf(c, "r1:1"); st.State != health.Up || st.LagFrom != "status" {
			t.Errorf("state is %+v", st)
		}
		if n := f.at("p:1").said(pulse.Schema); n != 1 {
			t.Errorf("asked %d times in 10s", n)
		}
	})
}

// A map that is behind must not send the first write of a new proxy to a former primary.
func TestFirstWriteWaitsForAllMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		for _, addr := range []string{"p:1", "r1:1", "r2:1"} {
			f.add(addr)
		}
		f.withGTIDs(ofP)
		f.at("r1:1").promote(ofP + ofA)
		f.at("r1:1").dialTime = 300 * time.Millisecond
		f.at("r2:1").hang = true
		c := New(Options{Dial: f.dial})
		defer c.Close()
		c.Apply(oneShard(t, 2))
		began := time.Now()
		conn := mustAcquire(t, c, wantPrimary)
		if took := time.Since(began); conn.Addr() != "r1:1" || took > 2*time.Second {
			t.Errorf("the first write went to %s after %s", conn.Addr(), took)
		}
		conn.Release()
	})
}
