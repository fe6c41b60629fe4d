package rebalance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/follow"
	"shardway/shardmap/rebalance/rows"
)

// moved keeps the source's copies as the target's rows are, looks for strays,
// and goes back or finishes when it is asked for.
func (v *mover) moved(ctx context.Context, mv *shardmap.Move) error {
	f, err := v.flow(ctx, mv, kindBack)
	if err != nil {
		return err
	}
	defer f.close()
	look, err := f.lookForStrays(ctx)
	if err != nil {
		return err
	}
	defer look.close()
	f.strays = look
	for {
		now := v.move()
		if now == nil || now.State != mv.State || now.From.Primary.Addr != f.to.addr || now.To.Primary.Addr != f.from.addr {
			return errMap
		}
		f.mv = now
		v.show(now)
		if err := look.all(ctx); err != nil {
			return err
		}
		if now.Want == shardmap.WantFinish {
			v.settle(false)
			switch why := f.mayFinish(now); why {
			case "":
				return v.finish(ctx)
			default:
				v.say(why)
				if v.strays() > 0 && !v.r.AllowStrays {
					// It was refused, so it isn't asked for any more: the way back is as open as before.
					back := func(mv *shardmap.Move) bool { mv.Want = shardmap.WantSwitch; return true }
					if _, err := v.r.swap(ctx, v.db, v.id, "refuse to finish move "+v.id, []shardmap.MoveState{shardmap.MoveMoved}, back); err != nil {
						return err
					}
					return stop("%s", why)
				}
			}
		}
		done, err := f.level(ctx, now)
		if done || err != nil {
			return err
		}
	}
}

// mayFinish says why the copies at the source must stay for now, or is "".
func (f *flow) mayFinish(mv *shardmap.Move) string {
	if n := f.v.strays(); n > 0 && !f.v.r.AllowStrays {
		return fmt.Sprintf("%d rows were written past the proxies at %s, which owns them no longer: see `shardctl rebalance status` for these strays, bring what is of use to %s, and finish with leave to drop them", n, f.to.addr, mv.To.ID)
	}
	return ""
}

// finish ends the way back.
func (v *mover) finish(ctx context.Context) error {
	if err := v.r.point("finish"); err != nil {
		return err
	}
	_, err := v.r.swap(ctx, v.db, v.id, "finish move "+v.id, []shardmap.MoveState{shardmap.MoveMoved}, to(shardmap.MoveCleaning))
	return err
}

func (v *mover) strays() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.p.Strays
}

// look follows the binary log of the shard that doesn't own the slots any more.
// Its transactions that change the slots' rows, other than the engine's, are
// strays.
type look struct {
	f      *flow
	side   *side // that shard's primary, for reading
	stream *follow.Stream
	seen   map[seen]*follow.Transaction // what it has given and isn't judged yet
}

func (f *flow) lookForStrays(ctx context.Context) (_ *look, err error) {
	e, err := f.v.connect(ctx, f.to.shard, f.to.addr)
	if err != nil {
		return nil, err
	}
	l := &look{f: f, side: e, seen: map[seen]*follow.Transaction{}}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if f.state.straysFrom.IsEmpty() { // the state was lost, and all is copied anew
		if f.state.straysFrom, err = follow.Current(ctx, f.to.db); err != nil {
			return nil, err
		}
	}
	mark, err := rows.Describe(ctx, f.to.db, "shardway", "rebalances")
	if err != nil {
		return nil, err
	}
	l.stream, err = f.follow(ctx, f.to, f.state.straysFrom, []*rows.Table{mark})
	if e, ok := errors.AsType[*follow.Error](err); ok && e.Purged {
		f.v.r.warn("move %s of %s: whether rows were written past the proxies at %s isn't known: %s", f.v.id, f.v.db, f.to.addr, e)
		f.verified = false // by whoever wrote there
		if f.state.straysFrom, err = follow.Current(ctx, f.to.db); err == nil {
			l.stream, err = f.follow(ctx, f.to, f.state.straysFrom, []*rows.Table{mark})
		}
	}
	if err != nil {
		return nil, err
	}
	var n int
	_, err = f.state.one(ctx, "SELECT COUNT(*) FROM shardway.rebalance_strays WHERE db = ? AND move = ?", []any{f.state.db, f.state.move}, &n)
	if err != nil {
		return nil, err
	}
	f.v.update(func(p *MoveProgress) { p.Strays = n })
	f.verified = f.verified && n == 0 // a stray is no change of the owner's
	return l, nil
}

func (l *look) close() {
	if l.stream != nil {
		_ = l.stream.Close() // it only reads
	}
	l.side.close()
}

// seen is a row that a transaction that isn't the engine's has changed.
type seen struct {
	t   *table
	key rows.Key
}

