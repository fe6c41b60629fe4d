package merge

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"shardway/protocol"
)

// The columns that tests use.
var (
	colInt      = column{name: "i", kind: protocol.TypeLongLong, charset: charsetBinary, length: 20}
	colUint     = column{name: "u", kind: protocol.TypeLongLong, charset: charsetBinary, flags: flagUnsigned, length: 20}
	colTiny     = column{name: "t", kind: protocol.TypeTiny, charset: charsetBinary, length: 4}
	colShort    = column{name: "s", kind: protocol.TypeShort, charset: charsetBinary, flags: flagUnsigned, length: 5}
	colMedium   = column{name: "m", kind: protocol.TypeInt24, charset: charsetBinary, length: 9}
	colYear     = column{name: "y", kind: protocol.TypeYear, charset: charsetBinary, flags: flagUnsigned, length: 4}
	colFloat    = column{name: "f", kind: protocol.TypeFloat, charset: charsetBinary, decimals: anyDecimals, length: 12}
	colDouble   = column{name: "d", kind: protocol.TypeDouble, charset: charsetBinary, decimals: anyDecimals, length: 22}
	colDecimal  = column{name: "n", kind: protocol.TypeNewDecimal, charset: charsetBinary, decimals: 2, length: 12}
	colDate     = column{name: "dt", kind: protocol.TypeDate, charset: charsetBinary, length: 10}
	colDatetime = column{name: "ts", kind: protocol.TypeDatetime, charset: charsetBinary, decimals: 6, length: 26}
	colTime     = column{name: "tm", kind: protocol.TypeTime, charset: charsetBinary, decimals: 6, length: 17}
	colBit      = column{name: "b", kind: protocol.TypeBit, charset: charsetBinary, flags: flagUnsigned, length: 16}
	colBytes    = column{name: "bin", kind: protocol.TypeVarString, charset: charsetBinary, length: 100}
	colText     = column{name: "x", kind: protocol.TypeVarString, charset: 45, length: 400}
	colBlob     = column{name: "w", kind: protocol.TypeLongBlob, charset: charsetBinary, length: 1000}
	colNull     = column{name: "null", kind: protocol.TypeNull, charset: charsetBinary}
)

// encode makes the definition of a column.
func (c *column) encode() []byte {
	b := []byte{3, 'd', 'e', 'f', 0, 0, 0}
	b = appendText(b, []byte(c.name))
	origin := ""
	if c.stored {
		origin = c.name
	}
	b = append(appendText(b, []byte(origin)), 0x0c)
	b = binary.LittleEndian.AppendUint16(b, c.charset)
	b = binary.LittleEndian.AppendUint32(b, c.length)
	b = append(b, c.kind)
	b = binary.LittleEndian.AppendUint16(b, c.flags)
	return append(b, c.decimals, 0, 0)
}

func encodeAll(columns []column) (defs [][]byte) {
	for i := range columns {
		defs = append(defs, columns[i].encode())
	}
	return defs
}

// null is a NULL among the texts of a row.
const null = "\x00NULL"

// encodeRow makes a row of the texts of its values.
func encodeRow(columns []column, bin bool, texts ...string) []byte {
	var b []byte
	if bin {
		b = append(b, make([]byte, 1+(len(columns)+9)/8)...)
	}
	for i, text := range texts {
		switch {
		case text == null && bin:
			b[1+(i+2)/8] |= 1 << ((i + 2) % 8)
		case text == null:
			b = append(b, 0xfb)
		case bin:
			b = appendBinary(b, &columns[i], text)
		default:
			b = appendText(b, []byte(text))
		}
	}
	return b
}

func appendBinary(b []byte, c *column, text string) []byte {
	number := func() uint64 {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return uint64(n)
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	float := func() float64 {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		return f
	}
	switch c.kind {
	case protocol.TypeTiny:
		return append(b, byte(number()))
	case protocol.TypeShort, protocol.TypeYear:
		return binary.LittleEndian.AppendUint16(b, uint16(number()))
	case protocol.TypeLong, protocol.TypeInt24:
		return binary.LittleEndian.AppendUint32(b, uint32(number()))
	case protocol.TypeLongLong:
		return binary.LittleEndian.AppendUint64(b, number())
	case protocol.TypeFloat:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(float())))
	case protocol.TypeDouble:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(float()))
	case protocol.TypeDate, protocol.TypeDatetime:
		var y, mo, d, h, mi, s, f int
		n, _ := fmt.Sscanf(text, "%d-%d-%d %d:%d:%d.%d", &y, &mo, &d, &h, &mi, &s, &f)
		p := binary.LittleEndian.AppendUint16(nil, uint16(y))
		p = append(p, byte(mo), byte(d), byte(h), byte(mi), byte(s))
		p = binary.LittleEndian.AppendUint32(p, uint32(f))
		size := 4
		switch {
		case y|mo|d|h|mi|s|f == 0:
			size = 0
		case n == 7 && f > 0:
			size = 11
		case h|mi|s > 0:
			size = 7
		}
		return append(append(b, byte(size)), p[:size]...)
	case protocol.TypeTime:
		rest, minus := strings.CutPrefix(text, "-")
		var h, m, s, f int
		_, _ = fmt.Sscanf(rest, "%d:%d:%d.%d", &h, &m, &s, &f)
		p := []byte{0}
		if minus {
			p[0] = 1
		}
		p = binary.LittleEndian.AppendUint32(p, uint32(h/24))
		p = append(p, byte(h%24), byte(m), byte(s))
		p = binary.LittleEndian.AppendUint32(p, uint32(f))
		size := 8
		if f > 0 {
			size = 12
		} else if h|m|s == 0 {
			size = 0
		}
		return append(append(b, byte(size)), p[:size]...)
	default:
		return appendText(b, []byte(text))
	}
}

// rows is a Source that gives each row in the same memory, as a connection does.
type rows struct {
	rows [][]byte
	room []byte
	read int
	err  error // after the last row; nil is io.EOF
}

func (r *rows) Next() ([]byte, error) {
	for i := range r.room {
		r.room[i] = 0xee
	}
	if r.read == len(r.rows) {
		if r.err != nil {
			return nil, r.err
		}
		return nil, io.EOF
	}
	r.room = append(r.room[:0], r.rows[r.read]...)
	r.read++
	return r.room, nil
}

// written is a Sink that copies.
type written struct{ rows []string }

func (w *written) WriteRow(row []byte) error {
	w.rows = append(w.rows, string(row))
	return nil
}

// sources spreads rows over n sources, in order.
func sources(n int, all [][]byte) []Source {
	parts := make([]*rows, n)
	list := make([]Source, n)
	for i := range parts {
		parts[i] = &rows{}
		list[i] = parts[i]
	}
	for i, r := range all {
		p := parts[(i*i+i/3)%n]
		p.rows = append(p.rows, r)
	}
	return list
}

func same(defs [][]byte, n int) (parts [][][]byte) {
	for range n {
		parts = append(parts, defs)
	}
	return parts
}

func equalRows(t *testing.T, got []string, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d:\n%q\nwant\n%q", len(got), len(want), got, want)
	}
	for i := range got {
		if got[i] != string(want[i]) {
			t.Fatalf("row %d is %q, want %q; all:\n%q\nwant\n%q", i, got[i], want[i], got, want)
		}
	}
}

// both runs a test with rows in text and in binary.
func both(t *testing.T, test func(t *testing.T, bin bool)) {
	t.Helper()
	for _, bin := range []bool{false, true} {
		t.Run(map[bool]string{false: "text", true: "binary"}[bin], func(t *testing.T) { test(t, bin) })
	}
}
