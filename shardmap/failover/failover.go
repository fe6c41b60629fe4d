package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/gtid"
)

// Failover makes the most advanced replica the primary of a shard whose
// primary, at the address gone, is gone. The caller has found that by a quorum
// of proxies, see [Gone]; Failover refuses when a replica still receives from
// it, and when the stored map has another primary by now: that one isn't known
// to be gone. o.By must be the caller's [shardmap.Proxy] ID.
//
// The map with the shard paused, stored by compare-and-swap, is the lock: of
// several proxies one wins, and the others get a *Refused error. One that dies
// on the way is followed by another, as soon as its announcement has expired.
// A failover that fails before a replica was chosen takes the pause back. The
// replica that is promoted has all that any reachable replica has received;
// what was on the old primary alone is lost, see docs/failover.md.
//
// Replicas that can't be reached are warned of in the report. [Rejoin] brings
// them, and the old primary, back.
func Failover(ctx context.Context, store Store, shard, gone string, o Options) (Report, error) {
	r := newRun(store, shard, o)
	defer r.close()
	err := r.failover(ctx, gone)
	return *r.report, err
}

// alive are the replicas that answer and replicate, in the map's order.
type alive struct {
	addrs  []string
	states map[string]State
}

func (r *run) failover(ctx context.Context, gone string) error {
	sh, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.report.From = sh.Primary.Addr
	if sh.Primary.Addr != gone {
		return refuse("", "", "%s is the primary of shard %s by now, and not %s, which is gone", sh.Primary.Addr, sh.ID, gone)
	}
	proxies, err := r.proxies(ctx)
	if err != nil {
		return err
	}
	found, ours := parsePause(sh.Paused)
	if sh.Paused != "" {
		// A switchover whose primary dies is taken over: it finds that it may
		// not go on.
		live := slices.ContainsFunc(proxies, func(p shardmap.Proxy) bool { return p.ID == found.by })
		if !ours || live && found.by != r.By {
			return refuse("", "wait until that is over", "shard %s is paused: %s", sh.ID, sh.Paused)
		}
	}
	var up alive
	err = r.step(ctx, stepCheck, func(ctx context.Context) (string, error) {
		up, err = r.lost(ctx, sh, found)
		return fmt.Sprintf("%d of %d replicas can be used, none of them receives from %s", len(up.addrs), len(sh.Replicas), sh.Primary.Addr), err
	})
	if err != nil {
		if found.failover && found.phase != promoting {
			// Whoever began it is dead, and its reason is gone.
			r.pause = found
			return r.release(ctx, err)
		}
		return err
	}
	next := pause{failover: true, from: sh.Primary.Addr, by: r.By}
	if found.phase == promoting {
		next.to = found.to // it may take writes already
	}
	err = r.step(ctx, stepPause, func(ctx context.Context) (string, error) {
		err := r.swapPause(ctx, next)
		return fmt.Sprintf("version %d of the map", r.stored.Version()), err
	})
	if err != nil {
		return r.lostRace(err)
	}
	to, err := r.succeed(ctx, sh, up, next.to)
	if err != nil {
		return r.release(ctx, err)
	}
	return r.finishFailover(ctx, up, to)
}

// lost asks the replicas whether they too have lost the primary. Those that
// don't replicate aren't counted in: they have been left behind on purpose, or
// have transactions that nobody else has.
func (r *run) lost(ctx context.Context, sh *shardmap.Shard, found pause) (alive, error) {
	type answer struct {
		n     *node
		state State
		still bool
		err   error
	}
	answers := make([]answer, len(sh.Replicas))
	var wg sync.WaitGroup
	for i, s := range sh.Replicas {
		wg.Go(func() {
			a := &answers[i]
			if a.n, a.err = open(ctx, r.Options, s.Addr); a.err != nil {
				return
			}
			if a.state, a.err = a.n.state(ctx); a.err == nil && found.phase != promoting {
				a.still, a.err = a.n.receives(ctx, &a.state)
			}
		})
	}
	wg.Wait()
	up := alive{states: map[string]State{}}
	var whys []string
	var problem error
	for i, s := range sh.Replicas {
		a := answers[i]
		if a.n != nil {
			r.nodes[s.Addr] = a.n
		}
		rep, why := a.state.Replica, ""
		switch {
		case a.err != nil:
			why = a.err.Error()
		case a.still:
			problem = refuse(s.Addr, "see why the proxies can't reach it", "it still receives from %s, so the primary lives", sh.Primary.Addr)
		case found.phase == promoting && s.Addr == found.to:
		case rep == nil:
			why = s.Addr + " follows nobody"
		case rep.Receiver == "No" && found.by == "":
			why = s.Addr + " doesn't receive: it was stopped: " + orNone(rep.Error)
		}
		if why != "" {
			whys = append(whys, why)
			r.report.warn("not counted in: %s", why)
			continue
		}
		up.addrs = append(up.addrs, s.Addr)
		up.states[s.Addr] = a.state
	}
	if problem == nil && len(up.addrs) == 0 {
		problem = refuse("", "start one of them, or the primary", "no replica of shard %s can be used: %s", sh.ID, strings.Join(whys, "; "))
	}
	return up, problem
}

