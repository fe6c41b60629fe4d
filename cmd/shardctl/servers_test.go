package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardway/shardmap/etcdstore"
	"shardway/shardmap/stores"
	"shardway/test/cluster"
)

// TestServers runs rebalance on real servers. It needs them, so `make test` runs
// it apart.
func TestServers(t *testing.T) {
	for _, f := range cluster.Flavors() {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel() // each kind has servers of its own
			if why := f.Missing(); why != "" {
				t.Skip(why)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			s := start(ctx, t, f)
			for _, test := range []struct {
				name string
				run  func(*servers)
			}{
				{"plan", plans},
				{"refused", refuses},
				{"start and undo", startsAndUndoes},
				{"start and finish", startsAndFinishes},
				{"by hand", byHand},
				{"cancel", cancels},
				{"verify", verifies},
			} {
				if !t.Run(test.name, func(t *testing.T) {
					one := *s
					one.T = t
					test.run(&one)
				}) {
					return // the servers are in an unknown state
				}
			}
		})
	}
}

// grants makes the account that docs/rebalance.md describes, with the rights that
// it lists and no others.
func grants(f cluster.Flavor) []string {
	account, global := "CREATE USER mover IDENTIFIED BY 'secret'", "REPLICATION SLAVE, REPLICATION CLIENT, PROCESS, CONNECTION_ADMIN, XA_RECOVER_ADMIN, SESSION_VARIABLES_ADMIN"
	if f == cluster.MariaDB {
		global = "REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR, PROCESS, CONNECTION ADMIN"
	}
	return []string{
		account, "GRANT " + global + " ON *.* TO mover",
		"GRANT SELECT, INSERT, DELETE, CREATE, TRIGGER ON shop.* TO mover",
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON shardway.* TO mover",
	}
}

type servers struct {
	*testing.T
	ctx    context.Context
	c      *cluster.Cluster
	config string
	store  stores.Store
}

// start makes two shards with rows, and a third without.
func start(ctx context.Context, t *testing.T, f cluster.Flavor) *servers {
	replicas := 0 // starting servers is what takes time
	if f == cluster.MariaDB {
		replicas = 1
	}
	c, err := cluster.Start(ctx, cluster.Options{Flavor: f, Shards: 3, Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the servers are killed
	s := &servers{T: t, ctx: ctx, c: c}
	d := cluster.Shop()
	d.Shards = 2
	s.must(c.Load(ctx, d))
	for _, sh := range c.Shards {
		s.must(sh.Primary.Exec(ctx, grants(f)...))
	}
	s.must(c.Sync(ctx))
	dir := t.TempDir()
	s.config = filepath.Join(dir, "shardway.yaml")
	s.must(os.WriteFile(filepath.Join(dir, "shards.yaml"), []byte(c.Map(d.Map(c.Shards))), 0o600))
	s.must(os.WriteFile(s.config, []byte("map: "+filepath.Join(dir, "shards.yaml")+"\nservers: {user: shardway, password: secret}\nfailover: {user: mover, password: secret}\n"), 0o600))
	s.store, err = stores.Open(filepath.Join(dir, "shards.yaml"), etcdstore.Options{})
	s.must(err)
	t.Cleanup(func() { s.must(s.store.Close()) })
	return s
}

func (s *servers) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// run runs shardctl and wants that exit status.
func (s *servers) run(want int, args ...string) string {
	s.Helper()
	var out, errs bytes.Buffer
	err := run(s.ctx, append([]string{"-c", s.config}, args...), strings.NewReader(""), &out, &errs)
	if got := status(err, &errs); got != want {
		s.Fatalf("shardctl %s ended with status %d, want %d\n%s%s", strings.Join(args, " "), got, want, &out, &errs)
	}
	s.Logf("shardctl %s\n%s%s", strings.Join(args, " "), &out, &errs)
	return out.String() + errs.String()
}

func (s *servers) wants(text string, parts ...string) {
	s.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.Errorf("%q isn't in\n%s", part, text)
		}
	}
}

// count counts rows on a shard.
func (s *servers) count(shard int, what string) string {
	s.Helper()
	n, err := s.c.Shards[shard].Primary.Text(s.ctx, "SELECT COUNT(*) FROM shop."+what)
	s.must(err)
	return n
}

