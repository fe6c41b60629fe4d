package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// right is a right that the account needs: one of these names, the first being
// what is asked for.
type right []string

// needs are the rights by their scope.
func (r *run) needs(s *side) map[string][]right {
	all := []right{
		{"REPLICATION SLAVE"},
		{"REPLICATION CLIENT"},
		{"PROCESS"},
		{"CONNECTION_ADMIN", "SUPER"},
		{"XA_RECOVER_ADMIN"},
		{"SESSION_VARIABLES_ADMIN", "SYSTEM_VARIABLES_ADMIN", "SUPER"}, // max_error_count
	}
	if s.MariaDB {
		all = []right{
			{"REPLICATION SLAVE"}, {"BINLOG MONITOR", "REPLICATION CLIENT"}, {"SLAVE MONITOR", "REPLICA MONITOR"}, {"PROCESS"}, {"CONNECTION ADMIN"},
		}
	}
	return map[string][]right{
		"*.*":       all,
		r.d.Name:    {{"SELECT"}, {"INSERT"}, {"DELETE"}, {"CREATE"}, {"TRIGGER"}},
		ownDatabase: {{"SELECT"}, {"INSERT"}, {"UPDATE"}, {"DELETE"}, {"CREATE"}},
	}
}

// ownDatabase is where the engine and the fence keep what they know.
const ownDatabase = "shardway"

// checkRights looks whether the account may do all that is needed.
func (r *run) checkRights(ctx context.Context, s *side) {
	rows, err := s.Query(ctx, "SHOW GRANTS")
	if err != nil {
		r.add(s.String(), "rights", Failed, "", "%s", err)
		return
	}
	var grants []string
	for _, row := range rows {
		for _, grant := range row {
			grants = append(grants, grant)
		}
	}
	need := r.needs(s)
	need[r.d.Name] = append(need[r.d.Name], r.viewRights(ctx, s)...)
	user := r.User
	if user == "" {
		user = "the account"
	}
	for _, scope := range []string{"*.*", r.d.Name, ownDatabase} {
		missing, role := missingRights(grants, scope, need[scope])
		if len(missing) == 0 {
			continue
		}
		on := scope
		if on != "*.*" {
			on = "`" + scope + "`.*"
		}
		result, more := Failed, ""
		if role {
			result, more = Warning, ", unless it has them by its role, which can't be seen"
		}
		r.add(s.String(), "rights", result, fmt.Sprintf("GRANT %s ON %s TO %s", strings.Join(missing, ", "), on, user), "the account lacks rights on %s%s", on, more)
	}
}

// missingRights are the first names of the rights that grants don't give on a
// database, or on *.*. A role is a grant without ON.
func missingRights(grants []string, scope string, need []right) (missing []string, role bool) {
	have := map[string]bool{}
	for _, grant := range grants {
		list, rest, ok := strings.Cut(strings.TrimPrefix(grant, "GRANT "), " ON ")
		if !ok {
			role = true
			continue
		}
		on, _, _ := strings.Cut(rest, " TO ")
		if on != "*.*" && (scope == "*.*" || !covers(on, scope)) {
			continue
		}
		for name := range strings.SplitSeq(list, ",") {
			have[strings.ToUpper(strings.TrimSpace(name))] = true
		}
	}
	for _, r := range need {
		if !have["ALL PRIVILEGES"] && !slices.ContainsFunc(r, func(name string) bool { return have[name] }) {
			missing = append(missing, r[0])
		}
	}
	return missing, role
}

// covers says whether the object of a grant, as `shop`.* or `shop\_%`.*, is a
// database of that name.
func covers(on, db string) bool {
	pattern, ok := strings.CutSuffix(on, ".*")
	if !ok {
		return false // a single table
	}
	pattern = strings.ReplaceAll(strings.Trim(pattern, "`"), "``", "`")
	return like(strings.ToLower(pattern), strings.ToLower(db))
}

// like is SQL's LIKE.
func like(pattern, s string) bool {
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '%':
			for j := range len(s) + 1 {
				if like(pattern[i+1:], s[j:]) {
					return true
				}
			}
			return false
		case s == "":
			return false
		case c == '_':
		case c == '\\' && i+1 < len(pattern):
			i++
			if pattern[i] != s[0] {
				return false
			}
		case c != s[0]:
			return false
		}
		s = s[1:]
	}
	return s == ""
}