// receives says whether a replica's receiver is connected. One that says so is
// made to connect anew: it may not have noticed yet that its source is gone.
func (n *node) receives(ctx context.Context, s *State) (bool, error) {
	if s.Replica == nil || s.Replica.Receiver != "Yes" {
		return false, nil
	}
	if err := n.stopReceiver(ctx); err != nil {
		return false, err
	}
	if err := n.startReceiver(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func() (bool, error) {
		r, err := n.replica(ctx, gtid.Set{})
		if ctx.Err() != nil {
			return false, nil
		}
		return r != nil && r.Receiver == "Yes", err
	})
}

// succeed makes the most advanced replica the primary and returns its address.
func (r *run) succeed(ctx context.Context, sh *shardmap.Shard, up alive, want string) (to string, err error) {
	// The old primary may be reachable from here after all.
	var wg sync.WaitGroup
	var fenced string
	defer wg.Wait()
	began := time.Now()
	wg.Go(func() { fenced = r.fencePrimary(ctx, sh.Primary.Addr) })

	var all []candidate
	err = r.step(ctx, stepCatchUp, func(ctx context.Context) (string, error) {
		// So that no proxy that is alive writes where nobody receives.
		late, _ := r.serve(ctx, r.Fence)
		if len(late) > 0 {
			r.report.warn("these proxies didn't take over version %d of the map within %s: %s", r.stored.Version(), r.Fence, strings.Join(late, ", "))
		}
		r.stopped = up.addrs
		all = r.candidates(ctx, up)
		to, err = choose(all, want)
		return to, err
	})
	if err != nil {
		return "", err
	}
	wg.Wait()
	r.done(Step{Name: stepFence, Text: fenced, Took: time.Since(began)})
	err = r.step(ctx, stepDecide, func(ctx context.Context) (string, error) {
		next := r.pause
		next.to, next.phase = to, promoting
		err := r.swapPause(ctx, next)
		return fmt.Sprintf("version %d of the map", r.stored.Version()), err
	})
	if err != nil {
		return "", err
	}
	r.report.To = to
	return to, r.step(ctx, stepPromote, func(ctx context.Context) (string, error) { return to, r.promote(ctx, r.nodes[to]) })
}

// fencePrimary makes the old primary refuse proxies and writes if it answers,
// and says what came of it.
func (r *run) fencePrimary(ctx context.Context, addr string) string {
	ctx, cancel := context.WithTimeout(ctx, r.Fence)
	defer cancel()
	o := r.Options
	o.Statement = r.Fence
	n, err := open(ctx, o, addr)
	if err != nil {
		return fmt.Sprintf("%s can't be fenced: %s", addr, err)
	}
	defer n.Close()
	user, err := n.proxyUser(ctx, r.Options)
	if err != nil {
		return fmt.Sprintf("%s can't be fenced: %s", addr, err)
	}
	// Not the row: with nobody to acknowledge it, it could wait for ever, and
	// it would make the server differ from the others.
	if err := n.readOnly(ctx, func(ctx context.Context) error { _, err := n.Kill(ctx, user); return err }); err != nil {
		return fmt.Sprintf("%s can't be fenced: %s", addr, err)
	}
	killed, err := n.Kill(ctx, user)
	if err != nil {
		return fmt.Sprintf("%s is read-only; %s", addr, err)
	}
	return fmt.Sprintf("%s is read-only, %d connections killed", addr, killed)
}

