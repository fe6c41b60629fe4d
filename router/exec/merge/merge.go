package merge

import (
	"errors"
	"io"

	"shardway/router/plan"
)

// Options are what a merge needs to know besides the plan.
type Options struct {
	Binary bool     // the rows are those of an EXECUTE
	Shards []string // the names of the sources, for errors
	// Padding says how texts of a collation are compared. An UnmergeableError says that their weights can't be.
	Padding func(collation string) (Padding, error)
	// MaxRows and MaxBytes limit the groups that are kept because their order isn't their keys'; 0 for no limit.
	MaxRows, MaxBytes uint64
}

func (o *Options) shard(i int) string {
	if i < len(o.Shards) {
		return o.Shards[i]
	}
	return "?"
}

// Padding is how a collation compares texts of different lengths.
type Padding struct {
	// Space is the weight of a space where texts are compared as if the shorter one went on with spaces; else empty.
	Space []byte
	// Cut says that the server, though the collation pads, sorts expressions as if the shorter text went on with zeros, as
	// MariaDB does in collations of bytes, latin1_bin and the like.
	Cut bool
}

// Source gives the rows of one server. A row is valid until the next one is asked for; the error after the last is
// io.EOF.
type Source interface{ Next() ([]byte, error) }

// Sink takes the rows of the answer. A row isn't referred to after the call.
type Sink interface{ WriteRow(row []byte) error }

// Merger is a plan.Merge for the columns that the servers have sent. It is for one answer.
type Merger struct {
	plan    *plan.Merge
	options Options
	layout  layout
	defs    [][]byte

	order    []key // by which the sources are merged
	sums     []sum
	final    []key
	shown    int  // columns that the client sees
	grouping bool // rows become groups
	distinct bool

	to     Sink
	skip   uint64 // rows that the client doesn't get
	left   uint64 // rows that it still gets
	rows   uint64 // that it got
	out    []byte // of a row that isn't written as it came
	sorted sorter
}

// New checks that the plan can be carried out on columns, whose definitions each source has sent.
func New(p *plan.Merge, columns [][][]byte, o Options) (*Merger, error) {
	m := &Merger{plan: p, options: o, left: 1<<64 - 1}
	var err error
	if m.layout.columns, m.defs, err = columnsOf(columns, &m.options); err != nil {
		return nil, err
	}
	m.layout.binary = o.Binary
	total := len(m.layout.columns)
	switch {
	case p.Visible < 0:
		m.shown = total - p.Appended
	case p.Visible == 0:
		m.shown = total
	default:
		m.shown = p.Visible
	}
	if m.shown < 1 || m.shown > total {
		return nil, malformed("%d columns where %d and %d more were asked for", total, p.Visible, p.Appended)
	}
	m.distinct = p.Distinct
	m.grouping = p.One || len(p.Group) > 0
	order := p.Order
	if m.grouping {
		order = p.Group
	}
	if m.order, err = m.keys(order, m.grouping || p.Distinct); err != nil {
		return nil, err
	}
	if m.final, err = m.keys(p.Final, false); err != nil {
		return nil, err
	}
	if m.grouping || p.Distinct {
		for i := range m.layout.columns[:m.shown] {
			if c := &m.layout.columns[i]; c.copied && c.integer() && c.unsigned() {
				// MariaDB's temporary tables hold a BIT as an integer, and whether one is used depends on the shards' own ORDER BY.
				return nil, unmergeable("column %d (%s) may be a BIT: its type is known to a server alone", i+1, c.name)
			}
		}
	}
	if m.grouping {
		if err := m.newSums(); err != nil {
			return nil, err
		}
	}
	m.needs()
	m.skip = p.Offset.N
	if p.Limit.Set {
		m.left = p.Limit.N
	}
	return m, nil
}

// needs says how much of a row has to be understood.
func (m *Merger) needs() {
	l := &m.layout
	if m.shown < len(l.columns) {
		l.needed = m.shown
	}
	for _, keys := range [2][]key{m.order, m.final} {
		for i := range keys {
			l.needed = max(l.needed, keys[i].column+1, keys[i].weight+1, keys[i].coll+1)
		}
	}
	if m.grouping {
		l.needed = len(l.columns)
	}
}

// index is the number of a column of the plan.
func (m *Merger) index(column int) (int, error) {
	at := column
	if at < 0 && at != plan.NoColumn {
		at += len(m.layout.columns)
	}
	if at != plan.NoColumn && (at < 0 || at >= len(m.layout.columns)) {
		return 0, malformed("%d columns, of which number %d was asked for", len(m.layout.columns), column)
	}
	return at, nil
}

