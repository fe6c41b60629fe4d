package rows

import "context"

// Key is the primary key of a row, as SQL: the literals of its columns, in the
// key's order, with commas between. Two texts may be one key where a collation
// takes different bytes for equal. "" is no key.
type Key string

// Range are the rows whose primary key is after After and not after To; "" is
// open.
type Range struct {
	After, To Key
}

// Limit bounds a chunk. The zero value of a field is its default.
type Limit struct {
	Rows  int // of the table that it goes over, whether they meet the condition or not; default 10,000
	Bytes int // of the rows that are read, roughly; default 4 MiB
}

// Batch are rows in the form in which they are written, in the order in which
// they were read.
type Batch struct {
	table *Table
	text  []byte // of all rows, as tuples
	ends  []int  // of each row
	keys  []Key
}

// Len is the number of rows.
func (b *Batch) Len() int { panic("to do") }

// Bytes is how large the rows are as SQL.
func (b *Batch) Bytes() int { panic("to do") }

// Keys are the rows' keys.
func (b *Batch) Keys() []Key { panic("to do") }

// Chunk is a part of a table.
type Chunk struct {
	Range
	Batch *Batch // its rows that meet the condition
	Last  bool   // there is nothing behind it: To is ""
}

// Scan is a walk over a table in the order of its primary key.
type Scan struct{}

// Scan begins a walk behind a key, "" for the start.
func (s *Session) Scan(t *Table, condition string, after Key, limit Limit) *Scan { panic("to do") }

// Next reads the next chunk, nil behind the last one. All of its rows are of one
// moment, not before the call.
func (c *Scan) Next(ctx context.Context) (*Chunk, error) { panic("to do") }

// Skip is Next without the rows: the next chunk has no Batch.
func (c *Scan) Skip(ctx context.Context) (*Chunk, error) { panic("to do") }

// ReadRange reads the rows of a range; a chunk's, since all are in memory.
func (s *Session) ReadRange(ctx context.Context, t *Table, r Range, condition string) (*Batch, error) {
	panic("to do")
}

// ReadKeys reads those of the rows with these keys that exist and meet the
// condition, each at a moment not before the call. A list may be of any length;
// at most some thousands are sensible, since all rows are in memory.
func (s *Session) ReadKeys(ctx context.Context, t *Table, keys []Key, condition string) (*Batch, error) {
	panic("to do")
}