func plans(s *servers) {
	out := s.run(0, "rebalance", "plan", "--add", "s2", "--dry-run")
	s.wants(out, "s0    s2", "s2     0 -> 3", "shop.orders: unique indexes: no value of index PRIMARY collides on s2", "it was a dry run")
	out = s.run(exitRefused, "rebalance", "plan", "--add", "s2")
	s.wants(out, "no terminal to ask")
	var p planned
	s.must(json.Unmarshal([]byte(s.run(0, "rebalance", "plan", "--isolate", "shop.users:42", "--output", "json", "--yes")), &p))
	if !p.Stored || p.Rebalance != "r2" || len(p.Moves) != 1 || p.Moves[0].Slots != 1 || p.Moves[0].Ranges[0] != "42" || p.Moves[0].To != "s2" || !p.Exact {
		s.Errorf("the plan is %+v", p)
	}
	s.wants(s.run(0, "rebalance", "status"), "r2.1  shop      s0    s2  planned")
	s.wants(s.run(exitRefused, "rebalance", "plan", "--add", "s2", "--yes"), "move r2.1 of database shop, from s0 to s2, is planned")
	s.wants(s.run(0, "rebalance", "cancel", "--yes"), "the plan is forgotten")
	s.wants(s.run(0, "rebalance", "status"), "no rebalance is planned or under way")
}

// refuses makes everything wrong that can be made wrong, and looks whether it is
// found.
func refuses(s *servers) {
	s0, s2 := s.c.Shards[0].Primary, s.c.Shards[2].Primary
	type wrong struct {
		name       string
		on         *cluster.Server
		make, mend []string
		want       []string
	}
	list := []wrong{
		{
			"a trigger", s0,
			[]string{"CREATE TRIGGER shop.t BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.total = 1"},
			[]string{"DROP TRIGGER shop.t"},
			[]string{"shop.orders: triggers: on s0: trigger t", "DROP TRIGGER t"},
		},
		{
			"a foreign key", s0,
			[]string{"ALTER TABLE shop.orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES shop.users (id) ON DELETE CASCADE"},
			[]string{"ALTER TABLE shop.orders DROP FOREIGN KEY f"},
			[]string{"foreign key f has ON DELETE CASCADE"},
		},
		{
			"a foreign key from outside", s0,
			[]string{"CREATE TABLE shop.notes (id INT PRIMARY KEY, user_id BIGINT, CONSTRAINT g FOREIGN KEY (user_id) REFERENCES shop.users (id))"},
			[]string{"DROP TABLE shop.notes"},
			[]string{"shop.users: foreign keys: on s0: foreign key g of shop.notes"},
		},
		{
			"no primary key", s0,
			[]string{"ALTER TABLE shop.sessions DROP PRIMARY KEY"},
			[]string{"ALTER TABLE shop.sessions ADD PRIMARY KEY (token)"},
			[]string{"shop.sessions: shape: on s0: it has no primary key"},
		},
		{
			"another shape", s2,
			[]string{"ALTER TABLE shop.users ADD COLUMN extra INT"},
			[]string{"ALTER TABLE shop.users DROP COLUMN extra"},
			[]string{"shop.users: shape: it isn't the same on s0 and s2"},
		},
		{
			"a collision", s2,
			[]string{"INSERT INTO shop.orders (id, user_id, total, placed) VALUES (378, 800, 1, '2026-01-01')"},
			[]string{"DELETE FROM shop.orders"},
			[]string{"rows on s0 and on s2 have the same values in index PRIMARY: (378)"},
		},
		{
			"rows of the slots", s2,
			[]string{"INSERT INTO shop.users (id, name, country) VALUES (126, 'stray', 'de')"},
			[]string{"DELETE FROM shop.users"},
			[]string{"shop.users: empty slots: s2 has rows in the moved slots already, which s0 owns"},
		},
		{
			"statements in the binary log", s2,
			[]string{"SET GLOBAL binlog_format = 'MIXED'"},
			[]string{"SET GLOBAL binlog_format = 'ROW'"},
			[]string{"binlog_format is MIXED", "SET GLOBAL binlog_format = 'ROW'"},
		},
		{
			"a prepared branch", s0,
			[]string{"XA START 'forgotten'", "INSERT INTO shop.settings VALUES ('x','y')", "XA END 'forgotten'", "XA PREPARE 'forgotten'"},
			[]string{"XA ROLLBACK 'forgotten'"},
			[]string{`the branch "forgotten" is prepared and doesn't end`},
		},
		{
			"no rights", s0,
			[]string{"REVOKE REPLICATION SLAVE, PROCESS ON *.* FROM mover", "REVOKE DELETE ON shop.* FROM mover"},
			[]string{"GRANT REPLICATION SLAVE, PROCESS ON *.* TO mover", "GRANT DELETE ON shop.* TO mover"},
			[]string{"GRANT REPLICATION SLAVE, PROCESS ON *.* TO mover", "GRANT DELETE ON `shop`.* TO mover"},
		},
	}
	if s.c.Flavor == cluster.MariaDB {
		list = append(list, wrong{
			"a stopped replica", s.c.Shards[2].Replicas[0],
			[]string{"STOP SLAVE"},
			[]string{"START SLAVE"},
			[]string{"its replication doesn't run", "a switch waits until it has all"},
		})
	}
	for _, c := range list {
		s.must(c.on.Exec(s.ctx, c.make...))
		out := s.run(exitRefused, "rebalance", "plan", "--move", "126:s2", "--yes")
		s.must(c.on.Exec(s.ctx, c.mend...))
		_, refusal, _ := strings.Cut(out, "refused, and nothing was changed")
		for _, want := range c.want {
			if !strings.Contains(refusal, want) {
				s.Errorf("%s: %q isn't in\n%s", c.name, want, out)
			}
		}
	}
	if m, err := s.store.Load(s.ctx); err != nil || m.Version() != 3 {
		s.Errorf("the map was changed: %v", fmt.Sprint(m.Version(), err))
	}
}

