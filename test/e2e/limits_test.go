package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/test/cluster"
)

// running counts the statements with a text in them that run on the servers.
func (e *env) running(text string) int {
	e.Helper()
	n := 0
	for _, s := range e.c.Servers() {
		var here int
		e.must(s.DB().QueryRowContext(e.ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%"+text+"%' AND info NOT LIKE '%processlist%'").Scan(&here))
		n += here
	}
	return n
}

// refusedWith checks that a login, or a statement, got an error with a code and a word in it.
func (e *env) refusedWith(what string, err error, code uint16, word string) {
	e.Helper()
	var refused *wireError
	if !errors.As(err, &refused) || refused.Code != code || !strings.Contains(refused.Message, word) {
		e.Errorf("%s: %v, want error %d with %q", what, err, code, word)
	}
}

// errorOf is the error of a reply.
func errorOf(rs []result, err error) error {
	if err == nil && len(rs) > 0 && rs[len(rs)-1].Err != nil {
		return rs[len(rs)-1].Err
	}
	return err
}

// TestK18LimitsHoldAndHurtNobodyElse reaches each of the limits while others check their rows.
func TestK18LimitsHoldAndHurtNobodyElse(t *testing.T) {
	onBoth(t, "limited", app, func(e *env) {
		d := e.serve(settings{
			"limits": "{query_timeout: 2s, max_connections: 20, max_packet: 1MiB}",
			"users":  "{app: {password: app}, few: {password: few, max_connections: 2}}",
		})
		others := e.startWorkload(d, 4, false)
		others.until(50)

		// query_timeout ends the statement at its server, however it came, and nothing else of the session.
		const slow = "SELECT name, SLEEP(78) FROM users WHERE id = 3"
		text, prepared, inside, writer := e.dial(d, nil), e.dial(d, nil), e.dial(d, nil), e.dial(d, nil)
		s, err := prepared.prepare(slow)
		e.must(err)
		for _, q := range []string{"BEGIN", "UPDATE users SET age = 78 WHERE id = 5"} {
			_, err := inside.query(q)
			e.must(err)
		}
		began := time.Now()
		e.must(text.send(comQuery, []byte(slow)))
		e.must(prepared.send(comStmtExecute, s.executePacket(0, true)))
		e.must(inside.send(comQuery, []byte(slow+" FOR UPDATE")))
		e.must(writer.send(comQuery, []byte("UPDATE users SET age = SLEEP(78) WHERE id = 4")))
		e.until("four statements run at the servers", func() bool { return e.running("SLEEP(78)") == 4 })
		for what, w := range map[string]*wire{"text": text, "prepared": prepared, "in a transaction": inside, "a write": writer} {
			rs, err := w.results()
			if err = errorOf(rs, err); err == nil && e.mysql() && w != writer {
				continue // there SLEEP gives 1 when it is stopped, and its statement goes on to its end
			}
			e.refusedWith(what, err, 3024, "2s")
		}
		if took := time.Since(began); took < 2*time.Second || took > 8*time.Second {
			e.Errorf("statements of 78 s were stopped after %v, want 2 s", took)
		}
		e.until("none runs at the servers", func() bool { return e.running("SLEEP(78)") == 0 })
		if got, err := inside.one("SELECT age FROM users WHERE id = 5"); got != "78" || err != nil {
			e.Errorf("the transaction after its statement was stopped: %q, %v", got, err)
		}
		_, err = inside.query("ROLLBACK")
		e.must(err)
		for _, w := range []*wire{text, prepared, inside, writer} {
			if got, err := w.one("SELECT name FROM users WHERE id = 4"); got != "user 4" || err != nil {
				e.Errorf("after a statement was stopped: %q, %v", got, err)
			}
		}

		// max_packet: the statement is refused, the session goes on.
		rs, err := text.query("SELECT '" + strings.Repeat("x", 1<<20) + "'")
		e.refusedWith("a packet over max_packet", errorOf(rs, err), 1153, "larger than the limit")
		if got, err := text.one("SELECT LENGTH('" + strings.Repeat("x", 1<<19) + "')"); got != "524288" || err != nil {
			e.Errorf("after a packet over max_packet: %q, %v", got, err)
		}

		// A user's max_connections, at a login and when the user is changed.
		few := func(o *wireOptions) { o.user, o.password = "few", "few" }
		a := e.dial(d, few)
		e.dial(d, few)
		_, err = dialWire(wireOptions{addr: d.addr, user: "few", password: "few", db: e.db.Name})
		e.refusedWith("a third connection of a user who may have two", err, 1226, "max_user_connections")
		e.refusedWith("a change to that user", writer.changeUser("few", "few", e.db.Name), 1226, "max_user_connections")
		a.close()
		e.until("a place is free", func() bool {
			w, err := dialWire(wireOptions{addr: d.addr, user: "few", password: "few", db: e.db.Name})
			if err == nil {
				w.close()
			}
			return err == nil
		})

		// max_connections, of all.
		var all []*wire
		for err = nil; err == nil && len(all) < 40; {
			var w *wire
			if w, err = dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name}); err == nil {
				all = append(all, w)
			}
		}
		e.refusedWith("one client too many", err, 1040, "Too many connections")
		for _, w := range all {
			w.close()
		}
		e.until("there is room again", func() bool {
			w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
			if err == nil {
				w.close()
			}
			return err == nil
		})
		others.until(50)
		others.end()
		e.noLeaks(d)
	})
}

