// Package clients runs real client programs against Shardway and writes
// docs/compatibility.md, the table of what works. It has no code of its own
// besides its tests.
//
// Each client has one small program in a folder here: gosql, java, node, perl,
// php, python, ruby; the shells and mysqltest have a script, and the tools that
// dump, load and measure are called from Go. A program does the same things to
// whatever server it is given and prints what it saw, a line for each value:
//
//	cell<TAB>text
//
// A cell is a column of the table: connect, tls, text, binary and so on. A text
// that begins with "!" is an error, with its code and SQLSTATE; one that begins
// with "-" says why this client has no such thing.
//
// The same program runs against one plain server and against Shardway, with
// MariaDB and with MySQL behind it, over a database that isn't sharded and one
// that is. What it prints has to be the same; no answer is written down here.
// An error 1235 of Shardway's own where the plain server has an answer is a
// refusal: it goes into the table by name.
package clients
