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
	Op        PickOp
	Rows      *rewrite.Template
	DB, Table string // whose rows are written
	// Keys are the columns of the table's primary key, which Rows gives first. They are nil as long as Facts.Primary is.
	Keys []string
	// Alias is how Head names the table.
	Alias string
	// Head begins the statements that write, up to the conditions or the rows. Tail ends them; nil: nothing does.
	Head, Tail *rewrite.Template
	// Move is the table whose key PickMove assigns.
	Move   *shardmap.Table
	Ignore bool // the statement is one with IGNORE, which may leave out rows that were chosen
	// Sets are the columns that get the values which Rows gives after the keys, for PickValues.
	Sets []string
	Why  string

	touches touches
}

// PickOp is what is done with the rows.
type PickOp uint8

// What is done with the rows.
const (
	PickDelete PickOp = iota // they are deleted by their keys
	PickUpdate               // Head is run for their keys
	PickValues               // Sets get the values that Rows gives, row by row
	PickInsert               // they are inserted
	PickMove                 // Head is run for each, and then the row goes to the shard of its new key, which Rows gives after the keys
)

func (*Pick) plan() {}

// String is "pick: the SELECT; then …; why".
func (p *Pick) String() string {
	return "pick " + p.Rows.String() + "; then " + p.Head.String() + " …; " + p.Why
}

// picked is the plan that chooses the rows first; nil where that can't be done.
func (b *builder) picked(why string) Plan {
	st := b.st
	n := st.Norm()
	if n == nil || b.explained || st.Flags&(tiedToOne|parse.FlagReturning) != 0 || b.locks || b.sequence {
		return nil
	}
	c, ok := n.Change()
	if !ok {
		return nil
	}
	p := &Pick{Why: why, Ignore: hasWord(n, c.Verb, "IGNORE")}
	if st.Insert != nil {
		return b.pickInsert(p, n, c)
	}
	target := b.onlyTarget()
	if target == nil || target.kind == kindTemporary {
		return nil
	}
	p.DB, p.Table, p.Alias = b.dbOf(target.text), target.text.Name, target.text.Alias
	if p.Alias == "" {
		p.Alias = p.Table
	}
	p.Keys = b.f.Primary
	joined := len(st.Blocks[0].Tables) > 1
	p.Rows = rewrite.New(n).Text("SELECT")
	if joined {
		p.Rows.Text("DISTINCT")
	}
	p.Rows.Text(columnList(p.Alias, p.Keys))
	switch {
	case st.Kind == parse.Delete:
		p.Op = PickDelete
		verb := "DELETE FROM "
		if p.Ignore {
			verb = "DELETE IGNORE FROM "
		}
		p.Head = rewrite.New(n).Text(verb + rewrite.Quote(p.DB) + "." + rewrite.Quote(p.Table))
		p.Alias = p.Table
	case b.moves != nil:
		if joined || subquery(n, c.Set) || !b.pickMove(p, n, c) {
			return nil
		}
	case !joined && !subquery(n, c.Set) && (b.copies == nil || !b.random()):
		p.Op = PickUpdate
		p.Head = rewrite.New(n).Copy(c.Verb).Copy(c.From).Text("SET").Copy(c.Set)
	default:
		if !b.pickValues(p, n, c) {
			return nil
		}
	}
	p.Rows.Text("FROM").Copy(c.From).Copy(c.Where).Copy(c.OrderBy).Copy(c.Limit)
	return p
}

// pickValues has the SELECT give the values of an UPDATE. It is false where they depend on one another, as the values of a
// later column do on an earlier one that is assigned.
func (b *builder) pickValues(p *Pick, n *rewrite.Norm, c *rewrite.Change) bool {
	p.Op = PickValues
	verb := "UPDATE "
	if p.Ignore {
		verb = "UPDATE IGNORE "
	}
	p.Head = rewrite.New(n).Text(verb + rewrite.Quote(p.DB) + "." + rewrite.Quote(p.Table) + " SET")
	for i, s := range c.Sets {
		if s.Value.To-s.Value.From == 1 && n.Tokens[s.Value.From].Up == "DEFAULT" {
			return false
		}
		name := rewrite.New(n).Copy(rewrite.Range{From: s.Column.To - 1, To: s.Column.To}).String()
		for j := s.Value.From; i > 0 && j < s.Value.To; j++ {
			for _, before := range p.Sets {
				if n.Tokens[j].IsName() && strings.EqualFold(unquoted(before), nameAt(n, j)) {
					return false
				}
			}
		}
		p.Sets = append(p.Sets, name)
		p.Rows.Text(", (").Copy(s.Value).Text(")")
	}
	p.Alias = p.Table
	return true
}

// pickMove has the SELECT give each row's new key. It is false where another column of the primary key is assigned as well,
// by which the row is found again.
func (b *builder) pickMove(p *Pick, n *rewrite.Norm, c *rewrite.Change) bool {
	p.Op, p.Move = PickMove, b.moves
	p.Head = rewrite.New(n).Copy(c.Verb).Copy(c.From).Text("SET").Copy(c.Set)
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
		case slices.ContainsFunc(p.Keys, func(key string) bool { return strings.EqualFold(key, name) }):
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
	p.Op, p.DB, p.Table, p.Alias = PickInsert, b.dbOf(&ins.Table), ins.Table.Name, ins.Table.Name
	p.Rows = rewrite.New(n).Copy(c.Select)
	p.Head = rewrite.New(n).Copy(c.Verb)
	if !c.Columns.Empty() {
		p.Head.Text("(").Copy(c.Columns).Text(")")
	}
	p.Head.Text("VALUES")
	if !c.Tail.Empty() {
		p.Tail = rewrite.New(n).Copy(c.Tail)
	}
	return p
}

// onlyTarget is the one table that the statement writes to, nil when there are several.
func (b *builder) onlyTarget() *source {
	var target *source
	for i := range b.all() {
		s := &b.all()[i]
		if !s.text.Write || b.st.Blocks[s.block].Role == parse.RoleQuery {
			continue
		}
		if target != nil {
			return nil
		}
		target = s
	}
	return target
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
