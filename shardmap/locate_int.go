package shardmap

import (
	"encoding/binary"
	"math"
)

// exactFloat is the number below which every integer is alone among integers
// in having its double, so that a comparison by double can't match another.
const exactFloat = 1 << 53

// Limits within which servers keep a decimal as it is written.
const (
	decimalDigits = 65
	decimalPlaces = 30
)

// maxText bounds the strings that are read as numbers.
const maxText = 256

// locateCompare places the rows of an integer key column that match v.
func (t *Table) locateCompare(v Value) Location {
	switch v.Kind {
	case Int:
		return t.placed(intSlot(v.I, t.Database.Slots))
	case Uint:
		return t.placed(uintSlot(v.U, t.Database.Slots))
	case Decimal:
		return t.compareDecimal(v.S)
	case Float:
		return t.compareFloat(v.F)
	case String:
		return t.compareString(v.S)
	case Bytes:
		if n, ok := v.number(); ok {
			return t.at(n)
		}
	}
	return Location{}
}

// compareDecimal: the server compares exactly, by decimal.
func (t *Table) compareDecimal(s []byte) Location {
	n, ok := parseDecimal(s)
	switch {
	case !ok:
		return Location{}
	case n.big, !n.in64():
		return Location{Kind: Nowhere}
	case n.frac:
		return t.compareFraction(n)
	}
	return t.at(n.integer)
}

// parseDecimal reads a decimal that the server keeps as it is.
func parseDecimal(s []byte) (number, bool) {
	if len(s) > maxText {
		return number{}, false
	}
	n, ok := parseNumber(s)
	if !ok || n.end != len(s) || n.exp || n.places > decimalPlaces || n.digits+n.places > decimalDigits {
		return number{}, false
	}
	return n, true
}

// compareFloat: the server compares by double.
func (t *Table) compareFloat(f float64) Location {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return Location{}
	case math.Abs(f) >= 1e20:
		return Location{Kind: Nowhere}
	case math.Abs(f) >= exactFloat:
		return Location{}
	}
	// Doubles round to even; see compareFraction.
	return t.placed(intSlot(int64(math.RoundToEven(f)), t.Database.Slots))
}

// compareString: the server reads a whole number as one and compares exactly
// where it can, and compares by the double of the numeral that the string
// begins with (0 if there is none) where it can't.
func (t *Table) compareString(s []byte) Location {
	n, plain, ok := stringNumber(s)
	if !ok {
		return Location{}
	}
	switch {
	case n.huge:
		return Location{}
	case n.big && n.digits > 20:
		return Location{Kind: Nowhere}
	case n.big:
		return Location{}
	case n.frac:
		return t.compareFraction(n)
	case n.abs < exactFloat, plain && n.abs < math.MaxInt64-exactGap:
		return t.at(n.integer)
	}
	return Location{}
}

// exactGap keeps strings away from the end of BIGINT's range, where a double
// may stand for a number on its other side.
const exactGap = 4096

// compareFraction: a fraction equals no integer, yet MariaDB rounds it before
// it looks into an index that isn't unique, and then id = 5.5 matches 6 and
// id = 4.4 matches 4. So the one row that can match is the rounded one. It is
// also the one whose double is that of a fraction too fine for a double.
func (t *Table) compareFraction(n number) Location {
	if n.rounded >= exactFloat {
		return Location{}
	}
	return t.at(n.round())
}

// stringNumber reads the numeral that a string begins with; plain says that
// the string holds a whole number and nothing else but spaces. ok is false if
// the server's reading isn't certain.
func stringNumber(s []byte) (n number, plain, ok bool) {
	if len(s) > maxText {
		return n, false, false
	}
	s = s[spaces(s):]
	n, found := parseNumber(s)
	if !found {
		// No numeral reads as 0. A byte beyond ASCII may be white space in the
		// client's character set, so what follows it might count.
		return number{}, false, len(s) == 0 || s[0] < 0x80
	}
	rest := s[n.end:]
	return n, n.plain && spaces(rest) == len(rest), true
}

// number gives a hexadecimal or bit literal as the integer it is in a number's
// place.
func (v Value) number() (integer, bool) {
	if !v.Numeric || len(v.S) > 8 {
		return integer{}, false
	}
	var b [8]byte
	copy(b[8-len(v.S):], v.S)
	return integer{abs: binary.BigEndian.Uint64(b[:])}, true
}

// locateInsert places the row that an INSERT of v into an integer key column
// makes.
func (t *Table) locateInsert(v Value, use Use) Location {
	switch v.Kind {
	case Int:
		return t.stored(signed(v.I), use)
	case Uint:
		return t.stored(integer{abs: v.U}, use)
	case Decimal:
		// Decimals are rounded, halves away from zero, without an error.
		n, ok := parseDecimal(v.S)
		if !ok || n.big {
			return Location{}
		}
		return t.stored(n.round(), use)
	case Float:
		if f := v.F; f == math.Trunc(f) && math.Abs(f) < exactFloat {
			return t.stored(signed(int64(f)), use)
		}
	case String:
		n, _, ok := stringNumber(v.S)
		if !ok || n.big || n.frac || n.huge {
			return Location{}
		}
		return t.stored(n.integer, use)
	case Bytes:
		if n, ok := v.number(); ok {
			return t.stored(n, use)
		}
	}
	return Location{}
}

// laxMax is what every integer type holds, signed or not.
const laxMax = math.MaxInt8

// stored is the place of a row whose key is n if the column can hold it.
func (t *Table) stored(n integer, use Use) Location {
	switch {
	case !n.in64():
		return Location{}
	case n.abs == 0 && !t.zeroIsKey():
		return Location{}
	case use == Insert:
		// What the column can't hold is an error, on any shard the same.
		return t.at(n)
	case t.KeyType.Declared() && t.KeyType.holds(n), !n.neg && n.abs <= laxMax:
		return t.at(n)
	}
	return Location{}
}

// zeroIsKey says that 0 is stored as 0: an AUTO_INCREMENT column makes a new
// number of it. A table has one such column, so a sequence that is another
// column shows that the key is none.
func (t *Table) zeroIsKey() bool {
	return t.Sequence != "" && fold(t.Sequence) != fold(t.Key)
}
