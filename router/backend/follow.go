package backend

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"shardway/router/backend/health"
	"shardway/router/backend/pulse"
	"shardway/router/backend/roles"
	"shardway/shardmap"
	"shardway/shardmap/gtid"
)

const (
	// outageGap is the time between two answered probes of a primary that counts
	// as an outage: others may have replaced the primary meanwhile.
	outageGap = 2 * time.Second
	// decideWithin is how long writes wait at the start for the members that don't
	// answer: one of them might be the primary.
	decideWithin = time.Second
	// refusedAgain bounds how often a refused write makes a shard's members be probed.
	refusedAgain = 100 * time.Millisecond
)

// shardRoles is what a cluster knows of the roles in one shard. It outlives the
// snapshots, as the observed roles outlive a map that doesn't know them yet.
type shardRoles struct {
	pulse  pulse.Pulse
	urgent atomic.Bool  // the primary takes no writes: look often
	looked atomic.Int64 // Cluster.now of the newest lookAround

	// Cluster.mu guards the rest.
	mapped      string    // the map's primary
	primary     string    // the primary in use: mapped, or who was promoted since
	since       time.Time // when that began: what was seen before says nothing about it
	decided     bool      // who is the primary was judged once, with all members seen
	established bool
	seen        time.Time // the newest sight of the primary in use
	known       gtid.Set  // what it had then
	banned      string    // the primary before it
	verdict     roles.Verdict
}

// follow takes over what the map says. A promotion that was observed stays in
// force while the map still names the primary of before. The caller holds
// Cluster.mu.
func (r *shardRoles) follow(mapped string, isMember func(addr string) bool) {
	if r.mapped == mapped && isMember(r.primary) {
		return
	}
	if r.primary != mapped {
		r.primary, r.since, r.established, r.seen, r.known = mapped, time.Now(), false, time.Time{}, gtid.Set{}
		r.verdict = roles.Verdict{Primary: mapped}
	}
	if r.mapped != mapped && r.banned == mapped {
		r.banned = ""
	}
	r.mapped = mapped
}

// seat gives the shard's members the roles that are in force.
func (s *shard) seat() {
	at := slices.IndexFunc(s.replicas, func(m *member) bool { return m.srv.addr == s.roles.primary })
	if at < 0 {
		return
	}
	heir, former := *s.replicas[at], *s.primary
	heir.role, former.role = Primary, Replica
	s.primary, s.replicas = &heir, slices.Clone(s.replicas)
	s.replicas[at] = &former
}

// names says whether the server is a member of the shard.
func (s *shard) names(srv *server) bool {
	return s.primary.srv == srv || slices.ContainsFunc(s.replicas, func(m *member) bool { return m.srv == srv })
}

// placeOf is the first shard that names the server, and the server's role there.
func (c *Cluster) placeOf(s *server) (*shard, Role) {
	for _, sh := range c.snapshot.Load().order {
		switch {
		case sh.primary.srv == s:
			return sh, Primary
		case sh.names(s):
			return sh, Replica
		}
	}
	return nil, Replica
}

// writable says whether the shard's primary may be written to.
func (c *Cluster) writable(s *shard) bool {
	v := s.view.Load()
	return v.primary != nil && !v.deciding
}

// sight is what was last seen of the member.
func (m *member) sight() roles.Sight {
	h := m.srv.health.Load()
	p := &h.probed
	s := roles.Sight{
		Shard: m.shard, Addr: m.srv.addr, Role: m.role, State: h.state, Since: h.since, Seen: p.at,
		ReadOnly: p.readOnly, SourceKnown: p.replication.Known, ReplicaOf: p.replication.Source, SourceID: p.replication.SourceID,
		IO: p.replication.IO, SQL: p.replication.SQL, GTID: p.executed.Set, Position: p.executed.Position,
	}
	if p.facts != nil {
		s.ServerID = p.facts.serverID
	}
	return s
}

// Sights gives what was last seen of every server of every shard, in the order of
// Servers.
func (c *Cluster) Sights() []roles.Sight {
	var list []roles.Sight
	c.eachMember(func(m *member) { list = append(list, m.sight()) })
	return list
}

// judge looks at the roles in the shards that name the server again, and returns
// what is left to do when mu is free. The caller holds mu.
func (c *Cluster) judge(s *server) (after []func()) {
	for _, sh := range c.snapshot.Load().order {
		if sh.names(s) {
			after = append(after, c.judgeShard(sh)...)
		}
	}
	return after
}

func (c *Cluster) judgeShard(sh *shard) []func() {
	if sh.gate.paused.Load() != nil {
		return nil // whoever has paused the shard changes its roles, and the map then says how
	}
	r := sh.roles
	st := roles.Standing{Primary: r.primary, Banned: r.banned}
	for _, m := range append([]*member{sh.primary}, sh.replicas...) {
		s := m.sight()
		if s.Seen.Before(r.since) {
			s.Seen = time.Time{}
		}
		st.Sights = append(st.Sights, s)
	}
	primary := &st.Sights[0]
	if primary.State == health.Down || !r.seen.IsZero() && primary.Seen.Sub(r.seen) > outageGap {
		r.established = false
	}
	if primary.Answers() {
		r.seen, r.known = primary.Seen, primary.GTID
	}
	for i := range st.Sights {
		// A former primary that has rejoined may be promoted again.
		if s := &st.Sights[i]; s.Addr == r.banned && s.Answers() && s.ReplicaOf != "" {
			r.banned, st.Banned = "", ""
		}
	}
	st.Established, st.Known = r.established, r.known
	v := roles.Judge(&st)
	r.urgent.Store(v.Kind != roles.Steady || primary.State == health.Down || primary.ReadOnly)
	if v.Kind == roles.Promoted {
		return c.promote(sh, v)
	}
	waits := slices.ContainsFunc(st.Sights, func(s roles.Sight) bool { return s.State == health.Connecting })
	if v.Kind == roles.Steady && primary.Answers() && !primary.ReadOnly && !waits {
		r.established = true
	}
	decided := r.decided
	r.decided = r.decided || !waits || time.Since(r.since) > decideWithin
	same := v.Equal(&r.verdict)
	before := r.verdict
	r.verdict = v
	if !same || decided != r.decided {
		sh.rebuild(c.options())
	}
	if same {
		return nil
	}
	return []func(){func() { c.logVerdict(sh.id, &before, &v) }}
}

