package main

import (
	"strings"
	"testing"

	"shardway/shardmap/filestore"
)

// A pause of slots whose maker has died is taken back by the proxies, in either direction.
func TestPausesLeftBehind(t *testing.T) {
	for _, c := range []struct{ owner, state, want string }{
		{"s0", "paused", "state: copying"},
		{"s1", "returning", "state: moved"},
	} {
		t.Run(c.state, func(t *testing.T) {
			t.Parallel()
			shards := `version: 5
shards: {s0: {primary: "127.0.0.1:1"}, s1: {primary: "127.0.0.1:2"}}
databases:
  shop:
    slots: 1
    owners: {` + c.owner + `: [0]}
    moves: {r1.1: {slots: [0], from: s0, to: s1, state: ` + c.state + `, want: switch}}
    tables: {users: {key: id, placement: mod}}
`
			r := startWith(t, serveConfig+"failover: {hold_timeout: 300ms}\n", shards)
			r.log.waitFor(t, "a pause of slots was left behind and is taken back", 1)
			r.log.waitFor(t, "map taken over", 1)
			store, err := filestore.Open(r.dir + "/shards.yaml")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = store.Close() }() // nothing was written
			m, err := store.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			text, _ := m.Marshal()
			if m.Version() != 6 || !strings.Contains(string(text), c.want) || !strings.Contains(string(text), "want: switch") {
				t.Errorf("the map is\n%s", text)
			}
		})
	}
}
