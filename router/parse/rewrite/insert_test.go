package rewrite_test

import (
	"slices"
	"testing"

	"shardway/router/parse/rewrite"
)

func TestInsertion(t *testing.T) {
	for _, c := range []struct {
		sql  string
		rows []int
		at   int
		give []int // by row; nil: no numbering
		want string
	}{
		{sql: "INSERT INTO t (a, b) VALUES (1, 'x'), (2, f(3, 4)), (3, ')')", rows: []int{0, 2}, want: "INSERT INTO t (a, b) VALUES (1, 'x'), (3, ')')"},
		{sql: "insert ignore t values row(1,2), row(3,4) as new on duplicate key update b = new.b", rows: []int{1}, want: "insert ignore t values row(3,4) as new on duplicate key update b = new.b"},
		{sql: "REPLACE LOW_PRIORITY INTO `d`.t PARTITION (p0) (a) VALUE (1),(2);", rows: []int{1}, want: "REPLACE LOW_PRIORITY INTO `d`.t PARTITION (p0) (a) VALUE (2)"},
		{sql: "INSERT INTO t (a) VALUES (1), (2)", rows: []int{0, 1}, at: -1, give: []int{0, 1}, want: "INSERT INTO t (a, `id`) VALUES (1, 7), (2, 8)"},
		{sql: "INSERT INTO t (a, id) VALUES (1, NULL), (2, 5), (3, DEFAULT)", rows: []int{0, 1, 2}, at: 1, give: []int{0, -1, 1}, want: "INSERT INTO t (a, id) VALUES (1, 7 ), (2, 5), (3, 8 )"},
		{sql: "INSERT INTO t VALUES (), ()", rows: []int{1}, at: -1, give: []int{0, 1}, want: "INSERT INTO t (`id`) VALUES (8)"},
		{sql: "INSERT INTO t () VALUES ()", rows: []int{0}, at: -1, give: []int{0}, want: "INSERT INTO t (`id`) VALUES (7)"},
		{sql: "INSERT INTO t SET a = 1, b = (2 + 3) ON DUPLICATE KEY UPDATE a = 2", rows: []int{0}, at: -1, give: []int{1}, want: "INSERT INTO t SET a = 1, b = (2 + 3), `id` = 8 ON DUPLICATE KEY UPDATE a = 2"},
		{sql: "INSERT INTO t SET id = NULL, b = 'on'", rows: []int{0}, at: 0, give: []int{0}, want: "INSERT INTO t SET id = 7 , b = 'on'"},
		{sql: "INSERT t VALUES (0, 1)", rows: []int{0}, at: 0, give: []int{0}, want: "INSERT t VALUES (7 , 1)"},
	} {
		n := norm(t, c.sql, 0)
		ins, ok := n.Insertion()
		if !ok {
			t.Errorf("%q isn't read", c.sql)
			continue
		}
		var numbering *rewrite.Numbering
		if c.give != nil {
			numbering = &rewrite.Numbering{Column: "id", At: c.at, Given: c.give}
		}
		tpl := ins.Template(n, c.rows, numbering)
		f := &rewrite.Fill{SQL: []byte(c.sql), Numbers: []uint64{7, 8}}
		if got, err := tpl.Append(nil, f); err != nil || string(got) != c.want {
			t.Errorf("%q\n got %q, %v\nwant %q", c.sql, got, err, c.want)
		}
	}
	for _, sql := range []string{
		"INSERT INTO t SELECT 1", "INSERT INTO t (a) SELECT 1", "INSERT INTO t (SELECT 1)", "INSERT INTO t (a) (SELECT 1)", "INSERT INTO t TABLE u", "UPDATE t SET a = 1", "SELECT 1",
	} {
		if _, ok := norm(t, sql, 0).Insertion(); ok {
			t.Errorf("%q is read as rows", sql)
		}
	}
}

// TestNumbersOfPrepared are parameters of Shardway's own between the client's.
func TestNumbersOfPrepared(t *testing.T) {
	sql := "INSERT INTO t (a, b) VALUES (?, ?), (?, 5)"
	n := norm(t, sql, 0)
	ins, _ := n.Insertion()
	text, params, err := ins.Template(n, []int{1, 0}, &rewrite.Numbering{Column: "id", At: -1, Given: []int{0, 1}}).Prepared(nil, &rewrite.Fill{SQL: []byte(sql)})
	if want := "INSERT INTO t (a, b, `id`) VALUES (?, 5, ?), (?, ?, ?)"; err != nil || string(text) != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if want := []int{2, rewrite.ParamNumber(1), 0, 1, rewrite.ParamNumber(0)}; !slices.Equal(params, want) {
		t.Errorf("parameters %v, want %v", params, want)
	}
	if i, ok := rewrite.Numbered(params[1]); i != 1 || !ok {
		t.Errorf("parameter %d is number %d, %v", params[1], i, ok)
	}
	for _, p := range []int{0, 5, rewrite.ParamWindow} {
		if i, ok := rewrite.Numbered(p); ok {
			t.Errorf("parameter %d is number %d", p, i)
		}
	}
}
