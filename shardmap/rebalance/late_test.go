package rebalance

import (
	"context"
	"errors"
	"strings"

	"shardway/shardmap"
)

// lateStray has a row written past the proxies while statements wait for the way
// back: it doesn't become the owner's row.
func lateStray(s *servers) {
	source := s.c.Shards[0].Primary
	s.ledger.set("users", "4", "mine|0|NULL")
	s.must(source.Exec(s.ctx, "REPLACE INTO shop.users VALUES (4, 'mine', 0, NULL)"))
	s.store.plan(s.T, shardmap.WantSwitch, "r16.1", "s0", "s1", 4, 5)
	s.run("r16", s.options())
	s.store.want(s.T, "r16.1", shardmap.WantUndo)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	o := s.options()
	written := false
	o.failpoint = func(step string) error {
		if step != "last position" || written {
			return nil
		}
		written = true
		return source.Exec(s.ctx, "REPLACE INTO shop.users VALUES (4, 'stray', 0, NULL)")
	}
	said := o.Progress
	o.Progress = func(p Progress) {
		said(p)
		if len(p.Moves) > 0 && strings.Contains(p.Moves[0].Wait, "past the proxies") {
			cancel()
		}
	}
	report, err := New(s.store, o).Run(ctx, "r16")
	if !errors.Is(err, context.Canceled) {
		s.Fatalf("%v, the report is %+v", err, report)
	}
	if len(report.Strays) != 1 || report.Strays[0].Key != "4" || len(report.Pauses) == 0 || report.Pauses[0].Done {
		s.Errorf("the strays are %+v, the pauses %+v", report.Strays, report.Pauses)
	}
	if mv := s.store.move(s.T, "r16.1"); mv.State != shardmap.MoveMoved {
		s.Errorf("it is %s", mv.State)
	}
	o = s.options()
	o.AllowStrays = true
	s.run("r16", o)
	s.gone()
}
