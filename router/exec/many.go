package exec

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/merge"
	"shardway/router/exec/stream"
	"shardway/router/plan"
)

// ManyRequest is one statement for several shards.
type ManyRequest struct {
	Parts []Request // what each shard runs, in the map's order; they differ in shard and text alone
	// Merge says how the rows become the answer. It is nil for writes, whose counts are added up.
	Merge  *plan.Merge
	Binary bool // the parts are EXECUTEs
	// OneByOne says that a shard begins when the one before has answered: what takes locks takes them in the same order in
	// all sessions then.
	OneByOne bool
	// Silent says that the client gets nothing, and the caller answers it by the Outcome, when a transaction is committed.
	Silent bool
	// Inner says that it is a part of another statement, which sees to the transaction and to the clock.
	Inner bool
	// Rows is by part how many of an INSERT's rows it has, where these are split; nil otherwise.
	Rows []int
	// Copies says that all parts do the same to copies of one table: the answer is the first one's, and a difference an error.
	Copies bool
	// InsertID is the first number of the rows' sequence: the insert id that the client is told, and that LAST_INSERT_ID()
	// gives then, unless no row took it; 0 where the servers number rows.
	InsertID uint64
	// Given says whether an insert id may come from the statement itself instead of a server; nil for never.
	Given func(id uint64) bool
	// MaxRows and MaxBytes limit what is sorted here.
	MaxRows, MaxBytes uint64
}

// patience is how long servers may go on with what isn't needed any more before they are told to stop.
const patience = 50 * time.Millisecond

// RunMany runs a statement on several shards and gives the client one answer, without flushing it. Errors are as Run's;
// besides, a *merge.UnmergeableError says that the rows can't be brought together and that the client has got nothing yet.
func (s *Session) RunMany(ctx context.Context, r *ManyRequest) (Outcome, error) {
	if err := s.oneTransaction(r); err != nil {
		return Outcome{}, err
	}
	if err := s.spared(); err != nil {
		return Outcome{}, err
	}
	s.endShort(&r.Parts[0])
	mark := s.client.Mark()
	tried := make([][]string, len(r.Parts))
	next := s.next
	for try := 0; ; try++ {
		if try > 0 && len(s.tx.parts) == 0 {
			s.next = next
		}
		m := many{s: s, r: r, mark: mark, branches: make([]branch, len(r.Parts))}
		out, err := m.run(ctx, tried)
		if errors.Is(err, errForgotten) && try == 0 && s.client.Rewind(mark) {
			continue
		}
		lost, ok := errors.AsType[*lostError](err)
		if !ok {
			return out, err
		}
		part := &r.Parts[m.lostAt]
		if !part.Read && !lost.unsent {
			s.noteLost(part.Shard)
		}
		primary := s.roleOf(part) == backend.Primary
		again := part.Read && !lost.held && (primary && try < 1 || !primary && try < maxTries)
		rewound := s.client.Rewind(mark)
		if !again || !rewound {
			return out, lost.forClient(part)
		}
		if !primary {
			tried[m.lostAt] = append(tried[m.lostAt], lost.addr)
		}
	}
}

// many is one run of a ManyRequest.
type many struct {
	s        *Session
	r        *ManyRequest
	mark     protocol.Mark
	branches []branch
	conns    []*backend.Conn // of the branches, also of those that are settled
	streams  *stream.Streams
	limit    *manyLimit
	lostAt   int // the part whose connection broke
	answer   protocol.Reply
}

// branch is one shard's part.
type branch struct {
	c      *backend.Conn // nil once it is settled
	held   bool          // the session keeps it, in a transaction for one
	begun  bool          // the shard has got its statement
	unsent error         // of writing the statement
	struck bool          // it was told to stop

	warnings *protocol.Result // as SHOW WARNINGS gives them; nil as long as it wasn't asked
	repeated int              // how many of the warnings are another shard's too, and the statement's own
}

