package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/router/plan/scatter"
)

// together reports whether each shard can answer for its own rows: every row of the outermost block has a row of one
// sharded table, the anchor, in it, and whatever else matters to it is on the same shard, because it has the same key or
// is a copy that every shard has. why says what isn't so.
type together struct {
	b        *builder
	attached []bool // by source: its rows that matter are where the anchor's row is
	base     []int  // by block: its first source
	anchor   *source
	anchors  []*source // each branch of a UNION ALL has one
	in       set       // the shards of all anchors
}

func (b *builder) together() (t *together, why string) {
	t = &together{b: b, attached: make([]bool, len(b.all())), base: make([]int, len(b.st.Blocks))}
	n := 0
	for i := range b.st.Blocks {
		t.base[i] = n
		n += len(b.st.Blocks[i].Tables)
	}
	for i := range b.st.Blocks {
		if why := t.block(i); why != "" {
			return nil, why
		}
	}
	return t, ""
}

// block attaches the tables of one block; the blocks around it are done.
func (t *together) block(blk int) (why string) {
	b := t.b
	in := b.of(blk)
	shape := &b.st.Blocks[blk]
	outermost := shape.Parent < 0 && !shape.Derived
	if outermost {
		if s := b.st.Shape(); blk > 0 && (s == nil || !s.Union) {
			return "UNION and the like"
		}
		t.drop(blk, in)
	}
	for changed := true; changed; {
		changed = false
		for i := range in {
			if in[i].kind != kindSharded || t.attached[t.base[blk]+i] {
				continue
			}
			if t.tied(shape.Where, blk, in, i) || in[i].text.Outer && t.tied(in[i].text.On, blk, in, i) {
				t.attached[t.base[blk]+i], changed = true, true
			}
		}
	}
	sharded := false
	for i := range in {
		s := &in[i]
		switch s.kind {
		case kindWhole:
			return b.name(s.text) + " is whole on " + s.in.names(b.m)
		case kindTemporary:
			return b.name(s.text) + " is a temporary table of the session"
		case kindSharded:
			sharded = true
			if !t.attached[t.base[blk]+i] {
				return t.loose(s, outermost)
			}
		case kindNone, kindReference:
		}
	}
	switch {
	case outermost && t.anchor == nil:
		return "every row would come from each shard"
	case !outermost && !sharded && shape.Limit && len(in) > 0:
		return "LIMIT in a subquery might take other rows on each shard"
	case shape.Derived && b.random():
		return "a subquery in FROM with a function that gives another value at each call"
	}
	return ""
}

// drop anchors a block at the first sharded table that has a row in each row of the block, or in each row of a derived
// table that has one.
func (t *together) drop(blk int, in []source) {
	t.anchor = nil
	for i := range in {
		if inner := in[i].text.Source; inner >= 0 && !in[i].text.Outer && t.b.st.Blocks[inner].Plain && t.sharded(inner) {
			t.drop(inner, t.b.of(inner))
			if t.anchor != nil {
				return
			}
			continue
		}
		if in[i].kind == kindSharded && !in[i].text.Outer {
			t.anchor = &in[i]
			t.anchors = append(t.anchors, t.anchor)
			t.in.or(in[i].in)
			t.attached[t.base[blk]+i] = true
			return
		}
	}
}

// sharded reports whether a block, or a derived table in it, reads a sharded table.
func (t *together) sharded(blk int) bool {
	in := t.b.of(blk)
	for i := range in {
		if in[i].kind == kindSharded || in[i].text.Source >= 0 && t.b.st.Blocks[in[i].text.Source].Plain && t.sharded(in[i].text.Source) {
			return true
		}
	}
	return false
}

// loose says that a table isn't tied to the others.
func (t *together) loose(s *source, outermost bool) string {
	switch {
	case t.anchor == nil:
		return aliased(s) + " is on the side of an outer join that may have no row, and no other sharded table is joined to it"
	case outermost:
		return aliased(s) + " isn't joined to " + aliased(t.anchor) + " by equality of their keys"
	default:
		return "a subquery reads " + aliased(s) + " and isn't bound to the outer row's key"
	}
}

