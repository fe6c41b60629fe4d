package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// noReturning is why a write that answers with rows is refused.
const noReturning = "RETURNING is MariaDB's"

// copied is the plan of a write to a reference table: every shard does the same to its own copy.
func (b *builder) copied() Plan {
	st := b.st
	t := b.copies
	in := owners(t, b.m)
	no := func(why string) Plan {
		if p := b.picked(fullName(t) + " is a reference table, and the same statement might do something else to each copy: " + why); p != nil {
			return p
		}
		if b.unpicked != "" {
			why += "; its rows can't be chosen first, since " + b.unpicked
		}
		return refuse(verb(st) + " of the reference table " + fullName(t) + ", which has a copy on each of " + in.names(b.m) + ": " + why)
	}
	switch st.Kind {
	case parse.Insert, parse.Replace, parse.Update, parse.Delete:
	default:
		return no("it can't be done on several shards")
	}
	known := parse.FlagLastInsertID // each connection is told
	if st.Insert != nil {
		known |= parse.FlagSetsLastInsertID // id = LAST_INSERT_ID(id), which is alike in all copies
	}
	switch {
	case st.Flags&(tiedToOne&^known) != 0:
		return no("it depends on what one connection keeps (" + st.Why + "), so the copies would differ; write the values into it")
	case b.random():
		return no("a function that gives another value at each call would make the copies differ; write the values into it")
	case st.Is(parse.FlagLimited):
		return no("LIMIT might take other rows of each copy; say which rows with WHERE")
	case st.Is(parse.FlagReturning) && !b.f.Reopens:
		return no(noReturning)
	case st.Insert != nil && st.Insert.Select >= 0:
		return no("the rows of a SELECT might come in another order on each shard, and be numbered otherwise; insert them with VALUES")
	}
	for i := range b.all() {
		s := &b.all()[i]
		on := in
		if s.kind != kindNone && (s.kind != kindReference || on.and(owners(s.table, b.m))) {
			return no("it reads " + b.name(s.text) + ", which isn't on every shard; read it first, and write the values into it")
		}
	}
	role, _ := b.chooseRole()
	p := &Many{Role: role, Write: true, Copies: true, Returning: st.Is(parse.FlagReturning), Why: fullName(t) + " is a reference table"}
	var with *numbering
	if st.Insert != nil && t.Sequence != "" && st.Insert.Rows != nil {
		ids, problem := b.numbering(st.Insert, t)
		if problem != "" {
			return no(problem)
		}
		with = &ids
	}
	var shards []*shardmap.Shard
	for i, s := range b.m.Shards() {
		if in.has(i) {
			shards = append(shards, s)
		}
	}
	if with != nil && with.n > 0 {
		b.ins.table, b.ins.ids = t, *with
		return b.numberedCopies(p, shards)
	}
	for _, s := range shards {
		p.Parts = append(p.Parts, Part{Shard: s})
	}
	return p
}

// numberedCopies gives every copy the same rows with the same numbers.
func (b *builder) numberedCopies(p *Many, shards []*shardmap.Shard) Plan {
	rows, refused := b.byRow()
	if refused != nil {
		return refused
	}
	all := make([]int, len(rows.rows.Rows))
	for i := range all {
		all[i] = i
	}
	sql := rows.rows.Template(b.st.Norm(), all, rows.with)
	for _, s := range shards {
		p.Parts = append(p.Parts, Part{Shard: s, SQL: sql})
	}
	rows.number(p)
	return p
}

// apart is the plan of an UPDATE or DELETE that each shard can do for its own rows; nil where that isn't so.
func (b *builder) apart() (p Plan, why string) {
	st := b.st
	switch {
	case st.Kind != parse.Update && st.Kind != parse.Delete:
		return nil, ""
	case st.Flags&(tiedToOne&^parse.FlagLastInsertID) != 0:
		return nil, "it depends on what one connection keeps (" + st.Why + ")"
	case st.Is(parse.FlagLimited):
		return nil, "LIMIT counts over all shards"
	case st.Is(parse.FlagReturning) && !b.f.Reopens:
		return nil, noReturning
	}
	for i := range b.all() {
		if s := &b.all()[i]; s.written && s.kind != kindSharded {
			return nil, "it writes " + b.name(s.text) + " too"
		}
	}
	t, why := b.together()
	if why != "" {
		return nil, why
	}
	many := &Many{Write: true, Returning: st.Is(parse.FlagReturning), Why: "each shard has the rows of " + aliased(t.anchor) + " that it changes"}
	many.Role, _ = b.chooseRole()
	for i, s := range b.m.Shards() {
		if t.anchor.in.has(i) {
			many.Parts = append(many.Parts, Part{Shard: s})
		}
	}
	if why := b.keepOff(many, t.anchors, b.placesOf()); why != "" {
		return &Refuse{Code: 1205, State: "HY000", Message: "shardway: " + verb(st) + ": " + why + ", and this text can't be told to leave them alone: write it plainly, or try again when the move is over (shardctl rebalance status)"}, ""
	}
	return many, ""
}

// writes finds out which tables an UPDATE of several writes to where it doesn't say whose the columns are: the one that has
// a column of that name. Where that isn't known it may be any of them.
func (b *builder) writes() {
	st := b.st
	if st.Kind != parse.Update || len(st.Blocks[0].Tables) < 2 {
		return
	}
	in := b.of(0)
	at := make([]int, len(st.Assign))
	for i := range st.Assign {
		if at[i] = b.assignedSource(&st.Assign[i].Col); at[i] < 0 {
			return
		}
	}
	for i := range in {
		in[i].written = slices.Contains(at, i)
	}
}

// assignedSource is which of an UPDATE's tables has a column that it assigns; -1 where that isn't known.
func (b *builder) assignedSource(col *parse.Column) int {
	if col.Table >= 0 {
		return col.Table
	}
	found := -1
	for i := range b.st.Blocks[0].Tables {
		t := &b.st.Blocks[0].Tables[i]
		if t.Source >= 0 || t.Name == "" || col.Qualifier != "" {
			continue
		}
		columns, ok := b.f.Tables[strings.ToLower(b.dbOf(t)+"."+t.Name)]
		switch {
		case !ok:
			b.ask = true
			return -1
		case !slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, col.Name) }):
		case found >= 0:
			return -1 // error 1052
		default:
			found = i
		}
	}
	return found
}
