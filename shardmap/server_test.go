package shardmap_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"shardway/shardmap"
)

// literal is one value in all the forms that a statement can give it.
type literal struct {
	sql   string // as a literal in text; empty if only bound
	bound any    // as a bound parameter; nil if only a literal
	value shardmap.Value
}

func intLit(v int64) literal {
	return literal{fmt.Sprint(v), v, shardmap.Value{Kind: shardmap.Int, I: v}}
}

func uintLit(v uint64) literal {
	return literal{fmt.Sprint(v), v, shardmap.Value{Kind: shardmap.Uint, U: v}}
}

func decLit(s string) literal {
	return literal{s, nil, shardmap.Value{Kind: shardmap.Decimal, S: []byte(s)}}
}

func floatLit(s string, f float64) literal {
	return literal{s, f, shardmap.Value{Kind: shardmap.Float, F: f}}
}

var sqlEscape = strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`)

func strLit(s string) literal {
	return literal{"'" + sqlEscape.Replace(s) + "'", s, shardmap.Value{Kind: shardmap.String, S: []byte(s), UTF8: true}}
}

// hexLit is 0x…, a number where one is wanted.
func hexLit(h string) literal {
	b, err := hex.DecodeString(h)
	if err != nil {
		panic(err)
	}
	return literal{"0x" + h, nil, shardmap.Value{Kind: shardmap.Bytes, S: b, Numeric: true}}
}

// quotedHexLit is X'…'.
func quotedHexLit(h string) literal {
	l := hexLit(h)
	return literal{"X'" + h + "'", nil, shardmap.Value{Kind: shardmap.Bytes, S: l.value.S}}
}

func rawLit(sql string, v shardmap.Value) literal { return literal{sql, nil, v} }

// numericLiterals are tried against integer keys.
func numericLiterals() []literal {
	list := []literal{
		rawLit("NULL", shardmap.Value{Kind: shardmap.Null}),
		rawLit("TRUE", shardmap.Value{Kind: shardmap.Int, I: 1}),
		rawLit("FALSE", shardmap.Value{Kind: shardmap.Int, I: 0}),
		rawLit("b'101'", shardmap.Value{Kind: shardmap.Bytes, S: []byte{5}, Numeric: true}),
		rawLit("0b101", shardmap.Value{Kind: shardmap.Bytes, S: []byte{5}, Numeric: true}),
		rawLit("b''", shardmap.Value{Kind: shardmap.Bytes, Numeric: true}),
		rawLit("b'11111111111111111111111111111111111111111111111111111111111111111'", shardmap.Value{Kind: shardmap.Bytes, S: append([]byte{1}, hexLit("ffffffffffffffff").value.S...), Numeric: true}),
		rawLit("DATE'2024-01-05'", shardmap.Value{Kind: shardmap.Other}),
		rawLit("TIMESTAMP'2024-01-05 00:00:00'", shardmap.Value{Kind: shardmap.Other}),
		hexLit("35"), hexLit("05"), hexLit("ffffffffffffffff"), hexLit("7fffffffffffffff"), hexLit("000000000000000005"),
		hexLit("0000000000000000000005"), hexLit("8000000000000000"),
		quotedHexLit("35"), quotedHexLit("05"), quotedHexLit(""),
		decLit("5.0"), decLit("5.5"), decLit("-5.5"), decLit("4.4"), decLit("-0.5"), decLit("0.4"), decLit("0.5"), decLit("-0.4"), decLit("5."), decLit(".5"), decLit("1.5"), decLit("2.5"),
		decLit("5.00000000000000000000000000000"), decLit("5.000000000000000000000000000000"), decLit("5.00000000000000000000000000000000001"),
		decLit("5.000000000000000000000000000001"), decLit("5.0000000000000000000000000000001"),
		decLit("0000000000000000000000000000000000000000000000000000000000000000000000000005.0"),
		decLit("9223372036854775807.0"), decLit("9223372036854775807.4"), decLit("9223372036854775807.5"), decLit("9223372036854775808.0"),
		decLit("18446744073709551615.0"), decLit("18446744073709551615.4"), decLit("18446744073709551615.5"), decLit("18446744073709551616"), decLit("-9223372036854775808.0"), decLit("-9223372036854775809"),
		decLit("9007199254740993.0"), decLit("9007199254740992.5"),
		decLit("99999999999999999999999999"), decLit("-99999999999999999999999999"), decLit(strings.Repeat("9", 65)), decLit(strings.Repeat("9", 70)), decLit(strings.Repeat("9", 100) + ".5"),
		floatLit("5e0", 5), floatLit("5.5e0", 5.5), floatLit("1e2", 100), floatLit("1e30", 1e30), floatLit("-1e30", -1e30), floatLit("-5e0", -5), floatLit("0e0", 0),
		floatLit("9007199254740993e0", 9007199254740993), floatLit("9007199254740991e0", 9007199254740991), floatLit("9223372036854775807e0", 9223372036854775807), floatLit("1.8446744073709551615e19", 1.8446744073709551615e19), floatLit("1e20", 1e20),
		floatLit("1e-300", 1e-300), floatLit("4.5e0", 4.5),
	}
	for _, v := range []int64{0, 1, -1, 5, -5, 6, 7, 100, 127, 128, -128, -129, 255, 256, 32767, 65536, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MaxUint32, math.MaxUint32 + 1, 1 << 53, 1<<53 + 1, 1<<53 - 1, -(1<<53 + 1), math.MaxInt64, math.MaxInt64 - 1, math.MinInt64 + 1} {
		list = append(list, intLit(v))
	}
	list = append(list, uintLit(math.MaxInt64+1), uintLit(math.MaxUint64), uintLit(math.MaxUint64-1), uintLit(5))
	for _, s := range []string{
		"5", " 5", "5 ", "\t5", "\n5\n", "\v5", "\f5", "+5", "-5", "05", "5.0", "5.5", "5.", ".5", "0.5", "0.4", "5abc", "5 abc", "", " ", "abc", "1e2", "1E2", "1e", "1e+", "1e+2", "1e-2", "100e-2", "150e-2", "e5", "+-5", "- 5", "+ 5", "--5", "0x35", "0b1", "inf", "nan", "Infinity", "true", "NULL",
		"-0", "+0", "0", "00", "-0.0", "0e5", "5\x00", "\x005", "5,000", "1_000", "5\u00a0", "\u00a05", "٥", "５", "5é", "5;", "5'", `5"`, "5\\", "..5", "1.2.3", "5e0", "5e1000", "-5e1000", "5e-1000", "0.05e2", "0.055e2", "500e-2",
		"9007199254740992", "9007199254740993", " 9007199254740993 ", "+9007199254740993", "-9007199254740993", "09007199254740993", "9007199254740993.0", "9007199254740993abc", "9.007199254740993e15", "9007199254740991", "9007199254740990.5",
		"9223372036854775807", "9223372036854775806", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9223372036854771000", "9223372036854774000", "18446744073709551615", "18446744073709551614", "18446744073709551616", "99999999999999999999", "-99999999999999999999", "999999999999999999999", "1e19", "1e20", "1e400", "-1e400",
		"5.00000000000000000000001", "4.99999999999999999999999", "5.0000000000000001", "0.99999999999999999", strings.Repeat("0", 40) + "5", strings.Repeat("0", 300) + "5", "5." + strings.Repeat("0", 100), "5" + strings.Repeat(" ", 100), strings.Repeat(" ", 100) + "5", "2024-01-05", "5:00", "127", "128", "300", "4294967296", "6.5", "4.5", "-4.5", "1.5e0", "15e-1",
	} {
		list = append(list, strLit(s))
	}
	return list
}

