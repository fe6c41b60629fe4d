package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"shardway/router"
	"shardway/router/admin"
	"shardway/router/backend"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/shardmap"
)

const (
	// readyWithin is how long the embedded servers have to answer their first probe.
	readyWithin = 10 * time.Second
	// drainWithin is how long statements and transactions under way have at the end.
	drainWithin = 2 * time.Second
	// The cache of statements is small: the demo sees few.
	cachedStatements, cachedBytes = 1000, 8 << 20
)

// serve runs the demo until ctx ends, which is no error. It prints the tour once clients can connect.
func serve(ctx context.Context, o options, stdout io.Writer) (err error) {
	log := slog.New(slog.NewTextHandler(stdout, &slog.HandlerOptions{Level: slog.LevelError}))
	proxyAddr, err := listen(o.listen, "listen", "proxy")
	if err != nil {
		return err
	}
	defer proxyAddr.Close()
	adminAddr, err := listen(o.admin, "admin", "probes and metrics")
	if err != nil {
		return err
	}
	defer adminAddr.Close()

	all, err := startEngines(shardCount, replicas, fill)
	if err != nil {
		return err
	}
	defer all.close()
	m, err := shardmap.Parse([]byte(mapDocument(all.nodes)))
	if err != nil {
		return fmt.Errorf("the demo's map: %w", err)
	}
	maps := shardmap.NewLive(m)

	cluster := backend.New(backend.Options{
		User: serverUser, Password: serverPassword, FallbackToPrimary: true, Log: log,
	})
	defer cluster.Close()
	cluster.Apply(m)
	metrics := admin.NewMetrics(log)
	server := router.New(router.Options{
		Executor: exec.New(cluster), Maps: maps, Statements: parse.NewCache(cachedStatements, cachedBytes),
		Users:    map[string]*router.User{clientUser: {Name: clientUser, Password: clientPassword, Databases: []string{database}}},
		Observer: metrics, Log: log,
		Variables: func() [][2]string {
			return [][2]string{{"listen", proxyAddr.Addr().String()}, {"admin.listen", adminAddr.Addr().String()}}
		},
	})
	http := admin.New(admin.Options{Version: "demo", Metrics: metrics, Log: log})
	http.Attach(server, maps.Current)
	if err := untilReady(ctx, server); err != nil {
		return err
	}

	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(work, proxyAddr); !errors.Is(err, router.ErrServerClosed) {
			stop(err)
		}
	})
	running.Go(func() {
		if err := admin.Serve(work, adminAddr, http, log); err != nil {
			stop(err)
		}
	})
	err = printTour(stdout, proxyAddr.Addr().String(), adminAddr.Addr().String(), all.nodes)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-work.Done():
			err = context.Cause(work)
		}
	}
	http.Drain()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWithin)
	defer cancel()
	// Clients that are cut off at the end of a demo are no failure of it.
	_ = server.Shutdown(grace)
	stop(nil)
	running.Wait()
	return err
}

// untilReady returns when every shard has a usable primary.
func untilReady(ctx context.Context, server *router.Server) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.NewTimer(readyWithin)
	defer timeout.Stop()
	for {
		err := server.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil // the caller sees it too
		case <-timeout.C:
			return fmt.Errorf("the embedded servers don't answer: %w", err)
		}
	}
}
