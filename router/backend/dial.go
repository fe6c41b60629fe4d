package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"shardway/protocol"
)

const (
	// dialsAtOnce bounds the dials under way to a server whose newest dial
	// succeeded. To any other there is one.
	dialsAtOnce = 4
	// dialBackoff and dialBackoffMax bound the pause after failed dials.
	dialBackoff, dialBackoffMax = 100 * time.Millisecond, 5 * time.Second
)

// circuit decides when a pool may dial. The pool's lock guards it.
type circuit struct {
	proven   bool          // the newest dial succeeded
	failures int           // dials failed in a row
	retryAt  time.Duration // no dial before this
	err      error         // of the newest failure, nil after a success
	failedAt time.Time
	tokens   float64 // dials that the rate allows now
	filled   time.Duration
	primed   bool        // tokens and filled are set
	timer    *time.Timer // calls serve when a dial that was held back is due
}

// refusing says whether the server has lately refused more connections.
func (ci *circuit) refusing(now time.Duration) bool {
	return ci.err != nil && isBusy(ci.err) && now < ci.retryAt
}

func (ci *circuit) stop() {
	if ci.timer != nil {
		ci.timer.Stop()
		ci.timer = nil
	}
}

// succeeded closes the circuit.
func (ci *circuit) succeeded() {
	ci.proven, ci.failures, ci.retryAt, ci.err, ci.failedAt = true, 0, 0, nil, time.Time{}
}

// failed opens it for a while.
func (ci *circuit) failed(err error, now time.Duration) {
	ci.proven, ci.err, ci.failedAt = false, err, time.Now()
	ci.retryAt = now + backoff(ci.failures, dialBackoff, dialBackoffMax)
	ci.failures++
}

// describe says in words what holds dials back, and since when.
func (ci *circuit) describe(c *Cluster) (string, time.Time) {
	if ci.err == nil {
		return "", time.Time{}
	}
	if wait := ci.retryAt - c.now(); wait > 0 {
		return fmt.Sprintf("retry in %s after: %v", wait.Round(time.Millisecond), ci.err), ci.failedAt
	}
	return fmt.Sprintf("retry when needed after: %v", ci.err), ci.failedAt
}

// backoff doubles from least to most with each failure, spread by a fifth so that
// proxies that lost a server together don't return together.
func backoff(failures int, least, most time.Duration) time.Duration {
	d := most
	if failures < 16 {
		d = min(least<<failures, most)
	}
	return spread(d, 0.2)
}

// spread returns d changed at random by up to the given part of it.
func spread(d time.Duration, part float64) time.Duration {
	return time.Duration(float64(d) * (1 + part*(2*rand.Float64()-1)))
}

// admitDial says whether a dial may begin now; if not, but only time is missing,
// it sets the timer. The caller holds the lock.
func (p *pool) admitDial(now time.Duration) bool {
	ci := &p.circuit
	limit := 1
	if ci.proven {
		limit = dialsAtOnce
	}
	if p.dialing[kindPlain]+p.dialing[kindFoundRows] >= limit {
		return false // the end of one of them calls serve
	}
	if now < ci.retryAt {
		p.serveIn(ci.retryAt - now)
		return false
	}
	rate := float64(p.srv.cluster.options().DialRate)
	if !ci.primed {
		ci.tokens, ci.filled, ci.primed = rate, now, true
	}
	ci.tokens = min(rate, ci.tokens+rate*(now-ci.filled).Seconds())
	ci.filled = now
	if ci.tokens < 1 {
		p.serveIn(time.Duration((1-ci.tokens)/rate*float64(time.Second)) + time.Millisecond)
		return false
	}
	ci.tokens--
	return true
}

// serveIn calls serve after d, unless an earlier call is due. The caller holds
// the lock.
func (p *pool) serveIn(d time.Duration) {
	if p.circuit.timer != nil {
		return
	}
	p.circuit.timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.circuit.timer = nil
		p.serve(p.srv.cluster.now())
	})
}

