package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shardway/test/cluster"
)

// cells are the columns of the table.
var cells = []struct{ name, title string }{
	{"connect", "connect, ping, change of schema"},
	{"tls", "TLS with the certificate checked"},
	{"text", "every type, text protocol"},
	{"binary", "every type, prepared statements"},
	{"nulls", "NULL of every type"},
	{"utf8mb4", "emoji and other 4-byte text"},
	{"latin1", "a latin1 connection"},
	{"fractions", "dates with fractions, decimals"},
	{"blob", "17 MB values"},
	{"transactions", "commit, rollback, savepoint"},
	{"errors", "errors with code and SQLSTATE"},
	{"ids", "insert ids, affected rows"},
	{"results", "several results of a CALL"},
	{"statements", "several statements in one text"},
	{"streaming", "rows read one at a time"},
	{"cursor", "a cursor on the server"},
	{"reset", "reset of the connection, change of user"},
	{"load", "LOAD DATA LOCAL INFILE"},
	{"compression", "compression"},
	{"tool", "the tool's own work"},
}

// verdict is what became of one cell of one client on one layout.
type verdict struct {
	state string // yes, none (the client has no such thing), refused, differs (by a named gap), or wrong
	why   string
}

// row is one client's: its version and its verdicts, by kind of server, layout and cell.
type row struct {
	client  string
	version string
	missing string
	cells   map[string]map[string]verdict
}

// runTimeout bounds one program on one server.
const runTimeout = time.Minute

// output runs the client on a target and returns what it printed.
func (b *bench) output(c client, to target) (string, error) {
	if c.walk != nil {
		return c.walk(b, to)
	}
	return b.command(c.run(b.tools), to)
}

// command runs a process with the target in its environment.
func (b *bench) command(cmd *exec.Cmd, to target) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, runTimeout)
	defer cancel()
	host, port, _ := strings.Cut(to.addr, ":")
	cmd.Env = append(os.Environ(), "MATRIX_HOST="+host, "MATRIX_PORT="+port, "MATRIX_USER="+to.user, "MATRIX_PASSWORD="+to.password,
		"MATRIX_DB="+to.db, "MATRIX_CA="+b.c.TLS.CA, "MATRIX_OTHER_CA="+b.otherCA, "MATRIX_FILE="+b.file, "TZ=UTC", "LC_ALL=C.UTF-8")
	var out, diagnostics strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	err := cmd.Wait()
	if ctx.Err() != nil {
		err = fmt.Errorf("it didn't end in %s", runTimeout)
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, diagnostics.String())
	}
	return out.String(), err
}

// parsed are the lines of a program by cell.
func parsed(output string, to target) (byCell map[string][]string, version string) {
	byCell = map[string][]string{}
	// What differs between the targets by their nature: names.
	output = strings.NewReplacer(to.db, "DB", to.user+"'@", "USER'@", "'127.0.0.1'", "'HOST'", "'localhost'", "'HOST'").Replace(output)
	for line := range strings.Lines(output) {
		cell, text, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		switch {
		case ok && cell == "version":
			version = text
		case ok && slices.ContainsFunc(cells, func(c struct{ name, title string }) bool { return c.name == cell }):
			byCell[cell] = append(byCell[cell], text)
		default:
			byCell["connect"] = append(byCell["connect"], "not a line of a cell: "+line)
		}
	}
	return byCell, version
}

// refusal finds Shardway's own error 1235 in a program's words.
var refusal = regexp.MustCompile(`1235.*shardway: |shardway: .*1235`)

// A gap is a difference that has a name until it is closed: the line that a
// program prints first in another way, on the plain server and through Shardway.
var gaps = []struct {
	cell      string
	want, got *regexp.Regexp
	why       string
}{
	{"reset", regexp.MustCompile(`@v`), regexp.MustCompile(`@v`), "a user variable that was set before the reset is NULL of another type than one that never was"},
}

