package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
)

// settle gives conditions on columns without a qualifier to the tables that have these. Where it has to know a table's
// columns for that, they are asked for.
func (w *bringing) settle(list []parse.Loose) {
	own := false // w.list is the statement's, which others see
	for i := range list {
		d := &list[i]
		table := w.only(d.Block, d.From, d.To, d.Columns)
		if table < 0 || slices.Contains(d.Nulled, table) {
			continue
		}
		at := w.at(d.Block, table)
		if at < 0 {
			continue
		}
		if !own {
			w.list, own = slices.Clone(w.list), true
		}
		w.list[at].Demands = append(slices.Clone(w.list[at].Demands), d.Demand)
	}
}

// holder is the table of its block that a column without a qualifier is of, -1 where that isn't known. In a subquery of
// several tables the column may be one of a block further out.
func (w *bringing) holder(c *parse.Column) int {
	blk := &w.b.st.Blocks[c.Block]
	switch {
	case len(blk.Tables) == 1:
		return 0
	case blk.Parent >= 0:
		return -1
	default:
		return w.only(c.Block, 0, len(blk.Tables), []string{strings.ToLower(c.Name)})
	}
}

// only is the one base table among some of a block's that has all of some columns, none of which another base table has; -1
// for none. A derived table that has them makes no difference: where they aren't one column by USING, the name is an error.
func (w *bringing) only(block, from, to int, columns []string) int {
	found, sure := -1, true
	for i := from; i < to; i++ {
		if w.at(block, i) < 0 {
			continue
		}
		switch has, known := w.has(&w.b.st.Blocks[block].Tables[i], columns); {
		case !known || has > 0 && (has < len(columns) || found >= 0):
			sure = false // and the others are asked for as well
		case has > 0:
			found = i
		}
	}
	if !sure {
		return -1
	}
	return found
}

// has is how many of some columns a table has; its columns are asked for where they aren't known.
func (w *bringing) has(t *parse.Table, columns []string) (n int, known bool) {
	b := w.b
	db := b.dbOf(t)
	names, ok := b.f.Tables[strings.ToLower(db+"."+t.Name)]
	if !ok {
		if db != "" {
			b.wants = append(b.wants, parse.Table{DB: db, Name: t.Name})
		}
		return 0, false
	}
	for _, column := range columns {
		if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, column) }) {
			n++
		}
	}
	return n, true
}

// at is the place in the list of a block's table, -1 where it is no base table.
func (w *bringing) at(block, table int) int {
	return slices.IndexFunc(w.list, func(b parse.Bring) bool { return b.Block == block && b.Table == table })
}
