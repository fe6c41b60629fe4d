package parse

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"shardway/router/parse/digest"
)

// form reads the statement at a cursor, which stands after the word that the form is listed under.
type form func(c *cursor, st *Statement) bool

// formOf returns the form of the statements that start with a word and are read from their tokens; nil for all others.
// A form that returns false can't read the text.
func formOf(up string) form {
	switch up {
	case "ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE":
		return func(c *cursor, st *Statement) bool { return c.ddl(st, lower(up)) }
	case "ANALYZE":
		return (*cursor).analyze
	case "BEGIN":
		return (*cursor).begin
	case "CHECK", "CHECKSUM", "OPTIMIZE", "REPAIR":
		return func(c *cursor, st *Statement) bool { return c.admin(st, lower(up)) }
	case "BACKUP", "BINLOG", "CACHE", "CHANGE", "CLONE", "IMPORT", "INSTALL", "PURGE", "RESTART", "SHUTDOWN", "STOP", "UNINSTALL":
		return func(c *cursor, st *Statement) bool { return c.plain(st, Admin, lower(up)) }
	case "COMMIT", "ROLLBACK":
		return func(c *cursor, st *Statement) bool { return c.endTx(st, up) }
	case "DEALLOCATE", "EXECUTE", "PREPARE":
		return func(c *cursor, st *Statement) bool { return c.prepared(st, up) }
	case "DESC", "DESCRIBE", "EXPLAIN":
		return (*cursor).explain
	case "FLUSH", "RESET":
		return func(c *cursor, st *Statement) bool { return c.flush(st, lower(up)) }
	case "GET", "SIGNAL", "RESIGNAL", "HELP":
		return func(c *cursor, st *Statement) bool { return c.plainOther(st, up) }
	case "GRANT", "REVOKE":
		return func(c *cursor, st *Statement) bool { return c.plain(st, Account, lower(up)) }
	case "HANDLER":
		return (*cursor).handler
	case "KILL":
		return (*cursor).kill
	case "LOAD":
		return (*cursor).load
	case "LOCK", "UNLOCK":
		return func(c *cursor, st *Statement) bool { return c.lock(st, up) }
	case "RELEASE", "SAVEPOINT":
		return func(c *cursor, st *Statement) bool { return c.savepoint(st, up) }
	case "SET":
		return (*cursor).set
	case "SHOW":
		return (*cursor).show
	case "START":
		return (*cursor).start
	case "USE":
		return (*cursor).use
	case "XA":
		return func(c *cursor, st *Statement) bool { return c.plain(st, XA, "xa") }
	}
	return nil
}

// parsed are the first words of the statements that the parser reads.
var parsed = []string{"(", "CALL", "DELETE", "DO", "INSERT", "REPLACE", "SELECT", "TABLE", "UPDATE", "VALUES", "WITH"}

// statement reads the statement that starts at the token first.
func (src *source) statement(first int) *Statement {
	t := src.Tokens[first]
	if t.Kind == digest.TokEnd {
		return &Statement{Kind: Empty, Why: "it is empty"}
	}
	if !src.compound(first) && src.several(first) {
		st := &Statement{Kind: Several, Why: "several statements in one text"}
		st.Words, st.Qualifiers = digest.Words(src.plain()), digest.Qualifiers(src.plain())
		return st
	}
	if slices.Contains(parsed, t.Up) {
		return src.data(first)
	}
	st := &Statement{}
	if f := formOf(t.Up); f != nil {
		if c := (&cursor{src: src, i: first + 1}); f(c, st) {
			st.Bridged = st.Bridged || src.bridged != nil
			return st
		}
		if st.ParseError != "" {
			return unparsed(src, st.ParseError)
		}
		_, err := src.tree(first)
		if err != nil {
			return unparsed(src, err.Error())
		}
	}
	return unparsed(src, "unknown statement "+src.Str(t))
}

// several reports whether another statement follows a semicolon.
func (src *source) several(first int) bool {
	for i, t := range src.Tokens[first:] {
		if t.Up == ";" && src.Tokens[first+i+1].Kind != digest.TokEnd {
			return true
		}
	}
	return false
}

// compound reports whether the statement holds statements with semicolons of their own.
func (src *source) compound(first int) bool {
	c := &cursor{src: src, i: first}
	if c.accept("BEGIN", "NOT", "ATOMIC") {
		return true
	}
	if _, ok := c.acceptAny("CREATE", "ALTER"); !ok {
		return false
	}
	c.modifiers(&Statement{})
	_, ok := c.acceptAny("EVENT", "FUNCTION", "PACKAGE", "PROCEDURE", "TRIGGER")
	return ok
}