// all looks at what is there now.
func (l *look) all(ctx context.Context) error {
	f := l.f
	at, err := follow.Current(ctx, f.to.db)
	if err != nil {
		return err
	}
	for !l.stream.Reached(at) {
		tx, err := l.stream.Next(ctx)
		if err != nil {
			return err
		}
		if len(tx.Marked) == 0 && !l.known(tx) {
			for _, c := range tx.Changed {
				// Reference tables are written by nobody else where they are copies.
				if t := f.table(c.Table); t != nil && t.where != "" {
					for _, key := range c.Keys {
						if !t.outside(f.mv, key) {
							l.seen[seen{t, key}] = tx
						}
					}
				}
			}
		}
		if len(l.seen) >= batch {
			if err := l.judge(ctx); err != nil {
				return err
			}
		}
		if len(l.seen) == 0 {
			f.state.straysFrom = tx.Keep
		}
	}
	if len(l.seen) == 0 {
		return nil
	}
	if err := l.judge(ctx); err != nil {
		return err
	}
	f.state.straysFrom = l.stream.Keep()
	return nil
}

// last is all while statements wait for the way back: a row that was written past
// the proxies by now would be the owner's.
func (l *look) last(ctx context.Context) error {
	if err := l.all(ctx); err != nil {
		return err
	}
	if !l.f.verified {
		return fmt.Errorf("rows were written past the proxies at %s, and are compared first", l.f.to.addr)
	}
	return nil
}

// known says whether a transaction is from before the switch.
func (l *look) known(tx *follow.Transaction) bool {
	id, err := gtid.Parse(tx.GTID)
	return err == nil && !id.IsEmpty() && l.f.state.straysKnown.Contains(id)
}

// judge records those of the rows that are in the move's slots on either side.
// Whether they are alike by now says nothing: the engine may have put the
// owner's row in place of the stray.
func (l *look) judge(ctx context.Context) error {
	f := l.f
	if err := follow.Await(ctx, f.to.db, l.stream.Position()); err != nil {
		return err
	}
	by := map[*table][]rows.Key{}
	for s := range l.seen {
		by[s.t] = append(by[s.t], s.key)
	}
	for t, keys := range by {
		var here, there map[rows.Key]rows.Hash
		err := both(
			func() (err error) { there, err = f.from.s.HashesOf(ctx, t.shape, keys, t.where); return err },
			func() (err error) { here, err = l.side.s.HashesOf(ctx, t.shape, keys, t.where); return err })
		if err != nil {
			return err
		}
		maps.Copy(there, here)
		for _, key := range slices.Sorted(maps.Keys(there)) {
			tx := l.seen[seen{t, key}]
			if tx == nil { // the key has another text in the row
				tx = &follow.Transaction{At: time.Now()}
			}
			if err := l.record(ctx, t, tx, key); err != nil {
				return err
			}
		}
	}
	clear(l.seen)
	return nil
}

func (l *look) record(ctx context.Context, t *table, tx *follow.Transaction, key rows.Key) error {
	f := l.f
	known, err := f.state.one(ctx, "SELECT 1 FROM shardway.rebalance_strays WHERE db = ? AND move = ? AND name = ? AND row_key = ? AND gtid = ?",
		[]any{f.state.db, f.state.move, t.name, string(key), tx.GTID}, new(int))
	if err != nil || known { // by an engine that ended before it had stored how far it was
		return err
	}
	here, err := rowText(ctx, l.side.s, t.shape, key, t.where)
	if err != nil {
		return err
	}
	owner, err := rowText(ctx, f.from.s, t.shape, key, t.where)
	if err != nil {
		return err
	}
	f.state.progress = f.v.progress()
	f.state.progress.Strays++
	err = f.state.write(ctx, func() error {
		_, err := f.state.s.Exec(ctx, "INSERT INTO shardway.rebalance_strays (db, move, name, row_key, gtid, at, here, owner) VALUES (?, ?, ?, ?, ?, FROM_UNIXTIME(?), ?, ?)",
			f.state.db, f.state.move, t.name, string(key), tx.GTID, tx.At.Unix(), here, owner)
		return err
	})
	if err != nil {
		return err
	}
	f.v.update(func(p *MoveProgress) { p.Strays++ })
	f.verified = false // the stray is no change of the owner's
	f.v.r.mu.Lock()
	defer f.v.r.mu.Unlock()
	if len(f.v.r.report.Strays) < 1000 {
		f.v.r.report.Strays = append(f.v.r.report.Strays, Stray{Move: f.v.id, Table: t.name, Key: string(key), GTID: tx.GTID, At: tx.At.In(time.UTC), Here: here, Owner: owner})
	}
	return nil
}
