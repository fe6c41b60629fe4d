//go:build !gms_pure_go

package main

import "errors"

// engines stands in for the embedded servers in a build without them.
type engines struct {
	nodes []node
}

func startEngines(int, int, func(shard int, exec func(query string) error) error) (*engines, error) {
	return nil, errors.New("this shardway-demo was built without its embedded servers: use `make run`, or `go run -tags gms_pure_go ./cmd/shardway-demo`")
}

func (all *engines) close() {}
