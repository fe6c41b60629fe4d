// Package admin serves operators over HTTP: probes, metrics, status and
// profiles.
//
// [Metrics] is the router's Observer: it counts each statement, measures its
// time, and logs the slow ones. [Handler] answers the requests; [Options] and
// [Settings] say with what, and a [Source] is the router whose state it shows.
// [Serve] runs an HTTP server with timeouts until its context ends.
//
//	/livez                                  200 while the process works
//	/readyz                                 200 when clients can be served, else 503 and why
//	/metrics                                Prometheus
//	/api/v1/status and map, servers, pools, sessions, rebalances: JSON
//	/debug/pprof/                           profiles; only where a token is set
//
// The probes are open to everyone who reaches the address. All else needs the
// token once one is set.
package admin
