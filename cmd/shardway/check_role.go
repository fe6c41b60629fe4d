package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardway/config"
	"shardway/router/exec/xact"
	"shardway/shardmap"
)

// checkRole checks that a primary takes writes, and that a replica follows the
// primary of its shard. primary is nil when that one can't be asked.
func checkRole(r *report, s, primary *server, c *config.Config) {
	readOnly := isOn(s.vars["read_only"]) || isOn(s.vars["super_read_only"])
	if s.primary {
		switch {
		case readOnly:
			r.fail(s.String(), "role", "SET GLOBAL read_only = OFF there, or name the true primary in the map", "is the primary, but is read-only")
		case s.replication != nil && isOn(first(s.replication, "Replica_IO_Running", "Slave_IO_Running")):
			r.warn(s.String(), "role", "name the true primary in the map", "is the primary, but replicates from %s itself", source(s))
		case len(s.shard.Replicas) > 0 && !isOn(s.vars["log_bin"]):
			r.fail(s.String(), "role", "start it with log_bin", "is the primary of replicas, but writes no binary log")
		default:
			r.ok(s.String(), "role", "primary, takes writes, %s", binlog(s))
		}
		return
	}
	if !readOnly {
		r.warn(s.String(), "role", "SET GLOBAL read_only = ON there, and in its configuration", "is a replica, but takes writes of others")
	}
	switch {
	case s.replErr != nil && c.Replicas.MaxLag > 0:
		r.fail(s.String(), "replication", grantLag(s, c), "the lag can't be asked for, so with replicas.max_lag = %s it serves no reads: %s", c.Replicas.MaxLag, s.replErr)
	case s.replErr != nil:
		r.warn(s.String(), "replication", grantLag(s, c), "the status of replication can't be asked for: %s", s.replErr)
	case s.replication == nil:
		r.fail(s.String(), "replication", "make it follow the shard's primary, or take it out of the map", "is named as a replica, but replicates from nothing")
	default:
		checkReplication(r, s, primary, c)
	}
}

func checkReplication(r *report, s, primary *server, c *config.Config) {
	io, sqlThread := first(s.replication, "Replica_IO_Running", "Slave_IO_Running"), first(s.replication, "Replica_SQL_Running", "Slave_SQL_Running")
	if !isOn(io) || !isOn(sqlThread) {
		why := s.replication["Last_IO_Error"]
		if isOn(io) || why == "" {
			why = first(s.replication, "Last_SQL_Error", "Last_IO_Error")
		}
		r.fail(s.String(), "replication", "mend it there and START REPLICA", "doesn't run (receiver: %s, applier: %s) %s", io, sqlThread, why)
		return
	}
	if primary != nil {
		id := first(s.replication, "Source_Server_Id", "Master_Server_Id")
		if id != "" && id != "0" && id != primary.vars["server_id"] {
			r.fail(s.String(), "replication", "make it follow the shard's primary, or put it under its own shard", "follows %s (server_id %s), which isn't the primary of shard %s (%s, server_id %s)",
				source(s), id, s.shard.ID, primary.addr, primary.vars["server_id"])
			return
		}
	}
	text := first(s.replication, "Seconds_Behind_Source", "Seconds_Behind_Master")
	seconds, err := strconv.Atoi(text)
	switch lag := time.Duration(seconds) * time.Second; {
	case err != nil:
		r.warn(s.String(), "replication", "look at SHOW REPLICA STATUS there", "the server doesn't know its lag, so it serves no reads now")
	case c.Replicas.MaxLag > 0 && lag > c.Replicas.MaxLag:
		r.warn(s.String(), "replication", "", "lags by %s, more than replicas.max_lag = %s, so it serves no reads now", lag, c.Replicas.MaxLag)
	default:
		r.ok(s.String(), "replication", "follows %s, lag %s", source(s), lag)
	}
}

func source(s *server) string {
	return first(s.replication, "Source_Host", "Master_Host") + ":" + first(s.replication, "Source_Port", "Master_Port")
}

func binlog(s *server) string {
	switch {
	case !isOn(s.vars["log_bin"]):
		return "no binary log"
	case s.mariadb:
		return "binary log with GTIDs, format " + s.vars["binlog_format"]
	case s.vars["gtid_mode"] == "ON":
		return "binary log with GTIDs"
	}
	return "binary log, gtid_mode " + s.vars["gtid_mode"]
}

func grantLag(s *server, c *config.Config) string {
	right := "REPLICATION CLIENT"
	if s.mariadb {
		right = "SLAVE MONITOR"
	}
	return fmt.Sprintf("GRANT %s ON *.* TO %s", right, account(s, c))
}

// account writes the account as GRANT wants it.
func account(s *server, c *config.Config) string {
	user, host, ok := strings.Cut(s.vars["user"], "@")
	if !ok {
		user, host = c.Servers.User, "%"
	}
	return fmt.Sprintf("'%s'@'%s'", user, host)
}

func isOn(v string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "CONNECTING", "PREPARING"}, strings.ToUpper(v))
}

