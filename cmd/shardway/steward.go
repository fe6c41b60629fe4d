package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"shardway/config"
	"shardway/config/operator"
	"shardway/router/backend/roles"
	"shardway/shardmap"
	"shardway/shardmap/failover"
	"shardway/shardmap/stores"
)

const (
	// stewardEvery is how often the steward looks at the primaries that this
	// proxy can't reach; it asks the store only when there is one.
	stewardEvery = 250 * time.Millisecond
	// rejoinEvery is how often it looks for servers that should follow again.
	rejoinEvery = 2 * time.Second
	// adoptWithin bounds one change of the map.
	adoptWithin = 3 * time.Second
)

// promotion is a change of primary that somebody else made and the cluster has
// observed.
type promotion struct{ shard, from, to string }

// steward looks after the primaries of the shards: it writes into the map what
// was observed, and, with failover.enabled, promotes a replica of a primary that
// is gone and lets servers that are back follow again. And it takes back pauses
// of slots that whoever moves them has left behind.
type steward struct {
	d     *daemon
	store stores.Store
	log   *slog.Logger

	observed map[string]promotion // by shard: not in the map yet
	said     map[string]string    // by shard or server: what was last logged, so that it is logged once
	resting  map[string]rest      // by shard: failed attempts
	waiting  map[string]time.Time // by move: since when its slots have been seen to be paused
}

// rest is the time until the next attempt at a failover: each attempt makes the
// replicas look for the old primary anew.
type rest struct {
	until time.Time
	long  time.Duration
}

// restLeast and restMost bound it.
const restLeast, restMost = time.Second, 15 * time.Second

// steward works until ctx is done.
func (d *daemon) steward(ctx context.Context, store stores.Store) {
	s := &steward{d: d, store: store, log: d.log, observed: map[string]promotion{}, said: map[string]string{}, resting: map[string]rest{}, waiting: map[string]time.Time{}}
	look, rejoin := time.NewTicker(stewardEvery), time.NewTicker(rejoinEvery)
	defer look.Stop()
	defer rejoin.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-d.promotions:
			s.observed[p.shard] = p
			s.adopt(ctx)
		case <-look.C:
			s.adopt(ctx)
			s.failover(ctx)
			s.takeBack(ctx)
		case <-rejoin.C:
			s.rejoin(ctx)
		}
	}
}

// once logs a text unless it is what was last logged about the same thing.
func (s *steward) once(about string, level slog.Level, text string, attrs ...any) {
	key := text + fmt.Sprint(attrs...)
	if s.said[about] == key {
		return
	}
	s.said[about] = key
	s.log.Log(context.Background(), level, text, attrs...)
}

// adopt writes promotions that were observed into the map. A shard that is
// paused is left to whoever has paused it.
func (s *steward) adopt(ctx context.Context) {
	for shard, p := range s.observed {
		ctx, cancel := context.WithTimeout(ctx, adoptWithin)
		done, err := s.adoptOne(ctx, p)
		cancel()
		if done {
			delete(s.observed, shard)
		}
		if err != nil {
			s.once(shard, slog.LevelWarn, "the promotion can't be written into the map, this proxy follows it all the same", "shard", shard, "to", p.to, "error", err)
		}
	}
}

func (s *steward) adoptOne(ctx context.Context, p promotion) (done bool, err error) {
	m, err := s.store.Load(ctx)
	if err != nil {
		return false, err
	}
	sh := m.Shard(p.shard)
	switch {
	case sh == nil, sh.Primary.Addr != p.from:
		return true, nil // the map is another one already
	case sh.Paused != "":
		return false, nil
	}
	next, err := m.WithPrimary(p.shard, p.to)
	if err != nil {
		return true, err
	}
	note := fmt.Sprintf("observed: %s was promoted in place of %s", p.to, p.from)
	err = s.store.Swap(shardmap.WithNote(ctx, note), m.Version(), next)
	switch {
	case errors.Is(err, shardmap.ErrConflict):
		return false, nil // somebody else was quicker; look again
	case err != nil:
		return false, err
	}
	s.log.Warn("the map has the new primary", "shard", p.shard, "from", p.from, "to", p.to, "map_version", next.Version())
	return true, nil
}

