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
//
// Two servers and several ways to run a comparison (constant folding, index
// lookups, lists of mixed types, lists of rows) read odd values differently:
// only what all of them agree on is placed.
func (t *Table) locateCompare(v Value, use Use) Location {
	switch v.Kind {
	case Int:
		if use == Compare && v.I < 0 && t.KeyType.Unsigned {
			return Location{} // see Uint
		}
		return t.placed(intSlot(v.I, t.Database.Slots))
	case Uint:
		if use == Compare && v.U > math.MaxInt64 && !t.KeyType.Unsigned {
			// Lists of rows, and lists with strings, on MySQL compare a signed
			// and an unsigned number by their bits. A column whose type isn't
			// declared counts as signed here.
			return Location{}
		}
		return t.placed(uintSlot(v.U, t.Database.Slots))
	case Decimal:
		return t.compareDecimal(v.S, use)
	case Float:
		return t.compareFloat(v.F, use)
	case String:
		return t.compareString(v.S, use)
	case Bytes:
		// Lists on MySQL may compare it by double, and beyond BIGINT = does too.
		if n, ok := v.number(); ok && n.abs < exactFloat {
			return t.at(n)
		}
	default:
	}
	return Location{}
}

// beyond is the answer to a number that no integer column holds. Lists of rows
// on MySQL take it for the nearest that the column holds.
func beyond(use Use) Location {
	if use == Equal {
		return Location{Kind: Nowhere}
	}
	return Location{}
}

// compareDecimal: the server compares exactly, by decimal.
func (t *Table) compareDecimal(s []byte, use Use) Location {
	n, ok := parseDecimal(s)
	switch {
	case !ok:
		return Location{}
	case n.big, !n.in64():
		return beyond(use)
	case use == Compare && (n.neg && t.KeyType.Unsigned || !n.neg && n.abs > math.MaxInt64):
		return Location{}
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
func (t *Table) compareFloat(f float64, use Use) Location {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return Location{}
	case math.Abs(f) >= 1e20:
		return beyond(use)
	case math.Abs(f) >= exactFloat:
		return Location{}
	}
	// Doubles round to even; see compareFraction.
	return t.placed(intSlot(int64(math.RoundToEven(f)), t.Database.Slots))
}

// compareString: the server reads a whole number as one and compares exactly
// where it can, and compares by the double of the numeral that the string
// begins with (0 if there is none) where it can't. Lists of rows on MySQL read
// the digits alone: '5.5' is 5 and '1e2' is 1 there.
func (t *Table) compareString(s []byte, use Use) Location {
	n, plain, ok := stringNumber(s)
	if !ok || n.huge || use == Compare && (n.exp || n.frac) {
		return Location{}
	}
	switch {
	case n.big && n.digits > 20:
		return beyond(use)
	case n.big:
		return Location{}
	case n.frac:
		return t.compareFraction(n)
	case n.abs < exactFloat, use == Equal && plain && n.abs < math.MaxInt64-exactGap:
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
	if n.rounded >= exactFloat/4 {
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
		// No numeral reads as 0. White space other than a space is passed over
		// by some and not by others, and what it is beyond ASCII depends on the
		// character set.
		return number{}, false, len(s) == 0 || ' ' < s[0] && s[0] < 0x80
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
	default:
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
