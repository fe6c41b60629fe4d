package exec

import (
	"context"
	"errors"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/gather"
)

// Passage is the way of one row from a shard to another one.
type Passage struct {
	DB, Table string
	From, To  string
	// Where is the condition that the row alone meets at From.
	Where string
	// Was, where it isn't empty, is the condition that the row alone met at the last Point: From goes back there once the row
	// is read.
	Was string
	// Copy is the condition for a copy of the row as it was that To may have; "" where it has none.
	Copy string
}

// CopyError is why a row can't be moved: the copy that its new shard has of it, as it was, holds a value of a unique index.
type CopyError struct{ Err *protocol.Error }

func (e *CopyError) Error() string { return e.Err.Error() }

// rowPoint is the savepoint of Point.
const rowPoint = "`shardway row`"

// Point is where a later Move of a row goes back to at a shard, in the open transaction.
func (s *Session) Point(ctx context.Context, shard string) error {
	c, err := s.movesAt(ctx, shard)
	if err != nil {
		return err
	}
	_, err = c.Exec("SAVEPOINT " + rowPoint)
	return s.moveError(c, err)
}

// movesAt is the open transaction's connection at a shard. An error is the client's.
func (s *Session) movesAt(ctx context.Context, shard string) (*backend.Conn, error) {
	r := &Request{Shard: shard, Role: backend.Primary, AnySchema: true}
	c, err := s.participant(ctx, r)
	if lost, ok := errors.AsType[*lostError](err); ok {
		return nil, lost.forClient(r)
	}
	return c, err
}

// Move takes a row from a shard to another one, byte by byte, inside the open transaction. Generated columns are made anew
// there. It says false, and does nothing, where no row meets the condition.
func (s *Session) Move(ctx context.Context, p *Passage) (bool, error) {
	old, err := s.movesAt(ctx, p.From)
	if err != nil {
		return false, err
	}
	insert, err := s.reads(old, p)
	if insert == "" || err != nil {
		return false, err
	}
	where := p.Where
	if p.Was != "" {
		where = p.Was
		if _, err := old.Exec("ROLLBACK TO SAVEPOINT " + rowPoint); err != nil {
			return false, s.moveError(old, err)
		}
	}
	if _, err := old.Exec(p.delete(where)); err != nil {
		return false, s.moveError(old, err)
	}
	s.wrote(old)
	home, err := s.movesAt(ctx, p.To)
	if err != nil {
		return false, err
	}
	err = s.stores(home, insert)
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Code == duplicate && p.Copy != "" {
		err = s.copied(home, p, insert, e)
	}
	if err != nil {
		return false, s.moveError(home, err)
	}
	s.wrote(home)
	return true, nil
}

func (p *Passage) delete(where string) string {
	return "DELETE FROM " + gather.Name(p.DB) + "." + gather.Name(p.Table) + " WHERE " + where
}

// reads makes the INSERT for a row, "" where there is none.
func (s *Session) reads(c *backend.Conn, p *Passage) (string, error) {
	columns, err := c.Query(gather.ColumnsSQL(p.DB, p.Table))
	if err != nil {
		return "", s.moveError(c, err)
	}
	t := gather.Read(columns.Rows, nil, strings.Contains(c.Greeting().Version, "MariaDB"))
	kept := t.Columns[:0]
	for _, c := range t.Columns {
		if c.Generation == "" {
			kept = append(kept, c)
		}
	}
	t.Columns = kept
	row := t.Choose(p.DB, p.Table, true, nil)
	res, err := c.Query(row.Select(p.DB, p.Table, p.Where, gather.All))
	if err != nil {
		return "", s.moveError(c, err)
	}
	switch len(res.Rows) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", protocol.Errorf(1105, "HY000", "shardway: %d rows of %s.%s on shard %s have the same primary key, so one of them can't be moved", len(res.Rows), p.DB, p.Table, p.From)
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
		return "", protocol.Errorf(1105, "HY000", "shardway: a row of %s.%s on shard %s can't be written as SQL", p.DB, p.Table, p.From)
	}
	return string(insert), nil
}

// stores inserts a row as it was read.
func (s *Session) stores(c *backend.Conn, insert string) error {
	neutral := state{schema: stateOf(c.State).schema}
	for _, v := range gather.Neutral {
		neutral.set(v[0], v[1])
	}
	if err := s.sync(c, neutral.handle()); err != nil {
		return err
	}
	_, err := c.Exec(insert)
	return err
}

// duplicate is a server's error for a value that a unique index has already.
const duplicate = 1062

// copied finds out whether it is the copy of a row as it was that is in the way of the row. The copy has to stay: whoever
// keeps the copies as the rows are can't tell who has removed it.
func (s *Session) copied(c *backend.Conn, p *Passage, insert string, e *protocol.Error) error {
	unbound := stateOf(s.handle)
	unbound.set("foreign_key_checks", "0") // what refers to the copy stays
	if err := s.sync(c, unbound.handle()); err != nil {
		return err
	}
	if _, err := c.Exec("SAVEPOINT " + rowPoint); err != nil {
		return err
	}
	reply, err := c.Exec(p.delete(p.Copy))
	if err == nil && reply.AffectedRows == 0 {
		return e
	}
	if err == nil {
		err = s.stores(c, insert)
	}
	refused, ok := errors.AsType[*protocol.Error](err)
	if err != nil && (!ok || refused.Code != duplicate) {
		return err
	}
	if _, err := c.Exec("ROLLBACK TO SAVEPOINT " + rowPoint); err != nil {
		return err
	}
	if ok {
		return e // another row is in the way as well
	}
	return &CopyError{e}
}

// wrote notes that a participant has something to commit.
func (s *Session) wrote(c *backend.Conn) {
	if p := s.partOn(c); p != nil {
		p.Wrote = true
	}
}

// moveError is what the client is told of an error on one of the transaction's connections.
func (s *Session) moveError(c *backend.Conn, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*CopyError](err); ok {
		return err
	}
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
