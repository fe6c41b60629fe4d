package shardmap

import (
	"math"
	"math/bits"
)

// integer is a whole number from -(2^64-1) to 2^64-1.
type integer struct {
	neg bool
	abs uint64
}

func signed(v int64) integer {
	if v < 0 {
		return integer{neg: true, abs: -uint64(v)}
	}
	return integer{abs: uint64(v)}
}

// slot is the floor modulo of n.
func (n integer) slot(slots int) int {
	r := int(n.abs % uint64(slots))
	if n.neg && r > 0 {
		r = slots - r
	}
	return r
}

// in64 reports whether a BIGINT or a BIGINT UNSIGNED can hold n.
func (n integer) in64() bool { return !n.neg || n.abs <= 1<<63 }

// number is a numeral as the servers read it from text.
type number struct {
	integer        // its whole part, towards zero; meaningless when big
	frac    bool   // there is a fractional part other than zero
	half    bool   // that part is at least one half
	big     bool   // at least 2^64 away from zero
	digits  int    // of the whole part, without leading zeros
	places  int    // written after the point
	plain   bool   // nothing but a sign and digits
	exp     bool   // has an exponent
	end     int    // where the numeral ends in the text
	huge    bool   // the exponent is beyond any that is looked at
	rounded uint64 // abs, plus one when half; wraps when big
}

// round gives the nearest integer, halves away from zero. n is not big.
func (n number) round() integer {
	return integer{neg: n.neg && n.rounded > 0, abs: n.rounded}
}

// spaces returns how many spaces s begins with.
func spaces(s []byte) int {
	n := 0
	for n < len(s) && s[n] == ' ' {
		n++
	}
	return n
}

// parseNumber reads the numeral that s begins with:
// [sign] digits [. digits] [e [sign] digits]. ok is false if there is none,
// which the servers read as 0.
func parseNumber(s []byte) (n number, ok bool) {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		n.neg = s[i] == '-'
		i++
	}
	whole := s[i:]
	whole = whole[:run(whole)]
	i += len(whole)
	n.plain = true
	var part []byte
	if i < len(s) && s[i] == '.' {
		part = s[i+1:]
		part = part[:run(part)]
		if len(whole)+len(part) > 0 {
			n.plain = false
			i += 1 + len(part)
		}
	}
	if len(whole)+len(part) == 0 {
		return number{}, false
	}
	n.places = len(part)
	exp := 0
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j, negative := i+1, false
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			negative = s[j] == '-'
			j++
		}
		if k := run(s[j:]); k > 0 {
			n.plain, n.exp = false, true
			for _, c := range s[j : j+k] {
				if exp = exp*10 + int(c-'0'); exp > 9999 {
					exp, n.huge = 9999, true
				}
			}
			if negative {
				exp = -exp
			}
			i = j + k
		}
	}
	n.end = i
	n.weigh(whole, part, exp)
	return n, true
}

// weigh computes the value of whole.part * 10^exp.
func (n *number) weigh(whole, part []byte, exp int) {
	total := len(whole) + len(part)
	point := len(whole) + exp // digits before the point
	digit := func(i int) byte {
		switch {
		case i < 0 || i >= total:
			return 0
		case i < len(whole):
			return whole[i] - '0'
		}
		return part[i-len(whole)] - '0'
	}
	first := 0
	for first < total && digit(first) == 0 {
		first++
	}
	if first == total { // zero, whatever the exponent
		n.neg, n.huge = false, false
		return
	}
	for i := max(point, first); i < total; i++ {
		if digit(i) != 0 {
			n.frac = true
			break
		}
	}
	n.half = point >= 0 && digit(point) >= 5
	n.digits = max(point-first, 0)
	if n.digits > 20 {
		n.big = true
		return
	}
	for i := first; i < point; i++ {
		hi, lo := bits.Mul64(n.abs, 10)
		sum, carry := bits.Add64(lo, uint64(digit(i)), 0)
		if hi != 0 || carry != 0 {
			n.big = true
			return
		}
		n.abs = sum
	}
	n.rounded = n.abs
	if n.half {
		n.rounded++
	}
	if n.abs == math.MaxUint64 && n.half {
		n.big = true
	}
	if n.abs == 0 && !n.frac {
		n.neg = false
	}
}

// run counts the digits that s begins with.
func run(s []byte) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}
