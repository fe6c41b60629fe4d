package failover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/test/cluster"
)

// TestServers changes primaries of real servers. It needs them, so `make test`
// runs it apart.
func TestServers(t *testing.T) {
	cluster.OnEach(t, true, 4*time.Minute, func(f cluster.Flavor) cluster.Options {
		return cluster.Options{Shards: 1, Replicas: 2, Args: plugins(f)}
	}, func(ctx context.Context, t *testing.T, c *cluster.Cluster) {
		s := &servers{T: t, ctx: ctx, c: c}
		s.must(c.Exec(ctx, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(40))"))
		s.store = newMemory(t, c.Map(""), "p1", "p2")
		for _, test := range []struct {
			name string
			run  func(*servers)
		}{
			{"to and fro", toAndFro},
			{"refused", refused},
			{"dry run", dryRun},
			{"undone", undone},
			{"resumed after a crash", resumed},
			{"taken over", takenOver},
			{"a busy proxy and a silent one are cut", cut},
			{"table locks", locked},
			{"to and fro with semi-sync", func(s *servers) { s.semiSync(); toAndFro(s) }},
			{"the primary is killed", killed},
			{"the primary hangs", hung},
			{"a failover is resumed", failoverResumed},
			{"two failovers at once", raced},
			{"errant transactions", errant},
		} {
			ok := t.Run(test.name, func(t *testing.T) {
				one := *s
				one.T = t
				one.store.proxies = map[string]*fakeProxy{"p1": {}, "p2": {}}
				test.run(&one)
				if test.name != "errant transactions" { // its servers stay apart
					one.settled()
				}
			})
			if !ok {
				return // the servers are in an unknown state
			}
		}
	})
}

// plugins bring semi-sync, which MariaDB has built in.
func plugins(f cluster.Flavor) []string {
	if f == cluster.MySQL {
		return []string{"--plugin-load-add=semisync_source.so", "--plugin-load-add=semisync_replica.so"}
	}
	return nil
}

// semiSync turns it on: a commit waits for a replica for as long as it takes.
func (s *servers) semiSync() {
	source, replica, word := "source", "replica", "REPLICA"
	if s.c.Flavor == cluster.MariaDB {
		source, replica, word = "master", "slave", "SLAVE"
	}
	for _, server := range s.c.Servers() {
		s.must(server.Exec(s.ctx, "SET GLOBAL rpl_semi_sync_"+source+"_timeout = 600000"))
	}
	for _, r := range s.store.shard(s.T).Replicas {
		s.must(s.c.Server(r.Addr).Exec(s.ctx, "SET GLOBAL rpl_semi_sync_"+replica+"_enabled = ON",
			"STOP "+word+" IO_THREAD", "START "+word+" IO_THREAD"))
	}
	s.must(s.primary().Exec(s.ctx, "SET GLOBAL rpl_semi_sync_"+source+"_enabled = ON"))
	for _, r := range s.store.shard(s.T).Replicas {
		s.followed(r.Addr)
	}
}

type servers struct {
	*testing.T
	ctx   context.Context
	c     *cluster.Cluster
	store *memory
}

func (s *servers) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *servers) options() Options {
	return Options{
		Open: Account{User: cluster.Operator, Password: cluster.Password}.Open, ProxyUser: cluster.User,
		ReplicationUser: "repl", ReplicationPassword: "repl", Drain: 300 * time.Millisecond,
	}
}

func (s *servers) primary() *cluster.Server { return s.c.Server(s.store.shard(s.T).Primary.Addr) }

// replica is the first one in the map.
func (s *servers) replica() *cluster.Server { return s.c.Server(s.store.shard(s.T).Replicas[0].Addr) }

// switchover must do it, and shows how.
func (s *servers) switchover(to string, o Options) Report {
	s.Helper()
	report, err := Switchover(s.ctx, s.store, "s0", to, o)
	s.must(err)
	if !report.Done || report.To != to {
		s.Errorf("the report is %+v", report)
	}
	s.show(report)
	return report
}

// followed waits until a replica is connected and applies.
func (s *servers) followed(addr string) {
	s.Helper()
	n, err := open(s.ctx, s.options().withDefaults(), addr)
	s.must(err)
	defer n.Close()
	s.must(n.followed(s.ctx, 10*time.Second))
}

