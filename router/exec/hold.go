package exec

import (
	"context"
	"errors"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
)

// Why is a set of reasons for which a client keeps a server connection.
type Why uint16

// The reasons. Each ends as its comment says; all end when the client leaves or resets its connection.
const (
	WhyTransaction    Why = 1 << iota // until it commits or rolls back
	WhyTemporaryTable                 // until the last one is dropped
	WhyTableLock                      // LOCK TABLES, FLUSH TABLES WITH READ LOCK: until UNLOCK TABLES
	WhyNamedLock                      // GET_LOCK: until the last one is released
	WhyHandler                        // HANDLER … OPEN: until the last one is closed
	WhyXA                             // XA START: until XA COMMIT or XA ROLLBACK
	WhyUserVariable                   // one whose value no literal restores: until it gets another value
	WhyPrepared                       // PREPARE … FROM: until the last one is deallocated
	WhyVariable                       // a variable that no other connection can be given, such as insert_id: until the client leaves or resets
	WhyUnknown                        // CALL, or a statement that can't be read: until the client leaves or resets
	WhyCursor                         // until the cursor's last row, or its statement's end
	WhyDiagnostics                    // warnings or an error: until the next statement that doesn't read them
	WhyFoundRows                      // SQL_CALC_FOUND_ROWS: until the next statement that doesn't read it
	WhyInsertID                       // an insert whose id may have been given: until the next statement
	WhyAssigned                       // user variables whose values aren't known yet: until the next statement that doesn't read the warnings
)

const (
	// whyShort are the reasons that end by themselves with the next statement.
	whyShort = WhyDiagnostics | WhyFoundRows | WhyInsertID
	// whyAll are the reasons for which every statement for the shard must use the connection.
	whyAll = WhyTransaction | WhyTemporaryTable | WhyTableLock | WhyNamedLock | WhyHandler | WhyXA | WhyVariable
	// whyWrites are the reasons for which every statement that isn't a read must use the connection.
	whyWrites = WhyUserVariable | WhyPrepared | WhyUnknown
	// whyPartly are the reasons that a statement may have brought about before it failed.
	whyPartly = WhyUnknown | WhyUserVariable | WhyNamedLock
	// whyRuns are the reasons for which something goes on at the server between two statements: the shard isn't left
	// by this client before they end.
	whyRuns = WhyTransaction | WhyTableLock | WhyXA
	// whySpoils are the reasons that leave something on the connection which only its end takes away.
	whySpoils = WhyTemporaryTable | WhyTableLock | WhyNamedLock | WhyHandler | WhyXA | WhyUserVariable | WhyPrepared | WhyVariable | WhyUnknown | WhyCursor
)

var whyNames = []string{
	"transaction", "temporary table", "table lock", "named lock", "handler", "xa", "user variable", "prepared in SQL",
	"variable", "unknown state", "cursor", "warnings", "found rows", "insert id", "assigned variables",
}

func (w Why) String() string {
	var names []string
	for i, name := range whyNames {
		if w&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// hold is one connection that a client keeps.
type hold struct {
	shard  string
	conn   *backend.Conn
	why    Why
	spoilt bool // something was left on the connection: it isn't pooled again
	since  time.Time
}

// Pin is a hold, for operators.
type Pin struct {
	Shard, Server string
	Why           Why
	Since         time.Time

	conn *backend.Conn
}

// holdWith returns the hold that has any of the reasons, nil when there is none.
func (s *Session) holdWith(why Why) *hold {
	for i := range s.holds {
		if s.holds[i].why&why != 0 {
			return &s.holds[i]
		}
	}
	return nil
}

// holdFor returns the hold that a request has to use, nil when it may use any connection.
func (s *Session) holdFor(r *Request) *hold {
	if p := s.partAt(r.Shard); p != nil && r.Uses&whyShort == 0 {
		return s.holdOf(p.Conn)
	}
	if h := s.holdWith(r.Uses); h != nil {
		return h // also where another connection takes the shard's statements
	}
	if len(s.tx.parts) > 0 && r.Role == Any && r.Uses&whyShort == 0 {
		return s.holdOf(s.tx.parts[0].Conn)
	}
	binds := s.binds(r) || s.joins(r)
	primary := s.roleOf(r) == backend.Primary
	for i := range s.holds {
		h := &s.holds[i]
		switch {
		case h.shard != r.Shard || h.why&^whyShort == 0:
		case primary && h.conn.Role() == backend.Replica: // such as an open cursor: a replica takes no writes
		case binds, h.why&whyAll != 0, h.why&whyWrites != 0 && (!r.Read || r.Holds != 0):
			return h
		}
	}
	return nil
}

// binds says whether a request takes the open transaction to its shard.
func (s *Session) binds(r *Request) bool { return s.tx.open && len(s.tx.parts) == 0 && r.Role != Any }

func (s *Session) holdOf(c *backend.Conn) *hold {
	for i := range s.holds {
		if s.holds[i].conn == c {
			return &s.holds[i]
		}
	}
	return nil
}

// keep adds reasons for holding c.
func (s *Session) keep(c *backend.Conn, shard string, why Why) {
	h := s.holdOf(c)
	if h == nil {
		s.holds = append(s.holds, hold{shard: shard, conn: c, since: time.Now()})
		h = &s.holds[len(s.holds)-1]
	}
	if h.why&why != why {
		h.why |= why
		h.spoilt = h.spoilt || why&whySpoils != 0
		s.publish()
	}
}

// park lets the shard's primary change while the client thinks, if nothing goes on at the server meanwhile.
func (s *Session) park(c *backend.Conn) {
	if h := s.holdOf(c); h != nil && h.why&whyRuns == 0 {
		c.Park()
	}
}

// resume makes a hold's connection fit for a statement. It waits while the shard is paused. When the shard has got
// another primary the hold is gone: the error is ErrMoved if it held nothing that the client can miss.
func (s *Session) resume(ctx context.Context, h *hold) error {
	c, shard, why := h.conn, h.shard, h.why
	err := c.Resume(ctx)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, backend.ErrMoved):
		return acquireError(err)
	}
	s.forget(c)
	c.Discard("primary changed")
	if why&^whyShort == 0 {
		return err
	}
	return protocol.Errorf(1105, "HY000", "shardway: shard %s has another primary now, and what this session kept on the former one, %s, is lost (%s); nothing was done, make it anew", shard, c.Addr(), why)
}

