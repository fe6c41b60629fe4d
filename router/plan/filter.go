package plan

import (
	"strconv"

	"shardway/router/parse"
)

// Filter is a condition on the columns of one table, for a server to evaluate under the session's state.
type Filter struct {
	SQL     string   // with Of, a text for people
	Columns []string // lower case: all of them must be the table's
	// Strings and Numbers say which literals SQL compares the columns with.
	Strings, Numbers bool
	// Of are the values of which the column is one; nil where SQL is the condition.
	Of *Values
}

// filter writes a demand with the statement's values.
func (b *builder) filter(d *parse.Demand) (Filter, bool) {
	f := Filter{Columns: d.Columns, Strings: d.Strings, Numbers: d.Numbers}
	var out []byte
	for i := range d.Parts {
		p := &d.Parts[i]
		out = append(out, p.Text...)
		if p.Arg < 0 {
			continue
		}
		if p.Arg >= len(b.args) {
			return f, false
		}
		v := &b.args[p.Arg]
		switch v.Kind {
		case parse.Int, parse.Uint, parse.Decimal, parse.Float:
			f.Numbers = true
		case parse.String, parse.Bytes:
			f.Strings = true
		default:
		}
		var ok bool
		if out, ok = b.appendLiteral(out, v); !ok {
			return f, false
		}
	}
	f.SQL = string(out)
	return f, true
}

// maxFilter bounds a literal in a Filter, in bytes.
const maxFilter = 64 << 10

// appendLiteral appends a value as a literal that a server reads, in the session's state, as it reads the value itself.
func (b *builder) appendLiteral(dst []byte, v *parse.Value) ([]byte, bool) {
	switch v.Kind {
	case parse.Null:
		return append(dst, "NULL"...), true
	case parse.Bool:
		if v.I == 0 {
			return append(dst, "FALSE"...), true
		}
		return append(dst, "TRUE"...), true
	case parse.Int:
		return strconv.AppendInt(dst, v.I, 10), true
	case parse.Uint:
		return strconv.AppendUint(dst, v.U, 10), true
	case parse.Decimal:
		return append(dst, v.S...), true
	case parse.Float:
		if v.F != v.F || v.F-v.F != 0 {
			return dst, false
		}
		return strconv.AppendFloat(dst, v.F, 'e', -1, 64), true
	case parse.String:
		if b.f.BinaryParams || len(v.S) > maxFilter {
			return dst, false // a parameter of bytes compares otherwise than a string
		}
		dst = append(dst, '\'')
		for _, c := range v.S {
			if c == '\'' || c == '\\' && !b.f.PlainBackslash {
				dst = append(dst, c)
			}
			dst = append(dst, c)
		}
		return append(dst, '\''), true
	default:
		return dst, false
	}
}
