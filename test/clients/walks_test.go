package clients

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"shardway/test/cluster"
)

// address are the options that all of the servers' own tools share.
func (to target) address() []string {
	host, port, _ := strings.Cut(to.addr, ":")
	return []string{"--host=" + host, "--port=" + port, "--user=" + to.user, "--password=" + to.password}
}

// spoken is what a tool says about its version.
func spoken(cmd *exec.Cmd) string {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "unknown"
	}
	number := regexp.MustCompile(`\d+\.\d+(\.\d+)?(-MariaDB)?`)
	// MariaDB's tools name their own version before that of the distribution.
	if m := regexp.MustCompile(`(?:Distrib|Ver) ([0-9.]*\d+\.\d+\.\d+)`).FindAllSubmatch(out, -1); m != nil {
		return string(m[len(m)-1][1])
	}
	return number.FindString(string(out))
}

// lines puts the name of the cell in front of each line of a tool's output;
// a line with = alone begins another cell.
func lines(output, cell string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		if name, ok := strings.CutPrefix(line, "="); ok && regexp.MustCompile(`^[a-z0-9]+$`).MatchString(name) {
			cell = name
			continue
		}
		fmt.Fprintf(&b, "%s\t%s\n", cell, strings.ReplaceAll(line, "\t", `\t`))
	}
	return b.String()
}

// shell pipes the script into a shell, which goes on after errors.
func shell(f cluster.Flavor) func(*bench, target) (string, error) {
	return func(b *bench, to target) (string, error) {
		script, err := os.ReadFile(filepath.Join("shell", "matrix.sql"))
		if err != nil {
			return "", err
		}
		args := append(to.address(), "--ssl-ca="+b.c.TLS.CA, "--force", "--unbuffered", "-vv", "--column-names", "--default-character-set=utf8mb4", "--local-infile=1")
		if f == cluster.MySQL {
			args = append(args, "--ssl-mode=VERIFY_IDENTITY")
		} else {
			args = append(args, "--ssl-verify-server-cert")
		}
		cmd := f.Client(append(args, to.db)...)
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(string(script), "MATRIX_FILE", b.file))
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		// A shell that met an error says so by its status.
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
			return "", fmt.Errorf("%w\n%s", err, out.String())
		}
		var answers strings.Builder
		cell := "connect"
		for line := range strings.Lines(out.String()) {
			// The script marks the cells with rows; timings and places differ.
			line = regexp.MustCompile(` ?\(?\d+\.\d+ sec\)?| at line \d+`).ReplaceAllString(line, "")
			if strings.HasPrefix(line, "=") {
				cell = strings.TrimSpace(line[1:])
			}
			if strings.HasPrefix(line, "ERROR") && cell != "errors" {
				line = "! " + line
			}
			if !strings.HasPrefix(line, "Bye") && !strings.Contains(line, "'=") && !strings.HasPrefix(line, "mysql: [Warning]") {
				answers.WriteString(line)
			}
		}
		return "version\t" + spoken(f.Client("--version")) + "\n" + lines(answers.String(), "connect"), nil
	}
}

// dump dumps the database with its tables in the order of their keys, loads the
// dump again in place of what is there, and dumps what that made.
func dump(f cluster.Flavor) func(*bench, target) (string, error) {
	return func(b *bench, to target) (string, error) {
		name := map[cluster.Flavor]string{cluster.MariaDB: "mariadb-dump", cluster.MySQL: "mysqldump"}[f]
		version := "version\t" + spoken(f.Tool(name, "--version")) + "\n"
		args := append(to.address(), "--ssl-ca="+b.c.TLS.CA, "--single-transaction", "--skip-dump-date", "--skip-comments", "--skip-add-locks", "--order-by-primary", "--hex-blob", "--no-tablespaces")
		if f == cluster.MySQL {
			args = append(args, "--set-gtid-purged=OFF", "--column-statistics=0")
		}
		whole, said := piped(f.Tool(name, append(slices.Clone(args), "--routines", to.db)...), "")
		if said != "" {
			return version + lines("! "+said, "tool"), nil
		}
		text := regexp.MustCompile(`AUTO_INCREMENT=\d+ `).ReplaceAllString(whole, "")
		text = version + lines(regexp.MustCompile(`DEFINER=\S+`).ReplaceAllString(text, ""), "tool")
		// What is loaded has no routines: their DEFINER is root, and only root may say so. It hasn't the table either
		// that numbers its rows on each shard alone: Shardway creates none such.
		args = append(args, "--ignore-table="+to.db+".people", to.db)
		first, said := piped(f.Tool(name, args...), "")
		if said != "" {
			return text + lines("! "+said, "tool"), nil
		}
		if _, said := piped(f.Client(append(to.address(), "--ssl-ca="+b.c.TLS.CA, to.db)...), first); said != "" {
			return text + lines("! load: "+said, "tool"), nil
		}
		again, said := piped(f.Tool(name, args...), "")
		if said != "" {
			return text + lines("! dump again: "+said, "tool"), nil
		}
		return text + lines(change(first, again), "tool"), nil
	}
}

