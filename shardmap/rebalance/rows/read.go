package rows

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"shardway/shardmap"
)

// Limit bounds a chunk. The zero value of a field is its default.
type Limit struct {
	Rows  int // of the table that it goes over, whether they meet the condition or not; default 10,000
	Bytes int // of the rows that are read, roughly; default 4 MiB
}

func (l Limit) withDefaults() Limit {
	if l.Rows <= 0 {
		l.Rows = 10000
	}
	if l.Bytes <= 0 {
		l.Bytes = 4 << 20
	}
	return l
}

// Batch are rows in the form in which they are written, in the order in which
// they were read.
type Batch struct {
	// Of each row: the literals of the columns that are written, in parentheses;
	// of its key; and of the generated columns that a unique index has.
	tuples, keys, computed texts
	// zeros says how many times a row has an ENUM's 0, of rows that have it.
	zeros map[int]int
}

// texts are many texts in one.
type texts struct {
	text []byte
	ends []int
}

func (t *texts) end() { t.ends = append(t.ends, len(t.text)) }

func (t *texts) at(i int) []byte {
	from := 0
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.text[from:t.ends[i]]
}

// Len is the number of rows.
func (b *Batch) Len() int { return len(b.tuples.ends) }

// Bytes is how large the rows are as SQL.
func (b *Batch) Bytes() int { return len(b.tuples.text) }

// Key is the key of a row.
func (b *Batch) Key(i int) Key { return Key(b.keys.at(i)) }

// Keys are the rows' keys.
func (b *Batch) Keys() []Key {
	all := make([]Key, b.Len())
	for i := range all {
		all[i] = b.Key(i)
	}
	return all
}

// shape says which columns are read and what for.
type shape struct {
	table    *Table
	written  []int // by an INSERT
	computed []int // generated columns that a unique index has
	selected []int // all that are read: written, then others that are needed
	selects  string
}

func (t *Table) shape() *shape {
	s := &shape{table: t}
	for i := range t.Columns {
		if !t.Columns[i].Generated {
			s.written = append(s.written, i)
		}
	}
	s.selected = slices.Clone(s.written)
	for _, x := range t.Unique {
		for _, i := range x.Columns {
			if t.Columns[i].Generated && !slices.Contains(s.computed, i) {
				s.computed = append(s.computed, i)
			}
		}
	}
	for _, i := range slices.Concat(s.computed, t.Key) {
		if !slices.Contains(s.selected, i) {
			s.selected = append(s.selected, i)
		}
	}
	parts := make([]string, len(s.selected))
	for k, i := range s.selected {
		parts[k] = t.Columns[i].read()
	}
	s.selects = "SELECT " + strings.Join(parts, ",")
	return s
}

// columns are the written columns' names, for an INSERT.
func (s *shape) columns() string {
	parts := make([]string, len(s.written))
	for k, i := range s.written {
		parts[k] = shardmap.QuoteName(s.table.Columns[i].Name)
	}
	return strings.Join(parts, ",")
}

// append adds a row of selects to a batch.
func (s *shape) append(b *Batch, v []driver.Value) (err error) {
	columns := s.table.Columns
	put := func(to *texts, indexes []int, literal func(*Column, []byte, any) ([]byte, error)) {
		for k, i := range indexes {
			if k > 0 {
				to.text = append(to.text, ',')
			}
			if err == nil {
				to.text, err = literal(&columns[i], to.text, v[slices.Index(s.selected, i)])
			}
		}
	}
	b.tuples.text = append(b.tuples.text, '(')
	for k, i := range s.written { // put, without the search
		if k > 0 {
			b.tuples.text = append(b.tuples.text, ',')
		}
		if b.tuples.text, err = columns[i].appendValue(b.tuples.text, v[k]); err != nil {
			return err
		}
		if columns[i].Data == "enum" && isZero(v[k]) {
			if b.zeros == nil {
				b.zeros = map[int]int{}
			}
			b.zeros[len(b.tuples.ends)]++
		}
	}
	b.tuples.text = append(b.tuples.text, ')')
	b.tuples.end()
	put(&b.keys, s.table.Key, (*Column).appendKeyValue)
	b.keys.end()
	if len(s.computed) > 0 {
		put(&b.computed, s.computed, (*Column).appendValue)
		b.computed.end()
	}
	return err
}

func isZero(v driver.Value) bool {
	switch v := v.(type) {
	case uint64:
		return v == 0
	case int64:
		return v == 0
	default:
		return false
	}
}

// read runs a query for rows of a shape and adds them to a batch.
func (s *Session) read(ctx context.Context, sh *shape, rest string, b *Batch) error {
	return s.each(ctx, sh.selects+sh.table.from()+rest, func(v []driver.Value) error { return sh.append(b, v) })
}

