package merge

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"

	"shardway/protocol"
	"shardway/router/plan"
)

// sum is how one column of a group's rows becomes one value.
type sum struct {
	column   int
	op       plan.SumOp
	float    bool // it is added up as floating point numbers
	bits     bool
	of, by   int // of SumAvg: the columns of the sum and the count
	least    key // of SumMin and SumMax
	any      bool
	exact    decimal // of SumCount, SumSum and SumAvg
	count    uint64  // of SumAvg
	value    float64 // as exact is
	set      uint64  // of the operations on bits
	best     value   // of SumMin and SumMax, with bestKey
	bestKey  []byte
	bestText []byte // the value as it was encoded
}

// newSums finds out how the plan's sums are made of the columns at hand.
func (m *Merger) newSums() error {
	l := &m.layout
	for i := range m.plan.Sums {
		p := &m.plan.Sums[i]
		if p.Op == plan.SumFirst {
			continue
		}
		at, err := m.index(p.Column)
		if err != nil {
			return err
		}
		s := sum{column: at, op: p.Op, of: at, by: -1}
		c := &l.columns[at]
		switch p.Op {
		case plan.SumCount, plan.SumSum:
		case plan.SumAvg:
			if len(p.With) != 2 {
				return malformed("an average without its sum and its count")
			}
			if s.of, err = m.index(p.With[0]); err != nil {
				return err
			}
			if s.by, err = m.index(p.With[1]); err != nil {
				return err
			}
		case plan.SumMin, plan.SumMax:
			weight, coll := plan.NoColumn, plan.NoColumn
			if len(p.With) == 2 {
				weight, coll = p.With[0], p.With[1]
			}
			if s.least, err = m.key(p.Column, weight, coll, false); err != nil {
				return err
			}
		case plan.SumBitAnd, plan.SumBitOr, plan.SumBitXor:
			s.bits = true
			if !c.integer() {
				return unmergeable("%s of %s, column %d (%s), is made by a server alone", p.Op, c, at+1, c.name)
			}
		default:
			return unmergeable("%s, column %d (%s), is made by a server alone", p.Op, at+1, c.name)
		}
		if p.Op == plan.SumCount || p.Op == plan.SumSum || p.Op == plan.SumAvg {
			if err := s.adds(l); err != nil {
				return err
			}
		}
		m.sums = append(m.sums, s)
	}
	slices.SortFunc(m.sums, func(a, b sum) int { return a.column - b.column })
	for i := 1; i < len(m.sums); i++ {
		if at := m.sums[i].column; at == m.sums[i-1].column {
			return malformed("two sums for column %d (%s)", at+1, l.columns[at].name)
		}
	}
	return nil
}

// adds checks that the columns of a sum can be added.
func (s *sum) adds(l *layout) error {
	for _, at := range [2]int{s.column, s.of} {
		c := &l.columns[at]
		switch {
		case c.floating():
			s.float = true
		case c.integer(), c.decimal():
		default:
			return unmergeable("%s of %s, column %d (%s), is made by a server alone", s.op, c, at+1, c.name)
		}
	}
	if s.by >= 0 && !l.columns[s.by].integer() {
		return unmergeable("the count of column %d (%s) is %s", s.by+1, l.columns[s.by].name, &l.columns[s.by])
	}
	return nil
}

// reset begins a new group.
func (s *sum) reset() {
	s.any, s.count, s.value = false, 0, 0
	s.exact = decimal{}
	s.set = 0
	if s.op == plan.SumBitAnd {
		s.set = math.MaxUint64
	}
}

// add takes a row's value into the sum.
func (s *sum) add(l *layout, r *row) error {
	p := r.at[s.of]
	if p.null() {
		return nil
	}
	b := r.raw[p.from:p.to]
	c := &l.columns[s.of]
	switch {
	case s.op == plan.SumMin || s.op == plan.SumMax:
		return s.pick(l, r)
	case s.bits:
		n, ok := l.unsignedOf(c, b)
		if !ok {
			return malformed("a value of %d bytes that is no %s", len(b), c)
		}
		switch s.op {
		case plan.SumBitAnd:
			s.set &= n
		case plan.SumBitOr:
			s.set |= n
		default:
			s.set ^= n
		}
	case s.float:
		f, ok := l.floatOf(c, b)
		if !ok {
			return malformed("a value of %d bytes that is no %s", len(b), c)
		}
		s.value += f
	default:
		var d decimal
		if !l.decimalOf(&d, c, b) {
			return malformed("a value of %d bytes that is no %s", len(b), c)
		}
		if !s.exact.add(&d) {
			return s.tooLarge(l)
		}
	}
	if s.by >= 0 {
		if by := r.at[s.by]; !by.null() {
			n, ok := l.unsignedOf(&l.columns[s.by], r.raw[by.from:by.to])
			if !ok {
				return malformed("a count of %d bytes", by.to-by.from)
			}
			s.count += n
		}
	}
	s.any = true
	return nil
}