// bytesLiterals are tried against string keys.
func bytesLiterals() []literal {
	list := []literal{
		rawLit("NULL", shardmap.Value{Kind: shardmap.Null}), intLit(5), intLit(0), intLit(-5), uintLit(math.MaxUint64), decLit("5.0"), floatLit("5e0", 5), floatLit("1e30", 1e30),
		hexLit("35"), hexLit("41"), hexLit("6120"), quotedHexLit("35"), quotedHexLit("61"), quotedHexLit("612020"), quotedHexLit(""), quotedHexLit("c3a9"), quotedHexLit("ff"), quotedHexLit("61ff62"), quotedHexLit("6100"), hexLit("c3a9"),
		rawLit("b'1100001'", shardmap.Value{Kind: shardmap.Bytes, S: []byte("a"), Numeric: true}),
		rawLit("TRUE", shardmap.Value{Kind: shardmap.Int, I: 1}), rawLit("DATE'2024-01-05'", shardmap.Value{Kind: shardmap.Other}),
	}
	for _, s := range []string{
		"", " ", "  ", "a", "A", "a ", "a  ", " a", "A ", "b", "B", "ab", "aB", "AB ", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00", "\x00", "a\t", "a\n", "a\x1f", "\t", "5", "05", "5.0", "-5", "é", "É", "e", "E", "e\u0301", "ß", "ss", "SS", "İ", "i", "I", "ı", "日本", "😀", "😁", "😀a", "a😀", "\u00ad", "a\u00ad", "\u200b", "ﬁ", "fi", "K", "k", "K", "ſ", "s", "S", "'", `\`, "`", `"`, "%", "_",
		"abcdefgh", "abcdefgh ", "abcdefghi", "abcdefgh  x", "ABCDEFGH", "ABCDEFGHI", "éééééééé", "ééééééééé", "18446744073709551615", strings.Repeat("x", 100), "a" + strings.Repeat(" ", 60), "abcdefg" + strings.Repeat(" ", 60),
	} {
		list = append(list, strLit(s))
	}
	for _, s := range []string{"\xff", "a\xff", "\xc3", "a\xc3\x28", "\xe9"} {
		list = append(list, strLit(s))
	}
	return list
}

