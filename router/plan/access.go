package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
)

// access refuses what the session's user may not do. Servers know Shardway's own account only, so this is the one
// place where a user's limits hold.
func (b *builder) access() Plan {
	if b.f.Databases != nil {
		if p := b.databaseAccess(); p != nil {
			return p
		}
	}
	if b.f.ReadOnlyUser && !readOnly(b.st) {
		return &Refuse{Code: 1142, State: "42000", Message: "shardway: " + verb(b.st) + " command denied to user " + quote(b.f.User) +
			": the user is read_only in Shardway's configuration"}
	}
	return nil
}

// databaseAccess refuses databases that aren't the user's, and what shows them or acts on a whole server.
func (b *builder) databaseAccess() Plan {
	st := b.st
	switch st.Kind {
	case parse.Begin, parse.Commit, parse.Rollback, parse.Savepoint, parse.RollbackTo, parse.ReleaseSavepoint,
		parse.SetTransaction, parse.ShowShardway, parse.ExplainRoute, parse.Kill:
		return nil
	case parse.Use:
		return b.denied(st.Name)
	default:
	}
	if ofServer(st) {
		return administrators(st)
	}
	if st.Is(parse.FlagDynamic) || len(st.Words) > 0 && st.Inner == nil && runsText(st) {
		return &Refuse{Code: 1227, State: "42000", Message: "shardway: Access denied; " + verb(st) + " may run a text that can't be checked for the databases it uses: give PREPARE its text as one string, or use the driver's prepared statements"}
	}
	if b.f.DB != "" {
		if p := b.denied(b.f.DB); p != nil {
			return p
		}
	}
	if p := b.textAccess(st); p != nil {
		return p
	}
	if st.Inner == nil {
		return nil
	}
	if st.Kind == parse.Prepare || st.Kind == parse.Execute {
		held := builder{st: st.Inner, m: b.m, f: b.f}
		return held.databaseAccess()
	}
	return b.textAccess(st.Inner)
}

// textAccess refuses the databases that a statement names.
func (b *builder) textAccess(st *parse.Statement) Plan {
	for _, q := range st.Qualifiers {
		switch p := b.denied(q); {
		case p == nil:
		case st.Kind == parse.Unparsed && b.m.Database(q) == nil: // an alias, most often
			return &Refuse{Code: 1064, State: "42000", Message: "shardway: " + unread(st) + ", and " + quote(q) + " in it may be a database that user " + quote(b.f.User) +
				" has no access to. Write it another way, without " + quote(q)}
		default:
			return p
		}
	}
	if st.Kind == parse.Unparsed || st.Kind == parse.Prepare {
		// A database may be named without a dot in what isn't understood.
		for _, d := range b.m.Databases() {
			if slices.Contains(st.Words, strings.ToLower(d.Name)) {
				if p := b.denied(d.Name); p != nil {
					return p
				}
			}
		}
	}
	return b.systemTables(st)
}

// ofServer reports whether a statement acts on a whole server, or shows what belongs to all of its databases. Servers
// ask for a global privilege, which Shardway's account may have.
func ofServer(st *parse.Statement) bool {
	if st.Is(parse.FlagFile) || st.Is(parse.FlagActs) {
		return true
	}
	switch st.Kind {
	case parse.Account, parse.Flush:
		return true
	case parse.Admin, parse.Lock:
		return len(st.Blocks) == 0
	case parse.Set:
		for i := range st.Set {
			if s := st.Set[i].Scope; s == parse.ScopeGlobal || s == parse.ScopePersist {
				return true
			}
		}
	case parse.Show:
		return st.Name == "processlist" && st.Hints.Shard != "" || !slices.Contains(shown, st.Name) && !strings.HasPrefix(st.Name, "create ") ||
			st.Name == "create user"
	case parse.Explain:
		return st.Name == "connection"
	case parse.DDL:
		_, object, _ := strings.Cut(st.Name, " ")
		return !slices.Contains(objects, object) || slices.Contains(st.Words, "soname")
	default:
	}
	return false
}

// shown is what SHOW shows of one database, of the session, or of every server alike; objects is what belongs to a
// database and is made by DDL.
var (
	shown = []string{
		"authors", "character set", "charset", "collation", "columns", "contributors", "count errors", "count warnings", "databases", "engines",
		"errors", "events", "fields", "function code", "function status", "index", "indexes", "keys", "locales", "package body", "package status", "plugins",
		"privileges", "procedure code", "procedure status", "processlist", "profile", "profile all", "profile cpu", "profiles", "schemas", "status",
		"table status", "table types", "tables", "triggers", "variables", "warnings",
	}
	objects = []string{
		"database", "event", "function", "index", "package", "prepare", "procedure", "schema", "sequence", "table", "tables", "trigger", "view",
	}
)

