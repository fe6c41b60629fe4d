package merge

import (
	"errors"
	"io"
	"slices"
)

// head is the next row of one source.
type head struct {
	from  Source
	index int
	row   row
	keys  []value
	done  bool // the source has no more rows
}

// tree is a tournament of the sources' next rows: first is the one that comes before all others. It is the tree of losers
// of Knuth, The Art of Computer Programming 3, 5.4.1: the next row of a source is compared once at each level.
type tree struct {
	m     *Merger
	heads []head
	lost  []int // by node, from 1 on: who lost there
	won   int
}

// newTree reads the first row of each source.
func (m *Merger) newTree(from []Source) (*tree, error) {
	t := &tree{m: m, heads: make([]head, len(from)), lost: make([]int, len(from))}
	for i := range t.heads {
		h := &t.heads[i]
		h.from, h.index, h.keys = from[i], i, make([]value, len(m.order))
		if err := t.read(h); err != nil {
			return nil, err
		}
	}
	for i := range t.lost {
		t.lost[i] = -1
	}
	for i := range slices.Backward(from) {
		t.play(i)
	}
	return t, nil
}

// read reads a source's next row.
func (t *tree) read(h *head) error {
	raw, err := h.from.Next()
	if errors.Is(err, io.EOF) {
		h.done = true
		return nil
	}
	if err != nil {
		return err
	}
	return t.m.parse(h.index, &h.row, raw, t.m.order, h.keys)
}

// parse splits a row and reads its keys.
func (m *Merger) parse(source int, r *row, raw []byte, keys []key, values []value) error {
	if err := m.layout.split(r, raw); err != nil {
		return err
	}
	for i := range keys {
		k := &keys[i]
		if k.form == formWeight && !k.named {
			if err := m.collation(k, r); err != nil {
				return err
			}
		}
		if err := k.parse(&m.layout, r, &values[i]); err != nil {
			return err
		}
	}
	return nil
}

// collation finds out how a key's weights are compared. It is the same for all rows: of an expression the collation is
// known before its values.
func (m *Merger) collation(k *key, r *row) error {
	name := r.value(k.coll)
	if name == nil {
		return nil // of a NULL that has none
	}
	pad, err := m.options.Padding(string(name))
	if err != nil {
		return err
	}
	k.pad, k.named = pad, true
	return nil
}

// play lets a source climb from its leaf until another wins or is awaited.
func (t *tree) play(i int) {
	for node := (i + len(t.heads)) / 2; node > 0; node /= 2 {
		other := t.lost[node]
		if other < 0 {
			t.lost[node] = i
			return
		}
		if t.before(other, i) {
			t.lost[node], i = i, other
		}
	}
	t.won = i
}

// before says whether a source's row comes before that of another; equal rows come in the order of the sources.
func (t *tree) before(a, b int) bool {
	x, y := &t.heads[a], &t.heads[b]
	if x.done || y.done {
		return !x.done || y.done && a < b
	}
	for i := range t.m.order {
		if c := t.m.order[i].sorted(&x.keys[i], &y.keys[i]); c != 0 {
			return c < 0
		}
	}
	return a < b
}

// first is the row that comes next, nil when there is none.
func (t *tree) first() *head {
	if len(t.heads) == 0 || t.heads[t.won].done {
		return nil
	}
	return &t.heads[t.won]
}

// next replaces the first row by the next one of its source.
func (t *tree) next() error {
	if err := t.read(&t.heads[t.won]); err != nil {
		return err
	}
	t.play(t.won)
	return nil
}