// piped runs a tool with a text as its input and returns what it printed, and
// what it said about its failure.
func piped(cmd *exec.Cmd, input string) (output, failure string) {
	var out, diagnostics strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &diagnostics
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Sprintf("%v: %s", err, strings.TrimSpace(strings.ReplaceAll(diagnostics.String(), "\n", " ")))
	}
	return out.String(), ""
}

// change says whether what was loaded is what was dumped.
func change(first, again string) string {
	before, after := strings.Split(first, "\n"), strings.Split(again, "\n")
	for i := range min(len(before), len(after)) {
		if before[i] != after[i] {
			return fmt.Sprintf("! loaded it is another, in line %d: %.300s, was %.300s", i+1, after[i], before[i])
		}
	}
	if len(before) != len(after) {
		return fmt.Sprintf("! loaded it has %d lines, had %d", len(after), len(before))
	}
	return "loaded it is the same"
}

// mydumper dumps the database, has myloader load it in place of what is there,
// and dumps that.
func mydumper(b *bench, to target) (string, error) {
	text := "version\t" + spoken(exec.Command("mydumper", "--version")) + "\n"
	dumped := func(options ...string) (dir, files, failure string) {
		dir, err := os.MkdirTemp(b.dir, "mydumper")
		if err != nil {
			return "", "", err.Error()
		}
		args := append(to.address(), "--database="+to.db, "--outputdir="+dir, "--threads=2", "--trx-consistency-only", "--no-locks", "--ssl", "--ca="+b.c.TLS.CA)
		out, err := exec.CommandContext(b.ctx, "mydumper", append(args, options...)...).CombinedOutput()
		if err != nil {
			return "", "", fmt.Sprintf("%v: %s", err, strings.ReplaceAll(string(out), "\n", " "))
		}
		files, err = written(dir)
		if err != nil {
			return "", "", err.Error()
		}
		for _, said := range regexp.MustCompile(`\*\* .*`).FindAllString(string(out), -1) {
			files += regexp.MustCompile(`:\d+\)|\d\d:\d\d:\d\d\.\d+`).ReplaceAllString(said, "") + "\n"
		}
		return dir, regexp.MustCompile(`AUTO_INCREMENT=\d+ `).ReplaceAllString(files, ""), ""
	}
	_, all, said := dumped()
	if said != "" {
		return text + lines("! "+said, "tool"), nil
	}
	text += lines(all, "tool")
	// Shardway creates no table that numbers its rows on each shard alone, as people does.
	const loaded = "--tables-list=files,kinds,sbtest1"
	dir, first, said := dumped(loaded)
	if said != "" {
		return text + lines("! "+said, "tool"), nil
	}
	// Without --enable-binlog no replica would hear of it.
	args := append(to.address(), "--database="+to.db, "--directory="+dir, "--overwrite-tables", "--enable-binlog", "--threads=2", "--ssl", "--ca="+b.c.TLS.CA)
	out, err := exec.CommandContext(b.ctx, "myloader", args...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "CRITICAL") || strings.Contains(string(out), "Error") {
		return text + lines(fmt.Sprintf("! myloader: %v: %s", err, strings.ReplaceAll(string(out), "\n", " ")), "tool"), nil
	}
	_, again, said := dumped(loaded)
	if said != "" {
		return text + lines("! dump again: "+said, "tool"), nil
	}
	return text + lines(change(first, again), "tool"), nil
}

