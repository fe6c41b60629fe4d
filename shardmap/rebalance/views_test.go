package rebalance

import (
	"strings"
)

// views are in an order in which they can't be made; one of a function of the default shard's, and one of what it has alone.
var views = []string{
	"CREATE TABLE shop.settings (name VARCHAR(20) PRIMARY KEY)",
	"CREATE USER 'reports'@'%' IDENTIFIED BY 'secret'",
	"GRANT SELECT ON shop.* TO 'reports'@'%'",
	"CREATE VIEW shop.z AS SELECT id, name FROM shop.users WHERE name <> 'Zoë'",
	"CREATE DEFINER='reports'@'%' VIEW shop.named (number, name) AS SELECT id, name FROM shop.z WHERE id > 0 WITH CHECK OPTION",
	"CREATE VIEW shop.a AS SELECT n.number, o.note FROM shop.named n JOIN shop.orders o ON o.user_id = n.number",
	"CREATE VIEW shop.set_up AS SELECT u.id FROM shop.users u JOIN shop.settings s ON s.name = u.name",
	"CREATE VIEW shop.upon AS SELECT id FROM shop.set_up",
	"CREATE VIEW shop.codes AS SELECT code FROM shop.countries",
}

// viewsBefore has a view left over at the target that isn't the source's: it is told.
func (s *servers) viewsBefore() {
	s.Helper()
	target := s.c.Shards[1].Primary
	s.must(target.Exec(s.ctx, "CREATE DATABASE shop CHARACTER SET utf8mb4", "CREATE VIEW shop.z AS SELECT 1 AS id, 'a' AS name"))
	s.store.plan(s.T, "", "r0.1", "s0", "s1", 15)
	s.fails("r0", s.options(), "`shop`.`z`", "another one", "DROP VIEW")
	s.must(target.Exec(s.ctx, "DROP VIEW shop.z"))
	s.store.want(s.T, "r0.1", "cancel")
	s.run("r0", s.options())
}

// viewsMade looks at the target for the views over sharded tables, and at the report for those that can't be made.
func (s *servers) viewsMade(r Report) {
	s.Helper()
	target := s.c.Shards[1].Primary
	for _, view := range []string{"z", "named", "a"} {
		if _, err := target.Text(s.ctx, "SELECT COUNT(*) FROM shop."+view); err != nil {
			s.Error(err)
		}
		from, err := s.c.Shards[0].Primary.Text(s.ctx, "SELECT CONCAT_WS('/', VIEW_DEFINITION, CHECK_OPTION, COLLATION_CONNECTION) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = '"+view+"'")
		s.must(err)
		to, err := target.Text(s.ctx, "SELECT CONCAT_WS('/', VIEW_DEFINITION, CHECK_OPTION, COLLATION_CONNECTION) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = '"+view+"'")
		s.must(err)
		if from != to {
			s.Errorf("%s is %s, and %s at the source", view, to, from)
		}
	}
	if got, err := target.Text(s.ctx, "SELECT GROUP_CONCAT(TABLE_NAME ORDER BY TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_TYPE = 'VIEW'"); err != nil || got != "a,named,z" {
		s.Errorf("the target has the views %s, %v", got, err)
	}
	// There is no account reports there.
	if got, err := target.Text(s.ctx, "SELECT SECURITY_TYPE FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'named'"); err != nil || got != "INVOKER" {
		s.Errorf("the view is read with the rights of its %s, %v", got, err)
	}
	left := 0
	for _, w := range r.Warnings {
		if strings.Contains(w, "`shop`.`set_up`") && strings.Contains(w, "settings") || strings.Contains(w, "`shop`.`upon`") && strings.Contains(w, "set_up") {
			left++
		}
	}
	if left != 2 {
		s.Errorf("the warnings are %q", r.Warnings)
	}
}
