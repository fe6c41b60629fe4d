package xact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
)

// Transactions names, commits and resolves the transactions of one proxy.
type Transactions struct {
	// Wait bounds how long Commit waits for a decision that can't be had. It isn't changed once in use.
	Wait time.Duration

	cluster *backend.Cluster
	names   names

	mu    sync.Mutex
	live  map[ID]struct{}      // in the hands of Commit
	ready map[string]bool      // addresses of servers that can take part
	seen  map[string]time.Time // branches in doubt, by shard and XA id: when they were first seen
	doubt map[string]int       // shards' branches in doubt

	counts counts
}

// New returns the Transactions over a cluster.
func New(cluster *backend.Cluster) *Transactions {
	return &Transactions{
		Wait: DefaultWait, cluster: cluster, names: newNames(),
		live: map[ID]struct{}{}, ready: map[string]bool{}, seen: map[string]time.Time{}, doubt: map[string]int{},
	}
}

// Name gives a transaction its ID. shard is the one of its first participant.
func (t *Transactions) Name(shard string) ID { return t.names.next(shard) }

// Commit commits a transaction. The first of parts is where it began. It leaves each participant ended, or with an Err.
func (t *Transactions) Commit(ctx context.Context, id ID, parts []*Participant) Result {
	began := time.Now()
	var writers []*Participant
	for _, p := range parts {
		if p.Wrote {
			writers = append(writers, p)
		}
	}
	var r Result
	switch len(writers) {
	case 0:
		r = commitOne(parts, parts[0])
	case 1:
		r = commitOne(parts, writers[0])
	default:
		r = t.commitAll(ctx, id, parts)
	}
	t.counts.committed(len(writers), r.Outcome, time.Since(began))
	return r
}

// commitOne commits where one participant at most has written: in one phase. All others just end.
func commitOne(parts []*Participant, writer *Participant) Result {
	for _, p := range parts {
		if p != writer {
			p.rollBack()
		}
	}
	r := commitHere(writer, writer.onePhase()...)
	for _, p := range parts {
		if p != writer {
			p.rolledBack()
		}
	}
	return r
}

// onePhase are the statements that commit a participant by itself.
func (p *Participant) onePhase() []string {
	if p.Branch == "" {
		return []string{"COMMIT"}
	}
	return []string{"XA END " + p.Branch, "XA COMMIT " + p.Branch + " ONE PHASE"}
}

// commitHere commits at one server, which alone decides. A connection that breaks leaves the outcome unknown: no server
// tells afterwards.
func commitHere(p *Participant, statements ...string) Result {
	if p.Err == nil && !p.Conn.Clean() {
		p.Err = ErrEnded
		return Result{Outcome: RolledBack, Why: ErrEnded, Server: p.Conn.Addr(), Shard: p.Shard}
	}
	p.send(statements...)
	for range statements {
		if !p.receive() {
			break
		}
	}
	why := p.fault()
	if why == nil {
		p.Ended = true
		return Result{Outcome: Committed}
	}
	r := Result{Outcome: Unknown, Why: why, Server: p.Conn.Addr(), Shard: p.Shard}
	if p.Err == nil {
		p.Err = why // the reply to what came after may be unread, and the transaction open
		if !isCode(why, interrupted...) {
			r.Outcome = RolledBack
		}
	}
	return r
}

// ErrEnded says that a server had ended a connection, and rolled back with it, before a COMMIT was sent.
var ErrEnded = errors.New("the server had ended the connection before")

// interrupted are the errors of a server that may have stopped a COMMIT before its work or after.
var interrupted = []uint16{
	1053, // shutdown in progress
	1077, // normal shutdown
	1152, // aborted connection
	1317, // query execution was interrupted
	1927, // MariaDB: connection was killed
	3169, // session was killed
}

