package rows

import "context"

// Collision is a row that doesn't meet the condition, so isn't to be touched,
// and has a value that a row to be written has too, in a unique index.
type Collision struct {
	Server, Table string
	Index         string
	Values        string // of the index, as SQL
	Mine          Key    // of the row that was to be written
	Other         Key    // of the row that is in the way
}

func (c *Collision) Error() string { panic("to do") }

// ReplaceRange puts rows in place of all that the server has in a range and that
// meets the condition. displaced are the keys of other rows that met the
// condition, held a value of a unique index that a new row has, and so were
// deleted: they are out of date, and the caller reads them again and writes what
// they are now. The error is a [Collision] where such a row doesn't meet the
// condition.
func (s *Session) ReplaceRange(ctx context.Context, t *Table, r Range, condition string, b *Batch) (displaced []Key, err error) {
	panic("to do")
}

// ReplaceKeys is ReplaceRange for a list of keys: those that aren't in the batch
// are deleted.
func (s *Session) ReplaceKeys(ctx context.Context, t *Table, keys []Key, condition string, b *Batch) (displaced []Key, err error) {
	panic("to do")
}

// DeleteRange deletes the rows of a range that meet the condition, and says how
// many.
func (s *Session) DeleteRange(ctx context.Context, t *Table, r Range, condition string) (int64, error) {
	panic("to do")
}
