// Package etcdstore keeps the shard map in etcd, for any number of proxies. A
// [Store] is a shardmap.Store, a shardmap.History and a shardmap.Fleet over the
// keys below one prefix; [Options] say how to log in.
//
// With the address etcd://HOST:PORT/PREFIX the keys are
//
//	PREFIX/map                 the map as YAML, as a map in a file is
//	PREFIX/history/00000007    version 7: a comment with time, author and note, and the map
//	PREFIX/proxies/ID          what the proxy ID says of itself, as JSON, under a lease
//
// # Guarantees
//
// Swap is one transaction: the map, its version in the history and the pruning
// of the history to the newest 100 happen together or not at all, and only if
// the map is the one that was read before.
//
// Every request has a deadline, Options.DialTimeout. The errors name the
// servers, what failed and what to do, and are shardmap.ErrUnavailable where
// the map is not to blame. Watch is the exception, since it waits:
// while etcd is away it tries again, ever less often but at least every
// second, and says so once in the log, and once more when etcd is back. It
// misses no change for good: it reads the map again after each interruption,
// after a compaction, and every few seconds.
//
// Nothing is dialled before the first request, so a Store can be opened while
// etcd is away.
package etcdstore
