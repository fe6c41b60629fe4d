package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/backend/circuit"
	"shardway/router/backend/health"
	"shardway/router/backend/pulse"
	"shardway/router/backend/replication"
)

const (
	// probeBackoff and probeBackoffMax bound the pause between probes of a server
	// that doesn't answer.
	probeBackoff, probeBackoffMax = 200 * time.Millisecond, 2 * time.Second
	// probeUrgent is the pause while a shard's primary takes no writes, so that a
	// promotion by others is followed soon.
	probeUrgent = 200 * time.Millisecond
	// relearnAfter is the age at which what a server says about itself is asked
	// for again.
	relearnAfter = 30 * time.Second
)

// prober probes the server until it leaves the map. It is the one that finds a
// server back again, and the only place where lag and roles are looked at and
// the heartbeat is written.
func (s *server) prober() {
	defer close(s.done)
	p := probe{srv: s}
	defer p.hangUp(true)
	failures := 0
	for s.ctx.Err() == nil {
		select {
		case <-s.kick: // what was asked for before this probe is answered by it
		default:
		}
		epoch := s.epoch.Load()
		found, dialed, err := p.run()
		var pause time.Duration
		switch {
		case s.ctx.Err() != nil:
			return
		case err == nil:
			failures = 0
			if !s.answered(epoch, found, dialed) {
				continue
			}
			p.beat(&found)
			pause = s.pause()
		case s.overtaken(err):
			continue
		case isBusy(err):
			failures = 0
			s.busy(err, true)
			pause = s.pause()
		default:
			s.down(err)
			s.interruptLost()
			pause = circuit.Backoff(failures, probeBackoff, probeBackoffMax)
			failures++
			select { // down has asked for the probe that just failed
			case <-s.kick:
			default:
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-s.ctx.Done():
		case <-s.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause is the time until the next probe of a server that answers.
func (s *server) pause() time.Duration {
	o := s.cluster.options()
	d := o.ProbeInterval
	if o.Heartbeat > 0 {
		d = min(d, max(o.Heartbeat, beatSoonest))
	}
	if sh, _ := s.cluster.placeOf(s); sh != nil && sh.roles.urgent.Load() {
		d = min(d, probeUrgent)
	}
	return circuit.Spread(d, 0.1)
}

// probe is the prober's own connection and what it found out by it.
type probe struct {
	srv      *server
	conn     *Conn
	facts    *facts
	learned  time.Time
	lagSQL   string // the form of SHOW REPLICA STATUS that the server knows; "" before one was tried
	executed replication.Executed
	beating  beating

	fenceRead time.Time
}

// run makes one probe, on the connection at hand or else on a new one. A server
// that is down must prove that it accepts connections. dialed says that it did.
func (p *probe) run() (found probed, dialed bool, err error) {
	s := p.srv
	cfg := s.cluster.config.Load()
	ctx, cancel := context.WithTimeout(s.ctx, cfg.DialTimeout)
	defer cancel()
	if p.conn != nil && (p.conn.login != cfg.login || s.health.Load().state == health.Down) {
		p.hangUp(true)
	}
	if p.conn != nil {
		found, err = p.ask(ctx)
		if err == nil {
			return found, false, nil
		}
		p.hangUp(false)
		// The connection's deadline is that of ctx; either may be noticed first.
		hangs := ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded)
		if s.ctx.Err() != nil || hangs && s.replica.Load() {
			return found, false, err // others serve the reads of a replica that hangs
		}
		// The connection broke; the server may be well. A primary that hangs gets a
		// second chance, as nobody can take its place.
		ctx, cancel = context.WithTimeout(s.ctx, cfg.DialTimeout)
		defer cancel()
	}
	p.conn, err = s.connect(ctx, kind{})
	if err != nil {
		return found, false, err
	}
	p.facts, p.lagSQL, p.executed = nil, "", replication.Executed{}
	p.fenceRead = time.Now() // by connect
	found, err = p.ask(ctx)
	if err != nil {
		p.hangUp(false)
	}
	return found, true, err
}

func (p *probe) hangUp(polite bool) {
	if p.conn != nil {
		p.conn.end(polite)
		p.conn = nil
	}
}

// ask asks everything over the connection. It fails only if the connection does.
func (p *probe) ask(ctx context.Context) (probed, error) {
	stop := interruptOn(ctx, p.conn.Conn)
	found, err := p.askAll()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return found, err
}

func (p *probe) askAll() (probed, error) {
	s := p.srv
	var found probed
	if p.facts == nil || time.Since(p.learned) >= relearnAfter {
		f, err := learn(p.conn)
		if err != nil {
			return found, err
		}
		if p.facts != nil && f.equal(p.facts) {
			f = p.facts
		}
		if p.facts != nil && p.facts.version != f.version {
			s.setup.Store(nil)
		}
		p.facts, p.learned = f, time.Now()
	}
	found.facts = p.facts

	if err := p.look(&found); err != nil {
		return found, err
	}
	var err error
	if found.replication, err = p.askReplication(); err != nil {
		return found, err
	}
	p.lagOf(&found)
	found.heartbeat = p.beating.why
	found.warning = p.warning(&found)
	if time.Since(p.fenceRead) >= fenceEvery {
		p.fenceRead = time.Now()
		err = p.conn.readFence()
	}
	return found, err
}

// look asks for what one SELECT can tell: whether the server is read-only, what
// it has executed, and its heartbeat.
func (p *probe) look(found *probed) error {
	s := p.srv
	columns := p.facts.columns()
	found.at = time.Now()
	var res *protocol.Result
	var err error
	asked := p.wantsBeat()
	if asked {
		res, err = p.conn.Query("SELECT " + columns + pulse.Columns)
		if wire, refused := sqlError(err); refused {
			p.refuseBeat(wire)
			asked, err = false, nil
		}
	}
	if !asked && err == nil {
		res, err = p.query("SELECT " + columns)
	}
	if err != nil {
		return err
	}
	found.latency = time.Since(found.at)
	n := max(p.facts.readOnlyVars, 1)
	if res == nil || len(res.Rows) != 1 || len(res.Rows[0]) < n {
		return nil
	}
	row := res.Rows[0]
	if p.facts.readOnlyVars > 0 {
		for _, v := range row[:n] {
			if v != nil && (*v == "1" || strings.EqualFold(*v, "ON")) {
				found.readOnly = true
			}
		}
	}
	row = row[n:]
	if n = len(p.facts.gtidVars); len(row) >= n {
		p.executed.Read(row[:n])
		found.executed, row = p.executed, row[n:]
	}
	if asked {
		found.beat = pulse.Read(row)
		if found.beat.N > 0 {
			p.beating.missing, p.beating.why = false, ""
		} else {
			p.beating.missing = true
		}
		if sh, role := s.cluster.placeOf(s); sh != nil {
			sh.roles.pulse.Saw(found.beat, s.cluster.now(), role == Primary)
		}
	}
	return nil
}

// warning says what an operator should look at.
func (p *probe) warning(found *probed) string {
	var list []string
	o := p.srv.cluster.options()
	if !p.srv.replica.Load() && found.readOnly {
		list = append(list, "the primary is read_only: writes get the server's error 1290")
	}
	if n := p.facts.maxConnections; n > 0 && n < o.MaxPerServer {
		list = append(list, fmt.Sprintf("the server's max_connections %d is less than pool.max_per_server %d", n, o.MaxPerServer))
	}
	if n := p.facts.maxUserConnections; n > 0 && n < o.MaxPerServer {
		list = append(list, fmt.Sprintf("the server's max_user_connections %d is less than pool.max_per_server %d", n, o.MaxPerServer))
	}
	return strings.Join(list, "; ")
}

// query asks one question; an ordinary SQL error is no answer but no failure.
func (p *probe) query(sql string) (*protocol.Result, error) { return queryTolerant(p.conn, sql) }

func queryTolerant(c *Conn, sql string) (*protocol.Result, error) {
	res, err := c.Query(sql)
	if err != nil && isSQLError(err) {
		return nil, nil
	}
	return res, err
}

// askReplication asks what the server replicates from, and how well.
func (p *probe) askReplication() (replication.Status, error) {
	forms := []string{p.lagSQL}
	if p.lagSQL == "" {
		forms = replication.Forms(p.facts.mariaDB)
	}
	var r replication.Status
	for _, form := range forms {
		res, err := p.conn.Query(form)
		wire, refused := sqlError(err)
		switch {
		case err == nil:
			p.lagSQL = form
			return replication.Read(res), nil
		case !refused:
			return r, err
		case isDenied(wire):
			privilege := "REPLICATION CLIENT"
			if p.facts.mariaDB {
				privilege = "REPLICA MONITOR (before MariaDB 10.5: REPLICATION CLIENT)"
			}
			r.LagWhy = fmt.Sprintf("the account '%s' may not run %s; GRANT it %s ON *.*", p.srv.cluster.options().User, form, privilege)
			return r, nil
		default:
			r.LagWhy = fmt.Sprintf("%s: %d %s", form, wire.Code, wire.Message)
		}
	}
	p.lagSQL = ""
	return r, nil
}
