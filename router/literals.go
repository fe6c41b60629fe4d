package router

import (
	"encoding/binary"
	"strconv"
	"strings"

	"shardway/protocol"
	"shardway/router/parse/rewrite"
)

// literal is a template as SQL, with the values of an EXECUTE in place of its markers.
func (s *session) literal(t *text, from *rewrite.Template) (string, error) {
	fill := rewrite.Fill{SQL: t.sql}
	if t.execution == nil {
		sql, err := from.Append(nil, &fill)
		return string(sql), err
	}
	sql, params, err := from.Prepared(nil, &fill)
	if err != nil {
		return "", err
	}
	bound := t.execution.stmt.bound
	var out strings.Builder
	src := rewrite.Markers(sql, s.sqlMode())
	at := 0
	for i, param := range params {
		if i >= len(src) || param < 0 || param >= len(bound) {
			return "", protocol.Errorf(1105, "HY000", "shardway: the statement's markers can't be told apart; send it as text")
		}
		out.Write(sql[at:src[i]])
		value := s.boundSQL(t.execution.stmt, param)
		if counts(out.String()) {
			value = strings.Trim(value, "()") // elsewhere they keep a number from being a position in ORDER BY
		}
		out.WriteString(value)
		at = src[i] + 1
	}
	out.Write(sql[at:])
	return out.String(), nil
}

// counts says that a statement goes on with a number of rows, for which LIMIT takes no parentheses.
func counts(before string) bool {
	words := strings.Fields(before)
	if n := len(words); n > 1 && strings.HasSuffix(words[n-1], ",") { // LIMIT 3, 4
		words = words[:n-1]
	}
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	return strings.EqualFold(last, "LIMIT") || strings.EqualFold(last, "OFFSET")
}

// literalKind is how a value of a result is written as SQL.
type literalKind uint8

const (
	literalNumber literalKind = iota
	literalFloat
	literalBit
	literalText
	literalBytes
)

// literalOf is how the values of a column are written, by its definition.
func literalOf(def []byte) literalKind {
	for range 6 {
		n, size := protocol.LenInt(def)
		if size == 0 || n > uint64(len(def)-size) {
			return literalText
		}
		def = def[size+int(n):]
	}
	if len(def) < 8 {
		return literalText
	}
	charset, typ := binary.LittleEndian.Uint16(def[1:]), def[7]
	switch typ {
	case protocol.TypeTiny, protocol.TypeShort, protocol.TypeInt24, protocol.TypeLong, protocol.TypeLongLong, protocol.TypeDouble,
		protocol.TypeNewDecimal, protocol.TypeDecimal, protocol.TypeYear:
		return literalNumber
	case protocol.TypeFloat:
		return literalFloat
	case protocol.TypeBit:
		return literalBit
	case protocol.TypeGeometry:
		return literalBytes
	case protocol.TypeVarchar, protocol.TypeVarString, protocol.TypeString, protocol.TypeTinyBlob, protocol.TypeMediumBlob, protocol.TypeLongBlob, protocol.TypeBlob:
		if charset == 63 {
			return literalBytes
		}
	}
	return literalText
}

// cells are the values of a row as SQL; false for a row that makes no sense.
func (s *session) cells(kinds []literalKind, row []byte) ([]string, bool) {
	cells := make([]string, len(kinds))
	for i, kind := range kinds {
		if len(row) > 0 && row[0] == 0xfb {
			cells[i], row = "NULL", row[1:]
			continue
		}
		n, size := protocol.LenInt(row)
		if size == 0 || n > uint64(len(row)-size) {
			return nil, false
		}
		v := row[size : size+int(n)]
		row = row[size+int(n):]
		switch kind {
		case literalNumber:
			cells[i] = string(v)
		case literalBit:
			n := uint64(0)
			for _, b := range v {
				n = n<<8 | uint64(b)
			}
			cells[i] = strconv.FormatUint(n, 10)
		case literalBytes:
			cells[i] = rewrite.Bytes(v)
		default:
			cells[i] = rewrite.Unicode(v, s.sqlMode())
		}
	}
	return cells, len(row) == 0
}

// boundSQL is a bound value as SQL.
func (s *session) boundSQL(stmt *statement, i int) string {
	p := &stmt.bound[i]
	v := p.Bytes
	if p.LongData {
		v = stmt.longData(i)
	}
	switch {
	case p.Null:
		return "NULL"
	case p.LongData:
	default:
		switch p.Type {
		case protocol.TypeTiny, protocol.TypeShort, protocol.TypeLong, protocol.TypeInt24, protocol.TypeLongLong, protocol.TypeYear:
			if p.Unsigned {
				return strconv.FormatUint(p.Uint, 10)
			}
			return "(" + strconv.FormatInt(p.Int, 10) + ")"
		case protocol.TypeFloat, protocol.TypeDouble:
			return "(" + strconv.FormatFloat(p.Float, 'e', -1, 64) + ")"
		}
	}
	switch p.Type {
	case protocol.TypeTinyBlob, protocol.TypeMediumBlob, protocol.TypeLongBlob, protocol.TypeBlob:
		return rewrite.Bytes(v)
	}
	return rewrite.Text(v, s.sqlMode(), s.x.Charset())
}
