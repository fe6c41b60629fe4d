package grammar

import (
	"slices"
	"strings"
)

// Statement is one statement for both sides of a comparison.
type Statement struct {
	q *query
	w *write
}

// Next makes a statement: writes percent of them change rows.
func (g *Generator) Next(writes int) *Statement {
	if g.chance(writes) {
		return &Statement{w: g.write()}
	}
	switch n := g.r.IntN(100); {
	case n < 10:
		return &Statement{q: g.set()}
	case n < 16:
		return &Statement{q: g.common()}
	default:
		return &Statement{q: g.query(2, nil, false)}
	}
}

func (s *Statement) raw() string {
	if s.w != nil {
		return s.w.String()
	}
	return s.q.String()
}

// Text is the statement with its literals.
func (s *Statement) Text() string { return plain(s.raw()) }

// Prepared is the statement with markers, and the values for them: int64 and string.
func (s *Statement) Prepared() (text string, args []any) { return bound(s.raw()) }

// Read reports whether the statement changes nothing.
func (s *Statement) Read() bool { return s.w == nil }

// Ordered reports whether the order of the rows is the same on every server.
func (s *Statement) Ordered() bool { return s.q != nil && s.q.total }

// Folds reports whether texts that are equal under Fold may stand for one another.
func (s *Statement) Folds() bool { return s.q == nil || folds(s.q) }

// Planned reports whether a server may take its answer from a temporary table of its own, by a plan that it makes for the
// rows that it has.
func (s *Statement) Planned() bool {
	if s.q == nil {
		return false
	}
	text := s.Text()
	return strings.Count(text, "SELECT") > 1 || slices.ContainsFunc([]string{" JOIN ", "DISTINCT", " GROUP BY ", " OVER ("}, func(word string) bool {
		return strings.Contains(text, word)
	})
}

// Derived are the names of what the statement reads that is a query and no table.
func (s *Statement) Derived() []string {
	if s.q == nil {
		return nil
	}
	var names []string
	for _, from := range s.q.from {
		if from.primary == nil {
			names = append(names, from.alias)
		}
	}
	return names
}

func folds(q *query) bool {
	if q.folds {
		return true
	}
	for _, e := range q.items {
		if e.loose && (strings.Contains(e.sql, "MIN(") || strings.Contains(e.sql, "MAX(")) {
			return true
		}
	}
	for _, s := range q.from {
		if strings.HasPrefix(s.text, "(") {
			return true
		}
	}
	return false
}

// Smaller are simpler statements that may show the same failure.
func (s *Statement) Smaller() []*Statement {
	var out []*Statement
	if s.w != nil {
		for _, w := range s.w.smaller() {
			out = append(out, &Statement{w: w})
		}
		return out
	}
	text := s.Text()
	for _, q := range s.q.smaller() {
		if small := (&Statement{q: q}); small.Text() != text {
			out = append(out, small)
		}
	}
	return out
}

func (q *query) smaller() []*query {
	var out []*query
	with := func(change func(*query)) {
		c := *q
		change(&c)
		out = append(out, &c)
	}
	if q.op != "" {
		out = append(out, q.left, q.right)
		if q.limit >= 0 || len(q.order) > 0 {
			with(func(c *query) { c.order = nil; c.loosen() })
		}
		for _, l := range q.left.smaller() {
			with(func(c *query) { c.left = l })
		}
		for _, r := range q.right.smaller() {
			with(func(c *query) { c.right = r })
		}
		return out
	}
	for i := range q.from {
		if len(q.from) > 1 && i > 0 {
			with(func(c *query) { c.from = without(q.from, i) })
		}
		for j := range q.from[i].on {
			if len(q.from[i].on) > 1 {
				with(func(c *query) {
					s := *q.from[i]
					s.on = without(s.on, j)
					c.from = replaced(q.from, i, &s)
				})
			}
		}
		if q.from[i].join == "LEFT JOIN" || q.from[i].join == "RIGHT JOIN" {
			with(func(c *query) {
				s := *q.from[i]
				s.join = "JOIN"
				c.from = replaced(q.from, i, &s)
			})
		}
	}
	for _, list := range []struct {
		of  []expr
		set func(*query, []expr)
		min int
	}{
		{q.where, func(c *query, l []expr) { c.where = l }, 0},
		{q.having, func(c *query, l []expr) { c.having = l }, 0},
		{q.items, func(c *query, l []expr) { c.items = l }, 1},
		{q.group, func(c *query, l []expr) { c.group = l }, 1},
	} {
		for i := range list.of {
			if len(list.of) > list.min {
				with(func(c *query) { list.set(c, without(list.of, i)); c.loosen() })
			}
			for _, e := range list.of[i].simpler {
				with(func(c *query) { list.set(c, replaced(list.of, i, e)) })
			}
		}
	}
	if q.limit >= 0 {
		with(func(c *query) { c.limit, c.offset = -1, -1 })
		if q.offset >= 0 {
			with(func(c *query) { c.offset = -1 })
		}
	}
	if q.distinct {
		with(func(c *query) { c.distinct = false; c.loosen() })
	}
	if q.rollup {
		with(func(c *query) { c.rollup = false })
	}
	for i := range q.order {
		with(func(c *query) { c.order = without(q.order, i); c.loosen() })
	}
	return out
}

// loosen drops what needs an order that leaves nothing open.
func (q *query) loosen() { q.total, q.limit, q.offset = false, -1, -1 }

func without[T any](list []T, i int) []T { return append(append([]T{}, list[:i]...), list[i+1:]...) }

func replaced[T any](list []T, i int, by T) []T {
	out := append([]T{}, list...)
	out[i] = by
	return out
}
