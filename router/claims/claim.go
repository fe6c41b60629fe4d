package claims

import (
	"slices"
	"sync/atomic"

	"shardway/shardmap"
)

// Claim is what one session uses. Its methods are for the session's goroutine; others read the atomics.
type Claim struct {
	r *Registry

	// planned is the map by which something was planned that a pause waits for, in a transaction its first statement;
	// nil when there is nothing. read is that of a read which no pause waits for.
	planned, read atomic.Pointer[shardmap.Map]
	// moves are the moves that it uses, besides those that hadn't begun in planned, all of which it may use.
	moves atomic.Pointer[[]*shardmap.Move]
	// lost are the moves of a transaction of which nothing is left at its servers; it is as if they weren't noted.
	lost atomic.Pointer[[]*shardmap.Move]
	// waiting is the move for which a statement waits.
	waiting atomic.Pointer[shardmap.Move]

	kept  bool // planned and moves are those of a transaction that is open
	views []view
}

// Enter is for a session that begins. Its claim is among the others until its Leave.
func (c *Claim) Enter() {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.claims[c] = struct{}{}
}

// Verdict says what becomes of a statement that has been planned.
type Verdict uint8

// The verdicts.
const (
	Go    Verdict = iota // run it
	Again                // its map isn't the current one: plan it by that one
	Wait                 // slots that it needs are paused: wait for another map, then plan it by that one
)

// Plan notes that a statement is going to be planned by m. counts says that a pause of slots waits for its end, as it may
// write or lock, or is part of a transaction.
func (c *Claim) Plan(m *shardmap.Map, counts bool) {
	switch {
	case c.kept && c.planned.Load() != nil: // the transaction's first statement is older
	case counts:
		c.planned.Store(m)
	default:
		c.read.Store(m)
	}
}

// Use notes the moves that the statement may use which was planned by m, and says whether it may go on; if not, nothing is
// noted of it any more. The move is the one to wait for.
func (c *Claim) Use(m *shardmap.Map, moves []*shardmap.Move, counts bool) (Verdict, *shardmap.Move) {
	var before *[]*shardmap.Move
	if c.kept {
		before = c.moves.Load()
	}
	if counts && len(moves) > 0 {
		if c.planned.Load() == nil {
			c.planned.Store(m)
		}
		c.note(before, moves)
	}
	if c.r.live.Current() != m {
		c.withdraw(before)
		return Again, nil
	}
	for _, v := range moves {
		if v.Waits() && (!c.kept || before != nil && before == c.lost.Load() || !uses(c.planned.Load(), before, v)) {
			c.withdraw(before)
			return Wait, v
		}
	}
	return Go, nil
}

// note adds moves to those of before.
func (c *Claim) note(before *[]*shardmap.Move, moves []*shardmap.Move) {
	var all []*shardmap.Move
	if before != nil {
		all = *before
	}
	n := len(all)
	for _, v := range moves {
		if !slices.ContainsFunc(all[:n], func(o *shardmap.Move) bool { return same(o, v) }) {
			all = append(slices.Clip(all), v)
		}
	}
	if before == nil || len(all) > n {
		c.moves.Store(&all)
	}
}

// withdraw takes back what a statement has noted. What its transaction uses stays.
func (c *Claim) withdraw(before *[]*shardmap.Move) {
	if !c.kept {
		c.clear()
		return
	}
	if c.moves.Load() != before {
		c.moves.Store(before)
		c.look()
	}
}

// Restart is for a statement, planned by m, that has ended the transaction of which it was a part, and begins another one:
// what the former one has used is noted no longer.
func (c *Claim) Restart(m *shardmap.Map) {
	c.kept = false
	c.views = c.views[:0]
	c.planned.Store(m)
	if c.moves.Load() != nil {
		c.moves.Store(nil)
	}
	c.look()
}

// End notes that a statement has ended. open says that it was part of a transaction that goes on: what it uses is noted
// until the End of its last statement.
func (c *Claim) End(open bool) {
	if !open {
		c.kept = false
		c.views = c.views[:0]
		c.clear()
		return
	}
	c.kept = true
	if read := c.read.Load(); read != nil {
		if c.planned.Load() == nil {
			c.planned.Store(read)
		}
		c.read.Store(nil)
	}
}

func (c *Claim) clear() {
	if c.moves.Load() != nil {
		c.moves.Store(nil)
	}
	if c.planned.Load() != nil {
		c.planned.Store(nil)
	}
	if c.read.Load() != nil {
		c.read.Store(nil)
	}
	c.look()
}

// look tells whoever waits for the end of a use that this may be one. It comes after the use was taken back: whoever waits
// from now on doesn't find it.
func (c *Claim) look() {
	if d := c.r.drain.Load(); d != nil {
		d.look(c)
	}
}

// Check looks at a session that is idle while somebody waits for moves. gone says whether nothing is left of its transaction
// at its servers, since their connections have ended: then nobody has to wait for the client to find that out. It may be
// called from any goroutine.
func (c *Claim) Check(gone func() bool) {
	if moves := c.moves.Load(); moves != nil && moves != c.lost.Load() && gone() {
		c.lost.Store(moves)
		c.look()
	}
}

// Leave is for a session that ends, after its transaction was rolled back.
func (c *Claim) Leave() {
	c.End(false)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	delete(c.r.claims, c)
}

// Waiting is the move for whose slots the session's statement waits, nil for none.
func (c *Claim) Waiting() *shardmap.Move { return c.waiting.Load() }

// uses says whether a move that waits is used from before: by a statement that goes on, or a transaction.
func (c *Claim) uses(v *shardmap.Move) bool {
	planned, moves := c.planned.Load(), c.moves.Load()
	return planned != nil && (moves == nil || moves != c.lost.Load()) && uses(planned, moves, v)
}

// uses says whether what was planned by a map, and has noted moves, may use a move. Nothing was noted of moves that hadn't
// begun then.
func uses(planned *shardmap.Map, noted *[]*shardmap.Move, v *shardmap.Move) bool {
	is := func(o *shardmap.Move) bool { return o.Begun() && same(o, v) }
	d := planned.Database(v.Database.Name)
	switch {
	case d == nil || !slices.ContainsFunc(d.Moves(), is):
		return true
	case noted == nil:
		return false
	default:
		return slices.ContainsFunc(*noted, is)
	}
}

// same says whether two maps' moves are one.
func same(a, b *shardmap.Move) bool {
	return a == b || a.ID == b.ID && a.Database.Name == b.Database.Name && a.From.ID == b.From.ID && a.To.ID == b.To.ID && slices.Equal(a.Slots(), b.Slots())
}
