package exec

import (
	"context"
	"errors"
	"slices"
	"strings"

	"shardway/router/exec/gather"
	"shardway/router/plan"
	"shardway/shardmap"
)

// filled is a copy that has its rows.
type filled struct {
	table *gather.Table // nil: the table is read where it is
	copy  *gather.Copy
}

// keys reads the values that a column of a table must have, nil where they are too many or can't be compared.
func (w *gathering) keys(p *plan.Copy, t *gather.Table, f *plan.Filter) (*gather.Keys, error) {
	source := &w.filled[f.Of.Copy]
	if source.table == nil {
		return nil, nil // it wasn't copied
	}
	from, to := source.table.Column(f.Of.Column), t.Column(f.Columns[0])
	if from == nil || to == nil || !slices.Contains(source.copy.Columns(), from.Name) || !gather.Ties(from, to, strings.Contains(w.s.SQLMode(), "PAD_CHAR_TO_FULL_LENGTH")) {
		return nil, nil
	}
	res, err := w.home.Query(source.copy.Values(from))
	if err != nil {
		return nil, w.refused(p, err)
	}
	return gather.NewKeys(from, to, res.Rows, f.Of.Places), nil
}

// conditions are those for the rows of a copy at each of its shards that may have some.
func (w *gathering) conditions(p *plan.Copy, t *gather.Table) (map[*shardmap.Shard]string, error) {
	known := map[*plan.Filter]*gather.Keys{}
	var err error
	at := func(f *plan.Filter, s *shardmap.Shard) string {
		k, ok := known[f]
		if !ok && err == nil {
			k, err = w.keys(p, t, f)
			known[f] = k
		}
		if k == nil {
			return ""
		}
		if where, ok := k.At(s); ok {
			return where
		}
		return plan.Never
	}
	out := make(map[*shardmap.Shard]string, len(p.Shards))
	for _, shard := range p.Shards {
		where, never := p.Condition(func(f *plan.Filter) string {
			switch {
			case f.Of != nil:
				return at(f, shard)
			case usable(t, f):
				return f.SQL
			default:
				return ""
			}
		})
		if err != nil {
			return nil, err
		}
		if !never {
			out[shard] = p.Asked(where, shard)
		}
	}
	return out, nil
}

// fewBytes bounds the rows of a table that is copied though it could be read where it is.
const fewBytes = 4 << 20

// errNotFew ends the copying of a table that can be read where it is.
var errNotFew = errors.New("too many rows to copy")

// few fills a copy of a table that could be read where it is, or does without it where too many rows matter.
func (w *gathering) few(ctx context.Context, p *plan.Copy, c *gather.Copy, where map[*shardmap.Shard]string) error {
	var rows, bytes uint64
	err := w.fill(ctx, p, c, where, func(n, size uint64) error {
		rows += n
		bytes += size
		switch {
		case w.stopped():
			return killed()
		case bytes > fewBytes, w.g.Bytes > 0 && w.got.Bytes+bytes > w.g.Bytes:
			return errNotFew
		default:
			return nil
		}
	})
	if err == nil && (rows > gather.MaxKeys || w.g.Rows > 0 && w.got.Rows+rows > w.g.Rows) {
		err = errNotFew
	}
	if err == nil {
		w.got.Rows += rows
		w.got.Bytes += bytes
		return nil
	}
	if !errors.Is(err, errNotFew) {
		return err
	}
	if _, err := w.home.Exec(c.Drop()); err != nil {
		return w.refused(p, err)
	}
	w.filled[len(w.filled)-1] = filled{}
	w.made = w.made[:len(w.made)-1]
	w.got.Copies--
	return nil
}
