package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/shardmap"
)

// While slots move, a shard may hold copies of rows that another one owns. What follows keeps statements off them.
//
// A condition that narrows a table's shards is about the rows' keys, and so about who owns them, wherever they are. A row
// that can matter to a statement is therefore owned by one of its table's shards, and where that is one shard alone, which
// is so for every One, no copy there can meet the statement's own conditions: a copy's slot is owned by another. Nor has a
// shard copies that owns all slots. So it is statements for several shards that get a condition more, Table.OwnSQL: each
// shard's part of a Many, and each fetch of a Gather. A table that a Gather reads where it finishes is narrowed to that
// shard.
//
// In a part of a Many the condition is demanded of the anchor, see together. All other sharded tables are tied to it by
// equality of their keys, and equal keys are in one slot: a row of theirs that is a copy is joined to no anchor's row that
// the shard owns. That holds for the side of an outer join that may have no row and for subqueries as well. In a UNION ALL
// each branch has an anchor, and runs on all shards of the union, also on those where it has no rows of its own.

// foreign reports whether a shard may hold rows of a table that are another's.
func foreign(t *shardmap.Table, s *shardmap.Shard) bool {
	return slices.ContainsFunc(t.Database.Moves(), func(v *shardmap.Move) bool { return v.Begun() && v.Copies() == s })
}

// strangers says in words what a shard has that isn't its own.
func strangers(d *shardmap.Database, s *shardmap.Shard) string {
	var parts []string
	for _, v := range d.Moves() {
		if v.Begun() && v.Copies() == s {
			parts = append(parts, slotList(v)+" that move, "+v.ID)
		}
	}
	return s.ID + " has copies of slots " + strings.Join(parts, ", and of ")
}

// slotList is the first of a move's slots.
func slotList(v *shardmap.Move) string {
	const most = 4
	list := shardmap.FormatSlots(v.Slots())
	if len(list) > most {
		list = append(list[:most:most], "…")
	}
	return strings.Join(list, ", ")
}

// keepOff demands of each part of a Many that it is about rows that the shard owns. anchors has a table for each place,
// which are those of the client's statement. why says why that can't be done.
func (b *builder) keepOff(p *Many, anchors []*source, places []rewrite.Place) (why string) {
	if b.explained {
		return "" // what each shard explains is planned by itself
	}
	for i := range p.Parts {
		part := &p.Parts[i]
		var edits []rewrite.Edit
		var notes []string
		for k, a := range anchors {
			if !foreign(a.table, part.Shard) {
				continue
			}
			note := strangers(a.table.Database, part.Shard)
			name, ok := b.qualifier(a)
			if !ok || len(places) != len(anchors) || b.st.Blocks[a.block].Derived {
				return note
			}
			edits = append(edits, places[k].Condition("("+a.table.OwnSQL(part.Shard.ID, name)+")")...)
			if !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
		}
		if len(edits) == 0 {
			continue
		}
		part.Why = strings.Join(notes, "; ")
		if part.SQL == nil {
			n := b.st.Norm()
			part.SQL = rewrite.New(n).Copy(n.All())
		}
		if part.SQL = part.SQL.Edited(edits); part.SQL == nil {
			return part.Why
		}
	}
	return ""
}

// Asked is where with what a shard is asked besides: to leave out the copies that it has of other shards' rows.
func (c *Copy) Asked(where string, s *shardmap.Shard) string {
	own := c.own(s)
	switch {
	case own == "":
		return where
	case where == "":
		return own
	default:
		return "(" + where + ") AND " + own
	}
}

// own is the condition for rows that are a shard's own, "" where all are.
func (c *Copy) own(s *shardmap.Shard) string {
	if c.table == nil || !foreign(c.table, s) {
		return ""
	}
	return c.table.OwnSQL(s.ID, "")
}

// qualifier is how a statement names a table in the block that reads it; false where another one there has that name too.
func (b *builder) qualifier(s *source) (string, bool) {
	name := func(s *source) string {
		if s.text.Alias != "" {
			return s.text.Alias
		}
		return s.text.Name
	}
	in := b.of(s.block)
	for i := range in {
		if &in[i] != s && strings.EqualFold(name(&in[i]), name(s)) {
			return "", false
		}
	}
	return name(s), true
}

// placesOf is where an UPDATE or DELETE takes a condition; none where that can't be told.
func (b *builder) placesOf() []rewrite.Place {
	n := b.st.Norm()
	if n == nil {
		return nil
	}
	c, ok := n.Change()
	if !ok {
		return nil
	}
	return []rewrite.Place{c.Place()}
}

// settled refuses DDL on the listed tables of a database whose slots move: the engine copies rows as the tables are.
func (b *builder) settled() Plan {
	if b.st.Is(parse.FlagTemporary) {
		return nil
	}
	for i := range b.all() {
		if s := &b.all()[i]; s.table != nil && s.text.Write {
			if p := b.moved(s.table.Database); p != nil {
				return p
			}
		}
	}
	return b.settledDatabase()
}

// hintedDDL refuses DDL that is for one shard alone, like any other: tables that differ would stop the engine, and whoever
// has to mend one of them does so at its server.
func (b *builder) hintedDDL() Plan {
	if b.st.Kind != parse.DDL || b.st.Is(parse.FlagTemporary) {
		return nil
	}
	for i := range b.st.Blocks {
		for j := range b.st.Blocks[i].Tables {
			text := &b.st.Blocks[i].Tables[j]
			if s := b.source(text, b.st.Blocks[i].Role); s.table != nil && (text.Write || isView(b.st)) {
				if p := b.moved(s.table.Database); p != nil {
					return p
				}
			}
		}
	}
	for _, d := range b.m.Databases() {
		for _, t := range d.Tables {
			if slices.Contains(b.st.Words, strings.ToLower(t.Name)) {
				if p := b.moved(d); p != nil {
					return p
				}
			}
		}
	}
	return b.settledDatabase()
}

// settledDatabase is settled for DDL on databases.
func (b *builder) settledDatabase() Plan {
	_, object, _ := strings.Cut(b.st.Name, " ")
	if object != "database" && object != "schema" || strings.HasPrefix(b.st.Name, "create ") {
		return nil
	}
	names := b.st.Qualifiers
	if len(names) == 0 {
		names = []string{b.f.DB}
	}
	for _, name := range names {
		if d := b.m.Database(name); d != nil {
			if p := b.moved(d); p != nil {
				return p
			}
		}
	}
	return nil
}

// moved refuses DDL that concerns a database, while slots of it move; nil while none do.
func (b *builder) moved(d *shardmap.Database) Plan {
	for _, v := range d.Moves() {
		if v.Begun() {
			return refuse(verb(b.st) + ": slots " + slotList(v) + " of " + d.Name + " move from " + v.From.ID + " to " + v.To.ID + " (" + v.ID + ", " + string(v.State) +
				"), and its tables stay as they are until that is over: see shardctl rebalance status")
		}
	}
	return nil
}
