// Package backend holds the connections to the MySQL servers: a pool for each
// server, the health of each server, and the choice of the replica that serves
// a read.
//
// A Cluster is made with Options, learns the servers from a map (Apply), and
// hands out a Conn for a Want (Acquire), which may name an Owner to keep it for; Servers, Sights, Pools and Learned say
// what it knows as ServerStatus, roles.Sight, PoolStatus and Learned (with Collation).
// A Trail is where a session has been on a shard, for causal reads; CausalCounts
// count them by CausalOutcome.
//
// # Guarantees
//
//   - A Conn has one holder from Acquire to Release, Discard or Failed. Between
//     two holders it is proven clean: nothing unread, nothing unflushed, not
//     closed by the server. A connection that can't be proven clean is closed.
//   - Connections to one server never exceed Options.MaxPerServer, counting idle
//     ones, those in use and those being dialed. The prober's one connection for
//     each server and the side connection of a Kill come on top.
//   - Dials are made for the queue and not by each requester: at most one at a
//     time to a server that isn't known to answer, a few at a time to one that
//     does, at most Options.DialRate each second, with exponential back-off and
//     jitter after a failure. Requesters wait in arrival order, each with its
//     own deadline.
//   - A server that answers "too many connections" is busy and not down: its
//     requesters wait for a connection, or move to another replica.
//   - Acquire and Release of a pooled connection start no goroutine, set no
//     timer and allocate nothing.
//   - Every goroutine (one prober for each server, one janitor, dials under way)
//     is joined by Close.
//
// # Health
//
// The circuit of a server is its health.State, with the reason and the time since when.
// Only failing connections make a server down; a probe statement that fails with
// an ordinary SQL error doesn't, so minimal servers are welcome. A replica is
// eligible for reads while it is up (or busy) and, if Options.MaxLag is set, its
// lag is known and within the limit. The lag is told by a heartbeat where one can
// be written, else by replication status. A primary that is read_only stays in
// use, with a warning: the server's own error 1290 tells the client.
//
// # Roles
//
// The map says who is a shard's primary until the servers themselves say
// otherwise: each probe is a roles.Sight, and a pure function judges from a shard's
// sights who is the primary. Another member that was promoted is used at once,
// Options.OnPromoted is told, and that stays in force until the map names another
// primary. Two servers that may both be the primary get no writes. Nobody writes
// to a shard before all its members were looked at, or didn't answer for a second.
package backend
