package follow

import (
	"crypto/tls"
	"time"

	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/rows"
)

// Source is a server whose binary log is read. The account needs REPLICATION
// SLAVE.
type Source struct {
	Addr           string // host:port, or unix:path
	User, Password string
	TLS            *tls.Config // nil is none
	Plain          bool        // with TLS: a server that doesn't encrypt is allowed
	MariaDB        bool
	// ServerID is what it calls itself as a replica: no other of the server's may
	// have it. 0 is a random one.
	ServerID uint32
	// Heartbeat is how often an idle server must say that it is there; a server
	// that says nothing for five times as long is lost. Default 1s.
	Heartbeat time.Duration
	// DialTimeout bounds connecting and logging in. Default 3s.
	DialTimeout time.Duration
}

// Options say what to follow.
type Options struct {
	// From is the position behind which the log is read: of [Current], or the Keep
	// that was kept.
	From gtid.Set
	// Done are the transactions that were dealt with: the GTID of the Position that
	// was kept together with Keep. They are read for the branches that they prepare
	// and not given again. Empty: From.
	Done gtid.Set
	// Tables are the tables whose changes are told.
	Tables []*rows.Table
	// Marks are tables whose changes mark a transaction: the caller's own writes.
	Marks []*rows.Table
}

// Position is a place in a server's binary log.
type Position struct {
	GTID gtid.Set // all transactions up to it
	// File and Offset are the place in the log of the server with this id.
	Server uint32
	File   string
	Offset uint64

	ended *branches
}

// Changed are rows of a table that have changed, each key once: inserted,
// updated (with the key before and after) or deleted.
type Changed struct {
	Table *rows.Table
	Keys  []rows.Key
}

// Transaction is one transaction of the binary log. It is also given where it
// concerns none of the tables, since it moves the position.
type Transaction struct {
	GTID     string
	Position Position  // after it
	Keep     gtid.Set  // where a stream that is to miss nothing after this one begins
	At       time.Time // when it was written, to the second
	Changed  []Changed // of Options.Tables
	Marked   []Changed // of Options.Marks
	// Statement is a statement that changes the definition of one of Tables, or
	// empties it (TRUNCATE): what was read of the table is no longer right.
	Statement string
	// Branch is the id of the XA branch that this transaction commits, as a server's
	// log has it: X'…',X'…',1.
	Branch string
	// Unseen says that the PREPARE of that branch was before the stream's start: so
	// what it has changed isn't known.
	Unseen bool
}

// Error is why a stream ended.
type Error struct {
	Addr string
	Text string // what is wrong
	Fix  string // what to do, "" where there is nothing
	Err  error  // what the server or the connection said, may be nil
	// Purged says that the server no longer has the transactions that were asked
	// for, or never had them.
	Purged bool
}

func (e *Error) Error() string {
	s := e.Addr + ": " + e.Text
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
