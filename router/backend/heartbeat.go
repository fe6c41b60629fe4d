package backend

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"shardway/protocol"
)

// The heartbeat is one row on each shard that a proxy counts up at the primary.
// A replica lacks what was written since the first beat that it doesn't have.
// When that was is told by this proxy's own clock, which saw the beat appear at
// the primary: no two machines' clocks are compared. The times in the row are of
// whichever server was the primary, and are compared with each other only.
const (
	beatRow     = " FROM shardway.heartbeat WHERE id=1)"
	beatColumns = ",(SELECT beat" + beatRow + ",(SELECT TIMESTAMPDIFF(MICROSECOND,'2000-01-01',at)" + beatRow +
		",TIMESTAMPDIFF(MICROSECOND,'2000-01-01',UTC_TIMESTAMP(6))"
	beatSchema = "CREATE SCHEMA IF NOT EXISTS shardway"
	beatTable  = "CREATE TABLE IF NOT EXISTS shardway.heartbeat (id TINYINT UNSIGNED PRIMARY KEY, beat BIGINT UNSIGNED NOT NULL, at DATETIME(6) NOT NULL) ENGINE=InnoDB"
	beatFirst  = "INSERT IGNORE INTO shardway.heartbeat (id,beat,at) VALUES (1,1,UTC_TIMESTAMP(6))"
	// beatSession lets a lock that somebody holds keep the statement for a second at most.
	beatSession = "SET SESSION autocommit=1,lock_wait_timeout=1,innodb_lock_wait_timeout=1"
	// beatNext finds no row if another proxy was faster.
	beatNext = "UPDATE shardway.heartbeat SET beat=beat+1,at=UTC_TIMESTAMP(6) WHERE id=1 AND beat=%d"

	beatDeadline = time.Second     // of one write, after which the connection is given up
	beatAgain    = time.Minute     // when a server that refused the heartbeat is asked again
	beatKept     = 512             // beats that a proxy remembers for a shard
	beatFresh    = 2 * time.Second // age of the newest look at a primary that still counts as now
	beatSoonest  = 50 * time.Millisecond
)

// beat is what one server's row says.
type beat struct {
	n     uint64 // 0: the server has no row, or it isn't known
	stamp int64  // microseconds; when it was written, by the clock of the primary of then
	now   int64  // the server's clock at the question
}

// pulse is what this proxy has seen of one shard's heartbeat.
type pulse struct {
	mu     sync.Mutex
	seen   []seenBeat    // rising
	looked time.Duration // the newest look at the primary's row
}

type seenBeat struct {
	n     uint64
	stamp int64
	at    time.Duration // Cluster.now at which it was first seen
}

// saw takes note of a beat that a server has. The primary is believed if it has
// less than was seen before: what a failover lost is no lag.
func (p *pulse) saw(b beat, now time.Duration, primary bool) {
	if b.n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if primary {
		p.looked = now
		for len(p.seen) > 0 && p.seen[len(p.seen)-1].n > b.n {
			p.seen = p.seen[:len(p.seen)-1]
		}
	}
	if len(p.seen) > 0 && p.seen[len(p.seen)-1].n >= b.n || len(p.seen) == 0 && !primary {
		return
	}
	if len(p.seen) == beatKept {
		p.seen = slices.Delete(p.seen, 0, beatKept/4)
	}
	p.seen = append(p.seen, seenBeat{b.n, b.stamp, now})
}

// beats says whether the shard has a heartbeat.
func (p *pulse) beats() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen) > 0
}

// lag is how far a server whose row says b is behind. While the primary isn't
// seen it is how far the server was behind when the primary was last seen.
func (p *pulse) lag(b beat, now time.Duration, primaryUp bool) (lag time.Duration, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == 0 || b.n == 0 {
		return 0, false
	}
	at, _ := slices.BinarySearchFunc(p.seen, b.n+1, func(s seenBeat, n uint64) int {
		if s.n < n {
			return -1
		}
		return 1
	})
	if at == len(p.seen) {
		return 0, true
	}
	horizon := now
	if !primaryUp || now-p.looked > beatFresh {
		horizon = max(p.looked, p.seen[len(p.seen)-1].at)
	}
	lag = horizon - p.seen[at].at
	if at == 0 { // from before this proxy began to look, or forgot
		lag += time.Duration(max(p.seen[0].stamp-b.stamp, 0)) * time.Microsecond
	}
	return max(lag, 0), true
}

