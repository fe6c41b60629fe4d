package grammar

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// expr is an expression with those that could stand in its place.
type expr struct {
	sql     string
	kind    kind
	loose   bool
	simpler []expr
}

// source is one table of FROM.
type source struct {
	alias   string
	text    string // the table's name, or a query in parentheses
	join    string // "" for the first
	on      []expr
	columns []column
	primary []string // nil where rows may be alike
	keyed   bool     // it has the sharding column k of tables that share slots
	rows    int
}

// scope is what names mean at a place in a statement.
type scope struct {
	sources []*source
	outer   *scope
}

func (s *scope) rows() int {
	n := 1
	for _, src := range s.sources {
		n *= max(1, src.rows)
	}
	return n
}

// Generator makes statements for one schema. It isn't safe for concurrent use.
type Generator struct {
	s      *Schema
	r      *rand.Rand
	names  int
	nextID int
}

// NewGenerator returns a Generator.
func NewGenerator(s *Schema, seed uint64) *Generator {
	return &Generator{s: s, r: rand.New(rand.NewPCG(seed, 2)), nextID: 100_000 + int(seed%1000)*10_000}
}

func (g *Generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *Generator, of ...T) T { return of[g.r.IntN(len(of))] }

func (g *Generator) name() string {
	g.names++
	return fmt.Sprintf("q%d", g.names)
}

// column is a column of the scope, of kind k where there is one.
func (g *Generator) column(sc *scope, want ...kind) (expr, bool) {
	var all []expr
	add := func(s *source) {
		for _, c := range s.columns {
			for _, k := range want {
				if c.kind == k {
					all = append(all, expr{sql: s.alias + "." + c.name, kind: c.kind, loose: c.loose})
				}
			}
		}
	}
	for _, s := range sc.sources {
		add(s)
	}
	if sc.outer != nil && g.chance(20) {
		for _, s := range sc.outer.sources {
			add(s)
		}
	}
	if len(all) == 0 {
		return expr{}, false
	}
	return all[g.r.IntN(len(all))], true
}

func (g *Generator) lit(k kind) expr {
	c := column{kind: k}
	if k == kindTime {
		c.typ = "DATE"
	}
	return expr{sql: g.s.value(g.r, &c), kind: k}
}

// value is an expression of some kind; depth bounds it.
func (g *Generator) value(sc *scope, depth int, want kind) expr {
	col, ok := g.column(sc, want)
	if !ok {
		col = g.lit(want)
	}
	if depth <= 0 || g.chance(55) {
		if g.chance(8) {
			return g.lit(want)
		}
		return col
	}
	in := func(k kind) expr { return g.value(sc, depth-1, k) }
	of := func(k kind, format string, args ...expr) expr {
		e := expr{kind: k}
		texts := make([]any, len(args))
		for i, a := range args {
			texts[i] = a.sql
			e.loose = e.loose || a.loose
			if a.kind == k {
				e.simpler = append(e.simpler, a)
			}
		}
		e.sql = fmt.Sprintf(format, texts...)
		e.simpler = append(e.simpler, col)
		return e
	}
	switch want {
	case kindInt:
		switch g.r.IntN(9) {
		case 0:
			return of(want, "(%s + %s)", in(want), in(want))
		case 1:
			return of(want, "(%s - %s)", in(want), in(want))
		case 2:
			return of(want, "(%s * 2)", in(want))
		case 3:
			return of(want, "ABS(%s)", in(want))
		case 4:
			return of(want, "(%s MOD 3)", in(want))
		case 5:
			return of(want, "COALESCE(%s, %s)", in(want), g.lit(want))
		case 6:
			return of(want, "CASE WHEN %s THEN %s ELSE %s END", g.predicate(sc, 0), in(want), in(want))
		case 7:
			return of(want, "CHAR_LENGTH(%s)", in(kindText))
		default:
			return of(want, "-%s", in(want))
		}
	case kindDecimal:
		switch g.r.IntN(4) {
		case 0:
			return of(want, "(%s + %s)", in(want), in(kindInt))
		case 1:
			return of(want, "ROUND(%s, 1)", in(want))
		case 2:
			return of(want, "(%s / 4)", in(kindInt))
		default:
			return of(want, "(%s * 1.5)", in(want))
		}
	case kindText:
		switch g.r.IntN(6) {
		case 0:
			return of(want, "CONCAT(%s, '-', %s)", in(want), in(kindInt))
		case 1:
			return of(want, "UPPER(%s)", in(want))
		case 2:
			return of(want, "LEFT(%s, 2)", in(want))
		case 3:
			return of(want, "IFNULL(%s, 'none')", in(want))
		case 4:
			return of(want, "REPLACE(%s, 'a', 'b')", in(want))
		default:
			return of(want, "TRIM(%s)", in(want))
		}
	case kindTime:
		if g.chance(50) {
			return of(want, "DATE(%s)", in(want))
		}
		return of(want, "(%s + INTERVAL 1 DAY)", col)
	default:
		return of(want, "IFNULL(%s, %s)", col, g.lit(want))
	}
}

// anyKind is a kind that the scope has columns of.
func (g *Generator) anyKind(sc *scope) kind {
	for range 8 {
		k := pick(g, kindInt, kindInt, kindInt, kindText, kindText, kindDecimal, kindTime, kindBig, kindDouble, kindBinary, kindEnum)
		if _, ok := g.column(&scope{sources: sc.sources}, k); ok {
			return k
		}
	}
	return kindInt
}

