package scatter

import (
	"strconv"
	"strings"

	"shardway/router/parse/digest"
	"shardway/router/parse/rewrite"
)

// Query is a SELECT, each of whose rows is made on one shard.
type Query struct {
	Shape *rewrite.Shape
	// Args are the values of its parameters.
	Args []digest.Value
	// Single says that the outermost block has one table.
	Single bool
	// Listed says that the server wants in the select list what GROUP BY determines, and not in ORDER BY: MariaDB under
	// ONLY_FULL_GROUP_BY.
	Listed bool
	Tables Tables
}

// Tables answers what Build asks of the tables of the outermost block.
type Tables interface {
	// Key reports whether a column decides the shard of a row, in a table that has a row in each of the block's, and
	// whether it is an integer.
	Key(db, table, name string) (integer, ok bool)
	// Keyed reports whether such a column is among those of table.*, or of * for "".
	Keyed(table string) bool
	// Has says whether any table has a column.
	Has(column string) Presence
}

// Presence says whether a table has a column.
type Presence uint8

// What can be known of a column.
const (
	Unknown Presence = iota
	Present
	Absent
)

// Build says how a SELECT is merged, and what each shard runs: nil for the client's own text. why says why it can't be.
func Build(q *Query) (m *Merge, sql *rewrite.Template, why string) {
	s := builder{q: q, shape: q.Shape}
	if why := s.build(); why != "" {
		return nil, nil, why
	}
	return &s.merge, s.sql, ""
}

// builder is the work on one Query.
type builder struct {
	q     *Query
	shape *rewrite.Shape
	by    []rewrite.Item // ORDER BY, without what orders nothing
	merge Merge
	sql   *rewrite.Template

	visible  int // columns before the first *
	stars    bool
	whole    bool // GROUP BY has the key, so that each group is on one shard
	appended []appended
	order    func(*rewrite.Template) // writes the shards' ORDER BY; nil: as the client sent it
	window   bool                    // LIMIT is the shards' as well
}

// appended is one column more: text around an expression of the client's.
type appended struct {
	before string
	rewrite.Range
	after string
}

// afterStar numbers the appended columns as long as their number isn't known.
const afterStar = 1 << 20

func (s *builder) build() (why string) {
	shape := s.shape
	switch {
	case shape.Union:
		s.merge.Visible = -1
		return ""
	case shape.Windows:
		return "window functions"
	case shape.Rollup:
		return "WITH ROLLUP"
	}
	s.visible = len(shape.Items)
	for i := range shape.Items {
		if shape.Items[i].Star {
			s.visible, s.stars = i, true
			break
		}
	}
	if why := s.limit(); why != "" {
		return why
	}
	for i := range shape.Order {
		if it := &shape.Order[i]; !it.Null {
			s.by = append(s.by, *it)
		}
	}
	aggregated := len(shape.Group) > 0 || shape.Having != nil && shape.Having.Aggregates > 0
	for i := range shape.Items {
		aggregated = aggregated || shape.Items[i].Aggregates > 0
	}
	for i := range s.by {
		aggregated = aggregated || s.by[i].Aggregates > 0
	}
	for i := range shape.Group {
		g, _, ok := s.grouping(&shape.Group[i])
		s.whole = s.whole || ok && s.isKey(g)
	}
	switch {
	case aggregated && len(shape.Group) == 0:
		why = s.one()
	case aggregated && !s.whole:
		why = s.grouped()
	default:
		why = s.rows()
	}
	if why != "" {
		return why
	}
	s.finish()
	return ""
}

// isKey reports whether rows that are equal in an expression are on one shard.
func (s *builder) isKey(it *rewrite.Item) bool {
	if it.Column == nil {
		return false
	}
	_, ok := s.q.Tables.Key(it.Column.DB, it.Column.Table, it.Column.Name)
	return ok
}

// limit reads LIMIT and OFFSET.
func (s *builder) limit() (why string) {
	l := s.shape.Limit
	if l == nil {
		return ""
	}
	var ok bool
	if s.merge.Limit, ok = s.bound(&l.Count); !ok {
		return "LIMIT isn't a number"
	}
	if s.merge.Offset, ok = s.bound(&l.Offset); !ok {
		return "OFFSET isn't a number"
	}
	s.window = true
	return ""
}

func (s *builder) bound(n *rewrite.Number) (Bound, bool) {
	if !n.Set {
		return Bound{}, true
	}
	if n.Arg < 0 {
		return Bound{true, n.Value}, true
	}
	if n.Arg >= len(s.q.Args) {
		return Bound{}, false
	}
	switch v := &s.q.Args[n.Arg]; v.Kind {
	case digest.Int:
		return Bound{true, uint64(v.I)}, v.I >= 0
	case digest.Uint:
		return Bound{true, v.U}, true
	case digest.String: // a driver that binds everything as text
		u, err := strconv.ParseUint(string(v.S), 10, 64)
		return Bound{true, u}, err == nil
	case digest.Marker:
		return Bound{Set: true}, true // while it is prepared
	default:
		return Bound{}, false
	}
}

