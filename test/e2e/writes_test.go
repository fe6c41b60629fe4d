package e2e

import (
	"fmt"
	"strings"
	"testing"

	"shardway/test/cluster"
)

// written is a database of tables that are written to on several shards, with primary keys of many types.
func written(f cluster.Flavor) cluster.Data {
	d := cluster.Data{
		Slots: 16,
		Script: []string{
			"CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, n INT, name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, d DOUBLE, b VARBINARY(40), at DATETIME(6))",
			"CREATE TABLE marks (item BIGINT NOT NULL, k INT NOT NULL, v INT, PRIMARY KEY (item, k))",
			"CREATE TABLE plainly (id BIGINT NOT NULL, n INT)",
			"CREATE TABLE codes (code VARCHAR(20) NOT NULL PRIMARY KEY, n INT, at DATETIME(6))",
			"CREATE TABLE whole (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20))",
			"CREATE TABLE counted (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20))",
			"INSERT INTO codes VALUES ('a', 1, NULL), ('b', 2, NULL), ('c', 3, NULL), ('ü', 4, NULL)",
		},
		Tables: []cluster.Placed{
			{Name: "items", Key: "id", Placement: "mod", Options: "key_type: bigint"},
			{Name: "marks", Key: "item", Placement: "mod", Options: "key_type: bigint"},
			{Name: "plainly", Key: "id", Placement: "mod", Options: "key_type: bigint"},
			{Name: "texts", Key: "token", Placement: "crc32", Options: "fold: rtrim, key_type: varchar(40)"},
			{Name: "raws", Key: "token", Placement: "crc32", Options: "key_type: varbinary(20)"},
			{Name: "codes"},
			{Name: "counted"},
		},
	}
	d.Script = append(d.Script, textKeys...)
	for i := 1; i <= 24; i++ { // 0 is no key: a server may make a number of its own
		d.Script = append(d.Script, fmt.Sprintf("INSERT INTO items VALUES (%d, %d, 'name %d', %d / 4, X'%02x00ff', NULL)", i, 24-i, i%5, i, i),
			fmt.Sprintf("INSERT INTO marks VALUES (%d, 1, %d), (%d, 2, %d)", i, i, i, 2*i), fmt.Sprintf("INSERT INTO plainly VALUES (%d, %d)", i, i))
	}
	for _, k := range pickKeys {
		d.Script = append(d.Script, fmt.Sprintf("CREATE TABLE key_%s (id BIGINT NOT NULL, k %s NOT NULL, n INT, PRIMARY KEY (id, k)) DEFAULT CHARSET utf8mb4", k.name, k.typ))
		for i, v := range k.values {
			d.Script = append(d.Script, fmt.Sprintf("INSERT INTO key_%s VALUES (%d, %s, %d)", k.name, 1+i%4, v, i))
		}
		d.Tables = append(d.Tables, cluster.Placed{Name: "key_" + k.name, Key: "id", Placement: "mod", Options: "key_type: bigint"})
	}
	return d
}

// pickKeys are the types of keys by which chosen rows have to be found again.
var pickKeys = []struct {
	name, typ string
	values    []string
}{
	{"ci", "VARCHAR(20) COLLATE utf8mb4_general_ci", []string{"'a'", "'B'", "'é'", "'日本'", "'?'", "'it''s'", "'x\\\\y'", "''"}},
	{"bin", "VARBINARY(20)", []string{"X'00'", "X'ff00'", "X'27'", "X'5c'", "'a'", "'A'", "X'c3'", "''"}},
	{"dec", "DECIMAL(20,5)", []string{"1.5", "-1.5", "0", "12345678901234.12345", "2", "3", "4", "5"}},
	{"time", "DATETIME(6)", []string{"'2020-01-01'", "'2020-01-01 00:00:00.000001'", "'1999-12-31 23:59:59'", "'2038-01-01'", "'2021-01-01'", "'2022-01-01'", "'2023-01-01'", "'2024-01-01'"}},
	{"bit", "BIT(40)", []string{"0", "1", "39", "65", "255", "1099511627775", "92", "48"}},
	{"dbl", "DOUBLE", []string{"0.1", "-1e100", "1e-100", "3", "0", "0.30000000000000004", "5", "123456789.125"}},
	{"enum", "ENUM('x','y','ä','1')", []string{"'x'", "'y'", "'ä'", "'1'", "'1'", "'ä'", "'y'", "'x'"}},
}

