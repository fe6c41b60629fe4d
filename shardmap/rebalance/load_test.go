package rebalance

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
	"shardway/test/cluster"
)

const slots = 16

// schema are the tables of the tests: keys of all kinds.
var schema = []string{
	"CREATE DATABASE shop CHARACTER SET utf8mb4",
	`CREATE TABLE shop.users (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, n INT NOT NULL, email VARCHAR(60), UNIQUE KEY (email, n))`,
	`CREATE TABLE shop.orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL, note TEXT, KEY (user_id))`,
	`CREATE TABLE shop.parts (name VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL, user_id BIGINT NOT NULL, n INT NOT NULL, PRIMARY KEY (name, user_id))`,
	`CREATE TABLE shop.sessions (token VARBINARY(40) NOT NULL PRIMARY KEY, n INT NOT NULL)`,
}

var reference = "CREATE TABLE shop.countries (code VARCHAR(10) NOT NULL PRIMARY KEY, n INT NOT NULL)"

const shop = `  shop:
    slots: 16
    default_shard: s0
    owners: {s0: ["0-15"]}
    tables:
      users: {key: id, placement: mod}
      orders: {key: user_id, placement: mod}
      parts: {key: user_id, placement: mod}
      sessions: {key: token, placement: crc32}
      countries: {reference: true}
`

// ledger is what the tables must have: by table, by primary key, the row.
type ledger struct {
	mu   sync.Mutex
	rows map[string]map[string]string
}

func (l *ledger) set(table, key, row string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows = map[string]map[string]string{}
	}
	if l.rows[table] == nil {
		l.rows[table] = map[string]string{}
	}
	if row == "" {
		delete(l.rows[table], key)
	} else {
		l.rows[table][key] = row
	}
}

// load are clients that write through the memory's proxy and keep a ledger.
type load struct {
	t      *testing.T
	store  *memory
	ledger *ledger
	dbs    map[string]*sql.DB
	stop   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
	done   atomic.Int64

	deadlocks atomic.Int64
	first     atomic.Pointer[error]
}

// users is how many users each client has; their numbers are client + 8*i.
const users, clients = 100, 4

