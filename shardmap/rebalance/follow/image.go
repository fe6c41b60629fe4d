package follow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// Types of columns that MariaDB alone has: with COMPRESSED.
const (
	typeBlobCompressed    = 140
	typeVarcharCompressed = 141
)

var errShort = errors.New("it ends too early")

// take cuts n bytes off.
func take(data []byte, n int) (head, rest []byte, err error) {
	if n < 0 || n > len(data) {
		return nil, nil, errShort
	}
	return data[:n], data[n:], nil
}

// takeInt cuts off a number of n bytes, the lowest first.
func takeInt(data []byte, n int) (v uint64, rest []byte, err error) {
	head, rest, err := take(data, n)
	for _, b := range slices.Backward(head) {
		v = v<<8 | uint64(b)
	}
	return v, rest, err
}

// takePacked cuts off a number in the form that begins with its size.
func takePacked(data []byte) (v uint64, rest []byte, err error) {
	first, rest, err := takeInt(data, 1)
	if err != nil || first < 0xfb {
		return first, rest, err
	}
	size := map[uint64]int{0xfc: 2, 0xfd: 3, 0xfe: 8}[first]
	if size == 0 {
		return 0, nil, fmt.Errorf("0x%x begins no number", first)
	}
	return takeInt(rest, size)
}

// tableMap is an event that says which columns the rows of the next events have.
type tableMap struct {
	id            uint64
	schema, table string
	types         []byte
	meta          []uint16
	jsons         int // how many columns are of type JSON
}

// parseTableMap reads the event's body. What is behind the columns' types isn't
// needed: the tables that are followed are described.
func parseTableMap(data []byte) (*tableMap, error) {
	m := &tableMap{}
	var err error
	if m.id, data, err = takeInt(data, 6); err != nil {
		return nil, err
	}
	if _, data, err = take(data, 2); err != nil {
		return nil, err
	}
	for _, name := range []*string{&m.schema, &m.table} {
		var n uint64
		var text []byte
		if n, data, err = takeInt(data, 1); err != nil {
			return nil, err
		}
		if text, data, err = take(data, int(n)+1); err != nil { // and a zero
			return nil, err
		}
		*name = string(text[:n])
	}
	n, data, err := takePacked(data)
	if err != nil || n > 1<<16 {
		return nil, errShort
	}
	if m.types, data, err = take(data, int(n)); err != nil {
		return nil, err
	}
	if _, data, err = takePacked(data); err != nil {
		return nil, err
	}
	m.meta = make([]uint16, n)
	for i, kind := range m.types {
		var v uint64
		switch kind {
		case mysql.MYSQL_TYPE_STRING, mysql.MYSQL_TYPE_NEWDECIMAL:
			v, data, err = takeInt(data, 2)
			v = v<<8&0xff00 | v>>8
		case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING, mysql.MYSQL_TYPE_BIT, typeVarcharCompressed:
			v, data, err = takeInt(data, 2)
		case mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_DOUBLE, mysql.MYSQL_TYPE_FLOAT, mysql.MYSQL_TYPE_GEOMETRY, mysql.MYSQL_TYPE_VECTOR,
			mysql.MYSQL_TYPE_JSON, mysql.MYSQL_TYPE_TIME2, mysql.MYSQL_TYPE_DATETIME2, mysql.MYSQL_TYPE_TIMESTAMP2, typeBlobCompressed:
			v, data, err = takeInt(data, 1)
		}
		if err != nil {
			return nil, err
		}
		m.meta[i] = uint16(v)
		if kind == mysql.MYSQL_TYPE_JSON {
			m.jsons++
		}
	}
	return m, nil
}

