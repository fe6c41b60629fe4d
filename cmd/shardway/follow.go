package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"shardway/shardmap"
)

// mapNews is a change of the stored map, or why it can't be read.
type mapNews struct {
	store shardmap.Store
	m     *shardmap.Map
	err   error
}

// newsPause is how long the store rests after an error.
const newsPause = 200 * time.Millisecond

// followMap hands every new version of the stored map to the daemon's loop,
// until ctx is done. after is the version that is in use.
func (d *daemon) followMap(ctx context.Context, store shardmap.Store, after uint64) {
	for {
		m, err := store.Watch(ctx, after)
		if ctx.Err() != nil {
			return
		}
		select {
		case d.news <- mapNews{store, m, err}:
		case <-ctx.Done():
			return
		}
		if err == nil {
			after = m.Version()
			continue
		}
		select {
		case <-time.After(newsPause):
		case <-ctx.Done():
			return
		}
	}
}

// takeNews takes a new map over.
func (d *daemon) takeNews(n mapNews) {
	if n.store != d.parts.store {
		return // of a store that was left meanwhile
	}
	if n.err != nil {
		d.log.Error("map refused, the one of before stays", "map", d.parts.config.Map, "version", d.parts.m.Version(), "error", n.err)
		return
	}
	if n.m.Version() == d.parts.m.Version() && n.m.Equal(d.parts.m) {
		return // a reload was quicker
	}
	began := time.Now()
	before := d.parts.m
	next := *d.parts
	next.m = n.m
	d.mu.Lock()
	d.parts = &next
	d.mu.Unlock()
	d.setMap(before, n.m)
	var changes []string
	for _, c := range shardmap.Diff(before, n.m) {
		changes = append(changes, c.What+": "+c.From+" -> "+c.To)
	}
	d.log.Info("map taken over", "map_version", n.m.Version(), "before", before.Version(), "changes", changes, "took", time.Since(began))
	for _, w := range n.m.Warnings() {
		d.log.Warn("map: " + w.String())
	}
}

// setMap makes a map current for all that begins from now on.
func (d *daemon) setMap(before, m *shardmap.Map) {
	if m.Version() < before.Version() {
		d.log.Warn("the map has an older version than the one before", "version", m.Version(), "before", before.Version())
	}
	d.cluster.Apply(m) // before a plan can name a new shard
	d.live.Swap(m)
	d.tell()
}

// tell has the proxy announced anew.
func (d *daemon) tell() {
	select {
	case d.changed <- struct{}{}:
	default: // the announcement that is to come will say this too
	}
}

// followStore begins to follow the store in use and to announce the proxy
// there, and ends that for the one before, which is then closed.
func (d *daemon) followStore(ctx context.Context) {
	if d.leaveStore != nil {
		d.leaveStore()
	}
	ctx, d.leaveStore = context.WithCancel(ctx)
	store, version := d.parts.store, d.parts.m.Version()
	d.serving.Go(func() {
		var all sync.WaitGroup
		all.Go(func() { d.followMap(ctx, store, version) })
		all.Go(func() { d.announce(ctx, store) })
		all.Go(func() { d.steward(ctx, store) })
		all.Wait()
		_ = store.Close() // nothing waits in it to be written
	})
}

const (
	// announceEvery is how often a proxy without news is announced.
	announceEvery = shardmap.PresenceTTL / 5
	// announceWithin bounds one announcement.
	announceWithin = shardmap.PresenceTTL / 2
)

// announce keeps the proxy announced in the store until ctx is done.
func (d *daemon) announce(ctx context.Context, fleet shardmap.Fleet) {
	failing := false
	say := func() {
		within, cancel := context.WithTimeout(ctx, announceWithin)
		defer cancel()
		err := fleet.Announce(within, d.proxy())
		switch {
		case ctx.Err() != nil || errors.Is(err, context.Canceled):
		case err != nil && !failing:
			d.log.Warn("this proxy can't be announced in the map's store: statements are served, but shardctl doesn't see it and may fence it off", "error", err)
			failing = true
		case err == nil && failing:
			d.log.Info("this proxy is announced in the map's store again")
			failing = false
		}
	}
	ticker := time.NewTicker(announceEvery)
	defer ticker.Stop()
	for {
		// Before the announcement: what ends while that is under way is announced too.
		_, left := d.cluster.Paused()
		_, moved := d.router.Moving()
		say()
		select {
		case <-ticker.C:
		case <-d.changed:
		case <-left:
		case <-moved:
		case <-ctx.Done():
			within, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceWithin)
			defer cancel()
			if err := fleet.Withdraw(within, d.self.ID); err != nil && !failing {
				d.log.Warn("this proxy's announcement couldn't be taken back, it ends by itself", "error", err)
			}
			return
		}
	}
}

// proxy is what the proxy says of itself now.
func (d *daemon) proxy() shardmap.Proxy {
	p := d.self
	// First the version: what is busy then is at least what that version found.
	p.Serving = d.live.Current().Version()
	p.Busy, _ = d.cluster.Paused()
	p.Moving, _ = d.router.Moving()
	p.Oldest = min(p.Serving, d.router.Oldest())
	p.Gone = d.cluster.GonePrimaries()
	p.Refused = d.cluster.Fenced()
	d.mu.Lock()
	defer d.mu.Unlock()
	p.Listen, p.Admin = d.parts.config.Listen, d.parts.config.Admin.Listen
	return p
}
