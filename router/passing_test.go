package router

import (
	"errors"
	"testing"

	"shardway/protocol"
	"shardway/shardmap"
)

// An UPDATE of the key takes a row to another shard: while slots move, that meets copies, and passes where strays are looked for.
func TestARowOnItsWayWhileSlotsMove(t *testing.T) {
	for _, c := range []struct {
		state    string
		was, is  int    // slots; 0 moves from s0 to s1, 1 is s0's, 2 is s1's, 3 is s2's
		passes   uint16 // the error before the row is written, or 0
		at, into uint16 // that of a duplicate key where it is, and where it goes
	}{
		{"copying", 0, 2, 0, 1062, 1205}, // s1 has a copy of the row itself
		{"copying", 2, 0, 0, 1205, 1062}, // it passes among the copies that s1 has
		{"copying", 1, 2, 0, 1062, 1062},
		{"copying", 3, 0, 0, 1062, 1062},
		{"planned", 0, 2, 0, 1062, 1062},
		{"moved", 0, 1, 0, 1062, 1205},
		{"moved", 1, 0, 1205, 1205, 1062}, // it would be taken for a stray
		{"moved", 3, 0, 0, 1062, 1062},
		{"moved", 0, 3, 0, 1062, 1062},
		{"cleaning", 1, 0, 0, 1205, 1062},
	} {
		owner := "s0"
		if c.state == "moved" || c.state == "cleaning" {
			owner = "s1"
		}
		m, err := shardmap.Parse([]byte(`version: 1
shards: {s0: {primary: "a:1"}, s1: {primary: "b:1"}, s2: {primary: "c:1"}}
databases:
  shop:
    slots: 4
    default_shard: s0
    owners: ` + map[string]string{"s0": `{s0: ["0-1"], s1: ["2"], s2: ["3"]}`, "s1": `{s0: ["1"], s1: ["0", "2"], s2: ["3"]}`}[owner] + `
    moves: {r1.1: {slots: ["0"], from: s0, to: s1, state: ` + c.state + `}}
    tables: {users: {key: id, placement: mod}}
`))
		if err != nil {
			t.Fatal(err)
		}
		users := m.Table("shop", "users")
		place := func(slot int) shardmap.Location {
			return users.Locate(shardmap.Value{Kind: shardmap.Int, I: int64(slot)}, shardmap.Equal)
		}
		was, is := place(c.was), place(c.is)
		duplicate := protocol.Errorf(1062, "23000", "Duplicate entry 'x' for key 'email'")
		for _, got := range []struct {
			what string
			err  error
			want uint16
		}{
			{"passing", passes(users, was.Shard, is), c.passes},
			{"a duplicate where it is", meets(duplicate, users, is, was.Shard), c.at},
			{"a duplicate where it goes", meets(duplicate, users, was, is.Shard), c.into},
		} {
			code := uint16(0)
			if e, ok := errors.AsType[*protocol.Error](got.err); ok {
				code = e.Code
			}
			if code != got.want {
				t.Errorf("%s, slot %d to %d: %s: %v, want %d", c.state, c.was, c.is, got.what, got.err, got.want)
			}
		}
		if err := meets(nil, users, was, is.Shard); err != nil {
			t.Errorf("no error became %v", err)
		}
	}
}
