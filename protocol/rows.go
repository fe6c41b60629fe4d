package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Column is a column of Rows. Integers, DOUBLE and VARCHAR (TypeVarString)
// are what Shardway's own results need.
type Column struct {
	Name     string
	Type     byte
	Unsigned bool
	NotNull  bool
	// Length is in bytes, Collation an id. 0 is what fits the type.
	Length    uint32
	Collation uint16
	// Decimals, for text, is what the server says of it: MySQL 31, MariaDB 39. 0 is 31.
	Decimals byte
}

// Rows is a result that Shardway makes itself. A value is a string, int,
// int64, uint64, float64, bool or nil.
type Rows struct {
	Columns []Column
	Rows    [][]any
}

const (
	collationUTF8MB4 = 45
	collationBinary  = 63

	flagNotNull  = 0x01
	flagUnsigned = 0x20
	flagBinary   = 0x80
)

// WriteRows buffers a whole result: in text, or in binary for a client that
// executes a prepared statement.
func (c *Conn) WriteRows(r *Rows, binary bool, status Status) error {
	if err := c.WritePacket(AppendLenInt(c.scratch[:0], uint64(len(r.Columns)))); err != nil {
		return err
	}
	var b []byte
	for i := range r.Columns {
		b = r.Columns[i].Definition(b[:0])
		if c.caps.Has(CapExtendedMetadata) {
			var err error
			if b, err = convertDefinition(nil, b, true); err != nil {
				return err
			}
		}
		if err := c.WritePacket(b); err != nil {
			return err
		}
	}
	if err := c.writeColumnsEnd(status, 0); err != nil {
		return err
	}
	for _, row := range r.Rows {
		b = b[:0]
		if binary {
			b = appendBinaryRow(b, r.Columns, row)
		} else {
			for _, v := range row {
				b = appendTextValue(b, v)
			}
		}
		if err := c.WritePacket(b); err != nil {
			return err
		}
	}
	return c.WriteEOF(status, 0)
}

// Definition appends the payload of the column's definition: as ColumnDefs of
// Prepared hold it.
func (c *Column) Definition(dst []byte) []byte {
	dst = append(dst, 3, 'd', 'e', 'f', 0, 0, 0) // no schema, table or original table
	dst = appendLenString(dst, c.Name)
	dst = append(dst, 0, 0x0c)
	collation, length, flags, decimals := uint16(collationBinary), uint32(21), uint16(flagBinary), byte(0)
	switch c.Type {
	case TypeTiny, TypeShort, TypeLong, TypeLongLong, TypeInt24, TypeYear:
	case TypeFloat, TypeDouble:
		length, decimals = 22, 31 // decimals: as many as there are
	default:
		collation, length, flags, decimals = collationUTF8MB4, 1024, 0, 31
	}
	if c.Length != 0 {
		length = c.Length
	}
	if c.Collation != 0 {
		collation = c.Collation
	}
	if c.Decimals != 0 {
		decimals = c.Decimals
	}
	if c.Unsigned {
		flags |= flagUnsigned
	}
	if c.NotNull {
		flags |= flagNotNull
	}
	dst = binary.LittleEndian.AppendUint16(dst, collation)
	dst = binary.LittleEndian.AppendUint32(dst, length)
	dst = append(dst, c.Type, byte(flags), byte(flags>>8), decimals, 0, 0)
	return dst
}

func appendTextValue(dst []byte, v any) []byte {
	var a [32]byte
	switch v := v.(type) {
	case nil:
		return append(dst, 0xfb)
	case string:
		return appendLenString(dst, v)
	case []byte:
		return appendLenString(dst, v)
	case int:
		return appendLenString(dst, strconv.AppendInt(a[:0], int64(v), 10))
	case int64:
		return appendLenString(dst, strconv.AppendInt(a[:0], v, 10))
	case uint64:
		return appendLenString(dst, strconv.AppendUint(a[:0], v, 10))
	case float64:
		return appendLenString(dst, strconv.AppendFloat(a[:0], v, 'g', -1, 64))
	case bool:
		if v {
			return append(dst, 1, '1')
		}
		return append(dst, 1, '0')
	}
	return appendLenString(dst, fmt.Sprint(v))
}

func appendBinaryRow(dst []byte, columns []Column, row []any) []byte {
	dst = append(dst, 0)
	nulls := len(dst)
	dst = append(dst, make([]byte, (len(columns)+9)/8)...)
	for i, v := range row {
		if v == nil {
			dst[nulls+(i+2)/8] |= 1 << ((i + 2) % 8)
			continue
		}
		dst = appendBinaryValue(dst, columns[i].Type, v)
	}
	return dst
}

func appendBinaryValue(dst []byte, typ byte, v any) []byte {
	switch typ {
	case TypeTiny:
		return append(dst, byte(integerOf(v)))
	case TypeShort, TypeYear:
		return binary.LittleEndian.AppendUint16(dst, uint16(integerOf(v)))
	case TypeLong, TypeInt24:
		return binary.LittleEndian.AppendUint32(dst, uint32(integerOf(v)))
	case TypeLongLong:
		return binary.LittleEndian.AppendUint64(dst, integerOf(v))
	case TypeFloat:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(floatOf(v))))
	case TypeDouble:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(floatOf(v)))
	}
	return appendTextValue(dst, v)
}

// integerOf gives the bits of a value in a column of integers; what isn't a
// number is 0.
func integerOf(v any) uint64 {
	switch v := v.(type) {
	case int:
		return uint64(v)
	case int64:
		return uint64(v)
	case uint64:
		return v
	case float64:
		return uint64(int64(v))
	case bool:
		if v {
			return 1
		}
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return uint64(n)
		}
	}
	return 0
}

func floatOf(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err == nil {
			return f
		}
		return 0
	case uint64:
		return float64(v)
	}
	return float64(int64(integerOf(v)))
}