// promote makes another member the shard's primary. The caller holds mu.
func (c *Cluster) promote(sh *shard, v roles.Verdict) []func() {
	r := sh.roles
	from, former := r.primary, sh.primary.srv
	r.decided, r.banned, r.primary, r.since, r.established, r.seen, r.known = true, from, v.Primary, time.Now(), false, time.Time{}, gtid.Set{}
	r.verdict = roles.Verdict{Primary: v.Primary, Strays: v.Strays}

	old := c.snapshot.Load()
	next := &snapshot{m: old.m, shards: maps.Clone(old.shards), order: slices.Clone(old.order), servers: old.servers}
	seated := &shard{id: sh.id, turn: sh.turn, gate: sh.gate, roles: r, primary: sh.primary, replicas: sh.replicas}
	seated.seat()
	next.shards[sh.id] = seated
	next.order[slices.Index(next.order, sh)] = seated
	for addr, s := range next.servers {
		s.replica.Store(!next.isPrimary(addr))
	}
	seated.rebuild(c.options())
	c.snapshot.Store(next)
	// Whoever has loaded the snapshot of before must not find the former primary.
	stale := *sh.view.Load()
	stale.primary = nil
	sh.view.Store(&stale)
	seated.gate.ring()
	c.relearn()

	return []func(){func() {
		o := c.options()
		o.Log.LogAttrs(context.Background(), slog.LevelWarn, "another primary is followed",
			slog.String("shard", sh.id), slog.String("from", from), slog.String("to", v.Primary), slog.String("why", v.Why))
		former.cut()
		seated.probeNow()
		if o.OnPromoted != nil {
			c.running.Go(func() { o.OnPromoted(sh.id, from, v.Primary) })
		}
	}}
}

// errDemoted is what those who wait for a connection to a former primary get.
var errDemoted = errors.New("the server is no longer the primary")

// cut closes all connections to a server that is no longer the primary, so that
// none of those in use writes to it once more.
func (s *server) cut() {
	s.pool.drop("demoted", func(idleConn) bool { return true })
	s.pool.mu.Lock()
	s.pool.fail(errDemoted, func(w *waiter) bool { return w.role == Primary })
	for conn := s.pool.inUse.first; conn != nil; conn = conn.next {
		conn.Conn.Close() // its holder finds out at the next read or write
	}
	s.pool.mu.Unlock()
}

// probeNow wakes the probers of all members.
func (s *shard) probeNow() {
	s.primary.srv.probeNow()
	for _, m := range s.replicas {
		m.srv.probeNow()
	}
}

// lookAround has all members of the server's shards probed, because what the
// server did makes one doubt its role.
func (c *Cluster) lookAround(s *server) {
	for _, sh := range c.snapshot.Load().order {
		if !sh.names(s) {
			continue
		}
		now := c.now()
		before := sh.roles.looked.Load()
		if before != 0 && now-time.Duration(before) < refusedAgain || !sh.roles.looked.CompareAndSwap(before, max(int64(now), 1)) {
			continue
		}
		sh.probeNow()
	}
}

// Refused takes note of an error that the server answered to a statement, and
// keeps the connection. One that says the server is read-only has the shard's
// servers looked at: another one may be the primary now.
func (c *Conn) Refused(code uint16) {
	if (code == codeReadOnly || code == codeReadOnlyMode) && c.member.role == Primary {
		c.srv.cluster.lookAround(c.srv)
	}
}

func (c *Cluster) logVerdict(id string, before, v *roles.Verdict) {
	log := func(level slog.Level, message string, attrs ...slog.Attr) {
		c.options().Log.LogAttrs(context.Background(), level, message, append([]slog.Attr{slog.String("shard", id)}, attrs...)...)
	}
	switch {
	case v.Kind == roles.Split:
		log(slog.LevelError, "split brain: writes are refused", slog.String("why", v.Why))
		return
	case before.Kind == roles.Split:
		log(slog.LevelInfo, "the split brain is over", slog.String("primary", v.Primary))
	}
	for _, addr := range slices.Sorted(maps.Keys(v.Strays)) {
		if before.Strays[addr] != v.Strays[addr] {
			log(slog.LevelError, "a server is used for nothing", slog.String("addr", addr), slog.String("why", v.Strays[addr]))
		}
	}
}

// mapShard is what the map says of a shard, nil if nothing.
func (c *Cluster) mapShard(id string) *shardmap.Shard {
	m := c.snapshot.Load().m
	if m == nil {
		return nil
	}
	return m.Shard(id)
}

// heirless says why no other member is used as the primary, where one looks like it.
func (s *shard) heirless() string {
	for _, m := range s.replicas {
		if why := s.view.Load().strays[m.srv.addr]; why != "" {
			return "; " + m.srv.addr + " isn't used instead: " + why
		}
	}
	return ""
}
