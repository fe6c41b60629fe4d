package rebalance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/failover"
	"shardway/shardmap/server"
	"shardway/test/cluster"
)

// TestServers moves slots between real servers while clients write. It needs
// them, so `make test` runs it apart.
func TestServers(t *testing.T) {
	cluster.OnEach(t, false, 4*time.Minute, cluster.Of(cluster.Options{Shards: 2, Replicas: 1, Args: []string{"--innodb-lock-wait-timeout=2"}}), func(ctx context.Context, t *testing.T, c *cluster.Cluster) {
		s := &servers{T: t, ctx: ctx, c: c, ledger: &ledger{}}
		s.must(c.Exec(ctx, "CREATE USER 'mover'@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON *.* TO 'mover'@'%'"))
		s.must(c.Shards[0].Primary.Exec(ctx, append(append(slices.Clone(schema), reference), views...)...))
		s.store = newMemory(t, c.Map(shop))
		for _, test := range []struct {
			name string
			run  func(*servers)
		}{
			{"there and back", thereAndBack},
			{"refused", refused},
			{"cancelled", withdrawn},
			{"a replica that stops", stopped},
			{"a transaction that doesn't end", busy},
			{"a proxy that can't be heard", silent},
			{"the store is away", storeAway},
			{"strays", strays},
			{"a stray at the last moment", lateStray},
			{"killed at every step", killed},
			{"a failure that passes", passing},
			{"a table is changed", redefined},
			{"other primaries", otherPrimaries},
			{"the last slots and the reference tables", drained},
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

// startLoad is load that ends with the test also when that fails.
func (s *servers) startLoad() *load {
	l := s.load()
	s.Cleanup(func() {
		if s.Failed() {
			l.quit()
		}
	})
	return l
}

// level runs the engine once more without clients, so that copies are level,
// and compares everything.
func (s *servers) level(id string) {
	s.Helper()
	s.run(id, s.options())
	s.check(true)
}

// gone checks that no move is left, and everything.
func (s *servers) gone() {
	s.Helper()
	if n := len(s.store.m.Database("shop").Moves()); n != 0 {
		s.Fatalf("%d moves are left", n)
	}
	for _, sh := range s.store.m.Shards() {
		primary := s.c.Server(sh.Primary.Addr)
		for _, table := range []string{"rebalances", "rebalance_tables", "rebalance_strays"} {
			if got, err := primary.Text(s.ctx, "SELECT COUNT(*) FROM shardway."+table); err != nil && server.Code(errors.Unwrap(err)) != 1146 || err == nil && got != "0" {
				s.Errorf("%s has %s rows in %s, %v", sh.ID, got, table, err)
			}
		}
	}
	s.check(false)
}

// undo takes a rebalance's one move back, and checks that nothing is left of it.
func (s *servers) undo(id string) {
	s.Helper()
	s.store.want(s.T, id+".1", shardmap.WantUndo)
	s.run(id, s.options())
	s.gone()
}

func thereAndBack(s *servers) {
	load := s.startLoad()
	for load.done.Load() < 300 { // some rows
		sleep(s.ctx, 10*time.Millisecond)
	}
	s.viewsBefore()
	s.store.plan(s.T, shardmap.WantSwitch, "r1.1", "s0", "s1", 0, 1, 2, 3)
	s.store.plan(s.T, shardmap.WantSwitch, "r1.2", "s0", "s1", 8, 9)
	report := s.run("r1", s.options())
	for _, p := range report.Pauses {
		s.Logf("pause %+v", p)
	}
	s.viewsMade(report)
	for _, id := range []string{"r1.1", "r1.2"} {
		if mv := s.store.move(s.T, id); mv.State != shardmap.MoveMoved {
			s.Errorf("%s is %s", id, mv.State)
		}
	}
	// A proxy that nobody knows of is kept out.
	fence, err := s.c.Shards[0].Primary.Text(s.ctx, server.FenceQuery)
	s.must(err)
	if n, err := strconv.ParseUint(fence, 10, 64); err != nil || n == 0 || n > s.store.m.Version() {
		s.Errorf("the fence is %q, the map's version %d, %v", fence, s.store.m.Version(), err)
	}
	// What is written now flows back.
	for n := load.done.Load() + 200; load.done.Load() < n; {
		sleep(s.ctx, 10*time.Millisecond)
	}
	load.end()
	s.level("r1")

	load = s.startLoad()
	s.store.want(s.T, "r1.2", shardmap.WantUndo)
	s.store.want(s.T, "r1.1", shardmap.WantFinish)
	for _, p := range s.run("r1", s.options()).Moves {
		if p.Phase != PhaseDone || p.Rows == 0 || p.RowsTotal != p.Rows || p.TablesDone != p.Tables {
			s.Errorf("a move has ended with %+v", p)
		}
	}
	load.end()
	s.gone()
	if got := s.store.m.Database("shop").Owned("s1"); !slices.Equal(got, []int{0, 1, 2, 3}) {
		s.Errorf("s1 owns %v", got)
	}
}

// fails runs an engine that must fail with an error that has the texts.
func (s *servers) fails(id string, o Options, texts ...string) {
	s.Helper()
	_, err := New(s.store, o).Run(s.ctx, id)
	if err == nil {
		s.Fatal("it did not fail")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			s.Errorf("%q isn't in: %s", text, err)
		}
	}
}

func refused(s *servers) {
	s.fails("r9", s.options(), "no rebalance")
	s.store.plan(s.T, shardmap.WantSwitch, "r2.1", "s0", "s1", 4)
	target := s.c.Shards[1].Primary
	s.must(target.Exec(s.ctx, "INSERT INTO shop.users VALUES (4, 'left over', 0, NULL)"))
	s.fails("r2", s.options(), "`shop`.`users`", "4", "already")
	s.must(target.Exec(s.ctx, "DELETE FROM shop.users WHERE id = 4"))

	// Another table than the source's.
	s.must(target.Exec(s.ctx, "ALTER TABLE shop.parts ADD extra INT"))
	s.fails("r2", s.options(), "`shop`.`parts`", "extra")
	s.must(target.Exec(s.ctx, "ALTER TABLE shop.parts DROP extra"))

	// Another engine.
	o := s.options()
	o.Stay = true
	level := make(chan struct{})
	var once sync.Once
	o.Progress = func(p Progress) {
		if len(p.Moves) > 0 && p.Moves[0].State == shardmap.MoveMoved && p.Moves[0].Phase == PhaseLevel {
			once.Do(func() { close(level) })
		}
	}
	done := make(chan error)
	go func() {
		_, err := New(s.store, o).Run(s.ctx, "r2")
		done <- err
	}()
	<-level
	second := s.options()
	second.By = "second"
	_, err := New(s.store, second).Run(s.ctx, "r2")
	if r, ok := errors.AsType[*Running](err); !ok || r.By != "test" {
		s.Errorf("%v", err)
	}
	status, err := New(s.store, second).Status(s.ctx, "r2")
	if err != nil || status.By != "test" || len(status.Moves) != 1 || status.Moves[0].Rows == 0 || len(status.Warnings) > 0 {
		s.Errorf("%v, the status is %+v", err, status)
	}
	s.store.want(s.T, "r2.1", shardmap.WantUndo)
	s.must(<-done)
	s.gone()
}

func withdrawn(s *servers) {
	load := s.startLoad()
	s.store.plan(s.T, shardmap.WantNothing, "r3.1", "s0", "s1", 4, 5)
	s.run("r3", s.options())
	if mv := s.store.move(s.T, "r3.1"); mv.State != shardmap.MoveCopying {
		s.Errorf("it is %s", mv.State)
	}
	s.store.want(s.T, "r3.1", shardmap.WantCancel)
	s.run("r3", s.options())
	load.end()
	s.gone()
}

// busy has a transaction that has touched the slots and doesn't end: the pause
// is taken back, and tried again.
func busy(s *servers) {
	load := s.startLoad()
	s.store.plan(s.T, shardmap.WantSwitch, "r4.1", "s0", "s1", 4, 5)
	o := s.options()
	o.PauseLimit = 400 * time.Millisecond
	var stop func()
	tries := 0
	source := s.c.Shards[0].Primary
	o.failpoint = func(step string) (err error) {
		switch {
		case step == "prepare" && stop == nil:
			// And a branch whose proxy is gone.
			err = source.Exec(s.ctx, "XA START 'doubt'", "INSERT INTO shop.users VALUES (5000004, 'doubt', 0, NULL)", "XA END 'doubt'", "XA PREPARE 'doubt'")
			if err == nil {
				_, stop, err = s.store.begin(s.ctx, "shop", 5)
			}
		case step == "pause":
			switch tries++; tries {
			case 2:
				stop()
			case 3:
				s.ledger.set("users", "5000004", "doubt|0|NULL")
				err = source.Exec(s.ctx, "XA COMMIT 'doubt'")
			}
		}
		return err
	}
	report := s.run("r4", o)
	load.end()
	if len(report.Pauses) < 3 || !strings.Contains(report.Pauses[0].Why, "p1") || !strings.Contains(report.Pauses[1].Why, "XA RECOVER") || !report.Pauses[len(report.Pauses)-1].Done {
		s.Errorf("the pauses were %+v", report.Pauses)
	}
	for _, p := range report.Pauses {
		s.Logf("pause %+v", p)
		if p.Took > o.PauseLimit*5/2 { // the machine may be slow
			s.Errorf("%+v took too long", p)
		}
	}
	s.undo("r4")
}

// silent has a proxy that doesn't take the map over: it is fenced.
func silent(s *servers) {
	s.store.plan(s.T, shardmap.WantSwitch, "r5.1", "s0", "s1", 4, 5)
	source := s.c.Shards[0].Primary
	db, err := server.Account{User: cluster.User, Password: cluster.Password}.Open(source.Addr)
	s.must(err)
	defer db.Close()
	c, err := db.Conn(s.ctx)
	s.must(err)
	o := s.options()
	o.Silent = 200 * time.Millisecond
	paused := uint64(0)
	o.failpoint = func(step string) error {
		switch {
		case step == "prepare" && paused == 0:
			s.store.mu.Lock()
			paused = s.store.m.Version() + 1
			s.store.others["p2"] = &shardmap.Proxy{ID: "p2", Serving: s.store.m.Version(), Seen: time.Now()}
			s.store.mu.Unlock()
			for _, q := range []string{"BEGIN", "INSERT INTO shop.users VALUES (4000004, 'lost', 0, NULL)"} {
				if _, err := c.ExecContext(s.ctx, q); err != nil {
					return err
				}
			}
		case step == "stored":
			s.store.mu.Lock()
			delete(s.store.others, "p2")
			s.store.mu.Unlock()
		}
		return nil
	}
	report := s.run("r5", o)
	if p := report.Pauses[len(report.Pauses)-1]; !p.Done || !slices.Equal(p.Fenced, []string{"p2"}) {
		s.Errorf("the pauses were %+v", report.Pauses)
	}
	if _, err := c.ExecContext(s.ctx, "COMMIT"); err == nil {
		s.Error("its transaction was committed")
	}
	if got, err := source.Text(s.ctx, server.FenceQuery); err != nil || got != strconv.FormatUint(paused, 10) {
		s.Errorf("the fence is %s, %v, want %d", got, err, paused)
	}
	s.level("r5")
	s.undo("r5")
}

// storeAway has the store away when the switch is to be stored: the pause is
// taken back as soon as it is back, and the switch tried again.
func storeAway(s *servers) {
	load := s.startLoad()
	s.store.plan(s.T, shardmap.WantSwitch, "r6.1", "s0", "s1", 4, 5)
	o := s.options()
	o.PauseLimit = 300 * time.Millisecond
	away := false
	o.failpoint = func(step string) error {
		if step == "store" && !away {
			away = true
			s.store.turn(true)
			time.AfterFunc(500*time.Millisecond, func() { s.store.turn(false) })
		}
		return nil
	}
	report := s.run("r6", o)
	load.end()
	if len(report.Pauses) < 2 || report.Pauses[0].Done || !report.Pauses[len(report.Pauses)-1].Done {
		s.Errorf("the pauses were %+v", report.Pauses)
	}
	s.level("r6")
	s.undo("r6")
}

// strays are found, also when they were overwritten since, and finish is refused.
func strays(s *servers) {
	s.store.plan(s.T, shardmap.WantSwitch, "r7.1", "s0", "s1", 4, 5)
	s.run("r7", s.options())
	source := s.c.Shards[0].Primary
	before, err := source.Text(s.ctx, "SELECT strays_from FROM shardway.rebalances WHERE move = 'r7.1' AND kind = 'back'")
	s.must(err)
	s.must(source.Exec(s.ctx, "REPLACE INTO shop.users VALUES (4, 'stray', 0, NULL)", "UPDATE shop.users SET n = n + 1 WHERE id = 6"))
	report := s.run("r7", s.options())
	if len(report.Strays) != 1 || report.Strays[0].Key != "4" || !strings.Contains(report.Strays[0].Here, "stray") || report.Moves[0].Strays != 1 {
		s.Errorf("the strays are %+v", report.Strays)
	}
	s.must(source.Exec(s.ctx, "UPDATE shop.users SET n = n - 1 WHERE id = 6"))
	// As by an engine that ended before it had stored how far it was.
	s.must(source.Exec(s.ctx, "UPDATE shardway.rebalances SET strays_from = '"+before+"' WHERE move = 'r7.1' AND kind = 'back'"))
	if report = s.run("r7", s.options()); report.Moves[0].Strays != 1 {
		s.Errorf("a stray that is found again is counted %d times", report.Moves[0].Strays)
	}
	status, err := New(s.store, s.options()).Status(s.ctx, "r7")
	if err != nil || len(status.Strays) != 1 || !strings.Contains(status.Strays[0].Here, "stray") {
		s.Errorf("%v, the status is %+v", err, status)
	}
	s.store.want(s.T, "r7.1", shardmap.WantFinish)
	s.fails("r7", s.options(), "past the proxies")
	if mv := s.store.move(s.T, "r7.1"); mv.Want != shardmap.WantSwitch || mv.State != shardmap.MoveMoved {
		s.Errorf("after a finish that was refused it is %s and wants %q", mv.State, mv.Want)
	}
	s.store.want(s.T, "r7.1", shardmap.WantUndo)
	o := s.options()
	o.AllowStrays = true
	report = s.run("r7", o)
	if len(report.Warnings) == 0 || !strings.Contains(report.Warnings[0], "differed") {
		s.Errorf("the warnings are %q", report.Warnings)
	}
	s.gone()
}

// killed ends the engine at each step, there and back, and goes on.
func killed(s *servers) {
	load := s.startLoad()
	s.store.plan(s.T, shardmap.WantSwitch, "r8.1", "s0", "s1", 4, 5, 6, 7)
	crash := func(steps ...string) {
		for _, at := range steps {
			o := s.options()
			if strings.HasPrefix(at, "chunk") {
				o.Chunk = 50
			}
			o.failpoint = func(step string) error {
				if step == at {
					return errCrash
				}
				return nil
			}
			if _, err := New(s.store, o).Run(s.ctx, "r8"); !errors.Is(err, errCrash) {
				s.Fatalf("at %s: %v", at, err)
			}
		}
	}
	crash("begin", "state copying", "chunk", "chunk written", "take", "verify", "prepare", "pause", "wait for proxies",
		"last position", "last comparison", "state at the source", "replicas", "store", "stored", "state moved")
	load.end()
	s.level("r8")
	load = s.startLoad()
	s.store.want(s.T, "r8.1", shardmap.WantUndo)
	crash("take", "pause", "last comparison", "store", "stored", "clean", "cleaned", "drop")
	s.run("r8", s.options())
	load.end()
	s.gone()
}

// otherPrimaries changes the primary of the source, and then that of the target,
// while their binary logs are followed.
func otherPrimaries(s *servers) {
	s.store.plan(s.T, shardmap.WantNothing, "r12.1", "s0", "s1", 4, 5)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	o := s.options()
	o.Stay = true
	var mu sync.Mutex
	var last Progress
	show := o.Progress
	o.Progress = func(p Progress) {
		show(p)
		mu.Lock()
		defer mu.Unlock()
		last = p
	}
	until := func(what string, ok func(MoveProgress) bool) {
		s.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			mu.Lock()
			p := last
			mu.Unlock()
			if len(p.Moves) == 1 && p.Version == s.version() && ok(p.Moves[0]) {
				return
			}
			if time.Now().After(deadline) {
				s.Fatalf("it isn't %s: %+v", what, p)
			}
			sleep(s.ctx, 10*time.Millisecond)
		}
	}
	done := make(chan error)
	go func() {
		_, err := New(s.store, o).Run(ctx, "r12")
		done <- err
	}()
	level := func(p MoveProgress) bool { return p.Phase == PhaseLevel }
	until("level", level)
	change := func(shard string) {
		s.Helper()
		_, err := failover.Switchover(s.ctx, s.store, shard, s.store.m.Shard(shard).Replicas[0].Addr, failover.Options{
			Open: server.Account{User: "mover", Password: "secret"}.Open, ProxyUser: cluster.User, ReplicationUser: "repl", ReplicationPassword: "repl",
		})
		s.must(err)
	}
	write := func(id int, note string) {
		s.Helper()
		m := s.store.m
		row := fmt.Sprintf("REPLACE INTO shop.users VALUES (%d, '%s', 0, NULL)", id, note)
		s.must(s.c.Server(m.Database("shop").Owner(id%slots).Primary.Addr).Exec(s.ctx, row))
		s.ledger.set("users", fmt.Sprint(id), note+"|0|NULL")
	}
	write(4, "before")
	change("s0")
	write(5, "after the source")
	until("level", level)
	change("s1")
	write(4, "after the target")
	until("level", level)
	s.store.want(s.T, "r12.1", shardmap.WantSwitch)
	until("moved", func(p MoveProgress) bool { return p.State == shardmap.MoveMoved && level(p) })
	write(20, "back")
	change("s1")
	write(5, "back after the target")
	change("s0")
	write(21, "back after the source")
	until("level", level)
	s.store.want(s.T, "r12.1", shardmap.WantUndo)
	s.must(<-done)
	s.gone()
}

func (s *servers) version() uint64 {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.store.m.Version()
}
