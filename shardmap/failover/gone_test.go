package failover

import (
	"errors"
	"strings"
	"sync"

	"shardway/test/cluster"
)

// failover must do it, and shows how.
func (s *servers) failover(by string) Report {
	s.Helper()
	o := s.options()
	o.By = by
	report, err := Failover(s.ctx, s.store, "s0", s.primary().Addr, o)
	s.must(err)
	s.show(report)
	if !report.Done || report.To != s.primary().Addr {
		s.Errorf("the report is %+v", report)
	}
	return report
}

func (s *servers) show(report Report) {
	s.Helper()
	for _, step := range report.Steps {
		s.Logf("%-10s %6.1f ms  %s", step.Name, float64(step.Took.Microseconds())/1000, step.Text)
	}
	s.Logf("pause %s; warnings %q", report.Pause, report.Warnings)
}

// rejoin brings a server that was started again back, twice.
func (s *servers) rejoin(server *cluster.Server) {
	s.Helper()
	text, err := Rejoin(s.ctx, s.store, "s0", server.Addr, s.options())
	if err != nil || text == "" {
		s.Errorf("Rejoin: %q, %v", text, err)
	}
	if text, err = Rejoin(s.ctx, s.store, "s0", server.Addr, s.options()); err != nil || text != "" {
		s.Errorf("Rejoin again: %q, %v", text, err)
	}
}

func killed(s *servers) {
	old := s.primary()
	for i := range 100 {
		_, err := old.DB().ExecContext(s.ctx, "INSERT INTO app.t (note) VALUES (?)", i)
		s.must(err)
	}
	want, err := old.Text(s.ctx, "SELECT COUNT(*) FROM app.t")
	s.must(err)
	s.must(old.Kill())
	s.failover("p1")
	if got, err := s.primary().Text(s.ctx, "SELECT COUNT(*) FROM app.t"); s.primary() == old || got != want || err != nil {
		s.Errorf("%s is the primary with %s rows, %v, want %s", s.primary().Name, got, err, want)
	}
	state, err := Inspect(s.ctx, s.options(), s.primary().Addr)
	s.must(err)
	if !state.SemiSync.Source {
		s.Errorf("semi-sync is off: %+v", state)
	}
	s.must(old.Start(s.ctx))
	s.rejoin(old)
}

func hung(s *servers) {
	old := s.primary()
	old.Pause()
	s.failover("p1")
	old.Continue()
	s.rejoin(old)
}

func failoverResumed(s *servers) {
	for _, at := range []string{stepCatchUp, stepPromote, stepStore} {
		old := s.primary()
		s.must(old.Kill())
		o := s.options()
		o.By = "dead"
		o.failpoint = func(step string) error {
			if step == at {
				return errCrash
			}
			return nil
		}
		s.store.set("dead", fakeProxy{})
		if _, err := Failover(s.ctx, s.store, "s0", s.primary().Addr, o); !errors.Is(err, errCrash) {
			s.Fatalf("at %s: %v", at, err)
		}
		o.By, o.failpoint = "p1", nil
		if _, err := Failover(s.ctx, s.store, "s0", s.primary().Addr, o); !IsRefused(err) {
			s.Errorf("beside a proxy that does it: %v", err)
		}
		s.store.set("dead", fakeProxy{silent: true})
		s.failover("p1")
		s.must(old.Start(s.ctx))
		s.rejoin(old)
		s.settled()
	}
	// The primary is back before anybody goes on.
	old := s.primary()
	s.must(old.Kill())
	o := s.options()
	o.By = "dead"
	o.failpoint = func(step string) error {
		if step == stepCatchUp {
			return errCrash
		}
		return nil
	}
	if _, err := Failover(s.ctx, s.store, "s0", s.primary().Addr, o); !errors.Is(err, errCrash) {
		s.Fatal(err)
	}
	s.must(old.Start(s.ctx))
	for _, r := range s.store.shard(s.T).Replicas {
		s.followed(r.Addr)
	}
	o.By, o.failpoint = "p1", nil
	if report, err := Failover(s.ctx, s.store, "s0", s.primary().Addr, o); err == nil || !report.Undone || s.primary() != old {
		s.Errorf("%v, report %+v", err, report)
	}
}

func raced(s *servers) {
	old := s.primary()
	s.must(old.Kill())
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, by := range []string{"p1", "p2"} {
		wg.Go(func() {
			o := s.options()
			o.By = by
			_, errs[i] = Failover(s.ctx, s.store, "s0", old.Addr, o)
		})
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !IsRefused(errors.Join(errs...)) {
		s.Errorf("%v", errs)
	}
	// One that is late finds another primary, which lives.
	heir := s.primary()
	if _, err := Failover(s.ctx, s.store, "s0", old.Addr, s.options()); !IsRefused(err) || s.primary() != heir {
		s.Errorf("after that: %v, and the primary is %s", err, s.primary().Name)
	}
	s.must(old.Start(s.ctx))
	s.rejoin(old)
}

func errant(s *servers) {
	target := s.replica()
	s.must(target.Exec(s.ctx, "SET GLOBAL read_only = OFF", "INSERT INTO app.t (id, note) VALUES (1000000, 'errant')", "SET GLOBAL read_only = ON"))
	s.wantRefused(target.Addr, s.options(), "it has transactions that the primary doesn't have")
	_, err := Rejoin(s.ctx, s.store, "s0", target.Addr, s.options())
	if !IsRefused(err) || !strings.Contains(err.Error(), "follows nobody") {
		s.Errorf("Rejoin: %v", err)
	}
	state, err := Inspect(s.ctx, s.options(), target.Addr)
	s.must(err)
	if !state.ReadOnly || state.Replica == nil || state.Replica.Receiver != "No" || state.Replica.Applier {
		s.Errorf("its state is %+v", state)
	}
	// It isn't promoted although it has more than the other.
	other := s.store.shard(s.T).Replicas[1].Addr
	s.must(s.primary().Kill())
	if report := s.failover("p1"); report.To != other {
		s.Errorf("%s was promoted, not %s", report.To, other)
	}
}
