package rebalance

import (
	"errors"
	"testing"

	"shardway/shardmap"
)

// passing has the engine fail for a moment while it takes over what changed
// during the pause: the switch is taken back, and nothing is forgotten when it is
// tried again.
func passing(s *servers) {
	s.store.plan(s.T, shardmap.WantSwitch, "r13.1", "s0", "s1", 4, 5)
	source := s.c.Shards[0].Primary
	tries, failed := 0, false
	o := s.options()
	o.failpoint = func(step string) error {
		switch {
		case step == "pause":
			tries++
		case step == "last position" && tries == 1:
			s.ledger.set("users", "4", "late|1|NULL")
			s.ledger.set("parts", "late|5", "late|1")
			return source.Exec(s.ctx, "REPLACE INTO shop.users VALUES (4, 'late', 1, NULL)", "REPLACE INTO shop.parts VALUES ('late', 5, 1)")
		case step == "take" && tries == 1 && !failed:
			failed = true
			return errors.New("it doesn't work just now")
		}
		return nil
	}
	report := s.run("r13", o)
	if len(report.Pauses) < 2 || report.Pauses[0].Done || !failed {
		s.Errorf("the pauses were %+v", report.Pauses)
	}
	s.level("r13")
	s.undo("r13")
}

// redefined has a table changed during the pause: its copies are of no use, and
// the slots stay where they are.
func redefined(s *servers) {
	s.store.plan(s.T, shardmap.WantSwitch, "r14.1", "s0", "s1", 4, 5)
	source := s.c.Shards[0].Primary
	o := s.options()
	changed := false
	o.failpoint = func(step string) error {
		if step != "last position" || changed {
			return nil
		}
		changed = true
		return source.Exec(s.ctx, "ALTER TABLE shop.users ADD late INT")
	}
	s.fails("r14", o, "`shop`.`users`", "late")
	if mv := s.store.move(s.T, "r14.1"); mv.State != shardmap.MoveCopying {
		s.Errorf("it is %s", mv.State)
	}
	s.must(source.Exec(s.ctx, "ALTER TABLE shop.users DROP late"))
	s.run("r14", s.options())
	s.level("r14")
	s.undo("r14")
}

func TestChangesOutliveWhatTakesThem(t *testing.T) {
	var c changes
	a, b := &table{name: "a"}, &table{name: "b"}
	for range 2 {
		c.add(a, "1")
		c.add(b, "1")
		c.add(b, "2")
	}
	if c.n != 3 {
		t.Fatalf("%d keys", c.n)
	}
	taken := map[*table]int{}
	for c.n > 0 {
		at, keys := c.some()
		c.taken(at, keys)
		taken[at] += len(keys)
	}
	if taken[a] != 1 || taken[b] != 2 || len(c.keys) != 0 {
		t.Errorf("taken were %v, left are %v", taken, c.keys)
	}
}
