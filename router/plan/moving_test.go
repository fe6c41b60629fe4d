package plan_test

import (
	"strings"
	"testing"

	"shardway/router/plan"
)

// TestRouteOfMovingSlots: EXPLAIN ROUTE shows the condition of each shard that has copies, and why it is there.
func TestRouteOfMovingSlots(t *testing.T) {
	m, f := readMap(t, "copying"), facts(t, "db=shop")
	for _, sql := range []string{"SELECT * FROM users WHERE a = 1", "SELECT DISTINCT a, b FROM users ORDER BY SUM(c)", "DELETE FROM users WHERE a = 1"} {
		_, rows := plan.Rows(build(sql, nil, m, f), m)
		said := map[string]string{}
		for _, row := range rows {
			if row[1] != "" && said[row[1]] == "" {
				said[row[1]] = row[4] + " because " + row[5]
			}
		}
		for shard, want := range map[string][2]string{
			"s0": {"BETWEEN 600 AND 601", "s0 has copies of slots 600-601 that move, r1.2"},
			"s1": {"", ""},
			"s2": {"BETWEEN 128 AND 255", "s2 has copies of slots 128-255 that move, r1.1"},
		} {
			got := said[shard]
			if want[0] == "" && (got == "" || strings.Contains(got, "BETWEEN") || strings.Contains(got, "copies")) ||
				!strings.Contains(got, want[0]) || !strings.Contains(got, want[1]) {
				t.Errorf("%s: %s is asked %q", sql, shard, got)
			}
		}
		if said["s3"] != "" {
			t.Errorf("%s: s3 owns no slots and is asked %q", sql, said["s3"])
		}
	}
}

// TestPlannedMove: a move that hasn't begun changes no plan.
func TestPlannedMove(t *testing.T) {
	f := facts(t, "db=wiki")
	m := readMap(t, "copying")
	before := m
	for _, v := range m.Database("wiki").Moves() {
		t.Fatalf("wiki has %s already", v.ID)
	}
	for _, sql := range []string{"SELECT * FROM pages", "UPDATE pages SET a = 1", "ALTER TABLE pages ADD x INT", "INSERT INTO pages (id) VALUES (1)"} {
		planned := readMap(t, "planned")
		if got, want := build(sql, nil, planned, f), build(sql, nil, before, f); got.String() != want.String() || plan.Moving(got) != nil || plan.Writes(got) {
			t.Errorf("%s: %s\nwithout the move: %s", sql, got, want)
		}
	}
}
