package plan

import (
	"strings"

	"shardway/router/parse"
	"shardway/router/plan/define"
	"shardway/shardmap"
)

// kind is how the map sees one table of a block.
type kind uint8

const (
	kindNone      kind = iota // a derived table, a CTE, a table function, an INSERT's target: binds nothing itself
	kindSharded               // rows are on the shards in source.in
	kindReference             // every shard has all of it
	kindWhole                 // not listed: all of it is on one shard
	kindTemporary             // on the session's pinned connection
)

// source is one table of a block with the shards on which rows of it can matter to the statement.
type source struct {
	kind  kind
	block int
	table *shardmap.Table // listed tables
	text  *parse.Table
	in    set
	// written says that the statement writes to it.
	written bool
	// by is the condition that narrowed in, for messages; op and slot are set when that was a single value.
	by   *parse.Cond
	op   *parse.Operand
	slot int
}

// fuel bounds the visits of conditions in one Build. Without any left, conditions stop narrowing: more is refused,
// nothing is misplaced.
const fuel = 100_000

// sources lists the tables of all blocks, and narrows each to the shards on which its rows can matter. Blocks come
// parents first, so a block that is correlated to an outer one finds the outer tables narrowed already.
func (b *builder) sources() {
	b.fuel = fuel
	for i := range b.st.Blocks {
		blk := &b.st.Blocks[i]
		for j := range blk.Tables {
			s := b.source(&blk.Tables[j], blk.Role)
			s.block = i
			b.add(s)
		}
		b.bind(i)
	}
	b.writes()
}

// all are the tables of all blocks. The few of an ordinary statement are kept in the builder itself, off the heap.
func (b *builder) all() []source {
	if b.tables != nil {
		return b.tables
	}
	return b.few[:b.n]
}

// add appends one table; slices that all and of gave before are stale then.
func (b *builder) add(s source) {
	switch {
	case b.tables != nil:
		b.tables = append(b.tables, s)
	case b.n < len(b.few):
		b.few[b.n] = s
		b.n++
	default:
		b.tables = append(append(make([]source, 0, 4*len(b.few)), b.few[:]...), s)
	}
}

// of are the tables of one block, in the order of Block.Tables.
func (b *builder) of(blk int) []source {
	from := 0
	for i := range blk {
		from += len(b.st.Blocks[i].Tables)
	}
	return b.all()[from : from+len(b.st.Blocks[blk].Tables)]
}

// source looks one table up in the temporary tables and in the map.
func (b *builder) source(t *parse.Table, role parse.Role) source {
	s := source{text: t, written: t.Write}
	if t.Name == "" || t.Source >= 0 || role == parse.RoleInsertTarget && b.st.Insert != nil {
		return s
	}
	db := t.DB
	if db == "" {
		db = b.f.DB
	}
	if b.temporary(db, t.Name) {
		s.kind = kindTemporary
		return s
	}
	if db == "" {
		return s // error 1046 from whichever server
	}
	s.table = b.m.Table(db, t.Name)
	switch {
	case s.table == nil:
		s.kind, s.in = kindWhole, only(b.home(db))
	case s.table.Reference:
		s.kind = kindReference
	default:
		s.kind, s.in = kindSharded, everywhere
	}
	return s
}

// bind narrows the tables of one block by its conditions, until nothing changes any more.
func (b *builder) bind(blk int) {
	tables := b.st.Blocks[blk].Tables
	in := b.of(blk)
	for range len(in) + 1 {
		linked, changed := false, false
		if w := b.st.Blocks[blk].Where; w != nil {
			linked, changed = b.narrow(w, blk, in, false)
		}
		for i := range tables {
			if tables[i].On == nil || in[i].kind != kindSharded {
				continue
			}
			// An outer join's ON says nothing of the tables on its preserved side: it narrows a copy.
			var buf [4]source
			try := append(buf[:0], in...)
			l, _ := b.narrow(tables[i].On, blk, try, false)
			linked = linked || l
			if in[i].in.and(try[i].in) {
				changed = true
				in[i].by, in[i].op, in[i].slot = try[i].by, try[i].op, try[i].slot
			}
		}
		if !linked || !changed {
			return
		}
	}
}

