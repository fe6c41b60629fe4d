package plan

import (
	"strconv"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
)

// tied are the flags of what a session keeps on one connection, or what acts on one server: it isn't run on several.
const tiedToOne = parse.FlagSetsUserVar | parse.FlagUsesUserVar | parse.FlagLastInsertID | parse.FlagSetsLastInsertID |
	parse.FlagFoundRows | parse.FlagCalcFoundRows | parse.FlagRowCount | parse.FlagDiagnostics | parse.FlagConnectionID |
	parse.FlagGetLock | parse.FlagReleaseLock | parse.FlagSequenceNext | parse.FlagStoredFunction | parse.FlagInto |
	parse.FlagForeignData | parse.FlagExecutable | parse.FlagOwnVariable

// scatter makes the plan that runs a SELECT on each shard for the shard's own rows. why says why it can't.
func (b *builder) scatter() (p *Many, why string) {
	st := b.st
	if st.Flags&tiedToOne != 0 || !st.Is(parse.FlagRead) && !st.Is(parse.FlagLocks) {
		return nil, "it depends on what one connection keeps" + b.kept()
	}
	t, why := b.together()
	if why != "" {
		return nil, why
	}
	shape := st.Shape()
	if shape == nil {
		return nil, "its clauses can't be told apart with certainty"
	}
	s := scatter{b: b, t: t, shape: shape}
	if why := s.build(); why != "" {
		return nil, why
	}
	p = &Many{Merge: &s.merge}
	p.Role, _ = b.chooseRole()
	for i, shard := range b.m.Shards() {
		if t.anchor.in.has(i) {
			p.Parts = append(p.Parts, Part{Shard: shard, SQL: s.sql})
		}
	}
	if len(p.Parts) == 0 {
		p.Parts = []Part{{Shard: b.m.Shards()[b.need.first()], SQL: s.sql}} // no row can matter: one shard says so
	}
	p.Why = s.why()
	return p, ""
}

// kept names what ties a statement to one connection.
func (b *builder) kept() string {
	switch {
	case b.st.Why != "":
		return " (" + b.st.Why + ")"
	case b.st.Is(parse.FlagCalcFoundRows):
		return " (SQL_CALC_FOUND_ROWS)"
	default:
		return ""
	}
}

