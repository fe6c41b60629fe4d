package clients

import "shardway/test/cluster"

// The databases that the programs work on: the same tables, once whole on one
// shard and once laid out over both. Their names are as long as each other, so
// that answers have the same length.
const (
	whole   = "matrix_of_one"
	sharded = "matrix_of_two"
)

// layouts are both databases.
func layouts() []cluster.Data {
	script := []string{
		// The rows: smallest values, NULLs, largest values, empty ones.
		"CREATE TABLE kinds (id INT NOT NULL PRIMARY KEY, i8 TINYINT, u8 TINYINT UNSIGNED, i16 SMALLINT, u16 SMALLINT UNSIGNED, i24 MEDIUMINT, u24 MEDIUMINT UNSIGNED, " +
			"i32 INT, u32 INT UNSIGNED, i64 BIGINT, u64 BIGINT UNSIGNED, f FLOAT, d DOUBLE, dc DECIMAL(20,5), dcu DECIMAL(65,30), b1 BIT(1), b9 BIT(9), b64 BIT(64), bo BOOL, " +
			"dt DATE, tm TIME, tm3 TIME(3), dtm DATETIME, dtm6 DATETIME(6), ts TIMESTAMP NULL, ts3 TIMESTAMP(3) NULL, y YEAR, " +
			"c CHAR(10), vc VARCHAR(30), l1 VARCHAR(30) CHARACTER SET latin1, bn BINARY(4), vb VARBINARY(20), tb TINYBLOB, bl BLOB, tt TINYTEXT, tx TEXT, mt MEDIUMTEXT, lt LONGTEXT, " +
			"e ENUM('red','green','blue'), st SET('a','b','c'), js JSON)",
		"INSERT INTO kinds VALUES (1,-128,0,-32768,0,-8388608,0,-2147483648,0,-9223372036854775808,0,-1.5,-2.25e100,-12345.67890,-0.000000000000000000000000000001,0,0,0,0," +
			"'1000-01-01','-838:59:59','-838:59:59.000','1000-01-01 00:00:00','1000-01-01 00:00:00.000001','1970-01-02 00:00:01','1970-01-02 00:00:01.001',1901," +
			"'abc','x','caf\u00e9',X'00ff10',X'00',X'00',X'000102ff','t','text','medium','long','red','','{}')",
		"INSERT INTO kinds (id) VALUES (2)",
		"INSERT INTO kinds VALUES (11,127,255,32767,65535,8388607,16777215,2147483647,4294967295,9223372036854775807,18446744073709551615,3.25,1.5e308,99999999.99999," +
			"12345678901234567890123456789012345.678901234567890123456789012345,1,511,18446744073709551615,1," +
			"'9999-12-31','838:59:59','838:59:58.999','9999-12-31 23:59:59','2026-02-28 23:59:59.123456','2038-01-19 03:14:06','2026-02-28 12:00:00.500',2155," +
			"'\u65e5\u672c','\U0001F600 \U00020000','\u00fc\u00df',X'ffffffff',X'27220a5c00',X'ff',REPEAT(X'00ff',300),'\u00e9','it''s \"quoted\"\\n','\u00a7',REPEAT('\u00e4\U0001F680',500),'blue','a,c','{\"a\": [1, null, \"\U0001F600\"]}')",
		"INSERT INTO kinds VALUES (12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'2024-02-29','00:00:00','00:00:00.100','2024-02-29 00:00:00','2024-02-29 00:00:00.100000'," +
			"'2024-02-29 00:00:01','2024-02-29 00:00:01.010',2000,'','','','','','','','','','','','green','a,b,c','[]')",
		"CREATE TABLE people (user_id BIGINT NOT NULL, id BIGINT NOT NULL AUTO_INCREMENT, name VARCHAR(40) NOT NULL, born DATETIME(6), score DECIMAL(10,3), " +
			"PRIMARY KEY (user_id, id), UNIQUE KEY name (user_id, name), KEY id (id))",
		"CREATE TABLE files (id INT NOT NULL PRIMARY KEY, content LONGBLOB)",
		"CREATE TABLE sbtest1 (id INT NOT NULL PRIMARY KEY, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', KEY k (k))",
		"INSERT INTO sbtest1 WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT i, i, REPEAT('c', 100), REPEAT('p', 50) FROM n",
		"CREATE PROCEDURE two_results() BEGIN SELECT 1 AS a UNION ALL SELECT 2; SELECT 'x' AS b, NULL AS c; END",
	}
	tables := []cluster.Placed{
		{Name: "kinds", Key: "id", Placement: "mod", Options: "key_type: int"},
		{Name: "people", Key: "user_id", Placement: "mod", Options: "key_type: bigint"},
		{Name: "sbtest1", Key: "id", Placement: "mod", Options: "key_type: int"},
		{Name: "files", Key: "id", Placement: "mod", Options: "key_type: int"},
	}
	return []cluster.Data{{Name: whole, Slots: 16, Script: script}, {Name: sharded, Slots: 16, Script: script, Tables: tables}}
}

// emptied is the SQL that takes out of a database what the last program left.
func emptied(db string) []string {
	return []string{"DELETE FROM " + db + ".kinds WHERE id > 99", "TRUNCATE " + db + ".people", "TRUNCATE " + db + ".files"}
}
