package exec

import (
	"context"
	"errors"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/gather"
)

// Move takes the one row that meets a condition from a shard to another one, byte by byte, inside the open transaction.
// Generated columns are made anew there. It says false, and does nothing, where no row meets the condition.
func (s *Session) Move(ctx context.Context, db, table, where, from, to string) (bool, error) {
	ask := func(shard string) (*backend.Conn, error) {
		r := &Request{Shard: shard, Role: backend.Primary, AnySchema: true}
		c, err := s.participant(ctx, r)
		if lost, ok := errors.AsType[*lostError](err); ok {
			return nil, lost.forClient(r)
		}
		return c, err
	}
	old, err := ask(from)
	if err != nil {
		return false, err
	}
	columns, err := old.Query(gather.ColumnsSQL(db, table))
	if err != nil {
		return false, s.moveError(old, err)
	}
	t := gather.Read(columns.Rows, nil, strings.Contains(old.Greeting().Version, "MariaDB"))
	kept := t.Columns[:0]
	for _, c := range t.Columns {
		if c.Generation == "" {
			kept = append(kept, c)
		}
	}
	t.Columns = kept
	row := t.Choose(db, table, true, nil)
	res, err := old.Query(row.Select(db, table, where, gather.All))
	if err != nil {
		return false, s.moveError(old, err)
	}
	switch len(res.Rows) {
	case 0:
		return false, nil
	case 1:
	default:
		return false, protocol.Errorf(1105, "HY000", "shardway: %d rows of %s.%s on shard %s have the same primary key, so one of them can't be moved", len(res.Rows), db, table, from)
	}
	values := res.Rows[0]
	// AppendRow takes values off a row: here that is how many are left.
	insert, ok := row.AppendRow(nil, make([]byte, len(values)), func(left []byte) ([]byte, []byte, bool) {
		v := values[len(values)-len(left)]
		if v == nil {
			return nil, left[1:], true
		}
		return append([]byte{}, *v...), left[1:], true
	})
	if !ok {
		return false, protocol.Errorf(1105, "HY000", "shardway: a row of %s.%s on shard %s can't be written as SQL", db, table, from)
	}
	if _, err := old.Exec("DELETE FROM " + gather.Name(db) + "." + gather.Name(table) + " WHERE " + where); err != nil {
		return false, s.moveError(old, err)
	}
	s.wrote(old)
	home, err := ask(to)
	if err != nil {
		return false, err
	}
	neutral := state{schema: stateOf(home.State).schema}
	for _, v := range gather.Neutral {
		neutral.set(v[0], v[1])
	}
	if err := s.sync(home, neutral.handle()); err != nil {
		return false, s.moveError(home, err)
	}
	if _, err := home.Exec(string(insert)); err != nil {
		return false, s.moveError(home, err)
	}
	s.wrote(home)
	return true, nil
}

// wrote notes that a participant has something to commit.
func (s *Session) wrote(c *backend.Conn) {
	if p := s.partOn(c); p != nil {
		p.Wrote = true
	}
}

// moveError is what the client is told of an error on one of the transaction's connections.
func (s *Session) moveError(c *backend.Conn, err error) error {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.e
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		// Some errors end the transaction.
		s.settle(c, &Request{Shard: c.Shard(), Role: backend.Primary}, &protocol.Reply{Err: e}, false)
		return e
	}
	if lost, ok := errors.AsType[*lostError](s.lost(c, err, false)); ok {
		return lost.forClient(&Request{Shard: c.Shard()})
	}
	return err
}
