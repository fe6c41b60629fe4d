package rebalance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
	"shardway/test/cluster"
)

// TestServers moves slots between real servers while clients write. It needs
// them, so `make test` runs it apart.
func TestServers(t *testing.T) {
	for _, f := range cluster.Flavors() {
		t.Run(string(f), func(t *testing.T) {
			if why := f.Missing(); why != "" {
				t.Skip(why)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			c, err := cluster.Start(ctx, cluster.Options{Flavor: f, Shards: 2, Replicas: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			s := &servers{T: t, ctx: ctx, c: c, ledger: &ledger{}}
			s.must(c.Exec(ctx, "CREATE USER 'mover'@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON *.* TO 'mover'@'%'"))
			s.must(c.Shards[0].Primary.Exec(ctx, append(slices.Clone(schema), reference)...))
			s.store = newMemory(t, c.Map(shop))
			for _, test := range []struct {
				name string
				run  func(*servers)
			}{
				{"there and back", thereAndBack},
			} {
				ok := t.Run(test.name, func(t *testing.T) {
					one := *s
					one.T = t
					test.run(&one)
				})
				if !ok {
					return // the servers are in an unknown state
				}
			}
		})
	}
}

type servers struct {
	*testing.T
	ctx    context.Context
	c      *cluster.Cluster
	store  *memory
	ledger *ledger
}

func (s *servers) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *servers) options() Options {
	last := map[string]string{}
	return Options{
		Account: server.Account{User: "mover", Password: "secret"}, ProxyUser: cluster.User, Chunk: 200, Retry: 50 * time.Millisecond, By: "test",
		Progress: func(p Progress) {
			for _, mv := range p.Moves {
				if text := strings.Join([]string{mv.ID, string(mv.State), string(mv.Phase), mv.Step, mv.Wait, mv.Error}, " / "); text != last[mv.ID] && testing.Verbose() {
					last[mv.ID] = text
					s.Log(time.Now().Format("05.000"), text)
				}
			}
		},
	}
}

// run runs the engine until all moves are where they were asked to be.
func (s *servers) run(id string, o Options) Report {
	s.Helper()
	report, err := New(s.store, o).Run(s.ctx, id)
	s.must(err)
	for _, w := range report.Warnings {
		s.Logf("warning: %s", w)
	}
	return report
}

// load has clients write until the function that it returns is called.
func (s *servers) load() *load {
	s.Helper()
	return startLoad(s.T, s.store, s.c, s.ledger)
}

// check compares everything with the ledger.
func (s *servers) check(copies bool) {
	s.Helper()
	s.ledger.check(s.T, s.store.m, s.c, copies)
	if s.Failed() {
		s.FailNow()
	}
}

func thereAndBack(s *servers) {
	load := s.load()
	defer func() {
		if s.Failed() {
			select {
			case <-load.stop:
			default:
				close(load.stop)
			}
		}
	}()
	sleep(s.ctx, 500*time.Millisecond) // some rows
	s.store.plan(s.T, shardmap.WantSwitch, "r1.1", "s0", "s1", 0, 1, 2, 3)
	s.store.plan(s.T, shardmap.WantSwitch, "r1.2", "s0", "s1", 8, 9)
	report := s.run("r1", s.options())
	for _, p := range report.Pauses {
		s.Logf("pause %+v", p)
	}
	if mv := s.store.move(s.T, "r1.1"); mv.State != shardmap.MoveMoved {
		s.Errorf("it is %s", mv.State)
	}
	// What is written now flows back.
	sleep(s.ctx, 300*time.Millisecond)
	load.end()
	s.run("r1", s.options())
	s.check(true)

	load = s.load()
	s.store.want(s.T, "r1.2", shardmap.WantUndo)
	s.store.want(s.T, "r1.1", shardmap.WantFinish)
	report = s.run("r1", s.options())
	load.end()
	s.check(false)
	if n := len(s.store.m.Database("shop").Moves()); n != 0 {
		s.Errorf("%d moves are left; the report is %+v", n, report)
	}
	if got := s.store.m.Database("shop").Owned("s1"); !slices.Equal(got, []int{0, 1, 2, 3}) {
		s.Errorf("s1 owns %v", got)
	}
}

var _ = errors.New
