package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

// workload is many clients that write through a fleet's proxies, each with a ledger
// of what it was told.
type workload struct {
	f       *fleet
	clients []*ledger
	stop    context.CancelFunc
	wg      sync.WaitGroup
	quiet   sync.RWMutex  // each operation holds it for reading
	longest atomic.Int64  // nanoseconds that one statement took, since it was last read
	done    atomic.Int64  // operations
	since   atomic.Int64  // UnixNano from when on the first write that goes well is looked for
	served  atomic.Int64  // nanoseconds from then until that write's end; 0 if none yet
	ended   chan struct{} // closed when all clients have ended
}

// ledger is one client and what it knows to be stored.
type ledger struct {
	l    *workload
	n    int
	d    *daemon
	pins string // "variable" or "table" for a session whose state pins it to its connection

	conn     *sql.Conn
	prepared *sql.Stmt
	state    bool // the session's own state was made

	seq     int
	told    map[int]bool // by sequence number: whether its row is there, or false where that isn't known
	counter int          // additions that are known to be done
	doubt   int          // additions of which that isn't known

	errs  map[string]int // by kind
	first map[string]string
	fatal error
}

// The kinds of errors that clients see.
const (
	kindPin      = "lost what it had pinned"
	kindUnknown  = "not known whether it ran"
	kindRetry    = "nothing was done"
	kindReadOnly = "the server is read-only"
	kindOther    = "other"
)

func kindOf(err error) string {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	switch {
	case !ok:
		return kindOther
	case strings.Contains(e.Message, "what this session kept on the former one"):
		return kindPin
	case strings.Contains(e.Message, "isn't known; look before"):
		return kindUnknown
	case e.Number == 1213, e.Number == 1205, strings.Contains(e.Message, "may be tried again"), strings.Contains(e.Message, "nothing was done"):
		return kindRetry
	case e.Number == 1290, e.Number == 1836:
		return kindReadOnly
	}
	return kindOther
}

// startWorkload starts n clients, spread over the daemons.
func (f *fleet) startWorkload(n int) *workload {
	f.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	l := &workload{f: f, stop: cancel, ended: make(chan struct{})}
	var rows []string
	for i := range n {
		c := &ledger{l: l, n: i, d: f.daemons[i%len(f.daemons)], told: map[int]bool{}, errs: map[string]int{}, first: map[string]string{}}
		switch i % 8 {
		case 3:
			c.pins = "variable"
		case 7:
			c.pins = "table"
		}
		l.clients = append(l.clients, c)
		rows = append(rows, fmt.Sprintf("(%d, 0)", i))
	}
	f.must(f.primary().Exec(f.ctx, "REPLACE INTO "+fleetDatabase+".counters VALUES "+strings.Join(rows, ", ")))
	pools := map[*daemon]*sql.DB{}
	for _, d := range f.daemons {
		pools[d] = f.open(d, nil)
	}
	for _, c := range l.clients {
		l.wg.Go(func() { c.run(ctx, pools[c.d]) })
	}
	go func() {
		l.wg.Wait()
		close(l.ended)
	}()
	f.Cleanup(l.end)
	return l
}

func (l *workload) end() {
	l.stop()
	<-l.ended
}

// more waits until the clients have done n more operations.
func (l *workload) more(n int64) {
	l.f.Helper()
	want := l.done.Load() + n
	l.f.until(fmt.Sprintf("%d operations more of the clients", n), func() bool { return l.done.Load() >= want })
}

// worst is the longest that a statement took since it was last asked.
func (l *workload) worst() time.Duration { return time.Duration(l.longest.Swap(0)) }

func (c *ledger) run(ctx context.Context, db *sql.DB) {
	r := rand.New(rand.NewPCG(7, uint64(c.n)))
	defer c.leave()
	for c.fatal == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(r.IntN(8)) * time.Millisecond):
		}
		c.l.quiet.RLock()
		// What has begun is finished, so that its outcome is known.
		err := c.one(context.WithoutCancel(ctx), db, r)
		c.l.quiet.RUnlock()
		if err != nil {
			kind := kindOf(err)
			c.errs[kind]++
			if c.first[kind] == "" {
				c.first[kind] = err.Error()
			}
			switch kind {
			case kindPin:
				c.state = false
			case kindUnknown, kindRetry: // the session goes on, but what it had on a connection may be gone
				c.state = c.state && c.pins == ""
			default:
				c.leave()
			}
			continue
		}
		c.l.done.Add(1)
	}
}

