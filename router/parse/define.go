package parse

import (
	"slices"
	"strings"
)

// Definition is what DDL says of a table's columns and indexes, as far as it matters to tables whose rows are on several
// shards.
type Definition struct {
	// Makes are the tables, by their place in Blocks[0].Tables, that aren't there before: of CREATE and RENAME.
	Makes []int
	// Repeatable says that it may be sent again after it was done in part: IF EXISTS, IF NOT EXISTS, OR REPLACE.
	Repeatable bool
	Like       bool // CREATE TABLE … LIKE: the table that isn't written is the model
	Query      bool // CREATE TABLE … SELECT
	Converts   bool // CONVERT TO CHARACTER SET: the bytes of text may change
	// Columns are those that it adds and, by MODIFY and CHANGE, those that it defines anew.
	Columns []ColumnDefinition
	// Gone are the columns that it drops or renames.
	Gone []string
	// Unique are the columns of each PRIMARY KEY and UNIQUE index that it adds. A part of a column, or an expression, is "".
	Unique [][]string
	// Foreign are the foreign keys that it adds.
	Foreign []ForeignKey
}

// ColumnDefinition is a column's.
type ColumnDefinition struct {
	Name string
	Type string // the first word of its type, lower case
	Anew bool   // the column was there before
	Auto bool   // AUTO_INCREMENT
}

// ForeignKey is a foreign key with the table that it refers to.
type ForeignKey struct {
	Columns []string
	Table   Table
}

// repeatable looks for IF EXISTS and the like from a token on.
func (c *cursor) repeatable(from int) bool {
	for at := (cursor{src: c.src, i: from}); !at.end(); at.i++ {
		if at.is("IF") && (at.at(1).Up == "EXISTS" || at.at(1).Up == "NOT" && at.at(2).Up == "EXISTS") ||
			at.is("OR") && at.at(1).Up == "REPLACE" {
			return true
		}
	}
	return false
}

// defines reads what stands behind the table's name in CREATE TABLE and ALTER TABLE.
func (c *cursor) defines(d *Definition, verb string) {
	if verb == "alter" {
		if c.accept("WAIT") {
			c.next()
		}
		c.accept("NOWAIT")
		c.parts(func() { c.change(d) })
		return
	}
	if c.is("LIKE") || c.is("(") && c.at(1).Up == "LIKE" {
		d.Like = true
		return
	}
	if c.is("(") && !slices.Contains([]string{"SELECT", "WITH", "(", "VALUES", "TABLE"}, c.at(1).Up) {
		c.elements(d)
	}
}

// parts calls f at the beginning of each part of a list with commas, which ends with the text or a parenthesis.
func (c *cursor) parts(f func()) {
	for {
		f()
		for !c.partEnds() {
			c.skip()
		}
		if !c.accept(",") {
			return
		}
	}
}

func (c *cursor) partEnds() bool { return c.end() || c.is(",") || c.is(")") }

// skip skips a token, or a group in parentheses.
func (c *cursor) skip() {
	if !c.group() {
		c.i++
	}
}

// elements are those of a list in parentheses.
func (c *cursor) elements(d *Definition) {
	c.accept("(")
	c.parts(func() { c.element(d) })
	c.accept(")")
}

// element is one column, index or constraint.
func (c *cursor) element(d *Definition) {
	if c.accept("CONSTRAINT") && !slices.Contains([]string{"PRIMARY", "UNIQUE", "FOREIGN", "CHECK"}, c.peek().Up) {
		c.exists()
		c.next() // its name
	}
	switch next := c.at(1).Up; c.peek().Up {
	case "PRIMARY", "UNIQUE":
		for !c.partEnds() && !c.is("(") {
			c.i++
		}
		d.Unique = append(d.Unique, c.indexed())
	case "FOREIGN":
		for !c.partEnds() && !c.is("(") {
			c.i++
		}
		c.references(d, c.indexed())
	case "KEY", "INDEX", "FULLTEXT", "SPATIAL", "CHECK", "LIKE":
	case "PERIOD", "VECTOR":
		if next != "FOR" && next != "KEY" && next != "INDEX" && next != "(" {
			c.column(d)
		}
	default:
		c.column(d)
	}
}

// references reads what a foreign key refers to, if that comes next.
func (c *cursor) references(d *Definition, columns []string) {
	if !c.accept("REFERENCES") {
		return
	}
	if t, ok := c.table(); ok {
		d.Foreign = append(d.Foreign, ForeignKey{Columns: columns, Table: t})
	}
}

// indexed reads the columns of an index.
func (c *cursor) indexed() (list []string) {
	if !c.accept("(") {
		return nil
	}
	c.parts(func() {
		name := ""
		if c.peek().IsName() && slices.Contains([]string{",", ")", "ASC", "DESC"}, c.at(1).Up) {
			name = c.src.Name(c.next())
		}
		list = append(list, name)
	})
	c.accept(")")
	return list
}

// column is a column with its attributes.
func (c *cursor) column(d *Definition) *ColumnDefinition {
	if !c.peek().IsName() {
		return &ColumnDefinition{}
	}
	col := ColumnDefinition{Name: c.src.Name(c.next())}
	col.Type = lower(c.peek().Up)
	unique := c.is("SERIAL")
	col.Auto = unique
	for !c.partEnds() {
		switch {
		case c.accept("SERIAL", "DEFAULT", "VALUE"):
			col.Auto, unique = true, true
		case c.accept("AUTO_INCREMENT"):
			col.Auto = true
		case c.accept("DEFAULT"), c.accept("COMMENT"), c.accept("COLLATE"), c.accept("AFTER"):
			if !c.partEnds() {
				c.skip()
			}
		case c.is("REFERENCES"):
			c.references(d, []string{col.Name})
		case c.is("PRIMARY"), c.is("UNIQUE"), c.is("KEY"):
			unique = true
			c.i++
		default:
			c.skip()
		}
	}
	if unique {
		d.Unique = append(d.Unique, []string{col.Name})
	}
	d.Columns = append(d.Columns, col)
	return &d.Columns[len(d.Columns)-1]
}

// change is one part of ALTER TABLE.
func (c *cursor) change(d *Definition) {
	switch {
	case c.accept("ADD"):
		if c.is("PARTITION") || c.is("SYSTEM") {
			return
		}
		c.accept("COLUMN")
		c.exists()
		if c.is("(") {
			c.elements(d)
			return
		}
		c.element(d)
	case c.accept("DROP"):
		if _, ok := c.acceptAny("PRIMARY", "KEY", "INDEX", "FOREIGN", "CONSTRAINT", "CHECK", "PARTITION", "SYSTEM", "PERIOD"); ok {
			return
		}
		c.accept("COLUMN")
		c.exists()
		if c.peek().IsName() {
			d.Gone = append(d.Gone, c.src.Name(c.next()))
		}
	case c.accept("MODIFY"):
		c.accept("COLUMN")
		c.exists()
		c.column(d).Anew = true
	case c.accept("CHANGE"):
		c.accept("COLUMN")
		c.exists()
		if !c.peek().IsName() {
			return
		}
		old := c.src.Name(c.next())
		if col := c.column(d); strings.EqualFold(col.Name, old) {
			col.Anew = true
		} else {
			d.Gone = append(d.Gone, old)
		}
	case c.accept("RENAME", "COLUMN"):
		if c.peek().IsName() {
			d.Gone = append(d.Gone, c.src.Name(c.next()))
		}
	case c.accept("CONVERT"):
		d.Converts = true
	}
}
