package e2e

import (
	"slices"
	"testing"
	"time"
)

// TestSwitchovers: the primary goes to and fro while clients of three proxies
// write. None of them sees an error, but those that keep what can't move; no
// write is lost or done twice.
func TestSwitchovers(t *testing.T) {
	times, clients := count(t, "SHARDWAY_SWITCHOVERS", 6), count(t, "SHARDWAY_CLIENTS", 16)
	onFleets(t, 2*time.Minute+time.Duration(times)*20*time.Second, false, nil, func(f *fleet) {
		l := f.startWorkload(clients)
		l.more(200)
		var pauses, waits []time.Duration
		servers := f.c.Servers()
		for i := range times {
			l.worst()
			to := servers[(i+1)%len(servers)]
			report, status := f.switchover(to)
			if status != 0 || !report.Done || len(report.Fenced) > 0 || len(report.Warnings) > 0 {
				f.Fatalf("switchover %d to %s: status %d, %+v", i+1, to.Name, status, report)
			}
			l.more(100)
			pauses, waits = append(pauses, report.Pause), append(waits, l.worst())
			if f.Failed() {
				return
			}
		}
		l.end()
		books := l.settle(f.primary(), kindPin)
		slices.Sort(pauses)
		slices.Sort(waits)
		f.Logf("note: %d switchovers with %d clients: statements paused for %s, %s at most; the longest statement of each %s, %s at most; %s",
			times, clients, mid(pauses), top(pauses), mid(waits), top(waits), books)
		f.idle()
	})
}

// mid and top are the median and the maximum of what is sorted.
func mid(d []time.Duration) time.Duration { return d[len(d)/2].Round(time.Millisecond) }
func top(d []time.Duration) time.Duration { return d[len(d)-1].Round(time.Millisecond) }

// idle checks that a proxy without clients has nothing on a primary: it says so
// at once when the shard is paused.
func (f *fleet) idle() {
	f.Helper()
	report, status := f.switchover(f.replicas(f.primary())[0])
	if status != 0 || len(report.Fenced) > 0 {
		f.Errorf("a switchover without clients: status %d, %+v", status, report)
	}
	for _, step := range report.Steps {
		if step.Name == "drain" && step.Took > time.Second {
			f.Errorf("proxies without clients needed %s to leave the primary", step.Took)
		}
	}
}
