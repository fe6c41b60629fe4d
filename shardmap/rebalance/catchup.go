package rebalance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/follow"
	"shardway/shardmap/rebalance/rows"
)

// batch bounds the rows that are read by their keys at a time, and written in
// one transaction.
const batch = 1000

// errAnew is the error of a flow whose copies can't be followed any more: it
// opens anew and finds out why.
var errAnew = errors.New("what has been copied is of no use any more")

// catchUp takes over all that the owner has now.
func (f *flow) catchUp(ctx context.Context) error {
	began := time.Now()
	at, err := follow.Current(ctx, f.from.db)
	if err != nil {
		return err
	}
	if err := f.followTo(ctx, at); err != nil {
		return err
	}
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	f.v.reached = began
	return nil
}

// followTo reads the binary log until all of a set was in it, and takes over the
// rows that have changed.
func (f *flow) followTo(ctx context.Context, at gtid.Set) error {
	changed := map[*table]map[rows.Key]bool{}
	n := 0
	for !f.stream.Reached(at) {
		tx, err := f.stream.Next(ctx)
		if err != nil {
			if e, ok := errors.AsType[*follow.Error](err); ok && e.Purged {
				return fmt.Errorf("%w: %w", errAnew, err)
			}
			return err
		}
		if tx.Statement != "" {
			return f.redefined(ctx, tx)
		}
		// An Unseen branch was prepared before the copying began, and had ended
		// before the first chunk was read: see anew.
		for _, c := range tx.Changed {
			t := f.table(c.Table)
			if t == nil {
				continue
			}
			if changed[t] == nil {
				changed[t] = map[rows.Key]bool{}
			}
			for _, key := range c.Keys {
				if !changed[t][key] && !t.outside(f.mv, key) {
					changed[t][key] = true
					n++
				}
			}
		}
		if n >= batch {
			if err := f.take(ctx, changed); err != nil {
				return err
			}
			changed, n = map[*table]map[rows.Key]bool{}, 0
		}
	}
	return f.take(ctx, changed)
}

func (f *flow) table(shape *rows.Table) *table {
	for _, t := range f.tables {
		if t.shape == shape {
			return t
		}
	}
	return nil
}

// redefined is for a statement that changes or empties a table while its rows
// move.
func (f *flow) redefined(ctx context.Context, tx *follow.Transaction) error {
	f.v.r.warn("move %s of %s is copied anew: %s has run %.100s in transaction %s", f.v.id, f.v.db, f.from.addr, tx.Statement, tx.GTID)
	f.state.position = f.stream.Position().GTID
	if err := f.anew(ctx); err != nil {
		return err
	}
	return errAnew
}

// take reads the rows that have changed as they are now and puts them in place
// of the copies, and keeps the position up to which all is taken over.
func (f *flow) take(ctx context.Context, changed map[*table]map[rows.Key]bool) error {
	keep := f.stream.Keep()
	maps.DeleteFunc(changed, func(_ *table, set map[rows.Key]bool) bool { return len(set) == 0 }) // all of other slots
	if len(changed) == 0 {
		f.state.position = keep
		if time.Since(f.saved) > f.v.r.Tick {
			return f.save(ctx)
		}
		return nil
	}
	if err := f.v.r.point("take"); err != nil {
		return err
	}
	if err := f.await(ctx); err != nil {
		return err
	}
	total, left := 0, len(changed)
	for _, set := range changed {
		total += len(set)
	}
	f.v.update(func(p *MoveProgress) { p.Changes += uint64(total) })
	for t, set := range changed {
		keys := make([]rows.Key, 0, len(set))
		for key := range set {
			keys = append(keys, key)
		}
		left--
		for len(keys) > 0 {
			some := keys[:min(batch, len(keys))]
			keys = keys[len(some):]
			if left == 0 && len(keys) == 0 { // it stands in the same transaction as the last rows
				f.state.position = keep
			}
			if err := f.again(ctx, t, some, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits until all that was followed to can be read at the owner's primary.
func (f *flow) await(ctx context.Context) error {
	p := f.stream.Position()
	if p.File != "" || !f.from.s.MariaDB() {
		return follow.Await(ctx, f.from.db, p)
	}
	// Nothing has come since the start, of which the GTIDs alone are known. The
	// end of the binary log is behind it.
	if err := f.from.db.QueryRowContext(ctx, "SELECT @@GLOBAL.server_id").Scan(&p.Server); err != nil {
		return fmt.Errorf("%s: %w", f.from.addr, err)
	}
	var more [2]string
	if err := f.from.db.QueryRowContext(ctx, "SHOW MASTER STATUS").Scan(&p.File, &p.Offset, &more[0], &more[1]); err != nil {
		return fmt.Errorf("%s: SHOW MASTER STATUS: %w", f.from.addr, err)
	}
	return follow.Await(ctx, f.from.db, p)
}

// again reads rows by their keys from the owner, which must have all that was
// followed to, and puts them in place of the copies, in one transaction with the
// position and the progress. As repair it is for rows that have been found to
// differ. Each table has a transaction of its own: the fewer rows it locks, the
// less likely it and a client's statement wait for each other.
func (f *flow) again(ctx context.Context, t *table, keys []rows.Key, repair bool) error {
	ctx, cancel := f.whole(ctx)
	defer cancel()
	b, err := f.from.s.ReadKeys(ctx, t.shape, keys, t.where)
	if err != nil {
		return err
	}
	now := time.Now()
	note := func(key rows.Key) {
		if c := t.behind[key]; repair {
			c.tries++
			t.behind[key] = c
		} else {
			t.behind[key] = change{at: now}
		}
	}
	if f.tracks { // else all are compared later anyway
		for _, key := range keys {
			note(key)
		}
	}
	f.saved = time.Now()
	f.state.progress = f.v.progress()
	return f.state.write(ctx, func() error {
		displaced, err := f.to.s.ReplaceKeys(ctx, t.shape, keys, t.where, b)
		f.displaced(t, displaced)
		return err
	})
}

// whole is for what is done to its end, also when ctx ends meanwhile: a
// statement that is cut off takes its connection with it.
func (f *flow) whole(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), f.limit)
}

// displaced notes copies that were deleted because another row has the value of
// a unique index that they had. The owner has changed them after the position
// that is followed to, so they are to come.
func (f *flow) displaced(t *table, keys []rows.Key) {
	for _, key := range keys {
		if f.tracks {
			t.behind[key] = change{at: time.Now()}
		}
	}
}

// save stores the position and the progress.
func (f *flow) save(ctx context.Context) error {
	ctx, cancel := f.whole(ctx)
	defer cancel()
	f.saved = time.Now()
	f.state.progress = f.v.progress()
	return f.state.write(ctx, nil)
}
