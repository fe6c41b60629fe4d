package failover

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"shardway/shardmap/server"
)

// Account is a login at the servers that may change roles. docs/failover.md
// lists its rights. Its Open is an [Options] Open.
type Account = server.Account

// FenceQuery is [server.FenceQuery], by which proxies read the fence.
const FenceQuery = server.FenceQuery

// node is a server of the shard that is being changed.
type node struct{ *server.Server }

// node opens a server, or returns the one that is open.
func (r *run) node(ctx context.Context, addr string) (*node, error) {
	if n := r.nodes[addr]; n != nil {
		return n, nil
	}
	n, err := open(ctx, r.Options, addr)
	if err == nil {
		r.nodes[addr] = n
	}
	return n, err
}

func open(ctx context.Context, o Options, addr string) (*node, error) {
	db, err := o.Open(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	n, err := server.Open(ctx, db, addr, o.Statement)
	if err != nil {
		return nil, err
	}
	return &node{n}, nil
}

func (n *node) proxyUser(ctx context.Context, o Options) (string, error) {
	return n.ProxyUser(ctx, o.ProxyUser)
}

// Raise sets the fence of a shard's primary: from now on proxies whose map is
// older than version get no new connection there, nor at its replicas as soon
// as they have the row. The fence only ever rises. It makes the table where it
// is missing. Then Raise kills the connections of o.ProxyUser, which were
// opened before, and says how many.
//
// It fails on a server that is read-only, since the row would make it differ
// from its primary.
func Raise(ctx context.Context, o Options, addr string, version uint64, note string) (killed int, err error) {
	n, err := open(ctx, o.withDefaults(), addr)
	if err != nil {
		return 0, err
	}
	defer n.Close()
	if err := n.Raise(ctx, version, note); err != nil {
		return 0, err
	}
	user, err := n.proxyUser(ctx, o)
	if err != nil {
		return 0, err
	}
	return n.Kill(ctx, user)
}

// hostPort cuts an address of the map for CHANGE REPLICATION SOURCE.
func hostPort(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s is no address of host and port, which a replica needs to follow it", addr)
	}
	return host, port, nil
}
