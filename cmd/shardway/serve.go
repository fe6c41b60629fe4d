package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"shardway/config"
	"shardway/router"
	"shardway/router/admin"
	"shardway/router/backend"
	"shardway/router/exec"
	"shardway/router/exec/xact"
	"shardway/router/parse"
	"shardway/shardmap"
	"shardway/shardmap/stores"
)

// daemon is a running proxy.
type daemon struct {
	src   config.Sources
	log   *slog.Logger
	level *slog.LevelVar

	// What the configuration in force is made of. Only the goroutine of serve
	// writes it; the watcher reads the names of the files.
	mu    sync.Mutex
	parts *parts
	seen  map[string]stamp // the files as they were before they were read

	self       shardmap.Proxy     // what never changes of it
	news       chan mapNews       // of the store in use
	leaveStore context.CancelFunc // ends what follows the store in use
	changed    chan struct{}      // asks for an announcement
	promotions chan promotion     // observed by the cluster, for the steward

	live       *shardmap.Live
	cluster    *backend.Cluster
	executor   *exec.Executor
	statements *parse.Cache
	router     *router.Server
	metrics    *admin.Metrics
	admin      *admin.Handler

	clients map[string]*endpoint // by address as configured
	ops     map[string]*endpoint // of admin.listen: none or one
	serving sync.WaitGroup
	failed  chan error // of an endpoint that ended by itself
}

// endpoint is one address that is served.
type endpoint struct {
	ln   net.Listener
	stop context.CancelFunc
}

// serve runs until a signal or ctx ends it.
func serve(ctx context.Context, p *program, src config.Sources) error {
	c, err := config.Load(src)
	if err != nil {
		return err
	}
	// The names of the files are known now. What is served is read after the
	// stamps were taken, so that a change in between is noticed.
	seen := stamps(filesOf(c))
	if c, err = config.Load(src); err != nil {
		return err
	}
	level := &slog.LevelVar{}
	level.Set(levelOf(c))
	d := &daemon{
		src: src, log: newLog(p.stderr, c.Log.Format, level), level: level,
		seen: seen, self: newSelf(), news: make(chan mapNews), changed: make(chan struct{}, 1),
		promotions: make(chan promotion, 64),
		clients:    map[string]*endpoint{}, ops: map[string]*endpoint{}, failed: make(chan error, 1),
	}
	parts, err := prepare(ctx, c, nil, d.log)
	if err != nil {
		return err
	}
	return d.run(ctx, p, parts)
}

// run wires the daemon and keeps it until it is told to end. Everything it
// starts has ended when it returns.
func (d *daemon) run(ctx context.Context, p *program, first *parts) error {
	d.parts = first
	d.cluster = backend.New(d.backendOptions(first))
	defer d.cluster.Close()
	d.cluster.Apply(first.m)
	d.live = shardmap.NewLive(first.m)
	defer d.live.Subscribe(d.cluster.Apply)()
	d.executor = exec.New(d.cluster)
	d.executor.SetCrossShard(xact.CrossShardOf(first.config.Transactions.CrossShard))
	d.statements = parse.NewCache(cachedStatements, cachedBytes)
	d.metrics = admin.NewMetrics(d.log)
	d.metrics.SetSlow(first.config.Log.SlowQuery)
	d.router = router.New(d.routerOptions(first))
	d.admin = admin.New(admin.Options{Settings: admin.Settings{Token: first.config.Admin.Token}, Version: version(), Metrics: d.metrics, Log: d.log})
	d.admin.Attach(d.router, d.live.Current)

	defer d.serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened, err := d.open(first.config)
	if err != nil {
		return err
	}
	d.start(ctx, opened)
	d.log.Info("serving", "version", version(), "listen", opened.addresses(opened.clients), "admin", opened.addresses(opened.ops),
		"config", d.src.File, "map", first.config.Map, "map_version", first.m.Version(), "shards", len(first.m.Shards()))
	d.warn(first)

	d.followStore(ctx)
	recovery := xact.Recovery{
		Transactions: d.executor.Transactions(), Map: d.live.Current, Every: xact.DefaultEvery, Keep: xact.DefaultKeep,
		Grace:  func() time.Duration { return d.inForce().Transactions.ResolveAfter },
		Spread: func() bool { return d.executor.CrossShard() == exec.CrossShardAtomic }, Log: d.log,
	}
	d.serving.Go(func() { recovery.Run(ctx) })
	changed := make(chan struct{}, 1)
	d.serving.Go(func() {
		watchFiles(ctx, d.log, d.seen, d.files, func() {
			select {
			case changed <- struct{}{}:
			default: // a reload that is to come will see this change too
			}
		})
	})
	if p.ready != nil {
		p.ready(d)
	}
	for {
		select {
		case <-ctx.Done():
			return d.drain(context.WithoutCancel(ctx), p.signals)
		case <-changed:
			d.reload(ctx, fileChanged)
		case n := <-d.news:
			d.takeNews(n)
		case s := <-p.signals:
			if s == syscall.SIGHUP {
				d.reload(ctx, "SIGHUP")
				continue
			}
			d.log.Info("draining", "signal", s.String(), "timeout", d.parts.config.DrainTimeout)
			return d.drain(ctx, p.signals)
		case err := <-d.failed:
			d.log.Error("an address is served no longer, ending", "error", err)
			return errors.Join(err, d.drain(ctx, p.signals))
		}
	}
}