// tied reports whether the rows of table i that meet a condition have the key of an attached table's row.
func (t *together) tied(c *parse.Cond, blk int, in []source, i int) bool {
	if c == nil {
		return false
	}
	switch c.Op {
	case parse.CondAnd:
		for _, arg := range c.Args {
			if t.tied(arg, blk, in, i) {
				return true
			}
		}
	case parse.CondOr:
		for _, arg := range c.Args {
			if !t.tied(arg, blk, in, i) {
				return false
			}
		}
		return len(c.Args) > 0
	case parse.CondEqual:
		if len(c.Vals) != 1 || c.Vals[0].Kind != parse.OperandColumn {
			return false
		}
		left, right := &c.Col, &c.Vals[0].Col
		return isKey(left, blk, in, i) && t.holds(right, blk, in, i) || isKey(right, blk, in, i) && t.holds(left, blk, in, i)
	case parse.CondNever:
		return true
	case parse.CondUnknown, parse.CondNullSafeEqual, parse.CondIn, parse.CondExists:
	}
	return false
}

// holds reports whether a column is the key of an attached table that is alike to table i.
func (t *together) holds(col *parse.Column, blk int, in []source, i int) bool {
	if s := t.b.outer(col, blk); s != nil {
		return t.attached[t.base[col.Block]+col.Table] && alike(in[i].table, s.table)
	}
	for j := range in {
		if j != i && isKey(col, blk, in, j) && t.attached[t.base[blk]+j] && alike(in[i].table, in[j].table) {
			return true
		}
	}
	return false
}

// key is the table that has a row in each row of the outermost block, and whose key a column of that block is.
func (t *together) key(db, table, name string) *source {
	in := t.b.of(0)
	for i := range in {
		if in[i].kind != kindSharded || in[i].text.Outer || !strings.EqualFold(name, in[i].table.Key) {
			continue
		}
		if table == "" || t.named(&in[i], db, table) {
			return &in[i]
		}
	}
	return nil
}

// Key implements scatter.Tables.
func (t *together) Key(db, table, name string) (integer, ok bool) {
	s := t.key(db, table, name)
	return s != nil && s.table.KeyType.Integer(), s != nil
}

// Keyed implements scatter.Tables.
func (t *together) Keyed(table string) bool {
	in := t.b.of(0)
	for i := range in {
		if in[i].kind == kindSharded && !in[i].text.Outer && (table == "" || t.named(&in[i], "", table)) {
			return true
		}
	}
	return false
}

// Has implements scatter.Tables.
func (t *together) Has(column string) scatter.Presence {
	b, out := t.b, scatter.Absent
	for i := range b.st.Blocks[0].Tables {
		table := &b.st.Blocks[0].Tables[i]
		if table.Source >= 0 || table.Name == "" {
			return scatter.Unknown
		}
		db := table.DB
		if db == "" {
			db = b.f.DB
		}
		columns, ok := b.f.Tables[strings.ToLower(db+"."+table.Name)]
		switch {
		case !ok:
			out, b.ask = scatter.Unknown, true
		case slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, column) }):
			return scatter.Present
		}
	}
	return out
}

// named reports whether a qualifier means a table.
func (t *together) named(s *source, db, table string) bool {
	if s.text.Alias != "" {
		return db == "" && s.text.Alias == table
	}
	if db != "" && s.text.DB != "" && !strings.EqualFold(db, s.text.DB) {
		return false
	}
	return s.text.Name == table
}

// random reports whether the statement names a function that gives another value at each call.
func (b *builder) random() bool {
	n := b.st.Norm()
	if b.explained {
		return false
	}
	if n == nil {
		return true
	}
	for i := range n.Tokens {
		switch n.Tokens[i].Up {
		case "RAND", "UUID", "SYSDATE", "SYS_GUID", "RANDOM_BYTES":
			return true
		}
	}
	return false
}
