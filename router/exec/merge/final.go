package merge

import (
	"slices"

	"shardway/protocol"
)

// sorter keeps rows until all of them are known, to give them in the order of their final keys.
type sorter struct {
	rows  []sortable
	free  []byte // room for the next rows
	bytes uint64 // that rows take
	work  row
}

// sortable is one row with its keys.
type sortable struct {
	raw  []byte
	keys []value
}

// sortableSize is about what a row takes besides its bytes, and valueSize what each of its keys takes.
const (
	sortableSize = 48
	valueSize    = 40
	arena        = 64 << 10
)

// add keeps a copy of a row. Where the answer has a limit, rows beyond it are forgotten from time to time.
func (s *sorter) add(m *Merger, r *row) error {
	if len(s.free) < len(r.raw) {
		s.free = make([]byte, max(arena, len(r.raw)))
	}
	n := copy(s.free, r.raw)
	one := sortable{raw: s.free[:n:n], keys: make([]value, len(m.final))}
	s.free = s.free[n:]
	if err := m.parse(0, &s.work, one.raw, m.final, one.keys); err != nil {
		return err
	}
	s.rows = append(s.rows, one)
	s.bytes += uint64(n + sortableSize + valueSize*len(one.keys))
	if most := m.skip + m.left; most >= m.skip && most < 1<<30 && uint64(len(s.rows)) >= 2*most+1024 {
		s.cut(m, int(most))
	}
	return s.within(m)
}

func (s *sorter) within(m *Merger) error {
	rows, bytes := m.options.MaxRows, m.options.MaxBytes
	switch {
	case rows > 0 && uint64(len(s.rows)) > rows:
		return protocol.Errorf(codeUnknown, "HY000", "shardway: more than %d groups have to be sorted, which is the limit: raise limits.gather_rows, group fewer rows, or order by the columns of GROUP BY", rows)
	case bytes > 0 && s.bytes > bytes:
		return protocol.Errorf(codeUnknown, "HY000", "shardway: the groups to be sorted take more than %d bytes, which is the limit: raise limits.gather_bytes, group fewer rows, or order by the columns of GROUP BY", bytes)
	default:
		return nil
	}
}

func (s *sorter) sort(m *Merger) {
	slices.SortStableFunc(s.rows, func(a, b sortable) int { return compareKeys(m.final, a.keys, b.keys) })
}

// cut keeps the first rows alone, in memory of their own.
func (s *sorter) cut(m *Merger, n int) {
	s.sort(m)
	clear(s.rows[n:])
	s.rows = s.rows[:n]
	s.bytes = 0
	for i := range s.rows {
		one := &s.rows[i]
		old := one.raw
		one.raw = slices.Clone(old)
		if m.parse(0, &s.work, one.raw, m.final, one.keys) != nil {
			one.raw = old // it was read before; its keys still point there
		}
		s.bytes += uint64(len(one.raw) + sortableSize + valueSize*len(one.keys))
	}
	s.free = nil
}

// give gives the rows in order.
func (s *sorter) give(m *Merger) error {
	s.sort(m)
	for i := range s.rows {
		if err := m.layout.split(&s.work, s.rows[i].raw); err != nil {
			return err
		}
		if err := m.give(&s.work); err != nil {
			return err
		}
	}
	return nil
}
