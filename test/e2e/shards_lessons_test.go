package e2e

import (
	"fmt"
	"strings"
	"testing"

	"shardway/test/cluster"
)

// texts is app with words on both shards that order by letters, accents and case one way in bytes and another way in
// their collation.
func texts(f cluster.Flavor) cluster.Data {
	collation := "utf8mb4_0900_ai_ci"
	if f == cluster.MariaDB {
		collation = "utf8mb4_uca1400_ai_ci"
	}
	d := app(f)
	words := []string{"Zebra", "ähre", "apfel", "Æon", "\U0001F600", "\U0001F680", "zoo", "Öl", "oligo", "straße", "STRASSE", "strand", "", "éclair", "Eclat", "e-mail", "email", "日本", "ångström", "ｚ"}
	rows := make([]string, len(words))
	for i, w := range words {
		rows[i] = fmt.Sprintf("(%d, '%s')", i+1, w)
	}
	d.Script = append(d.Script,
		"CREATE TABLE words (id BIGINT NOT NULL PRIMARY KEY, w VARCHAR(40) CHARACTER SET utf8mb4 COLLATE "+collation+")",
		"INSERT INTO words VALUES "+strings.Join(rows, ", "), "INSERT INTO words VALUES (100, NULL), (109, NULL)")
	d.Tables = append(d.Tables, cluster.Placed{Name: "words", Key: "id", Placement: "mod", Options: "key_type: bigint"})
	return d
}

// shardLessons are statements that other proxies answered wrongly from several shards, under the lesson's name.
var shardLessons = []struct {
	name       string
	statements []statement
}{
	{"A1 every aggregate counts every shard once", []statement{
		{text: "SELECT country, AVG(age) FROM users GROUP BY country ORDER BY country"},
		{text: "SELECT AVG(score), AVG(age), SUM(score) / COUNT(*) FROM users"},
		{text: "SELECT COUNT(*), SUM(n) FROM (SELECT country, COUNT(*) AS n FROM users GROUP BY country) AS t"},
		{text: "SELECT MAX(s) FROM (SELECT user_id, SUM(total) AS s FROM orders GROUP BY user_id) AS t"},
		{text: "SELECT COUNT(*), COUNT(o.id), COUNT(DISTINCT u.id) FROM users AS u LEFT JOIN orders AS o ON o.user_id = u.id AND o.total > 40"},
		{text: "SELECT COUNT(*), COUNT(n.id) FROM users AS u LEFT JOIN notes AS n ON n.user_id = u.id"},
		{text: "SELECT u.id, COUNT(o.id) FROM users AS u LEFT JOIN orders AS o ON o.user_id = u.id + 1 GROUP BY u.id ORDER BY u.id"},
		{text: "SELECT COUNT(*) FROM users WHERE id > 1000"},
		{text: "SELECT COUNT(DISTINCT country), COUNT(DISTINCT age) FROM users"},
		{text: "SELECT id FROM users ORDER BY age DESC, id LIMIT 7"},
		{text: "SELECT country, COUNT(*) AS n FROM users GROUP BY country HAVING n > 13 ORDER BY n DESC, country"},
	}},
	{"A2 a window function over the shards is seen wherever it is", []statement{
		{text: "SELECT id, ROW_NUMBER() OVER (ORDER BY id) FROM users ORDER BY id"},
		{text: "SELECT n.id, t.r FROM notes AS n JOIN (SELECT id, RANK() OVER (ORDER BY age DESC, id) AS r FROM users) AS t ON t.id = n.user_id ORDER BY n.id"},
		{text: "SELECT txt FROM notes WHERE user_id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS r FROM users) AS t WHERE r BETWEEN 15 AND 25) ORDER BY id"},
		{text: "SELECT (SELECT SUM(r) FROM (SELECT ROW_NUMBER() OVER (ORDER BY id) AS r FROM users) AS t) AS s FROM notes WHERE id = 1"},
		{text: "WITH t AS (SELECT id, SUM(score) OVER (ORDER BY id) AS s FROM users) SELECT n.id, t.s FROM notes AS n JOIN t ON t.id = n.id ORDER BY n.id"},
		{text: "SELECT id FROM notes WHERE id = 1 UNION ALL SELECT r FROM (SELECT COUNT(*) OVER () AS r FROM users LIMIT 1) AS t"},
	}},
	{"A3 LIMIT and OFFSET hold for all shards together", []statement{
		{text: "SELECT country, SUM(score) FROM users GROUP BY country ORDER BY country LIMIT 2"},
		{text: "SELECT country, SUM(score) FROM users GROUP BY country ORDER BY country LIMIT 2, 2"},
		{text: "SELECT age, COUNT(*) FROM users GROUP BY age ORDER BY COUNT(*) DESC, age LIMIT 5 OFFSET 3"},
		{text: "SELECT id, name FROM users ORDER BY id LIMIT ? OFFSET ?", hasArgs: true, args: []any{int64(5), int64(30)}},
		{text: "SELECT id FROM users ORDER BY id DESC LIMIT ?, ?", hasArgs: true, args: []any{int64(68), int64(9)}},
		{text: "SELECT country, COUNT(*) FROM users GROUP BY country ORDER BY country LIMIT ? OFFSET ?", hasArgs: true, args: []any{int64(2), int64(4)}},
		{text: "SELECT id FROM users ORDER BY id LIMIT 18446744073709551615 OFFSET 65"},
		{text: "SELECT id FROM users ORDER BY id LIMIT 0"},
		{text: "SELECT DISTINCT country FROM users ORDER BY country DESC LIMIT 3 OFFSET 1"},
	}},
	{"A4 text is in the order of its collation", []statement{
		{text: "SELECT w, id FROM words ORDER BY w, id"},
		{text: "SELECT w, id FROM words ORDER BY w DESC, id LIMIT 5 OFFSET 3"},
		{text: "SELECT MIN(w), MAX(w), COUNT(*), COUNT(w) FROM words WHERE id NOT IN (10, 11)"},
		{text: "SELECT COUNT(DISTINCT w) FROM words"},
		{text: "SELECT UPPER(w) AS u, COUNT(*) FROM words WHERE id NOT IN (10, 11) GROUP BY u ORDER BY u"},
		{text: "SELECT COUNT(*) FROM (SELECT w FROM words GROUP BY w) AS t"},
	}},
}

