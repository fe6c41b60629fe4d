// Package health names the states of a server, and says what its lag makes of it.
//
// A State is the circuit state of one server. A Lag is what is known of how far a
// replica is behind, of which Judge makes a State.
//
// # Guarantees
//
//   - A replica whose lag is unknown, or over the limit, is lagging at once; it is
//     up again after several probes within the limit, so that one at the limit
//     doesn't flap.
//   - Nothing here has a clock, a lock or a goroutine.
package health
