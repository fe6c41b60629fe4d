package shardmap

import "fmt"

// Expand multiplies the slots of every database by factor and moves no row: the
// new slot s belongs to the owner of the old slot s mod the old number, where
// its rows have been before, since key mod (slots*factor) mod slots is key mod
// slots. The new map has the next version.
func (m *Map) Expand(factor int) (*Map, error) {
	if factor < 2 || factor > MaxSlots {
		return nil, fmt.Errorf("the factor must be from 2 to %d, not %d", MaxSlots, factor)
	}
	slots := make(map[string]int, len(m.databases))
	total := 0
	for _, d := range m.databases {
		if len(d.moves) > 0 {
			return nil, fmt.Errorf("slots of database %s are being moved (%s); finish or cancel that first, see shardctl rebalance status", d.Name, d.moves[0].ID)
		}
		n := d.Slots * factor
		if n > MaxSlots {
			return nil, fmt.Errorf("database %s would have %d * %d = %d slots; at most %d are allowed", d.Name, d.Slots, factor, n, MaxSlots)
		}
		total += n
		slots[d.Name] = n
	}
	switch {
	case total == 0:
		return nil, fmt.Errorf("no database of the map has slots")
	case total > maxTotalSlots:
		return nil, fmt.Errorf("the databases would have %d slots together; at most %d are allowed", total, maxTotalSlots)
	}
	next := *m
	next.version++
	next.source, next.versionAt = nil, span{}
	next.databases, next.byName = nil, make(map[string]*Database, len(m.byName))
	for _, d := range m.databases {
		next.addDatabase(d.resized(slots[d.Name]))
	}
	return &next, nil
}

// resized copies the database with n slots, a multiple of its own.
func (d *Database) resized(n int) *Database {
	c := &Database{Name: d.Name, Slots: n, Default: d.Default, ownDefault: d.ownDefault, lacks: d.lacks, byName: make(map[string]*Table, len(d.byName))}
	c.owners = make([]*Shard, n)
	for slot := range c.owners {
		c.owners[slot] = d.owners[slot%d.Slots]
	}
	for _, t := range d.Tables {
		moved := *t
		c.addTable(&moved)
	}
	return c
}
