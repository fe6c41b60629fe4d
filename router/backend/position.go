package backend

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shardway/protocol"
	"shardway/shardmap/gtid"
)

// Causal reads rest on two bounds for each server, both learned by asking it for
// its position:
//
//   - known is a lower one: transactions that every read begun from now on sees.
//   - upper is an upper one: a read that ended before the position was asked for
//     saw nothing outside of it.
//
// They differ by what is being committed, since servers show a transaction a
// moment before they count it as executed. docs/design/0006-causal-reads.md has
// the argument.

const (
	// coolDown is how long nobody waits for a replica on which a wait was in vain.
	coolDown = time.Second
	// askAgain is the age from which on a server's known position is too old to
	// keep a session from moving there: it is asked first.
	askAgain = 10 * time.Millisecond
	// sampleAlways is the number of connections in use below which each read of
	// a server is followed by a sample; above, one of sampleShare is.
	sampleAlways, sampleShare = 8, 8
	// sampleTimeout bounds how long an answer to Sample may take.
	sampleTimeout = time.Second
	// waitMargin is what a wait may take longer than its server was asked to wait.
	waitMargin = 100 * time.Millisecond
	// maxWrites bounds the positions that a Trail keeps one by one.
	maxWrites = 64
)

// The questions for a server's position. MySQL's gtid_owned comes first: a
// transaction leaves it after gtid_executed has it.
var (
	sampleMySQL   = []byte("SELECT @@global.gtid_owned,@@global.gtid_executed,@@global.gtid_mode='ON'")
	sampleMariaDB = []byte("SELECT @@global.gtid_binlog_pos,@@global.gtid_slave_pos,@@global.log_bin AND @@global.log_slave_updates")
)

// position is what is known of the transactions of one server.
type position struct {
	known atomic.Pointer[gtid.Set]
	upper atomic.Pointer[gtid.Set]
	// at is the number of the newest sample; upper is at least as new. asked is
	// when known was learned, a time of Cluster.now.
	at    atomic.Uint64
	asked atomic.Int64
	// off says that the server has no GTIDs, reports that it has told one.
	off, reports atomic.Bool
	// cool is until when nobody waits, a time of Cluster.now.
	cool atomic.Int64
	turn atomic.Uint64
	// life grows when the server may have become another one.
	life atomic.Uint64

	mu  sync.Mutex // of those who write
	row []byte     // the newest sample as it came
}

// forget drops what an outage may have made untrue: a server that comes back may
// be another one, made of an older copy.
func (p *position) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life.Add(1)
	p.known.Store(nil)
	p.upper.Store(nil)
	p.at.Store(0)
	p.row = p.row[:0]
	p.off.Store(false)
	p.reports.Store(false)
	p.cool.Store(0)
}

func (p *position) has(need gtid.Set) bool {
	if need.IsEmpty() {
		return true
	}
	known := p.known.Load()
	return known != nil && known.Contains(need)
}

// since returns a bound of what reads saw that ended at mark. A server without
// GTIDs has none: what it shows can't be compared.
func (p *position) since(mark uint64) (gtid.Set, bool) {
	if p.off.Load() {
		return gtid.Set{}, true
	}
	if p.at.Load() <= mark {
		return gtid.Set{}, false
	}
	if upper := p.upper.Load(); upper != nil {
		return *upper, true
	}
	return gtid.Set{}, false
}

// reached takes over that the server has executed a set. life is what
// position.life was when the server was asked.
func (s *server) reached(life uint64, set gtid.Set) {
	p := &s.position
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Load() == life {
		p.reach(set)
		p.asked.Store(int64(s.cluster.now()))
	}
}

func (p *position) reach(set gtid.Set) {
	if known := p.known.Load(); known != nil && !set.Contains(*known) {
		set = set.Union(*known)
	}
	p.known.Store(&set)
}