// first is the value of the first name that is there: servers have renamed
// their columns.
func first(row map[string]string, names ...string) string {
	for _, n := range names {
		if v := row[n]; v != "" {
			return v
		}
	}
	return ""
}

// checkPrivileges checks the rights on data, and warns of those by which a
// stray write could get into a replica.
func checkPrivileges(r *report, s *server, c *config.Config, m *shardmap.Map) {
	rights := []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	global := granted(s.grants, "")
	var missing []string
	for _, db := range m.Databases() {
		own := granted(s.grants, db.Name)
		var lacks []string
		for _, right := range rights {
			if !has(global, right) && !has(own, right) {
				lacks = append(lacks, right)
			}
		}
		if len(lacks) > 0 {
			missing = append(missing, fmt.Sprintf("%s on %s", strings.Join(lacks, ", "), db.Name))
		}
	}
	if len(missing) > 0 && !usesRoles(s.grants) {
		r.warn(s.String(), "privileges", fmt.Sprintf("GRANT ALL ON %s.* TO %s", shardmap.QuoteName(m.Databases()[0].Name), account(s, c)), "lacks %s, so clients can't have them either", strings.Join(missing, "; "))
	} else {
		r.ok(s.String(), "privileges", "may read and write the map's databases")
	}
	past := []string{"SUPER", "CONNECTION_ADMIN"}
	if s.mariadb {
		past = []string{"READ_ONLY ADMIN"} // since 10.11 not a part of SUPER
	}
	for _, right := range past {
		if has(global, right) {
			r.warn(s.String(), "privileges", fmt.Sprintf("REVOKE %s ON *.* FROM %s", right, account(s, c)), "has %s, so read_only doesn't keep a client's stray write out of a replica", right)
			break
		}
	}
}

func has(rights []string, right string) bool {
	return slices.Contains(rights, right) || slices.Contains(rights, "ALL PRIVILEGES") || slices.Contains(rights, "ALL")
}

// granted lists the rights on all of a database, or on everything for "".
func granted(grants []string, db string) []string {
	form := regexp.MustCompile("(?i)^GRANT (.+) ON (\\S+|`(?:[^`]|``)*`\\.\\S+) TO ")
	var all []string
	for _, g := range grants {
		match := form.FindStringSubmatch(g)
		if match == nil {
			continue
		}
		on, ok := strings.CutSuffix(match[2], ".*")
		if !ok {
			continue
		}
		if db == "" && on != "*" || db != "" && !covers(on, db) {
			continue
		}
		for right := range strings.SplitSeq(match[1], ",") {
			all = append(all, strings.ToUpper(strings.TrimSpace(right)))
		}
	}
	return all
}

// covers reports whether a grant's database, in which _ and % are wildcards
// unless escaped, is that of the name.
func covers(on, db string) bool {
	on = strings.ReplaceAll(strings.Trim(on, "`"), "``", "`")
	var p strings.Builder
	for i := 0; i < len(on); i++ {
		switch {
		case on[i] == '\\' && i+1 < len(on):
			i++
			p.WriteString(regexp.QuoteMeta(on[i : i+1]))
		case on[i] == '%':
			p.WriteString(".*")
		case on[i] == '_':
			p.WriteString(".")
		default:
			p.WriteString(regexp.QuoteMeta(on[i : i+1]))
		}
	}
	ok, err := regexp.MatchString("(?is)^"+p.String()+"$", db)
	return err == nil && ok
}

// usesRoles reports rights that come by roles, which SHOW GRANTS doesn't
// spell out.
func usesRoles(grants []string) bool {
	return slices.ContainsFunc(grants, func(g string) bool {
		return strings.HasPrefix(strings.ToUpper(g), "GRANT ") && !strings.Contains(strings.ToUpper(g), " ON ")
	})
}

// checkHeartbeat checks that the row by which lag is known can be written.
func checkHeartbeat(r *report, s *server, c *config.Config) {
	if !s.primary || len(s.shard.Replicas) == 0 || c.Replicas.Heartbeat <= 0 || usesRoles(s.grants) {
		return
	}
	global, own := granted(s.grants, ""), granted(s.grants, "shardway")
	for _, right := range []string{"CREATE", "SELECT", "INSERT", "UPDATE"} {
		if !has(global, right) && !has(own, right) {
			r.warn(s.String(), "heartbeat", fmt.Sprintf("GRANT ALL ON shardway.* TO %s, or set replicas.heartbeat to 0", account(s, c)),
				"lacks %s on shardway.*, so the lag of the replicas is known in whole seconds only", right)
			return
		}
	}
	r.ok(s.String(), "heartbeat", "can be written to shardway.heartbeat every %s", c.Replicas.Heartbeat)
}

