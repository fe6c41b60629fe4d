// Package pulse remembers the heartbeat of a shard, and tells a replica's lag by it.
//
// A Beat is what one server's row of shardway.heartbeat says; a Pulse is what this
// proxy has seen of one shard's beats, and when. The statements that make, read and
// count the row are here, too.
//
// # Guarantees
//
//   - No two machines' clocks are compared: the age of a beat is told by this
//     proxy's clock, or by two times of the same primary.
//   - A Pulse is safe for concurrent use and keeps a bounded number of beats.
//   - What a failover lost is no lag.
package pulse
