package gather

import (
	"slices"
	"strings"
)

// Column is one column of a table, as information_schema tells it.
type Column struct {
	Name       string
	Type       string  // as SQL: "varchar(20)"
	Data       string  // the type's name, lower case: "varchar"
	Collation  string  // "" where it has none
	Default    *string // as the server tells it
	Extra      string  // lower case
	Nullable   bool
	Generation string // the expression of a generated column
}

// Index is one index of a table.
type Index struct {
	Name   string
	Unique bool
	Parts  []IndexPart
}

// IndexPart is a column of an Index.
type IndexPart struct {
	Column string // "" for an expression
	Length string // of a prefix; "" for the whole column
	Desc   bool
}

// Table is what a server says of a table.
type Table struct {
	Columns []Column
	Indexes []Index // the primary key first
	MariaDB bool
}

// ColumnsSQL and IndexesSQL are the queries whose rows Read takes.
func ColumnsSQL(db, table string) string {
	return "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, COLLATION_NAME, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, GENERATION_EXPRESSION " +
		"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=" + Quote(db) + " AND TABLE_NAME=" + Quote(table) + " ORDER BY ORDINAL_POSITION"
}

// IndexesSQL is the query for a table's indexes.
func IndexesSQL(db, table string) string {
	return "SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, COLLATION, INDEX_TYPE " +
		"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=" + Quote(db) + " AND TABLE_NAME=" + Quote(table) + " ORDER BY INDEX_NAME, SEQ_IN_INDEX"
}

// Read makes a Table of the rows of ColumnsSQL and IndexesSQL.
func Read(columns, indexes [][]*string, mariadb bool) *Table {
	t := &Table{MariaDB: mariadb}
	text := func(v *string) string {
		if v == nil {
			return ""
		}
		return *v
	}
	for _, r := range columns {
		t.Columns = append(t.Columns, Column{
			Name: text(r[0]), Type: text(r[1]), Data: strings.ToLower(text(r[2])), Collation: text(r[3]),
			Nullable: strings.EqualFold(text(r[4]), "YES"), Default: r[5], Extra: strings.ToLower(text(r[6])), Generation: text(r[7]),
		})
	}
	for i, r := range indexes {
		if kind := text(r[5]); kind != "BTREE" && kind != "HASH" {
			continue // no temporary table of InnoDB has a FULLTEXT or SPATIAL index
		}
		if n := len(t.Indexes); n == 0 || i == 0 || t.Indexes[n-1].Name != text(r[0]) {
			t.Indexes = append(t.Indexes, Index{Name: text(r[0]), Unique: text(r[1]) == "0"})
		}
		x := &t.Indexes[len(t.Indexes)-1]
		x.Parts = append(x.Parts, IndexPart{Column: text(r[2]), Length: text(r[3]), Desc: text(r[4]) == "D"})
	}
	slices.SortStableFunc(t.Indexes, func(a, b Index) int { return a.rank() - b.rank() })
	return t
}

func (x *Index) primary() bool { return x.Name == "PRIMARY" }

func (x *Index) rank() int {
	switch {
	case x.primary():
		return 0
	case x.Unique:
		return 1
	default:
		return 2
	}
}

// Has reports whether the table has all columns of a list, in lower case, and each meets ok.
func (t *Table) Has(names []string, ok func(*Column) bool) bool {
	for _, name := range names {
		c := t.Column(name)
		if c == nil || !ok(c) {
			return false
		}
	}
	return true
}

// Column is the table's column of that name, nil for none.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return &t.Columns[i]
		}
	}
	return nil
}

// class is how a column's values travel.
type class uint8

const (
	classNumber class = iota // digits
	classFloat               // digits of a double
	classYear                // digits
	classIndex               // ENUM, SET, BIT: the number that stands for the value
	classTime                // DATE, TIME, DATETIME
	classStamp               // TIMESTAMP: seconds since 1970
	classText                // bytes in the column's character set
	classBinary              // bytes
	classJSON                // utf8mb4
	classPlain               // text in ASCII: UUID, INET6
)

func (c *Column) class() class {
	switch c.Data {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric", "boolean":
		return classNumber
	case "float", "double", "real":
		return classFloat
	case "year":
		return classYear
	case "enum", "set", "bit":
		return classIndex
	case "date", "time", "datetime":
		return classTime
	case "timestamp":
		return classStamp
	case "json":
		return classJSON
	case "uuid", "inet4", "inet6":
		return classPlain
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return classText
	default:
		return classBinary
	}
}

// Compares reports whether servers compare the column with string literals, or with numbers, as they are: without a
// warning for what they make of the one for the other.
func (c *Column) Compares(texts, numbers bool) bool {
	switch c.class() {
	case classNumber, classFloat, classYear:
		return !texts
	case classText, classTime, classStamp:
		return !numbers
	case classIndex:
		return !numbers && c.Data != "bit"
	default:
		return !texts && !numbers
	}
}

// Kind names what kind of values the column has, for two columns that a condition compares with each other.
func (c *Column) Kind() string {
	switch c.class() {
	case classNumber, classFloat:
		return "number"
	case classTime, classStamp:
		return c.Data
	case classText:
		return c.Collation
	default:
		return c.Type
	}
}

// Quote makes a string literal that is read alike with and without NO_BACKSLASH_ESCAPES.
func Quote(s string) string {
	if !strings.Contains(s, `\`) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	const hex = "0123456789abcdef"
	b := append(make([]byte, 0, 11+2*len(s)), "_utf8mb4 x'"...)
	for i := range len(s) {
		b = append(b, hex[s[i]>>4], hex[s[i]&15])
	}
	return string(append(b, '\''))
}

// Name quotes an identifier.
func Name(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
