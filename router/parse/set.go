package parse

import (
	"slices"
	"strings"

	"shardway/router/parse/digest"
)

// set is SET in all its forms.
func (c *cursor) set(st *Statement) bool {
	st.Kind, st.Why = Set, "SET"
	switch {
	case c.is("PASSWORD") && c.at(1).Up != ".":
		return c.plain(st, Account, "set")
	case c.is("ROLE"), c.is("DEFAULT") && c.at(1).Up == "ROLE":
		return c.plain(st, Account, "set")
	case c.is("RESOURCE") && c.at(1).Up == "GROUP":
		return c.plain(st, Other, "set")
	case c.accept("STATEMENT"):
		return c.setStatement(st)
	case c.accept("TRANSACTION"):
		return c.transaction(st, ScopeNext)
	}
	at := *c
	if scope, ok := at.scope(); ok && at.accept("TRANSACTION") {
		*c = at
		return c.transaction(st, scope)
	}
	return c.assignments(st, ScopeSession, "") && c.end()
}

// setStatement is MariaDB's SET STATEMENT a = 1 FOR statement: the statement, with variables set for it alone.
func (c *cursor) setStatement(st *Statement) bool {
	var vars Statement
	if !c.assignments(&vars, ScopeStatement, "FOR") || !c.accept("FOR") {
		return false
	}
	inner := c.src.statement(c.i)
	if inner.Kind == Unparsed {
		st.ParseError = inner.ParseError
		return false
	}
	inner.Set = append(vars.Set, inner.Set...)
	if len(vars.Blocks) > 0 || vars.Flags != 0 {
		st.ParseError = "SET STATEMENT with an expression that isn't a literal"
		return false
	}
	inner.Bridged = true
	*st = *inner
	return true
}

// scope reads GLOBAL, SESSION and the like, where a variable's name follows.
func (c *cursor) scope() (Scope, bool) {
	if !c.at(1).IsName() {
		return ScopeSession, false
	}
	w, ok := c.acceptAny("GLOBAL", "SESSION", "LOCAL", "PERSIST", "PERSIST_ONLY")
	return scopeOf(w), ok
}

func scopeOf(up string) Scope {
	switch up {
	case "GLOBAL":
		return ScopeGlobal
	case "PERSIST", "PERSIST_ONLY":
		return ScopePersist
	default:
		return ScopeSession
	}
}

// assignments reads a list of assignments, up to the end or to the word until.
func (c *cursor) assignments(st *Statement, scope Scope, until string) bool {
	for {
		if s, ok := c.scope(); ok {
			scope = s // also for what follows without one
		}
		if !c.assignment(st, scope, until) {
			return false
		}
		if !c.accept(",") {
			return true
		}
	}
}

func (c *cursor) assignment(st *Statement, scope Scope, until string) bool {
	v := SetVar{Scope: scope}
	t := c.peek()
	switch {
	case c.is("NAMES") && c.at(1).Up != "=" && c.at(1).Up != ":=":
		c.i++
		return c.names(st)
	case c.accept("CHARACTER", "SET"), c.is("CHARSET") && c.at(1).Up != "=" && c.at(1).Up != ":=" && c.next().Up != "":
		v.Name = "character set"
		return c.value(st, v, until)
	case t.Kind == digest.TokVar:
		c.i++
		text := c.src.Str(t)
		if !strings.HasPrefix(text, "@@") {
			v.Scope = ScopeUser
			v.Name = lower(c.src.userVar(t))
			st.Flags |= FlagSetsUserVar
			break
		}
		v.Name = lower(strings.Trim(text[2:], "`"))
		v.Scope = ScopeSession
		explicit := false
		if c.is(".") && slices.Contains([]string{"global", "session", "local", "persist", "persist_only"}, v.Name) {
			c.i++
			v.Scope = scopeOf(strings.ToUpper(v.Name))
			v.Name = lower(c.src.Name(c.next()))
			explicit = true
		}
		c.dotted(&v)
		if !explicit && isTxVar(v.Name) {
			v.Scope = ScopeNext
		}
	case t.IsName():
		c.i++
		v.Name = lower(c.src.Name(t))
		c.dotted(&v)
	default:
		return false
	}
	if _, ok := c.acceptAny("=", ":="); !ok {
		return false
	}
	return c.value(st, v, until)
}

