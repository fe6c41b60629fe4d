package parse

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// and joins what must all hold; nil is nothing, and so is what isn't known.
func and(list ...*Cond) *Cond {
	var args []*Cond
	for _, c := range list {
		switch {
		case c == nil || c.Op == CondUnknown:
		case c.Op == CondNever:
			return c
		case c.Op == CondAnd:
			args = append(args, c.Args...)
		default:
			args = append(args, c)
		}
	}
	switch len(args) {
	case 0:
		return nil
	case 1:
		return args[0]
	}
	return &Cond{Op: CondAnd, Args: args}
}

// or joins alternatives; one that isn't known makes the whole unknown.
func or(list ...*Cond) *Cond {
	var args []*Cond
	for _, c := range list {
		switch {
		case c == nil || c.Op == CondUnknown || c.Op == CondExists:
			return nil
		case c.Op == CondNever:
		case c.Op == CondOr:
			args = append(args, c.Args...)
		default:
			args = append(args, c)
		}
	}
	switch len(args) {
	case 0:
		return &Cond{Op: CondNever}
	case 1:
		return args[0]
	}
	return &Cond{Op: CondOr, Args: args}
}

// cond returns what a row meets for which e is true; nil when nothing is known.
func (a *analyzer) cond(e ast.ExprNode, b int) *Cond {
	switch e := e.(type) {
	case *ast.ParenthesesExpr:
		return a.cond(e.Expr, b)
	case *ast.BinaryOperationExpr:
		switch e.Op {
		case opcode.LogicAnd:
			return and(a.chain(e, b)...)
		case opcode.LogicOr:
			return or(a.chain(e, b)...)
		case opcode.EQ:
			return a.equal(CondEqual, e.L, e.R, b, false)
		case opcode.NullEQ:
			return a.equal(CondNullSafeEqual, e.L, e.R, b, false)
		default:
			return nil
		}
	case *ast.PatternInExpr:
		if e.Not {
			return nil
		}
		if e.Sel != nil {
			return a.member(e, b)
		}
		return a.in(e, b)
	case *ast.ExistsSubqueryExpr:
		return a.exists(e)
	case *ast.IsTruthExpr:
		if e.True == 1 && !e.Not {
			return a.cond(e.Expr, b)
		}
	case *test_driver.ValueExpr:
		if v, ok := literal(e); ok && (v.Kind == Null || v.Kind == Bool && v.I == 0) {
			return &Cond{Op: CondNever}
		}
	}
	return nil
}

// chain returns the conditions that a chain of one operator joins.
func (a *analyzer) chain(e *ast.BinaryOperationExpr, b int) []*Cond {
	list := []*Cond{a.cond(e.R, b)}
	left := e.L
	for {
		l, ok := left.(*ast.BinaryOperationExpr)
		if !ok || l.Op != e.Op {
			break
		}
		list = append(list, a.cond(l.R, b))
		left = l.L
	}
	list = append(list, a.cond(left, b))
	slices.Reverse(list)
	return list
}

// equal is l = r or l <=> r, in a comparison of rows if inRow.
func (a *analyzer) equal(op CondOp, l, r ast.ExprNode, b int, inRow bool) *Cond {
	l, r = bare(l), bare(r)
	if lr, ok := l.(*ast.RowExpr); ok {
		rr, ok := r.(*ast.RowExpr)
		if !ok || len(rr.Values) != len(lr.Values) {
			return nil
		}
		list := make([]*Cond, len(lr.Values))
		for i := range lr.Values {
			list[i] = a.equal(op, lr.Values[i], rr.Values[i], b, true)
		}
		return and(list...)
	}
	lc, lok := l.(*ast.ColumnNameExpr)
	rc, rok := r.(*ast.ColumnNameExpr)
	switch {
	case lok:
		return &Cond{Op: op, Col: a.column(lc.Name, b), Vals: []Operand{a.operand(r, b)}, InRow: inRow}
	case rok:
		return &Cond{Op: op, Col: a.column(rc.Name, b), Vals: []Operand{a.operand(l, b)}, InRow: inRow}
	}
	return nil
}

