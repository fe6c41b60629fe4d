package failover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
)

// The steps of a switchover, in their order, as [Step] names them.
const (
	stepCheck    = "check"     // the servers, the proxies, the account: nothing is changed
	stepPrepare  = "prepare"   // make the fence's table, let the target catch up
	stepPause    = "pause"     // store the map with the shard paused
	stepDrain    = "drain"     // the proxies leave the old primary
	stepFence    = "fence"     // raise the fence; kill what hasn't left
	stepReadOnly = "read-only" // the old primary takes no writes
	stepCatchUp  = "catch up"  // the target has all of it
	stepDecide   = "decide"    // store that from here on it only goes forward
	stepPromote  = "promote"   // the target takes writes
	stepStore    = "store"     // store the map with the new primary
	stepServe    = "serve"     // the proxies serve it: the pause is over
	stepFollow   = "follow"    // the others follow the new primary
	stepUndo     = "undo"
)

// serveTimeout is how long a change of primary waits for the proxies to serve
// the new map before it says who doesn't.
const serveTimeout = 10 * time.Second

// Switchover makes the replica at to the primary of a shard that works. Nobody
// loses a write, and a client whose transaction ends within o.Drain sees
// nothing but a pause.
//
// It fails with a *Refused error, before anything is changed, when something
// is in the way. An error after that and before the promotion undoes
// everything, and the report says so; an error after it leaves what is to be
// finished. In both cases, and when the process dies at any moment, another
// Switchover with the same target goes on from where things are, and [Cancel]
// undoes it while that is possible. Only one of several runs at the same time
// can reach the promotion.
func Switchover(ctx context.Context, store Store, shard, to string, o Options) (Report, error) {
	r := newRun(store, shard, o)
	defer r.close()
	r.report.To = to
	err := r.switchover(ctx, to)
	return *r.report, err
}

func (r *run) switchover(ctx context.Context, to string) error {
	sh, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.report.From = sh.Primary.Addr
	if sh.Primary.Addr == to && sh.Paused == "" {
		return r.leftovers(ctx, sh)
	}
	found, ours := parsePause(sh.Paused)
	switch {
	case sh.Paused == "":
	case !ours:
		return refuse("", "wait until that is over", "shard %s is paused: %s", sh.ID, sh.Paused)
	case found.failover || found.to != to:
		return refuse("", "let it end; if whoever does it is dead, `shardctl switchover "+sh.ID+" --cancel` undoes it", "shard %s is paused: %s", sh.ID, sh.Paused)
	case found.phase == undoing:
		if r.DryRun {
			r.report.Plan = []string{"finish undoing what is under way: " + sh.Paused, "begin anew"}
			return nil
		}
		if err := r.undo(ctx, found); err != nil {
			return err
		}
		if sh, err = r.load(ctx); err != nil {
			return err
		}
		found, ours = pause{}, false
	}

	var p *preflight
	err = r.step(ctx, stepCheck, func(ctx context.Context) (string, error) {
		p = r.check(ctx, sh, to, found)
		return fmt.Sprintf("%d servers, %d proxies", len(p.states), len(r.known)), p.asRefused()
	})
	if err != nil {
		return err
	}
	if r.DryRun {
		r.plan(sh, to, found)
		return nil
	}
	if !ours {
		if err := r.step(ctx, stepPrepare, func(ctx context.Context) (string, error) { return "", r.prepare(ctx, p) }); err != nil {
			return err
		}
	}
	err = r.step(ctx, stepPause, func(ctx context.Context) (string, error) {
		err := r.swapPause(ctx, pause{to: to, by: r.By, phase: found.phase})
		return fmt.Sprintf("version %d of the map", r.stored.Version()), err
	})
	if err != nil {
		return r.lostRace(err)
	}
	if p.promoted {
		// It may have been restarted since, and then it takes writes.
		if p.primary != nil {
			if err := r.step(ctx, stepReadOnly, func(ctx context.Context) (string, error) { return p.primary.Addr, r.makeReadOnly(ctx, p) }); err != nil {
				return err
			}
		}
	} else if err := r.handOver(ctx, p); err != nil {
		return r.giveUp(ctx, err)
	}
	return r.finish(ctx, sh, p)
}

// prepare does what may take its time, before the pause.
func (r *run) prepare(ctx context.Context, p *preflight) error {
	if err := p.primary.MakeFence(ctx); err != nil {
		return err
	}
	at, err := p.primary.Position(ctx)
	if err != nil {
		return err
	}
	err = p.target.Reach(ctx, at, r.MaxLag)
	if errors.Is(err, server.ErrBehind) {
		return refuse(p.target.Addr, "wait until it has caught up, or choose another", "it doesn't have within %s what the primary had: %s", r.MaxLag, at)
	}
	return err
}

