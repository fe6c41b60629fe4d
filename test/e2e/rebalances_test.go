package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/test/cluster"
)

// rebalanceSteps go round: each is a command that moves slots, and how it ends.
var rebalanceSteps = []struct {
	start []string
	end   string // finish or undo
}{
	{[]string{"--add", "s2,s3"}, "finish"},
	{[]string{"--drain", "s1"}, "undo"},
	{[]string{"--drain", "s0"}, "finish"},
	{[]string{"--add", "s0"}, "finish"},
	{[]string{"--isolate", "tenants.accounts:43", "--to", "s1"}, "undo"},
	{[]string{"--drain", "s2,s3"}, "finish"},
}

// TestRebalances: slots go from shard to shard and back while clients of three proxies read and write. None of them sees an
// error but what any server tells clients to expect, a deadlock or a snapshot that is too old, and that hardly ever; each
// reads what it wrote, and at the end of each step each row is on its owner alone. SHARDWAY_REBALANCES is how many steps
// there are on each kind of server.
func TestRebalances(t *testing.T) {
	times, clients := count(t, "SHARDWAY_REBALANCES", 2), count(t, "SHARDWAY_CLIENTS", 12)
	onTenants(t, 3*time.Minute+time.Duration(times)*time.Minute, func(f *fleet) {
		l := f.startTenants(clients)
		l.more(300)
		loads := newLoads()
		var pauses []time.Duration
		for i := range times {
			step := rebalanceSteps[i%len(rebalanceSteps)]
			l.lap()
			l.more(500)
			loads.rest(l.lap())
			report := f.rebalance(append([]string{"start"}, step.start...)...)
			loads.add(l.lap(), report)
			for _, p := range report.Pauses {
				if p.Done {
					pauses = append(pauses, p.Took)
				} else {
					f.Logf("note: %v: a takeover of %s was taken back after %s: %s", step.start, p.Move, p.Took, p.Why)
				}
			}
			l.more(200)
			back := f.rebalance(step.end)
			for _, p := range back.Pauses {
				if p.Done {
					pauses = append(pauses, p.Took)
				}
			}
			l.check()
			if f.Failed() {
				return
			}
		}
		l.end()
		errs := l.settle(f.owner())
		slices.Sort(pauses)
		f.Logf("note: %d rebalances under %d clients, %d operations: statements waited %s, %s at most; %s; errors of clients %v",
			times, clients, l.done.Load(), mid(pauses), top(pauses), loads, errs)
		for kind, n := range errs {
			if kind != kindRetry || int64(n) > 1+l.done.Load()/5000 {
				f.Errorf("%d errors of clients (%s)", n, kind)
			}
		}
	})
}

// check holds the clients and compares their books with the servers.
func (l *tenants) check() {
	l.f.Helper()
	l.quiet.Lock()
	defer l.quiet.Unlock()
	l.settle(l.f.owner())
}

// onTenants runs a test on a fleet over four shards of which two own the slots, for each kind of server.
func onTenants(t *testing.T, limit time.Duration, test func(f *fleet)) {
	t.Helper()
	t.Parallel()
	for _, flavor := range cluster.Flavors() {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			servers := cluster.Options{Flavor: flavor, Shards: 4, Replicas: 1, Args: []string{"--innodb-lock-wait-timeout=5"}}
			startFleetOf(t, limit, servers, historyData(), nil, func(e *env) {
				e.must(e.c.Load(e.ctx, e.db))
				for _, sh := range e.c.Shards { // as docs/rebalance.md says
					e.must(sh.Primary.Exec(e.ctx, "GRANT REPLICATION SLAVE, "+e.say("XA_RECOVER_ADMIN", "BINLOG MONITOR")+" ON *.* TO "+cluster.Operator,
						"GRANT SELECT, INSERT, DELETE, CREATE, TRIGGER, CREATE VIEW, SHOW VIEW ON tenants.* TO "+cluster.Operator,
						"GRANT DELETE ON shardway.* TO "+cluster.Operator))
				}
				e.must(e.c.Sync(e.ctx))
			}, test)
		})
	}
}

