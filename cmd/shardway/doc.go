// Command shardway is the proxy.
//
//	shardway serve -c FILE [--env-file FILE]     serves clients
//	shardway check -c FILE [--connect]           checks configuration, map and servers
//	shardway health [--admin ADDR] [--live]      asks a running daemon whether it can serve
//	shardway version                             says what this is
//
// A [program] is one invocation: arguments, environment, streams and signals.
// serve runs a [daemon], which owns the listeners, the map and everything that
// is wired to them, and reloads and drains. check fills a [report].
package main
