package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/failover"
	"shardway/shardmap/rebalance/rows"
)

// exactRows is how many rows a table may have, by the server's estimate, to be
// counted row by row; larger ones are counted by samples.
const exactRows = 5_000_000

// count counts the rows and bytes in each slot of a database, on all shards that
// own some, at once.
func (t *tool) count(ctx context.Context, m *shardmap.Map, d *shardmap.Database, open func(addr string) (*sql.DB, error)) (loads []rows.Load, exact bool, err error) {
	loads, exact = make([]rows.Load, d.Slots), true
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, sh := range m.Shards() {
		if len(d.Owned(sh.ID)) == 0 {
			continue
		}
		wg.Go(func() {
			own, was, failed := countShard(ctx, d, sh, open)
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = errors.Join(err, fmt.Errorf("the rows of shard %s can't be counted: %w", sh.ID, failed))
				return
			}
			exact = exact && was
			for slot, l := range own {
				loads[slot].Rows += l.Rows
				loads[slot].Bytes += l.Bytes
			}
		})
	}
	wg.Wait()
	return loads, exact, err
}

// countShard counts the slots that a shard owns, on a replica that keeps up if
// there is one.
func countShard(ctx context.Context, d *shardmap.Database, sh *shardmap.Shard, open func(addr string) (*sql.DB, error)) (map[int]rows.Load, bool, error) {
	addr := sh.Primary.Addr
	for _, rep := range sh.Replicas {
		s, err := failover.Inspect(ctx, failover.Options{Open: open}, rep.Addr)
		if err == nil && s.Replica != nil && s.Replica.Applier && 0 <= s.Replica.Behind && s.Replica.Behind < time.Minute {
			addr = rep.Addr
			break
		}
	}
	db, err := open(addr)
	if err != nil {
		return nil, false, err
	}
	defer db.Close()
	session, err := rows.Connect(ctx, db, addr)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = session.Close() }() // nothing was written
	own := d.Owned(sh.ID)
	total, exact := map[int]rows.Load{}, true
	for _, t := range d.Tables {
		if t.Reference {
			continue
		}
		described, err := rows.Describe(ctx, db, d.Name, t.Name)
		if errors.Is(err, rows.ErrNoTable) {
			continue // preflight says so
		}
		if err != nil {
			return nil, false, err
		}
		loads, was, err := session.Count(ctx, described, t.SlotSQL(""), exactRows)
		if err != nil {
			return nil, false, err
		}
		exact = exact && was
		for slot, l := range loads {
			if _, isOwn := slices.BinarySearch(own, slot); isOwn { // others are copies
				total[slot] = rows.Load{Rows: total[slot].Rows + l.Rows, Bytes: total[slot].Bytes + l.Bytes}
			}
		}
	}
	return total, exact, nil
}
