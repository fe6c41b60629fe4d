package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shardway/router/admin"
)

// runHealth runs shardway health with an environment.
func runHealth(t *testing.T, environ []string, args ...string) (status int, output string) {
	t.Helper()
	var out bytes.Buffer
	status = run(t.Context(), &program{args: append([]string{"health"}, args...), environ: environ, stdout: &out, stderr: &out})
	return status, out.String()
}

// serveAdmin serves h on ln until the test ends.
func serveAdmin(t *testing.T, ln net.Listener, h http.Handler) {
	t.Helper()
	srv := &http.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		_ = srv.Close()
		serving.Wait()
	})
}

func listenAt(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestHealth(t *testing.T) {
	starting := admin.New(admin.Options{Version: "test", Metrics: admin.NewMetrics(nil)}) // alive, without a router
	ready := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	socket := filepath.Join(t.TempDir(), "admin")
	notReady, good, everywhere, unix := listenAt(t, "tcp", "127.0.0.1:0"), listenAt(t, "tcp", "127.0.0.1:0"), listenAt(t, "tcp", ":0"), listenAt(t, "unix", socket)
	serveAdmin(t, notReady, starting)
	for _, ln := range []net.Listener{good, everywhere, unix} {
		serveAdmin(t, ln, ready)
	}
	_, port, err := net.SplitHostPort(everywhere.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	closed := listenAt(t, "tcp", "127.0.0.1:0")
	_ = closed.Close()

	for _, c := range []struct {
		name, admin string
		args        []string
		status      int
		want        string
	}{
		{"ready", good.Addr().String(), nil, 0, "ready"},
		{"a unix socket", "unix:" + socket, nil, 0, "ready"},
		{"everywhere, IPv4", "0.0.0.0:" + port, nil, 0, "ready"},
		{"everywhere, IPv6", "[::]:" + port, nil, 0, "ready"},
		{"everywhere, no host", ":" + port, nil, 0, "ready"},
		{"the flag is stronger", closed.Addr().String(), []string{"--admin", good.Addr().String()}, 0, "ready"},
		{"not ready", notReady.Addr().String(), nil, 1, "answers 503: not ready: starting: there is no shard map yet"},
		{"alive", notReady.Addr().String(), []string{"--live"}, 0, "alive"},
		{"another path than ready", good.Addr().String(), []string{"--live"}, 1, "answers 404"},
		{"nobody there", closed.Addr().String(), nil, 1, closed.Addr().String() + " doesn't answer"},
		{"no address", "4480", nil, 2, `the admin address "4480" isn't host:port or unix:/path`},
		{"help", "", []string{"--help"}, 0, "shardway health --admin 127.0.0.1:4480"},
		{"an argument", "", []string{"now"}, 2, `health takes no argument "now"`},
		{"an unknown flag", "", []string{"--nope"}, 2, "health: unknown flag: --nope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out := runHealth(t, []string{"SHARDWAY_ADMIN_LISTEN=" + c.admin, "http_proxy=http://127.0.0.1:1"}, c.args...)
			if status != c.status || !strings.Contains(out, c.want) {
				t.Errorf("status %d, want %d, with %q:\n%s", status, c.status, c.want, out)
			}
		})
	}
}

// TestHealthHasADeadline has an address that accepts and never answers.
func TestHealthHasADeadline(t *testing.T) {
	ln := listenAt(t, "tcp", "127.0.0.1:0")
	defer ln.Close()
	status, out := runHealth(t, nil, "--admin", ln.Addr().String(), "--timeout", "50ms")
	if status != exitFailed || !strings.Contains(out, "deadline exceeded") {
		t.Errorf("status %d: %s", status, out)
	}
}
