package parse

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"shardway/router/parse/bridge"
	"shardway/router/parse/digest"
	"shardway/router/parse/rewrite"
)

// analyzer fills a Statement from a syntax tree.
type analyzer struct {
	src    *source
	st     *Statement
	scopes []int                     // by block: the block whose tables its columns may mean as well; -1 for none
	ctes   []*cte                    // in scope, inner ones last
	subs   map[*ast.SubqueryExpr]int // the first block of each subquery in an expression

	derived map[int]*ast.SelectStmt // by block: the SELECTs of derived tables

	bad      string // why the statement can't be analysed
	inserted bool   // in ON DUPLICATE KEY UPDATE, where VALUES(a) means something
	asked    *asked // what Brings wants to know; nil otherwise
}

// cte is a common table expression in scope.
type cte struct {
	name  string
	block int      // its first block; -1 while that isn't known yet
	refs  [][2]int // references, block and table, to fill in
}

// block appends a block.
func (a *analyzer) block(parent, scope int, role Role, derived bool) int {
	a.st.Blocks = append(a.st.Blocks, Block{Parent: parent, Role: role, Derived: derived, Next: -1})
	a.scopes = append(a.scopes, scope)
	return len(a.st.Blocks) - 1
}

// notRead notes why the statement isn't a read; the first reason counts.
func (a *analyzer) notRead(why string) {
	if a.st.Why == "" {
		a.st.Why = why
	}
}

// statement analyses a data statement.
func (a *analyzer) statement(node ast.StmtNode) bool {
	st := a.st
	switch n := node.(type) {
	case *ast.SelectStmt, *ast.SetOprStmt:
		st.Kind = Select
		if b := a.query(n, -1, -1, false); b >= 0 && outerLimit(n) {
			st.Flags |= FlagLimited
		}
	case *ast.InsertStmt:
		st.Kind, st.Why = Insert, "INSERT"
		if n.IsReplace {
			st.Kind, st.Why = Replace, "REPLACE"
		}
		a.insert(n)
	case *ast.UpdateStmt:
		st.Kind, st.Why = Update, "UPDATE"
		a.update(n)
	case *ast.DeleteStmt:
		st.Kind, st.Why = Delete, "DELETE"
		a.delete(n)
	case *ast.DoStmt:
		st.Kind, st.Why = Do, "DO"
		b := a.block(-1, -1, RoleQuery, false)
		for _, e := range n.Exprs {
			a.expr(e, b)
		}
	case *ast.CallStmt:
		st.Kind, st.Why = Call, "CALL"
		st.Name = lower(n.Procedure.FnName.O)
		if n.Procedure.Schema.O != "" {
			st.Qualifiers = append(st.Qualifiers, n.Procedure.Schema.O)
		}
		b := a.block(-1, -1, RoleQuery, false)
		for _, e := range n.Procedure.Args {
			a.expr(e, b)
		}
		st.Words = digest.Words(a.src.plain())
	default:
		return false
	}
	return true
}

func outerLimit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return n.Limit != nil
	case *ast.SetOprStmt:
		return n.Limit != nil
	}
	return false
}

// query analyses a SELECT or set operation and returns its first block. Columns may also mean tables of the scope
// block and those around it.
func (a *analyzer) query(n ast.Node, parent, scope int, derived bool) int {
	mark := len(a.ctes)
	defer func() { a.ctes = a.ctes[:mark] }()
	var branches []int
	switch n := n.(type) {
	case *ast.SelectStmt:
		branches = a.branch(n, parent, scope, derived)
	case *ast.SetOprStmt:
		a.with(n.With, parent, scope)
		branches = a.branch(n.SelectList, parent, scope, derived)
		if len(branches) > 0 {
			a.tail(n.OrderBy, n.Limit, branches[0])
		}
	case *ast.SetOprSelectList:
		branches = a.branch(n, parent, scope, derived)
	case *ast.SubqueryExpr:
		return a.query(n.Query, parent, scope, derived)
	case *ast.TableName: // TABLE t, in some places
		b := a.block(parent, scope, RoleQuery, derived)
		a.table(n, "", b)
		return b
	}
	if len(branches) == 0 {
		a.notRead("a form of query that isn't known")
		return a.block(parent, scope, RoleQuery, derived)
	}
	for i, b := range branches[1:] {
		a.st.Blocks[branches[i]].Next = b
	}
	return branches[0]
}

// branch returns the blocks of the branches of a set operation.
func (a *analyzer) branch(n ast.Node, parent, scope int, derived bool) (list []int) {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return []int{a.selectStmt(n, parent, scope, derived)}
	case *ast.SetOprSelectList:
		mark := len(a.ctes)
		a.with(n.With, parent, scope)
		for _, s := range n.Selects {
			list = append(list, a.branch(s, parent, scope, derived)...)
		}
		if len(list) > 0 {
			a.tail(n.OrderBy, n.Limit, list[0])
		}
		a.ctes = a.ctes[:mark]
	case *ast.SetOprStmt:
		list = []int{a.query(n, parent, scope, derived)}
	}
	return list
}

