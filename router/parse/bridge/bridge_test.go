package bridge

import (
	"fmt"
	"strings"
	"testing"

	"shardway/router/parse/digest"
)

func TestBuild(t *testing.T) {
	for _, c := range []struct{ sql, text, result string }{
		{sql: "select a from t where b = 1"},
		{sql: "delete from t where a = ? returning b, ?", text: "delete from t where a = ?", result: "returning SELECT  b, ? [-4 11]"},
		{sql: "insert into t (a) values (1) as n(x) on duplicate key update a = n.x", text: "insert into t (a) values (1) on duplicate key update a = n.x", result: "alias n x"},
		{sql: "select a from t into @x, @y", text: "select a from t", result: "into sets"},
		{sql: "select a from t for system_time as of f(@x) where b = 1", text: "select a from t where b = 1", result: "uses; calls f"},
		{sql: "select rank from t", text: "select $ank from t", result: "renamed $ank rank"},
		{sql: "select * from json_table('[]', '$' columns (a int path '$')) j", text: "select * from `\x01` j", result: "apart SELECT '[]' []"},
		{sql: "values (1, 2)", text: "SELECT (1, 2)"},
		{sql: "select cast(a as inet6)", text: "select ~ (a )"},
		{sql: "select * from (select 1) as t (a)", text: "select * from (select 1) as t"},
		{sql: "select a from t group by rollup(a, b)", text: "select a from t group by (a, b)"},
		{
			sql:  "select a from t qualify rank() over (order by a) = 1 order by a",
			text: "select a from t order by a", result: "apart SELECT  rank() over (order by a) = 1  []",
		},
		{sql: "select a from t qualify where a = cast(1 as inet6)", text: "select a from t qualify where a = ~ (1 )"},
		{sql: "select a from t limit 1 rows examined 5", text: "select a from t limit 1"},
	} {
		src := digest.Split([]byte(c.sql), 0, true)
		r, ok := Build(src, 0)
		if ok != (c.text != "") {
			t.Errorf("%s: bridged: %t", c.sql, ok)
			continue
		}
		if len(src.Text) != len(c.sql) {
			t.Errorf("%s: length changed to %d: %q", c.sql, len(src.Text), src.Text)
		}
		if got := strings.Join(strings.Fields(string(src.Text)), " "); ok && got != c.text {
			t.Errorf("%s\n got %q\nwant %q", c.sql, got, c.text)
		}
		if got := show(r); got != c.result {
			t.Errorf("%s\n got %s\nwant %s", c.sql, got, c.result)
		}
	}
}

func show(r *Result) string {
	var parts []string
	for _, f := range r.Apart {
		parts = append(parts, fmt.Sprintf("apart %s %v", f.Text, f.Markers))
	}
	if r.Returning != nil {
		parts = append(parts, fmt.Sprintf("returning %s %v", r.Returning.Text, r.Returning.Markers))
	}
	for name, old := range r.Renamed {
		parts = append(parts, "renamed "+name+" "+old)
	}
	if r.RowAlias != nil {
		parts = append(parts, "alias "+strings.Join(r.RowAlias, " "))
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{r.Into && !r.SetsUserVar, "into"}, {r.Into && r.SetsUserVar, "into sets"}, {r.UsesUserVar, "uses"}} {
		if f.on {
			parts = append(parts, f.name)
		}
	}
	if r.Calls != nil {
		parts = append(parts, "calls "+strings.Join(r.Calls, " "))
	}
	return strings.Join(parts, "; ")
}

// A text made to be looked over again and again is given up.
func TestBuildIsBounded(t *testing.T) {
	sql := "select " + strings.Repeat("cast(", 900) + strings.Repeat("1, ", 20_000) + strings.Repeat(" as frob)", 900)
	if _, ok := Build(digest.Split([]byte(sql), 0, true), 0); ok {
		t.Error("bridged")
	}
}
