package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// copies compares a reference table on all shards that hold it with the one on
// the base. Each copy is written at its own moment, so a row counts as different
// when it still is after a while.
func (r *run) copies(ctx context.Context, t *shardmap.Table, shapes map[string]*rows.Table) error {
	base := r.m.Shard(cmp.Or(r.Base, r.d.Default.ID))
	shape := shapes[base.ID]
	if shape == nil {
		return fmt.Errorf("shard %s, whose copy the others are compared with, has no such table", base.ID)
	}
	from, err := r.at(ctx, base)
	if err != nil {
		return err
	}
	for _, sh := range r.m.Shards() {
		if sh == base || shapes[sh.ID] == nil || !r.d.Holds(sh) {
			continue
		}
		if diff := shape.Diff(shapes[sh.ID]); len(diff) > 0 {
			return fmt.Errorf("it isn't alike on shards %s and %s: %s", base.ID, sh.ID, diff[0])
		}
		to, err := r.at(ctx, sh)
		if err != nil {
			return err
		}
		x := r.examine(t.Name, sh)
		// Both ways: a range is bounded by the rows of the one that is walked over.
		keys, err := r.apart(ctx, shape, from, to, x)
		if err != nil {
			return err
		}
		for _, key := range keys {
			f := Finding{Kind: Copy, Owner: base.ID, Key: string(key), Text: "it isn't as on shard " + base.ID + ", or one of them has no such row"}
			if r.Repair {
				if err := r.alike(ctx, shape, from, to, key); err != nil {
					f.Text += "; it can't be repaired: " + err.Error()
				} else {
					f.Repaired = true
				}
			}
			r.add(x, f)
		}
		r.done(x)
	}
	return nil
}

// apart are the keys of rows that differ and stay so.
func (r *run) apart(ctx context.Context, shape *rows.Table, from, to *side, x *Examined) ([]rows.Key, error) {
	var keys []rows.Key
	scan := from.s.Scan(shape, "", "", rows.Limit{Rows: r.Rows})
	after := rows.Key("")
	for end := false; !end; {
		c, err := scan.Skip(ctx)
		if err != nil {
			return nil, err
		}
		span := rows.Range{After: after} // all that is left
		if c != nil && !c.Last {
			span, after = c.Range, c.To
		} else {
			end = true
		}
		mine, err := from.s.Checksum(ctx, shape, span, "")
		if err != nil {
			return nil, err
		}
		theirs, err := to.s.Checksum(ctx, shape, span, "")
		if err != nil {
			return nil, err
		}
		x.Rows += theirs.Rows
		if mine == theirs {
			continue
		}
		here, err := from.s.Hashes(ctx, shape, span, "")
		if err != nil {
			return nil, err
		}
		there, err := to.s.Hashes(ctx, shape, span, "")
		if err != nil {
			return nil, err
		}
		keys = append(keys, rows.Differing(here, there)...)
	}
	for began := time.Now(); len(keys) > 0 && time.Since(began) < r.Settle; {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(r.Settle / 8):
		}
		var err error
		if keys, err = stillApart(ctx, shape, from, to, keys); err != nil {
			return nil, err
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func stillApart(ctx context.Context, shape *rows.Table, from, to *side, keys []rows.Key) ([]rows.Key, error) {
	here, err := from.s.HashesOf(ctx, shape, keys, "")
	if err != nil {
		return nil, err
	}
	there, err := to.s.HashesOf(ctx, shape, keys, "")
	if err != nil {
		return nil, err
	}
	return rows.Differing(here, there), nil
}

// alike makes a row of a copy as it is on the base, where it is locked
// meanwhile.
func (r *run) alike(ctx context.Context, shape *rows.Table, from, to *side, key rows.Key) error {
	if err := from.s.Begin(ctx); err != nil {
		return err
	}
	defer func() { _ = from.s.Rollback(ctx) }() // nothing is written there
	keys := []rows.Key{key}
	if err := from.s.Lock(ctx, shape, keys); err != nil {
		return err
	}
	b, err := from.s.ReadKeys(ctx, shape, keys, "")
	if err != nil {
		return err
	}
	return to.write(ctx, shape, keys, "", b)
}
