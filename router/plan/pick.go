package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/shardmap"
)

// Pick is a write whose rows are chosen first, since no shard alone can say which they are or what becomes of them. Rows, a
// SELECT, is planned and run as any other; then the rows that it gives are written by statements that are planned in
// turn. All of them are one transaction.
type Pick struct {
	Op   PickOp
	Rows *rewrite.Template
	// Targets are the tables whose rows are written, in the statement's order: one, but for PickValues and PickDelete. Rows
	// gives for each of them its keys and then its values.
	Targets []Target
	// Tail ends the statements that write; nil: nothing does.
	Tail *rewrite.Template
	// Move is the table whose key PickMove assigns.
	Move   *shardmap.Table
	Ignore bool // the statement is one with IGNORE, which may leave out rows that were chosen
	Joined bool // the statement names several tables, so that it may find a row more than once
	Sorted bool // it has an ORDER BY
	// Returning is a SELECT with the columns of RETURNING and without rows; nil where there is none. With it the statements
	// that write answer with rows, all of which are the answer.
	Returning *rewrite.Template
	Why       string

	touches touches
}

// Target is a table whose rows a Pick writes.
type Target struct {
	DB, Table string
	// Keys are the columns of the table's primary key. They are nil as long as Facts.Primary doesn't have them.
	Keys []string
	// Alias is how Head names the table.
	Alias string
	// Head begins the statements that write, up to the conditions or the rows.
	Head *rewrite.Template
	// Sets are the assignments of PickValues.
	Sets []Set
}

// Set is the assignment of a value that Rows gives, or of the column's default.
type Set struct {
	Column  string
	Default bool
}

// PickOp is what is done with the rows.
type PickOp uint8

// What is done with the rows.
const (
	PickDelete PickOp = iota // they are deleted by their keys
	PickUpdate               // Head is run for their keys
	PickValues               // the Sets get the values that Rows gives, row by row
	PickInsert               // they are inserted
	PickMove                 // Head is run for each, and then the row goes to the shard of its new key, which Rows gives after the keys
)

func (*Pick) plan() {}

// String is "pick: the SELECT; then …; why".
func (p *Pick) String() string {
	return "pick " + p.Rows.String() + "; then " + p.heads() + "; " + p.Why
}

// heads are the beginnings of the statements that write.
func (p *Pick) heads() string {
	heads := make([]string, len(p.Targets))
	for i := range p.Targets {
		heads[i] = p.Targets[i].Head.String() + " …"
	}
	return strings.Join(heads, ", ")
}

// picked is the plan that chooses the rows first; nil where that can't be done.
func (b *builder) picked(why string) Plan {
	st := b.st
	n := st.Norm()
	if n == nil || b.explained || st.Flags&tiedToOne != 0 || st.Is(parse.FlagReturning) && !b.f.Reopens || b.locks || b.sequence {
		return nil
	}
	c, ok := n.Change()
	if !ok {
		return nil
	}
	p := &Pick{Why: why, Ignore: hasWord(n, c.Verb, "IGNORE")}
	if !c.Returning.Empty() {
		if subquery(n, c.Returning) {
			b.unpicked = "RETURNING has a subquery"
			return nil
		}
		p.Tail = rewrite.New(n).Copy(c.Returning)
	}
	if st.Insert != nil {
		return b.pickInsert(p, n, c)
	}
	if !b.pickTargets(p) {
		return nil
	}
	target := &p.Targets[0]
	if !c.With.Empty() && b.f.Reopens {
		return nil // MariaDB has no such UPDATE
	}
	p.Joined, p.Sorted = len(st.Blocks[0].Tables) > 1, !c.OrderBy.Empty()
	if r := b.unordered(p, c); r != nil {
		return r
	}
	if b.none(n, c) {
		in := b.need
		if b.copies != nil {
			in = owners(b.copies, b.m)
		}
		one := &One{Shard: b.m.Shards()[max(in.first(), 0)]} // any server says what it says of LIMIT 0
		b.fill(one)
		one.place, one.noted, one.dropped = placeNoRows, 0, false
		return one
	}
	p.Rows = rewrite.New(n).Copy(c.With).Text("SELECT")
	if p.Joined && c.Limit.Empty() {
		p.Rows.Text("DISTINCT")
	}
	switch {
	case st.Kind == parse.Delete:
		b.pickDelete(p, n)
	case b.moves != nil:
		p.Rows.Text(columnList(target.Alias, target.Keys))
		if p.Joined || subquery(n, c.Set) || !b.pickMove(p, n, c) {
			return nil
		}
	case !p.Joined && !subquery(n, c.Set) && (b.copies == nil || !b.random()):
		p.Op = PickUpdate
		p.Rows.Text(columnList(target.Alias, target.Keys))
		target.Head = rewrite.New(n).Copy(c.Verb).Copy(c.From).Text("SET").Copy(c.Set)
	default:
		if !b.pickValues(p, n, c) {
			return nil
		}
	}
	p.Rows.Text("FROM").Copy(c.From).Copy(c.Where)
	if r := b.pickOrder(p, n, c); r != nil {
		return r
	}
	p.Rows.Copy(c.Limit)
	p.returning(n, c)
	return p
}

