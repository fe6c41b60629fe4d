package rebalance

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// announced is a store that has proxies alone.
type announced struct {
	Store
	all []shardmap.Proxy
}

func (s *announced) Proxies(context.Context) ([]shardmap.Proxy, error) { return s.all, nil }

const oneShard = "version: 5\nshards: {s0: {primary: \"h:1\"}, s1: {primary: \"h:2\"}}\ndatabases:\n" + shop

// TestFleet: who says goodbye is forgotten, and who falls silent counts as cut
// off until the shard keeps it out.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := shardmap.Parse([]byte(oneShard))
		if err != nil {
			t.Fatal(err)
		}
		s := &announced{}
		r := &run{Options: Options{}.withDefaults(), store: s, changed: make(chan struct{})}
		r.setMap(m)
		f := newFleet(r)
		read := func(after time.Duration, all ...shardmap.Proxy) {
			t.Helper()
			time.Sleep(after)
			s.all = all
			if err := f.read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		lost := func(want ...string) {
			t.Helper()
			if got := f.lost("s0"); !slices.Equal(got, want) {
				t.Errorf("%q are lost, want %q", got, want)
			}
		}
		at := func(id string, serving uint64) shardmap.Proxy {
			return shardmap.Proxy{ID: id, Serving: serving, Seen: time.Now()}
		}
		for range 5 {
			read(time.Second, at("a", 5), at("b", 5), at("c", 5))
		}
		lost()
		// b says goodbye; c's announcement isn't made anew and runs out.
		last := shardmap.Proxy{ID: "c", Serving: 5, Seen: time.Now()}
		for range 4 {
			read(time.Second, at("a", 5), last)
		}
		lost()
		read(time.Second, at("a", 5))
		lost("c")
		f.fence("s0", []string{"c"})
		lost()
		if got := f.lost("s1"); !slices.Equal(got, []string{"c"}) {
			t.Errorf("%q are lost to s1", got)
		}
		// It is back, and silent again: the fence is of another time.
		read(time.Second, at("a", 5), at("c", 5))
		lost()
		for range 11 {
			read(time.Second, at("a", 5), at("c", 4))
		}
		lost()
		if got := f.older(5); len(got) != 1 || got[0] != "c" {
			t.Errorf("%q are older than version 5", got)
		}
		read(time.Second, at("a", 5), at("c", 4))
		lost("c")
		if got := f.older(5); len(got) != 0 {
			t.Errorf("%q are waited for, and can't be heard", got)
		}
		f.fence("s0", []string{"c"})
		read(time.Second, at("a", 5), at("c", 4))
		lost()
		read(0, at("a", 5), at("c", 5))
		lost()
		busy := at("a", 5)
		busy.Oldest = 3
		read(time.Second, busy, at("c", 5))
		if got := f.older(5); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%q run what is older than version 5", got)
		}
	})
}

// TestCarries: the first of those that bring slots to a shard brings the
// reference tables too, and the last one to end takes them away.
func TestCarries(t *testing.T) {
	m, err := shardmap.Parse([]byte(oneShard))
	if err != nil {
		t.Fatal(err)
	}
	move := func(id string, state shardmap.MoveState, slots ...int) *shardmap.Move {
		mv := shardmap.NewMove(id, m.Shard("s0"), m.Shard("s1"), slots, shardmap.WantNothing, "")
		mv.State = state
		return mv
	}
	with := func(moves ...*shardmap.Move) *shardmap.Map {
		t.Helper()
		next, err := m.WithMoves("shop", moves)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	both := with(move("r1.1", shardmap.MoveCopying, 0), move("r1.2", shardmap.MoveCopying, 1))
	if !carries(find(both, "shop", "r1.1")) || carries(find(both, "shop", "r1.2")) {
		t.Error("not r1.1 alone brings the reference tables")
	}
	if lastThere(find(both, "shop", "r1.1")) {
		t.Error("r1.1 would take the reference tables away from r1.2")
	}
	one := with(move("r1.1", shardmap.MoveCleaning, 0), move("r1.2", shardmap.MoveCopying, 1))
	if !carries(find(one, "shop", "r1.2")) {
		t.Error("r1.2 doesn't bring the reference tables now that r1.1 is cancelled")
	}
	if one := with(move("r1.1", shardmap.MoveCleaning, 0)); !lastThere(find(one, "shop", "r1.1")) {
		t.Error("the reference tables stay")
	}
	r := &run{id: "r2"}
	if got := r.bringsReference(find(both, "shop", "r1.1")); got != "r1" {
		t.Errorf("%q brings them, say the moves of r2", got)
	}
}

// TestOutside: a key's text tells its slot where that is certain.
func TestOutside(t *testing.T) {
	m, err := shardmap.Parse([]byte(oneShard))
	if err != nil {
		t.Fatal(err)
	}
	mv := shardmap.NewMove("r1.1", m.Shard("s0"), m.Shard("s1"), []int{3, 15}, shardmap.WantNothing, "")
	mv.Database = m.Database("shop")
	shape := func(data ...string) *rows.Table {
		s := &rows.Table{}
		for i, d := range data {
			s.Columns = append(s.Columns, rows.Column{Name: []string{"no", "user_id"}[i+2-len(data)], Data: d})
			s.Key = append(s.Key, i)
		}
		return s
	}
	for _, c := range []struct {
		shape *rows.Table
		key   rows.Key
		want  bool
	}{
		{shape("bigint"), "3", false},
		{shape("bigint"), "4", true},
		{shape("bigint"), "-1", false},
		{shape("bigint"), "-2", true},
		{shape("bigint"), "18446744073709551615", false},
		{shape("bigint"), "18446744073709551614", true},
		{shape("bigint"), "x'33'", false},
		{shape("int", "bigint"), "4,19", false},
		{shape("int", "bigint"), "3,20", true},
		{shape("varchar", "bigint"), "'3,4',20", false},
		{shape("varchar"), "'4'", false},
	} {
		e := &table{slotIn: slotIn(m.Table("shop", "orders"), c.shape)}
		if got := e.outside(mv, c.key); got != c.want {
			t.Errorf("the row %s is outside: %t, want %t", c.key, got, c.want)
		}
	}
	if got := slotIn(m.Table("shop", "sessions"), shape("bigint")); got != -1 {
		t.Errorf("the slot of a CRC32 is read from column %d", got)
	}
}
