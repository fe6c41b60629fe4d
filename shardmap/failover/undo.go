package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shardway/shardmap"
)

// Cancel undoes a switchover, or a failover, that was begun and not decided:
// the old primary takes writes again and the shard isn't paused any more. It is
// for one whose process is dead; one that lives finds that it may not go on,
// and stops. It fails with a *Refused error once the target takes writes: then
// only going on is left.
func Cancel(ctx context.Context, store Store, shard string, o Options) (Report, error) {
	r := newRun(store, shard, o)
	defer r.close()
	err := r.cancel(ctx)
	return *r.report, err
}

func (r *run) cancel(ctx context.Context) error {
	sh, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.report.From = sh.Primary.Addr
	found, ours := parsePause(sh.Paused)
	switch {
	case sh.Paused == "":
		return refuse("", "", "shard %s isn't paused: there is nothing to cancel", sh.ID)
	case !ours:
		return refuse("", "", "shard %s is paused by something else: %s", sh.ID, sh.Paused)
	}
	r.report.To = found.to
	if found.phase == promoting && found.to != "" {
		s, err := r.inspect(ctx, found.to)
		switch {
		case err != nil:
			r.report.warn("%s doesn't answer, so it isn't known whether it takes writes; before it serves again, make it read-only and let it follow %s", found.to, sh.Primary.Addr)
		case !s.ReadOnly:
			return refuse(found.to, "`shardctl switchover "+sh.ID+" --to "+found.to+"` finishes it", "it takes writes already, so it is too late to cancel")
		}
	}
	return r.undo(ctx, found)
}

// giveUp undoes everything after err, unless the target takes writes, and
// returns err with what became of it.
func (r *run) giveUp(ctx context.Context, err error) error {
	if errors.Is(err, errCrash) {
		return err
	}
	// What was interrupted is undone all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if errors.Is(err, errTaken) {
		return r.giveWay(ctx, err)
	}
	if r.pause.phase == promoting {
		s, inspectErr := r.inspect(ctx, r.report.To)
		if inspectErr != nil || !s.ReadOnly {
			return fmt.Errorf("%w; %s may take writes already, so the shard stays paused and the old primary read-only: do it again to go on, or `shardctl switchover %s --cancel` if it can't", err, r.report.To, r.shard)
		}
	}
	undoErr := r.undo(ctx, r.pause)
	switch {
	case errors.Is(undoErr, errTaken):
		return r.giveWay(ctx, err)
	case undoErr != nil:
		return fmt.Errorf("%w; and undoing it failed, so that the shard may be paused and %s read-only: %w; `shardctl switchover %s --cancel` undoes it", err, r.report.From, undoErr, r.shard)
	}
	return fmt.Errorf("%w; all is as before", err)
}

// giveWay ends a run whose place another has taken. Where that one has undone
// it all, this one may have made the primary read-only after that.
func (r *run) giveWay(ctx context.Context, err error) error {
	sh, loadErr := r.load(ctx)
	if loadErr != nil || sh.Paused != "" || sh.Primary.Addr != r.report.From {
		return err
	}
	if n, nodeErr := r.node(ctx, sh.Primary.Addr); nodeErr == nil {
		if is, readErr := n.IsReadOnly(ctx); readErr == nil && is {
			return errors.Join(err, r.undo(ctx, r.pause))
		}
	}
	return err
}

// undo makes all as it was before the pause that was found in the map.
func (r *run) undo(ctx context.Context, found pause) error {
	began := time.Now()
	sh := r.stored.Shard(r.shard)
	// Whoever else is at it, and lives, may not go on from here.
	found.phase, found.by = undoing, r.By
	if err := r.swapPause(ctx, found); err != nil {
		return err
	}
	if err := r.undoServers(ctx, sh, found.to); err != nil {
		return err
	}
	err := r.swap(ctx, "undo "+found.String(), func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithPaused(r.shard, "") })
	if err != nil {
		return err
	}
	r.report.Undone, r.report.Pause = true, time.Since(r.paused)
	r.done(Step{Name: stepUndo, Text: fmt.Sprintf("version %d of the map: %s is the primary as before", r.stored.Version(), sh.Primary.Addr), Took: time.Since(began)})
	return nil
}

// undoServers lets the old primary take writes again and the target follow it.
func (r *run) undoServers(ctx context.Context, sh *shardmap.Shard, to string) error {
	if to != "" {
		if err := r.undoTarget(ctx, sh, to); err != nil {
			r.report.warn("%s", err)
		}
	}
	// A server that has died is the failover's business, which needs a map that
	// isn't paused by us.
	again, cancel := context.WithTimeout(ctx, 2*r.Statement)
	defer cancel()
	var problem error
	_, _ = poll(again, 200*time.Millisecond, func() (bool, error) {
		n, err := r.node(again, sh.Primary.Addr)
		if err == nil {
			err = n.writable(again)
		}
		problem = err
		return err == nil, nil
	})
	if problem != nil {
		r.report.warn("%s doesn't answer: %s; if it comes back read-only, SET GLOBAL read_only = OFF there", sh.Primary.Addr, problem)
	}
	return ctx.Err()
}

// undoTarget makes the target a replica again where it has stopped being one.
func (r *run) undoTarget(ctx context.Context, sh *shardmap.Shard, to string) error {
	s, err := r.inspect(ctx, to)
	if err != nil {
		return err
	}
	n := r.nodes[to]
	if !s.ReadOnly {
		if err := n.readOnly(ctx, nil); err != nil {
			return err
		}
	}
	switch {
	case s.Replica == nil:
		if r.ReplicationUser == "" {
			return fmt.Errorf("%s follows nobody: let it follow %s", to, sh.Primary.Addr)
		}
		return n.follow(ctx, sh.Primary.Addr, &login{user: r.ReplicationUser, password: r.ReplicationPassword})
	case s.Replica.Receiver == "No" || !s.Replica.Applier:
		return n.Exec(ctx, "START "+n.word())
	}
	return nil
}