// scatter is the work on one SELECT for several shards.
type scatter struct {
	b     *builder
	t     *together
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

func (s *scatter) build() (why string) {
	shape := s.shape
	switch {
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
func (s *scatter) isKey(it *rewrite.Item) bool {
	return it.Column != nil && s.t.key(it.Column.DB, it.Column.Table, it.Column.Name) != nil
}

// limit reads LIMIT and OFFSET.
func (s *scatter) limit() (why string) {
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

func (s *scatter) bound(n *rewrite.Number) (Bound, bool) {
	if !n.Set {
		return Bound{}, true
	}
	if n.Arg < 0 {
		return Bound{true, n.Value}, true
	}
	if n.Arg >= len(s.b.args) {
		return Bound{}, false
	}
	switch v := &s.b.args[n.Arg]; v.Kind {
	case parse.Int:
		return Bound{true, uint64(v.I)}, v.I >= 0
	case parse.Uint:
		return Bound{true, v.U}, true
	case parse.String: // a driver that binds everything as text
		u, err := strconv.ParseUint(string(v.S), 10, 64)
		return Bound{true, u}, err == nil
	case parse.Marker:
		return Bound{Set: true}, true // while it is prepared
	default:
		return Bound{}, false
	}
}

// rows is for rows that stay what they are: no two of them become one, but by DISTINCT.
func (s *scatter) rows() (why string) {
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
		key := s.whole && s.groupKey(e) >= 0
		if s.whole && !key && at < 0 && e.Aggregates == 0 && s.b.f.FullGroupBy && s.b.f.Reopens {
			// MariaDB checks the select list, to which it would be appended, and not ORDER BY.
			return "ORDER BY an expression that GROUP BY hasn't, under ONLY_FULL_GROUP_BY"
		}
		s.merge.Order = append(s.merge.Order, s.key(e, at, it.Desc, key))
	}
	return ""
}

// distinctByKey reports whether rows of different shards differ in a visible column.
func (s *scatter) distinctByKey() bool {
	for i := range s.shape.Items {
		it := &s.shape.Items[i]
		if !it.Star {
			if s.isKey(it) {
				return true
			}
			continue
		}
		in := s.b.of(0)
		for j := range in {
			if in[j].kind == kindSharded && !in[j].text.Outer && (it.Of == "" || s.t.named(&in[j], "", it.Of)) {
				return true
			}
		}
	}
	return false
}

// distinct is for SELECT DISTINCT of rows that several shards may have: they come in the order of all columns.
func (s *scatter) distinct() (why string) {
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
func (s *scatter) copyOrder(t *rewrite.Template, more []string) {
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
func (s *scatter) ordering(it *rewrite.Item) (e *rewrite.Item, at int, why string) {
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
func (s *scatter) named(name string) (list []int) {
	for i := range s.shape.Items {
		it := &s.shape.Items[i]
		if it.Alias != "" && strings.EqualFold(it.Alias, name) || it.Alias == "" && it.Column != nil && strings.EqualFold(it.Column.Name, name) {
			list = append(list, i)
		}
	}
	return list
}

// clash is a name in an expression that means a column of a table there, and might mean a selected expression here.
func (s *scatter) clash(it *rewrite.Item) string {
	for i := range it.Names {
		n := &it.Names[i]
		if n.Table != "" {
			continue
		}
		for j := range s.shape.Items {
			if sel := &s.shape.Items[j]; sel.Alias != "" && strings.EqualFold(sel.Alias, n.Name) && !(sel.Column != nil && strings.EqualFold(sel.Column.Name, n.Name)) {
				return n.Name
			}
		}
	}
	return ""
}

// selected is the selected expression that is written as it is, -1 for none.
func (s *scatter) selected(it *rewrite.Item) int {
	for i := range s.shape.Items {
		if sel := &s.shape.Items[i]; !sel.Star && s.same(it, sel) {
			return i
		}
	}
	return -1
}

// same reports whether two expressions are the same.
func (s *scatter) same(a, c *rewrite.Item) bool {
	if a.Column != nil && c.Column != nil {
		if !strings.EqualFold(a.Column.Name, c.Column.Name) {
			return false
		}
		if a.Column.Table == c.Column.Table {
			return true
		}
		return (a.Column.Table == "" || c.Column.Table == "") && len(s.b.st.Blocks[0].Tables) == 1
	}
	return s.shape.Norm.Same(a.Range, c.Range, s.b.args)
}

// grouping finds what an item of GROUP BY means. Where a name may be a column or a selected expression, the column
// counts, and whether there is one isn't known.
func (s *scatter) grouping(it *rewrite.Item) (e *rewrite.Item, at int, ok bool) {
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
				switch s.b.has(it.Column.Name) {
				case absent:
					return sel, i, i < s.visible
				case present:
					return it, -1, false // and ORDER BY would mean the selected expression
				default:
					s.b.ask = true
					return nil, -1, false
				}
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
func (s *scatter) groupKey(e *rewrite.Item) int {
	for i := range s.shape.Group {
		if g, _, ok := s.grouping(&s.shape.Group[i]); ok && (g == e || s.same(g, e)) {
			return i
		}
	}
	return -1
}

// key appends what is needed to compare by an expression, which is column at, or -1 where it isn't visible. Of an
// expression that is the same in all rows of a group, each server takes MIN for certain.
func (s *scatter) key(e *rewrite.Item, at int, desc, grouped bool) Key {
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
		if src := s.t.key(e.Column.DB, e.Column.Table, e.Column.Name); src != nil && src.table.KeyType.Integer() {
			return k
		}
	}
	k.Weight = s.append("WEIGHT_STRING("+before, e.Range, after+")")
	k.Collation = s.append("COLLATION("+before, e.Range, after+")")
	return k
}

// append adds a column after the client's and returns its number.
func (s *scatter) append(before string, r rewrite.Range, after string) int {
	s.appended = append(s.appended, appended{before, r, after})
	n := len(s.appended) - 1
	if s.stars {
		return afterStar + n
	}
	return s.visible + n
}

// finish numbers the columns and writes the shards' statement.
func (s *scatter) finish() {
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

// why says what lets each shard answer for its own rows.
func (s *scatter) why() string {
	var parts []string
	in := s.b.of(0)
	for i := range in {
		switch in[i].kind {
		case kindSharded:
			parts = append(parts, aliased(&in[i])+" is on "+in[i].in.names(s.b.m)+s.b.by(&in[i]))
		case kindReference:
			parts = append(parts, aliased(&in[i])+" is a reference table")
		default:
		}
	}
	return strings.Join(parts, ", ")
}

// by is the condition that narrowed a table, in words.
func (b *builder) by(s *source) string {
	if s.by == nil {
		return ""
	}
	return " by " + b.bound(s.table, s.by, s.op)
}
