package preflight

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/failover"
	"shardway/shardmap/server"
)

// side is a shard's primary.
type side struct {
	*server.Server
	shard  *shardmap.Shard
	state  failover.State
	vars   map[string]string
	source bool // slots are moved away from it
	target bool // and to it
}

func (s *side) String() string { return s.shard.ID + " " + s.Addr }

// connect logs in to the primaries.
func (r *run) connect(ctx context.Context) {
	for _, sh := range r.shards {
		s := &side{shard: sh, vars: map[string]string{}}
		for _, v := range r.moves {
			s.source = s.source || v.From.ID == sh.ID
			s.target = s.target || v.To.ID == sh.ID
		}
		if err := r.login(ctx, s); err != nil {
			r.add(sh.ID+" "+sh.Primary.Addr, "login", Failed, loginFix(err), "%s", err)
			continue
		}
		r.add(s.String(), "login", OK, "", "%s %s", s.state.Flavor, s.state.Version)
		r.primaries[sh.ID] = s
	}
}

func (r *run) login(ctx context.Context, s *side) (err error) {
	addr := s.shard.Primary.Addr
	if s.state, err = r.inspect(ctx, addr); err != nil {
		return err
	}
	db, err := r.Open(addr)
	if err != nil {
		return err
	}
	if s.Server, err = server.Open(ctx, db, addr, r.Statement); err != nil {
		return err
	}
	list, err := s.Query(ctx, "SHOW GLOBAL VARIABLES")
	if err != nil {
		s.Close()
		return err
	}
	for _, row := range list {
		s.vars[strings.ToLower(row["Variable_name"])] = row["Value"]
	}
	return nil
}

// checkServer looks at a primary by itself. Each side is written to and
// followed: the source before the switch, the target after it.
func (r *run) checkServer(ctx context.Context, s *side) {
	before := len(r.report.Failed())
	failed := func(name, fix, format string, args ...any) {
		r.add(s.String(), name, Failed, fix, format, args...)
	}
	switch {
	case s.state.ReadOnly:
		failed("role", "SET GLOBAL read_only = OFF, or correct the map", "the map calls it the primary, but it is read-only")
	case s.state.Replica != nil && (s.state.Replica.Applier || s.state.Replica.Receiver != "No"):
		failed("role", "STOP REPLICA; RESET REPLICA ALL there, or correct the map", "it is the primary in the map, but it follows %s", s.state.Replica.Source)
	}
	if !s.state.LogBin {
		failed("binary log", "start it with log_bin", "it writes no binary log, so that changes made while rows are copied can't be told")
	} else if format := s.vars["binlog_format"]; format != "" && !strings.EqualFold(format, "ROW") {
		failed("binary log", "SET GLOBAL binlog_format = 'ROW' and binlog_format=ROW in its configuration; then let all clients connect anew, since those that are connected keep the old one",
			"binlog_format is %s: statements in the binary log don't say which rows they change", format)
	} else {
		r.checkFilters(ctx, s)
	}
	if !s.state.GTID {
		failed("GTID", "set gtid_mode=ON and enforce_gtid_consistency=ON", "not every transaction has a GTID there")
	}
	if s.MariaDB && !s.state.StrictGTID {
		r.add(s.String(), "GTID", Warning, "SET GLOBAL gtid_strict_mode = ON, and in its configuration", "gtid_strict_mode is off: a server that is written to past replication makes positions that can't be compared")
	}
	r.checkRights(ctx, s)
	if len(r.report.Failed()) == before {
		r.add(s.String(), "server", OK, "", "takes writes; binary log by rows with GTIDs; the account has its rights")
	}
	r.checkRetention(s)
	r.checkTransactions(ctx, s)
}

