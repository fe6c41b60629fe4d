package router

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
)

// kept counts what a client has made on the connection that it keeps, so that the pin ends with the last of it.
type kept struct {
	prepared []string // by PREPARE … FROM, in lower case
	handlers int      // by HANDLER … OPEN
	locks    []string // names given to GET_LOCK
	unnamed  bool     // a name given to GET_LOCK isn't known
	tables   bool     // by LOCK TABLES: statements see no other tables
}

// keeps says in a request what a statement makes on its connection, and which pins end when it succeeds.
func (s *session) keeps(t *text, r *exec.Request) {
	st, k := t.st, &s.kept
	switch st.Kind {
	case parse.Prepare:
		r.Holds |= exec.WhyPrepared
	case parse.Execute:
		r.Uses |= exec.WhyPrepared
	case parse.Deallocate:
		r.Uses |= exec.WhyPrepared
		if len(k.prepared) == 1 && k.prepared[0] == st.Name {
			r.Frees |= exec.WhyPrepared
		}
	case parse.Handler:
		r.Uses |= exec.WhyHandler
		switch {
		case st.Name == "open":
			r.Holds |= exec.WhyHandler
		case st.Name == "close" && k.handlers == 1:
			r.Frees |= exec.WhyHandler
		}
	default:
	}
	if st.Is(parse.FlagReleaseLock) && !st.Is(parse.FlagGetLock) && bytes.Contains(bytes.ToLower(t.sql), []byte("release_all_locks")) {
		r.Frees |= exec.WhyNamedLock
	}
}

// made takes over what a statement that succeeded has made or taken away.
func (s *session) made(t *text) {
	st, k := t.st, &s.kept
	switch st.Kind {
	case parse.Prepare:
		if !slices.Contains(k.prepared, st.Name) {
			k.prepared = append(k.prepared, st.Name)
		}
	case parse.Deallocate:
		k.prepared = slices.DeleteFunc(k.prepared, func(name string) bool { return name == st.Name })
	case parse.Handler:
		switch st.Name {
		case "open":
			k.handlers++
		case "close":
			k.handlers--
		}
	case parse.Lock:
		k.tables = true
	case parse.Unlock:
		k.tables = false
	default:
	}
	if st.Is(parse.FlagGetLock) {
		k.lock(t)
	}
	if st.Is(parse.FlagReleaseLock) {
		if !s.x.HoldsLock() {
			k.locks, k.unnamed = nil, false
		} else if !k.unnamed && s.x.FreeIfUnlocked(k.locks) {
			k.locks = nil
		}
	}
}

var getLock = regexp.MustCompile(`(?i)\bget_lock\s*\(\s*`)

// lock notes the names of the locks that a statement asks for.
func (k *kept) lock(t *text) {
	calls := getLock.FindAllIndex(t.sql, -1)
	k.unnamed = k.unnamed || len(calls) == 0 || strings.Contains(string(t.sql), "/*")
	for _, call := range calls {
		i := slices.IndexFunc(t.args, func(v parse.Value) bool { return v.Start == call[1] })
		if i < 0 || t.args[i].Kind != parse.String || len(k.locks) > 20 {
			k.unnamed = true
			return
		}
		if name := string(t.args[i].S); !slices.Contains(k.locks, name) {
			k.locks = append(k.locks, name)
		}
	}
}

// lockedTables is for a statement for a shard, while the client has locked tables: they are all that it sees, on every
// shard. Another LOCK TABLES lets go of them first.
func (s *session) lockedTables(st *parse.Statement, shard string) error {
	locked := s.x.TableLocks()
	switch {
	case locked == "":
		s.kept.tables = false
		return nil
	case locked == shard:
		return nil // the server sees to it
	case st.Kind == parse.Lock:
		return s.unlockTables()
	}
	for i := range st.Blocks {
		for _, table := range st.Blocks[i].Tables {
			if table.Source >= 0 || table.Name == "" {
				continue
			}
			name := table.Alias
			if name == "" {
				name = table.Name
			}
			return protocol.Errorf(1100, "HY000", "Table '%s' was not locked with LOCK TABLES", name)
		}
	}
	return nil
}

// unlockTables lets go of the tables that the client has locked, as BEGIN does and the next LOCK TABLES.
func (s *session) unlockTables() error {
	if !s.kept.tables {
		return nil
	}
	s.kept.tables = false
	return s.x.UnlockTables()
}
