package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"shardway/shardmap"
)

// shop is a map with shards s0 to s5 and one database with these owners.
func shop(t *testing.T, slots int, owners, rest string) *shardmap.Map {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nshards:\n")
	for i := range 6 {
		fmt.Fprintf(&b, "  s%d: {primary: \"h:%d\"}\n", i, i+1)
	}
	fmt.Fprintf(&b, "databases:\n  shop:\n    slots: %d\n    owners: {%s}\n%s    tables: {users: {key: id, placement: mod}}\n  whole: {default_shard: s0, tables: {countries: {reference: true}}}\n", slots, owners, rest)
	m, err := shardmap.Parse([]byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	return m
}

func same(n int, w int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = w
	}
	return out
}

// show is the moves as people read them.
func show(r *Result) string {
	var out []string
	for _, v := range r.Moves {
		out = append(out, fmt.Sprintf("%s:%s>%s", strings.Join(shardmap.FormatSlots(v.Slots), ","), v.From.ID, v.To.ID))
	}
	return strings.Join(out, " ")
}

func TestPlan(t *testing.T) {
	const two = `s0: ["0-7"], s1: ["8-15"]`
	heavy := same(16, 10)
	heavy[3] = 500
	skewed := append(same(8, 100), same(8, 10)...)
	for _, c := range []struct {
		name    string
		owners  string
		moves   string
		weights []int64
		goal    Goal
		want    string
		level   int64
		heavy   int
	}{
		{"one more of two", two, "", same(16, 10), Goal{Add: []string{"s2"}}, "0-2:s0>s2 8-9:s1>s2", 54, 0},
		{"two more of two are two pairs", two, "", same(16, 10), Goal{Add: []string{"s2", "s3"}}, "0-3:s0>s2 8-11:s1>s3", 40, 0},
		{"no rows yet", two, "", same(16, 0), Goal{Add: []string{"s2", "s3"}}, "0-3:s0>s2 8-11:s1>s3", 4, 0},
		{"the first rows", two, "", append(same(15, 0), 7), Goal{Add: []string{"s2"}}, "", 4, 1},
		{"drain", two, "", same(16, 10), Goal{Drain: []string{"s0"}}, "0-7:s0>s1", 160, 0},
		{"replace", two, "", same(16, 10), Goal{Drain: []string{"s0"}, Add: []string{"s2"}}, "0-7:s0>s2", 80, 0},
		{"drain to two", `s0: ["0-7"], s1: ["8-11"], s2: ["12-15"]`, "", same(16, 10), Goal{Drain: []string{"s0"}}, "0-3:s0>s1 4-7:s0>s2", 80, 0},
		{"who stays gives nothing to who stays", two, "", skewed, Goal{Add: []string{"s2"}}, "0-3:s0>s2", 400, 0},
		{"unless that is asked for", two, "", skewed, Goal{Even: true}, "0-3:s0>s1", 440, 0},
		{"even already", two, "", same(16, 10), Goal{Even: true}, "", 80, 0},
		{"a heavy slot stays where it is", two, "", heavy, Goal{Add: []string{"s2"}}, "0-2,4-7:s0>s2", 285, 1},
		{"a heavy slot among all", `s0: ["0-7"], s1: ["8-15"], s2: []`, "", heavy, Goal{Even: true}, "0-2,4-7:s0>s1", 325, 1},
		{"isolate", two, "", same(16, 10), Goal{Isolate: &Isolate{Slot: 9}}, "9:s1>s2", 0, 0},
		{"isolate where others are", `s0: ["0-7"], s1: ["8-12"], s2: ["13-15"]`, "", same(16, 10), Goal{Isolate: &Isolate{9, "s2"}}, "9:s1>s2 13-15:s2>s1", 70, 0},
		{"isolated already", `s0: ["0-7", "9-15"], s1: [8]`, "", same(16, 10), Goal{Isolate: &Isolate{Slot: 8}}, "", 0, 0},
		{"isolate on its own shard", two, "", same(16, 10), Goal{Isolate: &Isolate{9, "s1"}}, "8,10-15:s1>s0", 150, 0},
		{"place", two, "", same(16, 10), Goal{Place: []Place{{[]int{1, 2, 9}, "s1"}, {[]int{15}, "s4"}}}, "1-2:s0>s1 15:s1>s4", 0, 0},
		{"what moves counts there", two, `r1.1: {slots: ["0-3"], from: s0, to: s2, state: copying}`, same(16, 10), Goal{Add: []string{"s2"}}, "8-9:s1>s2", 60, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			rest := ""
			if c.moves != "" {
				rest = "    moves:\n      " + c.moves + "\n"
			}
			r, err := Plan(shop(t, 16, c.owners, rest), "shop", c.weights, c.goal)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r); got != c.want || r.Level != c.level || len(r.Heavy) != c.heavy {
				t.Errorf("moves %q, level %d, heavy %v; want %q, %d, %d", got, r.Level, r.Heavy, c.want, c.level, c.heavy)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	m := shop(t, 16, `s0: ["0-7"], s1: ["8-15"]`, "    moves: {r1.1: {slots: [7], from: s0, to: s1, state: planned}}\n")
	for _, c := range []struct {
		db   string
		goal Goal
		want string
	}{
		{"nix", Goal{Even: true}, `no database "nix"; it has shop, whole`},
		{"whole", Goal{Even: true}, "has no slots"},
		{"shop", Goal{}, "nothing is asked for"},
		{"shop", Goal{Even: true, Add: []string{"s2"}}, "ask for one"},
		{"shop", Goal{Add: []string{"s9"}}, `no shard "s9"; it has s0, s1`},
		{"shop", Goal{Add: []string{"s2", "s2"}}, "named twice"},
		{"shop", Goal{Add: []string{"s0"}, Drain: []string{"s0"}}, "added and drained"},
		{"shop", Goal{Drain: []string{"s0", "s1"}}, "being moved to shard s1"},
		{"shop", Goal{Drain: []string{"s0"}, Place: []Place{{[]int{1}, "s1"}}}, "ask for one"},
		{"shop", Goal{Place: []Place{{[]int{16}, "s1"}}}, "no slot 16; its slots are 0 to 15"},
		{"shop", Goal{Place: []Place{{[]int{1}, "s1"}, {[]int{1}, "s2"}}}, "slot 1 is asked to go to s1 and to s2"},
		{"shop", Goal{Place: []Place{{[]int{7}, "s2"}}}, "slot 7 is being moved to s1 already"},
		{"shop", Goal{Isolate: &Isolate{Slot: 16}}, "no slot 16"},
		{"shop", Goal{Isolate: &Isolate{Slot: 7}}, "slot 7 is being moved"},
		{"shop", Goal{Isolate: &Isolate{Slot: 1, To: "s7"}}, `no shard "s7"`},
	} {
		_, err := Plan(m, c.db, same(16, 1), c.goal)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.goal, err, c.want)
		}
	}
	if _, err := Plan(m, "shop", same(3, 1), Goal{Even: true}); err == nil {
		t.Error("3 weights for 16 slots are taken")
	}
	one := shop(t, 4, `s0: ["0-3"]`, "")
	if _, err := Plan(one, "shop", same(4, 1), Goal{Drain: []string{"s0"}}); err == nil || !strings.Contains(err.Error(), "no shard is left") {
		t.Errorf("the only shard is drained: %v", err)
	}
	if _, err := Plan(one, "shop", same(4, 1), Goal{Isolate: &Isolate{1, "s0"}}); err == nil || !strings.Contains(err.Error(), "the only one") {
		t.Errorf("a slot is isolated on the only shard: %v", err)
	}
	full := shop(t, 6, `s0: [0], s1: [1], s2: [2], s3: [3], s4: [4, 5]`, "")
	if r, err := Plan(full, "shop", same(6, 1), Goal{Isolate: &Isolate{Slot: 5}}); err != nil || show(r) != "5:s4>s5" {
		t.Errorf("%v, %v", r, err)
	}
}