// failover promotes replicas of primaries that are gone by quorum.
func (s *steward) failover(ctx context.Context) {
	c := s.d.inForce()
	if !c.Failover.Enabled {
		return
	}
	gone := s.d.cluster.GonePrimaries()
	for _, sh := range s.d.live.Current().Shards() {
		since, missed := gone[sh.Primary.Addr]
		if !missed {
			delete(s.resting, sh.ID)
			continue
		}
		if time.Since(since) < c.Failover.After || time.Now().Before(s.resting[sh.ID].until) {
			continue
		}
		proxies, err := s.proxies(ctx)
		if err != nil {
			s.once(sh.ID, slog.LevelError, "a primary is gone, and the map's store can't be asked what other proxies see: nothing is promoted",
				"shard", sh.ID, "primary", sh.Primary.Addr, "error", err)
			return
		}
		ok, why := failover.Gone(proxies, sh.Primary.Addr, c.Failover.Quorum, c.Failover.After, time.Now())
		if !ok {
			s.once(sh.ID, slog.LevelWarn, "a primary is gone for this proxy, but not by quorum", "shard", sh.ID, "why", why)
			continue
		}
		s.promote(ctx, c, sh, why)
	}
}

func (s *steward) promote(ctx context.Context, c *config.Config, sh *shardmap.Shard, why string) {
	o := s.options(c)
	began := time.Now()
	report, err := failover.Failover(ctx, s.store, sh.ID, sh.Primary.Addr, o)
	if err != nil {
		long := min(max(2*s.resting[sh.ID].long, restLeast), restMost)
		s.resting[sh.ID] = rest{time.Now().Add(long), long}
	}
	switch {
	case failover.IsRefused(err):
		s.once(sh.ID, slog.LevelWarn, "no failover", "shard", sh.ID, "primary", sh.Primary.Addr, "why", err.Error())
	case err != nil:
		s.once(sh.ID, slog.LevelError, "the failover failed", "shard", sh.ID, "primary", sh.Primary.Addr, "error", err, "warnings", report.Warnings)
	default:
		delete(s.said, sh.ID)
		s.log.Warn("failover done", "shard", sh.ID, "from", report.From, "to", report.To, "why", why,
			"took", time.Since(began), "paused", report.Pause, "fenced", report.Fenced, "warnings", report.Warnings, "map_version", report.Version)
	}
}

// rejoin lets servers follow their shard's primary that came back after a
// failover and follow nobody, or the former primary in vain. The first proxy by
// ID does it, so that two don't do it at once.
func (s *steward) rejoin(ctx context.Context) {
	c := s.d.inForce()
	if !c.Failover.Enabled {
		return
	}
	var apart []roles.Sight
	m := s.d.live.Current()
	for _, sight := range s.d.cluster.Sights() {
		if sh := m.Shard(sight.Shard); sh != nil && sh.Paused == "" && isApart(sh, &sight) {
			apart = append(apart, sight)
		}
	}
	if len(apart) == 0 {
		return
	}
	proxies, err := s.proxies(ctx)
	if err != nil || len(proxies) == 0 || proxies[0].ID != s.d.self.ID {
		return
	}
	for _, sight := range apart {
		done, err := failover.Rejoin(ctx, s.store, sight.Shard, sight.Addr, s.options(c))
		switch {
		case err != nil:
			s.once(sight.Addr, slog.LevelError, "a server can't be made a replica again", "shard", sight.Shard, "server", sight.Addr, "error", err)
		case done != "":
			delete(s.said, sight.Addr)
			s.log.Warn("a server is back as a replica", "shard", sight.Shard, "server", sight.Addr, "done", done)
		}
	}
}

// isApart says whether a server that the map has as a replica follows nobody, or
// another member of the shard without reaching it.
func isApart(sh *shardmap.Shard, sight *roles.Sight) bool {
	if sight.Addr == sh.Primary.Addr || !sight.SourceKnown ||
		!sight.Answers() {
		return false
	}
	if sight.ReplicaOf == "" {
		return true
	}
	if sight.ReplicaOf == sh.Primary.Addr || sight.IO == "Yes" {
		return false
	}
	for _, other := range sh.Replicas {
		if other.Addr == sight.ReplicaOf {
			return true
		}
	}
	return false
}

func (s *steward) proxies(ctx context.Context) ([]shardmap.Proxy, error) {
	ctx, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	return s.store.Proxies(ctx)
}

// options are how this proxy changes primaries.
func (s *steward) options(c *config.Config) failover.Options {
	return failover.Options{
		Open: operator.Account(c).Open, ProxyUser: c.Servers.User, By: s.d.self.ID,
		ReplicationUser: c.Failover.ReplicationUser, ReplicationPassword: c.Failover.ReplicationPassword,
		Progress: func(step failover.Step) {
			s.log.Info("change of primary: "+strings.TrimSpace(step.Name), "what", step.Text, "took", step.Took)
		},
	}
}

// inForce is the configuration in force, for other goroutines than the loop's.
func (d *daemon) inForce() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.parts.config
}