// drain lets clients finish within the drain timeout; a second signal cuts
// them off at once.
func (d *daemon) drain(ctx context.Context, signals <-chan os.Signal) error {
	d.admin.Drain()
	ctx, cancel := context.WithTimeoutCause(ctx, d.parts.config.DrainTimeout, errors.New("drain_timeout has passed"))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.router.Shutdown(ctx) }() // joined below in every case
	for {
		select {
		case err := <-done:
			if err != nil {
				d.log.Warn("drained in part", "error", err)
			} else {
				d.log.Info("drained")
			}
			return nil
		case n := <-d.news:
			d.takeNews(n) // whoever pauses a shard waits for this proxy, too
		case s := <-signals:
			if s != syscall.SIGHUP {
				d.log.Warn("ending at once", "signal", s.String())
				cancel()
			}
		}
	}
}

func (d *daemon) routerOptions(p *parts) router.Options {
	o := routerOptions(p)
	o.Executor, o.Maps, o.Statements, o.Observer, o.Log = d.executor, d.live, d.statements, d.metrics, d.log
	return o
}

// warn says what was configured and has no effect, and what is doubtful in the
// map.
func (d *daemon) warn(p *parts) {
	for _, w := range p.config.Inert() {
		d.log.Warn("configuration: " + w.String())
	}
	for _, w := range p.m.Warnings() {
		d.log.Warn("map: " + w.String())
	}
}

// newSelf makes up the identity of this start of the proxy.
func newSelf() shardmap.Proxy {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return shardmap.Proxy{
		ID: fmt.Sprintf("%s-%d-%04x", host, os.Getpid(), rand.Uint32N(1<<16)), Host: host, PID: os.Getpid(),
		Version: version(), Started: time.Now().UTC().Truncate(time.Millisecond),
	}
}

// files are those whose change reloads.
func (d *daemon) files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return filesOf(d.parts.config)
}

// filesOf lists the files of a configuration. A map in a file is followed by its
// store, too; it is here because its mending may let a reload succeed that was
// refused before.
func filesOf(c *config.Config) []string {
	if stores.IsFile(c.Map) {
		return append(c.Files(), c.Map)
	}
	return c.Files()
}

// listeners are opened addresses that nobody serves yet, and the configured
// addresses of those that are.
type listeners struct {
	clients, ops map[string]net.Listener
}

func (l *listeners) close() {
	for _, m := range []map[string]net.Listener{l.clients, l.ops} {
		for _, ln := range m {
			_ = ln.Close() // it was never used
		}
	}
}

func (l *listeners) addresses(m map[string]net.Listener) []string {
	var all []string
	for _, ln := range m {
		if ln.Addr().Network() == "unix" {
			all = append(all, "unix:"+ln.Addr().String())
		} else {
			all = append(all, ln.Addr().String())
		}
	}
	slices.Sort(all)
	return all
}

// open opens the addresses of c that aren't served yet: all, or none.
func (d *daemon) open(c *config.Config) (*listeners, error) {
	l := &listeners{clients: map[string]net.Listener{}, ops: map[string]net.Listener{}}
	var errs []error
	add := func(addr string, served map[string]*endpoint, to map[string]net.Listener) {
		if served[addr] != nil || to[addr] != nil {
			return
		}
		ln, err := listen(addr)
		if err != nil {
			errs = append(errs, err)
			return
		}
		to[addr] = ln
	}
	for _, addr := range c.Listen {
		add(addr, d.clients, l.clients)
	}
	if c.Admin.Listen != "" {
		add(c.Admin.Listen, d.ops, l.ops)
	}
	if len(errs) > 0 {
		l.close()
		return nil, errors.Join(errs...)
	}
	return l, nil
}

// start serves what was opened.
func (d *daemon) start(ctx context.Context, l *listeners) {
	begin := func(ln net.Listener, serve func(context.Context, net.Listener) error) *endpoint {
		ctx, stop := context.WithCancel(ctx)
		d.serving.Go(func() {
			defer stop()
			err := serve(ctx, ln)
			if err != nil && ctx.Err() == nil && !errors.Is(err, router.ErrServerClosed) {
				select {
				case d.failed <- fmt.Errorf("%s: %w", ln.Addr(), err):
				default: // one is enough to end
				}
			}
		})
		return &endpoint{ln, stop}
	}
	for addr, ln := range l.clients {
		d.clients[addr] = begin(ln, d.router.Serve)
	}
	for addr, ln := range l.ops {
		d.ops[addr] = begin(ln, func(ctx context.Context, ln net.Listener) error {
			return admin.Serve(ctx, ln, d.admin, d.log)
		})
	}
}
