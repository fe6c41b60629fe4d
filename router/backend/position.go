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
	askAgain = time.Millisecond
	// sampleEvery is how often at most reads of a server are followed by a sample
	// that nothing but the time asks for.
	sampleEvery = 10 * time.Millisecond
	// A server takes as many turns of others as it serves reads at once, and maxTaken
	// more, but mostTaken at most, before its reads are followed by a sample, so that
	// sessions can leave it.
	maxTaken, mostTaken = 3, 20
	// maxCredit bounds the turns that a replica can be owed, or have taken too many.
	maxCredit = 64
	// sampleTimeout bounds how long an answer to Sample may take.
	sampleTimeout = time.Second
	// waitMargin is what a wait may take longer than its server was asked to wait.
	waitMargin = 100 * time.Millisecond
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
	// due is when a read is to be followed by a sample again, a time of Cluster.now;
	// asking is how many samples are under way.
	due    atomic.Int64
	asking atomic.Int32
	// credit is how many turns of round_robin the server is owed, because sessions
	// could not follow the policy there.
	credit atomic.Int64
	// prior is the newest sample of the life before: it still bounds what was read
	// then.
	prior atomic.Pointer[bound]
	// life grows when the server may have become another one.
	life atomic.Uint64

	mu  sync.Mutex // of those who write
	row []byte     // the newest sample as it came
}

// bound is an upper bound that was asked for in one life of a server.
type bound struct {
	life, at uint64
	upper    gtid.Set
}

// owe counts a turn that the server is owed, or with -1 one that it has taken.
func (p *position) owe(turns int64) {
	if n := p.credit.Load(); n*turns < maxCredit {
		p.credit.Add(turns)
	}
}

// forget drops what an outage may have made untrue: a server that comes back may
// be another one, made of an older copy.
func (p *position) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if upper := p.upper.Load(); upper != nil {
		p.prior.Store(&bound{p.life.Load(), p.at.Load(), *upper})
	}
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

// cools says whether a wait was in vain a moment ago.
func (p *position) cools(now time.Duration) bool { return now < time.Duration(p.cool.Load()) }

// since returns a bound of what reads saw that ended at mark in the given life. A
// server without GTIDs has none: what it shows can't be compared.
func (p *position) since(life, mark uint64) (gtid.Set, bool) {
	if p.off.Load() {
		return gtid.Set{}, true
	}
	if life != p.life.Load() {
		// What it has now may be less than what was read.
		if b := p.prior.Load(); b != nil && b.life == life && b.at > mark {
			return b.upper, true
		}
		return gtid.Set{}, false
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
	for i := range v {
		var ok bool
		if v[i], row, ok = protocol.SplitRow(row); !ok {
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
	c.srv.position.asking.Add(1)
	defer c.srv.position.asking.Add(-1)
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
	v := s.view.Load()
	if len(v.eligible) < 2 || v.policy == PolicyClientIPHash {
		return false
	}
	p, now := &c.srv.position, int64(c.taken)
	if due := p.due.Load(); due <= now && p.due.CompareAndSwap(due, now+int64(sampleEvery)) {
		return true
	}
	limit := min(maxTaken+int64(c.srv.pool.load.Load()), mostTaken)
	return p.credit.Load() <= -limit && p.asking.Load() == 0 // others' samples serve this session, too
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
