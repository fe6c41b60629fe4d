package parse

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// asked is what an analyzer collects for Brings, by block and table.
type asked struct {
	stars   map[[2]int]bool // every column is needed
	demands map[[2]int][]Demand
	loose   []Loose
}

// demanded is a Demand with the table of its block that it is about; -1 where its columns have no qualifier.
type demanded struct {
	Demand
	table int
}

// star notes whose columns a SELECT needs without naming them: those of *, TABLE t and NATURAL JOIN.
func (a *analyzer) star(n *ast.SelectStmt, b int) {
	if a.asked == nil {
		return
	}
	all := n.Kind == ast.SelectStmtKindTable || n.From != nil && natural(n.From.TableRefs)
	if n.Fields != nil {
		for _, f := range n.Fields.Fields {
			all = all || f.WildCard != nil && f.WildCard.Table.O == ""
		}
	}
	if all {
		for j := range a.st.Blocks[b].Tables {
			a.asked.stars[[2]int{b, j}] = true
		}
	}
}

func natural(n ast.ResultSetNode) bool {
	switch n := n.(type) {
	case *ast.Join:
		return n.NaturalJoin || natural(n.Left) || n.Right != nil && natural(n.Right)
	case *ast.TableSource:
		j, ok := n.Source.(*ast.Join)
		return ok && natural(j)
	}
	return false
}

// demand notes the conditions of a block's tables, save those that an outer join may fill with NULLs.
func (a *analyzer) demand(list []demanded, b, lo, hi int, nulled []int) {
	if a.asked == nil {
		return
	}
	for i := range list {
		d := &list[i]
		t := d.table
		if t < 0 && len(a.st.Blocks[b].Tables) == 1 {
			t = 0
		}
		if t < 0 && len(a.asked.loose) < maxLoose {
			a.asked.loose = append(a.asked.loose, Loose{Demand: d.Demand, Block: b, From: lo, To: hi, Nulled: slices.Clone(nulled)})
		}
		if t < lo || t >= hi || slices.Contains(nulled, t) || a.st.Blocks[b].Tables[t].Source >= 0 {
			continue
		}
		at := [2]int{b, t}
		a.asked.demands[at] = append(a.asked.demands[at], d.Demand)
	}
}

// maxLoose bounds how many conditions are kept whose table isn't known.
const maxLoose = 100

