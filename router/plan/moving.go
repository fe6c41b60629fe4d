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

// Moving returns the moves whose slots the statement of a plan may touch, nil for none: those that have begun, ordered by
// database and id. Reads and writes are alike here, see Writes.
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
	if b.st.Hints.Shard != "" {
		b.markHinted(t)
	}
	for i := range b.all() {
		s := &b.all()[i]
		if s.table != nil && (s.kind == kindSharded || s.kind == kindReference && s.text.Write) {
			t.add(s.table.Database)
		}
	}
	for _, table := range [...]*shardmap.Table{b.ins.table, b.copies} {
		if table != nil {
			t.add(table.Database)
		}
	}
	t.writes = t.moves != nil && changes(b.st)
	return p
}

// markHinted is for the hint shard=NAME, by which a write may change any row on that shard.
func (b *builder) markHinted(t *touches) {
	if !changes(b.st) {
		return
	}
	for _, d := range b.m.Databases() {
		for _, v := range d.Moves() {
			if v.Begun() && (v.From.ID == b.st.Hints.Shard || v.To.ID == b.st.Hints.Shard) {
				t.moves = append(t.moves, v)
			}
		}
	}
}

// add adds the begun moves of a database.
func (t *touches) add(d *shardmap.Database) {
	for _, v := range d.Moves() {
		if v.Begun() && !slices.Contains(t.moves, v) {
			t.moves = append(t.moves, v)
		}
	}
}

// changes reports whether a statement may change or lock rows.
func changes(st *parse.Statement) bool {
	switch st.Kind {
	case parse.Insert, parse.Replace, parse.Update, parse.Delete, parse.LoadData, parse.Call, parse.DDL, parse.Unparsed,
		parse.Lock, parse.Handler, parse.Execute, parse.XA:
		return true
	case parse.Admin:
		return st.Name != "checksum table"
	case parse.Explain:
		return st.Name == "analyze" && changes(st.Inner) // which runs it
	case parse.Set:
		return st.Inner != nil && changes(st.Inner)
	default:
		return st.Is(parse.FlagLocks) || st.Is(parse.FlagStoredFunction)
	}
}
