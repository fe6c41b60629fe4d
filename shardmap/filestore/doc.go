// Package filestore keeps the shard map in one YAML file. A [Store] is a
// shardmap.Store, a shardmap.History and a shardmap.Fleet over that file.
//
// Beside the file PATH there are PATH.lock, which Swap locks with flock (the
// kernel frees it when its holder dies, so it never is stale, and the file may
// stay), and PATH.history/ with one file for each version, which begins with a
// comment that gives time, author and note and holds the map as it was.
// PATH.proxies/ has one file for each proxy that serves the map, with what it
// says of itself; whoever lists them removes those of proxies long gone.
//
// # Edits by hand
//
// The file may be edited by hand. An edit that raises the version is taken as
// it is. An edit that changes what the map says without raising the version
// above the last one known gets the next version: the store records it in the
// history as that version and reports it as that version from then on, for
// every process that can read the history, though the file keeps the number
// that was written. The next Swap writes the right number. Changes of comments
// and layout alone are no new version. Where the history can't be written the
// number is kept in this process alone.
package filestore
