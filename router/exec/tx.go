package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/xact"
)

// transaction is the client's open transaction. It is opened at a server by the first statement that needs one.
type transaction struct {
	open     bool                // BEGIN was answered, or a savepoint was set with autocommit off
	readOnly bool                // START TRANSACTION READ ONLY
	start    string              // the statement that opens it at a server; "" when autocommit off does
	parts    []*xact.Participant // where it is open, none until the first statement; the first one began it
	id       xact.ID             // of its branches, "" while it has none
	cross    CrossShard          // as it was when it began
	points   []savepoint         // a shard that joins gets them all
	next     []string            // the SET TRANSACTION statements that it was opened with
}

// savepoint is one that the client has set.
type savepoint struct{ name, sql string }

// InTransaction says whether a transaction is open for the client.
func (s *Session) InTransaction() bool { return s.tx.open || len(s.tx.parts) > 0 }

// Bound says whether the open transaction is at a server.
func (s *Session) Bound() bool { return len(s.tx.parts) > 0 }

// KeepsSnapshot says whether the open transaction, or one that begins now, reads a shard's rows as they were at its first
// read there, unless it is known not to.
func (s *Session) KeepsSnapshot(shard string) bool {
	if p := s.partAt(shard); p != nil {
		return p.Repeatable
	}
	return s.repeatable()
}

// repeatable says whether a transaction that begins now does so.
func (s *Session) repeatable() bool {
	level := s.state.get("transaction_isolation") + s.state.get("tx_isolation")
	for _, next := range slices.Concat(s.tx.next, s.next) {
		if strings.Contains(strings.ToUpper(next), "ISOLATION") {
			level = next
		}
	}
	words := strings.Fields(strings.ReplaceAll(strings.ToUpper(level), "-", " "))
	return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "COMMITTED") })
}

// ReadOnlyTransaction says whether the open transaction is READ ONLY.
func (s *Session) ReadOnlyTransaction() bool { return s.tx.readOnly }

// TransactionShards are the shards that the open transaction is on, the one where it began first; none before its first
// statement.
func (s *Session) TransactionShards() []string {
	if len(s.tx.parts) == 0 {
		return nil
	}
	shards := make([]string, len(s.tx.parts))
	for i, p := range s.tx.parts {
		shards[i] = p.Shard
	}
	return shards
}

// Next keeps a SET TRANSACTION statement for the next transaction.
func (s *Session) Next(sql string) {
	if len(s.next) == 0 {
		s.nextUsed = nil // what is left there is of connections that broke
	}
	s.next = append(s.next, sql)
}

// usedNext says whether a connection has run them and may keep them for its next transaction, and forgets it.
func (s *Session) usedNext(c *backend.Conn) bool {
	i := slices.Index(s.nextUsed, c)
	if i < 0 {
		return false
	}
	s.nextUsed = slices.Delete(s.nextUsed, i, i+1)
	return true
}

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
	s.tx.next = next
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
	s.usedNext(c) // by the transaction
	s.takePart(c, shard, "")
	return nil
}

// takePart makes a connection on which the transaction is open now one of its participants.
func (s *Session) takePart(c *backend.Conn, shard, branch string) {
	if len(s.tx.parts) == 0 {
		s.tx.cross = s.cross
	}
	s.tx.parts = append(s.tx.parts, &xact.Participant{Shard: shard, Conn: c, Branch: branch, Repeatable: s.repeatable()})
	s.keep(c, shard, WhyTransaction)
}

// applyNext runs the SET TRANSACTION statements that wait for the next transaction.
func (s *Session) applyNext(c *backend.Conn, shard string) error {
	if !s.tx.open && !s.autocommit {
		s.tx.next = append(s.tx.next, s.next...) // for the shards that join what this statement may open
	}
	s.used = s.next
	for _, sql := range s.next {
		if _, err := c.Exec(sql); err != nil {
			err = s.unopened(c, fmt.Errorf("%s of shard %s doesn't take %s: %w", c.Addr(), shard, sql, err))
			if _, refused := errors.AsType[*protocol.Error](err); refused && !s.tx.open {
				s.next = nil // it was for this statement, which has failed
			}
			return err
		}
	}
	if len(s.next) > 0 {
		s.nextUsed = append(s.nextUsed, c)
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

// End sends a COMMIT or ROLLBACK to the servers of the open transaction and answers the client. chain opens the next
// transaction with the same characteristics, at the server of its first statement; sql doesn't chain then.
func (s *Session) End(ctx context.Context, sql []byte, rollback, chain bool) (Outcome, error) {
	was := s.tx
	var out Outcome
	var err error
	if s.spread() {
		out, err = s.endSpread(ctx, rollback, chain)
	} else {
		r := &Request{
			Command: protocol.ComQuery, Payload: sql, Reply: protocol.ReplyQuery, Shard: was.parts[0].Shard, Role: backend.Primary,
			Uses: WhyTransaction, EndsTransaction: true,
		}
		if chain {
			r.SetStatus = protocol.StatusInTrans
		}
		out, err = s.endOne(ctx, r, rollback)
	}
	if chain && err == nil && out.Reply.Err == nil {
		if was.start == "" {
			was.start = "START TRANSACTION"
		}
		s.tx = transaction{open: true, readOnly: was.readOnly, start: was.start, next: was.next}
		s.next = append(s.next, was.next...)
	}
	return out, err
}

// endOne ends a transaction that is on one shard.
func (s *Session) endOne(ctx context.Context, r *Request, rollback bool) (Outcome, error) {
	c := s.tx.parts[0].Conn
	if !rollback && !c.Clean() {
		lost, _ := errors.AsType[*lostError](s.lost(c, &protocol.SideError{Side: protocol.SideServer, Err: xact.ErrEnded}, true))
		return Outcome{Server: c.Addr()}, lost.forClient(&Request{Shard: r.Shard})
	}
	out, err := s.Run(ctx, r)
	if _, told := errors.AsType[*protocol.Error](err); rollback && told && !s.InTransaction() {
		// A server rolls back what its client has left.
		out.Reply.Status = s.Status() | r.SetStatus
		return out, s.client.WriteOK(protocol.OK{Status: out.Reply.Status})
	}
	return out, err
}

// endSpread ends a transaction that is on several shards and answers the client.
func (s *Session) endSpread(ctx context.Context, rollback, chain bool) (Outcome, error) {
	s.AskInsertID()
	s.let(whyShort)
	out := Outcome{Server: s.tx.parts[0].Conn.Addr()}
	if rollback {
		s.rollbackSpread()
	} else if err := s.commitSpread(ctx); err != nil {
		return out, err
	}
	out.Reply.Status = s.Status()
	if chain {
		out.Reply.Status |= protocol.StatusInTrans
	}
	return out, s.client.WriteOK(protocol.OK{Status: out.Reply.Status})
}

// CommitSilently commits the open transaction as a statement that commits implicitly does: nothing is relayed.
func (s *Session) CommitSilently(ctx context.Context) error {
	switch len(s.tx.parts) {
	case 0:
		s.EndUnbound(false)
		return nil
	case 1:
	default:
		return s.commitSpread(ctx)
	}
	c, shard := s.tx.parts[0].Conn, s.tx.parts[0].Shard
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
	c, err := s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Any, Client: s.addr, Prefer: s.handle, FoundRows: s.found, Extended: s.extended, Owner: s.owner})
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