// checkTransactions checks that a primary can take part in transactions over several shards.
func checkTransactions(r *report, s *server, c *config.Config, several bool) {
	if !s.primary || !several || c.Transactions.CrossShard != "atomic" || usesRoles(s.grants) {
		return
	}
	advice := " TO " + account(s, c) + ", or set transactions.cross_shard to forbid"
	if why := xact.Unfit(s.version); why != "" {
		r.warn(s.String(), "transactions", "upgrade it, or set transactions.cross_shard to forbid", "can't take part in transactions over several shards: %s", why)
		return
	}
	global, own := granted(s.grants, ""), granted(s.grants, "shardway")
	for _, right := range []string{"CREATE", "SELECT", "INSERT", "DELETE"} {
		if !has(global, right) && !has(own, right) {
			r.warn(s.String(), "transactions", "GRANT ALL ON shardway.*"+advice, "lacks %s on shardway.*, so transactions over several shards are refused", right)
			return
		}
	}
	if !s.mariadb && !strings.HasPrefix(s.version, "5.") && !has(global, "XA_RECOVER_ADMIN") {
		r.warn(s.String(), "transactions", "GRANT XA_RECOVER_ADMIN ON *.*"+advice, "lacks XA_RECOVER_ADMIN, so transactions over several shards are refused")
		return
	}
	r.ok(s.String(), "transactions", "can be over several shards, all or nothing")
}

// checkSequences checks that the numbers of the map's sequences can be drawn where they are kept.
func checkSequences(r *report, s *server, c *config.Config, m *shardmap.Map) {
	var kept []string
	for _, db := range m.Databases() {
		for _, t := range db.Tables {
			if t.Sequence != "" && db.Default == s.shard {
				kept = append(kept, name(t))
			}
		}
	}
	if !s.primary || len(kept) == 0 || usesRoles(s.grants) {
		return
	}
	list := strings.Join(kept, ", ")
	global, own := granted(s.grants, ""), granted(s.grants, "shardway")
	for _, right := range []string{"CREATE", "SELECT", "INSERT", "UPDATE"} {
		if !has(global, right) && !has(own, right) {
			r.warn(s.String(), "sequences", "GRANT ALL ON shardway.* TO "+account(s, c), "lacks %s on shardway.*, so rows of %s can't be numbered", right, list)
			return
		}
	}
	r.ok(s.String(), "sequences", "of %s can be kept in shardway.sequences", list)
}

// checkLimits compares a server's limits with the configuration's.
func checkLimits(r *report, s *server, c *config.Config) {
	const spare = 2 // the prober's connection, and one to stop statements by
	most, _ := strconv.Atoi(s.vars["max_connections"])
	if own, _ := strconv.Atoi(s.vars["max_user_connections"]); own > 0 && own < most {
		most = own
	}
	if need := c.Pool.MaxPerServer + spare; most > 0 && need > most {
		r.warn(s.String(), "connections", fmt.Sprintf("raise max_connections there, or set pool.max_per_server to %d or less", max(1, most-spare)),
			"allows %d connections, but one proxy may want %d", most, need)
	} else {
		r.ok(s.String(), "connections", "%d of at most %d for each proxy", c.Pool.MaxPerServer, most)
	}
	if packet, _ := strconv.ParseInt(s.vars["max_allowed_packet"], 10, 64); packet > 0 && config.Size(packet) < c.Limits.MaxPacket {
		r.warn(s.String(), "packets", "raise max_allowed_packet there, or lower limits.max_packet", "takes commands of at most %s, less than limits.max_packet = %s", config.Size(packet), c.Limits.MaxPacket)
	}
}

// checkAlike finds servers that differ in what changes the meaning of a
// statement, and addresses that lead to one and the same server.
func checkAlike(r *report, all []*server) {
	seen := map[string]*server{}
	for _, s := range all {
		if s.err != nil {
			continue
		}
		if other := seen[s.identity()]; other != nil {
			r.fail(s.String(), "identity", "correct the addresses in the map", "is the same server as %s", other)
		}
		seen[s.identity()] = s
	}
	differ := false
	for _, name := range []string{"version", "sql_mode", "time_zone", "character_set_server", "collation_server", "lower_case_table_names", "transaction_isolation"} {
		var values []string
		who := map[string][]string{}
		for _, s := range all {
			if s.err != nil {
				continue
			}
			v := s.vars[name]
			switch {
			case name == "time_zone" && v == "SYSTEM":
				v = s.vars["system_time_zone"]
			case name == "transaction_isolation" && v == "":
				v = s.vars["tx_isolation"]
			}
			if who[v] == nil {
				values = append(values, v)
			}
			who[v] = append(who[v], s.String())
		}
		if len(values) < 2 {
			continue
		}
		differ = true
		lines := make([]string, len(values))
		for i, v := range values {
			lines[i] = fmt.Sprintf("%q: %s", v, strings.Join(who[v], ", "))
		}
		r.warn("all servers", "alike", "set it alike everywhere", "%s differs, so one statement can mean two things\n%s", name, strings.Join(lines, "\n"))
	}
	if !differ && len(seen) > 1 {
		r.ok("all servers", "alike", "version, sql_mode, time zone, character set and isolation are the same")
	}
}
