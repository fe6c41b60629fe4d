package parse

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

func (a *analyzer) insert(n *ast.InsertStmt) {
	st := a.st
	b := a.block(-1, -1, RoleInsertTarget, false)
	if n.Table != nil {
		a.from(n.Table.TableRefs, b)
	}
	ins := &Insertion{Select: -1, Ignore: n.IgnoreErr}
	st.Insert = ins
	if tables := st.Blocks[b].Tables; len(tables) > 0 {
		tables[0].Write = true
		ins.Table = tables[0]
	}
	for _, c := range n.Columns {
		ins.Columns = append(ins.Columns, c.Name.O)
	}
	for _, list := range n.Lists {
		ins.Rows = append(ins.Rows, a.row(list, b))
	}
	if v, ok := n.Select.(*ast.SelectStmt); ok && v.Kind == ast.SelectStmtKindValues && v.With == nil && v.Limit == nil && v.OrderBy == nil {
		for _, list := range v.Lists { // VALUES ROW(…), ROW(…)
			ins.Rows = append(ins.Rows, a.row(list.Values, b))
		}
	} else if n.Select != nil {
		ins.Select = a.query(n.Select, -1, -1, false)
		if s, ok := n.Select.(*ast.SelectStmt); ok && s.Kind == ast.SelectStmtKindSelect && s.Fields != nil {
			ins.SelectList = a.selectList(s.Fields, ins.Select)
		}
	}
	a.inserted = true
	a.assign(n.OnDuplicate, b)
	a.inserted = false
	for i := range st.Assign {
		a.rowAlias(&st.Assign[i].Val, ins)
	}
}

// rowAlias turns a column of the row alias, INSERT … AS new(a, b), into what was to be stored.
func (a *analyzer) rowAlias(o *Operand, ins *Insertion) {
	if o.Kind != OperandColumn || a.src.bridged == nil || len(a.src.bridged.RowAlias) == 0 {
		return
	}
	as := a.src.bridged.RowAlias
	named := func(c string) bool { return strings.EqualFold(c, o.Col.Name) }
	if o.Col.Qualifier == "" && slices.ContainsFunc(ins.Columns, named) || o.Col.Qualifier != "" && !strings.EqualFold(o.Col.Qualifier, as[0]) {
		return
	}
	if cols := as[1:]; len(cols) > 0 || o.Col.Qualifier == "" {
		i := slices.IndexFunc(cols, named)
		if i < 0 && o.Col.Qualifier == "" {
			return // a column of the table
		}
		if i < 0 || i >= len(ins.Columns) {
			*o = Operand{}
			return
		}
		o.Col.Name = ins.Columns[i]
	}
	o.Kind, o.Col.Qualifier, o.Col.Table = OperandInserted, "", -1
}

// row returns the operands of one row of VALUES.
func (a *analyzer) row(list []ast.ExprNode, b int) []Operand {
	row := make([]Operand, len(list))
	for i, e := range list {
		a.expr(e, b)
		row[i] = a.operand(e, b)
	}
	return row
}

func (a *analyzer) selectList(fields *ast.FieldList, b int) []Operand {
	list := make([]Operand, 0, len(fields.Fields))
	for _, f := range fields.Fields {
		if f.WildCard != nil {
			return nil
		}
		list = append(list, a.operand(f.Expr, b))
	}
	return list
}

func (a *analyzer) assign(list []*ast.Assignment, b int) {
	for _, s := range list {
		a.expr(s.Expr, b)
		value, counted := s.Expr, false
		if call, ok := bare(value).(*ast.FuncCallExpr); ok && call.FnName.L == "last_insert_id" && call.Schema.O == "" && len(call.Args) == 1 {
			value, counted = call.Args[0], true
		}
		a.st.Assign = append(a.st.Assign, Assignment{Col: a.column(s.Column, b), Val: a.operand(value, b), Counted: counted})
		a.schema(s.Column)
	}
}

func (a *analyzer) update(n *ast.UpdateStmt) {
	b := a.block(-1, -1, RoleUpdate, false)
	a.with(n.With, b, -1)
	a.st.Blocks[b].Where = and(a.from(n.TableRefs.TableRefs, b).inner...)
	a.where(n.Where, b)
	a.assign(n.List, b)
	a.tail(n.Order, n.Limit, b)
	if n.Limit != nil {
		a.st.Flags |= FlagLimited
	}
	tables := a.st.Blocks[b].Tables
	anyOf := false
	for _, s := range a.st.Assign {
		if s.Col.Table >= 0 && s.Col.Block == b {
			tables[s.Col.Table].Write = true
			continue
		}
		anyOf = true // any of them may have that column
	}
	for i := range tables {
		tables[i].Write = tables[i].Write || anyOf && tables[i].Name != ""
	}
}

func (a *analyzer) delete(n *ast.DeleteStmt) {
	b := a.block(-1, -1, RoleDelete, false)
	a.with(n.With, b, -1)
	a.st.Blocks[b].Where = and(a.from(n.TableRefs.TableRefs, b).inner...)
	a.where(n.Where, b)
	a.tail(n.Order, n.Limit, b)
	if n.Limit != nil {
		a.st.Flags |= FlagLimited
	}
	tables := a.st.Blocks[b].Tables
	if n.Tables == nil || len(n.Tables.Tables) == 0 {
		for i := range tables {
			tables[i].Write = tables[i].Name != ""
		}
		return
	}
	for _, t := range n.Tables.Tables {
		i := a.lookup(t.Schema.O, t.Name.O, b)
		if i >= 0 {
			tables[i].Write = true
			continue
		}
		for i := range tables { // a name that is nowhere: the server will say so
			tables[i].Write = tables[i].Name != ""
		}
		if t.Schema.O != "" {
			a.st.Qualifiers = append(a.st.Qualifiers, t.Schema.O)
		}
	}
}