func (a *analyzer) tail(order *ast.OrderByClause, limit *ast.Limit, b int) {
	if order != nil {
		a.expr(order, b)
	}
	if limit != nil {
		a.expr(limit, b)
		a.st.Blocks[b].Limit = true
	}
}

// with brings the common table expressions of a WITH clause into scope; the caller takes them out again.
func (a *analyzer) with(w *ast.WithClause, parent, scope int) {
	if w == nil {
		return
	}
	if len(a.ctes)+len(w.CTEs) > maxSources {
		a.bad = "too many common table expressions"
		return
	}
	for _, e := range w.CTEs {
		c := &cte{name: e.Name.L, block: -1}
		if w.IsRecursive {
			a.ctes = append(a.ctes, c)
		}
		c.block = a.query(e.Query, parent, scope, true)
		for _, r := range c.refs {
			a.st.Blocks[r[0]].Tables[r[1]].Source = c.block
		}
		if !w.IsRecursive {
			a.ctes = append(a.ctes, c)
		}
	}
}

func (a *analyzer) selectStmt(n *ast.SelectStmt, parent, scope int, derived bool) int {
	mark := len(a.ctes)
	b := a.block(parent, scope, RoleQuery, derived)
	// The expressions of WITH see what is around this block, not its tables.
	a.with(n.With, b, scope)
	if n.From != nil {
		j := a.from(n.From.TableRefs, b)
		a.st.Blocks[b].Where = and(j.inner...)
		a.demand(append(j.demands, a.demands(n.Where, b)...), b, j.lo, j.hi, j.nulled)
	}
	a.where(n.Where, b)
	a.push(a.st.Blocks[b].Where, b, 0)
	a.star(n, b)
	if n.Fields != nil {
		a.expr(n.Fields, b)
	}
	if n.GroupBy != nil {
		a.expr(n.GroupBy, b)
	}
	if n.Having != nil {
		a.expr(n.Having, b)
	}
	for i := range n.Lists {
		a.expr(n.Lists[i], b)
	}
	for i := range n.WindowSpecs {
		a.expr(&n.WindowSpecs[i], b)
	}
	a.tail(n.OrderBy, n.Limit, b)
	if n.SelectStmtOpts != nil && n.CalcFoundRows {
		a.st.Flags |= FlagCalcFoundRows
	}
	if n.LockInfo != nil && n.LockInfo.LockType != ast.SelectLockNone {
		a.st.Flags |= FlagLocks
		a.notRead("SELECT … " + strings.ToUpper(n.LockInfo.LockType.String()))
	}
	if n.SelectIntoOpt != nil {
		a.st.Flags |= FlagInto
		if n.SelectIntoOpt.Tp != ast.SelectIntoVars {
			a.st.Flags |= FlagFile
		}
		a.notRead("SELECT … INTO")
	}
	a.ctes = a.ctes[:mark]
	return b
}

// where adds a condition that every row of the block meets.
func (a *analyzer) where(e ast.ExprNode, b int) {
	if e == nil {
		return
	}
	a.expr(e, b)
	c := a.cond(e, b)
	blk := &a.st.Blocks[b]
	blk.Where = and(blk.Where, c)
}

// joined is what is known of the rows of a part of FROM.
type joined struct {
	lo, hi int            // its tables
	inner  []*Cond        // what every row meets
	using  map[string]int // the table that a column of USING comes from

	demands []demanded // for Brings: what every row meets
	nulled  []int      // the tables that an outer join in it may fill with NULLs
}

// from appends the tables of a join to the block.
func (a *analyzer) from(n ast.ResultSetNode, b int) joined {
	lo := len(a.st.Blocks[b].Tables)
	switch n := n.(type) {
	case *ast.Join:
		if n.Right == nil {
			return a.from(n.Left, b)
		}
		l := a.from(n.Left, b)
		r := a.from(n.Right, b)
		return a.join(n, l, r, b)
	case *ast.TableSource:
		a.source(n, b)
	case *ast.TableName:
		a.table(n, "", b)
	default:
		a.notRead("a form of FROM that isn't known")
	}
	return joined{lo: lo, hi: len(a.st.Blocks[b].Tables)}
}

