package balance

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"shardway/shardmap"
)

// Goal is what is asked for: Add and Drain, or Even, or Isolate, or Place.
type Goal struct {
	Add     []string // ids of shards that take slots from those that have more
	Drain   []string // ids of shards that give all slots away
	Even    bool     // all shards that own slots even out among themselves
	Isolate *Isolate
	Place   []Place
}

// Isolate asks that a slot has a shard of its own.
type Isolate struct {
	Slot int
	To   string // the shard; empty is the first that owns no slot of the database
}

// Place asks that slots go to a shard, whatever their weights.
type Place struct {
	Slots []int
	To    string
}

// Move is slots of one shard that go to one other.
type Move struct {
	From, To *shardmap.Shard
	Slots    []int // ascending
	Weight   int64
}

// Share is what a shard has of a database.
type Share struct {
	Slots  int
	Weight int64
}

// Result is a plan.
type Result struct {
	Database *shardmap.Database
	Moves    []Move // in natural order of From and To
	// Before and After are by shard id; shards that have nothing before and after
	// aren't in them.
	Before, After map[string]Share
	// Level is the weight that no shard is to exceed: the fair share, rounded up,
	// or more where shards mayn't give slots to each other. 0 when nothing is
	// evened out.
	Level int64
	Heavy []Heavy // heaviest first
}

// Heavy is a slot that alone weighs more than the level.
type Heavy struct {
	Slot   int
	Shard  string // where it is after the moves
	Weight int64
}

// Plan says which slots of the database must move. Weights are by slot and not
// negative; when all are 0, slots are counted. A result without moves means that
// all is as asked for. Slots that are on their way already are left alone: they
// count where they go to.
func Plan(m *shardmap.Map, db string, weights []int64, g Goal) (*Result, error) {
	d := m.Database(db)
	switch {
	case d == nil:
		return nil, fmt.Errorf("the map has no database %q; it has %s", db, names(m.Databases(), func(d *shardmap.Database) string { return d.Name }))
	case d.Slots == 0:
		return nil, fmt.Errorf("database %s has no slots: none of its tables is sharded, so there is nothing to move", d.Name)
	case len(weights) != d.Slots:
		return nil, fmt.Errorf("there are %d weights for the %d slots of database %s", len(weights), d.Slots, d.Name)
	}
	p := newPlan(m, d, weights)
	kinds := 0
	for _, is := range []bool{len(g.Add)+len(g.Drain) > 0, g.Even, g.Isolate != nil, len(g.Place) > 0} {
		if is {
			kinds++
		}
	}
	var err error
	switch {
	case kinds == 0:
		return nil, errors.New("nothing is asked for: name shards to add or to drain, a key to isolate, or slots to move")
	case kinds > 1:
		return nil, errors.New("shards to add or to drain, evening out, a key to isolate and slots to move are different plans; ask for one")
	case g.Isolate != nil:
		err = p.isolate(*g.Isolate)
	case len(g.Place) > 0:
		err = p.place(g.Place)
	default:
		err = p.even(g)
	}
	if err != nil {
		return nil, err
	}
	return p.result(), nil
}

// plan is a plan that is being made.
type plan struct {
	m       *shardmap.Map
	d       *shardmap.Database
	given   []int64 // by slot
	weights []int64 // the same, unless all are 0
	classes []int   // by slot, see classify

	owner  []*shardmap.Shard // by slot, now
	goes   []*shardmap.Shard // by slot, after the moves
	moving []bool            // by slot: in a move already, and left alone
	load   map[*shardmap.Shard]int64
	level  int64
}

func newPlan(m *shardmap.Map, d *shardmap.Database, weights []int64) *plan {
	p := &plan{
		m: m, d: d, given: weights, weights: slices.Clone(weights), owner: make([]*shardmap.Shard, d.Slots),
		moving: make([]bool, d.Slots), load: map[*shardmap.Shard]int64{},
	}
	none := slices.Max(weights) == 0
	for slot := range d.Slots {
		p.owner[slot] = d.Owner(slot)
		if none {
			p.weights[slot] = 1
		}
	}
	for _, v := range d.Moves() {
		for _, slot := range v.Slots() {
			p.moving[slot] = true
			p.owner[slot] = v.To
		}
	}
	p.goes = slices.Clone(p.owner)
	for slot, s := range p.owner {
		p.load[s] += p.weights[slot]
	}
	p.classify()
	return p
}

// give lets a slot go to a shard.
func (p *plan) give(slot int, to *shardmap.Shard) {
	p.load[p.goes[slot]] -= p.weights[slot]
	p.load[to] += p.weights[slot]
	p.goes[slot] = to
}

// shards finds the shards of these ids.
func (p *plan) shards(ids []string) ([]*shardmap.Shard, error) {
	var out []*shardmap.Shard
	for _, id := range ids {
		s := p.m.Shard(id)
		switch {
		case s == nil:
			return nil, fmt.Errorf("the map has no shard %q; it has %s. Put a new shard into the map first, with `shardctl map apply`", id,
				names(p.m.Shards(), func(s *shardmap.Shard) string { return s.ID }))
		case slices.Contains(out, s):
			return nil, fmt.Errorf("shard %s is named twice", id)
		}
		out = append(out, s)
	}
	return out, nil
}

