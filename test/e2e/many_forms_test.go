package e2e

// manyForms are statements whose text for the shards is made of the client's: names of columns by odd white space and
// comments, clauses in every order, groups that are whole on a shard, subqueries that are bound to the key.
func manyForms() (all []statement) {
	for _, sql := range []string{
		"SELECT id, i8 +  /* of eight */ 1, 'x'  'y', -1.50, x'41', 0x41, b'1', _latin1'é', NULL, TRUE,i8\t+ 1 FROM things ORDER BY ci, id LIMIT 3",
		"select  id ,`i8` AS 'eight' , i64 sixty -- a comment\n FROM things # another\n order /* by */ by sixty desc,1 limit 2,3;",
		"SELECT id, DATE '2020-01-02', TIMESTAMP'2020-01-02 03:04:05', CAST(i8 AS DECIMAL(10,2)), EXTRACT(YEAR FROM dtm), TRIM(LEADING 'a' FROM ci) FROM things WHERE dtm > '2020-02-01' ORDER BY TRIM(LEADING 'a' FROM ci), id LIMIT 9",
		"SELECT CASE WHEN i8 > 0 THEN 'a' WHEN i8 < -3 THEN ci ELSE 'c' END k, id FROM things ORDER BY k DESC, id LIMIT 20",
		"SELECT things.id FROM things ORDER BY things.ci, things.id LIMIT 20",
		"SELECT t.*, t.id + 1 FROM things t ORDER BY t.uni DESC, t.id LIMIT 4",
		"SELECT id i FROM things FORCE INDEX FOR ORDER BY (PRIMARY) ORDER BY i LIMIT 5",
		"SELECT id FROM things WHERE ci LIKE 'a%' ORDER BY NULL, id",
		"SELECT id FROM things ORDER BY ci, id FOR UPDATE",
		"SELECT DISTINCT i8 FROM things ORDER BY 1 DESC LIMIT 3 OFFSET 2",
		"SELECT DISTINCT i8 > 0, y FROM things ORDER BY y, 1",
		"SELECT DISTINCT id, i8 FROM things ORDER BY id LIMIT 5",
		"SELECT id, COUNT(*), GROUP_CONCAT(ci), STDDEV(i8) FROM things GROUP BY id HAVING COUNT(*) = 1 ORDER BY id LIMIT 7",
		"SELECT id k, MAX(i8) FROM things GROUP BY k ORDER BY MAX(i8), k LIMIT 7",
		"SELECT i8 > 0, COUNT(*) FROM things GROUP BY i8 > 0 ORDER BY i8 > 0",
		"SELECT UPPER(CONCAT(y, '')) u, COUNT(*), MIN(id) FROM things GROUP BY UPPER(CONCAT(y, '')) ORDER BY 1 DESC",
		"SELECT COUNT(*) FROM things GROUP BY y ORDER BY y",
		"SELECT y, COUNT(*) c FROM things GROUP BY 1 ORDER BY c DESC, y LIMIT 2",
		"SELECT COUNT(*) c, y FROM things GROUP BY y ORDER BY MAX(id) DESC",
		"SELECT YEAR(dt) ye, MONTH(dt), SUM(i8) FROM things WHERE dt > '2000-01-01' GROUP BY YEAR(dt), MONTH(dt) ORDER BY ye, 2 DESC",
		"SELECT 7, COUNT(*), COUNT(DISTINCT id) FROM things ORDER BY 1 LIMIT 1",
		"SELECT MAX(id) FROM things LIMIT 1 OFFSET 1",
		"SELECT a.id FROM things a WHERE EXISTS (SELECT 1 FROM things b WHERE b.id = a.id AND b.i8 > 3) ORDER BY a.id",
		"SELECT a.id FROM things a WHERE a.id IN (SELECT id FROM things WHERE i8 > 4) ORDER BY a.ci, a.id",
		"SELECT a.id, (SELECT MAX(b.i8) FROM things b WHERE b.id = a.id) m FROM things a ORDER BY a.id LIMIT 9",
		"SELECT a.id, b.id FROM things a LEFT JOIN things b ON b.id = a.id AND b.i8 > 2 ORDER BY b.ci, a.id LIMIT 30",
		"SELECT COUNT(*), COUNT(a.id) FROM things a RIGHT JOIN things b ON b.id = a.id AND a.i8 > 2",
	} {
		all = append(all, statement{text: sql})
	}
	return append(
		all,
		statement{text: "SET sql_select_limit = 5"},
		statement{text: "SELECT id FROM things ORDER BY id"},
		statement{text: "SET sql_select_limit = DEFAULT"},
		statement{text: "SELECT id, i8 FROM things WHERE i8 > 4 UNION ALL SELECT id, i64 FROM things WHERE id = 7", unordered: true},
		statement{text: "SELECT id, ? FROM things WHERE i8 IN (?, ?) ORDER BY i8 + ?, ci, id DESC LIMIT ?", hasArgs: true, args: []any{"x", int64(1), int64(2), int64(1), int64(4)}},
	)
}
