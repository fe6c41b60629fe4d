// Command shardctl is the operator's tool: it shows, checks and changes the
// shard map and says where a statement would go. See docs/map.md.
//
// Its parts are [run], which reads the arguments and finds the [command], the
// [tool] that a command works with, and [failure], an error with the exit
// status that scripts go by.
package main
