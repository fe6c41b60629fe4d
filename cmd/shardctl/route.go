package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"shardway/router/parse"
	"shardway/router/plan"
	"shardway/shardmap"
)

func routeCommand() command {
	return command{
		name: "route", args: `"SQL"`, min: 1, max: 1, brief: "says where a statement would go, and why",
		details: "It runs nothing and asks no server. The statement is planned as that of a new session:\nno transaction, strict sql_mode, character set utf8mb4.",
		example: `shardctl --map ./shards.yaml route --db shop "SELECT * FROM orders WHERE user_id = 7"`,
		flags: func(f *pflag.FlagSet) {
			f.String("user", "", "the user whose statement it is, as messages name it")
			f.String("db", "", "the current database; default: the map's, if it has one alone")
		},
		run: route,
	}
}

func route(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	_, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	user, _ := flags.GetString("user")
	db, _ := flags.GetString("db")
	if list := m.Databases(); !flags.Changed("db") && len(list) == 1 {
		db = list[0].Name
	}
	columns, rows := plan.Rows(routePlan(args[0], m, user, db), m)
	if t.output != "json" {
		return t.table(columns, rows)
	}
	out := make([]map[string]string, len(rows))
	for i, r := range rows {
		out[i] = map[string]string{}
		for j, c := range columns {
			out[i][c] = r[j]
		}
	}
	return t.json(out)
}

// routePlan plans a statement as a new session would.
func routePlan(sql string, m *shardmap.Map, user, db string) plan.Plan {
	var d parse.Digest
	d.Scan([]byte(strings.TrimSpace(sql)), 0)
	st := parse.NewCache(1, 1<<20).Statement(&d)
	return plan.Build(st, slices.Clone(d.Args), m, &plan.Facts{
		DB: db, User: user, Autocommit: true, Charset: "utf8mb4", Strict: true,
	})
}
