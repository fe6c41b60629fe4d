// Package policy holds the arithmetic by which a replica is chosen for a read.
//
// Turns lays out a weighted schedule; ServerHash, ClientHash and Score place a
// client on a server. A Latency is the decaying average time of a server's reads,
// and a WarmUp a replica's way back to its full share of them.
//
// # Guarantees
//
//   - A schedule is as even as can be, and exact over its length.
//   - A client's server depends on addresses alone, so every proxy chooses alike;
//     when a server leaves, only its clients move.
//   - Latency and WarmUp may be read while they change; nothing allocates but Turns
//     and ServerHash.
package policy
