package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestConnectionAttributes: what a client says of itself is shown; what is malformed or too much ends the login.
func TestConnectionAttributes(t *testing.T) {
	onBoth(t, "attrs", app, func(e *env) {
		d := e.serve(nil)
		watcher := e.dial(d, nil)
		shown := func(w *wire) map[string]string {
			e.Helper()
			rows, err := watcher.text("SHOW SHARDWAY SESSIONS")
			e.must(err)
			for _, row := range rows {
				if row[0] == u(w.id) {
					got := map[string]string{}
					if last := row[len(row)-1]; last != "" {
						e.must(json.Unmarshal([]byte(last), &got))
					}
					return got
				}
			}
			e.Fatal("the session isn't shown")
			return nil
		}
		want := map[string]string{"_client_name": "wire", "program_name": "a \"test\"", "empty": "", "long": strings.Repeat("x", 60000)}
		w := e.dial(d, func(o *wireOptions) { o.attrs = want })
		if got := shown(w); !maps.Equal(got, want) {
			e.Errorf("shown are %.200v, want %.200v", got, want)
		}
		if got := shown(watcher); len(got) != 0 {
			e.Errorf("of a client without are shown %v", got)
		}
		if code, body := d.get("/api/v1/sessions"); code != 200 || !strings.Contains(body, "_client_name") {
			e.Errorf("over HTTP: %d %.300s", code, body)
		}
		// Too much, and malformed, at the plain server too: a login that fails, and nothing else.
		for name, raw := range map[string][]byte{
			"65537 bytes":   appendLenenc(nil, appendLenenc(appendLenenc(nil, []byte("k")), make([]byte, 65532))),
			"a cut value":   {4, 1, 'k', 9, 'v'},
			"a cut length":  {0xfd, 1},
			"no value":      {2, 1, 'k'},
			"more than all": {200, 1, 'k', 1, 'v'},
		} {
			bad, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name, rawAttrs: raw})
			if err == nil {
				bad.close()
				e.Errorf("%s of attributes are taken", name)
			}
		}
		if got, err := watcher.one("SELECT 1"); got != "1" || err != nil {
			e.Error(got, err)
		}
	})
}

func u(n uint32) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// TestClientFlags: CLIENT_FOUND_ROWS, CLIENT_IGNORE_SPACE and CLIENT_INTERACTIVE do what they do at a server, each for its own
// client.
func TestClientFlags(t *testing.T) {
	onBoth(t, "flags", app, func(e *env) {
		d := e.serve(nil)
		for _, caps := range []uint32{0, capFoundRows, capIgnoreSpace, capInteractive, capFoundRows | capIgnoreSpace | capInteractive} {
			with := func(o *wireOptions) { o.caps = caps }
			w, plain := e.dial(d, with), e.plain(with)
			for _, q := range []string{
				"UPDATE notes SET user_id = user_id WHERE id < 5", "UPDATE users SET age = 30 WHERE id = 3", "UPDATE users SET age = 30 WHERE id = 3",
				"INSERT INTO counters VALUES (3, 3) ON DUPLICATE KEY UPDATE n = 3", "INSERT INTO counters VALUES (3, 3) ON DUPLICATE KEY UPDATE n = 3",
				"SELECT ROW_COUNT()", "SELECT COUNT (*) FROM notes WHERE id = 3", "SELECT @@sql_mode LIKE '%IGNORE_SPACE%'",
				"SELECT MAX (id) FROM notes",
			} {
				got, err1 := w.query(q)
				want, err2 := plain.query(q)
				if err1 != nil || err2 != nil {
					e.Fatalf("%s: %v, %v", q, err1, err2)
				}
				e.sameReplies(q, got, want)
			}
		}
	})
}

// TestInteractiveTimeout: an interactive client that is idle for interactive_timeout is left, another one isn't.
func TestInteractiveTimeout(t *testing.T) {
	onBoth(t, "idle", app, func(e *env) {
		e.must(e.c.Exec(e.ctx, "SET GLOBAL interactive_timeout = 1"))
		e.Cleanup(func() { _ = e.c.Exec(context.Background(), "SET GLOBAL interactive_timeout = 28800") })
		d := e.serve(nil)
		other := e.dial(d, nil)
		w := e.dial(d, func(o *wireOptions) { o.caps = capInteractive })
		if got, err := w.one("SELECT 1"); got != "1" || err != nil {
			e.Fatal(got, err)
		}
		began := time.Now()
		p, err := w.readPacket() // waits for the end
		if took := time.Since(began); took < 900*time.Millisecond || took > 20*time.Second || err == nil && p[0] != 0xff {
			e.Errorf("left after %v with %q, %v", took, p, err)
		}
		if got, err := other.one("SELECT 1"); got != "1" || err != nil {
			e.Errorf("a client that isn't interactive: %s, %v", got, err)
		}
	})
}
