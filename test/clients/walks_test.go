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

// dump dumps the tables of one shard each in the order of their keys, and loads
// the dump again.
func dump(f cluster.Flavor) func(*bench, target) (string, error) {
	return func(b *bench, to target) (string, error) {
		name := map[cluster.Flavor]string{cluster.MariaDB: "mariadb-dump", cluster.MySQL: "mysqldump"}[f]
		tool := func(args ...string) *exec.Cmd { return f.Tool(name, args...) }
		version := "version\t" + spoken(tool("--version")) + "\n"
		args := append(to.address(), "--ssl-ca="+b.c.TLS.CA, "--single-transaction", "--skip-dump-date", "--skip-comments", "--order-by-primary", "--hex-blob", "--no-tablespaces", "--routines")
		if f == cluster.MySQL {
			args = append(args, "--set-gtid-purged=OFF", "--column-statistics=0")
		}
		out, diagnostics := strings.Builder{}, strings.Builder{}
		cmd := tool(append(args, to.db)...)
		cmd.Stdout, cmd.Stderr = &out, &diagnostics
		err := cmd.Run()
		text := regexp.MustCompile(`AUTO_INCREMENT=\d+ `).ReplaceAllString(out.String(), "")
		text = regexp.MustCompile(`DEFINER=\S+`).ReplaceAllString(text, "")
		if err != nil {
			return version + lines("! "+strings.TrimSpace(strings.ReplaceAll(diagnostics.String(), "\n", " ")), "tool"), nil //nolint:nilerr // it is the answer
		}
		return version + lines(text, "tool"), nil
	}
}

// mydumper dumps the database and lists what it wrote.
func mydumper(b *bench, to target) (string, error) {
	version := "version\t" + spoken(exec.Command("mydumper", "--version")) + "\n"
	dir, err := os.MkdirTemp(b.dir, "mydumper")
	if err != nil {
		return "", err
	}
	args := append(to.address(), "--database="+to.db, "--outputdir="+dir, "--threads=2", "--trx-consistency-only", "--no-locks", "--ssl", "--ca="+b.c.TLS.CA)
	out, err := exec.CommandContext(b.ctx, "mydumper", args...).CombinedOutput()
	if err != nil {
		return version + lines("! "+strings.ReplaceAll(string(out), "\n", " "), "tool"), nil //nolint:nilerr // it is the answer
	}
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
		fmt.Fprintf(&all, "%s\n%s\n", filepath.Base(path), text)
	}
	for _, said := range regexp.MustCompile(`\*\* .*`).FindAllString(string(out), -1) {
		fmt.Fprintln(&all, regexp.MustCompile(`:\d+\)|\d\d:\d\d:\d\d\.\d+`).ReplaceAllString(said, ""))
	}
	return version + lines(regexp.MustCompile(`AUTO_INCREMENT=\d+ `).ReplaceAllString(all.String(), ""), "tool"), nil
}

// sysbench runs its set of OLTP scripts with prepared statements, by the same
// seed everywhere, and prints what was done.
func sysbench(b *bench, to target) (string, error) {
	host, port, _ := strings.Cut(to.addr, ":")
	text := "version\t" + spoken(exec.Command("sysbench", "--version")) + "\n"
	common := []string{
		"--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=" + to.user, "--mysql-password=" + to.password, "--mysql-db=" + to.db,
		"--db-ps-mode=auto", "--tables=1", "--table-size=200", "--threads=1", "--time=0", "--events=20", "--rand-seed=7", "--auto-inc=off",
	}
	counts := regexp.MustCompile(`(?m)^\s*(read|write|other|total|ignored errors|reconnects): +(\d+)`)
	for _, script := range []string{
		"oltp_point_select", "oltp_update_index", "oltp_update_non_index", "oltp_delete", "oltp_read_only", "oltp_write_only", "oltp_read_write",
	} {
		out, err := exec.CommandContext(b.ctx, "sysbench", append(slices.Clone(common), script, "run")...).CombinedOutput()
		if err != nil {
			refused := regexp.MustCompile(`(?m)^FATAL.*|^ERROR.*`).FindString(string(out))
			return text + lines("! "+script+": "+refused, "tool"), nil //nolint:nilerr // it is the answer
		}
		text += lines(script, "tool")
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