// predicate is a condition.
func (g *Generator) predicate(sc *scope, depth int) expr {
	p := func(format string, args ...expr) expr {
		e := expr{kind: kindInt}
		texts := make([]any, len(args))
		for i, a := range args {
			texts[i] = a.sql
		}
		e.sql = fmt.Sprintf(format, texts...)
		e.simpler = []expr{{sql: "1 = 1", kind: kindInt}}
		return e
	}
	if depth > 0 {
		switch g.r.IntN(7) {
		case 0, 1:
			a, b := g.predicate(sc, depth-1), g.predicate(sc, depth-1)
			e := p("(%s OR %s)", a, b)
			e.simpler = []expr{a, b}
			return e
		case 2:
			a, b := g.predicate(sc, depth-1), g.predicate(sc, depth-1)
			e := p("(%s AND %s)", a, b)
			e.simpler = []expr{a, b}
			return e
		case 3:
			a := g.predicate(sc, depth-1)
			e := p("NOT (%s)", a)
			e.simpler = []expr{a}
			return e
		default:
		}
	}
	k := g.anyKind(sc)
	v := g.value(sc, depth, k)
	switch g.r.IntN(8) {
	case 0:
		return p("%s IS NULL", v)
	case 1:
		return p("%s IS NOT NULL", v)
	case 2:
		return p("%s IN (%s, %s)", v, g.lit(k), g.lit(k))
	case 3:
		return p("%s BETWEEN %s AND %s", v, g.lit(k), g.lit(k))
	case 4:
		if k == kindText {
			return p("%s LIKE '%%a%%'", v)
		}
		return p("%s <> %s", v, g.lit(k))
	case 5:
		return p("%s <=> %s", v, g.lit(k))
	case 6:
		return p("%s > %s", v, g.value(sc, 0, k))
	default:
		return p("%s "+pick(g, "=", "<", ">=", "!=")+" %s", v, g.lit(k))
	}
}

// keyed is a condition on the sharding column.
func (g *Generator) keyed(src *source, place Place) expr {
	key := func() string {
		if place == Hashed {
			return literal(fmt.Sprintf("'k%d'", g.r.IntN(30)))
		}
		return literal(fmt.Sprint(g.r.IntN(40) - 8))
	}
	e := expr{kind: kindInt, simpler: []expr{{sql: "1 = 1"}}}
	switch g.r.IntN(4) {
	case 0:
		e.sql = fmt.Sprintf("%s.k IN (%s, %s, %s)", src.alias, key(), key(), key())
	case 1:
		e.sql = fmt.Sprintf("(%s.k = %s OR %s.k = %s)", src.alias, key(), src.alias, key())
	default:
		e.sql = fmt.Sprintf("%s.k = %s", src.alias, key())
	}
	return e
}

// aggregate is an aggregate function over the scope.
func (g *Generator) aggregate(sc *scope, depth int) expr {
	of := func(k kind, format string, a expr, loose bool) expr {
		return expr{sql: fmt.Sprintf(format, a.sql), kind: k, loose: loose, simpler: []expr{{sql: "COUNT(*)", kind: kindInt}}}
	}
	number := func() expr { return g.value(sc, depth, pick(g, kindInt, kindInt, kindDecimal)) }
	switch g.r.IntN(16) {
	case 0, 1, 2:
		return expr{sql: "COUNT(*)", kind: kindInt}
	case 3:
		return of(kindInt, "COUNT(%s)", g.value(sc, depth, g.anyKind(sc)), false)
	case 4, 5:
		return of(kindDecimal, "SUM(%s)", number(), false)
	case 6:
		return of(kindDecimal, "AVG(%s)", number(), false)
	case 7:
		v := g.value(sc, depth, pick(g, kindInt, kindText, kindTime, kindBig, kindDecimal))
		return of(v.kind, "MIN(%s)", v, v.loose)
	case 8:
		v := g.value(sc, depth, pick(g, kindInt, kindText, kindTime, kindBig, kindDouble))
		return of(v.kind, "MAX(%s)", v, v.loose)
	case 9:
		return of(kindInt, "COUNT(DISTINCT %s)", g.value(sc, depth, pick(g, kindInt, kindText, kindTime)), false)
	case 10:
		return of(kindDecimal, "SUM(DISTINCT %s)", number(), false)
	case 11:
		return of(kindBig, pick(g, "BIT_OR(%s)", "BIT_XOR(%s)", "BIT_AND(%s)"), g.value(sc, 0, kindInt), false)
	case 12:
		v := g.value(sc, 0, kindInt)
		v.sql = plain(v.sql) // MySQL 9.7 announces more definitions for GROUP_CONCAT(DISTINCT ? ORDER BY ?) than it sends
		return of(kindText, "GROUP_CONCAT("+pick(g, "", "DISTINCT ")+"%[1]s ORDER BY %[1]s "+pick(g, "", "DESC ")+pick(g, "", "SEPARATOR '/'")+")", v, false)
	case 13:
		return of(kindDouble, "ROUND("+pick(g, "STDDEV", "VAR_SAMP", "VARIANCE", "STDDEV_SAMP")+"(%s MOD 50), 6)", g.value(sc, 0, kindInt), false) // of great numbers, the last digits depend on the order of the rows
	case 14:
		a, b := g.value(sc, 0, kindInt), g.value(sc, 0, kindInt)
		return expr{sql: fmt.Sprintf("SUM(%s) + COUNT(%s)", a.sql, b.sql), kind: kindDecimal, simpler: []expr{{sql: "SUM(" + a.sql + ")", kind: kindDecimal}}}
	default:
		return of(kindDouble, "SUM(%s)", g.value(sc, 0, kindDouble), false)
	}
}

func join(exprs []expr, by string) string {
	texts := make([]string, len(exprs))
	for i := range exprs {
		texts[i] = exprs[i].sql
	}
	return strings.Join(texts, by)
}
