package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// sharded looks on each shard for rows that it neither owns nor has because
// their slots move.
func (r *run) sharded(ctx context.Context, t *shardmap.Table, shapes map[string]*rows.Table) error {
	for _, sh := range r.m.Shards() {
		shape := shapes[sh.ID]
		if shape == nil {
			continue
		}
		e, err := r.at(ctx, sh)
		if err != nil {
			return err
		}
		x := r.examine(t.Name, sh)
		strange := ""
		if allowed := r.allowed(sh); len(allowed) > 0 {
			strange = "NOT " + t.InSQL(allowed, "")
		}
		if x.Rows, _, err = e.number(ctx, "SELECT COUNT(*) FROM "+shape.String()); err != nil {
			return err
		}
		scan := e.s.Scan(shape, strange, "", rows.Limit{Rows: r.Rows})
		for {
			c, err := scan.Next(ctx)
			if err != nil {
				return err
			}
			if c == nil {
				break
			}
			if c.Batch.Len() > 0 {
				if err := r.strangers(ctx, t, shapes, e, c.Batch.Keys(), x); err != nil {
					return err
				}
			}
			if c.Last {
				break
			}
		}
		r.done(x)
	}
	return nil
}

// allowed are the slots of which a shard may have rows.
func (r *run) allowed(sh *shardmap.Shard) []int {
	slots := append(r.d.Owned(sh.ID), r.d.Foreign(sh.ID)...)
	slices.Sort(slots)
	return slots
}

// strangers finds for rows of a shard that it shouldn't have where they belong.
func (r *run) strangers(ctx context.Context, t *shardmap.Table, shapes map[string]*rows.Table, e *side, keys []rows.Key, x *Examined) error {
	left := map[rows.Key]bool{}
	for _, k := range keys {
		left[k] = true
	}
	for _, owner := range r.m.Shards() {
		slots := r.d.Owned(owner.ID)
		if owner == e.shard || len(slots) == 0 {
			continue
		}
		cond := t.InSQL(slots, "")
		here, err := e.s.HashesOf(ctx, shapes[e.shard.ID], keys, cond)
		if err != nil {
			return err
		}
		if len(here) == 0 {
			continue
		}
		shape := shapes[owner.ID]
		if shape == nil {
			return fmt.Errorf("shard %s owns %d rows that are on %s, and has no such table", owner.ID, len(here), e.shard.ID)
		}
		if diff := shape.Diff(shapes[e.shard.ID]); len(diff) > 0 {
			return fmt.Errorf("it isn't alike on shards %s and %s: %s", e.shard.ID, owner.ID, diff[0])
		}
		to, err := r.at(ctx, owner)
		if err != nil {
			return err
		}
		there, err := to.s.HashesOf(ctx, shape, keys, "")
		if err != nil {
			return err
		}
		for _, key := range keys {
			hash, ok := here[key]
			if !ok {
				continue
			}
			delete(left, key)
			f := Finding{Kind: Misplaced, Owner: owner.ID, Key: string(key), Text: fmt.Sprintf("shard %s owns it and doesn't have it", owner.ID)}
			switch other, is := there[key]; {
			case is && other == hash:
				f.Kind, f.Text = Doubled, fmt.Sprintf("shard %s owns it and has it too", owner.ID)
			case is:
				f.Kind, f.Text = Differing, fmt.Sprintf("shard %s owns it and has another version: look at both (hint /* shardway: shard=%s */) and delete the one that is wrong", owner.ID, e.shard.ID)
			}
			if r.Repair && f.Kind != Differing {
				if f.Repaired, err = r.bring(ctx, shapes[e.shard.ID], e, to, key, cond); err != nil {
					f.Text += "; it can't be repaired: " + err.Error()
				}
			}
			r.add(x, f)
		}
	}
	for _, key := range keys {
		if left[key] {
			r.add(x, Finding{Kind: NoSlot, Key: string(key), Text: fmt.Sprintf("its key %s is NULL: give it a key, or delete it", t.Key)})
		}
	}
	return nil
}

// bring takes one row to its owner, unless that has it, and removes it where it
// was, if it is the same then. cond is true of the owner's rows.
func (r *run) bring(ctx context.Context, shape *rows.Table, from, to *side, key rows.Key, cond string) (done bool, err error) {
	if err := from.s.Begin(ctx); err != nil {
		return false, err
	}
	defer func() {
		if !done {
			_ = from.s.Rollback(ctx) // the error is told
		}
	}()
	keys := []rows.Key{key}
	if err := from.s.Lock(ctx, shape, keys); err != nil {
		return false, err
	}
	b, err := from.s.ReadKeys(ctx, shape, keys, cond)
	if err != nil {
		return false, err
	}
	now, err := from.s.HashesOf(ctx, shape, keys, cond)
	if err != nil {
		return false, err
	}
	there, err := to.s.HashesOf(ctx, shape, keys, "")
	if err != nil {
		return false, err
	}
	other, is := there[key]
	switch {
	case b.Len() != 1:
		return false, errors.New("it isn't there any more: verify again")
	case is && other != now[key]:
		return false, errors.New("the owner has another version by now: verify again")
	case !is:
		if err := to.write(ctx, shape, keys, cond, b); err != nil {
			return false, err
		}
	}
	if _, err := from.s.ReplaceKeys(ctx, shape, keys, cond, &rows.Batch{}); err != nil {
		return false, err
	}
	if err := from.s.Commit(ctx); err != nil {
		return false, err
	}
	return true, nil
}

// write stores a batch in place of the rows with these keys, in a transaction.
func (e *side) write(ctx context.Context, shape *rows.Table, keys []rows.Key, cond string, b *rows.Batch) error {
	if err := e.s.Begin(ctx); err != nil {
		return err
	}
	displaced, err := e.s.ReplaceKeys(ctx, shape, keys, cond, b)
	if err == nil && len(displaced) > 0 {
		err = fmt.Errorf("row (%s) of shard %s has a value that must be unique", displaced[0], e.shard.ID)
	}
	if err != nil {
		_ = e.s.Rollback(ctx) // the error is told
		return err
	}
	return e.s.Commit(ctx)
}
