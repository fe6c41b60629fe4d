package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// profiles runs a workload once more through each Shardway and writes profiles of
// its CPU time and its allocations meanwhile, NAME-WORKLOAD-CLIENTS.cpu and .allocs.
func (b *bench) profiles(ctx context.Context, w workload, clients int) error {
	for _, p := range b.proxies {
		if p.admin == "" {
			continue
		}
		base := filepath.Join(b.profile, fmt.Sprintf("%s-%s-%d", p.name, w.name, clients))
		cpu := make(chan error, 1)
		go func() { cpu <- p.fetch(ctx, fmt.Sprintf("profile?seconds=%d", max(b.seconds-1, 1)), base+".cpu") }()
		_, err := b.one(ctx, w, p, clients)
		if err = errors.Join(err, <-cpu); err != nil {
			return err
		}
		if err := p.fetch(ctx, "allocs", base+".allocs"); err != nil {
			return err
		}
	}
	return nil
}

// fetch writes one of the proxy's profiles to a file.
func (p *proxy) fetch(ctx context.Context, what, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/debug/pprof/"+what, http.NoBody)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.URL, reply.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, reply.Body)
	return errors.Join(err, f.Close())
}
