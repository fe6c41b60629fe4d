package router

import (
	"context"
	"strconv"
	"strings"
	"time"

	"shardway/protocol"
)

const (
	// watchEvery is how often the sessions are looked at.
	watchEvery = 250 * time.Millisecond
	// slow is how long a statement runs before its client is looked for: those that are quicker cost nothing.
	slow = 500 * time.Millisecond
)

// watch ends sessions whose client has left while its statement runs, and their statement with them, and those that
// have been idle for longer than their wait_timeout, or whose transaction has been open for too long. It is one goroutine for all sessions.
func (s *Server) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var all []*session
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		all = all[:0]
		for _, c := range s.sessions {
			all = append(all, c)
		}
		s.mu.Unlock()
		now := time.Now().UnixNano()
		o := s.options.Load()
		draining := s.claims.Draining()
		for _, c := range all {
			since := time.Duration(now - c.since.Load())
			switch limit := time.Duration(c.limit.Load()); {
			case c.overstays(o, since, now):
				s.watchers.Go(func() { c.cut(context.Background()) })
			case activity(c.doing.Load()) == idle:
				if draining {
					c.claim.Check(c.x.Gone)
				}
				if limit > 0 && since > limit && c.expired.CompareAndSwap(false, true) {
					_ = c.conn.SetReadDeadline(time.Unix(1, 0))
				}
			case since > slow && c.conn.PeerLeft() && c.cutting.CompareAndSwap(false, true):
				s.watchers.Go(func() {
					defer c.cutting.Store(false)
					c.cut(context.Background())
				})
			}
		}
		clear(all)
	}
}

// noteTransaction notes since when the session has a transaction open.
func (s *session) noteTransaction() {
	switch in := s.x.InTransaction(); {
	case in && s.inTx.Load() == 0:
		s.inTx.Store(s.since.Load())
	case !in && s.inTx.Load() != 0:
		s.inTx.Store(0)
	}
}

// overstays says, once, that a session's transaction is older than it may be, or that its client has been idle in it
// for too long. Its end rolls the transaction back.
func (s *session) overstays(o *Options, since time.Duration, now int64) bool {
	began := s.inTx.Load()
	if began == 0 || o.TxMaxAge <= 0 && o.TxIdle <= 0 {
		return false
	}
	age := time.Duration(now - began)
	isIdle := activity(s.doing.Load()) == idle
	why := ""
	switch {
	case o.TxIdle > 0 && isIdle && since > o.TxIdle:
		why = "idle for longer than transactions.idle_timeout"
	case o.TxMaxAge > 0 && age > o.TxMaxAge:
		why = "open for longer than transactions.max_age"
	}
	if why == "" || !s.cutting.CompareAndSwap(false, true) {
		return false
	}
	o.Log.Warn("a transaction is rolled back and its session ended", "session", s.id, "client", s.addr, "why", why, "age", age)
	return true
}

// defaultIdle is the servers' own default of wait_timeout.
const defaultIdle = 8 * time.Hour

// idleLimit is how long the client may be idle: its session's wait_timeout, which for an interactive client begins as
// the servers' interactive_timeout.
func (s *session) idleLimit() time.Duration {
	if own := s.x.Variable("wait_timeout"); own != "" {
		if n, err := strconv.ParseUint(unquoted(own), 10, 32); err == nil && n > 0 {
			return time.Duration(n) * time.Second
		}
	}
	learned := s.srv.options.Load().Executor.Cluster().Learned()
	limit := learned.WaitTimeout
	if s.interactive {
		limit = learned.InteractiveTimeout
	}
	if limit <= 0 {
		return defaultIdle
	}
	return limit
}

// sayExpired tells a client that was idle for too long why it is left, as MySQL does; MariaDB says nothing.
func (s *session) sayExpired() {
	if !s.expired.Load() || strings.Contains(s.srv.options.Load().Executor.Cluster().Learned().Version, "MariaDB") {
		return
	}
	_ = s.conn.SetDeadline(time.Now().Add(time.Second))
	if s.conn.WriteError(protocol.Errorf(4031, "HY000", "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior.")) == nil {
		_ = s.conn.Flush() // it may have left
	}
}