// writtenStatements change rows on several shards as one server would.
func writtenStatements() (all []statement) {
	add := func(sql string, args ...any) {
		all = append(all, statement{text: sql, code: true, unordered: !strings.Contains(sql, "ORDER BY"), args: args, hasArgs: len(args) > 0})
	}
	for _, sql := range []string{
		"INSERT INTO items (id, n, name) VALUES (100, 1, 'a'), (101, 2, 'b'), (102, 3, 'c'), (103, 4, 'd')",
		"INSERT INTO items (id, n) VALUES (104, 1), (3, 2), (105, 3)", // 3 is there
		"SELECT id FROM items WHERE id > 103 ORDER BY id",
		"INSERT IGNORE INTO items (id, n) VALUES (104, 1), (3, 2), (105, 3)",
		"REPLACE INTO items (id, n) VALUES (104, 5), (106, 2), (107, 3)",
		"INSERT INTO items (id, n) VALUES (104, 9), (105, 9), (108, 9), (109, 9) ON DUPLICATE KEY UPDATE n = n + VALUES(n)",
		"INSERT INTO items (id, n) VALUES (104, 8), (105, 8), (108, 8), (118, 8) ON DUPLICATE KEY UPDATE id = VALUES(id), n = VALUES(n)",
		"INSERT INTO items (id, n) VALUES (104, 7), (105, 8), (119, 7) ON DUPLICATE KEY UPDATE id = id",
		"INSERT INTO items (id, n) VALUES (104, 7), (105, 7), (120, 8) ON DUPLICATE KEY UPDATE items.id = (id), n = items.n + VALUES(n)",
		"INSERT INTO items (id, n) SELECT item, v FROM marks WHERE k = 1 AND item < 8 ON DUPLICATE KEY UPDATE id = VALUES(id), n = VALUES(n) + 1",
		"UPDATE items SET n = n + 1",
		"UPDATE items SET n = n WHERE n > 3",
		"UPDATE items SET name = CONCAT(name, '!') WHERE n BETWEEN 3 AND 8",
		"DELETE FROM items WHERE n IN (5, 6)",
		"DELETE FROM items WHERE n = -1",
		"UPDATE items SET name = 'first' ORDER BY n DESC, id LIMIT 3",
		"DELETE FROM items ORDER BY n, id LIMIT 4",
		"UPDATE items SET n = 1000 + id WHERE name LIKE 'name%' ORDER BY id DESC LIMIT 2",
		"UPDATE items SET n = (SELECT MAX(k) FROM marks WHERE v > 3) WHERE id IN (SELECT item FROM marks WHERE v = 7 OR v = 20)",
		"DELETE FROM items WHERE n > (SELECT AVG(v) FROM marks) AND id < 20 AND id IN (SELECT v FROM marks)",
		"UPDATE items i JOIN marks m ON m.item = i.id SET i.n = m.v WHERE m.k = 2 AND m.v > 30",
		"UPDATE items i JOIN marks m ON m.v = i.id SET i.d = 77 WHERE m.k = 1",
		"DELETE i FROM items i JOIN marks m ON m.v = i.id WHERE m.k = 2 AND m.item > 8",
		"INSERT INTO marks SELECT id, 3, n FROM items",
		"INSERT INTO marks (item, k, v) SELECT v + 200, k + 10, item FROM marks WHERE k = 1 ORDER BY item LIMIT 6",
		"INSERT IGNORE INTO marks SELECT v, k, item FROM marks WHERE k = 2",
		"UPDATE codes SET n = n + 1 WHERE code <> 'b'",
		"INSERT INTO codes (code, n) VALUES ('d', 5), ('e', 6)",
		"INSERT INTO codes (code, n) VALUES ('a', 5) ON DUPLICATE KEY UPDATE n = 50",
		"DELETE FROM codes ORDER BY n DESC LIMIT 1",
		"UPDATE codes SET n = n * 2 ORDER BY code LIMIT 2",
		"REPLACE INTO codes VALUES ('c', 33, NULL)",
		"INSERT INTO codes (code, n) SELECT CONCAT('i', id), n FROM items ORDER BY id LIMIT 3",
		"INSERT INTO counted (name) VALUES ('x'), ('y')",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO items (id, n) VALUES (300, 'no number'), (301, 2)",
		"SET sql_mode = ''",
		"INSERT INTO items (id, n) VALUES (300, 99999999999), (301, 2)",
		"SET sql_mode = DEFAULT",
		"INSERT INTO items (id, n) VALUES (0, 5), (320, 6)",
		"INSERT INTO items (id, n) VALUES ('0', 7), (321, 6)",
		"INSERT INTO items VALUES (0, 8, 'x', 1, NULL, NULL) ON DUPLICATE KEY UPDATE n = 8",
		"REPLACE INTO items SET id = 0, n = 9",
		"SELECT id, n FROM items WHERE id = 0",
		"DELETE FROM items WHERE id = 0",
		"INSERT INTO items (id, n) SELECT 0, 7",
		"DELETE FROM items WHERE id IN (0, 320, 321)",
		"SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
		"INSERT INTO items (id, n) VALUES (0, 5)",
		"DELETE FROM items WHERE id = 0",
		"SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'",
		"INSERT INTO items (id, name) VALUES (310, 'a\\'), (311, 'b''\\c')",
		`UPDATE "items" SET "name" = CONCAT(name, '\') WHERE "id" > 300 ORDER BY "id" LIMIT 2`,
		"INSERT INTO marks SELECT 500 + id, 1, LENGTH(name) FROM items WHERE name LIKE '%\\'",
		"SET sql_mode = DEFAULT",
		"BEGIN",
		"UPDATE items SET n = 7 WHERE id = 101",
		"INSERT INTO items (id, n) VALUES (400, 1), (401, 1), (101, 1), (102, 1)",
		"UPDATE items SET d = 5 ORDER BY id LIMIT 3",
		"SELECT id, n, d FROM items WHERE id IN (101, 400) ORDER BY id",
		"COMMIT",
		"SET autocommit = 0",
		"DELETE FROM items WHERE id > 105",
		"ROLLBACK",
		"UPDATE items SET n = n - 1 WHERE id < 6",
		"SET autocommit = 1",
	} {
		add(sql)
	}
	for _, s := range []statement{
		{text: "INSERT INTO items (id, n) VALUES (104, 7), (105, 7), (121, 7) ON DUPLICATE KEY UPDATE id = VALUE(id), n = VALUE(n) + 1", only: cluster.MariaDB},
		{text: "INSERT INTO items (id, n) VALUES (104, 6), (105, 6), (121, 7) AS new ON DUPLICATE KEY UPDATE id = new.id, n = new.n + items.n", only: cluster.MySQL},
		{text: "INSERT INTO items (id, n) VALUES (104, 6), (105, 6), (121, 7) AS new(a, b) ON DUPLICATE KEY UPDATE id = a, n = new.b + items.n", only: cluster.MySQL},
	} {
		s.code = true
		all = append(all, s)
	}
	for _, list := range [][]statement{chosenStatements(), returningStatements(), orderedStatements(), movingStatements()} {
		all = append(all, list...)
	}
	add("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?)", int64(600), int64(-3), "bound", -1.25, []byte{0, 255, '\''}, "2020-02-03 04:05:06.000007",
		int64(601), nil, "it's \\ ü", 1e100, nil, nil)
	add("UPDATE items SET n = ?, b = ?, d = ? WHERE id >= ? ORDER BY id LIMIT ?", int64(-8), []byte{39, 92, 0}, -2.5, int64(600), int64(2))
	add("DELETE FROM items WHERE n < ? ORDER BY d, id LIMIT ?", int64(0), int64(1))
	add("UPDATE items SET name = ? WHERE d < ?", "ö", 3.5)
	for _, k := range pickKeys {
		table := "key_" + k.name
		add("UPDATE " + table + " SET n = n + 100 ORDER BY n DESC LIMIT 5")
		add("DELETE FROM " + table + " ORDER BY n LIMIT 2")
		add("INSERT INTO " + table + " SELECT id + 1, k, n FROM " + table + " WHERE n > 100 AND id < 3 ORDER BY n LIMIT 2 ON DUPLICATE KEY UPDATE n = -1")
		add("SELECT id, HEX(k), n FROM " + table + " ORDER BY id, k")
	}
	for _, table := range []string{"items", "marks", "codes", "plainly"} {
		add("SELECT * FROM " + table)
	}
	return all
}

