package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
)

// several plans a SELECT whose rows are on several shards: each answers for its own rows where it can, else rows are
// brought to one server.
func (b *builder) several() Plan {
	many, why := b.scatter()
	if many != nil {
		if many.Merge.unsure() {
			many.Else, _ = b.brought().(*Gather)
		}
		return many
	}
	switch p := b.brought().(type) {
	case *Gather:
		p.Why = "the shards can't each answer for their own rows: " + why + "; " + p.Why
		p.asks = b.asks()
		return p
	case *Refuse:
		p.Message = strings.Replace(p.Message, ". Its rows can't be brought to one server, since ",
			". The shards can't each answer for their own rows: "+why+". Its rows can't be brought to one server, since ", 1)
		p.asks = b.asks()
		return p
	default:
		return p
	}
}

// unsure reports whether the shards' columns may turn out to be of a kind that servers alone can compare or add.
func (m *Merge) unsure() bool {
	return len(m.Order)+len(m.Group)+len(m.Sums) > 0
}

// Asks are the tables whose columns would let Build find a better plan than p: give them in Facts.Tables, and build again.
// It is empty where nothing better can be found.
func Asks(p Plan) []parse.Table {
	switch p := p.(type) {
	case *Gather:
		return p.asks
	case *Refuse:
		return p.asks
	default:
		return nil
	}
}

// asks are the tables that has doesn't know, with their databases.
func (b *builder) asks() (list []parse.Table) {
	if !b.ask {
		return nil
	}
	for i := range b.st.Blocks[0].Tables {
		t := b.st.Blocks[0].Tables[i]
		if t.DB == "" {
			t.DB = b.f.DB
		}
		list = append(list, t)
	}
	return list
}

// presence says whether a table has a column.
type presence uint8

const (
	unknown presence = iota
	present
	absent
)

// has says whether a table of the outermost block has a column.
func (b *builder) has(column string) presence {
	out := absent
	for i := range b.st.Blocks[0].Tables {
		t := &b.st.Blocks[0].Tables[i]
		if t.Source >= 0 || t.Name == "" {
			return unknown
		}
		db := t.DB
		if db == "" {
			db = b.f.DB
		}
		columns, ok := b.f.Tables[strings.ToLower(db+"."+t.Name)]
		switch {
		case !ok:
			out = unknown
		case slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, column) }):
			return present
		}
	}
	return out
}
