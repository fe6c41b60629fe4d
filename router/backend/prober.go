package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"shardway/protocol"
)

const (
	// probeBackoff and probeBackoffMax bound the pause between probes of a server
	// that doesn't answer.
	probeBackoff, probeBackoffMax = 200 * time.Millisecond, 2 * time.Second
	// relearnAfter is the age at which what a server says about itself is asked
	// for again.
	relearnAfter = 30 * time.Second
)

// prober probes the server until it leaves the map. It is the one that finds a
// server back again, and the only place where lag is looked at.
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
			pause = spread(s.cluster.options().ProbeInterval, 0.1)
		case isBusy(err):
			failures = 0
			s.busy(err, true)
			pause = spread(s.cluster.options().ProbeInterval, 0.1)
		default:
			s.down(err)
			s.interruptLost()
			pause = backoff(failures, probeBackoff, probeBackoffMax)
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

// probe is the prober's own connection and what it found out by it.
type probe struct {
	srv     *server
	conn    *Conn
	facts   *facts
	learned time.Time
	lagSQL  string // the form of SHOW REPLICA STATUS that the server knows; "" before one was tried
}

// run makes one probe, on the connection at hand or else on a new one. A server
// that is down must prove that it accepts connections. dialed says that it did.
func (p *probe) run() (found probed, dialed bool, err error) {
	s := p.srv
	cfg := s.cluster.config.Load()
	ctx, cancel := context.WithTimeout(s.ctx, cfg.DialTimeout)
	defer cancel()
	if p.conn != nil && (p.conn.login != cfg.login || s.health.Load().state == StateDown) {
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
	p.conn, err = s.connect(ctx, false)
	if err != nil {
		return found, false, err
	}
	p.facts, p.lagSQL = nil, ""
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

	began := time.Now()
	res, err := p.query("SELECT " + p.facts.readOnlyColumns())
	if err != nil {
		return found, err
	}
	found.latency = time.Since(began)
	if res != nil && len(res.Rows) == 1 && p.facts.readOnlyVars > 0 {
		for _, v := range res.Rows[0] {
			if v != nil && (*v == "1" || strings.EqualFold(*v, "ON")) {
				found.readOnly = true
			}
		}
	}
	if s.needsLag() {
		if err := p.askLag(&found); err != nil {
			return found, err
		}
	}
	found.warning = p.warning(&found)
	return found, nil
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

// The forms of the statement that shows replication, with who knows them: MariaDB
// (every connection to a source at once), MySQL 8.0.22 and later, those before.
const (
	lagMariaDB = "SHOW ALL SLAVES STATUS"
	lagMySQL   = "SHOW REPLICA STATUS"
	lagOld     = "SHOW SLAVE STATUS"
)

// askLag finds the lag, or why it isn't known.
func (p *probe) askLag(found *probed) error {
	forms := []string{p.lagSQL}
	switch {
	case p.lagSQL != "":
	case p.facts.mariaDB:
		forms = []string{lagMariaDB, lagMySQL, lagOld}
	default:
		forms = []string{lagMySQL, lagOld}
	}
	for _, form := range forms {
		res, err := p.conn.Query(form)
		var wire *protocol.Error
		switch {
		case err == nil:
			p.lagSQL = form
			found.lag, found.lagKnown, found.lagWhy = readLag(res)
			return nil
		case !errors.As(err, &wire) || !isSQLError(err):
			return err
		case wire.Code == codeSpecificAccess || wire.Code == codeDBAccessDenied || wire.Code == codeAccessDenied:
			privilege := "REPLICATION CLIENT"
			if p.facts.mariaDB {
				privilege = "REPLICA MONITOR (before MariaDB 10.5: REPLICATION CLIENT)"
			}
			found.lagWhy = fmt.Sprintf("the account '%s' may not run %s; GRANT it %s ON *.*", p.srv.cluster.options().User, form, privilege)
			return nil
		default:
			found.lagWhy = fmt.Sprintf("%s: %d %s", form, wire.Code, wire.Message)
		}
	}
	p.lagSQL = ""
	return nil
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