// keyColumn is a type of key column with the rows to look among.
type keyColumn struct {
	name, ddl string // SQL type
	table     string // the table in the map
	seeds     []string
	bytes     bool
	only      string // "mysql" or "mariadb"
}

const (
	serverSlots = 97
	intKey      = "key: id, placement: mod, sequence: n"
)

func keyColumns() []keyColumn {
	signed := []string{"0", "1", "-1", "4", "5", "6", "-4", "-5", "-6", "7", "100", "53", "127", "-128", "2", "3"}
	small := append([]string{"32767", "2147483647", "-2147483648"}, signed...)
	big := append([]string{"9007199254740990", "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740994", "-9007199254740993", "-9007199254740992", "9223372036854775807", "9223372036854775806", "-9223372036854775808", "-9223372036854775807", "2147483648", "4294967296", "20240105", "9223372036854774000", "9223372036854771000"}, small...)
	unsigned := []string{"0", "1", "4", "5", "6", "7", "53", "100", "127", "255", "20240105", "9007199254740990", "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740994", "9223372036854775807", "9223372036854775808", "9223372036854774000", "18446744073709551615", "18446744073709551614", "18446744073709551000"}
	text := []string{"''", "' '", "'a'", "'A'", "'a '", "'a  '", "'b'", "'ab'", "'aB'", "'a\t'", "'a\\0'", "'\\0'", "'5'", "'05'", "'5.0'", "'5abc'", "'e'", "'E'", "'i'", "'I'", "'k'", "'K'", "'s'", "'S'", "'ss'", "'fi'", "'abcdefgh'", "'ABCDEFGH'", "'é'", "'É'", "'ß'", "'日本'", "'😀'", "'😁'", "'1'", "'-5'", "'2024-01-05'", "'İ'", "'ı'", "'K'", "'ſ'", "'a\u00ad'", "'\u00ad'", "X'61ff62'", "X'ff'", "X'e9'"}
	return []keyColumn{
		{name: "bigint", ddl: "BIGINT", table: intKey, seeds: big},
		{name: "bigint_typed", ddl: "BIGINT", table: intKey + ", key_type: bigint", seeds: big},
		{name: "bigint_auto", ddl: "BIGINT AUTO_INCREMENT", table: "key: id, placement: mod", seeds: big},
		{name: "ubigint", ddl: "BIGINT UNSIGNED", table: intKey, seeds: unsigned},
		{name: "ubigint_declared", ddl: "BIGINT UNSIGNED", table: intKey + ", key_type: bigint unsigned", seeds: unsigned},
		{name: "int", ddl: "INT", table: intKey, seeds: small},
		{name: "int_typed", ddl: "INT", table: intKey + ", key_type: int", seeds: small},
		{name: "uint", ddl: "INT UNSIGNED", table: intKey, seeds: []string{"0", "1", "5", "6", "4294967295"}},
		{name: "tinyint", ddl: "TINYINT", table: intKey, seeds: signed},
		{name: "utinyint_typed", ddl: "TINYINT UNSIGNED", table: intKey + ", key_type: tinyint unsigned", seeds: []string{"0", "1", "5", "6", "255"}},
		{name: "varbinary", ddl: "VARBINARY(40)", table: "key: id, placement: crc32", seeds: text, bytes: true},
		{name: "varbinary_typed", ddl: "VARBINARY(8)", table: "key: id, placement: crc32, key_type: varbinary(8)", seeds: text, bytes: true},
		{name: "binary_typed", ddl: "BINARY(8)", table: "key: id, placement: crc32, key_type: binary(8)", seeds: text, bytes: true},
		{name: "varchar_bin", ddl: "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", table: "key: id, placement: crc32, fold: rtrim", seeds: text, bytes: true},
		{name: "varchar_bin_typed", ddl: "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", table: "key: id, placement: crc32, fold: rtrim, key_type: varchar(8)", seeds: text, bytes: true},
		{name: "char_bin", ddl: "CHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", table: "key: id, placement: crc32, fold: rtrim", seeds: text, bytes: true},
		{name: "char_bin_typed", ddl: "CHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", table: "key: id, placement: crc32, fold: rtrim, key_type: char(8)", seeds: text, bytes: true},
		{name: "nopad_mysql", ddl: "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin", table: "key: id, placement: crc32", seeds: text, bytes: true, only: "mysql"},
		{name: "nopad_mysql_typed", ddl: "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin", table: "key: id, placement: crc32, key_type: varchar(8)", seeds: text, bytes: true, only: "mysql"},
		{name: "nopad_mariadb", ddl: "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", table: "key: id, placement: crc32", seeds: text, bytes: true, only: "mariadb"},
		{name: "nopad_mariadb_typed", ddl: "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", table: "key: id, placement: crc32, key_type: varchar(8)", seeds: text, bytes: true, only: "mariadb"},
		{name: "ascii_ci", ddl: "VARCHAR(8) CHARACTER SET ascii COLLATE ascii_general_ci", table: "key: id, placement: crc32, fold: ascii_ci", seeds: text, bytes: true},
		{name: "ascii_ci_typed", ddl: "CHAR(8) CHARACTER SET ascii COLLATE ascii_general_ci", table: "key: id, placement: crc32, fold: ascii_ci, key_type: char(8)", seeds: text, bytes: true},
		{name: "ascii_bin", ddl: "VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin", table: "key: id, placement: crc32, fold: rtrim", seeds: text, bytes: true},
		{name: "ascii_bin_typed", ddl: "VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin", table: "key: id, placement: crc32, fold: rtrim, key_type: varchar(8)", seeds: text, bytes: true},
	}
}