// pick keeps a row's value if it is less, or greater, than those before.
func (s *sum) pick(l *layout, r *row) error {
	var v value
	if err := s.least.parse(l, r, &v); err != nil {
		return err
	}
	if s.any {
		c := s.least.compare(&v, &s.best)
		if s.op == plan.SumMin && c >= 0 || s.op == plan.SumMax && c <= 0 {
			return nil
		}
	}
	s.any = true
	s.bestKey = append(s.bestKey[:0], v.b...)
	s.bestText = append(s.bestText[:0], r.encoded(s.column, l.header())...)
	s.best = value{n: v.n, b: s.bestKey}
	return nil
}

func (s *sum) tooLarge(l *layout) error {
	return protocol.Errorf(1690, "22003", "shardway: %s of column %d (%s) is out of range", s.op, s.column+1, l.columns[s.column].name)
}

// append appends the sum as the servers encode the column. null says that it is NULL.
func (s *sum) append(dst []byte, l *layout) (out []byte, null bool, err error) {
	c := &l.columns[s.column]
	switch s.op {
	case plan.SumMin, plan.SumMax:
		if !s.any {
			return l.appendNull(dst), true, nil
		}
		return append(dst, s.bestText...), false, nil
	case plan.SumBitAnd, plan.SumBitOr, plan.SumBitXor:
		return l.appendUint(dst, c, s.set), false, nil
	case plan.SumSum:
		if !s.any {
			return l.appendNull(dst), true, nil
		}
	case plan.SumAvg:
		if s.count == 0 {
			return l.appendNull(dst), true, nil
		}
		s.value /= float64(s.count)
		if !s.float && !s.exact.average(s.count, int(c.decimals)) {
			return dst, false, s.tooLarge(l)
		}
	default:
	}
	if s.float {
		if !finite(s.value) {
			return dst, false, s.tooLarge(l)
		}
		return l.appendFloat(dst, c, s.value), false, nil
	}
	out, ok := l.appendDecimal(dst, c, &s.exact)
	if !ok {
		return dst, false, s.tooLarge(l)
	}
	return out, false, nil
}

// group is the rows of equal keys, as one.
type group struct {
	rows  int
	first row    // of the group
	bytes []byte // first's own
	keys  kept
	made  []byte // the row that the group becomes
	makes row
}

// groups merges sources and makes one row of those with equal keys.
func (m *Merger) groups(from []Source) error {
	var g group
	var err error
	if len(m.order) == 0 {
		err = m.oneGroup(&g, from)
	} else {
		err = m.keyedGroups(&g, from)
	}
	if err != nil || len(m.final) == 0 {
		return err
	}
	return m.sorted.give(m)
}

// oneGroup makes one row of all.
func (m *Merger) oneGroup(g *group, from []Source) error {
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
			if err := m.split(&r, raw); err != nil {
				return err
			}
			if err := m.join(g, &r); err != nil {
				return err
			}
		}
	}
	if g.rows == 0 {
		g.bytes = m.layout.empty(g.bytes[:0])
		if err := m.layout.split(&g.first, g.bytes); err != nil {
			return err
		}
		for i := range m.sums {
			m.sums[i].reset()
		}
		g.rows = 2 // not a row as it came
	}
	return m.close(g)
}

// split finds the values of a row, and the collations of its least and greatest ones.
func (m *Merger) split(r *row, raw []byte) error {
	if err := m.layout.split(r, raw); err != nil {
		return err
	}
	return m.name(r)
}

