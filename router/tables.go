package router

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardway/router/claims"
	"shardway/router/exec"
)

// Table is what SHOW SHARDWAY shows of name: "servers", "shards", "map", "rebalances", "sessions", "pools" or "variables".
func (s *Server) Table(name string) (*Table, error) {
	switch strings.ToLower(name) {
	case "servers":
		return s.serversTable(), nil
	case "shards":
		return s.shardsTable(), nil
	case "map":
		return s.mapTable(), nil
	case "sessions":
		return s.sessionsTable(), nil
	case "pools":
		return s.poolsTable(), nil
	case "rebalances":
		return s.rebalancesTable(), nil
	case "slot_waits": // for metrics
		return s.slotWaitsTable(), nil
	case "transactions":
		return s.transactionsTable(), nil
	case "variables":
		return s.variablesTable(), nil
	}
	return nil, fmt.Errorf("SHOW SHARDWAY knows SERVERS, SHARDS, MAP, REBALANCES, SESSIONS, POOLS, TRANSACTIONS and VARIABLES, not %q", strings.ToUpper(name))
}

func (s *Server) serversTable() *Table {
	t := &Table{Columns: []string{
		"shard", "role", "server", "state", "eligible", "why", "since", "lag_seconds", "latency_ms", "read_only", "weight", "zone",
		"version", "reads", "writes", "warning", "map_role", "observed", "lag_from", "warm_up", "ejected_until", "replica_of",
		"io_thread", "sql_thread", "executed", "heartbeat", "split_brain",
	}}
	for _, x := range s.options.Load().Executor.Cluster().Servers() {
		var lag any
		if x.LagKnown {
			lag = x.Lag.Seconds()
		}
		t.Rows = append(t.Rows, []any{
			x.Shard, x.Role.String(), x.Addr, string(x.State), x.Eligible, x.Why, stamp(x.Since), lag,
			float64(x.Latency) / float64(time.Millisecond), x.ReadOnly, int64(x.Weight), x.Zone, x.Version, x.Reads, x.Writes, x.Warning,
			x.MapRole.String(), x.Observed, x.LagFrom, x.WarmUp, stamp(x.Ejected), x.ReplicaOf,
			x.IO, x.SQL, x.Position, x.Heartbeat, x.SplitBrain,
		})
	}
	return t
}

// rebalancesTable is the moves of slots, with how many of this proxy's statements wait for each.
func (s *Server) rebalancesTable() *Table {
	t := &Table{Columns: []string{"rebalance", "move", "database", "slots", "from", "to", "state", "want", "hold", "by", "waiting"}}
	waits := s.claims.Waits().Now
	for _, db := range s.options.Load().Maps.Current().Databases() {
		for _, v := range db.Moves() {
			t.Rows = append(t.Rows, []any{
				v.Rebalance(), v.ID, db.Name, slotList(v), v.From.ID, v.To.ID, string(v.State), string(v.Want), v.Hold, v.By,
				int64(waits[db.Name+"/"+v.ID]),
			})
		}
	}
	return t
}

// slotWaitsTable is how long statements have waited for slots.
func (s *Server) slotWaitsTable() *Table {
	w := s.claims.Waits()
	t := &Table{Columns: []string{"count", "seconds"}}
	row := []any{w.Count, w.Sum.Seconds()}
	for i, b := range claims.Bounds() {
		t.Columns = append(t.Columns, "within_"+b.String())
		row = append(row, w.Within[i])
	}
	t.Rows = [][]any{row}
	return t
}

