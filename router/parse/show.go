package parse

import (
	"slices"
	"strings"

	"shardway/router/parse/digest"
)

// show is SHOW, and SHOW SHARDWAY.
func (c *cursor) show(st *Statement) bool {
	st.Kind = Show
	if c.accept("SHARDWAY") {
		st.Kind, st.Why = ShowShardway, "SHOW SHARDWAY"
		t := c.next()
		st.Name = lower(t.Up)
		return t.Kind == digest.TokWord && c.end()
	}
	for {
		if _, ok := c.acceptAny("FULL", "EXTENDED", "GLOBAL", "SESSION", "LOCAL", "ALL", "STORAGE"); !ok {
			break
		}
	}
	if c.accept("CREATE") {
		return c.showCreate(st)
	}
	if c.accept("COUNT", "(", "*", ")") {
		st.Name = "count "
	}
	var name []string
	for t := c.peek(); t.Kind == digest.TokWord && !slices.Contains(afterShow, t.Up); t = c.peek() {
		name = append(name, lower(c.next().Up))
		if len(name) == 3 {
			break
		}
	}
	st.Name += strings.Join(name, " ")
	switch st.Name {
	case "":
		return false
	case "warnings", "errors", "count warnings", "count errors":
		st.Flags |= FlagDiagnostics
		st.Why = "SHOW " + strings.ToUpper(st.Name) + " is about the connection's last statement"
		return true
	case "columns", "fields", "index", "indexes", "keys":
		return c.showTable(st)
	case "grants", "privileges":
		return true
	case "profile", "profiles", "profile all", "profile cpu":
		st.Why = "SHOW PROFILE is about the connection"
		return true
	case "master status", "binary log status", "binary logs", "master logs", "binlog status", "binlog events", "slave status", "slaves status",
		"replica status", "slave hosts", "replicas", "relaylog events", "replica hosts":
		st.Why = "SHOW " + strings.ToUpper(st.Name) + " is about one server"
		return true
	}
	if _, ok := c.acceptAny("FROM", "IN"); ok {
		if t := c.next(); t.IsName() {
			st.Qualifiers = append(st.Qualifiers, c.src.Name(t))
		}
	}
	c.filter(st)
	return true
}

var afterShow = []string{"FROM", "IN", "LIKE", "WHERE", "FOR", "LIMIT", "ON"}

// showTable is SHOW COLUMNS FROM table [FROM database].
func (c *cursor) showTable(st *Statement) bool {
	if _, ok := c.acceptAny("FROM", "IN"); !ok {
		return false
	}
	t, ok := c.table()
	if _, from := c.acceptAny("FROM", "IN"); from {
		t.DB = c.src.Name(c.next())
	}
	st.block(RoleQuery, t)
	c.filter(st)
	return ok
}

func (c *cursor) showCreate(st *Statement) bool {
	object := c.next()
	if object.Kind != digest.TokWord {
		return false
	}
	if object.Up == "PACKAGE" {
		c.accept("BODY")
	}
	st.Name = "create " + lower(object.Up)
	c.accept("IF", "NOT", "EXISTS")
	if object.Up == "USER" {
		return true
	}
	t, ok := c.table()
	switch object.Up {
	case "TABLE", "VIEW", "SEQUENCE":
		st.block(RoleQuery, t)
	case "DATABASE", "SCHEMA":
		st.Qualifiers = append(st.Qualifiers, t.Name)
	default:
		if t.DB != "" {
			st.Qualifiers = append(st.Qualifiers, t.DB)
		}
	}
	return ok
}

// beforeParen are words before a parenthesis that call nothing.
var beforeParen = []string{"and", "between", "binary", "case", "div", "else", "exists", "in", "is", "like", "mod", "not", "or", "regexp", "rlike", "then", "when", "where", "xor"}

// filter notes what is in SHOW's LIKE or WHERE that keeps it from being a read.
func (c *cursor) filter(st *Statement) {
	c.qualifiers(st)
	for ; !c.end(); c.i++ {
		t := c.peek()
		name := lower(t.Up)
		switch {
		case t.Kind == digest.TokVar && !strings.HasPrefix(c.src.Str(t), "@@"):
			st.Flags |= FlagUsesUserVar
			st.Why = "user variable " + c.src.Str(t)
		case t.Up == "SELECT":
			st.Why = "SHOW with a subquery"
			st.Words = digest.Words(c.src.plain())
		case t.IsName() && c.at(1).Up == "(" && (c.i > 0 && c.at(-1).Up == "." || !builtins[name] && !slices.Contains(beforeParen, name)):
			flags, known := stateful[name]
			if !known || c.at(-1).Up == "." {
				flags |= FlagStoredFunction
			}
			st.Flags |= flags
			st.Why = "function " + c.src.Name(t)
		}
	}
}
