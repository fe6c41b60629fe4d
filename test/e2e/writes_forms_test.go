package e2e

import (
	"errors"
	"slices"
	"sync"
)

// orderedStatements sort by what is a position in a SELECT.
func orderedStatements() (all []statement) {
	all = append(all, statement{text: "INSERT INTO items (id, n) SELECT 800 + item, v FROM marks WHERE k = 1 AND item < 20"})
	for _, order := range []string{"2", "(3)", "99", "0", "-1, id", "TRUE, id", "'n', id DESC", "1.5, id", "NULL, id DESC", "id, 1", "id, n, 3", "n + 1, id"} {
		all = append(all, statement{text: "UPDATE items SET name = 'ordered' ORDER BY " + order + " LIMIT 2"},
			statement{text: "DELETE FROM items WHERE id > 800 ORDER BY " + order + " LIMIT 1"})
	}
	all = append(
		all,
		statement{text: "UPDATE items SET name = ? ORDER BY ?, id LIMIT ?", args: []any{"bound", int64(2), int64(2)}, hasArgs: true},
		statement{text: "DELETE FROM items ORDER BY ?, id DESC LIMIT ?", args: []any{"x", int64(1)}, hasArgs: true},
	)
	for i := range all {
		all[i].code = true
	}
	return append(all, statement{text: "SELECT id, name FROM items ORDER BY id"})
}

// textKeys makes tables whose keys are text and bytes with quotes, backslashes and more.
var textKeys = []string{
	"CREATE TABLE texts (token VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, n INT)",
	"CREATE TABLE raws (token VARBINARY(20) NOT NULL PRIMARY KEY, n INT)",
	`INSERT INTO texts VALUES ('a', 1), ('it''s', 2), ('x\\y', 3), ('é', 4), ('日本', 5), ('', 6), ('"', 7)`,
	"INSERT INTO raws VALUES ('a', 1), (X'00ff', 2), (X'27', 3), (X'5c', 4), (X'c3a9', 5)",
}

// movingStatements give rows keys of text and of bytes that take them to other shards.
func movingStatements() (all []statement) {
	for _, sql := range []string{
		`UPDATE texts SET token = CONCAT(token, '''\\"', n)`,
		"UPDATE texts SET token = UPPER(token), n = n + 1 WHERE n > 2",
		`UPDATE texts SET token = 'it''s \\ new' WHERE n = 1`,
		"UPDATE texts SET token = REPEAT('x', 50) WHERE n = 2",
		"UPDATE raws SET token = CONCAT(token, X'2700', n)",
		"UPDATE raws SET token = X'5c27' WHERE n = 2",
		"SELECT HEX(token), n FROM texts",
		"SELECT HEX(token), n FROM raws",
		"SELECT n FROM raws WHERE token = X'5c27'",
	} {
		all = append(all, statement{text: sql, code: true, unordered: true})
	}
	return all
}

// writtenKilled kills a statement whose rows are chosen first, somewhere amid its many parts: it has done nothing then.
func (e *env) writtenKilled(d *daemon, w *wire) {
	id, err := w.one("SELECT CONNECTION_ID()")
	e.must(err)
	killer := e.dial(d, nil)
	defer killer.close()
	for _, q := range []string{"DELETE FROM items", "INSERT INTO items (id, n) SELECT item * 100 + k, v FROM marks WHERE k < 4 AND item < 30"} {
		e.must(errorOf(w.query(q)))
	}
	const sum = "SELECT CONCAT(COUNT(*), ' ', SUM(id)) FROM items"
	before, err := w.one(sum)
	e.must(err)
	const long = "UPDATE items SET id = id + 10000"
	killed := 0
	for range 4 {
		var done sync.WaitGroup
		var got error
		done.Go(func() { got = errorOf(w.query(long)) })
		e.until("the statement runs", func() bool {
			rows, err := killer.text("SHOW FULL PROCESSLIST")
			e.must(err)
			return slices.ContainsFunc(rows, func(row []string) bool { return slices.Contains(row, long) })
		})
		e.must(errorOf(killer.query("KILL QUERY " + id)))
		done.Wait()
		if refused, ok := errors.AsType[*wireError](got); !ok || refused.Code != 1317 {
			e.Errorf("a statement that was killed: %v", got)
			break
		}
		killed++
		after, err := w.one(sum)
		e.must(err)
		if after != before {
			e.Errorf("a statement that was killed has changed the rows from %s to %s", before, after)
		}
	}
	if killed == 0 {
		e.Error("no statement was killed")
	}
}
