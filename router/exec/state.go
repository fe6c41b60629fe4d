package exec

import (
	"encoding/binary"
	"slices"
	"strings"
	"unique"
)

// Handle is an interned State: equal states have equal handles, so a comparison costs nothing.
type Handle = unique.Handle[string]

// fresh is the state of a connection after login: no schema, utf8mb4, every variable as the server starts it.
var fresh = unique.Make("")

// A variable is one part of a state: a system variable, or a user variable whose name begins with "@".
type variable struct {
	name string // lower case
	sql  string // its value as SQL text
}

// state is what a connection holds, or what a client's statements need: the current schema and the variables that
// differ from those of a fresh connection.
type state struct {
	schema string
	vars   []variable // sorted by name
}

// get returns the SQL text of a variable's value, "" when it is as on a fresh connection.
func (s *state) get(name string) string {
	if i, ok := s.find(name); ok {
		return s.vars[i].sql
	}
	return ""
}

func (s *state) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.vars, name, func(v variable, n string) int { return strings.Compare(v.name, n) })
}

// set gives a variable a value; "" takes it back to that of a fresh connection.
func (s *state) set(name, sql string) {
	i, ok := s.find(name)
	switch {
	case sql == "" && ok:
		s.vars = slices.Delete(s.vars, i, i+1)
	case sql == "":
	case ok:
		s.vars[i].sql = sql
	default:
		s.vars = slices.Insert(s.vars, i, variable{name, sql})
	}
}

// handle interns the state.
func (s *state) handle() Handle {
	if s.schema == "" && len(s.vars) == 0 {
		return fresh
	}
	b := binary.AppendUvarint(nil, uint64(len(s.schema)))
	b = append(b, s.schema...)
	for _, v := range s.vars {
		b = binary.AppendUvarint(b, uint64(len(v.name)))
		b = append(b, v.name...)
		b = binary.AppendUvarint(b, uint64(len(v.sql)))
		b = append(b, v.sql...)
	}
	return unique.Make(string(b))
}

// stateOf is the inverse of handle.
func stateOf(h Handle) state {
	text := h.Value()
	next := func() string {
		n, used := binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen64)]))
		part := text[used : used+int(n)]
		text = text[used+int(n):]
		return part
	}
	var s state
	if text == "" {
		return s
	}
	s.schema = next()
	for text != "" {
		name := next()
		s.vars = append(s.vars, variable{name, next()})
	}
	return s
}

// namesVariable stands for SET NAMES: its value is the statement's text, "latin1" or "utf8mb4 COLLATE utf8mb4_bin". The
// variables that SET NAMES sets can't stand for it, since their values don't name the collation of results.
const namesVariable = "names"

// freshNames is what a connection has after login: see protocol.DialOptions.Collation.
const freshNames = "utf8mb4 COLLATE utf8mb4_general_ci"

// charsetNames are the variables that SET NAMES sets, in the order in which they can be set after it.
var charsetNames = [...]string{
	"character_set_client", "character_set_connection", "character_set_results", "collation_connection",
}

// freshTracking is what a pooled connection asks of its server so that it reports changes of state.
var freshTracking = map[string]string{
	"session_track_system_variables": "'*'",
	"session_track_schema":           "ON",
	"session_track_state_change":     "ON",
	"session_track_transaction_info": "'STATE'",
	"session_track_gtids":            "'OWN_GTID'",
}

func isCharset(name string) bool {
	return name == namesVariable || slices.Contains(charsetNames[:], name)
}

// linkedNames are two variables of which setting either sets the other as well, without a report from the server.
var linkedNames = [...]string{"character_set_connection", "collation_connection"}

func isLinked(name string) bool { return slices.Contains(linkedNames[:], name) }

// step is one statement on the way from one state to another, and the state after it.
type step struct {
	sql  string
	then state
}

// script returns the statements that take a connection from one state to another, except for the schema: the
// character set comes first, since it decides how the texts after it are read.
func script(from, to *state) []step {
	var rest []string
	then := state{schema: from.schema}
	names := to.get(namesVariable)
	same := names == from.get(namesVariable)
	then.set(namesVariable, names)
	if names == "" {
		names = freshNames
	}
	charset := []string{"SET NAMES " + names}
	for _, name := range charsetNames {
		want := to.get(name)
		same = same && want == from.get(name)
		if want != "" {
			then.set(name, want)
			charset = append(charset, name+"="+want)
		}
	}
	for _, v := range from.vars {
		if !isCharset(v.name) {
			then.set(v.name, v.sql)
			if to.get(v.name) == "" {
				rest = append(rest, assignment(v.name, freshValue(v.name)))
			}
		}
	}
	for _, v := range to.vars {
		if !isCharset(v.name) && from.get(v.name) != v.sql {
			rest = append(rest, assignment(v.name, v.sql))
		}
	}
	var steps []step
	if !same {
		steps = append(steps, step{strings.Join(charset, ","), then})
	}
	if len(rest) > 0 {
		steps = append(steps, step{"SET " + strings.Join(rest, ","), state{schema: from.schema, vars: to.vars}})
	}
	return steps
}

func assignment(name, sql string) string {
	if strings.HasPrefix(name, "@") {
		return "@`" + strings.ReplaceAll(name[1:], "`", "``") + "`=" + sql
	}
	return "SESSION " + name + "=" + sql
}

func freshValue(name string) string {
	if v, ok := freshTracking[name]; ok {
		return v
	}
	if strings.HasPrefix(name, "@") {
		return "NULL"
	}
	switch name {
	case "foreign_key_checks", "unique_checks": // MySQL's DEFAULT turns these off
		return "@@GLOBAL." + name
	}
	return "DEFAULT"
}

// lexical returns the part of a state that decides what the text of a prepared statement means.
func (s *state) lexical() state {
	l := state{schema: s.schema}
	for _, v := range s.vars {
		if isCharset(v.name) || v.name == "sql_mode" {
			l.vars = append(l.vars, v)
		}
	}
	return l
}

// trackedSQL turns the value that a server reports for a variable into SQL that sets it.
func trackedSQL(name, value string) string {
	if value == "" && name == "character_set_results" {
		return "NULL"
	}
	if isNumber(value) {
		return value
	}
	return quote(value)
}

// isNumber says whether text is a plain number, which servers refuse in quotes for numeric variables.
func isNumber(text string) bool {
	digits, dots := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		case c == '-' && i == 0:
		default:
			return false
		}
	}
	return digits > 0 && dots <= 1
}

// quote makes a string literal that is read alike with and without NO_BACKSLASH_ESCAPES.
func quote(s string) string {
	if !strings.ContainsAny(s, `'\`) {
		return "'" + s + "'"
	}
	const hex = "0123456789abcdef"
	b := append(make([]byte, 0, 3+2*len(s)), "x'"...)
	for i := range len(s) {
		b = append(b, hex[s[i]>>4], hex[s[i]&15])
	}
	return string(append(b, '\''))
}
