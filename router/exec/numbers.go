package exec

import (
	"context"
	"errors"
	"strconv"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/sequence"
	"shardway/shardmap"
)

// numberTimeout bounds how long a statement waits for numbers of a sequence, beside the pool's own bound.
const numberTimeout = 10 * time.Second

// Draw returns the first of n numbers of a table's sequence, which follow one another. The error is the client's.
func (s *Session) Draw(ctx context.Context, m *shardmap.Map, t *shardmap.Table, n int) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, numberTimeout)
	defer cancel()
	return s.x.sequences.Draw(ctx, primaries{s}, m, t, n)
}

// Past moves a table's sequence past a number that a row brings itself. The error is the client's.
func (s *Session) Past(ctx context.Context, m *shardmap.Map, t *shardmap.Table, n uint64) error {
	ctx, cancel := context.WithTimeout(ctx, numberTimeout)
	defer cancel()
	return s.x.sequences.Past(ctx, primaries{s}, m, t, n)
}

// primaries runs statements of Shardway's own at primaries, on connections that have nothing of a client's.
type primaries struct{ s *Session }

var _ sequence.Server = primaries{}

// Exec runs a statement that is committed by itself.
func (p primaries) Exec(ctx context.Context, shard, sql string) (affected, id uint64, err error) {
	err = p.on(ctx, shard, func(c *backend.Conn) error {
		reply, err := c.Exec(sql)
		affected, id = reply.AffectedRows, reply.InsertID
		return err
	})
	return affected, id, err
}

// Number runs a query that gives one number, or none.
func (p primaries) Number(ctx context.Context, shard, sql string) (n uint64, ok bool, err error) {
	err = p.on(ctx, shard, func(c *backend.Conn) error {
		res, err := c.Query(sql)
		if err != nil || len(res.Rows) == 0 || res.Rows[0][0] == nil {
			return err
		}
		if n, err = strconv.ParseUint(*res.Rows[0][0], 10, 64); err != nil {
			return protocol.Errorf(1105, "HY000", "shardway: %s is no whole number: a sequence needs an integer column", *res.Rows[0][0])
		}
		ok = true
		return nil
	})
	return n, ok, err
}

func (p primaries) on(ctx context.Context, shard string, f func(*backend.Conn) error) error {
	s := p.s
	for try := 0; ; try++ {
		c, err := s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Primary})
		if err != nil {
			return acquireError(err)
		}
		if err = s.sync(c, (&state{schema: stateOf(c.State).schema}).handle()); err != nil {
			return unready(c, &Request{Shard: shard}, err)
		}
		deadline, _ := ctx.Deadline()
		_ = c.SetDeadline(deadline)
		err = f(c)
		if _, answered := errors.AsType[*protocol.Error](err); err == nil || answered {
			_ = c.SetDeadline(time.Time{})
			c.Release()
			return err
		}
		c.Failed(err)
		if try == 1 {
			return protocol.Errorf(1105, "HY000", "shardway: %s of shard %s broke: %v", c.Addr(), shard, err)
		}
	}
}
