// Package test holds what is checked over the whole module.
package test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "shardway"

// imports is the policy: which packages of ours each package may import. A
// package that isn't here fails the test, so a new one is a decision.
var imports = map[string][]string{
	"protocol":             {"protocol/compress", "protocol/secret", "protocol/socket"},
	"protocol/compress":    {},
	"protocol/secret":      {},
	"protocol/socket":      {},
	"shardmap":             {},
	"config":               {},
	"config/operator":      {"config", "protocol", "shardmap/server"},
	"router/parse/digest":  {},
	"router/parse/bridge":  {"router/parse/digest"},
	"router/parse/rewrite": {"router/parse/digest"},
	"router/parse":         {"router/parse/bridge", "router/parse/digest", "router/parse/rewrite"},
	"shardmap/filestore":   {"shardmap"},
	"shardmap/gtid":        {},
	"shardmap/failover":    {"shardmap", "shardmap/gtid", "shardmap/server"},
	"shardmap/server":      {"shardmap/gtid"},
	"shardmap/etcdstore":   {"shardmap"},
	"shardmap/stores":      {"shardmap", "shardmap/etcdstore", "shardmap/filestore"},
	"shardmap/rebalance":   {"shardmap", "shardmap/gtid", "shardmap/server", "shardmap/rebalance/follow", "shardmap/rebalance/pace", "shardmap/rebalance/rows"},

	"shardmap/rebalance/rows":   {"shardmap"},
	"shardmap/rebalance/follow": {"shardmap", "shardmap/gtid", "shardmap/rebalance/rows"},

	"shardmap/rebalance/audit":     {"shardmap", "shardmap/rebalance/rows"},
	"shardmap/rebalance/balance":   {"shardmap"},
	"shardmap/rebalance/pace":      {},
	"shardmap/rebalance/preflight": {"shardmap", "shardmap/failover", "shardmap/rebalance/rows", "shardmap/server"},

	"router/backend": {
		"protocol", "router/backend/circuit", "router/backend/health", "router/backend/policy", "router/backend/pulse",
		"router/backend/replication", "router/backend/roles", "shardmap", "shardmap/gtid",
	},
	"router/backend/circuit":     {},
	"router/backend/health":      {},
	"router/backend/policy":      {},
	"router/backend/pulse":       {},
	"router/backend/replication": {"protocol", "shardmap/gtid"},
	"router/backend/roles":       {"router/backend/health", "shardmap/gtid"},
	"router/exec/gather":         {"protocol", "shardmap"},
	"router/plan":                {"router/parse", "router/parse/digest", "router/parse/rewrite", "router/plan/define", "router/plan/scatter", "router/plan/ties", "shardmap"},
	"router/plan/define":         {"router/parse", "shardmap"},
	"router/plan/scatter":        {"router/parse/digest", "router/parse/rewrite"},
	"router/plan/ties":           {"router/parse"},
	"router/exec/merge":          {"protocol", "router/plan"},
	"router/exec/tables":         {"protocol"},
	"router/exec/stream":         {"protocol", "router/exec/merge"},
	"router/exec/sequence":       {"protocol", "shardmap"},
	"router/exec/xact":           {"protocol", "router/backend", "shardmap"},
	"router/exec":                {"protocol", "router/backend", "router/exec/gather", "router/exec/merge", "router/exec/sequence", "router/exec/stream", "router/exec/xact", "router/parse/rewrite", "router/plan", "shardmap", "shardmap/gtid"},
	"router/claims":              {"shardmap"},
	"router":                     {"protocol", "protocol/secret", "router/claims", "router/exec", "router/exec/merge", "router/exec/tables", "router/loaddata", "router/parse", "router/parse/rewrite", "router/plan", "shardmap"},
	"router/loaddata":            {"protocol", "shardmap"},
	"router/admin":               {"router", "shardmap"},
	"cmd/shardway":               {"*"},
	"cmd/shardway-demo":          {"*"},
	"cmd/shardctl":               {"*"},
	"test":                       {},
	"test/fakemysql":             {"protocol", "protocol/secret"},
	"test/cluster":               {},
	"test/cluster/cmd":           {"test/cluster"},
	"test/e2e":                   {"shardmap", "test/cluster", "test/grammar"},
	"test/grammar":               {},
	"test/bench":                 {"test/cluster"},
	"test/bench/copy":            {"shardmap/rebalance/rows", "test/cluster"},
	"test/compose":               {},
	"test/clients":               {"test/cluster"},
	"test/clients/gosql":         {},
}

// inTests is what only the _test.go files of a package may import besides.
var inTests = map[string][]string{
	"protocol":             {"test/fakemysql"},
	"router/backend":       {"test/fakemysql"},
	"router/exec":          {"test/fakemysql", "router/parse"},
	"router/exec/stream":   {"test/fakemysql"},
	"router/exec/xact":     {"test/fakemysql"},
	"router":               {"test/fakemysql", "router/backend", "router/backend/health"},
	"router/admin":         {"protocol", "router/exec", "test/fakemysql"},
	"router/plan":          {},
	"router/plan/define":   {},
	"router/parse/rewrite": {"router/parse"},

	"shardmap/etcdstore": {"test/cluster"},
	"shardmap/failover":  {"test/cluster"},
	"shardmap/rebalance": {"test/cluster", "shardmap/failover"},

	"shardmap/rebalance/rows":   {"test/cluster"},
	"shardmap/rebalance/follow": {"test/cluster"},
}

