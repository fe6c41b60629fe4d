package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"shardway/router/backend/health"
	"shardway/shardmap"
)

// Cluster holds the connections to all servers of the current map. It is safe for
// concurrent use.
type Cluster struct {
	began    time.Time
	config   atomic.Pointer[config]
	snapshot atomic.Pointer[snapshot]
	learned  atomic.Pointer[Learned]
	closed   atomic.Bool

	samples atomic.Uint64 // positions asked for so far; see position.go
	causal  causalCounts

	applying sync.Mutex // one Apply, SetOptions or Close at a time; taken before mu
	mu       sync.Mutex // health and views change under it; taken before a pool's lock
	running  sync.WaitGroup
	reaper   chan struct{} // tells the janitor that the options changed
	stop     context.CancelFunc
}

// config is one version of the options; immutable.
type config struct {
	Options
	login uint64 // grows when connections must be made anew
}

// New returns a Cluster without servers; Apply gives it some. Close it after use.
func New(o Options) *Cluster {
	c := &Cluster{began: time.Now(), reaper: make(chan struct{}, 1)}
	c.config.Store(&config{Options: o.withDefaults()})
	c.snapshot.Store(&snapshot{})
	c.learned.Store(&Learned{})
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.running.Go(func() { c.janitor(ctx) })
	return c
}

// now is a monotonic time, cheaper to take and to compare than time.Now.
func (c *Cluster) now() time.Duration { return time.Since(c.began) }

func (c *Cluster) options() *Options { return &c.config.Load().Options }

// Apply makes m the current map. Servers that stay keep their pools and health,
// also when their role or shard changes; connections to those that left are
// closed, the ones in use when they are released. It returns when the probers of
// the servers that left have ended. Whoever waits for such a server goes on with
// the new map.
func (c *Cluster) Apply(m *shardmap.Map) {
	c.applying.Lock()
	defer c.applying.Unlock()
	if c.closed.Load() {
		return
	}
	old := c.snapshot.Load()
	next := &snapshot{m: m, shards: map[string]*shard{}, servers: map[string]*server{}}
	place := func(shardID string, role Role, at shardmap.Server) *member {
		s := next.servers[at.Addr]
		if s == nil {
			if s = old.servers[at.Addr]; s == nil {
				s = newServer(c, at.Addr)
				s.cold = old.m != nil
			}
			next.servers[at.Addr] = s
		}
		return &member{srv: s, shard: shardID, role: role, weight: at.Weight, zone: at.Zone}
	}
	for _, from := range m.Shards() {
		s := &shard{id: from.ID}
		if before := old.shards[from.ID]; before != nil {
			s.turn, s.gate, s.roles = before.turn, before.gate, before.roles
		} else {
			s.turn, s.gate, s.roles = new(atomic.Uint64), newGate(), &shardRoles{}
		}
		s.primary = place(from.ID, Primary, from.Primary)
		for _, r := range from.Replicas {
			s.replicas = append(s.replicas, place(from.ID, Replica, r))
		}
		next.shards[from.ID] = s
		next.order = append(next.order, s)
	}

	c.mu.Lock()
	for _, s := range next.order {
		s.roles.follow(s.primary.srv.addr, func(addr string) bool {
			return next.servers[addr] != nil && s.names(next.servers[addr])
		})
		s.seat()
	}
	for addr, s := range next.servers {
		s.replica.Store(!next.isPrimary(addr))
		if old.servers[addr] != nil {
			s.probeNow() // its role may have changed, and with it what is asked of it
		}
	}
	for _, s := range next.order {
		s.rebuild(c.options())
	}
	// A shard is paused before and let go after the servers are the new map's.
	for _, from := range m.Shards() {
		if from.Paused != "" {
			next.shards[from.ID].gate.set(from.Paused)
		}
	}
	c.snapshot.Store(next)
	for _, from := range m.Shards() {
		if from.Paused == "" {
			next.shards[from.ID].gate.set("")
		}
	}
	c.relearn()
	var after []func()
	for _, s := range next.order {
		after = append(after, c.judgeShard(s)...)
	}
	c.mu.Unlock()
	for _, f := range after {
		f()
	}
	for _, s := range next.servers {
		s.unfence()
	}
	for id, s := range old.shards {
		if next.shards[id] == nil {
			s.gate.set("") // who waits learns that the shard is gone
		}
	}

	for addr, s := range next.servers {
		if old.servers[addr] == nil {
			c.running.Go(s.prober)
		}
	}
	var left []*server
	for addr, s := range old.servers {
		if next.servers[addr] == nil {
			s.leave(errLeft)
			left = append(left, s)
		}
	}
	for _, s := range left {
		<-s.done
	}
}

func (n *snapshot) isPrimary(addr string) bool {
	for _, s := range n.order {
		if s.primary.srv.addr == addr {
			return true
		}
	}
	return false
}

