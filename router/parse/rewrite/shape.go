package rewrite

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/test_driver"

	"shardway/router/parse/digest"
)

// Shape is a SELECT clause by clause. It says of the outermost query block alone what its clauses are; a subquery is
// part of the expression that holds it.
type Shape struct {
	Norm *Norm
	// Union says that it is a UNION ALL of SELECTs that give their rows as they are: nothing else of it is known but Places.
	Union bool
	// Places are where the outermost query blocks take a condition, in the order of the text: one, or one for each branch of
	// the Union. They are nil where that can't be told.
	Places []Place

	Head     Range // what comes before the select list: WITH …, SELECT DISTINCT …
	List     Range // the select list
	Body     Range // FROM, WHERE, GROUP BY, HAVING, WINDOW: all between the select list and ORDER BY
	OrderBy  Range // ORDER BY with its list
	Tail     Range // what comes after LIMIT: FOR UPDATE and the like
	Items    []Item
	Distinct bool
	Rollup   bool
	Windows  bool // window functions or a WINDOW clause
	Group    []Item
	Having   *Item // nil without
	Order    []Item
	Limit    *Limit // nil without
}

// Item is an expression of a list. Its Range hasn't the alias, nor ASC or DESC.
type Item struct {
	Range
	Star       bool   // * or t.*
	Of         string // the table of t.*, "" for *
	Alias      string // "" without
	Column     *Column
	Position   int // ORDER BY 2; 0 for what isn't a position
	Desc       bool
	Directed   bool // ASC or DESC is written
	Aggregate  *Aggregate
	Aggregates int      // aggregate functions in it, but those of subqueries
	Names      []Column // columns in it, but those of subqueries
	Subquery   bool
	Random     bool // each call gives another value
	Number     bool // surely a number
	Literal    bool // a literal or a marker
	Null       bool // NULL
}

// Constant reports whether an item is the same for all rows of a statement.
func (it *Item) Constant() bool {
	return len(it.Names) == 0 && !it.Star && !it.Subquery && !it.Random && it.Aggregates == 0
}

// Column is a column as written.
type Column struct{ DB, Table, Name string }

// Aggregate is an item that is one call of an aggregate function and nothing else.
type Aggregate struct {
	Func     string // lower case
	Distinct bool
	Args     Range // between the parentheses; of COUNT(*) the *
	Count    int   // how many arguments
}

// Limit is LIMIT and OFFSET.
type Limit struct {
	Count, Offset Number
}

// Number is a number of LIMIT.
type Number struct {
	Set bool
	Arg int // index in the digest's Args; -1 for Value
	// Value is the number where it is part of the norm.
	Value uint64
}

// NewShape takes a SELECT apart, which is the syntax tree of n's text. It is nil for other statements, for set operations
// but Union, and for forms whose clauses it can't tell apart with certainty.
func NewShape(n *Norm, node ast.StmtNode) *Shape {
	if union, ok := node.(*ast.SetOprStmt); ok && unionOfRows(n, union) {
		s := &Shape{Norm: n, Union: true}
		s.branches(union)
		return s
	}
	sel, ok := node.(*ast.SelectStmt)
	if !ok || sel.Kind != ast.SelectStmtKindSelect || sel.IsInBraces || sel.WithBeforeBraces || sel.Fields == nil || sel.From == nil || sel.SelectIntoOpt != nil {
		return nil
	}
	s := &Shape{Norm: n, Distinct: sel.Distinct, Windows: len(sel.WindowSpecs) > 0}
	c := s.clauses(sel)
	if c == nil || !s.lists(c, sel) {
		return nil
	}
	return s
}

// unionOfRows reports whether a set operation puts rows of its branches together and does nothing else.
func unionOfRows(n *Norm, u *ast.SetOprStmt) bool {
	if u.IsInBraces || u.With != nil || u.OrderBy != nil || u.Limit != nil || u.SelectList.With != nil || u.SelectList.OrderBy != nil || u.SelectList.Limit != nil {
		return false
	}
	for i, branch := range u.SelectList.Selects {
		sel, ok := branch.(*ast.SelectStmt)
		if !ok || i > 0 && (sel.AfterSetOperator == nil || *sel.AfterSetOperator != ast.UnionAll) {
			return false
		}
		if sel.Kind != ast.SelectStmtKindSelect || sel.With != nil || sel.Fields == nil || sel.From == nil || sel.Distinct ||
			sel.GroupBy != nil || sel.Having != nil || sel.OrderBy != nil || sel.Limit != nil || sel.SelectIntoOpt != nil || len(sel.WindowSpecs) > 0 {
			return false
		}
		s := &Shape{Norm: n}
		for _, f := range sel.Fields.Fields {
			if f.Expr != nil && s.item(Range{}, f.Expr).Aggregates > 0 || s.Windows {
				return false
			}
		}
	}
	return true
}