// candidates stops all receivers and lets each replica apply what it has
// received.
func (r *run) candidates(ctx context.Context, up alive) []candidate {
	all := make([]candidate, len(up.addrs))
	var wg sync.WaitGroup
	for i, addr := range up.addrs {
		wg.Go(func() {
			c := candidate{addr: addr, received: up.states[addr].Position}
			n := r.nodes[addr]
			if err := r.settle(ctx, n, &c); err != nil {
				c.usable = "can't be used: " + err.Error()
			}
			all[i] = c
		})
	}
	wg.Wait()
	return all
}

// settle fills in what a replica has, and waits until it has applied it.
func (r *run) settle(ctx context.Context, n *node, c *candidate) error {
	s, err := n.state(ctx)
	if err != nil {
		return err
	}
	c.received = s.Position
	if s.Replica == nil { // promoted by a run before this one
		return nil
	}
	if err := n.stopReceiver(ctx); err != nil {
		return err
	}
	if s, err = n.state(ctx); err != nil {
		return err
	}
	rep := s.Replica
	c.received = rep.Received
	if !rep.Applier && !s.Position.Contains(rep.Received) {
		return fmt.Errorf("its applier doesn't run, and it hasn't applied all that it received: %s", orNone(rep.Error))
	}
	if !rep.UsesGTID {
		return errors.New("it doesn't follow by GTID")
	}
	return n.Reach(ctx, rep.Received, r.Apply)
}

// release takes the pause back after a failover that came to nothing, unless a
// replica may take writes already.
func (r *run) release(ctx context.Context, err error) error {
	if errors.Is(err, errCrash) || errors.Is(err, errTaken) {
		return err
	}
	if r.pause.phase == promoting {
		return fmt.Errorf("%w; shard %s stays paused until a failover goes on", err, r.shard)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*r.Statement)
	defer cancel()
	for _, addr := range r.stopped {
		if startErr := r.nodes[addr].startReceiver(ctx); startErr != nil {
			r.report.warn("START REPLICA on %s: %s", addr, startErr)
		}
	}
	// The fence may have made it read-only, also that of a failover before this.
	o := r.Options
	o.Statement = r.Fence
	if n, openErr := open(ctx, o, r.report.From); openErr == nil {
		if writableErr := n.writable(ctx); writableErr != nil {
			r.report.warn("%s", writableErr)
		}
		n.Close()
	}
	undo := r.swap(ctx, "undo "+r.pause.String(), func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithPaused(r.shard, "") })
	if undo != nil {
		return fmt.Errorf("%w; and the pause could not be taken back: %w", err, undo)
	}
	r.report.Undone = true
	return fmt.Errorf("%w; all is as before", err)
}

// finishFailover stores the map with the new primary and lets the others
// follow.
func (r *run) finishFailover(ctx context.Context, up alive, to string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	target, n := up.states[to], r.nodes[to]
	if err := n.Raise(ctx, r.stored.Version(), r.pause.String()); err != nil {
		r.report.warn("the fence isn't raised: %s", err)
	}
	// After the fence's row, which would wait for a replica too, and before the
	// first client's commit: it isn't acknowledged while one server alone has it.
	if target.SemiSync.Replica {
		if err := n.semiSync(ctx, true); err != nil {
			r.report.warn("semi-sync is off: %s", err)
		} else if len(up.addrs) == 1 {
			r.report.warn("no replica follows %s: with semi-sync its commits wait until one does, or for the timeout that is set", to)
		}
	}
	warnings := make([]string, len(up.addrs))
	var wg sync.WaitGroup
	began := time.Now()
	for i, addr := range up.addrs {
		if addr == to {
			continue
		}
		wg.Go(func() {
			if err := r.followOne(ctx, r.nodes[addr], to, up.states[addr], target.Replica, target.SemiSync.Replica); err != nil {
				warnings[i] = err.Error()
			}
		})
	}
	err := r.hand(ctx, to)
	wg.Wait()
	for _, w := range warnings {
		if w != "" {
			r.report.warn("%s", w)
		}
	}
	if err != nil {
		return err
	}
	r.done(Step{Name: stepFollow, Text: fmt.Sprintf("%d servers follow %s", len(up.addrs)-1, to), Took: time.Since(began)})
	return nil
}