// runsText reports whether a text that isn't read as a tree, such as a procedure's body, may run another text, name a
// database without a dot, or use a server's file.
func runsText(st *parse.Statement) bool {
	if st.Kind != parse.Unparsed && st.Kind != parse.DDL {
		return false
	}
	has := func(word string) bool { return slices.Contains(st.Words, word) }
	if st.Kind == parse.Unparsed && (has("outfile") || has("dumpfile") || has("load_file")) {
		return true
	}
	return has("prepare") || has("execute") || has("show") || (has("drop") || has("alter")) && (has("database") || has("schema"))
}

// systemTables refuses the tables of the servers' own schemas that show what other databases' users do.
func (b *builder) systemTables(st *parse.Statement) Plan {
	for i := range st.Blocks {
		for j := range st.Blocks[i].Tables {
			t := &st.Blocks[i].Tables[j]
			db := t.DB
			if db == "" && t.Source < 0 {
				db = b.f.DB
			}
			if t.Name != "" && tells(db, strings.ToLower(t.Name)) {
				return b.deniedTable(t.Name)
			}
		}
	}
	if len(st.Blocks) == 0 || st.Kind == parse.LoadData {
		for _, w := range st.Words {
			if (slices.Contains(st.Qualifiers, "information_schema") || strings.EqualFold(b.f.DB, "information_schema")) && tells("information_schema", w) {
				return b.deniedTable(w)
			}
		}
	}
	return nil
}

func (b *builder) deniedTable(name string) Plan {
	return &Refuse{Code: 1142, State: "42000", Message: "shardway: SELECT command denied to user " + quote(b.f.User) + " for table " + quote(name) +
		": it is for users without a list of databases"}
}

// tells reports whether a table of a server's own schema tells what other users do. Of performance_schema everybody
// may read what servers let everybody read.
func tells(db, table string) bool {
	switch strings.ToLower(db) {
	case "information_schema":
		return strings.HasPrefix(table, "innodb_") || slices.Contains([]string{
			"client_statistics", "index_statistics", "metadata_lock_info", "processlist", "query_cache_info", "table_statistics",
			"user_attributes", "user_privileges", "user_statistics",
		}, table)
	case "performance_schema":
		return !slices.Contains([]string{
			"global_status", "global_variables", "performance_timers", "session_account_connect_attrs", "session_status", "session_variables",
			"variables_info",
		}, table)
	default:
		return false
	}
}

// administrators refuses what acts on a whole server: servers know Shardway's account, so they would allow it.
func administrators(st *parse.Statement) Plan {
	return &Refuse{Code: 1227, State: "42000", Message: "shardway: Access denied; " + verb(st) + " is for users without a list of databases"}
}

// denied refuses one database, as a server does.
func (b *builder) denied(db string) Plan {
	for _, d := range b.f.Databases {
		if strings.EqualFold(d, db) {
			return nil
		}
	}
	if strings.EqualFold(db, "information_schema") || strings.EqualFold(db, "performance_schema") && b.st.Is(parse.FlagRead) {
		return nil
	}
	return &Refuse{Code: 1044, State: "42000", Message: "Access denied for user " + quote(b.f.User) + "@'%' to database " + quote(db)}
}

// readOnly reports whether a user who may only read may run the statement: reads, transaction control, and what
// changes no more than the session.
func readOnly(st *parse.Statement) bool {
	switch st.Kind {
	case parse.Begin, parse.Commit, parse.Rollback, parse.Savepoint, parse.RollbackTo, parse.ReleaseSavepoint,
		parse.SetTransaction, parse.ShowShardway, parse.ExplainRoute, parse.Kill, parse.Use, parse.Unlock, parse.Deallocate,
		parse.Empty, parse.Several:
		return true
	case parse.Show:
		return st.Flags&writing == 0
	case parse.Describe:
		return true
	case parse.Set:
		for i := range st.Set {
			if s := st.Set[i].Scope; s == parse.ScopeGlobal || s == parse.ScopePersist {
				return false
			}
		}
		return st.Flags&writing == 0 && (st.Inner == nil || readOnly(st.Inner))
	case parse.Select, parse.Do:
		return st.Is(parse.FlagRead) || sessionRead(st.Flags)
	default:
		return st.Is(parse.FlagRead)
	}
}

// writing are the flags of what changes or locks more than the session.
const writing = parse.FlagLocks | parse.FlagStoredFunction | parse.FlagSequenceNext | parse.FlagActs | parse.FlagFile

// sessionRead reports whether a SELECT that isn't a read for replicas is one all the same: it depends on the session
// and changes nothing else.
func sessionRead(f parse.Flags) bool {
	const session = parse.FlagSetsUserVar | parse.FlagUsesUserVar | parse.FlagLastInsertID | parse.FlagSetsLastInsertID |
		parse.FlagFoundRows | parse.FlagCalcFoundRows | parse.FlagRowCount | parse.FlagDiagnostics | parse.FlagConnectionID |
		parse.FlagGetLock | parse.FlagReleaseLock
	if f&writing != 0 || f&parse.FlagInto != 0 && f&parse.FlagSetsUserVar == 0 {
		return false
	}
	return f&session != 0
}
