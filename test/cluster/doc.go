// Package cluster starts real MariaDB and MySQL servers for tests, benchmarks
// and for trying Shardway by hand.
//
// [Start] makes a [Cluster] of [Shard]s, each one primary and any number of
// replicas that follow it by GTID, and if asked one more [Server] that stands
// alone, to compare answers with. A [Flavor] says which servers they are. Every
// server listens on a free port of 127.0.0.1 and on a unix socket, has its own
// directory, TLS certificates for 127.0.0.1, and the account shardway/secret,
// which can do what an application does but can't write on a read-only server.
// The data that they begin with is made once for each build of the server and
// copied from the user's cache.
//
// A Server is killed, stopped, paused and started again with its methods;
// [Server.Status] and [Server.Logged] read its own counters and its general
// log, which prove who served what. [Cluster.Sync] waits, by GTID and not by
// time, until all replicas have all writes.
//
// [StartEtcd] starts an [Etcd], with TLS and users if [EtcdOptions] ask for
// them; it too is killed and started again.
//
// Servers that a test started are killed when the cluster is closed and when
// the process that started them dies in whatever way. Only those of a detached
// cluster live on; [Down] ends them, found by their process ids and the times
// at which they started, so nothing else is ever ended.
package cluster
