package rows

import (
	"slices"
	"strings"

	"shardway/shardmap"
)

// Key is the primary key of a row, as SQL: the literals of its columns, in the
// key's order, with commas between. Two texts may be one key where a collation
// takes different bytes for equal. "" is no key.
type Key string

// Range are the rows whose primary key is after After and not after To; "" is
// open.
type Range struct {
	After, To Key
}

// parts are the literals of a key.
func (k Key) parts() []string {
	all := literals([]byte(k))
	texts := make([]string, len(all))
	for i, text := range all {
		texts[i] = string(text)
	}
	return texts
}

// order is the ORDER BY clause of the primary key.
func (t *Table) order() string {
	parts := make([]string, len(t.Key))
	for k, i := range t.Key {
		parts[k] = shardmap.QuoteName(t.Columns[i].Name)
		if t.Columns[i].Desc {
			parts[k] += " DESC"
		}
	}
	return " ORDER BY " + strings.Join(parts, ",")
}

// from is the FROM clause. Only the primary key's order makes a range a range.
func (t *Table) from() string { return " FROM " + t.String() + " FORCE INDEX (PRIMARY)" }

// beyond is the condition for keys behind a key, or, with before, in front of it
// or equal. It is written out by columns, since servers don't use an index for a
// comparison of rows; and the first column is bounded once more by itself, for
// servers that make one range of it.
func (t *Table) beyond(key Key, before bool) string {
	values := key.parts()
	var b strings.Builder
	for k, i := range t.Key {
		c := &t.Columns[i]
		name := shardmap.QuoteName(c.Name)
		op := ">"
		if before != c.Desc {
			op = "<"
		}
		last := k == len(t.Key)-1
		switch {
		case last && before:
			b.WriteString(name + op + "=" + values[k])
		case last:
			b.WriteString(name + op + values[k])
		case k == 0:
			b.WriteString(name + op + "=" + values[k] + " AND (" + name + op + values[k] + " OR " + name + "=" + values[k] + " AND (")
		default:
			b.WriteString(name + op + values[k] + " OR " + name + "=" + values[k] + " AND (")
		}
	}
	b.WriteString(strings.Repeat(")", max(0, len(t.Key)-1)))
	if len(t.Key) > 1 {
		b.WriteByte(')') // of the first column's own bound
	}
	return b.String()
}

// where is the WHERE clause of a range with a condition.
func (t *Table) where(r Range, condition string) string {
	var parts []string
	if r.After != "" {
		parts = append(parts, "("+t.beyond(r.After, false)+")")
	}
	if r.To != "" {
		parts = append(parts, "("+t.beyond(r.To, true)+")")
	}
	return whereAll(parts, condition)
}

// whereKeys is the WHERE clause of a list of keys with a condition.
func (t *Table) whereKeys(keys []Key, condition string) string {
	var b strings.Builder
	if len(t.Key) == 1 {
		b.WriteString(shardmap.QuoteName(t.Columns[t.Key[0]].Name) + " IN (")
		for i, key := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(string(key))
		}
		b.WriteByte(')')
		return whereAll([]string{b.String()}, condition)
	}
	b.WriteByte('(')
	for i, key := range keys {
		if i > 0 {
			b.WriteString(" OR ")
		}
		for k, v := range key.parts() {
			if k > 0 {
				b.WriteString(" AND ")
			}
			b.WriteString(shardmap.QuoteName(t.Columns[t.Key[k]].Name) + "=" + v)
		}
	}
	b.WriteByte(')')
	return whereAll([]string{b.String()}, condition)
}

func whereAll(parts []string, condition string) string {
	if condition != "" {
		parts = append(parts, "("+condition+")")
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}

// group is how many keys one statement has: more of them cost a server more
// memory than it gives to the choice of an index.
const group = 500

// groups cuts a list of keys, each one once, into statements.
func groups(keys []Key) [][]Key {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return slices.Collect(slices.Chunk(slices.Compact(keys), group))
}