// cut cuts a column's value off an image, in the form of the log: for strings
// without their length.
func cut(kind byte, meta uint16, data []byte) (value, rest []byte, err error) {
	fixed := func(n int) ([]byte, []byte, error) { return take(data, n) }
	prefixed := func(n int) ([]byte, []byte, error) {
		size, rest, err := takeInt(data, n)
		if err != nil || size > uint64(len(rest)) {
			return nil, nil, errShort
		}
		return take(rest, int(size))
	}
	fraction := (int(meta) + 1) / 2
	switch kind {
	case mysql.MYSQL_TYPE_NULL:
		return fixed(0)
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_YEAR:
		return fixed(1)
	case mysql.MYSQL_TYPE_SHORT:
		return fixed(2)
	case mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE, mysql.MYSQL_TYPE_TIME:
		return fixed(3)
	case mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_FLOAT, mysql.MYSQL_TYPE_TIMESTAMP:
		return fixed(4)
	case mysql.MYSQL_TYPE_LONGLONG, mysql.MYSQL_TYPE_DOUBLE, mysql.MYSQL_TYPE_DATETIME:
		return fixed(8)
	case mysql.MYSQL_TYPE_TIME2:
		return fixed(3 + fraction)
	case mysql.MYSQL_TYPE_TIMESTAMP2:
		return fixed(4 + fraction)
	case mysql.MYSQL_TYPE_DATETIME2:
		return fixed(5 + fraction)
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return fixed(decimalSize(int(meta>>8), int(meta&0xff)))
	case mysql.MYSQL_TYPE_BIT:
		return fixed(int(meta>>8) + (int(meta&0xff)+7)/8)
	case mysql.MYSQL_TYPE_ENUM, mysql.MYSQL_TYPE_SET:
		return fixed(int(meta & 0xff))
	case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING, typeVarcharCompressed:
		if meta > 255 {
			return prefixed(2)
		}
		return prefixed(1)
	case mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_GEOMETRY, mysql.MYSQL_TYPE_JSON, mysql.MYSQL_TYPE_VECTOR, typeBlobCompressed:
		return prefixed(int(meta))
	case mysql.MYSQL_TYPE_STRING:
		real, length := stringMeta(meta)
		switch {
		case real == mysql.MYSQL_TYPE_ENUM || real == mysql.MYSQL_TYPE_SET:
			return fixed(length)
		case length > 255:
			return prefixed(2)
		default:
			return prefixed(1)
		}
	default:
		return nil, nil, fmt.Errorf("type %d of a column isn't known", kind)
	}
}

// stringMeta is what a STRING is really, and how long it may be: two bits of the
// length are in the type.
func stringMeta(meta uint16) (kind byte, length int) {
	kind, length = byte(meta>>8), int(meta&0xff)
	if kind&0x30 != 0x30 {
		length |= int(kind&0x30^0x30) << 4
		kind |= 0x30
	}
	return kind, length
}

// text is a key's value as the server would give it, see rows.Column.AppendKey.
func text(c *rows.Column, kind byte, meta uint16, v []byte) ([]byte, error) {
	if kind == mysql.MYSQL_TYPE_STRING {
		kind, _ = stringMeta(meta)
	}
	switch kind {
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_LONGLONG:
		n, _, err := takeInt(v, len(v))
		if c.Unsigned {
			return strconv.AppendUint(nil, n, 10), err
		}
		shift := 64 - 8*len(v)
		return strconv.AppendInt(nil, int64(n<<shift)>>shift, 10), err
	case mysql.MYSQL_TYPE_ENUM, mysql.MYSQL_TYPE_SET:
		n, _, err := takeInt(v, len(v))
		return strconv.AppendUint(nil, n, 10), err
	case mysql.MYSQL_TYPE_BIT:
		return strconv.AppendUint(nil, bigEndian(v), 10), nil
	case mysql.MYSQL_TYPE_YEAR:
		if v[0] == 0 {
			return []byte("0"), nil
		}
		return strconv.AppendInt(nil, 1900+int64(v[0]), 10), nil
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return decimal(v, int(meta>>8), int(meta&0xff))
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE:
		n, _, err := takeInt(v, 3)
		return fmt.Appendf(nil, "%04d-%02d-%02d", n>>9, n>>5&15, n&31), err
	case mysql.MYSQL_TYPE_TIME2:
		return clock(v, meta)
	case mysql.MYSQL_TYPE_DATETIME2:
		return datetime(v, meta)
	case mysql.MYSQL_TYPE_TIMESTAMP2:
		return timestamp(v, meta)
	case mysql.MYSQL_TYPE_STRING, mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING:
		return characters(c, v)
	default:
		return nil, fmt.Errorf("column %s of the primary key is in the log in an old form; rebuild the table with ALTER TABLE … FORCE", shardmap.QuoteName(c.Name))
	}
}

// characters are the bytes of a string, or what they stand for.
func characters(c *rows.Column, v []byte) ([]byte, error) {
	switch c.Data {
	case "binary": // the log leaves out zeros at the end
		for int64(len(v)) < c.Length {
			v = append(slices.Clip(v), 0)
		}
		return v, nil
	case "uuid":
		if len(v) > 16 {
			return nil, fmt.Errorf("%d bytes are no UUID", len(v))
		}
		var b [16]byte
		copy(b[:], v)
		return uuidText(b), nil
	case "inet4", "inet6":
		b := make([]byte, map[string]int{"inet4": 4, "inet6": 16}[c.Data])
		copy(b, v)
		addr, ok := netip.AddrFromSlice(b)
		if !ok || len(v) > len(b) {
			return nil, fmt.Errorf("%d bytes are no address", len(v))
		}
		return []byte(addr.String()), nil
	default:
		return v, nil
	}
}

