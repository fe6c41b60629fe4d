package preflight

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// lookups is how many values are looked up at once, shown how many collisions
// are listed.
const lookups, shown = 500, 10

// checkUnique looks for values of unique indexes that the moved rows and other
// rows of the target have: an index without the key is unique on each shard
// alone. Where it is not done in time it says so: the copy finds them too.
func (r *run) checkUnique(ctx context.Context, t *shardmap.Table, v *shardmap.Move, d *rows.Table) {
	name := r.d.Name + "." + t.Name
	if len(d.Key) == 0 {
		return // that is told
	}
	for _, index := range append([]rows.Index{{Name: "PRIMARY", Columns: d.Key, Lengths: make([]int, len(d.Key))}}, d.Unique...) {
		if hasKey(d, index, t.Key) {
			continue
		}
		if index.Columns == nil || slices.Max(index.Lengths) > 0 {
			r.add(name, "unique indexes", Warning, "see yourself that its values are unique over all shards",
				"index %s has an expression or a prefix: whether its values collide on %s isn't looked at", index.Name, v.To.ID)
			continue
		}
		found, all, err := r.collisions(ctx, t, v, d, index)
		switch {
		case err != nil:
			r.add(name, "unique indexes", Warning, "a collision later stops the copy, names the rows, and loses nothing", "whether values of index %s collide on %s couldn't be looked at: %s", index.Name, v.To.ID, err)
		case len(found) > 0:
			r.add(name, "unique indexes", Failed, "change these rows, or their index: it is unique on each shard alone, since it doesn't contain the key "+t.Key,
				"rows on %s and on %s have the same values in index %s: %s", v.From.ID, v.To.ID, index.Name, strings.Join(found, ", "))
		case !all:
			r.add(name, "unique indexes", Warning, "a collision later stops the copy, names the rows, and loses nothing", "only the first %d values of index %s were looked up on %s, without a collision", r.Values, index.Name, v.To.ID)
		default:
			r.add(name, "unique indexes", OK, "", "no value of index %s collides on %s", index.Name, v.To.ID)
		}
	}
}

// hasKey says whether rows with equal values in an index are in one slot.
func hasKey(d *rows.Table, index rows.Index, key string) bool {
	for _, i := range index.Columns {
		if strings.EqualFold(d.Columns[i].Name, key) {
			return true
		}
	}
	return false
}

// collisions lists values that rows of the move on the source and other rows on
// the target have, and says whether all were looked up.
func (r *run) collisions(ctx context.Context, t *shardmap.Table, v *shardmap.Move, d *rows.Table, index rows.Index) (found []string, all bool, err error) {
	from, to := r.primaries[v.From.ID], r.primaries[v.To.ID]
	var columns, present []string
	for _, i := range index.Columns {
		c := shardmap.QuoteName(d.Columns[i].Name)
		columns = append(columns, c)
		present = append(present, c+" IS NOT NULL")
	}
	ctx, cancel := context.WithTimeout(ctx, r.Statement)
	defer cancel()
	list := strings.Join(columns, ", ")
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s AND %s LIMIT %d", list, d, v.SlotSQL(t, ""), strings.Join(present, " AND "), r.Values+1)
	cursor, err := from.DB.QueryContext(ctx, query)
	if err != nil {
		return nil, false, from.Fail(query, err)
	}
	defer cursor.Close()
	cells := make([][]byte, len(columns))
	into := make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	var batch []string
	ask := func() error {
		if len(batch) == 0 {
			return nil
		}
		query := fmt.Sprintf("SELECT %s FROM %s WHERE (%s) IN (%s) AND NOT %s LIMIT %d", list, d, list, strings.Join(batch, ", "), v.SlotSQL(t, ""), shown)
		batch = batch[:0]
		rows, err := to.DB.QueryContext(ctx, query)
		if err != nil {
			return to.Fail(query, err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return to.Fail(query, err)
			}
			if len(found) < shown {
				found = append(found, tuple(d, index, cells, false))
			}
		}
		return rows.Err()
	}
	n := 0
	for ; cursor.Next() && len(found) < shown; n++ {
		if n == r.Values {
			return found, false, ask()
		}
		if err := cursor.Scan(into...); err != nil {
			return nil, false, from.Fail(query, err)
		}
		batch = append(batch, tuple(d, index, cells, true))
		if len(batch) == lookups {
			if err := ask(); err != nil {
				return nil, false, err
			}
		}
	}
	if err := cursor.Err(); err != nil {
		return nil, false, from.Fail(query, err)
	}
	return found, true, ask()
}

// number is a number as servers write it.
var number = regexp.MustCompile(`^-?[0-9.]+([eE][-+]?[0-9]+)?$`)

// tuple writes values of an index as SQL, or for people.
func tuple(d *rows.Table, index rows.Index, cells [][]byte, exact bool) string {
	out := make([]string, len(cells))
	for i, cell := range cells {
		c := d.Columns[index.Columns[i]]
		switch {
		case number.Match(cell) && c.Charset == "" && c.Length == 0:
			out[i] = string(cell)
		case c.Charset == "" && (strings.Contains(c.Data, "binary") || strings.Contains(c.Data, "blob") || c.Data == "bit"):
			out[i] = "x'" + hex.EncodeToString(cell) + "'"
		case exact && c.Charset != "":
			out[i] = "_utf8mb4 x'" + hex.EncodeToString(cell) + "'" // as the connection reads it
		default:
			out[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(string(cell), `\`, `\\`), "'", "''") + "'"
		}
	}
	return "(" + strings.Join(out, ", ") + ")"
}
