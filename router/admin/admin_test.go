package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shardway/router"
	"shardway/shardmap"
)

const mapText = `
version: 7
shards:
  s0: {primary: "127.0.0.1:3310", replicas: [{addr: "127.0.0.1:3311", weight: 2, zone: a}]}
  s1: {primary: "127.0.0.1:3320"}
databases:
  shop:
    slots: 4
    owners: {s0: ["0-1"], s1: ["2-3"]}
    moves: {r1.1: {slots: ["1"], from: s0, to: s1, state: copying}, r1.2: {slots: ["2"], from: s1, to: s0, state: copying}}
    default_shard: s0
    tables:
      users: {key: id, placement: mod}
      countries: {reference: true}
`

func testMap(t *testing.T) func() *shardmap.Map {
	t.Helper()
	m, err := shardmap.Parse([]byte(mapText))
	if err != nil {
		t.Fatal(err)
	}
	return func() *shardmap.Map { return m }
}

// fakeRouter is a Source.
type fakeRouter struct {
	tables map[string]*router.Table
	ready  error
}

func (f *fakeRouter) Table(name string) (*router.Table, error) {
	if t, ok := f.tables[name]; ok {
		return t, nil
	}
	return nil, errors.New("no such table")
}
func (f *fakeRouter) Ready() error  { return f.ready }
func (f *fakeRouter) Sessions() int { return 42 }

func newFakeRouter() *fakeRouter {
	return &fakeRouter{tables: map[string]*router.Table{
		"servers": {
			Columns: []string{"shard", "role", "server", "state", "lag_seconds", "latency_ms", "eligible", "reads"},
			Rows: [][]any{
				{"s0", "primary", "127.0.0.1:3310", "up", nil, 1.5, true, uint64(5)},
				{"s0", "replica", "127.0.0.1:3311", "down", 1.5, 0.0, false, uint64(6)},
				{"s0", "replica", "127.0.0.1:3311", "down", 1.5, 0.0, false, uint64(6)},
			},
		},
		"pools": {
			Columns: []string{"shard", "role", "server", "ceiling", "idle", "busy"},
			Rows:    [][]any{{"s0", "primary", "127.0.0.1:3310", int64(100), int64(3), int64(4)}},
		},
		"slot_waits": {Columns: []string{"count", "seconds", "within_10ms"}, Rows: [][]any{{uint64(2), 0.25, uint64(1)}}},
		"sessions":   {Columns: []string{"id", "user", "doing", "pinned_to", "pinned_why"}, Rows: [][]any{{uint64(9), "app", "idle", "s0 x", "xa, cursor; cursor"}, {uint64(10), "app", "running", "", ""}}},
		"variables":  {Columns: []string{"name", "value"}, Rows: [][]any{{"log.level", "info"}, {"status.probes", "17"}}},
	}}
}

func get(h http.Handler, path string, header ...string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func newHandler(token string) (*Handler, *Metrics) {
	m := NewMetrics(slog.New(slog.DiscardHandler))
	return New(Options{Settings: Settings{Token: token}, Version: "1.2.3", Metrics: m, Log: slog.New(slog.DiscardHandler)}), m
}

func TestProbes(t *testing.T) {
	h, _ := newHandler("secret") // probes need no token
	expect := func(path string, code int, body string) {
		t.Helper()
		if gotCode, got := get(h, path); gotCode != code || got != body+"\n" {
			t.Errorf("%s: %d %q, want %d %q", path, gotCode, got, code, body)
		}
	}
	expect("/livez", 200, "alive")
	expect("/readyz", 503, "not ready: starting: there is no shard map yet")
	f := newFakeRouter()
	h.Attach(f, testMap(t))
	expect("/readyz", 200, "ready")
	f.ready = errors.New("shard s1 has no usable primary: 127.0.0.1:3320 is down")
	expect("/readyz", 503, "not ready: shard s1 has no usable primary: 127.0.0.1:3320 is down")
	expect("/livez", 200, "alive")
	f.ready = nil
	h.Drain()
	expect("/readyz", 503, "not ready: draining: Shardway is about to end")
	expect("/livez", 200, "alive")
}

func TestToken(t *testing.T) {
	h, _ := newHandler("secret")
	h.Attach(newFakeRouter(), testMap(t))
	for _, path := range []string{"/metrics", "/api/v1/status", "/api/v1/map", "/api/v1/servers", "/api/v1/pools", "/api/v1/sessions", "/debug/pprof/", "/debug/pprof/cmdline", "/"} {
		for _, header := range []string{"", "Bearer", "Bearer wrong", "Bearer secret2", "Basic secret", "secret"} {
			if code, body := get(h, path, "Authorization", header); code != 401 || strings.Contains(body, "s0") {
				t.Errorf("%s with %q: %d", path, header, code)
			}
		}
		if code, _ := get(h, path, "Authorization", "Bearer secret"); code != 200 {
			t.Errorf("%s with the token: %d", path, code)
		}
	}
	h.Set(Settings{Token: "other"})
	if code, _ := get(h, "/metrics", "Authorization", "Bearer secret"); code != 401 {
		t.Errorf("with the token of before: %d", code)
	}
	h.Set(Settings{})
	if code, _ := get(h, "/metrics"); code != 200 {
		t.Errorf("without a token set: %d", code)
	}
	if code, _ := get(h, "/debug/pprof/"); code != 403 {
		t.Errorf("profiles without a token set: %d", code)
	}
}

func TestOnlyReads(t *testing.T) {
	h, _ := newHandler("")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/status", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	if code, _ := get(h, "/nothing"); code != 404 {
		t.Errorf("an unknown path: %d", code)
	}
}