// run runs the parts once. An error is as RunMany's, or a *lostError.
func (m *many) run(ctx context.Context, tried [][]string) (out Outcome, err error) {
	s := m.s
	defer func() {
		s.ran()
		if p := recover(); p != nil {
			m.abandon() // else nobody would ever give the connections back
			panic(p)
		}
	}()
	if err := m.connect(ctx, tried); err != nil {
		m.giveBack()
		return out, err
	}
	m.conns = make([]*backend.Conn, len(m.branches))
	wires := make([]*protocol.Conn, len(m.branches))
	addrs := make([]string, len(m.branches))
	for i := range m.branches {
		c := m.branches[i].c
		m.conns[i], wires[i], addrs[i] = c, c.Conn, c.Addr()
	}
	out.Server = strings.Join(addrs, ",")
	s.runMany(m.conns)
	m.streams = stream.New(wires, m.inOrder())
	m.limit = s.limitMany(ctx, m.conns, m.r.Parts[0].Timeout)
	defer m.limit.stop()

	if err = m.start(); err == nil {
		err = m.bring(ctx)
	}
	m.finish(ctx)
	struck := s.ran()
	timedOut := m.limit.stop()
	return m.end(out, err, struck, timedOut)
}

// runMany is run for a statement on several connections.
func (s *Session) runMany(conns []*backend.Conn) {
	s.killing.Lock()
	s.running, s.others, s.struck = conns[0], conns[1:], false
	s.killing.Unlock()
}

// inOrder says whether the shards' rows have an order that matters.
func (m *many) inOrder() bool {
	p := m.r.Merge
	return p != nil && (len(p.Order) > 0 || len(p.Group) > 0)
}

// connect gets a connection for each part, in the session's state. All sessions do so in the map's order, so that they
// don't wait for each other in a circle.
func (m *many) connect(ctx context.Context, tried [][]string) error {
	next := m.s.next
	for i := range m.branches {
		part := &m.r.Parts[i]
		m.s.next = next // each of them needs it
		c, err := m.connection(ctx, part, tried[i])
		if err == nil && c.Shard() != part.Shard {
			err = protocol.Errorf(1235, "42000", "shardway: this statement is for several shards and needs what the session keeps on shard %s alone (%s): run it where that isn't needed", c.Shard(), m.s.holdOf(c).why)
		}
		if err != nil {
			m.lostAt = i
			return err
		}
		m.branches[i].c, m.branches[i].held = c, m.s.holdOf(c) != nil
	}
	return nil
}

// connection is the one for a part: the transaction's, where there is one.
func (m *many) connection(ctx context.Context, part *Request, tried []string) (*backend.Conn, error) {
	if s := m.s; len(m.r.Parts) > 1 && (s.InTransaction() || !s.autocommit) {
		return s.participant(ctx, part)
	}
	return m.s.connection(ctx, part, tried)
}

// giveBack ends what connect has begun.
func (m *many) giveBack() {
	for i := range m.branches {
		if b := &m.branches[i]; b.c != nil {
			switch {
			case m.s.holdOf(b.c) != nil:
			case m.s.usedNext(b.c):
				b.c.Discard("transaction characteristics")
			default:
				b.c.Release()
			}
			b.c = nil
		}
	}
}

// abandon ends all connections after a panic.
func (m *many) abandon() {
	if m.streams != nil {
		m.streams.Stop()
	}
	for i := range m.branches {
		if b := &m.branches[i]; b.begun && b.c != nil {
			b.c.Interrupt()
			<-m.streams.Done(i)
		}
	}
	for i := range m.branches {
		b := &m.branches[i]
		if b.c != nil && (!b.held || m.s.holdOf(b.c) != nil) {
			m.s.dropUnread(b.c)
		}
		b.c = nil
	}
}

