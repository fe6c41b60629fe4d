package plan_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan"
	"shardway/shardmap"
)

var update = flag.Bool("update", false, "write the plans found into testdata")

// TestGolden reads testdata/*.txt. Paragraphs are parted by blank lines. A paragraph of "map: NAME" and "with: FACTS"
// lines sets the map and the facts of what follows; another one is a statement, whose own facts may come first, and
// whose plan follows it, indented.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var m *shardmap.Map
	base := ""
	var out bytes.Buffer
	line := 0
	for i, par := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		own, args := "", ""
		var sql, want []string
		at := line + 1
		for l := range strings.SplitSeq(par, "\n") {
			line++
			switch {
			case strings.HasPrefix(l, "#"):
			case strings.HasPrefix(l, "map: "):
				m = readMap(t, strings.TrimPrefix(l, "map: "))
			case strings.HasPrefix(l, "with: "):
				own = strings.TrimPrefix(l, "with: ")
			case strings.HasPrefix(l, "args: "):
				args = strings.TrimPrefix(l, "args: ")
			case strings.HasPrefix(l, "    "):
				want = append(want, strings.TrimPrefix(l, "    "))
				continue
			case l != "" || len(sql) > 0:
				sql = append(sql, l)
			}
			out.WriteString(l + "\n")
		}
		line++
		if len(sql) == 0 {
			if strings.Contains(par, "with: ") || strings.Contains(par, "map: ") {
				base = own
			}
			continue
		}
		f := facts(t, base+" "+own)
		query := strings.Join(sql, "\n")
		if query == "(empty)" {
			query = ""
		}
		p := build(query, bound(t, args), m, f)
		got := p.String()
		if moves := plan.Moving(p); moves != nil {
			got += "\ntouches"
			for _, v := range moves {
				got += " " + v.ID
			}
			if plan.Writes(p) {
				got += ", and writes"
			}
		}
		fmt.Fprintf(&out, "    %s\n", strings.ReplaceAll(got, "\n", "\n    "))
		if !*update && got != strings.Join(want, "\n") {
			t.Errorf("%s:%d: %s\n got: %s\nwant: %s", file, at, query, got, strings.Join(want, "\n"))
		}
	}
	if *update && !bytes.Equal(out.Bytes(), text) {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// build plans a text as a session would: digest, parse, bound values in place of the markers.
func build(sql string, bound []parse.Value, m *shardmap.Map, f *plan.Facts) plan.Plan {
	st, args := read(sql, bound)
	return plan.Build(st, args, m, f)
}

func read(sql string, bound []parse.Value) (*parse.Statement, []parse.Value) {
	d := new(parse.Digest)
	d.Scan([]byte(sql), 0)
	st := parse.NewCache(16, 1<<20).Statement(d)
	args := slices.Clone(d.Args)
	n := 0
	for i := range args {
		if args[i].Kind == parse.Marker && n < len(bound) {
			args[i] = bound[n]
			args[i].Bound = true
			n++
		}
	}
	return st, args
}

// bound reads the values of an EXECUTE, as literals.
func bound(t testing.TB, list string) []parse.Value {
	var values []parse.Value
	for word := range strings.SplitSeq(list, ", ") {
		if word == "" {
			continue
		}
		if word == "NULL" {
			values = append(values, parse.Value{Kind: parse.Null})
			continue
		}
		d := new(parse.Digest)
		d.Scan([]byte("select "+word), 0)
		if len(d.Args) != 1 {
			t.Fatalf("args %q: no literal", word)
		}
		values = append(values, d.Args[0])
	}
	return values
}

func readMap(t testing.TB, name string) *shardmap.Map {
	t.Helper()
	text, err := os.ReadFile("testdata/maps/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := shardmap.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func shardList(v string) []string {
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// facts reads words like "db=shop tx=s0 ro". Without any: autocommit on, strict mode, utf8mb4.
func facts(t testing.TB, words string) *plan.Facts {
	f := &plan.Facts{Autocommit: true, Strict: true, Charset: "utf8mb4", User: "app"}
	for w := range strings.FieldsSeq(words) {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "db":
			f.DB = v
		case "dbs":
			f.Databases = strings.Split(v, ",")
		case "ro":
			f.ReadOnlyUser = true
		case "tx":
			f.InTx, f.TxShards = true, shardList(v)
		case "txro":
			f.InTx, f.TxReadOnly, f.TxShards = true, true, shardList(v)
		case "reopens":
			f.Reopens = true
		case "oneshard":
			f.OneShard = true
		case "noauto":
			f.Autocommit = false
		case "pin":
			f.PinShard = v
		case "why":
			f.PinWhy = strings.ReplaceAll(v, "_", " ")
		case "temp":
			f.TempTables = strings.Split(v, ",")
		case "charset":
			f.Charset = v
		case "limited":
			f.SelectLimited = true
		case "lax":
			f.Strict = false
		case "table": // table=shop.users:id,name
			name, columns, _ := strings.Cut(v, ":")
			if f.Tables == nil {
				f.Tables = map[string][]string{}
			}
			f.Tables[name] = strings.Split(columns, ",")
		case "zeroid":
			f.ZeroID = true
		case "numbered": // numbered=shop.users:id
			name, column, _ := strings.Cut(v, ":")
			f.Numbered = map[string]string{name: column}
		case "columns":
			f.Columns = strings.Split(v, ",")
		default:
			t.Fatalf("no fact %q", w)
		}
	}
	return f
}

// TestShardsStatement plans the statements that shards get as if a client had sent them: they must be for the same shards
// and servers.
func TestShardsStatement(t *testing.T) {
	file, err := os.ReadFile("testdata/many.txt")
	if err != nil {
		t.Fatal(err)
	}
	m, f := readMap(t, "two"), facts(t, "db=shop")
	n := 0
	for sql := range strings.Lines(string(file)) {
		if strings.HasPrefix(sql, " ") || strings.HasPrefix(sql, "#") {
			continue
		}
		sql = strings.TrimSpace(sql)
		st, args := read(sql, nil)
		p, ok := plan.Build(st, args, m, f).(*plan.Many)
		if !ok || p.Parts[0].SQL == nil {
			continue
		}
		n++
		text, err := p.Parts[0].SQL.Append(nil, &rewrite.Fill{SQL: []byte(sql), Window: 7})
		if err != nil {
			t.Fatal(err)
		}
		q, ok := build(string(text), nil, m, f).(*plan.Many)
		if !ok {
			g, ok := build(string(text), nil, m, f).(*plan.Gather)
			if !ok || len(g.Copies) != 1 || len(g.Copies[0].Shards) != len(p.Parts) || !strings.Contains(g.Why, "an expression over aggregate functions") {
				t.Errorf("%s\nbecame %s\nwhich is planned as %s", sql, text, build(string(text), nil, m, f))
			}
			continue
		}
		if q.Why != p.Why || q.Role != p.Role || len(q.Parts) != len(p.Parts) {
			t.Errorf("%s: %s\nbecame %s: %s", sql, p.Why, text, q.Why)
		}
	}
	if n < 20 {
		t.Errorf("only %d statements", n)
	}
}
