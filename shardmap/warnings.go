package shardmap

// Warnings reports what is right by the rules and probably not meant.
func (m *Map) Warnings() []Problem {
	var out []Problem
	warn := func(key, text string) {
		out = append(out, Problem{Key: key, Text: text, Warning: true})
	}
	for _, d := range m.databases {
		owned := make([]int, len(m.shards))
		for _, s := range d.owners {
			owned[s.Index]++
		}
		sharded := false
		for _, t := range d.Tables {
			sharded = sharded || t.Sharded()
		}
		path := "databases." + d.Name
		for _, s := range m.shards {
			if sharded && owned[s.Index] == 0 {
				warn(path+".owners."+s.ID, "shard "+s.ID+" owns no slots of "+d.Name+", so it holds no rows of its sharded tables; give it some by a rebalance, or mean it so")
			}
		}
		if d.Slots > 0 && !sharded {
			warn(path+".slots", "has slots and no sharded table; list the tables or take slots and owners out")
		}
		if sharded && d.Slots < len(m.shards) {
			warn(path+".slots", "has fewer slots than there are shards; expand the map to give every shard some")
		}
	}
	for _, s := range m.shards {
		if s.Primary.Weight == 0 && len(s.Replicas) == 0 {
			warn("shards."+s.ID+".primary.weight", "is 0 and there are no replicas; the primary serves all reads all the same")
		}
		zero := len(s.Replicas) > 0
		for _, r := range s.Replicas {
			zero = zero && r.Weight == 0
		}
		if zero {
			warn("shards."+s.ID+".replicas", "all have weight 0, so the weighted policy sends reads to none of them")
		}
	}
	return out
}
