package exec

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/xact"
)

// CrossShard says what becomes of a transaction that needs a second shard.
type CrossShard = xact.CrossShard

// What can become of it.
const (
	CrossShardAtomic = xact.CrossShardAtomic
	CrossShardForbid = xact.CrossShardForbid
	CrossShardUnsafe = xact.CrossShardUnsafe
)

// CrossShard is what the session does with a transaction that needs a second shard.
func (s *Session) CrossShard() CrossShard { return s.cross }

// SetCrossShard changes it for the transactions that begin from now on.
func (s *Session) SetCrossShard(c CrossShard) { s.cross = c }

// joins says whether a request takes the open transaction to one more shard.
func (s *Session) joins(r *Request) bool {
	return len(s.tx.parts) > 0 && r.Role != Any && s.partAt(r.Shard) == nil
}

// partAt is the open transaction's participant at a shard, nil when there is none.
func (s *Session) partAt(shard string) *xact.Participant {
	for _, p := range s.tx.parts {
		if p.Shard == shard {
			return p
		}
	}
	return nil
}

// partOn is the participant on a connection.
func (s *Session) partOn(c *backend.Conn) *xact.Participant {
	for _, p := range s.tx.parts {
		if p.Conn == c {
			return p
		}
	}
	return nil
}

// spread says whether the open transaction is more than a plain one on one server.
func (s *Session) spread() bool { return len(s.tx.parts) > 1 }

// participant returns the connection on which the open transaction runs a statement at a shard, in the session's state,
// for statements that run on several shards at once: the shard joins the transaction if it isn't in it yet. An error is
// as Run's, or a *lostError. The caller sends the statement, reads the whole reply on each of its connections, and calls
// settle for each then: only settle may end the transaction, and with it what runs on the others.
func (s *Session) participant(ctx context.Context, r *Request) (*backend.Conn, error) {
	if !s.tx.open && len(s.tx.parts) == 0 { // with autocommit off the first statement opens it
		s.tx.open, s.tx.start = true, "START TRANSACTION"
	}
	c, err := s.connection(ctx, r, nil)
	if lost, ok := errors.AsType[*lostError](err); ok && lost.unsent && !lost.held {
		return s.connection(ctx, r, nil) // one fresh connection may do
	}
	return c, err
}

// join opens the transaction at one more shard.
func (s *Session) join(ctx context.Context, c *backend.Conn, shard string) error {
	if err := s.sync(c, s.handle); err != nil {
		return err
	}
	script := append([]string(nil), s.tx.next...)
	branch := ""
	switch {
	case s.tx.cross == CrossShardUnsafe, s.tx.readOnly:
		start := s.tx.start
		if start == "" {
			start = "START TRANSACTION"
		}
		script = append(script, start)
	default:
		if err := s.mayBranch(ctx, c, shard); err != nil {
			return err
		}
		if s.tx.id == "" {
			s.tx.id = s.x.transactions.Name(s.tx.parts[0].Shard)
		}
		branch = s.tx.id.Branch(c.ConnectionID())
		script = append(script, "XA START "+branch)
		if strings.Contains(strings.ToUpper(s.tx.start), "SNAPSHOT") {
			script = append(script, xact.SnapshotSQL)
		}
	}
	for _, p := range s.tx.points {
		script = append(script, p.sql)
	}
	for _, sql := range script {
		if _, err := c.Exec(sql); err != nil {
			return s.unopened(c, fmt.Errorf("%s can't join the transaction (%s): %w", c.Addr(), sql, err))
		}
	}
	s.takePart(c, shard, branch)
	s.next = nil // the transaction has what waited for it
	return nil
}

// mayBranch says why a connection can't have a branch of the open transaction; nil when it can. After an error the
// connection has been given back.
func (s *Session) mayBranch(ctx context.Context, c *backend.Conn, shard string) error {
	refuse := func(err error) error {
		if s.holdOf(c) == nil {
			c.Release()
		}
		return acquireError(err)
	}
	if why := xact.Unfit(c.Greeting().Version); why != "" {
		return refuse(protocol.Errorf(1235, "42000", "shardway: %s of shard %s can't take part in a transaction over several shards: %s", c.Addr(), shard, why))
	}
	for _, p := range s.tx.parts {
		if err := s.x.transactions.Ready(ctx, p.Shard, p.Conn.Addr()); err != nil {
			return refuse(err)
		}
	}
	if err := s.x.transactions.Ready(ctx, shard, c.Addr()); err != nil {
		return refuse(err)
	}
	return nil
}