// rows is for rows that stay what they are: no two of them become one, but by DISTINCT.
func (s *builder) rows() (why string) {
	shape := s.shape
	if shape.Distinct && !s.distinctByKey() {
		return s.distinct()
	}
	for i := range s.by {
		it := &s.by[i]
		e, at, why := s.ordering(it)
		if why != "" {
			return why
		}
		if e.Constant() {
			continue
		}
		key := s.whole && s.groupKey(e) >= 0
		if s.whole && !key && at < 0 && e.Aggregates == 0 && s.q.Listed {
			// It would be appended to the select list.
			return "ORDER BY an expression that GROUP BY hasn't, under ONLY_FULL_GROUP_BY"
		}
		k := s.key(e, at, it.Desc, key)
		k.Computed = e.Column == nil && k.Weight != NoColumn && !s.whole
		s.merge.Order = append(s.merge.Order, k)
	}
	return ""
}

// distinctByKey reports whether rows of different shards differ in a visible column.
func (s *builder) distinctByKey() bool {
	for i := range s.shape.Items {
		it := &s.shape.Items[i]
		if !it.Star {
			if s.isKey(it) {
				return true
			}
			continue
		}
		if s.q.Tables.Keyed(it.Of) {
			return true
		}
	}
	return false
}

// distinct is for SELECT DISTINCT of rows that several shards may have: they come in the order of all columns.
func (s *builder) distinct() (why string) {
	shape := s.shape
	if s.stars {
		return "DISTINCT of *"
	}
	done := make([]bool, len(shape.Items))
	for i := range shape.Items {
		if it := &shape.Items[i]; it.Random || it.Subquery || it.Aggregates > 0 {
			return "DISTINCT of an expression that can't be written twice"
		}
	}
	for i := range s.by {
		it := &s.by[i]
		e, at, why := s.ordering(it)
		if why != "" {
			return why
		}
		if e.Constant() {
			continue
		}
		if at < 0 {
			return "DISTINCT with ORDER BY an expression that isn't selected"
		}
		if !done[at] {
			done[at] = true
			s.merge.Order = append(s.merge.Order, s.key(e, at, it.Desc, s.whole && s.groupKey(e) >= 0))
		}
	}
	var rest []string
	for i := range shape.Items {
		if !done[i] {
			s.merge.Order = append(s.merge.Order, s.key(&shape.Items[i], i, false, s.whole && s.groupKey(&shape.Items[i]) >= 0))
			rest = append(rest, number(i+1))
		}
	}
	s.merge.Distinct = true
	// Rows that differ in their weights alone, 'a' and 'a ', are one row here and two at a shard: it can't count them.
	s.window = false
	s.order = func(t *rewrite.Template) {
		s.copyOrder(t, rest)
	}
	return ""
}

// copyOrder writes the client's ORDER BY with more expressions after it.
func (s *builder) copyOrder(t *rewrite.Template, more []string) {
	if len(s.shape.Order) > 0 {
		t.Copy(s.shape.OrderBy)
		if len(more) > 0 {
			t.Text(", " + strings.Join(more, ", "))
		}
		return
	}
	if len(more) > 0 {
		t.Text("ORDER BY " + strings.Join(more, ", "))
	}
}

// ordering finds what an item of ORDER BY means: an expression, and its column where it is selected, else -1.
func (s *builder) ordering(it *rewrite.Item) (e *rewrite.Item, at int, why string) {
	e, at = it, -1
	switch {
	case it.Position > 0:
		if it.Position > s.visible {
			return nil, -1, "ORDER BY a position that isn't known"
		}
		at = it.Position - 1
		e = &s.shape.Items[at]
	case it.Literal:
		return nil, -1, "ORDER BY a literal"
	case it.Column != nil && it.Column.Table == "":
		named := s.named(it.Column.Name)
		switch {
		case len(named) > 1:
			return nil, -1, "ORDER BY " + it.Column.Name + ", which several selected expressions are named"
		case len(named) == 1:
			at = named[0]
			e = &s.shape.Items[at]
		}
	default:
		if n := s.clash(it); n != "" {
			return nil, -1, "ORDER BY an expression with " + n + ", which a selected expression is named"
		}
		at = s.selected(it)
	}
	if e.Random || e.Subquery {
		return nil, -1, "ORDER BY an expression that can't be written twice"
	}
	if at >= s.visible {
		at = -1 // behind a *
	}
	return e, at, ""
}

// named are the selected expressions that go by a name: their alias, or their column's own.
func (s *builder) named(name string) (list []int) {
	for i := range s.shape.Items {
		it := &s.shape.Items[i]
		if it.Alias != "" && strings.EqualFold(it.Alias, name) || it.Alias == "" && it.Column != nil && strings.EqualFold(it.Column.Name, name) {
			list = append(list, i)
		}
	}
	return list
}

