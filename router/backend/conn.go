package backend

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
	"unique"

	"shardway/protocol"
)

// Conn is a connection to a server, in the hands of one holder from Acquire to
// Release, Discard or Failed. After these the holder must forget it: a second
// call does nothing while the connection is pooled or closed, but once the
// connection is handed out again it has a new holder.
//
// Like protocol.Conn it isn't safe for concurrent use, except Close, SetDeadline
// and Interrupt.
type Conn struct {
	*protocol.Conn

	// State says which session state the connection holds; its owner is the code
	// that runs statements. A new connection has the state "": the server's
	// defaults with utf8mb4 and what Setup sets.
	State unique.Handle[string]
	// Data belongs to the holder and stays with the connection, for instance its
	// prepared statements. It is nil on a new connection.
	Data any
	// Tracks says whether the server reports changes of session state: of system
	// variables, the schema, and session state as a whole.
	Tracks bool

	srv      *server
	greeting *protocol.Greeting
	setup    string
	kind     kind
	login    uint64 // the login generation it was dialed in
	epoch    uint64 // the server's epoch it was dialed in

	row       []byte  // of the newest answer to Sample
	member    *member // what it was acquired for
	wanted    Role
	gate      *gate // of the shard, while the holder counts there
	prev      *Conn // in the pool's list of connections in use
	next      *Conn
	listed    bool
	taken     time.Duration
	seen      time.Duration // when it was certainly clean
	held      atomic.Bool
	deadlines atomic.Bool // the holder has set some
}

// baseState is the State of a connection after Setup.
var baseState = unique.Make("")

// Addr is the address of the server as the map has it.
func (c *Conn) Addr() string { return c.srv.addr }

// Shard is the id of the shard that the connection was acquired for.
func (c *Conn) Shard() string { return c.member.shard }

// Role is the server's role in that shard: Primary or Replica.
func (c *Conn) Role() Role { return c.member.role }

// Greeting is what the server said at login; not to be changed.
func (c *Conn) Greeting() *protocol.Greeting { return c.greeting }

// ConnectionID is the server's number of the connection.
func (c *Conn) ConnectionID() uint32 { return c.greeting.ConnectionID }

// FoundRows says whether the connection was logged in with CapFoundRows.
func (c *Conn) FoundRows() bool { return c.kind.login&loginFoundRows != 0 }

// Extended says whether the connection was asked for CapExtendedMetadata.
func (c *Conn) Extended() bool { return c.kind.login&loginExtended != 0 }

// Served counts one more statement on a connection that its holder keeps.
// Acquire has counted the first.
func (c *Conn) Served(read bool) {
	if read {
		c.srv.reads.Add(1)
	} else {
		c.srv.writes.Add(1)
	}
}

// SetDeadline sets both deadlines; Release takes them off again.
func (c *Conn) SetDeadline(t time.Time) error {
	c.deadlines.Store(true)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline sets the read deadline; Release takes it off again.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadlines.Store(true)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the write deadline; Release takes it off again.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.deadlines.Store(true)
	return c.Conn.SetWriteDeadline(t)
}

// Interrupt makes reads and writes fail from now on; Release takes that off again.
func (c *Conn) Interrupt() {
	c.deadlines.Store(true)
	c.Conn.Interrupt()
}

// Release gives the connection back. It is closed instead if it isn't clean or
// is in a transaction, its server left the map, the login options changed, or there are more connections
// than the ceiling allows. Whoever sets a deadline from another goroutine must
// have ended that goroutine before.
func (c *Conn) Release() {
	if !c.held.CompareAndSwap(true, false) {
		return
	}
	why, now := "", c.srv.cluster.now()
	if c.deadlines.Swap(false) && c.Conn.SetDeadline(time.Time{}) != nil {
		why = "unclean"
	}
	switch {
	case why != "":
	case c.Status().Has(protocol.StatusInTrans):
		why = "transaction"
	case !c.settled(now):
		why = "unclean"
	}
	c.srv.pool.putAt(c, why, now)
}

// settled says whether the connection is clean. Where it was taken a moment ago, its
// last read tells: that was later.
func (c *Conn) settled(now time.Duration) bool {
	if now-c.taken > freshFor {
		c.seen = now
		return c.Clean()
	}
	c.seen = c.taken
	return c.Settled()
}

// Discard closes the connection; why is the key under which PoolStatus.Closed
// counts it, so it should be one of few words.
func (c *Conn) Discard(why string) {
	if c.held.CompareAndSwap(true, false) {
		c.srv.pool.put(c, why)
	}
}

// Failed discards a connection on which reading or writing failed in a way that
// says the server is gone: a reset, an end of file, no answer. The server's idle
// connections are closed and a probe starts at once. Until it is answered a
// replica serves nothing, and a primary is reached by new connections only.
// Failures of connections older than the server's newest outage say nothing new
// and leave the server alone, as does a context.Canceled or an error that the
// server itself answered.
func (c *Conn) Failed(err error) {
	if !c.held.CompareAndSwap(true, false) {
		return
	}
	c.srv.pool.put(c, "failed")
	var wire *protocol.Error
	if errors.As(err, &wire) && wire.Code != codeServerShutdown || errors.Is(err, context.Canceled) {
		return
	}
	c.srv.suspect(c.epoch, err)
}

// Close discards the connection.
func (c *Conn) Close() error {
	c.Discard("closed")
	return nil
}

// quitDeadline bounds the goodbye of a connection that is closed.
const quitDeadline = 100 * time.Millisecond

// end closes the socket, after a goodbye if the connection is in order, so that
// the server doesn't count it as aborted.
func (c *Conn) end(polite bool) {
	if polite && c.Conn.SetDeadline(time.Now().Add(quitDeadline)) == nil {
		if c.WriteCommand(protocol.ComQuit) == nil {
			_ = c.Flush() // the socket is closed next, whether or not the server heard
		}
	}
	c.Conn.Close()
}
