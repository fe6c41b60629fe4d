package plan

import (
	"math/bits"
	"slices"
	"strings"

	"shardway/shardmap"
)

// set is a set of shards by Shard.Index. The zero value is empty. all means "any shard", before it is known which
// shards that can be. more holds the words above 63 and is never written to once made, so sets are copied freely.
//
// moving goes along: of the slots that led to the shards, it has those that are on their way to another shard, a bit for
// each move of their table's database that has begun. all has all of them. It is no matter of has, count and the like.
type set struct {
	all    bool
	low    uint64
	more   []uint64
	moving uint64
}

var everywhere = set{all: true}

// only is the set of one shard.
func only(s *shardmap.Shard) set {
	if s.Index < 64 {
		return set{low: 1 << s.Index}
	}
	more := make([]uint64, s.Index/64)
	more[s.Index/64-1] = 1 << (s.Index % 64)
	return set{more: more}
}

// ofSlot is the shard of one slot of a table.
func ofSlot(t *shardmap.Table, loc *shardmap.Location) set {
	s := only(loc.Shard)
	if v := t.Database.Moving(loc.Slot); v != nil {
		s.moving = moveBit(v)
	}
	return s
}

// moveBit is the bit of a move. Moves that share one can't be told apart.
func moveBit(v *shardmap.Move) uint64 {
	return 1 << (slices.Index(v.Database.Moves(), v) % 64)
}

// rows are the shards that hold rows of a sharded table, with all moves.
func rows(t *shardmap.Table, m *shardmap.Map) set {
	s := owners(t, m)
	s.moving = ^uint64(0)
	return s
}

// holders are the shards that hold the tables of a database.
func holders(d *shardmap.Database, m *shardmap.Map) set {
	var out set
	for _, s := range m.Shards() {
		if d.Holds(s) {
			out.or(only(s))
		}
	}
	return out
}

// owners are the shards that hold rows of a sharded table or copies of a reference table.
func owners(t *shardmap.Table, m *shardmap.Map) set {
	if t.Reference {
		return holders(t.Database, m)
	}
	var out set
	var last *shardmap.Shard
	for slot := range t.Database.Slots {
		if s := t.Database.Owner(slot); s != last {
			last = s
			if !out.has(s.Index) {
				out.or(only(s))
			}
		}
	}
	return out
}

// onOne reports whether all slots of a sharded table are on one shard.
func onOne(t *shardmap.Table) bool {
	d := t.Database
	first := d.Owner(0)
	if d.Owner(d.Slots-1) != first {
		return false
	}
	for slot := range d.Slots {
		if d.Owner(slot) != first {
			return false
		}
	}
	return true
}

func (s *set) has(i int) bool {
	if s.all {
		return true
	}
	if i < 64 {
		return s.low&(1<<i) != 0
	}
	w := i/64 - 1
	return w < len(s.more) && s.more[w]&(1<<(i%64)) != 0
}

// or adds the shards of o.
func (s *set) or(o set) {
	if s.all || o.all {
		*s = everywhere
		return
	}
	s.low |= o.low
	s.moving |= o.moving
	switch {
	case len(o.more) == 0:
	case len(s.more) == 0:
		s.more = o.more
	default:
		more := make([]uint64, max(len(s.more), len(o.more)))
		copy(more, s.more)
		for i, w := range o.more {
			more[i] |= w
		}
		s.more = more
	}
}

// and keeps the shards that are in o too and reports whether these are fewer.
func (s *set) and(o set) bool {
	switch {
	case o.all:
		return false
	case s.all:
		*s = o
		return true
	}
	changed := s.low&o.low != s.low
	s.low &= o.low
	s.moving &= o.moving
	if len(s.more) == 0 {
		return changed
	}
	more := make([]uint64, min(len(s.more), len(o.more)))
	for i := range more {
		more[i] = s.more[i] & o.more[i]
		changed = changed || more[i] != s.more[i]
	}
	for _, w := range s.more[len(more):] {
		changed = changed || w != 0
	}
	s.more = more
	return changed
}

// count is the number of shards; all counts as many.
func (s *set) count() int {
	if s.all {
		return int(^uint(0) >> 1)
	}
	n := bits.OnesCount64(s.low)
	for _, w := range s.more {
		n += bits.OnesCount64(w)
	}
	return n
}

// first is the lowest index in s, or -1.
func (s *set) first() int {
	if s.low != 0 {
		return bits.TrailingZeros64(s.low)
	}
	for i, w := range s.more {
		if w != 0 {
			return 64*(i+1) + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// names lists the shards of s for a message: all of a few, the first of many.
func (s *set) names(m *shardmap.Map) string {
	const most = 8
	var b strings.Builder
	n := 0
	for _, sh := range m.Shards() {
		if !s.has(sh.Index) {
			continue
		}
		if n++; n > most {
			continue
		}
		if n > 1 {
			b.WriteString(", ")
		}
		b.WriteString(sh.ID)
	}
	if n > most {
		b.WriteString(" and ")
		b.WriteString(number(n - most))
		b.WriteString(" more")
	}
	if n == 0 {
		return "no shard"
	}
	return b.String()
}