// clash is a name in an expression that means a column of a table there, and might mean a selected expression here.
func (s *builder) clash(it *rewrite.Item) string {
	for i := range it.Names {
		n := &it.Names[i]
		if n.Table != "" {
			continue
		}
		for j := range s.shape.Items {
			sel := &s.shape.Items[j]
			own := sel.Column != nil && strings.EqualFold(sel.Column.Name, n.Name)
			if sel.Alias != "" && !own && strings.EqualFold(sel.Alias, n.Name) {
				return n.Name
			}
		}
	}
	return ""
}

// selected is the selected expression that is written as it is, -1 for none.
func (s *builder) selected(it *rewrite.Item) int {
	for i := range s.shape.Items {
		if sel := &s.shape.Items[i]; !sel.Star && s.same(it, sel) {
			return i
		}
	}
	return -1
}

// same reports whether two expressions are the same.
func (s *builder) same(a, c *rewrite.Item) bool {
	if a.Column != nil && c.Column != nil {
		if !strings.EqualFold(a.Column.Name, c.Column.Name) {
			return false
		}
		if a.Column.Table == c.Column.Table {
			return true
		}
		return (a.Column.Table == "" || c.Column.Table == "") && s.q.Single
	}
	return s.shape.Norm.Same(a.Range, c.Range, s.q.Args)
}

// grouping finds what an item of GROUP BY means. Where a name may be a column or a selected expression, the column
// counts, and whether there is one isn't known.
func (s *builder) grouping(it *rewrite.Item) (e *rewrite.Item, at int, ok bool) {
	switch {
	case it.Position > 0:
		if it.Position > s.visible {
			return nil, -1, false
		}
		return &s.shape.Items[it.Position-1], it.Position - 1, true
	case it.Column != nil && it.Column.Table == "":
		at := -1
		for _, i := range s.named(it.Column.Name) {
			sel := &s.shape.Items[i]
			if sel.Column == nil || !strings.EqualFold(sel.Column.Name, it.Column.Name) {
				if s.q.Tables.Has(it.Column.Name) == Absent {
					return sel, i, i < s.visible
				}
				return it, -1, false // ORDER BY would mean the selected expression
			}
			if i < s.visible {
				at = i
			}
		}
		return it, at, true
	default:
		at := s.selected(it)
		if at >= s.visible {
			at = -1
		}
		return it, at, s.clash(it) == ""
	}
}

// groupKey is the item of GROUP BY that an expression is, -1 for none.
func (s *builder) groupKey(e *rewrite.Item) int {
	for i := range s.shape.Group {
		if g, _, ok := s.grouping(&s.shape.Group[i]); ok && (g == e || s.same(g, e)) {
			return i
		}
	}
	return -1
}

// key appends what is needed to compare by an expression, which is column at, or -1 where it isn't visible. Of an
// expression that is the same in all rows of a group, each server takes MIN for certain.
func (s *builder) key(e *rewrite.Item, at int, desc, grouped bool) Key {
	before, after := "", ""
	if grouped && e.Column == nil {
		before, after = "MIN(", ")"
	}
	k := Key{Column: at, Weight: NoColumn, Collation: NoColumn, Desc: desc}
	if at < 0 {
		k.Column = s.append(before, e.Range, after)
	}
	if e.Number {
		return k
	}
	if e.Column != nil {
		if integer, ok := s.q.Tables.Key(e.Column.DB, e.Column.Table, e.Column.Name); ok && integer {
			return k
		}
	}
	k.Weight = s.append("WEIGHT_STRING("+before, e.Range, after+")")
	k.Collation = s.append("COLLATION("+before, e.Range, after+")")
	return k
}

// append adds a column after the client's and returns its number.
func (s *builder) append(before string, r rewrite.Range, after string) int {
	s.appended = append(s.appended, appended{before, r, after})
	n := len(s.appended) - 1
	if s.stars {
		return afterStar + n
	}
	return s.visible + n
}

// finish numbers the columns and writes the shards' statement.
func (s *builder) finish() {
	m := &s.merge
	m.Visible, m.Appended = s.visible, len(s.appended)
	if s.stars {
		m.Visible = -1
		fix := func(c *int) {
			if *c >= afterStar {
				*c -= afterStar + len(s.appended)
			}
		}
		for i := range m.Order {
			fix(&m.Order[i].Column)
			fix(&m.Order[i].Weight)
			fix(&m.Order[i].Collation)
		}
	}
	limited := s.shape.Limit != nil
	if len(s.appended) == 0 && s.order == nil && (!limited || s.window && m.Offset.N == 0 && !m.Offset.Set) {
		return // as the client sent it
	}
	t := rewrite.New(s.shape.Norm)
	t.Copy(rewrite.Range{From: s.shape.Head.From, To: s.shape.List.To})
	for i, a := range s.appended {
		t.Text("," + space(a.before)).Copy(a.Range).Text(strings.TrimSpace(a.after + " AS `shardway " + number(i+1) + "`"))
	}
	t.Copy(s.shape.Body)
	if s.order != nil {
		s.order(t)
	} else {
		t.Copy(s.shape.OrderBy)
	}
	if limited && s.window {
		t.Text("LIMIT").Window()
	}
	s.sql = t.Copy(s.shape.Tail)
}

func space(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}