// clause numbers the clauses in the order of a SELECT.
type clause int

const (
	inList clause = iota
	inFrom
	inWhere
	inGroup
	inHaving
	inWindow
	inOrder
	inLimit
	inTail
	clauseCount
)

// clauses are the tokens of each clause, with its keywords.
type clauses [clauseCount]Range

// clauses cuts the statement at the keywords that aren't in parentheses. All of them are reserved words.
func (s *Shape) clauses(sel *ast.SelectStmt) *clauses {
	tokens, all := s.Norm.Tokens, s.Norm.All()
	start := -1
	for i := all.From; i < all.To; i++ {
		if tokens[i].A == sel.Fields.Fields[0].Offset {
			start = i
			break
		}
	}
	if start <= all.From {
		return nil
	}
	s.Head = Range{all.From, start}
	var c clauses
	at := inList
	c[at].From = start
	enter := func(next clause, i int) bool {
		if next <= at {
			return false
		}
		c[at].To = i
		at = next
		c[at].From = i
		return true
	}
	for i := start; i < all.To; i++ {
		if end := s.group(i); end > i {
			i = end - 1
			continue
		}
		t := tokens[i]
		if t.Kind != digest.TokWord || i > start && tokens[i-1].Up == "." {
			continue
		}
		next := clause(-1)
		switch t.Up {
		case "FROM":
			next = inFrom
		case "WHERE":
			next = inWhere
		case "GROUP", "ORDER":
			if s.indexHint(i) {
				continue
			}
			if next = inOrder; t.Up == "GROUP" {
				next = inGroup
			}
			if tokens[i+1].Up != "BY" {
				return nil
			}
		case "HAVING":
			next = inHaving
		case "WINDOW":
			if len(sel.WindowSpecs) == 0 {
				continue
			}
			next = inWindow
		case "LIMIT":
			next = inLimit
		case "FOR", "LOCK":
			if at == inTail || s.indexHint(i+1) || sel.LockInfo == nil || sel.LockInfo.LockType == ast.SelectLockNone {
				continue
			}
			next = inTail
		case "INTO", "UNION", "EXCEPT", "INTERSECT", "PROCEDURE", "FETCH", "SELECT":
			if i > start {
				return nil
			}
		default:
			continue
		}
		if !enter(next, i) {
			return nil
		}
	}
	c[at].To = all.To
	s.Places = []Place{{Where: c[inWhere], After: c[inFrom].To - 1}}
	s.List = c[inList]
	s.Body = Range{c[inFrom].From, 0}
	for k := inFrom; k <= inWindow; k++ {
		s.Body.To = max(s.Body.To, c[k].To)
	}
	s.OrderBy, s.Tail = c[inOrder], c[inTail]
	if c[inFrom].Empty() || c[inWhere].Empty() != (sel.Where == nil) || c[inGroup].Empty() != (sel.GroupBy == nil) ||
		c[inHaving].Empty() != (sel.Having == nil) || c[inOrder].Empty() != (sel.OrderBy == nil) || c[inLimit].Empty() != (sel.Limit == nil) {
		return nil
	}
	return &c
}

// group is the token after the parenthesised group that starts at token i; i when none does.
func (s *Shape) group(i int) int {
	return (&digest.Source{Tokens: s.Norm.Tokens}).GroupEnd(i)
}

// indexHint reports whether token i belongs to USE INDEX FOR ORDER BY (…) and the like.
func (s *Shape) indexHint(i int) bool {
	t := s.Norm.Tokens
	return i >= 2 && t[i-1].Up == "FOR" && (t[i-2].Up == "INDEX" || t[i-2].Up == "KEY")
}

