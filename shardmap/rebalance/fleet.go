package rebalance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
)

// fleet is what is known of the proxies: those that are announced, and those
// that were and may have been cut off since.
type fleet struct {
	r  *run
	mu sync.Mutex
	by map[string]*presence
}

// presence is one proxy.
type presence struct {
	shardmap.Proxy
	here   bool
	renew  time.Time           // when its announcement was last seen to be made anew
	behind time.Time           // since when it serves an older map than the stored one; zero: it doesn't
	fenced map[string]struct{} // the shards that keep it out, since it was last heard
}

// pollProxies is how often the announcements are read while something waits for
// them, and watchProxies how often else.
const (
	pollProxies  = 10 * time.Millisecond
	watchProxies = time.Second
)

// leaving is how old an announcement is at most when it is withdrawn by a proxy
// that ends: proxies repeat theirs every fifth of the time that it lasts.
const leaving = shardmap.PresenceTTL * 7 / 10

func newFleet(r *run) *fleet { return &fleet{r: r, by: map[string]*presence{}} }

func (f *fleet) watch(ctx context.Context) {
	for {
		_ = f.read(ctx) // whoever needs it reads anew
		if !sleep(ctx, watchProxies) {
			return
		}
	}
}

// read takes over who is announced.
func (f *fleet) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.r.Statement)
	defer cancel()
	stored := f.r.current().Version()
	list, err := f.r.store.Proxies(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[string]bool{}
	for _, p := range list {
		seen[p.ID] = true
		was := f.by[p.ID]
		if was == nil {
			was = &presence{}
			f.by[p.ID] = was
		}
		if !was.here || !was.Seen.Equal(p.Seen) {
			was.renew = now
		}
		was.Proxy, was.here = p, true
		switch {
		case p.Serving >= stored:
			was.behind, was.fenced = time.Time{}, nil
		case was.behind.IsZero():
			was.behind = now
		}
	}
	for id, p := range f.by {
		switch {
		case seen[id] || !p.here:
		case now.Sub(p.renew) < leaving:
			delete(f.by, id) // it has said goodbye
		default:
			p.here = false
		}
	}
	return nil
}

// lost are the proxies that count as cut off and that a shard doesn't keep out
// yet, sorted.
func (f *fleet) lost(shard string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for id, p := range f.by {
		_, fenced := p.fenced[shard]
		if !fenced && f.silent(p) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

func (f *fleet) silent(p *presence) bool {
	return !p.here || !p.behind.IsZero() && time.Since(p.behind) > f.r.Silent
}

// fence notes that a shard keeps these proxies out.
func (f *fleet) fence(shard string, ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if p := f.by[id]; p != nil {
			if p.fenced == nil {
				p.fenced = map[string]struct{}{}
			}
			p.fenced[shard] = struct{}{}
		}
	}
}

// waiting are the proxies, but the silent ones, that a condition isn't true of
// yet, sorted.
func (f *fleet) waiting(ok func(*shardmap.Proxy) bool) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for id, p := range f.by {
		if !f.silent(p) && !ok(&p.Proxy) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// older are the proxies that have something running that was planned by a map
// before version.
func (f *fleet) older(version uint64) []string {
	return f.waiting(func(p *shardmap.Proxy) bool {
		return p.Serving >= version && (p.Oldest == 0 || p.Oldest >= version)
	})
}

// passed waits until nothing runs at any proxy that was planned by a map before
// version, as long as it takes; say is told who is waited for. Proxies that are
// cut off are fenced at the shard, at its replicas too.
func (r *run) passed(ctx context.Context, sh *shardmap.Shard, version uint64, say func(string)) error {
	for {
		if err := r.fleet.read(ctx); err != nil {
			say("the map's store: " + err.Error())
		} else {
			if lost := r.fleet.lost(sh.ID); len(lost) > 0 {
				if err := r.fenceShard(ctx, sh, version, lost); err != nil {
					return err
				}
			}
			older := r.fleet.older(version)
			if len(older) == 0 {
				say("")
				return nil
			}
			say("statements or transactions from before version " + fmt.Sprint(version) + " of the map run at " + strings.Join(older, ", "))
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// fenceShard keeps proxies out of a shard whose map is older than version, and
// ends the connections that all proxies have there.
func (r *run) fenceShard(ctx context.Context, sh *shardmap.Shard, version uint64, lost []string) error {
	n, err := r.open(ctx, sh.Primary.Addr)
	if err != nil {
		return err
	}
	defer n.Close()
	killed, err := r.fence(ctx, n, version, lost)
	if err != nil {
		return err
	}
	for _, s := range sh.Replicas {
		k, err := r.fenceReplica(ctx, n, s.Addr)
		if err != nil {
			r.warn("%s: the connections of proxies that are cut off may go on there: %s", s.Addr, err)
		}
		killed += k
	}
	r.fenced(sh.ID, lost, killed)
	return nil
}

func (r *run) fenced(shard string, lost []string, killed int) {
	r.fleet.fence(shard, lost)
	r.warn("shard %s is fenced, and %d connections of proxies were killed there: %s can't be heard", shard, killed, strings.Join(lost, ", "))
}

// fenceReplica ends the proxies' connections at a replica that has the row of
// the fence.
func (r *run) fenceReplica(ctx context.Context, primary *server.Server, addr string) (int, error) {
	at, err := primary.Position(ctx)
	if err != nil {
		return 0, err
	}
	n, err := r.open(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer n.Close()
	if err := n.Reach(ctx, at, r.MaxLag); err != nil {
		return 0, err
	}
	user, err := n.ProxyUser(ctx, r.ProxyUser)
	if err != nil {
		return 0, err
	}
	return n.Kill(ctx, user, r.ours(addr)...)
}

// fence raises the fence of a primary, kills the proxies' connections there and
// waits until they are gone: what is killed within its commit may succeed still.
func (r *run) fence(ctx context.Context, n *server.Server, version uint64, lost []string) (int, error) {
	note := fmt.Sprintf("rebalance %s by %s: no word of %s", r.id, r.By, strings.Join(lost, ", "))
	if err := n.Raise(ctx, version, note); err != nil {
		return 0, err
	}
	user, err := n.ProxyUser(ctx, r.ProxyUser)
	if err != nil {
		return 0, err
	}
	before, err := n.Clients(ctx, user)
	if err != nil {
		return 0, err
	}
	keep := r.ours(n.Addr)
	killed, err := n.Kill(ctx, user, keep...)
	if err != nil {
		return killed, err
	}
	for {
		now, err := n.Clients(ctx, user)
		if err != nil {
			return killed, err
		}
		left := slices.ContainsFunc(now, func(c server.Client) bool {
			return !slices.Contains(keep, c.ID) && slices.ContainsFunc(before, func(b server.Client) bool { return b.ID == c.ID })
		})
		if !left {
			return killed, nil
		}
		if !sleep(ctx, 5*time.Millisecond) {
			return killed, fmt.Errorf("%s: connections that were killed haven't ended: %w", n.Addr, context.Cause(ctx))
		}
	}
}

// ours are the connections of this engine at a server that a fence must leave
// alone; it is about those of the same account as the proxies'.
func (r *run) ours(addr string) []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := r.locks.connections(addr)
	for _, v := range r.movers {
		ids = append(ids, v.connections(addr)...)
	}
	return ids
}