// narrow takes from each table in the block the shards whose rows can't meet the condition. linked says that it
// compares columns with one another, so that what it narrows depends on what was narrow before.
func (b *builder) narrow(c *parse.Cond, blk int, in []source, inAnd bool) (linked, changed bool) {
	if b.fuel--; b.fuel < 0 {
		return false, false
	}
	switch c.Op {
	case parse.CondAnd:
		for range len(in) + 1 {
			again := false
			for _, arg := range c.Args {
				l, ch := b.narrow(arg, blk, in, true)
				linked, again = linked || l, again || ch
			}
			changed = changed || again
			if inAnd || !linked || !again {
				break
			}
		}
	case parse.CondOr:
		linked, changed = b.narrowOr(c, blk, in)
	case parse.CondEqual, parse.CondNullSafeEqual:
		if len(c.Vals) != 1 {
			return false, false
		}
		if c.Vals[0].Kind != parse.OperandColumn {
			changed = b.narrowValue(c, blk, in)
		} else if c.Op == parse.CondEqual {
			// NULL <=> NULL is true of the rows that outer joins make up, so <=> between columns proves nothing.
			linked, changed = true, b.narrowLink(c, blk, in)
		}
	case parse.CondIn:
		linked, changed = b.narrowIn(c, blk, in)
	case parse.CondNever:
		for i := range in {
			if in[i].kind == kindSharded && in[i].in.and(set{}) {
				in[i].by, in[i].op, changed = c, nil, true
			}
		}
	case parse.CondUnknown, parse.CondExists:
	}
	return linked, changed
}

// narrowOr leaves each table the shards that any of the branches leaves it.
func (b *builder) narrowOr(c *parse.Cond, blk int, in []source) (linked, changed bool) {
	if len(c.Args) == 0 {
		return false, false
	}
	var sumBuf, tryBuf [4]source
	sum := append(sumBuf[:0], in...)
	for i := range sum {
		sum[i].in = set{}
	}
	for _, arg := range c.Args {
		try := append(tryBuf[:0], in...)
		l, _ := b.narrow(arg, blk, try, false)
		linked = linked || l
		for i := range try {
			sum[i].in.or(try[i].in)
		}
	}
	for i := range in {
		if in[i].kind == kindSharded && in[i].in.and(sum[i].in) {
			in[i].by, in[i].op, changed = c, nil, true
		}
	}
	return linked, changed
}

// narrowValue is for key = value.
func (b *builder) narrowValue(c *parse.Cond, blk int, in []source) (changed bool) {
	op := &c.Vals[0]
	for i := range in {
		if !isKey(&c.Col, blk, in, i) {
			continue
		}
		v := b.value(op)
		if v.Kind == shardmap.Null && c.Op == parse.CondNullSafeEqual {
			continue // rows without a key are nowhere by rule, but may be anywhere in fact
		}
		t, use := in[i].table, shardmap.Equal
		if c.InRow {
			use = shardmap.Compare
		}
		switch loc := t.Locate(v, use); loc.Kind {
		case shardmap.Placed:
			if in[i].in.and(ofSlot(t, &loc)) {
				in[i].by, in[i].op, in[i].slot, changed = c, op, loc.Slot, true
			}
		case shardmap.Nowhere:
			if in[i].in.and(set{}) {
				in[i].by, in[i].op, changed = c, nil, true
			}
		case shardmap.Unknown:
		}
	}
	return changed
}

// narrowLink is for key = key: rows with equal keys are on one shard.
func (b *builder) narrowLink(c *parse.Cond, blk int, in []source) (changed bool) {
	left, right := &c.Col, &c.Vals[0].Col
	changed = b.follow(c, left, right, blk, in)
	return b.follow(c, right, left, blk, in) || changed
}

// follow narrows the tables whose key is to by those whose key is from.
func (b *builder) follow(c *parse.Cond, to, from *parse.Column, blk int, in []source) (changed bool) {
	for i := range in {
		if !isKey(to, blk, in, i) {
			continue
		}
		at := func(s *source) {
			if s != &in[i] && alike(in[i].table, s.table) && in[i].in.and(s.in) {
				in[i].by, in[i].op, changed = c, nil, true
			}
		}
		if s := b.outer(from, blk); s != nil {
			at(s)
			continue
		}
		for j := range in {
			if isKey(from, blk, in, j) {
				at(&in[j])
			}
		}
	}
	return changed
}

// narrowIn is for key IN (values).
func (b *builder) narrowIn(c *parse.Cond, blk int, in []source) (linked, changed bool) {
	for k := range c.Vals {
		linked = linked || c.Vals[k].Kind == parse.OperandColumn
	}
	for i := range in {
		if !isKey(&c.Col, blk, in, i) {
			continue
		}
		var sum set
		for k := range c.Vals {
			sum.or(b.member(&c.Vals[k], blk, in, i))
			if sum.all {
				break
			}
		}
		if in[i].in.and(sum) {
			in[i].by, in[i].op, changed = c, nil, true
			if len(c.Vals) == 1 {
				if loc := in[i].table.Locate(b.value(&c.Vals[0]), shardmap.Compare); loc.Kind == shardmap.Placed {
					in[i].op, in[i].slot = &c.Vals[0], loc.Slot
				}
			}
		}
	}
	return linked, changed
}