// TestL19AServerWithoutFreeConnectionsIsBusyAndNotDown: error 1040 of a server makes statements wait and then fail
// clearly; the server stays in use.
func TestL19AServerWithoutFreeConnectionsIsBusyAndNotDown(t *testing.T) {
	onEach(t, "crowded", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 50, wait_timeout: 2s}"})
		p := e.c.Shards[0].Primary
		e.must(p.Exec(e.ctx, "SET GLOBAL max_connections = 12"))
		e.Cleanup(func() { // the test's own context has ended then
			if err := p.Exec(context.Background(), "SET GLOBAL max_connections = 600"); err != nil {
				e.Errorf("%s keeps its low max_connections for the tests that follow: %v", p.Name, err)
			}
		})
		var crowd []*wire
		for {
			w, err := dialWire(wireOptions{addr: p.Addr, user: cluster.User, password: cluster.Password})
			if err != nil {
				e.refusedWith("the crowd", err, 1040, "Too many connections")
				break
			}
			e.Cleanup(w.close)
			crowd = append(crowd, w)
		}
		leave := func() {
			for _, w := range crowd {
				w.close()
			}
		}
		admin := e.open(d, nil)
		e.must(admin.PingContext(e.ctx)) // so that it need not log in when the state is asked for
		// What the pool has already is used up first.
		write := func(w *wire, id int) error {
			return errorOf(w.query(fmt.Sprintf("SELECT name FROM users WHERE id = %d FOR UPDATE", id)))
		}
		var holders []*wire
		var err error
		began := time.Now()
		for id := 0; err == nil && id < 8; id++ {
			w := e.dial(d, nil)
			_, failed := w.query("BEGIN")
			e.must(failed)
			began = time.Now()
			if err = write(w, id); err == nil {
				holders = append(holders, w)
			}
		}
		e.refusedWith("a statement that waited", err, 1040, "shardway: ")
		if err != nil && !strings.Contains(err.Error(), p.Addr) {
			e.Errorf("%v doesn't name the server", err)
		}
		if took := time.Since(began); took < 1500*time.Millisecond || took > 8*time.Second {
			e.Errorf("the statement waited for %v, want 2 s", took)
		}
		if state := e.shown(admin, p, "state"); state != "busy" {
			e.Errorf("the server is %s, want busy", state)
		}
		if code, body := d.get("/readyz"); code != http.StatusOK {
			e.Errorf("/readyz: %d %s", code, body)
		}
		w := e.dial(d, nil)
		if got, err := w.one("SELECT name FROM users WHERE id = 6"); got != "user 6" || err != nil {
			e.Errorf("a read meanwhile: %q, %v", got, err)
		}

		// Many wait, few dials are made, and all are served once there is room.
		before := d.metric(`shardway_pool_dials_total{role="primary",server="` + p.Addr + `",shard="s0"}`)
		var wg sync.WaitGroup
		errs := make([]error, 60)
		for i := range errs {
			c := e.dial(d, nil)
			wg.Go(func() { errs[i] = write(c, 8-1-i%2) })
		}
		e.until("they wait", func() bool {
			return d.metric(`shardway_pool_waiting_requests{role="primary",server="`+p.Addr+`",shard="s0"}`) >= 30
		})
		dials := d.metric(`shardway_pool_dials_total{role="primary",server="`+p.Addr+`",shard="s0"}`) - before
		leave()
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				e.Errorf("client %d, after there was room: %v", i, err)
			}
		}
		if dials > 8 {
			e.Errorf("%g dials were made for 60 who wait, want back-off", dials)
		}
		e.until("the server is up", func() bool { return e.shown(admin, p, "state") == "up" })
		for _, w := range holders {
			_, _ = w.query("ROLLBACK")
		}
		e.noLeaks(d)
	})
}
