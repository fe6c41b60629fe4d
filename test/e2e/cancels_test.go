package e2e

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// cancels is how many clients are cancelled on each kind of server: SHARDWAY_CANCELS, or as many as a run of all tests
// has time for.
func (e *env) cancels() int64 {
	e.Helper()
	text := os.Getenv("SHARDWAY_CANCELS")
	if text == "" {
		return 2000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	e.must(err)
	return n
}

// large is 3 MB of rows of tables that every shard has.
const large = "SELECT REPEAT(CONCAT(a.code, b.code), 1200), c.name FROM countries a, countries b, countries c, countries d"

// TestB6CancelledClients cancels clients in the middle of results, transactions and prepares, by a broken connection,
// by KILL, and by the Go driver's contexts, while others check that each row is theirs. Then nothing is left of them.
func TestB6CancelledClients(t *testing.T) {
	onEach(t, "cancelled", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 20, wait_timeout: 60s}", "replicas": "{max_lag: 0}", "log": "{format: text, level: warn, slow_query: 0}"})
		db := e.open(d, nil)
		db.SetMaxIdleConns(0)
		watcher := e.dial(d, nil)
		watcher.deadline(10 * time.Minute)
		goroutines := d.metric("go_goroutines")
		others := e.startWorkload(d, 6, false)
		others.until(50)

		began := time.Now()
		var done atomic.Int64
		var wg sync.WaitGroup
		want := e.cancels()
		for g := range 16 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(6, uint64(g)))
				for n := done.Add(1); n <= want && !e.Failed(); n = done.Add(1) {
					way := int(n % 8)
					if err := e.cancelled(d, db, r, way); err != nil {
						e.Errorf("way %d: %v", way, err)
						return
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(began).Round(time.Millisecond)
		others.until(50)
		others.end()
		e.Logf("note: %d clients cancelled in %v, while others read %d rows of their own", want, took, others.good.Load())

		e.must(db.Close())
		e.nothingLeft(d, goroutines)
		for id := range 50 {
			name, err := watcher.one(fmt.Sprintf("SELECT name FROM users WHERE id = %d FOR UPDATE", id))
			if err != nil || name != fmt.Sprintf("user %d", id) {
				e.Errorf("id %d: %q, %v", id, name, err)
			}
		}
		e.noLeaks(d)
	})
}

// cancelled is one client that comes to a sudden end.
func (e *env) cancelled(d *daemon, db *sql.DB, r *rand.Rand, way int) error {
	id := r.IntN(50)
	if way >= 5 {
		return cancelledByContext(e.ctx, db, r, way, id)
	}
	w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
	if err != nil {
		return err
	}
	defer w.close()
	if tc, ok := w.nc.(*net.TCPConn); ok && r.IntN(2) == 0 {
		_ = tc.SetLinger(0) // its end is a reset
	}
	pause := func() { time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond) }
	switch way {
	case 0: // in the middle of rows
		err = w.send(comQuery, []byte(large))
		_, _ = w.r.Peek(1 + r.IntN(4000))
	case 1: // in the middle of a transaction, with or without a statement that runs
		for _, q := range []string{"BEGIN", fmt.Sprintf("UPDATE users SET name = 'cancelled' WHERE id = %d", id)} {
			rs, err := w.query(q)
			if err = errorOf(rs, err); err != nil && !strings.Contains(err.Error(), "eadlock") {
				return err
			}
		}
		if r.IntN(2) == 0 {
			err = w.send(comQuery, []byte(fmt.Sprintf("SELECT name, SLEEP(0.02) FROM users WHERE id = %d", id)))
		}
		pause()
	case 2: // in the middle of a prepare, an execution, or rows of a cursor
		if err := w.send(comStmtPrepare, []byte("SELECT name FROM users WHERE id = ?")); err != nil {
			return err
		}
		switch r.IntN(3) {
		case 0:
			pause()
			return nil
		case 1:
			_, _ = w.r.Peek(5)
			return nil
		}
		p, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
		if err != nil {
			return err
		}
		defer p.close()
		s, err := p.prepare(large)
		if err != nil {
			return err
		}
		cursor := r.IntN(2)
		if err := p.send(comStmtExecute, s.executePacket(byte(cursor), true)); err != nil {
			return err
		}
		if _, err := p.r.Peek(1 + r.IntN(200)*(1-cursor)); err == nil && cursor == 1 { // a cursor's rows come when asked for
			err = p.send(comStmtFetch, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, s.ID), 100))
			_, _ = p.r.Peek(1 + r.IntN(4000))
			return err
		}
	case 3: // in the middle of a packet
		_, err = w.nc.Write([]byte{200, 0, 0, 0, comQuery, 'S', 'E', 'L'})
		pause()
	case 4: // KILL QUERY: the session goes on with rows of its own; then KILL
		return e.killed(d, w, id)
	}
	return err
}

