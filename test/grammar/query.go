package grammar

import (
	"fmt"
	"slices"
	"strings"
)

// query is a SELECT or a set operation.
type query struct {
	with     []string // whole common table expressions
	distinct bool
	items    []expr
	from     []*source
	where    []expr
	group    []expr
	rollup   bool
	having   []expr
	order    []string
	limit    int // -1: none
	offset   int // -1: none
	lock     string

	op    string // UNION and the like: then left, right, order, limit and offset are all there is
	left  *query
	right *query

	// rows says that the query gives a row for each of FROM that WHERE leaves.
	rows bool
	// bare says that DISTINCT has no column: MariaDB gives its row whatever OFFSET says.
	bare bool
	// total says that order leaves nothing open.
	total bool
	// folds says that texts which are equal stand for one another.
	folds bool
}

func (q *query) String() string {
	var b strings.Builder
	if len(q.with) > 0 {
		b.WriteString("WITH " + strings.Join(q.with, ", ") + " ")
	}
	if q.op != "" {
		fmt.Fprintf(&b, "%s %s %s", q.left.nested(), q.op, q.right.nested())
	} else {
		b.WriteString("SELECT ")
		if q.distinct {
			b.WriteString("DISTINCT ")
		}
		b.WriteString(join(q.items, ", "))
		for i, s := range q.from {
			if i == 0 {
				b.WriteString(" FROM ")
			} else {
				b.WriteString(" " + s.join + " ")
			}
			b.WriteString(s.text + " " + s.alias)
			if len(s.on) > 0 {
				b.WriteString(" ON " + join(s.on, " AND "))
			}
		}
		if len(q.where) > 0 {
			b.WriteString(" WHERE " + join(q.where, " AND "))
		}
		if len(q.group) > 0 {
			b.WriteString(" GROUP BY " + join(q.group, ", "))
			if q.rollup {
				b.WriteString(" WITH ROLLUP")
			}
		}
		if len(q.having) > 0 {
			b.WriteString(" HAVING " + join(q.having, " AND "))
		}
	}
	if len(q.order) > 0 {
		b.WriteString(" ORDER BY " + strings.Join(q.order, ", "))
	}
	if q.limit >= 0 {
		b.WriteString(" LIMIT " + literal(fmt.Sprint(q.limit)))
		if q.offset >= 0 {
			b.WriteString(" OFFSET " + literal(fmt.Sprint(q.offset)))
		}
	}
	return b.String() + q.lock
}

// nested is the query as a branch of a set operation.
func (q *query) nested() string {
	if q.op == "" && len(q.order) == 0 && q.limit < 0 && len(q.with) == 0 {
		return q.String()
	}
	return "(" + q.String() + ")"
}

func (g *Generator) table(t *Table) *source {
	return &source{
		alias: g.name(), text: t.Name, columns: t.columns, primary: t.primary(),
		keyed: t.Place == Sharded, rows: t.rows,
	}
}

// tables that a statement may read; many of them are sharded.
func (g *Generator) anyTable() *Table {
	t := g.s.Tables[g.r.IntN(len(g.s.Tables))]
	if t.Place != Sharded && g.chance(40) {
		t = g.s.Tables[g.r.IntN(3)]
	}
	return t
}

// derived is a query in the place of a table.
func (g *Generator) derived(depth int) *source {
	sub := g.query(depth-1, nil, true)
	g.cut(sub)
	s := &source{alias: g.name(), text: "(" + sub.String() + ")", rows: (&scope{sources: sub.from}).rows()}
	for i, item := range sub.items {
		if !sub.open(item) {
			s.columns = append(s.columns, column{name: fmt.Sprintf("c%d", i), kind: item.kind, loose: item.loose})
		}
	}
	return s
}