// What holds of every plan, over many maps, weights and goals.
func TestProperties(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		slots := 1 + r.IntN(200)
		owned := map[int][]string{}
		shards := 1 + r.IntN(4)
		for slot := range slots {
			s := r.IntN(shards)
			owned[s] = append(owned[s], fmt.Sprint(slot))
		}
		var owners []string
		for s := range 6 {
			if len(owned[s]) > 0 {
				owners = append(owners, fmt.Sprintf("s%d: [%s]", s, strings.Join(owned[s], ", ")))
			}
		}
		m := shop(t, slots, strings.Join(owners, ", "), "")
		weights := make([]int64, slots)
		for i := range weights {
			switch seed % 4 {
			case 0:
				weights[i] = 1000
			case 1:
				weights[i] = 900 + r.Int64N(200)
			case 2:
				weights[i] = r.Int64N(3)
			default:
				weights[i] = int64(1) << r.IntN(20)
			}
		}
		ids := r.Perm(6)
		var g Goal
		switch r.IntN(4) {
		case 0:
			g.Even = true
		case 1:
			g.Drain = []string{fmt.Sprintf("s%d", ids[0])}
		case 2:
			g.Drain = []string{fmt.Sprintf("s%d", ids[0])}
			g.Add = []string{fmt.Sprintf("s%d", ids[1]), fmt.Sprintf("s%d", ids[2])}
		default:
			g.Add = []string{fmt.Sprintf("s%d", ids[0]), fmt.Sprintf("s%d", ids[1])}
		}
		result, err := Plan(m, "shop", weights, g)
		if err != nil {
			if strings.Contains(err.Error(), "no shard is left") && len(g.Add) == 0 {
				continue
			}
			t.Fatalf("seed %d, %+v: %v", seed, g, err)
		}
		again, err := Plan(m, "shop", weights, g)
		if err != nil || show(again) != show(result) {
			t.Fatalf("seed %d, %+v: two plans differ", seed, g)
		}
		check(t, fmt.Sprintf("seed %d, %+v", seed, g), m, weights, g, result)
		if t.Failed() {
			return
		}
	}
}

