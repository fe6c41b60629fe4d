// Package stream reads the replies of several servers at the same time.
//
// [Streams] has one goroutine for each reply, which hands its rows on in batches. A batch is bounded, and so is their
// number: a server whose rows nobody takes is not read from, and stops when the network's buffers are full. What the
// goroutines read comes out at the Sources of a merge.
//
// # Guarantees
//
// Memory doesn't grow with the number of rows. Every goroutine has ended when Wait returns; after Stop they read past
// what is left, so that the connections can be used again. A panic in a goroutine is raised again by Wait.
package stream
