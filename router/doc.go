// Package router serves MySQL clients.
//
// A Server accepts connections, logs clients in and drains; its Options name the map, the executor, the users and
// limits, and can be replaced while it serves. Each client has one session, one goroutine, and one command at a time:
// the text is digested, planned by package plan and run by package exec, or answered here. What happened to each
// statement goes to an Observer as an Event; a Table is what SHOW SHARDWAY and the HTTP API show.
//
// What router guarantees: a client that sends garbage, or whose session panics, ends its own session and no other;
// Shutdown lets open transactions end; every goroutine that Serve starts has ended when Shutdown returns.
package router
