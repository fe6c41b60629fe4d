package exec

import (
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// settle decides, after a reply, what the session now has at the server and whether it keeps the connection.
func (s *Session) settle(c *backend.Conn, r *Request, reply *protocol.Reply, struck bool) {
	defer s.park(c)
	if r.Statement != nil && r.Execute.Flags != 0 && (reply.Err != nil || !reply.Status.Has(protocol.StatusCursorExists)) {
		statementsOf(c).get(r.Statement.cursorKey()).open = false // there is no cursor after all
	}
	if len(reply.Changes) > 0 || len(r.Sets) > 0 || len(r.Assigns) > 0 || r.Schema != "" || r.Names != "" || r.AsksCharset {
		s.learn(c, r, reply)
	}
	h := s.holdOf(c)
	var why Why
	if h != nil {
		why = h.why
	}
	autocommit := s.autocommit
	inTx := reply.Status&protocol.StatusInTrans != 0
	switch {
	case reply.Err != nil && why&WhyTransaction == 0 && s.autocommit && r.Holds&WhyUnknown == 0:
		inTx = false
	case reply.Err != nil:
		// An ERR packet says nothing of the transaction, and some errors end it.
		status, err := ping(c)
		if err != nil {
			if !r.Read {
				s.noteLost(c.Shard())
			}
			s.broke(c, err)
			return
		}
		inTx = status&protocol.StatusInTrans != 0
	case r.Reply == protocol.ReplyString:
		inTx = why&WhyTransaction != 0
	default:
		s.autocommit = reply.Status&protocol.StatusAutocommit != 0
	}

	s.note(c, r, reply, inTx)
	var add Why
	if inTx {
		add |= WhyTransaction
	}
	if reply.Err != nil || reply.Warnings > 0 {
		add |= WhyDiagnostics
	}
	add |= why & r.Uses & WhyDiagnostics // looking at it doesn't end it
	if r.Uses&whyShort != 0 {
		add |= why & WhyInsertID
	}
	if struck {
		add &^= whyShort
	}
	if add&WhyUserVariable != 0 {
		s.fix("")
	}
	if len(r.Variables) > 0 {
		add |= s.learnUserVariables(c, r, reply, struck || add&(whyShort|WhyCursor) != 0)
	}
	if reply.Err == nil {
		add |= r.Holds
		if reply.Status&protocol.StatusCursorExists != 0 {
			add |= WhyCursor
		}
		add |= s.learnInsertID(c, r, reply)
		if (h == nil || !h.spoilt) && leaves(r, reply) {
			add |= WhyUnknown | WhyUserVariable
		}
	} else {
		add |= r.Holds & whyPartly
	}
	if !autocommit && s.autocommit && s.tx.open && len(s.tx.parts) == 0 {
		s.tx = transaction{} // autocommit came back on, which commits
	}
	if slices.Contains(s.nextUsed, c) && reply.Err != nil && !inTx && s.unused(reply.Err) {
		s.next = s.used
	}
	drop := Why(0)
	if reply.Err == nil {
		drop = r.Frees
	}
	if why&WhyTransaction != 0 && !inTx {
		drop |= WhyTransaction
	}
	if why&whyShort&^add != 0 {
		drop |= whyShort &^ add
	}
	if why&WhyUserVariable != 0 && len(s.fixed) == 0 {
		drop |= WhyUserVariable
	}
	switch {
	case h == nil && add == 0:
		switch {
		case s.usedNext(c):
			c.Discard("transaction characteristics")
		case struck:
			c.Discard("killed")
		default:
			if s.look(c, r) {
				c.Release()
			}
		}
		return
	case add != 0:
		s.keep(c, r.Shard, add)
		if s.usedNext(c) {
			if h := s.holdOf(c); !inTx {
				h.spoilt = true // a statement that failed may not have used the characteristics up
			}
		}
	}
	part := s.partOn(c)
	switch {
	case part != nil:
		part.Saw(reply, !s.onlyReads(c, r, reply))
	case inTx:
		s.takePart(c, c.Shard(), "") // with autocommit off the statement has opened it
		s.tx.parts[len(s.tx.parts)-1].Saw(reply, !s.onlyReads(c, r, reply))
		s.publish()
	}
	if drop != 0 {
		if drop&WhyTransaction != 0 && part != nil {
			s.endedAt(part, reply)
		}
		s.letOf(c, drop)
	}
}

// onlyReads says whether a statement has changed nothing, unless its server reports a change. It may call a function that
// does, so that a server which doesn't report is taken to have one.
func (s *Session) onlyReads(c *backend.Conn, r *Request, reply *protocol.Reply) bool {
	told := c.Tracks && s.state.get("session_track_transaction_info") == "" &&
		(reply.ResultSets == 0 || c.Capabilities().Has(protocol.CapDeprecateEOF))
	return told && (r.Read || r.Role == Any)
}

// leaves says whether a server reports a change of the session's state for which nothing in the statement accounts: a
// user variable that a trigger or a stored function has set, most often.
func leaves(r *Request, reply *protocol.Reply) bool {
	changed := false
	for i := range reply.Changes {
		switch ch := &reply.Changes[i]; ch.Kind {
		case protocol.ChangeState:
			changed = true
		case protocol.ChangeSchema:
			return false
		case protocol.ChangeSysVar:
			if !untold[strings.ToLower(ch.Name)] {
				return false
			}
		default:
		}
	}
	return changed && len(r.Sets) == 0 && len(r.Variables) == 0 && len(r.Assigns) == 0 && r.Names == "" && !r.AsksCharset && r.Schema == "" &&
		r.Holds&^WhyUnknown&whySpoils == 0
}

// letOf takes reasons away from one connection.
func (s *Session) letOf(c *backend.Conn, why Why) {
	for i := range s.holds {
		if h := &s.holds[i]; h.conn == c {
			h.why &^= why
			break
		}
	}
	s.let(0)
}

// learnInsertID takes over the insert id of a reply. A server reports the id of an insert also when the statement
// gave it, which doesn't change LAST_INSERT_ID(): where that can't be told apart, the connection is kept until the
// next statement, which may ask.
func (s *Session) learnInsertID(c *backend.Conn, r *Request, reply *protocol.Reply) Why {
	switch {
	case r.Holds&WhyUnknown != 0: // its reply doesn't tell
		s.givenID = 0
		return WhyInsertID
	case r.SetsLastInsertID && reply.ResultSets > 0:
		if id, err := askNumber(c, "SELECT LAST_INSERT_ID()"); err == nil {
			s.lastInsertID = id
		}
	case r.Given != nil && reply.ResultSets > 0: // an INSERT … RETURNING, whose reply doesn't tell
		s.givenID = 0
		return WhyInsertID
	case reply.InsertID == 0:
	case r.Upserts && r.SetsLastInsertID && !s.found && reply.AffectedRows != 1:
		s.lastInsertID = reply.InsertID
	case r.Upserts && (s.found || reply.AffectedRows != 1):
		s.givenID = reply.InsertID
		return WhyInsertID
	case r.Given != nil && r.Given(reply.InsertID):
		s.givenID = reply.InsertID
		return WhyInsertID
	default:
		s.lastInsertID = reply.InsertID
	}
	return 0
}

// AskInsertID finds out what LAST_INSERT_ID() is when the last insert left it open. It is called before a statement
// that reads it.
func (s *Session) AskInsertID() {
	h := s.holdWith(WhyInsertID)
	if h == nil {
		return
	}
	id, err := askNumber(h.conn, "SELECT LAST_INSERT_ID()")
	switch {
	case err != nil:
		s.broke(h.conn, err)
	case s.givenID == 0 || id == s.givenID:
		s.lastInsertID = id
	}
	if h := s.holdWith(WhyInsertID); h != nil {
		h.why &^= WhyInsertID // the next let gives the connection back
	}
}
