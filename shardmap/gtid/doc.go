// Package gtid reads and compares what servers say of the transactions they
// have: a [Set] of global transaction ids of MySQL ("uuid:1-5,uuid:tag:7") or
// of MariaDB ("0-1-42,1-2-7").
//
// A Set never changes once it is made; the zero Set is empty. It is safe for
// concurrent use.
package gtid
