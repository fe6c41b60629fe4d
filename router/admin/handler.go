package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shardway/router"
	"shardway/shardmap"
)

// Source is the router as operators see it. Its methods may be called at any
// time and by several requests at once.
type Source interface {
	// Table returns what SHOW SHARDWAY name shows.
	Table(name string) (*router.Table, error)
	// Ready says why clients can't be served, or nil.
	Ready() error
	// Sessions counts the connected clients.
	Sessions() int
}

// Settings are what may change while the Handler serves.
type Settings struct {
	Token string // "" asks for none, and serves no profiles
}

// Options make a Handler.
type Options struct {
	Settings
	Version string // of Shardway
	Metrics *Metrics
	Log     *slog.Logger
}

// Handler answers operators' requests. Until Attach gives it a router it is
// alive and not ready.
type Handler struct {
	mux      *http.ServeMux
	version  string
	started  time.Time
	log      *slog.Logger
	metrics  *Metrics
	settings atomic.Pointer[Settings]
	router   atomic.Pointer[attached]
	draining atomic.Bool
}

type attached struct {
	source Source
	now    func() *shardmap.Map
}

// New returns a Handler.
func New(o Options) *Handler {
	h := &Handler{mux: http.NewServeMux(), version: o.Version, started: time.Now(), log: o.Log, metrics: o.Metrics}
	h.Set(o.Settings)
	h.metrics.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "shardway_build_info",
		Help:        "Always 1; its labels say what runs.",
		ConstLabels: prometheus.Labels{"version": o.Version, "go": runtime.Version()},
	}, func() float64 { return 1 }))

	open := func(path string, f http.HandlerFunc) { h.mux.HandleFunc("GET "+path, f) }
	guarded := func(path string, f http.HandlerFunc) { open(path, h.guard(f)) }
	open("/livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	open("/readyz", h.readyz)
	guarded("/metrics", promhttp.HandlerFor(h.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP)
	guarded("/api/v1/status", h.status)
	guarded("/api/v1/map", h.mapJSON)
	for _, table := range []string{"servers", "pools", "sessions", "rebalances"} {
		guarded("/api/v1/"+table, func(w http.ResponseWriter, _ *http.Request) { h.table(w, table) })
	}
	for path, f := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		guarded(path, h.profile(f))
	}
	guarded("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, "Shardway "+h.version+"\n\n/livez\n/readyz\n/metrics\n/api/v1/status\n/api/v1/map\n/api/v1/servers\n/api/v1/pools\n/api/v1/sessions\n/api/v1/rebalances\n/debug/pprof/ (with a token)")
	})
	return h
}

// Set changes the settings, from the next request on.
func (h *Handler) Set(s Settings) { h.settings.Store(&s) }

// Attach gives the Handler the router to show, and the map in use. It is
// called once.
func (h *Handler) Attach(source Source, now func() *shardmap.Map) {
	h.router.Store(&attached{source, now})
	h.metrics.registry.MustRegister(newState(readiness{source, h}, now))
}

// readiness is a Source whose Ready knows of draining.
type readiness struct {
	Source
	h *Handler
}

func (r readiness) Ready() error { return r.h.ready() }

// Drain makes /readyz say no from now on.
func (h *Handler) Drain() { h.draining.Store(true) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

// guard lets a request pass that has the token, or all when there is none.
// Digests are compared, so that the time tells neither content nor length.
func (h *Handler) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if token := h.settings.Load().Token; token != "" {
			scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(strings.TrimSpace(given)))
			if subtle.ConstantTimeCompare(want[:], got[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
				w.Header().Set("WWW-Authenticate", `Bearer realm="shardway"`)
				say(w, http.StatusUnauthorized, "send the token of admin.token as Authorization: Bearer TOKEN")
				return
			}
		}
		next(w, r)
	}
}

func (h *Handler) profile(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.settings.Load().Token == "" {
			say(w, http.StatusForbidden, "profiles are served only when admin.token is set")
			return
		}
		next(w, r)
	}
}

func (h *Handler) ready() error {
	switch a := h.router.Load(); {
	case h.draining.Load():
		return fmt.Errorf("draining: Shardway is about to end")
	case a == nil || a.now() == nil:
		return fmt.Errorf("starting: there is no shard map yet")
	default:
		return a.source.Ready()
	}
}

func (h *Handler) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := h.ready(); err != nil {
		say(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	say(w, http.StatusOK, "ready")
}

func (h *Handler) status(w http.ResponseWriter, _ *http.Request) {
	s := struct {
		Version       string  `json:"version"`
		Go            string  `json:"go"`
		StartedAt     string  `json:"started_at"`
		UptimeSeconds float64 `json:"uptime_seconds"`
		Ready         bool    `json:"ready"`
		Why           string  `json:"why,omitempty"`
		Draining      bool    `json:"draining"`
		Sessions      int     `json:"sessions"`
		MapVersion    uint64  `json:"map_version"`
	}{
		Version: h.version, Go: runtime.Version(), StartedAt: h.started.UTC().Format(time.RFC3339),
		UptimeSeconds: time.Since(h.started).Seconds(), Draining: h.draining.Load(),
	}
	if err := h.ready(); err != nil {
		s.Why = err.Error()
	} else {
		s.Ready = true
	}
	if a := h.router.Load(); a != nil {
		s.Sessions = a.source.Sessions()
		if m := a.now(); m != nil {
			s.MapVersion = m.Version()
		}
	}
	h.json(w, s)
}

// table writes a router's table as a list of objects.
func (h *Handler) table(w http.ResponseWriter, name string) {
	a := h.router.Load()
	if a == nil {
		say(w, http.StatusServiceUnavailable, h.ready().Error())
		return
	}
	t, err := a.source.Table(name)
	if err != nil {
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	h.json(w, objects(t))
}

func objects(t *router.Table) []map[string]any {
	list := make([]map[string]any, len(t.Rows))
	for i, row := range t.Rows {
		list[i] = make(map[string]any, len(row))
		for j, cell := range row {
			list[i][t.Columns[j]] = cell
		}
	}
	return list
}

func (h *Handler) json(w http.ResponseWriter, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		h.log.Error("status can't be written as JSON", "error", err)
		say(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(data, '\n')) // the client is gone: nobody to tell
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
