package exec

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// transaction is the client's open transaction. It is opened at a server by the first statement that needs one.
type transaction struct {
	open     bool   // BEGIN was answered, or a savepoint was set with autocommit off
	readOnly bool   // START TRANSACTION READ ONLY
	start    string // the statement that opens it at a server; "" when autocommit off does
	shard    string // where it is open; "" until the first statement
	points   []savepoint
	next     []string // the SET TRANSACTION statements that it was opened with
}

// savepoint was asked for before the transaction had a shard.
type savepoint struct{ name, sql string }

// InTransaction says whether a transaction is open for the client.
func (s *Session) InTransaction() bool { return s.tx.open || s.tx.shard != "" }

// ReadOnlyTransaction says whether the open transaction is READ ONLY.
func (s *Session) ReadOnlyTransaction() bool { return s.tx.readOnly }

// TransactionShard is the shard that the open transaction is on, "" when there is none yet.
func (s *Session) TransactionShard() string { return s.tx.shard }

// Next keeps a SET TRANSACTION statement for the next transaction.
func (s *Session) Next(sql string) { s.next = append(s.next, sql) }

// Begin opens a transaction without a server: sql opens it at the server of its first statement. An open one must
// have been committed.
func (s *Session) Begin(sql string, readOnly, readWrite bool) {
	for _, n := range s.next {
		readOnly = readOnly || !readWrite && strings.Contains(strings.ToUpper(n), "READ ONLY")
	}
	s.tx = transaction{open: true, readOnly: readOnly, start: sql}
}

// EndUnbound ends a transaction that is at no server yet. chain opens the next one with the same characteristics.
func (s *Session) EndUnbound(chain bool) {
	if chain {
		s.tx = transaction{open: s.tx.open, readOnly: s.tx.readOnly, start: s.tx.start}
		return
	}
	s.tx = transaction{}
	s.next = nil
}

// Savepoint sets a savepoint in a transaction that is at no server yet.
func (s *Session) Savepoint(name, sql string) {
	s.dropPoint(name)
	s.tx.open = true
	s.tx.points = append(s.tx.points, savepoint{name, sql})
}

// RollbackTo goes back to a savepoint of a transaction that is at no server yet; release drops it instead.
func (s *Session) RollbackTo(name string, release bool) bool {
	for i, p := range s.tx.points {
		if strings.EqualFold(p.name, name) {
			if release {
				s.tx.points = s.tx.points[:i]
			} else {
				s.tx.points = s.tx.points[:i+1]
			}
			return true
		}
	}
	return false
}

func (s *Session) dropPoint(name string) {
	for i, p := range s.tx.points {
		if strings.EqualFold(p.name, name) {
			s.tx.points = append(s.tx.points[:i], s.tx.points[i+1:]...)
			return
		}
	}
}

// bind opens the transaction at a server.
func (s *Session) bind(c *backend.Conn, shard string) error {
	if err := s.sync(c, s.handle); err != nil {
		return err
	}
	next := s.next
	if err := s.applyNext(c, shard); err != nil {
		return err
	}
	s.tx.next, s.nextUsed = next, nil
	script := make([]string, 0, 1+len(s.tx.points))
	if s.tx.start != "" {
		script = append(script, s.tx.start)
	}
	for _, p := range s.tx.points {
		script = append(script, p.sql)
	}
	for _, sql := range script {
		if _, err := c.Exec(sql); err != nil {
			s.next = next
			return s.unopened(c, fmt.Errorf("%s can't open the transaction (%s): %w", c.Addr(), sql, err))
		}
	}
	s.tx.shard = shard
	s.tx.points = nil
	s.keep(c, shard, WhyTransaction)
	return nil
}

// applyNext runs the SET TRANSACTION statements that wait for the next transaction.
func (s *Session) applyNext(c *backend.Conn, shard string) error {
	s.used = s.next
	for _, sql := range s.next {
		if _, err := c.Exec(sql); err != nil {
			err = s.unopened(c, fmt.Errorf("%s of shard %s doesn't take %s: %w", c.Addr(), shard, sql, err))
			if _, refused := errors.AsType[*protocol.Error](err); refused && !s.tx.open {
				s.next = nil // it was for this statement, which has failed
			}
			return err
		}
		s.nextUsed = c
	}
	s.next = nil
	return nil
}

