package backend

import (
	"time"

	"shardway/protocol"
	"shardway/router/backend/health"
)

// ServerStatus is what is known of one server of one shard.
type ServerStatus struct {
	Addr, Shard string
	Role        Role // that is in force: the map's, or what was observed since
	MapRole     Role // that the map gives
	Observed    string
	// Observed is what the server looks like: "primary" takes writes and follows nobody, "replica"
	// follows a source; "" if that isn't known, or neither.
	State      health.State
	Why        string    // the reason of the state; "" when up
	Since      time.Time // when the state began
	Eligible   bool      // whether Acquire may choose the server now
	Weight     int
	Zone       string
	Version    string        // of the server; "" until it answered
	ServerID   string        // server_uuid, or server_id where there is none
	ReadOnly   bool          // read_only or super_read_only is on
	Lag        time.Duration // replication lag; meaningful if LagKnown
	LagKnown   bool
	LagFrom    string        // "heartbeat" or "status", with what to know about it; "" if neither
	Heartbeat  string        // why the server has no heartbeat; "" if it has, or none is asked for
	WarmUp     float64       // share of its turns that the server takes, 1 when it is warm
	Ejected    time.Time     // until when the server is left out; zero if it isn't
	ReplicaOf  string        // host:port of the source
	IO, SQL    string        // the replication threads' states
	Position   string        // what the server has executed: gtid_executed or gtid_current_pos
	SplitBrain bool          // writes to the shard are refused, as two servers may be its primary
	Latency    time.Duration // of the newest answered probe
	Warning    string        // something an operator should look at; "" if nothing
	Reads      uint64        // statements served for Want.Role Replica or Any
	Writes     uint64        // statements served for Want.Role Primary
}

// PoolStatus is one server's pool. Counters count from the pool's creation.
type PoolStatus struct {
	Addr, Shard string
	Role        Role
	Ceiling     int
	Idle, Busy  int
	Dialing     int // dials under way
	Waiting     int // requesters in the queue

	Dials        uint64        // dials begun
	DialErrors   uint64        // dials that failed
	DialTime     time.Duration // sum over all dials
	Waits        uint64        // requests that no idle connection served
	WaitTimeouts uint64        // of these, given up by deadline
	WaitTime     time.Duration // sum over all waits
	Reused       uint64        // requests served from the idle list
	Closed       map[string]uint64
	// Closed counts closed connections by the reason given to Discard, and
	// "idle", "unclean", "transaction", "left", "options", "ceiling", "failed".

	Circuit string    // what holds dials back: "" or "retry in 1.2s after: …"
	Since   time.Time // of the newest dial failure; zero if the newest dial succeeded
}

// Collation is one row of information_schema.COLLATIONS.
type Collation struct {
	Name, Charset string
}

// Learned is what the servers say about themselves, as a client should see it.
// The default shard's primary speaks first, then the primaries in the order of
// the shards, then the replicas.
type Learned struct {
	OK                 bool          // false until a server answered; the rest is zero then
	Addr               string        // the server that spoke
	Version            string        // version string of the handshake
	Collation          uint16        // the server's default collation
	Charset            string        // and its character set
	SQLMode            string        // sql_mode of new sessions
	WaitTimeout        time.Duration // wait_timeout of new sessions
	InteractiveTimeout time.Duration // and interactive_timeout
	MaxAllowedPacket   int           // bytes; the minimum over the primaries that answered
	LowerCaseTables    int           // lower_case_table_names
	Collations         map[uint16]Collation
	Databases          []string            // union over the primaries, sorted
	Capabilities       protocol.Capability // that all primaries that answered offer
}
