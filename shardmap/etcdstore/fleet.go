package etcdstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"shardway/shardmap"
)

func (s *Store) proxiesPrefix() string { return s.at.prefix + "/proxies/" }

// Announce writes p under a new lease of shardmap.PresenceTTL. To renew the
// lease of before would need a stream, and for each stream an etcd with users
// checks the password again, which costs it more than all the rest.
func (s *Store) Announce(ctx context.Context, p shardmap.Proxy) error {
	if err := shardmap.CheckProxyID(p.ID); err != nil {
		return err
	}
	p.Seen = time.Now().UTC()
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.call(ctx, "announce this proxy", func(ctx context.Context, c *clientv3.Client) error {
		lease, err := c.Grant(ctx, int64(shardmap.PresenceTTL/time.Second))
		if err != nil {
			return err
		}
		// The key leaves the lease of before, which runs out without it.
		_, err = c.Put(ctx, s.proxiesPrefix()+p.ID, string(text), clientv3.WithLease(lease.ID))
		return err
	})
}

// Withdraw ends the announcement of a proxy that stops.
func (s *Store) Withdraw(ctx context.Context, id string) error {
	if err := shardmap.CheckProxyID(id); err != nil {
		return err
	}
	return s.call(ctx, "withdraw this proxy", func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Delete(ctx, s.proxiesPrefix()+id)
		return err
	})
}

// Proxies returns the proxies whose leases last, sorted by ID.
func (s *Store) Proxies(ctx context.Context) ([]shardmap.Proxy, error) {
	list := []shardmap.Proxy{}
	err := s.call(ctx, "list the proxies", func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, s.proxiesPrefix(), clientv3.WithPrefix()) // sorted by key
		if err != nil {
			return err
		}
		for _, kv := range r.Kvs {
			var p shardmap.Proxy
			if err := json.Unmarshal(kv.Value, &p); err != nil {
				return fmt.Errorf("%s can't be read: %w", kv.Key, err)
			}
			list = append(list, p)
		}
		return nil
	})
	return list, err
}
