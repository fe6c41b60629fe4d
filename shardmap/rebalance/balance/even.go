package balance

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"shardway/shardmap"
)

// even evens out the weights as the goal says: shards that are drained give
// all, those that stay give to those that are added, and take from those that
// are drained.
func (p *plan) even(g Goal) error {
	added, err := p.shards(g.Add)
	if err != nil {
		return err
	}
	drained, err := p.shards(g.Drain)
	if err != nil {
		return err
	}
	var stay []*shardmap.Shard
	for _, s := range p.owners() {
		if !slices.Contains(added, s) && !slices.Contains(drained, s) {
			stay = append(stay, s)
		}
	}
	var loose []int
	for _, s := range drained {
		if slices.Contains(added, s) {
			return fmt.Errorf("shard %s can't be added and drained at once", s.ID)
		}
		slots := p.movable(s)
		if p.slots(s) > len(slots) {
			return fmt.Errorf("slots of database %s are being moved to shard %s; finish or cancel that before it is drained, see shardctl rebalance status", p.d.Name, s.ID)
		}
		loose = append(loose, slots...)
	}
	if len(stay)+len(added) == 0 {
		return fmt.Errorf("no shard is left for the slots of database %s: name one with --add", p.d.Name)
	}
	if g.Even {
		added = stay // all give and take
	}
	p.level = p.levelFor(p.sum(loose), stay, added, stay)
	for _, s := range drained {
		// Shards that stay get slots from the drained alone, so they come first.
		left := p.spread(p.movable(s), stay)
		left = p.spread(left, added)
		for _, slot := range left { // of no weight
			p.give(slot, p.roomiest(slices.Concat(stay, added)))
		}
	}
	p.share(stay, added)
	return nil
}

// levelFor is the least weight to which the givers can come down when the
// takers, and with loose slots the others too, are filled up to it.
func (p *plan) levelFor(loose int64, givers, takers, others []*shardmap.Shard) int64 {
	above := func(shards []*shardmap.Shard, level int64) (sum int64) {
		for _, s := range shards {
			sum += max(0, p.load[s]-level)
		}
		return sum
	}
	below := func(shards []*shardmap.Shard, level int64) (sum int64) {
		for _, s := range shards {
			sum += max(0, level-p.load[s])
		}
		return sum
	}
	var most int64
	for _, w := range p.weights {
		most += w
	}
	return int64(sort.Search(int(most), func(at int) bool {
		level := int64(at)
		return loose+above(givers, level) <= below(takers, level)+min(loose, below(others, level))
	}))
}

func (p *plan) room(s *shardmap.Shard) int64   { return p.level - p.load[s] }
func (p *plan) excess(s *shardmap.Shard) int64 { return p.load[s] - p.level }

// roomiest is the first of the shards with the most room.
func (p *plan) roomiest(shards []*shardmap.Shard) *shardmap.Shard {
	return slices.MaxFunc(shards, func(a, b *shardmap.Shard) int { return cmp.Compare(p.room(a), p.room(b)) })
}

// spread gives slots to the takers until they have no room, and returns those
// that are left: the roomiest first and as much as fits, so that few pairs of
// shards come about, and then what fits nowhere.
func (p *plan) spread(slots []int, takers []*shardmap.Shard) (left []int) {
	open := slices.Clone(takers)
	for len(open) > 0 && len(slots) > 0 {
		to := p.roomiest(open)
		if p.room(to) <= 0 {
			break
		}
		slots = p.fill(slots, to, p.room(to), 0)
		open = slices.DeleteFunc(open, func(s *shardmap.Shard) bool { return s == to })
	}
	for len(slots) > 0 && len(takers) > 0 {
		to := p.roomiest(takers)
		if p.room(to) <= 0 {
			break
		}
		p.give(slots[len(slots)-1], to) // the lightest
		slots = slots[:len(slots)-1]
	}
	return slots
}

// fill gives slots that fit into amount to a shard, until no more than tolerance
// of it is left, and returns the others.
func (p *plan) fill(slots []int, to *shardmap.Shard, amount, tolerance int64) (left []int) {
	for _, slot := range slots {
		w := p.weights[slot]
		if amount <= tolerance || w > amount || w == 0 {
			left = append(left, slot)
			continue
		}
		p.give(slot, to)
		amount -= w
	}
	return left
}

