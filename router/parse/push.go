package parse

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

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
	if n == nil || !passes(n) {
		return
	}
	col, ok := a.output(n, c.Col.Name, source)
	if !ok {
		return
	}
	inner := *c
	inner.Col = col
	blk := &a.st.Blocks[source]
	blk.Where = and(blk.Where, &inner)
	a.push(&inner, source, depth+1)
}

// passes reports whether a row of a SELECT goes by its own rows' columns alone, or by those of its group.
func passes(n *ast.SelectStmt) bool {
	return n.Kind == ast.SelectStmtKindSelect && n.Fields != nil && n.From != nil && n.Limit == nil && len(n.WindowSpecs) == 0 &&
		(n.GroupBy == nil || !n.GroupBy.Rollup) && !counted(n, n.GroupBy == nil)
}

// plain reports whether the rows of a SELECT are those of its FROM that WHERE leaves.
func plain(n *ast.SelectStmt) bool {
	return passes(n) && n.GroupBy == nil && n.Having == nil && !n.Distinct
}

// counted reports whether a select list has a window function, or an aggregate function where these count.
func counted(n *ast.SelectStmt, aggregates bool) bool {
	f := counter{aggregates: aggregates}
	n.Fields.Accept(&f)
	if n.Having != nil {
		n.Having.Accept(&f)
	}
	if n.OrderBy != nil {
		n.OrderBy.Accept(&f)
	}
	return f.found
}

type counter struct{ aggregates, found bool }

// Enter implements ast.Visitor.
func (f *counter) Enter(n ast.Node) (ast.Node, bool) {
	switch n.(type) {
	case *ast.WindowFuncExpr:
		f.found = true
	case *ast.AggregateFuncExpr:
		f.found = f.found || f.aggregates
	case *ast.SubqueryExpr:
		return n, true
	}
	return n, false
}

// Leave implements ast.Visitor.
func (f *counter) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// output is the column that a name means in what a derived table selects, if it is one column as it is.
func (a *analyzer) output(n *ast.SelectStmt, name string, b int) (col Column, ok bool) {
	fields := n.Fields.Fields
	if len(fields) == 1 && fields[0].WildCard != nil {
		return Column{Name: name, Block: b, Table: -1}, n.GroupBy == nil && fields[0].WildCard.Table.O == ""
	}
	var found *ast.ColumnNameExpr
	for _, f := range fields {
		if f.WildCard != nil {
			return col, false
		}
		e, isColumn := bare(f.Expr).(*ast.ColumnNameExpr)
		as := f.AsName.O
		if as == "" && isColumn {
			as = e.Name.Name.O
		}
		if !strings.EqualFold(as, name) {
			continue
		}
		if found != nil || !isColumn {
			return col, false
		}
		found = e
	}
	if found == nil || n.GroupBy != nil && !grouped(n, found.Name) {
		return col, false
	}
	return a.column(found.Name, b), true
}

// grouped reports whether a column is one that a SELECT groups by.
func grouped(n *ast.SelectStmt, col *ast.ColumnName) bool {
	for _, item := range n.GroupBy.Items {
		e, ok := item.Expr.(*ast.ColumnNameExpr)
		if ok && e.Name.Name.L == col.Name.L && e.Name.Table.L == col.Table.L && e.Name.Schema.L == col.Schema.L {
			return true
		}
	}
	return false
}
