package stores

import (
	"context"
	"fmt"
	"io"
	"strings"

	"shardway/shardmap"
	"shardway/shardmap/etcdstore"
	"shardway/shardmap/filestore"
)

// Store keeps the map, its history, and who serves it. It is closed by whoever
// opened it.
type Store interface {
	shardmap.Store
	shardmap.History
	shardmap.Fleet
	// Text returns the map as it is written, even where it has errors.
	Text(ctx context.Context) ([]byte, error)
	io.Closer
}

// IsFile says whether the address is that of a file.
func IsFile(address string) bool { return !strings.Contains(address, "://") }

// Open returns the store at the address. It connects to nothing and reads no
// map. The options are for etcd; a file needs none.
func Open(address string, etcd etcdstore.Options) (Store, error) {
	switch {
	case IsFile(address):
		s, err := filestore.Open(address)
		if err != nil {
			return nil, err
		}
		return s, nil
	case strings.HasPrefix(address, etcdstore.Scheme):
		s, err := etcdstore.Open(address, etcd)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	scheme, _, _ := strings.Cut(address, "://")
	return nil, fmt.Errorf("no store has addresses that begin with %s://; give the path of a YAML file, or %sHOST:PORT/PREFIX", scheme, etcdstore.Scheme)
}