// handOver brings the shard, which is paused, to where the target is the
// primary. Until it returns no error, all of it can be undone.
func (r *run) handOver(ctx context.Context, p *preflight) error {
	var late []string
	var none bool
	err := r.step(ctx, stepDrain, func(ctx context.Context) (string, error) {
		late, none = r.left(ctx, r.Drain)
		if len(late) > 0 {
			return "not in time: " + strings.Join(late, ", "), nil
		}
		return fmt.Sprintf("%d proxies", len(r.known)), nil
	})
	if err != nil {
		return err
	}
	err = r.step(ctx, stepFence, func(ctx context.Context) (string, error) { return r.fenceOff(ctx, p, late, none) })
	if err != nil {
		return err
	}
	err = r.step(ctx, stepReadOnly, func(ctx context.Context) (string, error) { return p.primary.Addr, r.makeReadOnly(ctx, p) })
	if err != nil {
		return err
	}
	err = r.step(ctx, stepCatchUp, func(ctx context.Context) (string, error) {
		at, err := p.primary.Position(ctx)
		if err != nil {
			return "", err
		}
		return p.target.Addr, p.target.Reach(ctx, at, r.MaxLag)
	})
	if err != nil {
		return err
	}
	err = r.step(ctx, stepDecide, func(ctx context.Context) (string, error) {
		next := r.pause
		next.phase = promoting
		err := r.swapPause(ctx, next)
		return fmt.Sprintf("version %d of the map", r.stored.Version()), err
	})
	if err != nil {
		return err
	}
	return r.step(ctx, stepPromote, func(ctx context.Context) (string, error) { return p.target.Addr, r.promote(ctx, p.target) })
}

// makeReadOnly makes the old primary refuse writes. Connections of proxies that
// keep it from that are killed, and on demand those of all clients.
func (r *run) makeReadOnly(ctx context.Context, p *preflight) error {
	return p.primary.readOnly(ctx, func(ctx context.Context) error {
		user := ""
		if !r.KillBlockers {
			var err error
			if user, err = p.primary.proxyUser(ctx, r.Options); err != nil {
				return err
			}
		}
		n, err := p.primary.Kill(ctx, user)
		r.report.warn("%d connections were killed at %s, because statements or table locks kept it from becoming read-only", n, p.primary.Addr)
		return err
	})
}

// fenceOff raises the fence of the old primary, so that a proxy of which nobody
// knows gets no new connection there, and kills what those that are late have.
func (r *run) fenceOff(ctx context.Context, p *preflight, late []string, none bool) (string, error) {
	is, err := p.primary.IsReadOnly(ctx)
	if err != nil {
		return "", err
	}
	if !is { // else a run before this one has raised it
		if err := p.primary.Raise(ctx, r.stored.Version(), r.pause.String()); err != nil {
			return "", err
		}
	}
	text := fmt.Sprintf("version %d", r.stored.Version())
	bypass, err := p.primary.bypass(ctx, r.Options)
	// A run that goes on for another doesn't know which proxies that one knew.
	if err != nil || len(late) == 0 && !none && !bypass && !p.begun {
		return text, err
	}
	user, err := p.primary.proxyUser(ctx, r.Options)
	if err != nil {
		return "", err
	}
	n, err := p.primary.Kill(ctx, user)
	r.report.Fenced = late
	if len(late) > 0 {
		r.report.warn("%d connections of %s at %s were killed: %s didn't leave it within %s; clients whose transactions these were get an error after which they can try again",
			n, user, p.primary.Addr, strings.Join(late, ", "), r.Drain)
	}
	return fmt.Sprintf("%s, %d connections killed", text, n), err
}

// promote makes a replica that has everything a primary. When an answer is
// lost, it looks at the server again.
func (r *run) promote(ctx context.Context, n *node) error {
	err := n.stopFollowing(ctx)
	if err == nil {
		err = n.writable(ctx)
	}
	if err == nil {
		return nil
	}
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Statement)
	defer cancel()
	_, _ = poll(again, 100*time.Millisecond, func() (bool, error) {
		is, lost := n.IsReadOnly(again)
		if lost == nil && !is {
			err = nil
		}
		return lost == nil, nil
	})
	return err
}

// finish stores the map with the new primary and lets the others follow it.
// There is no way back.
func (r *run) finish(ctx context.Context, sh *shardmap.Shard, p *preflight) error {
	// A client that ends (Ctrl-C) doesn't leave the shard paused.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var warnings []string
	// Before the first client's commit, so that none is acknowledged while one
	// server alone has it. It waits for a replica, so the replicas follow while
	// the map is stored.
	if p.states[sh.Primary.Addr].SemiSync.on() {
		if err := p.target.semiSync(ctx, true); err != nil {
			r.report.warn("semi-sync is off: %s", err)
		}
	}
	var wg sync.WaitGroup
	began := time.Now()
	wg.Go(func() { warnings = r.follow(ctx, sh, p) })
	err := r.hand(ctx, p.target.Addr)
	wg.Wait()
	r.report.Warnings = append(r.report.Warnings, warnings...)
	if err != nil {
		return err
	}
	if r.failpoint != nil {
		if err := r.failpoint(stepFollow); err != nil {
			return err
		}
	}
	r.done(Step{Name: stepFollow, Text: fmt.Sprintf("%d servers follow %s", len(r.nodes)-1, p.target.Addr), Took: time.Since(began)})
	return nil
}