// TestServers holds Locate to its promise on real servers: for each literal,
// as text and as a bound parameter, the rows that the server matches and the
// row that it stores are in the slot that Locate gives, with the slot computed
// by the server itself through Table.SlotSQL.
func TestServers(t *testing.T) {
	for _, server := range []struct{ name, env string }{
		{"mariadb", "SHARDWAY_TEST_MARIADB"}, {"mysql", "SHARDWAY_TEST_MYSQL"},
	} {
		t.Run(server.name, func(t *testing.T) {
			dsn := os.Getenv(server.env)
			if dsn == "" {
				t.Skipf("%s is not set: give it the DSN of a %s server (user:password@tcp(host:port)/) to check Locate against it", server.env, server.name)
			}
			db := openServer(t, dsn)
			for _, col := range keyColumns() {
				if col.only != "" && col.only != server.name {
					continue
				}
				t.Run(col.name, func(t *testing.T) { checkColumn(t, db, col) })
			}
		})
	}
}

// openServer returns a pool of one connection in a database of its own.
func openServer(t *testing.T, dsn string) *sql.Conn {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		t.Fatal(err)
	}
	cfg.DBName = ""
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("shardmap_test_%d", os.Getpid())
	mustExec(t, conn, "CREATE DATABASE "+name)
	mustExec(t, conn, "USE "+name)
	t.Cleanup(func() {
		if _, err := conn.ExecContext(context.Background(), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
		conn.Close()
	})
	return conn
}

func mustExec(t *testing.T, conn *sql.Conn, query string, args ...any) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func serverTable(t testing.TB, columns string) *shardmap.Table {
	t.Helper()
	m, err := shardmap.Parse(fmt.Appendf(nil, `
version: 1
shards: {s0: {primary: "a:1"}}
databases: {d: {slots: %d, owners: {s0: ["0-%d"]}, tables: {k: {%s}}}}
`, serverSlots, serverSlots-1, columns))
	if err != nil {
		t.Fatal(err)
	}
	return m.Table("d", "k")
}

