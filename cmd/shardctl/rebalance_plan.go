package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/balance"
	"shardway/shardmap/rebalance/preflight"
	"shardway/shardmap/rebalance/rows"
	"shardway/shardmap/stores"
)

// assumedRate is how many rows each second are reckoned with before anything
// has been copied.
const assumedRate = 20_000

// planned is a plan, and what `plan --output json` prints.
type planned struct {
	Rebalance string            `json:"rebalance,omitempty"` // its id, once it is stored
	Database  string            `json:"database"`
	By        string            `json:"by"` // rows or bytes
	Exact     bool              `json:"exact"`
	Moves     []plannedMove     `json:"moves"`
	Shards    []plannedShard    `json:"shards"`
	Notes     []string          `json:"notes"`
	Checks    []preflight.Check `json:"checks"`
	Seconds   float64           `json:"expected_seconds"`
	Stored    bool              `json:"stored"`
	Version   uint64            `json:"version"` // of the map

	result  *balance.Result
	drained []string
	bytes   map[string]int64 // that go to each shard
}

type plannedMove struct {
	From   string   `json:"from"`
	To     string   `json:"to"`
	Slots  int      `json:"slots"`
	Ranges []string `json:"ranges"`
	Rows   int64    `json:"rows"`
	Bytes  int64    `json:"bytes"`
}

type plannedShard struct {
	Shard  string `json:"shard"`
	Before load   `json:"before"`
	After  load   `json:"after"`
}

