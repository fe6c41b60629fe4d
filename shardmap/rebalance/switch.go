package rebalance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/follow"
	"shardway/shardmap/rebalance/rows"
	"shardway/shardmap/server"
)

// asked says whether the operator wants the side of the copies to own the slots.
func (f *flow) asked(mv *shardmap.Move) bool {
	if mv.State == shardmap.MoveCopying {
		return switches(mv) && !mv.Hold
	}
	return mv.Want == shardmap.WantUndo
}

// wantsSwitch is asked, if that may be tried now.
func (f *flow) wantsSwitch(mv *shardmap.Move) bool {
	v := f.v
	switch first := f.goesFirst(mv); {
	case !f.asked(mv) || time.Now().Before(v.next):
		return false
	case first != "":
		v.say("move " + first + " has the reference tables and goes first")
		return false
	case mv.State == shardmap.MoveMoved && v.strays() > 0 && !v.r.AllowStrays:
		v.say("rows were written past the proxies at " + f.to.addr + ", which going back would undo: `shardctl rebalance status` shows these strays")
		return false
	}
	v.say("")
	return true
}

// waits says whether the engine has nothing to do for the move but to follow.
func (v *mover) waits() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.p.Wait != ""
}

// goesFirst names the move that must be switched before this one, or is "": the
// one that brings the reference tables along.
func (f *flow) goesFirst(mv *shardmap.Move) string {
	if mv.Database.Holds(mv.Copies()) || f.state.carries {
		return ""
	}
	for _, other := range mv.Database.Moves() {
		if other.ID != mv.ID && other.Copies() == mv.Copies() && carries(other) {
			return other.ID
		}
	}
	return ""
}

// cut is a switch under way.
type cut struct {
	*flow
	primary *server.Server // of the owner until then
	began   time.Time
	steps   []Step
	version uint64 // of the map with the pause
	fenced  []string
}

// trySwitch lets the side of the copies own the slots. What isn't done within
// PauseLimit is taken back; done says that it wasn't.
func (f *flow) trySwitch(ctx context.Context, mv *shardmap.Move) (done bool, err error) {
	v := f.v
	if n := f.behind(); n > limitBehind {
		v.say(fmt.Sprintf("%d rows have changed since they were compared, more than %d", n, limitBehind))
		return false, f.pause(ctx)
	}
	// One at a time: the pauses would make each other longer, and whether the reference tables go along depends on who else
	// has been switched.
	select {
	case v.r.switching <- struct{}{}:
		defer func() { <-v.r.switching }()
	default:
		return false, f.pause(ctx)
	}
	now := v.move()
	if changedMove(mv, now) {
		return false, nil
	}
	f.mv = now // the others may have taken slots meanwhile
	c := &cut{flow: f}
	if err := c.prepare(ctx); err != nil {
		if ctx.Err() != nil || endsFlow(err) {
			return false, err
		}
		v.takenBack(err)
		return false, nil
	}
	defer c.primary.Close()
	paused, next := shardmap.MovePaused, shardmap.MoveMoved
	if mv.State == shardmap.MoveMoved {
		paused, next = shardmap.MoveReturning, shardmap.MoveCleaning
	}
	v.update(func(p *MoveProgress) { p.Tries++ })
	c.began = time.Now()
	within, cancel := context.WithDeadline(ctx, c.began.Add(v.r.PauseLimit))
	defer cancel()
	// Statements of the switch are never cut off, as that takes the connection
	// with it; so when time is over the pause is taken back beside them. Of that
	// and the map with the new owner, the one that is stored first counts.
	var switching sync.WaitGroup
	switching.Go(func() {
		defer cancel()
		err = c.run(within, mv.State, paused, next)
	})
	<-within.Done()
	var took time.Duration
	var backErr error
	if ctx.Err() != nil || errors.Is(within.Err(), context.DeadlineExceeded) {
		took, backErr = c.takeBack(ctx, paused)
	}
	switching.Wait()
	if err == nil {
		took = time.Since(c.began)
	} else if took == 0 && !errors.Is(err, errCrash) {
		took, backErr = c.takeBack(ctx, paused)
	}
	c.endStep()
	why := ""
	if err != nil {
		if errors.Is(within.Err(), context.DeadlineExceeded) {
			err = c.overdue(err)
		}
		why = err.Error()
	}
	v.r.paused(Pause{Move: v.id, To: f.to.shard.ID, Began: c.began, Took: took, Done: err == nil, Why: why, Fenced: c.fenced, Steps: c.steps})
	switch {
	case err == nil:
		v.tries = 0
		v.update(func(p *MoveProgress) { p.Pause, p.Error = took, "" })
		return true, nil
	case errors.Is(err, errCrash):
		return false, err
	case backErr != nil:
		return false, fmt.Errorf("%w; and the pause isn't taken back: %w", err, backErr)
	case ctx.Err() != nil || endsFlow(err):
		return false, err
	}
	v.takenBack(err)
	return false, nil
}