// isTxVar reports whether SET @@x, without a scope, changes the next transaction alone.
func isTxVar(name string) bool {
	switch name {
	case "transaction_isolation", "transaction_read_only", "tx_isolation", "tx_read_only":
		return true
	}
	return false
}

func quotedKind(s string) digest.TokenKind {
	if s != "" && (s[0] == '`' || s[0] == '\'' || s[0] == '"') {
		return digest.TokQuoted
	}
	return digest.TokWord
}

// dotted reads the rest of a name with dots.
func (c *cursor) dotted(v *SetVar) {
	for c.is(".") && c.at(1).IsName() {
		c.i++
		v.Name += "." + lower(c.src.Name(c.next()))
	}
}

// names is SET NAMES charset [COLLATE collation].
func (c *cursor) names(st *Statement) bool {
	t := c.next()
	if !t.IsName() && t.Kind != digest.TokString {
		return false
	}
	st.Set = append(st.Set, c.literal(SetVar{Name: "names"}, t, t))
	if c.accept("COLLATE") {
		t := c.next()
		if !t.IsName() && t.Kind != digest.TokString {
			return false
		}
		st.Set = append(st.Set, c.literal(SetVar{Name: "collate"}, t, t))
	}
	return true
}

// value reads the value of a variable, and adds the assignment.
func (c *cursor) value(st *Statement, v SetVar, until string) bool {
	first := c.i
	depth := 0
	for !c.end() {
		t := c.peek()
		if depth == 0 && (t.Up == "," || until != "" && t.Up == until) {
			break
		}
		switch t.Up {
		case "(":
			depth++
		case ")":
			depth--
		}
		c.i++
	}
	if c.i == first {
		return false
	}
	a, b := c.src.Tokens[first], c.src.Tokens[c.i-1]
	v = c.literal(v, a, b)
	if !v.Literal && !v.Default {
		v.Text = string(c.src.Text[a.A:b.B])
		if !c.expression(st, a.A, b.B) {
			return false
		}
	}
	st.Set = append(st.Set, v)
	return true
}

// literal fills in the value made of the tokens a to b, if it is a literal, a signed number, or a word.
func (c *cursor) literal(v SetVar, a, b digest.Token) SetVar {
	v.Text = string(c.src.Text[a.A:b.B])
	neg := false
	if a.Kind == digest.TokOp && (a.Up == "-" || a.Up == "+") && b.Kind == digest.TokNumber && b.A > a.A {
		between := strings.TrimSpace(string(c.src.Text[a.B:b.A]))
		neg = a.Up == "-"
		if between != "" {
			return v
		}
		a = b
	}
	if a != b {
		return v
	}
	switch text := c.src.Str(a); a.Kind {
	case digest.TokWord:
		switch a.Up {
		case "DEFAULT":
			v.Default = true
			return v
		case "NULL":
			v.Value = Value{Kind: Null}
		case "TRUE":
			v.Value = Value{Kind: Bool, I: 1}
		case "FALSE":
			v.Value = Value{Kind: Bool}
		default:
			v.Value = Value{Kind: String, S: []byte(text)}
		}
	case digest.TokQuoted:
		v.Value = Value{Kind: String, S: []byte(c.src.Name(a))}
	case digest.TokString:
		if text[0] != '\'' && text[0] != '"' {
			return v
		}
		v.Value = Value{Kind: String, S: c.src.Unquoted(a)}
	case digest.TokNumber:
		var d Digest
		d.Scan([]byte("SELECT "+text), 0)
		if len(d.Args) != 1 {
			return v
		}
		v.Value = d.Args[0]
		v.Value.Start, v.Value.End = 0, 0
		if neg {
			o := negated(v.Value)
			if o.Kind == OperandUnknown {
				return v
			}
			v.Value = o.Value
		}
	default:
		return v
	}
	v.Literal = true
	return v
}

// expression analyses text[i:j]: functions, variables, subqueries.
func (c *cursor) expression(st *Statement, i, j int) bool {
	f := c.src.Fragment(i, j)
	a := &analyzer{src: c.src, st: st}
	for range st.Blocks {
		a.scopes = append(a.scopes, -1)
	}
	b := a.block(-1, -1, RoleQuery, false)
	blocks := len(st.Blocks)
	if !a.fragment(f, b, b) {
		return false
	}
	if len(st.Blocks) == blocks { // no subquery: the block says nothing
		st.Blocks = st.Blocks[:b]
	}
	return true
}
