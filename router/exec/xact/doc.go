// Package xact ends transactions that run on several shards, all or nothing.
//
// A transaction has a [Participant] for each shard, the first of them a plain transaction, each later one an XA branch
// under the transaction's [ID]. [Transactions] names them, commits them ([Transactions.Commit], whose [Outcome] is in a
// [Result]) and resolves what was left in doubt: the decision is one row of shardway.decisions, on the shard that the ID
// holds. A [Recovery] looks for such branches, of this proxy and of others. [Counts] say what happened, and how long
// COMMITs took as a [Latency]. [CrossShard] is what becomes of a second shard.
//
// What xact guarantees: a transaction is committed by one COMMIT on one server, that of the row; a branch is committed
// only after the row says so, and rolled back only after the row can't say so any more. An Outcome is never a guess.
package xact