// chosenStatements write to the rows of several tables that aren't joined by their keys, or fail as a server does that
// evaluates while it writes.
func chosenStatements() (all []statement) {
	for _, sql := range []string{
		"UPDATE items i JOIN marks m ON m.v = i.n SET i.name = 'both', m.v = m.v + 1 WHERE i.id < 12",
		"UPDATE items i, marks m SET i.d = 3, m.v = m.v WHERE m.v = i.n AND i.id < 15",
		"UPDATE items i LEFT JOIN marks m ON m.v = i.id + 1000 SET i.d = 4, m.v = 5 WHERE i.id < 9",
		"UPDATE items i RIGHT JOIN marks m ON m.v = i.id + 1000 SET m.v = m.v + 1 WHERE m.item < 4",
		"UPDATE items i JOIN codes c ON c.n = i.n SET c.n = c.n + 100, i.name = CONCAT('n', i.n + 1)",
		"UPDATE items i JOIN codes c ON c.n = i.n + 90 SET c.at = '2020-01-02 03:04:05.000006', i.at = '2021-01-02', i.d = DEFAULT",
		"UPDATE items JOIN marks ON v = n SET name = 'unqualified', k = k + 20 WHERE id < 20",
		"UPDATE items JOIN codes ON code = name SET items.b = code",
		"UPDATE items i JOIN marks m ON m.item = i.n AND m.k = 1 SET i.name = CONCAT('of ', m.item), i.d = m.item, m.v = 7 WHERE i.id > 9 AND i.id < 14",
		"UPDATE IGNORE items i JOIN marks m ON m.item = i.n AND m.k = 1 SET i.d = i.d / 0, m.v = 8 WHERE i.id < 8",
		"SHOW WARNINGS",
		"UPDATE items i JOIN marks m ON m.v = i.n SET i.d = i.d / 0, m.v = 8",
		"UPDATE items i JOIN marks m ON m.v = i.n SET i.n = 'x', m.v = 8",
		"UPDATE items i JOIN counted c ON c.name = i.name SET c.name = 'w', i.n = 0",
		"UPDATE items i JOIN (SELECT k, MAX(v) v FROM marks GROUP BY k) m ON m.v = i.n SET i.name = 'derived'",
		"DELETE i, m FROM items i JOIN marks m ON m.v = i.n WHERE i.id BETWEEN 5 AND 9",
		"DELETE FROM m USING items i JOIN marks m ON m.v = i.n + 1 WHERE i.id > 18",
		"DELETE i, m FROM items i LEFT JOIN marks m ON m.v = i.id + 1000 WHERE i.id = 11",
		"DELETE i, c FROM items i JOIN codes c ON c.code = i.name",
		"DELETE IGNORE i, m FROM items i JOIN marks m ON m.v = i.n WHERE i.id = 14",
		"INSERT INTO codes (code, n) SELECT CONCAT('z', id), n / 0 FROM items WHERE id < 3",
		"INSERT IGNORE INTO codes (code, n) SELECT CONCAT('z', id), n / 0 FROM items WHERE id < 3",
		"INSERT INTO codes (code, n) SELECT CONCAT('y', id), n FROM items WHERE name = 5",
		"UPDATE items SET n = 1 WHERE name = 5 ORDER BY id LIMIT 2",
		"UPDATE items SET n = 1 WHERE name = 5 LIMIT 2",
		"UPDATE items SET n = (SELECT MAX(v) / 0 FROM marks)",
		"DELETE FROM items WHERE name = 5 ORDER BY id LIMIT 2",
		"SET sql_mode = ''",
		"UPDATE items i JOIN marks m ON m.item = i.n AND m.k = 1 SET i.n = i.name + 1, m.v = 8 WHERE i.id < 4",
		"SET sql_mode = DEFAULT",
		"UPDATE items i JOIN marks m ON m.v = i.n SET i.name = 'x' ORDER BY i.id, m.item, m.k LIMIT 3",
		"BEGIN",
		"UPDATE items i JOIN marks m ON m.v = i.n SET i.name = 'undone', m.v = 99",
		"SELECT COUNT(*) FROM marks WHERE v = 99",
		"ROLLBACK",
		"SELECT * FROM marks",
		"SELECT * FROM items",
		"SELECT * FROM codes",
		"REPLACE INTO codes (code, n) VALUES ('b', 2), ('c', 3)",
	} {
		all = append(all, statement{text: sql, code: true, unordered: true})
	}
	return append(all, statement{
		text: "UPDATE items i JOIN marks m ON m.v = i.n SET i.name = ?, i.d = ?, m.v = m.v + ? WHERE i.id < ?", args: []any{"bound", -1.5, int64(3), int64(9)}, hasArgs: true, unordered: true,
	})
}

