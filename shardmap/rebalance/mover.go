package rebalance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/pace"
	"shardway/shardmap/server"
)

// mover brings one move to where its want says. It has one goroutine.
type mover struct {
	r      *run
	db, id string

	mu      sync.Mutex
	p       MoveProgress
	done    bool  // the move is where its want says
	err     error // it can't go further
	over    bool  // the move is dropped
	rate    pace.Meter
	reached time.Time          // when the copies last had all that the owner had; zero: unknown
	conns   map[string][]int64 // its connections by server

	tries  int       // switches that were taken back, since the last that was done
	next   time.Time // when a switch may be tried again
	wrongs int       // refused statements, one after the other
}

// begin makes it go on in a new session.
func (v *mover) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done, v.err = v.over, nil
}

func (v *mover) isSettled() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.done || v.err != nil
}

func (v *mover) failed() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

func (v *mover) gone() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.over
}

// settle notes whether the move is where its want says.
func (v *mover) settle(done bool) {
	v.mu.Lock()
	was := v.done
	v.done = done
	v.mu.Unlock()
	if done && !was {
		v.r.settledNow()
	}
}

// update changes what is shown of the move.
func (v *mover) update(f func(*MoveProgress)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.p)
}

// say shows what the move waits for.
func (v *mover) say(text string) { v.update(func(p *MoveProgress) { p.Wait = text }) }

// phase shows what is done with the move.
func (v *mover) phase(ph Phase, step string) {
	v.update(func(p *MoveProgress) { p.Phase, p.Step, p.Wait = ph, step, "" })
}

func (v *mover) connections(addr string) []int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.conns[addr])
}

func (v *mover) connected(addr string, id int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conns == nil {
		v.conns = map[string][]int64{}
	}
	v.conns[addr] = append(v.conns[addr], id)
}

// move is the move as the newest map has it, nil when it is dropped.
func (v *mover) move() *shardmap.Move { return find(v.r.current(), v.db, v.id) }

// run brings the move on until it is dropped, the session ends, or it can't go
// further.
func (v *mover) run(ctx context.Context) error {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		began := time.Now()
		err := v.steps(ctx)
		v.mu.Lock()
		v.conns = nil
		v.mu.Unlock()
		switch {
		case err == nil, errors.Is(err, errCrash):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errState), errors.Is(err, errMap):
			continue // the map says what to do now
		case errors.Is(err, errTaken), errors.Is(err, errAgain):
			// The locks decide, and whoever keeps them ends the session.
		case isFinal(err) || v.wrong(err, time.Since(began)):
			err = fmt.Errorf("move %s of %s: %w", v.id, v.db, err)
			v.mu.Lock()
			v.err, v.p.Error = err, err.Error()
			v.mu.Unlock()
			return err
		}
		v.update(func(p *MoveProgress) { p.Error = err.Error() })
		if time.Since(began) > time.Minute {
			wait = 200 * time.Millisecond
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// errMap ends an attempt because the map asks for something else.
var errMap = errors.New("the map has changed")

// wrong says whether a server has refused a statement so often that it will the
// next time.
func (v *mover) wrong(err error, after time.Duration) bool {
	if !isWrong(err) || after > time.Minute {
		v.wrongs = 0
		return false
	}
	v.wrongs++
	return v.wrongs >= 4
}

// steps takes one state after the other.
func (v *mover) steps(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		mv := v.move()
		if mv == nil {
			v.mu.Lock()
			v.over, v.p.Phase, v.p.Step, v.p.Wait, v.p.Error = true, PhaseDone, "", "", ""
			v.mu.Unlock()
			v.settle(true)
			return nil
		}
		v.show(mv)
		if err := v.r.point("state " + string(mv.State)); err != nil {
			return err
		}
		var err error
		switch mv.State {
		case shardmap.MovePlanned:
			err = v.planned(ctx, mv)
		case shardmap.MoveCopying:
			if cancelled(mv) {
				_, err = v.r.swap(ctx, v.db, v.id, "cancel move "+v.id, []shardmap.MoveState{shardmap.MoveCopying}, to(shardmap.MoveCleaning))
				break
			}
			err = v.copying(ctx, mv)
		case shardmap.MovePaused, shardmap.MoveReturning:
			err = v.takeBack(ctx, mv)
		case shardmap.MoveMoved:
			err = v.moved(ctx, mv)
		case shardmap.MoveCleaning:
			err = v.cleaning(ctx, mv)
		default:
			err = stop("version %d of the map has the state %q, which this shardctl doesn't know", v.r.current().Version(), mv.State)
		}
		if err != nil {
			return err
		}
	}
}

// show takes over what the map says.
func (v *mover) show(mv *shardmap.Move) {
	v.update(func(p *MoveProgress) {
		p.ID, p.Database, p.From, p.To = v.id, v.db, mv.From.ID, mv.To.ID
		p.Slots, p.State, p.Want, p.Hold = shardmap.FormatSlots(mv.Slots()), mv.State, mv.Want, mv.Hold
	})
}

// to is the edit that gives a move another state.
func to(state shardmap.MoveState) func(*shardmap.Move) bool {
	return func(mv *shardmap.Move) bool { mv.State = state; return true }
}

// cancelled says whether the operator wants the copies at the target removed.
func cancelled(mv *shardmap.Move) bool {
	return mv.Want == shardmap.WantCancel || mv.Want == shardmap.WantUndo
}

// switches says whether the operator wants the target to own the slots.
func switches(mv *shardmap.Move) bool {
	return mv.Want == shardmap.WantSwitch || mv.Want == shardmap.WantFinish
}

// planned begins a move, or drops it.
func (v *mover) planned(ctx context.Context, mv *shardmap.Move) error {
	planned := []shardmap.MoveState{shardmap.MovePlanned}
	if cancelled(mv) {
		_, err := v.r.swap(ctx, v.db, v.id, "drop move "+v.id, planned, func(*shardmap.Move) bool { return false })
		return err
	}
	v.phase(PhasePrepare, "look at the servers")
	if mv.Hold {
		v.phase(PhaseHeld, "")
		return v.waitMap(ctx, mv)
	}
	if other := v.r.bringsReference(mv); other != "" {
		v.say("rebalance " + other + " is bringing the reference tables to " + mv.To.ID)
		sleep(ctx, time.Second)
		return nil
	}
	if err := v.r.leftovers(ctx, mv); err != nil {
		return err
	}
	if err := v.forget(ctx, mv); err != nil {
		return err
	}
	if err := v.r.point("begin"); err != nil {
		return err
	}
	_, err := v.r.swap(ctx, v.db, v.id, "begin move "+v.id, planned, to(shardmap.MoveCopying))
	return err
}

// forget removes what an engine has kept of a move that had the same id.
func (v *mover) forget(ctx context.Context, mv *shardmap.Move) error {
	for _, sh := range []*shardmap.Shard{mv.From, mv.To} {
		e, err := v.connect(ctx, sh, sh.Primary.Addr)
		if err != nil {
			return err
		}
		err = dropState(ctx, e.s, v.db, v.id, true)
		e.close()
		if code := server.Code(err); err != nil && code != 1146 && code != 1049 {
			return err
		}
	}
	return nil
}

// waitMap waits for another map in which the move is another one.
func (v *mover) waitMap(ctx context.Context, mv *shardmap.Move) error {
	for {
		news := v.r.news()
		if changedMove(mv, v.move()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		}
	}
}

// changedMove says whether what an engine does with a move is another thing now.
func changedMove(was, now *shardmap.Move) bool {
	return now == nil || was.State != now.State || was.Want != now.Want || was.Hold != now.Hold ||
		was.From.Primary.Addr != now.From.Primary.Addr || was.To.Primary.Addr != now.To.Primary.Addr
}

// takeBack ends a pause that an engine has left, or that this one could not take
// back.
func (v *mover) takeBack(ctx context.Context, mv *shardmap.Move) error {
	v.phase(PhaseSwitch, "take the pause back")
	_, err := v.r.swap(ctx, v.db, v.id, "take the pause of move "+v.id+" back", []shardmap.MoveState{mv.State}, to(before(mv.State)))
	return err
}

// before is the state that a pause is taken back to.
func before(state shardmap.MoveState) shardmap.MoveState {
	if state == shardmap.MovePaused {
		return shardmap.MoveCopying
	}
	return shardmap.MoveMoved
}

// bringsReference names the rebalance, not this one, that is bringing the
// reference tables to the target, or is "".
func (r *run) bringsReference(mv *shardmap.Move) string {
	if mv.Database.Holds(mv.To) {
		return ""
	}
	for _, other := range mv.Database.Moves() {
		if other.To == mv.To && other.Begun() && other.Rebalance() != r.id {
			return other.Rebalance()
		}
	}
	return ""
}

// carries says whether the reference tables go along with a move's copies: the
// other shard doesn't have them, and the first of those that bring slots there
// brings them.
func carries(mv *shardmap.Move) bool {
	if mv.Database.Holds(mv.Copies()) {
		return false
	}
	for _, other := range mv.Database.Moves() {
		if other.Copies() == mv.Copies() && (other.State == shardmap.MoveCopying || other.State == shardmap.MovePaused) {
			return other.ID == mv.ID
		}
	}
	return false
}