// shares wants that many users on each shard.
func (s *servers) shares(want ...string) {
	s.Helper()
	for i, n := range want {
		if got := s.count(i, "users"); got != n {
			s.Errorf("s%d has %s users, want %s", i, got, n)
		}
	}
}

func (s *servers) owner(slot int) string {
	s.Helper()
	m, err := s.store.Load(s.ctx)
	s.must(err)
	return m.Database("shop").Owner(slot).ID
}

func startsAndUndoes(s *servers) {
	before := []string{s.count(0, "users"), s.count(1, "users"), s.count(2, "users")}
	out := s.run(0, "rebalance", "start", "--move", "0-63:s2", "--yes")
	s.wants(out, ".1 shop s0>s2 copying", "s2 took over, statements for the slots waited", "undo", "goes back")
	if s.owner(0) != "s2" || s.owner(64) != "s0" || s.count(2, "users") != "63" || s.count(0, "users") != before[0] {
		s.Errorf("slot 0 is of %s, slot 64 of %s, s2 has %s users", s.owner(0), s.owner(64), s.count(2, "users"))
	}
	s.wants(s.run(0, "rebalance", "status"), "moved", "is run by")
	s.must(s.c.Shards[2].Primary.Exec(s.ctx, "UPDATE shop.users SET name = 'changed since' WHERE id = 5"))
	s.must(s.c.Shards[0].Primary.Exec(s.ctx, "UPDATE shop.users SET name = 'past the proxies' WHERE id = 7"))
	s.wants(s.run(1, "rebalance", "finish", "--yes"), "stray: users (7)", "past the proxies")
	s.wants(s.run(exitRefused, "rebalance", "undo", "--yes"), "stray: users (7)", "--allow-strays")
	s.wants(s.run(0, "rebalance", "undo", "--yes", "--allow-strays"), "s0 took over", "is done")
	s.shares(before...)
	name, err := s.c.Shards[0].Primary.Text(s.ctx, "SELECT name FROM shop.users WHERE id = 5")
	if s.must(err); name != "changed since" || s.owner(0) != "s0" {
		s.Errorf("after undo the name is %q, and slot 0 of %s", name, s.owner(0))
	}
}

