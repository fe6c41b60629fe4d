package e2e

import (
	"fmt"
	"strings"
	"testing"

	"shardway/test/cluster"
)

// things is a database of one sharded table that has a column of each type, and text of several collations with values
// that differ in case, accents and spaces at their end alone.
func things(f cluster.Flavor) cluster.Data {
	other := "utf8mb4_0900_ai_ci"
	if f == cluster.MariaDB {
		other = "utf8mb4_general_nopad_ci"
	}
	text := func(name, charset, collation string) string {
		return name + " VARCHAR(30) CHARACTER SET " + charset + " COLLATE " + collation + ", "
	}
	script := []string{
		"CREATE TABLE digits (d INT PRIMARY KEY)",
		"INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
		"CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY, i8 TINYINT, u64 BIGINT UNSIGNED, i64 BIGINT, f FLOAT, d DOUBLE, d2 DOUBLE(10,2), dc DECIMAL(20,5), d0 DECIMAL(30,0), " +
			"b9 BIT(9), dt DATE, tm TIME(3), dtm DATETIME(6), ts TIMESTAMP NULL, y YEAR, bn BINARY(4), vb VARBINARY(20), bl BLOB, " +
			text("ci", "utf8mb4", "utf8mb4_general_ci") + text("bin", "utf8mb4", "utf8mb4_bin") + text("uni", "utf8mb4", "utf8mb4_unicode_ci") +
			text("lat", "latin1", "latin1_swedish_ci") + text("other", "utf8mb4", other) +
			"tx TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, e ENUM('red','green','blue'), st SET('a','b','c'), js JSON) DEFAULT CHARSET utf8mb4",
		"CREATE TABLE words (n INT NOT NULL PRIMARY KEY, w VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)",
		"INSERT INTO words VALUES (0,''),(1,' '),(2,'a'),(3,'A'),(4,'a '),(5,'ä'),(6,'b'),(7,'B '),(8,'ab'),(9,'a\t'),(10,'z'),(11,'ß'),(12,'ss'),(13,'ÿ'),(14,NULL),(15,'a-1'),(16,'A_1')",
		"INSERT INTO things SELECT id, id MOD 13 - 6, IF(id MOD 9=0, NULL, IF(id MOD 5=0, 18446744073709551615 - ABS(id), ABS(id)*7)), IF(id MOD 11=0, NULL, (id MOD 7 - 3) * 1000000007), " +
			"id MOD 6 / 4, IF(id MOD 8=0, NULL, (id MOD 10 - 4) * 1.25e7 / 3), id MOD 5 * 1.25, IF(id MOD 10=0, NULL, (id MOD 17 - 8) * 1.23456), (id MOD 4) * 12345678901234567890123, " +
			"id MOD 300, DATE_ADD('2020-02-25', INTERVAL id MOD 12 DAY), SEC_TO_TIME((id MOD 15 - 7) * 4321.5), DATE_ADD('2020-02-28 23:59:58', INTERVAL id MOD 9 * 1000001 MICROSECOND), " +
			"DATE_ADD('2020-06-01 12:00:00', INTERVAL id MOD 14 HOUR), 1990 + id MOD 8, CHAR(id MOD 5, id MOD 3), CHAR(id MOD 7 * 40), CONCAT('bl', id MOD 6), " +
			"w, w, w, w, w, CONCAT(w, w), ELT(1+id MOD 3,'red','green','blue'), ELT(1+id MOD 3,'a','b,c','c'), CONCAT('{\"a\": ', id MOD 4, '}') " +
			"FROM (SELECT a.d*10+b.d-20 id FROM digits a, digits b UNION SELECT 100+a.d*10+b.d FROM digits a, digits b) x JOIN words ON n = ABS(id) MOD 17",
		"UPDATE things SET dt='0000-00-00', dtm='0000-00-00 00:00:00' WHERE id IN (3, 44)",
		"DROP TABLE words", "DROP TABLE digits",
	}
	script = append([]string{"SET SESSION sql_mode=''"}, script...)
	return cluster.Data{Slots: 16, Script: script, Tables: []cluster.Placed{{Name: "things", Key: "id", Placement: "mod", Options: "key_type: bigint"}}}
}

// manyStatement is one statement and what may differ.
type manyStatement struct {
	statement
	gathers bool // its rows can't be merged
}

