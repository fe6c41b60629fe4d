package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/claims"
	"shardway/router/parse"
	"shardway/router/plan"
	"shardway/shardmap"
)

// claimed plans a statement that is going to be run, by a map that was still the current one after the session had said
// what the statement uses of it. While slots that it needs are paused it waits.
func (s *session) claimed(ctx context.Context, o *Options, t *text) (plan.Plan, *shardmap.Map, *text, error) {
	counts := !t.st.Is(parse.FlagRead) || s.x.InTransaction() || !s.x.Autocommit()
	var since time.Time // when it began to wait
	for {
		m := o.Maps.Current()
		s.claim.Plan(m, counts)
		flat, err := s.withoutViews(ctx, o, t, m)
		if err != nil {
			return nil, nil, nil, err
		}
		p, err := s.planToRun(ctx, flat, m)
		if err != nil {
			return nil, nil, nil, err
		}
		if pick, ok := p.(*plan.Pick); ok {
			if p, err = s.withKeys(ctx, flat, m, &s.facts, pick); err != nil {
				return nil, nil, nil, err
			}
		}
		moves := plan.Moving(p)
		verdict, move := s.claim.Use(m, s.withComing(moves, flat.st, p, m), counts || plan.Writes(p))
		switch verdict {
		case claims.Go:
			return p, m, flat, s.snapshot(flat.st, p, moves, m)
		case claims.Wait:
			if since.IsZero() {
				since = time.Now()
			}
			if err := s.waitForSlots(ctx, o, t.st, m, move, since); err != nil {
				return nil, nil, nil, err
			}
		case claims.Again:
		}
	}
}

// Why a statement waits for slots no longer.
var (
	errHeld = errors.New("failover.hold_timeout has passed")
	errLate = errors.New("the statement's time is over")
)