// data reads a statement that the parser reads.
func (src *source) data(first int) *Statement {
	node, err := src.read(first)
	if err != nil {
		return unparsed(src, err.Error())
	}
	a := &analyzer{src: src, st: &Statement{}, asked: src.asked}
	if !a.statement(node) {
		return unparsed(src, "unknown statement")
	}
	if !a.apart() {
		return unparsed(src, "an expression can't be read")
	}
	if a.bad != "" {
		return unparsed(src, a.bad)
	}
	a.st.Bridged = src.bridged != nil
	a.st.whole = src.bridged != nil && src.bridged.Whole && a.st.writes()
	a.st.restore(src.bridged)
	return a.st
}

// apart analyses what a bridge took out of the text.
func (a *analyzer) apart() bool {
	src := a.src
	cut := src.bridged
	if cut == nil {
		return true
	}
	for _, name := range cut.Calls {
		a.dropped(name)
	}
	for _, w := range [...]struct {
		on   bool
		flag Flags
		why  string
	}{
		{cut.SetsUserVar, FlagSetsUserVar, ""},
		{cut.Returning != nil, FlagReturning, ""},
		{cut.Into, FlagInto, "SELECT … INTO"},
		{cut.File, FlagFile, ""},
		{cut.UsesUserVar, FlagUsesUserVar, "a user variable"},
	} {
		if w.on {
			a.st.Flags |= w.flag
			if w.why != "" {
				a.notRead(w.why)
			}
		}
	}
	for _, f := range cut.Apart {
		// Which block it was in isn't known, so columns in its subqueries mean no table around them.
		if !a.fragment(f, 0, -1) {
			return false
		}
	}
	if cut.Returning != nil {
		return a.fragment(cut.Returning, 0, 0)
	}
	return true
}

// fragment analyses the expressions of a fragment in block b. Columns of its subqueries may mean tables of the block
// scope and those around it; of none when it is -1.
func (a *analyzer) fragment(text *digest.Source, b, scope int) bool {
	f := &source{Source: text}
	node, err := f.tree(0)
	if err != nil {
		return false
	}
	sel, ok := node.(*ast.SelectStmt)
	if !ok || sel.Fields == nil {
		return false
	}
	whole := a.src
	a.src = f
	sel.Fields.Accept(&finder{a: a, b: b, scope: scope})
	a.src = whole
	return true
}

// plain is a statement of which nothing but its kind matters.
func (c *cursor) plain(st *Statement, kind Kind, name string) bool {
	st.Kind, st.Name, st.Why = kind, name, strings.ToUpper(name)
	if w := c.peek(); w.Kind == digest.TokWord && kind != XA {
		st.Name += " " + lower(w.Up)
	} else if kind == XA {
		st.Name += " " + lower(w.Up)
	}
	if kind == Account && st.Name != "set role" {
		st.Flags |= FlagImplicitCommit
	}
	st.Words, st.Qualifiers = digest.Words(c.src.plain()), digest.Qualifiers(c.src.plain())
	return true
}

func (c *cursor) plainOther(st *Statement, up string) bool {
	if up == "GET" {
		st.Flags |= FlagDiagnostics
		for _, t := range c.src.Tokens[c.i:] {
			if t.Kind == digest.TokVar {
				st.Flags |= FlagSetsUserVar
			}
		}
	}
	return c.plain(st, Other, lower(up))
}

// block appends a block with tables.
func (st *Statement) block(role Role, tables ...Table) {
	st.Blocks = append(st.Blocks, Block{Parent: -1, Role: role, Tables: tables, Next: -1})
}

func (c *cursor) use(st *Statement) bool {
	st.Kind, st.Why = Use, "USE"
	t := c.next()
	if !t.IsName() || !c.end() {
		return false
	}
	st.Name = c.src.Name(t)
	st.Qualifiers = []string{st.Name}
	return true
}

func (c *cursor) handler(st *Statement) bool {
	st.Kind, st.Why = Handler, "HANDLER"
	t, ok := c.table()
	st.Name = lower(c.peek().Up)
	st.block(RoleQuery, t)
	return ok
}