// TestA1ToA4WrongResultsOverShards compares with a server that has all rows: AVG with GROUP BY that was the sum,
// aggregates that missed shards, guards that saw the top of a statement alone, LIMIT of each shard, text in the order of
// its bytes.
func TestA1ToA4WrongResultsOverShards(t *testing.T) {
	onBoth(t, "texts", texts, func(e *env) {
		d := e.serve(nil)
		for _, lesson := range shardLessons {
			e.Run(lesson.name, func(t *testing.T) {
				for _, prepared := range []bool{false, true} {
					on := *e
					on.T = t
					for i := range lesson.statements {
						lesson.statements[i].line = i + 1
					}
					on.compare(lesson.statements, prepared, func() *wire { return e.dial(d, nil) }, func() *wire { return e.plain(nil) }, nil)
				}
			})
		}
	})
}

// largeOverShards writes rows around the sizes of packets to two shards in one statement, and reads them in a result
// that is merged and in one that is gathered.
func (e *env) largeOverShards(w *wire, filler []byte) {
	insert, err := w.prepare("REPLACE INTO big (id, v) VALUES (1, ?), (9, ?)")
	e.must(err)
	sizes := []int{1<<24 - 2, 1<<24 - 1, 1 << 24, 1 << 25}
	if e.mysql() {
		sizes = sizes[1:2] // the packets are Shardway's own, and cut alike
	}
	for i, size := range sizes {
		w.deadline(2 * 60e9)
		// The row of the larger value has exactly this size: 2 bytes of id, 4 or 9 of length, and the value.
		n := size - 2 - 4
		if n >= 1<<24 {
			n = size - 2 - 9
		}
		values := [2][]byte{filler[:n], filler[:100+i]}
		if i%2 == 1 {
			values[0], values[1] = values[1], values[0]
		}
		rs, err := w.execute(insert, true, values[0], values[1])
		e.must(err)
		if rs[0].Err != nil {
			e.Errorf("an INSERT into two shards with a row of %d bytes: %v", size, rs[0].Err)
			continue
		}
		for name, q := range map[string]string{
			"merged":   "/* shardway: primary */ SELECT id, v FROM big WHERE id IN (1, 9) ORDER BY id",
			"gathered": "/* shardway: primary */ SELECT b.id, b.v FROM big AS a JOIN big AS b ON b.id = 10 - a.id WHERE a.id IN (1, 9) ORDER BY b.id",
		} {
			rows, err := w.text(q)
			if err != nil {
				e.Errorf("a %s result with a row of %d bytes: %v", name, size, err)
				continue
			}
			if len(rows) != 2 || rows[0][1] != string(values[0]) || rows[1][1] != string(values[1]) {
				e.Errorf("a %s result with a row of %d bytes came back other than it went, in %d rows", name, size, len(rows))
			}
		}
	}
}