// checkFilters looks whether the binary log leaves databases out.
func (r *run) checkFilters(ctx context.Context, s *side) {
	query := "SHOW MASTER STATUS"
	if !s.MariaDB && !strings.HasPrefix(s.state.Version, "8.0") {
		query = "SHOW BINARY LOG STATUS"
	}
	rows, err := s.Query(ctx, query)
	if server.Code(err) == 1064 { // MySQL 8.1 and the like
		rows, err = s.Query(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		if server.Code(err) != 1227 { // the right is asked for below
			r.add(s.String(), "binary log", Failed, "", "%s", err)
		}
		return
	}
	in := func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(db string) bool { return strings.EqualFold(strings.TrimSpace(db), r.d.Name) })
	}
	for _, row := range rows {
		if only := row["Binlog_Do_DB"]; only != "" && !in(only) || in(row["Binlog_Ignore_DB"]) {
			r.add(s.String(), "binary log", Failed, "take binlog_do_db and binlog_ignore_db out of its configuration and restart it", "changes of database %s aren't in its binary log", r.d.Name)
		}
	}
}

// checkRetention looks whether the binary log is kept for as long as copying
// may take: an engine that was interrupted goes on from its position.
func (r *run) checkRetention(s *side) {
	seconds, _ := strconv.ParseFloat(s.vars["binlog_expire_logs_seconds"], 64) // 0 for none
	if days, _ := strconv.ParseFloat(s.vars["expire_logs_days"], 64); seconds == 0 {
		seconds = days * 24 * 3600
	}
	kept := time.Duration(seconds * float64(time.Second))
	need := max(2*r.Expected, time.Hour)
	if seconds > 0 && kept < need {
		r.add(s.String(), "binary log", Warning, fmt.Sprintf("SET GLOBAL binlog_expire_logs_seconds = %d", int(max(need, 24*time.Hour).Seconds())),
			"it is kept for %s: a rebalance that is interrupted for longer begins its copies anew", kept)
	}
}

// checkTransactions looks for what would keep a switch waiting.
func (r *run) checkTransactions(ctx context.Context, s *side) {
	for _, t := range s.state.Long {
		if t.Age >= 10*time.Second {
			r.add(s.String(), "transactions", Warning, fmt.Sprintf("let it end before the switch, or KILL %d", t.Thread),
				"thread %d of %s has a transaction that is open for %s: where it has touched the slots, the switch waits for it and is taken back", t.Thread, t.User, t.Age)
		}
	}
	rows, err := s.Query(ctx, "SHOW FULL PROCESSLIST")
	if err != nil {
		return // the right is asked for
	}
	for _, row := range rows {
		info, state := strings.Join(strings.Fields(row["Info"]), " "), row["State"]
		about := strings.EqualFold(row["db"], r.d.Name) || strings.Contains(strings.ToLower(info), strings.ToLower(r.d.Name))
		alters := definition.MatchString(info)
		switch {
		case about && alters:
			r.add(s.String(), "definitions", Failed, "wait until it is over", "thread %s runs %.80s", row["Id"], info)
		case about && strings.Contains(state, "metadata lock"):
			r.add(s.String(), "definitions", Warning, "see who holds the table: SHOW FULL PROCESSLIST", "thread %s waits for a table: %.80s", row["Id"], info)
		}
	}
}

// definition matches statements that change what a table is; not those about
// temporary tables, which proxies run all the time.
var definition = regexp.MustCompile(`(?i)^(ALTER|CREATE|DROP|RENAME|TRUNCATE|OPTIMIZE|REPAIR)( OR REPLACE| ONLINE| UNIQUE| LOCAL)* (TABLE|INDEX|DATABASE|SCHEMA|TRIGGER)`)

