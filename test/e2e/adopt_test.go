package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardway/test/cluster"
)

// TestAdopt does what docs/adopt.md says: an application has sharded by id % 2 by hand. Its two databases come under
// Shardway without a row being moved, get 1,024 slots, and then a third shard, while it reads and writes.
func TestAdopt(t *testing.T) {
	t.Parallel()
	cluster.OnEach(t, true, 4*time.Minute, cluster.Of(cluster.Options{Shards: 3}), func(ctx context.Context, t *testing.T, c *cluster.Cluster) {
		e := &env{T: t, ctx: ctx, c: c, db: cluster.Data{Name: "shop"}}
		e.adopt()
	})
}

func (e *env) adopt() {
	const users = 600
	// What the application did: a user's rows are on the server id % 2.
	for i, sh := range e.c.Shards[:2] {
		e.must(sh.Primary.Exec(e.ctx, "CREATE DATABASE shop", "USE shop",
			"CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL)",
			"CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, total DECIMAL(10,2) NOT NULL, KEY (user_id))",
			"CREATE TABLE countries (code CHAR(2) PRIMARY KEY)", "INSERT INTO countries VALUES ('de'), ('fr')"))
		var names, orders []string
		for id := 1; id <= users; id++ {
			if id%2 == i {
				names = append(names, fmt.Sprintf("(%d, 'user %d')", id, id))
				orders = append(orders, fmt.Sprintf("(%d, %d, %d.50)", 2*id, id, id), fmt.Sprintf("(%d, %d, %d.25)", 2*id+1, id, id))
			}
		}
		e.must(sh.Primary.Exec(e.ctx, "INSERT INTO shop.users VALUES "+strings.Join(names, ","), "INSERT INTO shop.orders VALUES "+strings.Join(orders, ",")))
	}
	for _, sh := range e.c.Shards { // as docs/rebalance.md says
		e.must(sh.Primary.Exec(e.ctx, "CREATE USER mover IDENTIFIED BY 'secret'",
			"GRANT "+e.say("REPLICATION SLAVE, REPLICATION CLIENT, PROCESS, CONNECTION_ADMIN, XA_RECOVER_ADMIN, SESSION_VARIABLES_ADMIN",
				"REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR, PROCESS, CONNECTION ADMIN")+" ON *.* TO mover",
			"GRANT SELECT, INSERT, DELETE, CREATE, TRIGGER ON shop.* TO mover", "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON shardway.* TO mover"))
	}
	d := e.serveMap(nil, e.c.Map(`  shop:
    slots: 2
    owners: {s0: [0], s1: [1]}
    tables:
      users: {key: id, placement: mod, sequence: id}
      orders: {key: user_id, placement: mod, sequence: id}
      countries: {reference: true}
`))
	conf := filepath.Join(d.dir, "ctl.yaml")
	e.must(os.WriteFile(conf, []byte("map: "+filepath.Join(d.dir, "shards.yaml")+"\nservers: {user: shardway, password: secret}\nfailover: {user: mover, password: secret}\n"), 0o600))
	ctl := func(args ...string) {
		e.Helper()
		tool, err := toolBinary()
		e.must(err)
		out, err := exec.CommandContext(e.ctx, tool, append([]string{"-c", conf, "--yes"}, args...)...).CombinedOutput()
		if err != nil {
			e.Fatalf("shardctl %v: %v\n%s", args, err, out)
		}
	}
	db := e.open(d, nil)
	sums := func() (all string) {
		e.Helper()
		for _, q := range []string{"SELECT CONCAT(COUNT(*), ' ', SUM(id), ' ', SUM(LENGTH(name))) FROM users", "SELECT CONCAT(COUNT(*), ' ', SUM(id), ' ', SUM(total)) FROM orders", "SELECT CONCAT(COUNT(*), ' ', SUM(o.total)) FROM users u JOIN orders o ON o.user_id = u.id"} {
			var text string
			e.must(db.QueryRowContext(e.ctx, q).Scan(&text))
			all += text + "; "
		}
		return all
	}
	// Nothing was moved, and everything is found.
	ctl("verify")
	if got, want := sums(), "600 180300 4692; 1200 721800 361050.00; 1200 361050.00; "; got != want {
		e.Fatalf("through Shardway there is %s, want %s", got, want)
	}
	_, err := db.ExecContext(e.ctx, "INSERT INTO users (name) VALUES ('new'), ('newer')")
	e.must(err)
	before := sums()
	ctl("map", "expand", "512")
	ctl("verify")

	// The application goes on while the third shard takes its share.
	done, stop := make(chan error, 1), make(chan struct{})
	added := 0
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(5 * time.Millisecond):
			}
			res, err := db.ExecContext(e.ctx, "INSERT INTO users (name) VALUES ('while it moves')")
			if err == nil {
				var id int64
				if id, err = res.LastInsertId(); err == nil {
					_, err = db.ExecContext(e.ctx, "DELETE FROM users WHERE id = ?", id)
				}
			}
			if err != nil {
				done <- err
				return
			}
			added++
		}
	}()
	ctl("rebalance", "start", "--add", "s2")
	ctl("rebalance", "finish")
	close(stop)
	if err := <-done; err != nil {
		e.Errorf("the application saw %v", err)
	}
	ctl("verify")
	if got := sums(); got != before {
		e.Errorf("there is %s, and was %s", got, before)
	}
	for _, sh := range e.c.Shards {
		n, err := sh.Primary.Text(e.ctx, "SELECT COUNT(*) FROM shop.users")
		if e.must(err); len(n) != 3 || n[0] != '1' && n[0] != '2' {
			e.Errorf("%s has %s users of %d", sh.ID, n, users)
		}
	}
	e.Logf("note: %d rows came and went meanwhile", added)
}
