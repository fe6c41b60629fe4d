package backend

import (
	"time"

	"shardway/shardmap/gtid"
)

// maxWrites bounds the positions that a Trail keeps one by one.
const maxWrites = 64

// Trail is where one session has been on one shard: whom it read last, and what it
// has written since. A server may serve the session's next read if it has both:
// the writes, and all that was seen. It belongs to the session's goroutine; the
// zero Trail has been nowhere.
type Trail struct {
	Shard string

	last *server // who was read last; nil for nobody
	life uint64  // of last's position, when it was read
	mark uint64  // Cluster.samples when that read had ended

	wrote  []string // positions of the writes since, as the server told them
	parsed int      // how many of them are in need
	need   gtid.Set
	// blind says that a write since has no position, only that the primary has
	// it; local that a write isn't replicated at all.
	blind, local bool
	// read says that the open transaction has read at the primary.
	read bool
}

// Wrote takes over the position of a write, as the primary told it.
func (t *Trail) Wrote(c *Conn, position string) {
	c.srv.position.reports.Store(true)
	if len(t.wrote) >= maxWrites {
		t.Visited(c, true)
		return
	}
	t.wrote = append(t.wrote, position)
}

// Reports says whether the connection's server has ever told the position of a
// write, so that one without a position changed nothing.
func (c *Conn) Reports() bool { return c.srv.position.reports.Load() }

// Read takes over that a read has ended on c, which had all that the session
// needed, or that the open transaction has read there.
func (t *Trail) Read(c *Conn) {
	t.visited(c.srv)
	t.read = false
}

// Visited takes over that the session has been at the primary, reading or, if
// blind, perhaps writing something whose position isn't known.
func (t *Trail) Visited(c *Conn, blind bool) {
	t.Read(c)
	t.blind = blind
}

// InTransaction takes over that the open transaction has read at the primary.
func (t *Trail) InTransaction() { t.read = true }

// HasRead says whether it has.
func (t *Trail) HasRead() bool { return t.read }

// Unreplicated takes over a write that no replica will ever have: the primary
// serves the session's reads from now on.
func (t *Trail) Unreplicated() { t.local = true }

func (t *Trail) visited(s *server) {
	t.last, t.life, t.mark = s, s.position.life.Load(), s.cluster.samples.Load()
	t.wrote, t.parsed, t.need, t.blind = t.wrote[:0], 0, gtid.Set{}, false
}

// writes returns what the session has written since it read last.
func (t *Trail) writes() gtid.Set {
	for ; t.parsed < len(t.wrote); t.parsed++ {
		if set, err := gtid.Parse(t.wrote[t.parsed]); err == nil {
			t.need = t.need.Union(set)
		}
	}
	return t.need
}

// bound returns what holds all that the session can have seen; false if nobody was
// asked for it since.
func (t *Trail) bound(primary *server) (gtid.Set, bool) {
	if t.last == nil {
		return gtid.Set{}, true
	}
	if set, ok := t.last.position.since(t.life, t.mark); ok {
		return set, true
	}
	if primary != nil && primary != t.last {
		return primary.position.since(primary.position.life.Load(), t.mark)
	}
	return gtid.Set{}, false
}

// home says whether s is the server that the session read last, and hasn't become
// another one.
func (t *Trail) home(s *server) bool { return t.last == s && t.life == s.position.life.Load() }

// has says whether a server is known to have all that the session needs.
func (t *Trail) has(s, primary *server) bool {
	if len(t.wrote) > 0 && !s.position.has(t.writes()) {
		return false
	}
	if t.last == nil || t.home(s) {
		return true
	}
	set, ok := t.bound(primary)
	return ok && s.position.has(set)
}

// homeIn returns the replica that the session read last, if it is eligible.
func (t *Trail) homeIn(v *view) *member {
	for _, m := range v.eligible {
		if t.home(m.srv) {
			return m
		}
	}
	return nil
}

// stays is homeIn if that replica also has what the session has written since, so
// that it may go on there whatever the others have.
func (t *Trail) stays(v *view) *member {
	if m := t.homeIn(v); m != nil && (len(t.wrote) == 0 || m.srv.position.has(t.writes())) {
		return m
	}
	return nil
}

