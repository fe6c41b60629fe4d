package claims_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shardway/router/claims"
	"shardway/shardmap"
)

// mapIn is a version of a map with 4 slots, of which 0 and 1 are s0's but for a move of slot 0 to s1; "" is without it.
func mapIn(t testing.TB, version int, state shardmap.MoveState) *shardmap.Map {
	t.Helper()
	owners, moves := `{s0: ["0-1"], s1: ["2-3"]}`, ""
	if state == shardmap.MoveMoved || state == shardmap.MoveReturning {
		owners = `{s0: ["1"], s1: ["0", "2-3"]}`
	}
	if state != "" {
		moves = fmt.Sprintf("    moves:\n      r1.1: {slots: [\"0\"], from: s0, to: s1, state: %s}\n", state)
	}
	m, err := shardmap.Parse(fmt.Appendf(nil, `version: %d
shards:
  s0: {primary: "127.0.0.1:3310"}
  s1: {primary: "127.0.0.1:3320"}
databases:
  shop:
    slots: 4
    owners: %s
%s    tables:
      users: {key: id, placement: mod}
`, version, owners, moves))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func moves(m *shardmap.Map) []*shardmap.Move { return m.Database("shop").Moves() }

// begin plans a statement that uses all moves.
func begin(c *claims.Claim, m *shardmap.Map, counts bool) claims.Verdict {
	c.Plan(m, counts)
	verdict, _ := c.Use(m, moves(m), counts)
	return verdict
}

func wantMoving(t *testing.T, r *claims.Registry, want ...string) <-chan struct{} {
	t.Helper()
	got, left := r.Moving()
	if !slices.Equal(got, want) {
		t.Fatalf("still used: %q, want %q", got, want)
	}
	return left
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAPauseWaitsForWhatUsesTheSlots(t *testing.T) {
	copying, paused := mapIn(t, 1, shardmap.MoveCopying), mapIn(t, 2, shardmap.MovePaused)
	live := shardmap.NewLive(copying)
	r := claims.New(live)
	write, tx, other, read, late := r.Add(), r.Add(), r.Add(), r.Add(), r.Add()
	for _, c := range []*claims.Claim{write, tx} {
		if v := begin(c, copying, true); v != claims.Go {
			t.Fatalf("verdict %d before the pause", v)
		}
	}
	other.Plan(copying, true)
	if v, _ := other.Use(copying, nil, true); v != claims.Go {
		t.Errorf("verdict %d of a statement for other slots", v)
	}
	if v := begin(read, copying, false); v != claims.Go {
		t.Errorf("verdict %d of a read", v)
	}
	tx.End(true)
	live.Swap(paused)
	left := wantMoving(t, r, "shop/r1.1")
	if v := begin(late, copying, true); v != claims.Again {
		t.Errorf("verdict %d by a map that isn't current", v)
	}
	if v := begin(late, paused, true); v != claims.Wait {
		t.Errorf("verdict %d in the pause", v)
	}
	if v := begin(late, paused, false); v != claims.Wait {
		t.Errorf("verdict %d of a read in the pause", v)
	}
	if v := begin(tx, paused, true); v != claims.Go {
		t.Errorf("verdict %d of a transaction that has used the slots", v)
	}
	write.End(false)
	if closed(left) {
		t.Error("the slots are left, and a transaction goes on")
	}
	if got := r.Oldest(); got != 1 {
		t.Errorf("the oldest map is %d", got)
	}
	tx.End(true)
	tx.End(false)
	if !closed(left) {
		t.Error("nobody was told that the slots are left")
	}
	wantMoving(t, r)
	read.Leave()
	other.Leave()
	if got := r.Oldest(); got != 2 {
		t.Errorf("the oldest map is %d", got)
	}
}

// A transaction from before the move had begun noted nothing of it.
func TestATransactionThatIsOlderThanAMoveUsesIt(t *testing.T) {
	for _, before := range []shardmap.MoveState{"", shardmap.MovePlanned} {
		first := mapIn(t, 1, before)
		live := shardmap.NewLive(first)
		r := claims.New(live)
		old, late := r.Add(), r.Add()
		begin(old, first, true)
		old.End(true)
		copying := mapIn(t, 2, shardmap.MoveCopying)
		live.Swap(copying)
		late.Plan(copying, true)
		late.Use(copying, nil, true)
		late.End(true)
		paused := mapIn(t, 3, shardmap.MovePaused)
		live.Swap(paused)
		left := wantMoving(t, r, "shop/r1.1")
		if v := begin(late, paused, true); v != claims.Wait {
			t.Errorf("%q: verdict %d of a transaction that hasn't used the slots", before, v)
		}
		if v := begin(old, paused, true); v != claims.Go {
			t.Errorf("%q: verdict %d", before, v)
		}
		old.Leave()
		if !closed(left) {
			t.Errorf("%q: the slots aren't left", before)
		}
	}
}

// What a transaction has used isn't forgotten because another of its statements waits, or has to be planned again.
func TestAStatementThatWaitsLeavesItsTransactionAlone(t *testing.T) {
	copying := mapIn(t, 1, shardmap.MoveCopying)
	live := shardmap.NewLive(copying)
	r := claims.New(live)
	tx := r.Add()
	begin(tx, copying, true)
	tx.End(true)
	paused := mapIn(t, 2, shardmap.MovePaused)
	live.Swap(paused)
	for _, uses := range [][]*shardmap.Move{nil, moves(copying)} {
		tx.Plan(copying, true)
		if v, _ := tx.Use(copying, uses, true); v != claims.Again {
			t.Errorf("verdict %d", v)
		}
		wantMoving(t, r, "shop/r1.1")
	}
	tx.Restart(paused)
	wantMoving(t, r)
}

// A transaction may be opened by a command that isn't planned.
func TestATransactionWithoutAPlan(t *testing.T) {
	copying := mapIn(t, 1, shardmap.MoveCopying)
	live := shardmap.NewLive(copying)
	r := claims.New(live)
	tx := r.Add()
	tx.End(true)
	begin(tx, copying, true)
	tx.End(true)
	live.Swap(mapIn(t, 2, shardmap.MovePaused))
	wantMoving(t, r, "shop/r1.1")
}

func TestATransactionThatIsLost(t *testing.T) {
	copying := mapIn(t, 1, shardmap.MoveCopying)
	live := shardmap.NewLive(copying)
	r := claims.New(live)
	tx := r.Add()
	begin(tx, copying, true)
	tx.End(true)
	paused := mapIn(t, 2, shardmap.MovePaused)
	live.Swap(paused)
	left := wantMoving(t, r, "shop/r1.1")
	tx.Check(func() bool { return false })
	if closed(left) || !r.Draining() {
		t.Error("the slots are left, and a transaction goes on")
	}
	tx.Check(func() bool { return true })
	if !closed(left) {
		t.Error("nobody was told that the slots are left")
	}
	if v := begin(tx, paused, true); v != claims.Wait {
		t.Errorf("verdict %d of what goes on in a lost transaction", v)
	}
	tx.End(false)
	live.Swap(mapIn(t, 3, shardmap.MoveCopying))
	begin(tx, live.Current(), true)
	tx.End(true)
	live.Swap(mapIn(t, 4, shardmap.MovePaused))
	wantMoving(t, r, "shop/r1.1")
}

func TestWaitEndsWithTheNextMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paused := mapIn(t, 1, shardmap.MovePaused)
		live := shardmap.NewLive(paused)
		r := claims.New(live)
		c := r.Add()
		ended := make(chan error)
		go func() { ended <- c.Wait(t.Context(), paused, moves(paused)[0]) }()
		synctest.Wait()
		if n := r.Waits().Now["shop/r1.1"]; n != 1 || c.Waiting() == nil {
			t.Errorf("%d statements wait", n)
		}
		live.Swap(mapIn(t, 2, shardmap.MoveMoved))
		if err := <-ended; err != nil {
			t.Error(err)
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if err := c.Wait(ctx, live.Current(), moves(paused)[0]); !errors.Is(err, cause) {
			t.Error(err)
		}
		if w := r.Waits(); len(w.Now) > 0 || w.Count != 2 || w.Within[len(w.Within)-1] != 2 {
			t.Errorf("%+v", w)
		}
	})
}

