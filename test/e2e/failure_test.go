package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/test/cluster"
)

// load is many clients that read with a token of their own in every row, and
// know a wrong row when they see one.
type load struct {
	e            *env
	d            *daemon
	stop         context.CancelFunc
	wg           sync.WaitGroup
	good, failed atomic.Int64
	errs         sync.Map // text of an error -> struct{}
	write        bool
}

// startWorkload runs clients until stopped. Each read asks for three rows that hold
// the reader's token; each error must be a clear one, after which the client
// goes on or connects anew.
func (e *env) startWorkload(d *daemon, clients int, write bool) *load {
	ctx, cancel := context.WithCancel(e.ctx)
	l := &load{e: e, d: d, stop: cancel, write: write}
	for n := range clients {
		l.wg.Go(func() { l.client(ctx, n) })
	}
	return l
}

func (l *load) client(ctx context.Context, n int) {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	var w *wire
	defer func() {
		if w != nil {
			w.close()
		}
	}()
	for i := 0; ctx.Err() == nil; i++ {
		// Servers that start need some of the machine too.
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(r.IntN(4)) * time.Millisecond):
		}
		if w == nil {
			var err error
			if w, err = dialWire(wireOptions{addr: l.d.addr, user: "app", password: "app", db: l.e.db.Name}); err != nil {
				l.note(err)
				w = nil
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
				continue
			}
		}
		// A statement that takes longer than this hangs.
		w.deadline(20 * time.Second)
		token := fmt.Sprintf("token %d %d", n, i)
		id := r.IntN(50)
		if l.write && r.IntN(4) == 0 {
			rs, err := w.query(fmt.Sprintf("UPDATE users SET age = age + 1 WHERE id = %d", id))
			if err == nil && rs[0].Err != nil {
				err = rs[0].Err
			}
			if !l.took(err) && !l.usable(err) {
				w.close()
				w = nil
			}
			continue
		}
		if r.IntN(50) == 0 {
			// Go away in the middle of a large result.
			if err := w.send(comQuery, fmt.Appendf(nil, "SELECT REPEAT('%s', 100000) FROM orders WHERE user_id = %d", token, id)); err == nil {
				_, _ = w.r.Peek(10)
			}
			w.close()
			w = nil
			continue
		}
		rows, err := w.text(fmt.Sprintf("SELECT '%s', user_id, id FROM orders WHERE user_id = %d ORDER BY id LIMIT 3", token, id))
		if !l.took(err) {
			if !l.usable(err) {
				w.close()
				w = nil
			}
			continue
		}
		if len(rows) != 3 {
			l.e.Errorf("%d rows, want 3", len(rows))
		}
		for k, row := range rows {
			if row[0] != token || row[1] != strconv.Itoa(id) || row[2] != strconv.Itoa(100*(id+20)+k) {
				l.e.Errorf("a wrong row %q, want %q, %d, %d", row, token, id, 100*(id+20)+k)
			}
		}
	}
}

// digits are what makes one error many: ports, ids, times.
var digits = regexp.MustCompile(`[0-9]+(\.[0-9]+)*(ms|s)?`)

func (l *load) took(err error) bool {
	if err == nil {
		l.good.Add(1)
		return true
	}
	l.note(err)
	return false
}

func (l *load) usable(err error) bool {
	var we *wireError
	return errors.As(err, &we)
}

func (l *load) note(err error) {
	l.failed.Add(1)
	text := err.Error()
	if strings.Contains(text, "i/o timeout") {
		l.e.Errorf("a client hung: %v", err)
	}
	l.errs.Store(digits.ReplaceAllString(text, "N"), struct{}{})
}