// rebalanced is what `shardctl rebalance … --output json` prints.
type rebalanced struct {
	Rebalance string `json:"rebalance"`
	Moves     []struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Phase string `json:"phase"`
		Step  string `json:"step"`
		Rows  uint64 `json:"rows"`
	} `json:"moves"`
	Pauses []struct {
		Move  string        `json:"move"`
		Began time.Time     `json:"began"`
		Took  time.Duration `json:"took_ns"`
		Done  bool          `json:"done"`
		Why   string        `json:"why"`
	} `json:"pauses"`
	Warnings []string `json:"warnings"`

	phases []phase
}

// rebalance runs `shardctl rebalance`, which must do what it is asked to.
func (f *fleet) rebalance(args ...string) (report rebalanced) {
	f.Helper()
	began := time.Now()
	tool, err := toolBinary()
	f.must(err)
	cmd := exec.CommandContext(f.ctx, tool, slices.Concat([]string{"-c", f.conf, "rebalance"}, args, []string{"--yes", "--output", "json"})...)
	var out bytes.Buffer
	said := &phases{list: []phase{{began, "plan"}}, moves: map[string]string{}}
	cmd.Stdout, cmd.Stderr = &out, said
	err = cmd.Run()
	if bad := json.Unmarshal(out.Bytes(), &report); bad != nil || err != nil {
		f.Fatalf("rebalance %v: %v, %v, %s%s", args, err, bad, &said.text, &out)
	}
	report.phases = said.list
	f.Logf("rebalance %v took %s: %s", args, time.Since(began).Round(time.Millisecond), said)
	return report
}

