package e2e

import "shardway/test/cluster"

// app is the database of most tests: 16 slots, of which s0 owns 0-7 and s1
// owns 8-15.
func app(f cluster.Flavor) cluster.Data {
	script := []string{
		"CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120) UNIQUE, age INT, country CHAR(2), score DECIMAL(10,3) NOT NULL DEFAULT 0)",
		"CREATE TABLE orders (id BIGINT NOT NULL, user_id BIGINT NOT NULL, total DECIMAL(12,2) NOT NULL, placed DATE, note TEXT, PRIMARY KEY (user_id, id))",
		"CREATE TABLE counters (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, n INT NOT NULL DEFAULT 0)",
		"CREATE TABLE sessions (token VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, data BLOB)",
		"CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name VARCHAR(60) NOT NULL)",
		"CREATE TABLE notes (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT, txt VARCHAR(200), UNIQUE KEY (txt))",
		"CREATE TABLE kinds (id INT NOT NULL PRIMARY KEY, i8 TINYINT, u8 TINYINT UNSIGNED, i16 SMALLINT, u16 SMALLINT UNSIGNED, i24 MEDIUMINT, i32 INT, u32 INT UNSIGNED, " +
			"i64 BIGINT, u64 BIGINT UNSIGNED, f FLOAT, d DOUBLE, dc DECIMAL(20,5), b1 BIT(1), b9 BIT(9), dt DATE, tm TIME(3), dtm DATETIME(6), ts TIMESTAMP NULL, y YEAR, " +
			"c CHAR(10), vc VARCHAR(30) CHARACTER SET latin1, bn BINARY(4), vb VARBINARY(20), bl BLOB, tx TEXT, mt MEDIUMTEXT, e ENUM('red','green','blue'), st SET('a','b','c'), js JSON)",
		"CREATE TABLE digits (d INT PRIMARY KEY)",
		"INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
		"INSERT INTO countries VALUES ('de','Germany'),('fr','France'),('jp','日本'),('pl','Polska'),('us','United States')",
		"INSERT INTO users SELECT id, CONCAT('user ',id), CONCAT('u',id,'@example.org'), IF(id MOD 7=0,NULL,20+ABS(id) MOD 50), ELT(1+ABS(id) MOD 5,'de','fr','jp','pl','us'), id*1.5 " +
			"FROM (SELECT a.d*10+b.d-10 id FROM digits a, digits b) x WHERE id BETWEEN -10 AND 60",
		"INSERT INTO orders SELECT 100*(id+20)+k.d, id, 10+k.d*3+ABS(id), DATE_ADD('2026-01-01', INTERVAL ABS(id)+k.d DAY), IF(k.d=0,NULL,CONCAT('order ',k.d)) FROM users, digits k WHERE k.d < 4",
		"INSERT INTO counters SELECT ABS(id), ABS(id) FROM users WHERE id >= 0",
		"INSERT INTO counters VALUES (18446744073709551615, 1), (9223372036854775808, 2), (18446744073709551600, 3)",
		"INSERT INTO sessions SELECT CONCAT('tok-',id), id, CONCAT('data ',id) FROM users",
		"INSERT INTO notes (id, user_id, txt) SELECT id, id, CONCAT('note ',id) FROM users WHERE id BETWEEN 1 AND 20 ORDER BY id",
		"INSERT INTO kinds VALUES (1,-128,255,-32768,65535,-8388608,-2147483648,4294967295,-9223372036854775808,18446744073709551615,1.5,-2.25e100,-12345.67890,1,257," +
			"'2026-02-28','-838:59:59.000','2026-02-28 23:59:59.123456','2026-02-28 12:00:00',2026,'abc','caf\u00e9',X'00ff10','vb',X'000102ff','text','medium','green','a,c','{\"a\": 1}')",
		"INSERT INTO kinds (id) VALUES (2)",
		"INSERT INTO kinds VALUES (9,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'0001-01-01','00:00:00','1000-01-01 00:00:00','1980-01-01 00:00:01',1901,'','','','','','','','red','','[]')",
		"DROP TABLE digits",
	}
	return cluster.Data{Slots: 16, Script: script, Tables: []cluster.Placed{
		{Name: "users", Key: "id", Placement: "mod", Options: "key_type: bigint"},
		{Name: "orders", Key: "user_id", Placement: "mod", Options: "key_type: bigint"},
		{Name: "counters", Key: "id", Placement: "mod", Options: "key_type: bigint unsigned"},
		{Name: "kinds", Key: "id", Placement: "mod", Options: "key_type: int"},
		{Name: "sessions", Key: "token", Placement: "crc32", Options: "fold: rtrim, key_type: varchar(64)"},
		{Name: "countries"},
	}}
}