// in is expr IN (list).
func (a *analyzer) in(e *ast.PatternInExpr, b int) *Cond {
	if col, ok := bare(e.Expr).(*ast.ColumnNameExpr); ok {
		c := &Cond{Op: CondIn, Col: a.column(col.Name, b), Vals: make([]Operand, len(e.List))}
		for i, v := range e.List {
			c.Vals[i] = a.operand(v, b)
		}
		return c
	}
	list := make([]*Cond, len(e.List))
	for i, v := range e.List {
		list[i] = a.equal(CondEqual, e.Expr, v, b, true)
	}
	return or(list...)
}

// member is expr IN (subquery) where nothing but its truth counts: rows of the subquery that don't equal expr can't matter.
func (a *analyzer) member(e *ast.PatternInExpr, b int) *Cond {
	sub, ok := e.Sel.(*ast.SubqueryExpr)
	if !ok {
		return nil
	}
	q, ok := sub.Query.(*ast.SelectStmt)
	at, known := a.subs[sub]
	if !ok || !known || q.Kind != ast.SelectStmtKindSelect || q.With != nil || q.GroupBy != nil || q.Having != nil || q.Limit != nil || q.Fields == nil {
		return nil
	}
	left := []ast.ExprNode{e.Expr}
	if row, ok := bare(e.Expr).(*ast.RowExpr); ok {
		left = row.Values
	}
	if len(left) != len(q.Fields.Fields) {
		return nil
	}
	var list []*Cond
	for i, f := range q.Fields.Fields {
		outer, ok := bare(left[i]).(*ast.ColumnNameExpr)
		if !ok || f.Expr == nil {
			continue
		}
		inner, ok := bare(f.Expr).(*ast.ColumnNameExpr)
		if !ok {
			if _, ok := f.Expr.(*test_driver.ParamMarkerExpr); !ok {
				return nil // an aggregate or window function makes one row of many
			}
			continue
		}
		col := a.column(outer.Name, b)
		if col.Qualifier == "" && len(a.st.Blocks[b].Tables) == 1 {
			col.Table = 0
		}
		if col.Table < 0 {
			continue // seen from the subquery, the name might mean one of its own columns
		}
		list = append(list, &Cond{
			Op: CondEqual, Col: a.column(inner.Name, at), Vals: []Operand{{Kind: OperandColumn, Col: col}}, InRow: true,
		})
	}
	blk := &a.st.Blocks[at]
	blk.Where = and(append(list, blk.Where)...)
	return &Cond{Op: CondExists, Sub: at}
}

// exists is EXISTS (subquery). One that would give a row of no rows, as with an aggregate function, says nothing.
func (a *analyzer) exists(e *ast.ExistsSubqueryExpr) *Cond {
	sub, ok := e.Sel.(*ast.SubqueryExpr)
	if !ok || e.Not {
		return nil
	}
	q, ok := sub.Query.(*ast.SelectStmt)
	at, known := a.subs[sub]
	if !ok || !known || q.Kind != ast.SelectStmtKindSelect || q.GroupBy != nil || q.Having != nil || q.OrderBy != nil || q.Fields == nil {
		return nil
	}
	for _, f := range q.Fields.Fields {
		if f.WildCard != nil {
			continue
		}
		switch bare(f.Expr).(type) {
		case *ast.ColumnNameExpr, *test_driver.ParamMarkerExpr, *test_driver.ValueExpr:
		default:
			return nil
		}
	}
	return &Cond{Op: CondExists, Sub: at}
}

