package etcdstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"shardway/shardmap"
)

func (s *Store) proxiesPrefix() string { return s.at.prefix + "/proxies/" }

// Announce writes p under a lease of shardmap.PresenceTTL, which each
// announcement renews. A lease that has run out meanwhile is replaced.
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
		put := func(lease clientv3.LeaseID) error {
			_, err := c.Put(ctx, s.proxiesPrefix()+p.ID, string(text), clientv3.WithLease(lease))
			return err
		}
		if lease, ok := s.lease(p.ID); ok {
			// The client tries to renew without a pause while etcd is away, so the
			// other request, which doesn't, goes first.
			err := put(lease)
			if err == nil {
				_, err = c.KeepAliveOnce(ctx, lease)
			}
			if !is(err, rpctypes.ErrLeaseNotFound) {
				return err
			}
		}
		granted, err := c.Grant(ctx, int64(shardmap.PresenceTTL/time.Second))
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.leases[p.ID] = granted.ID
		s.mu.Unlock()
		return put(granted.ID)
	})
}

func (s *Store) lease(id string) (clientv3.LeaseID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease, ok := s.leases[id]
	return lease, ok
}

// Withdraw ends the announcement of a proxy that stops.
func (s *Store) Withdraw(ctx context.Context, id string) error {
	if err := shardmap.CheckProxyID(id); err != nil {
		return err
	}
	return s.call(ctx, "withdraw this proxy", func(ctx context.Context, c *clientv3.Client) error {
		if _, err := c.Delete(ctx, s.proxiesPrefix()+id); err != nil {
			return err
		}
		lease, ok := s.lease(id)
		if !ok {
			return nil
		}
		if _, err := c.Revoke(ctx, lease); err != nil && !is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.leases, id)
		return nil
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