// Chunk is a part of a table.
type Chunk struct {
	Range
	Batch *Batch // its rows that meet the condition
	Last  bool   // there is nothing behind it: To is ""
}

// Scan is a walk over a table in the order of its primary key.
type Scan struct {
	session   *Session
	table     *Table
	shape     *shape
	condition string
	limit     Limit
	after     Key
	done      bool
	row       int // bytes of a row, from those that were read
}

// Scan begins a walk behind a key, "" for the start.
func (s *Session) Scan(t *Table, condition string, after Key, limit Limit) *Scan {
	c := &Scan{session: s, table: t, shape: t.shape(), condition: condition, limit: limit.withDefaults(), after: after, row: 1024}
	if t.Rows > 0 {
		c.row = int(t.Bytes / t.Rows)
	}
	return c
}

// Next reads the next chunk, nil behind the last one. All of its rows are of one
// moment, not before the call.
func (c *Scan) Next(ctx context.Context) (*Chunk, error) {
	chunk, err := c.bound(ctx)
	if chunk == nil || err != nil {
		return nil, err
	}
	b := &Batch{}
	most := max(1, c.limit.Bytes/max(1, c.row))
	cut, err := c.read(ctx, chunk.Range, most, b)
	if err != nil {
		return nil, err
	}
	if n := b.Len(); n > 0 {
		c.row = b.Bytes()/n + 1
		if cut || n == most { // there may be more, for the next chunk
			chunk.To, chunk.Last = b.Key(n-1), false
		}
	}
	chunk.Batch = b
	c.pass(chunk)
	return chunk, nil
}

// read reads at most so many rows, and cut says that it stopped at rows that are
// far larger than those before.
func (c *Scan) read(ctx context.Context, r Range, most int, b *Batch) (cut bool, err error) {
	err = c.session.each(ctx, c.shape.selects+c.table.from()+c.table.where(r, c.condition)+c.table.order()+fmt.Sprintf(" LIMIT %d", most), func(v []driver.Value) error {
		switch {
		case cut:
			return nil // what was under way
		case b.Bytes() > 4*c.limit.Bytes:
			cut = true
			c.session.interrupt(ctx)
			return nil
		default:
			return c.shape.append(b, v)
		}
	})
	if cut && (err == nil || number(err) == interrupted) {
		// An interruption that came late would hit the next statement.
		err = c.session.exec(ctx, "DO 1")
		if number(err) == interrupted {
			err = nil
		}
	}
	return cut, err
}

// Skip is Next without the rows: the next chunk has no Batch.
func (c *Scan) Skip(ctx context.Context) (*Chunk, error) {
	chunk, err := c.bound(ctx)
	if chunk != nil && err == nil {
		c.pass(chunk)
	}
	return chunk, err
}

func (c *Scan) pass(chunk *Chunk) { c.after, c.done = chunk.To, chunk.Last }

// bound finds the end of the next chunk.
func (c *Scan) bound(ctx context.Context) (*Chunk, error) {
	if c.done {
		return nil, nil
	}
	parts := make([]string, len(c.table.Key))
	for k, i := range c.table.Key {
		parts[k] = c.table.Columns[i].read()
	}
	chunk := &Chunk{Range: Range{After: c.after}, Last: true}
	query := "SELECT " + strings.Join(parts, ",") + c.table.from() + c.table.where(chunk.Range, "") + c.table.order() +
		fmt.Sprintf(" LIMIT 1 OFFSET %d", c.limit.Rows-1)
	err := c.session.each(ctx, query, func(v []driver.Value) (err error) {
		chunk.To, err = c.table.keyOf(v)
		chunk.Last = false
		return err
	})
	if err != nil {
		return nil, err
	}
	return chunk, nil
}

// keyOf makes a key of its columns' values.
func (t *Table) keyOf(v []driver.Value) (Key, error) {
	var text []byte
	var err error
	for k, i := range t.Key {
		if k > 0 {
			text = append(text, ',')
		}
		if text, err = t.Columns[i].appendKeyValue(text, v[k]); err != nil {
			return "", err
		}
	}
	return Key(text), nil
}

// ReadRange reads the rows of a range; a chunk's, since all are in memory.
func (s *Session) ReadRange(ctx context.Context, t *Table, r Range, condition string) (*Batch, error) {
	b := &Batch{}
	return b, s.read(ctx, t.shape(), t.where(r, condition)+t.order(), b)
}

// ReadKeys reads those of the rows with these keys that exist and meet the
// condition, each at a moment not before the call. A list may be of any length;
// at most some thousands are sensible, since all rows are in memory.
func (s *Session) ReadKeys(ctx context.Context, t *Table, keys []Key, condition string) (*Batch, error) {
	b, sh := &Batch{}, t.shape()
	for _, some := range groups(keys) {
		if err := s.read(ctx, sh, t.whereKeys(some, condition), b); err != nil {
			return nil, err
		}
	}
	return b, nil
}
