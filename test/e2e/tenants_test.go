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

// tenantsEach is how many tenants each client has; tenants are what rows are sharded by.
const tenantsEach = 6

// tenantData is an application's tables: two that share the slots by an integer, one by a text, one with a copy everywhere.
func tenantData(slots, shards int) cluster.Data {
	return cluster.Data{
		Name: "tenants", Slots: slots, Shards: shards,
		Script: []string{
			`CREATE TABLE accounts (id BIGINT NOT NULL PRIMARY KEY, client INT NOT NULL, n BIGINT NOT NULL, all_n BIGINT NOT NULL, note VARCHAR(200) NOT NULL DEFAULT '', rate FLOAT NOT NULL DEFAULT 0.1,
				at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), KEY (client))`,
			`CREATE TABLE entries (account BIGINT NOT NULL, seq INT NOT NULL, client INT NOT NULL, body TEXT NOT NULL, sum DECIMAL(20,4) NOT NULL, PRIMARY KEY (account, seq), KEY (client))`,
			`CREATE TABLE tokens (token VARBINARY(40) NOT NULL PRIMARY KEY, client INT NOT NULL, n INT NOT NULL, KEY (client))`,
			`CREATE TABLE kinds (id INT NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL, n INT NOT NULL)`,
			`INSERT INTO kinds VALUES (0, 'zero', 0), (1, 'one', 0), (2, 'two', 0)`,
		},
		Tables: []cluster.Placed{
			{Name: "accounts", Key: "id", Placement: "mod"},
			{Name: "entries", Key: "account", Placement: "mod"},
			{Name: "tokens", Key: "token", Placement: "crc32"},
			{Name: "kinds"},
		},
	}
}

// tenants is many clients that read and write through a fleet's proxies, each with books of its own.
type tenants struct {
	f       *fleet
	clients []*tenant
	stop    context.CancelFunc
	quiet   sync.RWMutex // each operation holds it for reading
	done    atomic.Int64 // operations
	faults  atomic.Bool  // something is being killed: errors are counted, not failures
	ended   chan struct{}
	pause   int          // milliseconds of a client between its operations at most; together they begin no more than 1,000 a second
	kinds   atomic.Int64 // additions to the reference table
	unsure  atomic.Int64 // of which that isn't known

	mu   sync.Mutex
	took []timed // statements, since it was last asked
}

// tenant is one client. Its rows are its own, so it knows what each statement has to answer.
type tenant struct {
	l    *tenants
	n    int
	d    *daemon
	conn *sql.Conn

	n0     map[int64]span // what accounts.n may be
	all    span           // what accounts.all_n may be
	rows   map[row]bool   // entries: whether the row is there, or false where that isn't known
	seq    int
	tokens map[string]span

	errs  map[string]int
	first map[string]string
	fatal error
}

type row struct {
	account int64
	seq     int
}

// span is the values that a number may have: more than one where a client wasn't told whether its statement ran.
type span struct{ least, most int64 }

func (s span) has(n int64) bool { return s.least <= n && n <= s.most }

// add is what becomes of the number by an addition whose statement ended with err.
func (s span) add(n int64, err error) span {
	switch {
	case err == nil:
		s.least, s.most = s.least+n, s.most+n
	case !maybe(err):
	case n > 0:
		s.most += n
	default:
		s.least += n
	}
	return s
}

// maybe says whether a statement that ended with err may have run.
func maybe(err error) bool {
	if err == nil {
		return false
	}
	switch kindOf(err) {
	case kindRetry, kindReadOnly:
		return false
	}
	e, ok := errors.AsType[*mysql.MySQLError](err)
	return !ok || e.Number == 1105 || e.Number >= 2000
}

// startTenants makes the clients' rows and starts n clients, spread over the daemons.
func (f *fleet) startTenants(n int) *tenants {
	f.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	l := &tenants{f: f, stop: cancel, ended: make(chan struct{}), pause: 2 * n}
	pools := map[*daemon]*sql.DB{}
	for _, d := range f.daemons {
		pools[d] = f.open(d, func(c *mysql.Config) { c.InterpolateParams = true })
	}
	var rows, tokens []string
	for i := range n {
		c := &tenant{
			l: l, n: i, d: f.daemons[i%len(f.daemons)], n0: map[int64]span{}, rows: map[row]bool{}, tokens: map[string]span{},
			errs: map[string]int{}, first: map[string]string{},
		}
		for j := range tenantsEach {
			id := c.account(j)
			c.n0[id] = span{}
			rows = append(rows, fmt.Sprintf("(%d, %d, 0, 0, 'Zoë %d')", id, i, j))
			token := fmt.Sprintf("token-%d-%d", i, j)
			c.tokens[token] = span{}
			tokens = append(tokens, fmt.Sprintf("('%s', %d, 0)", token, i))
		}
		l.clients = append(l.clients, c)
	}
	db := pools[f.daemons[0]]
	_, err := db.ExecContext(f.ctx, "INSERT INTO accounts (id, client, n, all_n, note) VALUES "+strings.Join(rows, ", "))
	f.must(err)
	_, err = db.ExecContext(f.ctx, "INSERT INTO tokens VALUES "+strings.Join(tokens, ", "))
	f.must(err)
	_, err = db.ExecContext(f.ctx, "CREATE VIEW balances AS SELECT id, client, n, all_n FROM accounts")
	f.must(err)
	var all sync.WaitGroup
	for _, c := range l.clients {
		all.Go(func() { c.run(ctx, pools[c.d]) })
	}
	go func() {
		all.Wait()
		close(l.ended)
	}()
	f.Cleanup(l.end)
	return l
}

