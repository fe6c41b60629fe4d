// Package merge brings the rows of several servers together into one answer.
//
// [New] makes a [Merger] of a [plan.Merge] and the columns that the servers have sent: it knows the encoding of each
// [Key] and sum, or says with an [UnmergeableError] that the servers alone could compare such values. Run reads rows from
// each [Source], in the order that the plan promises, and writes the answer's rows to a [Sink].
//
// # Guarantees
//
// Values aren't evaluated: they are compared, added and counted as the servers would do it, in the encoding in which they
// came, text or binary; a value that isn't a sum goes to the client byte by byte. Sums of DECIMAL are exact. Memory
// doesn't grow with the number of rows, but for groups whose order isn't their keys', which have the limits of [Options].
// Nothing is allocated for a row.
//
// The package is pure: what it reads and writes is handed in, it starts no goroutine and knows no clock.
package merge
