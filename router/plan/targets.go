package plan

import (
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// targets checks what the statement writes: tables that are on several shards can be written only where the key says
// where.
func (b *builder) targets() Plan {
	switch b.st.Kind {
	case parse.Admin:
		if p := b.maintained(); p != nil {
			return p
		}
		return nil
	case parse.Show:
		return b.sized()
	case parse.Select:
		return b.sizedSelect()
	case parse.Lock, parse.LoadData, parse.Handler:
		for i := range b.all() {
			if r := b.allShards(&b.all()[i]); r != nil {
				return r
			}
		}
		return nil
	case parse.DDL:
		if p := b.settled(); p != nil {
			return p
		}
		if p := b.databases(); p != nil {
			return p
		}
		return b.defined()
	default:
	}
	for i := range b.all() {
		if s := &b.all()[i]; s.written && s.kind == kindReference {
			b.writesCopy(s)
		}
	}
	if b.st.Insert != nil {
		if r := b.insert(b.st.Insert); r != nil {
			return r
		}
	}
	return b.assigned()
}

// writesCopy takes over that the statement writes to a table of which each shard has a copy.
func (b *builder) writesCopy(s *source) {
	b.wrote = s.table
	in := owners(s.table, b.m)
	if in.count() > 1 || b.st.Insert != nil && s.table.Sequence != "" {
		b.copies = s.table
		return
	}
	b.need.or(in)
}

// allShards refuses a statement that would have to act on each of a table's shards.
func (b *builder) allShards(s *source) Plan {
	if s.kind != kindSharded && s.kind != kindReference {
		return nil
	}
	in := owners(s.table, b.m)
	if in.count() == 1 {
		return nil
	}
	if b.st.Kind == parse.LoadData && b.st.Is(parse.FlagLocalInfile) {
		return b.load(s.table, in)
	}
	what := " is on "
	if s.kind == kindReference {
		what = " is a reference table with a copy on each of "
	}
	advice := "run it on each shard in turn, with " + b.hint() + " and so on"
	switch {
	case s.kind == kindReference:
	case b.st.Kind == parse.LoadData:
		advice = "split the file by shard and load each part with " + b.hint() + " and so on, or send INSERTs"
	case b.st.Kind == parse.Handler:
		advice = "use SELECT, or name a shard with " + b.hint()
	}
	return refuse(verb(b.st) + ": " + fullName(s.table) + what + in.names(b.m) + ": " + advice)
}

// load plans a LOAD DATA LOCAL into a table on several shards. A session that is on a shard already has to stay there,
// which shows with the file's rows.
func (b *builder) load(t *shardmap.Table, in set) Plan {
	p := &Load{Table: t}
	for _, s := range b.m.Shards() {
		if in.has(s.Index) {
			p.Shards = append(p.Shards, s)
		}
	}
	return p
}

// assigned refuses an UPDATE of a key: the row would stay on the shard of its old key.
func (b *builder) assigned() Plan {
	for i := range b.st.Assign {
		a := &b.st.Assign[i]
		t := b.assignedTable(&a.Col)
		one := t != nil && onOne(t)
		if t == nil || one && !inMotion(t.Database) {
			continue
		}
		if whole := t.KeyType.Integer() || !t.KeyType.Declared() && t.Placement == shardmap.Mod; !a.Counted || whole {
			if b.sameKey(a) || b.sameSlot(a, t) {
				continue
			}
		}
		if one {
			b.wrote = t
			continue
		}
		clause := "SET"
		if b.st.Insert != nil {
			clause = "ON DUPLICATE KEY UPDATE"
		} else if len(b.st.Blocks[0].Tables) == 1 && !b.explained {
			b.moves = t
			continue
		}
		return refuse(clause + " assigns " + fullName(t) + "." + t.Key +
			", the key that decides the row's shard: delete the row and insert it with its new key")
	}
	return nil
}

// assignedTable is the sharded table whose key an assignment writes, or nil.
func (b *builder) assignedTable(col *parse.Column) *shardmap.Table {
	if ins := b.st.Insert; ins != nil {
		s := b.source(&ins.Table, parse.RoleQuery)
		if s.kind == kindSharded && strings.EqualFold(col.Name, s.table.Key) {
			return s.table
		}
		return nil
	}
	for i := range b.all() {
		s := &b.all()[i]
		if s.kind != kindSharded || b.st.Blocks[s.block].Role == parse.RoleQuery || !s.written || !strings.EqualFold(col.Name, s.table.Key) {
			continue
		}
		if col.Table >= 0 && (col.Block != s.block || &b.of(s.block)[col.Table] != s) {
			continue
		}
		return s.table
	}
	return nil
}

// sameKey is for `id = id`, which changes nothing, and `id = VALUES(id)`: the key of the row to insert, whose shard this is.
func (b *builder) sameKey(a *parse.Assignment) bool {
	v := &a.Val
	if v.Kind == parse.OperandInserted {
		return strings.EqualFold(v.Col.Name, a.Col.Name)
	}
	if ins := b.st.Insert; ins != nil && ins.Rows != nil {
		own := func(c *parse.Column) bool { return c.Qualifier == "" || strings.EqualFold(c.Qualifier, ins.Table.Name) }
		return v.Kind == parse.OperandColumn && strings.EqualFold(v.Col.Name, a.Col.Name) && own(&v.Col) && own(&a.Col)
	}
	return v.Kind == parse.OperandColumn && strings.EqualFold(v.Col.Name, a.Col.Name) &&
		v.Col.Table == a.Col.Table && v.Col.Block == a.Col.Block &&
		strings.EqualFold(v.Col.Qualifier, a.Col.Qualifier) && strings.EqualFold(v.Col.DB, a.Col.DB)
}

// sameSlot is for `SET id = 7 … WHERE id = 7`, as programs write that save all columns: the row stays in its slot. So
// does the one row that an INSERT finds instead of storing its own.
func (b *builder) sameSlot(a *parse.Assignment, t *shardmap.Table) bool {
	loc := t.Locate(b.value(&a.Val), b.store(false))
	if loc.Kind != shardmap.Placed {
		return false
	}
	if b.st.Insert != nil {
		return b.ins.table == t && b.ins.op != nil && b.ins.slot == loc.Slot
	}
	found := false
	for i := range b.all() {
		s := &b.all()[i]
		if s.table != t || b.st.Blocks[s.block].Role == parse.RoleQuery {
			continue
		}
		if s.op == nil || s.slot != loc.Slot || s.in.count() != 1 {
			return false
		}
		found = true
	}
	return found
}

// store is how a value is stored in this session.
func (b *builder) store(ignore bool) shardmap.Use {
	if b.f.Strict && !ignore {
		return shardmap.Insert
	}
	return shardmap.InsertLax
}
