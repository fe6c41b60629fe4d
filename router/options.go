package router

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"shardway/protocol"
	"shardway/protocol/secret"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/shardmap"
)

// User is one who may log in.
type User struct {
	Name, Password string
	Secrets        []*secret.Secret // one of them lets the user in, in place of Password
	Databases      []string         // those the user may use; empty means all
	MaxConnections int              // at the same time; 0 means no limit
	ReadOnly       bool             // may only read
	Admin          bool             // sees and may end the sessions of all users

	// TLS, X509 and Subject are what the user's connections need, as in secret.Account.
	TLS, X509 bool
	Subject   string
}

// Options say how a Server serves. Executor, Maps and Statements must be set.
type Options struct {
	Executor   *exec.Executor
	Maps       *shardmap.Live
	Statements *parse.Cache
	Users      map[string]*User

	// TLS gives the configuration for the next connection; nil when clients can't encrypt.
	TLS        func() *tls.Config
	RequireTLS bool

	// Compression is what clients may compress their connections with.
	Compression []protocol.Compression

	// Version and Collation are what the handshake says; "" and 0 for what the servers say.
	Version   string
	Collation uint16
	// MaxPacket bounds a client's packet in bytes; 0 for what the servers allow.
	MaxPacket int

	// Proxies says from which addresses PROXY headers are believed; nil for none.
	Proxies func(netip.Addr) bool

	MaxConnections int           // of all users; 0 means no limit
	LoginTimeout   time.Duration // from accept to the end of the login; 10s when 0
	StallTimeout   time.Duration // after which a client that doesn't read its reply is cut off; 60s when 0
	QueryTimeout   time.Duration // after which a statement is stopped at its server; 0 means never
	// HoldTimeout is how long a statement waits for slots that are paused; 10s when 0.
	HoldTimeout time.Duration
	// TxMaxAge is how long a transaction may be open, TxIdle how long its client may be idle in it; 0 means for ever.
	TxMaxAge, TxIdle time.Duration

	// GatherRows and GatherBytes limit what one statement over several shards may keep; 0 for no limit.
	GatherRows, GatherBytes uint64

	Observer Observer
	Log      *slog.Logger
	// Variables are the settings that SHOW SHARDWAY VARIABLES shows, as name and value; secrets left out.
	Variables func() [][2]string

	accounts *accounts // made of Users
}

// Observer is told of every statement. Observe is called by many goroutines and must not block.
type Observer interface{ Observe(e *Event) }

// Event is one statement, or one login that failed. It is valid during Observe alone.
type Event struct {
	Kind    string // "select", "insert", "begin", "prepare", "ping", …
	Way     string // "one", "many", "gather", "refused"; "" when no server was to be asked
	Shards  int    // how many were asked, but by "gather"
	Shard   string // "" when no server was asked, "several" when more than one was
	Role    string // "primary", "replica", "any"; "" when no server was asked
	Server  string // address; "" when no server was asked
	Outcome string // "ok", "error" (of the server), "refused" (by Shardway), "lost" (a connection broke)
	Code    uint16 // the error's, 0 without

	Duration         time.Duration // from the command's arrival to its reply
	User, DB, Client string
	Digest           []byte // the text without its literals; nil for commands without text
	Rows, Affected   uint64

	GatheredRows, GatheredBytes uint64 // brought to one server
}

// The outcomes of an Event.
const (
	OutcomeOK      = "ok"
	OutcomeError   = "error"
	OutcomeRefused = "refused"
	OutcomeLost    = "lost"
)

// The ways of an Event: how a statement was answered.
const (
	WayOne     = "one"     // by one shard
	WayMany    = "many"    // by several, whose answers were brought together
	WayGather  = "gather"  // by one server that the rows were brought to
	WayRefused = "refused" // not at all
)

// Table is rows that SHOW SHARDWAY and the HTTP API show. Cells are strings, int64, uint64, float64, bool or nil.
type Table struct {
	Columns []string
	Rows    [][]any
}
