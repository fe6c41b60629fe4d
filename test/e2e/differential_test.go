package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"shardway/test/cluster"
	"shardway/test/grammar"
)

// statement is one of testdata/differential.sql, with its directives.
type statement struct {
	line      int
	text      string
	session   bool // new connections before it
	only      cluster.Flavor
	refused   uint16
	unordered bool
	folds     bool     // texts that are equal in a collation may stand for one another
	planned   bool     // what the server's plan shows of itself in the columns may differ
	viewed    bool     // the original tables of columns may differ
	derived   []string // of what is planned: names of what is no table
	converted bool     // how many warnings there are may differ
	rows      bool
	code      bool
	textOnly  bool
	own       bool // ownWarns is meant
	late      bool // ownWarns is right too
	ownWarns  uint16
	hasArgs   bool
	args      []any
}

func readStatements(t testing.TB, path string) []statement {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []statement
	var s statement
	var text []string
	for i, line := range strings.Split(string(b), "\n") {
		if len(text) == 0 {
			if strings.TrimSpace(line) == "" {
				continue
			}
			if directive, ok := strings.CutPrefix(line, "# "); ok {
				word, rest, _ := strings.Cut(directive, " ")
				switch word {
				case "session":
					s.session = true
				case "mysql", "mariadb":
					s.only = cluster.Flavor(word)
				case "refused":
					code, err := strconv.ParseUint(rest, 10, 16)
					if err != nil {
						t.Fatalf("%s:%d: %v", path, i+1, err)
					}
					s.refused = uint16(code)
				case "own", "late":
					n, err := strconv.ParseUint(rest, 10, 16)
					if err != nil {
						t.Fatalf("%s:%d: %v", path, i+1, err)
					}
					s.own, s.late, s.ownWarns = word == "own", word == "late", uint16(n)
				case "unordered":
					s.unordered = true
				case "code":
					s.code = true
				case "rows":
					s.rows = true
				case "text":
					s.textOnly = true
				case "args":
					s.hasArgs = true
					for a := range strings.SplitSeq(rest, ", ") {
						s.args = append(s.args, argument(t, a))
					}
				}
				continue
			}
			if strings.HasPrefix(line, "#") {
				continue
			}
			s.line = i + 1
		}
		text = append(text, line)
		if last, ok := strings.CutSuffix(line, ";"); ok {
			text[len(text)-1] = last
			s.text = strings.Join(text, "\n")
			all = append(all, s)
			s, text = statement{}, nil
		}
	}
	return all
}

