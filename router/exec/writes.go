package exec

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardway/protocol"
)

// oneTransaction refuses a transaction over several shards where these are forbidden.
func (s *Session) oneTransaction(r *ManyRequest) error {
	if s.cross != CrossShardForbid || len(r.Parts) == 1 && len(s.tx.parts) == 0 {
		return nil
	}
	write := !r.Parts[0].Read
	for i := range r.Parts {
		at := r.Parts[i].Shard
		if (s.InTransaction() || !s.autocommit) && s.partAt(at) == nil && len(s.tx.parts)+i > 0 || write && i > 0 {
			return protocol.Errorf(1235, "42000", "shardway: this statement is for shard %s as well, and transactions over several shards are forbidden (transactions.cross_shard)", at)
		}
	}
	return nil
}

// errForgotten: a server doesn't know the statement that it was to execute. Nothing ran there.
var errForgotten = protocol.Errorf(unknownStatement, "HY000", "shardway: a server has forgotten a prepared statement; prepare it anew")

// RunWrite is RunMany for a statement that changes something: it happens on all of its shards or on none.
func (s *Session) RunWrite(ctx context.Context, r *ManyRequest) (Outcome, error) {
	if len(r.Parts) == 1 && r.InsertID == 0 {
		return s.RunMany(ctx, r)
	}
	if err := s.oneTransaction(r); err != nil {
		return Outcome{}, err
	}
	r.Silent = true
	s.AskInsertID()
	before := s.lastInsertID
	var out Outcome
	run := func() (err error) {
		if out, err = s.RunMany(ctx, r); err == nil && out.Reply.Err != nil {
			err = out.Reply.Err
		}
		return err
	}
	var err error
	switch {
	case len(r.Parts) == 1:
		err = run()
	case r.Copies:
		err = s.OneClock(func() error { return s.Atomically(ctx, true, run) })
	default:
		err = s.Atomically(ctx, true, run)
	}
	if err != nil {
		s.SetLastInsertID(before)
		return out, err
	}
	switch id := out.Reply.InsertID; {
	case r.InsertID != 0 && id == r.InsertID:
		s.SetLastInsertID(id)
	case r.Parts[0].SetsLastInsertID:
	case r.InsertID != 0, id == 0, r.Given != nil && r.Given(id):
		s.SetLastInsertID(before)
	default:
		s.SetLastInsertID(id)
	}
	out.Reply.Status = s.Status()
	ok := out.Reply.OK
	ok.Changes = s.told(ok.Changes)
	return out, s.client.WriteOK(ok)
}

// took says whether a row took the first of the numbers: one that IGNORE leaves out doesn't, nor one whose place another
// row has that is changed instead.
func (r *ManyRequest) took(reply *protocol.Reply) bool {
	switch {
	case reply.AffectedRows == 0:
		return false
	case r.Parts[0].Upserts:
		return reply.AffectedRows == 1 && (reply.InsertID == 0 || reply.InsertID == r.InsertID)
	default:
		return true
	}
}

// LastInsertID is what LAST_INSERT_ID() gives. Call AskInsertID before.
func (s *Session) LastInsertID() uint64 { return s.lastInsertID }

// SetLastInsertID is for a statement that is made of several.
func (s *Session) SetLastInsertID(id uint64) {
	s.lastInsertID = id
	for h := s.holdWith(WhyInsertID); h != nil; h = s.holdWith(WhyInsertID) {
		s.letOf(h.conn, WhyInsertID)
	}
}

// OneClock runs f with one time for all of its statements, as a single one has.
func (s *Session) OneClock(f func() error) error {
	if s.state.get("timestamp") != "" {
		return f()
	}
	now := time.Now()
	return s.Under("timestamp", fmt.Sprintf("%d.%06d", now.Unix(), now.Nanosecond()/1000), f)
}

// Under runs f while a variable of the session's has another value.
func (s *Session) Under(name, sql string, f func() error) error {
	before := s.state.get(name)
	s.state.set(name, sql)
	s.changed()
	defer func() {
		s.state.set(name, before)
		s.changed()
	}()
	return f()
}

// told are the changes that the client wants to be told of.
func (s *Session) told(changes []protocol.Change) []protocol.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c protocol.Change) bool { return !slices.Contains(s.tracked(), c.Kind) })
}

// differ is an error where the copies of a table didn't do the same.
func (m *many) differ() *protocol.Error {
	first := m.streams.Reply(0)
	for i := range m.branches {
		reply := m.streams.Reply(i)
		switch at, home := m.r.Parts[i].Shard, m.r.Parts[0].Shard; {
		case m.r.InsertID == 0 && reply.InsertID != first.InsertID:
			return protocol.Errorf(1105, "HY000", "shardway: the copy of the table on shard %s numbers the row %d, and the one on %s numbers it %d: nothing was changed; declare its column as the table's sequence in the map, or give the number", home, first.InsertID, at, reply.InsertID)
		case reply.AffectedRows != first.AffectedRows:
			return protocol.Errorf(1105, "HY000", "shardway: the statement changes %d rows of the copy on shard %s and %d of the one on %s, so they aren't alike: nothing was changed; compare them", first.AffectedRows, home, reply.AffectedRows, at)
		}
	}
	return nil
}

// InfoOfOne is what a server would say of an INSERT of one row if it said anything: it does so of several rows alone.
func InfoOfOne(reply *protocol.Reply) string {
	duplicates := uint64(0)
	switch {
	case reply.AffectedRows > 1: // the row and those that it replaced, or two for one that was updated
		duplicates = reply.AffectedRows - 1
	case reply.AffectedRows == 0 && reply.Warnings > 0: // IGNORE
		duplicates = 1
	}
	return fmt.Sprintf("Records: 1  Duplicates: %d  Warnings: %d", duplicates, reply.Warnings)
}

// addNumbers adds the numbers of two texts that are alike otherwise: "Rows matched: 3  Changed: 1  Warnings: 0".
func addNumbers(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	var out []byte
	for {
		i, j := strings.IndexAny(a, "0123456789"), strings.IndexAny(b, "0123456789")
		if i < 0 || j < 0 {
			return string(append(out, a...))
		}
		out = append(out, a[:i]...)
		var x, y uint64
		x, a = leadingNumber(a[i:])
		y, b = leadingNumber(b[j:])
		out = strconv.AppendUint(out, x+y, 10)
	}
}

func leadingNumber(text string) (n uint64, rest string) {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, _ = strconv.ParseUint(text[:end], 10, 64)
	return n, text[end:]
}