func (l *tenants) end() {
	l.stop()
	<-l.ended
}

// more waits until the clients have done n more operations.
func (l *tenants) more(n int64) {
	l.f.Helper()
	want := l.done.Load() + n
	l.f.until(fmt.Sprintf("%d operations more of the clients", n), func() bool {
		if l.f.Failed() {
			l.f.FailNow()
		}
		return l.done.Load() >= want
	})
}

// timed is when a statement was sent, and how long it took.
type timed struct {
	what  string // its first words
	began time.Time
	took  time.Duration
}

// lap is what statements took since it was last asked.
func (l *tenants) lap() []timed {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := l.took
	l.took = nil
	return took
}

// tookOf is how long those of the statements took that a condition is true of.
func tookOf(all []timed, of func(timed) bool) (took []time.Duration) {
	for _, s := range all {
		if of(s) {
			took = append(took, s.took)
		}
	}
	slices.Sort(took)
	return took
}

// account is the j-th tenant of the client: negative ones too, spread over the slots.
func (c *tenant) account(j int) int64 {
	id := int64(c.n*tenantsEach+j)*7 + 1
	if j == 1 {
		return -id
	}
	return id
}

func (c *tenant) run(ctx context.Context, db *sql.DB) {
	r := rand.New(rand.NewPCG(11, uint64(c.n)))
	defer c.leave()
	for c.fatal == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(r.IntN(c.l.pause)) * time.Millisecond):
		}
		c.l.quiet.RLock()
		err := c.one(context.WithoutCancel(ctx), db, r) // what has begun is finished, so that its outcome is known
		c.l.quiet.RUnlock()
		if err == nil {
			c.l.done.Add(1)
			continue
		}
		kind := kindOf(err)
		c.errs[kind]++
		if c.first[kind] == "" {
			c.first[kind] = err.Error()
		}
		if kind != kindRetry || c.l.faults.Load() {
			c.leave()
		}
		if kind != kindRetry && !c.l.faults.Load() {
			c.fail("%s", err)
		}
	}
	c.l.f.Errorf("%s: client %d of %s: %v", time.Now().UTC().Format(time.RFC3339Nano), c.n, c.d.addr, c.fatal) // as the daemons' logs
	c.l.stop()
}

func (c *tenant) leave() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}

func (c *tenant) fail(format string, args ...any) { c.fatal = fmt.Errorf(format, args...) }

func (c *tenant) timed(query string, f func() error) error {
	began := time.Now()
	err := f()
	took := time.Since(began)
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.took = append(c.l.took, timed{firstWords(query), began, took})
	return err
}

// firstWords are enough of a statement to tell it from the client's others.
func firstWords(query string) string {
	words := strings.FieldsFunc(query, func(r rune) bool { return r == ' ' || r == '\n' || '0' <= r && r <= '9' })
	return strings.Join(words[:min(len(words), 8)], " ")
}

// exec runs a write that changes as many rows as are wanted.
func (c *tenant) exec(ctx context.Context, want int64, query string, args ...any) error {
	return c.timed(query, func() error {
		res, err := c.conn.ExecContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("%s %v: %w", query, args, err)
		}
		if n, err := res.RowsAffected(); err != nil || n != want {
			c.fail("%s %v: %d rows affected, want %d (%v)", query, args, n, want, err)
		}
		return nil
	})
}

func (c *tenant) ints(ctx context.Context, query string, into ...any) error {
	return c.timed(query, func() error {
		if err := c.conn.QueryRowContext(ctx, query).Scan(into...); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		return nil
	})
}

