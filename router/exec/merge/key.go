package merge

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strconv"

	"shardway/protocol"
	"shardway/router/plan"
)

// form is how the values of a key are compared.
type form uint8

const (
	formNumber  form = iota // by value.n alone
	formBytes               // byte by byte, the shorter first
	formDecimal             // the text of a decimal
	formWeight              // the weight of a text, padded as its collation pads
)

// key is a plan.Key for the columns at hand.
type key struct {
	column int
	form   form
	desc   bool
	read   func(c *column, v []byte) (uint64, bool) // of formNumber
	weight int                                      // of formWeight: the column with it
	coll   int                                      // and with the collation's name
	pad    Padding                                  // of formWeight
	named  bool                                     // pad is known, as it is once a row has come

	computed bool // a server sorts by an expression
}

// value is a value by which rows are compared.
type value struct {
	null bool
	n    uint64 // formNumber: greater for a greater value
	b    []byte // the other forms: a part of the row
}

// newKey finds out how a column's values are compared, and fails where a server alone can say.
func newKey(l *layout, column, weight, coll int, equal bool) (key, error) {
	c := &l.columns[column]
	k := key{column: column, weight: -1, coll: -1}
	switch {
	case c.integer():
		k.read = readSigned
		if c.unsigned() || c.kind == protocol.TypeYear {
			k.read = readUnsigned
		}
		if l.binary {
			k.read = readInteger
		}
	case c.floating() && l.binary:
		k.read = readFloat
	case c.floating():
		if equal && !c.exactText() {
			return k, unmergeable("%s, column %d (%s), is rounded when it is written as text: rows that differ can't be told apart", c, column+1, c.name)
		}
		k.read = readFloatText
	case c.decimal():
		k.form = formDecimal
	case c.kind == protocol.TypeDate, c.kind == protocol.TypeDatetime, c.kind == protocol.TypeTimestamp:
		k.read = readDateText
		if l.binary {
			k.read = readDate
		}
	case c.kind == protocol.TypeTime:
		k.read = readTimeText
		if l.binary {
			k.read = readTime
		}
	case c.kind == protocol.TypeBit:
		k.read = readBit
	case c.kind == protocol.TypeNull:
		k.form = formBytes
	case c.textual() && c.charset == charsetBinary:
		k.form = formBytes
	case c.textual():
		if weight == plan.NoColumn || coll == plan.NoColumn {
			return k, unmergeable("column %d (%s) is text that came without its weight", column+1, c.name)
		}
		k.form, k.weight, k.coll = formWeight, weight, coll
	default:
		return k, unmergeable("values of type %s, column %d (%s), are compared by a server alone", c, column+1, c.name)
	}
	return k, nil
}

// exactText says whether different floating point values have different texts.
func (c *column) exactText() bool {
	return c.kind == protocol.TypeDouble && (c.decimals >= anyDecimals || c.stored)
}

// parse reads the key's value in a row. It points into the row.
func (k *key) parse(l *layout, r *row, v *value) error {
	p := r.at[k.column]
	if p.null() {
		*v = value{null: true}
		return nil
	}
	b := r.raw[p.from:p.to]
	switch k.form {
	case formNumber:
		n, ok := k.read(&l.columns[k.column], b)
		if !ok {
			return malformed("a value of %d bytes that is no %s in column %d (%s)", len(b), &l.columns[k.column], k.column+1, l.columns[k.column].name)
		}
		*v = value{n: n}
	case formWeight:
		w := r.at[k.weight]
		if w.null() {
			return unmergeable("the server gives no weight for column %d (%s)", k.column+1, l.columns[k.column].name)
		}
		*v = value{b: r.raw[w.from:w.to]}
	case formBytes, formDecimal:
		*v = value{b: b}
	}
	return nil
}

// compare says which of two values comes first in the key's order. NULL comes before all others.
func (k *key) compare(a, b *value) int {
	var c int
	switch {
	case a.null || b.null:
		switch {
		case a.null && b.null:
			return 0
		case a.null:
			c = -1
		default:
			c = 1
		}
	case k.form == formNumber:
		c = cmp.Compare(a.n, b.n)
	case k.form == formDecimal:
		c = compareDecimals(a.b, b.b)
	case k.form == formWeight && len(k.pad.Space) > 0:
		c = comparePadded(a.b, b.b, k.pad.Space)
	default:
		c = bytes.Compare(a.b, b.b)
	}
	if k.desc {
		return -c
	}
	return c
}

// sorted says which of two values a server puts first: it may do so where they are equal.
func (k *key) sorted(a, b *value) int {
	if !k.computed || !k.pad.Cut || a.null || b.null {
		return k.compare(a, b)
	}
	c := bytes.Compare(a.b, b.b)
	if k.desc {
		return -c
	}
	return c
}

// comparePadded compares weights as if the shorter one went on with spaces.
func comparePadded(a, b, space []byte) int {
	n := min(len(a), len(b))
	if c := bytes.Compare(a[:n], b[:n]); c != 0 || len(a) == len(b) {
		return c
	}
	if len(a) > n {
		return againstSpaces(a[n:], space)
	}
	return -againstSpaces(b[n:], space)
}

