package parse

import "shardway/router/parse/rewrite"

// What follows takes conditions on the columns of a derived table into it: they hold for every row of it that matters.

// pushes bounds how deep derived tables are in one another where conditions go into them.
const pushes = 40

// push takes a condition that every row of block b meets to the derived tables of the block.
func (a *analyzer) push(c *Cond, b, depth int) {
	if c == nil || depth > pushes || len(a.derived) == 0 {
		return
	}
	if c.Op == CondAnd {
		for _, arg := range c.Args {
			a.push(arg, b, depth)
		}
		return
	}
	if c.Op != CondEqual && c.Op != CondIn || c.Col.Block != b {
		return
	}
	for i := range c.Vals {
		if c.Vals[i].Kind == OperandColumn || c.Vals[i].Kind == OperandUnknown {
			return
		}
	}
	tables := a.st.Blocks[b].Tables
	t := c.Col.Table
	if t < 0 && c.Col.Qualifier == "" && len(tables) == 1 {
		t = 0
	}
	if t < 0 || tables[t].Source < 0 {
		return
	}
	source := tables[t].Source
	n := a.derived[source]
	if n == nil {
		return
	}
	name, ok := rewrite.Output(n, c.Col.Name)
	if !ok {
		return
	}
	inner := *c
	if inner.Col = (Column{Name: c.Col.Name, Block: source, Table: -1}); name != nil {
		inner.Col = a.column(name, source)
	}
	blk := &a.st.Blocks[source]
	blk.Where = and(blk.Where, &inner)
	a.push(&inner, source, depth+1)
}
