package admin

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"shardway/router"
)

var update = flag.Bool("update", false, "write the table of docs/operations.md afresh")

// The documentation lists every metric with its help, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	h, m := newHandler("")
	f := newFakeRouter()
	vars := &router.Table{Columns: []string{"name", "value"}}
	pools := &router.Table{Columns: []string{"shard", "role", "server"}, Rows: [][]any{{"s0", "primary", "a:1"}}}
	servers := &router.Table{Columns: []string{"shard", "role", "server", "state"}, Rows: [][]any{{"s0", "primary", "a:1", "up"}}}
	s := newState(f, testMap(t))
	for _, c := range s.counts {
		vars.Rows = append(vars.Rows, []any{c.name, "1"})
	}
	for _, c := range s.columns {
		table := map[string]*router.Table{"pools": pools, "servers": servers}[c.table]
		table.Columns = append(table.Columns, c.name)
		table.Rows[0] = append(table.Rows[0], int64(1))
	}
	f.tables["transactions"] = &router.Table{
		Columns: []string{"shards_written", "commits", "seconds", "within_1ms"}, Rows: [][]any{{"2", uint64(1), 0.5, uint64(0)}},
	}
	f.tables["slot_waits"] = &router.Table{Columns: []string{"count", "seconds", "within_1ms"}, Rows: [][]any{{uint64(1), 0.5, uint64(0)}}}
	f.tables["variables"], f.tables["pools"], f.tables["servers"] = vars, pools, servers
	h.Attach(f, testMap(t))
	m.Observe(&router.Event{Kind: "select", Way: router.WayMany, Shards: 2, Outcome: "error", Code: 1064, Rows: 1})
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "shardway_") {
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp()))
		}
	}
	slices.Sort(rows)
	table := "| metric | type | is |\n|---|---|---|\n" + strings.Join(rows, "")

	const file, begin, end = "../../docs/operations.md", "<!-- metrics -->\n", "<!-- end -->\n"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	old, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Fatalf("%s has no place for the metrics", file)
	case old != table && *update:
		if err := os.WriteFile(file, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case old != table:
		t.Errorf("%s lists\n%s\nbut there are\n%s", file, old, table)
	}
}
