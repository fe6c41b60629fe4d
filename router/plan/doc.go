// Package plan decides what becomes of one statement.
//
// [Build] takes a parsed statement ([parse.Statement]) with its literal or bound values, the map ([shardmap.Map]) and the
// session's [Facts], each [View] among them, and gives a [Plan]: [One] (relay it to one shard, to a server of a [Role]), [Many] (each shard runs its
// [Part], and a [Merge] brings their rows together: by each [Key], each [Sum], to a [SumOp], and within a [Bound]), [Gather]
// (bring rows to one server and run it there), [Each] (DDL and the like run shard by shard, each [Defined] table is looked at
// first, and an [Answer] says what the client gets), [Explain] (the steps of another plan are explained where they would run), [Local] (the session answers it itself, by a [LocalOp]) or [Refuse] (a clear
// error). [Rows] shows a Plan as the table of EXPLAIN ROUTE, and
// [InsertTarget] names the table whose columns Build has to know.
//
// Build is pure: no I/O, no clock, no state; the same inputs give the same Plan. Its promise: a statement that gets One
// gives on that shard what one MySQL server holding all rows would give, because every row that can matter to it lives
// there. What can't be proven is refused with a text that says which clause, which shards, and what to do.
package plan
