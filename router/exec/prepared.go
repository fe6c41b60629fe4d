package exec

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// Prepared is a client's prepared statement. Servers learn it on the connections that run it.
type Prepared struct {
	Text string
	key  statementKey
	lex  Handle // the schema, character set and sql_mode under which the client prepared it

	typed bool         // the server keeps the types of parameters
	types []byte       // of the parameters at the last EXECUTE
	bound statementKey // key with these
}

// statementKey is what makes two prepared statements the same for a server.
type statementKey struct {
	lex    Handle
	text   string
	cursor *Prepared // whose cursor it may have, or whose user variables it names; nil for what all clients may share
	types  string    // of its parameters, where the server keeps those of the first EXECUTE: see classesOf
}

// keyFor is the key of a statement that a request runs with or without a cursor. A server's statement has one cursor, so
// that two of the client's can't share it. MySQL goes on with the types that it gave the parameters at first: a text
// bound to what was a number for another client would become 0.
func (p *Prepared) keyFor(r *Request) statementKey {
	switch {
	case r.Execute.Flags != 0:
		return p.cursorKey()
	case !p.typed || len(r.Types) == 0:
		return p.key
	case p.bound.types == "" || !bytes.Equal(r.Types, p.types):
		p.types = append(p.types[:0], r.Types...)
		p.bound = p.key
		p.bound.types = classesOf(r.Types)
	}
	return p.bound
}

// classesOf is the types of parameters, as EXECUTE has them, without what makes no difference: the widths of integers.
func classesOf(types []byte) string {
	classes := append([]byte(nil), types...)
	for i := 0; i+1 < len(classes); i += 2 {
		switch classes[i] {
		case protocol.TypeTiny, protocol.TypeShort, protocol.TypeInt24, protocol.TypeLong:
			classes[i] = protocol.TypeLongLong
		case protocol.TypeFloat:
			classes[i] = protocol.TypeDouble
		case protocol.TypeVarchar, protocol.TypeString:
			classes[i] = protocol.TypeVarString
		default:
		}
	}
	return string(classes)
}

func (p *Prepared) cursorKey() statementKey {
	return statementKey{lex: p.key.lex, text: p.key.text, cursor: p}
}

// Prepared makes a prepared statement of the session's present schema, character set and sql_mode.
func (s *Session) Prepared(text string) *Prepared {
	return (&Prepared{lex: s.lex, typed: !strings.Contains(s.x.cluster.Learned().Version, "MariaDB")}).Variant(text)
}

// Variant is a statement of another text, of the same schema, character set and sql_mode.
func (p *Prepared) Variant(text string) *Prepared {
	v := &Prepared{Text: text, lex: p.lex, key: statementKey{lex: p.lex, text: text}, typed: p.typed}
	if strings.Contains(text, "@") {
		v.key.cursor = v // the server's statement has the types that the user variables had when it was prepared
	}
	return v
}

// maxStatements bounds the prepared statements of one server connection; the least recently used goes first. A
// hundred connections of a pool stay below the servers' default of max_prepared_stmt_count, 16382.
const maxStatements = 100

// tooManyStatements is the error of a server that has max_prepared_stmt_count statements.
const tooManyStatements = 1461

// statements are the prepared statements of one server connection.
type statements struct {
	byKey map[statementKey]*serverStatement
	clock uint64
}

type serverStatement struct {
	id   uint32
	used uint64 // the clock at its last use
	open bool   // a cursor is open on it
}

func statementsOf(c *backend.Conn) *statements {
	if st, ok := c.Data.(*statements); ok {
		return st
	}
	st := &statements{byKey: map[statementKey]*serverStatement{}}
	c.Data = st
	return st
}

func (st *statements) get(key statementKey) *serverStatement {
	found := st.byKey[key]
	if found != nil {
		st.clock++
		found.used = st.clock
	}
	return found
}

// bind gives the statement that hasn't been run yet to values of some types.
func (st *statements) bind(unbound, key statementKey) *serverStatement {
	one := st.get(unbound)
	if one != nil {
		delete(st.byKey, unbound)
		st.byKey[key] = one
	}
	return one
}

// drop closes a statement; one that the server doesn't know does no harm.
func (st *statements) drop(c *backend.Conn, key statementKey) error {
	one := st.byKey[key]
	if one == nil {
		return nil
	}
	delete(st.byKey, key)
	return c.WriteCommand(protocol.ComStmtClose, le32(one.id))
}