// none reports whether the statement has LIMIT 0.
func (b *builder) none(n *rewrite.Norm, c *rewrite.Change) bool {
	if c.Limit.To-c.Limit.From != 2 {
		return false
	}
	at, ok := n.Marker(c.Limit.To - 1)
	return ok && at < len(b.args) && (b.args[at].Kind == parse.Int && b.args[at].I == 0 || b.args[at].Kind == parse.Uint && b.args[at].U == 0)
}

// returning has a SELECT of nothing with the columns of RETURNING.
func (p *Pick) returning(n *rewrite.Norm, c *rewrite.Change) {
	if c.Returning.Empty() {
		return
	}
	t := &p.Targets[0]
	list := rewrite.Range{From: c.Returning.From + 1, To: c.Returning.To}
	p.Returning = rewrite.New(n).Text("SELECT").Copy(list).Text("FROM " + rewrite.Quote(t.DB) + "." + rewrite.Quote(t.Table) + " LIMIT 0")
}

// pickTargets finds the tables that the statement writes to. It is false where their rows can't be chosen: they are a
// session's own, or a row may be written under two names.
func (b *builder) pickTargets(p *Pick) bool {
	for i := range b.all() {
		s := &b.all()[i]
		if !s.written || b.st.Blocks[s.block].Role == parse.RoleQuery {
			continue
		}
		t := Target{DB: b.dbOf(s.text), Table: s.text.Name, Alias: s.text.Alias}
		if t.Alias == "" {
			t.Alias = t.Table
		}
		t.Keys = b.f.Primary[strings.ToLower(t.DB+"."+t.Table)]
		twice := slices.ContainsFunc(p.Targets, func(o Target) bool { return strings.EqualFold(o.DB, t.DB) && strings.EqualFold(o.Table, t.Table) })
		switch {
		case twice:
			b.unpicked = "it writes to " + b.name(s.text) + " under two names"
			return false
		case s.kind == kindTemporary, s.kind == kindNone:
			return false
		}
		p.Targets = append(p.Targets, t)
	}
	return len(p.Targets) > 0
}

// unordered refuses ORDER BY and LIMIT where MySQL doesn't take them: in an UPDATE of several tables.
func (b *builder) unordered(p *Pick, c *rewrite.Change) Plan {
	clause := "LIMIT"
	switch {
	case !p.Joined || b.f.Reopens || c.OrderBy.Empty() && c.Limit.Empty():
		return nil
	case !c.OrderBy.Empty():
		clause = "ORDER BY"
	}
	return &Refuse{Code: 1221, State: "HY000", Message: "Incorrect usage of " + strings.ToUpper(verb(b.st)) + " and " + clause}
}

// pickDelete has the SELECT give the keys of the rows to be deleted.
func (b *builder) pickDelete(p *Pick, n *rewrite.Norm) {
	p.Op = PickDelete
	verb := "DELETE FROM "
	if p.Ignore {
		verb = "DELETE IGNORE FROM "
	}
	for i := range p.Targets {
		t := &p.Targets[i]
		p.Rows.Text(separator(i) + columnList(t.Alias, t.Keys))
		t.Head = rewrite.New(n).Text(verb + rewrite.Quote(t.DB) + "." + rewrite.Quote(t.Table))
		t.Alias = t.Table
	}
}

func separator(i int) string {
	if i > 0 {
		return ", "
	}
	return ""
}

// pickValues has the SELECT give the values of an UPDATE. It is false where they depend on one another, as the values of a
// later column do on an earlier one that is assigned: of several tables a server assigns in an order of its own.
func (b *builder) pickValues(p *Pick, n *rewrite.Norm, c *rewrite.Change) bool {
	p.Op = PickValues
	verb := "UPDATE "
	if p.Ignore {
		verb = "UPDATE IGNORE "
	}
	if len(c.Sets) != len(b.st.Assign) {
		return false
	}
	for i := range p.Targets {
		t := &p.Targets[i]
		p.Rows.Text(separator(i) + columnList(t.Alias, t.Keys))
		for j := range c.Sets {
			if !b.assigns(p, t, j) {
				continue
			}
			for k := range c.Sets {
				if before := k < j || len(p.Targets) > 1 && k != j; before && names(n, c.Sets[j].Value, c.Sets[k].Column, b.target(p, k)) {
					b.unpicked = "a value depends on " + nameAt(n, c.Sets[k].Column.To-1) + ", which is assigned as well"
					return false
				}
			}
			value := c.Sets[j].Value
			set := Set{Column: nameAt(n, c.Sets[j].Column.To-1)}
			if set.Default = value.To-value.From == 1 && n.Tokens[value.From].Up == "DEFAULT"; !set.Default {
				p.Rows.Text(", (").Copy(value).Text(")")
			}
			t.Sets = append(t.Sets, set)
		}
		if len(t.Sets) == 0 {
			return false
		}
		t.Head = rewrite.New(n).Text(verb + rewrite.Quote(t.DB) + "." + rewrite.Quote(t.Table) + " SET")
	}
	for i := range p.Targets {
		p.Targets[i].Alias = p.Targets[i].Table
	}
	return true
}

