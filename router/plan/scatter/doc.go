// Package scatter says how the rows that several shards give for one SELECT become its answer.
//
// [Build] takes a [Query], a SELECT clause by clause whose rows are each made on one shard, asks [Tables] for what it has
// to know of its columns ([Presence]), and gives a [Merge] with the statement that the shards run. A Merge orders by each
// [Key], makes one row of a group's by each [Sum], with a [SumOp], and keeps within a [Bound].
//
// # Guarantees
//
// The shards' statement is the client's with columns appended, another ORDER BY or another LIMIT, so that names and types
// of the client's columns are a server's own. Rows are compared by values and weights that servers have made. What can't
// be proven to be merged right isn't merged: Build says why.
package scatter
