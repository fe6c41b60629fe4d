package rewrite

import (
	"slices"

	"shardway/router/parse/digest"
)

// Change is an UPDATE, a DELETE, or an INSERT or REPLACE of a SELECT's rows, clause by clause. A clause that isn't there is
// empty.
type Change struct {
	With    Range // the common table expressions, with the word
	Verb    Range // with its modifiers; of INSERT with the table, too
	Columns Range // of INSERT: the column list without its parentheses
	Targets []Range
	From    Range // the tables
	Set     Range // without the word SET
	Sets    []Assigned
	Where   Range // this and the following with their words
	OrderBy Range
	Limit   Range
	Select  Range // of INSERT
	Tail    Range // of INSERT: ON DUPLICATE KEY UPDATE and what follows
	// Returning is the clause with its word.
	Returning Range
}

// Assigned is one assignment of SET.
type Assigned struct{ Column, Value Range }

// Change takes a statement apart; false for other statements, and for those whose clauses can't be told apart.
func (n *Norm) Change() (*Change, bool) {
	c := &Change{}
	if n.token(0).Up == "WITH" {
		c.With = Range{0, n.until(n.All(), "UPDATE", "DELETE")}
	}
	switch n.token(c.With.To).Up {
	case "UPDATE":
		return c, n.update(c)
	case "DELETE":
		return c, n.delete(c)
	case "INSERT", "REPLACE":
		return c, n.insertSelect(c)
	default:
		return nil, false
	}
}

// modifiers is the first token from i on that isn't one of words.
func (n *Norm) modifiers(i int, words ...string) int {
	for n.token(i).Kind == digest.TokWord && slices.Contains(words, n.token(i).Up) {
		i++
	}
	return i
}

// until is the first token of r outside of parentheses that is one of words; r.To when there is none.
func (n *Norm) until(r Range, words ...string) int {
	depth := 0
	for i := r.From; i < r.To; i++ {
		t := n.token(i)
		switch t.Up {
		case "(":
			depth++
			continue
		case ")":
			depth--
			continue
		}
		if depth > 0 || t.Kind != digest.TokWord || i > 0 && n.token(i-1).Up == "." {
			continue
		}
		if slices.Contains(words, t.Up) {
			return i
		}
	}
	return r.To
}

func (n *Norm) update(c *Change) bool {
	end := n.All().To
	from := n.modifiers(c.With.To+1, "LOW_PRIORITY", "IGNORE")
	c.Verb = Range{c.With.To, from}
	set := n.until(Range{from, end}, "SET")
	if set == end {
		return false
	}
	c.From = Range{from, set}
	at := n.until(Range{set + 1, end}, "WHERE", "ORDER", "LIMIT", "RETURNING")
	c.Set = Range{set + 1, at}
	for _, one := range n.commas(c.Set) {
		eq := one.From
		for eq < one.To && n.token(eq).Up != "=" && n.token(eq).Up != ":=" {
			eq++
		}
		if eq == one.To {
			return false
		}
		c.Sets = append(c.Sets, Assigned{Range{one.From, eq}, Range{eq + 1, one.To}})
	}
	return n.tail(c, Range{at, end})
}

// tail reads WHERE, ORDER BY, LIMIT and RETURNING.
func (n *Norm) tail(c *Change, r Range) bool {
	r, c.Returning = n.returning(r)
	limit := n.until(r, "LIMIT")
	order := n.until(Range{r.From, limit}, "ORDER")
	where := n.until(Range{r.From, order}, "WHERE")
	if where != r.From {
		return false
	}
	c.Where, c.OrderBy, c.Limit = Range{where, order}, Range{order, limit}, Range{limit, r.To}
	return true
}

// returning parts RETURNING from what is before it.
func (n *Norm) returning(r Range) (before, clause Range) {
	at := n.until(r, "RETURNING")
	return Range{r.From, at}, Range{at, r.To}
}

func (n *Norm) delete(c *Change) bool {
	end := n.All().To
	i := n.modifiers(c.With.To+1, "LOW_PRIORITY", "QUICK", "IGNORE")
	c.Verb = Range{c.With.To, i}
	at := n.until(Range{i, end}, "WHERE", "ORDER", "LIMIT", "RETURNING")
	if n.token(i).Up != "FROM" { // DELETE a, b FROM …
		from := n.until(Range{i, at}, "FROM")
		if from == at {
			return false
		}
		c.Targets, c.From = n.commas(Range{i, from}), Range{from + 1, at}
		return n.tail(c, Range{at, end})
	}
	using := n.until(Range{i + 1, at}, "USING")
	if using < at && n.token(using+1).Up != "(" { // DELETE FROM a, b USING …
		c.Targets, c.From = n.commas(Range{i + 1, using}), Range{using + 1, at}
		return n.tail(c, Range{at, end})
	}
	c.From = Range{i + 1, at}
	return n.tail(c, Range{at, end})
}

func (n *Norm) insertSelect(c *Change) bool {
	if _, rows := n.Insertion(); rows {
		return false
	}
	end := n.All().To
	i := n.modifiers(1, "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "IGNORE", "INTO")
	if !n.token(i).IsName() {
		return false
	}
	i++
	if n.token(i).Up == "." {
		i += 2
	}
	if n.token(i).Up == "PARTITION" {
		i = n.group(i + 1)
	}
	c.Verb = Range{0, i}
	if n.token(i).Up == "(" {
		switch n.token(i + 1).Up {
		case "SELECT", "WITH", "(", "VALUES", "TABLE":
		default:
			to := n.group(i)
			c.Columns = Range{i + 1, to - 1}
			i = to
		}
	}
	var all Range
	all, c.Returning = n.returning(Range{i, end})
	at := all.To
	end = all.To
	for j := i; j+2 < end; j++ {
		if n.token(j).Up == "ON" && n.token(j+1).Up == "DUPLICATE" && n.token(j).Kind == digest.TokWord {
			at = j
		}
	}
	c.Select, c.Tail = Range{i, at}, Range{at, end}
	return !c.Select.Empty()
}