// theirs is the policy for libraries that may be imported in one place alone.
// What isn't listed may be imported anywhere outside the leaves.
var theirs = []struct {
	prefix string
	in     []string // packages; a trailing /... takes those below
	tests  bool     // _test.go files may import it anywhere
}{
	{prefix: "github.com/pingcap/tidb/", in: []string{"router/parse", "router/parse/rewrite"}},
	{prefix: "github.com/dolthub/", in: []string{"cmd/shardway-demo"}},
	{prefix: "github.com/spf13/viper", in: []string{"config"}},
	{prefix: "github.com/spf13/pflag", in: []string{"config", "cmd/..."}},
	{prefix: "github.com/prometheus/", in: []string{"router/admin"}},
	{prefix: "go.etcd.io/", in: []string{"shardmap/etcdstore"}},
	{prefix: "google.golang.org/grpc", in: []string{"shardmap/etcdstore"}},
	{prefix: "go.uber.org/zap", in: []string{"shardmap/etcdstore"}},
	{prefix: "github.com/go-sql-driver/mysql", in: []string{"cmd/...", "shardmap/failover", "shardmap/rebalance/...", "shardmap/server", "test/..."}, tests: true},
	{prefix: "github.com/go-mysql-org/go-mysql", in: []string{"protocol", "shardmap/rebalance/follow", "test/..."}, tests: true},
	{prefix: "github.com/rogpeppe/go-internal", in: []string{"test/..."}, tests: true},
	{prefix: "testing", in: []string{"test/..."}, tests: true},
	{prefix: "net/http/pprof", in: []string{"router/admin"}},
	{prefix: "net/http", in: []string{"router/admin", "cmd/...", "test/..."}, tests: true},
	{prefix: "database/sql", in: []string{"cmd/...", "shardmap/failover", "shardmap/rebalance/...", "shardmap/server", "test/..."}, tests: true},
	{prefix: "github.com/klauspost/compress", in: []string{"protocol/compress"}, tests: true},
	{prefix: "unsafe", in: []string{
		"router/parse/digest", // text seen as bytes without a copy, for each query
		"protocol/socket",     // system calls that the runtime isn't told of
	}},
}

// file is one source file as the policy sees it.
type file struct {
	path    string // relative to the module's root, with /
	pkg     string // its folder
	name    string // its package clause
	test    bool
	imports []string
	lines   int
	doc     bool
}

func (f file) in(pkgs []string) bool {
	return slices.ContainsFunc(pkgs, func(p string) bool {
		below, all := strings.CutSuffix(p, "/...")
		return f.pkg == p || all && (f.pkg == below || strings.HasPrefix(f.pkg, below+"/"))
	})
}

// sources reads every Go file of the module, whatever its build tags.
func sources(t *testing.T) []file {
	t.Helper()
	root := ".."
	var all []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "bin") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); rel != "." && err == nil {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		ast, err := parser.ParseFile(token.NewFileSet(), rel, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		f := file{
			path: rel, pkg: path.Dir(rel), name: ast.Name.Name, test: strings.HasSuffix(rel, "_test.go"),
			lines: bytes.Count(src, []byte("\n")), doc: ast.Doc != nil,
		}
		for _, spec := range ast.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, name)
		}
		all = append(all, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found only %d files: the test looks in the wrong place", len(all))
	}
	return all
}

// wrong returns what is wrong with a file's imports.
func wrong(f file) []string {
	var bad []string
	allowed, known := imports[f.pkg]
	if !known {
		return []string{f.path + ": package " + f.pkg + " isn't in the import table of test/deps_test.go"}
	}
	if f.test {
		allowed = append(slices.Clone(allowed), inTests[f.pkg]...)
	}
	for _, name := range f.imports {
		if ours, ok := strings.CutPrefix(name, module+"/"); ok {
			switch {
			case ours == f.pkg: // an external test package tests its own
			case strings.HasPrefix(ours, "cmd/"):
				bad = append(bad, f.path+" imports "+name+": nothing imports a command")
			case strings.HasPrefix(ours, "test/") && !f.test && !strings.HasPrefix(f.pkg, "test/"):
				bad = append(bad, f.path+" imports "+name+": that is for tests alone")
			case slices.Contains(allowed, "*") || slices.Contains(allowed, ours):
			default:
				bad = append(bad, f.path+" imports "+name+", which the import table doesn't allow for "+f.pkg)
			}
			continue
		}
		for _, rule := range theirs {
			if name != rule.prefix && !strings.HasPrefix(name, strings.TrimSuffix(rule.prefix, "/")+"/") {
				continue
			}
			if !f.in(rule.in) && (!rule.tests || !f.test) {
				bad = append(bad, f.path+" imports "+name+", which is for "+strings.Join(rule.in, ", ")+" alone")
			}
			break
		}
	}
	return bad
}

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		for _, text := range wrong(f) {
			t.Error(text)
		}
	}
}