func TestJSON(t *testing.T) {
	h, _ := newHandler("")
	if code, _ := get(h, "/api/v1/servers"); code != 503 {
		t.Errorf("servers before there is a router: %d", code)
	}
	h.Attach(newFakeRouter(), testMap(t))
	var status map[string]any
	_, body := get(h, "/api/v1/status")
	if err := json.Unmarshal([]byte(body), &status); err != nil || status["sessions"] != 42.0 || status["map_version"] != 7.0 || status["ready"] != true || status["version"] != "1.2.3" {
		t.Errorf("status: %v %s", err, body)
	}
	var servers []map[string]any
	_, body = get(h, "/api/v1/servers")
	if err := json.Unmarshal([]byte(body), &servers); err != nil || len(servers) != 3 || servers[1]["server"] != "127.0.0.1:3311" || servers[0]["lag_seconds"] != nil {
		t.Errorf("servers: %v %s", err, body)
	}
	var m mapDoc
	_, body = get(h, "/api/v1/map")
	if err := json.Unmarshal([]byte(body), &m); err != nil || m.Version != 7 || m.Shards[0].Replicas[0] != (serverDoc{"127.0.0.1:3311", 2, "a"}) ||
		!slices.Equal(m.Databases[0].Owners["s1"], []string{"2-3"}) || m.Databases[0].DefaultShard != "s0" || len(m.Databases[0].Tables) != 2 {
		t.Errorf("map: %v %s", err, body)
	}
}