func (c *ledger) leave() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn, c.prepared, c.state = nil, nil, false
}

// timed runs one statement and takes note of how long it took.
func (c *ledger) timed(f func() error) error {
	began := time.Now()
	err := f()
	took := int64(time.Since(began))
	for {
		longest := c.l.longest.Load()
		if took <= longest || c.l.longest.CompareAndSwap(longest, took) {
			return err
		}
	}
}

func (c *ledger) exec(ctx context.Context, query string) error {
	return c.timed(func() error {
		_, err := c.conn.ExecContext(ctx, query)
		return err
	})
}

func (c *ledger) ints(ctx context.Context, query string, into ...any) error {
	return c.timed(func() error { return c.conn.QueryRowContext(ctx, query).Scan(into...) })
}

// one does one operation.
func (c *ledger) one(ctx context.Context, db *sql.DB, r *rand.Rand) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.begin(ctx, db); err != nil {
		return err
	}
	kind := r.IntN(8)
	if c.pins != "" && kind < 3 {
		kind = 7
	}
	switch kind {
	case 0:
		return c.add(func(seq int) error {
			return c.exec(ctx, fmt.Sprintf("INSERT INTO ledger (client, seq, server) VALUES (%d, %d, @@server_id)", c.n, seq))
		})
	case 1:
		return c.add(func(seq int) error {
			return c.timed(func() error {
				_, err := c.prepared.ExecContext(ctx, c.n, seq)
				return err
			})
		})
	case 2:
		return c.add(func(seq int) error {
			// The variable is a literal: it goes where the session goes.
			return c.exec(ctx, fmt.Sprintf("INSERT INTO ledger (client, seq, server) VALUES (@who, %d, @@server_id)", seq))
		})
	case 3:
		return c.transaction(ctx)
	case 4:
		return c.count(c.exec(ctx, fmt.Sprintf("UPDATE counters SET n = n + 1 WHERE id = %d", c.n)))
	case 5, 6:
		return c.look(ctx)
	}
	return c.add(func(seq int) error {
		query := fmt.Sprintf("INSERT INTO ledger (client, seq, server) VALUES (%d, %d, @@server_id)", c.n, seq)
		switch c.pins {
		case "variable":
			query = fmt.Sprintf("INSERT INTO ledger (client, seq, server) VALUES (@kept, %d, @@server_id)", seq)
		case "table":
			query = fmt.Sprintf("INSERT INTO ledger (client, seq, server) SELECT who, %d, @@server_id FROM kept", seq)
		}
		return c.exec(ctx, query)
	})
}

