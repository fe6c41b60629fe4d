package rebalance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/follow"
	"shardway/shardmap/rebalance/rows"
	"shardway/shardmap/server"
)

// cleaning removes the copies of a move, which nobody reads any more, and drops
// the move.
func (v *mover) cleaning(ctx context.Context, mv *shardmap.Move) error {
	v.settle(false)
	v.phase(PhaseClean, "wait for proxies")
	v.mu.Lock()
	v.reached = time.Time{}
	v.mu.Unlock()
	v.update(func(p *MoveProgress) {
		p.Rows, p.RowsTotal, p.Tables, p.TablesDone, p.Lag, p.Error = 0, 0, 0, 0, -1, ""
	})
	sh := mv.Copies()
	// A statement that was planned when the shard owned the slots still, or
	// before it had copies, doesn't leave them out.
	if err := v.r.passed(ctx, sh, v.r.current().Version(), v.say); err != nil {
		return err
	}
	c := &cleaner{v: v, mv: mv}
	defer c.close()
	if err := c.open(ctx, sh); err != nil {
		return err
	}
	references := false
	for {
		if !references && lastThere(v.move()) {
			references = true
			// Until now they were written to, perhaps, for a move that has ended since.
			if err := v.r.passed(ctx, sh, v.r.current().Version(), v.say); err != nil {
				return err
			}
			if err := c.describe(ctx, sh, true); err != nil {
				return err
			}
		}
		for _, t := range c.tables {
			if err := c.clean(ctx, t); err != nil {
				return err
			}
		}
		if err := c.replicasHaveIt(ctx); err != nil {
			return err
		}
		if err := v.r.point("cleaned"); err != nil {
			return err
		}
		c.dropStates(ctx, mv)
		if err := v.r.point("drop"); err != nil {
			return err
		}
		// Of several moves that end at the same time, the last one empties the
		// reference tables.
		last := false
		_, err := v.r.swap(ctx, v.db, v.id, "move "+v.id+" is over", []shardmap.MoveState{shardmap.MoveCleaning}, func(now *shardmap.Move) bool {
			last = !references && lastThere(now)
			return last
		})
		if err != nil || !last {
			return err
		}
		if err := c.state.create(ctx); err != nil {
			return err
		}
	}
}

// cleaner removes the copies of a move.
type cleaner struct {
	v        *mover
	mv       *shardmap.Move
	side     *side
	replicas []*server.Server
	state    *state
	tables   []*table
	looked   time.Time // when the server was last looked at
	strain   string    // what was found
	told     time.Time // when the progress was last stored while nothing was removed
	size     int       // rows of the next chunk
}

func (c *cleaner) close() {
	c.side.close()
	closeAll(c.replicas)
}

func (c *cleaner) open(ctx context.Context, sh *shardmap.Shard) (err error) {
	v := c.v
	c.size = min(first, v.r.Chunk)
	if c.side, err = v.connect(ctx, sh, sh.Primary.Addr); err != nil {
		return err
	}
	c.replicas, _ = v.r.replicas(ctx, sh) // for their lag; at the end all are needed
	if _, err := makeState(ctx, c.side.db, c.side.addr); err != nil {
		return err
	}
	c.state = &state{s: c.side.s, addr: c.side.addr, token: v.r.token, db: v.db, move: v.id, kind: kindClean}
	known, err := c.state.load(ctx)
	if err != nil {
		return err
	}
	if !known {
		if err := c.state.create(ctx); err != nil {
			return err
		}
	}
	return c.describe(ctx, sh, false)
}

