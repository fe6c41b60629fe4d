//go:build gms_pure_go

package main

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// turnWait is how long a statement waits for another connection's transaction before it gets error 1205; MySQL's
// innodb_lock_wait_timeout is the same by default.
const turnWait = 50 * time.Second

// notFixed are the decimals of a number that has as many as it needs.
const notFixed = 31

// turns orders the statements of one shard. The embedded database isn't made for concurrent use: a commit puts back
// whole tables as its session last saw them. So reads run side by side, a write runs alone, and a transaction keeps
// all other writers out from its first statement to its end.
type turns struct {
	statement sync.RWMutex
	writer    chan struct{} // holds one value while a connection may write
}

func newTurns() *turns { return &turns{writer: make(chan struct{}, 1)} }

// turnHandler is the engine's handler with turns around every command that touches tables.
type turnHandler struct {
	mysql.Handler
	turns     *turns
	databases *databases
	readOnly  *atomic.Bool // the engine's
	held      sync.Map     // *mysql.Conn that holds turns.writer
	// serving counts the connections from NewConnection to the end of ConnectionClosed.
	serving sync.WaitGroup
}

// NewConnection also tells the client that autocommit is on, which the engine's greeting leaves out.
func (h *turnHandler) NewConnection(c *mysql.Conn) {
	h.serving.Add(1)
	c.StatusFlags |= uint16(mysql.ServerStatusAutocommit)
	h.Handler.NewConnection(c)
}

// ConnectionClosed gives back what the connection held.
func (h *turnHandler) ConnectionClosed(c *mysql.Conn) {
	defer h.serving.Done()
	h.release(c)
	h.databases.forget(c.ConnectionID)
	h.Handler.ConnectionClosed(c)
}

// ComResetConnection ends the session's transaction, and with it its turn.
func (h *turnHandler) ComResetConnection(c *mysql.Conn) error {
	err := h.Handler.ComResetConnection(c)
	c.StatusFlags = uint16(mysql.ServerStatusAutocommit)
	h.databases.forget(c.ConnectionID)
	h.release(c)
	return err
}

// ComQuery runs one statement in its turn.
func (h *turnHandler) ComQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	query = plainXA(query)
	return h.inTurn(ctx, c, query, func() error { return h.Handler.ComQuery(ctx, c, query, correcting(callback)) })
}

// ComMultiQuery runs the first statement of query in its turn.
func (h *turnHandler) ComMultiQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) (rest string, err error) {
	query = plainXA(query)
	err = h.inTurn(ctx, c, query, func() error {
		rest, err = h.Handler.ComMultiQuery(ctx, c, query, correcting(callback))
		return err
	})
	return rest, err
}

// corrected puts right what the engine says otherwise than MySQL: a number of type DOUBLE has as many decimals as it
// needs; and what it says of a write ("Rows matched: …"), before which it would send a byte too many, is left out.
func corrected(result *sqltypes.Result) *sqltypes.Result {
	if result == nil {
		return nil
	}
	result.Info = ""
	for _, f := range result.Fields {
		if f.Type == querypb.Type_FLOAT64 || f.Type == querypb.Type_FLOAT32 {
			f.Decimals = notFixed
		}
	}
	return result
}

func correcting(callback mysql.ResultSpoolFn) mysql.ResultSpoolFn {
	return func(result *sqltypes.Result, more bool) error { return callback(corrected(result), more) }
}

// ComPrepare reads table definitions only.
func (h *turnHandler) ComPrepare(ctx context.Context, c *mysql.Conn, query string, p *mysql.PrepareData) ([]*querypb.Field, error) {
	h.turns.statement.RLock()
	defer h.turns.statement.RUnlock()
	return h.Handler.ComPrepare(ctx, c, query, p)
}

// ComStmtExecute runs a prepared statement in its turn.
func (h *turnHandler) ComStmtExecute(ctx context.Context, c *mysql.Conn, p *mysql.PrepareData, callback func(*sqltypes.Result) error) error {
	return h.inTurn(ctx, c, p.PrepareStmt, func() error {
		return h.Handler.ComStmtExecute(ctx, c, p, func(result *sqltypes.Result) error { return callback(corrected(result)) })
	})
}

func (h *turnHandler) inTurn(ctx context.Context, c *mysql.Conn, query string, run func() error) error {
	word := firstWord(query)
	if word == "kill" { // it must not wait for what it is to end
		return run()
	}
	read := onlyReads(word)
	autocommit := c.StatusFlags&uint16(mysql.ServerStatusAutocommit) != 0
	if _, held := h.held.Load(c); !held && (!read || !autocommit) {
		if err := h.acquire(ctx, c); err != nil {
			return err
		}
	}
	if read {
		h.turns.statement.RLock()
		defer h.turns.statement.RUnlock()
	} else {
		h.turns.statement.Lock()
		defer h.turns.statement.Unlock()
		// A replica's temporary tables may change. Nothing else runs now.
		if h.databases.replica && (createsTemporary(query) || dropsTemporary(query) || changesTemporary(query) && h.databases.has(c.ConnectionID)) {
			h.readOnly.Store(false)
			defer h.readOnly.Store(true)
		}
	}
	err := run()
	if c.StatusFlags&uint16(mysql.ServerInTransaction) == 0 {
		h.release(c)
	}
	return err
}

func (h *turnHandler) acquire(ctx context.Context, c *mysql.Conn) error {
	timeout := time.NewTimer(turnWait)
	defer timeout.Stop()
	select {
	case h.turns.writer <- struct{}{}:
		h.held.Store(c, true)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timeout.C:
		return mysql.NewSQLError(mysql.ERLockWaitTimeout, mysql.SSUnknownSQLState,
			"Lock wait timeout exceeded; try restarting transaction")
	}
}

func (h *turnHandler) release(c *mysql.Conn) {
	if _, held := h.held.LoadAndDelete(c); held {
		<-h.turns.writer
	}
}

// firstWord returns the word that a statement begins with, in lower case, past comments and parentheses.
func firstWord(query string) string {
	for {
		query = strings.TrimLeft(query, " \t\r\n(;")
		if !strings.HasPrefix(query, "/*") || strings.HasPrefix(query, "/*!") {
			break
		}
		_, after, _ := strings.Cut(query, "*/")
		query = after
	}
	letters := func(r rune) bool { return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') }
	if end := strings.IndexFunc(query, letters); end >= 0 {
		query = query[:end]
	}
	return strings.ToLower(query)
}

// onlyReads says whether a statement that begins with word changes no table and begins no transaction. A wrong no
// costs concurrency only.
func onlyReads(word string) bool {
	switch word {
	case "select", "show", "set", "use", "explain", "describe", "desc", "values", "table", "help":
		return true
	}
	return false
}
