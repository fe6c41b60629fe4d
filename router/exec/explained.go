package exec

import (
	"errors"

	"shardway/protocol"
)

// explains has a shard explain how it finds a copy's rows.
func (w *gathering) explains(src *source) error {
	if w.g.Explain == "" {
		return nil
	}
	err := w.plans.Ask(src.Conn, w.g.Explain+" "+src.sql)
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	if err != nil {
		return w.failed(src, err)
	}
	return nil
}

// explain has the server explain the statement over the copies, and gives the client all that was explained.
func (w *gathering) explain(out *Outcome) error {
	client, c := w.s.client, w.home
	err := w.plans.Ask(c.Conn, w.g.Explain+" "+string(w.r.Payload))
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return w.answerError(out, e)
	}
	if err != nil {
		return w.broke(err)
	}
	status := w.s.Status()
	err = client.WriteColumnsOf(c.Conn, w.plans.Columns, status)
	for i := 0; i < len(w.plans.Rows) && err == nil; i++ {
		err = client.WriteRow(w.plans.Rows[i])
	}
	if err == nil {
		err = client.WriteEOF(status, 0)
	}
	if err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	out.Reply.Status = status
	w.close(out)
	return nil
}