// sampled takes over an answer to the sample with the number at.
func (s *server) sampled(life, at uint64, row []byte, mariaDB, primary bool) error {
	p := &s.position
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Load() != life || at <= p.at.Load() {
		return nil
	}
	if !bytes.Equal(row, p.row) || p.known.Load() == nil {
		known, upper, whole, err := readSample(row, mariaDB)
		if err != nil {
			return err
		}
		p.off.Store(!mariaDB && !whole)
		p.reach(known)
		if mariaDB && !primary && !whole {
			p.row = p.row[:0] // no bound; see design 0006
			p.asked.Store(int64(s.cluster.now()))
			return nil
		}
		p.upper.Store(&upper)
		p.row = append(p.row[:0], row...)
	}
	p.asked.Store(int64(s.cluster.now()))
	p.at.Store(at)
	return nil
}

// readSample reads the two bounds. whole is the third value: that MySQL's
// gtid_mode is ON, that MariaDB's binary log has what comes by replication.
func readSample(row []byte, mariaDB bool) (known, upper gtid.Set, whole bool, err error) {
	var v [3][]byte
	rest, ok := row, true
	for i := range v {
		if v[i], rest, ok = protocol.SplitRow(rest); !ok {
			return known, upper, false, fmt.Errorf("a position of %d values", i)
		}
	}
	first := string(v[0])
	if !mariaDB {
		first = withoutOwners(first)
	}
	if upper, err = gtid.Parse(first); err != nil {
		return known, upper, false, err
	}
	if known, err = gtid.Parse(string(v[1])); err != nil {
		return known, upper, false, err
	}
	return known, upper.Union(known), string(v[2]) == "1", nil
}

// withoutOwners takes the threads out of gtid_owned, "uuid:5#13:6#14".
func withoutOwners(owned string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(owned, "#")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		owned = strings.TrimLeft(after, "0123456789")
	}
}

// mariaDB says which kind of server the connection's is.
func (c *Conn) mariaDB() bool { return strings.Contains(c.greeting.Version, "MariaDB") }

// Sample asks the connection's server for its position. An ordinary SQL error
// says that the server has none; another error ends the connection, for which the
// caller calls Failed.
func (c *Conn) Sample() error {
	cl := c.srv.cluster
	life, at := c.srv.position.life.Load(), cl.samples.Add(1)
	sql := sampleMySQL
	if c.mariaDB() {
		sql = sampleMariaDB
	}
	if err := c.SetReadDeadline(time.Now().Add(sampleTimeout)); err != nil {
		return err
	}
	row, err := c.QueryRow(c.row[:0], sql)
	c.row = row
	if err != nil && !isSQLError(err) {
		return err
	}
	if err == nil {
		err = c.srv.sampled(life, at, row, c.mariaDB(), c.member.role == Primary)
	}
	if err != nil {
		c.srv.position.off.Store(true)
	}
	return c.SetReadDeadline(time.Time{})
}

