// Command bench runs sysbench through Shardway and through HAProxy as a plain
// TCP relay, over the same MariaDB servers, in interleaved rounds, and
// prints throughput, 99th percentile latency and the proxy's own CPU time per
// query, with ratios. docs/benchmarks.md says what is compared and why it is
// fair.
//
//	go run ./test/bench -time 4
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"shardway/test/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options of a benchmark.
type options struct {
	seconds int    // of each sysbench run
	rounds  int    // of point selects; half as many of read-write
	clients []int  // how many at once
	idle    int    // clients whose memory is measured
	rows    int    // of the table
	binary  string // a built daemon; empty builds one
	against string // another one that runs in each round, too
	profile string // a folder for profiles of the last run of each number of clients
	only    string // a workload by name; empty runs all
	mark    float64
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o := options{}
	clients := ""
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.seconds, "time", 4, "seconds of each run")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of point selects")
	flags.StringVar(&clients, "clients", "1,16,256", "numbers of clients")
	flags.IntVar(&o.idle, "idle", 5000, "idle clients to measure the memory of, 0 for none")
	flags.IntVar(&o.rows, "rows", 10000, "rows of the table")
	flags.StringVar(&o.binary, "binary", "", "the daemon; built if not given")
	flags.StringVar(&o.against, "against", "", "another daemon, that runs in each round beside the first")
	flags.StringVar(&o.profile, "profile", "", "a folder for CPU and allocation profiles of one more run for each number of clients")
	flags.StringVar(&o.only, "only", "", "point or readwrite")
	flags.Float64Var(&o.mark, "mark", 1.6, "CPU per query of a point select at 16 clients, times HAProxy's, that is wanted at most")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for word := range strings.SplitSeq(clients, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		o.clients = append(o.clients, n)
	}
	dir, err := os.MkdirTemp("", "swbench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	fmt.Fprintln(out, "starting six MariaDB servers, HAProxy and Shardway …")
	b := &bench{options: o, dir: dir, out: out}
	if o.binary == "" {
		b.binary = filepath.Join(dir, "shardway")
		if err := command(ctx, "go", "build", "-o", b.binary, "shardway/cmd/shardway"); err != nil {
			return err
		}
	}
	defer func() { b.close() }()
	if err := b.start(ctx); err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	results := map[string][]pair{}
	for _, w := range workloads {
		if o.only != "" && o.only != w.name {
			continue
		}
		for _, n := range o.clients {
			rounds := o.rounds
			if w.name != "point" {
				rounds = max(1, (o.rounds+1)/2)
			}
			for round := range rounds {
				p, err := b.round(ctx, w, n, round)
				if err != nil {
					return err
				}
				results[key(w, n)] = append(results[key(w, n)], p)
			}
			if o.profile != "" {
				if err := b.profiles(ctx, w, n); err != nil {
					return err
				}
			}
		}
	}
	var memory []memoryResult
	if o.idle > 0 {
		if memory, err = b.memory(ctx); err != nil {
			return err
		}
	}
	return report(out, o, b.names(), results, memory)
}

// workload is what sysbench does.
type workload struct {
	name, title, script, database string
}

var workloads = []workload{
	{"point", "point select by the shard key, text protocol", "oltp_point_select", "sharded"},
	{"readwrite", "read-write transaction of 20 statements, whole table", "oltp_read_write", "whole"},
}

func key(w workload, clients int) string { return fmt.Sprintf("%s/%d", w.name, clients) }

// bench holds the running programs.
type bench struct {
	options
	dir     string
	out     io.Writer
	c       *cluster.Cluster
	proxies []*proxy
}

func (b *bench) start(ctx context.Context) error {
	c, err := cluster.Start(ctx, cluster.Options{Flavor: cluster.MariaDB, Shards: 2, Replicas: 2, Args: []string{
		"--max-connections=6000", "--innodb-buffer-pool-size=64M",
		"--innodb-flush-log-at-trx-commit=0", "--thread-handling=one-thread-per-connection", "--table-open-cache=4000",
	}})
	if err != nil {
		return err
	}
	b.c = c
	if err := c.Exec(ctx,
		"CREATE USER app@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('app')",
		"GRANT ALL ON *.* TO app@'%'", "CREATE DATABASE sharded", "CREATE DATABASE whole"); err != nil {
		return err
	}
	haproxy, err := b.startHAProxy()
	if err != nil {
		return err
	}
	b.proxies = append(b.proxies, haproxy)
	if b.against != "" {
		other, err := b.startShardway("against", b.against)
		if err != nil {
			return err
		}
		b.proxies = append(b.proxies, other)
	}
	shardway, err := b.startShardway("shardway", b.binary)
	if err != nil {
		return err
	}
	b.proxies = append(b.proxies, shardway)
	for _, p := range b.proxies {
		if err := p.waitUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) close() {
	for _, p := range b.proxies {
		p.stop()
	}
	if b.c != nil {
		_ = b.c.Close()
	}
}

func (b *bench) names() (names []string) {
	for _, p := range b.proxies {
		names = append(names, p.name)
	}
	return names
}

// prepare makes the table in both databases, with all rows on each shard, so that
// any replica gives HAProxy's clients what Shardway's get.
func (b *bench) prepare(ctx context.Context) error {
	for _, sh := range b.c.Shards {
		for _, w := range workloads {
			args := b.sysbench(w, "127.0.0.1", sh.Primary.Port, 1)
			if err := command(ctx, "sysbench", append(args, w.script, "prepare")...); err != nil {
				return err
			}
		}
	}
	if err := b.c.Exec(ctx, "ANALYZE TABLE sharded.sbtest1, whole.sbtest1"); err != nil {
		return err
	}
	return b.c.Sync(ctx)
}

// round runs the proxies once each, in turns as to who is first.
func (b *bench) round(ctx context.Context, w workload, clients, round int) (pair, error) {
	p := make(pair, len(b.proxies))
	for i := range b.proxies {
		at := (i + round) % len(b.proxies)
		r, err := b.one(ctx, w, b.proxies[at], clients)
		if err != nil {
			return nil, fmt.Errorf("%s, %d clients, %s: %w", w.name, clients, b.proxies[at].name, err)
		}
		p[at] = r
		fmt.Fprintf(b.out, "%-9s %4d clients  round %d  %-8s %9.0f queries/s  p99 %7.2f ms  %6.1f µs CPU/query\n",
			w.name, clients, round+1, b.proxies[at].name, r.rate, r.p99, r.cpu)
	}
	return p, nil
}

// startTimeout bounds how long a proxy may take to answer.
const startTimeout = 20 * time.Second

var errNoNumbers = errors.New("sysbench printed no figures")