// manyStatements are statements about each column, and some about several.
func manyStatements() (all []manyStatement) {
	add := func(s statement, gathers bool) { all = append(all, manyStatement{statement: s, gathers: gathers}) }
	for _, c := range []struct {
		name         string
		number, text bool
		gathers      bool
	}{
		{name: "i8", number: true},
		{name: "u64", number: true},
		{name: "i64", number: true},
		{name: "f", gathers: true},
		{name: "d"},
		{name: "d2", number: true},
		{name: "dc", number: true},
		{name: "d0", number: true},
		{name: "b9"},
		{name: "dt"},
		{name: "tm"},
		{name: "dtm"},
		{name: "ts"},
		{name: "y"},
		{name: "bn"},
		{name: "vb"},
		{name: "bl"},
		{name: "ci", text: true},
		{name: "bin", text: true},
		{name: "uni", text: true},
		{name: "lat", text: true},
		{name: "other", text: true},
		{name: "tx", text: true},
		{name: "e", gathers: true},
		{name: "st", gathers: true},
		{name: "js", gathers: true},
	} {
		n := c.name
		add(statement{text: "SELECT id, " + n + " FROM things ORDER BY " + n + ", id"}, c.gathers)
		add(statement{text: "SELECT id FROM things ORDER BY " + n + " DESC, id LIMIT 9 OFFSET 4"}, c.gathers)
		add(statement{text: "SELECT DISTINCT " + n + " FROM things", unordered: true, folds: c.text}, c.gathers || n == "b9")
		add(statement{text: "SELECT " + n + ", COUNT(*), SUM(i8), AVG(dc) FROM things GROUP BY " + n + " ORDER BY " + n, folds: c.text}, c.gathers)
		add(statement{text: "SELECT MIN(" + n + "), MAX(" + n + "), COUNT(" + n + ") FROM things", folds: c.text}, c.gathers)
		if c.number {
			add(statement{text: "SELECT SUM(" + n + "), AVG(" + n + ") FROM things"}, c.gathers)
			add(statement{text: "SELECT i8, SUM(" + n + ") s, AVG(" + n + ") FROM things WHERE id > 0 GROUP BY i8 ORDER BY s, i8 LIMIT 5"}, c.gathers || n == "d2")
			add(statement{text: "SELECT SUM(" + n + "), AVG(" + n + "), COUNT(*) FROM things WHERE id < -1000"}, c.gathers)
		}
	}
	for _, sql := range []string{
		"SELECT * FROM things ORDER BY id",
		"SELECT * FROM things ORDER BY id LIMIT 0",
		"SELECT id, UPPER(ci) u FROM things WHERE i8 > 2 ORDER BY u, id DESC",
		"SELECT id, ci FROM things ORDER BY ci COLLATE utf8mb4_bin DESC, id LIMIT 20",
		"SELECT id, i8 + dc FROM things ORDER BY i8 + dc, id",
		"SELECT id, i8 IS NULL n FROM things ORDER BY n, ci, id LIMIT 30",
		"SELECT COUNT(*), COUNT(u64), MIN(id), MAX(id) FROM things",
		"SELECT BIT_AND(i64), BIT_OR(u64), BIT_XOR(i8) FROM things",
		"SELECT BIT_AND(i64), BIT_OR(u64), BIT_XOR(i8) FROM things WHERE id < -1000",
		"SELECT i8, BIT_AND(u64), BIT_OR(u64), BIT_XOR(i64) FROM things GROUP BY i8 ORDER BY i8 DESC",
		"SELECT y, MIN(tm), MAX(tm), MIN(dtm), MAX(dt), MIN(ts), MAX(vb), MIN(b9) FROM things GROUP BY y ORDER BY y",
		"SELECT ci, y, COUNT(*) FROM things WHERE i8 = 1 GROUP BY ci, y ORDER BY ci, y DESC",
		"SELECT id MOD 3 m, SUM(d0), AVG(d0), AVG(i64) FROM things GROUP BY m ORDER BY m",
		"SELECT AVG(dc), AVG(d0), AVG(i8), AVG(y), AVG(u64) FROM things WHERE id BETWEEN 1 AND 7",
		"SELECT id FROM things WHERE id < -1000 ORDER BY ci",
		"SELECT id, REPEAT(ci, 3) r, CONCAT(lat, other) FROM things ORDER BY r, id",
		"SELECT id, NULL x FROM things ORDER BY x, id LIMIT 5",
		"SELECT a.id, b.ci FROM things a JOIN things b ON a.id = b.id ORDER BY b.ci, a.id LIMIT 12",
		"SELECT DISTINCT ci, y FROM things WHERE i8 > 3 ORDER BY ci, y",
		"SELECT id, dt + INTERVAL 1 DAY q FROM things WHERE dt > '2020-01-01' ORDER BY q, id LIMIT 10",
		"SELECT id, tm, TIMEDIFF(tm, '01:00:00') q FROM things ORDER BY q DESC, id LIMIT 40",
	} {
		add(statement{text: sql, folds: strings.Contains(sql, "ci,")}, false)
	}
	for _, s := range manyForms() {
		add(s, false)
	}
	for _, s := range []statement{
		{text: "SELECT id, ci FROM things WHERE ci > ? ORDER BY ci, id LIMIT ? OFFSET ?", hasArgs: true, args: []any{"a", int64(7), int64(2)}},
		{text: "SELECT i8, COUNT(*) FROM things WHERE dc < ? GROUP BY i8 ORDER BY i8", hasArgs: true, args: []any{3.5}},
		{text: "SELECT id, dc * ? x FROM things WHERE vb <> ? ORDER BY dc * ?, id", hasArgs: true, args: []any{int64(-1), []byte{40}, int64(-1)}},
		{text: "SELECT id FROM things WHERE no_such_column = 1", code: true},
		{text: "SELECT id FROM things ORDER BY no_such_column", code: true},
		{text: "SELECT id FROM things", unordered: true},
		{text: "SELECT tx, js FROM things WHERE e = 'red'", unordered: true},
		{text: "SELECT id, 1 / (i8 * 0) z FROM things WHERE id BETWEEN 1 AND 9 ORDER BY id"},
		{text: "SHOW WARNINGS", unordered: true, textOnly: true},
		{text: "SELECT id FROM things ORDER BY id LIMIT 17"},
		{text: "SELECT FOUND_ROWS(), ROW_COUNT()", own: true},
		{text: "BEGIN", textOnly: true},
		{text: "UPDATE things SET dc = 1234.5, ci = 'AAAA' WHERE id = 5"},
		{text: "UPDATE things SET dc = -1234.5, ci = 'aaab' WHERE id = 9"},
		{text: "SELECT SUM(dc), MAX(dc), COUNT(*) FROM things"},
		{text: "SELECT id, ci FROM things ORDER BY dc DESC, id LIMIT 3"},
		{text: "ROLLBACK", textOnly: true},
		{text: "UPDATE things SET dc = NULL, ci = NULL WHERE id IN (5, 9) AND id = 5 AND dc > 1000"},
		{text: "SELECT MAX(dc), COUNT(ci) FROM things"},
	} {
		add(s, false)
	}
	return all
}

