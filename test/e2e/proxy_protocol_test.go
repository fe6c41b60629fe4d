package e2e

import (
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shardway/test/cluster"
)

// TestU29ProxyProtocol connects as a load balancer does.
func TestU29ProxyProtocol(t *testing.T) {
	onBoth(t, "proxied", app, func(e *env) {
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

// TestU29ServersAreToldClientsAddresses has servers show the clients' addresses, and not Shardway's.
func TestU29ServersAreToldClientsAddresses(t *testing.T) {
	told := settings{
		"servers":        "{user: shardway, password: secret, proxy_protocol: v2}",
		"pool":           "{max_per_server: 4, multiplex: false}",
		"proxy_protocol": "{trusted: [127.0.0.4/32]}",
	}
	onBoth(t, "told", app, func(e *env) {
		if e.mysql() {
			e.refusesHeaders(told)
			return
		}
		networks := func(list string) {
			for _, s := range e.c.Servers() {
				e.must(s.Exec(e.ctx, "SET GLOBAL proxy_protocol_networks = '"+list+"'"))
			}
		}
		before, err := e.c.Servers()[0].Text(e.ctx, "SELECT @@proxy_protocol_networks")
		e.must(err)
		e.refusesHeaders(told)
		networks("127.0.0.1")
		defer networks(before)

		d := e.serve(told)
		const who = "SELECT SUBSTRING_INDEX(USER(), '@', -1) FROM users WHERE id = "
		clients := map[string]*wire{}
		for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
			clients[from] = e.dial(d, func(o *wireOptions) { o.from = from })
		}
		clients["192.0.2.7"] = e.dial(d, func(o *wireOptions) {
			o.from, o.before = "127.0.0.4", "PROXY TCP4 192.0.2.7 127.0.0.1 50000 4406\r\n"
		})
		clients["2001:db8::7"] = e.dial(d, func(o *wireOptions) {
			o.from, o.before = "127.0.0.4", "PROXY TCP6 2001:db8::7 2001:db8::1 50000 4406\r\n"
		})
		for round := range 3 { // the fourth connection of one client is the fifth of all: idle ones give way
			for from, w := range clients {
				for _, id := range []string{"1", "2", "3", "4"} {
					for _, sql := range []string{who + id, who + id + " FOR UPDATE"} {
						if got, err := w.one(sql); got != from || err != nil {
							e.Errorf("round %d: the server of %q sees %q, %v, want %s", round, sql, got, err, from)
						}
					}
				}
			}
		}
		for from, w := range clients { // each has a connection of its own meanwhile
			for _, sql := range []string{"BEGIN", who + "1 FOR UPDATE"} {
				if rs, err := w.query(sql); err != nil || rs[0].Err != nil {
					e.Fatal(sql, err, rs)
				}
			}
			var hosts []string
			for _, sh := range e.c.Shards {
				some, err := sh.Primary.Text(e.ctx, "SELECT GROUP_CONCAT(HOST) FROM information_schema.PROCESSLIST WHERE USER = 'shardway'")
				e.must(err)
				hosts = append(hosts, strings.Split(some, ",")...)
			}
			if !slices.ContainsFunc(hosts, func(host string) bool { return strings.HasPrefix(host, from+":") }) ||
				!slices.ContainsFunc(hosts, func(host string) bool { return strings.HasPrefix(host, "127.0.0.1:") }) {
				e.Errorf("the servers' process lists show %q, want %s for a client and 127.0.0.1 for Shardway itself", hosts, from)
			}
			if _, err := w.query("COMMIT"); err != nil {
				e.Error(err)
			}
		}
	})
}

// refusesHeaders has a daemon tell clients' addresses to servers that don't expect to be told.
func (e *env) refusesHeaders(told settings) {
	for _, mode := range []string{"disabled", "preferred"} {
		s := maps.Clone(told)
		s["servers"] = strings.Replace(s["servers"], "{", "{tls: {mode: "+mode+"}, ", 1)
		d := e.launch("", s, e.c.Map(e.db.Map(e.c.Shards)))
		down := func() int { return strings.Count(d.log.String(), "state=down") }
		e.until("the servers are down", func() bool { return down() == len(e.c.Shards)*(1+len(e.c.Shards[0].Replicas)) })
		if log := d.log.String(); strings.Count(log, "state=down before=connecting why=\"servers.proxy_protocol is v2, but the server seems not to take PROXY headers") != down() {
			e.Errorf("TLS %s: the log doesn't name the setting:\n%s", mode, log)
		}
	}
}

// TestWithoutMultiplexing has each client use server connections of its own.
func TestWithoutMultiplexing(t *testing.T) {
	on(t, cluster.MariaDB, "unmultiplexed", app, func(e *env) {
		const clients = 8
		for pool, want := range map[string]func(idle int) bool{
			"{multiplex: true}":  func(idle int) bool { return idle < clients },
			"{multiplex: false}": func(idle int) bool { return idle >= clients },
		} {
			d := e.serve(settings{"pool": pool})
			var w *wire
			for range clients {
				w = e.dial(d, nil)
				_, err := w.one("SELECT name FROM users WHERE id = 1 FOR UPDATE") // at the primary
				e.must(err)
			}
			rows, err := w.text("SHOW SHARDWAY POOLS")
			e.must(err)
			most := 0
			for _, row := range rows {
				idle, err := strconv.Atoi(row[5])
				e.must(err)
				most = max(most, idle)
			}
			if !want(most) {
				e.Errorf("%s: %d connections were kept for %d clients:\n%q", pool, most, clients, rows)
			}
		}
	})
}