// checkAlike compares the servers with each other.
func (r *run) checkAlike() {
	var first *side
	for _, s := range r.sides() {
		if first == nil {
			first = s
			continue
		}
		if s.MariaDB != first.MariaDB {
			r.add(s.String(), "alike", Failed, "move slots between servers of one kind", "it runs %s, and %s runs %s", s.state.Flavor, first.shard.ID, first.state.Flavor)
		}
		if a, b := s.vars["lower_case_table_names"], first.vars["lower_case_table_names"]; a != b {
			r.add(s.String(), "alike", Failed, "let them have the same", "lower_case_table_names is %s, and %s on %s", a, b, first.shard.ID)
		}
	}
	for _, v := range r.moves {
		from, to := r.primaries[v.From.ID], r.primaries[v.To.ID]
		if from == nil || to == nil {
			continue
		}
		a, _ := strconv.Atoi(from.vars["max_allowed_packet"]) // 0 for what is no number
		b, _ := strconv.Atoi(to.vars["max_allowed_packet"])
		if b < a {
			r.add(to.String(), "alike", Failed, fmt.Sprintf("SET GLOBAL max_allowed_packet = %d, and in its configuration", a), "max_allowed_packet is %d, and %d on %s: a large row wouldn't go over", b, a, v.From.ID)
		}
	}
}

// checkReplicas looks at the replicas of both sides. Those of a target must
// keep up, since a switch waits until they have all; those of a source are read
// from where they keep up.
func (r *run) checkReplicas(ctx context.Context) {
	for _, sh := range r.shards {
		target := slices.ContainsFunc(r.moves, func(v *shardmap.Move) bool { return v.To.ID == sh.ID })
		bad, note := Warning, "rows aren't read there"
		if target {
			bad, note = Failed, "a switch waits until it has all"
		}
		good := 0
		for _, rep := range sh.Replicas {
			about := sh.ID + " " + rep.Addr
			st, err := r.inspect(ctx, rep.Addr)
			switch {
			case err != nil:
				r.add(about, "replica", bad, loginFix(err)+", or take it out of the map", "%s; %s", err, note)
				continue
			case st.Replica == nil:
				r.add(about, "replica", bad, "make it follow "+sh.Primary.Addr+", or take it out of the map", "it follows nobody; %s", note)
				continue
			case st.Replica.Receiver != "Yes" || !st.Replica.Applier:
				r.add(about, "replica", bad, "START REPLICA there, or take it out of the map", "its replication doesn't run (%s); %s", orNone(st.Replica.Error), note)
				continue
			case st.Replica.Behind < 0 || st.Replica.Behind > r.MaxLag:
				r.add(about, "replica", bad, "wait until it has caught up, or take it out of the map", "it is %s behind, more than %s; %s", st.Replica.Behind, r.MaxLag, note)
				continue
			}
			if !st.LogBin || !st.LogUpdates {
				r.add(about, "replica", Warning, "start it with log_bin and log_replica_updates=ON (log_slave_updates on MariaDB)",
					"it doesn't log what it applies: should it become the primary meanwhile, the copies begin anew")
			}
			good++
		}
		if good > 0 {
			r.add(sh.ID, "replicas", OK, "", "%d of %d follow and keep up", good, len(sh.Replicas))
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "no error"
	}
	return s
}

// branches are the prepared XA branches of each primary.
func (r *run) branches(ctx context.Context) map[string]bool {
	out := map[string]bool{}
	for _, s := range r.sides() {
		rows, err := s.Query(ctx, "XA RECOVER")
		if err != nil {
			continue // checkBranches says so
		}
		for _, row := range rows {
			out[s.Addr+" "+row["data"]] = true
		}
	}
	return out
}

// checkBranches looks for XA branches that are prepared and stay so: a switch
// waits for them.
func (r *run) checkBranches(ctx context.Context, before map[string]bool, at time.Time) {
	if len(before) > 0 { // one that is under way ends within moments
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(at.Add(time.Second))):
		}
	}
	for _, s := range r.sides() {
		rows, err := s.Query(ctx, "XA RECOVER")
		if err != nil {
			if server.Code(err) != 1401 && server.Code(err) != 1227 { // the right is asked for
				r.add(s.String(), "XA branches", Failed, "", "%s", err)
			}
			continue
		}
		for _, row := range rows {
			if id := row["data"]; before[s.Addr+" "+id] {
				r.add(s.String(), "XA branches", Failed, "a proxy ends those of Shardway by itself when all shards can be reached, see docs/transactions.md; end others with XA COMMIT or XA ROLLBACK",
					"the branch %q is prepared and doesn't end; a switch would wait for it", id)
			}
		}
	}
}