// judge compares the lines of one cell.
func judge(cell string, plain, got []string) verdict {
	if len(plain) == 0 {
		return verdict{"wrong", "the program prints nothing for it on the plain server"}
	}
	if why, ok := strings.CutPrefix(plain[0], "- "); ok {
		return verdict{"none", why}
	}
	if i := slices.IndexFunc(plain, func(l string) bool { return strings.HasPrefix(l, "! ") }); i >= 0 {
		return verdict{"wrong", "on the plain server: " + plain[i]}
	}
	if slices.Equal(plain, got) {
		return verdict{state: "yes"}
	}
	i := 0
	for i < len(plain) && i < len(got) && plain[i] == got[i] {
		i++
	}
	want, line := "nothing more", "nothing more"
	if i < len(plain) {
		want = plain[i]
	}
	if i < len(got) {
		line = got[i]
	}
	if refusal.MatchString(line) || cell == "tool" && strings.Contains(line, "shardway: ") {
		_, text, _ := strings.Cut(line, "shardway: ")
		return verdict{"refused", text}
	}
	for _, g := range gaps {
		if g.cell == cell && g.want.MatchString(want) && g.got.MatchString(line) {
			return verdict{"differs", g.why}
		}
	}
	return verdict{"wrong", fmt.Sprintf("line %d\nis   %.1500s\nwant %.1500s", i+1, line, want)}
}

// compare runs a client on the plain server and on both layouts, and adds the
// verdicts to its row.
func (b *bench) compare(c client, r *row) {
	b.must(b.c.Exec(b.ctx, emptied(sharded)...))
	b.must(b.c.Plain.Exec(b.ctx, emptied(whole)...))
	b.must(b.c.Shards[0].Primary.Exec(b.ctx, emptied(whole)...))
	b.must(b.c.Sync(b.ctx))
	all := append([]target{b.plain}, b.layouts...)
	outputs, errs := make([]string, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for i, to := range all {
		wg.Go(func() { outputs[i], errs[i] = b.output(c, to) })
	}
	wg.Wait()
	for i, to := range all {
		if errs[i] != nil {
			b.Errorf("%s on %s: %v\n…%s", c.name, to.name, errs[i], outputs[i][max(0, len(outputs[i])-400):])
		}
	}
	plain, version := parsed(outputs[0], b.plain)
	if version == "" {
		b.Errorf("%s prints no version", c.name)
	}
	r.version = version
	for i, to := range b.layouts {
		got, _ := parsed(outputs[i+1], to)
		at := string(b.c.Flavor) + " " + to.name
		r.cells[at] = map[string]verdict{}
		for _, cell := range cells {
			if len(plain[cell.name]) == 0 && len(got[cell.name]) == 0 {
				r.cells[at][cell.name] = verdict{"none", ""}
				continue
			}
			v := judge(cell.name, plain[cell.name], got[cell.name])
			r.cells[at][cell.name] = v
			if v.state == "refused" || v.state == "differs" {
				b.Logf("%s on %s, %s: %s: %s", c.name, to.name, cell.name, v.state, v.why)
			}
			if v.state == "wrong" {
				b.Errorf("%s on %s, %s: %s", c.name, to.name, cell.name, v.why)
			}
		}
	}
}

// only chooses clients for work on them: a regular expression in MATRIX_ONLY.
func only() *regexp.Regexp { return regexp.MustCompile("(?i)" + os.Getenv("MATRIX_ONLY")) }

func TestMatrix(t *testing.T) {
	tools := newTools(t)
	var rows []*row
	whole := os.Getenv("MATRIX_ONLY") == ""
	for _, c := range clients() {
		if !only().MatchString(c.name) {
			continue
		}
		rows = append(rows, &row{client: c.name, missing: c.missing(tools), cells: map[string]map[string]verdict{}})
	}
	for _, f := range cluster.Flavors() {
		t.Run(string(f), func(t *testing.T) {
			if why := f.Missing(); why != "" {
				whole = false
				t.Skip(why)
			}
			b := newBench(t, f, tools)
			for _, c := range clients() {
				i := slices.IndexFunc(rows, func(r *row) bool { return r.client == c.name })
				if i < 0 {
					continue
				}
				r := rows[i]
				t.Run(c.name, func(t *testing.T) {
					if r.missing != "" {
						whole = false
						t.Skip(r.missing)
					}
					if c.not != nil && c.not(f) != "" {
						t.Skip(c.not(f))
					}
					began := time.Now()
					on := *b
					on.T = t
					on.compare(c, r)
					t.Logf("%s in %s", r.version, time.Since(began).Round(10*time.Millisecond))
				})
			}
		})
	}
	t.Log("note: " + summary(rows))
	if whole && !t.Failed() {
		checkTable(t, rows)
	}
}
