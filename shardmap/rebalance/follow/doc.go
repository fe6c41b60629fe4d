// Package follow tells which rows a server's binary log says have changed.
//
// [Start] opens a [Stream] at a [Source] with [Options]. [Stream.Next] gives one
// [Transaction] after the other, each with the keys that it [Changed] in tables
// that are followed, and the [Position] after it. [Current] is where a server is
// now; [Await] waits until all up to a position can be read on a server. An
// [Error] says why a stream ended and what to do.
//
// # Guarantees
//
// Every change of a row of the tables, up to a position, is in a transaction up
// to that position, with the primary key before and after; or the stream ends
// with an error that says which change can't be told. The tables have an engine
// with transactions: what was undone, to a savepoint or wholly, is left out.
//
// A transaction may be in the log before its rows can be read. So who reads rows
// because of it calls [Await] first.
//
// Rows of an XA branch count as changed when it commits. Until then
// [Transaction.Keep], the position from which a stream may be started again,
// doesn't pass its PREPARE.
//
// A stream has one goroutine, which reads ahead a little and stops while nobody
// calls Next; Close waits for it.
package follow
