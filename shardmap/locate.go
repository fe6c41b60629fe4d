package shardmap

// Locate says where the rows of one key value are, by the servers' own rules
// for comparing and storing: see the package's guarantees. It is asked for
// `key = value`, `key <=> value` and each value of `key IN (…)`, when value is
// a literal or bound parameter and key is the bare column. The table must be
// sharded. It does not allocate.
//
// The rules hold when the key column is what docs/map.md asks for: any integer
// type for Mod; for CRC32 a string column whose collation fits the fold, in
// utf8mb4, ascii or binary.
func (t *Table) Locate(v Value, use Use) Location {
	switch v.Kind {
	case Null:
		if use == Compare {
			return Location{Kind: Nowhere}
		}
		return Location{} // an AUTO_INCREMENT column numbers the row
	case Other:
		return Location{}
	}
	if t.Reference {
		return Location{}
	}
	if t.Placement == CRC32 {
		return t.locateBytes(v, use)
	}
	if use == Compare {
		return t.locateCompare(v)
	}
	return t.locateInsert(v, use)
}

func (t *Table) placed(slot int) Location {
	return Location{Kind: Placed, Slot: slot, Shard: t.Database.owners[slot]}
}

// at is the place of an integer key.
func (t *Table) at(n integer) Location { return t.placed(n.slot(t.Database.Slots)) }