func startLoad(t *testing.T, store *memory, c *cluster.Cluster, l *ledger) *load {
	t.Helper()
	w := &load{t: t, store: store, ledger: l, dbs: map[string]*sql.DB{}, stop: make(chan struct{})}
	for _, s := range c.Servers() {
		db, err := server.Account{User: cluster.User, Password: cluster.Password}.Open(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxIdleConns(clients)
		w.dbs[s.Addr] = db
	}
	for i := range clients {
		w.wg.Go(func() { w.client(i) })
	}
	return w
}

// quit stops the clients.
func (w *load) quit() {
	w.once.Do(func() { close(w.stop) })
	w.wg.Wait()
}

// end stops the clients, who must have met no error.
func (w *load) end() {
	w.t.Helper()
	w.quit()
	for _, db := range w.dbs {
		_ = db.Close()
	}
	if err := w.first.Load(); err != nil {
		w.t.Fatalf("a client met: %v", *err)
	}
	if n := w.deadlocks.Load(); n > 0 {
		w.t.Logf("%d deadlocks of %d transactions", n, w.done.Load())
	}
	if w.done.Load() == 0 {
		w.t.Error("the clients have done nothing")
	}
}

func (w *load) client(i int) {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	for {
		n := int(written.Add(1))
		select {
		case <-w.stop:
			return
		case <-pace.C:
		}
		err := w.step(context.Background(), r, i, n)
		if server.Code(err) == 1213 { // others, and the engine, lock gaps of a unique index
			w.deadlocks.Add(1)
			continue
		}
		if err != nil {
			w.first.CompareAndSwap(nil, &err)
			return
		}
		w.done.Add(1)
	}
}

// write is one statement and what it does to the ledger.
type write struct {
	slot            int
	sql             string
	table, key, row string
}

func (w *load) user(r *rand.Rand, client int) int { return client + clients*r.IntN(users) }

func (w *load) step(ctx context.Context, r *rand.Rand, client, n int) error {
	u := w.user(r, client)
	id := fmt.Sprint(u)
	name := fmt.Sprintf("näme %d", n)
	userRow := func(u int) write {
		return write{u % slots, fmt.Sprintf("REPLACE INTO shop.users VALUES (%d, '%s', %d, 'e%d')", u, name, client, u), "users", fmt.Sprint(u), fmt.Sprintf("%s|%d|e%d", name, client, u)}
	}
	switch r.IntN(10) {
	case 0, 1, 2:
		return w.commit(ctx, userRow(u))
	case 3:
		return w.commit(ctx, write{u % slots, "DELETE FROM shop.users WHERE id = " + id, "users", id, ""})
	case 4:
		o := fmt.Sprint(n)
		return w.commit(ctx, userRow(u), write{u % slots, fmt.Sprintf("INSERT INTO shop.orders VALUES (%s, %d, '%s')", o, u, name), "orders", o, id + "|" + name})
	case 5:
		// The key's other spelling, which is the same key.
		part := []string{"Alpha", "ALPHA", "beta", "Beta"}[r.IntN(4)]
		return w.commit(ctx, write{u % slots, fmt.Sprintf("REPLACE INTO shop.parts VALUES ('%s', %d, %d)", part, u, n), "parts", strings.ToLower(part) + "|" + id, fmt.Sprintf("%s|%d", part, n)})
	case 6:
		token := fmt.Sprintf("t%d", u)
		slot := int(crc32.ChecksumIEEE([]byte(token)) % slots)
		return w.commit(ctx, write{slot, fmt.Sprintf("REPLACE INTO shop.sessions VALUES ('%s', %d)", token, n), "sessions", token, fmt.Sprint(n)})
	case 7:
		code := fmt.Sprintf("c%d-%d", client, r.IntN(5))
		return w.everywhere(ctx, fmt.Sprintf("REPLACE INTO shop.countries VALUES ('%s', %d)", code, n), code, fmt.Sprint(n))
	case 8:
		// A value of a unique index goes from one row to another.
		a, b := u, client+clients*((u/clients+4*r.IntN(5)+4)%users)
		if a == b || a%slots != b%slots {
			return nil
		}
		return w.commit(ctx,
			write{a % slots, fmt.Sprintf("REPLACE INTO shop.users VALUES (%d, '%s', %d, NULL)", a, name, client), "users", fmt.Sprint(a), fmt.Sprintf("%s|%d|NULL", name, client)},
			write{b % slots, fmt.Sprintf("REPLACE INTO shop.users VALUES (%d, '%s', %d, 'swap%d-%d')", b, name, client, client, a%slots), "users", fmt.Sprint(b), fmt.Sprintf("%s|%d|swap%d-%d", name, client, client, a%slots)},
		)
	default:
		// Not of the table with the unique index: a prepared branch may lock a gap
		// of it, at replicas too, where a transaction that needs the gap and was
		// committed before the branch is waits for it in vain.
		var all []write
		for _, u := range []int{u, w.user(r, client)} {
			all = append(all, write{u % slots, fmt.Sprintf("REPLACE INTO shop.parts VALUES ('xa', %d, %d)", u, n), "parts", fmt.Sprintf("xa|%d", u), fmt.Sprintf("xa|%d", n)})
		}
		return w.commit(ctx, all...)
	}
}

// commit runs writes as one transaction: of one shard, or by XA of several.
func (w *load) commit(ctx context.Context, all ...write) error {
	var touched []int
	for _, one := range all {
		touched = append(touched, one.slot)
	}
	m, done, err := w.store.begin(ctx, "shop", touched...)
	if err != nil {
		return err
	}
	defer done()
	by := map[string][]string{}
	for _, one := range all {
		addr := m.Database("shop").Owner(one.slot).Primary.Addr
		by[addr] = append(by[addr], one.sql)
	}
	if err := w.transaction(ctx, by); err != nil {
		return err
	}
	for _, one := range all {
		if strings.Contains(one.row, "|swap") {
			w.unswap(one)
		}
		w.ledger.set(one.table, one.key, one.row)
	}
	return nil
}

// unswap takes away the row that REPLACE has deleted, as it had the same value.
func (w *load) unswap(one write) {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	_, value, _ := strings.Cut(one.row, "|")
	for key, row := range w.ledger.rows["users"] {
		if _, v, _ := strings.Cut(row, "|"); v == value && key != one.key {
			delete(w.ledger.rows["users"], key)
		}
	}
}

// everywhere writes a reference table's row on all shards that have it.
func (w *load) everywhere(ctx context.Context, query, code, row string) error {
	m, done, err := w.store.begin(ctx, "shop")
	if err != nil {
		return err
	}
	defer done()
	by := map[string][]string{}
	for _, sh := range m.Shards() {
		if m.Database("shop").Holds(sh) {
			by[sh.Primary.Addr] = []string{query}
		}
	}
	if err := w.transaction(ctx, by); err != nil {
		return err
	}
	w.ledger.set("countries", code, row)
	return nil
}

// written numbers all writes, and branch all transactions of several shards.
var written, branch atomic.Int64

func (w *load) transaction(ctx context.Context, by map[string][]string) (err error) {
	xa := len(by) > 1
	id := branch.Add(1)
	var conns []*sql.Conn
	defer func() {
		for _, c := range conns {
			if err != nil {
				_ = c.Raw(func(any) error { return driver.ErrBadConn })
			}
			_ = c.Close()
		}
	}()
	names := map[*sql.Conn]string{}
	for i, addr := range slices.Sorted(maps.Keys(by)) {
		c, err := w.dbs[addr].Conn(ctx)
		if err != nil {
			return err
		}
		conns = append(conns, c)
		names[c] = fmt.Sprintf("'test-%d','%d'", id, i)
		first := "BEGIN"
		if xa {
			first = "XA START " + names[c]
		}
		for _, q := range append([]string{first}, by[addr]...) {
			if _, err := c.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("%s: %s: %w", addr, q, err)
			}
		}
	}
	last := []string{"COMMIT"}
	if xa {
		last = []string{"XA END ", "XA PREPARE ", "XA COMMIT "}
	}
	for _, q := range last {
		for _, c := range conns {
			if xa {
				if _, err := c.ExecContext(ctx, q+names[c]); err != nil {
					return fmt.Errorf("%s: %w", q, err)
				}
			} else if _, err := c.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
	}
	return nil
}

// read reads the rows of a table that a shard's primary has, by primary key,
// with their slots; -1 for a reference table.
func read(t *testing.T, m *shardmap.Map, s *cluster.Server, name string) (map[string]string, map[string]int) {
	t.Helper()
	columns := map[string]string{
		"users":     "id, CONCAT(name, '|', n, '|', COALESCE(email, 'NULL'))",
		"orders":    "id, CONCAT(user_id, '|', note)",
		"parts":     "CONCAT(LOWER(name), '|', user_id), CONCAT(name, '|', n)",
		"sessions":  "token, n",
		"countries": "code, n",
	}[name]
	slot := "-1"
	if table := m.Table("shop", name); table.Sharded() {
		slot = table.SlotSQL("")
	}
	rows, placed := map[string]string{}, map[string]int{}
	list, err := s.DB().QueryContext(t.Context(), "SELECT "+columns+", "+slot+" FROM shop."+name)
	if err != nil {
		if server.Code(err) == 1146 || server.Code(err) == 1049 {
			return rows, placed
		}
		t.Fatal(err)
	}
	defer list.Close()
	for list.Next() {
		var k, row string
		var at int
		if err := list.Scan(&k, &row, &at); err != nil {
			t.Fatal(err)
		}
		rows[k], placed[k] = row, at
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return rows, placed
}

// check compares all rows of all shards with the ledger: each slot's owner has
// exactly these, a shard with copies of a move has them too if copies is set,
// and nobody else has any.
func (l *ledger) check(t *testing.T, m *shardmap.Map, c *cluster.Cluster, copies bool) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	d := m.Database("shop")
	for name, want := range l.rows {
		found := map[string]int{}
		problems := 0
		problem := func(format string, args ...any) {
			if problems++; problems <= 5 {
				t.Errorf("%s: %s", name, fmt.Sprintf(format, args...))
			}
		}
		for _, sh := range m.Shards() {
			rows, placed := read(t, m, c.Server(sh.Primary.Addr), name)
			for key, row := range rows {
				slot := placed[key]
				switch {
				case slot >= 0 && d.Owner(slot) != sh:
					mv := d.Moving(slot)
					if mv == nil || mv.Copies() != sh {
						problem("%s has the row %s of slot %d: %s", sh.ID, key, slot, row)
					} else if copies && row != want[key] {
						problem("%s has a copy of %s of slot %d, %q, want %q", sh.ID, key, slot, row, want[key])
					}
					continue
				case slot < 0 && !d.Holds(sh):
					continue
				}
				found[key]++
				if row != want[key] {
					problem("%s has %s of slot %d as %q, want %q", sh.ID, key, slot, row, want[key])
				}
			}
			for key := range want {
				if _, ok := placed[key]; !ok && name == "countries" && d.Holds(sh) {
					problem("%s lacks %s", sh.ID, key)
				}
			}
		}
		for key, row := range want {
			if found[key] == 0 {
				problem("the row %s is lost: %q", key, row)
			}
			if found[key] > 1 && name != "countries" {
				problem("the row %s is there %d times", key, found[key])
			}
		}
	}
}