// SetOptions replaces the options for all that happens from now on. If those of
// the login changed, idle connections are closed and those in use will be when
// they are released; a TLSConfig counts as changed if it is another pointer.
func (c *Cluster) SetOptions(o Options) {
	c.applying.Lock()
	defer c.applying.Unlock()
	before := c.config.Load()
	next := &config{Options: o.withDefaults(), login: before.login}
	if next.User != before.User || next.Password != before.Password || next.TLS != before.TLS ||
		next.TLSConfig != before.TLSConfig || next.Capabilities != before.Capabilities || next.Compression != before.Compression || next.ProxyProtocol != before.ProxyProtocol || next.Dedicated != before.Dedicated ||
		!maps.Equal(next.Attrs, before.Attrs) {
		next.login++
	}
	c.mu.Lock()
	c.config.Store(next)
	snap := c.snapshot.Load()
	for _, s := range snap.order {
		s.rebuild(&next.Options)
	}
	c.mu.Unlock()
	for _, s := range snap.servers {
		p := &s.pool
		p.mu.Lock()
		p.login = next.login
		if next.login != before.login {
			p.circuit.Forgive()
		}
		p.serve(c.now())
		p.mu.Unlock()
		p.drop("options", func(e idleConn) bool { return e.conn.login != next.login })
		s.probeNow()
	}
	select {
	case c.reaper <- struct{}{}:
	default:
	}
}

// rebuild makes the views of the server's shards. The caller holds mu.
func (c *Cluster) rebuild(s *server) {
	for _, sh := range c.snapshot.Load().order {
		if sh.names(s) {
			sh.rebuild(c.options())
		}
	}
}

// janitor closes connections that are idle for too long.
func (c *Cluster) janitor(ctx context.Context) {
	for {
		limit := c.options().IdleTimeout
		timer := time.NewTimer(min(max(limit/4, 50*time.Millisecond), 10*time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.reaper:
			timer.Stop()
		case <-timer.C:
		}
		before := c.now() - c.options().IdleTimeout
		for _, s := range c.snapshot.Load().servers {
			s.pool.reap(before)
		}
	}
}

// Servers gives the status of every server of every shard, shards in the order of
// the map, the primary before the replicas.
func (c *Cluster) Servers() []ServerStatus {
	var list []ServerStatus
	o := c.options()
	for _, s := range c.snapshot.Load().order {
		v := s.view.Load()
		list = append(list, s.primary.srv.status(s, s.primary, v, o))
		for _, m := range s.replicas {
			list = append(list, m.srv.status(s, m, v, o))
		}
	}
	return list
}

// Pools gives the status of every server's pool in the order of Servers.
func (c *Cluster) Pools() []PoolStatus {
	var list []PoolStatus
	c.eachMember(func(m *member) {
		p := PoolStatus{Addr: m.srv.addr, Shard: m.shard, Role: m.role}
		m.srv.pool.status(&p)
		list = append(list, p)
	})
	return list
}

func (c *Cluster) eachMember(f func(*member)) {
	for _, s := range c.snapshot.Load().order {
		f(s.primary)
		for _, r := range s.replicas {
			f(r)
		}
	}
}

// Ready returns nil if every shard has a primary that answers, else an error that
// names the shards without.
func (c *Cluster) Ready() error {
	snap := c.snapshot.Load()
	if snap.m == nil {
		return errors.New("shardway: no map is loaded yet")
	}
	var missing []error
	for _, s := range snap.order {
		if v := s.view.Load(); v.split != "" {
			missing = append(missing, fmt.Errorf("shardway: shard %s has a split brain: %s", s.id, v.split))
			continue
		}
		h := s.primary.srv.health.Load()
		if h.state == health.Down || h.state == health.Connecting {
			missing = append(missing, fmt.Errorf("shardway: shard %s has no usable primary: %s is %s since %s: %s",
				s.id, s.primary.srv.addr, h.state, h.since.UTC().Format(time.RFC3339), h.why))
		}
	}
	return errors.Join(missing...)
}

// Usable says whether the role Any finds a server in a shard.
func (c *Cluster) Usable(shard string) bool {
	s := c.snapshot.Load().shards[shard]
	if s == nil {
		return false
	}
	return len(s.candidates(s.view.Load(), &Want{Shard: shard, Role: Any}, nil)) > 0
}

// Close closes all idle connections, ends all waits with ErrClosed, and returns
// when every goroutine of the Cluster has ended. Connections in use are closed
// when their holders release them. It may be called again.
func (c *Cluster) Close() {
	c.applying.Lock()
	defer c.applying.Unlock()
	if c.closed.Swap(true) {
		return
	}
	c.stop()
	snap := c.snapshot.Load()
	c.snapshot.Store(&snapshot{})
	err := c.noShard("")
	for _, s := range snap.order {
		s.gate.ring()
	}
	for _, s := range snap.servers {
		s.leave(err)
	}
	c.running.Wait()
}