// TestManyShards compares statements over several shards with a server that has all rows: columns, rows and their order,
// in text and prepared, for clients old and new.
func TestManyShards(t *testing.T) {
	all := manyStatements()
	if len(all) < 150 {
		t.Errorf("%d statements, want at least 150", len(all))
	}
	onBoth(t, "many", things, func(e *env) {
		d := e.serve(nil)
		for _, mode := range []struct {
			name     string
			prepared bool
			change   func(*wireOptions)
		}{
			{name: "text"},
			{name: "prepared", prepared: true},
			{name: "text_old", change: func(o *wireOptions) { o.without = capDeprecateEOF | capPSMultiResults }},
			{name: "prepared_old", prepared: true, change: func(o *wireOptions) { o.without = capDeprecateEOF }},
		} {
			e.Run(mode.name, func(t *testing.T) {
				ours, plain := e.dial(d, mode.change), e.plain(mode.change)
				merged, gathered := 0, 0
				for i := range all {
					s := &all[i]
					s.line = i + 1
					if s.textOnly && mode.prepared {
						continue
					}
					got, err := s.run(ours, mode.prepared)
					if err != nil {
						t.Fatalf("%s: %v", s.text, err)
					}
					if refused := got.err(); refused != nil && refused.Code == 1235 {
						if !s.gathers {
							t.Errorf("%s\n  %v", s.text, refused)
						}
						gathered++
						continue
					}
					want, err := s.run(plain, mode.prepared)
					if err != nil {
						t.Fatalf("%s: the plain server: %v", s.text, err)
					}
					merged++
					if e.mysql() && (strings.Contains(s.text, "dt,") || strings.Contains(s.text, "dtm") || strings.Contains(s.text, "(dt)")) {
						// The weights that the shards send as well are warned of where a date is zero.
						for i := range got.results {
							got.results[i].OK.Warnings = want.results[i].OK.Warnings
						}
					}
					if text := s.difference(got, want); text != "" {
						t.Errorf("%s\n%s", s.text, text)
					}
				}
				t.Logf("note: %d statements answered alike, %d refused", merged, gathered)
				if merged < 150 {
					t.Error(fmt.Sprint("only ", merged, " were answered"))
				}
			})
		}
	})
}
