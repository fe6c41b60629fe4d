package router_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/test/fakemysql"
)

const (
	sourceUUID  = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	askPosition = "SELECT @@global.gtid_owned,@@global.gtid_executed,@@global.gtid_mode='ON'"
	writeOne    = "UPDATE users SET name = 'x' WHERE id = 2"
	readOne     = "SELECT server FROM users WHERE id = 2"
)

// newCausal is a proxy with causal reads over servers with GTIDs. Each server's answers to waits and questions are
// counted by its name.
type causalProxy struct {
	*proxy
	executed map[string]*shared // by server: the newest transaction
	writes   *shared
}

// shared is a number that a fake's goroutine and the test share through the fake's lock.
type shared struct {
	f *fakeServer
	n int
}

func (v *shared) set(n int) { v.f.mu.Lock(); defer v.f.mu.Unlock(); v.n = n }
func (v *shared) get() int  { v.f.mu.Lock(); defer v.f.mu.Unlock(); return v.n }

func newCausal(t *testing.T, fallback bool) *causalProxy {
	p := &causalProxy{proxy: newProxy(t, nil), executed: map[string]*shared{}}
	p.opts.Executor.Cluster().SetOptions(backend.Options{
		User: "shardway", TLS: protocol.TLSDisabled, FallbackToPrimary: fallback, WaitTimeout: 2 * time.Second,
		CausalReads: true, CausalTimeout: 50 * time.Millisecond,
	})
	for name, f := range p.fakes {
		v := &shared{f: f}
		p.executed[name] = v
		f.onCommand(func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
			sql := string(payload)
			switch {
			case cmd != protocol.ComQuery:
				return false
			case sql == askPosition:
				s.Result(fakemysql.Table([]string{"owned", "executed", "on"}, []any{"", fmt.Sprintf("%s:1-%d", sourceUUID, v.get()), "1"}), false, protocol.StatusAutocommit)
			case strings.HasPrefix(sql, "SELECT WAIT_FOR"):
				var n int
				set, _, _ := strings.Cut(sql, "',")
				if _, err := fmt.Sscanf(set[strings.LastIndexAny(set, ":-")+1:], "%d", &n); err != nil {
					t.Errorf("%s: %v", sql, err)
				}
				answer := "1"
				if n <= v.get() {
					answer = "0"
				}
				s.Result(fakemysql.Table([]string{"wait", "executed"}, []any{answer, fmt.Sprintf("%s:1-%d", sourceUUID, v.get())}), false, protocol.StatusAutocommit)
			default:
				return false
			}
			f.mu.Lock()
			f.seen = append(f.seen, sql)
			f.mu.Unlock()
			return true
		})
	}
	p.writes = p.executed["s0p"]
	p.writes.set(1)
	p.fakes["s0p"].on(writeOne, func(s *fakemysql.Session) {
		n := p.writes.get() + 1
		p.writes.set(n)
		s.OK(protocol.OK{Status: protocol.StatusAutocommit, AffectedRows: 1, Changes: []protocol.Change{
			{Kind: protocol.ChangeGTID, Value: fmt.Sprintf("%s:%d", sourceUUID, n)},
		}})
	})
	return p
}

// asked counts the waits and the questions that a shard's servers have got.
func (p *causalProxy) asked(names ...string) (waits, questions int) {
	for _, name := range names {
		for _, sql := range p.fakes[name].texts() {
			switch {
			case sql == askPosition:
				questions++
			case strings.HasPrefix(sql, "SELECT WAIT_FOR"):
				waits++
			}
		}
	}
	return waits, questions
}

