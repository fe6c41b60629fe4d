package main

import (
	"fmt"
	"strings"

	"shardway/config"
	"shardway/shardmap"
)

// checkGathered checks that SELECTs whose rows are brought together at one server can be finished at this one, which
// takes temporary tables.
func checkGathered(r *report, s *server, c *config.Config, m *shardmap.Map) {
	if usesRoles(s.grants) {
		return
	}
	global := granted(s.grants, "")
	const right = "CREATE TEMPORARY TABLES"
	for _, db := range m.Databases() {
		if !spread(db) || has(global, right) || has(granted(s.grants, db.Name), right) {
			continue
		}
		r.warn(s.String(), "gather", fmt.Sprintf("GRANT %s ON %s.* TO %s", right, shardmap.QuoteName(db.Name), account(s, c)),
			"lacks %s on %s, so SELECTs that have to be gathered there are refused", right, db.Name)
		return
	}
	if !logsTemporary(s) {
		return
	}
	enough, advice := []string{"SUPER", "BINLOG ADMIN"}, "BINLOG ADMIN"
	if !s.mariadb {
		enough, advice = []string{"SUPER", "SYSTEM_VARIABLES_ADMIN", "SESSION_VARIABLES_ADMIN"}, "SESSION_VARIABLES_ADMIN"
	}
	for _, right := range enough {
		if has(global, right) {
			return
		}
	}
	r.warn(s.String(), "gather", fmt.Sprintf("set binlog_format to ROW, or GRANT %s ON *.* TO %s", advice, account(s, c)),
		"would write temporary tables to its binary log (binlog_format=%s), so SELECTs that have to be gathered there are refused", s.vars["binlog_format"])
}

// logsTemporary says whether a server writes temporary tables to its binary log: not under ROW, not under MySQL's MIXED,
// and MariaDB not while it is read-only.
func logsTemporary(s *server) bool {
	format := strings.ToUpper(s.vars["binlog_format"])
	switch {
	case !isOn(s.vars["log_bin"]), format == "", format == "ROW", format == "MIXED" && !s.mariadb, s.mariadb && isOn(s.vars["read_only"]):
		return false
	default:
		return true
	}
}

// spread says whether a database has rows on several shards.
func spread(db *shardmap.Database) bool {
	return db.Slots > 0 && len(db.Owned(db.Owner(0).ID)) < db.Slots
}