// TestImportRules shows that the rules find what they are for.
func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		pkg  string
		test bool
		name string
		bad  bool
	}{
		{pkg: "router/plan", name: "shardway/router/parse"},
		{pkg: "router/plan", name: "shardway/router/exec", bad: true},
		{pkg: "protocol", name: "shardway/shardmap", bad: true},
		{pkg: "protocol", name: "shardway/test/fakemysql", bad: true},
		{pkg: "protocol", test: true, name: "shardway/test/fakemysql"},
		{pkg: "cmd/shardway", name: "shardway/test/fakemysql", bad: true},
		{pkg: "cmd/shardctl", name: "shardway/cmd/shardway", bad: true},
		{pkg: "router/exec", name: "github.com/pingcap/tidb/pkg/parser/ast", bad: true},
		{pkg: "router/exec", test: true, name: "github.com/pingcap/tidb/pkg/parser", bad: true},
		{pkg: "router/parse", name: "github.com/pingcap/tidb/pkg/parser"},
		{pkg: "cmd/shardway", name: "github.com/dolthub/go-mysql-server/sql", bad: true},
		{pkg: "cmd/shardway", name: "github.com/spf13/viper", bad: true},
		{pkg: "router", name: "github.com/prometheus/client_golang/prometheus", bad: true},
		{pkg: "router", name: "testing", bad: true},
		{pkg: "router", name: "testing/synctest", bad: true},
		{pkg: "router", test: true, name: "testing/synctest"},
		{pkg: "shardmap", name: "unsafe", bad: true},
		{pkg: "surprise", name: "fmt", bad: true},
	} {
		f := file{path: c.pkg + "/x.go", pkg: c.pkg, test: c.test, imports: []string{c.name}}
		if got := wrong(f); (len(got) > 0) != c.bad {
			t.Errorf("%s (test: %t) imports %s: %v, want wrong: %t", c.pkg, c.test, c.name, got, c.bad)
		}
	}
}

// Bounds on size. A file that is a table of data may be longer: it is listed.
const (
	fileLines    = 560
	packageLines = 3300
)

var longer = map[string]int{}

// larger are packages over the general bound, each with its reason and a bound
// of its own.
var larger = map[string]int{
	// Login, framing and relaying of both sides of the wire: a client's part and
	// a server's share every format, so two packages would share all of a third.
	"protocol": 5500,
	// One session's commands and what each leaves for the next one to ask: the
	// parts share the session's fields and nothing else has them.
	"router": 6300,
	// One reading of a text for all who ask about it; what is below the grammar
	// is in digest, bridge and rewrite.
	"router/parse": 4900,
	// A server's health, its pool and the views of its shards change in one step,
	// under the same two locks (docs/design/0007). What is judged without is below.
	"router/backend": 5130,
	// One statement's plan is made by one builder, whose parts see the same few
	// facts; what needs the clauses of a SELECT alone is in scatter, and what needs
	// a table's definition alone in define.
	"router/plan": 6300,
	// A session's connections, transaction and pins change with each reply; what
	// needs no session is below (merge, stream, gather, sequence, xact).
	"router/exec": 6900,
	// A move's states share what is known of its servers, its tables and its
	// position; rows, binary logs and checks are below.
	"shardmap/rebalance": 4600,
}

func TestSizes(t *testing.T) {
	sizes := map[string]int{}
	for _, f := range sources(t) {
		if f.lines > max(fileLines, longer[f.path]) {
			t.Errorf("%s has %d lines, more than %d: cut it in two by what it does", f.path, f.lines, fileLines)
		}
		if !f.test {
			sizes[f.pkg] += f.lines
		}
	}
	for pkg, n := range sizes {
		if larger[pkg] > 0 && n <= packageLines {
			t.Errorf("package %s has %d lines: it needs no bound of its own", pkg, n)
		}
		if bound := max(packageLines, larger[pkg]); n > bound {
			t.Errorf("package %s has %d lines, more than %d", pkg, n, bound)
		}
	}
}

// TestDocs wants a doc.go in each package, which says what the package is.
func TestDocs(t *testing.T) {
	has := map[string]bool{}
	for _, f := range sources(t) {
		if f.test && f.pkg == "test" {
			has[f.pkg] = true // this file
		}
		if path.Base(f.path) == "doc.go" || f.name == "main" && path.Base(f.path) == "main.go" {
			has[f.pkg] = has[f.pkg] || f.doc
		} else if !has[f.pkg] {
			has[f.pkg] = false
		}
	}
	for pkg, ok := range has {
		if !ok {
			t.Errorf("package %s has no doc.go with a package comment", pkg)
		}
	}
}
