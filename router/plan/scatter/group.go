package scatter

import (
	"slices"

	"shardway/router/parse/rewrite"
)

// one is for aggregate functions without GROUP BY: each shard gives one row, and they become one.
func (s *builder) one() (why string) {
	if why := s.having(); why != "" {
		return why
	}
	shape := s.shape
	if s.stars || shape.Distinct {
		return "* or DISTINCT with an aggregate function"
	}
	for i := range shape.Items {
		it := &shape.Items[i]
		if it.Aggregates == 0 {
			if !it.Constant() {
				return "a column beside an aggregate function without GROUP BY"
			}
			continue
		}
		if why := s.sum(i, it); why != "" {
			return why
		}
	}
	for i := range s.by {
		if it := &s.by[i]; it.Subquery || it.Literal {
			return "ORDER BY an expression that can't be written twice"
		}
	}
	s.merge.One = true
	s.window = false
	return ""
}

func (s *builder) having() string {
	if s.shape.Having == nil {
		return ""
	}
	return "HAVING of groups that are on several shards"
}

// grouped is for groups that several shards may have a part of.
func (s *builder) grouped() (why string) {
	if why := s.having(); why != "" {
		return why
	}
	shape := s.shape
	if s.stars || shape.Distinct {
		return "* or DISTINCT with GROUP BY"
	}
	groups := make([]group, len(shape.Group))
	for i := range shape.Group {
		it := &shape.Group[i]
		e, at, ok := s.grouping(it)
		switch {
		case !ok:
			return "GROUP BY a name that may be a column or a selected expression"
		case e.Random || e.Subquery || e.Literal || e.Aggregates > 0 || e.Constant() || it.Desc:
			return "GROUP BY an expression that can't be written twice"
		}
		groups[i] = group{it, e, at}
	}
	for i := range shape.Items {
		it := &shape.Items[i]
		switch {
		case it.Subquery:
			return "a subquery beside aggregate functions"
		case it.Aggregates > 0:
			if why := s.sum(i, it); why != "" {
				return why
			}
		}
	}
	return s.groups(groups)
}

// group is one expression of GROUP BY.
type group struct {
	it *rewrite.Item // as it is written
	e  *rewrite.Item // what it means
	at int           // its visible column, or -1
}

// groups puts the shards' rows in an order in which groups are together, which is the client's where it can be.
func (s *builder) groups(groups []group) (why string) {
	type ordered struct {
		group int
		desc  bool
	}
	var order []ordered
	used := make([]bool, len(groups))
	final := false
	for i := range s.by {
		if len(order) == len(groups) {
			break // no two rows are equal by then
		}
		it := &s.by[i]
		e, _, why := s.ordering(it)
		if why != "" {
			return why
		}
		if e.Constant() {
			continue
		}
		g := s.groupKey(e)
		if g < 0 {
			final = true
			break
		}
		if !used[g] {
			used[g] = true
			order = append(order, ordered{g, it.Desc})
		}
	}
	if final {
		order, used = nil, make([]bool, len(groups))
	}
	for g := range groups {
		if !used[g] {
			order = append(order, ordered{g, false})
		}
	}
	keys := make([]Key, len(groups)) // by group
	for _, o := range order {
		g := &groups[o.group]
		keys[o.group] = s.key(g.e, g.at, o.desc, true)
		s.merge.Group = append(s.merge.Group, keys[o.group])
	}
	s.order = func(t *rewrite.Template) {
		t.Text("ORDER BY")
		for i, o := range order {
			if i > 0 {
				t.Text(",")
			}
			t.Copy(groups[o.group].it.Range)
			if o.desc {
				t.Text("DESC")
			}
		}
	}
	if !final {
		return ""
	}
	s.window = false
	for i := range s.by {
		it := &s.by[i]
		e, at, why := s.ordering(it)
		if why != "" {
			return why
		}
		if e.Constant() {
			continue
		}
		if g := s.groupKey(e); g >= 0 {
			k := keys[g]
			k.Desc = it.Desc
			s.merge.Final = append(s.merge.Final, k)
			continue
		}
		if e.Aggregate == nil {
			return "ORDER BY an expression that is neither of GROUP BY nor an aggregate function"
		}
		if at < 0 {
			at = s.append("", e.Range, "")
			if why := s.sum(at, e); why != "" {
				return why
			}
		}
		k := Key{Column: at, Weight: NoColumn, Collation: NoColumn, Desc: it.Desc}
		for j := range s.merge.Sums {
			sum := &s.merge.Sums[j]
			if sum.Column == at && (sum.Op == SumMin || sum.Op == SumMax) {
				k.Weight, k.Collation = sum.With[0], sum.With[1]
				// The greatest value's weight is the greatest weight.
				weight := Sum{Column: k.Weight, Op: sum.Op}
				if !slices.ContainsFunc(s.merge.Sums, func(o Sum) bool { return o.Column == weight.Column }) {
					s.merge.Sums = append(s.merge.Sums, weight)
				}
				break
			}
		}
		s.merge.Final = append(s.merge.Final, k)
	}
	return ""
}

// sum says how the values of an aggregate function, column at, become one.
func (s *builder) sum(at int, it *rewrite.Item) (why string) {
	a := it.Aggregate
	if a == nil || it.Subquery || it.Random {
		return "an expression over aggregate functions"
	}
	if a.Distinct && (a.Func == "count" || a.Func == "sum" || a.Func == "avg") && !s.distinctKey(a) {
		return a.Func + " of DISTINCT values"
	}
	sum := Sum{Column: at}
	switch a.Func {
	case "count":
		sum.Op = SumCount
	case "sum":
		sum.Op = SumSum
	case "avg":
		if a.Distinct {
			return "avg of DISTINCT values"
		}
		if len(it.Names) == 0 { // COUNT(?) would make MySQL give the parameters other types
			return "avg of what is the same in all rows"
		}
		sum.Op = SumAvg
		sum.With = []int{s.append("SUM(", a.Args, ")"), s.append("COUNT(", a.Args, ")")}
	case "min", "max":
		if sum.Op = SumMin; a.Func == "max" {
			sum.Op = SumMax
		}
		sum.With = []int{s.append("WEIGHT_STRING(", it.Range, ")"), s.append("COLLATION(", it.Range, ")")}
	case "bit_and":
		sum.Op = SumBitAnd
	case "bit_or":
		sum.Op = SumBitOr
	case "bit_xor":
		sum.Op = SumBitXor
	default:
		return "the aggregate function " + a.Func
	}
	s.merge.Sums = append(s.merge.Sums, sum)
	return ""
}

// distinctKey reports whether equal arguments of an aggregate function are on one shard.
func (s *builder) distinctKey(a *rewrite.Aggregate) bool {
	c, ok := s.shape.Norm.Column(a.Args)
	if ok {
		_, ok = s.q.Tables.Key(c.DB, c.Table, c.Name)
	}
	return ok
}
