package router

import (
	"context"

	"shardway/protocol"
	"shardway/router/exec"
)

// keep keeps what one of the statements that write has answered with.
func (w *picking) keep(columns, rows [][]byte) {
	if w.p.Returning == nil {
		return
	}
	if w.answer.columns == nil {
		w.answer.columns = columns
	}
	w.answer.rows = append(w.answer.rows, rows...)
}

// none finds the columns of RETURNING out where no row was chosen.
func (w *picking) none(ctx context.Context) error {
	if w.p.Returning == nil || w.answer.columns != nil {
		return nil
	}
	sql, err := w.s.literal(w.t, w.p.Returning)
	if err != nil {
		return err
	}
	w.answer.columns, _, _, err = w.s.replyOf(func() error {
		_, err := w.s.inner(ctx, w.o, w.m, newText(sql), false)
		return err
	})
	if refused, ok := err.(*innerRefused); ok { //nolint:errorlint // it is returned as it is
		return refused.e
	}
	return err
}

// returned gives the client the rows of RETURNING.
func (w *picking) returned() error {
	s := w.s
	var out exec.Outcome
	out.Warnings = w.warnings
	reply := &out.Reply
	reply.ResultSets, reply.Rows, reply.Status, reply.Warnings = 1, uint64(len(w.answer.rows)), s.x.Status(), w.sum.Warnings
	err := s.conn.WriteColumns(w.answer.columns, reply.Status)
	for i := 0; i < len(w.answer.rows) && err == nil; i++ {
		err = s.conn.WriteRow(w.answer.rows[i])
	}
	if err == nil {
		err = s.conn.WriteEOF(reply.Status, reply.Warnings)
	}
	if err != nil {
		err = &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	return s.ranText(w.t, &out, err)
}