// share lets givers that are above the level give to takers that are below it.
// A shard may be both.
func (p *plan) share(givers, takers []*shardmap.Shard) {
	var heaviest int64
	for _, s := range givers {
		for _, slot := range p.movable(s) {
			heaviest = max(heaviest, p.weights[slot])
		}
	}
	tolerance := min(p.level/100, heaviest)
	// Each round is done with one of the two, so that there are fewer pairs than
	// shards.
	from, to := slices.Clone(givers), slices.Clone(takers)
	for {
		g, t := p.pair(from, to, tolerance)
		if g == nil {
			break
		}
		excess, room := p.excess(g), p.room(t)
		p.fill(p.movable(g), t, min(excess, room), tolerance)
		if excess <= room {
			from = slices.DeleteFunc(from, func(s *shardmap.Shard) bool { return s == g })
		} else {
			to = slices.DeleteFunc(to, func(s *shardmap.Shard) bool { return s == t })
		}
	}
	// First down to the level as far as slots are small enough, then to and fro
	// around it.
	for p.touchUp(givers, takers, tolerance, heaviest, true) {
	}
	for p.touchUp(givers, takers, tolerance, heaviest, false) {
	}
}

// pair chooses who gives to whom next: two that fit each other, else those with
// the most. It gives nil when nobody is left.
func (p *plan) pair(givers, takers []*shardmap.Shard, tolerance int64) (from, to *shardmap.Shard) {
	for _, g := range givers {
		if p.excess(g) <= tolerance {
			continue
		}
		for _, t := range takers {
			if d := p.excess(g) - p.room(t); p.room(t) > 0 && -tolerance <= d && d <= tolerance {
				return g, t
			}
		}
		if from == nil || p.excess(g) > p.excess(from) {
			from = g
		}
	}
	if from == nil || len(takers) == 0 {
		return nil, nil
	}
	if to = p.roomiest(takers); p.room(to) <= 0 {
		return nil, nil
	}
	return from, to
}

// touchUp gives one more slot, where what fits has left a shard too much above
// the level while another has room. With whole, no giver gets below the level.
// It says whether it did.
func (p *plan) touchUp(givers, takers []*shardmap.Shard, tolerance, heaviest int64, whole bool) bool {
	for _, g := range givers {
		excess := p.excess(g)
		if excess <= tolerance {
			continue
		}
		// Who gets slots of it already comes first: that is no further pair.
		pairs, others := []*shardmap.Shard{}, []*shardmap.Shard{}
		for _, t := range takers {
			switch {
			case p.room(t) <= 0:
			case p.gives(g, t):
				pairs = append(pairs, t)
			default:
				others = append(others, t)
			}
		}
		for _, slot := range p.movable(g) {
			w := p.weights[slot]
			if w == 0 || whole && w > excess {
				continue
			}
			for i, t := range append(slices.Clip(pairs), others...) {
				gain, enough := p.load[g]-max(p.load[g]-w, p.load[t]+w), tolerance
				if i >= len(pairs) {
					enough = 5 * tolerance
				}
				if gain > 0 && (gain > enough || excess > heaviest) {
					p.give(slot, t)
					return true
				}
			}
		}
	}
	return false
}

// gives says whether slots of one shard go to the other.
func (p *plan) gives(from, to *shardmap.Shard) bool {
	for slot, s := range p.owner {
		if s == from && p.goes[slot] == to {
			return true
		}
	}
	return false
}

// movable are the slots that a shard has from the beginning and that aren't on
// their way, in the order in which they are given: the heavy ones first, so that
// few are moved, and among those of about the same weight neighbours together,
// so that the map and the conditions made of it stay short.
func (p *plan) movable(s *shardmap.Shard) []int {
	var out []int
	for slot, o := range p.goes {
		if o == s && p.owner[slot] == s && !p.moving[slot] {
			out = append(out, slot)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return p.classes[b] - p.classes[a] })
	return out
}

// classify finds the class of each slot: 0 for one of about the typical weight,
// within the factor 1.5, and one more for each 1.5 times that it is heavier.
func (p *plan) classify() {
	sorted := slices.Sorted(slices.Values(p.weights))
	typical := float64(max(1, sorted[len(sorted)/2]))
	p.classes = make([]int, len(p.weights))
	for slot, w := range p.weights {
		p.classes[slot] = math.MinInt32
		if w > 0 {
			p.classes[slot] = int(math.Round(math.Log(float64(w)/typical) / (2 * math.Log(1.5))))
		}
	}
}
