// Package shardmap says where rows live: key -> slot -> shard -> servers.
//
// A [Map] is one version of that knowledge: its [Shard] values with their
// [Server] values, its [Database] values with the owners of their slots, and
// their [Table] values with key and [Placement]. [Table.Locate] takes a [Value]
// and the [Use] made of it and answers with a [Location]. A [Live] holds the
// Map that is current in this process; a [Store] keeps it for all processes
// and a [History] remembers the earlier versions as [Revision] values. [Diff]
// gives the [Change] values between two maps, [Check] the [Problem] values in
// one, [Hazards] what a change would leave behind. A [Move] is slots on their
// way between two shards, with its [MoveState] and its [MoveWant].
//
// # Guarantees
//
// A Map never changes once it is made, so it is read without locks and by any
// number of goroutines, and everything reached from it (shards, tables,
// slices) lives as long as the Map and must not be written to.
//
// Every slot of every database in a Map has exactly one owner.
//
// Locate never misplaces: it says [Placed] only where each row that can match
// (or the row that is stored) is certain to be in that slot by the rules of
// both MariaDB and MySQL, and [Unknown] wherever that is in doubt.
package shardmap
