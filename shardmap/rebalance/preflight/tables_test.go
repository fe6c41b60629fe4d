package preflight

import (
	"testing"

	"shardway/shardmap"
)

func TestComes(t *testing.T) {
	m, err := shardmap.Parse([]byte(`version: 1
shards: {s0: {primary: "a:1"}, s1: {primary: "b:1"}, s2: {primary: "c:1"}}
databases:
  shop:
    slots: 4
    owners: {s1: ["0-3"]}
    default_shard: s0
    tables: {users: {key: id, placement: mod}, countries: {reference: true}}
`))
	if err != nil {
		t.Fatal(err)
	}
	d := m.Database("shop")
	for _, c := range []struct {
		table, to string
		want      bool
	}{{"users", "s0", true}, {"users", "s2", true}, {"countries", "s0", false}, {"countries", "s2", true}} {
		v := shardmap.NewMove("r1.1", m.Shard("s1"), m.Shard(c.to), []int{1}, shardmap.WantSwitch, "")
		if got := comes(d.Table(c.table), v); got != c.want {
			t.Errorf("%s comes to %s: %t", c.table, c.to, got)
		}
	}
}
