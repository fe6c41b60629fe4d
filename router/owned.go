package router

import (
	"regexp"
	"slices"
	"strings"

	"shardway/router/parse"
)

// visible takes out of a table of SHOW SHARDWAY what isn't a user's business who has a list of databases: other users'
// sessions and settings, and databases that aren't on the list.
func (s *session) visible(name string, t *Table) {
	if len(s.user.Databases) == 0 || s.user.Admin {
		return
	}
	hides := func([]any) bool { return false }
	switch name {
	case "sessions":
		// As SHOW PROCESSLIST shows them without the PROCESS privilege.
		user := slices.Index(t.Columns, "user")
		hides = func(row []any) bool { return row[user] != s.entered }
	case "shards", "map", "rebalances":
		database := slices.Index(t.Columns, "database")
		hides = func(row []any) bool {
			db, ok := row[database].(string)
			return ok && db != "*" && mayUse(s.user, db) != nil
		}
	case "variables":
		hides = func(row []any) bool {
			rest, ok := strings.CutPrefix(row[0].(string), "users.")
			return ok && !strings.HasPrefix(rest, s.user.Name+".")
		}
	}
	t.Rows = slices.DeleteFunc(t.Rows, hides)
}

var databasesText = regexp.MustCompile(`(?is)^(\s*(?:/\*.*?\*/\s*)*show\s+(?:databases|schemas))\s*(?:(like)\s+('(?:[^'\\]|\\.|'')*')|(where)\b(.*?))?\s*;?\s*$`)

// ownDatabases makes of SHOW DATABASES one that shows a user with a list of databases those of the list alone, as a
// server does whose account has rights on them alone. All other texts stay as they are.
func ownDatabases(u *User, st *parse.Statement, sql []byte) []byte {
	if len(u.Databases) == 0 || st.Kind != parse.Show || st.Name != "databases" && st.Name != "schemas" {
		return sql
	}
	m := databasesText.FindSubmatch(sql)
	if m == nil {
		return sql
	}
	var list strings.Builder
	list.WriteString("('information_schema'")
	for _, db := range u.Databases {
		list.WriteString(", '" + strings.ReplaceAll(db, "'", "''") + "'")
	}
	list.WriteString(")")
	switch pattern := string(m[3]); {
	case len(m[2]) > 0:
		name := strings.Trim(pattern, "'")
		if mayUse(u, name) == nil { // the name of one that the user may see
			return sql
		}
		return []byte("SELECT SCHEMA_NAME AS `Database (" + strings.ReplaceAll(name, "`", "``") + ")` FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE " + pattern +
			" AND SCHEMA_NAME IN " + list.String() + " ORDER BY SCHEMA_NAME")
	case len(m[4]) > 0:
		return []byte(string(m[1]) + " WHERE `Database` IN " + list.String() + " AND (" + string(m[5]) + ")")
	default:
		return []byte(string(m[1]) + " WHERE `Database` IN " + list.String())
	}
}
