package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/test/cluster"
)

// causalReads is how many reads TestN21CausalReads makes: SHARDWAY_CAUSAL_READS, or few.
func causalReads(t *testing.T) int64 {
	text := os.Getenv("SHARDWAY_CAUSAL_READS")
	if text == "" {
		return 12000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// causal is many clients that write counters of their own and read them, and
// those of others, through replicas that lag.
type causal struct {
	e             *env
	want          int64
	first         int // the counters begin here, above all that they were before
	reads, writes atomic.Int64
	stale, back   atomic.Int64
}

// TestN21CausalReads: clients read what they wrote, and never see a counter go
// back, while replicas are delayed, stopped and paused. No lag makes a replica
// ineligible here.
func TestN21CausalReads(t *testing.T) {
	total := causalReads(t)
	onEach(t, "causal", app, func(e *env) {
		e.restartAfter()
		replicas := append(append([]*cluster.Server{}, e.c.Shards[0].Replicas...), e.c.Shards[1].Replicas...)
		e.Cleanup(func() { e.undelay(replicas) })
		policies := []string{"round_robin", "least_connections", "latency", "weighted"}
		for i, policy := range policies {
			d := e.serve(settings{"replicas": fmt.Sprintf("{policy: %s, max_lag: 0, causal_timeout: 50ms}", policy), "pool": "{max_per_server: 100}"})
			c := &causal{e: e, want: total / int64(len(policies)), first: i * 100_000_000}
			began := time.Now()
			c.run(d, 64, replicas)
			known, waited, primary := d.metric("shardway_causal_reads_known_total"), d.metric("shardway_causal_reads_waited_total"),
				d.metric("shardway_causal_reads_primary_total")
			e.Logf("note: %s: %d reads and %d writes in %s: %d stale own reads, %d that went back; replicas known %g, waited for %g, primary instead %g",
				policy, c.reads.Load(), c.writes.Load(), time.Since(began).Round(time.Millisecond), c.stale.Load(), c.back.Load(), known, waited, primary)
			if known == 0 || waited == 0 || primary == 0 {
				e.Errorf("%s: known %g, waited %g, primary %g: the test didn't see all three", policy, known, waited, primary)
			}
			d.end()
			if e.Failed() {
				return
			}
		}
	})
}

// metric is the value of one series, 0 where there is none.
func (d *daemon) metric(series string) float64 {
	d.t.Helper()
	_, body := d.get("/metrics")
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				d.t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

func (c *causal) run(d *daemon, clients int, replicas []*cluster.Server) {
	e := c.e
	ctx, cancel := context.WithTimeout(e.Context(), 8*time.Minute+time.Duration(c.want)*time.Millisecond)
	defer cancel()
	db := e.open(d, nil)
	db.SetMaxIdleConns(clients)
	var readers, disturber sync.WaitGroup
	stop := make(chan struct{})
	disturber.Go(func() { e.disturb(ctx, replicas, stop) })
	for n := range clients {
		readers.Go(func() {
			if err := c.client(ctx, db, n); err != nil {
				e.Errorf("client %d: %v", n, err)
			}
		})
	}
	readers.Wait()
	close(stop)
	disturber.Wait()
}

// client writes and reads until all have read enough.
func (c *causal) client(ctx context.Context, db *sql.DB, n int) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := rand.New(rand.NewPCG(11, uint64(n)))
	own := 100 + n
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("REPLACE INTO counters (id, n) VALUES (%d, %d)", own, c.first)); err != nil {
		return err
	}
	seen := map[int]int{} // what this session saw of each counter
	written := c.first
	for c.reads.Load() < c.want {
		written++
		if err := c.write(ctx, conn, own, written, r.IntN(5)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		c.writes.Add(1)
		for k := range 5 {
			id := own
			if k > 0 {
				id = 100 + r.IntN(64)
			}
			got, err := c.read(ctx, conn, id, r.IntN(8))
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			c.reads.Add(1)
			if id == own && got != written {
				c.stale.Add(1)
				return fmt.Errorf("counter %d is %d right after it was set to %d", own, got, written)
			}
			if got < seen[id] {
				c.back.Add(1)
				return fmt.Errorf("counter %d is %d and was %d before", id, got, seen[id])
			}
			seen[id] = got
		}
	}
	return nil
}

// write sets a counter in one of the ways in which clients write.
func (c *causal) write(ctx context.Context, conn *sql.Conn, id, n, how int) error {
	switch how {
	case 0: // prepared
		_, err := conn.ExecContext(ctx, "UPDATE counters SET n = ? WHERE id = ?", n, id)
		return err
	case 1: // a transaction
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, fmt.Sprintf("UPDATE counters SET n = %d WHERE id = %d", n, id)); err == nil {
			return tx.Commit()
		}
		_ = tx.Rollback()
		return err
	case 2: // one that reads first
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		var old int
		if err = tx.QueryRowContext(ctx, fmt.Sprintf("SELECT n FROM counters WHERE id = %d FOR UPDATE", id)).Scan(&old); err == nil {
			if _, err = tx.ExecContext(ctx, fmt.Sprintf("UPDATE counters SET n = %d WHERE id = %d", n, id)); err == nil {
				return tx.Commit()
			}
		}
		_ = tx.Rollback()
		return err
	default:
		_, err := conn.ExecContext(ctx, fmt.Sprintf("UPDATE counters SET n = %d WHERE id = %d", n, id))
		return err
	}
}

// read reads a counter in one of the ways in which clients read.
func (c *causal) read(ctx context.Context, conn *sql.Conn, id, how int) (n int, err error) {
	switch how {
	case 0:
		err = conn.QueryRowContext(ctx, "SELECT n FROM counters WHERE id = ?", id).Scan(&n)
	case 1:
		err = conn.QueryRowContext(ctx, fmt.Sprintf("/* shardway: primary */ SELECT n FROM counters WHERE id = %d", id)).Scan(&n)
	case 2:
		tx, begun := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if begun != nil {
			return 0, begun
		}
		err = tx.QueryRowContext(ctx, fmt.Sprintf("SELECT n FROM counters WHERE id = %d", id)).Scan(&n)
		if end := tx.Commit(); err == nil {
			err = end
		}
	default:
		err = conn.QueryRowContext(ctx, fmt.Sprintf("SELECT n FROM counters WHERE id = %d", id)).Scan(&n)
	}
	if errors.Is(err, sql.ErrNoRows) { // another client's, which isn't there yet
		return 0, nil
	}
	return n, err
}

// disturb makes replicas lag, one after the other and in turn in each way, until
// stopped. They are all in order when it returns.
func (e *env) disturb(ctx context.Context, replicas []*cluster.Server, stop <-chan struct{}) {
	pause := func(d time.Duration) bool {
		select {
		case <-stop:
			return false
		case <-time.After(d):
			return true
		}
	}
	try := func(err error) {
		if err != nil {
			e.Error(err)
		}
	}
	for i := 0; ; i++ {
		r := replicas[i%len(replicas)]
		switch (i / len(replicas)) % 3 {
		case 0:
			try(r.Exec(ctx, e.sqlThread("STOP")...))
			pause(300 * time.Millisecond)
			try(r.Exec(ctx, e.sqlThread("START")...))
		case 1:
			r.Pause()
			pause(100 * time.Millisecond)
			r.Continue()
		case 2:
			try(r.Exec(ctx, e.delay(1)...))
			pause(700 * time.Millisecond)
			try(r.Exec(ctx, e.delay(0)...))
		}
		if !pause(50 * time.Millisecond) {
			e.undelay(replicas)
			return
		}
	}
}

func (e *env) undelay(replicas []*cluster.Server) {
	for _, r := range replicas {
		r.Continue()
		if err := r.Exec(context.WithoutCancel(e.ctx), e.delay(0)...); err != nil {
			e.Error(err)
		}
	}
}

// sqlThread starts or stops what applies transactions.
func (e *env) sqlThread(verb string) []string {
	if e.mysql() {
		return []string{verb + " REPLICA SQL_THREAD"}
	}
	return []string{verb + " SLAVE SQL_THREAD"}
}

// delay makes a replica apply transactions so many seconds late.
func (e *env) delay(seconds int) []string {
	if e.mysql() {
		return []string{"STOP REPLICA", fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_DELAY=%d", seconds), "START REPLICA"}
	}
	return []string{"STOP SLAVE", fmt.Sprintf("CHANGE MASTER TO MASTER_DELAY=%d", seconds), "START SLAVE"}
}