// killed has another client end a statement of w, and then w.
func (e *env) killed(d *daemon, w *wire, id int) error {
	own, err := w.one("SELECT CONNECTION_ID()")
	if err != nil {
		return err
	}
	killer, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
	if err != nil {
		return err
	}
	defer killer.close()
	if err := w.send(comQuery, []byte(fmt.Sprintf("SELECT name, SLEEP(0.05) FROM users WHERE id = %d", id))); err != nil {
		return err
	}
	if err := errorOf(killer.query("KILL QUERY " + own)); err != nil {
		return err
	}
	rs, err := w.results()
	if err != nil {
		return err
	}
	// It may have come too early or too late; and MySQL's SLEEP gives 1 when it is interrupted.
	if e := rs[0].Err; e != nil && e.Code != 1317 {
		return e
	}
	want := fmt.Sprintf("user %d/%s", id, own)
	if got, err := w.one(fmt.Sprintf("SELECT CONCAT(name, '/', %s) FROM users WHERE id = %d", own, id)); err != nil {
		return fmt.Errorf("after KILL QUERY: %w", err)
	} else if got != want {
		return fmt.Errorf("after KILL QUERY: the row of another: %q, want %q", got, want)
	}
	if err := w.send(comQuery, []byte(large)); err != nil {
		return err
	}
	if err := errorOf(killer.query("KILL " + own)); err != nil && !strings.Contains(err.Error(), "Unknown thread") {
		return err
	}
	_, _ = w.results()
	return nil
}

// cancelledByContext is a client of the Go driver whose context ends.
func cancelledByContext(parent context.Context, db *sql.DB, r *rand.Rand, way, id int) error {
	ctx, cancel := context.WithTimeout(parent, time.Duration(1+r.IntN(25))*time.Millisecond)
	defer cancel()
	ended := func(err error) error {
		var late net.Error // the dialer's own deadline may come before the context's end
		if err == nil || ctx.Err() != nil || errors.As(err, &late) && late.Timeout() || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrTxDone) {
			return nil
		}
		return err
	}
	switch way {
	case 5:
		rows, err := db.QueryContext(ctx, large)
		if err != nil {
			return ended(err)
		}
		for rows.Next() {
			if r.IntN(100) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		return ended(errors.Join(rows.Err(), rows.Close()))
	case 6:
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return ended(err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE users SET name = 'cancelled' WHERE id = ?", id); err != nil {
			_ = tx.Rollback()
			return ended(err)
		}
		<-ctx.Done()
		_ = tx.Rollback()
		return nil
	default:
		stmt, err := db.PrepareContext(ctx, "SELECT name, SLEEP(0.01) FROM users WHERE id = ?")
		if err != nil {
			return ended(err)
		}
		var name string
		var slept int
		err = stmt.QueryRowContext(ctx, id).Scan(&name, &slept)
		if err == nil && name != fmt.Sprintf("user %d", id) {
			return fmt.Errorf("the row of another: %q, want user %d", name, id)
		}
		return ended(errors.Join(err, stmt.Close()))
	}
}

// nothingLeft waits until a daemon is as it was before its clients came: no session but a watcher's, no busy
// connection and nobody who waits for one, no pin, no goroutine.
func (e *env) nothingLeft(d *daemon, goroutines float64) {
	e.Helper()
	var why string
	deadline := time.Now().Add(20 * time.Second)
	for {
		why = ""
		_, body := d.get("/metrics")
		for line := range strings.Lines(body) {
			series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			name, _, _ := strings.Cut(series, "{")
			most := 0.0
			switch name {
			case "shardway_sessions":
				most = 1
			case "go_goroutines":
				most = goroutines + 4 // idle HTTP connections and the like
			case "shardway_pool_busy_connections", "shardway_pool_waiting_requests", "shardway_pool_dialing_connections",
				"shardway_sessions_pinned", "shardway_pins", "shardway_sessions_running", "shardway_session_panics_total":
			default:
				continue
			}
			if v, err := strconv.ParseFloat(value, 64); err != nil || v > most {
				why += fmt.Sprintf("; %s is %s, want at most %g", series, value, most)
			}
		}
		if why == "" || time.Now().After(deadline) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if why != "" {
		e.Errorf("20 s after the last client left%s", why)
	}
}