// prefer returns m, which the policy has chosen, or who is better for the session.
// Where replicas serve in turn one is owed a turn that another one took only because
// nobody was asked what the session has seen, and gets it from the next session
// that is free to read there: so the policy stays exact over many reads.
func (t *Trail) prefer(v *view, m *member, primary *server, stay bool, now time.Duration) *member {
	if v.policy != PolicyRoundRobin && v.policy != PolicyWeighted {
		return t.suits(v, m, primary, stay, now)
	}
	owed := m
	for _, other := range v.eligible {
		if credit := other.srv.position.credit.Load(); credit > 0 && credit > owed.srv.position.credit.Load() && t.has(other.srv, primary) {
			owed = other
		}
	}
	if owed != m {
		swap(m, owed)
		return owed
	}
	chosen := t.suits(v, m, primary, stay, now)
	if chosen != m && chosen.role == Replica {
		if _, seen := t.bound(primary); !seen {
			swap(m, chosen)
		}
	}
	return chosen
}

// swap notes that taker serves a turn of owner.
func swap(owner, taker *member) {
	owner.srv.position.owe(1)
	taker.srv.position.owe(-1)
}

// suits returns m, or who is better for the session.
func (t *Trail) suits(v *view, m *member, primary *server, stay bool, now time.Duration) *member {
	if t.has(m.srv, primary) {
		return m
	}
	home := t.stays(v)
	if home != nil && !stay && now-time.Duration(m.srv.position.asked.Load()) >= askAgain {
		if _, seen := t.bound(primary); seen {
			return m // Conn.Has finds out
		}
	}
	if v.policy != PolicyClientIPHash {
		for _, other := range v.eligible {
			if other != home && other != m && t.serves(v, other) && t.has(other.srv, primary) {
				return other
			}
		}
	}
	if home != nil {
		return home
	}
	// Somebody has to be waited for: the replica read last, if nobody can tell what
	// the session saw there.
	if last := t.homeIn(v); last != nil && last != m {
		if _, ok := t.bound(primary); !ok {
			m = last
		}
	}
	if !m.srv.position.cools(now) {
		return m
	}
	if v.policy != PolicyClientIPHash {
		for _, other := range v.eligible {
			if t.serves(v, other) && !other.srv.position.cools(now) {
				return other
			}
		}
	}
	if v.fallback && v.primary != nil {
		return v.primary
	}
	return m
}

// serves says whether the policy lets a replica serve at all.
func (t *Trail) serves(v *view, m *member) bool { return v.policy != PolicyWeighted || m.weight > 0 }

// MustAsk says whether nobody can tell yet what the session has seen, so that the
// primary has to be asked for its position before a replica can serve the next
// read.
func (c *Cluster) MustAsk(t *Trail) bool {
	s := c.snapshot.Load().shards[t.Shard]
	if s == nil || t.last == nil {
		return false
	}
	if _, ok := t.bound(s.primary.srv); ok {
		return false
	}
	v := s.view.Load()
	now := c.now()
	if m := t.homeIn(v); m != nil && (t.stays(v) != nil || !m.srv.position.cools(now)) {
		return false
	}
	for _, m := range v.eligible {
		if !m.srv.position.cools(now) {
			return true
		}
	}
	return false // the primary serves, or the wait is in vain
}

// OnlyPrimary says whether the primary alone can serve the session's reads: its
// writes have no positions, since the shard's servers have no GTIDs.
func (c *Cluster) OnlyPrimary(t *Trail) bool {
	if t.local {
		return true
	}
	if t.blind && t.last != nil && t.last.position.off.Load() {
		t.local = true
	}
	return t.local
}

// Lost takes over that a write was lost on its way to the primary.
func (c *Cluster) Lost(t *Trail) {
	if s := c.snapshot.Load().shards[t.Shard]; s != nil {
		t.visited(s.primary.srv)
		t.blind, t.read = true, false
	}
}

// FallsBack says whether the primary may serve reads that no replica can.
func (c *Cluster) FallsBack() bool { return c.options().FallbackToPrimary }

// CausalReads says whether sessions begin with causal reads.
func (c *Cluster) CausalReads() bool { return c.options().CausalReads }

// Has says whether the connection's server is known to have all that the session
// needs. A primary has.
func (c *Conn) Has(t *Trail) bool {
	return c.member.role == Primary || t.has(c.srv, c.primary())
}

// primary is the server that is the primary of the connection's shard now.
func (c *Conn) primary() *server {
	if s := c.srv.cluster.snapshot.Load().shards[c.member.shard]; s != nil {
		return s.primary.srv
	}
	return nil
}

// MayStay says whether the session can go on at the replica that it read last.
func (c *Conn) MayStay(t *Trail) bool {
	s := c.srv.cluster.snapshot.Load().shards[c.member.shard]
	return s != nil && t.stays(s.view.Load()) != nil
}

// Moves says whether a read at c needs any proof.
func (c *Conn) Moves(t *Trail) bool {
	return len(t.wrote) > 0 || t.last != nil && t.last != c.srv
}
