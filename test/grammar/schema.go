package grammar

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Place says where a table's rows are.
type Place uint8

// The places.
const (
	Sharded   Place = iota // by the column k, modulo
	Hashed                 // by the column k, by its CRC32
	Reference              // on every shard
	Whole                  // on the default shard
)

// kind is what an expression's value is.
type kind uint8

const (
	kindInt kind = iota
	kindBig      // unsigned, beyond the signed range
	kindDecimal
	kindDouble
	kindText
	kindTime
	kindBinary
	kindEnum
	kinds
)

type column struct {
	name, typ string
	kind      kind
	null      bool
	loose     bool // texts that differ may be equal
}

// Table is one table of a Schema. Its primary key is (k, id), or id where the table isn't sharded.
type Table struct {
	Name    string
	Place   Place
	columns []column
	rows    int
}

// primary are the columns of the primary key.
func (t *Table) primary() []string {
	if t.Place == Sharded || t.Place == Hashed {
		return []string{"k", "id"}
	}
	return []string{"id"}
}

// Schema is a database with its rows.
type Schema struct {
	Tables []*Table
	r      *rand.Rand
	mysql  bool
}

// collations of both servers, with the character set of each; those that MySQL alone has come last. All but the last one
// pad, so that at least spaces at the end make no difference.
var collations = []struct {
	charset, name string
	loose         bool
}{
	{"utf8mb4", "utf8mb4_general_ci", true},
	{"utf8mb4", "utf8mb4_bin", true},
	{"utf8mb4", "utf8mb4_unicode_ci", true},
	{"latin1", "latin1_swedish_ci", true},
	{"ascii", "ascii_bin", true},
	{"utf8mb4", "utf8mb4_0900_ai_ci", true},
	{"utf8mb4", "utf8mb4_0900_as_cs", false},
}

// NewSchema makes a schema. mysql says that the servers are MySQL, else they are MariaDB.
func NewSchema(seed uint64, mysql bool) *Schema {
	s := &Schema{r: rand.New(rand.NewPCG(seed, 1)), mysql: mysql}
	sizes := []int{0, 1, 7, 40, 120}
	size := func() int { return sizes[s.r.IntN(len(sizes))] }
	for i := range 3 {
		s.add(fmt.Sprintf("t%d", i), Sharded, size())
	}
	s.Tables[0].rows = 60
	if seed%8 == 3 {
		s.Tables[1].rows = 10_000
	}
	s.add("h0", Hashed, size())
	s.add("r0", Reference, 12)
	s.add("w0", Whole, size())
	return s
}

func (s *Schema) add(name string, place Place, rows int) {
	t := &Table{Name: name, Place: place, rows: rows}
	switch place {
	case Sharded:
		t.columns = append(t.columns, column{name: "k", typ: "BIGINT NOT NULL", kind: kindInt})
	case Hashed:
		t.columns = append(t.columns, column{name: "k", typ: "VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL", kind: kindText})
	default:
	}
	t.columns = append(t.columns,
		column{name: "id", typ: "INT NOT NULL", kind: kindInt},
		column{name: "i", typ: "INT", kind: kindInt, null: true},
		s.text("s"))
	for _, c := range []column{
		{name: "u", typ: "BIGINT UNSIGNED", kind: kindBig, null: true},
		{name: "d", typ: "DECIMAL(12,3)", kind: kindDecimal, null: true},
		{name: "f", typ: "DOUBLE", kind: kindDouble, null: true},
		{name: "t", typ: "DATETIME(3)", kind: kindTime, null: true},
		{name: "dt", typ: "DATE", kind: kindTime, null: true},
		{name: "b", typ: "VARBINARY(8)", kind: kindBinary, null: true},
		{name: "e", typ: "ENUM('red','green','blue')", kind: kindEnum, null: true},
		{name: "n", typ: "SMALLINT NOT NULL", kind: kindInt},
		s.text("x"),
	} {
		if s.r.IntN(3) > 0 {
			t.columns = append(t.columns, c)
		}
	}
	s.Tables = append(s.Tables, t)
}

