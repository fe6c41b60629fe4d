package e2e

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shardway/test/cluster"
)

// presenceTTL is how long a proxy that is silent stays on the list.
const presenceTTL = 5 * time.Second

// aside is a client of one daemon that inserts rows one after the other and keeps
// what came of each.
type aside struct {
	f    *fleet
	d    *daemon
	base int
	stop chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	told map[int]error // by number, with what the client was told
}

// startAside starts one that numbers its rows from base on, as client -1.
func (f *fleet) startAside(d *daemon, base int) *aside {
	f.Helper()
	a := &aside{f: f, d: d, base: base, stop: make(chan struct{}), told: map[int]error{}}
	db := f.open(d, nil)
	a.wg.Go(func() {
		for n := base; ; n++ {
			select {
			case <-a.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			_, err := db.ExecContext(f.ctx, fmt.Sprintf("INSERT INTO ledger (client, seq, server) VALUES (-1, %d, @@server_id)", n))
			a.mu.Lock()
			a.told[n] = err
			a.mu.Unlock()
		}
	})
	f.Cleanup(a.end)
	return a
}

func (a *aside) end() {
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	a.wg.Wait()
}

// good counts the rows of which the client was told that they are stored.
func (a *aside) good() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, err := range a.told {
		if err == nil {
			n++
		}
	}
	return n
}