// settled checks that the map's primary alone takes writes, and that all others
// follow it and have all rows.
func (s *servers) settled() {
	s.Helper()
	sh := s.store.shard(s.T)
	if sh.Paused != "" {
		s.Errorf("the shard is paused: %s", sh.Paused)
	}
	_, err := s.primary().DB().ExecContext(s.ctx, "INSERT INTO app.t (note) VALUES ('settled')")
	s.must(err)
	want, err := s.primary().Text(s.ctx, "SELECT COUNT(*) FROM app.t")
	s.must(err)
	position, err := Inspect(s.ctx, s.options(), sh.Primary.Addr)
	s.must(err)
	if position.ReadOnly || position.Replica != nil {
		s.Errorf("the primary's state is %+v", position)
	}
	for _, r := range sh.Replicas {
		s.followed(r.Addr)
		state, err := Inspect(s.ctx, s.options(), r.Addr)
		s.must(err)
		if !state.ReadOnly || !state.follows(&position) || state.Replica.Receiver != "Yes" || !state.Replica.Applier {
			s.Errorf("%s: its state is %+v, as a replica %+v", r.Addr, state, state.Replica)
			continue
		}
		n, err := open(s.ctx, s.options().withDefaults(), r.Addr)
		s.must(err)
		s.must(n.Reach(s.ctx, position.Position, 5*time.Second))
		n.Close()
		if got, err := s.c.Server(r.Addr).Text(s.ctx, "SELECT COUNT(*) FROM app.t"); err != nil || got != want {
			s.Errorf("%s has %s rows, %v, and the primary %s", r.Addr, got, err, want)
		}
	}
}

func toAndFro(s *servers) {
	sh := s.store.shard(s.T)
	home := sh.Primary.Addr
	for i, to := range []string{sh.Replicas[0].Addr, home, sh.Replicas[1].Addr, home} {
		_, err := s.primary().DB().ExecContext(s.ctx, "INSERT INTO app.t (note) VALUES (?)", i)
		s.must(err)
		if report := s.switchover(to, s.options()); len(report.Fenced) > 0 || report.Pause <= 0 || report.Pause > 5*time.Second {
			s.Errorf("the report is %+v", report)
		}
		s.settled()
	}
	// It was there already.
	if report := s.switchover(home, s.options()); report.Version != s.store.m.Version() {
		s.Errorf("the report is %+v", report)
	}
	// A server that lost its way follows again.
	word := map[cluster.Flavor]string{cluster.MariaDB: "SLAVE", cluster.MySQL: "REPLICA"}[s.c.Flavor]
	s.must(s.replica().Exec(s.ctx, "STOP "+word, "RESET "+word+" ALL"))
	s.switchover(home, s.options())
}

func (s *servers) wantRefused(to string, o Options, texts ...string) {
	s.Helper()
	before := s.store.m.Version()
	report, err := Switchover(s.ctx, s.store, "s0", to, o)
	if !IsRefused(err) {
		s.Errorf("%v, report %+v", err, report)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			s.Errorf("%q isn't in: %s", text, err)
		}
	}
	if s.store.m.Version() != before {
		s.Errorf("the map's version went from %d to %d", before, s.store.m.Version())
	}
}

