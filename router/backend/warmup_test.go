package backend

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shardway/router/backend/health"
)

// share is the part of n reads that a server gets.
func share(t *testing.T, c *Cluster, addr string, n int) float64 {
	t.Helper()
	got := 0
	for range n {
		conn := mustAcquire(t, c, wantReplica)
		if conn.Addr() == addr {
			got++
		}
		conn.Release()
	}
	return float64(got) / float64(n)
}

func TestWarmUp(t *testing.T) {
	for _, policy := range []string{PolicyRoundRobin, PolicyWeighted} {
		inBubble(t, func(t *testing.T, f *fleet) {
			c := f.cluster(2, Options{Policy: policy, WarmUp: 10 * time.Second})
			synctest.Wait()
			if got := share(t, c, "r1:1", 100); got != 0.5 {
				t.Errorf("at the start: %.2f", got)
			}
			f.at("r1:1").crash()
			time.Sleep(3 * time.Second)
			f.at("r1:1").recover()
			for stateOf(c, "r1:1").State != health.Up {
				time.Sleep(10 * time.Millisecond)
			}
			for _, tc := range []struct{ after, least, most float64 }{{0, 0, 0.02}, {2.5, 0.10, 0.15}, {2.5, 0.22, 0.28}, {6, 0.5, 0.5}} {
				time.Sleep(time.Duration(tc.after * float64(time.Second)))
				if got := share(t, c, "r1:1", 1000); got < tc.least || got > tc.most {
					t.Errorf("%s: after %.1fs more its share is %.3f, want %.2f to %.2f", policy, tc.after, got, tc.least, tc.most)
				}
			}
			// A replica that is alone isn't held back.
			f.at("r1:1").crash()
			f.at("r2:1").crash()
			time.Sleep(3 * time.Second)
			f.at("r1:1").recover()
			time.Sleep(3 * time.Second)
			if got := share(t, c, "r1:1", 10); got != 1 {
				t.Errorf("alone: %.2f", got)
			}
		})
	}
}

func TestClientsComeBackForGood(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{Policy: PolicyClientIPHash, WarmUp: 10 * time.Second})
		synctest.Wait()
		home := func(i int) string {
			w := wantReplica
			w.Client = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			conn := mustAcquire(t, c, w)
			defer conn.Release()
			return conn.Addr()
		}
		const clients = 200
		before, at := map[int]string{}, map[int]string{}
		for i := range clients {
			before[i] = home(i)
		}
		f.at("r1:1").crash()
		time.Sleep(3 * time.Second)
		f.at("r1:1").recover()
		moves := map[int]int{}
		for range 200 {
			time.Sleep(100 * time.Millisecond)
			for i := range clients {
				now := home(i)
				if at[i] != "" && at[i] != now {
					moves[i]++
				}
				at[i] = now
			}
		}
		for i := range clients {
			if at[i] != before[i] || moves[i] > 1 || before[i] == "r2:1" && moves[i] > 0 {
				t.Errorf("client %d was served by %s, is by %s, and moved %d times", i, before[i], at[i], moves[i])
			}
		}
	})
}

func TestNewReplicaWarmsUp(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(1, Options{WarmUp: 10 * time.Second})
		synctest.Wait()
		f.add("r2:1")
		c.Apply(oneShard(t, 2))
		synctest.Wait()
		if st := stateOf(c, "r2:1"); st.WarmUp > 0.1 {
			t.Errorf("state is %+v", st)
		}
		time.Sleep(12 * time.Second)
		if st := stateOf(c, "r2:1"); st.WarmUp != 1 {
			t.Errorf("state is %+v", st)
		}
	})
}

func TestEjectionByErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{WarmUp: 5 * time.Second, Eject: Eject{Errors: 3, For: 10 * time.Second}})
		synctest.Wait()
		breaks := func(addr string, n int) {
			t.Helper()
			w := wantReplica
			for _, s := range c.Servers() {
				if s.Addr != addr {
					w.Exclude = append(w.Exclude, s.Addr)
				}
			}
			for range n {
				mustAcquire(t, c, w).Failed(errors.New("connection reset"))
				time.Sleep(100 * time.Millisecond)
			}
		}
		breaks("r1:1", 3)
		if st := stateOf(c, "r1:1"); st.State != health.Up {
			t.Fatalf("state is %+v", st)
		}
		breaks("r1:1", 1)
		st := stateOf(c, "r1:1")
		if st.State != health.Ejected || st.Eligible || !strings.Contains(st.Why, "4 of its connections broke") || time.Until(st.Ejected) < 9*time.Second {
			t.Fatalf("state is %+v", st)
		}
		if got := share(t, c, "r2:1", 10); got != 1 {
			t.Errorf("the other's share is %.2f", got)
		}
		breaks("r2:1", 6) // the last one stays
		if st := stateOf(c, "r2:1"); st.State != health.Up {
			t.Errorf("state is %+v", st)
		}
		time.Sleep(11 * time.Second)
		if st := stateOf(c, "r1:1"); st.State != health.Up || st.WarmUp > 0.99 {
			t.Errorf("state is %+v", st)
		}
		time.Sleep(10 * time.Second)
		breaks("r1:1", 4) // again: twice as long
		if st := stateOf(c, "r1:1"); st.State != health.Ejected || time.Until(st.Ejected) < 19*time.Second {
			t.Errorf("state is %+v", st)
		}
	})
}

func TestEjectionByLatency(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(2, Options{Eject: Eject{LatencyFactor: 10}})
		synctest.Wait()
		for range 100 {
			conn := mustAcquire(t, c, wantReplica)
			if conn.Addr() == "r1:1" {
				time.Sleep(50 * time.Millisecond)
			} else {
				time.Sleep(time.Millisecond)
			}
			conn.Release()
		}
		if st := stateOf(c, "r1:1"); st.State != health.Ejected || !strings.Contains(st.Why, "more than 10 times") {
			t.Errorf("state is %+v", st)
		}
		if st := stateOf(c, "r2:1"); st.State != health.Up {
			t.Errorf("state is %+v", st)
		}
	})
}
