package shardmap

import (
	"slices"
	"testing"
)

// TestHolds: a database's tables are where its slots are, and on its default shard.
func TestHolds(t *testing.T) {
	const shards = "version: 1\nshards:\n  s0: {primary: \"h:1\"}\n  s1: {primary: \"h:2\"}\n  s2: {primary: \"h:3\"}\n"
	for _, c := range []struct {
		database string
		want     []string
	}{
		{`{tables: {c: {reference: true}}}`, []string{"s0", "s1", "s2"}},
		{`{slots: 4, owners: {s1: ["0-1"], s2: ["2-3"]}, tables: {c: {reference: true}}}`, []string{"s0", "s1", "s2"}},
		{`{slots: 4, owners: {s1: ["0-3"]}, default_shard: s1, tables: {c: {reference: true}}}`, []string{"s1"}},
		{`{slots: 4, owners: {s1: ["0-3"]}, default_shard: s0, moves: {r1.1: {slots: ["1"], from: s1, to: s2, state: copying}}}`, []string{"s0", "s1"}},
		{`{slots: 4, owners: {s1: ["0", "2-3"], s2: ["1"]}, default_shard: s1, moves: {r1.1: {slots: ["1"], from: s1, to: s2, state: moved}}}`, []string{"s1", "s2"}},
		// The last slots of s1 are away, and what they left behind comes back with them.
		{`{slots: 4, owners: {s2: ["0-3"]}, default_shard: s0, moves: {r1.1: {slots: ["1"], from: s1, to: s2, state: moved}}}`, []string{"s0", "s1", "s2"}},
		{`{slots: 4, owners: {s2: ["0-3"]}, default_shard: s0, moves: {r1.1: {slots: ["1"], from: s1, to: s2, state: returning}}}`, []string{"s0", "s1", "s2"}},
		{`{slots: 4, owners: {s2: ["0-3"]}, default_shard: s0, moves: {r1.1: {slots: ["1"], from: s1, to: s2, state: cleaning}}}`, []string{"s0", "s2"}},
	} {
		m, err := Parse([]byte(shards + "databases:\n  shop: " + c.database + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		d := m.Database("shop")
		for _, s := range m.Shards() {
			if d.Holds(s) {
				got = append(got, s.ID)
			}
		}
		if !slices.Equal(got, c.want) || d.HoldsAll() != (len(c.want) == 3) {
			t.Errorf("%s: %v", c.database, got)
		}
	}
}