func check(t *testing.T, name string, m *shardmap.Map, weights []int64, g Goal, r *Result) {
	t.Helper()
	d := m.Database("shop")
	load, before, heaviest := map[string]int64{}, map[string]int64{}, int64(1)
	owner := make([]string, d.Slots)
	for slot := range owner {
		owner[slot] = d.Owner(slot).ID
		before[owner[slot]] += weights[slot]
		heaviest = max(heaviest, weights[slot])
	}
	seen, pairs := map[int]bool{}, map[string]bool{}
	for _, v := range r.Moves {
		if pairs[v.From.ID+v.To.ID] || v.From == v.To || len(v.Slots) == 0 || !slices.IsSorted(v.Slots) {
			t.Errorf("%s: the move %v", name, v)
		}
		pairs[v.From.ID+v.To.ID] = true
		var sum int64
		for _, slot := range v.Slots {
			if seen[slot] || owner[slot] != v.From.ID {
				t.Errorf("%s: slot %d is moved twice, or isn't of %s", name, slot, v.From.ID)
			}
			seen[slot] = true
			owner[slot] = v.To.ID
			sum += weights[slot]
		}
		if sum != v.Weight {
			t.Errorf("%s: weight %d, want %d", name, v.Weight, sum)
		}
		if !g.Even && !slices.Contains(g.Add, v.To.ID) && !slices.Contains(g.Drain, v.From.ID) {
			t.Errorf("%s: %s and %s both stay", name, v.From.ID, v.To.ID)
		}
		if slices.Contains(g.Drain, v.To.ID) || slices.Contains(g.Add, v.From.ID) {
			t.Errorf("%s: slots go from %s to %s", name, v.From.ID, v.To.ID)
		}
	}
	count := map[string]int{}
	for slot, s := range owner {
		load[s] += weights[slot]
		count[s]++
	}
	for _, s := range m.Shards() {
		if r.After[s.ID] != (Share{count[s.ID], load[s.ID]}) {
			t.Errorf("%s: %s has %v afterwards, want %v", name, s.ID, r.After[s.ID], Share{count[s.ID], load[s.ID]})
		}
		if load[s.ID] > r.Level+heaviest && load[s.ID] > before[s.ID] {
			t.Errorf("%s: %s comes to %d, level %d, heaviest %d", name, s.ID, load[s.ID], r.Level, heaviest)
		}
		giver := g.Even || len(g.Add) > 0 && !slices.Contains(g.Add, s.ID)
		if giver && load[s.ID] > r.Level+heaviest {
			t.Errorf("%s: %s stays at %d, level %d, heaviest %d", name, s.ID, load[s.ID], r.Level, heaviest)
		}
		if slices.Contains(g.Drain, s.ID) && count[s.ID] > 0 {
			t.Errorf("%s: %s keeps %d slots", name, s.ID, count[s.ID])
		}
	}
}
