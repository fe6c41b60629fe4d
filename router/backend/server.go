package backend

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"shardway/router/backend/health"
	"shardway/router/backend/policy"
	"shardway/router/backend/pulse"
	"shardway/router/backend/replication"
)

// server is one server of the map, with its pool, its health and its prober. It
// lives as long as maps name its address.
type server struct {
	cluster *Cluster
	addr    string
	hash    uint64
	pool    pool

	// health is replaced under Cluster.mu. epoch counts the server's outages: it
	// grows with each change to suspect or down, so that what began before can be
	// told from what began after.
	health atomic.Pointer[condition]
	epoch  atomic.Uint64
	// replica says that every shard of the map which names the server has it as a
	// replica.
	replica atomic.Bool

	// setup is the set-up statement that the server is known to understand, nil
	// until one connection had to find out.
	setup atomic.Pointer[string]

	warmup        policy.WarmUp
	cold          bool // the server was away, and warms up when it returns; Cluster.mu guards it
	latency       policy.Latency
	position      position
	reads, writes atomic.Uint64

	ctx    context.Context // ends when the server leaves the map
	cancel context.CancelFunc
	kick   chan struct{} // asks for a probe at once
	done   chan struct{} // closed when the prober has ended
	kills  chan struct{} // as many places as there may be side connections
}

// condition is what is known of a server; immutable.
type condition struct {
	state   health.State
	why     string
	since   time.Time
	at      time.Duration // since, as a time of Cluster.now
	refused bool          // down because the login was refused
	fenced  bool          // down because the map is older than the server's fence
	eject   ejection
	probed  probed
}

// probed is what an answered probe found.
type probed struct {
	at          time.Time // when it was asked
	facts       *facts    // nil until the server answered
	readOnly    bool
	replication replication.Status
	executed    replication.Executed
	beat        pulse.Beat
	heartbeat   string // why there is no heartbeat
	lag         health.Lag
	latency     time.Duration
	warning     string
}

