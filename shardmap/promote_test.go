package shardmap

import (
	"strings"
	"testing"
)

const promoteMap = `# the shop
version: 7
shards:
  s0: {primary: "a:1", replicas: [{addr: "b:1", weight: 3, zone: x}, {addr: "c:1"}]} # the first
  s1:
    # moved in spring
    primary: "d:1"
databases:
  shop:
    slots: 4
    owners: {s0: ["0-1"], s1: ["2-3"]}
    tables:
      users: {key: id, placement: mod}
`

func TestWithPrimary(t *testing.T) {
	m, err := Parse([]byte(promoteMap))
	if err != nil {
		t.Fatal(err)
	}
	paused, err := m.WithPaused("s0", "switchover to b:1: by me")
	if err != nil {
		t.Fatal(err)
	}
	if p := paused.Shard("s0").Paused; p != "switchover to b:1: by me" || paused.Version() != 8 || m.Shard("s0").Paused != "" {
		t.Fatalf("paused %q at version %d, before %q", p, paused.Version(), m.Shard("s0").Paused)
	}
	text, _ := paused.Marshal()
	for _, comment := range []string{"# the shop", "# the first", "# moved in spring"} {
		if !strings.Contains(string(text), comment) {
			t.Errorf("%q is gone from\n%s", comment, text)
		}
	}
	if got := FormatChanges(Diff(m, paused)); got != "+ shard s0 paused: switchover to b:1: by me\n" {
		t.Errorf("the difference is %q", got)
	}
	// A computed map says the same.
	again, err := Parse(paused.canonical(8))
	if err != nil || !again.Equal(paused) || again.Equal(m) {
		t.Fatalf("%v\n%s", err, paused.canonical(8))
	}

	next, err := paused.WithPrimary("s0", "b:1")
	if err != nil {
		t.Fatal(err)
	}
	s := next.Shard("s0")
	if s.Paused != "" || s.Primary != (Server{Addr: "b:1", Weight: 3, Zone: "x"}) || s.Replicas[0].Addr != "a:1" || s.Replicas[1].Addr != "c:1" || next.Version() != 9 {
		t.Errorf("%+v at version %d", s, next.Version())
	}
	if next.Database("shop").Owner(1) != s {
		t.Error("the slots belong to another shard's value")
	}
	back, err := next.WithPrimary("s0", "a:1")
	if err != nil || !back.Equal(m) {
		t.Errorf("to and fro isn't as before: %v", err)
	}
	for _, bad := range []func() (*Map, error){
		func() (*Map, error) { return m.WithPrimary("s0", "a:1") },
		func() (*Map, error) { return m.WithPrimary("s1", "x:1") },
		func() (*Map, error) { return m.WithPrimary("s2", "b:1") },
		func() (*Map, error) { return m.WithPaused("s2", "x") },
	} {
		if got, err := bad(); err == nil {
			t.Errorf("made %s", got.canonical(0))
		}
	}
}
