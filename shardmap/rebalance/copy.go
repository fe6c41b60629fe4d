package rebalance

import (
	"context"
	"errors"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/follow"
	"shardway/shardmap/rebalance/rows"
)

// round is how long chunks are read and written before the binary log is
// followed again, and gentleRound while clients use the servers: the rows that
// have changed meanwhile are locked together.
const (
	round       = time.Second
	gentleRound = 200 * time.Millisecond
)

// copying copies the rows of a move, keeps the copies level, and switches when
// it is asked for. It returns when the move is in another state.
func (v *mover) copying(ctx context.Context, mv *shardmap.Move) error {
	f, err := v.flow(ctx, mv, kindTo)
	if err != nil {
		return err
	}
	defer f.close()
	for {
		now := v.move()
		if now == nil || now.State != mv.State || cancelled(now) || now.From.Primary.Addr != f.from.addr || now.To.Primary.Addr != f.to.addr {
			return errMap
		}
		f.mv = now
		v.show(now)
		if carries(now) != f.state.carries {
			return f.recarry(ctx, carries(now))
		}
		done, err := f.level(ctx, now)
		if done || err != nil {
			return err
		}
	}
}

// recarry notes that the reference tables go along now, or no longer.
func (f *flow) recarry(ctx context.Context, carry bool) error {
	_, err := f.state.s.Exec(ctx, "UPDATE shardway.rebalances SET carries = ?, writes = writes + 1 WHERE db = ? AND move = ? AND kind = ? AND engine = ?",
		carry, f.state.db, f.state.move, string(f.state.kind), f.state.token)
	if err != nil {
		return err
	}
	f.state.equal = gtid.Set{} // the other tables haven't been compared
	if err := f.save(ctx); err != nil {
		return err
	}
	return errMap
}

// level does the next thing that brings the copies nearer to the owner's rows,
// or waits a moment when they are there, or switches; done says that the move is
// in another state.
func (f *flow) level(ctx context.Context, mv *shardmap.Move) (done bool, err error) {
	v := f.v
	if !f.copied() {
		v.settle(false)
		if mv.Hold {
			f.release()
			v.phase(PhaseHeld, "")
		} else if ok, err := f.place(ctx); err != nil {
			return false, err
		} else if ok {
			if why := f.strained(ctx); why != "" {
				v.say(why)
			} else {
				v.say("")
				if err := f.round(ctx); err != nil {
					return false, err
				}
			}
		}
		if err := f.catchUp(ctx); err != nil {
			return false, err
		}
		if mv.Hold || v.waits() {
			return false, f.pause(ctx)
		}
		return false, nil
	}
	f.release()
	if err := f.catchUp(ctx); err != nil {
		return false, err
	}
	wants := f.wantsSwitch(mv)
	if !f.verified && (mv.State == shardmap.MoveCopying || wants) {
		v.settle(false)
		if err := f.verify(ctx); err != nil {
			return false, err
		}
	}
	if err := f.recheck(ctx, false); err != nil {
		return false, err
	}
	v.update(func(p *MoveProgress) {
		p.Phase, p.Step = PhaseLevel, ""
		if v.tries == 0 {
			p.Error = ""
		}
	})
	if wants {
		v.settle(false)
		return f.trySwitch(ctx, mv)
	}
	v.settle(!v.waits() && !f.asked(mv))
	return false, f.pause(ctx)
}

// pause waits a moment, or until the map is another one.
func (f *flow) pause(ctx context.Context) error {
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-f.v.r.news():
	case <-t.C:
	}
	return nil
}

// place takes one of the places for those that copy.
func (f *flow) place(ctx context.Context) (bool, error) {
	if f.copies {
		return true, nil
	}
	select {
	case f.v.r.copying <- struct{}{}:
		f.copies = true
		return true, nil
	default:
		f.v.say("other moves are copied first")
		return false, f.pause(ctx)
	}
}

func (f *flow) release() {
	if f.copies {
		<-f.v.r.copying
		f.copies = false
	}
}

// round copies chunks for a while. They are read ahead of being written, and
// all that was read is written before it returns.
func (f *flow) round(ctx context.Context) error {
	e := f.reader(ctx)
	until := time.Now().Add(round)
	if f.v.r.pace.Gentle() {
		until = time.Now().Add(gentleRound)
	}
	for _, t := range f.tables {
		if t.done {
			continue
		}
		f.v.update(func(p *MoveProgress) {
			p.Phase, p.Step, p.Error = PhaseCopy, t.name, ""
			p.Tables, p.RowsTotal = len(f.tables), f.total()
		})
		if err := f.roundOf(ctx, e, t, until); err != nil {
			return err
		}
		if !t.done || time.Now().After(until) {
			return nil
		}
	}
	return nil
}

// total estimates how many rows are to be copied.
func (f *flow) total() uint64 { return total(f.tables) }

// total estimates how many rows tables have in all, those that are done exactly.
func total(tables []*table) uint64 {
	n := uint64(0)
	for _, t := range tables {
		if t.done {
			n += t.copied
		} else {
			n += max(t.total, t.copied)
		}
	}
	return n
}