func TestASnapshotThatIsOlderThanTheRows(t *testing.T) {
	yes := func(string) bool { return true }
	copying, moved := mapIn(t, 1, shardmap.MoveCopying), mapIn(t, 2, shardmap.MoveMoved)
	back := mapIn(t, 3, shardmap.MoveCleaning)
	for _, c := range []struct {
		shard     string
		then, now *shardmap.Map
		keeps     func(string) bool
		missed    bool
	}{
		{"s1", copying, moved, yes, true},
		{"s1", copying, moved, func(string) bool { return false }, false},
		{"s1", moved, moved, yes, false},
		{"s0", copying, moved, yes, false},
		{"s0", moved, back, yes, true},
		{"s0", copying, back, yes, false},
	} {
		claim := claims.New(shardmap.NewLive(c.now)).Add()
		claim.Saw(c.shard, c.then)
		claim.Saw(c.shard, c.now) // the first one counts
		if got := claim.Missed(moves(c.now), c.keeps) != nil; got != c.missed {
			t.Errorf("%s seen by version %d, read by version %d: missed %v", c.shard, c.then.Version(), c.now.Version(), got)
		}
		claim.End(false)
		if claim.Missed(moves(c.now), c.keeps) != nil {
			t.Error("the snapshot outlives its transaction")
		}
	}
}