// transactionsTable is how long COMMITs of transactions over several shards took, by the shards that were written.
func (s *Server) transactionsTable() *Table {
	t := &Table{Columns: []string{"shards_written", "commits", "seconds"}}
	for _, b := range exec.CommitBounds() {
		t.Columns = append(t.Columns, "within_"+b.String())
	}
	commits := s.options.Load().Executor.Transactions().Counts().Commits
	for n, l := range commits {
		name := strconv.Itoa(n)
		if n == len(commits)-1 {
			name += "+"
		}
		row := []any{name, l.Count, l.Sum.Seconds()}
		for _, within := range l.Within {
			row = append(row, within)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (s *Server) poolsTable() *Table {
	t := &Table{Columns: []string{
		"shard", "role", "server", "ceiling", "busy", "idle", "dialing", "waiting", "dials", "dial_errors", "waits", "wait_timeouts",
		"wait_seconds", "reused", "closed", "circuit",
	}}
	for _, x := range s.options.Load().Executor.Cluster().Pools() {
		var closed []string
		for why, n := range x.Closed {
			closed = append(closed, why+" "+strconv.FormatUint(n, 10))
		}
		slices.Sort(closed)
		t.Rows = append(t.Rows, []any{
			x.Shard, x.Role.String(), x.Addr, int64(x.Ceiling), int64(x.Busy), int64(x.Idle), int64(x.Dialing), int64(x.Waiting),
			x.Dials, x.DialErrors, x.Waits, x.WaitTimeouts, x.WaitTime.Seconds(), x.Reused, strings.Join(closed, ", "), x.Circuit,
		})
	}
	return t
}

func (s *Server) shardsTable() *Table {
	t := &Table{Columns: []string{"shard", "primary", "replicas", "database", "slots", "owned", "ranges", "default"}}
	m := s.options.Load().Maps.Current()
	for _, shard := range m.Shards() {
		var replicas []string
		for _, r := range shard.Replicas {
			replicas = append(replicas, r.Addr)
		}
		row := []any{shard.ID, shard.Primary.Addr, strings.Join(replicas, ", ")}
		if len(m.Databases()) == 0 {
			t.Rows = append(t.Rows, append(row, nil, nil, nil, nil, nil))
		}
		for _, db := range m.Databases() {
			ranges, owned := ownedRanges(db.Slots, func(slot int) bool { return db.Owner(slot) == shard })
			t.Rows = append(t.Rows, append(slices.Clone(row), db.Name, int64(db.Slots), int64(owned), ranges, m.DefaultShard(db.Name) == shard))
		}
	}
	return t
}

// ownedRanges lists the slots of a shard as "0-511, 600".
func ownedRanges(slots int, owns func(int) bool) (ranges string, owned int) {
	var parts []string
	for from := 0; from < slots; from++ {
		if !owns(from) {
			continue
		}
		to := from
		for to+1 < slots && owns(to+1) {
			to++
		}
		owned += to - from + 1
		if to == from {
			parts = append(parts, strconv.Itoa(from))
		} else {
			parts = append(parts, strconv.Itoa(from)+"-"+strconv.Itoa(to))
		}
		from = to
	}
	const most = 32
	if len(parts) > most {
		parts = append(parts[:most], "… "+strconv.Itoa(len(parts)-most)+" more")
	}
	return strings.Join(parts, ", "), owned
}

func (s *Server) mapTable() *Table {
	t := &Table{Columns: []string{"version", "database", "table", "key", "placement", "sequence", "shards"}}
	m := s.options.Load().Maps.Current()
	for _, db := range m.Databases() {
		for _, table := range db.Tables {
			key, placement := table.Key, ""
			shards := strconv.Itoa(len(m.Shards())) + " shards"
			if table.Reference {
				placement = "reference"
			} else {
				placement = string(table.Placement)
			}
			t.Rows = append(t.Rows, []any{m.Version(), db.Name, table.Name, key, placement, table.Sequence, shards})
		}
		t.Rows = append(t.Rows, []any{m.Version(), db.Name, "*", "", "whole", "", m.DefaultShard(db.Name).ID})
	}
	t.Rows = append(t.Rows, []any{m.Version(), "*", "*", "", "whole", "", m.DefaultShard("").ID})
	return t
}

func (s *Server) sessionsTable() *Table {
	t := &Table{Columns: []string{"id", "user", "client", "db", "doing", "seconds", "statements", "pinned_to", "pinned_why", "pinned_seconds", "connected", "attributes"}}
	for _, c := range s.list() {
		doing := "idle"
		if activity(c.doing.Load()) == running {
			doing = "running"
		}
		db := *c.schema.Load()
		var to, why string
		var age any
		if pins := c.x.Pins(); len(pins) > 0 {
			to, why = describePins(pins)
			age = seconds(pins[0].Since)
		}
		t.Rows = append(t.Rows, []any{
			uint64(c.id), c.user, c.addr, db, doing, seconds(time.Unix(0, c.since.Load())), c.queries.Load(), to, why, age, stamp(c.started),
			attributes(*c.attrs.Load()),
		})
	}
	return t
}

// attributes are a client's connection attributes as JSON, "" for none.
func attributes(attrs map[string]string) string {
	if len(attrs) == 0 {
		return ""
	}
	text, err := json.Marshal(attrs)
	if err != nil {
		return ""
	}
	return string(text)
}

func describePins(pins []exec.Pin) (to, why string) {
	var tos, whys []string
	for _, p := range pins {
		tos = append(tos, p.Shard+" "+p.Server)
		whys = append(whys, p.Why.String())
	}
	return strings.Join(tos, "; "), strings.Join(whys, "; ")
}

func (s *Server) variablesTable() *Table {
	t := &Table{Columns: []string{"name", "value"}}
	o := s.options.Load()
	if o.Variables != nil {
		for _, v := range o.Variables() {
			t.Rows = append(t.Rows, []any{v[0], v[1]})
		}
	}
	count := func(name string, v uint64) {
		t.Rows = append(t.Rows, []any{name, strconv.FormatUint(v, 10)})
	}
	plans := o.Statements.Counts()
	count("status.uptime_seconds", uint64(time.Since(s.started).Seconds()))
	count("status.sessions", uint64(s.Sessions()))
	count("status.accepted", s.counters.accepted.Load())
	count("status.probes", s.counters.probes.Load())
	count("status.login_failures", s.counters.loginFailures.Load())
	count("status.statements", s.counters.statements.Load())
	waiting := 0
	for _, n := range s.claims.Waits().Now {
		waiting += n
	}
	count("status.waiting_statements", uint64(waiting))
	count("status.panics", s.counters.panics.Load())
	causal := o.Executor.Cluster().CausalCounts()
	count("status.causal_known", causal.Known)
	count("status.causal_waited", causal.Waited)
	count("status.causal_primary", causal.Primary)
	count("status.causal_positions", causal.Positions)
	tx := o.Executor.Transactions().Counts()
	count("status.transactions_in_doubt", uint64(tx.InDoubt))
	count("status.transactions_committed", tx.Committed)
	count("status.transactions_rolled_back", tx.RolledBack)
	count("status.transactions_unknown", tx.Unknown)
	count("status.transactions_divided", tx.Divided)
	count("status.deadlocks_repeated", tx.Repeated)
	count("status.branches_committed", tx.ResolvedCommits)
	count("status.branches_rolled_back", tx.ResolvedRollbacks)
	count("status.plan_cache_hits", plans.Hits)
	count("status.plan_cache_misses", plans.Misses)
	count("status.plan_cache_evictions", plans.Evictions)
	count("status.plan_cache_entries", uint64(plans.Entries))
	count("status.plan_cache_bytes", uint64(plans.Bytes))
	return t
}

// statistics is the answer to COM_STATISTICS.
func (s *Server) statistics() string {
	up := time.Since(s.started).Seconds()
	n := s.counters.statements.Load()
	return fmt.Sprintf("Uptime: %d  Threads: %d  Questions: %d  Slow queries: 0  Opens: 0  Open tables: 0  Queries per second avg: %.3f",
		int64(up), s.Sessions(), n, float64(n)/max(up, 1))
}

// seconds is the time since t, in thousandths.
func seconds(t time.Time) float64 { return float64(time.Since(t).Milliseconds()) / 1000 }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func utoa(v uint64) string { return strconv.FormatUint(v, 10) }