const strictMode = "SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"

func checkColumn(t *testing.T, conn *sql.Conn, col keyColumn) {
	table := serverTable(t, col.table)
	mustExec(t, conn, strictMode)
	extra, unique := ", n INT", ""
	if strings.Contains(col.ddl, "AUTO_INCREMENT") {
		unique = ", KEY(id)"
	}
	mustExec(t, conn, "CREATE TABLE k (id "+col.ddl+extra+", KEY(id))")
	mustExec(t, conn, "CREATE TABLE p (id "+strings.TrimSuffix(col.ddl, " AUTO_INCREMENT")+extra+")") // no index: other access paths
	mustExec(t, conn, "CREATE TABLE i (id "+col.ddl+extra+unique+")")
	defer func() {
		for _, name := range []string{"k", "p", "i"} {
			mustExec(t, conn, "DROP TABLE "+name)
		}
	}()
	if unique != "" {
		mustExec(t, conn, "SET sql_mode = 'STRICT_TRANS_TABLES,NO_AUTO_VALUE_ON_ZERO'")
	}
	for _, seed := range col.seeds {
		_, err := conn.ExecContext(t.Context(), "INSERT INTO k VALUES ("+seed+", 0)")
		if err != nil && !col.bytes {
			t.Fatal(err) // bytes: what the column can't hold is left out
		}
	}
	mustExec(t, conn, "INSERT INTO p SELECT * FROM k")
	mustExec(t, conn, strictMode)
	list := numericLiterals()
	if col.bytes {
		list = bytesLiterals()
	}
	c := &columnCheck{conn: conn, table: table, unsigned: strings.Contains(col.ddl, "UNSIGNED")}
	for _, lit := range list {
		if !strings.HasSuffix(col.name, "_typed") || strings.HasPrefix(col.name, "binary") {
			c.compare(t, lit) // a declared type changes nothing here
		}
		c.insert(t, lit)
	}
	if c.placed == 0 {
		t.Error("nothing was placed")
	}
	t.Logf("%d of %d answers placed or nowhere", c.placed, c.asked)
}

type columnCheck struct {
	conn          *sql.Conn
	table         *shardmap.Table
	unsigned      bool
	placed, asked int
}

func (c *columnCheck) locate(lit literal, use shardmap.Use) shardmap.Location {
	loc := c.table.Locate(lit.value, use)
	c.asked++
	if loc.Kind != shardmap.Unknown {
		c.placed++
	}
	return loc
}

// The ways in which a statement compares the key; @ stands for the literal.
// The last column leaves out the rows that other values of a list match.
var (
	comparisons = [][2]string{
		{"k.id = @", ""},
		{"k.id <=> @", ""},
		{"@ = k.id", ""},
		{"k.id IN (@)", ""},
		{"k.id IN (@, '1')", "1"},
		{"k.id IN (@, 1)", "1"},
		{"k.id IN (1, 'x', @)", "1x"},
		{"(k.id, 1) = (@, 1)", ""},
		{"(k.id, 1) IN ((@, 1), (7, 2))", ""},
	}
	sources = []string{"k", "p AS k", "(SELECT id, COUNT(*) FROM p GROUP BY id) AS k", "k JOIN p ON p.id = k.id"}
	except  = map[string]string{
		"":   "",
		"1":  " AND NOT k.id <=> '1' AND NOT k.id <=> 1",
		"1x": " AND NOT k.id <=> '1' AND NOT k.id <=> 1 AND NOT k.id <=> 'x'",
	}
)

// compare checks that all rows that match are where Locate says.
func (c *columnCheck) compare(t *testing.T, lit literal) {
	c.compareAs(t, lit, shardmap.Compare)
	c.compareAs(t, lit, shardmap.Equal)
}

