// Package replication reads what servers of both kinds say of their replication.
//
// A Status is the answer to one of the Forms of SHOW REPLICA STATUS, all channels
// together. Executed is what a server has executed, told by its Variables.
//
// # Guarantees
//
//   - The lag of a Status is the greatest of all channels; it isn't known if a
//     thread of any of them doesn't run, and LagWhy says so.
//   - Executed is parsed only when the server's text has changed.
package replication
