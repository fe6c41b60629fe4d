package rows

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"shardway/shardmap"
)

// Collision is a row that doesn't meet the condition, so isn't to be touched,
// and has a value that a row to be written has too, in a unique index.
type Collision struct {
	Server, Table string
	Index         string // PRIMARY for the primary key
	Values        string // of the index, as SQL
	Mine          Key    // of the row that was to be written
	Other         Key    // of the row that is in the way
}

func (c *Collision) Error() string {
	return fmt.Sprintf("%s: %s: row (%s), which is to be written, and row (%s), which is there and stays, are equal in the unique index %s: %s",
		c.Server, c.Table, c.Mine, c.Other, c.Index, c.Values)
}

// duplicate is the server's error for a value that a unique index has already.
const duplicate = 1062

// put inserts some rows, and deletes rows in the way that meet the condition.
func (w *writer) put(ctx context.Context, from, to int) error {
	for {
		err := w.run(ctx, from, to)
		if number(err) != duplicate {
			return err
		}
		cleared, failed := w.clear(ctx, from, to)
		switch {
		case failed != nil:
			return failed
		case cleared:
			continue
		case to-from == 1:
			return err // of an index that can't be looked up, such as one of an expression
		}
		// Rows that were read at different moments are in each other's way.
		for i := from; i < to; i++ {
			if err := w.put(ctx, i, i+1); err != nil {
				return err
			}
		}
		return nil
	}
}

// clear deletes the rows that some rows collide with, and says whether there
// were any.
func (w *writer) clear(ctx context.Context, from, to int) (bool, error) {
	cleared := false
	for _, x := range append([]Index{w.primary()}, w.table.Unique...) {
		if x.Columns == nil {
			continue
		}
		for at := from; at < to; at += group {
			some, err := w.clearIndex(ctx, &x, at, min(to, at+group))
			if err != nil {
				return cleared, err
			}
			cleared = cleared || some
		}
	}
	return cleared, nil
}

func (w *writer) primary() Index {
	return Index{Name: "PRIMARY", Columns: w.table.Key, Lengths: make([]int, len(w.table.Key))}
}

// found is a row that others collide with.
type found struct {
	key  Key
	mine bool // it meets the condition
}

func (w *writer) clearIndex(ctx context.Context, x *Index, from, to int) (bool, error) {
	var equals []string
	for i := from; i < to; i++ {
		if text := w.equals(x, i); text != "" {
			equals = append(equals, text)
		}
	}
	if len(equals) == 0 {
		return false, nil
	}
	all, err := w.holders(ctx, strings.Join(equals, " OR "))
	if err != nil || len(all) == 0 {
		return false, err
	}
	var keys []Key
	for _, f := range all {
		if !f.mine {
			return false, w.collision(ctx, x, from, to, f.key)
		}
		keys = append(keys, f.key)
	}
	w.displaced = append(w.displaced, keys...)
	return true, w.session.deleteKeys(ctx, w.table, keys, w.condition)
}

// holders are the rows that meet a condition of equality.
func (w *writer) holders(ctx context.Context, equal string) ([]found, error) {
	parts := make([]string, len(w.table.Key))
	for k, i := range w.table.Key {
		parts[k] = w.table.Columns[i].read()
	}
	mine := "1"
	if w.condition != "" {
		mine = "COALESCE((" + w.condition + "),0)<>0"
	}
	var all []found
	err := w.session.each(ctx, "SELECT "+strings.Join(parts, ",")+","+mine+" FROM "+w.table.String()+" WHERE "+equal, func(v []driver.Value) error {
		key, err := w.table.keyOf(v[:len(v)-1])
		if err != nil {
			return err
		}
		yes, err := int64Of(v[len(v)-1])
		all = append(all, found{key, yes != 0})
		return err
	})
	return all, err
}

// equals is the condition that a row has a batch's row's values in an index, ""
// where one of them is NULL, which collides with nothing.
func (w *writer) equals(x *Index, row int) string {
	values := literals(w.batch.tuples.at(row)[1 : len(w.batch.tuples.at(row))-1])
	var computed [][]byte
	if len(w.shape.computed) > 0 {
		computed = literals(w.batch.computed.at(row))
	}
	key := w.batch.Key(row).parts()
	parts := make([]string, len(x.Columns))
	for k, i := range x.Columns {
		c := &w.table.Columns[i]
		name := shardmap.QuoteName(c.Name)
		var v string
		if at := slices.Index(w.table.Key, i); at >= 0 {
			v = key[at]
		} else if at := slices.Index(w.shape.written, i); at >= 0 {
			v = c.compared(values[at])
		} else {
			v = c.compared(computed[slices.Index(w.shape.computed, i)])
		}
		if v == "NULL" {
			return ""
		}
		if n := x.Lengths[k]; n > 0 {
			name, v = fmt.Sprintf("LEFT(%s,%d)", name, n), fmt.Sprintf("LEFT(%s,%d)", v, n)
		}
		parts[k] = name + "=" + v
	}
	return "(" + strings.Join(parts, " AND ") + ")"
}

// compared makes of the literal by which a column is written the one by which it
// is compared.
func (c *Column) compared(literal []byte) string {
	text := string(literal)
	if rest, ok := strings.CutPrefix(text, "_binary"); ok && c.form == formText {
		return "_" + c.Charset + rest
	}
	return text
}

// collision names the row that collides with one that stays.
func (w *writer) collision(ctx context.Context, x *Index, from, to int, other Key) error {
	c := &Collision{Server: w.session.addr, Table: w.table.String(), Index: x.Name, Other: other}
	for i := from; i < to; i++ {
		text := w.equals(x, i)
		if text == "" {
			continue
		}
		all, err := w.holders(ctx, text)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(f found) bool { return f.key == other }) {
			c.Mine, c.Values = w.batch.Key(i), text
			break
		}
	}
	return c
}
