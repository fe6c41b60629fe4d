// Package rewrite makes the statements that shards get out of the one that the client sent.
//
// A [Norm] is a statement's norm as tokens. A [Template] is made of it: a [Range] of the client's tokens here, words of
// Shardway's own there. With a [Fill], which holds the client's text, it becomes SQL. An [Insertion] is an INSERT with its [Row]s, and a [Numbering] says which of them get a number. A [Shape] is what the parser sees
// of a SELECT, clause by clause, each with its Range. A [Place] is where a statement takes one more condition, by an [Edit].
// [Plain] and [Output] tell of a SELECT in FROM what a condition on its columns is about, and [Renamed] names its columns.
//
// # Guarantees
//
// What a Template takes from the client it takes byte by byte, with its literals, its white space and the comments
// between its tokens, so that the server reads, evaluates and names it as it would have in the client's own statement.
// Nothing is printed from a syntax tree.
//
// # Lifetimes
//
// A Norm, a Shape and a finished Template are immutable and safe for concurrent use. A Fill isn't, and aliases the
// client's text.
package rewrite
