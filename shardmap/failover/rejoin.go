package failover

import (
	"context"
	"fmt"

	"shardway/shardmap"
)

// Rejoin makes the server at addr, a replica of the shard in the map that is
// back after a failover, follow the shard's primary, and says what was done;
// "" is nothing, because it follows already. It makes the server read-only at
// once. One with transactions that the primary doesn't have stays read-only
// and follows nobody: the error names them. Then somebody must decide what
// becomes of them and make the server anew from a copy of the primary.
func Rejoin(ctx context.Context, store Store, shard, addr string, o Options) (string, error) {
	r := newRun(store, shard, o)
	defer r.close()
	sh, err := r.load(ctx)
	if err != nil {
		return "", err
	}
	found := false
	for _, s := range sh.Replicas {
		found = found || s.Addr == addr
	}
	switch {
	case !found:
		return "", refuse(addr, "", "it is no replica of shard %s in the map", shard)
	case sh.Paused != "":
		return "", refuse(addr, "wait until that is over", "shard %s is paused: %s", shard, sh.Paused)
	}
	return r.rejoin(ctx, sh, addr)
}

func (r *run) rejoin(ctx context.Context, sh *shardmap.Shard, addr string) (string, error) {
	n, err := r.node(ctx, addr)
	if err != nil {
		return "", err
	}
	is, err := n.IsReadOnly(ctx)
	if err != nil {
		return "", err
	}
	if !is {
		user, err := n.proxyUser(ctx, r.Options)
		if err != nil {
			return "", err
		}
		if err := n.readOnly(ctx, func(ctx context.Context) error { _, err := n.Kill(ctx, user); return err }); err != nil {
			return "", err
		}
	}
	// The server's own state first: what it has of the primary the primary then
	// has too.
	s, err := n.state(ctx)
	if err != nil {
		return "", err
	}
	primary, err := r.inspect(ctx, sh.Primary.Addr)
	if err != nil {
		return "", err
	}
	if errant := s.Executed.Minus(primary.Executed); !errant.IsEmpty() {
		if s.Replica != nil && (s.Replica.Applier || s.Replica.Receiver != "No") {
			if err := n.Exec(ctx, "STOP "+n.word()); err != nil {
				return "", err
			}
		}
		return "", &Refused{[]Problem{{
			Server: addr,
			Text:   fmt.Sprintf("it has transactions that the primary %s doesn't have, so it is read-only and follows nobody: %s", primary.Addr, errant),
			Fix:    "look at what they did (mysqlbinlog), and make the server anew from a copy of the primary",
		}}}
	}
	if s.follows(&primary) && s.Replica.Receiver != "No" && s.Replica.Applier {
		if !is {
			return "read-only", nil
		}
		return "", nil
	}
	if s.Replica == nil && r.ReplicationUser == "" {
		return "", refuse(addr, "set failover.replication_user and failover.replication_password", "it follows nobody, and nothing says as whom it logs in to replicate")
	}
	if err := r.followOne(ctx, n, primary.Addr, s, r.fellow(ctx, sh, addr), primary.SemiSync.on()); err != nil {
		return "", err
	}
	return "follows " + primary.Addr, nil
}

// fellow returns the settings of another replica of the shard, or nil.
func (r *run) fellow(ctx context.Context, sh *shardmap.Shard, addr string) *Replica {
	for _, other := range sh.Replicas {
		if other.Addr == addr {
			continue
		}
		if s, err := r.inspect(ctx, other.Addr); err == nil && s.Replica != nil {
			return s.Replica
		}
	}
	return nil
}
