package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"shardway/router/plan"
	"shardway/shardmap"
)

// The tests here run random statements over two small tables twice, with a nested-loop evaluator that follows SQL's
// three-valued logic: on all rows, and on the rows of each planned shard alone. The answers must be the same.

// cell is a nullable integer.
type cell struct {
	n    int
	null bool
}

func (c cell) String() string {
	if c.null {
		return "NULL"
	}
	return strconv.Itoa(c.n)
}

// row is a row of either table: its key and one more column.
type row [2]cell

var nullRow = row{{null: true}, {null: true}}

// data is what one server holds.
type data struct {
	users, orders []row
	// keep says which rows of the outermost block a server is asked for besides; nil for all.
	keep func(u, o row) bool
}

// env is the row that a condition is asked about: u, o, and i of a subquery.
type env struct {
	d    *data
	rows [3]row
}

// tri is a truth value; unknown is SQL's NULL.
type tri int

const (
	no tri = iota
	unknown
	yes
)

// expr is a condition with its meaning.
type expr struct {
	sql  string
	eval func(*env) tri
}

// term is a column or a constant.
type term struct {
	sql string
	get func(*env) (v float64, null bool)
}

var columns = [3][2]string{{"u.id", "u.a"}, {"o.user_id", "o.b"}, {"", ""}}

type generator struct {
	r     *rand.Rand
	names [3][2]string // columns of u, o and i; "" where there is no such table
	depth int
}

func (g *generator) column(onlyKeys bool) term {
	for {
		t, c := g.r.IntN(3), g.r.IntN(2)
		if onlyKeys {
			c = 0
		}
		if name := g.names[t][c]; name != "" {
			if c == 0 && g.r.IntN(6) == 0 && t < 2 && g.names[2][0] == "" {
				name = name[strings.IndexByte(name, '.')+1:] // keys have names of their own, so no qualifier is needed
			}
			return term{name, func(e *env) (float64, bool) { v := e.rows[t][c]; return float64(v.n), v.null }}
		}
	}
}

func constant(sql string, v float64) term {
	return term{sql, func(*env) (float64, bool) { return v, false }}
}

func (g *generator) constant() term {
	n := g.r.IntN(61) - 20
	if g.r.IntN(3) > 0 {
		n = []int{5, 10, 7, 12}[g.r.IntN(4)] // so that conditions meet
	}
	switch g.r.IntN(17) {
	case 0:
		return term{"NULL", func(*env) (float64, bool) { return 0, true }}
	case 1:
		return constant(fmt.Sprintf("'%d'", n), float64(n))
	case 2:
		return constant(fmt.Sprintf("%d.0", n), float64(n))
	case 3:
		return constant(fmt.Sprintf("%d.5", max(n, 0)), float64(max(n, 0))+0.5)
	case 4:
		return constant(fmt.Sprintf("'%dabc'", n), float64(n))
	case 5:
		return constant("true", 1)
	case 6:
		return constant(fmt.Sprintf("%de0", n), float64(n))
	case 7:
		return constant(fmt.Sprintf("(%d)", n), float64(n))
	case 8:
		return constant(fmt.Sprintf("%d + 1", n), float64(n+1))
	case 9:
		return constant(fmt.Sprintf("%d - 3", n), float64(n-3))
	case 10:
		return constant(fmt.Sprintf("2 * (%d)", n), float64(2*n))
	case 11:
		return constant(fmt.Sprintf("-(%d - -1)", n), float64(-n-1))
	default:
		return constant(strconv.Itoa(n), float64(n))
	}
}

func (g *generator) term() term {
	if g.r.IntN(3) == 0 {
		return g.column(g.r.IntN(2) == 0)
	}
	return g.constant()
}

func truth(b bool) tri {
	if b {
		return yes
	}
	return no
}

