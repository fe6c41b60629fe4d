package main

import (
	"testing"

	"shardway/config"
	"shardway/shardmap"
)

func TestCheckOfSeveralShards(t *testing.T) {
	m, err := shardmap.Parse([]byte("version: 1\nshards: {s0: {primary: \"a:1\"}, s1: {primary: \"b:1\"}}\ndatabases:\n  shop:\n    slots: 2\n" +
		"    owners: {s0: [\"0\"], s1: [\"1\"]}\n    default_shard: s0\n    tables: {users: {key: id, placement: mod, sequence: id}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	const temporary = "GRANT SELECT, CREATE TEMPORARY TABLES ON `shop`.* TO `u`@`%`"
	for _, c := range []struct {
		name, shard, format string
		mariadb, readOnly   bool
		grants              []string
		gather, sequence    string // the level and the text; "" for none
	}{
		{"nothing granted", "s0", "ROW", false, false, []string{"GRANT USAGE ON *.* TO `u`@`%`"}, "lacks CREATE TEMPORARY TABLES on shop", "lacks CREATE on shardway.*"},
		{"all that is needed", "s0", "ROW", false, false, []string{temporary, "GRANT ALL PRIVILEGES ON `shardway`.* TO `u`@`%`"}, "", "ok"},
		{"numbers are on another shard", "s1", "ROW", false, false, []string{temporary}, "", ""},
		{"MySQL's MIXED", "s1", "MIXED", false, false, []string{temporary}, "", ""},
		{"MySQL's STATEMENT", "s1", "STATEMENT", false, false, []string{temporary}, "would write temporary tables", ""},
		{"MySQL's STATEMENT with the right", "s1", "STATEMENT", false, false, []string{temporary, "GRANT SESSION_VARIABLES_ADMIN ON *.* TO `u`@`%`"}, "", ""},
		{"MariaDB's MIXED", "s1", "MIXED", true, false, []string{temporary}, "would write temporary tables", ""},
		{"MariaDB's MIXED with the right", "s1", "MIXED", true, false, []string{temporary, "GRANT BINLOG ADMIN ON *.* TO `u`@`%`"}, "", ""},
		{"a read-only MariaDB", "s1", "MIXED", true, true, []string{temporary}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &server{
				shard: m.Shard(c.shard), addr: "a:1", primary: true, mariadb: c.mariadb, grants: c.grants,
				vars: map[string]string{"log_bin": "ON", "binlog_format": c.format, "read_only": map[bool]string{true: "ON", false: "OFF"}[c.readOnly]},
			}
			r := &report{}
			checkGathered(r, s, &config.Config{}, m)
			checkSequences(r, s, &config.Config{}, m)
			got := map[string]string{}
			for _, f := range r.findings {
				if f.Level == levelOK {
					f.Text = "ok"
				}
				got[f.Check] = f.Text
			}
			for check, want := range map[string]string{"gather": c.gather, "sequences": c.sequence} {
				if len(got[check]) < len(want) || got[check][:len(want)] != want || want == "" && got[check] != "" {
					t.Errorf("%s: %q, want %q", check, got[check], want)
				}
			}
		})
	}
}
