// Package loaddata reads LOAD DATA LOCAL INFILE: the statement's text, under a Mode, as a Statement with its Format, and
// the client's file, which a Splitter takes apart into Rows by the server's own rules, each with the bytes of one field,
// the key. A Loader does so for a Target, a table on several shards, and gives each shard its rows.
//
// What it guarantees: the parts of a file that a Splitter gives, its head and its rows, are the file and nothing else;
// what the statement says that this package doesn't know for certain is an error that names it.
package loaddata