// readBeat reads the values of beatColumns.
func readBeat(values []*string) (b beat) {
	if len(values) < 3 || values[0] == nil || values[1] == nil || values[2] == nil {
		return b
	}
	n, err1 := strconv.ParseUint(*values[0], 10, 64)
	stamp, err2 := strconv.ParseInt(*values[1], 10, 64)
	now, err3 := strconv.ParseInt(*values[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return b
	}
	return beat{n, stamp, now}
}

// beating is the prober's part in the heartbeat.
type beating struct {
	sessionOf *Conn         // the connection that beatSession ran on
	off       time.Duration // Cluster.now until which the server isn't asked again
	missing   bool          // the newest question found no row, or no table
	why       string        // why the server has no heartbeat
}

// wantsBeat says whether the next question should ask for the row: not of a
// server that refused it lately, nor of a replica whose primary has none.
func (p *probe) wantsBeat() bool {
	s := p.srv
	if s.cluster.options().Heartbeat <= 0 {
		p.beating = beating{}
		return false
	}
	if s.cluster.now() < p.beating.off {
		return false
	}
	sh, role := s.cluster.placeOf(s)
	return sh != nil && (role == Primary || !p.beating.missing || sh.roles.pulse.beats())
}

// refuseBeat takes note that a server refused something about the heartbeat.
func (p *probe) refuseBeat(e *protocol.Error) {
	switch e.Code {
	case codeNoSuchTable, codeUnknownDatabase:
		p.beating.missing, p.beating.why = true, "the server has no table shardway.heartbeat"
		return
	case codeReadOnly, codeReadOnlyMode:
		p.beating.why = "the server is read-only"
		return
	}
	p.beating.off = p.srv.cluster.now() + beatAgain
	p.beating.why = fmt.Sprintf("the heartbeat can't be used: %d %s", e.Code, e.Message)
	if isDenied(e) {
		p.beating.why += fmt.Sprintf("; GRANT ALL ON shardway.* TO '%s'", p.srv.cluster.options().User)
	}
}

// beat counts the row of the shard's primary up when it is time, and makes it
// where it is missing. It says whether it did. A write that takes too long costs
// the connection and nothing else.
func (p *probe) beat(found *probed) bool {
	s, o := p.srv, p.srv.cluster.options()
	interval := o.Heartbeat
	now := s.cluster.now()
	if interval <= 0 || p.conn == nil || found.readOnly || now < p.beating.off {
		return false
	}
	sh, role := s.cluster.placeOf(s)
	if sh == nil || role != Primary || !s.cluster.writable(sh) {
		return false
	}
	var statements []string
	age := time.Duration(found.beat.now-found.beat.stamp) * time.Microsecond
	switch {
	case found.beat.n == 0 && p.beating.missing:
		statements = []string{beatSchema, beatTable, beatFirst}
	case found.beat.n == 0:
		return false
	case age >= 0 && age < interval*4/5: // another proxy did
		return false
	default:
		statements = []string{fmt.Sprintf(beatNext, found.beat.n)}
	}
	if p.beating.sessionOf != p.conn {
		statements = append([]string{beatSession}, statements...)
	}
	ctx, cancel := context.WithTimeout(s.ctx, min(beatDeadline, o.DialTimeout))
	defer cancel()
	stop := interruptOn(ctx, p.conn.Conn)
	affected, err := p.writeBeat(statements)
	if !stop() || err != nil {
		p.hangUp(false)
		p.beating.off = s.cluster.now() + beatAgain/6
		p.beating.why = "writing the heartbeat took too long"
		return false
	}
	if affected && found.beat.n > 0 {
		found.beat.n++
		found.beat.stamp = found.beat.now
		sh.roles.pulse.saw(found.beat, s.cluster.now(), true)
	}
	return affected
}

// writeBeat runs statements; affected says that the last one changed a row. An
// error is one of the connection.
func (p *probe) writeBeat(statements []string) (affected bool, err error) {
	for _, sql := range statements {
		reply, err := p.conn.Exec(sql)
		if wire, refused := sqlError(err); refused {
			p.refuseBeat(wire)
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if sql == beatSession {
			p.beating.sessionOf = p.conn
		}
		affected = reply.AffectedRows > 0
	}
	p.beating.missing, p.beating.why = false, ""
	return affected, nil
}

// lagOf judges the lag of a replica by the heartbeat where there is one, else by
// what replication says.
func (p *probe) lagOf(found *probed) {
	s := p.srv
	r := &found.replication
	found.lagWhy = r.lagWhy
	sh, role := s.cluster.placeOf(s)
	if sh == nil || role != Replica {
		return
	}
	found.lag, found.lagKnown, found.lagFrom = r.lag, r.lagKnown, "status"
	if !r.known {
		found.lagFrom = ""
	}
	primary := sh.primary.srv.health.Load()
	primaryUp := primary.state == StateUp || primary.state == StateBusy
	applies := r.source != "" && running(r.sql)
	switch {
	case !applies || primaryUp && !running(r.io) && !connecting(r.io):
		return // a replica that has stopped is out, however fresh
	case found.beat.n > 0:
		lag, known := sh.roles.pulse.lag(found.beat, s.cluster.now(), primaryUp)
		if !known {
			return
		}
		found.lag, found.lagKnown, found.lagWhy, found.lagFrom = lag, true, "", "heartbeat"
		if !primaryUp && r.lagKnown {
			found.lag = max(found.lag, r.lag) // others may see the primary still
		}
		if !primaryUp {
			found.lagFrom = "heartbeat, until the primary was last seen"
		}
	case primary.state == StateDown && !r.lagKnown && !primary.probed.executed.set.IsEmpty() &&
		found.executed.set.Covers(primary.probed.executed.set):
		found.lag, found.lagKnown, found.lagWhy = 0, true, ""
		found.lagFrom = "GTIDs: it has all that was seen of the primary"
	}
}

func running(thread string) bool { return len(thread) == 3 && (thread[0] == 'Y' || thread[0] == 'y') }

// connecting says that a receiver isn't stopped, but has no connection to its source.
func connecting(thread string) bool {
	return thread != "" && !running(thread) && thread != "No"
}
