// Package sequence hands out numbers for rows that are unique over all shards.
//
// [Sequences] has the sequences that this proxy has drawn from, each with a block of numbers that nobody else has. A block
// is taken in one statement from the table shardway.sequences on the default shard of the table's database, through a
// [Server], before its first number is used: a proxy that ends at any moment leaves a gap, and never hands out a number
// twice. The numbers of one proxy only grow. None is above [Max].
package sequence
