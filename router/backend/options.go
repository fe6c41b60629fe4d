package backend

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"
	"unique"

	"shardway/protocol"
	"shardway/router/backend/roles"
)

// Role says what a connection is wanted for, and which part a server plays in
// its shard.
type Role = roles.Role

// The roles; see package roles.
const (
	Primary = roles.Primary
	Replica = roles.Replica
	Any     = roles.Any
)

// The policies by which a replica is chosen for a read.
const (
	// PolicyRoundRobin takes the eligible replicas in turn, exactly: the default.
	PolicyRoundRobin = "round_robin"
	// PolicyWeighted takes them in turn, in proportion to their weights and evenly
	// spread (smooth weighted round robin).
	PolicyWeighted = "weighted"
	// PolicyLeastConnections takes the replica with the fewest connections in use.
	PolicyLeastConnections = "least_connections"
	// PolicyClientIPHash keeps a client's address on one replica; when a replica
	// leaves, only its clients move (rendezvous hashing). Clients without an
	// address (unix sockets) are served in turn.
	PolicyClientIPHash = "client_ip_hash"
	// PolicyLatency takes the faster of two random replicas, by a decaying average
	// of the time that a read held a connection.
	PolicyLatency = "latency"
)

// Options say how a Cluster logs in to servers and how it uses them. The zero
// value of a field that lists a default means that default.
type Options struct {
	// User and Password log in to every server.
	User, Password string
	// TLS is how connections to servers are encrypted, TLSConfig with what.
	TLS       protocol.TLSMode
	TLSConfig *tls.Config
	// Capabilities are asked of servers in addition to those that protocol.Dial
	// always asks. CapFoundRows and CapExtendedMetadata are set per Want and have no
	// place here.
	Capabilities protocol.Capability
	// Compression is used where a server offers it; "" is none.
	Compression protocol.Compression
	// ProxyProtocol begins each connection with a PROXY header of version 2, with
	// the address of the Want's Owner, or that it is Shardway's own. It implies
	// Dedicated.
	ProxyProtocol bool
	// Attrs are the connection attributes that servers show in
	// performance_schema.session_connect_attrs.
	Attrs map[string]string

	// DialTimeout bounds one dial with its login and session set-up, and one
	// probe; 3s by default.
	DialTimeout time.Duration
	// DownTimeout is how long statements that run on a server go on when it has
	// been found to be down, that is, when it has neither answered a probe nor let
	// in a new connection for DialTimeout; then they fail. 3s by default.
	DownTimeout time.Duration
	// KeepAlive is the period of TCP keep-alive probes, 15s by default.
	// UserTimeout (TCP_USER_TIMEOUT) is how long sent data may stay
	// unacknowledged before the connection fails, 15s by default.
	KeepAlive, UserTimeout time.Duration
	// DialRate is the number of dials to one server each second, and the size of
	// a burst; 100 by default.
	DialRate int

	// Dedicated keeps a connection, once used for an Owner, for that one until it
	// leaves, though the ceiling takes idle ones away.
	Dedicated bool
	// MaxPerServer is the ceiling of pooled connections to one server, idle and
	// in use and being dialed; 100 by default.
	MaxPerServer int
	// IdleTimeout closes connections that nobody used for so long; 60s by default.
	IdleTimeout time.Duration
	// WaitTimeout bounds the wait for a connection, 5s by default. Want.Wait
	// takes its place for one request.
	WaitTimeout time.Duration
	// HoldTimeout is how long who wants a primary waits while its shard is
	// paused; 10s by default.
	HoldTimeout time.Duration
	// HoldLost says that who wants a primary that can't be reached waits as
	// long, since another server is going to take its place.
	HoldLost bool

	// Policy is one of the Policy constants, PolicyRoundRobin by default.
	Policy string
	// MaxLag is the replication lag up to which a replica serves reads; a replica
	// whose lag is unknown serves none. 0 turns the check off.
	MaxLag time.Duration
	// FallbackToPrimary lets the primary serve reads when no replica is eligible.
	FallbackToPrimary bool
	// CausalReads makes sessions read their own writes on replicas, and never go
	// back in time, unless they choose otherwise. CausalTimeout bounds how long a
	// read waits for its replica, 200ms by default; then the primary serves it, or
	// none if FallbackToPrimary is off.
	CausalReads   bool
	CausalTimeout time.Duration
	// Zone is preferred: while a replica of this zone is eligible, replicas of
	// other zones serve no reads. "" prefers none.
	Zone string

	// Heartbeat is the time between two beats that are written to each shard's
	// primary, for the lag to be known to less than a second; 0 writes none, and
	// the lag is what replication says.
	Heartbeat time.Duration
	// WarmUp is the time in which a replica that returns, or is new, comes to its
	// full share of reads; 0 gives it at once.
	WarmUp time.Duration
	// Eject says when a replica is left out for a while though it answers probes.
	Eject Eject
	// OnPromoted is told that another member of a shard was promoted and is used
	// as its primary from now on. It runs in a goroutine of its own, which Close
	// waits for; it must not call Apply, SetOptions or Close.
	OnPromoted func(shard, from, to string)

	// ProbeInterval is the time between two probes of a server that answers, 500ms
	// by default and Heartbeat at the most, spread by a tenth. One that doesn't is probed with back-off
	// from 200ms to 2s.
	ProbeInterval time.Duration

	// Dial makes a connection and logs in; protocol.Dial by default.
	Dial func(context.Context, protocol.DialOptions) (*protocol.Conn, *protocol.Greeting, error)
	// Log receives changes of servers' states; nothing is logged by default.
	Log *slog.Logger
}

