package rows

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"shardway/shardmap"
)

// Load is how much is in a slot.
type Load struct {
	Rows, Bytes int64
}

// How much of a large table is looked at: samples at points that are evenly
// spread over the values of the primary key's first column.
const (
	samples    = 64
	sampleRows = 1000
)

// Count counts the rows of each slot, which slot, SQL over the table's columns,
// computes, in one scan, or, if the server takes the table for one of more than
// most rows (0 is no limit), by samples: then exact is false. It is exact all the
// same where the primary key doesn't begin with a whole number. Bytes are rows
// times the average row with its indexes.
func (s *Session) Count(ctx context.Context, t *Table, slot string, most int64) (loads map[int]Load, exact bool, err error) {
	counts := map[int]int64{}
	add := func(v []driver.Value) error {
		if v[0] == nil {
			return nil // rows whose key is NULL have no slot
		}
		at, err := int64Of(v[0])
		if err != nil {
			return err
		}
		n, err := int64Of(v[1])
		counts[int(at)] += n
		return err
	}
	exact = true
	if most > 0 && t.Rows > most && len(t.Key) > 0 && strings.HasSuffix(t.Columns[t.Key[0]].Data, "int") {
		exact = false
		err = s.sample(ctx, t, slot, add)
	} else {
		err = s.each(ctx, "SELECT "+slot+",COUNT(*) FROM "+t.String()+" GROUP BY 1", add)
	}
	if err != nil {
		return nil, exact, err
	}
	return weigh(counts, t, exact), exact, nil
}

// sample counts at points of the table alone.
func (s *Session) sample(ctx context.Context, t *Table, slot string, add func([]driver.Value) error) error {
	first := shardmap.QuoteName(t.Columns[t.Key[0]].Name)
	// Points are computed by the server, whose numbers may be too large for ours.
	for i := range samples {
		query := fmt.Sprintf("SELECT s,COUNT(*) FROM (SELECT %s AS s%s WHERE %s>=(SELECT MIN(%s)+FLOOR((MAX(%s)*1.0-MIN(%s))*%d/%d) FROM %s)%s LIMIT %d) AS r GROUP BY s",
			slot, t.from(), first, first, first, first, i, samples, t, t.order(), sampleRows)
		if err := s.each(ctx, query, add); err != nil {
			return err
		}
	}
	return nil
}

func weigh(counts map[int]int64, t *Table, exact bool) map[int]Load {
	var counted int64
	for _, n := range counts {
		counted += n
	}
	loads := map[int]Load{}
	for at, n := range counts {
		share := float64(n) / float64(max(1, counted))
		load := Load{Rows: n, Bytes: int64(share * float64(t.Bytes))}
		if !exact {
			load.Rows = int64(share * float64(t.Rows))
		}
		loads[at] = load
	}
	return loads
}
