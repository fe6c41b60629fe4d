package pulse

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// The heartbeat is one row on each shard that a proxy counts up at the primary.
// A replica lacks what was written since the first beat that it doesn't have.
// When that was is told by this proxy's own clock, which saw the beat appear at
// the primary: no two machines' clocks are compared. The times in the row are of
// whichever server was the primary, and are compared with each other only.
const (
	row = " FROM shardway.heartbeat WHERE id=1)"
	// Columns are what a Beat is read from.
	Columns = ",(SELECT beat" + row + ",(SELECT TIMESTAMPDIFF(MICROSECOND,'2000-01-01',at)" + row +
		",TIMESTAMPDIFF(MICROSECOND,'2000-01-01',UTC_TIMESTAMP(6))"
	// Schema, Table and First make the row where it is missing.
	Schema = "CREATE SCHEMA IF NOT EXISTS shardway"
	Table  = "CREATE TABLE IF NOT EXISTS shardway.heartbeat (id TINYINT UNSIGNED PRIMARY KEY, beat BIGINT UNSIGNED NOT NULL, at DATETIME(6) NOT NULL) ENGINE=InnoDB"
	First  = "INSERT IGNORE INTO shardway.heartbeat (id,beat,at) VALUES (1,1,UTC_TIMESTAMP(6))"
	// Session lets a lock that somebody holds keep the statement for a second at most.
	Session = "SET SESSION autocommit=1,lock_wait_timeout=1,innodb_lock_wait_timeout=1"
	// Next finds no row if another proxy was faster.
	Next = "UPDATE shardway.heartbeat SET beat=beat+1,at=UTC_TIMESTAMP(6) WHERE id=1 AND beat=%d"

	kept  = 512             // beats that a proxy remembers for a shard
	fresh = 2 * time.Second // age of the newest look at a primary that still counts as now
)

// Beat is what one server's row says.
type Beat struct {
	N     uint64 // 0: the server has no row, or it isn't known
	Stamp int64  // microseconds; when it was written, by the clock of the primary of then
	Now   int64  // the server's clock at the question
}

// Pulse is what this proxy has seen of one shard's heartbeat.
type Pulse struct {
	mu     sync.Mutex
	seen   []seenBeat    // rising
	looked time.Duration // the newest look at the primary's row
}

type seenBeat struct {
	n     uint64
	stamp int64
	at    time.Duration // the proxy's clock at which it was first seen
}

// Saw takes note of a beat that a server has. The primary is believed if it has
// less than was seen before: what a failover lost is no lag.
func (p *Pulse) Saw(b Beat, now time.Duration, primary bool) {
	if b.N == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if primary {
		p.looked = now
		for len(p.seen) > 0 && p.seen[len(p.seen)-1].n > b.N {
			p.seen = p.seen[:len(p.seen)-1]
		}
	}
	if len(p.seen) > 0 && p.seen[len(p.seen)-1].n >= b.N || len(p.seen) == 0 && !primary {
		return
	}
	if len(p.seen) == kept {
		p.seen = slices.Delete(p.seen, 0, kept/4)
	}
	p.seen = append(p.seen, seenBeat{b.N, b.Stamp, now})
}

// Beats says whether the shard has a heartbeat.
func (p *Pulse) Beats() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen) > 0
}

// Lag is how far a server whose row says b is behind. While the primary isn't
// seen it is how far the server was behind when the primary was last seen.
func (p *Pulse) Lag(b Beat, now time.Duration, primaryUp bool) (lag time.Duration, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == 0 || b.N == 0 {
		return 0, false
	}
	at, _ := slices.BinarySearchFunc(p.seen, b.N+1, func(s seenBeat, n uint64) int {
		if s.n < n {
			return -1
		}
		return 1
	})
	if at == len(p.seen) {
		return 0, true
	}
	horizon := now
	if !primaryUp || now-p.looked > fresh {
		horizon = max(p.looked, p.seen[len(p.seen)-1].at)
	}
	lag = horizon - p.seen[at].at
	if at == 0 { // from before this proxy began to look, or forgot
		lag += time.Duration(max(p.seen[0].stamp-b.Stamp, 0)) * time.Microsecond
	}
	return max(lag, 0), true
}

// Read reads the values of Columns.
func Read(values []*string) (b Beat) {
	if len(values) < 3 || values[0] == nil || values[1] == nil || values[2] == nil {
		return b
	}
	n, err1 := strconv.ParseUint(*values[0], 10, 64)
	stamp, err2 := strconv.ParseInt(*values[1], 10, 64)
	now, err3 := strconv.ParseInt(*values[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return b
	}
	return Beat{n, stamp, now}
}
