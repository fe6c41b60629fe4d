package grammar

import (
	"fmt"
	"strings"
)

// write is a statement that changes rows.
type write struct {
	head  string
	rows  []string // of INSERT … VALUES
	tail  string
	where []expr
	order string
	limit int // -1: none
}

func (w *write) String() string {
	var b strings.Builder
	b.WriteString(w.head)
	b.WriteString(strings.Join(w.rows, ", "))
	if len(w.where) > 0 {
		b.WriteString(" WHERE " + join(w.where, " AND "))
	}
	b.WriteString(w.order)
	if w.limit >= 0 {
		b.WriteString(" LIMIT " + literal(fmt.Sprint(w.limit)))
	}
	return b.String() + w.tail
}

func (w *write) smaller() []*write {
	var out []*write
	for i := range w.rows {
		if len(w.rows) > 1 {
			c := *w
			c.rows = without(w.rows, i)
			out = append(out, &c)
		}
	}
	for i := range w.where {
		c := *w
		c.where = without(w.where, i)
		out = append(out, &c)
		for _, e := range w.where[i].simpler {
			c := *w
			c.where = replaced(w.where, i, e)
			out = append(out, &c)
		}
	}
	if w.tail != "" {
		c := *w
		c.tail = ""
		out = append(out, &c)
	}
	return out
}

func (g *Generator) write() *write {
	t := g.anyTable()
	if t.rows > 1000 {
		t = g.s.Tables[0]
	}
	s := g.table(t)
	s.alias = t.Name
	sc := &scope{sources: []*source{s}}
	switch g.r.IntN(10) {
	case 0, 1, 2, 3:
		return g.insert(t)
	case 4:
		return g.insertSelect(t)
	case 5:
		if w := g.joined(t, s); w != nil {
			return w
		}
		fallthrough
	case 6, 7:
		w := &write{head: "UPDATE " + t.Name + " SET " + g.assign(t, sc), limit: -1}
		g.restrict(w, t, s, sc)
		return w
	default:
		w := &write{head: "DELETE FROM " + t.Name, limit: -1, tail: g.returning(t)}
		g.restrict(w, t, s, sc)
		if len(w.where) == 0 && w.limit < 0 {
			w.where = append(w.where, expr{sql: fmt.Sprintf("id > %s", literal(fmt.Sprint(g.nextID-5)))})
		}
		return w
	}
}

// joined changes or deletes rows that have a partner in another table; nil where there is none to join.
func (g *Generator) joined(t *Table, s *source) *write {
	o := g.anyTable()
	if o == t || t.rows*max(1, o.rows) > joinRows {
		return nil
	}
	other := g.table(o)
	if g.chance(35) {
		return g.both(t, o, s, other)
	}
	on := s.alias + ".i = " + other.alias + ".id"
	if s.keyed && other.keyed && g.chance(60) {
		on = s.alias + ".k = " + other.alias + ".k"
	}
	tables := t.Name + " JOIN " + o.Name + " " + other.alias + " ON " + on
	w := &write{head: "DELETE " + t.Name + " FROM " + tables, limit: -1}
	if g.chance(60) {
		w.head = "UPDATE " + tables + " SET " + s.alias + ".i = " + literal(fmt.Sprint(g.r.IntN(30)))
	}
	w.where = append(w.where, expr{sql: fmt.Sprintf("%s.id MOD 7 = %s", s.alias, literal(fmt.Sprint(g.r.IntN(7)))), simpler: []expr{{sql: s.alias + ".id = 1"}}})
	if g.chance(50) {
		w.where = append(w.where, g.predicate(&scope{sources: []*source{s, other}}, 0))
	}
	return w
}

// both changes or deletes rows of two tables. A row of one has the same values whatever row of the other it meets.
func (g *Generator) both(t, o *Table, s, other *source) *write {
	on := pick(g, s.alias+".i = "+other.alias+".id", s.alias+".i = "+other.alias+".i", s.alias+".id = "+other.alias+".i")
	join := pick(g, " JOIN ", " JOIN ", " LEFT JOIN ", " RIGHT JOIN ")
	tables := t.Name + join + o.Name + " " + other.alias + " ON " + on
	w := &write{head: "DELETE " + t.Name + ", " + other.alias + " FROM " + tables, limit: -1}
	if g.chance(70) {
		sets := []string{s.alias + ".s = " + literal("'both'"), other.alias + ".s = " + literal("'both'")}
		if g.chance(50) {
			sets[0] = s.alias + ".s = CONCAT('s', " + s.alias + ".id)"
		}
		if g.chance(50) {
			sets = append(sets, s.alias+".i = "+s.alias+".i + 1")
		}
		w.head = "UPDATE " + tables + " SET " + strings.Join(sets, ", ")
	}
	w.where = append(w.where, expr{sql: fmt.Sprintf("%s.id MOD 5 = %s", s.alias, literal(fmt.Sprint(g.r.IntN(5)))), simpler: []expr{{sql: s.alias + ".id = 1"}}})
	return w
}

