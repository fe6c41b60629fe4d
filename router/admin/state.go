package admin

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shardway/router"
	"shardway/shardmap"
)

// state collects gauges from the router's tables when Prometheus asks, so that
// nothing has to keep them up to date meanwhile.
type state struct {
	source Source
	now    func() *shardmap.Map

	sessions, version, ready *prometheus.Desc
	up                       *prometheus.Desc
	running, pinned, reasons *prometheus.Desc
	columns, counts          []column
	commits, moves, waits    *prometheus.Desc
}

// column says which metric a column of a table is.
type column struct {
	table, name string
	kind        prometheus.ValueType
	unit        float64 // of the cell, in the metric's unit
	desc        *prometheus.Desc
}

func newState(source Source, now func() *shardmap.Map) *state {
	server := []string{"shard", "role", "server"}
	s := &state{
		source:   source,
		now:      now,
		sessions: prometheus.NewDesc("shardway_sessions", "Clients connected.", nil, nil),
		version:  prometheus.NewDesc("shardway_map_version", "Version of the shard map in use.", nil, nil),
		ready:    prometheus.NewDesc("shardway_ready", "1 when clients can be served, as /readyz says.", nil, nil),
		running:  prometheus.NewDesc("shardway_sessions_running", "Clients whose statement is running.", nil, nil),
		pinned:   prometheus.NewDesc("shardway_sessions_pinned", "Clients that keep a connection to a server between statements.", nil, nil),
		reasons:  prometheus.NewDesc("shardway_pins", "Connections that clients keep between statements, by reason; one may have several.", []string{"reason"}, nil),
		commits:  prometheus.NewDesc("shardway_transaction_commit_duration_seconds", "Time of COMMITs of transactions over several shards, by how many shards they have written.", []string{"shards"}, nil),
		moves:    prometheus.NewDesc("shardway_moves", "Moves of slots in the shard map, by database and state.", []string{"database", "state"}, nil),
		waits:    prometheus.NewDesc("shardway_move_wait_seconds", "Time that statements waited for slots that were paused while they moved.", nil, nil),
		up:       prometheus.NewDesc("shardway_server_up", "1 when the server may be used.", server, nil),
	}
	add := func(table, name, metric, help string, kind prometheus.ValueType) {
		unit := 1.0
		if strings.HasSuffix(name, "_ms") {
			unit = 1e-3
		}
		s.columns = append(s.columns, column{table, name, kind, unit, prometheus.NewDesc(metric, help, server, nil)})
	}
	count := func(name, metric, help string, kind prometheus.ValueType) {
		s.counts = append(s.counts, column{"variables", name, kind, 1, prometheus.NewDesc(metric, help, nil, nil)})
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	add("pools", "ceiling", "shardway_pool_ceiling_connections", "Most connections to the server.", gauge)
	add("pools", "idle", "shardway_pool_idle_connections", "Connections to the server that wait for work.", gauge)
	add("pools", "busy", "shardway_pool_busy_connections", "Connections to the server that are in use.", gauge)
	add("pools", "dialing", "shardway_pool_dialing_connections", "Connections to the server that are being made.", gauge)
	add("pools", "waiting", "shardway_pool_waiting_requests", "Statements that wait for a connection to the server.", gauge)
	add("pools", "dials", "shardway_pool_dials_total", "Connections to the server that were begun.", counter)
	add("pools", "dial_errors", "shardway_pool_dial_errors_total", "Connections to the server that couldn't be made.", counter)
	add("pools", "waits", "shardway_pool_waits_total", "Statements that had to wait for a connection to the server.", counter)
	add("pools", "wait_timeouts", "shardway_pool_wait_timeouts_total", "Statements that waited for a connection to the server in vain.", counter)
	add("pools", "wait_seconds", "shardway_pool_wait_seconds_total", "Time that statements waited for a connection to the server.", counter)
	add("pools", "reused", "shardway_pool_reused_total", "Statements that found an idle connection to the server.", counter)
	add("servers", "eligible", "shardway_server_eligible", "1 when the server may be chosen for a statement of its role.", gauge)
	add("servers", "lag_seconds", "shardway_server_replication_lag_seconds", "Replication lag of the server, where it is known.", gauge)
	add("servers", "split_brain", "shardway_server_split_brain", "1 when writes to the server's shard are refused, as two servers may be its primary.", gauge)
	add("servers", "warm_up", "shardway_server_warm_up_ratio", "Share of its turns that the server takes, 1 when it is warm.", gauge)
	add("servers", "latency_ms", "shardway_server_latency_seconds", "Time of the newest answered probe of the server.", gauge)
	add("servers", "weight", "shardway_server_weight", "Weight of the server under the weighted policy.", gauge)
	add("servers", "reads", "shardway_server_reads_total", "Statements that the server served as reads.", counter)
	add("servers", "writes", "shardway_server_writes_total", "Statements that the server served as the primary.", counter)
	count("status.accepted", "shardway_connections_accepted_total", "Connections that clients and probes opened.", counter)
	count("status.probes", "shardway_probes_total", "Connections that ended before a login was tried, as load balancers' probes do.", counter)
	count("status.login_failures", "shardway_login_failures_total", "Logins that were refused.", counter)
	count("status.waiting_statements", "shardway_waiting_statements", "Statements that wait for slots that are paused while they move.", gauge)
	count("status.panics", "shardway_session_panics_total", "Sessions that were ended by a fault of Shardway's own.", counter)
	count("status.causal_known", "shardway_causal_reads_known_total", "Reads of sessions that had written or changed their replica, on a replica known to have what they needed.", counter)
	count("status.causal_waited", "shardway_causal_reads_waited_total", "Such reads for which the replica was asked or waited for first.", counter)
	count("status.causal_primary", "shardway_causal_reads_primary_total", "Such reads that the primary served since no replica had what they needed in time.", counter)
	count("status.causal_positions", "shardway_causal_positions_total", "Times that servers were asked for their position, for causal reads.", counter)
	count("status.transactions_in_doubt", "shardway_transaction_branches_in_doubt", "Prepared branches of transactions over several shards that wait for their end, on all shards.", gauge)
	count("status.transactions_committed", "shardway_transactions_committed_total", "Transactions over several shards that were committed.", counter)
	count("status.transactions_rolled_back", "shardway_transactions_rolled_back_total", "Transactions over several shards whose COMMIT failed, and which were rolled back.", counter)
	count("status.transactions_unknown", "shardway_transactions_unknown_total", "Transactions over several shards whose COMMIT was answered before its outcome was known.", counter)
	count("status.transactions_divided", "shardway_transactions_divided_total", "Transactions under cross_shard unsafe that were committed in part.", counter)
	count("status.deadlocks_repeated", "shardway_transaction_deadlocks_repeated_total", "Statements over several shards that were a deadlock's victim outside of a transaction and were run again.", counter)
	count("status.branches_committed", "shardway_transaction_branches_committed_total", "Branches left in doubt that this proxy has committed.", counter)
	count("status.branches_rolled_back", "shardway_transaction_branches_rolled_back_total", "Branches left in doubt that this proxy has rolled back.", counter)
	count("status.plan_cache_hits", "shardway_statement_cache_hits_total", "Statements found in the cache of parsed statements.", counter)
	count("status.plan_cache_misses", "shardway_statement_cache_misses_total", "Statements that had to be parsed.", counter)
	count("status.plan_cache_evictions", "shardway_statement_cache_evictions_total", "Statements that left the cache for others.", counter)
	count("status.plan_cache_entries", "shardway_statement_cache_entries", "Statements in the cache.", gauge)
	count("status.plan_cache_bytes", "shardway_statement_cache_bytes", "Memory of the statements in the cache.", gauge)
	return s
}

// Describe sends nothing: which metrics there are depends on the servers.
func (s *state) Describe(chan<- *prometheus.Desc) {}

// Collect sends what the tables say now.
func (s *state) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(s.sessions, float64(s.source.Sessions()))
	gauge(s.ready, one(s.source.Ready() == nil))
	if m := s.now(); m != nil {
		gauge(s.version, float64(m.Version()))
		for of, n := range countMoves(m) {
			gauge(s.moves, n, of.database, of.state)
		}
	}
	for _, name := range []string{"servers", "pools"} {
		t, err := s.source.Table(name)
		if err != nil || t == nil {
			continue
		}
		s.rows(name, t, out)
	}
	if t, err := s.source.Table("sessions"); err == nil && t != nil {
		gauge(s.running, filled(t, "doing", "running"))
		gauge(s.pinned, filled(t, "pinned_to", ""))
		for why, n := range reasons(t) {
			out <- prometheus.MustNewConstMetric(s.reasons, prometheus.GaugeValue, n, why)
		}
	}
	if t, err := s.source.Table("transactions"); err == nil && t != nil {
		for _, row := range t.Rows {
			histogram(s.commits, t, row, out, text(row[0]))
		}
	}
	if t, err := s.source.Table("slot_waits"); err == nil && t != nil && len(t.Rows) == 1 {
		histogram(s.waits, t, t.Rows[0], out)
	}
	s.collectCounts(out)
}