// endsFlow says whether a flow can't go on after a switch that failed.
func endsFlow(err error) bool {
	return isFinal(err) || slices.ContainsFunc([]error{errCrash, errAnew, errAgain, errState, errTaken}, func(e error) bool { return errors.Is(err, e) })
}

// overdue says what a switch that took too long was about.
func (c *cut) overdue(err error) error {
	return fmt.Errorf("not done within %s: %w", c.v.r.PauseLimit, err)
}

// takenBack notes a switch that has to be tried again.
func (v *mover) takenBack(err error) {
	wait := v.r.Retry << min(v.tries, 10)
	if limit := time.Minute; wait > limit {
		wait = limit
	}
	v.tries++
	v.next = time.Now().Add(wait)
	v.update(func(p *MoveProgress) {
		p.Error = fmt.Sprintf("the switch was taken back and is tried again in %s: %s", wait, err)
	})
}

// takeBack ends the pause: the owner stays the owner. It says how long the pause
// was. It goes on when the engine is to end: nobody waits longer for that.
func (c *cut) takeBack(ctx context.Context, paused shardmap.MoveState) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for {
		_, err := c.v.r.swap(ctx, c.v.db, c.v.id, "take the pause of move "+c.v.id+" back", []shardmap.MoveState{paused}, to(before(paused)))
		if err == nil || errors.Is(err, errAgain) || errors.Is(err, errState) || !sleep(ctx, 20*time.Millisecond) {
			return time.Since(c.began), err
		}
	}
}

// prepare does what can be done before statements wait.
func (c *cut) prepare(ctx context.Context) (err error) {
	v := c.v
	v.phase(PhaseSwitch, "prepare")
	if err := v.r.point("prepare"); err != nil {
		return err
	}
	if err := c.openReplicas(ctx); err != nil {
		return err
	}
	// Whoever lags now would make the pause longer.
	at, err := follow.Current(ctx, c.to.db)
	if err != nil {
		return err
	}
	for _, n := range c.replicas {
		if err := n.Reach(ctx, at, v.r.MaxLag); err != nil {
			return fmt.Errorf("the replica %w", err)
		}
	}
	if c.primary, err = v.r.open(ctx, c.from.addr); err != nil {
		return err
	}
	if err := c.primary.MakeFence(ctx); err != nil {
		c.primary.Close()
		return err
	}
	if c.state.kind == kindTo {
		if _, err := makeState(ctx, c.from.db, c.from.addr); err != nil {
			c.primary.Close()
			return err
		}
	}
	if err := v.r.fleet.read(ctx); err != nil {
		c.primary.Close()
		return err
	}
	// What is left now is what the pause is spent with.
	for range 10 {
		began := time.Now()
		if err := c.catchUp(ctx); err != nil {
			c.primary.Close()
			return err
		}
		if time.Since(began) < v.r.PauseLimit/20 {
			break
		}
	}
	if c.state.kind == kindTo {
		if err := c.prepareBack(ctx); err != nil {
			c.primary.Close()
			return err
		}
	}
	return nil
}

// step begins the next step.
func (c *cut) step(name string) error {
	c.endStep()
	c.steps = append(c.steps, Step{Name: name, Took: time.Since(c.began)})
	c.v.update(func(p *MoveProgress) { p.Phase, p.Step = PhaseSwitch, name })
	return c.v.r.point(name)
}

// endStep notes how long the last step took, of which the beginning was noted.
func (c *cut) endStep() {
	if n := len(c.steps); n > 0 {
		c.steps[n-1].Took = time.Since(c.began) - c.steps[n-1].Took
	}
}

// run is the switch, from the map that pauses the slots to the one with the new
// owner.
func (c *cut) run(ctx context.Context, was, paused, next shardmap.MoveState) error {
	v := c.v
	if err := c.step("pause"); err != nil {
		return err
	}
	m, err := v.r.swap(ctx, v.db, v.id, "pause move "+v.id, []shardmap.MoveState{was}, to(paused))
	if err != nil {
		return err
	}
	c.version = m.Version()
	if err := c.step("wait for proxies"); err != nil {
		return err
	}
	if err := c.drain(ctx); err != nil {
		return err
	}
	// Nobody knows of a proxy that was cut off before this began. It notices this.
	if err := c.primary.Raise(ctx, c.version, fmt.Sprintf("rebalance %s by %s: move %s", v.r.id, v.r.By, v.id)); err != nil {
		return err
	}
	if err := c.step("last position"); err != nil {
		return err
	}
	if err := c.lastPosition(ctx); err != nil {
		return err
	}
	if err := c.step("last comparison"); err != nil {
		return err
	}
	if c.strays != nil {
		if err := c.strays.last(ctx); err != nil {
			return err
		}
	}
	if err := c.lastComparison(ctx); err != nil {
		return err
	}
	if c.state.kind == kindTo {
		if err := c.step("state at the source"); err != nil {
			return err
		}
		if err := c.keepBack(ctx); err != nil {
			return err
		}
	}
	if err := c.step("replicas"); err != nil {
		return err
	}
	if err := c.lastReplicas(ctx); err != nil {
		return err
	}
	if err := c.step("store"); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.store(ctx, paused, next)
}

// drain waits until no proxy has a write or a transaction for the slots, and
// follows meanwhile, so that little is left.
func (c *cut) drain(ctx context.Context) error {
	v := c.v
	for {
		if err := v.r.fleet.read(ctx); err != nil {
			return err
		}
		lost := v.r.fleet.lost(c.from.shard.ID)
		if len(lost) > 0 {
			killed, err := v.r.fence(ctx, c.primary, c.version, lost)
			if err != nil {
				return err
			}
			v.r.fenced(c.from.shard.ID, lost, killed)
			c.fenced = append(c.fenced, lost...)
		}
		busy := v.r.fleet.waiting(func(p *shardmap.Proxy) bool { return p.LeftMove(v.db, v.id, c.version) })
		if len(busy) == 0 {
			return nil
		}
		if err := c.catchUp(ctx); err != nil {
			return c.busy(ctx, err, busy)
		}
		if !sleep(ctx, pollProxies) {
			return c.busy(ctx, nil, busy)
		}
	}
}

func (c *cut) busy(ctx context.Context, err error, busy []string) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx) // whatever was cut off by it
	}
	return fmt.Errorf("transactions that have touched the slots haven't ended, or the map isn't served yet, at %s: %w", strings.Join(busy, ", "), err)
}

// lastPosition follows to where nobody has written the rows any more. Branches
// that were prepared by then must have ended.
func (c *cut) lastPosition(ctx context.Context) error {
	at, err := follow.Current(ctx, c.from.db)
	if err != nil {
		return err
	}
	if err := c.followTo(ctx, at); err != nil {
		return err
	}
	for !c.stream.Keep().Contains(at) {
		err := c.catchUp(ctx)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("an XA branch is prepared at %s and hasn't ended, XA RECOVER there shows it: %w", c.from.addr, context.Cause(ctx))
		case err != nil:
			return err
		}
		sleep(ctx, 2*time.Millisecond)
	}
	return nil
}

// lastComparison compares the rows that are behind, with nothing moving.
func (c *cut) lastComparison(ctx context.Context) error {
	if err := c.await(ctx); err != nil {
		return err
	}
	for c.behind() > 0 {
		if err := c.recheck(ctx, true); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil && c.behind() > 0 {
			return fmt.Errorf("%d rows haven't been found equal, such as that of %s: %w", c.behind(), c.differing(), err)
		}
	}
	return c.save(ctx)
}