// Gone says that the open transaction's connections have all ended at their servers, which the session finds out with its
// next statement. It may be called from any goroutine.
func (s *Session) Gone() bool {
	found := false
	for _, p := range s.Pins() {
		if p.Why&WhyTransaction == 0 {
			continue
		}
		if found = p.conn.PeerLeft(); !found {
			return false
		}
	}
	return found
}

// FreeIfUnlocked ends the pin of named locks when the client has none of these any more, as its server says.
func (s *Session) FreeIfUnlocked(names []string) bool {
	h := s.holdWith(WhyNamedLock)
	if h == nil {
		return true
	}
	var sql strings.Builder
	sql.WriteString("SELECT 0")
	for _, name := range names {
		sql.WriteString("+COALESCE(IS_USED_LOCK(" + quote(name) + ")=CONNECTION_ID(),0)")
	}
	n, err := askNumber(h.conn, sql.String())
	if err != nil {
		s.broke(h.conn, err)
		return false
	}
	if n == 0 {
		s.letOf(h.conn, WhyNamedLock)
	}
	return n == 0
}

// TableLocks is the shard on which the client has locked tables, "" when it has none.
func (s *Session) TableLocks() string {
	if h := s.holdWith(WhyTableLock); h != nil {
		return h.shard
	}
	return ""
}

// UnlockTables lets go of the tables that the client has locked.
func (s *Session) UnlockTables() error {
	h := s.holdWith(WhyTableLock)
	if h == nil {
		return nil
	}
	c, shard := h.conn, h.shard
	if _, err := c.Exec("UNLOCK TABLES"); err != nil {
		err = s.lost(c, err, true)
		if lost, ok := errors.AsType[*lostError](err); ok {
			return lost.forClient(&Request{Shard: shard})
		}
		return err
	}
	s.letOf(c, WhyTableLock)
	return nil
}

// let takes reasons away from every hold; connections without a reason go back to their pool.
func (s *Session) let(why Why) {
	if len(s.holds) == 0 {
		return
	}
	kept := s.holds[:0]
	for _, h := range s.holds {
		h.why &^= why
		switch {
		case h.why != 0:
			kept = append(kept, h)
		case h.spoilt:
			cleanse(h.conn)
		default:
			h.conn.Release()
		}
	}
	clear(s.holds[len(kept):])
	s.holds = kept
	s.publish()
}

// Left is what the client may ask about its last statement.
type Left struct {
	Warnings *protocol.Result // as SHOW WARNINGS gives them; nil without
	Count    uint64           // of the warnings, of which servers don't keep all
	Found    *uint64          // FOUND_ROWS(); nil where no server had to be asked
}

// fullList is how many warnings make it worth asking for their number: max_error_count has MariaDB's default of 64 or
// more.
const fullList = 64

// Shed gives back the connections that are kept only for what the client may ask about its last statement, and
// returns the answers.
func (s *Session) Shed() (left Left) {
	if h := s.holdWith(WhyDiagnostics); h != nil {
		res, err := h.conn.Query("SHOW WARNINGS")
		if err == nil {
			left.Warnings, left.Count = res, uint64(len(res.Rows))
			if left.Count >= fullList || s.state.get("max_error_count") != "" {
				left.Count, err = askNumber(h.conn, "SHOW COUNT(*) WARNINGS")
			}
		}
		if err != nil {
			s.broke(h.conn, err)
		}
	}
	if h := s.holdWith(WhyFoundRows); h != nil {
		n, err := askNumber(h.conn, "SELECT FOUND_ROWS()")
		if err != nil {
			s.broke(h.conn, err)
		} else {
			left.Found = &n
		}
	}
	s.AskInsertID()
	s.askPending()
	s.let(whyShort)
	return left
}

// Keeps says whether Shed has anything to give back.
func (s *Session) Keeps() bool { return len(s.holds) > 0 && s.holdWith(whyShort|WhyAssigned) != nil }

// forget drops the hold of a connection that is gone.
func (s *Session) forget(c *backend.Conn) {
	for i := range s.holds {
		if s.holds[i].conn == c {
			s.holds = append(s.holds[:i], s.holds[i+1:]...)
			s.publish()
			return
		}
	}
}

// publish lets operators see the holds.
func (s *Session) publish() {
	if len(s.holds) == 0 {
		s.pins.Store(nil)
		return
	}
	pins := make([]Pin, 0, len(s.holds))
	for _, h := range s.holds {
		pins = append(pins, Pin{Shard: h.shard, Server: h.conn.Addr(), Why: h.why, Since: h.since, conn: h.conn})
	}
	s.pins.Store(&pins)
}