// written are the files of a folder, each with its lines. Rows come in no
// order: mydumper asks for none.
func written(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	var all strings.Builder
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if !strings.Contains(path, "-schema") {
			rows := strings.Split(string(text), "\n")
			for i := range rows {
				rows[i] = strings.Trim(rows[i], ",;")
			}
			slices.Sort(rows)
			text = []byte(strings.Join(rows, "\n"))
		}
		fmt.Fprintf(&all, "%s\n%s\n", filepath.Base(path), text)
	}
	return all.String(), nil
}

// sysbench makes its table, runs its set of OLTP scripts with prepared
// statements, by the same seed everywhere, prints what was done, and drops the
// table.
func sysbench(b *bench, to target) (string, error) {
	host, port, _ := strings.Cut(to.addr, ":")
	text := "version\t" + spoken(exec.Command("sysbench", "--version")) + "\n"
	common := []string{
		"--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=" + to.user, "--mysql-password=" + to.password, "--mysql-db=" + to.db,
		"--db-ps-mode=auto", "--tables=1", "--table-size=200", "--threads=1", "--time=0", "--events=20", "--rand-seed=7", "--auto-inc=off",
	}
	counts := regexp.MustCompile(`(?m)^\s*(read|write|other|total|ignored errors|reconnects): +(\d+)`)
	steps := [][]string{{"oltp_read_write", "cleanup"}, {"oltp_read_write", "prepare"}}
	for _, script := range []string{
		"oltp_point_select", "oltp_update_index", "oltp_update_non_index", "oltp_delete", "oltp_insert", "oltp_read_only", "oltp_write_only", "oltp_read_write",
		"select_random_points", "select_random_ranges",
	} {
		steps = append(steps, []string{script, "run"})
	}
	for _, step := range append(steps, []string{"oltp_read_write", "cleanup"}) {
		name := strings.Join(step, " ")
		out, err := exec.CommandContext(b.ctx, "sysbench", append(slices.Clone(common), step...)...).CombinedOutput()
		if err != nil {
			refused := regexp.MustCompile(`(?m)^FATAL.*|^ERROR.*`).FindString(string(out))
			return text + lines("! "+name+": "+refused, "tool"), nil //nolint:nilerr // it is the answer
		}
		text += lines(name, "tool")
		for _, m := range counts.FindAllStringSubmatch(string(out), -1) {
			text += lines(m[1]+" "+m[2], "tool")
		}
	}
	return text, nil
}

// mysqltestProgram is the machine's, or what test/install put aside.
func mysqltestProgram(x *tools) string {
	if path, err := exec.LookPath("mysqltest"); err == nil {
		return path
	}
	return filepath.Join(x.cache, "mysqltest", "usr", "bin", "mariadb-test")
}

func mysqltestMissing(x *tools) string {
	if _, err := os.Stat(mysqltestProgram(x)); err != nil {
		return "mysqltest isn't installed: run make test-tools"
	}
	return ""
}

func mysqltest(b *bench, to target) (string, error) {
	program := mysqltestProgram(b.tools)
	dir, err := os.MkdirTemp(b.dir, "mysqltest")
	if err != nil {
		return "", err
	}
	script, err := filepath.Abs(filepath.Join("mysqltest", "matrix.test"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(b.ctx, program, append(append([]string{"--no-defaults"}, to.address()...), "--database="+to.db, "--test-file="+script, "--tmpdir="+dir, "--logdir="+dir, "--silent")...)
	cmd.Dir = dir
	var out, diagnostics strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	err = cmd.Run()
	text := "version\t" + spoken(exec.Command(program, "--version")) + "\n" + lines(out.String(), "connect")
	if err == nil {
		return text, nil
	}
	// It ends at the first error that the script doesn't expect.
	cell := "connect"
	for line := range strings.Lines(text) {
		cell, _, _ = strings.Cut(line, "\t")
	}
	return text + lines("! "+strings.ReplaceAll(strings.TrimSpace(diagnostics.String()), "\n", " "), cell), nil
}