// leave lets the participants' connections go after the transaction ended on them. The one on except is left alone.
func (s *Session) leave(parts []*xact.Participant, except *backend.Conn) {
	for _, p := range parts {
		c := p.Conn
		h := s.holdOf(c)
		switch {
		case c == except || h == nil:
		case p.Ended && p.Err == nil:
			_ = c.SetDeadline(time.Time{})
			s.letOf(c, WhyTransaction)
			s.park(c)
		default:
			s.forget(c)
			if _, broke := errors.AsType[*protocol.SideError](p.Err); broke {
				c.Failed(p.Err)
			} else {
				c.Discard("transaction")
			}
		}
	}
}

// dissolve rolls back what is left of the transaction after it ended on the connection of one participant.
func (s *Session) dissolve(ended *backend.Conn) {
	parts := s.tx.parts
	s.tx = transaction{}
	if len(parts) <= 1 {
		return
	}
	others := make([]*xact.Participant, 0, len(parts))
	for _, p := range parts {
		if p.Conn != ended {
			_ = p.Conn.SetDeadline(time.Now().Add(rollbackWait))
			others = append(others, p)
		}
	}
	xact.Rollback(others)
	s.leave(others, ended)
}

// endedAt takes over that the transaction ended at a server by itself: rolled back with an error, after a deadlock for one,
// or committed, by the client's own COMMIT or one inside a procedure. Its other participants end the same way.
func (s *Session) endedAt(p *xact.Participant, reply *protocol.Reply) {
	if p.Branch != "" {
		// The server has rolled it back and says that no transaction is open, but has the branch until it is ended: MySQL
		// only takes XA ROLLBACK after XA END.
		_ = p.Conn.SetDeadline(time.Now().Add(rollbackWait))
		xact.Rollback([]*xact.Participant{p})
		defer s.leave([]*xact.Participant{p}, nil)
	}
	if reply.Err != nil || !s.spread() {
		s.dissolve(p.Conn)
		return
	}
	var others []*xact.Participant
	for _, other := range s.tx.parts {
		if other != p {
			others = append(others, other)
		}
	}
	s.tx = transaction{}
	if xact.CommitEach(others).Outcome != xact.Committed {
		s.client.Interrupt() // the reply that it is about to get would be wrong
	}
	s.leave(others, p.Conn)
}

const (
	// lockTimeout is the error of a statement that waited too long for a lock.
	lockTimeout = 1205
	// deadlock is the error of one whose transaction was rolled back, so that others get its locks.
	deadlock = 1213
)

// deadlocked rolls a transaction back that is on several shards after it waited too long for a lock at one of them, and
// returns what the client is told: no server can see that two transactions wait for each other on two servers, so this
// is how such a deadlock ends.
func (s *Session) deadlocked(where string, e *protocol.Error) *protocol.Error {
	shards := strings.Join(s.TransactionShards(), ", ")
	s.rollbackSpread()
	return protocol.Errorf(1213, "40001", "shardway: %s has waited for a lock for too long (%s) while the transaction holds others on its shards (%s), which may be a deadlock, so it was rolled back; try it again from its start",
		where, e.Message, shards)
}

// commitSpread commits a transaction that is on several shards. The error is the client's.
func (s *Session) commitSpread(ctx context.Context) error {
	parts := s.tx.parts
	var result xact.Result
	if s.tx.cross == CrossShardUnsafe {
		result = xact.CommitEach(parts)
	} else {
		result = s.x.transactions.Commit(ctx, s.tx.id, parts)
	}
	s.tx = transaction{}
	for _, p := range parts {
		switch {
		case p.Ended && p.Err == nil:
			s.note(p.Conn, &Request{Shard: p.Shard, Role: p.Conn.Role(), EndsTransaction: true}, &p.Reply, false)
		case p.Wrote:
			s.noteLost(p.Shard)
		}
	}
	s.leave(parts, nil)
	return result.ForClient(parts)
}