func refused(s *servers) {
	target := s.replica()
	s.wantRefused("127.0.0.1:1", s.options(), "it is no replica of shard s0", target.Addr)

	o := s.options()
	o.ReplicationUser = ""
	s.wantRefused(target.Addr, o, "failover.replication_user")

	o = s.options()
	o.Open = Account{User: cluster.User, Password: cluster.Password}.Open
	s.wantRefused(target.Addr, o, "the account lacks rights", "GRANT ")

	o.Open = Account{User: cluster.User, Password: "wrong"}.Open
	s.wantRefused(target.Addr, o, "1045", "give the user and password")

	s.store.set("p2", fakeProxy{stuck: 1})
	s.wantRefused(target.Addr, s.options(), "don't serve version", "p2")
	s.store.set("p2", fakeProxy{})

	word := map[cluster.Flavor]string{cluster.MariaDB: "SLAVE", cluster.MySQL: "REPLICA"}[s.c.Flavor]
	s.must(target.Exec(s.ctx, "STOP "+word+" SQL_THREAD"))
	s.wantRefused(target.Addr, s.options(), "its replication doesn't run")
	s.must(target.Exec(s.ctx, "START "+word))

	s.must(target.Exec(s.ctx, "SET GLOBAL read_only = OFF"))
	s.wantRefused(target.Addr, s.options(), "it takes writes")
	s.must(target.Exec(s.ctx, "SET GLOBAL read_only = ON"))

	s.store.change(s.T, func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithPaused("s0", "rebalance 7") })
	s.wantRefused(target.Addr, s.options(), "paused: rebalance 7")
	if _, err := Cancel(s.ctx, s.store, "s0", s.options()); !IsRefused(err) {
		s.Errorf("Cancel of something else: %v", err)
	}
	s.store.change(s.T, func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithPaused("s0", "") })
	if _, err := Cancel(s.ctx, s.store, "s0", s.options()); !IsRefused(err) {
		s.Errorf("Cancel of nothing: %v", err)
	}
	if _, err := Failover(s.ctx, s.store, "s0", s.primary().Addr, s.options()); !IsRefused(err) || !strings.Contains(err.Error(), "still receives") {
		s.Errorf("Failover from a primary that lives: %v", err)
	}
}

func dryRun(s *servers) {
	o := s.options()
	o.DryRun = true
	before := s.store.m.Version()
	report, err := Switchover(s.ctx, s.store, "s0", s.replica().Addr, o)
	if err != nil || report.Done || len(report.Plan) < 7 || s.store.m.Version() != before {
		s.Errorf("%v, report %+v", err, report)
	}
}

// steps are those between the pause and the promotion.
var undoable = []string{stepDrain, stepFence, stepReadOnly, stepCatchUp, stepDecide, stepPromote}

func undone(s *servers) {
	primary, target := s.primary().Addr, s.replica().Addr
	for _, at := range undoable {
		o := s.options()
		boom := errors.New("boom")
		o.failpoint = func(step string) error {
			if step == at {
				return boom
			}
			return nil
		}
		report, err := Switchover(s.ctx, s.store, "s0", target, o)
		if !errors.Is(err, boom) || !report.Undone || report.Done || !strings.Contains(err.Error(), "all is as before") {
			s.Errorf("at %s: %v, report %+v", at, err, report)
		}
		if s.primary().Addr != primary {
			s.Errorf("at %s: the primary is %s", at, s.primary().Addr)
		}
		s.settled()
	}
	// Ctrl-C.
	ctx, cancel := context.WithCancel(s.ctx)
	o := s.options()
	o.Progress = func(step Step) {
		if step.Name == stepReadOnly {
			cancel()
		}
	}
	report, err := Switchover(ctx, s.store, "s0", target, o)
	if !errors.Is(err, context.Canceled) || !report.Undone {
		s.Errorf("%v, report %+v", err, report)
	}
}

// crash runs a switchover that dies at a step.
func (s *servers) crash(to, at string) {
	s.Helper()
	o := s.options()
	o.By = "dead@host"
	o.failpoint = func(step string) error {
		if step == at {
			return errCrash
		}
		return nil
	}
	if _, err := Switchover(s.ctx, s.store, "s0", to, o); !errors.Is(err, errCrash) {
		s.Fatalf("at %s: %v", at, err)
	}
}

func resumed(s *servers) {
	for _, at := range append(slices.Clone(undoable), stepStore, stepServe, stepFollow) {
		to := s.replica().Addr
		s.crash(to, at)
		s.switchover(to, s.options())
		if s.primary().Addr != to {
			s.Errorf("after a crash at %s the primary is %s", at, s.primary().Addr)
		}
		s.settled()
	}
	for _, at := range undoable {
		primary, to := s.primary().Addr, s.replica().Addr
		s.crash(to, at)
		other := s.store.shard(s.T).Replicas[1].Addr
		s.wantRefused(other, s.options(), "is paused: switchover to "+to)
		report, err := Cancel(s.ctx, s.store, "s0", s.options())
		if err != nil || !report.Undone || s.primary().Addr != primary {
			s.Errorf("Cancel after a crash at %s: %v, report %+v", at, err, report)
		}
		s.settled()
	}
	// Once the target takes writes it is too late.
	to := s.replica().Addr
	s.crash(to, stepStore)
	if _, err := Cancel(s.ctx, s.store, "s0", s.options()); !IsRefused(err) || !strings.Contains(err.Error(), "too late") {
		s.Errorf("Cancel after the promotion: %v", err)
	}
	s.switchover(to, s.options())
}