// start sends the parts. All servers are made ready before the first gets its part: where a connection breaks, the
// transaction on all of them ends, which can be done while none of them runs anything.
func (m *many) start() error {
	s := m.s
	for i := range m.branches {
		b, part := &m.branches[i], &m.r.Parts[i]
		err := s.prepareSession(b.c, part)
		if err == nil && part.Statement != nil {
			err = s.known(b.c, part)
		}
		if err != nil {
			m.lostAt = i
			if s.holdOf(b.c) == nil {
				b.c = nil // lost has ended it
			}
			return err
		}
	}
	for i := range m.branches {
		b, part := &m.branches[i], &m.r.Parts[i]
		if part.Statement != nil {
			b.unsent = s.writeExecute(b.c, part)
		} else {
			b.unsent = write(b.c, part)
		}
		if b.unsent != nil {
			return &protocol.SideError{Side: protocol.SideServer, Err: b.unsent}
		}
		b.begun = true
		m.streams.Start(i)
		if m.r.OneByOne {
			if err := m.streams.Began(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// bring brings the rows together, or waits for the counts of a write. The end of the rows isn't written yet.
func (m *many) bring(ctx context.Context) error {
	columns := make([][][]byte, len(m.branches))
	shards := make([]string, len(m.branches))
	for i := range m.branches {
		if err := m.streams.Began(i); err != nil {
			return err
		}
		columns[i], shards[i] = m.streams.Columns(i), m.r.Parts[i].Shard
		if rows := len(columns[i]) > 0; rows != (m.r.Merge != nil) {
			return protocol.Errorf(1105, "HY000", "shardway: shard %s answers this statement with %s; run it on each shard with the hint shard=NAME", shards[i],
				map[bool]string{true: "rows, which can't be brought together", false: "a count where rows were due"}[rows])
		}
	}
	if m.r.Merge == nil {
		return nil
	}
	merger, err := merge.New(m.r.Merge, columns, merge.Options{
		Binary: m.r.Binary, Shards: shards, MaxRows: m.r.MaxRows, MaxBytes: m.r.MaxBytes,
		Padding: func(collation string) (merge.Padding, error) { return m.s.padding(ctx, shards[0], collation) },
	})
	if err != nil {
		return err
	}
	client := m.s.client
	if err := client.WriteColumnsOf(m.conns[0].Conn, merger.Columns(), m.s.Status()); err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	m.answer.ResultSets = 1
	m.answer.Rows, err = merger.Run(m.streams.Sources(), sink{client})
	return err
}

// sink writes rows to a client, and says so where that fails.
type sink struct{ client *protocol.Conn }

// WriteRow is merge.Sink's.
func (w sink) WriteRow(row []byte) error {
	if err := w.client.WriteRow(row); err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	return nil
}

// end settles what every part has left at its server, and ends the client's answer.
func (m *many) end(out Outcome, err error, struck, timedOut bool) (Outcome, error) {
	s := m.s
	first, failed := m.streams.First()
	var refused *protocol.Error // by a server
	if failed && err == nil && m.r.Merge == nil {
		err = stream.ErrFailed // of rows the client has all
	}
	if errors.Is(err, stream.ErrFailed) {
		err = m.streams.Err(first)
		if e, ok := errors.AsType[*protocol.Error](err); ok && !isSide(err) && !serverGone(e) {
			refused, err = m.named(e, first, timedOut), nil
		}
	}
	if err == nil && refused == nil && m.r.Copies {
		refused = m.differ()
	}
	m.compareWarnings(struck || timedOut)
	m.sum()
	if err == nil && refused == nil && !m.r.Silent {
		err = m.close()
	}
	lost := m.settle(&out, struck || timedOut)
	switch {
	case refused != nil && (refused.Code == unknownStatement || refused.Code == staleTypes) && m.r.Merge != nil && m.r.Parts[first].Statement != nil:
		return out, errForgotten
	case refused != nil:
		if refused.Code == lockTimeout && s.spread() {
			refused = s.deadlocked(m.conns[first].Addr()+" of shard "+m.r.Parts[first].Shard, refused)
		}
		m.answer.Err = refused
		out.Warnings = warningOf(refused)
		out.Reply = m.answer
		if m.r.Silent {
			return out, nil
		}
		s.client.Rewind(m.mark)
		return out, s.client.WriteError(refused)
	case lost != nil && isServer(err):
		return out, lost
	case lost != nil && err == nil && lost.inTx:
		return out, fmt.Errorf("the transaction on %s is lost behind an answer that was given: %w", lost.addr, lost.err)
	case err != nil:
		if _, ok := errors.AsType[*lostError](err); ok {
			return out, err
		}
		if _, ok := errors.AsType[*merge.UnmergeableError](err); ok && !s.client.Rewind(m.mark) {
			err = protocol.Errorf(1235, "42000", "shardway: %v, which was found out when rows had been sent already", err)
		}
		if e, ok := errors.AsType[*protocol.Error](err); ok && !isSide(err) {
			s.client.Rewind(m.mark)
			err = e
		}
		return out, err
	}
	out.Reply = m.answer
	return out, nil
}

func isSide(err error) bool {
	_, ok := errors.AsType[*protocol.SideError](err)
	return ok
}

// isServer says whether an error is a server's connection that broke, or a server that ended it.
func isServer(err error) bool {
	if side, ok := errors.AsType[*protocol.SideError](err); ok {
		return side.Side == protocol.SideServer
	}
	e, ok := errors.AsType[*protocol.Error](err)
	return ok && serverGone(e)
}

// named is a server's error as the client sees it.
func (m *many) named(e *protocol.Error, at int, timedOut bool) *protocol.Error {
	if e.Code == interrupted && timedOut {
		return lateError(m.r.Parts[0].Timeout, func() bool { return true })(e)
	}
	return protocol.Errorf(e.Code, e.State, "%s (shard %s)", e.Message, m.r.Parts[at].Shard)
}

// sum adds up what the servers have said.
func (m *many) sum() {
	warnings := 0
	for i := range m.branches {
		if !m.branches[i].begun || m.streams.Err(i) != nil {
			continue
		}
		reply := m.streams.Reply(i)
		if m.r.Copies && i > 0 {
			continue
		}
		warnings += int(reply.Warnings) - m.branches[i].repeated
		m.answer.AffectedRows += reply.AffectedRows
		m.answer.Records += reply.Records
		if m.answer.InsertID == 0 {
			m.answer.InsertID = reply.InsertID
		}
		m.answer.Changes = append(m.answer.Changes, reply.Changes...)
		info := reply.Info
		if len(m.branches) > 1 && i < len(m.r.Rows) && m.r.Rows[i] == 1 && info == "" {
			info = InfoOfOne(reply)
		}
		m.answer.Info = addNumbers(m.answer.Info, fewerWarnings(info, m.branches[i].repeated))
	}
	if m.r.InsertID != 0 && m.r.took(&m.answer) {
		m.answer.InsertID = m.r.InsertID
	}
	m.answer.Warnings = uint16(min(warnings, 1<<16-1))
	m.answer.Status = m.s.Status()
}

// close ends the client's answer.
func (m *many) close() error {
	var err error
	client := m.s.client
	if m.r.Merge != nil {
		m.answer.AffectedRows, m.answer.InsertID, m.answer.Info = 0, 0, ""
		err = client.WriteEOF(m.answer.Status, m.answer.Warnings)
	} else {
		ok := m.answer.OK
		ok.Changes = m.s.told(ok.Changes)
		err = client.WriteOK(ok)
	}
	if err == nil && m.answer.Warnings > 0 {
		err = client.Flush() // the servers are asked for their warnings next
	}
	if err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	return nil
}

// settle takes over what each part has left at its server: first those that succeeded, since one that failed may end the
// transaction on all. It returns the connection that broke first.
func (m *many) settle(out *Outcome, struck bool) (lost *lostError) {
	for _, failed := range [2]bool{false, true} {
		for i := range m.branches {
			b := &m.branches[i]
			bad := b.unsent != nil || b.begun && m.streams.Err(i) != nil
			if b.c == nil || bad != failed {
				continue
			}
			c := b.c
			b.c = nil
			if b.held && m.s.holdOf(c) == nil {
				continue // it ended with the transaction
			}
			if broke := m.settleOne(i, c, out, struck); broke != nil && lost == nil {
				lost, m.lostAt = broke, i
			}
		}
	}
	return lost
}

func (m *many) settleOne(i int, c *backend.Conn, out *Outcome, struck bool) *lostError {
	s, b, part := m.s, &m.branches[i], &m.r.Parts[i]
	err := b.unsent
	switch {
	case b.begun:
		err = m.streams.Err(i)
	case err == nil:
		if !b.held && s.holdOf(c) == nil {
			c.Release()
		}
		return nil
	}
	e, answered := errors.AsType[*protocol.Error](err)
	answered = answered && !isSide(err)
	switch {
	case err == nil, answered && !serverGone(e):
		reply := *m.streams.Reply(i)
		if e != nil {
			c.Refused(e.Code)
			if (e.Code == unknownStatement || e.Code == staleTypes) && part.Statement != nil {
				if err := statementsOf(c).drop(c, part.Statement.keyFor(part)); err != nil {
					s.broke(c, err)
				}
			}
		}
		if reply.Warnings > 0 && !struck && !b.struck && e == nil {
			if m.askWarnings(b, c); b.warnings != nil {
				out.addWarnings(b.warnings)
			}
		}
		reply.Warnings = 0
		s.settle(c, part, &reply, struck || b.struck)
		if s.holdOf(c) != nil {
			s.letOf(c, WhyDiagnostics)
		}
	case b.struck && s.holdOf(c) == nil:
		c.Discard("killed")
	default:
		lost, _ := errors.AsType[*lostError](s.lost(c, err, answered && e.Code == timedOut))
		return lost
	}
	return nil
}
