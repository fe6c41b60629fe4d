package router

import (
	"bytes"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
)

// plain are the flags that ask nothing of the session's state at servers.
const plain = parse.FlagRead | parse.FlagLocks | parse.FlagImplicitCommit | parse.FlagSequenceNext | parse.FlagInto |
	parse.FlagForeignData | parse.FlagReturning | parse.FlagLimited | parse.FlagExecutable | parse.FlagStoredFunction

// special says whether a kind of statement has effects on the session's state at servers, whatever its flags.
func special(k parse.Kind) bool {
	switch k {
	case parse.Insert, parse.Replace, parse.Set, parse.SetTransaction, parse.Use, parse.Call, parse.Unparsed,
		parse.Lock, parse.Unlock, parse.Flush, parse.Prepare, parse.Execute, parse.Deallocate, parse.Handler, parse.XA:
		return true
	default:
		return false
	}
}

// effects says in a request what a statement needs of the session's connections and leaves on them.
func (s *session) effects(t *text, r *exec.Request) error {
	st := t.st
	for _, e := range [...]struct {
		flag        parse.Flags
		uses, holds exec.Why
	}{
		{parse.FlagUsesUserVar, exec.WhyUserVariable, 0},
		{parse.FlagGetLock, exec.WhyNamedLock, exec.WhyNamedLock},
		{parse.FlagReleaseLock, exec.WhyNamedLock, 0},
		{parse.FlagCalcFoundRows, 0, exec.WhyFoundRows},
		{parse.FlagFoundRows, exec.WhyFoundRows, 0},
		{parse.FlagDiagnostics, exec.WhyDiagnostics, 0},
	} {
		if st.Flags&e.flag != 0 {
			r.Uses |= e.uses
			r.Holds |= e.holds
		}
	}
	if st.Is(parse.FlagSetsUserVar) && st.Kind != parse.Set {
		setsVariables(st, r)
	}
	if st.Is(parse.FlagTemporary) && st.Kind == parse.DDL && strings.HasPrefix(st.Name, "create") {
		r.Holds |= exec.WhyTemporaryTable
	}
	if st.Is(parse.FlagLastInsertID) {
		s.x.AskInsertID()
		r.UsesLastInsertID = true
	}
	r.SetsLastInsertID = st.Is(parse.FlagSetsLastInsertID)
	s.keeps(t, r)
	r.Passing = passing(st)

	switch st.Kind {
	case parse.Insert, parse.Replace:
		r.Given = func(id uint64) bool { return given(t, id) }
		r.Upserts = len(st.Assign) > 0
		if st.Is(parse.FlagReturning) {
			s.x.AskInsertID()
			r.UsesLastInsertID = true // the server is asked for it afterwards
		}
	case parse.Set:
		if next := scopesOf(t.st)&(1<<parse.ScopeNext) != 0; next {
			return protocol.Errorf(1235, "42000", "shardway: SET of the next transaction's characteristics together with other variables isn't supported; set them in statements of their own")
		}
		s.setEffects(t, r)
	case parse.Use:
		r.Schema = st.Name
	case parse.Call, parse.Unparsed:
		r.Holds |= exec.WhyUnknown
		r.UsesLastInsertID = true // a procedure may read it
	case parse.Lock:
		r.Holds |= exec.WhyTableLock
	case parse.Unlock:
		r.Uses |= exec.WhyTableLock
		r.Frees |= exec.WhyTableLock
	case parse.Flush:
		if bytes.Contains(bytes.ToLower(t.sql), []byte("lock")) || bytes.Contains(bytes.ToLower(t.sql), []byte("export")) {
			r.Holds |= exec.WhyTableLock
		}
	case parse.XA:
		r.Uses |= exec.WhyXA
		if st.Name == "xa commit" || st.Name == "xa rollback" {
			r.Frees |= exec.WhyXA
		} else if st.Name != "xa recover" {
			r.Holds |= exec.WhyXA
		}
	default:
	}
	return nil
}

// given says whether an insert id may be one that the statement itself gives.
func given(t *text, id uint64) bool {
	in := t.st.Insert
	if in == nil || in.Select >= 0 || len(in.Rows) == 0 {
		return true
	}
	for _, row := range in.Rows {
		for i := range row {
			v := row[i].Value
			switch row[i].Kind {
			case parse.OperandArg:
				v = t.args[row[i].Arg]
			case parse.OperandConst, parse.OperandDefault:
			default:
				return true
			}
			switch v.Kind {
			case parse.Int:
				if v.I > 0 && uint64(v.I) == id {
					return true
				}
			case parse.Uint:
				if v.U == id {
					return true
				}
			case parse.Null, parse.Bool:
			default:
				if len(v.S) < 40 && strings.TrimLeft(strings.TrimSpace(string(v.S)), "+0") == utoa(id) {
					return true
				}
			}
		}
	}
	return false
}

// scopesOf is the set of scopes that a SET writes.
func scopesOf(st *parse.Statement) (set uint) {
	for i := range st.Set {
		set |= 1 << st.Set[i].Scope
	}
	return set
}

// passing are the variables of SET STATEMENT … FOR.
func passing(st *parse.Statement) (names []string) {
	for i := range st.Set {
		if st.Set[i].Scope == parse.ScopeStatement {
			names = append(names, st.Set[i].Name)
		}
	}
	return names
}

// setEffects says what SET leaves at its server. Servers report system variables themselves; user variables follow
// the client as long as their values are plain literals.
func (s *session) setEffects(t *text, r *exec.Request) {
	for _, v := range t.st.Set {
		switch v.Scope {
		case parse.ScopeUser:
			r.Uses |= exec.WhyUserVariable
			if v.Literal && isASCII(v.Name) && isPlain(v.Text) {
				r.Sets = append(r.Sets, exec.Set{Name: "@" + v.Name, SQL: v.Text})
				continue
			}
			setsVariables(t.st, r)
		case parse.ScopeSession:
			switch {
			case v.Name == "names" && v.Default:
				r.Names = "DEFAULT"
			case v.Name == "names":
				r.Names = v.Text
			case v.Name == "collate":
				r.Names += " COLLATE " + v.Text
			case v.Name == "character set":
				r.AsksCharset = true
			default:
				r.Assigns = append(r.Assigns, v.Name)
			}
		default:
		}
	}
}

// setsVariables says that a statement gives user variables values that its text doesn't tell. Their server is asked for
// them, unless it isn't known which variables these are.
func setsVariables(st *parse.Statement, r *exec.Request) {
	r.Uses |= exec.WhyUserVariable
	if len(st.UserVars) == 0 || st.Flags&(parse.FlagStoredFunction|parse.FlagExecutable) != 0 || slices.ContainsFunc(st.UserVars, isForeign) {
		r.Holds |= exec.WhyUserVariable
		return
	}
	r.Variables = r.Variables[:0]
	for _, name := range st.UserVars {
		r.Variables = append(r.Variables, "@"+name)
	}
}

// isForeign says that a name may equal others by the rules of its server's collation.
func isForeign(name string) bool { return !isASCII(name) }

// isPlain says that a literal means the same whatever the sql_mode is.
func isPlain(text string) bool { return isASCII(text) && !strings.ContainsAny(text, `\"`) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// tempTables takes over what a statement about temporary tables has done.
func (s *session) tempTables(t *text) {
	for _, b := range t.st.Blocks {
		for _, table := range b.Tables {
			db := table.DB
			if db == "" {
				db = s.x.Schema()
			}
			s.x.TempTable(strings.ToLower(db+"."+table.Name), strings.HasPrefix(t.st.Name, "create"))
		}
	}
}