// returning are columns and expressions of MariaDB's RETURNING.
func (g *Generator) returning(t *Table) string {
	if g.s.mysql || !g.chance(25) {
		return ""
	}
	return " RETURNING " + pick(g, "id", "id, i, s", "*", "id + 1, UPPER(s) AS up", strings.Join(t.primary(), ", "))
}

// restrict gives a write a condition, and sometimes an order with a limit.
func (g *Generator) restrict(w *write, t *Table, s *source, sc *scope) {
	if (t.Place == Sharded || t.Place == Hashed) && g.chance(45) {
		w.where = append(w.where, g.keyed(s, t.Place))
	}
	if len(w.where) == 0 || g.chance(40) {
		w.where = append(w.where, g.predicate(sc, 1))
	}
	if g.chance(25) {
		first := g.value(sc, 0, kindInt).sql
		if !strings.Contains(first, ".") || g.chance(50) {
			first = pick(g, "", "", "'x', ", "1.5, ", literal("2")+", ") // a whole number is a column that there isn't
		} else {
			first += ", "
		}
		w.order = " ORDER BY " + first + strings.Join(t.primary(), ", ")
		w.limit = g.r.IntN(5)
	}
}

// assign changes a column that isn't part of the primary key; now and then the key itself.
func (g *Generator) assign(t *Table, sc *scope) string {
	if t.Place == Sharded && g.chance(8) {
		return "k = " + literal(fmt.Sprint(g.r.IntN(40)-8))
	}
	var out []string
	for _, c := range t.columns {
		if c.name == "k" || c.name == "id" || !g.chance(40) {
			continue
		}
		v := g.s.value(g.r, &c)
		if c.kind == kindInt && g.chance(50) {
			v = c.name + " + 1"
		}
		out = append(out, c.name+" = "+v)
	}
	if len(out) == 0 {
		return "i = " + g.value(sc, 0, kindInt).sql
	}
	return strings.Join(out, ", ")
}

func (g *Generator) insert(t *Table) *write {
	w := &write{head: pick(g, "INSERT INTO ", "INSERT INTO ", "INSERT INTO ", "REPLACE INTO ", "INSERT IGNORE INTO "), limit: -1}
	var names []string
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	sets := g.chance(10) // INSERT … SET, of one row
	n := pick(g, 1, 1, 2, 3, 5)
	if sets {
		w.head, n = w.head+t.Name+" SET ", 1
	} else {
		w.head += t.Name + " (" + strings.Join(names, ", ") + ") VALUES "
	}
	for range n {
		id := g.nextID
		g.nextID++
		if g.chance(15) {
			id = g.r.IntN(50) // there may be such a row
		}
		var cells []string
		for _, c := range t.columns {
			switch {
			case c.name == "id":
				cells = append(cells, literal(fmt.Sprint(id)))
			case c.name == "k" && t.Place == Hashed:
				cells = append(cells, literal(fmt.Sprintf("'k%d'", g.r.IntN(30))))
			case c.name == "k":
				cells = append(cells, literal(fmt.Sprint(g.r.IntN(40)-8)))
			default:
				cells = append(cells, g.s.value(g.r, &c))
			}
		}
		if sets {
			for i := range cells {
				cells[i] = names[i] + " = " + cells[i]
			}
			w.rows = append(w.rows, strings.Join(cells, ", "))
			continue
		}
		w.rows = append(w.rows, "("+strings.Join(cells, ", ")+")")
	}
	if strings.HasPrefix(w.head, "INSERT INTO") && g.chance(20) {
		w.tail = " ON DUPLICATE KEY UPDATE i = " + pick(g, "i + 1", "VALUES(i)", literal("7"))
		if t.Place == Sharded && g.chance(40) {
			w.tail += ", k = " + pick(g, "k", "VALUES(k)", t.Name+".k")
		}
	}
	w.tail += g.returning(t)
	return w
}

// insertSelect copies rows under new ids, or replaces those that have the ids.
func (g *Generator) insertSelect(t *Table) *write {
	from := g.s.Tables[g.r.IntN(3)]
	shift := g.nextID
	g.nextID += 20_000
	verb, key := "INSERT INTO ", pick(g, "k", "k", "k + 1", "id MOD 20")
	if t.Place == Sharded && g.chance(30) { // of each pair of k and id there is one row
		verb, key, shift = pick(g, "REPLACE INTO ", "INSERT IGNORE INTO "), "k", g.r.IntN(4)
	}
	names, values := []string{"id", "i"}, []string{fmt.Sprintf("id + %d", shift), "i"}
	if t.Place == Sharded {
		names, values = append(names, "k"), append(values, key)
	}
	if t.Place == Hashed {
		names = append(names, "k")
		values = append(values, "CONCAT('k', id MOD 30)")
	}
	for _, c := range t.columns {
		if !c.null && c.name == "n" {
			names, values = append(names, "n"), append(values, "1")
		}
	}
	return &write{
		head:  verb + t.Name + " (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(values, ", ") + " FROM " + from.Name,
		where: []expr{{sql: fmt.Sprintf("id < %s AND k >= %s", literal(fmt.Sprint(1+g.r.IntN(12))), literal(fmt.Sprint(g.r.IntN(10)-8))), simpler: []expr{{sql: "id = 1"}}}},
		limit: -1,
	}
}
