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
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

const (
	atomicShards  = 4
	atomicClients = 16
	accounts      = 40
	startBalance  = 1000
)

// TestAtomic moves money between accounts and appends to lists, in transactions over several shards, while connections
// are cut at the messages of their commits, and proxies and servers are killed. SHARDWAY_FAULTS is how many faults there
// are on each kind of server.
func TestAtomic(t *testing.T) {
	t.Parallel()
	faults := count(t, "SHARDWAY_FAULTS", 250)
	// A deadlock over two servers lasts as long as a server waits for a lock.
	servers := cluster.Of(cluster.Options{Shards: atomicShards, Args: []string{"--innodb-lock-wait-timeout=1"}})
	cluster.OnEach(t, true, 2*time.Minute+time.Duration(faults)*time.Second, servers, func(ctx context.Context, t *testing.T, c *cluster.Cluster) {
		e := &env{T: t, ctx: ctx, c: c, db: cluster.Data{Name: "bank"}}
		_, err := daemonBinary()
		e.must(err)
		newBank(e).run(faults)
	})
}

// bank is the workload and what is known of it.
type bank struct {
	*env
	quota   atomic.Int64
	cutters []*cutter
	mapText string
	keys    settings
	proxies [2]atomic.Pointer[daemon]

	quiet sync.RWMutex // each transaction holds it for reading
	done  atomic.Int64

	mu      sync.Mutex
	told    map[string]told // by transaction
	answers map[string]int
	wrong   []string
}

// told is what a client knows of a transaction that it sent COMMIT for, or gave up.
type told struct {
	outcome string // "committed", "rolled back", "unknown"
	lists   []int
	answer  string
}

func newBank(e *env) *bank {
	b := &bank{env: e, told: map[string]told{}, answers: map[string]int{}}
	var text strings.Builder
	text.WriteString("version: 1\nshards:\n")
	var owners []string
	for i, sh := range e.c.Shards {
		c := e.cutter(sh.Primary.Addr, 16, &b.quota)
		b.cutters = append(b.cutters, c)
		fmt.Fprintf(&text, "  %s: {primary: %q}\n", sh.ID, c.addr)
		owners = append(owners, fmt.Sprintf("%s: ['%d']", sh.ID, i))
		e.must(sh.Primary.Exec(e.ctx, "CREATE DATABASE bank", "CREATE TABLE bank.accounts (id INT PRIMARY KEY, balance INT NOT NULL)",
			"CREATE TABLE bank.lists (id INT PRIMARY KEY, items LONGTEXT NOT NULL)"))
		var money, lists []string
		for id := i; id < accounts; id += atomicShards {
			money = append(money, fmt.Sprintf("(%d, %d)", id, startBalance))
			lists = append(lists, fmt.Sprintf("(%d, '')", id))
		}
		e.must(sh.Primary.Exec(e.ctx, "INSERT INTO bank.accounts VALUES "+strings.Join(money, ","), "INSERT INTO bank.lists VALUES "+strings.Join(lists, ",")))
	}
	fmt.Fprintf(&text, "databases:\n  bank:\n    slots: %d\n    owners: {%s}\n    tables: {accounts: {key: id, placement: mod}, lists: {key: id, placement: mod}}\n", atomicShards, strings.Join(owners, ", "))
	b.mapText = text.String()
	b.keys = settings{
		"servers":      "{user: shardway, password: secret, tls: {mode: disabled}}",
		"transactions": "{cross_shard: atomic, resolve_after: 1s}",
		"log":          "{format: text, level: warn}",
	}
	for i := range b.proxies {
		b.proxies[i].Store(e.serveMap(b.keys, b.mapText))
	}
	return b
}

