package ties

import (
	"slices"
	"strings"

	"shardway/router/parse"
)

// Tie is an equality that every row of table To which matters meets with a row of table From: To has in its column what From
// has in its own. Tables are numbered as in a list of parse.Bring. A Tie holds whatever else rows of From are left out for.
type Tie struct {
	To, From             int
	ToColumn, FromColumn string // lower case
}

// maxTies bounds the ties of a statement that are looked at.
const maxTies = 200

// finder looks for ties.
type finder struct {
	blocks []parse.Block
	list   []parse.Bring
	holder func(*parse.Column) int
	ties   []Tie
}

// Of are the ties of a statement's tables. holder is the table of a block that has a column without a qualifier, -1 where
// that isn't known; a column that may be one of a block further out is given as well, and then the table has no such column.
func Of(blocks []parse.Block, list []parse.Bring, holder func(*parse.Column) int) []Tie {
	f := finder{blocks: blocks, list: list, holder: holder}
	for blk := range blocks {
		f.cond(blocks[blk].Where, blk, -1)
		for i := range blocks[blk].Tables {
			f.cond(blocks[blk].Tables[i].On, blk, i)
		}
	}
	return f.ties[:min(len(f.ties), maxTies)]
}

// add adds a tie to a table of a block, or to one alone where only isn't -1.
func (f *finder) add(blk, only int, to, from *parse.Column) {
	t, s := f.table(to), f.table(from)
	if t < 0 || s < 0 || t == s || f.list[t].Block != blk || only >= 0 && f.list[t].Table != only {
		return
	}
	f.ties = append(f.ties, Tie{t, s, strings.ToLower(to.Name), strings.ToLower(from.Name)})
}

// cond takes the ties from a condition of a block: WHERE and inner joins, or the ON of an outer join, which says nothing but
// of the null-supplied table only.
func (f *finder) cond(c *parse.Cond, blk, only int) {
	switch {
	case c == nil || len(f.ties) >= maxTies:
	case c.Op == parse.CondAnd:
		for _, arg := range c.Args {
			f.cond(arg, blk, only)
		}
	case c.Op == parse.CondExists:
		// A row without one of the subquery's doesn't matter. The other way round the subquery's own conditions say it.
		if sub := &f.blocks[c.Sub]; sub.Next < 0 {
			f.inner(sub.Where, c.Sub, blk, only)
		}
	default:
		if left, right, ok := equality(c); ok {
			f.add(blk, only, left, right)
			f.add(blk, only, right, left)
		}
	}
}

// inner takes the ties of a block's tables to those of a subquery in it.
func (f *finder) inner(c *parse.Cond, sub, blk, only int) {
	switch {
	case c == nil:
	case c.Op == parse.CondAnd:
		for _, arg := range c.Args {
			f.inner(arg, sub, blk, only)
		}
	default:
		left, right, ok := equality(c)
		if !ok {
			return
		}
		if t := f.table(left); t >= 0 && f.list[t].Block == sub {
			f.add(blk, only, right, left)
		}
		if t := f.table(right); t >= 0 && f.list[t].Block == sub {
			f.add(blk, only, left, right)
		}
	}
}

func equality(c *parse.Cond) (left, right *parse.Column, ok bool) {
	if c.Op != parse.CondEqual || len(c.Vals) != 1 || c.Vals[0].Kind != parse.OperandColumn {
		return nil, nil, false
	}
	return &c.Col, &c.Vals[0].Col, true
}

// table is the table of the list that a column is of, -1 where that isn't known.
func (f *finder) table(c *parse.Column) int {
	at := c.Table
	if at < 0 {
		if c.Qualifier != "" {
			return -1
		}
		at = f.holder(c)
	}
	return slices.IndexFunc(f.list, func(b parse.Bring) bool { return b.Block == c.Block && b.Table == at })
}