// RunSavepoint runs SAVEPOINT, ROLLBACK TO or RELEASE SAVEPOINT where the open transaction is, and answers the client.
func (s *Session) RunSavepoint(ctx context.Context, sql []byte) (Outcome, error) {
	if !s.spread() {
		return s.Run(ctx, &Request{
			Command: protocol.ComQuery, Payload: sql, Reply: protocol.ReplyQuery, Shard: s.tx.parts[0].Shard,
			Role: backend.Primary, Uses: WhyTransaction,
		})
	}
	s.AskInsertID()
	s.let(whyShort)
	out := Outcome{Server: s.tx.parts[0].Conn.Addr()}
	if err := s.onAll(string(sql)); err != nil {
		out.Reply.Err, _ = errors.AsType[*protocol.Error](err)
		return out, err
	}
	out.Reply.Status = s.Status()
	return out, s.client.WriteOK(protocol.OK{Status: out.Reply.Status})
}

// onAll runs a statement on all participants of the open transaction. An error is the client's.
func (s *Session) onAll(sql string) error {
	err := xact.All(s.tx.parts, sql)
	for _, p := range s.tx.parts {
		if p.Err != nil {
			lost, _ := errors.AsType[*lostError](s.lost(p.Conn, p.Err, false))
			return lost.forClient(&Request{Shard: p.Shard})
		}
	}
	return err
}

// Abandon rolls back the open transaction, wherever it is, and tells the client nothing.
func (s *Session) Abandon() {
	if len(s.tx.parts) == 0 {
		s.EndUnbound(false)
		return
	}
	s.rollbackSpread()
}

// rollbackSpread rolls back a transaction that is on several shards.
func (s *Session) rollbackSpread() {
	parts := s.tx.parts
	s.tx = transaction{}
	xact.Rollback(parts)
	s.leave(parts, nil)
}

// statementPoint is the savepoint before a statement that runs on several shards. Clients' names don't begin so.
const statementPoint = "`shardway statement`"

// deadlockTries bounds how often a statement is run that is a deadlock's victim each time.
const deadlockTries = 4

// Atomically runs a statement that changes something on several shards, so that it happens on all of them or none: f
// sends it to connections of participant, and its error says that it failed. In a transaction of the client's own the
// statement alone is undone then; without one it is one by itself, and run again after a deadlock where it is repeatable:
// nothing of it is left, and one server alone would have had fewer locks to wait for. The error is f's, or that of undoing
// or committing, and the client's.
func (s *Session) Atomically(ctx context.Context, repeatable bool, f func() error) error {
	whole := func() error {
		if err := f(); err != nil {
			return err
		}
		return s.spared()
	}
	if s.InTransaction() || !s.autocommit {
		return s.undoable(whole)
	}
	next := s.next
	for try := 1; ; try++ {
		s.next = next
		s.Begin("START TRANSACTION", false, true)
		err := whole()
		switch {
		case err != nil && len(s.tx.parts) > 0:
			s.rollbackSpread()
		case len(s.tx.parts) == 0:
			s.tx = transaction{}
		default:
			return s.commitSpread(ctx)
		}
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != deadlock || !repeatable || try == deadlockTries || ctx.Err() != nil {
			return err
		}
		s.x.transactions.Repeated()
	}
}

// undoable runs a statement inside the client's transaction.
func (s *Session) undoable(f func() error) error {
	before := len(s.tx.parts)
	if before > 0 {
		if err := s.onAll("SAVEPOINT " + statementPoint); err != nil {
			return err
		}
	}
	s.tx.points = append(s.tx.points, savepoint{statementPoint, "SAVEPOINT " + statementPoint})
	err := f()
	s.dropPoint(statementPoint)
	if len(s.tx.parts) == 0 {
		return err // it has ended, as after a deadlock
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Code == lockTimeout && s.spread() {
		return s.deadlocked("a server", e)
	}
	undo := "RELEASE SAVEPOINT "
	if err != nil {
		undo = "ROLLBACK TO SAVEPOINT "
	}
	failed := s.onAll(undo + statementPoint)
	switch {
	case failed == nil:
		return err
	case len(s.tx.parts) == 0:
		return failed
	}
	// What is left of the statement is on some shards and not on others.
	s.rollbackSpread()
	return protocol.Errorf(1213, "40001", "shardway: a statement on several shards can't be ended alone (%s: %v), so the transaction was rolled back; try it again from its start", strings.TrimSpace(undo), failed)
}
