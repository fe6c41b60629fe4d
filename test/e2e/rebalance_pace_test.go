package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"shardway/test/cluster"
)

// TestRebalancePace: what clients notice while many rows are copied, compared and removed, of each percentage in
// SHARDWAY_SHARE. SHARDWAY_ROWS is how many rows there are, of which half moves; without it there is nothing to see, and
// TestRebalances prints the same of few rows.
func TestRebalancePace(t *testing.T) {
	if os.Getenv("SHARDWAY_ROWS") == "" {
		t.Skip("SHARDWAY_ROWS isn't set: it takes minutes, see `make soak-pace`")
	}
	rows, clients := count(t, "SHARDWAY_ROWS", 1), count(t, "SHARDWAY_CLIENTS", 12)
	onTenants(t, 20*time.Minute, func(f *fleet) {
		f.fillHistory(rows)
		l := f.startTenants(clients)
		for share := range strings.FieldsSeq(cmp.Or(os.Getenv("SHARDWAY_SHARE"), "25")) {
			l.more(500)
			l.lap()
			l.more(4000)
			loads := newLoads()
			loads.rest(l.lap())
			report := f.rebalance("start", "--add", "s2,s3", "--share", share)
			during := l.lap()
			l.more(4000)
			rested := l.lap()
			loads.rest(rested) // since other things run on the machine too
			loads.add(during, report)
			f.Logf("note: %d rows, share %s: %s", rows, share, loads)
			report = f.rebalance("finish", "--share", share)
			removing := newLoads()
			removing.rest(rested)
			removing.add(l.lap(), report)
			f.Logf("note: removed: %s", removing)
			f.rebalance("start", "--drain", "s2,s3", "--share", "100")
			f.rebalance("finish", "--share", "100")
			l.check()
		}
		l.end()
		for kind, n := range l.settle(f.owner()) {
			if kind != kindRetry { // a snapshot without the moved rows, which is rare
				f.Errorf("%d errors of clients (%s)", n, kind)
			}
		}
		f.checkHistory(rows)
	})
}

// historyTable has rows that clients leave alone.
const historyTable = "history"

// historyData is the clients' tables and one more, for many rows.
func historyData() cluster.Data {
	d := tenantData(64, 2)
	if os.Getenv("SHARDWAY_ROWS") != "" {
		d.Script = append(d.Script, "CREATE TABLE "+historyTable+" (account BIGINT NOT NULL, seq INT NOT NULL, body VARCHAR(200) NOT NULL, at DATETIME(3) NOT NULL, PRIMARY KEY (account, seq), KEY (at))")
		d.Tables = append(d.Tables, cluster.Placed{Name: historyTable, Key: "account", Placement: "mod"})
	}
	return d
}

// fillHistory makes that table's rows.
func (f *fleet) fillHistory(rows int) {
	f.Helper()
	db := f.open(f.daemons[0], nil)
	const some = 2000
	for first := 0; first < rows; first += some {
		var b strings.Builder
		b.WriteString("INSERT INTO " + historyTable + " VALUES ")
		for i := first; i < min(rows, first+some); i++ {
			if i > first {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(%d,%d,'%s %d','2026-01-01 00:00:00.%03d')", i%1009, i, strings.Repeat("history ", i%20), i, i%1000)
		}
		_, err := db.ExecContext(f.ctx, b.String())
		f.must(err)
	}
	for _, sh := range f.c.Shards[:2] {
		f.must(sh.Primary.Exec(f.ctx, "ANALYZE TABLE "+f.db.Name+"."+historyTable))
	}
	f.must(f.c.Sync(f.ctx))
}

// checkHistory sees that all of its rows are there.
func (f *fleet) checkHistory(rows int) {
	f.Helper()
	var n, distinct int
	f.must(f.open(f.daemons[0], nil).QueryRowContext(f.ctx, "SELECT COUNT(*), COUNT(DISTINCT seq) FROM "+historyTable).Scan(&n, &distinct))
	if n != rows || distinct != rows {
		f.Errorf("there are %d rows of history, %d of them different, want %d", n, distinct, rows)
	}
}

// phase is what a rebalance does from a moment on: plan, copy, verify, clean, or else switch.
type phase struct {
	began time.Time
	name  string
}

// phases reads them from what shardctl says.
type phases struct {
	text  bytes.Buffer
	rest  []byte
	list  []phase
	moves map[string]string
}

func (p *phases) Write(b []byte) (int, error) {
	p.text.Write(b)
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		p.line(string(line))
		p.rest = rest
	}
}

// line takes over one such as "17:44:36 r33.2 shop s1>s2 copying, copy orders, 16929/127096 rows".
func (p *phases) line(text string) {
	words := strings.Fields(text)
	if len(words) < 6 || !strings.Contains(words[3], ">") {
		return
	}
	p.moves[words[1]] = strings.TrimSuffix(words[5], ",")
	now := "switch"
	for _, name := range []string{"clean", "verify", "copy"} {
		for _, of := range p.moves {
			if of == name {
				now = name
			}
		}
	}
	if p.list[len(p.list)-1].name != now {
		p.list = append(p.list, phase{time.Now(), now})
	}
}

// String says how long each took.
func (p *phases) String() string {
	took := map[string]time.Duration{}
	var names []string
	end := time.Now()
	for _, of := range slices.Backward(p.list) {
		if took[of.name] == 0 {
			names = append(names, of.name)
		}
		took[of.name] += end.Sub(of.began)
		end = of.began
	}
	slices.Reverse(names)
	for i, name := range names {
		names[i] = name + " " + took[name].Round(time.Millisecond).String()
	}
	return strings.Join(names, ", ")
}

// loads is what statements took before rebalances, and in their phases.
type loads struct {
	before []time.Duration
	names  []string
	during map[string][]time.Duration
	kinds  map[string]*[2][]time.Duration // by statement, before and while rows are copied
}

func newLoads() *loads {
	return &loads{during: map[string][]time.Duration{}, kinds: map[string]*[2][]time.Duration{}}
}

func (l *loads) kind(all []timed, at int) {
	for _, s := range all {
		if l.kinds[s.what] == nil {
			l.kinds[s.what] = &[2][]time.Duration{}
		}
		l.kinds[s.what][at] = append(l.kinds[s.what][at], s.took)
	}
}

// slowest are the kinds of statements that have most of the slowest hundredth while rows are copied.
func (l *loads) slowest() string {
	limit := quantile(l.during["copying"], 0.99)
	type kind struct {
		what          string
		slow          int
		before, after time.Duration
	}
	var all []kind
	for what, took := range l.kinds {
		k := kind{what: what}
		for _, t := range took[1] {
			if t >= limit {
				k.slow++
			}
		}
		slices.Sort(took[0])
		slices.Sort(took[1])
		k.before, k.after = ms(took[0], 0.99), ms(took[1], 0.99)
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b kind) int { return b.slow - a.slow })
	var text []string
	for _, k := range all[:min(len(all), 5)] {
		text = append(text, fmt.Sprintf("%d of %q (p99 %s before, %s then)", k.slow, k.what, k.before, k.after))
	}
	return strings.Join(text, ", ")
}

// rest adds what statements took while nothing moved.
func (l *loads) rest(all []timed) {
	l.kind(all, 0)
	l.before = append(l.before, tookOf(all, func(timed) bool { return true })...)
	slices.Sort(l.before)
}

// add sorts what statements took during a rebalance by what it did meanwhile. Those that ran while slots were paused are of
// takeovers, all others of copying.
func (l *loads) add(all []timed, of rebalanced) {
	paused := func(s timed) bool {
		for _, p := range of.Pauses {
			if s.began.Before(p.Began.Add(p.Took)) && s.began.Add(s.took).After(p.Began) {
				return true
			}
		}
		return false
	}
	l.put("takeovers", tookOf(all, paused))
	l.put("copying", tookOf(all, func(s timed) bool { return !paused(s) }))
	l.kind(slices.DeleteFunc(slices.Clone(all), paused), 1)
	for i, p := range of.phases {
		l.put(p.name, tookOf(all, func(s timed) bool {
			return !paused(s) && s.began.After(p.began) && (i+1 == len(of.phases) || s.began.Before(of.phases[i+1].began))
		}))
	}
}

func (l *loads) put(name string, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	if !slices.Contains(l.names, name) {
		l.names = append(l.names, name)
	}
	l.during[name] = append(l.during[name], took...)
	slices.Sort(l.during[name])
}

func (l *loads) String() string {
	text := fmt.Sprintf("p99 of the load: %s before (median %s, of %d)", ms(l.before, 0.99), ms(l.before, 0.5), len(l.before))
	for _, name := range l.names {
		took := l.during[name]
		text += fmt.Sprintf("; %s %s, %.2f times (median %s, of %d)", name, ms(took, 0.99), float64(quantile(took, 0.99))/float64(max(1, quantile(l.before, 0.99))), ms(took, 0.5), len(took))
	}
	return text + "; the slowest: " + l.slowest()
}

func ms(took []time.Duration, q float64) time.Duration {
	return quantile(took, q).Round(100 * time.Microsecond)
}