// moveKind is what moves are counted by.
type moveKind struct{ database, state string }

func countMoves(m *shardmap.Map) map[moveKind]float64 {
	n := map[moveKind]float64{}
	for _, db := range m.Databases() {
		for _, v := range db.Moves() {
			n[moveKind{db.Name, string(v.State)}]++
		}
	}
	return n
}

// histogram sends a row of times: after its labels come how many there were and their sum in seconds, then how many took
// no longer than each within_DURATION.
func histogram(d *prometheus.Desc, t *router.Table, row []any, out chan<- prometheus.Metric, labels ...string) {
	buckets := map[float64]uint64{}
	for i, name := range t.Columns {
		if text, ok := strings.CutPrefix(name, "within_"); ok {
			bound, err := time.ParseDuration(text)
			if n, isCount := row[i].(uint64); err == nil && isCount {
				buckets[bound.Seconds()] = n
			}
		}
	}
	count, counted := row[len(labels)].(uint64)
	seconds, timed := row[len(labels)+1].(float64)
	if counted && timed {
		out <- prometheus.MustNewConstHistogram(d, count, seconds, buckets, labels...)
	}
}

// reasons counts the pins of each reason.
func reasons(t *router.Table) map[string]float64 {
	n := map[string]float64{}
	i := slices.Index(t.Columns, "pinned_why")
	for _, row := range t.Rows {
		if i < 0 {
			break
		}
		for pin := range strings.SplitSeq(text(row[i]), "; ") {
			for why := range strings.SplitSeq(pin, ", ") {
				if why != "" {
					n[why]++
				}
			}
		}
	}
	return n
}

