package plan

import (
	"slices"

	"shardway/shardmap"
)

// A shard needn't hold a database's tables: it may be there for another database, wait for the first slots that move to it,
// or have given its last ones away.

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

// held finds tables that not every shard holds. A reference table that some of the shards lack which the statement needs is
// whole on its database's default shard then.
func (b *builder) held() {
	for again := true; again; {
		again, b.lack = false, set{}
		for i := range b.all() {
			s := &b.all()[i]
			if s.table == nil || s.kind == kindWhole || s.table.Database.HoldsAll() {
				continue
			}
			for _, sh := range b.m.Shards() {
				if s.table.Database.Holds(sh) {
					continue
				}
				if b.lack.or(only(sh)); s.kind == kindReference && !s.written && b.need.has(sh.Index) {
					s.kind, s.in, again = kindWhole, only(s.table.Database.Default), true
				}
			}
			if again {
				b.need.or(s.in)
				break
			}
			if b.need.count() == 0 && b.lack.count() == len(b.m.Shards()) { // no shard holds all
				b.need.or(only(s.table.Database.Default))
				again = true
				break
			}
		}
	}
}

// any is the shard for a statement that any shard can answer which holds its tables.
func (b *builder) any(tx *shardmap.Shard) *shardmap.Shard {
	holds := func(s *shardmap.Shard) bool { return s != nil && !b.lack.has(s.Index) }
	if holds(tx) {
		return tx
	}
	if pin := b.m.Shard(b.f.PinShard); holds(pin) {
		return pin
	}
	if holds(b.prefer) {
		return b.prefer
	}
	if s := b.m.DefaultShard(b.f.DB); holds(s) {
		return s
	}
	return b.m.Shards()[slices.IndexFunc(b.m.Shards(), holds)]
}