func TestAReadWaitsForItsOwnWriteOnce(t *testing.T) {
	p := newCausal(t, true)
	c := p.connect()
	exec1(t, c, writeOne)
	for _, r := range []string{"s0r1", "s0r2"} {
		p.executed[r].set(2)
	}
	for range 10 {
		if got := one(t, c, readOne); !strings.HasPrefix(got, "s0r") {
			t.Fatalf("served by %s", got)
		}
	}
	if waits, _ := p.asked("s0r1", "s0r2"); waits != 1 {
		t.Errorf("%d waits, want one: the replica is known to have the write then", waits)
	}
	other := p.connect()
	exec1(t, other, writeOne)
	before, _ := p.asked("s0r1", "s0r2")
	if got := one(t, other, "SELECT server FROM users WHERE id = 3"); !strings.HasPrefix(got, "s1r") {
		t.Errorf("the other shard's read was served by %s", got)
	}
	if waits, _ := p.asked("s0r1", "s0r2", "s1r1", "s1r2"); waits != before {
		t.Error("a read of another shard has waited")
	}
}

func TestAReadOfALateReplicaIsServedByThePrimaryAtOnce(t *testing.T) {
	p := newCausal(t, true)
	c := p.connect()
	exec1(t, c, writeOne)
	for range 20 {
		if got := one(t, c, readOne); got != "s0p" {
			t.Fatalf("served by %s, which doesn't have the write", got)
		}
	}
	if waits, _ := p.asked("s0r1", "s0r2"); waits > 2 {
		t.Errorf("%d waits in vain, want one for each replica", waits)
	}
	if got := p.opts.Executor.Cluster().CausalCounts(); got.Primary != 20 {
		t.Errorf("the counts are %+v", got)
	}
	reader := p.connect() // has written nothing
	if got := one(t, reader, readOne); !strings.HasPrefix(got, "s0r") {
		t.Errorf("a session without writes was served by %s", got)
	}
}

func TestWithoutFallbackALateReplicaIsARetryableError(t *testing.T) {
	p := newCausal(t, false)
	c := p.connect()
	exec1(t, c, writeOne)
	_, err := c.Query(readOne)
	wantError(t, err, 1205, "s0", "fallback_to_primary", "causal_timeout")
	if got := one(t, c, "SELECT /* shardway: causal=off */ server FROM users WHERE id = 2"); !strings.HasPrefix(got, "s0r") {
		t.Errorf("with causal=off the read was served by %s", got)
	}
	_, err = c.Query(readOne)
	wantError(t, err, 1205) // the read before proved nothing
}

func TestAWriteWithoutAPositionIsLookedForAtThePrimary(t *testing.T) {
	p := newCausal(t, true)
	c := p.connect()
	const unlogged = "UPDATE users SET name = 'y' WHERE id = 2" // the fake reports no GTID for it
	exec1(t, c, unlogged)
	p.writes.set(5)
	for _, r := range []string{"s0r1", "s0r2"} {
		p.executed[r].set(4)
	}
	if got := one(t, c, readOne); got != "s0p" {
		t.Errorf("served by %s, which lacks a transaction of the primary's", got)
	}
	if _, questions := p.asked("s0p"); questions != 1 {
		t.Errorf("the primary was asked %d times for its position", questions)
	}
}

func TestAReaderNeverGoesBack(t *testing.T) {
	p := newCausal(t, true)
	p.executed["s0r1"].set(9)
	p.executed["s0r2"].set(3)
	c := p.connect()
	was := ""
	for range 20 {
		got := one(t, c, readOne)
		if was == "s0r1" && got != "s0r1" {
			t.Fatalf("moved from %s to %s, which is behind", was, got)
		}
		was = got
	}
	if was != "s0r1" {
		t.Errorf("ended on %s", was)
	}
	p.executed["s0r2"].set(9)
	eventually(t, "both serve again", func() bool { return one(t, c, readOne) == "s0r2" })
	_, before := p.asked("s0r1", "s0r2")
	got := map[string]int{}
	for range 120 {
		got[one(t, c, readOne)]++
	}
	// Each takes a few turns of the other's before it is asked again.
	if more := got["s0r1"] - got["s0r2"]; more < -16 || more > 16 {
		t.Errorf("without writes %v served, want both alike", got)
	}
	if _, after := p.asked("s0r1", "s0r2"); after-before > 60 {
		t.Errorf("%d questions behind 120 reads, though nothing was written", after-before)
	}
}

