// Package rebalance moves slots between shards while clients write, as
// docs/design/0010-moving-slots.md lays out.
//
// An [Engine] brings the moves of one rebalance, which stand in the map of a
// [Store], to where their wants say, from whatever state things are in; its
// [Options] say how to reach the servers and how much load it may make. While
// it runs it tells its [Progress], with a [MoveProgress] of each move and the
// [Phase] that it is in; [Engine.Status] reads the same for somebody who doesn't run
// it. A [Report] tells what was done. [Running] is the error when another
// engine has the rebalance, and [Stray] a row that was written past the
// proxies at a shard that doesn't own it any more.
//
// # Guarantees
//
// Whatever dies at whatever moment, no row is lost, doubled or misplaced: what
// the engine has done is on the servers in the same transaction as the rows,
// and the map is changed by compare-and-swap alone. An engine that is run again
// goes on from there.
//
// Statements for the slots wait for [Options].PauseLimit at most at a time. A
// switch that isn't done by then is taken back, with nothing lost, and tried
// again later.
//
// The engine never talks to proxies: they see the moves in the map, and say in
// their announcements when they have taken them over.
package rebalance