// returningStatements are MariaDB's writes that answer with rows.
func returningStatements() (all []statement) {
	add := func(sql string, args ...any) {
		all = append(all, statement{text: sql, only: cluster.MariaDB, code: true, unordered: strings.HasPrefix(sql, "DELETE") && !strings.Contains(sql, "ORDER"), args: args, hasArgs: len(args) > 0})
	}
	for _, sql := range []string{
		"INSERT INTO items (id, n, name) VALUES (700, 1, 'a'), (701, 2, 'b'), (709, 3, 'c'), (710, 4, 'd'), (702, 5, 'e') RETURNING id, n + 1 AS m, UPPER(name), 7",
		"SELECT ROW_COUNT(), LAST_INSERT_ID()",
		"INSERT IGNORE INTO items (id, n) VALUES (700, 1), (711, 2), (709, 3), (712, 4) RETURNING id, n",
		"INSERT INTO items (id, n) VALUES (700, 1), (713, 2), (709, 3) ON DUPLICATE KEY UPDATE n = n + 100 RETURNING id, n",
		"INSERT INTO items (id, n) VALUES (714, 1), (700, 2), (715, 3) RETURNING id",
		"SHOW COUNT(*) ERRORS",
		"INSERT INTO items SET id = 716, n = 3 RETURNING *",
		"REPLACE INTO items (id, n) VALUES (709, 8), (700, 9), (717, 10) RETURNING id, n, name",
		"INSERT INTO codes (code, n) VALUES ('r1', 1), ('r2', 2) RETURNING *",
		"INSERT INTO counted (name) VALUES ('r1'), ('r2') RETURNING id, name",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO counted (id, name) VALUES (900, 'r3') RETURNING name",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO whole (name) VALUES ('w1'), ('w2') RETURNING id",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO whole (id, name) VALUES (50, 'w3') RETURNING id",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO whole (name) VALUES ('w4') RETURNING name",
		"SELECT LAST_INSERT_ID()",
		"INSERT INTO items (id, n) SELECT id + 50, n FROM items WHERE id BETWEEN 700 AND 712 ORDER BY n, id RETURNING id, n",
		"INSERT INTO items (id, n) SELECT id + 50, n FROM items WHERE id = -1 RETURNING id, n, CONCAT(name, 'x')",
		"DELETE FROM items WHERE id BETWEEN 709 AND 712 RETURNING id, n",
		"DELETE FROM items WHERE id = -1 OR n = -77 RETURNING id, n",
		"DELETE FROM items WHERE id > 699 ORDER BY n DESC, id LIMIT 3 RETURNING n, id, name, b",
		"DELETE FROM items WHERE id = -2 ORDER BY n DESC LIMIT 3 RETURNING n, id",
		"DELETE FROM codes WHERE code IN ('r1', 'r2') RETURNING code",
		"DELETE FROM items WHERE id > 700 AND n > 3 RETURNING id, n / 0",
		"SHOW WARNINGS",
		"DELETE FROM items RETURNING nothing",
		"BEGIN",
		"DELETE FROM items WHERE id > 690 RETURNING id",
		"INSERT INTO items (id, n) VALUES (720, 1), (721, 2), (3, 2) RETURNING id",
		"SELECT COUNT(*) FROM items WHERE id > 690",
		"INSERT INTO items (id, n) VALUES (730, 1), (738, 2), (731, 2) RETURNING id",
		"ROLLBACK",
		"SELECT id, n, name FROM items WHERE id > 690 ORDER BY id",
	} {
		add(sql)
	}
	add("INSERT INTO items (id, n, name, d) VALUES (?, ?, ?, ?), (?, ?, ?, ?) RETURNING id, n, name, d, b", int64(780), int64(1), "one", 1.5, int64(789), nil, "two", nil)
	add("DELETE FROM items WHERE n = ? OR name = ? RETURNING id, d, name", int64(1), "two")
	return all
}

