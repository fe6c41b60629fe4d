package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// seconds reads a number as it is shown, -1 where there is none.
func seconds(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return -1
	}
	return f
}

// TestLag: a delayed replica and one whose applier stands still serve no reads, by
// the heartbeat; they return; and reads go on when the primary is gone.
func TestLag(t *testing.T) {
	ownCluster(t, true, func(e *env) {
		p, a, b := e.c.Shards[0].Primary, e.c.Shards[0].Replicas[0], e.c.Shards[0].Replicas[1]
		e.must(p.Exec(e.ctx, "INSERT INTO roles.t (who) VALUES ('x')"))
		d := e.serve(settings{"replicas": "{max_lag: 1500ms, heartbeat: 200ms, warm_up: 0, fallback_to_primary: false}"})
		db, w := e.open(d, nil), e.dial(d, nil)
		up := func(s string) bool { return s == "up" }
		lagging := func(s string) bool { return s == "lagging" }
		beats := func(s string) bool { return s == "heartbeat" }
		e.untilShown(db, a, "lag_from", beats)
		e.untilShown(db, b, "lag_from", beats)
		e.untilShown(db, a, "state", up)
		e.untilShown(db, b, "state", up)
		serves := func() string {
			e.Helper()
			id, err := w.one("SELECT @@server_id FROM t LIMIT 1")
			e.must(err)
			return e.byID(id)
		}
		only := func(want string) {
			e.Helper()
			for range 6 {
				if got := serves(); got != want {
					e.Fatalf("a read was served by %s, not %s", got, want)
				}
			}
		}

		// A delay of less than a second is seen and is within the limit.
		e.must(a.Exec(e.ctx, e.say("STOP REPLICA", "STOP SLAVE"),
			e.say("CHANGE REPLICATION SOURCE TO SOURCE_DELAY=1", "CHANGE MASTER TO MASTER_DELAY=1"), e.say("START REPLICA", "START SLAVE")))
		e.untilShown(db, a, "lag_seconds", func(s string) bool { return seconds(s) > 0.5 && seconds(s) < 1.5 })
		// A statement that asks for less goes to the other.
		for range 6 {
			id, err := w.one("/* shardway: max_lag=300ms */ SELECT @@server_id FROM t LIMIT 1")
			e.must(err)
			if got := e.byID(id); got != b.Name {
				e.Errorf("max_lag=300ms was served by %s", got)
			}
		}
		e.must(a.Exec(e.ctx, e.say("STOP REPLICA", "STOP SLAVE"),
			e.say("CHANGE REPLICATION SOURCE TO SOURCE_DELAY=3", "CHANGE MASTER TO MASTER_DELAY=3"), e.say("START REPLICA", "START SLAVE")))
		e.untilShown(db, a, "state", lagging)
		only(b.Name)
		e.must(a.Exec(e.ctx, e.say("STOP REPLICA", "STOP SLAVE"),
			e.say("CHANGE REPLICATION SOURCE TO SOURCE_DELAY=0", "CHANGE MASTER TO MASTER_DELAY=0"), e.say("START REPLICA", "START SLAVE")))
		e.untilShown(db, a, "state", up)

		// An applier that stands still.
		e.must(b.Exec(e.ctx, e.say("STOP REPLICA SQL_THREAD", "STOP SLAVE SQL_THREAD")))
		e.untilShown(db, b, "state", lagging)
		if why := e.shown(db, b, "why"); !strings.Contains(why, "applier isn't running") {
			e.Errorf("why is %q", why)
		}
		only(a.Name)
		e.must(b.Exec(e.ctx, e.say("START REPLICA SQL_THREAD", "START SLAVE SQL_THREAD")))
		e.untilShown(db, b, "state", up)

		// Two proxies beat together as often as one.
		e.serve(settings{"replicas": "{heartbeat: 200ms}"})
		first, err := p.Text(e.ctx, "SELECT beat FROM shardway.heartbeat")
		e.must(err)
		began := time.Now()
		time.Sleep(3 * time.Second) // what is measured is the time
		last, err := p.Text(e.ctx, "SELECT beat FROM shardway.heartbeat")
		e.must(err)
		rate := (seconds(last) - seconds(first)) / time.Since(began).Seconds()
		e.Logf("note: %.1f beats a second of two proxies, 5 are asked for", rate)
		if rate < 2 || rate > 7.5 {
			e.Errorf("%.1f beats a second, want about 5", rate)
		}

		// Without a primary the replicas have all there is, for as long as it takes.
		e.must(p.Kill())
		e.untilShown(db, p, "state", func(s string) bool { return s == "down" })
		until := time.Now().Add(3 * time.Second)
		for time.Now().Before(until) {
			serves()
			time.Sleep(50 * time.Millisecond)
		}
		if from := e.shown(db, a, "lag_from"); !strings.Contains(from, "until the primary was last seen") {
			e.Errorf("lag is from %q", from)
		}
	})
}
