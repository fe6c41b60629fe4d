package plan

import (
	"slices"

	"shardway/router/parse"
	"shardway/shardmap"
)

// touches is what a plan says of slots that are on their way to another shard.
type touches struct {
	moves  []*shardmap.Move
	writes bool
}

// Moving returns the moves whose slots the statement of a plan may touch, in no order, nil for none. All of them have begun.
// Reads and writes are alike here, see Writes. It says of a statement what its text and values say: rows that it reaches by
// a trigger or a foreign key are no matter of it.
func Moving(p Plan) []*shardmap.Move {
	if t := touched(p); t != nil {
		return t.moves
	}
	return nil
}

// Writes reports whether the statement of a plan that touches moving slots may change or lock their rows, so that it waits
// while they are paused. It is false where Moving has nothing.
func Writes(p Plan) bool {
	t := touched(p)
	return t != nil && t.writes
}

// touched is where a plan keeps what it touches; nil for plans that reach no rows.
func touched(p Plan) *touches {
	switch p := p.(type) {
	case *One:
		return &p.touches
	case *Many:
		return &p.touches
	case *Gather:
		return &p.touches
	case *Pick:
		return &p.touches
	case *Load:
		return &p.touches
	case *Each:
		return &p.touches
	default:
		return nil
	}
}

// mark notes in a plan which moves its statement touches.
func (b *builder) mark(p Plan) Plan {
	t := touched(p)
	if t == nil {
		return p
	}
	if one, ok := p.(*One); ok && b.blind() {
		b.markShard(t, one.Shard)
	}
	for i := range b.all() {
		s := &b.all()[i]
		switch {
		case s.table == nil || b.st.Kind == parse.Show || b.st.Kind == parse.Describe:
		case s.kind == kindReference && s.written:
			t.addCopied(s.table.Database)
		case s.kind == kindSharded && s.in.all: // LOAD DATA and the like
			t.add(s.table.Database, ^uint64(0))
		case s.kind == kindSharded:
			t.add(s.table.Database, s.in.moving)
		}
	}
	if ins := b.ins.table; ins != nil {
		b.markInsert(t)
	}
	for _, table := range [...]*shardmap.Table{b.wrote, b.moves} {
		switch {
		case table == nil:
		case table.Reference:
			t.addCopied(table.Database)
		default:
			pick, ok := p.(*Pick)
			t.add(table.Database, b.going(table.Database, !ok || pick.Ignore))
		}
	}
	if t.moves != nil {
		t.writes = changes(b.st)
	}
	return p
}

// markInsert is for the rows that an INSERT stores.
func (b *builder) markInsert(t *touches) {
	d := b.ins.table.Database
	if b.pick != "" {
		t.add(d, ^uint64(0))
		return
	}
	t.add(d, b.ins.in.moving)
	if b.st.Kind != parse.Replace && len(b.st.Assign) == 0 {
		return
	}
	// A row that is found by another unique index is on the same shard, and may be of any slot there.
	for _, v := range d.Moves() {
		if b.ins.in.has(v.From.Index) || b.ins.in.has(v.To.Index) {
			t.add(d, moveBit(v))
		}
	}
}

// going are the moves of the slots to which a statement takes rows of a database whose keys it assigns, all moves where that
// isn't known. lax says that a server might store another value than the one that is assigned.
func (b *builder) going(d *shardmap.Database, lax bool) uint64 {
	var to set
	for i := range b.st.Assign {
		a := &b.st.Assign[i]
		t := b.assignedTable(&a.Col)
		if t == nil || t.Database != d {
			continue
		}
		loc := t.Locate(b.value(&a.Val), b.store(lax))
		if a.Counted || loc.Kind != shardmap.Placed {
			return ^uint64(0)
		}
		to.or(ofSlot(t, &loc))
	}
	return to.moving
}

// inMotion reports whether slots of a database move.
func inMotion(d *shardmap.Database) bool {
	return slices.ContainsFunc(d.Moves(), (*shardmap.Move).Begun)
}

// insertedOn is the one shard of a table for the rows that an INSERT stores, with the moves of those slots that are known
// to be theirs.
func (b *builder) insertedOn(ins *parse.Insertion, t *shardmap.Table) set {
	columns := ins.Columns
	if columns == nil {
		columns = b.f.Columns
	}
	at := columnAt(columns, t.Key)
	if !inMotion(t.Database) || at < 0 || len(ins.Rows) == 0 || ins.Select >= 0 {
		return rows(t, b.m)
	}
	var in set
	for _, row := range ins.Rows {
		if at >= len(row) {
			return rows(t, b.m)
		}
		loc, problem := b.stored(&row[at], t, ins.Ignore)
		if problem != "" {
			return rows(t, b.m)
		}
		in.or(ofSlot(t, &loc))
	}
	return in
}

// blind reports whether it isn't known which rows on its shard a statement changes.
func (b *builder) blind() bool {
	switch {
	case !changes(b.st):
		return false
	case b.st.Hints.Shard != "", b.st.Is(parse.FlagStoredFunction), b.st.Is(parse.FlagDynamic):
		return true
	}
	switch b.st.Kind {
	case parse.Call, parse.Execute, parse.Unparsed, parse.Handler, parse.XA:
		return true
	default:
		return false
	}
}

// markShard is for a statement that may change any row on a shard.
func (b *builder) markShard(t *touches, s *shardmap.Shard) {
	for _, d := range b.m.Databases() {
		for _, v := range d.Moves() {
			if v.From == s || v.To == s {
				t.add(d, moveBit(v))
			}
		}
	}
}

// add adds those begun moves of a database that have their bit among bits.
func (t *touches) add(d *shardmap.Database, bits uint64) {
	for _, v := range d.Moves() {
		if v.Begun() && bits&moveBit(v) != 0 && !slices.Contains(t.moves, v) {
			t.moves = append(t.moves, v)
		}
	}
}

// addCopied adds the moves that a write to a reference table touches: those that take the table along, as a shard has its
// copies for them and isn't written to yet. All other shards do what the statement says, whoever owns which slots.
func (t *touches) addCopied(d *shardmap.Database) {
	for _, v := range d.Moves() {
		if !d.Holds(v.Copies()) {
			t.add(d, moveBit(v))
		}
	}
}

// changes reports whether a statement may change or lock rows.
func changes(st *parse.Statement) bool {
	switch st.Kind {
	case parse.Insert, parse.Replace, parse.Update, parse.Delete, parse.LoadData, parse.Call, parse.DDL, parse.Unparsed,
		parse.Lock, parse.Handler, parse.Execute, parse.XA:
		return true
	case parse.Explain:
		return st.Name == "analyze" && changes(st.Inner) // which runs it
	case parse.Set:
		return st.Inner != nil && changes(st.Inner)
	default:
		return st.Is(parse.FlagLocks) || st.Is(parse.FlagStoredFunction)
	}
}
