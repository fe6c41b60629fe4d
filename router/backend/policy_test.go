package backend

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shardway/router/backend/policy"
)

var errTest = errors.New("refused by the test")

// serveReads acquires and releases n reads and counts who served them.
func serveReads(t testing.TB, c *Cluster, n int, seen map[string]int) {
	for range n {
		conn := mustAcquire(t, c, wantReplica)
		seen[conn.Addr()]++
		conn.Release()
	}
}

func TestRoundRobinIsExact(t *testing.T) {
	for replicas := 1; replicas <= 5; replicas++ {
		for _, clients := range []int{1, 7} {
			t.Run(fmt.Sprintf("%d replicas %d clients", replicas, clients), func(t *testing.T) {
				inBubble(t, func(t *testing.T, f *fleet) {
					c := f.cluster(replicas, Options{})
					synctest.Wait()
					var mu sync.Mutex
					var all sync.WaitGroup
					seen := map[string]int{}
					for i := range clients {
						n := 1000 / clients
						if i == 0 {
							n += 1000 % clients
						}
						all.Go(func() {
							mine := map[string]int{}
							serveReads(t, c, n, mine)
							mu.Lock()
							defer mu.Unlock()
							for addr, n := range mine {
								seen[addr] += n
							}
						})
					}
					all.Wait()
					for i := range replicas {
						addr := fmt.Sprintf("r%d:1", i+1)
						if d := seen[addr] - 1000/replicas; d < -clients || d > clients {
							t.Errorf("%s served %d", addr, seen[addr])
						}
					}
				})
			})
		}
	}
}

func TestRoundRobinStaysExactWhileAReplicaComesAndGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(3, Options{})
		synctest.Wait()
		for round := range 5 {
			before := map[string]int{}
			serveReads(t, c, 1000, before)
			for _, addr := range []string{"r1:1", "r2:1", "r3:1"} {
				if n := before[addr]; n < 332 || n > 335 {
					t.Errorf("round %d: with all, %s served %d", round, addr, n)
				}
			}
			f.at("r2:1").crash()
			time.Sleep(2 * time.Second)
			without := map[string]int{}
			serveReads(t, c, 1000, without)
			if without["r2:1"] != 0 || without["r1:1"] != 500 || without["r3:1"] != 500 {
				t.Errorf("round %d: without r2 %v", round, without)
			}
			f.at("r2:1").recover()
			time.Sleep(5 * time.Second)
		}
	})
}

func TestWeighted(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(3, Options{Policy: PolicyWeighted}, ", weight: 3", ", weight: 1", ", weight: 0")
		synctest.Wait()
		seen := map[string]int{}
		serveReads(t, c, 1000, seen)
		if seen["r1:1"] != 750 || seen["r2:1"] != 250 {
			t.Error(seen)
		}
	})
}

// Property: when a replica leaves, exactly its clients move, and they spread.
func TestClientIPHashMovesOnlyTheClientsOfWhoLeft(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		n := 2 + r.IntN(6)
		members := make([]*member, n)
		for i := range members {
			members[i] = &member{srv: &server{hash: policy.ServerHash(fmt.Sprintf("10.0.%d.%d:3306", r.IntN(256), i))}}
		}
		gone := r.IntN(n)
		rest := append(append([]*member{}, members[:gone]...), members[gone+1:]...)
		load := map[*member]int{}
		const clients = 2000
		for range clients {
			var b [4]byte
			for i := range b {
				b[i] = byte(r.IntN(256))
			}
			w := &Want{Client: netip.AddrFrom4(b)}
			before := highestScore(members, w)
			load[before]++
			after := highestScore(rest, w)
			if before != members[gone] && after != before {
				t.Fatalf("client %v moved although its replica stayed", w.Client)
			}
			mapped := &Want{Client: netip.AddrFrom16(w.Client.As16())}
			if highestScore(members, mapped) != before {
				t.Fatalf("client %v is another one when written as IPv6", w.Client)
			}
		}
		for m, k := range load {
			if k < clients/n/2 || k > clients/n*2 {
				t.Errorf("%d replicas: one has %d of %d clients (%x)", n, k, clients, m.srv.hash)
			}
		}
	}
}