func bare(e ast.ExprNode) ast.ExprNode {
	for {
		p, ok := e.(*ast.ParenthesesExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

// column resolves a column's qualifier, in the block and then in those around it.
func (a *analyzer) column(n *ast.ColumnName, b int) Column {
	c := Column{DB: n.Schema.O, Qualifier: n.Table.O, Name: n.Name.O, Block: b, Table: -1}
	if c.Qualifier == "" {
		return c
	}
	for at := b; at >= 0; at = a.scopes[at] {
		if t := a.lookup(c.DB, c.Qualifier, at); t >= 0 {
			c.Block, c.Table = at, t
			return c
		}
		if len(a.st.Blocks[at].Tables) > maxSources || a.named(c.Qualifier, at) {
			return c // more than one table has that name here, so it means none further out
		}
	}
	return c
}

// named reports whether any table of a block goes by name.
func (a *analyzer) named(name string, b int) bool {
	for _, t := range a.st.Blocks[b].Tables {
		if lower(t.Alias) == lower(name) || t.Alias == "" && lower(t.Name) == lower(name) {
			return true
		}
	}
	return false
}

// operand returns the value of an expression where it is plain.
func (a *analyzer) operand(e ast.ExprNode, b int) Operand {
	switch e := bare(e).(type) {
	case *test_driver.ParamMarkerExpr:
		if i, ok := a.src.Marker(e.Offset); ok {
			return Operand{Kind: OperandArg, Arg: i}
		}
	case *test_driver.ValueExpr:
		if v, ok := literal(e); ok {
			return Operand{Kind: OperandConst, Value: v}
		}
	case *ast.ColumnNameExpr:
		return Operand{Kind: OperandColumn, Col: a.column(e.Name, b)}
	case *ast.DefaultExpr:
		if e.Name == nil {
			return Operand{Kind: OperandDefault}
		}
	case *ast.ValuesExpr:
		if !a.inserted {
			break // NULL, or an error
		}
		return Operand{Kind: OperandInserted, Col: a.column(e.Column.Name, b)}
	case *ast.BinaryOperationExpr:
		switch e.Op {
		case opcode.Plus, opcode.Minus, opcode.Mul:
			return a.arithmetic(e, b)
		default:
		}
	case *ast.UnaryOperationExpr:
		if e.Op == opcode.Plus {
			return a.operand(e.V, b)
		}
		if e.Op != opcode.Minus {
			break
		}
		switch v := bare(e.V).(type) {
		case *test_driver.ParamMarkerExpr:
			if i, ok := a.src.Marker(v.Offset); ok {
				return Operand{Kind: OperandArg, Arg: i, Neg: true}
			}
		case *test_driver.ValueExpr:
			if v, ok := literal(v); ok {
				return negated(v)
			}
		case *ast.UnaryOperationExpr, *ast.BinaryOperationExpr:
			return (&Expr{Op: ExprNeg, L: a.operand(v, b)}).operand()
		}
	}
	return Operand{}
}

// arithmetic is l + r, l - r or l * r. A long chain isn't looked at: Expr is for small ones.
func (a *analyzer) arithmetic(e *ast.BinaryOperationExpr, b int) Operand {
	n := 0
	for l := e; l != nil; n++ {
		if n > maxFolds {
			return Operand{}
		}
		l, _ = bare(l.L).(*ast.BinaryOperationExpr)
	}
	l := a.operand(e.L, b)
	if l.Kind == OperandUnknown {
		return l
	}
	return arithmetic(e.Op, l, a.operand(e.R, b))
}

func negated(v Value) Operand {
	switch {
	case v.Kind == Int:
		v.I = -v.I
	case v.Kind == Uint && v.U == 1<<63:
		v = Value{Kind: Int, I: -1 << 63}
	case v.Kind == Uint || v.Kind == Decimal:
		return Operand{}
	case v.Kind == Float:
		v.F, v.S = -v.F, nil
	default:
		return Operand{}
	}
	return Operand{Kind: OperandConst, Value: v}
}

// literal returns the value of a literal that is part of the norm.
func literal(e *test_driver.ValueExpr) (Value, bool) {
	if e.Type.GetFlag()&mysql.UnderScoreCharsetFlag != 0 {
		return Value{}, false // _latin1'…': its bytes aren't in the connection's character set
	}
	switch e.Kind() {
	case test_driver.KindNull:
		return Value{Kind: Null}, true
	case test_driver.KindInt64:
		kind := Int
		if e.Type.GetFlag()&mysql.IsBooleanFlag != 0 {
			kind = Bool
		}
		return Value{Kind: kind, I: e.GetInt64()}, true
	case test_driver.KindUint64:
		return Value{Kind: Uint, U: e.GetUint64()}, true
	case test_driver.KindFloat64:
		return Value{Kind: Float, F: e.GetFloat64()}, true
	case test_driver.KindString:
		return Value{Kind: String, S: []byte(e.GetString())}, true
	case test_driver.KindMysqlDecimal:
		return Value{Kind: Decimal, S: []byte(e.GetMysqlDecimal().String())}, true
	case test_driver.KindBinaryLiteral:
		return Value{Kind: Bytes, S: []byte(e.GetBinaryLiteral())}, true
	}
	return Value{}, false
}