// member is where the rows of table i with key = op are.
func (b *builder) member(op *parse.Operand, blk int, in []source, i int) set {
	if op.Kind == parse.OperandColumn {
		if s := b.outer(&op.Col, blk); s != nil && alike(in[i].table, s.table) {
			return s.in
		}
		for j := range in {
			if j != i && op.Col.Table == j && isKey(&op.Col, blk, in, j) && alike(in[i].table, in[j].table) {
				return in[j].in
			}
		}
		return everywhere
	}
	switch loc := in[i].table.Locate(b.value(op), shardmap.Compare); loc.Kind {
	case shardmap.Placed:
		return ofSlot(in[i].table, &loc)
	case shardmap.Nowhere:
		return set{}
	default:
		return everywhere
	}
}

// isKey reports whether col, written in block blk, is the key of its table i. A name without a qualifier is the key of
// each table of the block that has a key of that name: where several have, the server either takes the columns for
// one (JOIN … USING) or refuses the name as ambiguous.
func isKey(col *parse.Column, blk int, in []source, i int) bool {
	if in[i].kind != kindSharded {
		return false
	}
	if col.Table >= 0 {
		if col.Table != i || col.Block != blk {
			return false
		}
	} else if col.Qualifier != "" {
		return false
	}
	return strings.EqualFold(col.Name, in[i].table.Key)
}

// outer is the table of an outer block whose key col is, or nil.
func (b *builder) outer(col *parse.Column, blk int) *source {
	if col.Table < 0 || col.Block < 0 || col.Block >= blk || !b.within(blk, col.Block) {
		return nil
	}
	s := &b.of(col.Block)[col.Table]
	if s.kind != kindSharded || !strings.EqualFold(col.Name, s.table.Key) {
		return nil
	}
	return s
}

// within reports whether block blk is inside block outer.
func (b *builder) within(blk, outer int) bool {
	for p := b.st.Blocks[blk].Parent; p >= 0; p = b.st.Blocks[p].Parent {
		if p == outer {
			return true
		}
	}
	return false
}

// alike reports whether equal keys of both tables are in one slot.
func alike(a, t *shardmap.Table) bool {
	return define.Alike(a, t)
}

// value is an operand as the map wants it; Other when it is an expression.
func (b *builder) value(op *parse.Operand) shardmap.Value {
	switch {
	case op.Kind == parse.OperandArg && op.Arg >= 0 && op.Arg < len(b.args):
		return b.literal(&b.args[op.Arg], op.Neg)
	case op.Kind == parse.OperandConst:
		return b.literal(&op.Value, op.Neg)
	case op.Kind == parse.OperandExpr:
		if n, ok := op.Integer(b.args); ok {
			return shardmap.Value{Kind: shardmap.Int, I: n}
		}
		return shardmap.Value{}
	default:
		return shardmap.Value{}
	}
}

// literal converts a literal or bound value, negated if neg.
func (b *builder) literal(v *parse.Value, neg bool) shardmap.Value {
	switch v.Kind {
	case parse.Null:
		return shardmap.Value{Kind: shardmap.Null}
	case parse.Int, parse.Bool:
		switch {
		case !neg:
			return shardmap.Value{Kind: shardmap.Int, I: v.I}
		case v.I == minInt:
			return shardmap.Value{Kind: shardmap.Uint, U: 1 << 63}
		}
		return shardmap.Value{Kind: shardmap.Int, I: -v.I}
	case parse.Uint:
		switch {
		case !neg:
			return shardmap.Value{Kind: shardmap.Uint, U: v.U}
		case v.U < 1<<63:
			return shardmap.Value{Kind: shardmap.Int, I: -int64(v.U)}
		case v.U == 1<<63:
			return shardmap.Value{Kind: shardmap.Int, I: minInt}
		}
		return shardmap.Value{Kind: shardmap.Decimal, S: []byte("-" + unsigned(v.U))}
	case parse.Decimal:
		s := v.S
		if neg {
			if len(s) > 0 && s[0] == '-' {
				s = s[1:]
			} else {
				s = append([]byte{'-'}, s...)
			}
		}
		return shardmap.Value{Kind: shardmap.Decimal, S: s}
	case parse.Float:
		if neg {
			return shardmap.Value{Kind: shardmap.Float, F: -v.F}
		}
		return shardmap.Value{Kind: shardmap.Float, F: v.F}
	case parse.String:
		if neg {
			return shardmap.Value{}
		}
		return shardmap.Value{Kind: shardmap.String, S: v.S, UTF8: utf8Client(b.f.Charset)}
	case parse.Bytes:
		if neg {
			return shardmap.Value{}
		}
		return shardmap.Value{Kind: shardmap.Bytes, S: v.S, Numeric: v.Numeric}
	case parse.Marker:
		return shardmap.Value{}
	default:
		return shardmap.Value{}
	}
}

const minInt = -1 << 63

// utf8Client reports whether strings of that character_set_client reach the server's columns byte by byte.
func utf8Client(charset string) bool {
	switch strings.ToLower(charset) {
	case "utf8mb4", "utf8mb3", "utf8", "binary":
		return true
	}
	return false
}