// owners are the shards that own slots, in the map's order.
func (p *plan) owners() []*shardmap.Shard {
	var out []*shardmap.Shard
	for _, s := range p.m.Shards() {
		if slices.Contains(p.owner, s) {
			out = append(out, s)
		}
	}
	return out
}

// place does what was asked for, slot by slot.
func (p *plan) place(list []Place) error {
	by := map[int]string{}
	for _, want := range list {
		to, err := p.shards([]string{want.To})
		if err != nil {
			return err
		}
		for _, slot := range want.Slots {
			other, twice := by[slot]
			switch {
			case slot < 0 || slot >= p.d.Slots:
				return fmt.Errorf("database %s has no slot %d; its slots are 0 to %d", p.d.Name, slot, p.d.Slots-1)
			case twice:
				return fmt.Errorf("slot %d is asked to go to %s and to %s", slot, other, want.To)
			case p.moving[slot]:
				return fmt.Errorf("slot %d is being moved to %s already; finish or cancel that first, see shardctl rebalance status", slot, p.owner[slot].ID)
			}
			by[slot] = want.To
			p.give(slot, to[0])
		}
	}
	return nil
}

// isolate gives a slot a shard of its own, and what else that shard has to the
// others.
func (p *plan) isolate(want Isolate) error {
	if want.Slot < 0 || want.Slot >= p.d.Slots {
		return fmt.Errorf("database %s has no slot %d; its slots are 0 to %d", p.d.Name, want.Slot, p.d.Slots-1)
	}
	if p.moving[want.Slot] {
		return fmt.Errorf("slot %d is being moved to %s already; finish or cancel that first, see shardctl rebalance status", want.Slot, p.owner[want.Slot].ID)
	}
	owner := p.owner[want.Slot]
	var to *shardmap.Shard
	if want.To != "" {
		found, err := p.shards([]string{want.To})
		if err != nil {
			return err
		}
		to = found[0]
	} else {
		if p.slots(owner) == 1 {
			return nil // it has its own
		}
		used := p.owners()
		for _, s := range p.m.Shards() {
			if !slices.Contains(used, s) {
				to = s
				break
			}
		}
		if to == nil {
			return fmt.Errorf("every shard of the map owns slots of database %s: put a new shard into the map with `shardctl map apply`, or say which shard is to have slot %d alone (--to)", p.d.Name, want.Slot)
		}
	}
	p.give(want.Slot, to)
	rest := slices.DeleteFunc(p.movable(to), func(slot int) bool { return slot == want.Slot })
	if len(rest) == 0 {
		return nil
	}
	var takers []*shardmap.Shard
	for _, s := range p.owners() {
		if s != to {
			takers = append(takers, s)
		}
	}
	if len(takers) == 0 {
		return fmt.Errorf("shard %s is the only one that owns slots of database %s: where its others would go isn't known; name a shard that owns none", to.ID, p.d.Name)
	}
	p.level = p.levelFor(p.sum(rest), nil, nil, takers)
	p.spread(rest, takers)
	return nil
}

// slots counts the slots that a shard has now.
func (p *plan) slots(s *shardmap.Shard) int {
	n := 0
	for _, o := range p.goes {
		if o == s {
			n++
		}
	}
	return n
}

func (p *plan) sum(slots []int) int64 {
	var sum int64
	for _, slot := range slots {
		sum += p.weights[slot]
	}
	return sum
}

// result sums the plan up.
func (p *plan) result() *Result {
	r := &Result{Database: p.d, Before: map[string]Share{}, After: map[string]Share{}, Level: p.level}
	index := map[[2]*shardmap.Shard]int{}
	add := func(to map[string]Share, s *shardmap.Shard, w int64) {
		to[s.ID] = Share{to[s.ID].Slots + 1, to[s.ID].Weight + w}
	}
	for slot, from := range p.owner {
		to, w := p.goes[slot], p.given[slot]
		add(r.Before, from, w)
		add(r.After, to, w)
		if p.level > 0 && w > p.level {
			r.Heavy = append(r.Heavy, Heavy{slot, to.ID, w})
		}
		if from == to {
			continue
		}
		pair := [2]*shardmap.Shard{from, to}
		i, ok := index[pair]
		if !ok {
			i = len(r.Moves)
			index[pair] = i
			r.Moves = append(r.Moves, Move{From: from, To: to})
		}
		r.Moves[i].Slots = append(r.Moves[i].Slots, slot)
		r.Moves[i].Weight += w
	}
	slices.SortFunc(r.Moves, func(a, b Move) int {
		if c := a.From.Index - b.From.Index; c != 0 {
			return c
		}
		return a.To.Index - b.To.Index
	})
	slices.SortStableFunc(r.Heavy, func(a, b Heavy) int { return cmp.Compare(b.Weight, a.Weight) })
	return r
}

func names[T any](list []T, name func(T) string) string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = name(e)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