// closeAll closes the statements without an open cursor, and says whether there were any.
func (st *statements) closeAll(c *backend.Conn) bool {
	closed := false
	for key, one := range st.byKey {
		if !one.open && c.WriteCommand(protocol.ComStmtClose, le32(one.id)) == nil {
			delete(st.byKey, key)
			closed = true
		}
	}
	return closed
}

// put remembers a statement and returns the id of one to close for it, 0 for none.
func (st *statements) put(key statementKey, id uint32) (evict uint32) {
	if old := st.byKey[key]; old != nil {
		evict = old.id
	} else if len(st.byKey) >= maxStatements {
		var oldest statementKey
		var least *serverStatement
		for k, v := range st.byKey {
			if !v.open && (least == nil || v.used < least.used) {
				oldest, least = k, v
			}
		}
		if least != nil {
			evict = least.id
			delete(st.byKey, oldest)
		}
	}
	st.clock++
	st.byKey[key] = &serverStatement{id: id, used: st.clock}
	return evict
}

// Usable says whether any server of a shard can be used now.
func (s *Session) Usable(shard string) bool { return s.x.cluster.Usable(shard) }

// Prepare has a server of a shard prepare a statement and returns what it says of it. An error is as Run's.
func (s *Session) Prepare(ctx context.Context, p *Prepared, shard string, role backend.Role, read bool) (*protocol.Prepared, error) {
	r := &Request{Command: protocol.ComStmtPrepare, Shard: shard, Role: role, Read: read}
	for try := 0; ; try++ {
		h := s.holdFor(r)
		var c *backend.Conn
		var err error
		if h != nil {
			c = h.conn
			err = s.sync(c, s.handle)
		} else {
			c, err = s.acquire(ctx, r, role, nil)
		}
		if lost, ok := errors.AsType[*lostError](err); ok {
			return nil, lost.forClient(r)
		}
		if err != nil {
			return nil, err
		}
		prepared, err := s.prepareOn(c, p, p.key)
		if err == nil {
			err = c.Flush() // a statement that was closed for it
		}
		if err == nil {
			if h == nil {
				c.Release()
			}
			return prepared, nil
		}
		if e, ok := asServerError(err); ok {
			s.keep(c, shard, WhyDiagnostics)
			return nil, e
		}
		lost, ok := errors.AsType[*lostError](s.lost(c, err, true))
		if !ok {
			return nil, err
		}
		if lost.held || try >= maxTries {
			return nil, lost.forClient(r)
		}
	}
}

// prepareOn prepares a statement on a connection, under the schema, character set and sql_mode that it was prepared
// with by the client.
func (s *Session) prepareOn(c *backend.Conn, p *Prepared, key statementKey) (*protocol.Prepared, error) {
	back := c.State
	if now := stateOf(back); p.lex != s.lex || back != s.handle {
		lex := now.lexical()
		if lex.handle() != p.lex {
			want := stateOf(p.lex)
			then := state{schema: want.schema}
			if then.schema == "" {
				then.schema = now.schema // it can't be taken back, and a text without one names its schemas
			}
			for _, v := range now.vars {
				if !isCharset(v.name) && v.name != "sql_mode" {
					then.vars = append(then.vars, v)
				}
			}
			for _, v := range want.vars {
				then.set(v.name, v.sql)
			}
			if err := s.sync(c, then.handle()); err != nil {
				return nil, err
			}
		}
	}
	prepared, refused, err := prepareText(c, p.Text)
	if err == nil && refused != nil && refused.Code == tooManyStatements && statementsOf(c).closeAll(c) {
		prepared, refused, err = prepareText(c, p.Text)
	}
	if err != nil {
		return nil, err
	}
	if c.State != back {
		if err := s.sync(c, back); err != nil {
			return nil, err
		}
	}
	if refused != nil {
		return nil, &serverError{refused}
	}
	if evict := statementsOf(c).put(key, prepared.ID); evict != 0 {
		if err := c.WriteCommand(protocol.ComStmtClose, le32(evict)); err != nil {
			return nil, err
		}
	}
	return prepared, nil
}

func prepareText(c *backend.Conn, text string) (*protocol.Prepared, *protocol.Error, error) {
	err := c.WriteCommand(protocol.ComStmtPrepare, []byte(text))
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		return nil, nil, err
	}
	return c.ReadPrepared()
}

// serverError is an ERR packet that left the connection as it was.
type serverError struct{ e *protocol.Error }

func (e *serverError) Error() string { return e.e.Error() }

