package shardmap

// Locate says where the rows of one key value are, by the servers' own rules
// for comparing and storing: see the package's guarantees. The table must be
// sharded. It does not allocate for integers, nor for strings without fold.
func (t *Table) Locate(v Value, use Use) Location {
	return Location{}
}

type integer struct {
	neg bool
	abs uint64
}