// name finds out how the weights of least and greatest values are compared.
func (m *Merger) name(r *row) error {
	for i := range m.sums {
		if k := &m.sums[i].least; k.form == formWeight && !k.named {
			if err := m.collation(k, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyedGroups makes one row of those whose keys are equal.
func (m *Merger) keyedGroups(g *group, from []Source) error {
	t, err := m.newTree(from)
	if err != nil {
		return err
	}
	for h := t.first(); h != nil; h = t.first() {
		if err := m.name(&h.row); err != nil {
			return err
		}
		if g.rows > 0 {
			same, err := g.keys.equal(m, h)
			if err != nil {
				return err
			}
			if !same {
				if err := m.close(g); err != nil {
					return err
				}
			}
		}
		if g.rows == 0 {
			g.keys.keep(m, h)
		}
		if err := m.join(g, &h.row); err != nil {
			return err
		}
		if err := t.next(); err != nil {
			return err
		}
	}
	if g.rows == 0 {
		return nil
	}
	return m.close(g)
}

// join adds a row to a group.
func (m *Merger) join(g *group, r *row) error {
	g.rows++
	if g.rows == 1 {
		g.bytes = append(g.bytes[:0], r.raw...)
		g.first.raw = g.bytes
		g.first.at = append(g.first.at[:0], r.at...)
		return nil
	}
	for i := range m.sums {
		s := &m.sums[i]
		if g.rows == 2 {
			s.reset()
			if err := s.add(&m.layout, &g.first); err != nil {
				return err
			}
		}
		if err := s.add(&m.layout, r); err != nil {
			return err
		}
	}
	return nil
}

// close gives the row that a group becomes, and empties the group. A group of one row is that row.
func (m *Merger) close(g *group) error {
	r := &g.first
	if g.rows > 1 && len(m.sums) > 0 {
		if err := m.build(g); err != nil {
			return err
		}
		r = &g.makes
	}
	g.rows = 0
	if len(m.final) > 0 {
		return m.sorted.add(m, r)
	}
	return m.give(r)
}

// build makes the row of a group: its first one, with the sums in their places.
func (m *Merger) build(g *group) error {
	l := &m.layout
	from := l.header()
	g.made = append(g.made[:0], g.first.raw[:from]...)
	dst := g.made
	for i := range m.sums {
		s := &m.sums[i]
		start := l.header()
		if s.column > 0 {
			start = g.first.at[s.column-1].to
		}
		dst = append(dst, g.first.raw[from:start]...)
		from = g.first.at[s.column].to
		var null bool
		var err error
		if dst, null, err = s.append(dst, l); err != nil {
			return err
		}
		if l.binary {
			bit := s.column + 2
			dst[1+bit/8] &^= 1 << (bit % 8)
			if null {
				dst[1+bit/8] |= 1 << (bit % 8)
			}
		}
	}
	dst = append(dst, g.first.raw[from:]...)
	g.made = dst
	return l.split(&g.makes, g.made)
}

// empty appends a row of NULLs.
func (l *layout) empty(dst []byte) []byte {
	if !l.binary {
		for range l.columns {
			dst = append(dst, 0xfb)
		}
		return dst
	}
	dst = append(dst, make([]byte, l.header())...)
	for i := range l.columns {
		bit := i + 2
		dst[1+bit/8] |= 1 << (bit % 8)
	}
	return dst
}

// unsignedOf reads an integer as its bits.
func (l *layout) unsignedOf(c *column, b []byte) (uint64, bool) {
	if l.binary {
		n, ok := readInteger(c, b)
		if !c.unsigned() && c.kind != protocol.TypeYear {
			n ^= signBit
		}
		return n, ok
	}
	if len(b) > 0 && b[0] == '-' {
		n, ok := readSigned(c, b)
		return n ^ signBit, ok
	}
	return readUnsigned(c, b)
}

func (l *layout) floatOf(c *column, b []byte) (float64, bool) {
	var n uint64
	var ok bool
	switch {
	case c.floating() && l.binary:
		n, ok = readFloat(c, b)
	case c.integer() && l.binary:
		n, ok = l.unsignedOf(c, b)
		if c.unsigned() {
			return float64(n), ok
		}
		return float64(int64(n)), ok
	default:
		n, ok = readFloatText(c, b)
	}
	return toFloat(n), ok
}

func (l *layout) decimalOf(d *decimal, c *column, b []byte) bool {
	if !c.integer() || !l.binary {
		return d.parse(b)
	}
	n, ok := l.unsignedOf(c, b)
	if c.unsigned() {
		d.setUint(n)
	} else {
		d.setInt(int64(n))
	}
	return ok
}

// appendNull appends a NULL: in binary it is a bit elsewhere.
func (l *layout) appendNull(dst []byte) []byte {
	if l.binary {
		return dst
	}
	return append(dst, 0xfb)
}

// appendUint appends an integer in the encoding of a column of integers.
func (l *layout) appendUint(dst []byte, c *column, n uint64) []byte {
	if l.binary {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], n)
		return append(dst, b[:max(0, sizeOf(c.kind))]...)
	}
	var d decimal
	if d.setUint(n); !c.unsigned() {
		d.setInt(int64(n))
	}
	var text [24]byte
	return appendText(dst, d.append(text[:0]))
}

func (l *layout) appendFloat(dst []byte, c *column, f float64) []byte {
	if l.binary && c.kind == protocol.TypeDouble {
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
	}
	if l.binary && c.kind == protocol.TypeFloat {
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f)))
	}
	var text [400]byte
	return appendText(dst, appendFloat(text[:0], f, c.decimals))
}

// appendDecimal appends an exact number in the encoding of its column. It says false if the column can't hold it.
func (l *layout) appendDecimal(dst []byte, c *column, d *decimal) ([]byte, bool) {
	if c.integer() {
		n, ok := d.uint()
		switch {
		case !ok && !c.unsigned() && d.minus && d.scale == 0:
			low := *d
			low.minus = false
			n, ok = low.uint()
			n, ok = -n, ok && n <= signBit
		case ok && !c.unsigned():
			ok = n < signBit
		}
		return l.appendUint(dst, c, n), ok
	}
	if d.scale < int(c.decimals) && !d.rescale(int(c.decimals)) {
		return dst, false
	}
	var text [96]byte
	return appendText(dst, d.append(text[:0])), true
}

func appendText(dst, text []byte) []byte {
	return append(protocol.AppendLenInt(dst, uint64(len(text))), text...)
}
