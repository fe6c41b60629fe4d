package rewrite

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"shardway/router/parse/digest"
)

// passes reports whether a row of a SELECT goes by its own rows' columns alone, or by those of its group.
func passes(n *ast.SelectStmt) bool {
	return n.Kind == ast.SelectStmtKindSelect && n.Fields != nil && n.From != nil && n.Limit == nil && len(n.WindowSpecs) == 0 &&
		(n.GroupBy == nil || !n.GroupBy.Rollup) && !counted(n, n.GroupBy == nil)
}

// Plain reports whether the rows of a SELECT are those of its FROM that WHERE leaves.
func Plain(n *ast.SelectStmt) bool {
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

// Output is the column that a name means in what a SELECT in FROM gives, where a condition on it may as well be one on
// the rows that the SELECT reads: they go by these columns alone, or by those of their group. The column is nil where it
// has the same name in a SELECT of *.
func Output(n *ast.SelectStmt, name string) (column *ast.ColumnName, ok bool) {
	if !passes(n) {
		return nil, false
	}
	fields := n.Fields.Fields
	if len(fields) == 1 && fields[0].WildCard != nil {
		return nil, n.GroupBy == nil && fields[0].WildCard.Table.O == ""
	}
	for _, f := range fields {
		if f.WildCard != nil {
			return nil, false
		}
		e, isColumn := f.Expr.(*ast.ColumnNameExpr)
		as := f.AsName.O
		if as == "" && isColumn {
			as = e.Name.Name.O
		}
		switch {
		case !strings.EqualFold(as, name):
		case column != nil || !isColumn:
			return nil, false
		default:
			column = e.Name
		}
	}
	return column, column != nil && (n.GroupBy == nil || grouped(n, column))
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

// Renamed gives the columns of a SELECT other names. It is for one that a server has written, with an alias for each
// column; ok is false for any other.
func Renamed(sql string, names []string) (renamed string, ok bool) {
	src := digest.Split([]byte(sql), 0, true)
	if src.Bad != "" {
		return "", false
	}
	start := 0
	for src.Tokens[start].Up == "(" {
		start++
	}
	if src.Tokens[start].Up != "SELECT" {
		return "", false
	}
	var out strings.Builder
	at, column := 0, 0
	for i := start + 1; ; i++ {
		if end := src.GroupEnd(i); end > i {
			i = end - 1
			continue
		}
		t := src.Tokens[i]
		ends := t.Kind == digest.TokEnd || t.Up == "FROM" || t.Up == ")" || t.Up == "UNION" || t.Up == "LIMIT"
		if !ends && t.Up != "," {
			continue
		}
		alias := src.Tokens[i-1]
		if i < start+3 || src.Tokens[i-2].Up != "AS" || !alias.IsName() || column == len(names) {
			return "", false
		}
		out.WriteString(sql[at:alias.A] + Quote(names[column]))
		at = alias.B
		column++
		if ends {
			break
		}
	}
	return out.String() + sql[at:], column == len(names)
}
