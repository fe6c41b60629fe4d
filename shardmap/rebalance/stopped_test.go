package rebalance

import (
	"strings"
	"time"

	"shardway/shardmap"
)

// stopped has a replica stop while copies are removed: they are removed there
// too before the move is over, and the status says meanwhile what it waits for.
func stopped(s *servers) {
	load := s.startLoad()
	s.store.plan(s.T, shardmap.WantNothing, "r15.1", "s0", "s1", 4, 5)
	s.run("r15", s.options())
	s.store.want(s.T, "r15.1", shardmap.WantCancel)
	replica := s.c.Shards[1].Replicas[0]
	o := s.options()
	o.failpoint = func(step string) error {
		if step == "state cleaning" {
			return replica.Exec(s.ctx, "STOP REPLICA SQL_THREAD")
		}
		return nil
	}
	done := make(chan error)
	go func() {
		_, err := New(s.store, o).Run(s.ctx, "r15")
		done <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; {
		status, err := New(s.store, s.options()).Status(s.ctx, "r15")
		s.must(err)
		if why := status.Moves[0].Wait; strings.Contains(why, replica.Addr) {
			break
		}
		if time.Now().After(deadline) {
			s.Fatalf("the status is %+v", status.Moves[0])
		}
		sleep(s.ctx, 50*time.Millisecond)
	}
	s.must(replica.Exec(s.ctx, "START REPLICA SQL_THREAD"))
	s.must(<-done)
	load.end()
	s.gone()
}
