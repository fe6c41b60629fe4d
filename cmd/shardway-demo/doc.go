// Command shardway-demo runs Shardway over MySQL servers that are embedded in the same process, so that it can be
// tried with nothing installed but Go.
//
// It starts engines (two shards of one primary and two replicas, each an embedded server on its own loopback port),
// fills the sample database shop, serves it by the same router as the daemon, and prints the tour: statements
// that show the split of reads and writes, the choice of the shard, EXPLAIN ROUTE, SELECTs that are merged and gathered,
// and a transaction over both shards.
//
// The embedded servers are github.com/dolthub/go-mysql-server, which this program alone links, under the build tag
// gms_pure_go. They imitate MySQL 8.0 and fall short of it: no savepoints, no DO, no session tracking, error 1105
// where MySQL has a code of its own. What Shardway needs for statements over shards and they lack is added here:
// temporary tables, WEIGHT_STRING, and XA in so far as rows in memory can keep it. The servers of one shard share one database in memory, which stands in for
// replication; a server's @@hostname says which one answered. Nothing here is meant for lasting data.
package main
