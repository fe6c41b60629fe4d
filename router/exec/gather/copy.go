package gather

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Neutral are the session variables under which a Copy is made and filled, as name and SQL.
var Neutral = [][2]string{
	{"time_zone", "'+00:00'"},
	{"sql_mode", "'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'"},
}

// Copy is what a statement needs of a table, in a temporary table.
type Copy struct {
	table   *Table
	target  string // the temporary table, quoted
	columns []Column
	indexes []Index
	head    string // of an INSERT
}

// Choose makes a Copy in the temporary table db.name. all takes every column; else names are those, in lower case, of
// which the table's columns are taken. Columns without which an index of theirs would show otherwise are taken as well.
func (t *Table) Choose(db, name string, all bool, names []string) *Copy {
	want := make([]bool, len(t.Columns))
	any := false
	for i := range t.Columns {
		_, found := slices.BinarySearch(names, strings.ToLower(t.Columns[i].Name))
		want[i] = all || found
		any = any || want[i]
	}
	at := func(name string) int {
		return slices.IndexFunc(t.Columns, func(c Column) bool { return name != "" && strings.EqualFold(c.Name, name) })
	}
	if !any && len(want) > 0 {
		want[0] = true // COUNT(*)
		for i := range t.Indexes {
			if k := at(t.Indexes[i].Parts[0].Column); k >= 0 {
				want[0], want[k] = false, true
				break
			}
		}
	}
	for i := range t.Indexes {
		x, last := &t.Indexes[i], -1
		for k := range x.Parts {
			if c := at(x.Parts[k].Column); c >= 0 && want[c] {
				last = k
			}
		}
		if x.primary() && last >= 0 {
			last = len(x.Parts) - 1
		}
		for k := range last + 1 {
			if c := at(x.Parts[k].Column); c >= 0 {
				want[c] = true
			}
		}
	}
	c := &Copy{table: t, target: Name(db) + "." + Name(name)}
	for i := range t.Columns {
		if want[i] {
			c.columns = append(c.columns, t.Columns[i])
		}
	}
	for i := range t.Indexes {
		x := Index{Name: t.Indexes[i].Name, Unique: t.Indexes[i].Unique}
		for _, part := range t.Indexes[i].Parts {
			k := at(part.Column)
			if k < 0 || !want[k] {
				x.Unique = false // its other columns may be equal in several rows
				break
			}
			x.Parts = append(x.Parts, part)
		}
		if len(x.Parts) > 0 {
			c.indexes = append(c.indexes, x)
		}
	}
	var head strings.Builder
	head.WriteString("INSERT INTO " + c.target + " (")
	for i := range c.columns {
		if i > 0 {
			head.WriteByte(',')
		}
		head.WriteString(Name(c.columns[i].Name))
	}
	c.head = head.String() + ") VALUES "
	return c
}

// Columns are the names of the columns that are copied.
func (c *Copy) Columns() []string {
	names := make([]string, len(c.columns))
	for i := range c.columns {
		names[i] = c.columns[i].Name
	}
	return names
}

// Create makes the temporary table. plain leaves out what a server may refuse: defaults and keys.
func (c *Copy) Create(plain bool) string {
	var out strings.Builder
	out.WriteString("CREATE TEMPORARY TABLE " + c.target + " (")
	for i := range c.columns {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(c.columns[i].define(c.table.MariaDB, plain))
	}
	if !plain {
		for i := range c.indexes {
			out.WriteString(", " + c.indexes[i].define())
		}
	}
	return out.String() + ") ENGINE=InnoDB"
}

func (col *Column) define(mariadb, plain bool) string {
	out := Name(col.Name) + " " + col.Type
	if col.Collation != "" && col.class() != classBinary && col.class() != classJSON {
		out += " COLLATE " + col.Collation
	}
	if col.Nullable {
		out += " NULL"
	} else {
		out += " NOT NULL"
	}
	if plain {
		return out
	}
	if d := col.value(mariadb); d != "" && col.Generation == "" {
		out += " DEFAULT " + d
	}
	if i := strings.Index(col.Extra, "on update "); i >= 0 {
		clause, _, _ := strings.Cut(col.Extra[i:], ",")
		if end := strings.Index(clause, " invisible"); end >= 0 {
			clause = clause[:end]
		}
		out += " " + clause
	}
	if strings.Contains(col.Extra, "auto_increment") {
		out += " AUTO_INCREMENT"
	}
	if strings.Contains(col.Extra, "invisible") {
		out += " INVISIBLE"
	}
	return out
}

// value is the default as SQL, "" for none. MariaDB tells it as SQL, MySQL as the value unless it is an expression.
func (col *Column) value(mariadb bool) string {
	if col.Default == nil {
		return ""
	}
	d := *col.Default
	upper := strings.ToUpper(d)
	switch {
	case mariadb:
		return d
	case strings.HasPrefix(upper, "CURRENT_TIMESTAMP"):
		return d
	case strings.Contains(col.Extra, "default_generated"):
		return "(" + strings.ReplaceAll(d, `\'`, "'") + ")"
	case col.Data == "bit", col.class() == classBinary && strings.HasPrefix(d, "0x"):
		return d
	default:
		return Quote(d)
	}
}

