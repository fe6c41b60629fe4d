// Package e2e tests the built daemon end to end over real MariaDB and MySQL
// servers. It has no code of its own besides its tests.
//
// Each test runs once for each kind of server. The servers are started once
// for all tests and shared; a test has a database and a daemon of its own. What
// a test claims about who served what is read from the servers: their counters
// and their general logs. What it claims about answers is compared, byte for
// byte, with the answers of one plain server that holds all rows, by a wire
// client that shares no code with Shardway.
package e2e
