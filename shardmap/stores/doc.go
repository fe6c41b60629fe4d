// Package stores opens the store of the shard map that an address names: a
// path is a file, etcd://HOST:PORT/PREFIX is etcd. A [Store] is all that either
// can do.
package stores