func (x *Index) define() string {
	out := "INDEX " + Name(x.Name)
	switch {
	case x.primary() && x.Unique:
		out = "PRIMARY KEY"
	case x.primary():
		out = "INDEX `_primary`"
	case x.Unique:
		out = "UNIQUE INDEX " + Name(x.Name)
	}
	out += " ("
	for i, p := range x.Parts {
		if i > 0 {
			out += ","
		}
		out += Name(p.Column)
		if p.Length != "" {
			out += "(" + p.Length + ")"
		}
		if p.Desc {
			out += " DESC"
		}
	}
	return out + ")"
}

// Relax makes the temporary table take rows that are equal in a unique key, "" when it has none: the shards may have such
// rows where the key doesn't hold the column that places them.
func (c *Copy) Relax() string {
	var parts []string
	for i := range c.indexes {
		x := &c.indexes[i]
		if !x.Unique {
			continue
		}
		if x.primary() {
			parts = append(parts, "DROP PRIMARY KEY")
		} else {
			parts = append(parts, "DROP INDEX "+Name(x.Name))
		}
		x.Unique = false
		parts = append(parts, "ADD "+x.define())
	}
	if len(parts) == 0 {
		return ""
	}
	return "ALTER TABLE " + c.target + " " + strings.Join(parts, ", ")
}

// Drop ends the temporary table.
func (c *Copy) Drop() string { return "DROP TEMPORARY TABLE IF EXISTS " + c.target }

// All is the number of rows that Select reads without a bound.
const All uint64 = math.MaxUint64

// Select reads at most so many of the rows that meet a condition, "" for any.
func (c *Copy) Select(db, table, where string, most uint64) string {
	var out strings.Builder
	out.WriteString("SELECT ")
	for i := range c.columns {
		if i > 0 {
			out.WriteByte(',')
		}
		name := Name(c.columns[i].Name)
		switch c.columns[i].class() {
		case classFloat:
			out.WriteString(name + "*1e0")
		case classIndex:
			out.WriteString("CAST(" + name + " AS UNSIGNED)")
		case classStamp:
			out.WriteString("UNIX_TIMESTAMP(" + name + ")")
		case classText:
			out.WriteString("CAST(" + name + " AS BINARY)")
		case classJSON:
			out.WriteString("CAST(CONVERT(" + name + " USING utf8mb4) AS BINARY)")
		default:
			out.WriteString(name)
		}
	}
	out.WriteString(" FROM " + Name(db) + "." + Name(table))
	if where != "" {
		out.WriteString(" WHERE " + where)
	}
	out.WriteString(" LIMIT " + strconv.FormatUint(most, 10)) // whatever the session's sql_select_limit is
	return out.String()
}

// AppendRow appends a row of Select, in the text protocol, to an INSERT; it begins one when dst is empty. split takes the
// next value off a row, nil for NULL. ok is false for a row that isn't one of Select.
func (c *Copy) AppendRow(dst, row []byte, split func(row []byte) (value, rest []byte, ok bool)) (_ []byte, ok bool) {
	if len(dst) == 0 {
		dst = append(dst, c.head...)
	} else {
		dst = append(dst, ',')
	}
	dst = append(dst, '(')
	for i := range c.columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		var v []byte
		if v, row, ok = split(row); !ok {
			return dst, false
		}
		if v == nil {
			dst = append(dst, "NULL"...)
			continue
		}
		switch c.columns[i].class() {
		case classNumber, classYear, classIndex:
			dst = append(dst, v...)
		case classFloat, classTime, classPlain:
			dst = appendQuoted(dst, v)
		case classStamp:
			if dst, ok = appendStamp(dst, v); !ok {
				return dst, false
			}
		case classJSON:
			dst = appendQuoted(dst, v)
		default:
			dst = appendQuoted(append(dst, "_binary"...), v)
		}
	}
	return append(dst, ')'), len(row) == 0
}

// appendQuoted appends a string literal for a sql_mode in which a backslash escapes.
func appendQuoted(dst, v []byte) []byte {
	dst = append(dst, '\'')
	for _, b := range v {
		switch b {
		case '\'', '\\':
			dst = append(dst, '\\', b)
		case 0:
			dst = append(dst, '\\', '0')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case 26:
			dst = append(dst, '\\', 'Z')
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '\'')
}

// appendStamp appends the time, in UTC, of seconds since 1970. None of them is a TIMESTAMP of zeros.
func appendStamp(dst, v []byte) ([]byte, bool) {
	whole, fraction, _ := strings.Cut(string(v), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 {
		return dst, false
	}
	if n == 0 && strings.Trim(fraction, "0") == "" {
		return append(dst, "'0000-00-00 00:00:00'"...), true
	}
	dst = append(dst, '\'')
	dst = time.Unix(n, 0).UTC().AppendFormat(dst, "2006-01-02 15:04:05")
	if fraction != "" {
		dst = append(append(dst, '.'), fraction...)
	}
	return append(dst, '\''), true
}