// run makes faults in rounds and looks after each whether all is true.
func (b *bank) run(faults int) {
	ctx, stop := context.WithCancel(b.ctx)
	var clients sync.WaitGroup
	for i := range atomicClients {
		clients.Go(func() { b.client(ctx, i) })
	}
	defer clients.Wait()
	defer stop()
	const each = 123
	for round := 0; faults > 0; round++ {
		kills := 2
		cuts := min(each, max(faults-kills, 0))
		faults -= cuts + kills
		b.quota.Store(int64(cuts))
		b.killProxy(round % len(b.proxies))
		victim := b.c.Shards[round%atomicShards].Primary
		b.must(victim.Kill())
		b.more(atomicClients)
		b.must(victim.Start(b.ctx))
		b.until("the connections are cut", func() bool { return b.quota.Load() <= 0 })
		b.check()
	}
	made := map[string]int{}
	for _, c := range b.cutters {
		c.mu.Lock()
		for k, n := range c.made {
			made[k] += n
		}
		c.mu.Unlock()
	}
	b.Logf("%d transactions: %v; cuts: %v", len(b.told), b.answers, made)
}

// killProxy ends a proxy as kill -9 does and starts another in its place.
func (b *bank) killProxy(i int) {
	d := b.proxies[i].Load()
	d.signal(syscall.SIGKILL)
	<-d.exited
	b.proxies[i].Store(b.serveMap(b.keys, b.mapText))
}

// more waits until n transactions more have ended.
func (b *bank) more(n int64) {
	want := b.done.Load() + n
	b.until(fmt.Sprintf("%d transactions more", n), func() bool { return b.done.Load() >= want })
}

// client runs transactions, each on a connection of its own.
func (b *bank) client(ctx context.Context, n int) {
	r := rand.New(rand.NewPCG(6, uint64(n)))
	for seq := 0; ctx.Err() == nil; seq++ {
		b.quiet.RLock()
		b.transaction(r, fmt.Sprintf("%d-%d", n, seq), b.proxies[r.IntN(len(b.proxies))].Load())
		b.quiet.RUnlock()
		b.done.Add(1)
	}
}

// transaction moves money between two accounts and appends the transaction's name to two or three lists.
func (b *bank) transaction(r *rand.Rand, name string, d *daemon) {
	ids := r.Perm(accounts)[:2+r.IntN(2)]
	if r.IntN(8) > 0 { // the others may meet in a deadlock
		slices.Sort(ids)
	}
	amount := r.IntN(100)
	statements := []string{
		fmt.Sprintf("UPDATE accounts SET balance = balance - %d WHERE id = %d", amount, ids[0]),
		fmt.Sprintf("UPDATE accounts SET balance = balance + %d WHERE id = %d", amount, ids[1]),
	}
	for _, id := range ids {
		statements = append(statements, fmt.Sprintf("UPDATE lists SET items = CONCAT(items, '%s,') WHERE id = %d", name, id))
	}
	end := "COMMIT"
	if r.IntN(10) == 0 {
		end = "ROLLBACK"
	}
	all := append(append([]string{"BEGIN"}, statements...), end)
	if r.IntN(6) == 0 { // one statement, which is a transaction by itself
		where := strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
		all, end = []string{fmt.Sprintf("UPDATE lists SET items = CONCAT(items, '%s,') WHERE id IN (%s)", name, where)}, ""
	}
	outcome, err := b.send(d, all)
	if outcome == "" {
		return // nothing was sent
	}
	if end == "ROLLBACK" {
		outcome = "rolled back"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[outcome]++
	b.told[name] = told{outcome: outcome, lists: ids, answer: fmt.Sprint(err)}
}

// send runs a transaction and says what its client knows afterwards.
func (b *bank) send(d *daemon, statements []string) (outcome string, err error) {
	connector, err := mysql.NewConnector(d.config("bank"))
	b.must(err)
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		time.Sleep(10 * time.Millisecond) // a proxy that is being started
		return "", err
	}
	defer func() { _ = conn.Close() }()
	for i, text := range statements {
		if _, err = conn.ExecContext(ctx, text); err == nil {
			continue
		}
		if i < len(statements)-1 {
			return "rolled back", err // the connection's end sees to that, if nothing did before
		}
		e, answered := errors.AsType[*mysql.MySQLError](err)
		switch {
		case answered && (e.Number == 1213 || e.Number == 1205 || strings.Contains(e.Message, "nothing was changed")):
			return "rolled back", err
		case !answered, strings.Contains(e.Message, "isn't known"), strings.Contains(e.Message, "is being resolved"):
			return "unknown", err
		}
		b.mu.Lock()
		b.wrong = append(b.wrong, "an answer that says nothing of the outcome: "+err.Error())
		b.mu.Unlock()
		return "unknown", err
	}
	return "committed", nil
}

