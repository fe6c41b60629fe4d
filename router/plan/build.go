package plan

import (
	"shardway/router/parse"
	"shardway/shardmap"
)

// builder is the work on one statement. It lives on Build's stack.
type builder struct {
	st   *parse.Statement
	args []parse.Value
	m    *shardmap.Map
	f    *Facts

	tables []source // the tables of all blocks, once they are more than few holds
	few    [4]source
	n      int // how many of few are used
	fuel   int

	need      set // the shards that the statement must reach
	lack      set // where need is empty: the shards that don't hold all tables that the statement names
	place     placeReason
	prefer    *shardmap.Shard // where any shard would do
	ins       insertNote
	moves     *shardmap.Table // whose rows an UPDATE gives other keys
	pick      string          // why the rows of an INSERT … SELECT have to be seen first
	unpicked  string          // why rows can't be chosen first, where there is more to say than that
	explained bool            // the statement isn't run
	copies    *shardmap.Table // the reference table that is written to, on several shards
	wrote     *shardmap.Table // a table that is written to elsewhere than it is read: a reference table, or one whose key is assigned
	// What else ties the statement to a shard: a named lock, a sequence, user variables on the pinned connection, the
	// databases it names.
	locks, sequence, vars, temps, homely bool
	ask                                  bool          // the columns of the outermost tables would decide how it is merged
	wants                                []parse.Table // whose columns would decide which rows are brought
	gone                                 string        // what the session keeps on a shard that the map no longer has
}

// Build gives the plan of one statement. args are the values of st's parameters in order: the digest's literals, with
// the bound values of an EXECUTE in place of its markers. It never returns nil; what can't be answered is a *Refuse. A
// *One reads args, and what they alias, when its Why or String is called: call these before the next statement is read.
func Build(st *parse.Statement, args []parse.Value, m *shardmap.Map, f *Facts) Plan {
	b := builder{st: st, args: args, m: m, f: f}
	p := b.build()
	if r, ok := p.(*Refuse); ok && r.asks == nil {
		r.asks = b.asks()
	}
	return b.mark(p)
}

// InsertTarget names the sharded table whose columns Build needs in Facts.Columns for st: the target of an INSERT or
// REPLACE without a column list. ok is false for every other statement.
func InsertTarget(st *parse.Statement, m *shardmap.Map, f *Facts) (db, table string, ok bool) {
	if st.Kind == parse.Explain && st.Inner != nil {
		st = st.Inner
	}
	if st.Insert == nil || st.Insert.Columns != nil || st.Hints.Shard != "" {
		return "", "", false
	}
	db = st.Insert.Table.DB
	if db == "" {
		db = f.DB
	}
	t := m.Table(db, st.Insert.Table.Name)
	if t == nil || !t.Sharded() && t.Sequence == "" || len(m.Shards()) == 1 && t.Sequence == "" {
		return "", "", false
	}
	return t.Database.Name, t.Name, true
}

func (b *builder) build() Plan {
	st := b.st
	switch st.Kind {
	case parse.Empty:
		return &Refuse{Code: 1065, State: "42000", Message: "Query was empty"}
	case parse.Several:
		return refuse("several statements in one text: send them one by one")
	default:
	}
	if len(st.Hints.Unknown) > 0 {
		return refuse("unknown hint " + quote(st.Hints.Unknown[0]) + ": the hints are primary, shard=NAME, timeout=DURATION, max_lag=DURATION and causal=off, as in /* shardway: primary */")
	}
	if r := b.access(); r != nil {
		return r
	}
	if p := local(st); p != nil {
		return p
	}
	if st.Hints.Shard != "" {
		return b.hinted()
	}
	if st.Kind == parse.Use {
		return b.use()
	}
	if len(b.m.Shards()) == 1 && !b.numbered() {
		b.place = placeOnly
		b.need = only(b.m.Shards()[0])
		return b.choose()
	}
	if st.Inner != nil && (st.Kind == parse.Explain || st.Kind == parse.Describe || st.Kind == parse.Set) {
		return b.wrapped()
	}
	return b.placed()
}

// numbered reports whether the statement stores rows in a table that has a sequence.
func (b *builder) numbered() bool {
	if b.st.Insert == nil {
		return false
	}
	t := b.source(&b.st.Insert.Table, parse.RoleQuery).table
	return t != nil && t.Sequence != ""
}

// placed plans a statement by the tables that it reads and writes.
func (b *builder) placed() Plan {
	if r := b.unsupported(); r != nil {
		return r
	}
	b.sources()
	if r := b.targets(); r != nil {
		return r
	}
	b.gather()
	return b.choose()
}