// tx runs f in a transaction; an error before its COMMIT means that nothing was done.
func (c *tenant) tx(ctx context.Context, f func() error) (committed bool, err error) {
	if err := c.timed("BEGIN", func() error { _, err := c.conn.ExecContext(ctx, "BEGIN"); return err }); err != nil {
		return false, fmt.Errorf("BEGIN: %w", err)
	}
	if err := f(); err != nil {
		if _, back := c.conn.ExecContext(ctx, "ROLLBACK"); back != nil {
			c.leave()
		}
		return false, &undone{err}
	}
	if err = c.timed("COMMIT", func() error { _, err := c.conn.ExecContext(ctx, "COMMIT"); return err }); err != nil {
		return false, fmt.Errorf("COMMIT: %w", err)
	}
	return true, nil
}

// undone is the error of a transaction that wasn't sent its COMMIT.
type undone struct{ error }

func (u *undone) Unwrap() error { return u.error }

// one does one operation and keeps its books.
func (c *tenant) one(ctx context.Context, db *sql.DB, r *rand.Rand) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if c.conn == nil {
		if c.conn, err = db.Conn(ctx); err != nil {
			c.conn = nil
			return err
		}
		if c.l.faults.Load() {
			// Replicas may lack what its last session wrote; primaries don't, and from then on this one doesn't go back.
			ids := strings.Trim(fmt.Sprint(slices.Sorted(maps.Keys(c.n0))), "[]")
			if err := c.ints(ctx, "SELECT COUNT(*) FROM accounts WHERE id IN ("+strings.ReplaceAll(ids, " ", ",")+") LOCK IN SHARE MODE", new(int64)); err != nil {
				return err
			}
		}
	}
	id, other := c.account(r.IntN(tenantsEach)), c.account(r.IntN(tenantsEach))
	switch r.IntN(14) {
	case 0, 1:
		err = c.exec(ctx, 1, "UPDATE accounts SET n = n + 1 WHERE id = ?", id)
		c.n0[id] = c.n0[id].add(1, err)
		return err
	case 2:
		c.seq++
		at := row{id, c.seq}
		err = c.exec(ctx, 1, "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", id, c.seq, c.n, fmt.Sprintf("entry %d of %d: %s", c.seq, id, strings.Repeat("é", r.IntN(100))), fmt.Sprintf("%d.%04d", r.IntN(1000), r.IntN(10000)))
		c.stored(err, at)
		return err
	case 3: // rows of several shards
		c.seq += 2
		one, two := row{id, c.seq - 1}, row{other, c.seq}
		err = c.exec(ctx, 2, "INSERT INTO entries VALUES (?, ?, ?, 'a', 1), (?, ?, ?, 'b', 2)", one.account, one.seq, c.n, two.account, two.seq, c.n)
		c.stored(err, one, two)
		return err
	case 4: // one shard's transaction
		c.seq++
		at := row{id, c.seq}
		_, err = c.tx(ctx, func() error {
			if err := c.exec(ctx, 1, "INSERT INTO entries VALUES (?, ?, ?, 'in a transaction', 0)", id, at.seq, c.n); err != nil {
				return err
			}
			return c.exec(ctx, 1, "UPDATE accounts SET n = n + 10 WHERE id = ?", id)
		})
		c.n0[id] = c.n0[id].add(10, outcome(err))
		c.stored(outcome(err), at)
		return err
	case 5: // a transfer, mostly between shards
		if id == other {
			return nil
		}
		_, err = c.tx(ctx, func() error {
			if err := c.exec(ctx, 1, "UPDATE accounts SET n = n - 3 WHERE id = ?", id); err != nil {
				return err
			}
			return c.exec(ctx, 1, "UPDATE accounts SET n = n + 3 WHERE id = ?", other)
		})
		c.n0[id], c.n0[other] = c.n0[id].add(-3, outcome(err)), c.n0[other].add(3, outcome(err))
		return err
	case 6: // all of the client's accounts at once
		err = c.exec(ctx, tenantsEach, "UPDATE accounts SET all_n = all_n + 1 WHERE client = ?", c.n)
		c.all = c.all.add(1, err)
		return err
	case 7:
		token := fmt.Sprintf("token-%d-%d", c.n, r.IntN(tenantsEach))
		err = c.exec(ctx, 1, "UPDATE tokens SET n = n + 1 WHERE token = ?", token)
		c.tokens[token] = c.tokens[token].add(1, err)
		return err
	case 8: // an entry that is known to be there goes
		for at, sure := range c.rows {
			if !sure {
				continue
			}
			err = c.exec(ctx, 1, "DELETE FROM entries WHERE account = ? AND seq = ?", at.account, at.seq)
			switch {
			case err == nil:
				delete(c.rows, at)
			case maybe(err):
				c.rows[at] = false
			}
			return err
		}
		return nil
	case 9:
		if r.IntN(8) > 0 {
			return nil
		}
		err = c.exec(ctx, 1, "UPDATE kinds SET n = n + 1 WHERE id = 1")
		switch {
		case err == nil:
			c.l.kinds.Add(1)
		case maybe(err):
			c.l.unsure.Add(1)
		}
		return err
	case 10: // an entry goes to another account, mostly on another shard
		for at, sure := range c.rows {
			to := row{other, at.seq}
			if _, there := c.rows[to]; !sure || there {
				continue
			}
			err = c.exec(ctx, 1, "UPDATE entries SET account = ? WHERE account = ? AND seq = ?", to.account, at.account, at.seq)
			switch {
			case err == nil:
				delete(c.rows, at)
				c.rows[to] = true
			case maybe(err):
				c.rows[at], c.rows[to] = false, false
			}
			return err
		}
		return nil
	}
	return c.look(ctx, r, id)
}