// reader is where chunks are read: a replica that has what was followed to, else
// the primary.
func (f *flow) reader(ctx context.Context) *side {
	if f.read == nil {
		return f.from
	}
	within, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := follow.Await(within, f.read.db, f.stream.Position()); err != nil {
		if f.waited++; f.waited == 10 {
			f.dropReplica()
		}
		return f.from
	}
	f.waited = 0
	return f.read
}

// dropReplica reads from the primary alone from now on.
func (f *flow) dropReplica() {
	f.read.close()
	f.read = nil
}

// replicaLimit bounds what is read from a replica: whether it hangs is nobody
// else's business.
const replicaLimit = time.Minute

// bounded is ctx, for a replica with a limit.
func (f *flow) bounded(ctx context.Context, e *side) (context.Context, context.CancelFunc) {
	if e == f.read {
		return context.WithTimeout(ctx, replicaLimit)
	}
	return context.WithCancel(ctx)
}

func (f *flow) roundOf(ctx context.Context, e *side, t *table, until time.Time) error {
	// What is read by the primary must have been committed there.
	if e == f.from {
		if err := f.await(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	chunks := make(chan *rows.Chunk, 1)
	var readErr error
	reading.Go(func() {
		defer close(chunks)
		for after, size := t.after, f.chunk; ; {
			if limit := f.v.r.Limit; limit > 0 {
				size = min(size, max(limit/4, 100)) // so that waiting for it is short
			}
			var c *rows.Chunk
			took, err := f.v.step(ctx, func() (err error) {
				within, cancel := f.bounded(ctx, e)
				defer cancel()
				c, err = e.s.Scan(t.shape, t.where, after, rows.Limit{Rows: size}).Next(within)
				return err
			})
			if err != nil || c == nil {
				readErr = err
				return
			}
			size = f.v.r.pace.Rows(size, f.v.r.Chunk, max(took, time.Duration(f.wrote.Load())), f.v.r.ChunkTime)
			select {
			case chunks <- c:
			case <-ctx.Done():
				return
			}
			f.chunk = size
			after = c.To
			if c.Last || time.Now().After(until) {
				return
			}
		}
	})
	for c := range chunks {
		if err := f.writeChunk(ctx, t, c); err != nil {
			cancel()
			for range chunks { // so that the reader ends
			}
			return err
		}
	}
	reading.Wait()
	if readErr != nil && e == f.read && ctx.Err() == nil {
		f.dropReplica()
		return nil
	}
	if readErr == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return readErr
}

// step does one step of what isn't urgent: when no move is switched, whose
// statements wait for the servers, and paced.
func (v *mover) step(ctx context.Context, work func() error) (took time.Duration, err error) {
	for len(v.r.switching) > 0 && sleep(ctx, 10*time.Millisecond) {
		continue
	}
	return v.r.pace.Step(ctx, work)
}

// writeChunk puts a chunk in place of what the target has in its range.
func (f *flow) writeChunk(ctx context.Context, t *table, c *rows.Chunk) error {
	if err := f.v.r.point("chunk"); err != nil {
		return err
	}
	n := c.Batch.Len()
	if err := f.v.r.limiter.Wait(ctx, n); err != nil {
		return err
	}
	next := tableState{after: c.To, done: c.Last, copied: t.copied + uint64(n)}
	f.state.progress = f.v.progress()
	took, err := f.v.step(ctx, func() error {
		return f.state.write(ctx, func() error {
			displaced, err := f.to.s.ReplaceRange(ctx, t.shape, c.Range, t.where, c.Batch)
			if err != nil {
				return err
			}
			f.displaced(t, displaced)
			return f.state.table(ctx, t.name, next)
		})
	})
	f.wrote.Store(int64(took))
	if err != nil {
		return err
	}
	t.tableState = next
	f.saved = time.Now()
	done := 0
	for _, t := range f.tables {
		if t.done {
			done++
		}
	}
	f.v.rate.Add(n)
	f.v.update(func(p *MoveProgress) {
		p.Rows += uint64(n)
		p.TablesDone, p.RowsTotal = done, max(f.total(), p.Rows)
	})
	return f.v.r.point("chunk written")
}

// leftovers refuses a move whose target has rows of the slots: nobody knows what
// they are, and copying would remove them.
func (r *run) leftovers(ctx context.Context, mv *shardmap.Move) error {
	db, err := r.Account.Open(mv.To.Primary.Addr)
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := rows.Connect(ctx, db, mv.To.Primary.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // it only reads
	for _, t := range mv.Database.Tables {
		if t.Reference {
			continue
		}
		shape, err := rows.Describe(ctx, db, mv.Database.Name, t.Name)
		if errors.Is(err, rows.ErrNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		list, err := s.Query(ctx, "SELECT 1 FROM "+shape.String()+" WHERE "+mv.SlotSQL(t, "")+" LIMIT 1")
		if err != nil {
			return err
		}
		found := list.Next()
		err = errors.Join(list.Err(), list.Close())
		if err != nil {
			return err
		}
		if found {
			return stop("%s has rows in %s already that are in slots %v, which %s owns: see what they are (`shardctl verify` lists them), and remove them first",
				mv.To.Primary.Addr, shape, shardmap.FormatSlots(mv.Slots()), mv.From.ID)
		}
	}
	return nil
}