func againstSpaces(rest, space []byte) int {
	for len(rest) > 0 {
		n := min(len(rest), len(space))
		if c := bytes.Compare(rest[:n], space[:n]); c != 0 {
			return c
		}
		rest = rest[n:]
	}
	return 0
}

// What follows reads values as numbers that are in the values' order.

const signBit = 1 << 63

func ofSigned(n int64) uint64 { return uint64(n) ^ signBit }

func readUnsigned(_ *column, b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > math.MaxUint64/10 || n*10 > math.MaxUint64-d {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

func readSigned(c *column, b []byte) (uint64, bool) {
	if len(b) > 0 && b[0] == '-' {
		n, ok := readUnsigned(c, b[1:])
		return ofSigned(-int64(n)), ok && n <= signBit
	}
	n, ok := readUnsigned(c, b)
	return ofSigned(int64(n)), ok && n < signBit
}

func readInteger(c *column, b []byte) (uint64, bool) {
	var n uint64
	switch len(b) {
	case 1:
		n = uint64(int64(int8(b[0])))
	case 2:
		n = uint64(int64(int16(binary.LittleEndian.Uint16(b))))
	case 4:
		n = uint64(int64(int32(binary.LittleEndian.Uint32(b))))
	case 8:
		n = binary.LittleEndian.Uint64(b)
	default:
		return 0, false
	}
	if !c.unsigned() && c.kind != protocol.TypeYear {
		return n ^ signBit, true
	}
	return n & (1<<(8*len(b)-1)<<1 - 1), true
}

func ofFloat(f float64) uint64 {
	n := math.Float64bits(f + 0) // -0 is 0
	if n&signBit != 0 {
		return ^n
	}
	return n | signBit
}

func toFloat(n uint64) float64 {
	if n&signBit != 0 {
		return math.Float64frombits(n &^ signBit)
	}
	return math.Float64frombits(^n)
}

func readFloat(_ *column, b []byte) (uint64, bool) {
	switch len(b) {
	case 4:
		return ofFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))), true
	case 8:
		return ofFloat(math.Float64frombits(binary.LittleEndian.Uint64(b))), true
	default:
		return 0, false
	}
}

func readFloatText(_ *column, b []byte) (uint64, bool) {
	f, err := strconv.ParseFloat(string(b), 64)
	return ofFloat(f), err == nil
}

// readBit reads a BIT, which comes as bytes in either encoding.
func readBit(_ *column, b []byte) (uint64, bool) {
	if len(b) > 8 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// ofDate packs a date and a time of day: the order is that of the fields.
func ofDate(year, month, day, hour, minute, second, micros uint64) uint64 {
	return ((((year<<4|month)<<5|day)<<5|hour)<<6|minute)<<26 | second<<20 | micros
}

func readDate(_ *column, b []byte) (uint64, bool) {
	var f [11]byte
	switch len(b) {
	case 0, 4, 7, 11:
		copy(f[:], b)
	default:
		return 0, false
	}
	return ofDate(uint64(binary.LittleEndian.Uint16(f[:])), uint64(f[2]), uint64(f[3]), uint64(f[4]), uint64(f[5]), uint64(f[6]),
		uint64(binary.LittleEndian.Uint32(f[7:]))), true
}

func readDateText(_ *column, b []byte) (uint64, bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	var t [7]uint64
	ok := digits(b[:4], &t[0]) && digits(b[5:7], &t[1]) && digits(b[8:10], &t[2])
	if len(b) > 10 {
		ok = ok && len(b) >= 19 && b[13] == ':' && b[16] == ':' &&
			digits(b[11:13], &t[3]) && digits(b[14:16], &t[4]) && digits(b[17:19], &t[5]) && fraction(b[19:], &t[6])
	}
	return ofDate(t[0], t[1], t[2], t[3], t[4], t[5], t[6]), ok
}

func digits(b []byte, n *uint64) bool {
	*n = 0
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return false
		}
		*n = *n*10 + d
	}
	return true
}

// fraction reads what follows the seconds, in microseconds.
func fraction(b []byte, n *uint64) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != '.' || len(b) > 7 || !digits(b[1:], n) {
		return false
	}
	for range 7 - len(b) {
		*n *= 10
	}
	return true
}

func readTime(_ *column, b []byte) (uint64, bool) {
	var f [12]byte
	switch len(b) {
	case 0, 8, 12:
		copy(f[:], b)
	default:
		return 0, false
	}
	days := int64(binary.LittleEndian.Uint32(f[1:]))
	micros := (((days*24+int64(f[5]))*60+int64(f[6]))*60+int64(f[7]))*1e6 + int64(binary.LittleEndian.Uint32(f[8:]))
	if f[0] != 0 {
		micros = -micros
	}
	return ofSigned(micros), true
}

func readTimeText(_ *column, b []byte) (uint64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	colon := bytes.IndexByte(b, ':')
	if colon < 1 || colon > 4 || len(b) < colon+6 || b[colon+3] != ':' {
		return 0, false
	}
	var h, m, s, f uint64
	if !digits(b[:colon], &h) || !digits(b[colon+1:colon+3], &m) || !digits(b[colon+4:colon+6], &s) || !fraction(b[colon+6:], &f) {
		return 0, false
	}
	micros := int64(((h*60+m)*60+s)*1e6 + f)
	if negative {
		micros = -micros
	}
	return ofSigned(micros), true
}
