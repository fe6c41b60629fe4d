package rebalance

import (
	"context"
	"fmt"
	"sync"
	"time"

	"shardway/shardmap/rebalance/rows"
)

// verify compares all copies with the owner's rows, chunk by chunk, while the
// binary log is followed. What differs is noted as behind, and settled by
// recheck. Of what is equal at a moment, every later change is in the binary log
// after it, and notes it as behind.
func (f *flow) verify(ctx context.Context) error {
	if err := f.v.r.point("verify"); err != nil {
		return err
	}
	f.tracks = true
	for _, t := range f.tables {
		f.v.phase(PhaseVerify, t.name)
		if err := f.verifyTable(ctx, t); err != nil {
			return err
		}
	}
	f.verified = true
	return nil
}

func (f *flow) verifyTable(ctx context.Context, t *table) error {
	e, after, size := f.reader(ctx), rows.Key(""), min(first, f.v.r.Chunk)
	for {
		if now := f.v.move(); now == nil || changedMove(f.mv, now) && (now.State != f.mv.State || cancelled(now)) {
			return errMap
		}
		if time.Since(f.v.lastReached()) > 200*time.Millisecond {
			if err := f.catchUp(ctx); err != nil {
				return err
			}
			e = f.reader(ctx)
		}
		if f.behind() > batch {
			if err := f.recheck(ctx, false); err != nil {
				return err
			}
		}
		_ = f.strained(ctx) // for the pace; nothing is written
		var c *rows.Chunk
		took, err := f.v.step(ctx, func() (err error) {
			within, cancel := f.bounded(ctx, e)
			defer cancel()
			c, err = e.s.Scan(t.shape, t.where, after, rows.Limit{Rows: size}).Skip(within)
			if err == nil && c != nil {
				err = f.compare(within, e, t, c.Range)
			}
			return err
		})
		switch {
		case err != nil && e == f.read && ctx.Err() == nil:
			f.dropReplica()
			e = f.from
			continue
		case err != nil:
			return err
		case c == nil:
			return nil
		}
		size = f.v.r.pace.Rows(size, 4*f.v.r.Chunk, took, f.v.r.ChunkTime)
		if c.Last {
			return nil
		}
		after = c.To
	}
}

// both runs one thing on the side that is read and one on that of the copies.
func both(a, b func() error) error {
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = a() })
	other := b()
	wg.Wait()
	if err != nil {
		return err
	}
	return other
}

// inTurn is both without work on two servers at once.
func inTurn(a, b func() error) error {
	if err := a(); err != nil {
		return err
	}
	return b()
}

// compare notes the rows of a range that differ as behind.
func (f *flow) compare(ctx context.Context, e *side, t *table, r rows.Range) error {
	pair := both
	if f.v.r.pace.Gentle() {
		pair = inTurn
	}
	var mine, theirs rows.Sum
	err := pair(
		func() (err error) { theirs, err = e.s.Checksum(ctx, t.shape, r, t.where); return err },
		func() (err error) { mine, err = f.to.s.Checksum(ctx, t.shape, r, t.where); return err })
	if err != nil || mine == theirs {
		return err
	}
	var here, there map[rows.Key]rows.Hash
	err = pair(
		func() (err error) { there, err = e.s.Hashes(ctx, t.shape, r, t.where); return err },
		func() (err error) { here, err = f.to.s.Hashes(ctx, t.shape, r, t.where); return err })
	if err != nil {
		return err
	}
	for _, key := range rows.Differing(there, here) {
		if _, ok := t.behind[key]; !ok {
			t.behind[key] = change{at: time.Now()}
		}
	}
	return nil
}

// How often a row may be found to differ without having changed meanwhile: then
// it is copied again, and found to differ so often, it is an error.
const (
	repairAfter = 2
	giveUpAfter = 5
)

// unsure is how long a row counts as behind after it was read again. On MariaDB
// the end of an XA branch is in the binary log an instant before others see it,
// and nothing says when that is over.
const unsure = 50 * time.Millisecond

// recheck compares the rows that are behind. Those that are equal are so no
// longer: whatever changes them later is in the binary log. Nothing else is
// going on when last is set: then all of them are compared.
func (f *flow) recheck(ctx context.Context, last bool) error {
	defer f.advance()
	if f.behind() == 0 {
		return nil
	}
	if err := f.await(ctx); err != nil {
		return err
	}
	for _, t := range f.tables {
		var keys []rows.Key
		for key, c := range t.behind {
			if last || time.Since(c.at) >= unsure {
				keys = append(keys, key)
			}
		}
		for len(keys) > 0 {
			some := keys[:min(batch, len(keys))]
			keys = keys[len(some):]
			if err := f.recheckKeys(ctx, t, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// advance moves the position up to which all is equal: to one that was followed
// to before any row changed that is behind still.
func (f *flow) advance() {
	if !f.verified {
		return
	}
	for _, t := range f.tables {
		for _, c := range t.behind {
			if !c.at.After(f.mark.at) {
				return
			}
		}
	}
	if !f.mark.at.IsZero() {
		f.state.equal = f.mark.position
	}
	f.mark = mark{f.state.position, time.Now()}
}

func (f *flow) recheckKeys(ctx context.Context, t *table, keys []rows.Key) error {
	var here, there map[rows.Key]rows.Hash
	whole, cancel := f.whole(ctx)
	defer cancel()
	err := both(
		func() (err error) { there, err = f.from.s.HashesOf(whole, t.shape, keys, t.where); return err },
		func() (err error) { here, err = f.to.s.HashesOf(whole, t.shape, keys, t.where); return err })
	if err != nil {
		return err
	}
	differ := map[rows.Key]bool{}
	for _, key := range rows.Differing(there, here) {
		differ[key] = true
	}
	was := map[rows.Key]change{}
	for _, key := range keys {
		if differ[key] {
			was[key] = t.behind[key]
		} else {
			delete(t.behind, key)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	// What has changed before that moment is in the binary log up to now.
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	var again []rows.Key
	for key := range differ {
		c, ok := t.behind[key]
		if !ok || c != was[key] {
			if !ok {
				t.behind[key] = change{} // a key with another text; since when isn't known
			}
			continue // it has changed, and was read again
		}
		c.tries++
		t.behind[key] = c
		switch {
		case c.tries >= giveUpAfter:
			return stop("%s differs between %s and %s in the row with the key %s though it was copied again and again; `shardctl rebalance` cancel and see what both have",
				t.shape, f.from.addr, f.to.addr, key)
		case c.tries >= repairAfter:
			again = append(again, key)
		}
	}
	if len(again) > 0 {
		f.v.r.warn("move %s of %s: %d rows of %s differed and were copied again, such as that with the key %s", f.v.id, f.v.db, len(again), t.shape, again[0])
		return f.again(ctx, t, again, true)
	}
	return nil
}

// limitBehind is the number of rows that a switch may have to compare at its end.
const limitBehind = 2000

// differing are some rows that are behind, for an error.
func (f *flow) differing() string {
	for _, t := range f.tables {
		for key := range t.behind {
			return fmt.Sprintf("%s, key %s", t.shape, key)
		}
	}
	return "none"
}
