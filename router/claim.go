package router

import (
	"context"
	"errors"
	"fmt"
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
func (s *session) claimed(ctx context.Context, o *Options, t *text) (plan.Plan, *shardmap.Map, error) {
	counts := !t.st.Is(parse.FlagRead) || s.x.InTransaction() || !s.x.Autocommit()
	var since time.Time // when it began to wait
	for {
		m := o.Maps.Current()
		s.claim.Plan(m, counts)
		p, err := s.planToRun(ctx, t, m)
		if err != nil {
			return nil, nil, err
		}
		if pick, ok := p.(*plan.Pick); ok {
			if p, err = s.withKeys(ctx, t, m, &s.facts, pick); err != nil {
				return nil, nil, err
			}
		}
		moves := plan.Moving(p)
		verdict, move := s.claim.Use(m, moves, counts || plan.Writes(p))
		switch verdict {
		case claims.Go:
			return p, m, s.snapshot(t.st, p, moves, m)
		case claims.Wait:
			if since.IsZero() {
				since = time.Now()
			}
			if err := s.waitForSlots(ctx, o, t.st, m, move, since); err != nil {
				return nil, nil, err
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

// snapshot is for a statement of a transaction. One that reads slots which have come to a shard after the transaction's
// snapshot of that shard was taken wouldn't see their rows: the transaction is rolled back, as after a deadlock.
func (s *session) snapshot(st *parse.Statement, p plan.Plan, moves []*shardmap.Move, m *shardmap.Map) error {
	if !readsAsOf(st) || !s.x.InTransaction() && s.x.Autocommit() {
		return nil
	}
	if len(moves) > 0 {
		if v := s.claim.Missed(moves, s.x.Repeatable); v != nil {
			s.x.Abandon()
			return protocol.Errorf(1213, "40001", "shardway: slots %s of database %s moved to shard %s during this transaction (move %s), whose snapshot of that shard is older and lacks their rows, so it was rolled back; run it again from its start",
				slotList(v), v.Database.Name, v.Owner().ID, v.ID)
		}
	}
	switch p := p.(type) {
	case *plan.One:
		s.claim.Saw(p.Shard.ID, m)
		if p.Role == plan.Any {
			for _, shard := range s.x.TransactionShards() { // it runs on whichever of them is at hand
				s.claim.Saw(shard, m)
			}
		}
	case *plan.Many:
		for i := range p.Parts {
			s.claim.Saw(p.Parts[i].Shard.ID, m)
		}
		if p.Else != nil {
			s.sawAll(p.Else, m)
		}
	case *plan.Gather:
		s.sawAll(p, m)
	default:
	}
	return nil
}

func (s *session) sawAll(p *plan.Gather, m *shardmap.Map) {
	for i := range p.Copies {
		for _, shard := range p.Copies[i].Shards {
			s.claim.Saw(shard.ID, m)
		}
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
