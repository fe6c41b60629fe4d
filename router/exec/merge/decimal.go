package merge

import (
	"bytes"
	"math/bits"
)

// compareDecimals compares two decimals as servers write them: a sign, digits, a point and digits.
func compareDecimals(a, b []byte) int {
	a, minusA := unsign(a)
	b, minusB := unsign(b)
	c := compareMagnitudes(a, b)
	switch {
	case minusA && minusB:
		return -c
	case minusA != minusB && isZero(a) && isZero(b):
		return 0
	case minusA:
		return -1
	case minusB:
		return 1
	default:
		return c
	}
}

func unsign(d []byte) (rest []byte, minus bool) {
	if len(d) > 0 && (d[0] == '-' || d[0] == '+') {
		return d[1:], d[0] == '-'
	}
	return d, false
}

func isZero(d []byte) bool {
	for _, c := range d {
		if c != '0' && c != '.' {
			return false
		}
	}
	return true
}

func compareMagnitudes(a, b []byte) int {
	wholeA, restA := point(a)
	wholeB, restB := point(b)
	if len(wholeA) != len(wholeB) {
		if len(wholeA) < len(wholeB) {
			return -1
		}
		return 1
	}
	if c := bytes.Compare(wholeA, wholeB); c != 0 {
		return c
	}
	n := min(len(restA), len(restB))
	if c := bytes.Compare(restA[:n], restB[:n]); c != 0 {
		return c
	}
	switch {
	case !isZero(restA[n:]):
		return 1
	case !isZero(restB[n:]):
		return -1
	default:
		return 0
	}
}

// point cuts a decimal at its point. The whole part comes without the zeros that it begins with.
func point(d []byte) (whole, rest []byte) {
	whole, rest, _ = bytes.Cut(d, []byte{'.'})
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	return whole, rest
}

// decimal is an exact number: magnitude · 10^-scale. A magnitude holds 76 digits; the servers' DECIMAL has 65 at most.
type decimal struct {
	minus bool
	scale int
	mag   [4]uint64 // the lowest first
}

// maxScale is the most digits that a decimal has after its point; the servers' DECIMAL has 38 at most.
const maxScale = 70

// parse reads a decimal or an integer as servers write it.
func (d *decimal) parse(text []byte) bool {
	rest, minus := unsign(text)
	*d = decimal{minus: minus}
	seen, after := false, false
	for _, c := range rest {
		if c == '.' && !after {
			after = true
			continue
		}
		if c-'0' > 9 || !d.times(10, uint64(c-'0')) {
			return false
		}
		seen = true
		if after {
			d.scale++
		}
	}
	return seen && d.scale <= maxScale
}

func (d *decimal) setUint(n uint64) { *d = decimal{mag: [4]uint64{n}} }

func (d *decimal) setInt(n int64) {
	if n < 0 {
		*d = decimal{minus: true, mag: [4]uint64{-uint64(n)}}
		return
	}
	d.setUint(uint64(n))
}

// times multiplies the magnitude by m and adds plus. It says false if that is too much.
func (d *decimal) times(m, plus uint64) bool {
	carry := plus
	for i := range d.mag {
		high, low := bits.Mul64(d.mag[i], m)
		var c uint64
		d.mag[i], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
	return carry == 0
}

// over divides the magnitude by n and returns the rest.
func (d *decimal) over(n uint64) (rest uint64) {
	for i := len(d.mag) - 1; i >= 0; i-- {
		d.mag[i], rest = bits.Div64(rest, d.mag[i], n)
	}
	return rest
}

func (d *decimal) zero() bool { return d.mag == [4]uint64{} }

// add adds other. It says false if the sum is too large.
func (d *decimal) add(other *decimal) bool {
	o := *other
	if !d.rescale(o.scale) || !o.rescale(d.scale) {
		return false
	}
	if d.minus == o.minus {
		var carry uint64
		for i := range d.mag {
			d.mag[i], carry = bits.Add64(d.mag[i], o.mag[i], carry)
		}
		return carry == 0
	}
	if less(&d.mag, &o.mag) {
		d.mag, o.mag, d.minus = o.mag, d.mag, o.minus
	}
	var borrow uint64
	for i := range d.mag {
		d.mag[i], borrow = bits.Sub64(d.mag[i], o.mag[i], borrow)
	}
	return true
}

// rescale gives the number more digits after its point; fewer it doesn't get.
func (d *decimal) rescale(scale int) bool {
	for d.scale < scale {
		if !d.times(10, 0) {
			return false
		}
		d.scale++
	}
	return true
}

func less(a, b *[4]uint64) bool {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// digitsOfWord is how many digits servers keep in one word of a DECIMAL: quotients have whole words after their point.
const digitsOfWord = 9

func words(scale int) int { return (scale + digitsOfWord - 1) / digitsOfWord * digitsOfWord }

// average divides a sum by a count as servers do: the quotient has as many digits as fill words for the sum's own scale and
// the more that an average gets, the rest is cut, and what is left is rounded to scale.
func (d *decimal) average(count uint64, scale int) bool {
	more := max(0, scale-d.scale-(words(d.scale)-d.scale))
	kept := words(words(d.scale) + more)
	rest := d.over(count)
	for d.scale < scale {
		var digit uint64
		high, low := bits.Mul64(rest, 10)
		digit, rest = bits.Div64(high, low, count)
		if !d.times(10, digit) {
			return false
		}
		d.scale++
	}
	if kept > scale {
		high, low := bits.Mul64(rest, 10)
		if digit, _ := bits.Div64(high, low, count); digit >= 5 {
			return d.up()
		}
	}
	return true
}

// up adds one to the last digit.
func (d *decimal) up() bool {
	carry := uint64(1)
	for i := range d.mag {
		d.mag[i], carry = bits.Add64(d.mag[i], carry, 0)
	}
	return carry == 0
}

// append appends the number as servers write it.
func (d *decimal) append(dst []byte) []byte {
	var text [80]byte
	n := len(text)
	rest := *d
	for i := 0; i <= d.scale || !rest.zero(); i++ {
		if i == d.scale && i > 0 {
			n--
			text[n] = '.'
		}
		n--
		text[n] = byte('0' + rest.over(10))
	}
	if d.minus && !d.zero() {
		dst = append(dst, '-')
	}
	return append(dst, text[n:]...)
}

// uint is the number as an integer, if it is one that is at least 0.
func (d *decimal) uint() (uint64, bool) {
	if d.scale != 0 || d.mag[1]|d.mag[2]|d.mag[3] != 0 || d.minus && d.mag[0] != 0 {
		return 0, false
	}
	return d.mag[0], true
}
