package rows

import "errors"

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
}

// Index is a unique index of a [Table].
type Index struct {
	Name    string
	Columns []int // of the table; nil if it has an expression or a prefix of a column
	Text    string
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

// Problems are what makes it impossible to move rows of the table, empty if
// nothing: no primary key, one on a part of a column, an engine without
// transactions.
func (t *Table) Problems() []string { panic("to do") }

// Diff is what differs between two tables that must be alike for rows to go
// from one to the other, empty if nothing: columns, primary key, unique indexes.
// Estimates, AUTO_INCREMENT and partitions may differ.
func (t *Table) Diff(o *Table) []string { panic("to do") }

// String is the quoted name.
func (t *Table) String() string { panic("to do") }