type load struct {
	Slots int   `json:"slots"`
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

func (l *load) add(o rows.Load) {
	l.Slots++
	l.Rows += o.Rows
	l.Bytes += o.Bytes
}

func rebalancePlan(ctx context.Context, t *tool, flags *pflag.FlagSet, _ []string) error {
	_, _, err := t.makePlan(ctx, flags, false)
	return err
}

// makePlan counts, plans, shows, looks for what is in the way, asks, and stores
// the plan; with start it is to begin at once. Nothing is stored, and the id is
// empty, when there is nothing to move or with --dry-run.
func (t *tool) makePlan(ctx context.Context, flags *pflag.FlagSet, start bool) (stores.Store, string, error) {
	store, m, err := t.load(ctx)
	if err != nil {
		return nil, "", err
	}
	acc, err := t.operator(flags)
	if err != nil {
		return nil, "", err
	}
	d, goal, err := goalOf(m, flags)
	if err != nil {
		return nil, "", err
	}
	by, _ := flags.GetString("by")
	if by != "rows" && by != "bytes" {
		return nil, "", usagef("--by is rows or bytes, not %q", by)
	}
	access, err := preflight.Access(ctx, m, d.Name, preflight.Options{Open: acc.Open, User: acc.User})
	if err != nil {
		return nil, "", err
	}
	if failed := access.Failed(); len(failed) > 0 {
		return nil, "", refusef("refused, and nothing was changed:\n%s", checkLines(failed))
	}
	counted, exact, err := t.count(ctx, m, d, acc.Open)
	if err != nil {
		return nil, "", err
	}
	result, err := balance.Plan(m, d.Name, weights(counted, by), goal)
	if err != nil {
		return nil, "", usagef("%w", err)
	}
	limit, _ := flags.GetInt("limit")
	p := describePlan(m, result, counted, by, exact, limit)
	p.drained = goal.Drain
	if t.output != "json" {
		p.show(t.stdout)
	}
	if len(p.Moves) == 0 {
		return store, "", t.planned(p, "nothing was stored: all is as asked for")
	}
	maxLag, _ := flags.GetDuration("max-lag")
	report, err := preflight.Run(ctx, store, m, d.Name, p.newMoves(m, "new", shardmap.WantNothing), preflight.Options{
		Open: acc.Open, User: acc.User, MaxLag: maxLag, Bytes: p.bytes, Drained: p.drained, Expected: time.Duration(p.Seconds * float64(time.Second)),
	})
	if err != nil {
		return nil, "", err
	}
	p.Checks = report.Checks
	t.checks(report)
	if failed := report.Failed(); len(failed) > 0 {
		if t.output == "json" {
			if err := t.json(p); err != nil {
				return nil, "", err
			}
		}
		return nil, "", refusef("refused, and nothing was changed:\n%s", checkLines(failed))
	}
	if dry, _ := flags.GetBool("dry-run"); dry {
		return store, "", t.planned(p, "nothing was stored: it was a dry run")
	}
	question, want := "Store this plan?", shardmap.WantNothing
	if start {
		question = "Move these slots now?"
		if manual, _ := flags.GetBool("manual"); !manual {
			want = shardmap.WantSwitch
		}
	}
	if err := t.confirm(question); err != nil {
		return nil, "", err
	}
	// A version of the map is used once, so the id is new: servers keep what they
	// know of a rebalance under it.
	p.Rebalance = "r" + strconv.FormatUint(m.Version()+1, 10)
	next, err := m.WithMoves(d.Name, slices.Concat(d.Moves(), p.newMoves(m, p.Rebalance, want)))
	if err != nil {
		return nil, "", err
	}
	err = store.Swap(shardmap.WithNote(ctx, "rebalance "+p.Rebalance+": plan"), m.Version(), next)
	if errors.Is(err, shardmap.ErrConflict) {
		return nil, "", refusef("nothing was stored: somebody has changed the map meanwhile; run it again")
	}
	if err != nil {
		return nil, "", err
	}
	p.Stored, p.Version = true, next.Version()
	if start && t.output == "json" {
		return store, p.Rebalance, nil // the report comes at the end
	}
	return store, p.Rebalance, t.planned(p, fmt.Sprintf("rebalance %s is stored in version %d of the map; shardctl rebalance start %s moves the rows", p.Rebalance, p.Version, p.Rebalance))
}

// planned prints the line that ends a plan, or all of it as JSON.
func (t *tool) planned(p *planned, line string) error {
	if t.output == "json" {
		return t.json(p)
	}
	fmt.Fprintln(t.stdout, line)
	return nil
}

// goalOf is what the flags ask for, and of which database.
func goalOf(m *shardmap.Map, flags *pflag.FlagSet) (*shardmap.Database, balance.Goal, error) {
	var g balance.Goal
	if !asksGoal(flags) {
		return nil, g, usagef("say what is to move: --add, --drain, --even, --move or --isolate")
	}
	isolate, _ := flags.GetString("isolate")
	name, _ := flags.GetString("database")
	table, key, hasKey := strings.Cut(isolate, ":")
	if isolate != "" {
		if !hasKey || table == "" || key == "" {
			return nil, g, usagef("--isolate is DATABASE.TABLE:KEY, as shop.users:42, not %q", isolate)
		}
		if db, rest, ok := strings.Cut(table, "."); ok {
			if name != "" && !strings.EqualFold(name, db) {
				return nil, g, usagef("--isolate names database %s and --database %s", db, name)
			}
			name, table = db, rest
		}
	}
	d, err := databaseOf(m, name)
	if err != nil {
		return nil, g, err
	}
	g.Add, _ = flags.GetStringSlice("add")
	g.Drain, _ = flags.GetStringSlice("drain")
	g.Even, _ = flags.GetBool("even")
	to, _ := flags.GetString("to")
	if isolate != "" {
		slot, err := slotOf(d, table, key)
		if err != nil {
			return nil, g, err
		}
		g.Isolate = &balance.Isolate{Slot: slot, To: to}
	} else if to != "" {
		return nil, g, usagef("--to goes with --isolate; slots are moved to a shard with --move SLOTS:SHARD")
	}
	moves, _ := flags.GetStringArray("move")
	for _, text := range moves {
		i := strings.LastIndexByte(text, ':')
		if i < 0 {
			return nil, g, usagef("--move is SLOTS:SHARD, as 128-255:s1, not %q", text)
		}
		slots, err := shardmap.ParseSlots(text[:i], d.Slots)
		if err != nil {
			return nil, g, usagef("--move %s: %w", text, err)
		}
		g.Place = append(g.Place, balance.Place{Slots: slots, To: text[i+1:]})
	}
	return d, g, nil
}

// databaseOf is the database of that name, or the only one with slots.
func databaseOf(m *shardmap.Map, name string) (*shardmap.Database, error) {
	var all []string
	var only *shardmap.Database
	for _, d := range m.Databases() {
		if d.Slots > 0 {
			all, only = append(all, d.Name), d
		}
	}
	switch {
	case name != "":
		if d := m.Database(name); d != nil {
			return d, nil
		}
		return nil, usagef("the map has no database %q; with slots it has: %s", name, orNone(all))
	case len(all) == 1:
		return only, nil
	case len(all) == 0:
		return nil, usagef("no database of the map has slots, so there is nothing to move")
	}
	return nil, usagef("several databases have slots: %s; say with --database which one is to move, one at a time", orNone(all))
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// slotOf is the slot of a key of a table.
func slotOf(d *shardmap.Database, table, key string) (int, error) {
	t := d.Table(table)
	switch {
	case t == nil:
		return 0, usagef("the map has no table %s.%s", d.Name, table)
	case t.Reference:
		return 0, usagef("%s.%s is a reference table: every shard has all of it", d.Name, table)
	}
	v := shardmap.Value{Kind: shardmap.String, S: []byte(key), UTF8: true}
	if t.Placement == shardmap.Mod {
		if n, err := strconv.ParseInt(key, 10, 64); err == nil {
			v = shardmap.Value{Kind: shardmap.Int, I: n}
		} else if u, err := strconv.ParseUint(key, 10, 64); err == nil {
			v = shardmap.Value{Kind: shardmap.Uint, U: u}
		} else {
			return 0, usagef("the key %s of %s.%s is a whole number, not %q", t.Key, d.Name, table, key)
		}
	}
	at := t.Locate(v, shardmap.Equal)
	if at.Kind != shardmap.Placed {
		return 0, usagef("which slot the key %q of %s.%s is in can't be told; find it with EXPLAIN ROUTE and move it with --move", key, d.Name, table)
	}
	return at.Slot, nil
}

// weights are what is evened out. Each slot counts as one row more, so that slots
// in which nothing is yet are spread as well.
func weights(counted []rows.Load, by string) []int64 {
	var all rows.Load
	for _, l := range counted {
		all.Rows += l.Rows
		all.Bytes += l.Bytes
	}
	row := int64(1)
	if by == "bytes" && all.Rows > 0 {
		row = max(1, all.Bytes/all.Rows)
	}
	out := make([]int64, len(counted))
	for slot, l := range counted {
		out[slot] = l.Rows + row
		if by == "bytes" {
			out[slot] = l.Bytes + row
		}
	}
	return out
}

// describePlan makes what is shown of a result.
func describePlan(m *shardmap.Map, r *balance.Result, counted []rows.Load, by string, exact bool, limit int) *planned {
	p := &planned{
		Database: r.Database.Name, By: by, Exact: exact, Moves: []plannedMove{}, Shards: []plannedShard{}, Notes: []string{},
		Checks: []preflight.Check{}, Version: m.Version(), result: r, bytes: map[string]int64{},
	}
	before, after := map[string]*load{}, map[string]*load{}
	for _, s := range m.Shards() {
		before[s.ID], after[s.ID] = &load{}, &load{}
	}
	goes := map[int]string{}
	var moved int64
	for _, v := range r.Moves {
		row := plannedMove{From: v.From.ID, To: v.To.ID, Slots: len(v.Slots), Ranges: shardmap.FormatSlots(v.Slots)}
		for _, slot := range v.Slots {
			goes[slot] = v.To.ID
			row.Rows += counted[slot].Rows
			row.Bytes += counted[slot].Bytes
		}
		p.bytes[row.To] += row.Bytes
		moved += row.Rows
		p.Moves = append(p.Moves, row)
	}
	for slot, l := range counted {
		owner := r.Database.Owner(slot).ID
		before[owner].add(l)
		if to := goes[slot]; to != "" {
			owner = to
		}
		after[owner].add(l)
	}
	for _, s := range m.Shards() {
		if before[s.ID].Slots+after[s.ID].Slots > 0 {
			p.Shards = append(p.Shards, plannedShard{s.ID, *before[s.ID], *after[s.ID]})
		}
	}
	rate := assumedRate
	if limit > 0 {
		rate = min(rate, limit)
	}
	p.Seconds = float64(moved) / float64(rate)
	for i, h := range r.Heavy {
		if i == 3 {
			p.Notes = append(p.Notes, fmt.Sprintf("%d more slots are that heavy", len(r.Heavy)-i))
			break
		}
		p.Notes = append(p.Notes, fmt.Sprintf("slot %d on %s alone is more than a fair share: `shardctl map expand` divides it if it holds several large keys, --isolate gives a single one a shard of its own", h.Slot, h.Shard))
	}
	if !exact {
		p.Notes = append(p.Notes, "large tables were counted by samples")
	}
	return p
}

// newMoves are the moves for the map.
func (p *planned) newMoves(m *shardmap.Map, id string, want shardmap.MoveWant) []*shardmap.Move {
	var out []*shardmap.Move
	for i, v := range p.result.Moves {
		out = append(out, shardmap.NewMove(fmt.Sprintf("%s.%d", id, i+1), m.Shard(v.From.ID), m.Shard(v.To.ID), v.Slots, want, shardmap.Author()))
	}
	return out
}

// show prints a plan as people read it.
func (p *planned) show(w io.Writer) {
	if len(p.Moves) > 0 {
		var all load
		var lines [][]string
		for _, v := range p.Moves {
			all.Slots += v.Slots
			all.Rows += v.Rows
			all.Bytes += v.Bytes
			lines = append(lines, []string{v.From, v.To, strconv.Itoa(v.Slots), strconv.FormatInt(v.Rows, 10), bytesText(v.Bytes), short(v.Ranges)})
		}
		fmt.Fprintf(w, "database %s: %d slots with %d rows, %s, about %s at %d rows/s\n\n", p.Database, all.Slots, all.Rows, bytesText(all.Bytes),
			max(time.Second, time.Duration(p.Seconds*float64(time.Second)).Round(time.Second)), int(float64(all.Rows)/max(p.Seconds, 1e-9)+0.5))
		_ = table(w, []string{"FROM", "TO", "SLOTS", "ROWS", "BYTES", "WHICH"}, lines) // as Fprint
		fmt.Fprintln(w)
	}
	var lines [][]string
	for _, s := range p.Shards {
		lines = append(lines, []string{
			s.Shard, change(strconv.Itoa(s.Before.Slots), strconv.Itoa(s.After.Slots)),
			change(strconv.FormatInt(s.Before.Rows, 10), strconv.FormatInt(s.After.Rows, 10)), change(bytesText(s.Before.Bytes), bytesText(s.After.Bytes)),
		})
	}
	_ = table(w, []string{"SHARD", "SLOTS", "ROWS", "BYTES"}, lines)
	for _, n := range p.Notes {
		fmt.Fprintln(w, "note:", n)
	}
	fmt.Fprintln(w)
}

func change(before, after string) string {
	if before == after {
		return before
	}
	return before + " -> " + after
}

// short is a list of ranges that fits a line.
func short(ranges []string) string {
	if len(ranges) > 6 {
		return strings.Join(ranges[:5], ",") + fmt.Sprintf(" and %d more", len(ranges)-5)
	}
	return strings.Join(ranges, ",")
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	v, unit := float64(n), 0
	for v >= 1024 && unit < 5 {
		v /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, []string{"", "KiB", "MiB", "GiB", "TiB", "PiB"}[unit])
}

// checks shows what a preflight has found but what is in the way, which is the
// command's error; as JSON it is a part of the plan.
func (t *tool) checks(report preflight.Report) {
	if t.output == "json" {
		return
	}
	others := slices.DeleteFunc(slices.Clone(report.Checks), func(c preflight.Check) bool { return c.Result == preflight.Failed })
	fmt.Fprint(t.stdout, checkLines(others), "\n\n")
}

func checkLines(list []preflight.Check) string {
	lines := make([]string, len(list))
	for i, c := range list {
		lines[i] = fmt.Sprintf("%-8s %s: %s: %s", c.Result, c.About, c.Name, c.Text)
		if c.Fix != "" {
			lines[i] += "\n         -> " + c.Fix
		}
	}
	return strings.Join(lines, "\n")
}