// check waits until no branch is left and compares what is stored with what clients were told.
func (b *bank) check() {
	b.Helper()
	b.quiet.Lock()
	defer b.quiet.Unlock()
	for _, sh := range b.c.Shards {
		b.until("no branch is in doubt on "+sh.ID, func() bool {
			var rows int
			list, err := sh.Primary.DB().QueryContext(b.ctx, "XA RECOVER")
			b.must(err)
			for list.Next() {
				rows++
			}
			b.must(errors.Join(list.Err(), list.Close()))
			return rows == 0
		})
	}
	sum := 0
	lists := make([][]string, accounts)
	for _, sh := range b.c.Shards {
		var part int
		b.must(sh.Primary.DB().QueryRowContext(b.ctx, "SELECT SUM(balance) FROM bank.accounts").Scan(&part))
		sum += part
		rows, err := sh.Primary.DB().QueryContext(b.ctx, "SELECT id, items FROM bank.lists")
		b.must(err)
		for rows.Next() {
			var id int
			var items string
			b.must(rows.Scan(&id, &items))
			lists[id] = strings.FieldsFunc(items, func(r rune) bool { return r == ',' })
		}
		b.must(errors.Join(rows.Err(), rows.Close()))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if sum != accounts*startBalance {
		b.Errorf("all accounts hold %d, not %d", sum, accounts*startBalance)
	}
	b.compare(lists)
	for _, w := range b.wrong {
		b.Error(w)
	}
	if b.Failed() {
		b.FailNow()
	}
}

// compare looks whether every transaction is on all its lists or on none, as its client was told, and whether there is
// one order of all transactions that every list follows.
func (b *bank) compare(lists [][]string) {
	found := map[string][]int{}
	after := map[string][]string{}
	for id, list := range lists {
		for i, name := range list {
			found[name] = append(found[name], id)
			if i > 0 {
				after[list[i-1]] = append(after[list[i-1]], name)
			}
		}
	}
	for name, t := range b.told {
		want := slices.Sorted(slices.Values(t.lists))
		switch on := found[name]; {
		case len(on) == 0 && t.outcome == "committed":
			b.Errorf("%s was told to be committed and isn't there", name)
		case len(on) > 0 && t.outcome == "rolled back":
			b.Errorf("%s was told to be rolled back (%s) and is on lists %v of %v", name, t.answer, on, want)
		case len(on) > 0 && !slices.Equal(on, want):
			b.Errorf("%s (%s: %s) is on lists %v, not on all of %v", name, t.outcome, t.answer, on, want)
		}
		delete(found, name)
	}
	for name, on := range found {
		b.Errorf("%s is on lists %v and nobody sent it", name, on)
	}
	if left := ordered(after); len(left) > 0 {
		b.Errorf("the lists follow no one order; among others %v are in a circle", left[:min(len(left), 6)])
	}
}

// ordered takes away all that nothing comes before, again and again; what is left is in a circle or behind one.
func ordered(after map[string][]string) []string {
	before := map[string]int{}
	for name, next := range after {
		before[name] += 0
		for _, n := range next {
			before[n]++
		}
	}
	var free []string
	for name, n := range before {
		if n == 0 {
			free = append(free, name)
		}
	}
	for len(free) > 0 {
		name := free[len(free)-1]
		free = free[:len(free)-1]
		delete(before, name)
		for _, n := range after[name] {
			if before[n]--; before[n] == 0 {
				free = append(free, n)
			}
		}
	}
	return slices.Sorted(maps.Keys(before))
}
