package clients

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"shardway/test/cluster"
)

var update = flag.Bool("update", false, "write docs/compatibility.md as this run found it")

const tablePath = "../../docs/compatibility.md"

// summary counts the cells.
func summary(rows []*row) string {
	n := map[string]int{}
	for _, r := range rows {
		for _, byCell := range r.cells {
			for _, v := range byCell {
				n[v.state]++
			}
		}
	}
	return fmt.Sprintf("client matrix: %d cells alike, %d refused, %d with a named difference, %d wrong, %d that a client hasn't", n["yes"], n["refused"], n["differs"], n["wrong"], n["none"])
}

// reason shortens a refusal to what the table says; details of one statement
// go, so that it is the same for all clients.
func reason(text string) string {
	text, _, _ = strings.Cut(text, ". ")
	text, _, _ = strings.Cut(text, `\n`)
	return strings.TrimRight(text, " .'\"),(")
}

// table renders the document.
func table(rows []*row) string {
	var b strings.Builder
	b.WriteString(`# Compatibility: client programs

Real programs of each client have run against one plain server and against Shardway, with MariaDB and with MySQL behind it, over a database that isn't sharded and over the same one on two shards. "yes" means that the program saw the same: every value, type, count, error code and SQLSTATE. This page is written by that run: ` + "`make clients`" + `. The programs are in test/clients.

## What works

`)
	var notes []string
	note := func(text string) int {
		i := slices.Index(notes, text)
		if i < 0 {
			notes = append(notes, text)
			i = len(notes) - 1
		}
		return i + 1
	}
	b.WriteString("| client | version |")
	for _, c := range cells {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(cells)) + "\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |", r.client, r.version)
		for _, c := range cells {
			b.WriteString(" " + entry(r, c.name, note) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nAn empty cell: the client has no such thing, or it isn't its business. \"whole\" is the database that isn't sharded. The clients of MySQL 9 have no mysql_native_password, so with MariaDB there is no plain server to compare them on.\n\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, n)
	}
	b.WriteString("\n## What the columns mean\n\n| column | what the program does |\n|---|---|\n")
	for _, c := range cells {
		fmt.Fprintf(&b, "| %s | %s |\n", c.name, c.title)
	}
	return b.String()
}

// entry is one cell of the table: the same everywhere, or where it is refused.
func entry(r *row, cell string, note func(string) int) string {
	var where, why []string
	yes, word := 0, ""
	for _, f := range cluster.Flavors() {
		for _, d := range layouts() {
			v := r.cells[string(f)+" "+d.Name][cell]
			switch v.state {
			case "yes":
				yes++
			case "refused", "differs":
				word = v.state
				where = append(where, on(f, d.Name))
				why = append(why, reason(v.why))
			}
		}
	}
	switch {
	case len(where) == 0 && yes > 0:
		return "yes"
	case len(where) == 0:
		return ""
	case yes == 0:
		return fmt.Sprintf("%s [%d]", word, note(why[0]))
	}
	return fmt.Sprintf("yes; %s %s [%d]", strings.Join(where, ", "), word, note(why[0]))
}

func on(f cluster.Flavor, db string) string {
	if db == sharded {
		return string(f) + " sharded"
	}
	return string(f) + " whole"
}

// versions are what may differ between two runs of the same matrix.
var versions = regexp.MustCompile(`(?m)^(\| [^|]+ \|) [^|]* \|`)

func checkTable(t *testing.T, rows []*row) {
	t.Helper()
	got := table(rows)
	if *update {
		if err := os.WriteFile(tablePath, []byte(got), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	strip := func(s string) []string { return strings.Split(versions.ReplaceAllString(s, "$1 |"), "\n") }
	now, then := strip(got), strip(string(want))
	for i := range max(len(now), len(then)) {
		a, z := "", ""
		if i < len(now) {
			a = now[i]
		}
		if i < len(then) {
			z = then[i]
		}
		switch {
		case a == z:
		case strings.Contains(a+z, " differs ["):
			// A named difference may come out alike, depending on which connection
			// served the cell; one without a name has failed already.
			t.Logf("note: docs/compatibility.md isn't what this run found, line %d: it has %q, found is %q; make clients writes it", i+1, z, a)
		default:
			t.Fatalf("docs/compatibility.md isn't what this run found, line %d\nis   %s\nwant %s\nwrite it with make clients", i+1, z, a)
		}
	}
}
