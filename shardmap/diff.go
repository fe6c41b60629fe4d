package shardmap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Change is one difference between two maps, in words for people.
type Change struct {
	What string `json:"what"` // "shard s1 primary", "shop: slots", "shop.orders key"
	From string `json:"from"` // empty when it is new
	To   string `json:"to"`   // empty when it is gone
}

// Diff lists what differs from a to b: shards and their servers, databases,
// the owners of slots as ranges, tables. Versions and comments don't count.
func Diff(a, b *Map) []Change {
	d := &differ{}
	for _, id := range union(a.shards, b.shards, func(s *Shard) string { return s.ID }, naturalCompare) {
		d.shard(id, a.byID[id], b.byID[id])
	}
	d.add("default_shard", shardID(a.defaultShard), shardID(b.defaultShard))
	names := union(a.databases, b.databases, func(d *Database) string { return d.Name }, strings.Compare)
	for _, name := range names {
		d.database(name, a.byName[name], b.byName[name])
	}
	return d.changes
}

// FormatChanges writes changes as a table for a terminal, a line each.
func FormatChanges(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		switch {
		case c.From == "":
			fmt.Fprintf(&b, "+ %s: %s\n", c.What, c.To)
		case c.To == "":
			fmt.Fprintf(&b, "- %s: %s\n", c.What, c.From)
		default:
			fmt.Fprintf(&b, "~ %s: %s -> %s\n", c.What, c.From, c.To)
		}
	}
	return b.String()
}

type differ struct{ changes []Change }

func (d *differ) add(what, from, to string) {
	if from != to {
		d.changes = append(d.changes, Change{what, from, to})
	}
}

// union returns the names in either list, ordered, each once.
func union[T any](a, b []T, name func(T) string, order func(string, string) int) []string {
	var out []string
	for _, list := range [][]T{a, b} {
		for _, v := range list {
			out = append(out, name(v))
		}
	}
	slices.SortFunc(out, order)
	return slices.Compact(out)
}

func shardID(s *Shard) string {
	if s == nil {
		return ""
	}
	return s.ID
}

func (s Server) describe() string {
	out := s.Addr
	if s.Weight != 1 {
		out += " weight " + strconv.Itoa(s.Weight)
	}
	if s.Zone != "" {
		out += " zone " + s.Zone
	}
	return out
}

func (d *differ) shard(id string, a, b *Shard) {
	what := "shard " + id
	if a == nil || b == nil {
		d.add(what, a.describe(), b.describe())
		return
	}
	d.add(what+" primary", a.Primary.describe(), b.Primary.describe())
	find := func(list []Server, addr string) string {
		i := slices.IndexFunc(list, func(s Server) bool { return s.Addr == addr })
		if i < 0 {
			return ""
		}
		return list[i].describe()
	}
	for _, addr := range union(a.Replicas, b.Replicas, func(s Server) string { return s.Addr }, strings.Compare) {
		d.add(what+" replica", find(a.Replicas, addr), find(b.Replicas, addr))
	}
	d.add(what+" paused", a.Paused, b.Paused)
}

func (s *Shard) describe() string {
	if s == nil {
		return ""
	}
	list := []string{"primary " + s.Primary.describe()}
	for _, r := range s.Replicas {
		list = append(list, "replica "+r.describe())
	}
	if s.Paused != "" {
		list = append(list, "paused: "+s.Paused)
	}
	return strings.Join(list, ", ")
}

func (d *differ) database(name string, a, b *Database) {
	what := "database " + name
	if a == nil || b == nil {
		d.add(what, a.describe(), b.describe())
		return
	}
	d.add(what+" slots", strconv.Itoa(a.Slots), strconv.Itoa(b.Slots))
	d.add(what+" default shard", a.Default.ID, b.Default.ID)
	d.owners(what, a, b)
	d.moves(what, a, b)
	for _, t := range union(a.Tables, b.Tables, func(t *Table) string { return t.Name }, strings.Compare) {
		d.add("table "+name+"."+t, a.byName[t].describe(), b.byName[t].describe())
	}
}

func (d *differ) moves(what string, a, b *Database) {
	find := func(list []*Move, id string) string {
		i := slices.IndexFunc(list, func(v *Move) bool { return v.ID == id })
		if i < 0 {
			return ""
		}
		return list[i].yaml()
	}
	for _, id := range union(a.moves, b.moves, func(v *Move) string { return v.ID }, naturalCompare) {
		d.add(what+" move "+id, find(a.moves, id), find(b.moves, id))
	}
}

func (d *Database) describe() string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("%d slots, %d tables, default shard %s", d.Slots, len(d.Tables), d.Default.ID)
}

func (t *Table) describe() string {
	if t == nil {
		return ""
	}
	return "{" + strings.Join(t.yaml(), ", ") + "}"
}