func newServer(c *Cluster, addr string) *server {
	s := &server{
		cluster: c, addr: addr, hash: policy.ServerHash(addr),
		kick: make(chan struct{}, 1), done: make(chan struct{}), kills: make(chan struct{}, killsAtOnce),
	}
	s.pool.srv = s
	s.pool.login = c.config.Load().login
	s.health.Store(&condition{state: health.Connecting, since: time.Now()})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// leave ends the server: nobody gets a connection any more.
func (s *server) leave(err error) {
	s.cancel()
	s.pool.close(err)
}

// probeNow wakes the prober.
func (s *server) probeNow() {
	select {
	case s.kick <- struct{}{}:
	default: // one is asked for already
	}
}

// change replaces the health by what next makes of it, nil for no change, and
// says whether the state changed. Views of shards follow.
func (s *server) change(next func(old condition) *condition) bool {
	c := s.cluster
	c.mu.Lock()
	old := s.health.Load()
	h := next(*old)
	if h == nil {
		c.mu.Unlock()
		return false
	}
	changed := h.state != old.state
	if changed {
		h.since, h.at = time.Now(), c.now()
		if h.state == health.Suspect || h.state == health.Down {
			s.epoch.Add(1)
			s.position.forget()
		}
	}
	s.health.Store(h)
	if s.warms(old, h) || changed {
		c.rebuild(s)
	}
	after := c.judge(s)
	if h.probed.facts != old.probed.facts {
		c.relearn()
	}
	c.mu.Unlock()
	if changed || h.probed.warning != old.probed.warning {
		s.log(old, h)
	}
	for _, f := range after {
		f()
	}
	if changed && !s.replica.Load() && (h.state == health.Suspect || h.state == health.Down) {
		c.lookAround(s)
	}
	return changed
}

func (s *server) log(old, h *condition) {
	level := slog.LevelWarn
	if h.state == health.Up && h.probed.warning == "" {
		level = slog.LevelInfo
	}
	s.cluster.options().Log.LogAttrs(context.Background(), level, "server state",
		slog.String("addr", s.addr), slog.String("state", string(h.state)), slog.String("before", string(old.state)),
		slog.String("why", h.why), slog.String("warning", h.probed.warning))
}

// suspect takes note that a connection made in the given epoch broke.
func (s *server) suspect(epoch uint64, err error) {
	why := "a connection broke: " + s.reason(err)
	if !s.change(func(old condition) *condition {
		if s.epoch.Load() != epoch || old.state == health.Down || old.state == health.Suspect {
			return nil
		}
		old.state, old.why = health.Suspect, why
		old.eject.broke(s.cluster.now())
		return &old
	}) {
		return
	}
	s.pool.drop("failed", func(idleConn) bool { return true })
	s.pool.mu.Lock()
	s.pool.fail(err, func(w *waiter) bool { return w.role == Replica })
	s.pool.serve(s.cluster.now())
	s.pool.mu.Unlock()
	s.probeNow()
}

// down takes note that the server can't be connected to.
func (s *server) down(err error) {
	why, refused := s.reason(err), isRefusal(err)
	_, fenced := errors.AsType[*fenced](err)
	if !s.change(func(old condition) *condition {
		if old.state == health.Down && old.why == why {
			return nil
		}
		old.state, old.why, old.refused, old.fenced = health.Down, why, refused, fenced
		old.probed.lag.Unknown("the server is down")
		s.cold, old.eject = true, ejection{}
		return &old
	}) {
		return
	}
	s.pool.drop("failed", func(idleConn) bool { return true })
	s.pool.mu.Lock()
	s.pool.fail(err, nil)
	s.pool.mu.Unlock()
	s.probeNow()
}

// busy takes note that the server is alive but refuses more connections. blind
// says that the prober is among those refused, so that nobody knows the lag.
func (s *server) busy(err error, blind bool) {
	why := s.reason(err)
	s.change(func(old condition) *condition {
		if old.state == health.Busy && !blind || old.state == health.Lagging || old.state == health.Ejected {
			return nil
		}
		old.state, old.why, old.refused = health.Busy, why, false
		if blind {
			old.probed.lag.Unknown(why)
		}
		if s.needsLag() && !old.probed.lag.Known {
			old.state, old.why = health.Lagging, "lag unknown: "+why
		}
		return &old
	})
}

// connected takes note that a dial succeeded. Whether the server may serve is for
// the prober to say, unless only connections were missing.
func (s *server) connected() {
	if s.health.Load().state != health.Busy {
		return
	}
	s.change(func(old condition) *condition {
		if old.state != health.Busy {
			return nil
		}
		old.state, old.why = health.Up, ""
		return &old
	})
}

// needsLag says whether the server may serve reads only if its lag is known.
func (s *server) needsLag() bool {
	return s.replica.Load() && s.cluster.options().MaxLag > 0
}

// answered takes note of an answered probe that began in the given epoch. It says
// false if the server had an outage meanwhile, which the probe proves nothing
// about. dialed says that the probe began with a new connection.
func (s *server) answered(epoch uint64, p probed, dialed bool) bool {
	s.pool.mu.Lock()
	refusing := s.pool.circuit.Refusing(s.cluster.now())
	s.pool.mu.Unlock()
	if dialed {
		s.position.forget() // the server may have been restarted
	}
	current := true
	s.change(func(old condition) *condition {
		if s.epoch.Load() != epoch {
			current = false
			return nil
		}
		maxLag := s.cluster.options().MaxLag
		if !s.needsLag() {
			maxLag = 0
		}
		p.lag.InTime = old.probed.lag.InTime
		state, why := health.Judge(old.state, &p.lag, maxLag)
		if state == health.Up && old.state == health.Busy && refusing && !dialed {
			state, why = health.Busy, old.why
		}
		h := old
		h.state, h.why, h.refused, h.fenced, h.probed = state, why, false, false, p
		s.judgeEjection(&h)
		return &h
	})
	if current && p.facts != nil && !p.facts.mariaDB && !p.executed.Set.IsEmpty() {
		// What MariaDB's probe tells holds what is still being committed.
		s.reached(s.position.life.Load(), p.executed.Set)
	}
	if current && dialed {
		s.pool.mu.Lock()
		if !s.pool.circuit.Proven() {
			s.pool.circuit.Forgive() // one at a time until the pool's own dial succeeds
		}
		s.pool.serve(s.cluster.now())
		s.pool.mu.Unlock()
	}
	return current
}

func (s *server) status(sh *shard, m *member, v *view, o *Options) ServerStatus {
	h := s.health.Load()
	p := &h.probed
	sight := m.sight()
	st := ServerStatus{
		Addr: s.addr, Shard: m.shard, Role: m.role, MapRole: Replica,
		State: h.state, Why: h.why, Since: h.since, Eligible: m.eligible(o),
		Weight: m.weight, Zone: m.zone,
		ReadOnly: p.readOnly, Lag: p.lag.Behind, LagKnown: p.lag.Known, LagFrom: p.lag.From, Heartbeat: p.heartbeat,
		WarmUp: s.warmup.Share(s.cluster.now()), ReplicaOf: p.replication.Source, IO: p.replication.IO, SQL: p.replication.SQL,
		Position: p.executed.Position, SplitBrain: v.split != "",
		Latency: p.latency, Warning: p.warning,
		Reads: s.reads.Load(), Writes: s.writes.Load(),
	}
	if shardOf := s.cluster.mapShard(sh.id); shardOf != nil && shardOf.Primary.Addr == s.addr {
		st.MapRole = Primary
	}
	switch {
	case p.replication.Source != "":
		st.Observed = "replica"
	case p.replication.Known && p.facts != nil && !p.readOnly:
		st.Observed = "primary"
	}
	if h.state == health.Ejected {
		st.Ejected = time.Now().Add(h.eject.until - s.cluster.now())
	}
	warn := func(text string) {
		if st.Warning != "" {
			st.Warning += "; "
		}
		st.Warning += text
	}
	if stray := v.strays[s.addr]; stray != "" {
		st.Eligible = false
		warn(stray)
	}
	if v.split != "" && m.role == Primary {
		st.Eligible = false
	}
	if m.role == Primary && st.MapRole == Replica {
		warn("is used as the primary, which the map doesn't say yet")
	}
	if f := p.facts; f != nil {
		// MariaDB before 11 puts this before its version for the sake of old replicas.
		st.Version, st.ServerID = strings.TrimPrefix(f.version, "5.5.5-"), sight.ServerID
	}
	return st
}
