// Package failover changes the primary of a shard: planned ([Switchover],
// [Cancel]), after its death ([Failover], [Rejoin]), and keeps those away who
// haven't heard of it ([Raise]). [Gone] decides from the proxies' announcements
// whether a primary is gone.
//
// It works on a [Store], the map with the fleet of proxies, and on the servers,
// which [Options] say how to reach, such as by an [Account]. It never talks to
// proxies: they see the shard paused in the map, and say in their announcements
// when they have left it. A [Report] tells what was done in [Step] values; a
// [Refused] error lists each [Problem] that was in the way. [Inspect] reads the
// [State] of one server, as a [Replica] and with its [SemiSync] too,
// and its open [Transaction] values.
//
// # Guarantees
//
// At no moment do two servers of a shard take the proxies' writes: the old
// primary is read-only before the new one is writable, or dead, and a proxy
// that doesn't follow the map is kept out by the fence.
//
// A switchover loses no transaction. A failover loses those that no reachable
// replica had received; with semi-sync no client was told that these were
// committed, as long as a replica that acknowledges is reachable.
//
// What is under way is written in the map's text for the paused shard, so that
// a run that ends at any moment, by kill -9 too, is finished or undone by the
// next. Every decision is a compare-and-swap of the map, so that of several
// runs at most one goes on.
package failover
