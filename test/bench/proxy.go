package main

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

// proxy is a running proxy.
type proxy struct {
	name   string
	addr   string // of reads
	writes string // of transactions
	admin  string // of operators; empty for none
	cmd    *exec.Cmd
	output *bytes.Buffer
	exited chan struct{}
}

func startProxy(name, addr, writes, program string, args ...string) (*proxy, error) {
	p := &proxy{name: name, addr: addr, writes: writes, cmd: exec.Command(program, args...), output: &bytes.Buffer{}, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *proxy) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// connector logs in through the proxy.
func (p *proxy) connector() (driver.Connector, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = "app", "app", "tcp", p.addr, "sharded"
	c.Logger = &mysql.NopLogger{}
	return mysql.NewConnector(c)
}

func (p *proxy) waitUp(ctx context.Context) error {
	connector, err := p.connector()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(startTimeout)
	for {
		conn, err := connector.Connect(ctx)
		if err == nil {
			if err = conn.(driver.Pinger).Ping(ctx); err == nil {
				return conn.Close()
			}
			_ = conn.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended:\n%s", p.name, p.output)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s doesn't answer: %w", p.name, err)
		}
	}
}

// cpu is the CPU time that the proxy has used, user and system.
func (p *proxy) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// After the name in parentheses: state is the first field, utime and stime
	// are the 12th and 13th, in ticks of 10 ms.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// rss is the proxy's resident memory in bytes.
func (p *proxy) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("%s has ended", p.name)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10, err
}

// startHAProxy spreads connections to one port over the four replicas, and takes
// those to the other to the first primary.
func (b *bench) startHAProxy() (*proxy, error) {
	reads, err := cluster.FreeAddr()
	if err != nil {
		return nil, err
	}
	writes, err := cluster.FreeAddr()
	if err != nil {
		return nil, err
	}
	var replicas strings.Builder
	for _, sh := range b.c.Shards {
		for _, r := range sh.Replicas {
			fmt.Fprintf(&replicas, "    server %s %s\n", r.Name, r.Addr)
		}
	}
	path := filepath.Join(b.dir, "haproxy.cfg")
	conf := fmt.Sprintf(`global
    maxconn 2000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen reads
    bind %s
    balance roundrobin
%slisten writes
    bind %s
    server primary %s
`, reads, replicas.String(), writes, b.c.Shards[0].Primary.Addr)
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy"
	}
	return startProxy("haproxy", reads, writes, program, "-db", "-f", path)
}

func (b *bench) startShardway(name, binary string) (*proxy, error) {
	addr, err := cluster.FreeAddr()
	if err != nil {
		return nil, err
	}
	admin := ""
	if b.profile != "" {
		if admin, err = cluster.FreeAddr(); err != nil {
			return nil, err
		}
	}
	shardmap := b.c.Map(`  sharded:
    slots: 1024
    owners: {s0: ["0-511"], s1: ["512-1023"]}
    default_shard: s0
    tables:
      sbtest1: {key: id, placement: mod}
  whole:
    slots: 2
    owners: {s0: ["0"], s1: ["1"]}
    default_shard: s0
`)
	conf := fmt.Sprintf(`listen: [%q]
admin: {listen: %q, token: %q}
map: ./shards.yaml
users: {app: {password: app, databases: [sharded, whole]}}
servers: {user: app, password: app, tls: {mode: disabled}}
pool: {max_per_server: 300}
log: {level: warn}
`, addr, admin, token)
	if err := os.WriteFile(filepath.Join(b.dir, "shards.yaml"), []byte(shardmap), 0o600); err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	p, err := startProxy(name, addr, addr, binary, "serve", "-c", path)
	if err == nil {
		p.admin = admin
	}
	return p, err
}

// token opens Shardway's profiles.
const token = "bench"

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// sysbench is the command line that all its runs have in common.
func (b *bench) sysbench(w workload, host string, port, clients int) []string {
	return []string{
		"--db-driver=mysql", "--mysql-host=" + host, fmt.Sprintf("--mysql-port=%d", port), "--mysql-user=app", "--mysql-password=app",
		"--mysql-db=" + w.database, "--db-ps-mode=disable", "--tables=1", fmt.Sprintf("--table-size=%d", b.rows),
		fmt.Sprintf("--threads=%d", clients), "--percentile=99", fmt.Sprintf("--time=%d", b.seconds), "--events=0", "--rand-type=uniform",
		"--mysql-ignore-errors=1213,1205", // deadlocks of the workload itself
	}
}

// outcome is that of one sysbench run.
type outcome struct {
	rate float64 // queries a second
	p99  float64 // ms, of a transaction in the read-write workload
	cpu  float64 // the proxy's own µs a query
}

// pair is one round: the outcomes in the order of the proxies.
type pair []outcome

var (
	reQueries = regexp.MustCompile(`total:\s+(\d+)\n`)
	reRate    = regexp.MustCompile(`queries:\s+\d+\s+\(([\d.]+) per sec`)
	reP99     = regexp.MustCompile(`99th percentile:\s+([\d.]+)`)
)

func (b *bench) one(ctx context.Context, w workload, p *proxy, clients int) (outcome, error) {
	addr := p.addr
	if w.database == "whole" {
		addr = p.writes
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return outcome{}, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return outcome{}, err
	}
	before, err := p.cpu()
	if err != nil {
		return outcome{}, err
	}
	cmd := exec.CommandContext(ctx, "sysbench", append(b.sysbench(w, host, n, clients), w.script, "run")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return outcome{}, fmt.Errorf("%w\n%s", err, out)
	}
	after, err := p.cpu()
	if err != nil {
		return outcome{}, fmt.Errorf("%s has ended:\n%s", p.name, p.output)
	}
	var r outcome
	var queries float64
	for _, v := range []struct {
		re *regexp.Regexp
		to *float64
	}{{reQueries, &queries}, {reRate, &r.rate}, {reP99, &r.p99}} {
		m := v.re.FindSubmatch(out)
		if m == nil {
			return outcome{}, fmt.Errorf("%w:\n%s", errNoNumbers, out)
		}
		if *v.to, err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			return outcome{}, err
		}
	}
	r.cpu = float64((after - before).Microseconds()) / queries
	return r, nil
}
