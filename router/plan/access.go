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

// databaseAccess refuses databases that aren't the user's.
func (b *builder) databaseAccess() Plan {
	st := b.st
	switch st.Kind {
	case parse.Begin, parse.Commit, parse.Rollback, parse.Savepoint, parse.RollbackTo, parse.ReleaseSavepoint,
		parse.SetTransaction, parse.ShowShardway, parse.ExplainRoute, parse.Kill:
		return nil
	case parse.Use:
		return b.denied(st.Name)
	case parse.Account, parse.Flush:
		return administrators(st)
	case parse.Admin, parse.Lock:
		if len(st.Blocks) == 0 {
			return administrators(st)
		}
	case parse.Set:
		for i := range st.Set {
			if s := st.Set[i].Scope; s == parse.ScopeGlobal || s == parse.ScopePersist {
				return administrators(st)
			}
		}
	case parse.Prepare, parse.Execute:
		if st.Is(parse.FlagUsesUserVar) && (st.Kind == parse.Prepare || st.Name == "immediate") {
			return &Refuse{Code: 1227, State: "42000", Message: "shardway: Access denied; " + verb(st) + " from a variable can't be checked for the databases it uses: write the text into it, or use the driver's prepared statements"}
		}
	default:
	}
	if b.f.DB != "" {
		if p := b.denied(b.f.DB); p != nil {
			return p
		}
	}
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
	if st.Inner != nil {
		for _, q := range st.Inner.Qualifiers {
			if p := b.denied(q); p != nil {
				return p
			}
		}
	}
	return nil
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
	case parse.Show, parse.Describe:
		return true
	case parse.Set:
		for i := range st.Set {
			if s := st.Set[i].Scope; s == parse.ScopeGlobal || s == parse.ScopePersist {
				return false
			}
		}
		return !st.Is(parse.FlagStoredFunction) && !st.Is(parse.FlagSequenceNext) && (st.Inner == nil || readOnly(st.Inner))
	case parse.Select, parse.Do:
		return st.Is(parse.FlagRead) || sessionRead(st.Flags)
	default:
		return st.Is(parse.FlagRead)
	}
}

// sessionRead reports whether a SELECT that isn't a read for replicas is one all the same: it depends on the session
// and changes nothing else.
func sessionRead(f parse.Flags) bool {
	const session = parse.FlagSetsUserVar | parse.FlagUsesUserVar | parse.FlagLastInsertID | parse.FlagSetsLastInsertID |
		parse.FlagFoundRows | parse.FlagCalcFoundRows | parse.FlagRowCount | parse.FlagDiagnostics | parse.FlagConnectionID |
		parse.FlagGetLock | parse.FlagReleaseLock
	const more = parse.FlagLocks | parse.FlagStoredFunction | parse.FlagSequenceNext
	if f&more != 0 || f&parse.FlagInto != 0 && f&parse.FlagSetsUserVar == 0 {
		return false
	}
	return f&session != 0
}
