package rows

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"shardway/shardmap"
)

// Sum is the checksum of rows. Two are equal (==) where the rows are: the same
// number, and each column of each the same bytes. It is the number of rows and
// 64 bits of SHA-2 of each, by exclusive or; since a row's own has its primary
// key in it, no two of them cancel each other.
type Sum struct {
	Rows int64
	Bits uint64
}

func (s Sum) add(o Sum) Sum { return Sum{s.Rows + o.Rows, s.Bits ^ o.Bits} }

// Hash is the checksum of one row.
type Hash string

// digest is the expression for a row's checksum. The columns' values stand next
// to each other; behind them, which of them are NULL and how long those are that
// may have any bytes, so that no two rows have the same text.
func (t *Table) digest() string {
	var values, nulls []string
	lengths := []string{"CAST('' AS BINARY)"} // makes bytes of all
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated && !slices.Contains(t.Key, i) {
			continue
		}
		name := shardmap.QuoteName(c.Name)
		values = append(values, c.sum())
		if c.varies() && !strings.HasPrefix(c.sum(), "SHA2") {
			lengths = append(lengths, "LENGTH("+name+")")
		}
		if c.Nullable {
			nulls = append(nulls, "ISNULL("+name+")")
		}
	}
	parts := slices.Concat(values, lengths)
	if len(nulls) > 0 {
		parts = append(parts, "CONCAT("+strings.Join(nulls, ",")+")")
	}
	return "SHA2(CONCAT_WS('#'," + strings.Join(parts, ",") + "),256)"
}

// Checksum computes the checksum of the rows of a range, on the server.
func (s *Session) Checksum(ctx context.Context, t *Table, r Range, condition string) (Sum, error) {
	return s.sum(ctx, t, t.where(r, condition))
}

// ChecksumKeys is Checksum for a list of keys.
func (s *Session) ChecksumKeys(ctx context.Context, t *Table, keys []Key, condition string) (Sum, error) {
	var all Sum
	for _, some := range groups(keys) {
		one, err := s.sum(ctx, t, t.whereKeys(some, condition))
		if err != nil {
			return Sum{}, err
		}
		all = all.add(one)
	}
	return all, nil
}

func (s *Session) sum(ctx context.Context, t *Table, where string) (Sum, error) {
	var sum Sum
	// A row whose checksum is NULL, which has no text, would count for nothing.
	query := "SELECT COUNT(*),BIT_XOR(CAST(CONV(LEFT(d,16),16,10) AS UNSIGNED)),COUNT(d) FROM (SELECT " + t.digest() + " AS d" + t.from() + where + ") AS r"
	err := s.each(ctx, query, func(v []driver.Value) (err error) {
		if sum.Rows, err = int64Of(v[0]); err != nil {
			return err
		}
		known, err := int64Of(v[2])
		if err == nil && known != sum.Rows {
			err = fmt.Errorf("%d rows have no checksum", sum.Rows-known)
		}
		var ok bool
		if sum.Bits, ok = v[1].(uint64); !ok && err == nil {
			err = fmt.Errorf("the checksum came as %T", v[1])
		}
		return err
	})
	return sum, err
}

// Hashes are the checksums of each row of a range.
func (s *Session) Hashes(ctx context.Context, t *Table, r Range, condition string) (map[Key]Hash, error) {
	all := map[Key]Hash{}
	return all, s.hashes(ctx, t, t.where(r, condition), all)
}

// HashesOf is Hashes for a list of keys.
func (s *Session) HashesOf(ctx context.Context, t *Table, keys []Key, condition string) (map[Key]Hash, error) {
	all := map[Key]Hash{}
	for _, some := range groups(keys) {
		if err := s.hashes(ctx, t, t.whereKeys(some, condition), all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *Session) hashes(ctx context.Context, t *Table, where string, all map[Key]Hash) error {
	parts := make([]string, len(t.Key))
	for k, i := range t.Key {
		parts[k] = t.Columns[i].read()
	}
	query := "SELECT " + strings.Join(parts, ",") + "," + t.digest() + t.from() + where
	return s.each(ctx, query, func(v []driver.Value) error {
		key, err := t.keyOf(v[:len(v)-1])
		if err != nil {
			return err
		}
		text, ok := v[len(v)-1].([]byte)
		if !ok {
			return fmt.Errorf("row (%s) has no checksum", key)
		}
		all[key] = Hash(text)
		return nil
	})
}

// Differing are the keys whose rows are not the same on two sides, sorted.
func Differing(a, b map[Key]Hash) []Key {
	var all []Key
	for key, hash := range a {
		if other, ok := b[key]; !ok || other != hash {
			all = append(all, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}
