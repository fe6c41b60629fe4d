package rows

import "context"

// Sum is the checksum of rows. Two are equal (==) where the rows are: the same
// number, and each column of each the same bytes.
type Sum struct {
	Rows      int64
	High, Low uint64
}

// Hash is the checksum of one row.
type Hash string

// Checksum computes the checksum of the rows of a range, on the server.
func (s *Session) Checksum(ctx context.Context, t *Table, r Range, condition string) (Sum, error) {
	panic("to do")
}

// ChecksumKeys is Checksum for a list of keys.
func (s *Session) ChecksumKeys(ctx context.Context, t *Table, keys []Key, condition string) (Sum, error) {
	panic("to do")
}

// Hashes are the checksums of each row of a range.
func (s *Session) Hashes(ctx context.Context, t *Table, r Range, condition string) (map[Key]Hash, error) {
	panic("to do")
}

// HashesOf is Hashes for a list of keys.
func (s *Session) HashesOf(ctx context.Context, t *Table, keys []Key, condition string) (map[Key]Hash, error) {
	panic("to do")
}

// Differing are the keys whose rows are not the same on two sides, sorted.
func Differing(a, b map[Key]Hash) []Key { panic("to do") }

// Load is how much is in a slot.
type Load struct {
	Rows, Bytes int64
}

// Count counts the rows of each slot, which slot, SQL over the table's columns,
// computes, in one scan, or, if the server takes the table for one of more than
// most rows (0 is no limit), by samples: then exact is false. Bytes are rows
// times the average row with its indexes.
func (s *Session) Count(ctx context.Context, t *Table, slot string, most int64) (loads map[int]Load, exact bool, err error) {
	panic("to do")
}