func (c *columnCheck) compareAs(t *testing.T, lit literal, use shardmap.Use) {
	loc := c.locate(lit, use)
	if loc.Kind == shardmap.Unknown {
		return
	}
	var queries []string
	for _, where := range comparisons {
		if lit.value.Kind == shardmap.Null && strings.Contains(where[0], "<=>") {
			continue
		}
		if strings.HasPrefix(lit.sql, "-") && c.unsigned && !c.table.KeyType.Declared() && strings.Contains(where[0], " IN (") && where[0] != "k.id IN (@)" {
			// MySQL matches a negative number in such a list with the unsigned
			// key of the same bits. Only a declared key_type tells.
			continue
		}
		if use == shardmap.Equal && strings.Contains(where[0], " IN ") {
			continue
		}
		if c.table.Placement == shardmap.CRC32 {
			// A number in the list makes all of it compare as numbers; Locate
			// says Unknown to the number, so such a list isn't placed at all.
			if strings.Contains(where[0], "1)") && !strings.HasPrefix(where[0], "(") || strings.Contains(where[0], "(1,") {
				continue
			}
			where[0] = strings.ReplaceAll(where[0], "(7, 2)", "('7', 2)")
		}
		for i, from := range sources {
			if i > 1 && where[0] != "k.id = @" && where[0] != "k.id IN (@, 1)" {
				continue
			}
			queries = append(queries, fmt.Sprintf("SELECT HEX(k.id), %s, %d FROM %s WHERE %s%s", c.table.SlotSQL("k"), len(queries), from, where[0], except[where[1]]))
		}
	}
	all := strings.Join(queries, " UNION ALL ")
	forms := []any{}
	if lit.sql != "" {
		forms = append(forms, nil)
	}
	if lit.bound != nil {
		forms = append(forms, lit.bound)
	}
	for _, arg := range forms {
		if !c.checkRows(t, loc, lit, all, queries, arg) {
			for _, q := range queries { // one of them is an error: all others count
				c.checkRows(t, loc, lit, q, queries, arg)
			}
		}
	}
}

// checkRows runs one query and reports whether the server took it.
func (c *columnCheck) checkRows(t *testing.T, loc shardmap.Location, lit literal, query string, queries []string, arg any) bool {
	t.Helper()
	var args []any
	if arg == nil {
		query = strings.ReplaceAll(query, "@", lit.sql)
	} else {
		for range strings.Count(query, "@") {
			args = append(args, arg)
		}
		query = strings.ReplaceAll(query, "@", "?")
	}
	rows, err := c.conn.QueryContext(t.Context(), query, args...)
	if err != nil {
		return false
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var slot, which int
		if err := rows.Scan(&id, &slot, &which); err != nil {
			t.Fatal(err)
		}
		if loc.Kind == shardmap.Nowhere || loc.Slot != slot {
			t.Errorf("%s (bound: %v) matches 0x%s in slot %d; Locate says %v %d\n%s", lit.sql, arg, id, slot, loc.Kind, loc.Slot, queries[which])
		}
	}
	return rows.Err() == nil
}

// insert checks that the row that is stored is where Locate says.
func (c *columnCheck) insert(t *testing.T, lit literal) {
	for _, mode := range []struct {
		use  shardmap.Use
		set  string
		stmt string
	}{
		{shardmap.Insert, strictMode, "INSERT"},
		{shardmap.Insert, strictMode, "REPLACE"},
		{shardmap.InsertLax, strictMode, "INSERT IGNORE"},
		{shardmap.InsertLax, "SET sql_mode = ''", "INSERT"},
	} {
		loc := c.locate(lit, mode.use)
		mustExec(t, c.conn, mode.set)
		if lit.sql != "" {
			c.checkStored(t, loc, lit, mode.stmt, lit.sql)
		}
		if lit.bound != nil {
			c.checkStored(t, loc, lit, mode.stmt, "?", lit.bound)
		}
	}
	mustExec(t, c.conn, strictMode)
}

func (c *columnCheck) checkStored(t *testing.T, loc shardmap.Location, lit literal, stmt, value string, args ...any) {
	t.Helper()
	if loc.Kind == shardmap.Nowhere {
		t.Errorf("%s %s: Locate says nowhere", stmt, lit.sql)
	}
	if loc.Kind != shardmap.Placed {
		return
	}
	defer mustExec(t, c.conn, "DELETE FROM i")
	if _, err := c.conn.ExecContext(t.Context(), stmt+" INTO i (id, n) VALUES ("+value+", 1)", args...); err != nil {
		return
	}
	rows, err := c.conn.QueryContext(t.Context(), "SELECT HEX(i.id), "+c.table.SlotSQL("i")+" FROM i")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var slot int
		if err := rows.Scan(&id, &slot); err != nil {
			t.Fatal(err)
		}
		if loc.Slot != slot {
			t.Errorf("%s %s %q stores 0x%s in slot %d; Locate says %v %d", stmt, lit.sql, args, id, slot, loc.Kind, loc.Slot)
		}
	}
}