func compare(op string, a, b term) expr {
	return expr{a.sql + " " + op + " " + b.sql, func(e *env) tri {
		x, xn := a.get(e)
		y, yn := b.get(e)
		if op == "<=>" {
			return truth(xn == yn && (xn || x == y))
		}
		if xn || yn {
			return unknown
		}
		switch op {
		case "=":
			return truth(x == y)
		case "<>":
			return truth(x != y)
		case "<":
			return truth(x < y)
		default:
			return truth(x >= y)
		}
	}}
}

func not(x expr) expr {
	return expr{"NOT (" + x.sql + ")", func(e *env) tri { return yes - x.eval(e) }}
}

func and(x, y expr) expr {
	return expr{"(" + x.sql + " AND " + y.sql + ")", func(e *env) tri { return min(x.eval(e), y.eval(e)) }}
}

func or(x, y expr) expr {
	return expr{"(" + x.sql + " OR " + y.sql + ")", func(e *env) tri { return max(x.eval(e), y.eval(e)) }}
}

// cond makes a random condition.
func (g *generator) cond() expr {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth < 4 {
		switch g.r.IntN(12) {
		case 0, 1, 2, 3:
			return and(g.cond(), g.cond())
		case 4, 5:
			return or(g.cond(), g.cond())
		case 6:
			return not(g.cond())
		case 7:
			if g.names[2][0] == "" {
				return g.exists()
			}
		case 8:
			if g.names[2][0] == "" {
				return g.member()
			}
		}
	}
	switch g.r.IntN(14) {
	case 0:
		c := g.column(true)
		if g.r.IntN(2) == 0 {
			return compare("<=>", c, term{"NULL", func(*env) (float64, bool) { return 0, true }})
		}
		return expr{c.sql + " IS NULL", func(e *env) tri { _, null := c.get(e); return truth(null) }}
	case 1:
		return compare("<=>", g.column(true), g.term())
	case 2:
		return compare([]string{"<>", "<", ">="}[g.r.IntN(3)], g.column(false), g.term())
	case 3, 4:
		return g.in()
	case 5:
		return expr{"FALSE", func(*env) tri { return no }}
	case 6:
		return compare("=", g.column(false), g.column(false))
	case 7:
		return compare("=", g.constant(), g.column(true))
	case 8, 9:
		return compare("=", g.column(true), g.column(true))
	default:
		return compare("=", g.column(true), g.constant())
	}
}

func (g *generator) in() expr {
	c := g.column(g.r.IntN(4) > 0)
	var terms []term
	var texts []string
	for range 1 + g.r.IntN(3) {
		t := g.term()
		terms, texts = append(terms, t), append(texts, t.sql)
	}
	return expr{c.sql + " IN (" + strings.Join(texts, ", ") + ")", func(e *env) tri {
		out := no
		for _, t := range terms {
			out = max(out, compare("=", c, t).eval(e))
		}
		return out
	}}
}

// inner is where a subquery over one of the tables is made, as i, which sees the outer rows.
func (g *generator) inner() (in *generator, from string, rows func(*data) []row) {
	inner := *g
	if g.r.IntN(2) == 0 {
		inner.names[2] = [2]string{"i.user_id", "i.b"}
		return &inner, "orders i", func(d *data) []row { return d.orders }
	}
	inner.names[2] = [2]string{"i.id", "i.a"}
	return &inner, "users i", func(d *data) []row { return d.users }
}

// member makes column IN (subquery).
func (g *generator) member() expr {
	inner, from, rows := g.inner()
	c, n := g.column(g.r.IntN(4) > 0), min(1, g.r.IntN(4))^1
	where := inner.cond()
	return expr{c.sql + " IN (SELECT " + inner.names[2][n] + " FROM " + from + " WHERE " + where.sql + ")", func(e *env) tri {
		out := no
		for _, r := range rows(e.d) {
			in := *e
			in.rows[2] = r
			if where.eval(&in) == yes {
				value := term{"", func(*env) (float64, bool) { return float64(r[n].n), r[n].null }}
				out = max(out, compare("=", c, value).eval(e))
			}
		}
		return out
	}}
}