// WantsSample says whether a read that has ended on the connection should be
// followed by a sample, so that its session may read the next time where the
// policy wants.
func (c *Conn) WantsSample() bool {
	if c.member.role != Replica || c.srv.position.off.Load() {
		return false
	}
	s := c.srv.cluster.snapshot.Load().shards[c.member.shard]
	if s == nil {
		return false
	}
	if v := s.view.Load(); len(v.eligible) < 2 || v.policy == PolicyClientIPHash {
		return false
	}
	return c.srv.pool.load.Load() < sampleAlways || c.srv.position.turn.Add(1)%sampleShare == 0
}

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
	if set, ok := t.last.position.since(t.mark); ok {
		return set, true
	}
	if primary != nil && primary != t.last {
		return primary.position.since(t.mark)
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
func (t *Trail) prefer(v *view, m *member, primary *server, stay bool, now time.Duration) *member {
	if t.has(m.srv, primary) {
		return m
	}
	home := t.stays(v)
	if home != nil && !stay && now-time.Duration(m.srv.position.asked.Load()) >= askAgain {
		return m // Conn.Has finds out
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

func (p *position) cools(now time.Duration) bool { return now < time.Duration(p.cool.Load()) }

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

// errBehind is the error of CatchUp when the time is up.
var errBehind = errors.New("the replica doesn't have the session's transactions yet")

// CatchUp waits until the connection's server has all that the session needs,
// Options.CausalTimeout at most. After an error the connection is as it was, unless
// broken says that it is of no more use.
func (c *Conn) CatchUp(t *Trail) (broken bool, err error) {
	cl := c.srv.cluster
	need := t.writes()
	if t.last != nil && !t.home(c.srv) {
		set, ok := t.bound(c.primary())
		if !ok {
			return false, errBehind
		}
		need = need.Union(set)
	}
	done, broken, err := c.waitFor(need, cl.options().CausalTimeout)
	if err == nil && done {
		c.srv.position.cool.Store(0)
		return false, nil
	}
	c.srv.position.cool.Store(int64(cl.now() + coolDown))
	if err == nil {
		err = errBehind
	}
	return broken, err
}

// waitFor waits for a set. Both servers answer 0 once they have it.
func (c *Conn) waitFor(set gtid.Set, limit time.Duration) (done, broken bool, err error) {
	function, executed := "WAIT_FOR_EXECUTED_GTID_SET", "@@global.gtid_executed"
	if c.mariaDB() {
		function, executed = "MASTER_GTID_WAIT", "@@global.gtid_slave_pos"
	}
	sql := append(make([]byte, 0, 256), "SELECT "+function+"('"...)
	sql = append(sql, set.Position()...)
	sql = append(sql, "',"...)
	sql = strconv.AppendFloat(sql, limit.Seconds(), 'f', 6, 64)
	sql = append(sql, "),"+executed...)
	if err := c.SetReadDeadline(time.Now().Add(limit + waitMargin)); err != nil {
		return false, true, err
	}
	life := c.srv.position.life.Load()
	c.row, err = c.QueryRow(c.row[:0], sql)
	if err != nil && !isSQLError(err) {
		return false, true, err
	}
	if late := c.SetReadDeadline(time.Time{}); late != nil {
		return false, true, late
	}
	if err != nil {
		return false, false, err
	}
	answer, rest, _ := protocol.SplitRow(c.row)
	text, _, _ := protocol.SplitRow(rest)
	done = string(answer) == "0"
	has, err := gtid.Parse(string(text))
	if err != nil {
		return false, false, err
	}
	if done {
		has = has.Union(set)
	}
	c.srv.reached(life, has)
	return done, false, nil
}

// causalCounts count reads for which a session's trail mattered, by outcome.
type causalCounts struct{ known, waited, primary atomic.Uint64 }

// CausalCounts are the reads of sessions that had written, or that changed their
// replica, by why they were right: the replica was known to have all that was
// needed, or was waited for, or the primary took its place. Positions is how often
// servers were asked for theirs.
type CausalCounts struct{ Known, Waited, Primary, Positions uint64 }

// CausalCounts gives the counts since the Cluster was made.
func (c *Cluster) CausalCounts() CausalCounts {
	return CausalCounts{c.causal.known.Load(), c.causal.waited.Load(), c.causal.primary.Load(), c.samples.Load()}
}

// CountCausal adds one read to those of an outcome.
func (c *Cluster) CountCausal(o CausalOutcome) {
	switch o {
	case CausalKnown:
		c.causal.known.Add(1)
	case CausalWaited:
		c.causal.waited.Add(1)
	case CausalPrimary:
		c.causal.primary.Add(1)
	}
}

// CausalOutcome is why a read was right.
type CausalOutcome uint8

// The outcomes.
const (
	CausalKnown CausalOutcome = iota
	CausalWaited
	CausalPrimary
)