// settle compares what the client was told with what the primary has, and returns
// how many statements failed.
func (a *aside) settle(primary *cluster.Server) (failed int) {
	f := a.f
	f.Helper()
	a.end()
	for n, err := range a.told {
		got, readErr := primary.Text(f.ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s.ledger WHERE client = -1 AND seq = %d", fleetDatabase, n))
		f.must(readErr)
		switch kind := ""; {
		case err == nil && got != "1":
			f.Errorf("row %d was acknowledged and is there %s times", n, got)
		case err != nil:
			failed++
			if kind = kindOf(err); kind == kindOther {
				f.Errorf("row %d: %v", n, err)
			}
			if got != "0" && (kind != kindUnknown || got != "1") {
				f.Errorf("row %d is there %s times: %v", n, got, err)
			}
		}
	}
	return failed
}

// untouched checks that a server takes no writes, and had no transaction that the
// primary lacks.
func (f *fleet) untouched(s, primary *cluster.Server) {
	f.Helper()
	f.awaitFollows([]*cluster.Server{s}, primary)
	if got, err := s.Text(f.ctx, "SELECT @@GLOBAL.read_only"); err != nil || got != "1" {
		f.Errorf("read_only of the former primary is %s, %v", got, err)
	}
	f.alike(primary)
}

// TestProxiesThatDoNotHear: a proxy that is cut off from etcd, and one that is
// stopped, while the primary changes. They write nowhere by their old map, and
// serve again by themselves.
func TestProxiesThatDoNotHear(t *testing.T) {
	onFleet(t, func(f *fleet) {
		way := f.gateway(f.etcd.Addr)
		cut := f.join(nil, way.addr)
		l := f.startWorkload(6) // of the others
		f.daemons = append(f.daemons, cut)
		f.ready(cut)
		f.serving()

		client := f.startAside(cut, 0)
		f.until("the proxy to be cut off writes", func() bool { return client.good() > 20 })
		way.shut()
		former := f.primary()
		heir := f.replicas(former)[0]
		report, status := f.switchover(heir, "--drain", "1s")
		if status != 0 || len(report.Fenced) != 1 {
			f.Fatalf("a switchover with a proxy that is cut off: status %d, %+v", status, report)
		}
		f.Logf("note: with a proxy cut off from etcd, statements paused for %s", report.Pause.Round(time.Millisecond))
		f.until("the proxy is off the list", func() bool { return f.listed(cut) == nil })
		l.more(50)
		if got, err := former.Text(f.ctx, "SELECT @@GLOBAL.read_only"); err != nil || got != "1" {
			f.Errorf("read_only of the former primary is %s, %v", got, err)
		}
		f.must(way.open())
		f.serving()
		before := client.good()
		f.until("the proxy writes again", func() bool { return client.good() > before+20 })
		failed := client.settle(heir)
		f.Logf("note: %d statements of %d of the proxy that was cut off failed", failed, len(client.told))

		// Stopped: it knows nothing of the time that passes.
		client = f.startAside(cut, 1_000_000)
		f.until("the proxy to be stopped writes", func() bool { return client.good() > 20 })
		cut.signal(syscall.SIGSTOP)
		f.Cleanup(func() { cut.signal(syscall.SIGCONT) })
		back := former
		report, status = f.switchover(back, "--drain", "1s")
		if status != 0 || len(report.Fenced) != 1 {
			f.Fatalf("a switchover with a proxy that is stopped: status %d, %+v", status, report)
		}
		l.more(50)
		f.until("the stopped proxy is off the list", func() bool { return f.listed(cut) == nil })
		cut.signal(syscall.SIGCONT)
		before = client.good()
		f.until("the proxy that goes on writes again", func() bool { return client.good() > before+20 })
		f.serving()
		failed = client.settle(back)
		f.Logf("note: %d statements of %d of the proxy that was stopped failed", failed, len(client.told))
		l.end()
		f.untouched(heir, back)
		// The fence has cut those that were in time, too.
		f.Logf("note: %s", l.settle(back, kindPin, kindRetry, kindUnknown))
		f.reigns(2)
	})
}

// TestWithoutEtcd: etcd dies under load. Queries go on; a switchover changes
// nothing; and when etcd is back all goes on.
func TestWithoutEtcd(t *testing.T) {
	onFleet(t, func(f *fleet) {
		l := f.startWorkload(6)
		l.more(100)
		home := f.primary()
		to := f.replicas(home)[0]
		f.must(f.etcd.Kill())
		l.more(500)
		if report, status := f.switchover(to); status == 0 || report.Done {
			f.Errorf("a switchover without etcd: status %d, %+v", status, report)
		}
		l.more(100)
		// Longer than announcements last.
		began := time.Now()
		f.until("the announcements have run out", func() bool { return time.Since(began) > presenceTTL })
		l.more(100)
		f.must(f.etcd.Start(f.ctx))
		f.serving()
		if f.primary() != home {
			f.Error("the map has another primary")
		}
		if report, status := f.switchover(to); status != 0 || len(report.Fenced) > 0 {
			f.Errorf("a switchover with etcd back: status %d, %+v", status, report)
		}
		l.more(100)

		// In the middle of a switchover: it is undone or goes on when it is run again.
		done := make(chan switched, 1)
		before := l.done.Load()
		go func() {
			report, _ := f.switchover(home)
			done <- report
		}()
		f.until("the switchover is under way", func() bool { return l.done.Load() > before+20 })
		f.must(f.etcd.Kill())
		f.must(f.etcd.Start(f.ctx))
		report := <-done
		f.Logf("note: etcd died and came back during a switchover: done %t, undone %t, %.200s", report.Done, report.Undone, report.Error)
		f.serving()
		if f.primary() != home {
			f.until("the switchover goes on", func() bool {
				report, status := f.switchover(home)
				return status == 0 && report.Done
			})
		}
		l.more(100)
		l.end()
		f.Logf("note: %s", l.settle(f.primary(), kindPin))
	})
}

// TestOutsidePromotionInFleet: an outside tool promotes a replica. All proxies
// follow, and the map is changed once.
func TestOutsidePromotionInFleet(t *testing.T) {
	onFleet(t, func(f *fleet) {
		l := f.startWorkload(6)
		l.more(100)
		stored, _ := f.proxies()
		former := f.primary()
		heir, other := f.replicas(former)[0], f.replicas(former)[1]
		f.must(former.Exec(f.ctx, "SET GLOBAL read_only=ON"))
		f.untilReached(heir, former)
		f.promote(heir)
		began := time.Now()
		f.until("the map has the new primary", func() bool { return f.primary() == heir })
		f.Logf("note: the map had the new primary after %s", time.Since(began).Round(time.Millisecond))
		f.repoint(other, heir)
		f.repoint(former, heir)
		f.serving()
		l.more(200)
		if now, _ := f.proxies(); now != stored+1 {
			f.Errorf("the map's version went from %d to %d", stored, now)
		}
		for _, d := range f.daemons {
			if text := d.log.String(); strings.Contains(text, "split brain") {
				f.Errorf("%s took it for a split brain", d.addr)
			}
		}
		l.end()
		// The clients may see that the former primary is read-only.
		f.Logf("note: %s", l.settle(heir, kindPin, kindRetry, kindUnknown, kindReadOnly))
		f.reigns(1)
	})
}

// TestProxyEndsInSwitchover: a proxy is told to end while the primary changes. Its
// clients finish what they do, and the switchover isn't held up.
func TestProxyEndsInSwitchover(t *testing.T) {
	onFleet(t, func(f *fleet) {
		ends := f.join(nil, f.etcd.Addr)
		f.ready(ends)
		l := f.startWorkload(6)
		client := f.startAside(ends, 0)
		f.until("the proxy that will end writes", func() bool { return client.good() > 20 })
		ends.signal(syscall.SIGTERM)
		report, status := f.switchover(f.replicas(f.primary())[0])
		if status != 0 || !report.Done {
			f.Errorf("status %d, %+v", status, report)
		}
		<-ends.exited
		l.more(100)
		l.end()
		f.Logf("note: paused for %s, fenced %v; %s", report.Pause.Round(time.Millisecond), report.Fenced, l.settle(f.primary(), kindPin))
	})
}