func asServerError(err error) (*protocol.Error, bool) {
	if e, ok := err.(*serverError); ok { //nolint:errorlint // it is never wrapped
		return e.e, true
	}
	return nil, false
}

// sendExecute writes an EXECUTE with the server's own id of the statement, after a PREPARE where this connection
// doesn't know it yet.
func (s *Session) sendExecute(c *backend.Conn, r *Request) error {
	if err := s.known(c, r); err != nil {
		return err
	}
	if err := s.writeExecute(c, r); err != nil {
		return s.lost(c, err, false)
	}
	return nil
}

// known has a server prepare a request's statement where this connection doesn't know it yet.
func (s *Session) known(c *backend.Conn, r *Request) error {
	key := r.Statement.keyFor(r)
	if st := statementsOf(c); st.get(key) != nil || key.types != "" && st.bind(r.Statement.key, key) != nil {
		return nil
	}
	_, err := s.prepareOn(c, r.Statement, key)
	if err == nil {
		return nil
	}
	if e, ok := asServerError(err); ok {
		if s.holdOf(c) == nil {
			s.keep(c, r.Shard, WhyDiagnostics)
		}
		return e
	}
	return s.lost(c, err, true)
}

// writeExecute sends an EXECUTE of a statement that is known. An error is of writing.
func (s *Session) writeExecute(c *backend.Conn, r *Request) error {
	st := statementsOf(c).get(r.Statement.keyFor(r))
	for _, l := range r.LongData {
		if err := c.WriteCommand(protocol.ComStmtSendLongData, le32(st.id), []byte{byte(l.Param), byte(l.Param >> 8)}, l.Data); err != nil {
			return err
		}
	}
	st.open = r.Execute.Flags != 0
	s.buf = protocol.AppendExecute(s.buf[:0], st.id, r.Execute, r.Types, c.Capabilities())
	err := c.WriteCommand(protocol.ComStmtExecute, s.buf)
	if cap(s.buf) > keepBuffer {
		s.buf = nil
	}
	return err
}

// keepBuffer bounds the memory in bytes that a session keeps for its next EXECUTE.
const keepBuffer = 4 << 10

// LongData is a parameter's value that came in parts.
type LongData struct {
	Param int
	Data  []byte
}

// Fetch asks for rows of the open cursor of a statement, which the client knows by id. An error is as Run's.
func (s *Session) Fetch(ctx context.Context, p *Prepared, id, rows uint32) (Outcome, error) {
	h := s.cursor(p)
	if h == nil {
		return Outcome{}, protocol.Errorf(1421, "HY000", "The statement (%d) has no open cursor.", id)
	}
	st := statementsOf(h.conn).get(p.cursorKey())
	out, err := s.Run(ctx, &Request{
		on:      h.conn,
		Command: protocol.ComStmtFetch, Payload: append(le32(st.id), le32(rows)...), Reply: protocol.ReplyFetch,
		Shard: h.shard, Role: backend.Any, Uses: WhyCursor,
	})
	if err == nil && (out.Reply.Err != nil || out.Reply.Status&protocol.StatusLastRowSent != 0) {
		st.open = false
		s.letCursor(h.conn)
	}
	return out, err
}

// cursor is the hold of the connection where a cursor of p is open.
func (s *Session) cursor(p *Prepared) *hold {
	for i := range s.holds {
		if h := &s.holds[i]; h.why&WhyCursor != 0 {
			if st := statementsOf(h.conn).byKey[p.cursorKey()]; st != nil && st.open {
				return h
			}
		}
	}
	return nil
}

// letCursor ends the reason WhyCursor of a connection that has no open cursor any more.
func (s *Session) letCursor(c *backend.Conn) {
	for _, st := range statementsOf(c).byKey {
		if st.open {
			return
		}
	}
	if h := s.holdOf(c); h != nil {
		s.letOf(c, WhyCursor)
	}
}

// CloseCursor closes the open cursor of a statement, if there is one, when the client resets or closes it.
func (s *Session) CloseCursor(p *Prepared) {
	h := s.cursor(p)
	if h == nil {
		return
	}
	c := h.conn
	st := statementsOf(c).get(p.cursorKey())
	err := c.WriteCommand(protocol.ComStmtReset, le32(st.id))
	if err == nil {
		err = c.Flush()
	}
	if err == nil {
		_, err = c.Forward(nil, protocol.ReplySimple, &protocol.Relay{})
	}
	if err != nil {
		s.broke(c, err)
		return
	}
	st.open = false
	s.letCursor(c)
}

func le32(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }
