package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"shardway/shardmap"
	"shardway/shardmap/rebalance"
	"shardway/shardmap/rebalance/preflight"
	"shardway/shardmap/stores"
)

// lookEvery is how often a command that watches another engine looks.
const lookEvery = 300 * time.Millisecond

func rebalanceStart(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	manual, _ := flags.GetBool("manual")
	stay, _ := flags.GetBool("stay")
	var store stores.Store
	var r found
	if asksGoal(flags) {
		if len(args) > 0 {
			return usagef("an ID starts what is planned, and %s is a new plan: give one of them", "--add and the like")
		}
		s, id, err := t.makePlan(ctx, flags, true)
		if err != nil || id == "" {
			return err
		}
		store, r = s, found{id: id}
	} else {
		if dry, _ := flags.GetBool("dry-run"); dry {
			return usagef("--dry-run goes with what is to move; `shardctl rebalance status` shows what is planned")
		}
		var err error
		if store, r, err = t.startPlanned(ctx, flags, args, manual); err != nil {
			return err
		}
	}
	done := func(moves []*shardmap.Move) bool {
		return all(moves, shardmap.MoveMoved)
	}
	if stay || manual {
		done = func(moves []*shardmap.Move) bool { return len(moves) == 0 }
	}
	return t.drive(ctx, store, r, flags, stay || manual, done)
}

// startPlanned looks once more at what is planned and not begun, and asks for
// the takeover.
func (t *tool) startPlanned(ctx context.Context, flags *pflag.FlagSet, args []string, manual bool) (stores.Store, found, error) {
	store, m, err := t.load(ctx)
	if err != nil {
		return nil, found{}, err
	}
	r, err := which(m, args)
	if err != nil {
		return nil, r, err
	}
	if all(r.moves, shardmap.MovePlanned) {
		acc, err := t.operator(flags)
		if err != nil {
			return nil, r, err
		}
		maxLag, _ := flags.GetDuration("max-lag")
		report, err := preflight.Run(ctx, store, m, r.moves[0].Database.Name, r.moves, preflight.Options{Open: acc.Open, User: acc.User, MaxLag: maxLag})
		if err != nil {
			return nil, r, err
		}
		if failed := report.Failed(); len(failed) > 0 {
			return nil, r, refusef("refused, and nothing was changed:\n%s", checkLines(failed))
		}
		if err := t.confirm(fmt.Sprintf("Move the slots of %s now?", r)); err != nil {
			return nil, r, err
		}
	}
	_, err = t.ask(ctx, store, r, "start", func(v *shardmap.Move) bool {
		v.Hold = false
		if v.Want == shardmap.WantNothing && !manual {
			v.Want = shardmap.WantSwitch
		}
		return true
	})
	return store, r, err
}

func rebalancePause(ctx context.Context, t *tool, _ *pflag.FlagSet, args []string) error {
	store, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	r, err := which(m, args)
	if err != nil {
		return err
	}
	if _, err := t.ask(ctx, store, r, "pause", func(v *shardmap.Move) bool { v.Hold = true; return true }); err != nil {
		return err
	}
	return t.said(r, "nothing is copied until `shardctl rebalance resume "+r.String()+"`")
}

func rebalanceResume(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	store, m, err := t.load(ctx)
	if err != nil {
		return err
	}
	r, err := which(m, args)
	if err != nil {
		return err
	}
	if _, err := t.ask(ctx, store, r, "resume", func(v *shardmap.Move) bool { v.Hold = false; return true }); err != nil {
		return err
	}
	return t.drive(ctx, store, r, flags, false, reached)
}

// reached says whether each move is where it was asked to be.
func reached(moves []*shardmap.Move) bool {
	for _, v := range moves {
		if v.Want != shardmap.WantNothing && (v.Want != shardmap.WantSwitch || v.State != shardmap.MoveMoved) {
			return false
		}
	}
	return true
}

// gone says whether nothing is left to do.
func gone(moves []*shardmap.Move) bool { return len(moves) == 0 }

func rebalanceCutover(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	store, r, err := t.take(ctx, args)
	if err != nil {
		return err
	}
	switch {
	case all(r.moves, shardmap.MoveMoved):
		return t.said(r, "nothing to do: the new shards have taken over")
	case all(r.moves, shardmap.MovePlanned):
		return refusef("nothing was changed: %s isn't begun; shardctl rebalance start does all of it", r)
	case !all(r.moves, shardmap.MovePlanned, shardmap.MoveCopying, shardmap.MovePaused, shardmap.MoveMoved):
		return refusef("nothing was changed: %s", states(r.moves))
	}
	if err := t.want(ctx, store, r, "cutover", func(v *shardmap.Move) shardmap.MoveWant {
		if v.State == shardmap.MoveMoved {
			return v.Want
		}
		return shardmap.WantSwitch
	}); err != nil {
		return err
	}
	return t.drive(ctx, store, r, flags, false, func(moves []*shardmap.Move) bool { return all(moves, shardmap.MoveMoved) })
}

func rebalanceUndo(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	store, r, err := t.take(ctx, args)
	if err != nil {
		return err
	}
	if !all(r.moves, shardmap.MoveMoved, shardmap.MoveReturning) && !wanted(r.moves, shardmap.WantUndo) {
		return refusef("nothing was changed: %s; undo is possible when all of it has moved, and `shardctl rebalance cancel` at any time before finish", states(r.moves))
	}
	return t.end(ctx, store, r, flags, shardmap.WantUndo, fmt.Sprintf("Give the slots of %s back, with every write made since?", r))
}

func rebalanceFinish(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	store, r, err := t.take(ctx, args)
	if err != nil {
		return err
	}
	if !all(r.moves, shardmap.MoveMoved) && !wanted(r.moves, shardmap.WantFinish) {
		return refusef("nothing was changed: %s; finish is possible when all of it has moved", states(r.moves))
	}
	return t.end(ctx, store, r, flags, shardmap.WantFinish, fmt.Sprintf("Remove the rows of %s from the old shards? Undo isn't possible any more then.", r))
}

// end asks, and then brings what has moved to its end, one way or the other.
func (t *tool) end(ctx context.Context, store stores.Store, r found, flags *pflag.FlagSet, want shardmap.MoveWant, question string) error {
	if err := t.noStrays(ctx, store, r, flags); err != nil {
		return err
	}
	if err := t.confirm(question); err != nil {
		return err
	}
	if err := t.want(ctx, store, r, string(want), func(*shardmap.Move) shardmap.MoveWant { return want }); err != nil {
		return err
	}
	return t.drive(ctx, store, r, flags, false, gone)
}

