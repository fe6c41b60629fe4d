package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// The accounts on all servers besides root and repl, which replicas log in
// with (its password is repl).
const (
	User     = "shardway" // Shardway's
	Operator = "operator" // may change primaries
	Password = "secret"   // of both
)

// Options say what to start.
type Options struct {
	Flavor   Flavor
	Shards   int      // shards s0, s1, …
	Replicas int      // of each shard
	Plain    bool     // one more server that stands alone
	Dir      string   // where everything goes; made if missing. Empty: a temporary directory, removed by Close
	Detached bool     // the servers outlive this process, until Down
	Args     []string // more options for every server
	// Namespace is the network namespace that the servers run in, "" for ours, and
	// Hosts their addresses there, one for each server; 127.0.0.1 where there is none.
	Namespace string
	Hosts     []string
}

// Cluster is a set of running servers. Its methods are safe for concurrent use
// as long as none of them is Close.
type Cluster struct {
	Flavor Flavor
	Dir    string
	Shards []*Shard
	Plain  *Server // nil unless asked for
	TLS    Files   // what the servers show; a client trusts TLS.CA

	temporary bool
}

// Shard is a primary and the replicas that follow it.
type Shard struct {
	ID       string
	Primary  *Server
	Replicas []*Server
}

// Start starts all servers at once and returns when each answers and each
// replica follows its primary. On an error nothing is left behind.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if why := o.Flavor.Missing(); why != "" {
		return nil, errors.New(why)
	}
	c := &Cluster{Flavor: o.Flavor, Dir: o.Dir}
	if c.Dir == "" {
		// A unix socket's path has at most 107 bytes, so the name is short.
		if c.Dir, err = os.MkdirTemp("", "swc"); err != nil {
			return nil, err
		}
		c.temporary = true
	} else if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	if c.TLS, err = Certificates(c.Dir); err != nil {
		return nil, err
	}
	template, err := c.Flavor.template(ctx, filepath.Join(c.Dir, "template"))
	if err != nil {
		return nil, err
	}
	n := o.Shards * (1 + o.Replicas)
	if o.Plain {
		n++
	}
	ports, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	next := 0
	server := func(name string) *Server {
		s := &Server{
			Name: name, ID: next + 1, Port: ports[next], Flavor: o.Flavor, Dir: filepath.Join(c.Dir, name),
			tls: c.TLS, args: o.Args, detached: o.Detached,
		}
		host := "127.0.0.1"
		if next < len(o.Hosts) {
			host = o.Hosts[next]
			s.args = append(slices.Clone(o.Args), "--bind-address=*")
		}
		s.namespace = o.Namespace
		s.Addr = fmt.Sprintf("%s:%d", host, s.Port)
		s.Socket = filepath.Join(s.Dir, "sock")
		next++
		return s
	}
	for i := range o.Shards {
		sh := &Shard{ID: fmt.Sprintf("s%d", i)}
		sh.Primary = server(sh.ID + "p")
		for j := range o.Replicas {
			r := server(fmt.Sprintf("%sr%d", sh.ID, j+1))
			r.primary = sh.Primary
			sh.Replicas = append(sh.Replicas, r)
		}
		c.Shards = append(c.Shards, sh)
	}
	if o.Plain {
		c.Plain = server("plain")
	}
	if err := each(c.Servers(), func(s *Server) error {
		if err := s.copyData(template); err != nil {
			return err
		}
		return s.Start(ctx)
	}); err != nil {
		return nil, err
	}
	if err := each(c.Servers(), func(s *Server) error {
		if s.primary == nil {
			return nil
		}
		if err := s.Exec(ctx, o.Flavor.follow(s.primary)...); err != nil {
			return err
		}
		return s.waitReceiving(ctx)
	}); err != nil {
		return nil, err
	}
	return c, nil
}

// Servers returns all servers, primaries before their replicas.
func (c *Cluster) Servers() []*Server {
	var all []*Server
	for _, sh := range c.Shards {
		all = append(append(all, sh.Primary), sh.Replicas...)
	}
	if c.Plain != nil {
		all = append(all, c.Plain)
	}
	return all
}

// Server returns the server with this address or name, or nil.
func (c *Cluster) Server(addr string) *Server {
	for _, s := range c.Servers() {
		if s.Addr == addr || s.Name == addr {
			return s
		}
	}
	return nil
}

// Sync waits until every replica has what its primary has now.
func (c *Cluster) Sync(ctx context.Context) error {
	var replicas []*Server
	for _, sh := range c.Shards {
		replicas = append(replicas, sh.Replicas...)
	}
	return each(replicas, func(s *Server) error { return s.Sync(ctx) })
}

// Exec runs statements on every primary, and on the plain server if there is one.
func (c *Cluster) Exec(ctx context.Context, statements ...string) error {
	var all []*Server
	for _, s := range c.Servers() {
		if s.primary == nil {
			all = append(all, s)
		}
	}
	return each(all, func(s *Server) error { return s.Exec(ctx, statements...) })
}

// Close kills the servers, waits for their end, and removes the data of a
// temporary cluster. Servers of a detached cluster are left alone unless Start
// failed.
func (c *Cluster) Close() error {
	err := each(c.Servers(), func(s *Server) error {
		s.closeDB()
		return s.Kill()
	})
	if c.temporary {
		err = errors.Join(err, os.RemoveAll(c.Dir))
	}
	return err
}

// each does f for all servers at once and joins the errors.
func each(servers []*Server, f func(*Server) error) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			if err := f(s); err != nil {
				errs[i] = fmt.Errorf("server %s: %w", s.Name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Map is the map of the cluster in YAML, version 1, with the given `databases`
// section, indented by two blanks; empty for none.
func (c *Cluster) Map(databases string) string {
	return MapOf(1, c.Shards, databases)
}

// MapOf is a map of shards in YAML.
func MapOf(version int, shards []*Shard, databases string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: %d\nshards:\n", version)
	for _, sh := range shards {
		fmt.Fprintf(&b, "  %s: {primary: %q, replicas: [", sh.ID, sh.Primary.Addr)
		for i, r := range sh.Replicas {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "{addr: %q}", r.Addr)
		}
		b.WriteString("]}\n")
	}
	if databases != "" {
		b.WriteString("databases:\n" + strings.TrimRight(databases, "\n") + "\n")
	}
	return b.String()
}

// startTimeout bounds how long one server may take to answer.
const startTimeout = 60 * time.Second