// takenOver runs a second switchover, or a Cancel, in the middle of a first.
func takenOver(s *servers) {
	primary, to := s.primary().Addr, s.replica().Addr
	o := s.options()
	o.By = "slow@host"
	o.failpoint = func(step string) error {
		if step == stepCatchUp {
			_, err := Cancel(s.ctx, s.store, "s0", s.options())
			s.must(err)
			s.must(s.primary().Exec(s.ctx, "SET GLOBAL read_only = ON")) // as if it had been slow there
		}
		return nil
	}
	if _, err := Switchover(s.ctx, s.store, "s0", to, o); !errors.Is(err, errTaken) || s.primary().Addr != primary {
		s.Errorf("%v, and the primary is %s", err, s.primary().Addr)
	}
	s.settled()
	o.failpoint = func(step string) error {
		if step == stepCatchUp {
			s.switchover(to, s.options())
		}
		return nil
	}
	if _, err := Switchover(s.ctx, s.store, "s0", to, o); !errors.Is(err, errTaken) || s.primary().Addr != to {
		s.Errorf("%v, and the primary is %s", err, s.primary().Addr)
	}
}

// login is a connection as the proxies'.
func (s *servers) login(to *cluster.Server) *sql.Conn {
	s.Helper()
	db, err := Account{User: cluster.User, Password: cluster.Password}.Open(to.Addr)
	s.must(err)
	s.Cleanup(func() { _ = db.Close() })
	c, err := db.Conn(s.ctx)
	s.must(err)
	return c
}

func cut(s *servers) {
	for name, f := range map[string]fakeProxy{"busy": {busy: true}, "behind": {}, "silent": {silent: true}} {
		old := s.primary()
		c := s.login(old)
		_, err := c.ExecContext(s.ctx, "BEGIN")
		s.must(err)
		_, err = c.ExecContext(s.ctx, "INSERT INTO app.t (note) VALUES (?)", "lost "+name)
		s.must(err)
		o := s.options()
		o.Progress = func(step Step) {
			if step.Name == stepPrepare {
				if name == "behind" {
					f.stuck = s.store.m.Version()
				}
				s.store.set("p2", f)
			}
		}
		began := s.store.m.Version()
		report := s.switchover(s.replica().Addr, o)
		if !slices.Equal(report.Fenced, []string{"p2"}) {
			s.Errorf("%s: the report is %+v", name, report)
		}
		if _, err := c.ExecContext(s.ctx, "COMMIT"); err == nil {
			s.Errorf("%s: its transaction was committed", name)
		}
		s.store.set("p2", fakeProxy{})
		for _, server := range s.c.Servers() {
			if got, err := server.Text(s.ctx, FenceQuery); err != nil || got != fmt.Sprint(began+1) {
				s.Errorf("%s: the fence at %s is %s, %v, want %d", name, server.Name, got, err, began+1)
			}
			if got, err := server.Text(s.ctx, "SELECT COUNT(*) FROM app.t WHERE note LIKE 'lost%'"); err != nil || got != "0" {
				s.Errorf("%s: %s has %s rows of it, %v", name, server.Name, got, err)
			}
		}
		s.settled()
	}
}

func locked(s *servers) {
	c := s.login(s.primary())
	_, err := c.ExecContext(s.ctx, "LOCK TABLES app.t WRITE")
	s.must(err)
	o := s.options()
	o.ProxyUser = "nobody"
	report, err := Switchover(s.ctx, s.store, "s0", s.replica().Addr, o)
	if err == nil || !report.Undone || !strings.Contains(err.Error(), "can't become read-only") || !strings.Contains(err.Error(), "of "+cluster.User) {
		s.Errorf("%v, report %+v", err, report)
	}
	o.KillBlockers = true
	s.switchover(s.replica().Addr, o)
}