// hand stores the map in which the server at to is the primary and waits until
// the proxies serve it.
func (r *run) hand(ctx context.Context, to string) error {
	err := r.step(ctx, stepStore, func(ctx context.Context) (string, error) {
		var err error
		again, cancel := context.WithTimeout(ctx, serveTimeout)
		defer cancel()
		_, _ = poll(again, 200*time.Millisecond, func() (bool, error) {
			err = r.swap(again, r.pause.String(), func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithPrimary(r.shard, to) })
			return err == nil || errors.Is(err, errTaken), nil
		})
		return fmt.Sprintf("version %d of the map", r.stored.Version()), err
	})
	if err != nil {
		return fmt.Errorf("%s is promoted, but the map that says so isn't stored and shard %s is paused; do it again to go on: %w", to, r.shard, err)
	}
	r.report.Done = true
	return r.step(ctx, stepServe, func(ctx context.Context) (string, error) {
		late, err := r.serve(ctx, serveTimeout)
		r.report.Pause = time.Since(r.paused)
		switch {
		case err != nil:
			r.report.warn("it isn't known whether the proxies serve the new map: %s", err)
		case len(late) > 0:
			r.report.warn("these proxies don't serve version %d of the map after %s: %s", r.stored.Version(), serveTimeout, strings.Join(late, ", "))
		}
		return fmt.Sprintf("statements waited %s", r.report.Pause.Round(time.Millisecond)), nil
	})
}

// follow makes all servers of the shard but the new primary follow it, with
// semi-sync if the old one had that. What fails is a warning.
func (r *run) follow(ctx context.Context, sh *shardmap.Shard, p *preflight) (warnings []string) {
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	old, target := p.states[sh.Primary.Addr], p.states[p.target.Addr]
	var mu sync.Mutex
	var wg sync.WaitGroup
	for addr, n := range r.nodes {
		if n == p.target {
			continue
		}
		wg.Go(func() {
			err := r.followOne(ctx, n, p.target.Addr, p.states[addr], target.Replica, old.SemiSync.on())
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				warn("%s: the switchover, run again, makes it follow", err)
			}
		})
	}
	wg.Wait()
	return warnings
}

// followOne makes a server follow the new primary and waits until it does. Was
// is its state before; like gives the settings of a fellow to one that followed
// nobody. Semi says that the shard uses semi-sync.
func (r *run) followOne(ctx context.Context, n *node, source string, was State, like *Replica, semi bool) error {
	var l *login
	if was.Replica == nil {
		l = &login{user: r.ReplicationUser, password: r.ReplicationPassword, like: like}
	}
	if semi {
		if err := n.semiSync(ctx, false); err != nil {
			return err
		}
	}
	if err := n.follow(ctx, source, l); err != nil {
		return err
	}
	return n.followed(ctx, r.Statement)
}

// leftovers finishes a switchover that was over but for the servers that didn't
// follow yet.
func (r *run) leftovers(ctx context.Context, sh *shardmap.Shard) error {
	r.report.Done = true
	if r.DryRun {
		r.report.Plan = []string{sh.Primary.Addr + " is the primary already; let the others follow it where they don't"}
		return nil
	}
	return r.step(ctx, stepFollow, func(ctx context.Context) (string, error) {
		primary, err := r.inspect(ctx, sh.Primary.Addr)
		if err != nil {
			return "", err
		}
		if primary.ReadOnly {
			return "", refuse(sh.Primary.Addr, "SET GLOBAL read_only = OFF, or correct the map", "the map calls it the primary, but it is read-only")
		}
		n := 0
		for _, s := range sh.Replicas {
			text, err := r.rejoin(ctx, sh, s.Addr)
			switch {
			case err != nil:
				r.report.warn("%s", err)
			case text != "":
				n++
			}
		}
		return fmt.Sprintf("%s is the primary already; %d servers follow it now that didn't", sh.Primary.Addr, n), nil
	})
}

// plan says what a switchover would do.
func (r *run) plan(sh *shardmap.Shard, to string, found pause) {
	if found.by != "" {
		r.report.Plan = append(r.report.Plan, "go on with what is under way: "+found.String())
	}
	r.report.Plan = append(r.report.Plan,
		fmt.Sprintf("pause shard %s in the map: new statements for its primary wait at %d proxies", sh.ID, len(r.known)),
		fmt.Sprintf("let what runs on %s end, for %s at most; kill what doesn't", sh.Primary.Addr, r.Drain),
		fmt.Sprintf("make %s read-only", sh.Primary.Addr),
		fmt.Sprintf("wait until %s has all of its transactions", to),
		fmt.Sprintf("stop replication on %s and let it take writes", to),
		fmt.Sprintf("store the map with %s as the primary of %s and %s as a replica", to, sh.ID, sh.Primary.Addr))
	for _, addr := range others(sh, to) {
		if _, ok := r.nodes[addr]; ok {
			r.report.Plan = append(r.report.Plan, fmt.Sprintf("let %s follow %s", addr, to))
		}
	}
}