// Eject are the limits over which a replica serves no reads for a while. The last
// eligible one of a shard stays.
type Eject struct {
	// LatencyFactor is how many times the median of its peers a replica's reads
	// may take; 0 looks at no times.
	LatencyFactor int
	// Errors is how many of its connections may break within 10s while its probes
	// are answered; 0 counts none.
	Errors int
	// For is how long it is left out the first time; each time soon after doubles
	// it. 10s by default.
	For time.Duration
}

// withDefaults returns o with its defaults filled in.
func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.DialTimeout, 3*time.Second)
	def(&o.DownTimeout, 3*time.Second)
	def(&o.KeepAlive, 15*time.Second)
	def(&o.UserTimeout, 15*time.Second)
	def(&o.IdleTimeout, time.Minute)
	def(&o.WaitTimeout, 5*time.Second)
	def(&o.HoldTimeout, 10*time.Second)
	def(&o.ProbeInterval, 500*time.Millisecond)
	def(&o.Eject.For, 10*time.Second)
	def(&o.CausalTimeout, 200*time.Millisecond)
	o.Dedicated = o.Dedicated || o.ProxyProtocol
	if o.DialRate <= 0 {
		o.DialRate = 100
	}
	if o.MaxPerServer <= 0 {
		o.MaxPerServer = 100
	}
	if o.Policy == "" {
		o.Policy = PolicyRoundRobin
	}
	if o.Dial == nil {
		o.Dial = protocol.Dial
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Want describes the connection that Acquire is asked for.
type Want struct {
	Shard string // the shard's id
	Role  Role
	// Client is the client's address, for PolicyClientIPHash.
	Client netip.Addr
	// Prefer is the session state that the caller will need: an idle connection
	// whose State equals it is taken first, then one whose State is "". The zero
	// Handle prefers none.
	Prefer unique.Handle[string]
	// Exclude are the addresses of servers not to use: those that failed this
	// statement already.
	Exclude []string
	// FoundRows wants a connection logged in with CapFoundRows, Extended one that
	// was asked for CapExtendedMetadata. The kinds are pooled apart under one
	// ceiling.
	FoundRows, Extended bool
	// Owner is the client that the connection is for, nil for work of Shardway's
	// own. It means something with Options.Dedicated alone.
	Owner *Owner
	// MaxLag, when it is positive, leaves out replicas whose lag isn't known to be
	// within it. It doesn't widen Options.MaxLag.
	MaxLag time.Duration
	// Trail is where the session has been on the shard: a replica known to have it
	// is preferred. Nil prefers none. Stay asks for the replica that it read last.
	// Acquire may return another; Conn.Has says whether it will do.
	Trail *Trail
	Stay  bool
	// Wait takes the place of Options.WaitTimeout when it is positive.
	Wait time.Duration
}

// Ceiling is how many connections to one server there may be, and how long Acquire waits for one.
func (c *Cluster) Ceiling() (connections int, wait time.Duration) {
	o := c.options()
	return o.MaxPerServer, o.WaitTimeout
}