// assigns reports whether an assignment of the statement's is one of a target's columns.
func (b *builder) assigns(p *Pick, t *Target, set int) bool { return b.target(p, set) == t }

// target is the table whose column an assignment writes; nil where that isn't known.
func (b *builder) target(p *Pick, set int) *Target {
	if len(p.Targets) == 1 {
		return &p.Targets[0]
	}
	at := b.assignedSource(&b.st.Assign[set].Col)
	if at < 0 {
		return nil
	}
	s := &b.of(0)[at]
	for i := range p.Targets {
		if t := &p.Targets[i]; strings.EqualFold(t.DB, b.dbOf(s.text)) && strings.EqualFold(t.Table, s.text.Name) {
			return t
		}
	}
	return nil
}

// names reports whether an expression may name a column of a table that is assigned; nil for any table.
func names(n *rewrite.Norm, value, column rewrite.Range, of *Target) bool {
	assigned := nameAt(n, column.To-1)
	for i := value.From; i < value.To; i++ {
		if !n.Tokens[i].IsName() || !strings.EqualFold(assigned, nameAt(n, i)) || n.Tokens[i+1].Up == "." {
			continue
		}
		if i-2 >= value.From && n.Tokens[i-1].Up == "." && of != nil && !strings.EqualFold(nameAt(n, i-2), of.Alias) {
			continue // another table's
		}
		return true
	}
	return false
}

// pickMove has the SELECT give each row's new key. It is false where another column of the primary key is assigned as well,
// by which the row is found again.
func (b *builder) pickMove(p *Pick, n *rewrite.Norm, c *rewrite.Change) bool {
	p.Op, p.Move = PickMove, b.moves
	p.Targets[0].Head = rewrite.New(n).Copy(c.Verb).Copy(c.From).Text("SET").Copy(c.Set)
	found := false
	for i := range c.Sets {
		s := &c.Sets[i]
		name := unquoted(rewrite.New(n).Copy(rewrite.Range{From: s.Column.To - 1, To: s.Column.To}).String())
		switch {
		case strings.EqualFold(name, b.moves.Key):
			if found || s.Value.To-s.Value.From == 1 && n.Tokens[s.Value.From].Up == "DEFAULT" {
				return false
			}
			found = true
			p.Rows.Text(", (").Copy(s.Value).Text(")")
		case slices.ContainsFunc(p.Targets[0].Keys, func(key string) bool { return strings.EqualFold(key, name) }):
			return false
		}
		if found && i > 0 && !strings.EqualFold(name, b.moves.Key) {
			continue
		}
		for j := s.Value.From; found && i > 0 && j < s.Value.To; j++ { // the key's value may depend on a column assigned before it
			for _, before := range c.Sets[:i] {
				if n.Tokens[j].IsName() && strings.EqualFold(nameAt(n, before.Column.To-1), nameAt(n, j)) {
					return false
				}
			}
		}
	}
	return found
}

func nameAt(n *rewrite.Norm, token int) string {
	return unquoted(rewrite.New(n).Copy(rewrite.Range{From: token, To: token + 1}).String())
}

func unquoted(name string) string { return strings.ReplaceAll(strings.Trim(name, "`"), "``", "`") }

// pickInsert has the SELECT of an INSERT give its rows.
func (b *builder) pickInsert(p *Pick, n *rewrite.Norm, c *rewrite.Change) Plan {
	if c.Select.Empty() {
		return nil
	}
	ins := b.st.Insert
	p.Op = PickInsert
	p.Rows = rewrite.New(n).Copy(c.Select)
	head := rewrite.New(n).Copy(c.Verb)
	if !c.Columns.Empty() {
		head.Text("(").Copy(c.Columns).Text(")")
	}
	p.Targets = []Target{{DB: b.dbOf(&ins.Table), Table: ins.Table.Name, Alias: ins.Table.Name, Head: head.Text("VALUES")}}
	p.returning(n, c)
	if !c.Tail.Empty() {
		p.Tail = rewrite.New(n).Copy(c.Tail).Copy(c.Returning)
	}
	return p
}

func (b *builder) dbOf(t *parse.Table) string {
	if t.DB != "" {
		return t.DB
	}
	return b.f.DB
}

// columnList are columns of a table as a select list. While they aren't known it only shows that there are some.
func columnList(alias string, columns []string) string {
	if columns == nil {
		return rewrite.Quote(alias) + ".PRIMARY"
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = rewrite.Quote(alias) + "." + rewrite.Quote(c)
	}
	return strings.Join(list, ", ")
}

func subquery(n *rewrite.Norm, r rewrite.Range) bool { return hasWord(n, r, "SELECT") }

func hasWord(n *rewrite.Norm, r rewrite.Range, word string) bool {
	for i := r.From; i < r.To; i++ {
		if n.Tokens[i].Up == word {
			return true
		}
	}
	return false
}