// uuidText is the text of a UUID.
func uuidText(b [16]byte) []byte {
	return fmt.Appendf(nil, "%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// bigEndian is a number with the highest byte first.
func bigEndian(v []byte) (n uint64) {
	for _, b := range v {
		n = n<<8 | uint64(b)
	}
	return n
}

// micros is the fraction of a second in millionths. It takes one byte for each
// two digits.
func micros(v []byte) uint64 {
	n := bigEndian(v)
	for range 3 - len(v) {
		n *= 100
	}
	return n
}

// appendFraction appends the digits of a fraction that a column has.
func appendFraction(dst []byte, micros uint64, digits uint16) []byte {
	if digits == 0 || digits > 6 {
		return dst
	}
	return append(append(dst, '.'), fmt.Sprintf("%06d", micros)[:digits]...)
}

func timestamp(v []byte, digits uint16) ([]byte, error) {
	if len(v) < 4 || len(v) > 7 {
		return nil, errShort
	}
	seconds := binary.BigEndian.Uint32(v)
	dst := []byte("0000-00-00 00:00:00")
	if seconds != 0 || micros(v[4:]) != 0 {
		dst = time.Unix(int64(seconds), 0).UTC().AppendFormat(nil, "2006-01-02 15:04:05")
	}
	return appendFraction(dst, micros(v[4:]), digits), nil
}

func datetime(v []byte, digits uint16) ([]byte, error) {
	if len(v) < 5 || len(v) > 8 {
		return nil, errShort
	}
	n := bigEndian(v[:5]) - 0x8000000000
	day, clock := n>>17, n&(1<<17-1)
	months := day >> 5
	dst := fmt.Appendf(nil, "%04d-%02d-%02d %02d:%02d:%02d", months/13, months%13, day&31, clock>>12, clock>>6&63, clock&63)
	return appendFraction(dst, micros(v[5:]), digits), nil
}

// clock is a TIME. Negative ones are stored as their complement, all bytes as
// one number.
func clock(v []byte, digits uint16) ([]byte, error) {
	if len(v) < 3 || len(v) > 6 {
		return nil, errShort
	}
	half := uint64(1) << (8*len(v) - 1)
	n := bigEndian(v)
	var dst []byte
	if n < half {
		dst = append(dst, '-')
		n = half - n
	} else {
		n -= half
	}
	bits := 8 * (len(v) - 3)
	whole, fraction := n>>bits, n&(1<<bits-1)
	for range 3 - (len(v) - 3) {
		fraction *= 100
	}
	dst = fmt.Appendf(dst, "%02d:%02d:%02d", whole>>12&0x3ff, whole>>6&63, whole&63)
	return appendFraction(dst, fraction, digits), nil
}

// decimalBytes is how many bytes 0 to 9 digits of a DECIMAL take.
var decimalBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

func decimalSize(precision, scale int) int {
	whole := precision - scale
	if whole < 0 {
		return -1
	}
	return whole/9*4 + decimalBytes[whole%9] + scale/9*4 + decimalBytes[scale%9]
}

// decimal is the text of a DECIMAL: groups of nine digits, the highest bit turned
// so that bytes compare as numbers, and all bits of negative ones.
func decimal(v []byte, precision, scale int) ([]byte, error) {
	if len(v) == 0 || len(v) != decimalSize(precision, scale) {
		return nil, errShort
	}
	b := append([]byte{}, v...)
	negative := b[0]&0x80 == 0
	b[0] ^= 0x80
	if negative {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	var digits strings.Builder
	group := func(n int) {
		if n > 0 {
			fmt.Fprintf(&digits, "%0*d", n, bigEndian(b[:decimalBytes[n]]))
			b = b[decimalBytes[n]:]
		}
	}
	whole := precision - scale
	group(whole % 9)
	for range whole / 9 {
		group(9)
	}
	text := strings.TrimLeft(digits.String(), "0")
	if text == "" {
		text = "0"
	}
	if negative {
		text = "-" + text
	}
	if scale > 0 {
		digits.Reset()
		for range scale / 9 {
			group(9)
		}
		group(scale % 9)
		text += "." + digits.String()
	}
	return []byte(text), nil
}
