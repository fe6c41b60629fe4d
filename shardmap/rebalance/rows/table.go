package rows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"shardway/shardmap"
)

// ErrNoTable is Describe's error where there is no such table.
var ErrNoTable = errors.New("no such table")

// Table is a table as a server describes it. It must not be changed.
type Table struct {
	Schema, Name string
	Columns      []Column  // in order, with generated and invisible ones
	Key          []int     // the primary key's columns, in its order; empty for none
	Unique       []Index   // the other unique indexes
	Foreign      []Foreign // that the table has
	Referenced   []Foreign // of other tables to this one
	Triggers     []Trigger
	Engine       string
	Rows         int64  // the server's estimate
	Bytes        int64  // of rows and indexes, the server's estimate
	Create       string // SHOW CREATE TABLE
	MariaDB      bool   // it is on a MariaDB server

	schemaCharset, schemaCollation string
	keyPrefix                      bool // the primary key has only the beginning of a column
}

// Column is a column of a [Table].
type Column struct {
	Name      string
	Type      string // as SQL: "bigint(20) unsigned"
	Data      string // the type's name in lower case: "bigint"
	Charset   string // "" where it has none
	Collation string
	Length    int64 // most bytes of a string; 0 for others
	Nullable  bool
	Generated bool // the server computes it: it isn't written
	Invisible bool
	Unsigned  bool
	Desc      bool // in the primary key in descending order

	form form
}

// Index is a unique index of a [Table].
type Index struct {
	Name    string
	Columns []int // of the table; nil if it has an expression
	Lengths []int // how many characters of each are in it, 0 for all
}

// Foreign is a foreign key.
type Foreign struct {
	Name               string
	Schema, Table      string // that has it
	Columns            []string
	ToSchema, ToTable  string // that it refers to
	ToColumns          []string
	OnUpdate, OnDelete string // RESTRICT, NO ACTION, CASCADE, SET NULL, SET DEFAULT
}

// Trigger is a trigger of a [Table].
type Trigger struct {
	Name, Timing, Event string
}

// String is the quoted name.
func (t *Table) String() string {
	return shardmap.QuoteName(t.Schema) + "." + shardmap.QuoteName(t.Name)
}

// Column returns the column with a name, whatever its case, or nil.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return &t.Columns[i]
		}
	}
	return nil
}

// Problems are what makes it impossible to move rows of the table, empty if
// nothing: no primary key, one on a part of a column, an engine without
// transactions.
func (t *Table) Problems() []string {
	var all []string
	if len(t.Key) == 0 {
		all = append(all, "it has no primary key")
	}
	if t.keyPrefix {
		all = append(all, "its primary key has only the beginning of a column")
	}
	if !strings.EqualFold(t.Engine, "InnoDB") {
		all = append(all, fmt.Sprintf("its engine is %s, and only InnoDB's rows change together with the position", t.Engine))
	}
	if strings.Contains(t.Create, "WITH SYSTEM VERSIONING") {
		all = append(all, "it is system-versioned, and the history of its rows can't be written")
	}
	for _, i := range t.Key {
		if c := &t.Columns[i]; c.form == formDouble {
			all = append(all, fmt.Sprintf("column %s of its primary key is of type %s", shardmap.QuoteName(c.Name), c.Type))
		}
	}
	return all
}

// Diff is what differs between two tables that must be alike for rows to go
// from one to the other, empty if nothing: columns, primary key, unique indexes.
// Estimates, AUTO_INCREMENT, other indexes and partitions may differ.
func (t *Table) Diff(o *Table) []string {
	var all []string
	differ := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for i := range t.Columns {
		a := &t.Columns[i]
		name := shardmap.QuoteName(a.Name)
		at := slices.IndexFunc(o.Columns, func(c Column) bool { return strings.EqualFold(c.Name, a.Name) })
		if at < 0 {
			differ("column %s is missing there", name)
			continue
		}
		b := &o.Columns[at]
		switch {
		case at != i:
			differ("column %s is the column number %d here and %d there", name, i+1, at+1)
		case a.form != b.form || !sameType(a.Type, b.Type):
			differ("column %s is of type %s here and %s there", name, a.Type, b.Type)
		case a.Charset != b.Charset || a.Collation != b.Collation:
			differ("column %s has collation %s here and %s there", name, a.Collation, b.Collation)
		case a.Nullable != b.Nullable:
			differ("column %s may be NULL on one side only", name)
		case a.Generated != b.Generated:
			differ("column %s is generated on one side only", name)
		}
	}
	for i := range o.Columns {
		if t.Column(o.Columns[i].Name) == nil {
			differ("column %s is there only", shardmap.QuoteName(o.Columns[i].Name))
		}
	}
	if a, b := t.keyText(), o.keyText(); a != b {
		differ("the primary key is (%s) here and (%s) there", a, b)
	}
	a, b := t.uniqueTexts(), o.uniqueTexts()
	for _, text := range a {
		if !slices.Contains(b, text) {
			differ("unique index (%s) is missing there", text)
		}
	}
	for _, text := range b {
		if !slices.Contains(a, text) {
			differ("unique index (%s) is there only", text)
		}
	}
	return all
}

// sameType says whether two types are one, with or without a display width.
func sameType(a, b string) bool {
	return strings.EqualFold(withoutWidth(a), withoutWidth(b))
}

func withoutWidth(s string) string {
	name, rest, ok := strings.Cut(s, "(")
	if !ok || !strings.HasSuffix(name, "int") && name != "year" {
		return s
	}
	_, rest, _ = strings.Cut(rest, ")")
	return name + rest
}

func (t *Table) keyText() string {
	parts := make([]string, len(t.Key))
	for k, i := range t.Key {
		parts[k] = shardmap.QuoteName(strings.ToLower(t.Columns[i].Name))
		if t.Columns[i].Desc {
			parts[k] += " DESC"
		}
	}
	return strings.Join(parts, ",")
}

func (t *Table) uniqueTexts() []string {
	all := make([]string, 0, len(t.Unique))
	for _, x := range t.Unique {
		if x.Columns == nil {
			continue // an expression, which the columns' comparison can't tell
		}
		parts := make([]string, len(x.Columns))
		for k, i := range x.Columns {
			parts[k] = shardmap.QuoteName(strings.ToLower(t.Columns[i].Name))
			if x.Lengths[k] > 0 {
				parts[k] += fmt.Sprintf("(%d)", x.Lengths[k])
			}
		}
		all = append(all, strings.Join(parts, ","))
	}
	slices.Sort(all)
	return all
}