// TestWritesOverShards compares statements that change rows on several shards with a plain server that has all rows: what
// the client is told, and the rows. Clients have several character sets.
func TestWritesOverShards(t *testing.T) {
	for _, charset := range []string{"utf8mb4", "latin1", "gbk"} {
		onBoth(t, "written", written, func(e *env) {
			if charset != "utf8mb4" && e.mysql() {
				return // Shardway does the same for both kinds
			}
			d := e.serve(settings{"limits": "{gather_rows: 500}"})
			w, plain := e.dial(d, nil), e.plain(nil)
			for _, s := range writtenStatements() {
				if s.only != "" && s.only != e.c.Flavor {
					continue
				}
				for _, c := range []*wire{w, plain} {
					if _, err := c.query("SET NAMES " + charset); err != nil {
						e.Fatal(err)
					}
				}
				got, err := s.run(w, false)
				if err != nil {
					e.Fatalf("%s: %v\n%s", s.text, err, d.log.tail(2000))
				}
				want, err := s.run(plain, false)
				e.must(err)
				if text := s.difference(got, want); text != "" {
					e.Errorf("%s: %s\n%s", charset, s.text, text)
				}
			}
			e.writtenRefused(w)
			if charset == "utf8mb4" {
				e.writtenKilled(d, w)
			}
		})
	}
}

