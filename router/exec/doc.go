// Package exec runs plans on servers, for one client at a time.
//
// A Session is the server side of one client: the State that every server connection must hold before a statement
// of this client runs there, the connections that the client must keep (each hold with its reason), its open
// transaction and its prepared statements. Session.Run takes a Request to a server and relays the reply; what came
// back is an Outcome, and what the client may ask about it later is Left. Session.RunMany takes a ManyRequest to several
// shards at once, has package stream read their replies, and gives the client the one answer that package merge makes of
// them. Session.View asks what a [View] is made of. An Executor makes Sessions over one backend.Cluster.
//
// What exec guarantees: a statement never runs under a state that isn't its client's, since a state that a server
// doesn't accept ends the statement before it is sent; a connection goes back to its pool only when nothing of the
// client is left on it that the next client could see; a write is sent to a server once at most; no goroutine
// outlives Run.
package exec
