package admin

import (
	"context"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"shardway/router"
)

// Metrics counts and times statements. It is a router.Observer; Observe may be
// called by all sessions at the same time, takes no lock once a combination of
// labels has been seen, and allocates nothing except for slow statements.
type Metrics struct {
	registry *prometheus.Registry
	log      *slog.Logger
	slow     atomic.Int64 // nanoseconds; 0 logs none

	queries                     *prometheus.CounterVec
	duration                    *prometheus.HistogramVec
	errors                      *prometheus.CounterVec
	rows                        prometheus.Counter
	ways                        *prometheus.CounterVec
	touched                     prometheus.Counter
	gatheredRows, gatheredBytes prometheus.Counter

	// Looking labels up in a vector hashes and locks. The children are kept in a
	// map that is replaced as a whole when a new combination comes; their number
	// is bounded by the words the router uses and the shards of the map.
	series atomic.Pointer[map[labels]series]
	adding sync.Mutex
}

type labels struct{ kind, way, shard, role, outcome string }

type series struct {
	queries  prometheus.Counter
	way      prometheus.Counter // nil without one
	duration prometheus.Observer
}

// NewMetrics returns Metrics with a registry of their own. Slow statements are
// logged to log once SetSlow says what is slow.
func NewMetrics(log *slog.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		log:      log,
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shardway_queries_total",
			Help: "Statements answered, by kind of statement, shard, role of the server and outcome.",
		}, []string{"kind", "shard", "role", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "shardway_query_duration_seconds",
			Help:    "Time from a statement's last byte to its answer's last byte, by shard and role of the server.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"shard", "role"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shardway_errors_total",
			Help: "Statements answered by an error, by its MySQL code.",
		}, []string{"code"}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shardway_rows_sent_total",
			Help: "Rows of result sets sent to clients.",
		}),
		ways: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shardway_statements_total",
			Help: "Statements, by how they were answered: by one shard, by many whose answers were brought together, by gathering rows on one server, or refused.",
		}, []string{"way"}),
		touched: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shardway_shards_touched_total",
			Help: "Shards that ran a part of a statement for several shards, added up over these statements.",
		}),
		gatheredRows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shardway_gathered_rows_total",
			Help: "Rows that were brought to one server for statements over several shards.",
		}),
		gatheredBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shardway_gathered_bytes_total",
			Help: "Bytes of these rows.",
		}),
	}
	m.series.Store(&map[labels]series{})
	m.registry.MustRegister(m.queries, m.duration, m.errors, m.rows, m.ways, m.touched, m.gatheredRows, m.gatheredBytes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// SetSlow sets from what time on a statement is logged as slow; 0 logs none.
func (m *Metrics) SetSlow(d time.Duration) { m.slow.Store(int64(d)) }

// Observe counts one statement.
func (m *Metrics) Observe(e *router.Event) {
	s, ok := (*m.series.Load())[labels{e.Kind, e.Way, e.Shard, e.Role, e.Outcome}]
	if !ok {
		s = m.add(labels{e.Kind, e.Way, e.Shard, e.Role, e.Outcome})
	}
	s.queries.Inc()
	if s.way != nil {
		s.way.Inc()
	}
	m.gatheredRows.Add(float64(e.GatheredRows))
	m.gatheredBytes.Add(float64(e.GatheredBytes))
	if e.Way == router.WayMany {
		m.touched.Add(float64(e.Shards))
	}
	s.duration.Observe(e.Duration.Seconds())
	if e.Code != 0 {
		m.errors.WithLabelValues(strconv.Itoa(int(e.Code))).Inc()
	}
	if e.Rows > 0 {
		m.rows.Add(float64(e.Rows))
	}
	if slow := m.slow.Load(); slow > 0 && int64(e.Duration) >= slow {
		m.logSlow(e)
	}
}

func (m *Metrics) add(l labels) series {
	m.adding.Lock()
	defer m.adding.Unlock()
	old := *m.series.Load()
	if s, ok := old[l]; ok {
		return s
	}
	s := series{
		queries:  m.queries.WithLabelValues(l.kind, l.shard, l.role, l.outcome),
		duration: m.duration.WithLabelValues(l.shard, l.role),
	}
	if l.way != "" {
		s.way = m.ways.WithLabelValues(l.way)
	}
	next := maps.Clone(old)
	next[l] = s
	m.series.Store(&next)
	return s
}

// logSlow writes the statement's digest, in which ? stands for each value, so
// that the log holds no data of users.
func (m *Metrics) logSlow(e *router.Event) {
	attrs := []slog.Attr{
		slog.Duration("duration", e.Duration),
		slog.String("digest", string(e.Digest)),
		slog.String("kind", e.Kind),
		slog.String("outcome", e.Outcome),
		slog.String("shard", e.Shard),
		slog.String("role", e.Role),
		slog.String("server", e.Server),
		slog.String("user", e.User),
		slog.String("db", e.DB),
		slog.String("client", e.Client),
		slog.Uint64("rows", e.Rows),
		slog.Uint64("affected", e.Affected),
	}
	if e.Way != "" {
		attrs = append(attrs, slog.String("way", e.Way), slog.Int("shards", e.Shards))
	}
	if e.Code != 0 {
		attrs = append(attrs, slog.Int("code", int(e.Code)))
	}
	m.log.LogAttrs(context.Background(), slog.LevelWarn, "slow statement", attrs...)
}