func TestAReadAfterAReadAtThePrimary(t *testing.T) {
	p := newCausal(t, true)
	p.writes.set(7)
	p.executed["s0r1"].set(6)
	p.executed["s0r2"].set(6)
	c := p.connect()
	one(t, c, "SELECT /* shardway: primary */ server FROM users WHERE id = 2")
	if got := one(t, c, readOne); got != "s0p" {
		t.Errorf("after a read at the primary %s served, which is behind", got)
	}
	exec1(t, c, "SET SESSION shardway_causal_reads = off")
	if got := one(t, c, readOne); !strings.HasPrefix(got, "s0r") {
		t.Errorf("with causal reads off served by %s", got)
	}
}

func TestClientsSeeGTIDsThatTheyAskedFor(t *testing.T) {
	p := newCausal(t, true)
	c := p.connect()
	told := func() bool {
		for _, ch := range exec1(t, c, writeOne).Changes {
			if ch.Kind == protocol.ChangeGTID {
				return true
			}
		}
		return false
	}
	if told() {
		t.Error("a client that didn't ask was told of a GTID")
	}
	exec1(t, c, "SET session_track_gtids='OWN_GTID'")
	if !told() {
		t.Error("a client that asked wasn't told")
	}
	exec1(t, c, "SET session_track_gtids='OFF'")
	if told() {
		t.Error("a client that asked no more was told")
	}
}

func TestOwnVariables(t *testing.T) {
	p := newCausal(t, true)
	c := p.connect()
	const get = "SELECT @@shardway_causal_reads"
	check := func(want string) {
		t.Helper()
		if got := one(t, c, get); got != want {
			t.Errorf("%s gives %q, want %q", get, got, want)
		}
	}
	check("session")
	for _, set := range []struct{ sql, want string }{
		{"SET shardway_causal_reads = 'off'", "off"},
		{"SET SESSION shardway_causal_reads = DEFAULT", "session"},
		{"SET @@session.shardway_causal_reads = OFF", "off"},
		{"SET time_zone = '+05:00', shardway_causal_reads = session", "session"},
		{"SET NAMES utf8mb4 COLLATE utf8mb4_bin, shardway_causal_reads = off", "off"},
	} {
		exec1(t, c, set.sql)
		check(set.want)
	}
	if got := one(t, c, "SELECT @@time_zone"); got != "+05:00" {
		t.Errorf("time_zone is %q", got)
	}
	for _, bad := range []struct {
		sql  string
		code uint16
	}{
		{"SET shardway_causal_reads = 'maybe'", 1231},
		{"SET shardway_causal_reads = 1", 1231},
		{"SET time_zone = '+06:00', shardway_causal_reads = 'maybe'", 1231},
		{"SET GLOBAL shardway_causal_reads = 'off'", 1228},
		{"SET shardway_nothing = 1", 1193},
		{"SELECT @@shardway_nothing", 1193},
		{"SELECT @@shardway_causal_reads, 1", 1235},
	} {
		_, err := c.Query(bad.sql)
		wantError(t, err, bad.code)
	}
	check("off")
	if got := one(t, c, "SELECT @@time_zone"); got != "+05:00" {
		t.Errorf("a SET that was refused made time_zone %q", got)
	}
	res, err := c.Query("select @@SESSION.shardway_causal_reads as `mode` limit 1;")
	if err != nil || len(res.Columns) != 1 || res.Columns[0] != "mode" {
		t.Errorf("an alias: %+v, %v", res, err)
	}
	for _, like := range []string{"'shardway%reads'", `"shardway\_causal\_reads"`} {
		res, err := c.Query("SHOW VARIABLES LIKE " + like)
		if err != nil || len(res.Rows) != 1 || *res.Rows[0][0] != "shardway_causal_reads" || *res.Rows[0][1] != "off" {
			t.Errorf("%s: %+v, %v", like, res, err)
		}
	}
	if err := c.WriteCommand(protocol.ComResetConnection); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Forward(nil, protocol.ReplySimple, nil); err != nil {
		t.Fatal(err)
	}
	check("session")
	for _, f := range p.fakes {
		for _, sql := range f.texts() {
			if strings.Contains(sql, "shardway_") {
				t.Errorf("%s saw %s", f.name, sql)
			}
		}
	}
}