// owners tells which slots change hands. When the number of slots changes to a
// multiple, the old slots are looked at as so many new ones.
func (d *differ) owners(what string, a, b *Database) {
	if a.Slots == 0 || b.Slots == 0 || b.Slots%a.Slots != 0 {
		if a.Slots > 0 && b.Slots > 0 {
			d.add(what+" owners", "of "+strconv.Itoa(a.Slots)+" slots", "of "+strconv.Itoa(b.Slots)+" slots, which is no multiple")
		}
		return
	}
	type move struct{ from, to string }
	moved := map[move][]int{}
	var order []move
	for slot, to := range b.owners {
		from := a.owners[slot%a.Slots]
		if from.ID == to.ID {
			continue
		}
		m := move{from.ID, to.ID}
		if moved[m] == nil {
			order = append(order, m)
		}
		moved[m] = append(moved[m], slot)
	}
	for _, m := range order {
		d.add(fmt.Sprintf("%s slots %s (%d of %d)", what, formatSlots(moved[m], 8), len(moved[m]), b.Slots), m.from, m.to)
	}
}

// Hazards says why the step from a to b would leave rows behind: a map alone
// moves none, so rows whose place changes would not be found. It is empty for
// a change that is safe to store. Each entry is a sentence.
func Hazards(a, b *Map) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, name := range union(a.databases, b.databases, func(d *Database) string { return fold(d.Name) }, strings.Compare) {
		x, y := a.Database(name), b.Database(name)
		if from, to := a.DefaultShard(name), b.DefaultShard(name); from.ID != to.ID {
			add("the default shard of %s changes from %s to %s: its unlisted tables don't follow", name, from.ID, to.ID)
		}
		if x == nil {
			continue
		}
		sharded := slices.ContainsFunc(x.Tables, func(t *Table) bool {
			return t.Sharded() && y != nil && y.Table(t.Name) != nil && y.Table(t.Name).Sharded()
		})
		if sharded {
			out = append(out, slotHazards(x, y)...)
		}
		out = append(out, moveHazards(x, y)...)
		for _, t := range x.Tables {
			var now *Table
			if y != nil {
				now = y.Table(t.Name)
			}
			if h := tableHazard(t, now); h != "" {
				add("table %s.%s %s", x.Name, t.Name, h)
			}
		}
	}
	if from, to := a.DefaultShard(""), b.DefaultShard(""); from.ID != to.ID {
		add("the default shard of databases that are not listed changes from %s to %s: their tables don't follow", from.ID, to.ID)
	}
	return out
}

// moveHazards is for moves that have begun: only shardctl rebalance may change
// or end them.
func moveHazards(x, y *Database) []string {
	var out []string
	in := func(list []*Move, v *Move) bool {
		return slices.ContainsFunc(list, func(w *Move) bool { return w.yaml() == v.yaml() })
	}
	for _, v := range x.moves {
		if v.Begun() && (y == nil || !in(y.moves, v)) {
			out = append(out, fmt.Sprintf("move %s of database %s is %s and would be changed: use shardctl rebalance", v.ID, x.Name, v.State))
		}
	}
	if y == nil {
		return out
	}
	for _, v := range y.moves {
		if v.Begun() && !in(x.moves, v) {
			out = append(out, fmt.Sprintf("move %s of database %s would be %s: use shardctl rebalance", v.ID, x.Name, v.State))
		}
	}
	return out
}

func slotHazards(x, y *Database) []string {
	switch {
	case y.Slots%x.Slots != 0:
		return []string{fmt.Sprintf("database %s changes from %d slots to %d, which is no multiple: rows would be looked for on other shards", x.Name, x.Slots, y.Slots)}
	default:
		d := &differ{}
		d.owners("database "+x.Name, x, y)
		var out []string
		for _, c := range d.changes {
			out = append(out, fmt.Sprintf("%s would move from %s to %s: their rows don't follow", c.What, c.From, c.To))
		}
		return out
	}
}

// tableHazard says what is unsafe in the step from was to now.
func tableHazard(was, now *Table) string {
	switch {
	case now == nil && was.Sharded():
		return "is sharded and would be looked for on the default shard alone"
	case now == nil:
		return ""
	case was.Reference && now.Sharded():
		return "is a copy on every shard and would be sharded"
	case was.Sharded() && now.Reference:
		return "is sharded and would be read from any shard as a copy"
	case was.Reference:
		return ""
	case fold(was.Key) != fold(now.Key):
		return fmt.Sprintf("changes its key from %s to %s: rows stay where the old key put them", was.Key, now.Key)
	case was.Placement != now.Placement:
		return fmt.Sprintf("changes its placement from %s to %s: rows stay where the old one put them", was.Placement, now.Placement)
	case was.Fold != now.Fold:
		return fmt.Sprintf("changes its fold from %q to %q: rows stay where the old one put them", was.Fold, now.Fold)
	}
	return ""
}