// lists reads the lists of the clauses.
func (s *Shape) lists(c *clauses, sel *ast.SelectStmt) bool {
	ranges := s.split(c[inList])
	if len(ranges) != len(sel.Fields.Fields) {
		return false
	}
	for i, f := range sel.Fields.Fields {
		if s.Norm.Tokens[ranges[i].From].A != f.Offset {
			return false
		}
		it, ok := s.field(ranges[i], f)
		if !ok {
			return false
		}
		s.Items = append(s.Items, it)
	}
	if sel.GroupBy != nil {
		r := c[inGroup]
		if s.Rollup = sel.GroupBy.Rollup; s.Rollup {
			return true // nothing is made of it
		}
		var ok bool
		if s.Group, ok = s.by(Range{r.From + 2, r.To}, sel.GroupBy.Items); !ok {
			return false
		}
	}
	if sel.Having != nil {
		it := s.item(Range{c[inHaving].From + 1, c[inHaving].To}, sel.Having.Expr)
		s.Having = &it
	}
	if sel.OrderBy != nil {
		var ok bool
		if s.Order, ok = s.by(Range{c[inOrder].From + 2, c[inOrder].To}, sel.OrderBy.Items); !ok {
			return false
		}
	}
	if sel.Limit != nil {
		s.Limit = &Limit{}
		var ok bool
		if s.Limit.Count, ok = s.number(sel.Limit.Count); !ok {
			return false
		}
		if sel.Limit.Offset != nil {
			if s.Limit.Offset, ok = s.number(sel.Limit.Offset); !ok {
				return false
			}
		}
	}
	return true
}

// split cuts at the commas that aren't in parentheses.
func (s *Shape) split(r Range) (list []Range) {
	from := r.From
	for i := r.From; i < r.To; i++ {
		if end := s.group(i); end > i {
			i = end - 1
		} else if s.Norm.Tokens[i].Up == "," {
			list = append(list, Range{from, i})
			from = i + 1
		}
	}
	return append(list, Range{from, r.To})
}

// field is one of the select list.
func (s *Shape) field(r Range, f *ast.SelectField) (Item, bool) {
	if f.WildCard != nil {
		return Item{Range: r, Star: true, Of: f.WildCard.Table.O}, true
	}
	alias := f.AsName.O
	if alias != "" {
		if r.To--; s.Norm.Tokens[r.To-1].Up == "AS" && s.Norm.Tokens[r.To-1].Kind == digest.TokWord {
			r.To--
		}
		if r.Empty() {
			return Item{}, false
		}
	}
	it := s.item(r, f.Expr)
	it.Alias = alias
	return it, true
}

// by is the list of GROUP BY or ORDER BY.
func (s *Shape) by(r Range, items []*ast.ByItem) (list []Item, ok bool) {
	ranges := s.split(r)
	if len(ranges) != len(items) {
		return nil, false
	}
	for i, by := range items {
		r := ranges[i]
		if r.Empty() {
			return nil, false
		}
		directed := false
		if last := s.Norm.Tokens[r.To-1]; last.Kind == digest.TokWord && (last.Up == "ASC" || last.Up == "DESC") && r.To-r.From > 1 {
			r.To--
			directed = true
		}
		it := s.item(r, by.Expr)
		it.Desc, it.Directed = by.Desc, directed
		list = append(list, it)
	}
	return list, true
}

// number is a number of LIMIT.
func (s *Shape) number(e ast.ExprNode) (Number, bool) {
	switch e := e.(type) {
	case *test_driver.ParamMarkerExpr:
		n := 0
		for i := range s.Norm.Tokens {
			if s.Norm.Tokens[i].Kind != digest.TokMarker {
				continue
			}
			if s.Norm.Tokens[i].A == e.Offset {
				return Number{Set: true, Arg: n}, true
			}
			n++
		}
	case *test_driver.ValueExpr:
		switch e.Kind() {
		case test_driver.KindUint64:
			return Number{Set: true, Arg: -1, Value: e.GetUint64()}, true
		case test_driver.KindInt64:
			if n := e.GetInt64(); n >= 0 {
				return Number{Set: true, Arg: -1, Value: uint64(n)}, true
			}
		}
	}
	return Number{}, false
}

