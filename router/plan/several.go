package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/router/plan/scatter"
)

// beyond plans what isn't for one shard alone.
func (b *builder) beyond() Plan {
	switch {
	case b.copies != nil:
		return b.copied()
	case b.moves != nil:
		if p := b.picked("it assigns " + fullName(b.moves) + "." + b.moves.Key + ", the key that decides a row's shard, so rows may move"); p != nil {
			return p
		}
		return refuse("SET assigns " + fullName(b.moves) + "." + b.moves.Key + ", the key that decides the row's shard, in a way that can't be done row by row: delete the row and insert it with its new key")
	case b.pick != "":
		if p := b.picked(b.pick); p != nil {
			return p
		}
		return b.pickless()
	case b.rowwise():
		return b.byRows()
	case b.st.Kind == parse.Select:
		return b.several()
	}
	p, why := b.apart()
	if p != nil {
		return p
	}
	if p := b.picked("the shards can't each change their own rows: " + why); p != nil {
		return p
	}
	if b.unpicked != "" {
		why += "; their rows can't be chosen first, since " + b.unpicked
	}
	r := b.spread()
	if refused, ok := r.(*Refuse); ok && why != "" {
		refused.Message = strings.Replace(refused.Message, ". Statements over several shards aren't supported: ",
			". The shards can't each change their own rows: "+why+": ", 1)
	}
	return r
}

// pickless refuses an INSERT whose SELECT can't be run first.
func (b *builder) pickless() Plan {
	return refuse(verb(b.st) + " into " + fullName(b.ins.table) + ": " + b.pick + ", and its SELECT can't be run by itself first; SELECT the rows, and insert them with VALUES")
}

// several plans a SELECT whose rows are on several shards: each answers for its own rows where it can, else rows are
// brought to one server.
func (b *builder) several() Plan {
	many, why := b.scatter()
	if many != nil {
		// Columns may turn out to be of a kind that servers alone can compare or add.
		if m := many.Merge; len(m.Order)+len(m.Group)+len(m.Sums) > 0 {
			many.Else, _ = b.brought().(*Gather)
		}
		return many
	}
	switch p := b.brought().(type) {
	case *Gather:
		p.Why = "the shards can't each answer for their own rows: " + why + "; " + p.Why
		p.asks = b.asks()
		return p
	case *Refuse:
		p.Message = strings.Replace(p.Message, ". Its rows can't be brought to one server, since ",
			". The shards can't each answer for their own rows: "+why+". Its rows can't be brought to one server, since ", 1)
		p.asks = b.asks()
		return p
	default:
		return p
	}
}

// Asks are the tables whose columns would let Build find a better plan than p: give them in Facts.Tables, and build again.
// It is empty where nothing better can be found.
func Asks(p Plan) []parse.Table {
	switch p := p.(type) {
	case *Gather:
		return p.asks
	case *Refuse:
		return p.asks
	default:
		return nil
	}
}

// asks are the tables whose columns aren't known and would matter, with their databases.
func (b *builder) asks() (list []parse.Table) {
	if b.ask {
		for i := range b.st.Blocks[0].Tables {
			t := b.st.Blocks[0].Tables[i]
			if t.Source >= 0 || t.Name == "" {
				continue
			}
			t.DB = b.dbOf(&t)
			list = append(list, t)
		}
	}
	for _, t := range b.wants {
		if !slices.ContainsFunc(list, func(other parse.Table) bool { return other.DB == t.DB && other.Name == t.Name }) {
			list = append(list, t)
		}
	}
	return list
}

// tiedToOne are the flags of what a session keeps on one connection, or what acts on one server: it isn't run on several.
const tiedToOne = parse.FlagSetsUserVar | parse.FlagLastInsertID | parse.FlagSetsLastInsertID |
	parse.FlagFoundRows | parse.FlagCalcFoundRows | parse.FlagRowCount | parse.FlagDiagnostics | parse.FlagConnectionID |
	parse.FlagGetLock | parse.FlagReleaseLock | parse.FlagSequenceNext | parse.FlagStoredFunction | parse.FlagInto |
	parse.FlagForeignData | parse.FlagExecutable | parse.FlagOwnVariable

// scatter makes the plan that runs a SELECT on each shard for the shard's own rows. why says why it can't.
func (b *builder) scatter() (p *Many, why string) {
	st := b.st
	variables := strings.HasPrefix(st.Why, "user variable ") && !b.vars // every connection is given them
	if st.Flags&tiedToOne != 0 || !st.Is(parse.FlagRead) && !st.Is(parse.FlagLocks) && !variables {
		return nil, "it depends on what one connection keeps" + b.kept()
	}
	if b.f.SelectLimited {
		return nil, "sql_select_limit would hold on each shard"
	}
	t, why := b.together()
	if why != "" {
		return nil, why
	}
	shape := st.Shape()
	if shape == nil {
		return nil, "its clauses can't be told apart with certainty"
	}
	merge, sql, why := scatter.Build(&scatter.Query{
		Shape: shape, Args: b.args, Single: len(st.Blocks[0].Tables) == 1, Listed: b.f.FullGroupBy && b.f.Reopens, Tables: t,
	})
	if why != "" {
		return nil, why
	}
	p = &Many{Merge: merge, Why: b.whyScattered()}
	p.Role, _ = b.chooseRole()
	for i, shard := range b.m.Shards() {
		if t.in.has(i) {
			p.Parts = append(p.Parts, Part{Shard: shard, SQL: sql})
		}
	}
	if len(p.Parts) == 0 {
		p.Parts = []Part{{Shard: b.m.Shards()[b.need.first()], SQL: sql}} // no row can matter: one shard says so
	}
	if why := b.keepOff(p, t.anchors, shape.Places); why != "" {
		return nil, why + ", and they can't be left out of its own text"
	}
	return p, ""
}

// kept names what ties a statement to one connection.
func (b *builder) kept() string {
	switch {
	case b.st.Why != "":
		return " (" + b.st.Why + ")"
	case b.st.Is(parse.FlagCalcFoundRows):
		return " (SQL_CALC_FOUND_ROWS)"
	default:
		return ""
	}
}

// whyScattered says what lets each shard answer for its own rows.
func (b *builder) whyScattered() string {
	var parts []string
	for i := range b.all() {
		s := &b.all()[i]
		if blk := &b.st.Blocks[s.block]; blk.Parent >= 0 || blk.Derived {
			continue
		}
		switch s.kind {
		case kindSharded:
			parts = append(parts, aliased(s)+" is on "+s.in.names(b.m)+b.by(s))
		case kindReference:
			parts = append(parts, aliased(s)+" is a reference table")
		default:
		}
	}
	return strings.Join(parts, ", ")
}

// by is the condition that narrowed a table, in words.
func (b *builder) by(s *source) string {
	if s.by == nil {
		return ""
	}
	return " by " + b.bound(s.table, s.by, s.op)
}