// keys are the plan's keys for the columns at hand. equal says that values which aren't different are the same.
func (m *Merger) keys(list []plan.Key, equal bool) ([]key, error) {
	keys := make([]key, 0, len(list))
	for i := range list {
		k, err := m.key(list[i].Column, list[i].Weight, list[i].Collation, equal)
		if err != nil {
			return nil, err
		}
		if m.layout.columns[k.column].floating() && !m.layout.binary && !m.layout.columns[k.column].exactText() {
			return nil, unmergeable("%s, column %d (%s), is rounded when it is written as text: its order is known to a server alone",
				&m.layout.columns[k.column], k.column+1, m.layout.columns[k.column].name)
		}
		k.desc, k.computed = list[i].Desc, list[i].Computed
		keys = append(keys, k)
	}
	return keys, nil
}

func (m *Merger) key(column, weight, coll int, equal bool) (k key, err error) {
	var at [3]int
	for i, c := range [3]int{column, weight, coll} {
		if at[i], err = m.index(c); err != nil {
			return k, err
		}
	}
	return newKey(&m.layout, at[0], at[1], at[2], equal)
}

// Columns are the definitions of the columns that the client sees.
func (m *Merger) Columns() [][]byte { return m.defs[:m.shown] }

// Run reads the rows of the sources and writes the answer. It stops when the answer has all its rows: the sources may
// have more then. An error is that of a source or the sink as it is, a *protocol.Error of Run's own, or an
// UnmergeableError.
func (m *Merger) Run(from []Source, to Sink) (rows uint64, err error) {
	m.to = to
	if m.left == 0 {
		return 0, nil
	}
	switch {
	case m.grouping:
		err = m.groups(from)
	case len(m.order) > 0:
		err = m.ordered(from)
	default:
		err = m.plain(from)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return m.rows, err
}

// errEnough ends a merge whose answer has all its rows.
var errEnough = errors.New("the answer has all its rows")

// plain writes rows as they come.
func (m *Merger) plain(from []Source) error {
	var r row
	for _, s := range from {
		for {
			raw, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if m.layout.needed > 0 {
				if err := m.layout.split(&r, raw); err != nil {
					return err
				}
			}
			r.raw = raw
			if err := m.give(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// give writes a row of the answer, but for those before its offset.
func (m *Merger) give(r *row) error {
	if m.skip > 0 {
		m.skip--
		return nil
	}
	raw := r.raw
	if m.shown < len(m.layout.columns) {
		if m.layout.binary {
			m.out = m.layout.visible(m.out[:0], r, m.shown)
			raw = m.out
		} else {
			raw = raw[:r.at[m.shown-1].to]
		}
	}
	if err := m.to.WriteRow(raw); err != nil {
		return err
	}
	m.rows++
	if m.left--; m.left == 0 {
		return errEnough
	}
	return nil
}

// ordered merges sources that are sorted.
func (m *Merger) ordered(from []Source) error {
	t, err := m.newTree(from)
	if err != nil {
		return err
	}
	var last kept
	for h := t.first(); h != nil; h = t.first() {
		if m.distinct {
			again, err := last.equal(m, h)
			if err != nil {
				return err
			}
			if again {
				if err := t.next(); err != nil {
					return err
				}
				continue
			}
		}
		if err := m.give(&h.row); err != nil {
			return err
		}
		if m.distinct {
			last.keep(m, h)
		}
		if err := t.next(); err != nil {
			return err
		}
	}
	return nil
}

// kept are the keys of a row that is gone.
type kept struct {
	any    bool
	values []value
	bytes  []byte
}

// keep copies a row's keys.
func (k *kept) keep(m *Merger, h *head) {
	k.any = true
	k.values = append(k.values[:0], h.keys...)
	k.bytes = k.bytes[:0]
	for i := range k.values {
		k.bytes = append(k.bytes, k.values[i].b...)
	}
	at := 0
	for i := range k.values {
		if b := k.values[i].b; b != nil {
			k.values[i].b = k.bytes[at : at+len(b)]
			at += len(b)
		}
	}
}

// equal says whether a row's keys are those that are kept. A row that comes before them shows that its source isn't sorted
// as its values are compared here.
func (k *kept) equal(m *Merger, h *head) (bool, error) {
	if !k.any {
		return false, nil
	}
	switch c := compareKeys(m.order, k.values, h.keys); {
	case c > 0:
		return false, unmergeable("the rows of shard %s aren't sorted as they were asked for: their keys may be longer than max_sort_length", m.options.shard(h.index))
	case c < 0:
		return false, nil
	default:
		return true, nil
	}
}

func compareKeys(keys []key, a, b []value) int {
	for i := range keys {
		if c := keys[i].compare(&a[i], &b[i]); c != 0 {
			return c
		}
	}
	return 0
}