// owner is who owns each slot in the stored map.
func (f *fleet) owner() func(slot int) string {
	f.Helper()
	out, status := f.shardctl("map", "show", "--output", "json")
	var m struct {
		Databases []struct {
			Name   string
			Owners map[string][]string
		}
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil || status != 0 {
		f.Fatalf("map show: status %d, %v, %s", status, err, out)
	}
	owners := map[int]string{}
	for _, d := range m.Databases {
		for shard, ranges := range d.Owners {
			for _, r := range ranges {
				slots, err := shardmap.ParseSlots(r, f.db.Slots)
				f.must(err)
				for _, slot := range slots {
					owners[slot] = shard
				}
			}
		}
	}
	if len(owners) != f.db.Slots {
		f.Fatalf("%d slots have owners in %s", len(owners), out)
	}
	return func(slot int) string { return owners[slot] }
}

// moves are the moves in the stored map with their states.
func (f *fleet) moves() map[string]string {
	f.Helper()
	out, status := f.shardctl("map", "show", "--output", "json")
	var m struct {
		Databases []struct {
			Moves []struct{ ID, State string }
		}
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil || status != 0 {
		f.Fatalf("map show: status %d, %v, %s", status, err, out)
	}
	states := map[string]string{}
	for _, d := range m.Databases {
		for _, v := range d.Moves {
			states[v.ID] = v.State
		}
	}
	return states
}

// shardctlProcess is a shardctl that runs beside the test.
type shardctlProcess struct {
	f      *fleet
	cmd    *exec.Cmd
	out    bytes.Buffer
	exited chan struct{}
}

func (f *fleet) background(args ...string) *shardctlProcess {
	f.Helper()
	tool, err := toolBinary()
	f.must(err)
	p := &shardctlProcess{f: f, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(f.ctx, tool, append([]string{"-c", f.conf}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	f.must(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // its status is in ProcessState
		close(p.exited)
	}()
	f.Cleanup(p.kill)
	return p
}

// kill ends it as kill -9 does.
func (p *shardctlProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// ended says whether it has ended.
func (p *shardctlProcess) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// TestRebalanceKilled: whatever is killed while slots move, in whatever state, the same command goes on afterwards, and no
// row is lost, doubled or misplaced. SHARDWAY_KILLS is how many are killed on each kind of server.
func TestRebalanceKilled(t *testing.T) {
	kills, clients := count(t, "SHARDWAY_KILLS", 2), count(t, "SHARDWAY_CLIENTS", 8)
	onTenants(t, 3*time.Minute+time.Duration(kills)*90*time.Second, func(f *fleet) {
		l := f.startTenants(clients)
		l.faults.Store(true)
		l.more(300)
		made := map[string]int{}
		first := 0
		if f.mysql() { // so that few kills are not the same on both kinds of servers
			first = 2
		}
		for i := first; i < first+kills; i++ {
			victim := rebalanceVictims[i%len(rebalanceVictims)]
			state := rebalanceStates[(i+i/len(rebalanceVictims))%len(rebalanceStates)]
			// There and back.
			owner, start := f.owner(), []string{"--add", "s2,s3"}
			for slot := range f.db.Slots {
				if id := owner(slot); id == "s2" || id == "s3" {
					start = []string{"--drain", "s2,s3"}
				}
			}
			made[victim+" while "+f.killDuring(l, start, victim, state)]++
			l.more(100)
			l.check()
			if f.Failed() {
				return
			}
		}
		l.end()
		errs := l.settle(f.owner())
		f.Logf("note: killed %v under %d clients, %d operations; errors of clients %v", slices.Sorted(maps.Keys(made)), clients, l.done.Load(), errs)
	})
}

var (
	rebalanceVictims = []string{"shardctl", "source", "proxy", "target", "etcd"}
	rebalanceStates  = []string{"copying", "paused", "moved", "returning", "cleaning"}
)

// killDuring starts a rebalance, kills the victim when a move comes to a state (or soon after, states may be short), brings
// it back, and lets the rebalance end: it says in which state it was.
func (f *fleet) killDuring(l *tenants, start []string, victim, state string) string {
	f.Helper()
	end := "finish"
	if state == "returning" {
		end = "undo"
	}
	flags := []string{"--yes", "--output", "json"}
	var p *shardctlProcess
	if state == "copying" || state == "paused" {
		p = f.background(append(append([]string{"rebalance", "start"}, start...), flags...)...)
	} else {
		f.rebalance(append([]string{"start"}, start...)...)
		l.more(50)
		p = f.background(append([]string{"rebalance", end}, flags...)...)
	}
	seen := ""
	f.untilWithin(5*time.Minute, "a move is "+state, func() bool { // rows are copied first
		ended := p.ended()
		for _, now := range f.moves() {
			if seen = now; now == state {
				return true
			}
		}
		return ended
	})
	if seen == "" {
		f.Fatalf("nothing moves:\n%s", p.out.String())
	}
	f.strike(victim, p, seen)
	// Whatever is left is gone on with, as an operator would.
	for tries := 0; len(f.moves()) > 0; {
		if p.ended() {
			if tries++; tries > 60 {
				f.Fatalf("it doesn't end: %v\n%s", f.moves(), p.out.String())
			}
			command := "start"
			for _, now := range f.moves() {
				if now == "moved" || now == "cleaning" || now == "returning" {
					command = end
				}
			}
			p = f.background(append([]string{"rebalance", command}, flags...)...)
		}
		select {
		case <-p.exited:
		case <-time.After(200 * time.Millisecond):
		}
	}
	<-p.exited
	return seen
}

// strike kills the victim and starts it again.
func (f *fleet) strike(victim string, p *shardctlProcess, state string) {
	f.Helper()
	switch victim {
	case "shardctl":
		p.kill()
	case "etcd":
		f.must(f.etcd.Kill())
		f.must(f.etcd.Start(f.ctx))
	case "proxy":
		f.must(f.daemons[0].killed())
		f.ready(f.daemons[0])
	case "source", "target":
		s := f.c.Shards[0].Primary
		if victim == "target" {
			s = f.c.Shards[2].Primary
		}
		f.must(s.Kill())
		f.must(s.Start(f.ctx))
	}
	f.Logf("killed %s while moves were %s", victim, state)
}
