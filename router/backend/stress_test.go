package backend

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unique"
)

// Many goroutines take, return, discard and fail connections while servers come
// and go and maps and options change. Nothing is lost: ceilings hold, nobody waits
// for ever, and all counts return to zero.
func TestStress(t *testing.T) {
	const (
		clients = 64
		rounds  = 300
		ceiling = 5
	)
	for _, policy := range []string{PolicyRoundRobin, PolicyWeighted, PolicyLeastConnections, PolicyClientIPHash, PolicyLatency, "PROXY headers"} {
		t.Run(policy, func(t *testing.T) {
			f := newFleet(t)
			o := Options{
				Policy: policy, MaxPerServer: ceiling, FallbackToPrimary: true, DialRate: 1 << 20,
				WaitTimeout: 20 * time.Second, ProbeInterval: 5 * time.Millisecond, IdleTimeout: 200 * time.Millisecond,
			}
			if o.ProxyProtocol = policy == "PROXY headers"; o.ProxyProtocol {
				o.Policy = PolicyRoundRobin
			}
			c := f.cluster(3, o)
			o.Dial = f.dial
			addrs := []string{"p:1", "r1:1", "r2:1", "r3:1"}
			states := []unique.Handle[string]{baseState, unique.Make("a"), unique.Make("b")}

			var served, refused, timeouts atomic.Int64
			var workers, chaos sync.WaitGroup
			stop := make(chan struct{})
			chaos.Go(func() {
				r := rand.New(rand.NewPCG(1, 1))
				tick := time.NewTicker(3 * time.Millisecond)
				defer tick.Stop()
				for i := 0; ; i++ {
					select {
					case <-stop:
						for _, addr := range addrs {
							f.at(addr).recover()
						}
						return
					case <-tick.C:
					}
					s := f.at(addrs[r.IntN(len(addrs))])
					switch i % 6 {
					case 0:
						s.crash()
					case 1:
						s.killAll()
					case 2:
						c.Apply(oneShard(t, 1+r.IntN(3)))
					case 3:
						p := o
						p.User = fmt.Sprint("user", r.IntN(2))
						c.SetOptions(p)
					default:
						for _, addr := range addrs {
							f.at(addr).recover()
						}
					}
				}
			})
			for i := range clients {
				workers.Go(func() {
					r := rand.New(rand.NewPCG(uint64(i), 2))
					owner := ownerAt(fmt.Sprintf("192.0.2.%d:%d", i%8, i))
					defer func() { c.Leave(owner) }()
					for range rounds {
						if r.IntN(20) == 0 {
							c.Leave(owner)
							owner = ownerAt(fmt.Sprintf("192.0.2.%d:%d", i%8, i))
						}
						w := Want{
							Shard: "s0", Role: Role(r.IntN(3)), FoundRows: r.IntN(8) == 0, Prefer: states[r.IntN(len(states))],
							Client: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Owner: owner,
						}
						conn, err := c.Acquire(t.Context(), w)
						switch {
						case errors.Is(err, ErrNoServer):
							refused.Add(1)
							continue
						case errors.Is(err, ErrPoolWait):
							timeouts.Add(1)
							continue
						case err != nil:
							t.Errorf("acquire: %v", err)
							return
						}
						served.Add(1)
						if conn.FoundRows() != w.FoundRows || o.ProxyProtocol && (conn.kind.owner != owner || conn.kind.from != owner.from) {
							t.Error("the wrong kind of connection")
						}
						_, err = conn.Exec("SET x=1")
						conn.State = states[r.IntN(len(states))]
						switch {
						case err != nil:
							conn.Failed(err)
						case r.IntN(20) == 0:
							conn.Discard("test")
						case r.IntN(50) == 0:
							conn.Failed(errTest)
						default:
							conn.Release()
						}
						conn.Served(true)
					}
				})
			}
			workers.Wait()
			close(stop)
			chaos.Wait()

			if served.Load() == 0 || timeouts.Load() > 0 {
				t.Errorf("%d served, %d refused, %d timed out", served.Load(), refused.Load(), timeouts.Load())
			}
			for _, addr := range addrs {
				limit := int32(ceiling + 2) // a prober may leave while the next one comes
				if addr == "r2:1" || addr == "r3:1" {
					// These leave the map and come back, while connections from before are still in use.
					limit += ceiling
				}
				if most := f.at(addr).mostLive.Load(); most > limit {
					t.Errorf("%s had %d connections at once, more than %d", addr, most, limit)
				}
			}
			pools := map[string]*pool{}
			for addr, s := range c.snapshot.Load().servers {
				pools[addr] = &s.pool
			}
			for _, p := range c.Pools() {
				if p.Busy != 0 || p.Waiting != 0 || p.Idle > ceiling {
					t.Errorf("at the end %+v", p)
				}
			}
			c.Close()
			for addr, p := range pools {
				if n := p.total(); n != 0 || p.queue.length != 0 || p.queue.dials != 0 || len(p.queue.own) != 0 || p.load.Load() != 0 {
					t.Errorf("%s: %d connections, %d in the queue", addr, n, p.queue.length)
				}
			}
			for _, addr := range addrs {
				if n := f.at(addr).live.Load(); n != 0 {
					t.Errorf("%s: %d connections leaked", addr, n)
				}
			}
			t.Logf("%d served, %d refused", served.Load(), refused.Load())
		})
	}
}
