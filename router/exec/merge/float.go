package merge

import (
	"math"
	"strconv"
)

// maxPlain is the greatest exponent of ten for which servers write a DOUBLE without one.
const maxPlain = 15

// appendFloat appends a DOUBLE as servers write it.
func appendFloat(dst []byte, f float64, decimals byte) []byte {
	if decimals < anyDecimals {
		return strconv.AppendFloat(dst, f, 'f', int(decimals), 64)
	}
	if f == 0 {
		return append(dst, '0')
	}
	var short [32]byte
	e := strconv.AppendFloat(short[:0], f, 'e', -1, 64)
	at := len(e) - 1
	for e[at] != 'e' {
		at--
	}
	exponent, _ := strconv.Atoi(string(e[at+1:]))
	if exponent >= -maxPlain && exponent < maxPlain {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = append(dst, e[:at+1]...)
	return strconv.AppendInt(dst, int64(exponent), 10)
}

// finite says whether a sum is one that servers can give.
func finite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }
