package preflight

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/failover"
	"shardway/shardmap/server"
)

// Options say what moves and how to look. The zero value of a field is its
// default.
type Options struct {
	// Open opens the server at an address of the map, with the account that will
	// move the rows. Required.
	Open func(addr string) (*sql.DB, error)
	// User is that account's name, for the GRANT that it lacks.
	User string
	// MaxLag is how far behind replicas may be. Default 5s.
	MaxLag time.Duration
	// Statement bounds each statement. Default 10s.
	Statement time.Duration
	// Values is how many values of a unique index are looked up on the target.
	// Default 200,000.
	Values int

	// Expected is how long copying will take; 0 is unknown.
	Expected time.Duration
	// Bytes are how much goes to each shard, by id; unknown where it is missing.
	Bytes map[string]int64
	// Drained are the ids of shards that are to have no slots afterwards.
	Drained []string
}

// Result is what came of a check.
type Result string

// The results. Only Failed is in the way.
const (
	OK      Result = "ok"
	Note    Result = "note"    // worth knowing
	Warning Result = "warning" // may go wrong later
	Failed  Result = "failed"
)

// Check is one thing that was looked at.
type Check struct {
	About  string `json:"about"` // a server, a table, the map, the proxies
	Name   string `json:"name"`  // what was looked at
	Result Result `json:"result"`
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"`
}

// Report is all that was looked at.
type Report struct {
	Checks []Check `json:"checks"`
}

// Failed are the checks that are in the way.
func (r *Report) Failed() []Check {
	var out []Check
	for _, c := range r.Checks {
		if c.Result == Failed {
			out = append(out, c)
		}
	}
	return out
}

// Store is where the proxies announce themselves.
type Store interface {
	shardmap.Store
	shardmap.Fleet
}

// Run looks at what the moves need, which are of one database of the map m and
// haven't begun. The error is the context's; all others are failed checks.
func Run(ctx context.Context, store Store, m *shardmap.Map, db string, moves []*shardmap.Move, o Options) (Report, error) {
	r := newRun(m, db, o)
	if r.d == nil {
		return r.report, nil
	}
	r.moves = moves
	for _, v := range moves {
		r.involve(v.From.ID, v.To.ID)
	}
	defer r.close()
	r.checkMap()
	r.connect(ctx)
	branches := r.branches(ctx)
	looked := time.Now()
	for _, s := range r.sides() {
		r.checkServer(ctx, s)
	}
	r.checkAlike()
	r.checkReplicas(ctx)
	r.checkTables(ctx)
	r.checkViews(ctx)
	r.checkSpace(ctx)
	r.checkDefault(ctx)
	r.checkProxies(ctx, store)
	r.checkBranches(ctx, branches, looked)
	return r.report, ctx.Err()
}

// Access looks whether the account can log in to the shards that own slots of
// a database, and has its rights there: what must hold before rows are counted.
func Access(ctx context.Context, m *shardmap.Map, db string, o Options) (Report, error) {
	r := newRun(m, db, o)
	if r.d == nil {
		return r.report, nil
	}
	for slot := range r.d.Slots {
		r.involve(r.d.Owner(slot).ID)
	}
	defer r.close()
	r.connect(ctx)
	for _, s := range r.sides() {
		r.checkRights(ctx, s)
	}
	return r.report, ctx.Err()
}

// run is a preflight under way.
type run struct {
	Options
	m      *shardmap.Map
	d      *shardmap.Database
	moves  []*shardmap.Move
	shards []*shardmap.Shard // that take part, in the map's order
	report Report

	primaries map[string]*side // by shard id; those that can be logged in to
}

func newRun(m *shardmap.Map, db string, o Options) *run {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.MaxLag, 5 * time.Second}, {&o.Statement, 10 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Values <= 0 {
		o.Values = 200_000
	}
	r := &run{Options: o, m: m, d: m.Database(db), primaries: map[string]*side{}}
	if r.d == nil {
		r.add("map", "database", Failed, "see shardctl map show", "the map has no database %q", db)
	}
	return r
}

// involve lets shards take part.
func (r *run) involve(ids ...string) {
	for _, id := range ids {
		if sh := r.m.Shard(id); sh != nil && !slices.Contains(r.shards, sh) {
			r.shards = append(r.shards, sh)
		}
	}
	slices.SortFunc(r.shards, func(a, b *shardmap.Shard) int { return cmp.Compare(a.Index, b.Index) })
}

func (r *run) add(about, name string, result Result, fix, format string, args ...any) {
	r.report.Checks = append(r.report.Checks, Check{About: about, Name: name, Result: result, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// sides are the primaries that can be logged in to, in the map's order.
func (r *run) sides() []*side {
	var out []*side
	for _, sh := range r.shards {
		if s := r.primaries[sh.ID]; s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (r *run) close() {
	for _, s := range r.primaries {
		s.Close()
	}
}

// checkMap looks at what the map alone says.
func (r *run) checkMap() {
	before := len(r.report.Failed())
	for _, sh := range r.shards {
		if sh.Paused != "" {
			r.add("map", "shards", Failed, "wait until that is over, or undo it: shardctl switchover "+sh.ID+" --cancel", "shard %s is paused: %s", sh.ID, sh.Paused)
		}
	}
	own := func(v *shardmap.Move) bool {
		return slices.ContainsFunc(r.moves, func(w *shardmap.Move) bool { return v.Database == r.d && w.ID == v.ID })
	}
	for _, d := range r.m.Databases() {
		for _, v := range d.Moves() {
			for _, sh := range r.shards {
				if !own(v) && (v.From == sh || v.To == sh) {
					r.add("map", "moves", Failed, "finish or cancel it first: shardctl rebalance status "+v.Rebalance(),
						"move %s of database %s, from %s to %s, is %s: shard %s takes part in it", v.ID, d.Name, v.From.ID, v.To.ID, v.State, sh.ID)
				}
			}
		}
	}
	if len(r.report.Failed()) == before {
		r.add("map", "moves", OK, "", "no shard is paused or takes part in another move")
	}
	takes := map[string]bool{}
	for slot := range r.d.Slots {
		takes[r.d.Owner(slot).ID] = true
	}
	for _, v := range r.moves {
		takes[v.To.ID] = true
	}
	if each := r.d.Slots / len(takes); each < 16 {
		factor := (64 + each) / max(1, each)
		r.add("map", "slots", Warning, fmt.Sprintf("shardctl map expand %d, which moves no row, and plan again", factor),
			"database %s has %d slots for %d shards: with so few they even out badly", r.d.Name, r.d.Slots, len(takes))
	}
}

// checkProxies looks whether all proxies keep up with the map.
func (r *run) checkProxies(ctx context.Context, store Store) {
	var list []shardmap.Proxy
	var stored uint64
	// A map that was stored just now reaches them within a second.
	for deadline := time.Now().Add(2 * time.Second); ; {
		m, err := store.Load(ctx)
		if err == nil {
			stored = m.Version()
			list, err = store.Proxies(ctx)
		}
		if err != nil {
			r.add("proxies", "announced", Failed, "see that the map's store can be reached", "%s", err)
			return
		}
		if !slices.ContainsFunc(list, func(p shardmap.Proxy) bool { return p.Serving < stored }) || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	if len(list) == 0 {
		r.add("proxies", "announced", Warning, "if proxies run, see that they use this store: shardctl proxies", "no proxy is announced in the map's store: nobody will be waited for")
		return
	}
	if stored != r.m.Version() {
		r.add("map", "version", Failed, "run it again", "the map has changed from version %d to %d meanwhile", r.m.Version(), stored)
	}
	before := len(r.report.Failed())
	versions := map[string]bool{}
	for _, p := range list {
		versions[p.Version] = true
		if p.Serving < stored {
			r.add("proxies", "map", Failed, "wait for it, restart it, or end it", "%s serves version %d of the map, and %d is stored", p.ID, p.Serving, stored)
		}
		if p.Refused != "" {
			r.add("proxies", "fence", Failed, "see that it can reach the map's store, or end it", "servers refuse %s: %s", p.ID, p.Refused)
		}
	}
	if len(versions) > 1 {
		var all []string
		for _, p := range list {
			all = append(all, p.ID+" "+p.Version)
		}
		r.add("proxies", "versions", Failed, "let all run one version", "they run different versions of Shardway: %s", strings.Join(all, ", "))
	}
	if len(r.report.Failed()) == before {
		r.add("proxies", "map", OK, "", "%d announced, serving version %d of the map", len(list), stored)
	}
}

// loginFix is what to do about an error of logging in.
func loginFix(err error) string {
	switch server.Code(err) {
	case 1045, 1698:
		return "give the user and password of the operator's account: failover.user, or --user and --password-file"
	case 1227, 1142, 1044:
		return "give the account the rights that docs/rebalance.md lists"
	}
	return "see that it runs and that its address in the map is right"
}

// inspect asks a server for its state.
func (r *run) inspect(ctx context.Context, addr string) (failover.State, error) {
	return failover.Inspect(ctx, failover.Options{Open: r.Open, Statement: r.Statement}, addr)
}