// exists makes EXISTS (subquery).
func (g *generator) exists() expr {
	inner, from, rows := g.inner()
	where := inner.cond()
	if g.r.IntN(2) == 0 { // most programs correlate by the key
		key := compare("=", term{inner.names[2][0], func(e *env) (float64, bool) { return float64(e.rows[2][0].n), e.rows[2][0].null }}, g.column(true))
		where = and(key, where)
	}
	return expr{"EXISTS (SELECT 1 FROM " + from + " WHERE " + where.sql + ")", func(e *env) tri {
		for _, r := range rows(e.d) {
			in := *e
			in.rows[2] = r
			if where.eval(&in) == yes {
				return yes
			}
		}
		return no
	}}
}

// query is a statement with its meaning: the rows it answers, as text, in no order.
type query struct {
	sql string
	run func(*data) []string
}

func (g *generator) query() query {
	if g.r.IntN(3) == 0 {
		g.names = [3][2]string{{}, columns[1], {}}
		where := g.cond()
		return query{"SELECT * FROM orders o WHERE " + where.sql, func(d *data) []string {
			return g.join(d, "", nil, &where)
		}}
	}
	g.names = columns
	how := []string{"JOIN", "LEFT JOIN", "RIGHT JOIN"}[g.r.IntN(3)]
	on, where := g.cond(), g.cond()
	if g.r.IntN(2) == 0 {
		on = and(compare("=", term{"o.user_id", key(1)}, term{"u.id", key(0)}), on)
	}
	if g.r.IntN(2) == 0 {
		t := g.r.IntN(2)
		where = and(compare("=", term{columns[t][0], key(t)}, g.constant()), where)
	}
	return query{
		"SELECT * FROM users u " + how + " orders o ON " + on.sql + " WHERE " + where.sql,
		func(d *data) []string { return g.join(d, how, &on, &where) },
	}
}

func key(t int) func(*env) (float64, bool) {
	return func(e *env) (float64, bool) { return float64(e.rows[t][0].n), e.rows[t][0].null }
}

// join runs a query by nested loops.
func (g *generator) join(d *data, how string, on, where *expr) []string {
	var out []string
	emit := func(u, o row) {
		e := env{d: d, rows: [3]row{u, o, nullRow}}
		if where.eval(&e) == yes && (d.keep == nil || d.keep(u, o)) {
			out = append(out, fmt.Sprint(u, o))
		}
	}
	if how == "" {
		for _, o := range d.orders {
			emit(nullRow, o)
		}
		return out
	}
	matched := make([]bool, len(d.orders))
	for _, u := range d.users {
		found := false
		for i, o := range d.orders {
			if e := (env{d: d, rows: [3]row{u, o, nullRow}}); on.eval(&e) == yes {
				found, matched[i] = true, true
				emit(u, o)
			}
		}
		if !found && how == "LEFT JOIN" {
			emit(u, nullRow)
		}
	}
	for i, o := range d.orders {
		if !matched[i] && how == "RIGHT JOIN" {
			emit(nullRow, o)
		}
	}
	return out
}

// slotOf is the slot of a key in the map "five", by a modulo of the test's own.
func slotOf(key int) int { return ((key % 5) + 5) % 5 }

// owner has the shard that owns each slot of the map "five".
var owner = [5]string{"s0", "s1", "s2", "s0", "s1"}

// tables makes rows with the keys -20 to 40, and the part of them that each shard of the map "five" holds. With copies each
// shard has the rows besides that the map "five_moves" says.
func tables(r *rand.Rand, copies bool) (*data, map[string]*data) {
	all, parts := &data{}, map[string]*data{"s0": {}, "s1": {}, "s2": {}}
	add := func(d *data, u, o row) {
		d.users, d.orders = append(d.users, u), append(d.orders, o)
	}
	for k := -20; k <= 40; k++ {
		other := func() cell {
			if r.IntN(4) == 0 {
				return cell{null: true}
			}
			return cell{n: r.IntN(61) - 20}
		}
		u, o := row{{n: k}, other()}, row{{n: k}, other()}
		add(all, u, o)
		add(parts[owner[slotOf(k)]], u, o)
		if to := map[int]string{0: "s1", 2: "s1", 4: "s0"}[slotOf(k)]; copies && to != "" {
			add(parts[to], u, o)
		}
	}
	return all, parts
}