// writtenRefused are statements that change nothing, or the same everywhere.
func (e *env) writtenRefused(w *wire) {
	code := func(q string) uint16 {
		rs, err := w.query(q)
		e.must(err)
		if rs[0].Err == nil {
			return 0
		}
		return rs[0].Err.Code
	}
	one := func(q string) string {
		s, err := w.one(q)
		e.must(err)
		return s
	}
	for _, q := range []string{"UPDATE codes SET at = NOW(6)", "UPDATE codes SET at = NOW(6) ORDER BY code LIMIT 2", "UPDATE codes SET n = 1000 * RAND()"} {
		if c := code(q); c != 0 {
			e.Errorf("%s: error %d", q, c)
		}
		var first string
		for i, sh := range e.c.Shards {
			rows, err := e.onServer(sh.Primary, "SELECT * FROM written.codes")
			e.must(err)
			if text := sorted(rows); i == 0 {
				first = text
			} else if text != first {
				e.Errorf("%s: the copies differ: %s", q, firstDifference(text, first))
			}
		}
	}
	if c := code("DELETE FROM plainly ORDER BY n LIMIT 3"); c != 1235 {
		e.Errorf("a table without a primary key: error %d", c)
	}
	for range 6 {
		if c := code("INSERT INTO marks SELECT item, k + (SELECT MAX(k) FROM marks), v FROM marks"); c != 0 {
			if c != 1105 {
				e.Errorf("beyond gather_rows: error %d", c)
			}
			break
		}
	}
	// A statement that fails at its last shard has done nothing at the first.
	before := one("SELECT SUM(n) FROM items")
	if c := code("UPDATE items SET n = IF(id = (SELECT 23), 99999999999, n + 1)"); c != 1264 {
		e.Errorf("out of range on one shard: error %d", c)
	}
	if c := code("/* shardway: timeout=300ms */ UPDATE items SET n = n + 1 + SLEEP(0.2)"); c != 3024 {
		e.Errorf("beyond its timeout: error %d", c)
	}
	for _, q := range []string{"SET shardway_cross_shard = 'forbid'", "UPDATE items SET n = n + 1", "SET shardway_cross_shard = DEFAULT"} {
		if c := code(q); (c == 1235) != strings.HasPrefix(q, "UPDATE") {
			e.Errorf("%s: error %d", q, c)
		}
	}
	if after := one("SELECT SUM(n) FROM items"); after != before {
		e.Errorf("statements that failed have changed the sum from %s to %s", before, after)
	}
	if one("SELECT COUNT(*) FROM codes WHERE code = 'b'") != "1" {
		e.Fatal("no row to make different")
	}
	e.must(e.c.Shards[1].Primary.Exec(e.ctx, "DELETE FROM written.codes WHERE code = 'b'"))
	if c := code("UPDATE codes SET n = -5 WHERE code IN ('b', 'c')"); c != 1105 {
		e.Errorf("copies that differ: error %d", c)
	}
	if n := one("SELECT COUNT(*) FROM codes WHERE n = -5"); n != "0" {
		e.Errorf("%s rows of a copy are changed where the copies differ", n)
	}
}