// unused says whether an error leaves the characteristics of the next transaction to the next statement: a refused
// write does at every server, and on MySQL any statement that fails.
func (s *Session) unused(e *protocol.Error) bool {
	return e.Code == readOnly || !strings.Contains(s.x.cluster.Learned().Version, "MariaDB")
}

// readOnly is the error of a write in a READ ONLY transaction.
const readOnly = 1792

// unopened ends a connection on which a transaction has begun in part at most. The error is a *lostError or a server's.
func (s *Session) unopened(c *backend.Conn, err error) error {
	err = s.lost(c, err, true)
	if e, ok := errors.AsType[*protocol.Error](err); ok && s.holdOf(c) != nil {
		s.lose(c, e)
	}
	return err
}

// End sends a COMMIT or ROLLBACK to the server of the open transaction and relays the reply. chain opens the next
// transaction with the same characteristics, at the server of its first statement; sql doesn't chain then.
func (s *Session) End(ctx context.Context, sql []byte, chain bool) (Outcome, error) {
	was := s.tx
	r := &Request{
		Command: protocol.ComQuery, Payload: sql, Reply: protocol.ReplyQuery, Shard: was.shard, Role: backend.Primary,
		Uses: WhyTransaction, EndsTransaction: true,
	}
	if chain {
		r.SetStatus = protocol.StatusInTrans
	}
	out, err := s.Run(ctx, r)
	if chain && err == nil && out.Reply.Err == nil {
		if was.start == "" {
			was.start = "START TRANSACTION"
		}
		s.tx = transaction{open: true, readOnly: was.readOnly, start: was.start, next: was.next}
		s.next = append(s.next, was.next...)
	}
	return out, err
}

// CommitSilently commits the open transaction as a statement that commits implicitly does: nothing is relayed.
func (s *Session) CommitSilently() error {
	h := s.holdWith(WhyTransaction)
	if h == nil {
		s.EndUnbound(false)
		return nil
	}
	c, shard := h.conn, h.shard
	reply, err := c.Exec("COMMIT")
	if err != nil {
		err = s.lost(c, err, false)
		if lost, ok := errors.AsType[*lostError](err); ok {
			s.noteLost(shard)
			return lost.forClient(&Request{Shard: shard, EndsTransaction: true})
		}
		if status, down := ping(c); down != nil {
			s.broke(c, down)
		} else if !status.Has(protocol.StatusInTrans) {
			s.tx = transaction{}
			s.letOf(c, WhyTransaction)
		}
		return err
	}
	s.note(c, &Request{Shard: shard, Role: c.Role(), EndsTransaction: true}, &reply, false)
	s.tx = transaction{}
	s.letOf(c, WhyTransaction)
	s.park(c)
	return nil
}

// Open opens the transaction at a shard now, before its first statement.
func (s *Session) Open(ctx context.Context, shard string, role backend.Role) error {
	r := &Request{Shard: shard, Role: role}
	_, err := s.connection(ctx, r, nil)
	if lost, ok := errors.AsType[*lostError](err); ok {
		return lost.forClient(r)
	}
	return err
}

// CheckSchema asks a shard whether a schema exists; a *protocol.Error 1049 says that it doesn't.
func (s *Session) CheckSchema(ctx context.Context, shard, schema string) error {
	c, err := s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Any, Client: s.addr, Prefer: s.handle, FoundRows: s.found, Extended: s.extended})
	if err != nil {
		return err
	}
	now := stateOf(c.State)
	if now.schema == schema {
		c.Release()
		return nil
	}
	if err := initDB(c, schema); err != nil {
		c.Discard("schema refused")
		return err
	}
	now.schema = schema
	c.State = now.handle()
	c.Release()
	return nil
}
