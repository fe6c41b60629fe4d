package plan

import (
	"shardway/router/parse"
	"shardway/router/parse/rewrite"
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
		if out, ok = rewrite.AppendValue(out, v, b.f.PlainBackslash, b.f.BinaryParams); !ok {
			return f, false
		}
	}
	f.SQL = string(out)
	return f, true
}