func (s *Schema) text(name string) column {
	n := len(collations)
	if !s.mysql {
		n -= 2
	}
	c := collations[s.r.IntN(n)]
	return column{name: name, typ: "VARCHAR(20) CHARACTER SET " + c.charset + " COLLATE " + c.name, kind: kindText, null: true, loose: c.loose}
}

// Script makes the tables and their rows.
func (s *Schema) Script() []string {
	var script []string
	for _, t := range s.Tables {
		var b strings.Builder
		fmt.Fprintf(&b, "CREATE TABLE %s (", t.Name)
		for _, c := range t.columns {
			b.WriteString(c.name + " " + c.typ + ", ")
		}
		b.WriteString("PRIMARY KEY (" + strings.Join(t.primary(), ", ") + ")")
		if s.r.IntN(2) == 0 {
			b.WriteString(", KEY (i)")
		}
		b.WriteString(")")
		script = append(script, b.String())
		const batch = 500
		for at := 0; at < t.rows; at += batch {
			b.Reset()
			fmt.Fprintf(&b, "INSERT INTO %s VALUES ", t.Name)
			for i := at; i < min(t.rows, at+batch); i++ {
				if i > at {
					b.WriteString(", ")
				}
				b.WriteString("(" + strings.Join(s.row(t, i), ", ") + ")")
			}
			script = append(script, b.String())
		}
	}
	return script
}

// row are the values of one row, whose id is new.
func (s *Schema) row(t *Table, id int) []string {
	var out []string
	for _, c := range t.columns {
		switch {
		case c.name == "id":
			out = append(out, fmt.Sprint(id))
		case c.name == "k" && t.Place == Hashed:
			out = append(out, fmt.Sprintf("'k%d'", s.r.IntN(30)))
		case c.name == "k":
			out = append(out, fmt.Sprint(s.r.IntN(40)-8))
		default:
			out = append(out, plain(s.value(s.r, &c)))
		}
	}
	return out
}

// texts hold pairs that are equal in some collations: by case, accent and spaces at the end.
var texts = []string{
	"a", "A", "b", "B ", "b", "abc", "ABC", "abd", "", " ", "z", "zz", "Zz", "10", "9", "a b", "ab", "_", "%", "0x", "m", "M", "y", "Y",
}

// value is a literal for a column, marked as one.
func (s *Schema) value(r *rand.Rand, c *column) string {
	if c.null && r.IntN(6) == 0 {
		return "NULL"
	}
	switch c.kind {
	case kindInt:
		return literal(fmt.Sprint(r.IntN(30) - 10))
	case kindBig:
		return []string{"0", "1", "7", "9223372036854775807", "9223372036854775808", "18446744073709551615"}[r.IntN(6)]
	case kindDecimal:
		return fmt.Sprintf("%d.%03d", r.IntN(200)-100, r.IntN(1000))
	case kindDouble:
		return []string{"0e0", "-0.5e0", "0.25e0", "1e10", "-1024e0", "3.5e0"}[r.IntN(6)]
	case kindTime:
		if strings.HasPrefix(c.typ, "DATETIME") {
			return literal(fmt.Sprintf("'20%02d-%02d-%02d %02d:00:00.%03d'", 20+r.IntN(3), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(3)*250))
		}
		return literal(fmt.Sprintf("'20%02d-%02d-%02d'", 20+r.IntN(3), 1+r.IntN(12), 1+r.IntN(5)))
	case kindBinary:
		return fmt.Sprintf("X'%02x%02x'", r.IntN(4)*80, r.IntN(3))
	case kindEnum:
		return literal("'" + []string{"red", "green", "blue"}[r.IntN(3)] + "'")
	default:
		return literal("'" + texts[r.IntN(len(texts))] + "'")
	}
}

// Fold is a text as all those that are equal to it in any collation are written.
func Fold(s string) string { return strings.ToLower(strings.TrimRight(s, " ")) }
