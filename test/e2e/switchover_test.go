package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shardway/test/cluster"
)

// toolBinary is shardctl, built here.
var toolBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "swb")
	if err != nil {
		return "", err
	}
	atExit(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "shardctl")
	if out, err := exec.Command("go", "build", "-tags", tags, "-o", path, "shardway/cmd/shardctl").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build shardctl: %w\n%s", err, out)
	}
	return path, nil
})

// TestSwitchoverCommand makes a replica the primary and the old primary the
// primary again, as an operator does.
func TestSwitchoverCommand(t *testing.T) {
	onEach(t, "", nil, func(e *env) {
		tool, err := toolBinary()
		e.must(err)
		dir := e.TempDir()
		conf := filepath.Join(dir, "shardway.yaml")
		e.must(os.WriteFile(filepath.Join(dir, "shards.yaml"), []byte(e.c.Map("")), 0o600))
		e.must(os.WriteFile(filepath.Join(dir, "password"), []byte(cluster.Password+"\n"), 0o600))
		e.must(os.WriteFile(conf, fmt.Appendf(nil, "failover: {user: %s, password_file: password, replication_user: repl, replication_password: repl}\n", cluster.Operator), 0o600))
		run := func(args ...string) (string, int) {
			e.Helper()
			cmd := exec.CommandContext(e.ctx, tool, append([]string{"-c", conf, "switchover"}, args...)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				e.Fatal(err)
			}
			return string(out), cmd.ProcessState.ExitCode()
		}
		sh := e.c.Shards[0]
		home, other := sh.Primary.Addr, sh.Replicas[0].Addr
		// The other tests' maps begin with version 1 again, which the fence would keep out.
		e.Cleanup(func() {
			if err := errors.Join(sh.Primary.Exec(context.Background(), "DELETE FROM shardway.fence"), e.c.Sync(context.Background())); err != nil {
				e.Error(err)
			}
		})

		out, status := run("s0", "--to", other, "--dry-run")
		if status != 0 || !strings.Contains(out, "make "+home+" read-only") || !strings.HasSuffix(out, "nothing was changed: it was a dry run\n") {
			e.Errorf("status %d, %s", status, out)
		}
		if out, status := run("s0", "--to", other); status != 3 || !strings.Contains(out, "nothing was changed: ") {
			e.Errorf("status %d, %s", status, out)
		}
		if out, status := run("s0", "--to", other, "--user", cluster.User, "--yes"); status != 3 || !strings.Contains(out, "the account lacks rights") {
			e.Errorf("status %d, %s", status, out)
		}
		out, status = run("s0", "--to", other, "--yes")
		if status != 0 || !strings.Contains(out, "\nswitchover of s0 to "+other+" done: statements waited ") {
			e.Fatalf("status %d, %s", status, out)
		}
		e.Log(out)
		e.must(sh.Replicas[0].Exec(e.ctx, "CREATE DATABASE switched", "DROP DATABASE switched"))
		if got, err := sh.Primary.Text(e.ctx, "SELECT @@GLOBAL.read_only"); err != nil || got != "1" {
			e.Errorf("read_only of the old primary is %s, %v", got, err)
		}

		out, status = run("s0", "--to", home, "--yes", "--output", "json")
		var report struct {
			Done  bool   `json:"done"`
			To    string `json:"to"`
			Pause int64  `json:"pause_ns"`
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 || !report.Done || report.To != home || report.Pause <= 0 {
			e.Errorf("status %d, %v, %s", status, err, out)
		}
		e.must(e.c.Sync(e.ctx))
	})
}
