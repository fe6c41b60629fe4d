package parse

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"shardway/router/parse/digest"
)

// modifiers skips what may stand between CREATE and TABLE.
func (c *cursor) modifiers(st *Statement) {
	for {
		switch {
		case c.accept("OR", "REPLACE"), c.accept("SQL", "SECURITY", "DEFINER"), c.accept("SQL", "SECURITY", "INVOKER"):
		case c.accept("TEMPORARY"):
			st.Flags |= FlagTemporary
		case c.accept("ALGORITHM", "="):
			c.next()
		case c.accept("DEFINER", "="):
			c.next()
			if c.peek().Kind == digest.TokVar {
				c.i++
			}
			c.group()
		default:
			if _, ok := c.acceptAny("UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE", "IGNORE", "AGGREGATE", "UNDO", "EXTERNAL"); !ok {
				return
			}
		}
	}
}

func (c *cursor) exists() {
	if !c.accept("IF", "NOT", "EXISTS") {
		c.accept("IF", "EXISTS")
	}
}

// ddl is CREATE, ALTER, DROP, RENAME and TRUNCATE.
func (c *cursor) ddl(st *Statement, verb string) bool {
	st.Kind, st.Flags = DDL, FlagImplicitCommit
	from := c.i
	c.modifiers(st)
	unique := slices.ContainsFunc(c.src.Tokens[from:c.i], func(t digest.Token) bool { return t.Up == "UNIQUE" })
	object := c.peek().Up
	switch object {
	case "PREPARE":
		if verb == "drop" {
			c.i++
			st.Flags = 0
			c.i--
			return c.prepared(st, "DEALLOCATE")
		}
	case "USER", "ROLE":
		return c.plain(st, Account, verb)
	}
	if verb == "truncate" && object != "TABLE" {
		object = "TABLE"
	} else {
		c.i++
	}
	if object == "PACKAGE" {
		c.accept("BODY")
	}
	st.Name = verb + " " + lower(object)
	st.Why = strings.ToUpper(st.Name)
	c.exists()
	if st.Flags&FlagTemporary != 0 && verb != "alter" {
		st.Flags &^= FlagImplicitCommit
	}
	switch object {
	case "TABLE", "TABLES", "VIEW", "SEQUENCE":
		st.Define = &Definition{Repeatable: c.repeatable(from)}
		return c.ddlTable(st, verb)
	case "INDEX":
		st.Define = &Definition{Repeatable: c.repeatable(from)}
		if !c.ddlOn(st, verb, object) {
			return false
		}
		if unique {
			st.Define.Unique = append(st.Define.Unique, c.indexed())
		}
		return true
	case "TRIGGER":
		return c.ddlOn(st, verb, object)
	case "DATABASE", "SCHEMA":
		st.Define = &Definition{Repeatable: c.repeatable(from)}
		if t := c.next(); t.IsName() {
			st.Qualifiers = append(st.Qualifiers, c.src.Name(t))
		}
		return true
	case "":
		return false
	}
	st.Words, st.Qualifiers = digest.Words(c.src.plain()), digest.Qualifiers(c.src.plain())
	return true
}

// ddlTable is DDL of tables and views.
func (c *cursor) ddlTable(st *Statement, verb string) bool {
	tables, ok := c.tables(true)
	if verb == "rename" {
		for ok && c.accept("TO") {
			var more []Table
			if more, ok = c.tables(true); ok {
				tables = append(tables, more...)
			}
		}
	}
	if !ok {
		return false
	}
	rest := c.i
	d := st.Define
	switch verb {
	case "create":
		d.Makes = append(d.Makes, 0)
	case "rename":
		for i := 1; i < len(tables); i += 2 {
			d.Makes = append(d.Makes, i)
		}
	}
	if st.Name == verb+" table" && (verb == "create" || verb == "alter") {
		(&cursor{src: c.src, i: rest}).defines(d, verb)
	}
	for !c.end() {
		up := c.next().Up
		var t Table
		found := false
		switch up {
		case "REFERENCES", "LIKE":
			t, found = c.table()
		case "RENAME":
			if _, ok := c.acceptAny("COLUMN", "INDEX", "KEY", "CONSTRAINT"); ok {
				break
			}
			c.acceptAny("TO", "AS")
			if t, found = c.table(); found {
				t.Write = true
				d.Makes = append(d.Makes, len(tables))
			}
		case "WITH": // EXCHANGE PARTITION p WITH TABLE t
			if c.accept("TABLE") {
				t, found = c.table()
				t.Write = true
			}
		case "UNION":
			if c.accept("=", "(") || c.accept("(") {
				list, ok := c.tables(false)
				if ok {
					tables = append(tables, list...)
				}
			}
		}
		if found {
			tables = append(tables, t)
		}
	}
	st.block(RoleQuery, tables...)
	if verb != "create" && verb != "alter" {
		return true
	}
	c.i = rest
	return c.body(st)
}

// ddlOn is DDL of what belongs to a table: ON table.
func (c *cursor) ddlOn(st *Statement, verb, object string) bool {
	if object == "TRIGGER" {
		st.Words = digest.Words(c.src.plain())
		st.Qualifiers = slices.DeleteFunc(digest.Qualifiers(c.src.plain()), func(q string) bool {
			return strings.EqualFold(q, "new") || strings.EqualFold(q, "old")
		})
		if verb == "drop" {
			t, ok := c.table()
			if t.DB != "" {
				st.Qualifiers = append(st.Qualifiers, t.DB)
			}
			return ok
		}
	}
	for !c.end() {
		if c.next().Up != "ON" {
			continue
		}
		t, ok := c.table()
		t.Write = true
		st.block(RoleQuery, t)
		return ok
	}
	return false
}

// body analyses the query of CREATE TABLE … SELECT and CREATE VIEW … AS SELECT.
func (c *cursor) body(st *Statement) bool {
	start := 0
	for start == 0 && !c.end() {
		at := cursor{src: c.src, i: c.i}
		for at.accept("(") {
		}
		switch up := at.peek().Up; {
		case up == "SELECT",
			up == "WITH" && (at.at(1).Up == "RECURSIVE" || at.at(1).IsName() && slices.Contains([]string{"AS", "("}, at.at(2).Up) && at.at(1).Up != "PARSER"),
			(up == "TABLE" || up == "VALUES") && at.i > 0 && c.at(-1).Up == "AS":
			start = c.i
		case c.is("("):
			c.group()
		default:
			c.i++
		}
	}
	if start == 0 {
		return true
	}
	st.Define.Query = true
	for i := start; c.src.Tokens[i].Kind != digest.TokEnd; i++ {
		at := cursor{src: c.src, i: i}
		if at.accept("WITH", "CHECK", "OPTION") || at.accept("WITH", "CASCADED", "CHECK", "OPTION") || at.accept("WITH", "LOCAL", "CHECK", "OPTION") {
			c.src.Blank(c.src.Tokens[i].A, c.src.Tokens[at.i-1].B)
		}
	}
	node, err := c.src.read(start)
	if err != nil {
		st.ParseError = err.Error()
		return false
	}
	a := &analyzer{src: c.src, st: st, scopes: []int{-1}}
	switch node.(type) {
	case *ast.SelectStmt, *ast.SetOprStmt:
		a.query(node, -1, -1, false)
	default:
		return false
	}
	if !a.apart() || a.bad != "" {
		return false
	}
	st.restore(c.src.bridged)
	return true
}
