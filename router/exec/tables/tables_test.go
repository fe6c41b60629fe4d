package tables

import (
	"strings"
	"testing"

	"shardway/protocol"
)

// tableOf makes a result of lines with "|" between the values; "-" is NULL.
func tableOf(columns string, lines ...string) *protocol.Result {
	res := &protocol.Result{Columns: strings.Split(columns, "|")}
	for _, line := range lines {
		var row []*string
		for v := range strings.SplitSeq(line, "|") {
			if v == "-" {
				row = append(row, nil)
			} else {
				row = append(row, &v)
			}
		}
		res.Rows = append(res.Rows, row)
	}
	return res
}

func textOf(res *protocol.Result) string {
	var lines []string
	for _, row := range res.Rows {
		var cells []string
		for _, v := range row {
			if v == nil {
				cells = append(cells, "-")
			} else {
				cells = append(cells, *v)
			}
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return strings.Join(lines, "\n")
}

func TestAddStatus(t *testing.T) {
	shards := []string{"s0", "s1"}
	const columns = "Table|Op|Msg_type|Msg_text"
	for _, c := range []struct {
		name   string
		s0, s1 []string
		want   string
	}{
		{name: "alike", s0: []string{"a|check|status|OK", "b|check|status|OK"}, s1: []string{"a|check|status|OK", "b|check|status|OK"}, want: "a|check|status|OK\nb|check|status|OK"},
		{
			name: "one is broken", s0: []string{"a|check|status|OK", "b|check|status|OK"},
			s1:   []string{"a|check|warning|1 client", "a|check|error|Corrupt", "a|check|status|Operation failed", "b|check|status|OK"},
			want: "a|check|warning|1 client (shard s1)\na|check|error|Corrupt (shard s1)\na|check|status|Operation failed (shard s1)\nb|check|status|OK",
		},
		{
			name: "the first is broken", s0: []string{"a|check|error|Corrupt", "a|check|status|Operation failed"}, s1: []string{"a|check|status|OK"},
			want: "a|check|error|Corrupt\na|check|status|Operation failed",
		},
	} {
		first := tableOf(columns, c.s0...)
		AddStatus([]*protocol.Result{first, tableOf(columns, c.s1...)}, shards)
		if got := textOf(first); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestAddChecksums(t *testing.T) {
	first := tableOf("Table|Checksum", "a|4294967295", "b|-", "c|7")
	AddChecksums([]*protocol.Result{first, tableOf("Table|Checksum", "a|3", "b|1", "c|-")})
	if got, want := textOf(first), "a|2\nb|-\nc|-"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAddSizes(t *testing.T) {
	const columns = "Name|Rows|Avg_row_length|Data_length|Auto_increment"
	first := tableOf(columns, "Users|10|10|100|5", "items|1|1|1|-")
	AddSizes([]*protocol.Result{first, tableOf(columns, "items|8|8|8|-", "users|30|2|60|9"), tableOf(columns)}, first.Columns, func(table string) bool { return table == "Users" })
	if got, want := textOf(first), "Users|40|4|160|9\nitems|1|1|1|-"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	first = tableOf("t|n|x", "users|10|y")
	AddSizes([]*protocol.Result{first, tableOf(columns, "users|30|2|60|9")}, []string{"TABLE_NAME", "TABLE_ROWS", ""}, func(string) bool { return true })
	if got, want := textOf(first), "users|40|y"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
