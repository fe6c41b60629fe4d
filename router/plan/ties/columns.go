package ties

import (
	"slices"
	"strings"

	"shardway/router/parse"
)

// Columns tells the columns of a base table; ok is false where they aren't known.
type Columns func(*parse.Table) (names []string, ok bool)

// Settle gives conditions on columns without a qualifier to the tables of a list that have these.
func Settle(blocks []parse.Block, list []parse.Bring, loose []parse.Loose, columns Columns) []parse.Bring {
	f := finder{blocks: blocks, list: list, columns: columns}
	own := false // the list is the statement's, which others see
	for i := range loose {
		d := &loose[i]
		table := f.only(d.Block, d.From, d.To, d.Columns)
		at := f.at(d.Block, table)
		if at < 0 || slices.Contains(d.Nulled, table) {
			continue
		}
		if !own {
			f.list, own = slices.Clone(list), true
		}
		f.list[at].Demands = append(slices.Clone(f.list[at].Demands), d.Demand)
	}
	return f.list
}

// at is the place in the list of a block's table, -1 where it is no base table.
func (f *finder) at(block, table int) int {
	return slices.IndexFunc(f.list, func(b parse.Bring) bool { return b.Block == block && b.Table == table })
}

// holder is the table of its block that a column without a qualifier is of, -1 where that isn't known. The only table of a
// subquery may lack it: then the column is one of a block further out. Where there are several, it isn't looked for there.
func (f *finder) holder(c *parse.Column) int {
	blk := &f.blocks[c.Block]
	switch {
	case len(blk.Tables) == 1:
		return 0
	case blk.Parent >= 0:
		return -1
	default:
		return f.only(c.Block, 0, len(blk.Tables), []string{strings.ToLower(c.Name)})
	}
}

// only is the one base table among some of a block's that has all of some columns, none of which another base table has; -1
// for none. A derived table that has them makes no difference: where they aren't one column by USING, the name is an error.
func (f *finder) only(block, from, to int, columns []string) int {
	found, sure := -1, true
	for i := from; i < to; i++ {
		if f.at(block, i) < 0 {
			continue
		}
		names, known := f.columns(&f.blocks[block].Tables[i])
		n := 0
		for _, column := range columns {
			if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, column) }) {
				n++
			}
		}
		switch {
		case !known || n > 0 && (n < len(columns) || found >= 0):
			sure = false // and the others are asked for as well
		case n > 0:
			found = i
		}
	}
	if !sure {
		return -1
	}
	return found
}
