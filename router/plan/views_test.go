package plan_test

import (
	"strings"
	"testing"

	"shardway/router/parse"
	"shardway/router/plan"
)

func TestViewsDefined(t *testing.T) {
	m := readMap(t, "two")
	spread := plan.View{Database: m.Database("shop"), Spread: true}
	views := map[string]plan.View{
		"shop.all": spread, "shop.all2": spread,
		"shop.mixed": {Database: m.Database("shop")},
		"shop.home":  {},
	}
	for _, tt := range []struct{ sql, want string }{
		{"create view v as select * from `all`", "each "},
		{"create view v as select * from `all` a join countries c on c.code = a.c", "each "},
		{"create view v as select * from mixed", "one "},
		{"create view v as select * from orders o join items i on i.id = o.id", "one "},
		{"create view v as select * from home", "one "},
		{"create view v as select * from orders, home", "one "},
		{"create view `all` as select 1", "one "},
		{"create or replace view `all` as select id from orders", "each "},
		{"create or replace view `all` as select id from items", "refuse 1235"},
		{"alter view `all` as select id from items", "refuse 1235"},
		{"alter view mixed as select id from orders", "refuse 1235"},
		{"alter view mixed as select o.id from orders o, items i", "one "},
		{"drop view `all`", "each "},
		{"drop view `all`, all2", "each "},
		{"drop view if exists `all`, nothing", "each "},
		{"drop view `all`, nothing", "refuse 1235"},
		{"drop view `all`, home", "refuse 1235"},
		{"drop view mixed, home, nothing", "one "},
	} {
		got := plan.Build(parse.Parse(tt.sql, 0), nil, m, &plan.Facts{DB: "shop", Autocommit: true, Views: views}).String()
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.sql, got, tt.want)
		}
	}
}
