package follow

import (
	"context"
	"crypto/tls"
	"database/sql"
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
	// that says nothing for five times as long, and 5s at least, is lost. Default
	// 1s.
	Heartbeat time.Duration
}

// Options say what to follow.
type Options struct {
	// From is the position behind which the stream begins: of [Current] or a
	// Transaction's Keep.
	From gtid.Set
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
	Keep     gtid.Set  // where a stream that is to miss nothing after this one may begin
	At       time.Time // when it was written, to the second
	Changed  []Changed // of Options.Tables
	Marked   []Changed // of Options.Marks
	// Statement is a statement that changes the definition of one of Tables, or
	// empties it (TRUNCATE): what was read of the table is no longer right.
	Statement string
	// Unseen is the id of an XA branch that this transaction commits and whose
	// PREPARE was before the stream's start, as SQL (see XA RECOVER FORMAT='SQL');
	// so what it changed isn't known.
	Unseen string
	// XA is the id of the branch that this transaction commits, as SQL.
	XA string
}

// Stream is the binary log from a position on. It is for one goroutine at a
// time, but for Heard and Close.
type Stream struct{}

// Start connects and begins to read. ctx bounds that alone.
func Start(ctx context.Context, source Source, o Options) (*Stream, error) { panic("to do") }

// Next waits for the next transaction. When ctx ends first, the error is ctx's
// and nothing is lost: call it again. With a ctx that has ended, Next gives what
// is there without waiting. Any other error ends the stream.
func (s *Stream) Next(ctx context.Context) (*Transaction, error) { panic("to do") }

// Position is that of the last transaction that Next gave, or of the start.
func (s *Stream) Position() Position { panic("to do") }

// Keep is [Transaction.Keep] of the last transaction.
func (s *Stream) Keep() gtid.Set { panic("to do") }

// Reached says whether Next has given all transactions of a set.
func (s *Stream) Reached(set gtid.Set) bool { panic("to do") }

// Heard is when the server last sent something, a heartbeat too.
func (s *Stream) Heard() time.Time { panic("to do") }

// Close ends the stream.
func (s *Stream) Close() error { panic("to do") }

// Current is what a server has in its binary log now.
func Current(ctx context.Context, db *sql.DB) (gtid.Set, error) { panic("to do") }

// Await waits until the changes of all transactions up to a position can be read
// on a server: on the one whose log it is in, they may be in the log before they
// are committed, and on one of its replicas later.
func Await(ctx context.Context, db *sql.DB, p Position) error { panic("to do") }

// Error is why a stream ended.
type Error struct {
	Addr string
	Text string // what is wrong
	Fix  string // what to do, "" where there is nothing
	Err  error  // what the server or the connection said, may be nil
	// Purged says that the server no longer has the transactions that were asked
	// for.
	Purged bool
}

func (e *Error) Error() string { panic("to do") }
func (e *Error) Unwrap() error { return e.Err }
