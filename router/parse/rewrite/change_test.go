package rewrite_test

import (
	"fmt"
	"strings"
	"testing"

	"shardway/router/parse/rewrite"
)

func TestChange(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"UPDATE t SET a = 1, b = (SELECT 2, 3) WHERE c = 4 ORDER BY d LIMIT 5", "verb UPDATE|from t|a <- ?|b <- (SELECT ?, ?)|WHERE c = ?|ORDER BY d|LIMIT ?"},
		{"update ignore t as x join u using (id) set x.a = u.b;", "verb update ignore|from t as x join u using (id)|x.a <- u.b|||"},
		{"DELETE FROM d.t WHERE a IN (SELECT b FROM u WHERE c LIMIT 1)", "verb DELETE|from d.t|WHERE a IN (SELECT b FROM u WHERE c LIMIT ?)||"},
		{"DELETE a, b.* FROM t a JOIN u b ON a.id = b.id WHERE a.x", "verb DELETE|targets a,b.*|from t a JOIN u b ON a.id = b.id|WHERE a.x||"},
		{"DELETE FROM a USING t AS a JOIN u USING (id)", "verb DELETE|targets a|from t AS a JOIN u USING (id)|||"},
		{"DELETE QUICK FROM t LIMIT 3", "verb DELETE QUICK|from t|||LIMIT ?"},
		{"INSERT INTO t (a, b) SELECT 1, 2 FROM u ON DUPLICATE KEY UPDATE a = 3", "verb INSERT INTO t|columns a, b|select SELECT ?, ? FROM u|tail ON DUPLICATE KEY UPDATE a = ?"},
		{"REPLACE d.t (SELECT * FROM u)", "verb REPLACE d.t|select (SELECT * FROM u)|tail "},
		{"DELETE FROM t WHERE a ORDER BY b LIMIT 2 RETURNING a, b", "verb DELETE|from t|WHERE a|ORDER BY b|LIMIT ?|RETURNING a, b"},
		{"INSERT INTO t SELECT 1 ON DUPLICATE KEY UPDATE a = 3 RETURNING *", "verb INSERT INTO t|select SELECT ?|tail ON DUPLICATE KEY UPDATE a = ?|RETURNING *"},
		{"WITH x AS (SELECT 1 FROM u), y AS (SELECT 2) UPDATE t JOIN x SET a = 1", "with WITH x AS (SELECT ? FROM u), y AS (SELECT ?)|verb UPDATE|from t JOIN x|a <- ?|||"},
		{"WITH x AS (SELECT 1) DELETE t FROM t JOIN x", "with WITH x AS (SELECT ?)|verb DELETE|targets t|from t JOIN x|||"},
	} {
		n := norm(t, c.sql, 0)
		ch, ok := n.Change()
		if !ok {
			t.Errorf("%q isn't read", c.sql)
			continue
		}
		s := func(r rewrite.Range) string { return strings.TrimSpace(rewrite.New(n).Copy(r).String()) }
		parts := []string{"verb " + s(ch.Verb)}
		if !ch.With.Empty() {
			parts = []string{"with " + s(ch.With), "verb " + s(ch.Verb)}
		}
		if !ch.Columns.Empty() {
			parts = append(parts, "columns "+s(ch.Columns))
		}
		if ch.Targets != nil {
			var list []string
			for _, r := range ch.Targets {
				list = append(list, s(r))
			}
			parts = append(parts, "targets "+strings.Join(list, ","))
		}
		if !ch.Select.Empty() {
			parts = append(parts, "select "+s(ch.Select), "tail "+s(ch.Tail))
		} else {
			parts = append(parts, "from "+s(ch.From))
			for _, a := range ch.Sets {
				parts = append(parts, fmt.Sprintf("%s <- %s", s(a.Column), s(a.Value)))
			}
			parts = append(parts, s(ch.Where), s(ch.OrderBy), s(ch.Limit))
		}
		if !ch.Returning.Empty() {
			parts = append(parts, s(ch.Returning))
		}
		if got := strings.Join(parts, "|"); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.sql, got, c.want)
		}
	}
	for _, sql := range []string{"SELECT 1", "INSERT INTO t VALUES (1)", "WITH x AS (SELECT 1) SELECT * FROM x", "WITH x AS (SELECT 1) INSERT INTO t SELECT 1"} {
		if _, ok := norm(t, sql, 0).Change(); ok {
			t.Errorf("%q is read", sql)
		}
	}
}
