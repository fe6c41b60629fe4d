package exec

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"shardway/protocol"
)

// RunReturning is RunWrite for a statement whose parts answer with rows: they run one after another, and the client gets
// all their rows in this order once the transaction is committed. Of copies it gets the first one's.
func (s *Session) RunReturning(ctx context.Context, r *ManyRequest) (Outcome, error) {
	if err := s.oneTransaction(r); err != nil {
		return Outcome{}, err
	}
	s.AskInsertID()
	before := s.lastInsertID
	var w returning
	run := func() error {
		w = returning{s: s, r: r, before: before}
		for i := range r.Parts {
			if err := w.part(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if r.Inner {
		err = run()
	} else {
		err = s.OneClock(func() error { return s.Atomically(ctx, true, run) })
	}
	if err != nil {
		s.ForgetDiagnostics() // the error is all that there is to tell
		s.SetLastInsertID(before)
		return w.out, err
	}
	switch {
	case r.InsertID != 0 && len(w.rows) > 0:
		s.SetLastInsertID(r.InsertID)
	case r.Copies:
		s.SetLastInsertID(w.insertID)
	default:
		s.SetLastInsertID(before)
	}
	return w.out, w.answer()
}

// returning is the work on one such statement.
type returning struct {
	s             *Session
	r             *ManyRequest
	out           Outcome
	from          *protocol.Conn // whose columns they are
	columns, rows [][]byte
	size          uint64
	// before and insertID are LAST_INSERT_ID() before the statement and after its first part.
	before, insertID uint64
}

// part runs one part and keeps its rows.
func (w *returning) part(ctx context.Context, i int) error {
	s, r, part := w.s, w.r, &w.r.Parts[i]
	m := protocol.NewMemory(r.MaxBytes)
	m.Conn.SetCapabilities(m.Conn.Capabilities() | s.client.Capabilities()&protocol.CapExtendedMetadata)
	if r.Copies { // their servers may number rows
		part.UsesLastInsertID, part.SetsLastInsertID = true, true
	}
	s.lastInsertID = w.before
	var out Outcome
	err := s.Keep(m, func() (err error) {
		out, err = s.Run(ctx, part)
		return err
	})
	if m.Full() {
		return w.tooLarge()
	}
	if err != nil {
		return err
	}
	columns, rows, reply, err := m.Read()
	if err != nil {
		w.out.Warnings, w.out.Server = nil, out.Server
		return err
	}
	if s.HasDiagnostics() {
		if left := s.Shed(); left.Warnings != nil && (i == 0 || !r.Copies) {
			w.out.addWarnings(left.Warnings)
		}
	}
	id := s.lastInsertID
	if i > 0 && r.Copies {
		if id != w.insertID || !slices.EqualFunc(rows, w.rows, bytes.Equal) {
			return protocol.Errorf(1105, "HY000", "shardway: the copy of the table on shard %s answers with other rows than the one on %s, so they aren't alike: nothing was changed; compare them", part.Shard, r.Parts[0].Shard)
		}
		return nil
	}
	if w.from == nil {
		w.from, w.insertID = m.Conn, id
	}
	if w.columns == nil { // MariaDB answers with an OK where it sees beforehand that no row is meant
		w.columns = columns
	}
	for _, row := range rows {
		w.size += uint64(len(row))
	}
	if r.MaxBytes > 0 && w.size > r.MaxBytes {
		return w.tooLarge()
	}
	w.rows = append(w.rows, rows...)
	w.out.Reply.Warnings += reply.Warnings
	if !strings.Contains(w.out.Server, out.Server) {
		w.out.Server = strings.TrimPrefix(w.out.Server+","+out.Server, ",")
	}
	return nil
}

func (w *returning) tooLarge() error {
	return protocol.Errorf(1105, "HY000", "shardway: the rows of RETURNING are larger than limits.gather_bytes (%d): change fewer rows at once, or raise the limit", w.r.MaxBytes)
}

// answer gives the client the rows.
func (w *returning) answer() error {
	reply, client := &w.out.Reply, w.s.client
	if len(w.columns) == 0 {
		reply.Status = w.s.Status()
		return client.WriteOK(reply.OK)
	}
	reply.ResultSets, reply.Rows, reply.Status = 1, uint64(len(w.rows)), w.s.Status()
	err := client.WriteColumnsOf(w.from, w.columns, reply.Status)
	for i := 0; i < len(w.rows) && err == nil; i++ {
		err = client.WriteRow(w.rows[i])
	}
	if err == nil {
		err = client.WriteEOF(reply.Status, reply.Warnings)
	}
	if err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	return nil
}
