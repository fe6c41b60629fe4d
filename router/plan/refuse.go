package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// refuse is error 1235, "not supported", in Shardway's name.
func refuse(message string) *Refuse {
	return &Refuse{Code: 1235, State: "42000", Message: "shardway: " + message}
}

// hint is the advice that lets a statement pass to a shard of the user's choice.
func (b *builder) hint() string {
	return "/* shardway: shard=" + b.m.Shards()[0].ID + " */"
}

// spread refuses a statement that needs several shards, and says which and why.
func (b *builder) spread() Plan {
	var parts []string
	unbound := false
	if t := b.ins.table; t != nil {
		parts = append(parts, "the rows for "+fullName(t)+" belong to "+b.ins.in.names(b.m))
	}
	for i := range b.all() {
		s := &b.all()[i]
		if s.in.count() == 0 || s.kind == kindNone || s.kind == kindReference {
			continue
		}
		on := s.in.names(b.m)
		switch {
		case s.kind == kindWhole && s.table != nil:
			parts = append(parts, fullName(s.table)+" is a reference table without a copy on each of them, and is read on "+on)
		case s.kind == kindWhole:
			parts = append(parts, b.name(s.text)+" isn't listed in the map and lives whole on "+on)
		case s.kind == kindTemporary:
			parts = append(parts, "the temporary table "+b.name(s.text)+" is on "+on)
		case s.by != nil:
			parts = append(parts, b.bound(s.table, s.by, s.op)+" is on "+on)
			unbound = unbound || s.in.count() > 1
		default:
			parts = append(parts, aliased(s)+" is on "+on+", and no WHERE or ON binds its key "+s.table.Key+" to one of them")
			unbound = true
		}
	}
	if b.homely {
		parts = append(parts, "it names "+b.homeText())
	}
	if b.locks {
		parts = append(parts, "named locks are kept on "+b.m.DefaultShard("").ID)
	}
	if b.sequence {
		parts = append(parts, "sequences live on their database's default shard")
	}
	if b.temps {
		parts = append(parts, "the session's other temporary tables are on "+b.f.PinShard)
	}
	if b.vars {
		parts = append(parts, "the session's "+pinned(b.f)+" are on "+b.f.PinShard)
	}
	advice := "send a statement for each shard"
	if unbound {
		advice = "bind the key to one value"
	}
	return refuse("this " + verb(b.st) + " needs several shards (" + b.need.names(b.m) + "): " + strings.Join(parts, "; ") +
		". Statements over several shards aren't supported: " + advice + ", or name a shard with " + b.hint())
}

// homeText lists the databases that a statement may mean with their default shards.
func (b *builder) homeText() string {
	var parts []string
	add := func(db string) {
		if db != "" {
			parts = append(parts, db+" (default shard "+b.home(db).ID+")")
		}
	}
	add(b.f.DB)
	for _, q := range b.st.Qualifiers {
		if b.m.Database(q) != nil && !strings.EqualFold(q, b.f.DB) {
			add(q)
		}
	}
	return strings.Join(parts, ", ")
}

// pinned names the state of the pinned connection that a statement may need.
func pinned(f *Facts) string {
	if f.PinWhy != "" && !strings.Contains(f.PinWhy, "variable") {
		return "user variables (connection kept for: " + f.PinWhy + ")"
	}
	return "user variables"
}

// aliased is a table's name with its alias.
func aliased(s *source) string {
	name := fullName(s.table)
	if s.text.Alias != "" && !strings.EqualFold(s.text.Alias, s.table.Name) {
		name += " " + s.text.Alias
	}
	return name
}

// why is the reason for the shard, for a message about it.
func (b *builder) why(s *shardmap.Shard) string {
	p := One{Shard: s}
	b.fill(&p)
	return p.placeWhy()
}

// words refuses a text that isn't understood wherever it may mean a table that is on several shards. A table that is on
// one shard is needed there.
func (b *builder) words(what string) Plan {
	if len(b.st.Words) == 0 {
		return nil
	}
	for _, d := range b.m.Databases() {
		for _, t := range d.Tables {
			if !slices.Contains(b.st.Words, strings.ToLower(t.Name)) {
				continue
			}
			in := owners(t, b.m)
			if in.count() == 1 {
				if p := b.moved(d); p != nil && b.st.Kind == parse.DDL {
					return p
				}
				b.need.or(in)
				b.homely = true
				continue
			}
			p := refuse(what + ", and it names " + t.Name + ": " + fullName(t) + " is on " + in.names(b.m) + ". Write it another way, or name a shard with " + b.hint())
			if b.st.Kind == parse.Unparsed {
				p.Code = 1064
			}
			return p
		}
	}
	return nil
}

// unread says that the parser failed, and where.
func unread(st *parse.Statement) string {
	return "the parser can't read this statement (" + strings.TrimSpace(st.ParseError) + ")"
}

// eachServer refuses what one server would do for all rows, and one of several can't.
func (b *builder) eachServer(why string) Plan {
	return refuse(verb(b.st) + ": " + why + ", and the map has several: do it on each server, or name a shard with " + b.hint())
}

// verb is the statement's leading word or words.
func verb(st *parse.Statement) string {
	switch st.Kind {
	case parse.Select:
		return "SELECT"
	case parse.Insert:
		return "INSERT"
	case parse.Replace:
		return "REPLACE"
	case parse.Update:
		return "UPDATE"
	case parse.Delete:
		return "DELETE"
	case parse.Call:
		return "CALL"
	case parse.Do:
		return "DO"
	case parse.Set, parse.SetTransaction:
		return "SET"
	case parse.Use:
		return "USE"
	case parse.Show:
		return "SHOW"
	case parse.Describe:
		return "DESCRIBE"
	case parse.Explain:
		return "EXPLAIN"
	case parse.Lock:
		return "LOCK TABLES"
	case parse.Unlock:
		return "UNLOCK TABLES"
	case parse.Prepare:
		return "PREPARE"
	case parse.Execute:
		return "EXECUTE"
	case parse.Deallocate:
		return "DEALLOCATE PREPARE"
	case parse.LoadData:
		return "LOAD DATA"
	case parse.Handler:
		return "HANDLER"
	case parse.XA:
		return "XA"
	case parse.Kill:
		return "KILL"
	case parse.DDL, parse.Flush, parse.Account, parse.Admin:
		if st.Name != "" {
			return strings.ToUpper(st.Name)
		}
		return "statement"
	default:
		return "statement"
	}
}