func (c *cursor) kill(st *Statement) bool {
	st.Kind, st.Why = Kill, "KILL"
	c.acceptAny("HARD", "SOFT")
	if w, ok := c.acceptAny("CONNECTION", "QUERY", "USER"); ok {
		st.Name = lower(w)
	}
	if c.accept("ID") {
		st.Name = "query id"
	}
	if t := c.next(); t.Kind == digest.TokNumber && c.end() {
		st.ID, _ = strconv.ParseUint(c.src.Str(t), 10, 64)
	}
	return true
}

func (c *cursor) lock(st *Statement, up string) bool {
	st.Kind, st.Why = Lock, up
	if up == "UNLOCK" {
		st.Kind = Unlock
	}
	w, ok := c.acceptAny("TABLES", "TABLE", "INSTANCE")
	if !ok {
		return false
	}
	st.Name = "tables"
	if w == "INSTANCE" {
		st.Name = "instance"
		return true
	}
	if up == "UNLOCK" {
		return c.end()
	}
	st.Flags |= FlagImplicitCommit
	var tables []Table
	for {
		t, ok := c.table()
		if !ok {
			return false
		}
		c.acceptAny("AS")
		if next := c.peek(); next.IsName() && !slices.Contains([]string{"READ", "WRITE", "LOW_PRIORITY", "CONCURRENT"}, next.Up) {
			t.Alias = c.src.Name(c.next())
		}
		for {
			w, ok := c.acceptAny("READ", "WRITE", "LOCAL", "LOW_PRIORITY", "CONCURRENT")
			if !ok {
				break
			}
			t.Write = t.Write || w == "WRITE"
		}
		tables = append(tables, t)
		if !c.accept(",") {
			break
		}
	}
	st.block(RoleQuery, tables...)
	return true
}

func (c *cursor) flush(st *Statement, name string) bool {
	c.plain(st, Flush, name)
	if name == "flush" {
		st.Flags |= FlagImplicitCommit
	}
	for i := c.i; c.src.Tokens[i].Kind != digest.TokEnd; i++ {
		at := cursor{src: c.src, i: i}
		if at.accept("WITH", "READ", "LOCK") || at.accept("FOR", "EXPORT") {
			st.Kind, st.Name = Lock, "flush tables"
		}
	}
	return true
}

// admin is CHECK TABLE a, b and its like.
func (c *cursor) admin(st *Statement, name string) bool {
	c.acceptAny("NO_WRITE_TO_BINLOG", "LOCAL")
	if _, ok := c.acceptAny("TABLE", "TABLES"); !ok {
		if c.is("VIEW") {
			c.i++
		} else {
			return false
		}
	}
	st.Kind, st.Name, st.Why = Admin, name+" table", strings.ToUpper(name)+" TABLE"
	if name != "checksum" {
		st.Flags |= FlagImplicitCommit
	}
	tables, ok := c.tables(name != "checksum" && name != "check")
	st.block(RoleQuery, tables...)
	return ok
}

// tables reads a list of tables.
func (c *cursor) tables(write bool) (list []Table, ok bool) {
	for {
		t, ok := c.table()
		if !ok {
			return list, false
		}
		t.Write = write
		list = append(list, t)
		if !c.accept(",") {
			return list, true
		}
	}
}

// analyze is ANALYZE TABLE, or MariaDB's ANALYZE statement, which runs it.
func (c *cursor) analyze(st *Statement) bool {
	at := *c
	at.acceptAny("NO_WRITE_TO_BINLOG", "LOCAL")
	if at.is("TABLE") || at.is("TABLES") {
		return c.admin(st, "analyze")
	}
	return c.explain(st)
}

func (c *cursor) load(st *Statement) bool {
	if c.is("INDEX") {
		return c.plain(st, Admin, "load")
	}
	if _, ok := c.acceptAny("DATA", "XML"); !ok {
		return false
	}
	st.Kind, st.Why = LoadData, "LOAD DATA"
	for !c.end() {
		switch {
		case c.accept("LOCAL"):
			st.Flags |= FlagLocalInfile
		case c.accept("INTO", "TABLE"):
			t, ok := c.table()
			t.Write = true
			st.block(RoleInsertTarget, t)
			st.Words = digest.Words(c.src.plain())
			if !st.Is(FlagLocalInfile) {
				st.Flags |= FlagFile
			}
			if slices.Contains(st.Words, "select") { // in SET a = (SELECT …), which may name the table or an alias as well
				c.qualifiers(st)
			}
			return ok
		default:
			c.i++
		}
	}
	return false
}