// Sessions write to the owner of slot 0 while it moves to and fro. No write runs while the slots are left, nor at the shard
// that isn't the owner.
func TestNobodySlipsThrough(t *testing.T) {
	version := 1
	next := func(state shardmap.MoveState) *shardmap.Map {
		version++
		return mapIn(t, version, state)
	}
	live := shardmap.NewLive(mapIn(t, 1, shardmap.MoveCopying))
	r := claims.New(live)
	var owner atomic.Pointer[string]
	nobody, s0, s1 := "nobody", "s0", "s1"
	owner.Store(&s0)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var writes atomic.Int64
	for range 20 {
		c := r.Add()
		all.Go(func() {
			defer c.Leave()
			for ctx.Err() == nil {
				for left := rand.IntN(4); ; left-- { // a transaction of so many statements and one
					m := live.Current()
					c.Plan(m, true)
					verdict, v := c.Use(m, moves(m), true)
					if verdict == claims.Wait && c.Wait(ctx, m, v) != nil {
						return
					}
					if verdict != claims.Go {
						left++
						continue
					}
					at := m.Database("shop").Owner(0).ID
					if now := owner.Load(); *now != at {
						t.Errorf("a write to %s by version %d, which isn't allowed", at, m.Version())
						stop()
					}
					writes.Add(1)
					c.End(left > 0)
					if left <= 0 {
						break
					}
				}
			}
		})
	}
	drain := func() {
		for {
			busy, left := r.Moving()
			if busy == nil {
				return
			}
			select {
			case <-left:
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Second):
				t.Error("nobody says that the slots are left")
				stop()
				return
			}
		}
	}
	written := func() {
		for n := writes.Load(); writes.Load() < n+20 && ctx.Err() == nil; {
			runtime.Gosched()
		}
	}
	for range 15 {
		if ctx.Err() != nil {
			break
		}
		live.Swap(next(shardmap.MovePaused))
		drain()
		owner.Store(&nobody)
		runtime.Gosched()
		owner.Store(&s1)
		live.Swap(next(shardmap.MoveMoved))
		written()
		live.Swap(next(shardmap.MoveReturning))
		drain()
		owner.Store(&nobody)
		runtime.Gosched()
		owner.Store(&s0)
		live.Swap(next(shardmap.MoveCleaning))
		live.Swap(next(shardmap.MoveCopying))
		written()
	}
	stop()
	all.Wait()
	if writes.Load() == 0 {
		t.Error("nothing was written")
	}
	t.Logf("note: %d writes, %d waits", writes.Load(), r.Waits().Count)
}

func TestAStatementWithoutMovesAllocatesNothing(t *testing.T) {
	m := mapIn(t, 1, "")
	c := claims.New(shardmap.NewLive(m)).Add()
	if n := testing.AllocsPerRun(100, func() {
		c.Plan(m, true)
		c.Use(m, nil, true)
		c.End(false)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkClaim(b *testing.B) {
	m := mapIn(b, 1, "")
	c := claims.New(shardmap.NewLive(m)).Add()
	for b.Loop() {
		c.Plan(m, true)
		c.Use(m, nil, true)
		c.End(false)
	}
}