func rebalanceCancel(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error {
	store, r, err := t.take(ctx, args)
	if err != nil {
		return err
	}
	if wanted(r.moves, shardmap.WantFinish) {
		return refusef("nothing was changed: %s is being finished, and rows of it may be gone from the old shards; shardctl rebalance finish goes on", r)
	}
	if all(r.moves, shardmap.MovePlanned) {
		if err := t.confirm(fmt.Sprintf("Forget the plan %s?", r)); err != nil {
			return err
		}
		// An engine that begins it meanwhile changes the map, and then it is not
		// planned any more.
		left, err := t.ask(ctx, store, r, "cancel", func(v *shardmap.Move) bool {
			v.Want = shardmap.WantCancel
			return v.State != shardmap.MovePlanned
		})
		if err != nil || len(left) == 0 {
			return errors.Join(err, t.said(r, "the plan is forgotten: nothing had been done"))
		}
	}
	if err := t.noStrays(ctx, store, r, flags); err != nil {
		return err
	}
	if err := t.confirm(fmt.Sprintf("Go back to the state before %s (%s)?", r, states(r.moves))); err != nil {
		return err
	}
	if err := t.want(ctx, store, r, "cancel", func(v *shardmap.Move) shardmap.MoveWant {
		if v.State == shardmap.MoveMoved || v.State == shardmap.MoveReturning {
			return shardmap.WantUndo
		}
		return shardmap.WantCancel
	}); err != nil {
		return err
	}
	return t.drive(ctx, store, r, flags, false, gone)
}

// strayed is why a rebalance can't be ended while strays are known.
const strayed = "rows were written past the proxies at a shard that no longer owns them: write through Shardway what of them is right, find out who writes there, and run it again with --allow-strays, after which they are gone"

// noStrays refuses to end a rebalance of which strays are known, unless that is
// allowed.
func (t *tool) noStrays(ctx context.Context, store stores.Store, r found, flags *pflag.FlagSet) error {
	o, err := t.engineOptions(flags)
	if err != nil || o.AllowStrays {
		return err
	}
	report, err := rebalance.New(store, o).Status(ctx, r.id)
	if err != nil {
		return err
	}
	if len(report.Strays) == 0 {
		return nil
	}
	t.strays(report.Strays)
	return refusef("nothing was changed: %s", strayed)
}

// errStrays ends an undo that meets strays.
var errStrays = errors.New(strayed)

// wanted says whether that is asked for all moves already.
func wanted(moves []*shardmap.Move, want shardmap.MoveWant) bool {
	for _, v := range moves {
		if v.Want != want {
			return false
		}
	}
	return len(moves) > 0
}

// take finds the rebalance that the arguments name.
func (t *tool) take(ctx context.Context, args []string) (stores.Store, found, error) {
	store, m, err := t.load(ctx)
	if err != nil {
		return nil, found{}, err
	}
	r, err := which(m, args)
	return store, r, err
}

// want says what is asked for of each move.
func (t *tool) want(ctx context.Context, store stores.Store, r found, note string, want func(*shardmap.Move) shardmap.MoveWant) error {
	_, err := t.ask(ctx, store, r, note, func(v *shardmap.Move) bool {
		v.Want, v.Hold = want(v), false
		return true
	})
	return err
}

// ask changes the moves in the stored map, whoever else changes it meanwhile, and
// returns those that are left. edit says whether a move is kept.
func (t *tool) ask(ctx context.Context, store stores.Store, r found, note string, edit func(*shardmap.Move) bool) ([]*shardmap.Move, error) {
	for {
		m, err := store.Load(ctx)
		if err != nil {
			return nil, err
		}
		next := m
		for _, v := range r.again(m) {
			if next, err = next.WithMove(v.Database.Name, v.ID, edit); err != nil {
				return nil, err
			}
		}
		if next.Equal(m) {
			return r.again(m), nil
		}
		err = store.Swap(shardmap.WithNote(ctx, "rebalance "+r.String()+": "+note), m.Version(), next)
		switch {
		case err == nil:
			return r.again(next), nil
		case !errors.Is(err, shardmap.ErrConflict):
			return nil, err
		}
	}
}

// drive runs the rebalance's engine until done says that its moves are where
// they should be, or watches another one do it.
func (t *tool) drive(ctx context.Context, store stores.Store, r found, flags *pflag.FlagSet, stay bool, done func([]*shardmap.Move) bool) error {
	o, err := t.engineOptions(flags)
	if err != nil {
		return err
	}
	o.Stay = stay
	meter := t.meter()
	outer := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	o.Progress = func(p rebalance.Progress) {
		meter.show(p)
		for _, v := range p.Moves {
			// The engine would wait for somebody who sees to them.
			if v.Want == shardmap.WantUndo && v.State == shardmap.MoveMoved && v.Strays > 0 && !o.AllowStrays {
				stop(errStrays)
			}
		}
	}
	engine := rebalance.New(store, o)
	said := ""
	for {
		rival := ""
		if asked, err := engine.Status(ctx, r.id); err == nil {
			rival = asked.By
		}
		if rival == "" {
			report, err := engine.Run(ctx, r.id)
			running, busy := errors.AsType[*rebalance.Running](err)
			if !busy {
				meter.end()
				return t.driven(outer, store, r, report, err, done)
			}
			rival = running.By
		}
		if said != rival {
			said = rival
			fmt.Fprintf(t.stderr, "%s has rebalance %s: watching it\n", rival, r.id)
		}
		report, over, err := t.watch(ctx, store, r, engine, meter, done)
		if over || err != nil {
			meter.end()
			if ctx.Err() != nil {
				return fmt.Errorf("stopped watching; %s goes on", rival)
			}
			return t.driven(outer, store, r, report, err, done)
		}
	}
}

// watch shows what another engine does, until done says that it is over or the
// engine is gone.
func (t *tool) watch(ctx context.Context, store stores.Store, r found, engine *rebalance.Engine, meter *meter, done func([]*shardmap.Move) bool) (report rebalance.Report, over bool, err error) {
	for {
		m, err := store.Load(ctx)
		if err != nil {
			return report, false, err
		}
		moves := r.again(m)
		if len(moves) == 0 { // its last report is gone with it
			report.Rebalance, report.Version, report.Moves = r.id, m.Version(), []rebalance.MoveProgress{}
			return report, done(moves), nil
		}
		if report, err = engine.Status(ctx, r.id); err == nil {
			meter.show(report.Progress)
		}
		if done(moves) || err == nil && report.By == "" {
			return report, done(moves), nil
		}
		select {
		case <-ctx.Done():
			return report, false, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// driven tells what came of a run.
func (t *tool) driven(ctx context.Context, store stores.Store, r found, report rebalance.Report, err error, done func([]*shardmap.Move) bool) error {
	interrupted := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	m, loadErr := store.Load(ctx)
	var moves []*shardmap.Move
	if loadErr == nil {
		moves = r.again(m)
	}
	switch {
	case interrupted:
		err = fmt.Errorf("stopped; what has been done stays, and `shardctl rebalance start %s` goes on: %s", r, states(moves))
	case err == nil && loadErr != nil:
		err = loadErr
	case err == nil && !done(moves):
		err = fmt.Errorf("it isn't done: %s; see shardctl rebalance status %s", states(moves), r)
	}
	if t.output == "json" {
		out := struct {
			rebalance.Report
			Error string `json:"error,omitempty"`
		}{Report: report}
		if err != nil {
			out.Error = err.Error()
		}
		if jsonErr := t.json(out); jsonErr != nil {
			return jsonErr
		}
		return err
	}
	for _, w := range report.Warnings {
		fmt.Fprintf(t.stdout, "warning: %s\n", w)
	}
	for _, p := range report.Pauses {
		if p.Done {
			fmt.Fprintf(t.stdout, "%s: %s took over, statements for the slots waited %d ms\n", p.Move, p.To, p.Took.Milliseconds())
		} else {
			fmt.Fprintf(t.stdout, "%s: a takeover by %s was taken back after %d ms: %s\n", p.Move, p.To, p.Took.Milliseconds(), p.Why)
		}
	}
	t.strays(report.Strays)
	if err != nil {
		return err
	}
	switch {
	case len(moves) == 0:
		fmt.Fprintf(t.stdout, "rebalance %s is done\n", r)
	case all(moves, shardmap.MoveMoved):
		fmt.Fprintf(t.stdout, "rebalance %s has moved; the old shards keep their rows until `shardctl rebalance finish %s`, and `shardctl rebalance undo %s` goes back\n", r, r, r)
	default:
		fmt.Fprintf(t.stdout, "%s\n", states(moves))
	}
	return nil
}

// said answers a command that only changed the map.
func (t *tool) said(r found, text string) error {
	if t.output == "json" {
		return t.json(map[string]string{"rebalance": r.String(), "result": text})
	}
	fmt.Fprintln(t.stdout, text)
	return nil
}