// begin makes the connection and the session's state where they are missing.
func (c *ledger) begin(ctx context.Context, db *sql.DB) (err error) {
	if c.conn == nil {
		if c.conn, err = db.Conn(ctx); err != nil {
			c.conn = nil
			return err
		}
	}
	if c.prepared == nil {
		if err := c.timed(func() error {
			c.prepared, err = c.conn.PrepareContext(ctx, "INSERT INTO ledger (client, seq, server) VALUES (?, ?, @@server_id)")
			return err
		}); err != nil {
			c.prepared = nil
			return err
		}
	}
	if c.state {
		return nil
	}
	script := []string{fmt.Sprintf("SET @who = %d", c.n)}
	switch c.pins {
	case "variable":
		script = append(script, fmt.Sprintf("SET @kept = %d + 0", c.n))
	case "table":
		script = append(script, "DROP TEMPORARY TABLE IF EXISTS kept", "CREATE TEMPORARY TABLE kept (who INT)", fmt.Sprintf("INSERT INTO kept VALUES (%d)", c.n))
	}
	for _, query := range script {
		if err := c.exec(ctx, query); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	c.state = true
	return nil
}

// add enters a row that write stores under the next number.
func (c *ledger) add(write func(seq int) error) error {
	c.seq++
	seq := c.seq
	began := time.Now().UnixNano()
	err := write(seq)
	switch {
	case err == nil:
		c.told[seq] = true
		if since := c.l.since.Load(); since != 0 && began > since {
			c.l.served.CompareAndSwap(0, time.Now().UnixNano()-since)
		}
	case mayHaveRun(err):
		c.told[seq] = false
	}
	return err
}

// count enters an addition to the client's counter.
func (c *ledger) count(err error) error {
	switch {
	case err == nil:
		c.counter++
	case mayHaveRun(err):
		c.doubt++
	}
	return err
}

func mayHaveRun(err error) bool { return kindOf(err) == kindUnknown || kindOf(err) == kindOther }

// transaction adds a row and counts, both or neither.
func (c *ledger) transaction(ctx context.Context) error {
	c.seq++
	for _, query := range []string{
		"BEGIN", fmt.Sprintf("INSERT INTO ledger (client, seq, server) VALUES (%d, %d, @@server_id)", c.n, c.seq),
		fmt.Sprintf("UPDATE counters SET n = n + 1 WHERE id = %d", c.n),
	} {
		if err := c.exec(ctx, query); err != nil {
			return c.back(ctx, err)
		}
	}
	var n int
	if err := c.ints(ctx, fmt.Sprintf("SELECT n FROM counters WHERE id = %d", c.n), &n); err != nil {
		return c.back(ctx, err)
	}
	if n < c.counter+1 || n > c.counter+c.doubt+1 {
		c.fail("in a transaction its counter is %d after %d and perhaps %d additions", n, c.counter+1, c.doubt)
	}
	err := c.exec(ctx, "COMMIT")
	switch {
	case err == nil:
		c.told[c.seq] = true
	case mayHaveRun(err):
		c.told[c.seq] = false
	}
	return c.count(err)
}

// back leaves a transaction that can't be committed.
func (c *ledger) back(ctx context.Context, err error) error {
	// Also when the pin was lost at the first statement: the transaction is open at
	// Shardway, as it would be at a server after a statement that failed.
	if failed := c.exec(ctx, "ROLLBACK"); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// look reads what the client has written: all of it must be there.
func (c *ledger) look(ctx context.Context) error {
	var rows, n int
	if err := c.ints(ctx, fmt.Sprintf("SELECT COUNT(*) FROM ledger WHERE client = %d", c.n), &rows); err != nil {
		return err
	}
	sure := c.sure()
	if rows < sure || rows > len(c.told) {
		c.fail("it reads %d rows of its own, and has written %d and perhaps %d more", rows, sure, len(c.told)-sure)
	}
	if err := c.ints(ctx, fmt.Sprintf("SELECT n FROM counters WHERE id = %d", c.n), &n); err != nil {
		return err
	}
	if n < c.counter || n > c.counter+c.doubt {
		c.fail("it reads %d of its counter, after %d and perhaps %d additions", n, c.counter, c.doubt)
	}
	return nil
}

func (c *ledger) sure() (n int) {
	for _, told := range c.told {
		if told {
			n++
		}
	}
	return n
}

func (c *ledger) fail(format string, args ...any) {
	c.fatal = fmt.Errorf(format, args...)
}

// books are what the clients have been told, compared with a server.
type books struct {
	rows, doubts, lost, doubled, unasked int
	errs                                 map[string]int
}

// settle compares the ledgers with the primary's rows, and the replicas with the
// primary. The caller holds quiet, or the clients have ended. allowed are the
// kinds of errors that clients may have seen.
func (l *workload) settle(primary *cluster.Server, allowed ...string) *books {
	f := l.f
	f.Helper()
	b := &books{errs: map[string]int{}}
	stored := l.stored(primary)
	for _, c := range l.clients {
		if c.fatal != nil {
			f.Errorf("client %d: %v", c.n, c.fatal)
		}
		for kind, n := range c.errs {
			b.errs[kind] += n
			if !slices.Contains(allowed, kind) {
				f.Errorf("client %d of %s: %d errors (%s), the first: %s", c.n, c.d.addr, n, kind, c.first[kind])
			}
		}
		for seq, told := range c.told {
			switch n := stored[[2]int{c.n, seq}]; {
			case n > 1:
				b.doubled++
			case n == 0 && told:
				b.lost++
				f.Logf("client %d of %s: row %d of %d is lost", c.n, c.d.addr, seq, c.seq)
			case !told:
				b.doubts++
				if n == 1 {
					b.rows++
				}
			default:
				b.rows++
			}
			delete(stored, [2]int{c.n, seq})
		}
		n, err := primary.Text(f.ctx, fmt.Sprintf("SELECT n FROM %s.counters WHERE id = %d", fleetDatabase, c.n))
		f.must(err)
		var counter int
		_, err = fmt.Sscan(n, &counter)
		f.must(err)
		if counter < c.counter {
			b.lost++
			f.Logf("client %d of %s: its counter is %d after %d additions", c.n, c.d.addr, counter, c.counter)
		}
		if counter > c.counter+c.doubt {
			b.doubled++
		}
	}
	b.unasked = len(stored)
	if b.lost+b.doubled+b.unasked > 0 {
		f.Errorf("%s: lost %d, doubled %d, there without having been acknowledged or doubted %d", primary.Name, b.lost, b.doubled, b.unasked)
	}
	f.alike(primary)
	return b
}

// servedAgain waits for a write that begins after now and goes well, and says how
// long that took.
func (l *workload) servedAgain(since time.Time) time.Duration {
	l.f.Helper()
	l.served.Store(0)
	l.since.Store(since.UnixNano())
	defer l.since.Store(0)
	l.f.until("a write goes well", func() bool { return l.served.Load() != 0 })
	return time.Duration(l.served.Load())
}

func (b *books) String() string {
	text := fmt.Sprintf("%d rows, of them in doubt %d, lost %d, doubled %d; errors of clients:", b.rows, b.doubts, b.lost, b.doubled)
	if len(b.errs) == 0 {
		return text + " none"
	}
	for _, kind := range slices.Sorted(maps.Keys(b.errs)) {
		text += fmt.Sprintf(" %d (%s)", b.errs[kind], kind)
	}
	return text
}

// stored counts a server's rows by client and number.
func (l *workload) stored(s *cluster.Server) map[[2]int]int {
	l.f.Helper()
	rows, err := s.DB().QueryContext(l.f.ctx, "SELECT client, seq, COUNT(*) FROM "+fleetDatabase+".ledger WHERE client >= 0 GROUP BY client, seq")
	l.f.must(err)
	defer func() { _ = rows.Close() }()
	stored := map[[2]int]int{}
	for rows.Next() {
		var client, seq, n int
		l.f.must(rows.Scan(&client, &seq, &n))
		stored[[2]int{client, seq}] = n
	}
	l.f.must(rows.Err())
	return stored
}

// alike checks that the replicas have what the primary has.
func (f *fleet) alike(primary *cluster.Server) {
	f.Helper()
	sum := func(s *cluster.Server) string {
		var texts []string
		for _, query := range []string{
			"SELECT CONCAT(COUNT(*), ' ', BIT_XOR(CRC32(CONCAT_WS(',', id, client, seq, server)))) FROM ledger",
			"SELECT CONCAT(COUNT(*), ' ', BIT_XOR(CRC32(CONCAT_WS(',', id, n)))) FROM counters",
		} {
			text, err := s.Text(f.ctx, strings.Replace(query, "FROM ", "FROM "+fleetDatabase+".", 1))
			f.must(err)
			texts = append(texts, text)
		}
		return strings.Join(texts, ", ")
	}
	want := sum(primary)
	for _, s := range f.replicas(primary) {
		f.untilReached(s, primary)
		if got := sum(s); got != want {
			f.Errorf("%s has %s, and the primary %s has %s", s.Name, got, primary.Name, want)
		}
	}
}