// describe reads what the tables are whose rows are removed: those that are
// sharded, or the reference tables.
func (c *cleaner) describe(ctx context.Context, sh *shardmap.Shard, references bool) error {
	for _, t := range c.mv.Database.Tables {
		if t.Reference != references {
			continue
		}
		shape, err := rows.Describe(ctx, c.side.db, c.mv.Database.Name, t.Name)
		if errors.Is(err, rows.ErrNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		e := &table{name: t.Name, shape: shape, tableState: c.state.tables[t.Name], total: uint64(max(shape.Rows, 0))}
		if t.Sharded() {
			e.where = c.mv.SlotSQL(t, "")
			e.total = e.total * uint64(len(c.mv.Slots())) / uint64(max(slotsAt(c.mv.Database, sh), 1))
		}
		c.tables = append(c.tables, e)
		c.v.update(func(p *MoveProgress) {
			p.Tables, p.RowsTotal, p.Rows = len(c.tables), total(c.tables), p.Rows+e.copied
		})
	}
	return nil
}

// slotsAt is of how many slots a shard has rows: its own, and those of which it has copies.
func slotsAt(d *shardmap.Database, sh *shardmap.Shard) int {
	n := len(d.Owned(sh.ID))
	for _, mv := range d.Moves() {
		if mv.Begun() && mv.Copies() == sh {
			n += len(mv.Slots())
		}
	}
	return n
}

// lastThere says whether nobody needs the reference tables any more at the shard
// that has copies of the move.
func lastThere(mv *shardmap.Move) bool {
	if mv == nil || mv.Database.Holds(mv.Copies()) {
		return false
	}
	sh := mv.Copies()
	for _, other := range mv.Database.Moves() {
		if other.ID != mv.ID && other.Begun() && (other.From == sh || other.To == sh) {
			return false
		}
	}
	return true
}

// clean removes the rows of one table, chunk by chunk.
func (c *cleaner) clean(ctx context.Context, t *table) error {
	v := c.v
	v.phase(PhaseClean, t.name)
	locked := 0 // how often others had locked the next rows
	for !t.done {
		if err := v.r.point("clean"); err != nil {
			return err
		}
		if now := v.move(); now == nil || now.Copies().Primary.Addr != c.side.addr {
			return errMap
		} else if now.Hold {
			v.phase(PhaseHeld, t.name)
			if !sleep(ctx, 100*time.Millisecond) {
				return context.Cause(ctx)
			}
			continue
		}
		if time.Since(c.looked) >= looksEvery {
			c.strain, c.looked = v.r.strained(ctx, []*side{c.side}, c.replicas), time.Now()
		}
		if c.strain != "" {
			if err := c.wait(ctx, c.strain, 200*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		v.phase(PhaseClean, t.name)
		var next tableState
		var n int64
		took, err := v.step(ctx, func() (err error) {
			next, n, err = c.chunk(ctx, t)
			return err
		})
		if locked++; rows.Retryable(err) && locked < 20 { // other moves remove rows here too
			if err := c.wait(ctx, "rows are locked by others, and tried again: "+err.Error(), 50*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		locked = 0
		c.size = v.r.pace.Rows(c.size, v.r.Chunk, took, v.r.ChunkTime)
		t.tableState = next
		v.rate.Add(int(n))
		v.update(func(p *MoveProgress) { p.Rows += uint64(n); p.RowsTotal = total(c.tables) })
		if err := v.r.limiter.Wait(ctx, int(n)); err != nil {
			return err
		}
	}
	v.update(func(p *MoveProgress) { p.TablesDone++ })
	return nil
}

// chunk removes the next rows of a table, and says how far it is then and how
// many they were.
func (c *cleaner) chunk(ctx context.Context, t *table) (next tableState, n int64, err error) {
	chunk, err := c.side.s.Scan(t.shape, t.where, t.after, rows.Limit{Rows: c.size}).Skip(ctx)
	if err != nil {
		return next, 0, err
	}
	if chunk == nil {
		chunk = &rows.Chunk{Last: true, Range: rows.Range{After: t.after}}
	}
	next = tableState{after: chunk.To, done: chunk.Last}
	c.state.progress = c.v.progress()
	err = c.state.write(ctx, func() error {
		if n, err = c.side.s.DeleteRange(ctx, t.shape, chunk.Range, t.where); err != nil {
			return err
		}
		next.copied = t.copied + uint64(n)
		return c.state.table(ctx, t.name, next)
	})
	return next, n, err
}

// replicasHaveIt waits until all replicas have removed the rows, as long as it
// takes: statements that are planned without the move don't leave them out.
func (c *cleaner) replicasHaveIt(ctx context.Context) error {
	at, err := follow.Current(ctx, c.side.db)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for {
		sh := c.v.r.current().Shard(c.side.shard.ID)
		why := ""
		for _, s := range sh.Replicas {
			if done[s.Addr] {
				continue
			}
			if err := c.replicaHasIt(ctx, s.Addr, at); err != nil {
				why = fmt.Sprintf("the replica has to remove the rows too, or be taken out of the map: %s", err)
			} else {
				done[s.Addr] = true
			}
		}
		if why == "" {
			c.v.say("")
			return nil
		}
		if err := c.wait(ctx, why, time.Second); err != nil {
			return err
		}
	}
}

// wait says why nothing is removed just now, also to those who ask for the status
// elsewhere.
func (c *cleaner) wait(ctx context.Context, why string, d time.Duration) error {
	c.v.say(why)
	if time.Since(c.told) >= c.v.r.Tick {
		c.told = time.Now()
		c.state.progress = c.v.progress()
		if err := c.state.write(ctx, nil); err != nil && !rows.Retryable(err) {
			return err
		}
	}
	if !sleep(ctx, d) {
		return context.Cause(ctx)
	}
	return nil
}

func (c *cleaner) replicaHasIt(ctx context.Context, addr string, at gtid.Set) error {
	n, err := c.v.r.open(ctx, addr)
	if err != nil {
		return err
	}
	defer n.Close()
	return n.Reach(ctx, at, c.v.r.MaxLag)
}

// dropStates removes what the engine keeps of the move on both sides. Left
// behind it does no harm.
func (c *cleaner) dropStates(ctx context.Context, mv *shardmap.Move) {
	for _, sh := range []*shardmap.Shard{mv.From, mv.To} {
		e, err := c.v.connect(ctx, sh, sh.Primary.Addr)
		if err == nil {
			err = dropState(ctx, e.s, c.v.db, c.v.id, sh == mv.From)
			e.close()
		}
		if err != nil && server.Code(err) != 1146 && server.Code(err) != 1049 {
			c.v.r.warn("rows of move %s of %s in shardway.rebalances stay: %s", c.v.id, c.v.db, err)
		}
	}
}