// item is an expression.
func (s *Shape) item(r Range, e ast.ExprNode) Item {
	it := Item{Range: r}
	f := finder{s: s, it: &it}
	e.Accept(&f)
	switch e := e.(type) {
	case *ast.PositionExpr:
		it.Position = e.N
	case *ast.ColumnNameExpr:
		it.Column = columnOf(e.Name)
	case *test_driver.ValueExpr:
		it.Literal, it.Null = true, e.Kind() == test_driver.KindNull
	case *test_driver.ParamMarkerExpr:
		it.Literal = true
	case *ast.AggregateFuncExpr:
		it.Aggregate = s.aggregate(r, e)
	}
	it.Number = number(e)
	return it
}

func columnOf(n *ast.ColumnName) *Column {
	return &Column{DB: n.Schema.O, Table: n.Table.O, Name: n.Name.O}
}

// aggregate is the call NAME([DISTINCT] args) that r is; nil where it is written another way.
func (s *Shape) aggregate(r Range, e *ast.AggregateFuncExpr) *Aggregate {
	t := s.Norm.Tokens
	if r.To-r.From < 4 || t[r.From].Kind != digest.TokWord || t[r.From+1].Up != "(" || s.group(r.From+1) != r.To {
		return nil
	}
	a := &Aggregate{Func: strings.ToLower(e.F), Distinct: e.Distinct, Args: Range{r.From + 2, r.To - 1}, Count: len(e.Args)}
	for t[a.Args.From].Kind == digest.TokWord && (t[a.Args.From].Up == "DISTINCT" || t[a.Args.From].Up == "ALL") {
		a.Args.From++
	}
	if a.Args.Empty() {
		return nil
	}
	return a
}

// number reports whether an expression is a number, whatever its operands are.
func number(e ast.ExprNode) bool {
	switch e := e.(type) {
	case *ast.ParenthesesExpr:
		return number(e.Expr)
	case *ast.BinaryOperationExpr, *ast.UnaryOperationExpr:
		return true // arithmetic, comparison, logic and bits: none gives text
	case *ast.FuncCallExpr:
		return numeric[e.FnName.L]
	case *ast.AggregateFuncExpr:
		switch strings.ToLower(e.F) {
		case ast.AggFuncCount, ast.AggFuncSum, ast.AggFuncAvg:
			return true
		}
	}
	return false
}

// numeric are functions that give numbers, whatever they are given.
var numeric = map[string]bool{
	"abs": true, "ascii": true, "bit_count": true, "bit_length": true, "ceil": true, "ceiling": true, "char_length": true, "character_length": true,
	"crc32": true, "datediff": true, "day": true, "dayofmonth": true, "dayofweek": true, "dayofyear": true, "exp": true, "field": true,
	"find_in_set": true, "floor": true, "hour": true, "instr": true, "length": true, "ln": true, "locate": true, "log": true, "log10": true,
	"log2": true, "microsecond": true, "minute": true, "mod": true, "month": true, "octet_length": true, "ord": true, "position": true,
	"pow": true, "power": true, "quarter": true, "round": true, "second": true, "sign": true, "sqrt": true, "strcmp": true, "to_days": true,
	"truncate": true, "unix_timestamp": true, "week": true, "weekday": true, "year": true,
}

// finder notes what is anywhere in an expression, but not in its subqueries.
type finder struct {
	s  *Shape
	it *Item
}

// random are the functions that give another value at each call, or on each server.
var random = map[string]bool{
	"rand": true, "uuid": true, "uuid_short": true, "sys_guid": true, "random_bytes": true, "sysdate": true, "sleep": true,
	"uuid_v4": true, "uuid_v7": true, "benchmark": true,
}

// Enter implements ast.Visitor.
func (f *finder) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.SubqueryExpr:
		f.it.Subquery = true
		return n, true
	case *ast.AggregateFuncExpr:
		f.it.Aggregates++
	case *ast.WindowFuncExpr:
		f.s.Windows = true
	case *ast.ColumnName:
		f.it.Names = append(f.it.Names, *columnOf(n))
	case *ast.FuncCallExpr:
		if random[n.FnName.L] {
			f.it.Random = true
		}
	}
	return n, false
}

// Leave implements ast.Visitor.
func (f *finder) Leave(n ast.Node) (ast.Node, bool) { return n, true }
