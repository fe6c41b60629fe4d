// Package bridge makes statements readable for the parser that servers know and the parser doesn't.
//
// [Build] rewrites the tokens of a [digest.Source] in place, for analysis alone: what is sent to a server is always
// the client's own text. What the rewritten text no longer says is in the [Result].
//
// # Guarantees
//
// A rewrite keeps positions and so the numbers of markers, and keeps every table and every condition that the parser
// would have seen; where it drops anything that could write, or depends on the session, the Result says so. The time
// that a hostile text takes is bounded.
package bridge
