package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"shardway/shardmap"
)

// run is one change of a primary under way.
type run struct {
	Options
	store  Store
	shard  string
	report *Report
	nodes  map[string]*node // those that are open

	stored  *shardmap.Map   // the map as this run last read or stored it
	pause   pause           // what this run has written into it
	paused  time.Time       // when the shard was paused
	known   map[string]bool // proxies that were announced at any time
	stopped []string        // replicas whose receiver was stopped
}

func newRun(store Store, shard string, o Options) *run {
	return &run{
		Options: o.withDefaults(), store: store, shard: shard, report: &Report{Shard: shard},
		nodes: map[string]*node{}, known: map[string]bool{},
	}
}

func (r *run) close() {
	for _, n := range r.nodes {
		n.Close()
	}
}

// load reads the map and finds the shard in it.
func (r *run) load(ctx context.Context) (*shardmap.Shard, error) {
	m, err := r.store.Load(ctx)
	if err != nil {
		return nil, err
	}
	r.stored, r.report.Version = m, m.Version()
	sh := m.Shard(r.shard)
	if sh == nil {
		return nil, refuse("", "`shardctl map show` lists them", "the map has no shard %q", r.shard)
	}
	return sh, nil
}

// errTaken is the error of a run whose place another one has taken.
var errTaken = errors.New("somebody else has gone on with it or undone it")

// swap stores what edit makes of the map by compare-and-swap. A change by
// others that leaves this run's pause alone is taken in; errTaken says that it
// doesn't.
func (r *run) swap(ctx context.Context, note string, edit func(*shardmap.Map) (*shardmap.Map, error)) error {
	before := r.stored.Shard(r.shard)
	for {
		next, err := edit(r.stored)
		if err != nil {
			return err
		}
		m, err := shardmap.Exchange(shardmap.WithNote(ctx, note), r.store, r.stored.Version(), next)
		switch {
		case err == nil:
			r.stored, r.report.Version = m, m.Version()
			return nil
		case m == nil || !errors.Is(err, shardmap.ErrConflict) || m.Version() <= r.stored.Version():
			return err
		}
		now := m.Shard(r.shard)
		if now == nil || now.Paused != before.Paused || now.Primary.Addr != before.Primary.Addr {
			return fmt.Errorf("the map's version is %d now: %w", m.Version(), errTaken)
		}
		r.stored = m
	}
}

// swapPause pauses the shard, or says another thing of why it is.
func (r *run) swapPause(ctx context.Context, p pause) error {
	err := r.swap(ctx, p.String(), func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithPaused(r.shard, p.String()) })
	if err == nil {
		r.pause = p
		if r.paused.IsZero() {
			r.paused = time.Now()
		}
	}
	return err
}

// step runs f as the step of that name and records it; f's text says what came
// of it.
func (r *run) step(ctx context.Context, name string, f func(context.Context) (string, error)) error {
	if r.failpoint != nil {
		if err := r.failpoint(name); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	began := time.Now()
	text, err := f(ctx)
	if err != nil {
		return err
	}
	r.done(Step{Name: name, Text: text, Took: time.Since(began)})
	return nil
}

func (r *run) done(s Step) {
	r.report.Steps = append(r.report.Steps, s)
	if r.Progress != nil {
		r.Progress(s)
	}
}

// poll calls f until it says true, an error comes up, or ctx is over; then it
// returns false.
func poll(ctx context.Context, every time.Duration, f func() (bool, error)) (bool, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := f(); ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-tick.C:
		}
	}
}

// lostRace turns the error of the first swap into a refusal when somebody else
// was faster: nothing has been changed.
func (r *run) lostRace(err error) error {
	if errors.Is(err, errTaken) {
		return refuse("", "see what it says now", "somebody else has changed shard %s in the map at this moment", r.shard)
	}
	return err
}

// proxies returns those that are announced and remembers them.
func (r *run) proxies(ctx context.Context) ([]shardmap.Proxy, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Statement)
	defer cancel()
	all, err := r.store.Proxies(ctx)
	for i := range all {
		r.known[all[i].ID] = true
	}
	return all, err
}

// pollProxies is how often the announcements are read while something waits for
// them.
const pollProxies = 10 * time.Millisecond

// left waits until every proxy has left the shard's primary and returns those
// that haven't in time: the busy, the silent, and those that were announced and
// are not any more, for they may be cut off. none says that no proxy is
// announced at all.
func (r *run) left(ctx context.Context, timeout time.Duration) (late []string, none bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	version := r.stored.Version()
	_, _ = poll(ctx, pollProxies, func() (bool, error) {
		all, err := r.proxies(ctx)
		if err != nil {
			if late == nil {
				late = slices.Sorted(maps.Keys(r.known))
			}
			return false, nil // the store may be back before the time is over
		}
		late, none = nil, len(all) == 0
		gone := map[string]bool{}
		for id := range r.known {
			gone[id] = true
		}
		waiting := false
		for i := range all {
			delete(gone, all[i].ID)
			if !all[i].Left(r.shard, version) {
				late = append(late, all[i].ID)
				waiting = true
			}
		}
		late = append(late, slices.Sorted(maps.Keys(gone))...)
		return !waiting, nil
	})
	return late, none
}

// serve waits until every announced proxy serves the stored map, but those that
// the fence keeps out, and returns those that don't in time.
func (r *run) serve(ctx context.Context, timeout time.Duration) (late []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	version := r.stored.Version()
	_, err = poll(ctx, pollProxies, func() (bool, error) {
		all, err := r.proxies(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = nil
			}
			return false, err
		}
		late = nil
		for i := range all {
			if all[i].Serving < version && !slices.Contains(r.report.Fenced, all[i].ID) {
				late = append(late, all[i].ID)
			}
		}
		return len(late) == 0, nil
	})
	return late, err
}
