package plan_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"shardway/router/plan"
)

// TestDocs keeps the examples of docs/routing.md true: what stands between a "mysql>" line and the next one, or the end
// of the block, is what that statement answers on the map of the document.
func TestDocs(t *testing.T) {
	const file = "../../docs/routing.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, f := readMap(t, "two"), facts(t, "db=shop")
	var out strings.Builder
	answer := false
	examples := 0
	for l := range strings.SplitAfterSeq(string(text), "\n") {
		sql, ok := strings.CutPrefix(l, "mysql> ")
		switch {
		case ok:
			answer = true
			examples++
			out.WriteString(l)
			sql = strings.TrimSuffix(strings.TrimSpace(sql), ";")
			inner, explain := strings.CutPrefix(sql, "EXPLAIN ROUTE ")
			p := build(inner, nil, m, f)
			if r, refused := p.(*plan.Refuse); refused && !explain {
				fmt.Fprintf(&out, "ERROR %d (%s): %s\n", r.Code, r.State, r.Message)
				continue
			}
			out.WriteString(table(plan.Rows(p, m)))
		case strings.HasPrefix(l, "```"):
			answer = false
			out.WriteString(l)
		case !answer:
			out.WriteString(l)
		}
	}
	if examples < 5 {
		t.Errorf("only %d examples", examples)
	}
	if out.String() == string(text) {
		return
	}
	if !*update {
		t.Errorf("%s isn't what the planner answers; run go test ./router/plan -run Docs -update and read the difference", file)
		return
	}
	if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table draws rows as the mysql client does.
func table(columns []string, rows [][]string) string {
	width := make([]int, len(columns))
	for _, r := range append([][]string{columns}, rows...) {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var out strings.Builder
	line := func() {
		for _, w := range width {
			out.WriteString("+" + strings.Repeat("-", w+2))
		}
		out.WriteString("+\n")
	}
	row := func(r []string) {
		for i, c := range r {
			out.WriteString("| " + c + strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)) + " ")
		}
		out.WriteString("|\n")
	}
	line()
	row(columns)
	line()
	for _, r := range rows {
		row(r)
	}
	line()
	return out.String()
}

// TestSQLDocs keeps the tables of docs/sql.md true: the example of each row is planned in the way that the row says.
func TestSQLDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	m, f := readMap(t, "two"), facts(t, "db=shop")
	rows := 0
	for l := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(l), " | ")
		if len(cells) != 3 || !strings.HasPrefix(cells[1], "`") {
			continue
		}
		rows++
		sql, want := strings.Trim(cells[1], "`"), strings.TrimSuffix(cells[2], " |")
		got := ""
		p := build(sql, nil, m, f)
		switch p.(type) {
		case *plan.One, *plan.Local:
			got = "relayed"
		case *plan.Many:
			got = "merged"
		case *plan.Gather:
			got = "gathered"
		case *plan.Each, *plan.Explain:
			got = "each shard"
		case *plan.Pick:
			got = "chosen first"
		case *plan.Refuse:
			got = "refused"
		}
		if got != want {
			t.Errorf("%s is %s, not %s: %s", sql, got, want, p)
		}
	}
	if rows < 20 {
		t.Errorf("only %d examples", rows)
	}
}
