package rewrite

import (
	"strconv"

	"shardway/router/parse/digest"
)

// maxValue bounds the strings of AppendValue, in bytes.
const maxValue = 64 << 10

// AppendValue appends a value as a literal that a server reads, in the session's state, as it reads the value itself; false
// where it can't. plain says that a backslash is a character as any other, bytes that a string may be one of bytes, which
// compares otherwise.
func AppendValue(dst []byte, v *digest.Value, plain, bytes bool) ([]byte, bool) {
	switch v.Kind {
	case digest.Null:
		return append(dst, "NULL"...), true
	case digest.Bool:
		if v.I == 0 {
			return append(dst, "FALSE"...), true
		}
		return append(dst, "TRUE"...), true
	case digest.Int:
		return strconv.AppendInt(dst, v.I, 10), true
	case digest.Uint:
		return strconv.AppendUint(dst, v.U, 10), true
	case digest.Decimal:
		return append(dst, v.S...), true
	case digest.Float:
		if v.F != v.F || v.F-v.F != 0 {
			return dst, false
		}
		return strconv.AppendFloat(dst, v.F, 'e', -1, 64), true
	case digest.String:
		if bytes || len(v.S) > maxValue {
			return dst, false
		}
		dst = append(dst, '\'')
		for _, c := range v.S {
			if c == '\'' || c == '\\' && !plain {
				dst = append(dst, c)
			}
			dst = append(dst, c)
		}
		return append(dst, '\''), true
	default:
		return dst, false
	}
}