func argument(t testing.TB, s string) any {
	t.Helper()
	switch {
	case s == "null":
		return nil
	case strings.HasPrefix(s, "'"):
		return strings.Trim(s, "'")
	case strings.HasPrefix(s, "X'"):
		b, err := hex.DecodeString(strings.Trim(s[1:], "'"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	case strings.HasSuffix(s, "u"):
		n, err := strconv.ParseUint(strings.TrimSuffix(s, "u"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	case strings.Contains(s, "."):
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// reads tells statements after which no replica has anything to catch up with.
func (s *statement) reads() bool {
	word, _, _ := strings.Cut(strings.TrimLeft(s.text, "("), " ")
	switch strings.ToUpper(word) {
	case "SELECT", "SHOW", "SET", "WITH", "DO", "BEGIN", "START", "VALUES", "DESCRIBE":
		return true
	}
	return false
}

// TestDifferential runs testdata/differential.sql through Shardway and on the
// plain server: as text, with an old client's capabilities, and prepared.
func TestDifferential(t *testing.T) {
	statements := readStatements(t, "testdata/differential.sql")
	for _, mode := range []struct {
		name     string
		prepared bool
		change   func(*wireOptions)
	}{
		{name: "text"},
		{name: "text_old", change: func(o *wireOptions) { o.without = capDeprecateEOF | capPSMultiResults }},
		{name: "prepared", prepared: true},
		{name: "prepared_old", prepared: true, change: func(o *wireOptions) { o.without = capDeprecateEOF; o.caps = capFoundRows }},
	} {
		t.Run(mode.name, func(t *testing.T) {
			onBoth(t, "diff", app, func(e *env) {
				d := e.serve(nil)
				compared, refused := e.compare(statements, mode.prepared,
					func() *wire { return e.dial(d, mode.change) }, func() *wire { return e.plain(mode.change) }, nil)
				e.Logf("note: %d statements answered alike, %d refused", compared, refused)
			})
		})
	}
}

// compare runs statements through Shardway and on the plain server and reports each difference. Before a statement it
// calls between with the connection to Shardway.
func (e *env) compare(statements []statement, prepared bool, dial, dialPlain func() *wire, between func(*wire)) (compared, refused int) {
	e.Helper()
	ours, plain := dial(), dialPlain()
	for _, s := range statements {
		if s.only != "" && s.only != e.c.Flavor {
			continue
		}
		if s.session {
			ours.close()
			plain.close()
			ours, plain = dial(), dialPlain()
		}
		if s.textOnly && prepared {
			continue
		}
		if between != nil {
			between(ours)
		}
		if s.refused != 0 {
			e.expectRefused(ours, &s, prepared)
			refused++
			continue
		}
		// What Shardway can't prepare, as MySQL can't either, but MariaDB can,
		// clients send as text.
		got, err := s.run(ours, prepared)
		again := err == nil && got.prepareErr != nil && got.prepareErr.Code == 1295
		want, err2 := s.run(plain, prepared && !again)
		if err2 != nil {
			e.Fatalf("line %d: %s: the plain server: %v", s.line, s.text, err2)
		}
		if again {
			got, err = s.run(ours, false)
		}
		if err != nil {
			e.Fatalf("line %d: %s: %v", s.line, s.text, err)
		}
		compared++
		if text := s.difference(got, want); text != "" {
			e.Errorf("line %d: %s\n%s", s.line, s.text, text)
		}
		if !s.reads() {
			e.must(e.c.Sync(e.ctx))
		}
	}
	return compared, refused
}

func (e *env) expectRefused(w *wire, s *statement, prepared bool) {
	e.Helper()
	a, err := s.run(w, prepared)
	if err != nil {
		e.Fatalf("line %d: %s: %v", s.line, s.text, err)
	}
	got := a.err()
	switch {
	case got == nil:
		e.Errorf("line %d: %s: answered, want it refused with %d", s.line, s.text, s.refused)
	case got.Code != s.refused || !strings.HasPrefix(got.Message, "shardway:"):
		e.Errorf("line %d: %s: %v, want it refused with %d and a text from shardway", s.line, s.text, got, s.refused)
	}
}

// answer is what a statement was answered with.
type answer struct {
	prepareErr *wireError
	prepared   *stmt
	results    []result
}

func (a *answer) err() *wireError {
	if a.prepareErr != nil {
		return a.prepareErr
	}
	for _, r := range a.results {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

func (s *statement) run(w *wire, prepared bool) (*answer, error) {
	a := &answer{}
	var err error
	if !prepared && !s.hasArgs {
		a.results, err = w.query(s.text)
		return a, err
	}
	p, err := w.prepare(s.text)
	if e, ok := err.(*wireError); ok { //nolint:errorlint // returned as it is
		a.prepareErr = e
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	a.prepared = p
	if p.Params != len(s.args) {
		return nil, fmt.Errorf("%d parameters, %d arguments", p.Params, len(s.args))
	}
	if a.results, err = w.execute(p, true, s.args...); err != nil {
		return nil, err
	}
	return a, w.send(comStmtClose, []byte{byte(p.ID), byte(p.ID >> 8), byte(p.ID >> 16), byte(p.ID >> 24)})
}

// statusKept are the status flags that must be alike. The others tell how the
// server found the rows, which depends on how many it has.
const statusKept = statusInTrans | statusAutocommit | statusMoreResults | statusCursor | statusLastRowSent | statusTransReadonly

// difference says how two answers differ; empty when they don't.
func (s *statement) difference(got, want *answer) string {
	var b strings.Builder
	diff := func(what string, g, w any) {
		if gs, ws := fmt.Sprint(g), fmt.Sprint(w); gs != ws {
			fmt.Fprintf(&b, "  %s:\n    got  %.500s\n    want %.500s\n", what, gs, ws)
		}
	}
	diff("error of PREPARE", s.error(got.prepareErr), s.error(want.prepareErr))
	if got.prepared != nil && want.prepared != nil {
		diff("number of parameters", got.prepared.Params, want.prepared.Params)
		diff("number of columns prepared", got.prepared.Columns, want.prepared.Columns)
		diff("warnings of PREPARE", got.prepared.Warnings, want.prepared.Warnings)
		diff("columns prepared", quoted(got.prepared.Defs), quoted(want.prepared.Defs))
		diff("parameters prepared", quoted(got.prepared.ParamDefs), quoted(want.prepared.ParamDefs))
	}
	diff("number of results", len(got.results), len(want.results))
	for i := range min(len(got.results), len(want.results)) {
		g, w := got.results[i], want.results[i]
		diff("error", s.error(g.Err), s.error(w.Err))
		// MariaDB sends rows of RETURNING before it knows of an error, and no columns where it sees that no row can match.
		if strings.Contains(s.text, " RETURNING ") && (g.Err != nil && w.Err != nil || len(g.Rows) == 0 && len(w.Rows) == 0) {
			g.Columns, w.Columns, g.Rows, w.Rows = nil, nil, nil, nil
		}
		switch rollup, outer := strings.Contains(s.text, "WITH ROLLUP"), strings.Contains(s.text, "LEFT JOIN") || strings.Contains(s.text, "RIGHT JOIN"); {
		case s.planned:
			diff("columns", quoted(planned(g.Columns, s.derived, rollup, outer)), quoted(planned(w.Columns, s.derived, rollup, outer)))
		case s.viewed:
			diff("columns", quoted(unoriginal(g.Columns)), quoted(unoriginal(w.Columns)))
		case !s.rows:
			diff("columns", quoted(g.Columns), quoted(w.Columns))
		}
		switch {
		case s.folds:
			g.Rows, w.Rows = rowsAs(&g, got.prepared != nil, grammar.Fold), rowsAs(&w, want.prepared != nil, grammar.Fold)
		case s.planned && !slices.EqualFunc(g.Columns, w.Columns, bytes.Equal): // so their rows may be encoded otherwise
			same := func(cell string) string { return cell }
			g.Rows, w.Rows = rowsAs(&g, got.prepared != nil, same), rowsAs(&w, want.prepared != nil, same)
		}
		if s.unordered {
			sortRows(g.Rows)
			sortRows(w.Rows)
		}
		diff("rows", quoted(g.Rows), quoted(w.Rows))
		diff("affected rows", g.OK.Affected, w.OK.Affected)
		diff("insert id", g.OK.InsertID, w.OK.InsertID)
		warnings := w.OK.Warnings
		if s.own || s.late && g.OK.Warnings == s.ownWarns {
			warnings = s.ownWarns
		}
		if !s.converted {
			diff("warnings", g.OK.Warnings, warnings)
		}
		if w.OK.Info != "" || !strings.Contains(g.OK.Info, "Rows matched: 0  Changed: 0  Warnings: 0") { // a server that sees that no row can match says nothing
			diff("info", g.OK.Info, w.OK.Info)
		}
		diff("status", g.OK.Status&statusKept, w.OK.Status&statusKept)
	}
	return b.String()
}

func (s *statement) error(err *wireError) string {
	switch {
	case err == nil:
		return "none"
	case s.code:
		return fmt.Sprintf("%d (%s)", err.Code, err.State)
	}
	return err.Error()
}

// rowsAs are the rows of a result with each value as cell writes it.
func rowsAs(r *result, binary bool, cell func(string) string) [][]byte {
	rows := make([][]byte, len(r.Rows))
	for i, p := range r.Rows {
		var cells []string
		if binary {
			cells = binaryRow(r.Columns, p)
		} else {
			cells = textRow(p)
		}
		for j := range cells {
			cells[j] = cell(cells[j])
		}
		rows[i] = fmt.Appendf(nil, "%q", cells)
	}
	return rows
}

func sortRows(rows [][]byte) {
	slices.SortFunc(rows, func(a, b []byte) int { return strings.Compare(string(a), string(b)) })
}

func quoted(rows [][]byte) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%q ", r)
	}
	return b.String()
}

// TestReadStatements keeps the data file readable.
func TestReadStatements(t *testing.T) {
	all := readStatements(t, "testdata/differential.sql")
	if len(all) < 300 {
		t.Errorf("%d statements, want at least 300", len(all))
	}
	for _, s := range all {
		if n := strings.Count(s.text, "?"); s.hasArgs && n != len(s.args) {
			t.Errorf("line %d: %d markers and %d arguments", s.line, n, len(s.args))
		}
	}
}
