package plan

import (
	"strconv"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/shardmap"
)

// Numbers says how many rows of an INSERT want a number from their table's sequence: those that leave its column out or
// give it NULL, DEFAULT or 0. table is nil where the statement has nothing to do with a sequence. past is the greatest
// number that a row brings itself, 0 for none: the sequence has to be moved past it. Draw n numbers and put the first into
// Facts.FirstID before Build.
func Numbers(st *parse.Statement, args []parse.Value, m *shardmap.Map, f *Facts) (table *shardmap.Table, n int, past uint64) {
	if st.Insert == nil || st.Insert.Rows == nil {
		return nil, 0, 0
	}
	b := builder{st: st, args: args, m: m, f: f}
	target := b.source(&st.Insert.Table, parse.RoleQuery)
	if target.table == nil || target.table.Sequence == "" || st.Hints.Shard != "" {
		return nil, 0, 0
	}
	if b.access() != nil {
		return nil, 0, 0
	}
	ids, problem := b.numbering(st.Insert, target.table)
	if problem != "" {
		return nil, 0, 0
	}
	return target.table, ids.n, ids.past
}

// numbering is which rows of an INSERT get numbers.
type numbering struct {
	table *shardmap.Table // nil: the INSERT's table has no sequence
	at    int             // the sequence's column in the rows; -1 where they don't have it
	given []int           // by row: the how-many-th number it gets, -1 for none; nil when no row gets any
	n     int
	past  uint64 // the greatest number that a row has itself
}

// of is the how-many-th number a row gets; -1 for none.
func (ids *numbering) of(row int) int {
	if row >= len(ids.given) {
		return -1
	}
	return ids.given[row]
}

// give gives a row the next number.
func (ids *numbering) give(row int) {
	for len(ids.given) < row {
		ids.given = append(ids.given, -1)
	}
	ids.given = append(ids.given, ids.n)
	ids.n++
}

// numbering says which rows get numbers from the table's sequence, or what stands in the way.
func (b *builder) numbering(ins *parse.Insertion, t *shardmap.Table) (ids numbering, problem string) {
	columns := ins.Columns
	if columns == nil {
		columns = b.f.Columns
	}
	ids.table, ids.at = t, columnAt(columns, t.Sequence)
	for i, row := range ins.Rows {
		if ids.at < 0 || len(row) == 0 && len(ins.Columns) == 0 {
			ids.at = -1
			ids.give(i)
			continue
		}
		if ids.at >= len(row) {
			return ids, "" // error 1136
		}
		own, wants, problem := b.number(&row[ids.at], t)
		switch {
		case problem != "":
			return ids, "row " + number(i+1) + " " + problem
		case wants:
			ids.give(i)
		default:
			ids.past = max(ids.past, own)
		}
	}
	return ids, ""
}

// number is the number that a row has for its sequence's column, or that it wants one.
func (b *builder) number(op *parse.Operand, t *shardmap.Table) (own uint64, wants bool, problem string) {
	switch {
	case op.Kind == parse.OperandDefault:
		return 0, true, ""
	case op.Kind == parse.OperandArg && op.Arg < len(b.args) && b.args[op.Arg].Kind == parse.Marker:
		return 0, false, "" // PREPARE: its value comes later
	}
	v := b.value(op)
	zero := !b.f.ZeroID
	switch v.Kind {
	case shardmap.Null:
		return 0, true, ""
	case shardmap.Int:
		return uint64(max(v.I, 0)), v.I == 0 && zero, ""
	case shardmap.Uint:
		return v.U, v.U == 0 && zero, ""
	case shardmap.String:
		if n, err := strconv.ParseUint(string(v.S), 10, 64); err == nil {
			return n, n == 0 && zero, ""
		}
		if n, err := strconv.ParseInt(string(v.S), 10, 64); err == nil && n < 0 {
			return 0, false, ""
		}
	default:
	}
	return 0, false, "gives " + b.operand(op) + " to " + t.Sequence + ", which Shardway numbers, and what the server would make of that isn't certain; give a whole number, or none"
}

func columnAt(columns []string, name string) int {
	for i, c := range columns {
		if strings.EqualFold(c, name) {
			return i
		}
	}
	return -1
}

// firstID is the first number for the rows. A plan that isn't run shows what it would be with the first number of all.
func (b *builder) firstID() uint64 { return max(b.f.FirstID, 1) }

// rowwise reports whether an INSERT has to be written anew by its rows: they are on several shards, or get numbers. What
// else it reads must be on every shard then.
func (b *builder) rowwise() bool {
	if b.ins.rows == nil {
		return false
	}
	if b.need.count() == 1 {
		return true // on the very shard, if anything else is needed at all
	}
	need := b.need
	if need.and(b.ins.in) || b.locks || b.vars || b.sequence {
		return false // something is needed elsewhere: the refusal names it
	}
	return true
}