// waitForSlots waits until another map than m is current, at most until the statement has waited for the hold timeout
// since then.
func (s *session) waitForSlots(ctx context.Context, o *Options, st *parse.Statement, m *shardmap.Map, v *shardmap.Move, since time.Time) error {
	if err := s.conn.Flush(); err != nil { // what the client was answered before
		return err
	}
	if s.x.Keeps() {
		s.takeBack()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithDeadlineCause(ctx, since.Add(o.HoldTimeout), errHeld)
	defer stop()
	timeout := o.QueryTimeout
	if st.Hints.Timeout > 0 {
		timeout = st.Hints.Timeout
	}
	if timeout > 0 {
		late, stop := context.WithDeadlineCause(ctx, s.clock.Add(timeout), errLate)
		defer stop()
		ctx = late
	}
	s.endWait.Store(&cancel)
	defer s.endWait.Store(nil)
	if s.killed.Load() {
		return errLeave
	}
	switch err := s.claim.Wait(ctx, m, v); {
	case errors.Is(err, errHeld):
		return protocol.Errorf(1205, "HY000", "shardway: slots %s of database %s are paused while they move from shard %s to %s (move %s, %s) and the statement has waited for them for %s, as failover.hold_timeout says; nothing was done, try it again",
			slotList(v), v.Database.Name, v.From.ID, v.To.ID, v.ID, v.State, time.Since(since).Round(time.Millisecond))
	case errors.Is(err, errLate):
		return protocol.Errorf(3024, "HY000", "shardway: stopped after %v, as its timeout asks", timeout)
	default:
		return err
	}
}

// stopWaiting ends the wait of a session for slots, if it is in one, with an error. It may be called from any goroutine.
func (s *session) stopWaiting(why error) {
	if cancel := s.endWait.Load(); cancel != nil {
		(*cancel)(why)
	}
}

// slotList is a move's slots as the map writes them.
func slotList(v *shardmap.Move) string {
	const most = 32
	list := shardmap.FormatSlots(v.Slots())
	if len(list) > most {
		list = append(list[:most:most], fmt.Sprintf("… %d more", len(list)-most))
	}
	return strings.Join(list, ", ")
}

// withComing adds to moves those that may bring slots to the shards of a transaction's snapshots. A transaction that has
// one of such a shard doesn't see their rows once they have come, so the move waits for its end as for that of one that has
// used the slots, and it begins after the move where that is under way.
func (s *session) withComing(moves []*shardmap.Move, st *parse.Statement, p plan.Plan, m *shardmap.Map) []*shardmap.Move {
	if !s.takesSnapshot(st) {
		return moves
	}
	for _, d := range m.Databases() {
		for _, v := range d.Moves() {
			if !v.Begun() || v.State == shardmap.MoveCleaning || slices.Contains(moves, v) {
				continue
			}
			s.eachSeen(p, func(shard string) {
				if shard == v.Copies().ID && s.x.KeepsSnapshot(shard) && !slices.Contains(moves, v) {
					moves = append(slices.Clip(moves), v)
				}
			})
		}
	}
	return moves
}

// snapshot is for a statement of a transaction. One that reads slots which have come to a shard after the transaction's
// snapshot of that shard was taken wouldn't see their rows: the transaction is rolled back, as after a deadlock. That is for
// whoever was waited for in vain.
func (s *session) snapshot(st *parse.Statement, p plan.Plan, moves []*shardmap.Move, m *shardmap.Map) error {
	if !s.takesSnapshot(st) {
		return nil
	}
	if len(moves) > 0 {
		if v := s.claim.Missed(moves, s.x.KeepsSnapshot); v != nil {
			s.x.Abandon()
			return protocol.Errorf(1213, "40001", "shardway: slots %s of database %s moved to shard %s during this transaction (move %s), whose snapshot of that shard is older and lacks their rows, so it was rolled back; run it again from its start",
				slotList(v), v.Database.Name, v.Owner().ID, v.ID)
		}
	}
	s.eachSeen(p, func(shard string) { s.claim.Saw(shard, m) })
	return nil
}

// takesSnapshot says whether a statement is part of a transaction and may read as of its snapshots.
func (s *session) takesSnapshot(st *parse.Statement) bool {
	return readsAsOf(st) && (s.x.InTransaction() || !s.x.Autocommit())
}

// eachSeen calls f with each shard of which a statement of a transaction may read rows.
func (s *session) eachSeen(p plan.Plan, f func(shard string)) {
	gathered := func(g *plan.Gather) {
		for i := range g.Copies {
			for _, shard := range g.Copies[i].Shards {
				f(shard.ID)
			}
		}
	}
	switch p := p.(type) {
	case *plan.One:
		f(p.Shard.ID)
		if p.Role == plan.Any {
			for _, shard := range s.x.TransactionShards() { // it runs on whichever of them is at hand
				f(shard)
			}
		}
	case *plan.Many:
		for i := range p.Parts {
			f(p.Parts[i].Shard.ID)
		}
		if p.Else != nil {
			gathered(p.Else)
		}
	case *plan.Gather:
		gathered(p)
	default:
	}
}

// readsAsOf says whether a statement may read rows without locking them, and so as of the transaction's snapshot.
func readsAsOf(st *parse.Statement) bool {
	switch st.Kind {
	case parse.Insert, parse.Replace, parse.Update, parse.Delete, parse.LoadData, parse.DDL, parse.Lock, parse.Unlock, parse.Use, parse.Show,
		parse.Begin, parse.Commit, parse.Rollback, parse.Savepoint, parse.RollbackTo, parse.ReleaseSavepoint, parse.SetTransaction, parse.Kill,
		parse.Empty, parse.Several, parse.ShowShardway, parse.ExplainRoute, parse.Flush, parse.Account, parse.Deallocate:
		return false
	case parse.Select:
		return !st.Is(parse.FlagLocks) && !readsNoTable(st)
	case parse.Set, parse.Do, parse.Explain, parse.Describe:
		return len(st.Blocks) > 0 || st.Inner != nil || st.Is(parse.FlagStoredFunction)
	default:
		return true
	}
}
