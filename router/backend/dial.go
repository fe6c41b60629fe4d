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

// admitDial says whether a dial may begin now; if not, but only time is missing,
// it sets the timer. The caller holds the lock.
func (p *pool) admitDial(now time.Duration) bool {
	ok, wait := p.circuit.Admit(now, p.queue.dials, p.srv.cluster.options().DialRate)
	if wait > 0 {
		p.serveIn(wait)
	}
	return ok
}

// serveIn calls serve after d, unless an earlier call is due. The caller holds
// the lock.
func (p *pool) serveIn(d time.Duration) {
	if p.timer != nil {
		return
	}
	p.timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.timer = nil
		p.serve(p.srv.cluster.now())
	})
}

// startDial begins one dial. The caller holds the lock.
func (p *pool) startDial(l *lane) {
	l.dialing++
	p.queue.dials++
	p.counts.Dials++
	kind := l.kind
	p.srv.cluster.running.Go(func() { p.dial(l, kind) })
}

// dial makes one connection for whoever of the lane's is first in the queue when
// it is there.
func (p *pool) dial(l *lane, kind kind) {
	s, c := p.srv, p.srv.cluster
	began := c.now()
	ctx, cancel := context.WithTimeout(s.ctx, c.options().DialTimeout)
	conn, err := s.connect(ctx, kind)
	cancel()
	now := c.now()
	if err == nil {
		s.connected() // before anybody has the connection and may ask for the state
	}

	p.mu.Lock()
	l.dialing--
	p.queue.dials--
	p.queue.close(l)
	p.counts.DialTime += now - began
	if err == nil {
		p.circuit.Succeeded()
		why := p.place(conn, now)
		if why != "" {
			p.setBusy(+1) // until it is closed
		}
		p.serve(now)
		p.mu.Unlock()
		if why != "" {
			p.put(conn, why)
		}
		return
	}
	p.counts.DialErrors++
	if s.ctx.Err() != nil {
		p.mu.Unlock()
		return // close has told those who wait
	}
	if isBusy(err) {
		p.circuit.Failed(err, true, now)
		p.fail(errBusy, func(w *waiter) bool { return w.moves })
		if p.queue.head != nil {
			p.evict() // the server may then have room for who waits
		}
		p.serve(now)
		p.mu.Unlock()
		s.busy(err, false)
		return
	}
	p.mu.Unlock()
	s.down(err)
	// After the state, so that who is refused or woken finds the server out, and why.
	p.mu.Lock()
	p.circuit.Failed(err, false, now)
	p.fail(err, nil)
	p.mu.Unlock()
}

// connect dials, logs in, sets the session up and looks at the fence.
func (s *server) connect(ctx context.Context, kind kind) (*Conn, error) {
	generation := s.cluster.config.Load().login
	epoch := s.epoch.Load()
	wire, greeting, err := s.login(ctx, kind)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		Conn: wire, State: baseState,
		srv: s, greeting: greeting, kind: kind, login: generation, epoch: epoch,
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
func (s *server) login(ctx context.Context, kind kind) (*protocol.Conn, *protocol.Greeting, error) {
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
	if cfg.ProxyProtocol {
		o.Proxy = kind.header()
	}
	if kind.login&loginFoundRows != 0 {
		o.Capabilities |= protocol.CapFoundRows
	}
	if kind.login&loginExtended != 0 {
		o.Capabilities |= protocol.CapExtendedMetadata
	}
	wire, greeting, err := cfg.Dial(ctx, o)
	if o.Proxy != nil && mistaken(err) {
		err = fmt.Errorf("%w; %w", errHeader, err)
	}
	return wire, greeting, err
}

// utf8mb4GeneralCI is the collation that every server knows; SET NAMES utf8mb4
// isn't needed after a login with it.
const utf8mb4GeneralCI = 45

// reason puts a failure into the words of a status line.
func (s *server) reason(err error) string {
	var wire *protocol.Error
	switch {
	case errors.Is(err, errHeader):
		return err.Error()
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
