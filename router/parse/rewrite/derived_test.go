package rewrite_test

import (
	"strings"
	"testing"

	"shardway/router/parse/rewrite"
)

func TestRenamed(t *testing.T) {
	for _, tt := range []struct{ sql, names, want string }{
		{"select `t`.`a` AS `a` from `t`", "b", "select `t`.`a` AS `b` from `t`"},
		{"select (1 + 2) AS `1 + 2`,count(0) AS `count(*)` from `t` group by `t`.`a`", "x,y", "select (1 + 2) AS `x`,count(0) AS `y` from `t` group by `t`.`a`"},
		{"select extract(year from `t`.`a`) AS `a` from `t` union select 1 AS `1`", "y", "select extract(year from `t`.`a`) AS `y` from `t` union select 1 AS `1`"},
		{"(select 1 AS `1`,2 AS `2`) union (select 3 AS `3`,4 AS `4`)", "a,b`c", "(select 1 AS `a`,2 AS `b``c`) union (select 3 AS `3`,4 AS `4`)"},
		{"select 1 AS `1`", "a", "select 1 AS `a`"},
		{"select distinct 1 AS `1` limit 1", "a", "select distinct 1 AS `a` limit 1"},
		{"select `t`.`a` AS `a` from `t`", "b,c", ""},
		{"select `t`.`a` AS `a`,2 AS `b` from `t`", "b", ""},
		{"select `t`.`a` from `t`", "b", ""},
		{"with `c` as (select 1 AS `1`) select `c`.`1` AS `1` from `c`", "b", ""},
	} {
		got, ok := rewrite.Renamed(tt.sql, strings.Split(tt.names, ","))
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%s as %s: %s, %v", tt.sql, tt.names, got, ok)
		}
	}
}
