package router_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router"
	"shardway/shardmap"
	"shardway/test/fakemysql"
)

// moving makes a version of the proxy's map current in which slot 0 of two, shard s0's at first, moves to s1. Without a
// state it doesn't.
func (p *proxy) moving(version int, state shardmap.MoveState) *shardmap.Map {
	p.t.Helper()
	before := p.opts.Maps.Current()
	owners, moves := `{s0: ["0"], s1: ["1"]}`, ""
	if state == shardmap.MoveMoved || state == shardmap.MoveReturning {
		owners = `{s1: ["0-1"]}`
	}
	if state != "" {
		moves = fmt.Sprintf("    moves:\n      r1.1: {slots: [\"0\"], from: s0, to: s1, state: %s, by: ops@desk}\n", state)
	}
	var shards strings.Builder
	for _, s := range before.Shards() {
		fmt.Fprintf(&shards, "  %s: {primary: %q, replicas: [{addr: %q}, {addr: %q}]}\n", s.ID, s.Primary.Addr, s.Replicas[0].Addr, s.Replicas[1].Addr)
	}
	m, err := shardmap.Parse(fmt.Appendf(nil, "version: %d\nshards:\n%sdatabases:\n  shop:\n    slots: 2\n    owners: %s\n%s    default_shard: s0\n    tables:\n      users: {key: id, placement: mod}\n",
		version, shards.String(), owners, moves))
	if err != nil {
		p.t.Fatal(err)
	}
	p.opts.Executor.Cluster().Apply(m)
	p.opts.Maps.Swap(m)
	return m
}

// result is what a statement that was sent in the background came to.
type result struct {
	rows *protocol.Result
	err  error
}

// later runs a statement in the background.
func later(c *protocol.Conn, sql string) <-chan result {
	done := make(chan result, 1)
	go func() {
		rows, err := c.Query(sql)
		done <- result{rows, err}
	}()
	return done
}

// waits waits until so many statements wait for slots.
func (p *proxy) waits(n int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d statements wait", n), func() bool { return p.waiting() == n })
}

func (p *proxy) waiting() int {
	p.t.Helper()
	table, err := p.Table("rebalances")
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for _, row := range table.Rows {
		n += int(row[slices.Index(table.Columns, "waiting")].(int64))
	}
	return n
}

func (p *proxy) wantMoving(want ...string) <-chan struct{} {
	p.t.Helper()
	busy, left := p.Moving()
	if !slices.Equal(busy, want) {
		p.t.Fatalf("still used: %q, want %q", busy, want)
	}
	return left
}

const (
	moved  = "UPDATE users SET name = 'x' WHERE id = 2"
	stayed = "UPDATE users SET name = 'x' WHERE id = 3"
)

