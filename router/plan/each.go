package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/router/plan/define"
	"shardway/shardmap"
)

// Each runs a statement about whole tables or a whole database on every shard that has them, one shard after another.
// Every shard commits for itself: such statements can't be rolled back.
type Each struct {
	Shards []*shardmap.Shard
	Role   Role
	// Tables are those that it makes or changes. They are looked at on all shards before the first one runs it.
	Tables []Defined
	// Repeatable says that it may be sent again after it was done on some of the shards.
	Repeatable bool
	Answer     Answer
	// Schema is the database of AnswerSizes, and Columns are the columns of information_schema.TABLES that are asked for,
	// upper case, "" for expressions; nil where they have their own names.
	Schema  string
	Columns []string
	// Why says what made it run on several shards.
	Why string

	touches touches
}

// Defined is a table that a statement makes or changes.
type Defined struct {
	Schema, Name string
	Makes        bool // the table isn't there before
	Alike        bool // its columns and indexes have to be alike on all shards before
}

// Answer says how the shards' answers to a plan of Each become one.
type Answer uint8

// The ways.
const (
	AnswerSum       Answer = iota // one OK, affected rows are added up
	AnswerLargest                 // one OK, with the largest count
	AnswerStatus                  // rows of ANALYZE, CHECK, OPTIMIZE and REPAIR TABLE: each of them once
	AnswerChecksums               // rows of CHECKSUM TABLE: a table's checksums are added up
	AnswerSizes                   // rows about tables: the first shard's, with the sizes of all shards' rows
)

// String is the answer in words.
func (a Answer) String() string {
	switch a {
	case AnswerSum:
		return "affected rows are added up"
	case AnswerLargest:
		return "the reply is the one with the largest count"
	case AnswerStatus:
		return "what several shards say of a table is shown once"
	case AnswerChecksums:
		return "a table's checksums are added up modulo 2^32"
	case AnswerSizes:
		return "the first shard's rows, with the sizes of all shards' tables added up"
	default:
		return "answer " + number(int(a))
	}
}

func (*Each) plan() {}

// String is "each shards role: answer; why".
func (p *Each) String() string {
	names := make([]string, len(p.Shards))
	for i, s := range p.Shards {
		names[i] = s.ID
	}
	return "each " + strings.Join(names, ",") + " " + p.Role.String() + ": " + p.Answer.String() + "; " + p.Why
}

// rows are the steps for EXPLAIN ROUTE.
func (p *Each) rows() (rows [][]string) {
	for i, s := range p.Shards {
		rows = append(rows, []string{number(i + 1), s.ID, p.Role.String(), strings.Join(servers(s, p.Role), ", "), "as sent", p.Why})
	}
	return append(rows, []string{number(len(p.Shards) + 1), "", "merge", "", "", p.Answer.String()})
}

// each is a plan for the shards of a set.
func (b *builder) each(in set, answer Answer, why string) *Each {
	p := &Each{Answer: answer, Why: why}
	for i, s := range b.m.Shards() {
		if in.has(i) {
			p.Shards = append(p.Shards, s)
		}
	}
	return p
}

// listed reports whether a source is a table that several shards have.
func (b *builder) listed(s *source) bool {
	if s.kind != kindSharded && s.kind != kindReference {
		return false
	}
	in := owners(s.table, b.m)
	return in.count() > 1
}

// databases plans DDL on a whole database of the map: every shard has it.
func (b *builder) databases() Plan {
	if !strings.HasSuffix(b.st.Name, " database") && !strings.HasSuffix(b.st.Name, " schema") {
		return nil
	}
	for _, q := range b.st.Qualifiers {
		d := b.m.Database(q)
		if d == nil || len(d.Tables) == 0 {
			continue
		}
		p := b.each(everywhere, AnswerLargest, "the map lists tables of "+d.Name)
		p.Repeatable = b.st.Define != nil && b.st.Define.Repeatable
		return p
	}
	return nil
}

// defined plans DDL on tables that several shards have; nil where it defines none.
func (b *builder) defined() Plan {
	var first *source
	view := strings.HasSuffix(b.st.Name, " view")
	for i := range b.all() {
		s := &b.all()[i]
		switch {
		case s.text.Write && b.st.Is(parse.FlagTemporary):
			s.kind, s.in = kindNone, set{} // a temporary table hides a listed one
		case view && b.listed(s) && (s.text.Write || s.kind == kindSharded):
			return b.allShards(s)
		case s.text.Write && b.listed(s) && first == nil:
			first = s
		}
	}
	d := b.st.Define
	switch {
	case d == nil || b.st.Is(parse.FlagTemporary):
		return nil
	case first == nil:
		return b.wholeDefined()
	case !strings.HasSuffix(b.st.Name, " table") && !strings.HasSuffix(b.st.Name, " tables") && !strings.HasSuffix(b.st.Name, " index"):
		return refuse(verb(b.st) + ": " + fullName(first.table) + " is listed in the map as a table: take another name")
	case d.Query:
		return refuse(verb(b.st) + " … SELECT: " + fullName(first.table) + " is on several shards: create the table first, then fill it with INSERT … SELECT")
	}
	if r := b.sameShards(first); r != nil {
		return r
	}
	in := owners(first.table, b.m)
	what := fullName(first.table) + " is on " + in.names(b.m)
	if first.kind == kindReference {
		what = fullName(first.table) + " is a reference table"
	}
	p := b.each(in, AnswerSum, what)
	p.Repeatable = d.Repeatable
	alike := b.st.Name == "alter table" || strings.HasSuffix(b.st.Name, " index")
	seen := map[*shardmap.Table]bool{}
	for i := range b.of(0) {
		s := &b.of(0)[i]
		if !s.text.Write || seen[s.table] {
			continue
		}
		seen[s.table] = true
		makes := slices.Contains(d.Makes, i)
		p.Tables = append(p.Tables, Defined{Schema: s.table.Database.Name, Name: s.table.Name, Makes: makes, Alike: alike && !makes})
	}
	change := define.Change{Definition: d, Creates: b.st.Name == "create table", Table: first.table, Map: b.m, Strict: b.f.Strict}
	change.Model, change.ModelName = b.model()
	if why := change.Problem(); why != "" {
		return refuse(verb(b.st) + ": " + why)
	}
	return p
}

