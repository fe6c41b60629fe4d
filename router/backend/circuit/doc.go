// Package circuit says when a server may be dialed.
//
// A Circuit counts what became of dials and admits the next one; Backoff and Spread
// are the pauses between attempts.
//
// # Guarantees
//
//   - One dial at a time to a server whose newest dial didn't succeed, a few to one
//     whose did, and never more than the rate each second.
//   - After a failure nobody dials for a while that doubles and is spread at random.
//   - A Circuit has no timer, no lock and no goroutine: its pool has these.
package circuit
