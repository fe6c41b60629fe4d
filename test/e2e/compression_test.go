package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

// TestCompression compresses the connections on both sides, with a driver and with the mysql shell.
func TestCompression(t *testing.T) {
	onBoth(t, "zipped", app, func(e *env) {
		if e.mysql() { // the race detector, slow with so many bytes, sees the same code on MariaDB
			e.binary = plainBinary
		}
		for _, server := range []string{"none", "zlib", "zstd"} {
			d := e.serve(settings{"servers": fmt.Sprintf("{user: shardway, password: secret, compression: %s}", server)})
			db := e.open(d, func(c *mysql.Config) { e.must(c.Apply(mysql.EnableCompression(true))) })
			for _, size := range []int{10, 1000, 100_000, 17 << 20} {
				long := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)
				var got []byte
				if err := db.QueryRowContext(e.ctx, "SELECT ? FROM users WHERE id = ?", long, 3).Scan(&got); err != nil || !bytes.Equal(got, long) {
					e.Errorf("servers %s: %d bytes came back as %d, %v", server, len(long), len(got), err)
				}
			}
			for i := range 20 {
				if _, err := db.ExecContext(e.ctx, fmt.Sprintf("REPLACE INTO sessions (token, user_id, data) VALUES ('z%d', 1, REPEAT('x', 5000))", i)); err != nil {
					e.Error(err)
				}
			}
			host, port, err := net.SplitHostPort(d.addr)
			e.must(err)
			if path, err := exec.LookPath("mysql"); err == nil {
				out, err := exec.Command(path, "--no-defaults", "-h", host, "-P", port, "-uapp", "-papp", "--protocol=tcp", "--compress",
					"-N", "-B", "-e", "SELECT REPEAT('y', 100000) FROM users WHERE id = 3; SELECT 41 + 1", e.db.Name).CombinedOutput()
				if text := string(out); err != nil || !strings.Contains(text, strings.Repeat("y", 100000)+"\n42\n") {
					e.Errorf("servers %s: the mysql shell with --compress: %.200q, %v", server, text, err)
				}
			}
			if e.mysql() {
				cmd := cluster.MySQL.Client("-h", host, "-P", port, "-uapp", "-papp", "--protocol=tcp", "--get-server-public-key",
					"--compression-algorithms=zstd", "-N", "-B", "-e", "SHOW STATUS LIKE 'Compression_algorithm'; SELECT REPEAT('y', 100000) FROM users WHERE id = 3; SELECT 41 + 1", e.db.Name)
				out, err := cmd.CombinedOutput()
				if text := string(out); err != nil || !strings.Contains(text, strings.Repeat("y", 100000)+"\n42\n") {
					e.Errorf("servers %s: the mysql shell with zstd: %.200q, %v", server, text, err)
				}
			}
			d.end()
		}
	})
}