func TestStatementsForPausedSlotsWait(t *testing.T) {
	p := newProxy(t, nil)
	p.moving(2, shardmap.MoveCopying)
	tx, elsewhere := p.connect(), p.connect()
	exec1(t, tx, "BEGIN")
	exec1(t, tx, moved)
	p.moving(3, shardmap.MovePaused)
	left := p.wantMoving("shop/r1.1")

	write, read, several := p.connect(), p.connect(), p.connect()
	written, readDone := later(write, moved), later(read, "SELECT server FROM users WHERE id = 2")
	scanned := later(several, "SELECT server FROM users")
	p.waits(3)
	exec1(t, elsewhere, stayed)
	if got := one(t, elsewhere, "SELECT server FROM users WHERE id = 3"); !strings.HasPrefix(got, "s1") {
		t.Errorf("served by %s", got)
	}
	exec1(t, elsewhere, "BEGIN")
	exec1(t, elsewhere, stayed)
	joins := later(elsewhere, moved)
	p.waits(4)
	res, err := tx.Query("SHOW SHARDWAY REBALANCES") // in a transaction that has used the slots
	if err != nil || len(res.Rows) != 1 {
		t.Fatalf("%v, %v", res, err)
	}
	for name, want := range map[string]string{
		"rebalance": "r1", "move": "r1.1", "database": "shop", "slots": "0", "from": "s0", "to": "s1", "state": "paused", "by": "ops@desk", "waiting": "4",
	} {
		if got, _ := res.Get(0, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	exec1(t, tx, moved)
	select {
	case <-left:
		t.Error("the slots are left, and a transaction goes on")
	default:
	}
	exec1(t, tx, "COMMIT")
	<-left
	p.wantMoving()
	if got := p.Oldest(); got != 3 {
		t.Errorf("the oldest map is %d", got) // that of the transaction whose statement waits
	}
	before := count(p.fakes["s0p"].texts(), moved)
	p.moving(4, shardmap.MoveMoved)
	for _, done := range []<-chan result{written, joins, readDone, scanned} {
		if r := <-done; r.err != nil {
			t.Error(r.err)
		} else if len(r.rows.Rows) == 1 && !strings.HasPrefix(*r.rows.Rows[0][0], "s1") {
			t.Errorf("read from %s", *r.rows.Rows[0][0])
		}
	}
	if n := count(p.fakes["s0p"].texts(), moved); n != before {
		t.Errorf("the former owner got %d writes more", n-before)
	}
	if n := count(p.fakes["s1p"].texts(), moved); n != 2 {
		t.Errorf("the owner got %d writes", n)
	}
	exec1(t, elsewhere, "COMMIT")
	if got := p.Oldest(); got != 4 {
		t.Errorf("the oldest map is %d", got)
	}
}

func TestAStatementDoesNotWaitForSlotsForEver(t *testing.T) {
	p := newProxy(t, func(o *router.Options) { o.HoldTimeout = 50 * time.Millisecond })
	p.moving(2, shardmap.MovePaused)
	c := p.connect()
	_, err := c.Exec(moved)
	wantError(t, err, 1205, "slots 0 of database shop", "from shard s0 to s1", "move r1.1", "nothing was done")
	_, err = c.Query("SELECT /* shardway: timeout=10ms */ server FROM users WHERE id = 2")
	wantError(t, err, 3024, "10ms")
	exec1(t, c, stayed)
	if n := count(p.fakes["s0p"].texts(), moved) + count(p.fakes["s1p"].texts(), moved); n != 0 {
		t.Errorf("%d writes came to servers", n)
	}
	p.wantMoving()
}

func TestAWaitForSlotsEndsWithItsClient(t *testing.T) {
	p := newProxy(t, func(o *router.Options) { o.HoldTimeout = time.Minute })
	p.moving(2, shardmap.MovePaused)
	killer := p.connect()
	for _, how := range []string{"KILL QUERY ", "KILL "} {
		c := p.connect()
		id := one(t, c, "SELECT CONNECTION_ID()")
		done := later(c, moved)
		p.waits(1)
		list, err := killer.Query("SHOW PROCESSLIST")
		if err != nil {
			t.Fatal(err)
		}
		shown := false
		for i := range list.Rows {
			state, _ := list.Get(i, "State")
			if got, _ := list.Get(i, "Id"); got == id && strings.Contains(state, "waiting for slots") {
				shown = true
			}
		}
		if !shown {
			t.Errorf("SHOW PROCESSLIST doesn't say that it waits: %v", list.Rows)
		}
		exec1(t, killer, how+id)
		r := <-done
		if how == "KILL QUERY " {
			wantError(t, r.err, 1317)
			exec1(t, c, stayed)
			c.Close()
		} else if r.err == nil {
			t.Error("a killed session goes on")
		}
	}
	eventually(t, "the sessions are over", func() bool { return p.Sessions() == 1 })
	c := p.connect()
	p.send(c, moved)
	p.waits(1)
	c.Close()
	eventually(t, "the session of the client that left is over", func() bool { return p.Sessions() == 1 && p.waiting() == 0 })

	c = p.connect()
	p.send(c, moved)
	p.waits(1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); err == nil {
		t.Error("a client that waits was cut off without a word")
	}
}

// A transaction that is cut off with its connection is over for a pause too.
func TestATransactionOfAClientThatLeavesIsOver(t *testing.T) {
	p := newProxy(t, nil)
	p.moving(2, shardmap.MoveCopying)
	c := p.connect()
	exec1(t, c, "SET autocommit = 0")
	one(t, c, "SELECT server FROM users WHERE id = 2")
	p.moving(3, shardmap.MovePaused)
	left := p.wantMoving("shop/r1.1")
	c.Close()
	<-left
	p.wantMoving()
}

// A client that is idle in a transaction which its server has ended doesn't keep the slots.
func TestATransactionThatItsServerHasEndedIsOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere than on Linux a connection doesn't tell that its peer has left")
	}
	p := newProxy(t, nil)
	p.moving(2, shardmap.MoveCopying)
	ran := make(chan uint32, 1) // the session's number at the server
	p.fakes["s0p"].on(moved, func(s *fakemysql.Session) {
		ran <- s.ID
		s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans, AffectedRows: 1})
	})
	c := p.connect()
	exec1(t, c, "BEGIN")
	exec1(t, c, moved)
	p.moving(3, shardmap.MovePaused)
	left := p.wantMoving("shop/r1.1")
	p.fakes["s0p"].Cut(<-ran)
	<-left
	p.wantMoving()
	p.moving(4, shardmap.MoveMoved)
	_, err := c.Exec("UPDATE users SET name = 'y' WHERE id = 2")
	if err == nil {
		_, err = c.Exec("COMMIT")
	}
	if err == nil {
		t.Error("a transaction that its server has ended was committed")
	}
}

