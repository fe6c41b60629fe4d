package rows

import (
	"fmt"
	"strconv"

	"shardway/shardmap"
)

// form is how a column's values travel.
type form uint8

const (
	formNumber form = iota // digits
	formDouble             // digits of a double: FLOAT and DOUBLE
	formIndex              // ENUM, SET, BIT: the number that stands for the value
	formPlain              // ASCII: dates and times, UUID, INET6
	formText               // bytes in the column's character set
	formBytes              // bytes
	formJSON               // utf8mb4
)

// formOf is the form of a type of information_schema.COLUMNS.DATA_TYPE.
func formOf(data string) form {
	switch data {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year":
		return formNumber
	case "float", "double":
		return formDouble
	case "enum", "set", "bit":
		return formIndex
	case "date", "time", "datetime", "timestamp", "uuid", "inet4", "inet6":
		return formPlain
	case "json":
		return formJSON
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return formText
	default: // BINARY, BLOB, geometry as the server keeps it, VECTOR
		return formBytes
	}
}

// read is the expression that reads a column exactly. The session doesn't
// convert texts, so they come in their own character set.
func (c *Column) read() string {
	name := shardmap.QuoteName(c.Name)
	switch c.form {
	case formDouble:
		return name + "*1e0" // a FLOAT by itself comes with 6 digits
	case formIndex:
		return "CAST(" + name + " AS UNSIGNED)"
	default:
		return name
	}
}

// large is how many bytes a value may have before a checksum takes its hash
// instead, so that a row's text stays within what a server computes with.
const large = 1024

// sum is the expression by which a column goes into a row's checksum.
func (c *Column) sum() string {
	name := shardmap.QuoteName(c.Name)
	switch {
	case c.form == formJSON, c.Data == "vector", c.form == formText && c.Length > large, c.form == formBytes && (c.Length == 0 || c.Length > large):
		return "SHA2(" + name + ",256)"
	case c.form == formText:
		return "CAST(" + name + " AS BINARY)"
	default:
		return c.read()
	}
}

// varies says that two values of the column next to each other could be taken
// for two others.
func (c *Column) varies() bool { return c.form == formText || c.form == formBytes }

// appendValue appends a value, as a driver gives it, as the literal by which
// the column is written.
func (c *Column) appendValue(dst []byte, v any) ([]byte, error) {
	if v == nil {
		return append(dst, "NULL"...), nil
	}
	if b, ok := v.([]byte); ok {
		switch c.form {
		case formNumber, formIndex:
			return append(dst, b...), nil
		case formText, formBytes:
			return appendQuoted(append(dst, "_binary"...), b), nil
		default:
			return appendQuoted(dst, b), nil
		}
	}
	return c.appendNumber(dst, v)
}

func (c *Column) appendNumber(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	case float64:
		dst = strconv.AppendFloat(append(dst, '\''), v, 'g', -1, 64)
		return append(dst, '\''), nil
	default:
		return dst, fmt.Errorf("column %s came as %T", shardmap.QuoteName(c.Name), v)
	}
}

// AppendKey appends a value as the literal by which a key's column is compared.
// v is the text in which the server gives the value: digits (of the number that
// stands for it: ENUM, SET, BIT), a date or a time in UTC, or bytes in the
// column's character set; those of a BINARY with all their zeros.
func (c *Column) AppendKey(dst, v []byte) []byte {
	switch c.form {
	case formNumber, formIndex:
		return append(dst, v...)
	case formText:
		return appendHex(append(append(append(dst, '_'), c.Charset...), ' '), v)
	case formBytes:
		return appendHex(dst, v)
	default:
		return appendQuoted(dst, v)
	}
}

func (c *Column) appendKeyValue(dst []byte, v any) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return c.AppendKey(dst, b), nil
	}
	return c.appendNumber(dst, v)
}

const digits = "0123456789abcdef"

func appendHex(dst, v []byte) []byte {
	dst = append(dst, "x'"...)
	for _, b := range v {
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return append(dst, '\'')
}

// escape is what stands behind a backslash for a byte, 0 for a byte that stands
// for itself.
var escape = [256]byte{'\'': '\'', '\\': '\\', 0: '0', '\n': 'n', '\r': 'r', 26: 'Z'}

// appendQuoted appends a string literal for a sql_mode in which a backslash
// escapes.
func appendQuoted(dst, v []byte) []byte {
	dst = append(dst, '\'')
	from := 0
	for i, b := range v {
		if e := escape[b]; e != 0 {
			dst = append(append(dst, v[from:i]...), '\\', e)
			from = i + 1
		}
	}
	return append(append(dst, v[from:]...), '\'')
}

// literals cuts what appendValue made of several values, with commas between.
func literals(text []byte) [][]byte {
	var all [][]byte
	from, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++
		case text[i] == '\'':
			quoted = !quoted
		case !quoted && text[i] == ',':
			all = append(all, text[from:i])
			from = i + 1
		}
	}
	return append(all, text[from:])
}
