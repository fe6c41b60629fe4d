package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
)

// preflight is what a switchover must know before it begins.
type preflight struct {
	primary, target *node
	states          map[string]State // of the servers that answer
	problems        []Problem

	begun    bool // a run before this one has paused the shard
	promoted bool // and let the target take writes
}

func (p *preflight) problem(server, fix, format string, args ...any) {
	p.problems = append(p.problems, Problem{Server: server, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// check asks all servers of the shard and all proxies, and lists everything
// that is in the way of making to its primary. A switchover that somebody has
// begun may have left the servers read-only and the target stopped.
func (r *run) check(ctx context.Context, sh *shardmap.Shard, to string, found pause) *preflight {
	p := &preflight{states: map[string]State{}, begun: found.by != ""}
	if !slices.ContainsFunc(sh.Replicas, func(s shardmap.Server) bool { return s.Addr == to }) {
		var known []string
		for _, s := range sh.Replicas {
			known = append(known, s.Addr)
		}
		p.problem(to, "the replicas of shard "+sh.ID+" are: "+strings.Join(known, ", "), "it is no replica of shard %s in the map", sh.ID)
		return p
	}
	// The replicas first: what a replica has the primary then has, unless it is
	// errant.
	for _, addr := range append([]string{to}, others(sh, to)...) {
		s, err := r.inspect(ctx, addr)
		switch {
		case err == nil:
			p.states[addr] = s
			p.promoted = p.promoted || addr == to && found.phase == promoting && !s.ReadOnly
		case addr == to || addr == sh.Primary.Addr && !p.promoted:
			p.problem(addr, loginFix(err), "%s", err)
		default:
			r.report.warn("%s doesn't answer and will not follow the new primary: %s; once it is back, run the switchover again", addr, err)
		}
	}
	p.primary, p.target = r.nodes[sh.Primary.Addr], r.nodes[to]
	if p.promoted || len(p.problems) > 0 {
		return p
	}
	p.servers(ctx, sh, to, r)
	if !p.begun {
		p.replication(sh, to, r)
		p.proxies(ctx, r)
	}
	return p
}

// others are the shard's servers but the one at addr, the primary last.
func others(sh *shardmap.Shard, addr string) []string {
	var all []string
	for _, s := range append(slices.Clone(sh.Replicas), sh.Primary) {
		if s.Addr != addr {
			all = append(all, s.Addr)
		}
	}
	return all
}

func (r *run) inspect(ctx context.Context, addr string) (State, error) {
	n, err := r.node(ctx, addr)
	if err != nil {
		return State{}, err
	}
	s, err := n.state(ctx)
	if err != nil {
		n.Close()
		delete(r.nodes, addr)
	}
	return s, err
}

func loginFix(err error) string {
	switch server.Code(err) {
	case 1045, 1698:
		return "give the user and password of an account that may change roles"
	case 1227:
		return "give the account the rights that docs/failover.md lists"
	}
	return "see that it runs and that its address in the map is right"
}

// servers checks what must hold of the two servers whatever their roles.
func (p *preflight) servers(ctx context.Context, sh *shardmap.Shard, to string, r *run) {
	primary, target := p.states[sh.Primary.Addr], p.states[to]
	if primary.Flavor != target.Flavor {
		p.problem(to, "choose a replica of the same kind", "it runs %s and the primary %s", target.Flavor, primary.Flavor)
		return
	}
	for _, n := range []*node{p.primary, p.target} {
		s := p.states[n.Addr]
		if !s.LogBin {
			p.problem(n.Addr, "start it with log_bin", "it writes no binary log, so that nobody can follow it")
		}
		if !s.LogUpdates {
			p.problem(n.Addr, "start it with log_replica_updates=ON (log_slave_updates on MariaDB)", "it doesn't log what it applies, so that nobody can follow it by GTID")
		}
		if !s.GTID {
			p.problem(n.Addr, "set gtid_mode=ON and enforce_gtid_consistency=ON", "not every transaction has a GTID there")
		}
		if _, _, err := hostPort(n.Addr); err != nil {
			p.problem(n.Addr, "name it by host and port in the map", "%s", err)
		}
		missing, err := n.missingRights(ctx)
		switch {
		case err != nil:
			p.problem(n.Addr, "", "%s", err)
		case len(missing) > 0:
			p.problem(n.Addr, "GRANT "+strings.Join(missing, ", ")+" ON *.* to it", "the account lacks rights")
		}
	}
	if primary.Replica == nil && r.ReplicationUser == "" {
		p.problem(primary.Addr, "set failover.replication_user and failover.replication_password",
			"it has followed nobody so far, and nothing says as whom it logs in to replicate")
	}
	if primary.ReadOnly && !p.begun {
		p.problem(primary.Addr, "SET GLOBAL read_only = OFF, or correct the map", "the map calls it the primary, but it is read-only")
	}
	if !target.ReadOnly && !p.begun {
		p.problem(to, "SET GLOBAL read_only = ON (super_read_only on MySQL), after making sure that nobody has written there", "it takes writes, which a replica must not")
	}
}

// replication checks that the target is the primary's equal.
func (p *preflight) replication(sh *shardmap.Shard, to string, r *run) {
	primary, target := p.states[sh.Primary.Addr], p.states[to]
	if primary.Replica != nil && (primary.Replica.Applier || primary.Replica.Receiver != "No") {
		p.problem(primary.Addr, "STOP REPLICA; RESET REPLICA ALL there, or correct the map", "it is the primary in the map, but it follows %s", primary.Replica.Source)
	}
	for addr, s := range p.states {
		if addr == sh.Primary.Addr {
			continue
		}
		if errant := s.Executed.Minus(primary.Executed); !errant.IsEmpty() {
			text := "it has transactions that the primary doesn't have: %s"
			if addr == to {
				p.problem(addr, "find out what they did (in its binary log) and make it anew from the primary", text, errant)
			} else {
				r.report.warn("%s: "+text, addr, errant)
			}
		}
	}
	rep := target.Replica
	switch {
	case rep == nil:
		p.problem(to, "make it follow "+primary.Addr, "it follows nobody")
		return
	case !target.follows(&primary):
		p.problem(to, "make it follow the primary, or correct the map", "it follows %s, not %s", rep.Source, primary.Addr)
	}
	if !rep.UsesGTID {
		p.problem(to, "CHANGE REPLICATION SOURCE TO SOURCE_AUTO_POSITION=1 (MASTER_USE_GTID=slave_pos on MariaDB)", "it follows by file and offset, not by GTID")
	}
	if rep.Receiver != "Yes" || !rep.Applier {
		p.problem(to, "START REPLICA there, or correct what it complains of", "its replication doesn't run: receiver %s, applier %s: %s", rep.Receiver, yes(rep.Applier), orNone(rep.Error))
	} else if rep.Behind < 0 || rep.Behind > r.MaxLag {
		p.problem(to, "wait until it has caught up, or choose another", "it is %s behind, more than %s", rep.Behind, r.MaxLag)
	}
	if rep.Source != primary.Addr && target.follows(&primary) {
		r.report.warn("%s follows the primary as %s; the map's addresses are used from now on", to, rep.Source)
	}
	for _, t := range primary.Long {
		if t.Age > r.Drain {
			r.report.warn("thread %d of %s has a transaction that is open for %s: if it doesn't end within %s of the pause it is cut", t.Thread, t.User, t.Age, r.Drain)
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "no error"
	}
	return s
}

// proxies checks that all proxies keep up with the map.
func (p *preflight) proxies(ctx context.Context, r *run) {
	// A map that was stored just now reaches them within a second.
	late, err := r.serve(ctx, 2*time.Second)
	if err != nil {
		p.problem("", "see that the map's store can be reached", "the proxies aren't known: %s", err)
	}
	if len(late) > 0 {
		p.problem("", "wait for them, restart them, or end them", "these proxies don't serve version %d of the map: %s", r.stored.Version(), strings.Join(late, ", "))
	}
	if len(r.known) == 0 {
		r.report.warn("no proxy is announced in the map's store: connections of the proxies' account on the old primary are killed")
	}
}

// missingRights are the rights that the account lacks. Those that it has by a
// role aren't seen: then the answer is none, and a statement fails later.
func (n *node) missingRights(ctx context.Context) ([]string, error) {
	rows, err := n.Query(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, row := range rows {
		for _, grant := range row {
			list, on, ok := strings.Cut(strings.TrimPrefix(grant, "GRANT "), " ON ")
			if !ok {
				return nil, nil // a role
			}
			if !strings.HasPrefix(on, "*.*") {
				continue
			}
			for right := range strings.SplitSeq(list, ",") {
				have[strings.ToUpper(strings.TrimSpace(right))] = true
			}
		}
	}
	if have["ALL PRIVILEGES"] {
		return nil, nil
	}
	need := [][]string{
		{"SYSTEM_VARIABLES_ADMIN", "SUPER"},
		{"REPLICATION_SLAVE_ADMIN", "SUPER"},
		{"CONNECTION_ADMIN", "SUPER"},
		{"REPLICATION CLIENT"},
		{"PROCESS"},
		{"RELOAD"},
	}
	if n.MariaDB {
		super := "SUPER"
		if !n.Before([3]int{10, 11, 0}) {
			super = "READ_ONLY ADMIN" // SUPER lost it there
		}
		need = [][]string{
			{"READ_ONLY ADMIN", super},
			{"REPLICATION SLAVE ADMIN", "SUPER"},
			{"CONNECTION ADMIN", "SUPER"},
			{"SLAVE MONITOR", "REPLICA MONITOR", "SUPER"},
			{"PROCESS"},
			{"RELOAD"},
		}
	}
	var missing []string
	for _, alternatives := range need {
		if !slices.ContainsFunc(alternatives, func(a string) bool { return have[a] }) {
			missing = append(missing, alternatives[0])
		}
	}
	return missing, nil
}

// bypass says whether the proxies' account could write on a read-only server.
// On MySQL nobody can with super_read_only; on MariaDB that is so when it is
// also the account that changes roles.
func (n *node) bypass(ctx context.Context, o Options) (bool, error) {
	if !n.MariaDB {
		return false, nil
	}
	own, err := n.proxyUser(ctx, Options{})
	if err != nil {
		return false, err
	}
	return o.ProxyUser == "" || o.ProxyUser == own, nil
}

// asRefused returns the problems as an error.
func (p *preflight) asRefused() error {
	if len(p.problems) == 0 {
		return nil
	}
	return &Refused{p.problems}
}

// IsRefused says whether err means that nothing was changed because it would
// have been unsafe.
func IsRefused(err error) bool {
	_, ok := errors.AsType[*Refused](err)
	return ok
}
