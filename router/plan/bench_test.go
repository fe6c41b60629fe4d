package plan_test

import (
	"testing"

	"shardway/router/parse"
	"shardway/router/plan"
)

// BenchmarkBuild is the planner's part of one statement: the parsed statement comes from the cache.
func BenchmarkBuild(b *testing.B) {
	m := readMap(b, "two")
	for _, c := range []struct{ name, sql string }{
		{"point", "select id, total from orders where user_id = 600"},
		{"point-and", "select id, total from orders where user_id = 600 and id = 5 and state = 'new'"},
		{"in", "select id, total from orders where user_id in (600, 601, 602, 603)"},
		{"join", "select * from users u join orders o on o.user_id = u.id where u.id = 600"},
		{"insert", "insert into orders (id, user_id, total) values (1, 600, 9)"},
		{"update", "update orders set total = 9 where user_id = 600 and id = 5"},
		{"unlisted", "select * from items where id = 5"},
	} {
		b.Run(c.name, func(b *testing.B) {
			st, args := read(c.sql, nil)
			f := facts(b, "db=shop dbs=shop")
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := plan.Build(st, args, m, f).(*plan.One); !ok {
					b.Fatal("not one shard")
				}
			}
		})
	}
}

// TestAllocations holds the hot path to its plan alone.
func TestAllocations(t *testing.T) {
	m := readMap(t, "two")
	f := facts(t, "db=shop dbs=shop")
	for _, sql := range []string{
		"select id, total from orders where user_id = 600",
		"select id, total from orders where user_id = 600 and id = 5 and state = 'new'",
		"select * from sessions where token = 'abc'",
		"select * from users u join orders o on o.user_id = u.id where u.id = 600",
		"insert into orders (id, user_id, total) values (1, 600, 9)",
		"update orders set total = 9 where user_id = 600",
	} {
		st, args := read(sql, nil)
		if n := testing.AllocsPerRun(100, func() { plan.Build(st, args, m, f) }); n > 1 {
			t.Errorf("%s: %v allocations", sql, n)
		}
	}
}

// TestMarkerKeeps shows that one Statement gives different plans for different values alone.
func TestMarkerKeeps(t *testing.T) {
	m := readMap(t, "two")
	f := facts(t, "db=shop")
	st, _ := read("select * from orders where user_id = 1", nil)
	for id, want := range map[int64]string{7: "s0", 600: "s1", 1023: "s1", 1024: "s0", -1: "s1"} {
		p, ok := plan.Build(st, []parse.Value{{Kind: parse.Int, I: id}}, m, f).(*plan.One)
		if !ok || p.Shard.ID != want {
			t.Errorf("user_id = %d: %v", id, p)
		}
	}
}