// until waits for n more good answers.
func (l *load) until(n int64) {
	l.e.Helper()
	want := l.good.Load() + n
	deadline := time.Now().Add(60 * time.Second)
	for l.good.Load() < want {
		if time.Now().After(deadline) {
			l.e.Fatalf("only %d of %d good answers in a minute; errors: %s", n-want+l.good.Load(), n, l.errors())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *load) errors() string {
	var all []string
	l.errs.Range(func(k, _ any) bool {
		all = append(all, k.(string))
		return len(all) < 20
	})
	return strings.Join(all, "\n  ")
}

func (l *load) end() {
	l.stop()
	l.wg.Wait()
	l.e.Logf("note: %d good answers, %d errors:\n  %s", l.good.Load(), l.failed.Load(), l.errors())
}

// servesAgain waits until a server serves queries with a new token.
func (e *env) servesAgain(s *cluster.Server) {
	e.Helper()
	e.must(s.LogQueries(e.ctx, true))
	deadline := time.Now().Add(30 * time.Second)
	for {
		n, err := s.Logged(e.ctx, "token ")
		e.must(err)
		if n > 0 {
			break
		}
		if time.Now().After(deadline) {
			e.Fatalf("%s serves nothing half a minute after it is back", s.Name)
		}
		time.Sleep(20 * time.Millisecond)
	}
	e.must(s.LogQueries(e.ctx, false))
}

// TestKillReplica kills replicas under load: no read may fail, because another
// server can serve it, unless its answer had begun.
func TestKillReplica(t *testing.T) {
	onBoth(t, "killr", app, func(e *env) {
		e.restartAfter()
		d := e.serve(settings{"replicas": "{max_lag: 0}"})
		l := e.startWorkload(d, 16, false)
		l.until(500)
		for round := range 2 {
			r := e.c.Shards[round%2].Replicas[0]
			e.must(r.Kill())
			l.until(1000)
			if n := l.failed.Load(); n > 3 {
				e.Errorf("%d reads failed with %s killed:\n  %s", n, r.Name, l.errors())
			}
			e.must(r.Start(e.ctx))
			e.servesAgain(r)
		}
		// A replica that hangs is no worse than one that is gone.
		hung := e.c.Shards[0].Replicas[1]
		hung.Pause()
		l.until(300)
		hung.Continue()
		l.end()
		e.noLeaks(d)
	})
}

// TestKillAllReplicas: the primary serves the reads.
func TestKillAllReplicas(t *testing.T) {
	onBoth(t, "killrs", app, func(e *env) {
		e.restartAfter()
		d := e.serve(settings{"replicas": "{max_lag: 0}"})
		l := e.startWorkload(d, 8, false)
		l.until(100)
		for _, r := range e.c.Shards[0].Replicas {
			e.must(r.Kill())
		}
		l.until(1000)
		for _, r := range e.c.Shards[0].Replicas {
			e.must(r.Start(e.ctx))
		}
		for _, r := range e.c.Shards[0].Replicas {
			e.servesAgain(r)
		}
		l.end()
		e.noLeaks(d)
	})
}

// TestKillPrimary kills a primary under reads and writes: writes fail clearly
// and fast, reads go on, and all is well when it is back.
func TestKillPrimary(t *testing.T) {
	onBoth(t, "killp", app, func(e *env) {
		e.restartAfter()
		d := e.serve(settings{"replicas": "{max_lag: 0}"})
		l := e.startWorkload(d, 16, true)
		l.until(500)
		p := e.c.Shards[0].Primary
		e.must(p.Kill())
		l.until(1000)
		w := e.dial(d, nil)
		began := time.Now()
		rs, err := w.query("UPDATE users SET age = 1 WHERE id = 7")
		if err != nil || rs[0].Err == nil {
			e.Errorf("a write without its primary: %v, %v, want an error", rs, err)
		} else if !strings.Contains(rs[0].Err.Message, "s0") {
			e.Errorf("%q doesn't name the shard", rs[0].Err.Message)
		}
		if took := time.Since(began); took > 8*time.Second {
			e.Errorf("a write without its primary failed after %s", took)
		}
		if code, body := d.get("/readyz"); code == 200 || !strings.Contains(body, "s0") {
			e.Errorf("/readyz without a primary: %d %s", code, body)
		}
		if rs, err := w.query("UPDATE users SET age = 1 WHERE id = 8"); err != nil || rs[0].Err != nil {
			e.Errorf("a write on the other shard: %v, %v", rs, err)
		}
		e.must(p.Start(e.ctx))
		deadline := time.Now().Add(30 * time.Second)
		for {
			rs, err := w.query("UPDATE users SET age = 1 WHERE id = 7")
			if err == nil && rs[0].Err == nil {
				break
			}
			if err != nil || time.Now().After(deadline) {
				e.Fatalf("writes don't come back: %v, %v", rs, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		l.until(500)
		l.end()
		e.noLeaks(d)
	})
}

// TestPrimaryLostInTransaction: the transaction is over, and says so.
func TestPrimaryLostInTransaction(t *testing.T) {
	onBoth(t, "lost", app, func(e *env) {
		e.restartAfter()
		d := e.serve(settings{"replicas": "{max_lag: 0}"})
		w := e.dial(d, nil)
		for _, q := range []string{"BEGIN", "INSERT INTO users (id, name) VALUES (9100, 'lost')"} {
			rs, err := w.query(q)
			e.must(err)
			if rs[0].Err != nil {
				e.Fatal(rs[0].Err)
			}
		}
		sh := e.c.Shards[1] // slot 12
		e.must(sh.Primary.Kill())
		e.must(sh.Primary.Start(e.ctx))
		rs, err := w.query("INSERT INTO users (id, name) VALUES (9101, 'must not be alone')")
		if err == nil && rs[0].Err == nil {
			e.Error("a statement of a lost transaction went well")
		}
		w = e.dial(d, nil)
		deadline := time.Now().Add(30 * time.Second)
		for {
			got, err := w.one("/* shardway: primary */ SELECT COUNT(*) FROM users WHERE id IN (9100, 9101, 9116, 9117) AND id = 9100")
			if err == nil {
				if got != "0" {
					e.Errorf("%s rows of a lost transaction", got)
				}
				break
			}
			if time.Now().After(deadline) {
				e.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// TestClientsLeave breaks off thousands of clients in the middle of results and
// transactions: nobody gets another's rows, locks are gone, nothing leaks.
func TestClientsLeave(t *testing.T) {
	onEach(t, "leaving", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 8, wait_timeout: 30s}"})
		l := e.startWorkload(d, 4, false)
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(3, uint64(n)))
				for i := range 125 {
					w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
					if err != nil {
						e.Error(err)
						return
					}
					id := r.IntN(50)
					switch i % 4 {
					case 0:
						_ = w.send(comQuery, fmt.Appendf(nil, "SELECT REPEAT('left %d', 200000) FROM orders WHERE user_id = %d", n, id))
						_, _ = w.r.Peek(5)
					case 1:
						_, _ = w.query("BEGIN")
						_, _ = w.query(fmt.Sprintf("UPDATE users SET name = 'left' WHERE id = %d", id))
					case 2:
						_ = w.send(comQuery, []byte("SELECT SLEEP(0.01)"))
					case 3:
						_ = w.send(comQuery, make([]byte, 10))
					}
					w.close()
				}
			})
		}
		wg.Wait()
		l.until(200)
		l.end()
		w := e.dial(d, nil)
		for id := range 50 {
			name, err := w.one(fmt.Sprintf("SELECT name FROM users WHERE id = %d FOR UPDATE", id))
			if err != nil || name != fmt.Sprintf("user %d", id) {
				e.Errorf("id %d: %q, %v", id, name, err)
			}
		}
		e.noLeaks(d)
	})
}

// noLeaks checks that no server connection is still busy when all clients are
// idle or gone: no open transaction and no running statement.
func (e *env) noLeaks(d *daemon) {
	e.Helper()
	for _, s := range e.c.Servers() {
		if s == e.c.Plain || s.PID() == 0 {
			continue
		}
		deadline := time.Now().Add(15 * time.Second)
		for {
			busy, err := s.Text(e.ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'shardway' AND command <> 'Sleep'")
			e.must(err)
			open, err := s.Text(e.ctx, "SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.user = 'shardway'")
			e.must(err)
			if busy == "0" && open == "0" {
				break
			}
			if time.Now().After(deadline) {
				which, err := s.Text(e.ctx, "SELECT GROUP_CONCAT(CONCAT_WS(' ', t.trx_state, t.trx_started, 'now', NOW(), 'rows changed', t.trx_rows_modified, 'locked', t.trx_rows_locked, 'connection', p.id, p.command, p.time, p.info)) "+
					"FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE p.user = 'shardway'")
				e.must(err)
				e.Errorf("%s: %s connections are busy and %s transactions open with no client left: %s", s.Name, busy, open, which)
				break
			}
			time.Sleep(200 * time.Millisecond) // InnoDB lists the transactions anew once nobody has asked for 100 ms
		}
	}
	if rows, err := e.dial(d, nil).text("SHOW SHARDWAY POOLS"); err != nil || len(rows) == 0 {
		e.Errorf("SHOW SHARDWAY POOLS: %v, %v", rows, err)
	}
}
