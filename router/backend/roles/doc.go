// Package roles says who is the primary of a shard, judged from what was seen of
// its servers.
//
// A Role is the part that a server plays; a Sight is what was last seen of one. A
// Standing holds the sights of a shard and what is known of its primary, and Judge
// makes a Verdict of it, of some Kind.
//
// # Guarantees
//
//   - Judge is a function of the Standing alone: no clock, no server, no memory.
//   - A member becomes the primary only if it takes writes, follows nobody, and has
//     all transactions that its predecessor was seen to have.
//   - Two servers that may both be the primary are Split, and neither is preferred.
package roles
