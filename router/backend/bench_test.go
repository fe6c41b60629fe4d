package backend

import (
	"net/netip"
	"testing"
	"time"
)

func benchCluster(b *testing.B, tcp bool, o Options) *Cluster {
	f := newFleet(b)
	f.tcp = tcp
	o.ProbeInterval = time.Hour
	c := f.cluster(3, o)
	for !c.Learned().OK {
		mustAcquire(b, c, wantPrimary).Release()
	}
	return c
}

func BenchmarkAcquireRelease(b *testing.B) {
	for _, tcp := range []bool{false, true} {
		kind := "pipe"
		if tcp {
			kind = "tcp" // with the system call that proves a connection clean
		}
		for _, policy := range []string{PolicyRoundRobin, PolicyWeighted, PolicyLeastConnections, PolicyClientIPHash, PolicyLatency} {
			b.Run(kind+"/replica/"+policy, func(b *testing.B) {
				c := benchCluster(b, tcp, Options{Policy: policy})
				w := wantReplica
				w.Client = netip.MustParseAddr("192.0.2.7")
				benchWant(b, c, w)
			})
		}
		b.Run(kind+"/primary", func(b *testing.B) { benchWant(b, benchCluster(b, tcp, Options{}), wantPrimary) })
		b.Run(kind+"/any", func(b *testing.B) { benchWant(b, benchCluster(b, tcp, Options{}), Want{Shard: "s0", Role: Any}) })
	}
}

func benchWant(b *testing.B, c *Cluster, w Want) {
	w.Prefer = baseState
	for range 10 {
		mustAcquire(b, c, w).Release()
	}
	b.ReportAllocs()
	for b.Loop() {
		conn, err := c.Acquire(b.Context(), w)
		if err != nil {
			b.Fatal(err)
		}
		conn.Release()
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	c := benchCluster(b, false, Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			conn, err := c.Acquire(b.Context(), wantReplica)
			if err != nil {
				b.Error(err)
				return
			}
			conn.Release()
		}
	})
}

func TestAcquireAllocatesNothing(t *testing.T) {
	f := newFleet(t)
	c := f.cluster(3, Options{ProbeInterval: time.Hour})
	for _, w := range []Want{wantPrimary, wantReplica, {Shard: "s0", Role: Any}} {
		for range 10 {
			mustAcquire(t, c, w).Release()
		}
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() {
			conn, err := c.Acquire(ctx, w)
			if err != nil {
				t.Fatal(err)
			}
			conn.Release()
		}); n >= 1 {
			t.Errorf("role %s: %v allocations", w.Role, n)
		}
	}
}
