package rebalance

import (
	"time"

	"shardway/shardmap"
)

// drained takes all slots from a shard, and gives it another one meanwhile: the
// reference tables stay what they are elsewhere until it is undone, and are
// emptied with a finish.
func drained(s *servers) {
	load := s.startLoad()
	s.store.plan(s.T, shardmap.WantSwitch, "r10.1", "s1", "s0", 0, 1)
	s.store.plan(s.T, shardmap.WantSwitch, "r10.2", "s1", "s0", 2, 3)
	s.store.plan(s.T, shardmap.WantSwitch, "r10.3", "s0", "s1", 8) // while all others leave
	s.run("r10", s.options())
	for n := load.done.Load() + 200; load.done.Load() < n; {
		sleep(s.ctx, 10*time.Millisecond)
	}
	for _, id := range []string{"r10.1", "r10.2", "r10.3"} {
		s.store.want(s.T, id, shardmap.WantUndo)
	}
	s.run("r10", s.options())
	load.end()
	s.gone()

	load = s.startLoad()
	s.store.plan(s.T, shardmap.WantFinish, "r11.1", "s1", "s0", 0, 1)
	s.store.plan(s.T, shardmap.WantFinish, "r11.2", "s1", "s0", 2, 3)
	s.run("r11", s.options())
	load.end()
	s.gone()
	if got, err := s.c.Shards[1].Primary.Text(s.ctx, "SELECT COUNT(*) FROM shop.countries"); err != nil || got != "0" {
		s.Errorf("s1 has %s countries, %v", got, err)
	}
}
