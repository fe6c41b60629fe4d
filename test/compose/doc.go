// Package compose tests Shardway's image end to end in front of the MySQL
// containers of docker/compose.yaml, which `make compose-test` starts and
// removes. It has no code of its own besides its tests.
//
// What a test claims about who served what is read from the servers: their
// rows and their general logs.
package compose
