package audit

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// sequence looks whether the next number of a sequence is behind the greatest
// that is in the table. A sequence without a row begins there by itself.
func (r *run) sequence(ctx context.Context, t *shardmap.Table, shapes map[string]*rows.Table) error {
	const most = 1<<53 - 1 // greater numbers don't move a sequence
	greatest, column := int64(0), shardmap.QuoteName(t.Sequence)
	for _, sh := range r.m.Shards() {
		if shapes[sh.ID] == nil {
			continue
		}
		e, err := r.at(ctx, sh)
		if err != nil {
			return err
		}
		n, _, err := e.number(ctx, fmt.Sprintf("SELECT MAX(%s) FROM %s WHERE %s <= %d", column, shapes[sh.ID], column, int64(most)))
		if err != nil {
			return err
		}
		greatest = max(greatest, n)
	}
	home, err := r.at(ctx, r.d.Default)
	if err != nil {
		return err
	}
	tables, _, err := home.number(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shardway' AND table_name = 'sequences'")
	if err != nil || tables == 0 {
		return err
	}
	name := "'" + strings.ReplaceAll(strings.ReplaceAll(t.Database.Name+"."+t.Name, `\`, `\\`), "'", "''") + "'"
	next, there, err := home.number(ctx, "SELECT next FROM shardway.sequences WHERE name = "+name)
	if err != nil || !there || next > greatest {
		return err
	}
	x := r.examine(t.Name, r.d.Default)
	f := Finding{Kind: Behind, Text: fmt.Sprintf("the next number of its sequence is %d, and %d is in the table: after the repair restart the proxies, which have taken numbers already", next, greatest)}
	if r.Repair {
		if _, err := home.s.Exec(ctx, fmt.Sprintf("UPDATE shardway.sequences SET next = %d WHERE name = %s AND next <= %d", greatest+1, name, greatest)); err != nil {
			return err
		}
		f.Repaired = true
	}
	r.add(x, f)
	r.done(x)
	return nil
}

// unlisted looks for tables that the map doesn't list and that have rows where
// nobody looks for them: elsewhere than on the default shard.
func (r *run) unlisted(ctx context.Context) error {
	for _, sh := range r.m.Shards() {
		if sh == r.d.Default {
			continue
		}
		e, err := r.at(ctx, sh)
		if err != nil {
			return err
		}
		names, err := e.texts(ctx, "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = ? ORDER BY 1", r.d.Name)
		if err != nil {
			return err
		}
		for _, name := range names {
			if r.d.Table(name) != nil {
				continue
			}
			n, _, err := e.number(ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s.%s", shardmap.QuoteName(r.d.Name), shardmap.QuoteName(name)))
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			x := r.examine(name, sh)
			x.Rows = n
			r.add(x, Finding{Kind: Unlisted, Owner: r.d.Default.ID, Text: fmt.Sprintf("the map doesn't list it, so it is read on the default shard %s alone, and %d rows are here: list it, or move them there", r.d.Default.ID, n)})
			r.done(x)
		}
	}
	return nil
}

// number asks for one number; there is false for NULL and for no row.
func (e *side) number(ctx context.Context, query string, args ...any) (n int64, there bool, err error) {
	list, err := e.s.Query(ctx, query, args...)
	if err != nil {
		return 0, false, err
	}
	defer list.Close()
	for list.Next() {
		var v sql.NullInt64
		if err := list.Scan(&v); err != nil {
			return 0, false, err
		}
		n, there = v.Int64, v.Valid
	}
	return n, there, list.Err()
}

func (e *side) texts(ctx context.Context, query string, args ...any) (all []string, err error) {
	list, err := e.s.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	for list.Next() {
		var v string
		if err := list.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, list.Err()
}