// commitAll commits in two phases. The branches are prepared while the first participant writes the decision; its COMMIT
// is the moment at which the transaction is decided. A plain participant besides the first one, which a statement has
// opened that wasn't known to do so, can't be prepared: it is committed behind the decision.
func (t *Transactions) commitAll(ctx context.Context, id ID, parts []*Participant) Result {
	t.begin(id)
	defer t.end(id)
	for _, p := range parts {
		p.limit(commitWait)
	}
	first := parts[0]
	var branches, readers, plain []*Participant
	for _, p := range parts[1:] {
		switch {
		case !p.Wrote:
			readers = append(readers, p)
			p.rollBack()
		case p.Branch == "":
			plain = append(plain, p)
		default:
			branches = append(branches, p)
			p.send("XA END "+p.Branch, "XA PREPARE "+p.Branch)
		}
	}
	first.send(decide(id, true))

	var failed *Participant
	if !first.receive() {
		failed = first
	}
	for _, p := range readers {
		p.rolledBack()
	}
	for _, p := range branches {
		p.receive()
		if !p.receive() && failed == nil {
			failed = p
		}
	}
	if failed != nil {
		r := Result{Outcome: RolledBack, Why: failed.fault(), Server: failed.Conn.Addr(), Shard: failed.Shard}
		t.undo(first, branches)
		Rollback(plain)
		return r
	}

	first.limit(commitWait)
	first.send("COMMIT")
	if !first.receive() {
		r := Result{Why: first.fault(), Server: first.Conn.Addr(), Shard: first.Shard}
		if first.Err == nil {
			first.Err = r.Why
		}
		committed, err := t.decided(ctx, id, first)
		switch {
		case err != nil:
			r.Outcome, r.Waits = Unknown, true
			for _, p := range append(branches, plain...) {
				p.Err = errUndecided
			}
			return r
		case !committed:
			t.undo(nil, branches)
			Rollback(plain)
			return r
		}
	}
	first.Ended = true
	r := Result{Outcome: Committed, Late: t.finishLate(ctx, id, finish(branches))}
	if behind := CommitEach(plain); behind.Outcome != Committed {
		r.Outcome, r.Why, r.Server, r.Shard = Divided, behind.Why, behind.Server, behind.Shard
	}
	return r
}

// finish commits prepared branches and returns those whose server didn't say that it did.
func finish(branches []*Participant) (late []*Participant) {
	for _, p := range branches {
		p.limit(endWait)
		p.send("XA COMMIT " + p.Branch)
	}
	for _, p := range branches {
		p.Ended = p.receive() || p.Err == nil && p.Reply.Err.Code == codeUnknownXID // somebody else has ended it
		if !p.Ended {
			late = append(late, p)
			if p.Err == nil {
				p.Err = fmt.Errorf("XA COMMIT was refused: %w", p.Reply.Err)
			}
		}
	}
	return late
}

// finishLate commits branches as the recovery does, so that the client finds what it has written once it has its
// answer. It gives up when their servers aren't back within Wait, and returns the shards where that is left to the
// recovery.
func (t *Transactions) finishLate(ctx context.Context, id ID, late []*Participant) (shards []string) {
	if len(late) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.Wait)
	defer cancel()
	for _, p := range late {
		b := &branch{id, bqual(p.Conn.ConnectionID())}
		for {
			ended, _, err := t.finish(ctx, p.Shard, b, true)
			if ended {
				break
			}
			if errors.Is(err, backend.ErrClosed) || !pause(ctx, askAgain) {
				shards = append(shards, p.Shard)
				break
			}
		}
	}
	return shards
}

// undo rolls back the first participant, where it is open, and branches that may be prepared. What can't be reached is
// rolled back by its server, or by the recovery: there never will be a decision to commit.
func (t *Transactions) undo(first *Participant, branches []*Participant) {
	if first != nil {
		first.send("ROLLBACK")
	}
	for _, p := range branches {
		p.limit(endWait)
		p.send("XA ROLLBACK " + p.Branch)
	}
	if first != nil {
		if first.Ended = first.receive(); !first.Ended && first.Err == nil {
			first.Err = first.Reply.Err
		}
	}
	for _, p := range branches {
		p.Ended = p.receive() || p.Err == nil && p.Reply.Err.Code == codeUnknownXID
		if !p.Ended && p.Err == nil {
			p.Err = fmt.Errorf("XA ROLLBACK was refused: %w", p.Reply.Err)
		}
	}
}

const (
	// commitWait bounds how long a server may take to prepare, and how long for the COMMIT that decides.
	commitWait = time.Minute
	// endWait bounds how long a client waits for a branch to end after the decision.
	endWait = 5 * time.Second
)

func (p *Participant) limit(d time.Duration) {
	if p.Err == nil {
		_ = p.Conn.SetDeadline(time.Now().Add(d))
	}
}

// CommitEach commits without atomicity: one participant after another.
func CommitEach(parts []*Participant) Result {
	var done []string
	for i, p := range parts {
		r := commitHere(p, p.onePhase()...)
		if r.Outcome == Committed {
			done = append(done, p.Shard)
			continue
		}
		Rollback(parts[i+1:])
		if len(done) > 0 {
			r.Outcome = Divided
			r.Why = fmt.Errorf("%w, after %s committed", r.Why, strings.Join(done, ", "))
		}
		return r
	}
	return Result{Outcome: Committed}
}

func (t *Transactions) begin(id ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live[id] = struct{}{}
}

func (t *Transactions) end(id ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, id)
}

func (t *Transactions) isLive(id ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, live := t.live[id]
	return live
}

// codeUnknownXID is the error for an XA id that a server doesn't know.
const codeUnknownXID = 1397

func isCode(err error, codes ...uint16) bool {
	e, ok := errors.AsType[*protocol.Error](err)
	return ok && slices.Contains(codes, e.Code)
}
