package rewrite_test

import (
	"testing"

	"shardway/router/parse/digest"
	"shardway/router/parse/rewrite"
)

// FuzzParts takes texts apart that may be no SQL at all. What comes of it is within the text.
func FuzzParts(f *testing.F) {
	for _, sql := range []string{
		"INSERT INTO t (a, b) VALUES (1, 'x'), (2, f(3)) ON DUPLICATE KEY UPDATE a = 1", "INSERT t SET a = 1, b = (2)", "INSERT INTO t.", "REPLACE",
		"INSERT INTO a.b PARTITION (p) (c) SELECT 1", "UPDATE t SET a = 1 WHERE b ORDER BY c LIMIT 1", "DELETE a FROM t a", "DELETE FROM a USING t", "UPDATE SET", "INSERT INTO t VALUES ((((", "(",
	} {
		f.Add(sql, uint8(0))
	}
	f.Fuzz(func(t *testing.T, sql string, mode uint8) {
		n, ok := rewrite.NewNorm(sql, digest.Mode(mode))
		if !ok {
			return
		}
		end := len(n.Tokens) - 1
		within := func(what string, list ...rewrite.Range) {
			for _, r := range list {
				if r.From < 0 || r.To > end || !r.Empty() && r.From >= end {
					t.Fatalf("%q: %s %v of %d tokens", sql, what, r, end)
				}
				_ = rewrite.New(n).Copy(r).String()
			}
		}
		if ins, ok := n.Insertion(); ok {
			within("insertion", ins.Into, ins.Columns, ins.Tail)
			rows := make([]int, len(ins.Rows))
			given := make([]int, len(ins.Rows))
			for i := range ins.Rows {
				rows[i], given[i] = i, i
				within("row", ins.Rows[i].Range)
				within("cell", ins.Rows[i].Cells...)
			}
			_ = ins.Template(n, rows, nil).String()
			if len(ins.Rows) > 0 {
				_ = ins.Template(n, rows, &rewrite.Numbering{Column: "id", At: -1, Given: given}).String()
			}
		}
		if c, ok := n.Change(); ok {
			within("change", c.Verb, c.Columns, c.From, c.Set, c.Where, c.OrderBy, c.Limit, c.Select, c.Tail)
			within("target", c.Targets...)
			for _, s := range c.Sets {
				within("assignment", s.Column, s.Value)
			}
		}
	})
}
