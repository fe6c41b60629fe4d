// Package preflight looks for everything that would be in the way of moving
// slots, before the first step.
//
// [Run] looks at the map, the servers of the shards, the tables that move and
// the proxies, as [Options] say, and gives a [Report] of [Check] values, each
// with its [Result], and with a fix where there is something to mend. [Access] is
// the part of it that must hold before rows are counted.
//
// # Guarantees
//
// It changes nothing, locks nothing, and each of its statements is bounded in
// time. What can't be found out is in the report as well.
package preflight