// backState is what is kept at the source from the switch on.
func (c *cut) backState() *state {
	return &state{s: c.from.s, addr: c.from.addr, token: c.state.token, db: c.state.db, move: c.state.move, kind: kindBack, progress: c.v.progress()}
}

// prepareBack writes what can be written of it before the pause: that all tables
// are copied.
func (c *cut) prepareBack(ctx context.Context) error {
	ctx, cancel := c.whole(ctx)
	defer cancel()
	b := c.backState()
	return b.transaction(ctx, func() error {
		if err := b.recreate(ctx); err != nil {
			return err
		}
		for _, t := range c.mv.Database.Tables {
			if err := b.table(ctx, t.Name, tableState{done: true}); err != nil {
				return err
			}
		}
		_, err := b.s.Exec(ctx, "DELETE FROM shardway.rebalance_strays WHERE db = ? AND move = ?", b.db, b.move)
		return err
	})
}

// keepBack writes at the source what the way back begins with: where to follow
// the target from, and which of the source's transactions are no strays.
func (c *cut) keepBack(ctx context.Context) error {
	at, err := follow.Current(ctx, c.to.db)
	if err != nil {
		return err
	}
	b := c.backState()
	b.position, b.equal, b.straysFrom, b.straysKnown = at, at, c.stream.Keep(), c.stream.Position().GTID
	b.progress.State = shardmap.MoveMoved
	ctx, cancel := c.whole(ctx)
	defer cancel()
	return b.replace(ctx)
}

// lastReplicas waits until the replicas of the new owner have all.
func (c *cut) lastReplicas(ctx context.Context) error {
	at, err := follow.Current(ctx, c.to.db)
	if err != nil {
		return err
	}
	for _, n := range c.replicas {
		deadline, _ := ctx.Deadline()
		if err := n.Reach(ctx, at, max(time.Until(deadline), time.Millisecond)); err != nil {
			return fmt.Errorf("the replica %w", err)
		}
	}
	return nil
}

// store stores the map with the new owner. When the answer is lost it looks what
// became of it, until time is over. Taking the pause back is safe even then: it
// is a compare-and-swap too.
func (c *cut) store(ctx context.Context, paused, next shardmap.MoveState) error {
	v := c.v
	for {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.r.Statement)
		_, err := v.r.swap(within, v.db, v.id, fmt.Sprintf("move %s: %s owns the slots", v.id, c.to.shard.ID), []shardmap.MoveState{paused}, to(next))
		cancel()
		mv := v.move()
		switch {
		case err == nil, errors.Is(err, errState) && mv != nil && mv.State == next:
			return v.r.point("stored")
		case errors.Is(err, errAgain), errors.Is(err, errState):
			return err
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return err
		}
	}
}

func (r *run) paused(p Pause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Pauses = append(r.report.Pauses, p)
}

// rowText is a row as people read it, "" when it isn't there.
func rowText(ctx context.Context, s *rows.Session, t *rows.Table, key rows.Key, where string) (string, error) {
	var columns []string
	for _, i := range t.Key {
		columns = append(columns, shardmap.QuoteName(t.Columns[i].Name))
	}
	query := "SELECT * FROM " + t.String() + " WHERE (" + strings.Join(columns, ",") + ") = (" + string(key) + ")"
	if where != "" {
		query += " AND " + where
	}
	list, err := s.Query(ctx, query)
	if err != nil {
		return "", err
	}
	defer list.Close()
	names, err := list.Columns()
	if err != nil || !list.Next() {
		return "", errors.Join(err, list.Err())
	}
	cells, at := make([]*string, len(names)), make([]any, len(names))
	for i := range cells {
		at[i] = &cells[i]
	}
	if err := list.Scan(at...); err != nil {
		return "", err
	}
	var parts []string
	for i, name := range names {
		value := "NULL"
		if cells[i] != nil {
			value = fmt.Sprintf("%.200q", *cells[i])
		}
		parts = append(parts, name+"="+value)
	}
	return strings.Join(parts, ", "), nil
}
