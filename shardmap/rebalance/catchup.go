package rebalance

import (
	"context"
	"errors"
	"fmt"
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

// changes are the keys of rows that have changed by what was read of the binary
// log and that aren't taken over yet. They outlive an error: the log doesn't say
// them again.
type changes struct {
	keys map[*table]map[rows.Key]bool
	n    int
}

func (c *changes) add(t *table, key rows.Key) {
	if c.keys == nil {
		c.keys = map[*table]map[rows.Key]bool{}
	}
	if c.keys[t] == nil {
		c.keys[t] = map[rows.Key]bool{}
	}
	if !c.keys[t][key] {
		c.keys[t][key] = true
		c.n++
	}
}

// some are up to a batch of the keys of one table, or none when none are left.
func (c *changes) some() (*table, []rows.Key) {
	for t, set := range c.keys {
		keys := make([]rows.Key, 0, min(batch, len(set)))
		for key := range set {
			if keys = append(keys, key); len(keys) == batch {
				break
			}
		}
		return t, keys
	}
	return nil, nil
}

func (c *changes) taken(t *table, keys []rows.Key) {
	for _, key := range keys {
		delete(c.keys[t], key)
	}
	if len(c.keys[t]) == 0 {
		delete(c.keys, t)
	}
	c.n -= len(keys)
}

// followTo reads the binary log until all of a set was in it, and takes over the
// rows that have changed.
func (f *flow) followTo(ctx context.Context, at gtid.Set) error {
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
			for _, key := range c.Keys {
				if !t.outside(f.mv, key) {
					f.changed.add(t, key)
				}
			}
		}
		if f.changed.n >= batch {
			if err := f.take(ctx); err != nil {
				return err
			}
		}
	}
	return f.take(ctx)
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
	if err := f.anew(ctx); err != nil {
		return fmt.Errorf("%w: %w", errAnew, err) // from what is stored the statement comes again
	}
	return errAnew
}

// take reads the rows that have changed as they are now and puts them in place
// of the copies, and keeps the position up to which all is taken over.
func (f *flow) take(ctx context.Context) error {
	keep := f.stream.Keep()
	if f.changed.n == 0 { // or all of other slots
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
	for f.changed.n > 0 {
		t, keys := f.changed.some()
		was := f.state.position
		if len(keys) == f.changed.n { // it stands in the same transaction as the last rows
			f.state.position = keep
		}
		if err := f.again(ctx, t, keys, false); err != nil {
			f.state.position = was
			return err
		}
		f.changed.taken(t, keys)
		f.v.update(func(p *MoveProgress) { p.Changes += uint64(len(keys)) })
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
