package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"shardway/shardmap"
)

const (
	// recheck is how often Watch reads the map without being told of a change:
	// that finds a connection on which nothing comes any more.
	recheck = 2 * time.Second
	// Between two attempts to reach etcd passes a time that grows from
	// firstRetry to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Second
)

// Watch waits until the stored map is of another version than after. What is
// stored and can't be used is returned as an error once. While etcd is away
// Watch waits.
func (s *Store) Watch(ctx context.Context, after uint64) (*shardmap.Map, error) {
	retry := firstRetry
	for {
		v, err := s.read(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, errClosed) {
			return nil, err
		}
		if err != nil {
			s.away(err)
			if err := s.rest(ctx, retry); err != nil {
				return nil, err
			}
			retry = min(2*retry, lastRetry)
			continue
		}
		s.back()
		retry = firstRetry
		m, err := s.look(v, after)
		if m != nil || err != nil {
			return m, err
		}
		if !s.follow(ctx, v) {
			// A watch that ends at once, again and again, must not make a storm.
			if err := s.rest(ctx, firstRetry); err != nil {
				return nil, err
			}
		}
	}
}

// look says what Watch returns for what is stored: a map of another version,
// an error that wasn't returned before, or neither.
func (s *Store) look(v stored, after uint64) (*shardmap.Map, error) {
	m, err := s.parse(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && m.Version() == after && s.last != nil && s.last.Version() == after && !m.Equal(s.last) {
		err = fmt.Errorf("%s was changed, but is version %d as before, so the change is not taken up; change the map with shardctl map apply, or raise its version", s.where(), after)
	}
	if err != nil {
		if err.Error() == s.told {
			return nil, nil
		}
		s.told = err.Error()
		return nil, err
	}
	s.told = ""
	if m.Version() == after {
		return nil, nil
	}
	s.last = m
	return m, nil
}

// follow waits until the map may be another than v, or is known to be
// (changed), or can't be watched.
func (s *Store) follow(ctx context.Context, v stored) (changed bool) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	c, err := s.client(ctx)
	if err != nil {
		return false
	}
	// Watch returns when it has a stream, which it waits for without end.
	opening := time.AfterFunc(s.o.DialTimeout, cancel)
	events := c.Watch(ctx, s.mapKey(), clientv3.WithRev(v.read+1))
	if !opening.Stop() {
		return false
	}
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.closed:
			return false
		case r, ok := <-events:
			// Without an event it is an end: a compaction, a lost leader.
			return ok && len(r.Events) > 0
		case <-tick.C:
			if now, err := s.read(ctx); err != nil || now.modified != v.modified {
				return true // to be read by Watch, which also tells of an outage
			}
		}
	}
}

// rest waits before the next attempt.
func (s *Store) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// away tells once that etcd can't be reached.
func (s *Store) away(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost.IsZero() {
		s.lost = time.Now()
		s.o.Log.Warn("the map store can't be reached: the map stays as it is until it can", "error", err)
	}
}

// back tells once that it can again.
func (s *Store) back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lost.IsZero() {
		s.o.Log.Info("the map store is reached again", "servers", s.at.endpoints, "after", time.Since(s.lost).Round(time.Millisecond))
		s.lost = time.Time{}
	}
}