func (a *analyzer) join(n *ast.Join, l, r joined, b int) joined {
	j := joined{lo: l.lo, hi: r.hi, nulled: append(l.nulled, r.nulled...)}
	var on []*Cond
	var demands []demanded
	if n.On != nil {
		demands = a.demands(n.On.Expr, b)
		a.expr(n.On.Expr, b)
		on = append(on, a.cond(n.On.Expr, b))
	}
	j.using = make(map[string]int)
	for _, col := range n.Using {
		name := col.Name
		lt, lok := l.owner(name.L)
		rt, rok := r.owner(name.L)
		if !lok || !rok {
			continue
		}
		on = append(on, &Cond{
			Op: CondEqual, Col: Column{Name: name.O, Block: b, Table: lt},
			Vals: []Operand{{Kind: OperandColumn, Col: Column{Name: name.O, Block: b, Table: rt}}},
		})
		j.using[name.L] = lt
		if n.Tp == ast.RightJoin {
			j.using[name.L] = rt
		}
	}
	tp := n.Tp
	if n.StraightJoin {
		tp = ast.CrossJoin
	}
	switch tp {
	case ast.LeftJoin:
		j.inner, j.demands = l.inner, l.demands
		a.nullSupplied(b, r, on)
		a.demand(append(r.demands, demands...), b, r.lo, r.hi, r.nulled)
		j.nulled = r.null(j.nulled)
	case ast.RightJoin:
		j.inner, j.demands = r.inner, r.demands
		a.nullSupplied(b, l, on)
		a.demand(append(l.demands, demands...), b, l.lo, l.hi, l.nulled)
		j.nulled = l.null(j.nulled)
	case ast.CrossJoin:
		j.inner = append(append(append(j.inner, l.inner...), r.inner...), on...)
		j.demands = append(append(append(j.demands, l.demands...), r.demands...), demands...)
	default:
		// An unknown join says nothing.
	}
	return j
}

// null adds the tables of a part that an outer join may fill with NULLs.
func (j joined) null(list []int) []int {
	for t := j.lo; t < j.hi; t++ {
		list = append(list, t)
	}
	return list
}

// owner returns the table that a column named in USING comes from, where that is sure.
func (j joined) owner(name string) (int, bool) {
	if t, ok := j.using[name]; ok {
		return t, true
	}
	return j.lo, j.hi == j.lo+1
}

// nullSupplied notes what the rows of an outer join's null-supplied side meet where they appear at all.
func (a *analyzer) nullSupplied(b int, side joined, on []*Cond) {
	c := and(append(append([]*Cond(nil), side.inner...), on...)...)
	tables := a.st.Blocks[b].Tables
	for i := side.lo; i < side.hi; i++ {
		tables[i].Outer = true
		tables[i].On = and(tables[i].On, c)
	}
}

// source appends a table, derived table or table function.
func (a *analyzer) source(n *ast.TableSource, b int) {
	switch s := n.Source.(type) {
	case *ast.TableName:
		a.table(s, n.AsName.O, b)
	case *ast.SelectStmt, *ast.SetOprStmt:
		scope := a.scopes[b]
		if n.Lateral {
			scope = b
		}
		sub := a.query(s, b, scope, true)
		blk := &a.st.Blocks[b]
		if sel, ok := s.(*ast.SelectStmt); ok && sel.With == nil && !n.Lateral {
			if a.derived == nil {
				a.derived = map[int]*ast.SelectStmt{}
			}
			a.derived[sub] = sel
			a.st.Blocks[sub].Plain = rewrite.Plain(sel)
		}
		blk.Tables = append(blk.Tables, Table{Alias: n.AsName.O, Source: sub})
	case *ast.Join:
		a.from(s, b)
		a.notRead("a join with an alias")
	default:
		a.notRead("a form of FROM that isn't known")
	}
}

// table appends a base table or a reference to a CTE.
func (a *analyzer) table(n *ast.TableName, alias string, b int) {
	blk := &a.st.Blocks[b]
	t := Table{DB: n.Schema.O, Name: n.Name.O, Alias: alias, Source: -1}
	if t.Name == bridge.TableFunction {
		t.Name = ""
		a.st.Flags |= FlagForeignData
	}
	if t.DB == "" {
		for _, c := range slices.Backward(a.ctes) {
			if c.name != n.Name.L {
				continue
			}
			if t.Alias == "" {
				t.Alias = t.Name
			}
			t.Name, t.Source = "", c.block
			if c.block < 0 {
				c.refs = append(c.refs, [2]int{b, len(blk.Tables)})
			}
			break
		}
	}
	blk.Tables = append(blk.Tables, t)
}

// maxSources bounds what names are looked up in: the common table expressions in scope, and the tables of a block, of
// which servers allow 61.
const maxSources = 1000

// lookup returns the table of block b that a qualifier means; -1 when there is none or more than one.
func (a *analyzer) lookup(db, name string, b int) int {
	exact, fold, found := -1, -1, 0
	if len(a.st.Blocks[b].Tables) > maxSources {
		return -1
	}
	for i, t := range a.st.Blocks[b].Tables {
		as := t.Alias
		if as == "" {
			as = t.Name
		}
		if as == "" || !strings.EqualFold(as, name) || db != "" && t.DB != "" && !strings.EqualFold(db, t.DB) {
			continue
		}
		found++
		fold = i
		if as == name {
			if exact >= 0 {
				return -1
			}
			exact = i
		}
	}
	if exact >= 0 || found != 1 {
		return exact
	}
	return fold
}