// sameShards refuses DDL on several tables that aren't on the same shards, or whose rows are placed by other rules where
// one becomes the other.
func (b *builder) sameShards(first *source) Plan {
	in := owners(first.table, b.m)
	becomes := len(b.st.Define.Makes) > 0 || b.st.Name == "alter table"
	for i := range b.of(0) {
		s := &b.of(0)[i]
		switch {
		case !s.text.Write || s == first:
			continue
		case s.kind == kindTemporary:
			return refuse(verb(b.st) + ": " + b.name(s.text) + " is a temporary table, and " + fullName(first.table) + " is on several shards: send a statement for each")
		case s.kind == kindWhole && becomes:
			return refuse(verb(b.st) + ": " + fullName(first.table) + " is on " + in.names(b.m) + ", and the map doesn't list " + b.name(s.text) + ": list both of them alike in the map first")
		case s.kind == kindWhole:
			return refuse(verb(b.st) + ": " + fullName(first.table) + " is on " + in.names(b.m) + ", and " + b.name(s.text) + " isn't listed in the map and lives whole on " + s.in.names(b.m) + ": send a statement for each")
		}
		other := owners(s.table, b.m)
		switch {
		case in.and(other) || other.and(in):
			return refuse(verb(b.st) + ": " + fullName(first.table) + " and " + fullName(s.table) + " aren't on the same shards: send a statement for each")
		case becomes && (s.kind != first.kind || s.kind == kindSharded && !define.SameKeys(s.table, first.table)):
			return refuse(verb(b.st) + ": the map places the rows of " + fullName(first.table) + " and " + fullName(s.table) + " by different rules: list both of them alike first")
		}
	}
	return nil
}

// wholeDefined is for DDL on tables that are on one shard alone: what it refers to has to be there too.
func (b *builder) wholeDefined() Plan {
	d := b.st.Define
	if len(b.all()) == 0 {
		return nil
	}
	target := b.all()[0]
	if target.kind != kindWhole {
		return nil
	}
	for i := range b.all() {
		s := &b.all()[i]
		if s.text.Write || !b.listed(s) || s.kind != kindSharded {
			continue
		}
		in := owners(s.table, b.m)
		switch {
		case d.Like && in.has(target.in.first()):
			s.kind, s.in = kindNone, set{} // its columns and indexes are the same everywhere
		case d.Query && s.in.count() > 1:
			return refuse(verb(b.st) + " … SELECT: " + fullName(s.table) + " is on " + in.names(b.m) + ": create the table first, then fill it with INSERT … SELECT")
		case !d.Query && len(d.Foreign) > 0:
			return refuse(verb(b.st) + ": a foreign key of " + b.name(target.text) + ", which lives whole on " + target.in.names(b.m) + ", refers to " +
				fullName(s.table) + ", which is on " + in.names(b.m) + ": no shard could check it for all rows; leave the foreign key out")
		}
	}
	return nil
}

// model is the table that CREATE TABLE … LIKE names; nil where it isn't listed, or another statement.
func (b *builder) model() (t *shardmap.Table, name string) {
	for i := range b.of(0) {
		if s := &b.of(0)[i]; !s.text.Write && b.st.Define.Like {
			return s.table, b.name(s.text)
		}
	}
	return nil, ""
}

// maintained plans ANALYZE, CHECK, CHECKSUM, OPTIMIZE and REPAIR of tables that several shards have; nil where it is about
// none.
func (b *builder) maintained() Plan {
	var first *source
	for i := range b.all() {
		if s := &b.all()[i]; b.listed(s) && first == nil {
			first = s
		}
	}
	if first == nil {
		return nil
	}
	in := owners(first.table, b.m)
	for i := range b.all() {
		s := &b.all()[i]
		if s == first {
			continue
		}
		other := set{}
		if b.listed(s) {
			other = owners(s.table, b.m)
		}
		if s.kind != first.kind || in.and(other) || other.and(in) {
			return refuse(verb(b.st) + ": " + fullName(first.table) + " is on " + in.names(b.m) + ", and " + b.name(s.text) + " isn't alike: send a statement for each")
		}
	}
	if b.st.Name == "checksum table" {
		if first.kind == kindReference {
			return nil // any copy's
		}
		return b.each(in, AnswerChecksums, fullName(first.table)+" is on "+in.names(b.m))
	}
	return b.each(in, AnswerStatus, fullName(first.table)+" is on "+in.names(b.m))
}
