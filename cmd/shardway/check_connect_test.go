package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardway/test/cluster"
)

// checkHouse is a cluster and the files of a configuration for it.
type checkHouse struct {
	c    *cluster.Cluster
	dir  string
	maps string // the databases of the map
}

// check runs check --connect, and returns what it wrote with the addresses by
// their servers' names.
func (h *checkHouse) check(t *testing.T, args ...string) (int, string) {
	t.Helper()
	write(t, filepath.Join(h.dir, "shards.yaml"), h.c.Map(h.maps))
	status, out, errs := runIt(t, append([]string{"check", "-c", filepath.Join(h.dir, "shardway.yaml"), "--connect"}, args...)...)
	out += errs
	for _, s := range h.c.Servers() {
		out = strings.ReplaceAll(out, s.Addr, s.Name)
	}
	var b strings.Builder // without the table's padding
	for line := range strings.Lines(strings.ReplaceAll(out, h.dir, "DIR")) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return status, b.String()
}

func expectAll(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%q isn't in\n%s", w, out)
		}
	}
}

func TestCheckConnect(t *testing.T) {
	for _, f := range cluster.Flavors() {
		t.Run(string(f), func(t *testing.T) {
			if why := f.Missing(); why != "" {
				t.Skip(why)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			c, err := cluster.Start(ctx, cluster.Options{Flavor: f, Shards: 2, Replicas: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}()
			shop := cluster.Shop()
			if err := c.Load(ctx, shop); err != nil {
				t.Fatal(err)
			}
			h := &checkHouse{c: c, dir: t.TempDir()}
			h.maps = strings.Replace(shop.Map(c.Shards), "placement: crc32}", "placement: crc32, fold: rtrim}", 1)
			write(t, filepath.Join(h.dir, "shardway.yaml"), fmt.Sprintf(
				"users: {app: {password: app}}\nservers: {user: shardway, password: secret, tls: {mode: verify-identity, ca: %s}}\nreplicas: {causal_reads: off}\ntransactions: {cross_shard: forbid}\npool: {max_per_server: 20}\nlimits: {max_packet: 1MiB}\n", c.TLS.CA))
			t.Run("healthy", func(t *testing.T) { h.healthy(t) })
			t.Run("tables", func(t *testing.T) { h.tables(ctx, t) })
			t.Run("keys", func(t *testing.T) { h.keys(ctx, t) })
			t.Run("roles", func(t *testing.T) { h.roles(ctx, t) })
			t.Run("logins", func(t *testing.T) { h.logins(ctx, t) })
		})
	}
}

func (h *checkHouse) healthy(t *testing.T) {
	status, out := h.check(t)
	if status != 0 {
		t.Errorf("status %d", status)
	}
	expectAll(t, out,
		"ok DIR/shards.yaml map version 1: 2 shards, 1 database, 4 listed tables",
		"ok s0 s0p login "+"", "ok s1 s1r1 login ",
		"ok s0 s0p role primary, takes writes, binary log with GTIDs",
		"ok s1 s1r1 replication follows s1p, lag ",
		"ok s0 s0r1 privileges may read and write the map's databases",
		"ok s0 s0p connections 20 of at most ",
		"ok all servers alike version, sql_mode, time zone, character set and isolation are the same",
		"ok shop.users table the same on 2 shards",
		"ok shop.users key id is bigint", ", which fits placement mod",
		"ok shop.sessions key token is varchar(64) ascii_bin, which fits placement crc32",
		"ok shop.sessions unique the key token is in every unique index",
		"ok shop.countries table the same on 2 shards",
		"warn shop.orders unique PRIMARY (id) doesn't hold the key user_id, so it is unique on each shard only",
		"ok shop.users unique the key id is in every unique index",
		"ok s0 s0p sequences of shop.orders, shop.users can be kept in shardway.sequences",
		" 0 failures",
	)
	if status, out = h.check(t, "--output", "json"); status != 0 || !strings.Contains(out, `"failures": 0`) {
		t.Errorf("as JSON: %d %s", status, out)
	}
}

func (h *checkHouse) tables(ctx context.Context, t *testing.T) {
	s0, s1 := h.c.Shards[0].Primary, h.c.Shards[1].Primary
	for _, step := range []struct {
		s    *cluster.Server
		text string
	}{
		{s1, "ALTER TABLE shop.users MODIFY name VARCHAR(81) NOT NULL"},
		{s1, "RENAME TABLE shop.countries TO shop.lands"},
		{s0, "CREATE VIEW shop.rich AS SELECT user_id FROM shop.orders WHERE total > 90"},
		{s0, "CREATE TRIGGER shop.seen AFTER INSERT ON shop.settings FOR EACH ROW DELETE FROM shop.sessions WHERE token = ''"},
		{s0, "ALTER TABLE shop.users AUTO_INCREMENT = 4711"},
	} {
		if err := step.s.Exec(ctx, step.text); err != nil {
			t.Fatal(step.text, err)
		}
	}
	status, out := h.check(t)
	if status != 1 {
		t.Errorf("status %d", status)
	}
	expectAll(t, out,
		"fail shop.users table differs between s0 s0p and s1 s1p\n`name` varchar(80)", "`name` varchar(81)", "-> ALTER TABLE on one of the shards",
		"fail s1 s1p table shop.countries is missing on shard s1", "-> create it there as on the other shards",
		"warn shop.rich stored this view names the sharded table orders, and sees the rows of shard s0 only",
		"warn shop.seen stored this trigger names the sharded table sessions",
		" 2 failures")
	for _, s := range []string{"DROP VIEW shop.rich", "DROP TRIGGER shop.seen"} {
		if err := s0.Exec(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := s1.Exec(ctx, "ALTER TABLE shop.users MODIFY name VARCHAR(80) NOT NULL", "RENAME TABLE shop.lands TO shop.countries"); err != nil {
		t.Fatal(err)
	}
	if status, out = h.check(t); status != 0 {
		t.Errorf("mended, but: %s", out)
	}
}

func (h *checkHouse) keys(_ context.Context, t *testing.T) {
	good := h.maps
	defer func() { h.maps = good }()
	h.maps = strings.NewReplacer("key: token, placement: crc32, fold: rtrim", "key: token, placement: crc32", "key: id,", "key: ident,", "key: user_id, placement: mod", "key: total, placement: mod").Replace(good)
	status, out := h.check(t)
	if status != 1 {
		t.Errorf("status %d", status)
	}
	expectAll(t, out,
		"fail shop.sessions key token is varchar(64) ascii_bin: its equality ignores spaces at the end\n-> add fold: rtrim to the map",
		"fail shop.users key has no column ident\n-> correct key in the map, or add the column",
		"fail shop.orders key total is decimal(10,2): placement mod is for integers",
		" 3 failures")
}

func (h *checkHouse) roles(ctx context.Context, t *testing.T) {
	s0, s1 := h.c.Shards[0], h.c.Shards[1]
	if err := s0.Primary.Exec(ctx, "SET GLOBAL read_only = ON"); err != nil {
		t.Fatal(err)
	}
	stop, start := "STOP REPLICA", "START REPLICA"
	if err := s1.Replicas[0].Exec(ctx, stop, "SET GLOBAL read_only = OFF"); err != nil {
		t.Fatal(err)
	}
	status, out := h.check(t)
	expectAll(t, out,
		"fail s0 s0p role is the primary, but is read-only\n-> SET GLOBAL read_only = OFF there, or name the true primary in the map",
		"warn s1 s1r1 role is a replica, but takes writes of others",
		"fail s1 s1r1 replication doesn't run (receiver: No, applier: No)",
		" 2 failures")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	if err := s0.Primary.Exec(ctx, "SET GLOBAL super_read_only = OFF"); err != nil && h.c.Flavor == cluster.MySQL {
		t.Fatal(err)
	}
	if err := s0.Primary.Exec(ctx, "SET GLOBAL read_only = OFF"); err != nil {
		t.Fatal(err)
	}
	if err := s1.Replicas[0].Exec(ctx, start, "SET GLOBAL read_only = ON"); err != nil {
		t.Fatal(err)
	}
	// The map names each shard's replica under the other shard.
	s0.Replicas, s1.Replicas = s1.Replicas, s0.Replicas
	_, out = h.check(t)
	s0.Replicas, s1.Replicas = s1.Replicas, s0.Replicas
	expectAll(t, out, "fail s0 s1r1 replication follows ", ", which isn't the primary of shard s0 (s0p, server_id ")
	// The map takes the replica for the primary, as it does after a failover that
	// nobody wrote into it.
	r := s0.Replicas
	s0.Primary, s0.Replicas = r[0], []*cluster.Server{s0.Primary}
	_, out = h.check(t)
	s0.Primary, s0.Replicas = s0.Replicas[0], r
	expectAll(t, out,
		"fail s0 s0r1 role is the primary, but is read-only",
		"fail s0 s0p replication is named as a replica, but replicates from nothing",
		"warn s0 s0p role is a replica, but takes writes of others")
}

func (h *checkHouse) logins(ctx context.Context, t *testing.T) {
	status, out := h.check(t, "--servers-user=nobody")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	expectAll(t, out, "fail s0 s0p login Error 1045", "-> create the account there, CREATE USER 'nobody'@'%' IDENTIFIED BY '…', or correct servers.user and servers.password")
	other, err := cluster.Certificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, out = h.check(t, "--servers-tls-ca="+other.CA)
	expectAll(t, out, "fail s0 s0p login ", "certificate", "-> set servers.tls.ca to the authority of the servers' certificates")
	for _, mode := range []string{"disabled", "preferred", "required", "verify-ca"} {
		if status, out := h.check(t, "--servers-tls-mode="+mode); status != 0 {
			t.Errorf("tls %s: %s", mode, out)
		}
	}
	h.documented(ctx, t)
	// A user with few rights, and a server that is away.
	if err := h.c.Shards[0].Primary.Exec(ctx, "CREATE USER poor@'%' IDENTIFIED BY 'secret'", "GRANT SELECT ON shop.* TO poor@'%'"); err != nil {
		t.Fatal(err)
	}
	if err := h.c.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.c.Shards[1].Primary.Kill(); err != nil {
		t.Fatal(err)
	}
	_, out = h.check(t, "--servers-user=poor", "--pool-max-per-server=100000", "--limits-max-packet=1GiB")
	expectAll(t, out,
		"ok s0 s0p login ",
		"warn s0 s0p privileges lacks INSERT, UPDATE, DELETE on shop, so clients can't have them either\n-> GRANT ALL ON `shop`.* TO 'poor'@'%'",
		"fail s0 s0r1 replication the lag can't be asked for, so with replicas.max_lag = 5s it serves no reads: Error 1227",
		"warn s0 s0p sequences lacks CREATE on shardway.*, so rows of shop.orders, shop.users can't be numbered\n-> GRANT ALL ON shardway.* TO 'poor'@'%'",
		"warn s0 s0p connections allows ", "but one proxy may want 100002",
		"less than limits.max_packet = 1GiB",
		"fail s1 s1p login dial tcp s1p: connect: connection refused\n-> start the server, or correct its address in the map",
		"shop.users table the same on 1 shard")
}

// documented checks that the account of docs/getting-started.md has all that is needed, and no more than is good.
func (h *checkHouse) documented(ctx context.Context, t *testing.T) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(guide), map[cluster.Flavor]string{cluster.MySQL: "primary, MySQL:\n\n```sql\n", cluster.MariaDB: "primary, MariaDB:\n\n```sql\n"}[h.c.Flavor])
	text, _, _ = strings.Cut(text, "```")
	statements := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "'shardway'@'10.0.%'", "'documented'@'%'")), ";\n")
	if len(statements) < 4 {
		t.Fatalf("docs/getting-started.md has no account for %s", h.c.Flavor)
	}
	for _, shard := range h.c.Shards {
		for _, statement := range statements {
			if err := shard.Primary.Exec(ctx, strings.TrimSuffix(statement, ";")); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	if err := h.c.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	status, out := h.check(t, "--servers-user=documented", "--transactions-cross-shard=atomic")
	if status != 0 || strings.Contains(out, "documented'@'%'") {
		t.Errorf("the documented account: status %d\n%s", status, out)
	}
	expectAll(t, out, "ok s0 s0p heartbeat ", "ok s1 s1p transactions ", "ok s0 s0r1 privileges ", "ok s0 s0p sequences ")
}