// asked is a shard's data with the condition of its own text, if there is one: for rows of its own.
func asked(t *testing.T, d *data, part *plan.Part) *data {
	t.Helper()
	if part.Why == "" {
		return d
	}
	sql, id := part.SQL.String(), part.Shard.ID
	own := func(r row) bool { return !r[0].null && owner[slotOf(r[0].n)] == id }
	out := *d
	switch u, o := strings.Contains(sql, "COALESCE((`u`.`id` %"), strings.Contains(sql, "COALESCE((`o`.`user_id` %"); {
	case u && !o:
		out.keep = func(u, _ row) bool { return own(u) }
	case o && !u:
		out.keep = func(_, o row) bool { return own(o) }
	default:
		t.Fatalf("no condition, or two: %s", sql)
	}
	return &out
}

// untouched is the data without the rows of moving slots that a plan doesn't touch.
func untouched(d *data, m *shardmap.Map, p plan.Plan) *data {
	touches := func(r row) bool {
		v := m.Database("shop").Moving(slotOf(r[0].n))
		return v == nil || slices.Contains(plan.Moving(p), v)
	}
	out := &data{}
	for i, u := range d.users {
		if touches(u) {
			out.users, out.orders = append(out.users, u), append(out.orders, d.orders[i])
		}
	}
	return out
}

func TestSound(t *testing.T) {
	for _, name := range []string{"five", "five_moves"} {
		t.Run(name, func(t *testing.T) { sound(t, name) })
	}
}

func sound(t *testing.T, name string) {
	queries := 2_000
	if testing.Short() {
		queries = 1_000
	}
	m, f := readMap(t, name), facts(t, "db=shop")
	moves := len(m.Database("shop").Moves()) > 0
	if moves {
		queries /= 5
	}
	ones, many, full, some := 0, 0, 0, 0
	for i := range queries {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		g := &generator{r: r}
		q := g.query()
		all, parts := tables(r, moves)
		var got []string
		p := build(q.sql, nil, m, f)
		switch p := p.(type) {
		case *plan.One:
			ones++
			got = q.run(parts[p.Shard.ID])
		case *plan.Many:
			many++
			for i := range p.Parts {
				got = append(got, q.run(asked(t, parts[p.Parts[i].Shard.ID], &p.Parts[i]))...)
			}
		default:
			if len(plan.Moving(p)) == len(m.Database("shop").Moves()) {
				continue
			}
			got = q.run(all) // no shard is asked for the rows of the moves that aren't touched
		}
		want := q.run(all)
		slices.Sort(want)
		slices.Sort(got)
		if len(want) > 0 {
			full++
		}
		if !slices.Equal(want, got) {
			t.Errorf("seed %d: %s\nplan: %s\none server: %d rows\nthe shards: %d rows", i, q.sql, p, len(want), len(got))
			return
		}
		if n := len(plan.Moving(p)); moves && n < 3 {
			some++
			if got = q.run(untouched(all, m, p)); len(got) != len(want) {
				t.Errorf("seed %d: %s\nplan: %s\nall rows: %d rows\nwithout those that it doesn't touch: %d rows", i, q.sql, p, len(want), len(got))
				return
			}
		}
	}
	t.Logf("%d statements, %d on one shard, %d on several, %d of these with rows, %d touch some moves alone", queries, ones, many, full, some)
	if ones < queries/20 || many < queries/20 || full < queries/200 || moves && some < queries/10 {
		t.Errorf("only %d and %d plans of %d, %d with rows, %d touch some moves alone: the generator proves little", ones, many, queries, full, some)
	}
}
