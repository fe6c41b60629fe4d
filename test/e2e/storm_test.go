package e2e

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/test/cluster"
)

// connections is what a server counted of those who came, and of those who broke off their login.
func (e *env) connections(s *cluster.Server) (made, aborted int64) {
	e.Helper()
	all, err := s.Status(e.ctx, "Connections")
	e.must(err)
	broken, err := s.Status(e.ctx, "Aborted_connects")
	e.must(err)
	return all["connections"], broken["aborted_connects"]
}

// dials is how many connections a daemon has begun to a server.
func (d *daemon) dials(shard, role, addr string) float64 {
	return d.metric(fmt.Sprintf("shardway_pool_dials_total{role=%q,server=%q,shard=%q}", role, addr, shard))
}

// TestM20OneStormOfClients: 400 clients at once make no more connections than may be, to the primaries and to the
// replicas, and each login that was begun is ended.
func TestM20OneStormOfClients(t *testing.T) {
	onEach(t, "storm", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 10, wait_timeout: 60s}", "replicas": "{max_lag: 0}"})
		before, aborted := map[string]int64{}, map[string]int64{}
		var servers []*cluster.Server
		for _, s := range e.c.Servers() {
			if s != e.c.Plain {
				servers = append(servers, s)
				before[s.Name], aborted[s.Name] = e.connections(s)
			}
		}
		began := time.Now()
		var wg, connected sync.WaitGroup
		connected.Add(400)
		entry := make(chan struct{}, 64) // logins at a time: the listener's queue is short
		for n := range 400 {
			wg.Go(func() {
				entry <- struct{}{}
				w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
				<-entry
				connected.Done()
				if err != nil {
					e.Errorf("client %d: %v", n, err)
					return
				}
				defer w.close()
				connected.Wait()
				want := fmt.Sprintf("user %d", n%50)
				for _, lock := range []string{" FOR UPDATE", ""} {
					if got, err := w.one(fmt.Sprintf("SELECT name FROM users WHERE id = %d%s", n%50, lock)); got != want || err != nil {
						e.Errorf("client %d%s: %q, %v", n, lock, got, err)
					}
				}
			})
		}
		wg.Wait()
		// Besides the pool there is a prober, which may connect anew, and this test.
		others := int64(5 + time.Since(began)/time.Second)
		for _, s := range servers {
			made, broken := e.connections(s)
			if made -= before[s.Name]; made > 10+others || made < 1 {
				e.Errorf("%s: 400 clients made %d connections, want at most 10 and %d of others", s.Name, made, others)
			}
			if broken != aborted[s.Name] {
				e.Errorf("%s: %d logins were broken off", s.Name, broken-aborted[s.Name])
			}
		}
		e.noLeaks(d)
	})
}

// TestM20AStormOnAPrimaryThatIsDown: 400 clients that try again and again make few dials while a primary is down, get
// clear errors at once, and all are served when it is back, over no more connections than may be.
func TestM20AStormOnAPrimaryThatIsDown(t *testing.T) {
	onBoth(t, "stormy", app, func(e *env) {
		e.restartAfter()
		d := e.serve(settings{"pool": "{max_per_server: 10, wait_timeout: 20s}", "replicas": "{max_lag: 0}", "log": "{format: text, slow_query: 0}"})
		p := e.c.Shards[0].Primary
		clients := make([]*wire, 400)
		var wg sync.WaitGroup
		entry := make(chan struct{}, 64)
		for n := range clients {
			wg.Go(func() {
				entry <- struct{}{}
				w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
				<-entry
				if err != nil {
					e.Errorf("client %d: %v", n, err)
					return
				}
				w.deadline(2 * time.Minute)
				clients[n] = w
			})
		}
		wg.Wait()
		if e.Failed() {
			return
		}
		e.must(p.Kill())
		began := time.Now()
		var tries, served atomic.Int64
		var slowest atomic.Int64
		for n, w := range clients {
			wg.Go(func() {
				defer w.close()
				for {
					asked := time.Now()
					got, err := w.one(fmt.Sprintf("SELECT name FROM users WHERE id = %d FOR UPDATE", n%8))
					slowest.Store(max(slowest.Load(), int64(time.Since(asked))))
					var refused *wireError
					switch {
					case err == nil && got == fmt.Sprintf("user %d", n%8):
						served.Add(1)
						return
					case !errors.As(err, &refused) || refused.Code != 1205 && refused.Code != 1105 && refused.Code != 1290:
						e.Errorf("client %d: %q, %v", n, got, err)
						return
					}
					tries.Add(1)
					time.Sleep(100 * time.Millisecond) // as an application that tries again does
				}
			})
		}
		e.until("each client has tried in vain for a while", func() bool { return tries.Load() >= 800 && time.Since(began) > 3*time.Second || served.Load() > 0 })
		down := time.Since(began)
		dials := d.dials("s0", "primary", p.Addr)
		if served.Load() > 0 {
			e.Error("a server that is down has served")
		}
		e.must(p.Start(e.ctx))
		back := time.Now()
		wg.Wait()
		took := time.Since(back)
		if served.Load() != 400 {
			e.Errorf("%d of 400 clients were served", served.Load())
		}
		made, aborted := e.connections(p)
		// The prober, the other users of this test, and the start itself.
		if others := int64(12 + time.Since(back)/time.Second); made > 10+others || aborted > 1 {
			e.Errorf("400 clients made %d connections, %d broken off, want at most 10 and %d of others", made, aborted, others)
		}
		if most := 15 + 10*down.Seconds(); dials > most {
			e.Errorf("%g dials in the %v that it was down, want at most %g", dials, down, most)
		}
		e.Logf("note: down for %v: %d errors, %g dials, the longest wait %v; back: 400 served in %v over %d connections in all",
			down.Round(time.Millisecond), tries.Load(), dials, time.Duration(slowest.Load()).Round(time.Millisecond), took.Round(time.Millisecond), made)
		e.noLeaks(d)
	})
}