func startsAndFinishes(s *servers) {
	s.run(0, "rebalance", "plan", "--isolate", "shop.users:42", "--yes")
	s.run(0, "rebalance", "start", "--yes")
	if s.owner(42) != "s2" || s.count(2, "orders") != "3" {
		s.Errorf("slot 42 is of %s, s2 has %s orders", s.owner(42), s.count(2, "orders"))
	}
	s.wants(s.run(exitRefused, "rebalance", "finish"), "no terminal to ask")
	var report struct {
		Moves []struct{ Phase string }
		Error string
	}
	var out, errs bytes.Buffer
	s.must(run(s.ctx, []string{"-c", s.config, "rebalance", "finish", "--yes", "--output", "json"}, strings.NewReader(""), &out, &errs))
	s.must(json.Unmarshal(out.Bytes(), &report))
	if len(report.Moves) != 1 || report.Moves[0].Phase != "done" || report.Error != "" {
		s.Errorf("the report is %s", &out)
	}
	if n := s.count(0, "users WHERE id = 42"); n != "0" {
		s.Errorf("s0 has %s rows of the key that moved", n)
	}
	s.shares("510", "489", "1")
}

// background runs shardctl until the test waits for it.
func (s *servers) background(args ...string) (wait func(want int) string) {
	var out, errs bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- run(s.ctx, append([]string{"-c", s.config}, args...), strings.NewReader(""), &out, &errs)
	}()
	return func(want int) string {
		s.Helper()
		err := <-done
		if got := status(err, &errs); got != want {
			s.Fatalf("shardctl %s ended with status %d, want %d\n%s%s", strings.Join(args, " "), got, want, &out, &errs)
		}
		return out.String() + errs.String()
	}
}

// phase waits until each move is in a phase.
func (s *servers) phase(want string) {
	s.Helper()
	for last := ""; ; {
		var errs, out bytes.Buffer
		s.must(run(s.ctx, []string{"-c", s.config, "rebalance", "status", "--output", "json"}, strings.NewReader(""), &out, &errs))
		var report struct {
			Rebalances []struct{ Moves []struct{ Phase string } }
		}
		s.must(json.Unmarshal(out.Bytes(), &report))
		last = out.String()
		reached := len(report.Rebalances) > 0
		for _, r := range report.Rebalances {
			for _, v := range r.Moves {
				reached = reached && v.Phase == want
			}
		}
		if reached {
			return
		}
		select {
		case <-s.ctx.Done():
			s.Fatalf("it doesn't come to %s:\n%s", want, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func byHand(s *servers) {
	engine := s.background("rebalance", "start", "--drain", "s2", "--manual", "--yes")
	s.phase("level")
	s.run(0, "rebalance", "pause")
	s.wants(s.run(0, "rebalance", "status"), "(held)")
	s.wants(s.run(0, "rebalance", "resume"), "watching it")
	if s.owner(42) != "s2" {
		s.Errorf("slot 42 is of %s before the takeover", s.owner(42))
	}
	s.wants(s.run(0, "rebalance", "cutover"), "watching it", "has moved")
	if s.owner(42) == "s2" {
		s.Error("slot 42 is of s2 after the takeover")
	}
	s.wants(s.run(0, "rebalance", "finish", "--yes"), "is done")
	s.wants(engine(0), "is done")
	if n := s.count(2, "users"); n != "0" {
		s.Errorf("s2 has %s users", n)
	}
}

func cancels(s *servers) {
	before := []string{s.count(0, "users"), s.count(1, "users"), s.count(2, "users")}
	engine := s.background("rebalance", "start", "--even", "--move", "0:s1")
	s.wants(engine(exitUsage), "ask for one")
	engine = s.background("rebalance", "start", "--move", "512-520:s2", "--manual", "--yes", "--limit", "1000")
	s.phase("level")
	s.wants(s.run(0, "rebalance", "cancel", "--yes"), "is done")
	s.wants(engine(0), "is done")
	s.shares(before...)
	if m, err := s.store.Load(s.ctx); err != nil || len(m.Database("shop").Moves()) > 0 {
		s.Errorf("moves are left: %v", err)
	}
}
