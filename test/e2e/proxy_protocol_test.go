package e2e

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestU29ProxyProtocol connects as a load balancer does.
func TestU29ProxyProtocol(t *testing.T) {
	onEach(t, "proxied", app, func(e *env) {
		d := e.serve(settings{"proxy_protocol": "{trusted: [127.0.0.2/32]}"})
		v2 := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 198, 51, 100, 7, 127, 0, 0, 1, 0xc3, 0x50, 0x11, 0x36)
		for header, want := range map[string]string{
			"PROXY TCP4 192.0.2.7 127.0.0.1 50000 4406\r\n": "192.0.2.7:50000",
			string(v2):                               "198.51.100.7:50000",
			"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00": "127.0.0.2:",
			"":                                       "127.0.0.2:",
		} {
			w := e.dial(d, func(o *wireOptions) { o.from, o.before = "127.0.0.2", header })
			rows, err := w.text("SHOW SHARDWAY SESSIONS")
			e.must(err)
			if len(rows) == 0 || !strings.HasPrefix(rows[len(rows)-1][2], want) {
				e.Errorf("%q: the sessions are %q, want the last of %s", header, rows, want)
			}
			if _, err := w.one("SELECT name FROM users WHERE id = 3"); err != nil {
				e.Error(err)
			}
			w.close()
		}
		// Guesses are counted by the address that a trusted header tells, so that one guesser behind a load balancer
		// slows down nobody else.
		guess := func(from, password string) (time.Duration, error) {
			began := time.Now()
			w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: password, from: "127.0.0.2", before: "PROXY TCP4 " + from + " 127.0.0.1 50000 4406\r\n"})
			if err == nil {
				w.close()
			}
			return time.Since(began), err
		}
		for range 5 {
			_, _ = guess("192.0.2.66", "a guessed secret")
		}
		if took, err := guess("192.0.2.66", "a guessed secret"); err == nil || took < 300*time.Millisecond {
			e.Errorf("the sixth guess behind a load balancer took %v: %v", took, err)
		}
		if took, err := guess("192.0.2.67", "app"); err != nil || took > 300*time.Millisecond {
			e.Errorf("another client behind the same load balancer waited %v: %v", took, err)
		}
		if log := d.log.String(); strings.Contains(log, "guessed secret") || !strings.Contains(log, "login failed") || !strings.Contains(log, "192.0.2.66") {
			e.Errorf("the log of failed logins has no address, or the secret:\n%s", log)
		}

		// From elsewhere a header ends the connection without a word.
		nc, err := net.Dial("tcp", d.addr)
		e.must(err)
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = nc.Write(v2)
		e.must(err)
		said, err := io.ReadAll(nc)
		if err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			e.Error(err)
		}
		if len(said) == 0 || len(said) != int(said[0])+4 {
			e.Errorf("the answer to a header that isn't trusted is %q, want the greeting alone", said)
		}
		e.until("the log says so", func() bool { return strings.Contains(d.log.String(), "not trusted") })
	})
}