// placeRow takes over where a row belongs. The shards of the rows are kept once they differ.
func (b *builder) placeRow(i int, t *shardmap.Table, loc *shardmap.Location) {
	before, s := b.ins.in, loc.Shard
	b.ins.in.or(ofSlot(t, loc))
	if b.ins.rows == nil && (i > 0 && b.ins.in.count() > 1 || b.ins.ids.n > 0) {
		b.ins.rows = make([]*shardmap.Shard, 0, len(b.st.Insert.Rows))
		for range i {
			b.ins.rows = append(b.ins.rows, b.m.Shards()[before.first()])
		}
	}
	if b.ins.rows != nil {
		b.ins.rows = append(b.ins.rows, s)
	}
}

// byRow is an INSERT taken apart by its rows, with the numbers that they get.
type byRow struct {
	b    *builder
	rows *rewrite.Insertion
	with *rewrite.Numbering // nil: none
}

func (b *builder) byRow() (*byRow, Plan) {
	ins := b.st.Insert
	into := verb(b.st) + " into " + fullName(b.ins.table)
	n := b.st.Norm()
	if n == nil {
		return nil, refuse(into + ": the statement's text can't be taken apart by its rows; write it plainly, without comments that only some servers run")
	}
	r := &byRow{b: b}
	var ok bool
	if r.rows, ok = n.Insertion(); !ok || len(r.rows.Rows) != len(ins.Rows) {
		return nil, refuse(into + ": the statement can't be split by its rows; write it as VALUES (…), (…)")
	}
	if b.st.Is(parse.FlagReturning) && !b.f.Reopens {
		return nil, refuse(into + ": " + noReturning)
	}
	if ids := &b.ins.ids; ids.n > 0 {
		for len(ids.given) < len(ins.Rows) {
			ids.given = append(ids.given, -1)
		}
		r.with = &rewrite.Numbering{Column: b.ins.table.Sequence, At: ids.at, Given: ids.given}
	}
	return r, nil
}

// number tells the plan which numbers its rows get.
func (r *byRow) number(p *Many) {
	if r.with == nil {
		return
	}
	b := r.b
	p.Numbers, p.FirstID = b.ins.ids.n, b.firstID()
	p.Why += "; " + fullName(b.ins.table) + "." + b.ins.table.Sequence + " gets " + number(p.Numbers) + " of the sequence's numbers"
	if b.f.FirstID == 0 {
		p.Why += ", drawn when it runs and shown as if they began with 1"
	}
}

// byRows is the plan of an INSERT whose rows are on several shards or get numbers.
func (b *builder) byRows() Plan {
	if b.explained {
		p := &Many{Write: true}
		for i, s := range b.m.Shards() {
			if b.ins.in.has(i) {
				p.Parts = append(p.Parts, Part{Shard: s})
			}
		}
		return p
	}
	r, refused := b.byRow()
	if refused != nil {
		return refused
	}
	if b.ins.in.count() > 1 && b.st.Flags&(tiedToOne&^parse.FlagLastInsertID) != 0 {
		return refuse(verb(b.st) + " into " + fullName(b.ins.table) + ": its rows are on several shards, and it depends on what one connection keeps" + b.kept() +
			"; write the values into it, or insert the rows one by one")
	}
	role, _ := b.chooseRole()
	p := &Many{Role: role, Write: true, Why: "each row goes to the shard of its " + b.ins.table.Key}
	if p.Returning = b.st.Is(parse.FlagReturning); p.Returning {
		p.Parts = r.runs()
		r.number(p)
		return p
	}
	for _, s := range b.m.Shards() {
		var mine []int
		for i := range b.ins.rows {
			if b.ins.rows[i] == s {
				mine = append(mine, i)
			}
		}
		if len(mine) > 0 {
			p.Parts = append(p.Parts, Part{Shard: s, SQL: r.rows.Template(b.st.Norm(), mine, r.with), Rows: len(mine)})
		}
	}
	r.number(p)
	return p
}

// runs are the rows in their order, those that follow one another on a shard together.
func (r *byRow) runs() (parts []Part) {
	shards := r.b.ins.rows
	for from := 0; from < len(shards); {
		to := from
		var mine []int
		for ; to < len(shards) && shards[to] == shards[from]; to++ {
			mine = append(mine, to)
		}
		parts = append(parts, Part{Shard: shards[from], SQL: r.rows.Template(r.b.st.Norm(), mine, r.with), Rows: len(mine)})
		from = to
	}
	return parts
}