// local answers what the session does itself, or nil. Its plans are shared constants.
func local(st *parse.Statement) Plan {
	switch st.Kind {
	case parse.Begin:
		return &localBegin
	case parse.Commit:
		return &localCommit
	case parse.Rollback:
		return &localRollback
	case parse.Savepoint:
		return &localSavepoint
	case parse.RollbackTo:
		return &localRollbackTo
	case parse.ReleaseSavepoint:
		return &localReleaseSavepoint
	case parse.SetTransaction:
		if st.Tx.Scope == parse.ScopeGlobal {
			return refuse("SET GLOBAL TRANSACTION would change one server alone: set it in the servers' configuration, or with SET SESSION TRANSACTION for this session")
		}
		return &localSetTransaction
	case parse.ShowShardway:
		return &localShowShardway
	case parse.ExplainRoute:
		return &localExplainRoute
	case parse.Kill:
		return &localKill
	case parse.Show, parse.Other:
		if st.Is(parse.FlagDiagnostics) {
			return &localDiagnostics
		}
		if st.Kind == parse.Show && st.Name == "processlist" && st.Hints.Shard == "" {
			return &localProcesslist
		}
	default:
	}
	return nil
}

// The plans of what is always answered the same way; nobody writes to them.
var (
	localBegin            = Local{OpBegin, "a transaction begins with its first statement on a shard"}
	localCommit           = Local{OpCommit, "the session ends its transaction"}
	localRollback         = Local{OpRollback, "the session ends its transaction"}
	localSavepoint        = Local{OpSavepoint, "the session keeps its savepoints"}
	localRollbackTo       = Local{OpRollbackTo, "the session keeps its savepoints"}
	localReleaseSavepoint = Local{OpReleaseSavepoint, "the session keeps its savepoints"}
	localSetTransaction   = Local{OpSetTransaction, "the session keeps its transactions' characteristics"}
	localShowShardway     = Local{OpShowShardway, "about Shardway itself"}
	localExplainRoute     = Local{OpExplainRoute, "planned, not run"}
	localKill             = Local{OpKill, "ids are Shardway's own"}
	localProcesslist      = Local{OpProcesslist, "the sessions are Shardway's own"}
	localDiagnostics      = Local{OpDiagnostics, "about the session's last statement"}
)

// hinted is for the hint shard=NAME: no key rules, but one transaction is still on one shard.
func (b *builder) hinted() Plan {
	s := b.m.Shard(b.st.Hints.Shard)
	if s == nil {
		all := everywhere
		return refuse("the hint names shard " + quote(b.st.Hints.Shard) + ", which the map doesn't have: its shards are " + all.names(b.m))
	}
	if p := b.hintedDDL(); p != nil {
		return p
	}
	b.place, b.need = placeHint, only(s)
	return b.choose()
}

// use is for USE: it changes the session, so it never is a matter of the transaction's shard.
func (b *builder) use() Plan {
	b.place = placeSession
	s := b.m.DefaultShard(b.st.Name)
	if b.m.Database(b.st.Name) != nil {
		if len(b.f.TxShards) > 0 {
			if tx := b.m.Shard(b.f.TxShards[0]); tx != nil {
				s = tx
			}
		}
	}
	return b.one(s)
}

// wrapped is for EXPLAIN of a statement and SET STATEMENT … FOR one: the inner statement's place with the outer's role.
func (b *builder) wrapped() Plan {
	outer := b.st
	b.st, b.explained = outer.Inner, outer.Kind != parse.Set
	p := b.placed()
	if outer.Kind == parse.Set {
		if _, ok := p.(*One); !ok && !isRefuse(p) {
			return refuse("SET STATEMENT for a statement on several shards: set the variable for the session instead")
		}
		return p
	}
	b.st = outer
	switch inner := p.(type) {
	case *One:
		inner.st = outer
		inner.Role, inner.role = b.chooseRole()
	case *Refuse:
		if inner.Code == 1235 {
			return b.explain(inner)
		}
	default:
		return b.explain(inner)
	}
	return p
}

func isRefuse(p Plan) bool {
	_, ok := p.(*Refuse)
	return ok
}

// unsupported refuses what can't be right on one of several shards, whatever it names.
func (b *builder) unsupported() Plan {
	st := b.st
	switch st.Kind {
	case parse.Unparsed:
		return b.words(unread(st))
	case parse.Prepare, parse.Execute:
		if st.Is(parse.FlagUsesUserVar) && (st.Kind == parse.Prepare || st.Name == "immediate") {
			return refuse(verb(st) + " from a variable: its text can't be checked for sharded tables; write the text into it, use the driver's prepared statements, or name a shard with " + b.hint())
		}
		return b.words("the text of " + verb(st) + " isn't routed by keys")
	case parse.DDL, parse.Other, parse.Do, parse.Handler:
		return b.words("what " + verb(st) + " stores or runs stays on one shard")
	case parse.XA:
		return refuse("XA from a client: with several shards Shardway runs transactions over them itself; use BEGIN and COMMIT, or name a shard with " + b.hint())
	case parse.Account:
		return b.eachServer("accounts belong to each server")
	case parse.Flush:
		return b.eachServer("it acts on one server alone")
	case parse.Admin, parse.Lock:
		if len(st.Blocks) == 0 {
			return b.eachServer("it acts on one server alone")
		}
	case parse.Set:
		for i := range st.Set {
			if s := st.Set[i].Scope; s == parse.ScopeGlobal || s == parse.ScopePersist {
				return b.eachServer("a global variable belongs to each server")
			}
		}
	default:
	}
	return nil
}