func TestClientIPHash(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(3, Options{Policy: PolicyClientIPHash})
		synctest.Wait()
		home := map[string]string{}
		ask := func(ip string) string {
			w := wantReplica
			w.Client = netip.MustParseAddr(ip)
			conn := mustAcquire(t, c, w)
			defer conn.Release()
			return conn.Addr()
		}
		for i := range 100 {
			ip := fmt.Sprintf("192.0.2.%d", i)
			home[ip] = ask(ip)
		}
		f.at("r2:1").crash()
		time.Sleep(2 * time.Second)
		for ip, addr := range home {
			if got := ask(ip); addr != "r2:1" && got != addr || got == "r2:1" {
				t.Errorf("%s moved from %s to %s", ip, addr, got)
			}
		}
		f.at("r2:1").recover()
		time.Sleep(5 * time.Second)
		for ip, addr := range home {
			if got := ask(ip); got != addr {
				t.Errorf("%s came back to %s and not to %s", ip, got, addr)
			}
		}
	})
}

func TestLeastConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(3, Options{Policy: PolicyLeastConnections})
		synctest.Wait()
		var held []*Conn
		seen := map[string]int{}
		for range 9 {
			conn := mustAcquire(t, c, wantReplica)
			seen[conn.Addr()]++
			held = append(held, conn)
		}
		for addr, n := range seen {
			if n != 3 {
				t.Errorf("%s has %d of 9", addr, n)
			}
		}
		for _, conn := range held {
			if conn.Addr() == "r2:1" {
				conn.Release()
			}
		}
		for range 3 {
			if conn := mustAcquire(t, c, wantReplica); conn.Addr() != "r2:1" {
				t.Errorf("got %s", conn.Addr())
			}
		}
		for _, conn := range held {
			conn.Release()
		}
	})
}

func TestLatency(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(3, Options{Policy: PolicyLatency})
		synctest.Wait()
		slow := true
		run := func(n int) map[string]int {
			seen := map[string]int{}
			for range n {
				conn := mustAcquire(t, c, wantReplica)
				seen[conn.Addr()]++
				if slow && conn.Addr() == "r3:1" {
					time.Sleep(100 * time.Millisecond)
				} else {
					time.Sleep(time.Millisecond)
				}
				conn.Release()
			}
			return seen
		}
		run(20)
		if seen := run(1000); seen["r3:1"] > 20 || seen["r1:1"] < 300 || seen["r2:1"] < 300 {
			t.Errorf("one is slow: %v", seen)
		}
		slow = false
		run(20000) // 20 seconds: it is tried again and found to be as fast as the others
		if seen := run(1000); seen["r3:1"] < 200 {
			t.Errorf("none is slow: %v", seen)
		}
	})
}

func TestZone(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(3, Options{Zone: "a"}, ", zone: a", ", zone: b", ", zone: a")
		synctest.Wait()
		seen := map[string]int{}
		serveReads(t, c, 100, seen)
		if seen["r1:1"] != 50 || seen["r3:1"] != 50 {
			t.Error(seen)
		}
		w := wantReplica
		w.Exclude = []string{"r1:1", "r3:1"}
		if conn := mustAcquire(t, c, w); conn.Addr() != "r2:1" {
			t.Errorf("got %s", conn.Addr())
		}
		f.at("r1:1").crash()
		f.at("r3:1").crash()
		time.Sleep(2 * time.Second)
		clear(seen)
		serveReads(t, c, 100, seen)
		if seen["r2:1"] != 100 {
			t.Error(seen)
		}
	})
}

func TestAnyTakesWhatIsIdle(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{MaxPerServer: 1})
		synctest.Wait()
		any := Want{Shard: "s0", Role: Any}
		r := mustAcquire(t, c, wantReplica)
		r.Release()
		first := mustAcquire(t, c, any) // no idle one on the primary
		if first != r {
			t.Errorf("got one to %s", first.Addr())
		}
		second := mustAcquire(t, c, any)
		if second.Role() != Primary {
			t.Errorf("got one to %s", second.Addr())
		}
		third := mustAcquire(t, c, any) // where there is room
		if third.Addr() == first.Addr() || third.Role() != Replica {
			t.Errorf("got one to %s", third.Addr())
		}
		for _, conn := range []*Conn{first, second, third} {
			conn.Release()
		}
		if conn := mustAcquire(t, c, any); conn != second {
			t.Error("the primary's comes first")
		}
	})
}