func TestMetrics(t *testing.T) {
	h, m := newHandler("")
	f := newFakeRouter()
	h.Attach(f, testMap(t))
	e := router.Event{Kind: "select", Shard: "s0", Role: "replica", Outcome: "ok", Duration: 3 * time.Millisecond, Rows: 2}
	m.Observe(&e)
	m.Observe(&e)
	e.Outcome, e.Code = "error", 1146
	m.Observe(&e)
	_, body := get(h, "/metrics")
	for _, line := range []string{
		`shardway_queries_total{kind="select",outcome="ok",role="replica",shard="s0"} 2`,
		`shardway_queries_total{kind="select",outcome="error",role="replica",shard="s0"} 1`,
		`shardway_query_duration_seconds_count{role="replica",shard="s0"} 3`,
		`shardway_query_duration_seconds_bucket{role="replica",shard="s0",le="0.0025"} 0`,
		`shardway_query_duration_seconds_bucket{role="replica",shard="s0",le="0.005"} 3`,
		`shardway_errors_total{code="1146"} 1`,
		`shardway_rows_sent_total 6`,
		`shardway_sessions 42`,
		`shardway_ready 1`,
		`shardway_map_version 7`,
		`shardway_moves{database="shop",state="copying"} 2`,
		`shardway_move_wait_seconds_bucket{le="0.01"} 1`,
		`shardway_move_wait_seconds_sum 0.25`,
		`shardway_move_wait_seconds_count 2`,
		`shardway_server_up{role="primary",server="127.0.0.1:3310",shard="s0"} 1`,
		`shardway_server_up{role="replica",server="127.0.0.1:3311",shard="s0"} 0`,
		`shardway_server_replication_lag_seconds{role="replica",server="127.0.0.1:3311",shard="s0"} 1.5`,
		`shardway_server_reads_total{role="primary",server="127.0.0.1:3310",shard="s0"} 5`,
		`shardway_server_latency_seconds{role="primary",server="127.0.0.1:3310",shard="s0"} 0.0015`,
		`shardway_server_eligible{role="replica",server="127.0.0.1:3311",shard="s0"} 0`,
		`shardway_sessions_running 1`,
		`shardway_sessions_pinned 1`,
		`shardway_pins{reason="xa"} 1`,
		`shardway_pins{reason="cursor"} 2`,
		`shardway_probes_total 17`,
		`shardway_pool_busy_connections{role="primary",server="127.0.0.1:3310",shard="s0"} 4`,
		`shardway_pool_ceiling_connections{role="primary",server="127.0.0.1:3310",shard="s0"} 100`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if strings.Contains(body, `lag_seconds{role="primary"`) {
		t.Error("an unknown lag is shown as a number")
	}
	if !strings.Contains(body, `shardway_build_info{go="`) || !strings.Contains(body, "go_goroutines ") {
		t.Error("no build info or Go metrics")
	}
	f.ready = errors.New("no")
	f.tables = nil // a table that can't be had takes only its own metrics away
	if code, body := get(h, "/metrics"); code != 200 || !strings.Contains(body, "shardway_ready 0\n") || strings.Contains(body, "shardway_pool") {
		t.Errorf("without tables: %d", code)
	}
}

// Sessions observe at the same time, each combination of labels once or often.
func TestObserveFromManySessions(t *testing.T) {
	h, m := newHandler("")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				m.Observe(&router.Event{Kind: "select", Shard: string(rune('a' + (i+j)%5)), Role: "replica", Outcome: "ok"})
			}
		})
	}
	wg.Wait()
	_, body := get(h, "/metrics")
	for _, shard := range []string{"a", "b", "c", "d", "e"} {
		if !strings.Contains(body, `shardway_queries_total{kind="select",outcome="ok",role="replica",shard="`+shard+`"} 1600`) {
			t.Errorf("shard %s wasn't counted right", shard)
		}
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	_, m := newHandler("")
	m.SetSlow(time.Second)
	e := router.Event{Kind: "select", Shard: "s0", Role: "replica", Outcome: "ok", Duration: time.Millisecond, Rows: 1}
	m.Observe(&e)
	if n := testing.AllocsPerRun(100, func() { m.Observe(&e) }); n != 0 {
		t.Errorf("Observe allocates %.0f times", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	_, m := newHandler("")
	e := router.Event{Kind: "select", Shard: "s0", Role: "replica", Outcome: "ok", Duration: time.Millisecond, Rows: 1}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(&e)
	}
}

func TestSlowStatements(t *testing.T) {
	var out bytes.Buffer
	m := NewMetrics(slog.New(slog.NewTextHandler(&out, nil)))
	e := router.Event{Kind: "select", Shard: "s0", Outcome: "ok", User: "app", Duration: time.Second, Digest: []byte("SELECT ?")}
	m.Observe(&e)
	if out.Len() != 0 {
		t.Errorf("logged while nothing is slow: %s", out.String())
	}
	m.SetSlow(time.Second)
	e.Duration--
	m.Observe(&e)
	if out.Len() != 0 {
		t.Errorf("logged a fast statement: %s", out.String())
	}
	e.Duration++
	m.Observe(&e)
	if s := out.String(); !strings.Contains(s, `level=WARN msg="slow statement" duration=1s digest="SELECT ?" kind=select outcome=ok shard=s0`) {
		t.Error(s)
	}
}

// A request that is under way when the context ends gets its answer.
func TestServeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		started := make(chan struct{})
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(started)
			time.Sleep(500 * time.Millisecond) // of the bubble's fake clock
			say(w, 200, "done")
		})
		ended := make(chan error)
		go func() { ended <- Serve(ctx, ln, h, slog.New(slog.DiscardHandler)) }()
		client, server := net.Pipe()
		ln.conns <- server
		go func() { _, _ = io.WriteString(client, "GET / HTTP/1.0\r\n\r\n") }()
		<-started
		cancel()
		answer, err := io.ReadAll(client)
		if err != nil || !bytes.HasSuffix(answer, []byte("done\n")) {
			t.Errorf("%q %v", answer, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