// open reports whether a server may choose the value of an item among texts that are equal in its collation. Nothing may
// be made of such a value: a function, or a comparison in another collation, tells these texts apart.
func (q *query) open(item expr) bool {
	return item.kind == kindText && item.loose && (q.folds || strings.Contains(item.sql, "MIN(") || strings.Contains(item.sql, "MAX("))
}

// cut gives a query of a FROM an order that leaves nothing open and a limit, now and then.
func (g *Generator) cut(q *query) {
	keys := g.keys(q)
	if !q.rows || keys == nil || !g.chance(25) {
		return
	}
	for _, k := range keys {
		q.order = append(q.order, k+pick(g, "", " DESC"))
	}
	q.total, q.limit = true, 1+g.r.IntN(20)
}

// joinRows bounds how many rows a join may have to look at.
const joinRows = 200_000

func (g *Generator) from(q *query, depth int) {
	sc := &scope{}
	n := pick(g, 1, 1, 1, 1, 2, 2, 3)
	for i := range n {
		t := g.anyTable()
		s := g.table(t)
		if depth > 0 && g.chance(12) {
			s = g.derived(depth)
		}
		if i > 0 && sc.rows()*max(1, s.rows) > joinRows {
			break
		}
		if i > 0 {
			s.join = pick(g, "JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "CROSS JOIN")
			if sc.rows()*max(1, s.rows) > 20_000 {
				s.join = "JOIN"
			}
			if s.join == "CROSS JOIN" && sc.rows()*max(1, s.rows) > 3_000 {
				s.join = "JOIN"
			}
			if s.join != "CROSS JOIN" {
				last := sc.sources[g.r.IntN(len(sc.sources))]
				switch {
				case last.keyed && s.keyed && g.chance(60):
					s.on = append(s.on, expr{sql: last.alias + ".k = " + s.alias + ".k"})
				default:
					a, ok := g.column(&scope{sources: []*source{last}}, kindInt)
					b, ok2 := g.column(&scope{sources: []*source{s}}, kindInt)
					if !ok || !ok2 {
						a, b = expr{sql: "1"}, expr{sql: "1"}
					}
					s.on = append(s.on, expr{sql: a.sql + " = " + b.sql})
				}
				if g.chance(20) {
					s.on = append(s.on, g.predicate(&scope{sources: []*source{last, s}}, 0))
				}
			}
		}
		sc.sources = append(sc.sources, s)
	}
	q.from = sc.sources
}

// query makes a SELECT. A nested one gives its columns the names c0, c1 and has no loose ends: no LIMIT whose rows are
// open.
func (g *Generator) query(depth int, outer *scope, nested bool) *query {
	q := &query{limit: -1, offset: -1}
	g.from(q, depth)
	sc := &scope{sources: q.from, outer: outer}
	for range pick(g, 0, 1, 1, 2) {
		q.where = append(q.where, g.predicate(sc, 1))
	}
	for _, s := range q.from {
		if s.keyed && g.chance(18) {
			q.where = append(q.where, g.keyed(s, Sharded))
		}
	}
	if depth > 0 && g.chance(18) {
		q.where = append(q.where, g.subquery(sc, depth))
	}
	inner := &scope{sources: q.from}
	switch g.r.IntN(10) {
	case 0:
		for range 1 + g.r.IntN(3) {
			q.items = append(q.items, g.aggregate(inner, 1))
		}
		q.total = true // one row
	case 1, 2:
		g.grouped(q, inner)
	case 3:
		q.distinct, q.folds = true, true
		for range 1 + g.r.IntN(2) {
			q.items = append(q.items, g.value(inner, 1, g.anyKind(inner)))
		}
		q.bare = !slices.ContainsFunc(q.items, func(e expr) bool { return columned(e.sql) })
	case 4:
		if depth > 0 && !nested {
			g.windowed(q, inner)
			break
		}
		fallthrough
	default:
		q.rows = true
		for range 1 + g.r.IntN(4) {
			q.items = append(q.items, g.value(sc, 2, g.anyKind(sc)))
		}
		if depth > 0 && !nested && g.chance(8) {
			q.items = append(q.items, g.scalar(sc, depth))
		}
		if !nested && len(q.from) == 1 && g.chance(15) {
			q.items = []expr{{sql: "*"}}
		}
	}
	if nested {
		for i := range q.items {
			q.items[i].sql += fmt.Sprintf(" AS c%d", i)
		}
		return q
	}
	g.ordered(q, inner)
	return q
}

// grouped makes the query one with groups.
func (g *Generator) grouped(q *query, sc *scope) {
	if keys := g.keys(q); keys != nil && g.chance(10) {
		g.single(q, sc, keys)
		return
	}
	q.folds = true
	for range pick(g, 1, 1, 2) {
		k := pick(g, kindInt, kindInt, kindText, kindTime, kindDecimal, kindEnum)
		e, ok := g.column(sc, k)
		if !ok || g.chance(25) {
			e = g.value(sc, 1, k)
		}
		if slices.ContainsFunc(q.group, func(o expr) bool { return o.sql == e.sql }) || !columned(e.sql) {
			continue
		}
		q.group = append(q.group, e)
	}
	if len(q.group) == 0 {
		q.items = append(q.items, expr{sql: "COUNT(*)", kind: kindInt})
		q.total = true
		return
	}
	q.items = append(q.items, q.group...)
	for range 1 + g.r.IntN(2) {
		q.items = append(q.items, g.aggregate(sc, 1))
	}
	if g.chance(25) {
		a := g.aggregate(sc, 0)
		q.having = append(q.having, expr{sql: a.sql + pick(g, " > ", " <= ", " <> ") + g.lit(a.kind).sql})
	}
	if g.chance(8) {
		q.rollup = true
	}
}

// single makes the query one with groups of one row, in which functions that go by the order of their rows have one answer.
func (g *Generator) single(q *query, sc *scope, keys []string) {
	for _, k := range keys {
		q.group = append(q.group, expr{sql: k, kind: kindInt})
	}
	v := g.value(sc, 0, kindInt)
	v.sql = plain(v.sql)
	q.items = append(q.items, q.group...)
	q.items = append(q.items, expr{
		sql:     fmt.Sprintf(pick(g, "JSON_ARRAYAGG(%s)", "JSON_OBJECTAGG('a', %s)", "GROUP_CONCAT(%s)"), v.sql),
		kind:    kindText,
		simpler: []expr{{sql: "COUNT(*)", kind: kindInt}},
	})
}

// columned reports whether an expression has a column in it.
func columned(sql string) bool { return strings.Contains(sql, "q") }

// windowed makes the query one with a window function, whose rows are in one order.
func (g *Generator) windowed(q *query, sc *scope) {
	keys := g.keys(q)
	if keys == nil {
		q.items = []expr{{sql: "COUNT(*)", kind: kindInt}}
		q.total = true
		return
	}
	for _, k := range keys {
		q.items = append(q.items, expr{sql: k, kind: kindInt})
	}
	by := ""
	if c, ok := g.column(sc, kindInt, kindText); ok && g.chance(70) {
		by = "PARTITION BY " + c.sql + " "
	}
	f := pick(g, "ROW_NUMBER()", "RANK()", "SUM("+g.value(sc, 0, kindInt).sql+")", "COUNT(*)", "LAG("+g.value(sc, 0, kindInt).sql+")", "MAX("+g.value(sc, 0, kindInt).sql+")")
	q.items = append(q.items, expr{sql: f + " OVER (" + by + "ORDER BY " + strings.Join(keys, ", ") + ")", kind: kindInt})
}

// keys are columns that together tell each row of the query from all others; nil where nothing does.
func (g *Generator) keys(q *query) []string {
	var keys []string
	for _, s := range q.from {
		if s.primary == nil {
			return nil
		}
		for _, k := range s.primary {
			keys = append(keys, s.alias+"."+k)
		}
	}
	return keys
}

// ordered gives the query an order, and a limit where the order leaves nothing open.
func (g *Generator) ordered(q *query, sc *scope) {
	dir := func(s string) string { return s + pick(g, "", "", " DESC") }
	if q.total { // one row
		if g.chance(10) {
			q.limit = g.r.IntN(3)
		}
		return
	}
	if g.chance(30) {
		if !q.rollup && g.chance(20) {
			q.order = []string{"NULL"}
		}
		return
	}
	switch {
	case q.rollup:
		return
	case q.distinct || len(q.group) > 0:
		for i := range q.items {
			if len(q.group) > 0 && i >= len(q.group) && g.chance(50) {
				continue
			}
			q.order = append(q.order, dir(fmt.Sprint(i+1)))
		}
		if n := len(q.group); n > 0 && g.chance(40) { // by an aggregate first
			q.order = append([]string{dir(q.items[n].sql)}, q.order...)
		}
		q.total = true
	default:
		for range g.r.IntN(3) {
			if e := g.value(sc, 1, g.anyKind(sc)); columned(e.sql) { // else a number would be a position
				q.order = append(q.order, dir(e.sql))
			}
		}
		if g.chance(20) && len(q.items) > 0 && q.items[0].sql != "*" {
			q.order = append(q.order, dir("1"))
		}
		if keys := g.keys(q); keys != nil && (len(q.order) == 0 || g.chance(80)) {
			for _, k := range keys {
				q.order = append(q.order, dir(k))
			}
			q.total = true
		}
	}
	if q.total && !q.bare && g.chance(40) {
		q.limit = g.r.IntN(12)
		if g.chance(50) {
			q.offset = g.r.IntN(8)
		}
	}
}

// subquery is a condition with a query in it.
func (g *Generator) subquery(sc *scope, depth int) expr {
	e := expr{kind: kindInt, simpler: []expr{{sql: "1 = 1"}}}
	sub := g.query(depth-1, sc, true)
	for try := 0; try < 20 && sc.rows()*(&scope{sources: sub.from}).rows() > joinRows; try++ { // it may be run for each row
		sub = g.query(0, sc, true)
	}
	for len(sub.items) > 1 {
		sub.items = sub.items[:len(sub.items)-1]
	}
	last := sc.sources[g.r.IntN(len(sc.sources))]
	way := g.r.IntN(5)
	if sub.open(sub.items[0]) && way < 4 {
		way = 0
	}
	switch way {
	case 0:
		if len(sub.group) == 0 && sub.from[0].keyed && last.keyed {
			sub.where = append(sub.where, expr{sql: sub.from[0].alias + ".k = " + last.alias + ".k"})
		}
		e.sql = pick(g, "EXISTS (", "NOT EXISTS (") + sub.String() + ")"
	case 1:
		v := g.value(sc, 0, sub.items[0].kind)
		e.sql = v.sql + pick(g, " IN (", " NOT IN (") + sub.String() + ")"
	case 2:
		if sub.from[0].keyed && last.keyed && len(sub.group) == 0 && !sub.distinct {
			sub.items = []expr{{sql: sub.from[0].alias + ".k AS c0", kind: kindInt}}
			e.sql = last.alias + ".k IN (" + sub.String() + ")"
			break
		}
		fallthrough
	case 3:
		v := g.value(sc, 0, sub.items[0].kind)
		e.sql = v.sql + pick(g, " > ALL (", " = ANY (", " < ANY (") + sub.String() + ")"
	default:
		s := g.scalar(sc, depth)
		e.sql = s.sql + pick(g, " > ", " = ", " <= ") + g.lit(s.kind).sql
	}
	return e
}

// scalar is a query of one row and column.
func (g *Generator) scalar(sc *scope, depth int) expr {
	sub := &query{limit: -1, offset: -1}
	t := g.table(g.anyTable())
	if sc.rows()*max(1, t.rows) > joinRows { // it may be run for each row
		t = g.table(g.s.Tables[0])
	}
	sub.from = []*source{t}
	in := &scope{sources: sub.from, outer: sc}
	if g.chance(60) {
		last := sc.sources[g.r.IntN(len(sc.sources))]
		a, ok := g.column(&scope{sources: []*source{last}}, kindInt)
		b, ok2 := g.column(&scope{sources: []*source{t}}, kindInt)
		if ok && ok2 {
			sub.where = append(sub.where, expr{sql: a.sql + " = " + b.sql})
		}
	} else if g.chance(50) {
		sub.where = append(sub.where, g.predicate(in, 0))
	}
	a := g.aggregate(&scope{sources: sub.from}, depth-1)
	sub.items = []expr{a}
	return expr{sql: "(" + sub.String() + ")", kind: a.kind, loose: a.loose, simpler: []expr{{sql: "1"}}}
}

// set is a set operation over queries with as many columns.
func (g *Generator) set() *query {
	kinds := []kind{pick(g, kindInt, kindText, kindDecimal), pick(g, kindInt, kindTime)}
	branch := func() *query {
		q := &query{limit: -1, offset: -1}
		g.from(q, 0)
		sc := &scope{sources: q.from}
		if g.chance(60) {
			q.where = append(q.where, g.predicate(sc, 1))
		}
		for _, k := range kinds {
			q.items = append(q.items, g.value(sc, 1, k))
		}
		return q
	}
	q := &query{op: pick(g, "UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT"), left: branch(), right: branch(), limit: -1, offset: -1, folds: true}
	q.items = q.left.items
	if g.chance(60) {
		q.order = []string{"1" + pick(g, "", " DESC"), "2"}
		q.total = true
		if g.chance(40) {
			q.limit = g.r.IntN(10)
		}
	}
	return q
}

// common is a query over common table expressions.
func (g *Generator) common() *query {
	if g.chance(25) {
		name := g.name()
		q := &query{
			with:  []string{fmt.Sprintf("RECURSIVE %s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM %s WHERE n < %d)", name, name, 3+g.r.IntN(8))},
			limit: -1, offset: -1,
		}
		t := g.table(g.s.Tables[g.r.IntN(3)])
		n := &source{alias: g.name(), text: name, columns: []column{{name: "n", kind: kindInt}}, rows: 10}
		t.join, t.on = pick(g, "JOIN", "LEFT JOIN"), []expr{{sql: t.alias + ".id MOD 10 = " + n.alias + ".n"}}
		q.from = []*source{n, t}
		q.items = []expr{{sql: n.alias + ".n", kind: kindInt}, {sql: "COUNT(" + t.alias + ".id)", kind: kindInt}}
		q.group = q.items[:1:1]
		q.order, q.total = []string{"1"}, true
		return q
	}
	sub := g.query(1, nil, true)
	g.cut(sub)
	name := g.name()
	var names []string
	s := &source{alias: g.name(), text: name, rows: (&scope{sources: sub.from}).rows()}
	for i, item := range sub.items {
		c := fmt.Sprintf("c%d", i)
		names = append(names, c)
		if !sub.open(item) {
			s.columns = append(s.columns, column{name: c, kind: item.kind, loose: item.loose})
		}
	}
	q := &query{with: []string{name + " (" + strings.Join(names, ", ") + ") AS (" + sub.String() + ")"}, limit: -1, offset: -1, folds: sub.folds}
	q.from = []*source{s}
	if g.chance(40) && s.rows*s.rows <= joinRows {
		again := *s
		again.alias, again.join = g.name(), "JOIN"
		again.on = []expr{{sql: s.alias + ".c0 = " + again.alias + ".c0"}}
		q.from = append(q.from, &again)
	}
	sc := &scope{sources: q.from}
	for range 1 + g.r.IntN(2) {
		q.items = append(q.items, g.value(sc, 1, g.anyKind(sc)))
	}
	return q
}
