package shardmap

// Locate says where the rows of one key value are, by the servers' own rules
// for comparing and storing: see the package's guarantees. Value is a literal
// or a bound parameter, and what it is compared with is the bare column. A
// list is placed only when all its values are: one that is Unknown may change
// how the server compares the others. The table must be sharded. Locate does
// not allocate.
//
// The rules hold when the key column is what docs/map.md asks for: any integer
// type for Mod; for CRC32 a string column whose collation fits the fold, in
// utf8mb4, ascii or binary.
func (t *Table) Locate(v Value, use Use) Location {
	switch v.Kind {
	case Null:
		if use.compares() {
			return Location{Kind: Nowhere}
		}
		return Location{} // an AUTO_INCREMENT column numbers the row
	case Other:
		return Location{}
	default:
	}
	if t.Reference {
		return Location{}
	}
	if t.Placement == CRC32 {
		return t.locateBytes(v, use)
	}
	if use.compares() {
		return t.locateCompare(v, use)
	}
	return t.locateInsert(v, use)
}

func (u Use) compares() bool { return u == Compare || u == Equal }

func (t *Table) placed(slot int) Location {
	return Location{Kind: Placed, Slot: slot, Shard: t.Database.owners[slot]}
}

// at is the place of an integer key.
func (t *Table) at(n integer) Location { return t.placed(n.slot(t.Database.Slots)) }
