package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"shardway/config"
	"shardway/router/admin"
	"shardway/router/exec/xact"
)

// fileChanged is why a reload happens.
const fileChanged = "a file has changed"

// reload takes the configuration and the map over as the files are now: whole,
// or not at all. Clients stay connected.
func (d *daemon) reload(ctx context.Context, why string) {
	log := d.log.With("why", why)
	refuse := func(err error) {
		log.Error("reload refused, everything stays as it was", "problems", strings.Split(err.Error(), "\n"))
	}
	// First everything that can fail.
	c, err := config.Load(d.src)
	if err != nil {
		refuse(err)
		return
	}
	old := d.parts
	if c.Log.Format != old.config.Log.Format {
		refuse(fmt.Errorf("log.format: a change from %s to %s needs a restart", old.config.Log.Format, c.Log.Format))
		return
	}
	next, err := prepare(ctx, c, old, d.log)
	if err != nil {
		refuse(err)
		return
	}
	opened, err := d.open(c)
	if err != nil {
		refuse(err)
		return
	}
	changes := old.config.Changes(c)
	newMap := !next.m.Equal(old.m) || next.m.Version() != old.m.Version()

	// From here on nothing fails.
	d.mu.Lock()
	d.parts = next
	d.mu.Unlock()
	d.level.Set(levelOf(c))
	d.metrics.SetSlow(c.Log.SlowQuery)
	d.admin.Set(admin.Settings{Token: c.Admin.Token})
	d.cluster.SetOptions(d.backendOptions(next))
	d.executor.SetCrossShard(xact.CrossShardOf(c.Transactions.CrossShard))
	d.router.SetOptions(d.routerOptions(next))
	if newMap {
		d.setMap(old.m, next.m)
	}
	if next.store != old.store {
		d.followStore(ctx)
	}
	d.start(ctx, opened)
	for addr, e := range d.clients {
		if !slices.Contains(c.Listen, addr) {
			e.stop()
			delete(d.clients, addr)
		}
	}
	for addr, e := range d.ops {
		if addr != c.Admin.Listen {
			e.stop()
			delete(d.ops, addr)
		}
	}
	if len(changes) == 0 && !newMap {
		level := slog.LevelInfo
		if why == fileChanged {
			level = slog.LevelDebug // the store was quicker to tell of the map's file
		}
		log.Log(ctx, level, "reloaded, nothing has changed")
		return
	}
	log.Info("reloaded", "changes", changes, "map_changed", newMap, "map_version", next.m.Version())
	d.warn(next)
}
