// Package grammar makes random schemas, rows and statements, the same for the same seed, to compare Shardway with one
// server that holds all rows.
//
// A [Schema] is a database of sharded, reference and whole tables with their rows, as a script. A [Generator] makes
// [Statement]s for it: a read or a write, as text or prepared, whose answer is the same on every server that is right,
// up to what the statement itself leaves open: the order of its rows ([Statement.Ordered]), which of several texts that are
// equal in their collation stands for a group ([Statement.Folds]), and what a server's own plan shows of itself in the
// columns ([Statement.Planned], [Statement.Derived]). [Statement.Smaller] gives simpler
// statements, to find the smallest one that still fails, and [Fold] a text as all that are equal to it are written.
package grammar
