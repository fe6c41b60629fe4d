package backend

import (
	"context"
	"fmt"
	"time"

	"shardway/protocol"
	"shardway/router/backend/health"
	"shardway/router/backend/pulse"
	"shardway/router/backend/replication"
)

const (
	beatDeadline = time.Second // of one write, after which the connection is given up
	beatAgain    = time.Minute // when a server that refused the heartbeat is asked again
	beatSoonest  = 50 * time.Millisecond
)

// beating is the prober's part in the heartbeat.
type beating struct {
	sessionOf *Conn         // the connection that pulse.Session ran on
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
	return sh != nil && (role == Primary || !p.beating.missing || sh.roles.pulse.Beats())
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
	age := time.Duration(found.beat.Now-found.beat.Stamp) * time.Microsecond
	switch {
	case found.beat.N == 0 && p.beating.missing:
		statements = []string{pulse.Schema, pulse.Table, pulse.First}
	case found.beat.N == 0:
		return false
	case age >= 0 && age < interval*4/5: // another proxy did
		return false
	default:
		statements = []string{fmt.Sprintf(pulse.Next, found.beat.N)}
	}
	if p.beating.sessionOf != p.conn {
		statements = append([]string{pulse.Session}, statements...)
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
	if affected && found.beat.N > 0 {
		found.beat.N++
		found.beat.Stamp = found.beat.Now
		sh.roles.pulse.Saw(found.beat, s.cluster.now(), true)
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
		if sql == pulse.Session {
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
	found.lag.Why = r.LagWhy
	sh, role := s.cluster.placeOf(s)
	if sh == nil || role != Replica {
		return
	}
	found.lag.Behind, found.lag.Known, found.lag.From = r.Lag, r.LagKnown, "status"
	if !r.Known {
		found.lag.From = ""
	}
	primary := sh.primary.srv.health.Load()
	primaryUp := primary.state == health.Up || primary.state == health.Busy
	applies := r.Source != "" && replication.Running(r.SQL)
	switch {
	case !applies || primaryUp && !replication.Running(r.IO) && !replication.Connecting(r.IO):
		return // a replica that has stopped is out, however fresh
	case found.beat.N > 0:
		lag, known := sh.roles.pulse.Lag(found.beat, s.cluster.now(), primaryUp)
		if !known {
			return
		}
		found.lag.Behind, found.lag.Known, found.lag.Why, found.lag.From = lag, true, "", "heartbeat"
		if !primaryUp && r.LagKnown {
			found.lag.Behind = max(found.lag.Behind, r.Lag) // others may see the primary still
		}
		if !primaryUp {
			found.lag.From = "heartbeat, until the primary was last seen"
		}
	case primary.state == health.Down && !r.LagKnown && !primary.probed.executed.Set.IsEmpty() &&
		found.executed.Set.Covers(primary.probed.executed.Set):
		found.lag.Behind, found.lag.Known, found.lag.Why = 0, true, ""
		found.lag.From = "GTIDs: it has all that was seen of the primary"
	}
}
