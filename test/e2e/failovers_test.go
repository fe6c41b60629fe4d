package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shardway/test/cluster"
)

// TestFailovers: primaries die while clients of three proxies write and each
// commit is acknowledged by a replica. The proxies promote one; nothing that was
// acknowledged is lost, and no two servers take writes.
func TestFailovers(t *testing.T) {
	times, clients := count(t, "SHARDWAY_FAILOVERS", 2), count(t, "SHARDWAY_CLIENTS", 16)
	keys := settings{"failover": fmt.Sprintf(
		"{enabled: true, after: 1s, hold_timeout: 30s, user: %s, password: %s, replication_user: repl, replication_password: repl}", cluster.Operator, cluster.Password)}
	onFleets(t, 2*time.Minute+time.Duration(times)*time.Minute, true, keys, func(f *fleet) {
		l := f.startWorkload(clients)
		var gaps, waits []time.Duration
		var told *books
		remade := 0
		for i := range times {
			f.serving()
			l.more(200)
			victim := f.primary()
			l.worst()
			killed := time.Now()
			f.must(victim.Kill())
			gaps = append(gaps, l.servedAgain(killed))
			l.more(200)
			waits = append(waits, l.worst())

			l.quiet.Lock()
			heir := f.promoted(victim)
			f.must(victim.Start(f.ctx))
			if !f.rejoins(victim, heir) {
				remade++
				f.must(victim.Remake(f.ctx, f.others(victim, heir)))
				f.awaitFollows(f.replicas(heir), heir)
			}
			told = l.settle(heir, kindPin, kindRetry, kindUnknown)
			l.quiet.Unlock()
			if f.Failed() {
				f.Fatalf("after kill %d, of %s", i+1, victim.Name)
			}
		}
		slices.Sort(gaps)
		slices.Sort(waits)
		f.Logf("note: %d primaries killed with %d clients: served again after %s, %s at most; the longest statement of each %s, %s at most; %d servers had transactions that nobody was told of, and were made anew; %s",
			times, clients, mid(gaps), top(gaps), mid(waits), top(waits), remade, told)
		l.end()
		f.reigns(times)
	})
}

// promoted waits until the stored map has another primary.
func (f *fleet) promoted(victim *cluster.Server) *cluster.Server {
	f.Helper()
	heir := victim
	f.until("the map has another primary", func() bool {
		heir = f.primary()
		return heir != victim
	})
	f.serving()
	f.awaitFollows([]*cluster.Server{f.others(victim, heir)}, heir)
	return heir
}

// others is the server besides these two.
func (f *fleet) others(a, b *cluster.Server) *cluster.Server {
	for _, s := range f.c.Servers() {
		if s != a && s != b {
			return s
		}
	}
	return nil
}

// follows says whether a server replicates from another, by its own word.
func (f *fleet) follows(s, primary *cluster.Server) bool {
	f.Helper()
	rows, err := s.DB().QueryContext(f.ctx, f.say("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"))
	f.must(err)
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return false
	}
	names, err := rows.Columns()
	f.must(err)
	cells, into := make([][]byte, len(names)), make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	f.must(rows.Scan(into...))
	at := func(mysql, mariadb string) string { return string(cells[slices.Index(names, f.say(mysql, mariadb))]) }
	return at("Source_Port", "Master_Port") == fmt.Sprint(primary.Port) &&
		at("Replica_IO_Running", "Slave_IO_Running") == "Yes" && at("Replica_SQL_Running", "Slave_SQL_Running") == "Yes"
}

func (f *fleet) awaitFollows(list []*cluster.Server, primary *cluster.Server) {
	f.Helper()
	for _, s := range list {
		f.until(s.Name+" follows "+primary.Name, func() bool { return f.follows(s, primary) })
	}
}

// rejoins waits until a former primary follows the new one, which is true, or has
// been found to have transactions of its own.
func (f *fleet) rejoins(s, primary *cluster.Server) (joined bool) {
	f.Helper()
	f.until(s.Name+" is a replica again, or refused", func() bool {
		joined = f.follows(s, primary)
		return joined || f.errant(s)
	})
	return joined
}

// errant says whether a proxy has found that a server has transactions which the
// primary lacks, since it was last said to be back.
func (f *fleet) errant(s *cluster.Server) bool {
	for _, d := range f.daemons {
		log := d.log.String()
		if at := strings.LastIndex(log, "can't be made a replica again\" shard=s0 server="+s.Addr); at >= 0 &&
			at > strings.LastIndex(log, "server state\" addr="+s.Addr+" state=down") &&
			strings.Contains(log[at:], "it has transactions that the primary") {
			return true
		}
	}
	return false
}

// reigns checks, by who stored the rows, that the servers were primaries one
// after the other.
func (f *fleet) reigns(changes int) {
	f.Helper()
	rows, err := f.primary().DB().QueryContext(f.ctx, "SELECT server FROM "+fleetDatabase+".ledger ORDER BY id")
	f.must(err)
	defer func() { _ = rows.Close() }()
	var reigns []int
	for rows.Next() {
		var server int
		f.must(rows.Scan(&server))
		if len(reigns) == 0 || reigns[len(reigns)-1] != server {
			reigns = append(reigns, server)
		}
	}
	f.must(rows.Err())
	if len(reigns) != changes+1 {
		f.Errorf("after %d changes of primary the rows are of the servers %v, one after the other", changes, reigns)
	}
}