// outcome turns the error of a transaction into one that says whether it may have been committed.
func outcome(err error) error {
	if _, ok := errors.AsType[*undone](err); ok {
		return &mysql.MySQLError{Number: 1213, Message: "nothing was done"}
	}
	return err
}

// stored takes over that rows were to be stored by a statement that ended with err.
func (c *tenant) stored(err error, rows ...row) {
	for _, at := range rows {
		switch {
		case err == nil:
			c.rows[at] = true
		case maybe(err):
			c.rows[at] = false
		}
	}
}

// look reads what the client knows.
func (c *tenant) look(ctx context.Context, r *rand.Rand, id int64) error {
	var n, m int64
	accounts := []string{"accounts", "balances"}[r.IntN(2)] // which is a view over it
	switch r.IntN(6) {
	case 0:
		if err := c.ints(ctx, fmt.Sprintf("SELECT n, all_n FROM %s WHERE id = %d", accounts, id), &n, &m); err != nil {
			return err
		}
		if !c.n0[id].has(n) || !c.all.has(m) {
			c.fail("account %d has n = %d and all_n = %d, want %v and %v", id, n, m, c.n0[id], c.all)
		}
	case 1: // over all shards: a row twice or not at all shows here
		if err := c.ints(ctx, "SELECT COUNT(*), COUNT(DISTINCT id) FROM "+accounts, &n, &m); err != nil {
			return err
		}
		if want := int64(len(c.l.clients) * tenantsEach); n != want || m != want {
			c.fail("there are %d accounts, %d of them different, want %d", n, m, want)
		}
	case 2:
		if err := c.ints(ctx, fmt.Sprintf("SELECT COUNT(*) FROM entries WHERE client = %d", c.n), &n); err != nil {
			return err
		}
		if sure := c.sure(); n < sure || n > int64(len(c.rows)) {
			c.fail("there are %d entries, want %d to %d", n, sure, len(c.rows))
		}
	case 3: // gathered
		query := fmt.Sprintf("SELECT COUNT(*), COALESCE(SUM(a.n = b.n), 0) FROM accounts a JOIN accounts b ON a.n = b.n WHERE a.client = %d AND b.client = %d AND a.id = %d", c.n, c.n, id)
		if err := c.ints(ctx, query, &n, &m); err != nil {
			return err
		}
		if n < 1 || n > tenantsEach {
			c.fail("account %d has %d accounts of the client with the same n, itself among them", id, n)
		}
	case 4: // one transaction that looks at two shards
		other := c.account(r.IntN(tenantsEach))
		_, err := c.tx(ctx, func() error {
			for _, id := range []int64{id, other} {
				if err := c.ints(ctx, fmt.Sprintf("SELECT n FROM accounts WHERE id = %d", id), &n); err != nil {
					return err
				}
				if !c.n0[id].has(n) {
					c.fail("account %d has n = %d in a transaction, want %v", id, n, c.n0[id])
				}
			}
			return nil
		})
		return err
	default:
		if err := c.ints(ctx, fmt.Sprintf("SELECT COUNT(*), MIN(k.name = 'one') FROM entries e JOIN kinds k ON k.id = 1 WHERE e.account = %d", id), &n, new(sql.NullInt64)); err != nil {
			return err
		}
		least, most := int64(0), int64(0)
		for at, sure := range c.rows {
			if at.account == id {
				most++
				if sure {
					least++
				}
			}
		}
		if n < least || n > most {
			c.fail("account %d has %d entries, want %d to %d", id, n, least, most)
		}
	}
	return nil
}

// sure is how many entries are known to be there.
func (c *tenant) sure() (n int64) {
	for _, sure := range c.rows {
		if sure {
			n++
		}
	}
	return n
}

// quantile of sorted durations.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[min(len(d)-1, int(q*float64(len(d))))]
}