// A statement of several steps that has begun before a pause goes on by the map that it began with.
func TestAStatementOfSeveralStepsGoesOnInAPause(t *testing.T) {
	p := newProxy(t, nil)
	p.moving(2, shardmap.MoveCopying)
	var paused atomic.Bool
	for name, f := range p.fakes {
		f.onCommand(func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
			sql := string(payload)
			if cmd != protocol.ComQuery || !strings.HasPrefix(sql, "SELECT id + 1") {
				return false
			}
			if paused.CompareAndSwap(false, true) {
				p.moving(3, shardmap.MovePaused)
				p.wantMoving("shop/r1.1")
			}
			status := protocol.StatusAutocommit | protocol.StatusInTrans
			table := fakemysql.Table([]string{"id", "name"})
			if strings.HasPrefix(name, "s0") {
				table = fakemysql.Table([]string{"id", "name"}, []any{"4", "a"}, []any{"5", "b"})
			}
			s.Result(table, false, status)
			return true
		})
	}
	c := p.connect()
	if _, err := c.Exec("INSERT INTO users (id, name) SELECT id + 1, name FROM users WHERE name < 'c'"); err != nil {
		t.Fatal(err)
	}
	if !paused.Load() {
		t.Error("no rows were chosen")
	}
	p.wantMoving()
	var stored []string
	for _, sql := range p.fakes["s0p"].texts() {
		if strings.HasPrefix(sql, "INSERT") {
			stored = append(stored, sql)
		}
	}
	if len(stored) != 1 || !strings.Contains(stored[0], "4") {
		t.Errorf("the shard that owns the slot got %q", stored)
	}
}