// demands are the conditions, joined by AND in e, that are about one table each.
func (a *analyzer) demands(e ast.ExprNode, b int) []demanded {
	if a.asked == nil || e == nil {
		return nil
	}
	e = bare(e)
	var list []demanded
	for {
		and, ok := e.(*ast.BinaryOperationExpr)
		if !ok || and.Op != opcode.LogicAnd {
			break
		}
		list = append(list, a.demands(and.R, b)...)
		e = bare(and.L)
	}
	w := writer{a: a, b: b, table: -2}
	if w.expr(e, 0) && w.table > -2 && len(w.d.Parts) > 0 {
		w.d.Columns = sorted(w.d.Columns)
		list = append(list, demanded{w.d, w.table})
	}
	return list
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// writer writes an expression that is about one table as text. What it doesn't know makes it give up.
type writer struct {
	a     *analyzer
	b     int
	d     Demand
	table int // -1: columns without a qualifier; -2: none yet
}

// maxDemandDepth bounds the expressions that are written.
const maxDemandDepth = 20

func (w *writer) text(s string) bool {
	if n := len(w.d.Parts); n > 0 && w.d.Parts[n-1].Arg < 0 {
		w.d.Parts[n-1].Text += s
	} else {
		w.d.Parts = append(w.d.Parts, DemandPart{Text: s, Arg: -1})
	}
	return true
}

func (w *writer) arg(i int) bool {
	w.text("")
	w.d.Parts[len(w.d.Parts)-1].Arg = i
	return true
}

// demandOps are the operators that a demand may hold.
var demandOps = map[opcode.Op]string{
	opcode.LogicAnd: " AND ", opcode.LogicOr: " OR ", opcode.LogicXor: " XOR ", opcode.EQ: " = ", opcode.NullEQ: " <=> ",
	opcode.NE: " <> ", opcode.LT: " < ", opcode.LE: " <= ", opcode.GT: " > ", opcode.GE: " >= ",
}

func (w *writer) expr(e ast.ExprNode, depth int) bool {
	if depth > maxDemandDepth {
		return false
	}
	depth++
	switch e := e.(type) {
	case *ast.ParenthesesExpr:
		return w.expr(e.Expr, depth)
	case *ast.ColumnNameExpr:
		return w.column(e)
	case *test_driver.ParamMarkerExpr:
		i, ok := w.a.src.Marker(e.Offset)
		return ok && w.arg(i)
	case *test_driver.ValueExpr:
		return w.literal(e)
	case *ast.BinaryOperationExpr:
		op, ok := demandOps[e.Op]
		return ok && w.text("(") && w.expr(e.L, depth) && w.text(op) && w.expr(e.R, depth) && w.text(")")
	case *ast.UnaryOperationExpr:
		switch e.Op {
		case opcode.Not, opcode.Not2:
			return w.text("(NOT ") && w.expr(e.V, depth) && w.text(")")
		case opcode.Minus:
			switch bare(e.V).(type) {
			case *test_driver.ParamMarkerExpr, *test_driver.ValueExpr:
				return w.text("(- ") && w.expr(e.V, depth) && w.text(")")
			}
		default:
		}
	case *ast.PatternInExpr:
		if e.Sel != nil || len(e.List) == 0 {
			return false
		}
		return w.text("(") && w.expr(e.Expr, depth) && w.text(not(e.Not)+" IN (") && w.list(e.List, depth) && w.text("))")
	case *ast.BetweenExpr:
		return w.text("(") && w.expr(e.Expr, depth) && w.text(not(e.Not)+" BETWEEN ") && w.expr(e.Left, depth) &&
			w.text(" AND ") && w.expr(e.Right, depth) && w.text(")")
	case *ast.IsNullExpr:
		return w.text("(") && w.expr(e.Expr, depth) && w.text(" IS"+not(e.Not)+" NULL)")
	case *ast.PatternLikeOrIlikeExpr:
		return e.IsLike && !e.EscapeExplicit && w.text("(") && w.expr(e.Expr, depth) && w.text(not(e.Not)+" LIKE ") &&
			w.expr(e.Pattern, depth) && w.text(")")
	}
	return false
}

func not(n bool) string {
	if n {
		return " NOT"
	}
	return ""
}

func (w *writer) list(list []ast.ExprNode, depth int) bool {
	for i, e := range list {
		if i > 0 {
			w.text(", ")
		}
		if !w.expr(e, depth) {
			return false
		}
	}
	return true
}

// column writes a column, and gives up when the expression already has one of another table.
func (w *writer) column(e *ast.ColumnNameExpr) bool {
	c := w.a.column(e.Name, w.b)
	if c.Qualifier != "" && (c.Block != w.b || c.Table < 0) || w.table > -2 && c.Table != w.table {
		return false
	}
	w.table = c.Table
	w.d.Columns = append(w.d.Columns, lower(c.Name))
	return w.text("`" + strings.ReplaceAll(c.Name, "`", "``") + "`")
}

// literal writes a literal that is part of the norm. Strings that are have an introducer or another odd form.
func (w *writer) literal(e *test_driver.ValueExpr) bool {
	if e.Type.GetFlag()&mysql.UnderScoreCharsetFlag != 0 {
		return false
	}
	v, ok := literal(e)
	if !ok {
		return false
	}
	switch v.Kind {
	case Null:
		return w.text("NULL")
	case Bool:
		if v.I == 0 {
			return w.text("FALSE")
		}
		return w.text("TRUE")
	case Int:
		w.d.Numbers = true
		return w.text(v.String())
	default:
		return false
	}
}
