package exec

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/gather"
)

// finish runs the statement, relays its reply and gives the connection back.
func (w *gathering) finish(out *Outcome) (err error) {
	s, c, r := w.s, w.home, w.r
	if r.UsesLastInsertID {
		if _, err := c.Exec("SET last_insert_id=" + strconv.FormatUint(s.lastInsertID, 10)); err != nil {
			return w.broke(err)
		}
	}
	if w.g.Explain != "" {
		return w.explain(out)
	}
	if err := w.send(); err != nil {
		return err
	}
	if names := w.renamed(); len(names) > 0 {
		err = w.relayRenamed(out, names)
	} else {
		err = w.relay(out)
	}
	if err != nil || out.Reply.Err != nil {
		return err
	}
	w.close(out)
	return nil
}

// relay relays the reply as it is.
func (w *gathering) relay(out *Outcome) (err error) {
	s, c, r := w.s, w.home, w.r
	relay := protocol.Relay{HoldError: s.holdError, TrackKinds: s.tracked(), SetStatus: s.Status(), ClearStatus: transactional &^ s.Status()}
	out.Reply, err = c.Forward(s.client, r.Reply, &relay)
	if err != nil {
		if side, ok := errors.AsType[*protocol.SideError](err); ok && side.Side == protocol.SideClient {
			return err
		}
		w.home = nil
		err = s.lost(c, err, true)
		if out.Reply.Broken || out.Reply.FirstByte {
			return fmt.Errorf("the reply of %s broke off: %w", c.Addr(), err)
		}
		return w.clientError(c, err)
	}
	if e := out.Reply.Err; out.Reply.Held {
		out.Reply.Held = false
		if serverGone(e) {
			w.home = nil
			return w.clientError(c, s.lost(c, e, true))
		}
		return w.answerError(out, e)
	}
	if out.Reply.Err != nil {
		w.close(out)
	}
	return nil
}

// answerError gives the client the server's error.
func (w *gathering) answerError(out *Outcome, e *protocol.Error) error {
	if e.Code == 1317 && w.expired.Load() {
		e = protocol.Errorf(3024, "HY000", "shardway: stopped after %v, as its timeout asks", w.r.Timeout)
	}
	out.Reply.Err = e
	w.close(out)
	return w.s.client.WriteError(e)
}

// renamed are the copies that haven't their table's name, and their tables.
func (w *gathering) renamed() map[string]string {
	var names map[string]string
	for i := range w.g.Plan.Copies {
		if c := &w.g.Plan.Copies[i]; c.Name != c.Table {
			if names == nil {
				names = map[string]string{}
			}
			names[c.Name] = c.Table
		}
	}
	return names
}

// relayRenamed relays a reply whose columns say that they are of the tables, not of their copies.
func (w *gathering) relayRenamed(out *Outcome, names map[string]string) error {
	s, c := w.s, w.home
	var in protocol.Incoming
	mark := s.client.Mark()
	fail := func(err error) error {
		out.Reply = in.Reply
		e := in.Reply.Err
		switch {
		case e != nil && !serverGone(e): // after the columns, or before them
			return w.answerError(out, e)
		case s.client.Sent(mark):
			out.Reply.FirstByte = true
			w.home = nil
			return fmt.Errorf("the reply of %s broke off: %w", c.Addr(), s.lost(c, err, true))
		}
		s.client.Rewind(mark)
		w.home = nil
		return w.clientError(c, s.lost(c, err, true))
	}
	if err := in.Begin(c.Conn); err != nil {
		return fail(err)
	}
	for i, def := range in.Columns {
		in.Columns[i] = gather.Rename(def, names)
	}
	if err := s.client.WriteColumnsOf(c.Conn, in.Columns, s.Status()); err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(err)
		}
		if err := s.client.WriteRow(row); err != nil {
			return &protocol.SideError{Side: protocol.SideClient, Err: err}
		}
	}
	out.Reply = in.Reply
	if err := s.client.WriteEOF(in.Reply.Status&^transactional|s.Status(), in.Reply.Warnings); err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	return nil
}

const transactional = protocol.StatusInTrans | protocol.StatusAutocommit | protocol.StatusInTransReadonly

// send writes the statement to the server.
func (w *gathering) send() error {
	c, r := w.home, w.r
	if r.Statement != nil {
		// What the connection knows was prepared for the tables themselves. MySQL would prepare it again for their copies,
		// with the values' types in place of those that it gives to parameters when it is asked to PREPARE.
		for _, key := range []statementKey{r.Statement.key, r.Statement.keyFor(r)} {
			if err := statementsOf(c).drop(c, key); err != nil {
				return w.broke(&protocol.SideError{Side: protocol.SideServer, Err: err})
			}
		}
		if err := w.s.sendExecute(c, r); err != nil {
			if _, ok := errors.AsType[*protocol.Error](err); !ok || w.s.holdOf(c) == nil {
				w.home = nil
			}
			if h := w.s.holdOf(c); h != nil { // kept for the error's sake
				w.askWarnings(c)
				w.s.forget(c)
			}
			return w.clientError(c, err)
		}
		return nil
	}
	err := c.WriteCommand(r.Command, r.Payload)
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		return w.broke(&protocol.SideError{Side: protocol.SideServer, Err: err})
	}
	return nil
}

func (w *gathering) askWarnings(c *backend.Conn) {
	if res, err := c.Query("SHOW WARNINGS"); err == nil {
		w.tell = res
	}
}

// close asks for the statement's warnings, ends the temporary tables and gives the connection back.
func (w *gathering) close(out *Outcome) {
	c := w.home
	w.home = nil
	if out.Reply.Err != nil || out.Reply.Warnings > 0 {
		w.askWarnings(c)
	}
	if w.g.Found && out.Reply.Err == nil {
		if n, err := askNumber(c, "SELECT FOUND_ROWS()"); err == nil {
			out.Found = &n
		}
	}
	for _, sql := range w.made {
		if _, err := c.Exec(sql); err != nil {
			w.over()
			c.Discard("gather")
			return
		}
	}
	w.over()
	if w.unlogged || w.r.Statement != nil || w.struck || w.expired.Load() {
		c.Discard("gather")
		return
	}
	if w.s.look(c, &Request{Role: c.Role()}) {
		c.Release()
	}
}
