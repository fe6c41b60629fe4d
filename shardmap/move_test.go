package shardmap

import (
	"slices"
	"strings"
	"testing"
)

const movingMap = `version: 7
shards:
  s0: {primary: "h:1"}
  s1: {primary: "h:2"}
  s2: {primary: "h:3"} # the new one
databases:
  shop:
    slots: 16
    owners: {s0: ["0-7"], s1: ["8-15"]} # halves
    tables:
      users: {key: id, placement: mod}
`

func withMoves(t *testing.T, m *Map, moves ...*Move) *Map {
	t.Helper()
	next, err := m.WithMoves("shop", moves)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func step(t *testing.T, m *Map, id string, state MoveState) *Map {
	t.Helper()
	next, err := m.WithMove("shop", id, func(v *Move) bool { v.State = state; return true })
	if err != nil {
		t.Fatal(err)
	}
	if next.Version() != m.Version()+1 {
		t.Fatalf("version %d after %d", next.Version(), m.Version())
	}
	again, err := Parse(next.canonical(next.version))
	if err != nil || !again.Equal(next) {
		t.Fatalf("the canonical form isn't the same map: %v\n%s", err, next.canonical(next.version))
	}
	return next
}

// A move through all its states and back: who owns the slots, who has copies,
// and that the text's comments stay.
func TestMoveStates(t *testing.T) {
	m, err := Parse([]byte(movingMap))
	if err != nil {
		t.Fatal(err)
	}
	m = withMoves(t, m, NewMove("r1.1", m.Shard("s0"), m.Shard("s2"), []int{5, 4, 6, 7}, WantSwitch, "ops@db1"), NewMove("r1.2", m.Shard("s1"), m.Shard("s2"), []int{8, 10, 12}, WantSwitch, ""))
	d := m.Database("shop")
	if d.Moving(4) != nil || len(d.Foreign("s2")) > 0 || d.Table("users").OwnSQL("s2", "") != "" {
		t.Error("a planned move has an effect")
	}
	check := func(m *Map, owner, foreign string, waits bool) {
		t.Helper()
		d := m.Database("shop")
		for _, slot := range []int{4, 5, 6, 7} {
			if got := d.Owner(slot).ID; got != owner {
				t.Errorf("slot %d is owned by %s, want %s", slot, got, owner)
			}
			if v := d.Moving(slot); v == nil || v.ID != "r1.1" || v.Waits() != waits || v.Rebalance() != "r1" || !v.Has(slot) || v.Has(3) {
				t.Errorf("slot %d: %+v", slot, v)
			}
		}
		if d.Moving(3) != nil {
			t.Error("slot 3 moves")
		}
		for _, id := range []string{"s0", "s1", "s2"} {
			want := []int{4, 5, 6, 7}
			if id != foreign {
				want = nil
			}
			if got := d.Foreign(id); !slices.Equal(got, want) {
				t.Errorf("%s holds foreign slots %v, want %v", id, got, want)
			}
		}
		text, _ := m.Marshal()
		for _, comment := range []string{"# the new one", "# halves"} {
			if !strings.Contains(string(text), comment) {
				t.Errorf("%s is lost:\n%s", comment, text)
			}
		}
	}
	m = step(t, m, "r1.1", MoveCopying)
	check(m, "s0", "s2", false)
	m = step(t, m, "r1.1", MovePaused)
	check(m, "s0", "s2", true)
	m = step(t, m, "r1.1", MoveMoved)
	check(m, "s2", "s0", false)
	m = step(t, m, "r1.1", MoveReturning)
	check(m, "s2", "s0", true)
	m = step(t, m, "r1.1", MoveCleaning)
	check(m, "s0", "s2", false)
	m, err = m.WithMove("shop", "r1.1", func(*Move) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if d := m.Database("shop"); len(d.Moves()) != 1 || d.Moves()[0].ID != "r1.2" || d.Moving(4) != nil {
		t.Errorf("%v", d.Moves())
	}
	if got := strings.Join(FormatSlots(m.Database("shop").Moves()[0].Slots()), ","); got != "8-12/2" {
		t.Errorf("slots %s", got)
	}
	if _, err := m.WithMove("shop", "r1.1", func(*Move) bool { return true }); err == nil {
		t.Error("a move that is gone is changed")
	}
	if _, err := m.Expand(2); err == nil || !strings.Contains(err.Error(), "r1.2") {
		t.Errorf("expand: %v", err)
	}
}

// What a map must not say of moves.
func TestMoveErrors(t *testing.T) {
	for name, c := range map[string]struct{ moves, want string }{
		"to itself":      {`r1: {slots: ["1"], from: s0, to: s0, state: copying}`, "is the shard from which"},
		"no state":       {`r1: {slots: ["1"], from: s0, to: s1}`, "state: is missing"},
		"a wrong state":  {`r1: {slots: ["1"], from: s0, to: s1, state: done}`, "must be planned"},
		"a wrong want":   {`r1: {slots: ["1"], from: s0, to: s1, state: copying, want: more}`, "must be switch"},
		"a wrong hold":   {`r1: {slots: ["1"], from: s0, to: s1, state: copying, hold: 7}`, "must be true or false"},
		"twice":          {`r1: {slots: ["1-3"], from: s0, to: s1, state: copying}, r2: {slots: ["3"], from: s0, to: s2, state: planned}`, "slot 3 is moved by r1 and by r2"},
		"not its owner":  {`r1: {slots: ["8"], from: s0, to: s1, state: copying}`, "slot 8 is owned by s1"},
		"not yet":        {`r1: {slots: ["1"], from: s0, to: s1, state: moved}`, "slot 1 is owned by s0"},
		"several owners": {`r1: {slots: ["7-8"], from: s0, to: s1, state: cleaning}`, "different owners"},
		"no slots":       {`r1: {slots: [], from: s0, to: s1, state: copying}`, "has no slots"},
		"beyond":         {`r1: {slots: ["16"], from: s0, to: s1, state: copying}`, "goes beyond the last slot"},
	} {
		text := strings.Replace(movingMap, "    tables:", "    moves: {"+c.moves+"}\n    tables:", 1)
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// An operator's edit of the map doesn't change a move that has begun.
func TestMoveHazards(t *testing.T) {
	before, err := Parse([]byte(movingMap))
	if err != nil {
		t.Fatal(err)
	}
	planned := withMoves(t, before, NewMove("r1", before.Shard("s0"), before.Shard("s2"), []int{1}, WantNothing, ""))
	if h := Hazards(before, planned); len(h) > 0 {
		t.Errorf("planning: %v", h)
	}
	copying := step(t, planned, "r1", MoveCopying)
	for _, c := range [][2]*Map{{copying, before}, {before, copying}, {copying, step(t, copying, "r1", MovePaused)}} {
		if h := Hazards(c[0], c[1]); len(h) == 0 {
			t.Error("no hazard")
		}
	}
	if changes := Diff(planned, copying); len(changes) != 1 || !strings.Contains(changes[0].What, "move r1") {
		t.Errorf("%v", changes)
	}
}

func TestSlotsSQL(t *testing.T) {
	for _, c := range []struct {
		slots []int
		want  string
	}{
		{[]int{3}, "(COALESCE(s,-1) IN (3))"},
		{[]int{0, 1, 2, 3, 9}, "(COALESCE(s,-1) BETWEEN 0 AND 3 OR COALESCE(s,-1) IN (9))"},
		{[]int{1, 3, 5, 7}, "((COALESCE(s,-1) BETWEEN 1 AND 7 AND COALESCE(s,-1) % 2 = 1))"},
	} {
		if got := slotsSQL("s", c.slots); got != c.want {
			t.Errorf("%v: %s", c.slots, got)
		}
	}
}
