package claims

import "shardway/shardmap"

// view is a transaction's snapshot of a shard's rows.
type view struct {
	shard string
	m     *shardmap.Map // by which the statement was planned that took it
}

// Saw notes that a statement of the open transaction, planned by m, reads a shard as of now: what the transaction reads
// there later it reads as of then.
func (c *Claim) Saw(shard string, m *shardmap.Map) {
	for i := range c.views {
		if c.views[i].shard == shard {
			return
		}
	}
	c.views = append(c.views, view{shard, m})
}

// Missed returns the first of moves whose slots belong to a shard of which the open transaction's snapshot is older than
// that: their rows aren't in it, or not as they were when the slots came. It is nil when there is none. keeps says whether the
// transaction keeps its snapshot of a shard.
func (c *Claim) Missed(moves []*shardmap.Move, keeps func(shard string) bool) *shardmap.Move {
	if len(c.views) == 0 {
		return nil
	}
	for _, v := range moves {
		owner := v.Owner()
		for i := range c.views {
			if c.views[i].shard == owner.ID && !owns(c.views[i].m, v) && keeps(owner.ID) {
				return v
			}
		}
	}
	return nil
}

// owns says whether a move's slots belonged to the shard that has them now.
func owns(m *shardmap.Map, v *shardmap.Move) bool {
	d := m.Database(v.Database.Name)
	return d != nil && d.Slots == v.Database.Slots && d.Owner(v.Slots()[0]).ID == v.Owner().ID
}