func (c *cursor) prepared(st *Statement, up string) bool {
	st.Why = up
	for _, t := range c.src.Tokens[c.i:] {
		if t.Kind == digest.TokVar {
			st.Flags |= FlagUsesUserVar // PREPARE … FROM @x too: its text isn't known
		}
	}
	switch up {
	case "PREPARE":
		st.Kind = Prepare
		st.Words = digest.Words(c.src.plain())
		st.Qualifiers = digest.Qualifiers(c.src.plain())
		c.held(st, 2)
	case "EXECUTE":
		st.Kind = Execute
		if c.accept("IMMEDIATE") {
			st.Name = "immediate"
			st.Words, st.Qualifiers = digest.Words(c.src.plain()), digest.Qualifiers(c.src.plain())
			c.held(st, 0)
			return true
		}
	default:
		st.Kind = Deallocate
		if !c.accept("PREPARE") {
			return false
		}
	}
	t := c.next()
	st.Name = lower(c.src.Name(t))
	return t.IsName()
}

// held reads the statement that the string n tokens ahead holds. What isn't one string can be any text.
func (c *cursor) held(st *Statement, n int) {
	t, after := c.at(n), c.at(n+1)
	if t.Kind != digest.TokString || c.src.Str(t)[0] != '\'' && c.src.Str(t)[0] != '"' || after.Kind != digest.TokEnd && after.Up != ";" && after.Up != "USING" {
		st.Flags |= FlagDynamic
		return
	}
	if text := c.src.Unquoted(t); nests(text) {
		st.Flags |= FlagDynamic // servers refuse it
	} else {
		st.Inner = Parse(string(text), c.src.Mode)
	}
}

// nests says whether a text may be a PREPARE or EXECUTE itself.
func nests(text []byte) bool {
	words := digest.Words(text)
	return slices.Contains(words, "prepare") || slices.Contains(words, "execute")
}

// explain is DESCRIBE table, EXPLAIN statement and EXPLAIN ROUTE statement.
func (c *cursor) explain(st *Statement) bool {
	verb := c.at(-1).Up
	if c.accept("ROUTE") {
		st.Kind, st.Why = ExplainRoute, "EXPLAIN ROUTE"
		st.InnerText = strings.TrimSpace(string(c.src.Orig[c.peek().A:]))
		return st.InnerText != ""
	}
	runs := verb == "ANALYZE"
	for {
		w, ok := c.acceptAny("ANALYZE", "EXTENDED", "PARTITIONS", "FORMAT")
		if !ok {
			break
		}
		runs = runs || w == "ANALYZE"
		if w == "FORMAT" {
			c.accept("=")
			c.next()
		}
	}
	if c.accept("INTO") { // MySQL: EXPLAIN FORMAT=JSON INTO @x …
		c.next()
		st.Flags |= FlagSetsUserVar
		st.Why = "EXPLAIN … INTO"
	}
	if c.accept("FOR", "CONNECTION") {
		st.Kind, st.Name, st.Why = Explain, "connection", "EXPLAIN FOR CONNECTION"
		return true
	}
	if c.accept("FOR") { // FOR SCHEMA x
		if _, ok := c.acceptAny("SCHEMA", "DATABASE"); ok {
			st.Qualifiers = append(st.Qualifiers, c.src.Name(c.next()))
		}
	}
	if slices.Contains(parsed, c.peek().Up) {
		st.Kind = Explain
		inner := c.src.statement(c.i)
		if inner.Kind == Unparsed {
			st.ParseError = inner.ParseError
			return false
		}
		inner.finish()
		inner.Params = len(c.src.Markers)
		st.Inner = inner
		st.Bridged = inner.Bridged
		st.Flags |= inner.Flags &^ (FlagRead | FlagLimited | FlagReturning)
		st.Qualifiers = append(st.Qualifiers, inner.Qualifiers...)
		if inner.Why != "" && st.Why == "" {
			st.Why = verb + " of what isn't a read: " + inner.Why
		}
		if runs {
			st.Name = "analyze"
		}
		return true
	}
	t, ok := c.table()
	st.Kind = Describe
	st.block(RoleQuery, t)
	if !c.end() && !c.is(";") { // a column, or a pattern
		c.i++
	}
	c.accept(";")
	return ok && c.end()
}