func TestASnapshotFromBeforeTheMoveIsRefused(t *testing.T) {
	const there, snapshot = "SELECT server FROM users WHERE id = 3", "START TRANSACTION WITH CONSISTENT SNAPSHOT"
	const read = "SELECT server FROM users WHERE id = 2"
	for _, c := range []struct {
		name   string
		before []string
		read   string
		want   uint16
		free   bool // the move doesn't wait for it
	}{
		{name: "a read at the target", before: []string{"BEGIN", there}, read: read, want: 1213},
		{name: "autocommit off", before: []string{"SET autocommit = 0", there}, read: read, want: 1213},
		{name: "a snapshot", before: []string{snapshot}, read: read, want: 1213, free: true},
		{name: "a write at the target", before: []string{"BEGIN", stayed}, read: read, free: true},
		{name: "nothing at the target", before: []string{"BEGIN"}, read: read, free: true},
		{name: "a locking read", before: []string{"BEGIN", there}, read: read + " FOR UPDATE"},
		{name: "a write", before: []string{"BEGIN", there}, read: moved},
		{name: "other slots", before: []string{"BEGIN", there}, read: there},
		{name: "READ COMMITTED", before: []string{"SET SESSION transaction_isolation = 'READ-COMMITTED'", "BEGIN", there}, read: read, free: true},
		{name: "READ UNCOMMITTED for once", before: []string{"SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED", "BEGIN", there}, read: read, free: true},
		{name: "SERIALIZABLE", before: []string{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN", there}, read: read, want: 1213},
		{name: "too late for READ COMMITTED", before: []string{"BEGIN", stayed, "SET SESSION transaction_isolation = 'READ-COMMITTED'", there}, read: read, want: 1213},
		{name: "no transaction", before: []string{there}, read: read, free: true},
		{name: "the next transaction", before: []string{"BEGIN", there, "COMMIT", "BEGIN"}, read: read, free: true},
		{name: "INSERT … SELECT", before: []string{"BEGIN", there}, read: "INSERT INTO users (id, name) SELECT 5, name FROM users WHERE id = 2"}, // locks what it reads
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProxy(t, nil)
			p.moving(2, shardmap.MoveCopying)
			conn := p.connect()
			for _, sql := range c.before {
				if _, err := conn.Query(sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			p.moving(3, shardmap.MovePaused)
			if c.free {
				p.wantMoving()
			} else {
				p.wantMoving("shop/r1.1")
			}
			p.moving(4, shardmap.MoveMoved) // as after having waited in vain
			_, err := conn.Query(c.read)
			if c.want == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, c.want, "slots 0 of database shop moved to shard s1", "again")
			if texts := p.fakes["s1p"].texts(); !strings.Contains(texts[len(texts)-1], "ROLLBACK") {
				t.Errorf("it ended with %q", texts[len(texts)-1])
			}
			if _, err := conn.Query(read); err != nil {
				t.Errorf("the transaction that is run again: %v", err)
			}
		})
	}
}

// A transaction that would have a snapshot of the target without the rows that come begins after them; nobody else waits.
func TestASnapshotWaitsForTheMove(t *testing.T) {
	const there, read = "SELECT server FROM users WHERE id = 3", "SELECT server FROM users WHERE id = 2"
	p := newProxy(t, nil)
	p.moving(2, shardmap.MoveCopying)
	before, during, committed, alone := p.connect(), p.connect(), p.connect(), p.connect()
	exec1(t, before, "BEGIN")
	one(t, before, there)
	exec1(t, during, "BEGIN")
	exec1(t, during, stayed)
	p.moving(3, shardmap.MovePaused)
	left := p.wantMoving("shop/r1.1")
	first := later(during, there)
	p.waits(1)
	exec1(t, committed, "SET SESSION transaction_isolation = 'READ-COMMITTED'")
	exec1(t, committed, "BEGIN")
	one(t, committed, there)
	one(t, alone, there)
	if got := one(t, before, read); !strings.HasPrefix(got, "s0") {
		t.Errorf("a transaction that is waited for reads the slot at %s", got)
	}
	one(t, before, there)
	exec1(t, before, "COMMIT")
	<-left
	p.wantMoving()
	p.moving(4, shardmap.MoveMoved)
	if r := <-first; r.err != nil {
		t.Error(r.err)
	}
	if got := one(t, during, read); !strings.HasPrefix(got, "s1") {
		t.Errorf("a transaction that has waited reads the slot at %s", got)
	}
}

// Fifty clients write while slot 0 goes to and fro. Once a pause says that nothing uses the slot any more, no statement
// for it reaches the shard that has owned it.
func TestNoStatementSlipsThroughAPause(t *testing.T) {
	p := newProxy(t, func(o *router.Options) { o.HoldTimeout = time.Minute })
	var owner atomic.Pointer[string]
	s0, s1, nobody := "s0", "s1", "nobody"
	owner.Store(&s0)
	for _, id := range []string{s0, s1} {
		p.fakes[id+"p"].onCommand(func(_ *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
			if now := *owner.Load(); cmd == protocol.ComQuery && strings.HasSuffix(string(payload), "WHERE id = 2") && now != id {
				t.Errorf("%s got %q, and the slot is %s's", id, payload, now)
			}
			return false
		})
	}
	version := 2
	p.moving(version, shardmap.MoveCopying)
	var writes atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range 50 {
		c := p.connect()
		_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
		all.Go(func() {
			run := func(sql string) bool {
				_, err := c.Exec(sql)
				if err != nil {
					t.Errorf("%s: %v", sql, err)
				}
				return err == nil
			}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				var ok bool
				switch (n + i) % 3 {
				case 0:
					ok = run(moved)
				case 1:
					ok = run("BEGIN") && run(moved) && run(moved) && run("COMMIT")
				default:
					ok = run("BEGIN") && run(stayed) && (rand.IntN(2) == 0 || run(moved)) && run("COMMIT")
				}
				if !ok {
					return
				}
				writes.Add(1)
			}
		})
	}
	pause := func(state shardmap.MoveState) {
		version++
		p.moving(version, state)
		began := time.Now()
		for {
			busy, left := p.Moving()
			if busy == nil {
				break
			}
			select {
			case <-left:
			case <-time.After(10 * time.Second):
				t.Fatalf("after %s the slots are still used: %q", time.Since(began), busy)
			}
		}
		owner.Store(&nobody)
	}
	next := func(to *string, state shardmap.MoveState) {
		owner.Store(to)
		version++
		p.moving(version, state)
		enough := writes.Load() + 30
		eventually(t, "clients write", func() bool { return writes.Load() > enough || t.Failed() })
	}
	for range 4 {
		pause(shardmap.MovePaused)
		next(&s1, shardmap.MoveMoved)
		pause(shardmap.MoveReturning)
		next(&s0, shardmap.MoveCleaning)
		version++
		p.moving(version, shardmap.MoveCopying)
	}
	close(stop)
	all.Wait()
	t.Logf("note: %d writes and transactions", writes.Load())
}