// startDial begins one dial. The caller holds the lock.
func (p *pool) startDial(kind int) {
	p.dialing[kind]++
	p.counts.Dials++
	p.srv.cluster.running.Go(func() { p.dial(kind) })
}

// dial makes one connection for whoever is first in the queue when it is there.
func (p *pool) dial(kind int) {
	s, c := p.srv, p.srv.cluster
	began := c.now()
	ctx, cancel := context.WithTimeout(s.ctx, c.options().DialTimeout)
	conn, err := s.connect(ctx, kind == kindFoundRows)
	cancel()
	now := c.now()

	p.mu.Lock()
	p.dialing[kind]--
	p.counts.DialTime += now - began
	if err == nil {
		p.circuit.succeeded()
		why := p.place(conn, now)
		if why != "" {
			p.setBusy(+1) // until it is closed
		}
		p.serve(now)
		p.mu.Unlock()
		if why != "" {
			p.put(conn, why)
		}
		s.connected()
		return
	}
	p.counts.DialErrors++
	p.circuit.failed(err, now)
	if s.ctx.Err() != nil {
		p.mu.Unlock()
		return // close has told those who wait
	}
	if isBusy(err) {
		p.fail(errBusy, func(w *waiter) bool { return w.moves })
		p.serve(now)
		p.mu.Unlock()
		s.busy(err, false)
		return
	}
	p.mu.Unlock()
	s.down(err)
	// After the state, so that who is woken finds the server out.
	p.mu.Lock()
	p.fail(err, nil)
	p.mu.Unlock()
}

// connect dials, logs in, sets the session up and looks at the fence.
func (s *server) connect(ctx context.Context, foundRows bool) (*Conn, error) {
	generation := s.cluster.config.Load().login
	epoch := s.epoch.Load()
	wire, greeting, err := s.login(ctx, foundRows)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		Conn: wire, State: baseState,
		srv: s, greeting: greeting, foundRows: foundRows, login: generation, epoch: epoch,
	}
	err = c.Setup(ctx)
	if err == nil {
		err = c.checkFence(ctx)
	}
	if err != nil {
		wire.Close()
		return nil, err
	}
	return c, nil
}

// login dials and logs in.
func (s *server) login(ctx context.Context, foundRows bool) (*protocol.Conn, *protocol.Greeting, error) {
	cfg := s.cluster.options()
	o := protocol.DialOptions{
		Network: "tcp", Addr: s.addr,
		User: cfg.User, Password: cfg.Password,
		Collation: utf8mb4GeneralCI,
		TLS:       cfg.TLS, TLSConfig: cfg.TLSConfig,
		Capabilities: cfg.Capabilities, Attrs: cfg.Attrs, Compression: cfg.Compression,
		KeepAlive: cfg.KeepAlive, UserTimeout: cfg.UserTimeout,
	}
	if path, ok := strings.CutPrefix(s.addr, "unix:"); ok {
		o.Network, o.Addr = "unix", path
	}
	if foundRows {
		o.Capabilities |= protocol.CapFoundRows
	}
	return cfg.Dial(ctx, o)
}

// utf8mb4GeneralCI is the collation that every server knows; SET NAMES utf8mb4
// isn't needed after a login with it.
const utf8mb4GeneralCI = 45

// reason puts a failure into the words of a status line.
func (s *server) reason(err error) string {
	var wire *protocol.Error
	switch {
	case errors.As(err, &wire) && isRefusal(err):
		return fmt.Sprintf("login refused: %d %s; %s", wire.Code, wire.Message, loginFix(wire, s.cluster.options().User))
	case errors.As(err, &wire):
		return fmt.Sprintf("%d %s", wire.Code, wire.Message)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no answer within %s", s.cluster.options().DialTimeout)
	default:
		return err.Error()
	}
}
