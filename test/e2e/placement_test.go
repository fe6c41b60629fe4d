package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"shardway/test/cluster"
)

// TestPlacement runs the map's own test of placement on a real server: for each
// literal and bound value, the rows that the server matches and stores are in
// the slot that the map says.
func TestPlacement(t *testing.T) {
	onBoth(t, "", nil, func(e *env) {
		variable := "SHARDWAY_TEST_MARIADB"
		if e.c.Flavor == cluster.MySQL {
			variable = "SHARDWAY_TEST_MYSQL"
		}
		cmd := exec.Command("go", "test", "-tags", tags, "-count=1", "-run", "^TestServers$/^"+string(e.c.Flavor)+"$", "-v", "shardway/shardmap")
		cmd.Env = append(os.Environ(), variable+"=root@unix("+e.c.Plain.Socket+")/")
		out, err := cmd.CombinedOutput()
		if n := strings.Count(string(out), "    --- PASS: TestServers/"+string(e.c.Flavor)+"/"); err != nil || n < 10 {
			e.Errorf("%v, %d kinds of columns passed\n%s", err, n, out)
		} else {
			e.Logf("note: placement is the server's own for %d kinds of columns", n)
		}
	})
}
