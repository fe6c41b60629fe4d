package router

import (
	"testing"

	"shardway/router/parse"
)

func TestShowDatabasesIsOfTheUsersOwn(t *testing.T) {
	const list = "('information_schema', 'shop', 'o''db')"
	for sql, want := range map[string]string{
		"SHOW DATABASES":                       "SHOW DATABASES WHERE `Database` IN " + list,
		"/* x */ show  schemas ;":              "/* x */ show  schemas WHERE `Database` IN " + list,
		"SHOW DATABASES WHERE `Database` <> 1": "SHOW DATABASES WHERE `Database` IN " + list + " AND ( `Database` <> 1)",
		"SHOW DATABASES LIKE 's%'": "SELECT SCHEMA_NAME AS `Database (s%)` FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 's%'" +
			" AND SCHEMA_NAME IN " + list + " ORDER BY SCHEMA_NAME",
		"SHOW DATABASES LIKE 'Shop'": "SHOW DATABASES LIKE 'Shop'",
		"SHOW TABLES":                "SHOW TABLES",
		"SELECT 1":                   "SELECT 1",
	} {
		st := parse.Parse(sql, 0)
		if got := string(ownDatabases(&User{Databases: []string{"shop", "o'db"}}, st, []byte(sql))); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
		if got := string(ownDatabases(&User{}, st, []byte(sql))); got != sql {
			t.Errorf("%s of a user of all databases: %s", sql, got)
		}
	}
}

func TestAUserOfSomeDatabasesSeesNothingOfOthers(t *testing.T) {
	table := func(columns []string, rows ...[]any) *Table { return &Table{Columns: columns, Rows: rows} }
	for _, c := range []struct {
		name        string
		t           *Table
		few, others int // rows that a user of some databases sees, and an administrator
	}{
		{"sessions", table([]string{"id", "user"}, []any{1, "few"}, []any{2, "app"}), 1, 2},
		{"shards", table([]string{"shard", "database"}, []any{"s0", "shop"}, []any{"s0", "wiki"}, []any{"s0", nil}), 2, 3},
		{"map", table([]string{"version", "database"}, []any{1, "SHOP"}, []any{1, "wiki"}, []any{1, "*"}), 2, 3},
		{"variables", table([]string{"name", "value"}, []any{"users.few.databases", "shop"}, []any{"users.fewer.databases", "wiki"}, []any{"map", "x"}), 2, 3},
		{"servers", table([]string{"shard"}, []any{"s0"}), 1, 1},
	} {
		for _, admin := range []bool{true, false} {
			s := &session{user: &User{Name: "few", Databases: []string{"shop"}, Admin: admin}, entered: "few"}
			s.visible(c.name, c.t)
			want := c.few
			if admin {
				want = c.others
			}
			if len(c.t.Rows) != want {
				t.Errorf("%s, admin %t: %v, want %d rows", c.name, admin, c.t.Rows, want)
			}
		}
	}
}
