package plan

import (
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// View is a view that there is.
type View struct {
	// Database is that of the sharded tables that it reads; nil for a view that reads none.
	Database *shardmap.Database
	// Spread says that it is on all shards of Database, since it reads nothing that one shard alone has.
	Spread bool
}

// viewDefined plans DDL on views. One that reads sharded tables, and nothing that one shard alone has, is on every shard
// of their database, so that a shard can answer for its own rows with it; all others are on the default shard. It is nil
// for those that read no sharded table.
func (b *builder) viewDefined() Plan {
	var reads View // of what is defined
	home := false
	var was []View // the views that are defined, as they are
	unknown := 0   // of those that are defined: no views
	for i := range b.all() {
		s := &b.all()[i]
		known, ok := b.f.Views[b.viewKey(s)]
		switch {
		case s.kind == kindNone:
		case s.text.Write && b.listed(s):
			return refuse(verb(b.st) + ": " + fullName(s.table) + " is listed in the map as a table: take another name")
		case s.text.Write:
			if was = append(was, known); !ok {
				was, unknown = was[:len(was)-1], unknown+1
			}
		case s.kind == kindSharded:
			home = home || reads.Database != nil && reads.Database != s.table.Database
			reads.Database = s.table.Database
		case s.kind == kindReference:
		case known.Database != nil:
			home = home || !known.Spread || reads.Database != nil && reads.Database != known.Database
			reads.Database = known.Database
		default:
			home = true
		}
	}
	reads.Spread = reads.Database != nil && !home
	drops, again := b.st.Name == "drop view", b.st.Define != nil && b.st.Define.Repeatable
	switch {
	case drops && len(was) > 0:
		reads = was[0]
	case b.st.Name == "create view" && len(was) > 0 && !again:
		b.place = placeTables
		return b.one(b.home(b.schemaOf(&b.all()[0]))) // the server says that it is there
	}
	for i := range was {
		if was[i].Spread != reads.Spread || reads.Spread && was[i].Database != reads.Database {
			if drops {
				return refuse(verb(b.st) + ": these views aren't all on the same shards: send a statement for each")
			}
			return refuse(verb(b.st) + ": the view that is there isn't on the shards that have the new one's tables: DROP it first")
		}
	}
	if drops && reads.Spread && unknown > 0 && !again {
		return refuse(verb(b.st) + ": some of these views aren't there: send a statement for each")
	}
	switch {
	case reads.Spread:
		if p := b.moved(reads.Database); p != nil {
			return p // a shard that gets its first slots would lack it
		}
		p := b.each(holders(reads.Database, b.m), AnswerLargest, "each shard has the view for its own rows of the tables of "+reads.Database.Name)
		p.Repeatable = again
		return p
	case reads.Database != nil && !drops:
		b.place = placeTables
		return b.one(b.home(b.schemaOf(&b.all()[0])))
	default:
		return nil
	}
}

// schemaOf is the database of a table.
func (b *builder) schemaOf(s *source) string {
	if s.text.DB != "" {
		return s.text.DB
	}
	return b.f.DB
}

// viewKey is a table's name as Facts.Views has it.
func (b *builder) viewKey(s *source) string {
	return strings.ToLower(b.schemaOf(s) + "." + s.text.Name)
}

// isView reports whether a statement defines views.
func isView(st *parse.Statement) bool {
	return st.Kind == parse.DDL && strings.HasSuffix(st.Name, " view")
}
