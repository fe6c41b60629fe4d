package main

import (
	"encoding/json"
	"strings"

	"shardway/shardmap/rebalance/audit"
)

// verifies makes everything wrong that verify looks for, and wants it found, put right where that can be, and left alone
// where it can't.
func verifies(s *servers) {
	if out := s.run(0, "verify"); !strings.Contains(out, "nothing is wrong") {
		s.Fatal(out)
	}
	s0, s1 := s.c.Shards[0].Primary, s.c.Shards[1].Primary
	users, orders, countries := s.sum("users"), s.sum("orders"), s.sum("countries")
	s.must(s1.Exec(s.ctx,
		"INSERT INTO shop.users SELECT id + 1024, CONCAT(name, ' déjà'), country, created FROM shop.users WHERE id = 600", // its own: slot 600
		"INSERT INTO shop.users VALUES (2048, 'misplaced', 'de', '2026-01-02 03:04:05')",                                  // slot 0 is of s0
		"UPDATE shop.countries SET name = 'Allemagne' WHERE code = 'de'", "DELETE FROM shop.countries WHERE code = 'us'", "INSERT INTO shop.countries VALUES ('xx', 'nowhere')",
		"CREATE TABLE shop.notes (id INT PRIMARY KEY)", "INSERT INTO shop.notes VALUES (1), (2)"))
	s.must(s0.Exec(s.ctx,
		"INSERT INTO shop.orders VALUES (900001, 700, 1.5, '2026-02-03')", // slot 700 is of s1
		"INSERT INTO shop.sessions VALUES ('twice', 1, '2026-02-02 08:00:00'), ('two versions', 1, '2026-02-02 08:00:00')",
		"CREATE DATABASE IF NOT EXISTS shardway",
		"CREATE TABLE IF NOT EXISTS shardway.sequences (name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, next BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
		"REPLACE INTO shardway.sequences VALUES ('shop.orders', 5)"))
	s.must(s1.Exec(s.ctx, "INSERT INTO shop.sessions VALUES ('twice', 1, '2026-02-02 08:00:00'), ('two versions', 2, '2026-02-02 08:00:00')"))

	report := s.verify(1)
	want := map[string]int{
		"misplaced users s1 s0": 1, "misplaced orders s0 s1": 1, "doubled sessions": 1, "differing sessions": 1,
		"copy countries s1 s0": 3, "unlisted notes s1 s0": 1, "behind orders s0 ": 1,
	}
	for _, f := range report.Findings {
		what := strings.Join([]string{string(f.Kind), f.Table, f.Shard, f.Owner}, " ")
		if f.Table == "sessions" { // whose these are depends on a checksum
			what = string(f.Kind) + " sessions"
		}
		want[what]--
		if f.Repaired {
			s.Errorf("%+v is repaired, and wasn't to be", f)
		}
	}
	for what, n := range want {
		if n != 0 {
			s.Errorf("%s: %d too few", what, n)
		}
	}
	s.wants(s.run(exitRefused, "verify", "--repair"), "no terminal to ask")
	s.wants(s.run(1, "verify", "--repair", "--yes"), "repaired", "another version", "9 findings, of which 7 are repaired")
	report = s.verify(1)
	if len(report.Findings) != 2 || report.Count != 2 {
		s.Errorf("after the repair: %+v", report.Findings)
	}
	for _, f := range report.Findings {
		if f.Kind != audit.Differing && f.Kind != audit.Unlisted {
			s.Errorf("after the repair: %+v", f)
		}
	}
	for _, q := range []string{"DELETE FROM shop.sessions WHERE token = 'two versions'", "DROP TABLE IF EXISTS shop.notes"} {
		s.must(s0.Exec(s.ctx, q))
		s.must(s1.Exec(s.ctx, q))
	}
	if out := s.run(0, "verify", "--database", "shop"); !strings.Contains(out, "nothing is wrong") {
		s.Error(out)
	}
	// What was there before and what was misplaced is there once, byte by byte.
	s.must(s0.Exec(s.ctx, "DELETE FROM shop.users WHERE id = 2048"))
	s.must(s1.Exec(s.ctx, "DELETE FROM shop.users WHERE id = 1624", "DELETE FROM shop.orders WHERE id = 900001"))
	if s.sum("users") != users || s.sum("orders") != orders || s.sum("countries") != countries {
		s.Error("rows are not as before")
	}
}

// verify wants that exit status and gives the report.
func (s *servers) verify(want int) (report audit.Report) {
	s.Helper()
	out := s.run(want, "verify", "--output", "json")
	s.must(json.NewDecoder(strings.NewReader(out)).Decode(&report))
	return report
}

// sum is what a table has on each shard, as a checksum.
func (s *servers) sum(table string) (all string) {
	s.Helper()
	columns := map[string]string{"users": "id, name, country, created", "orders": "id, user_id, total, placed", "countries": "code, name"}[table]
	for _, sh := range s.c.Shards[:2] {
		text, err := sh.Primary.Text(s.ctx, "SELECT CONCAT(COUNT(*), ' ', BIT_XOR(CAST(CONV(LEFT(SHA2(CONCAT_WS('|', "+columns+"), 256), 15), 16, 10) AS UNSIGNED))) FROM shop."+table)
		s.must(err)
		all += sh.ID + " " + text + "; "
	}
	return all
}