// filled counts the rows whose column has the value want, or any where want is
// empty.
func filled(t *router.Table, column, want string) float64 {
	i, n := slices.Index(t.Columns, column), 0
	for _, row := range t.Rows {
		if i >= 0 && text(row[i]) != "" && (want == "" || text(row[i]) == want) {
			n++
		}
	}
	return float64(n)
}

// collectCounts sends the counters among the variables.
func (s *state) collectCounts(out chan<- prometheus.Metric) {
	t, err := s.source.Table("variables")
	if err != nil || t == nil || len(t.Columns) < 2 {
		return
	}
	values := make(map[string]any, len(t.Rows))
	for _, row := range t.Rows {
		values[text(row[0])] = row[1]
	}
	for _, c := range s.counts {
		if v, ok := number(values[c.name]); ok {
			out <- prometheus.MustNewConstMetric(c.desc, c.kind, v)
		}
	}
}

func (s *state) rows(name string, t *router.Table, out chan<- prometheus.Metric) {
	shard, role, server := slices.Index(t.Columns, "shard"), slices.Index(t.Columns, "role"), slices.Index(t.Columns, "server")
	if server < 0 {
		server = slices.Index(t.Columns, "addr")
	}
	if shard < 0 || role < 0 || server < 0 {
		return
	}
	seen := map[[3]string]bool{} // a server that is in the map twice would break the whole scrape
	for _, row := range t.Rows {
		id := [3]string{text(row[shard]), text(row[role]), text(row[server])}
		if seen[id] {
			continue
		}
		seen[id] = true
		if i := slices.Index(t.Columns, "state"); name == "servers" && i >= 0 {
			up := text(row[i]) == "up" || text(row[i]) == "busy"
			out <- prometheus.MustNewConstMetric(s.up, prometheus.GaugeValue, one(up), id[:]...)
		}
		for _, c := range s.columns {
			if c.table != name {
				continue
			}
			if i := slices.Index(t.Columns, c.name); i >= 0 {
				if v, ok := number(row[i]); ok {
					out <- prometheus.MustNewConstMetric(c.desc, c.kind, v*c.unit, id[:]...)
				}
			}
		}
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// number reads a cell as a number.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	case bool:
		return one(v), true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}
