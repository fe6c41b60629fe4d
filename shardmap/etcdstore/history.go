package etcdstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"shardway/shardmap"
)

// kept is how many versions the history holds.
const kept = 100

// headerMark begins the first line of an entry of the history; JSON follows.
const headerMark = "# shardway map "

// header is the first line of an entry.
type header struct {
	shardmap.Revision
	Mark string `json:"mark,omitempty"` // tells one Swap from another of the same version
}

// entry is a version in the history: a header, and the map's text.
type entry struct {
	header
	text []byte
}

func (s *Store) historyPrefix() string { return s.at.prefix + "/history/" }

func (s *Store) historyKey(version uint64) string {
	return fmt.Sprintf("%s%08d", s.historyPrefix(), version)
}

// entry writes a version as the history keeps it.
func (s *Store) entry(m *shardmap.Map, text []byte, note, mark string) (string, error) {
	first, err := json.Marshal(header{
		Revision: shardmap.Revision{Version: m.Version(), Time: time.Now().UTC().Truncate(time.Second), Author: shardmap.Author(), Note: note},
		Mark:     mark,
	})
	if err != nil {
		return "", err
	}
	return headerMark + string(first) + "\n" + string(text), nil
}

// parseEntry is the reverse. A text without a header is a map that somebody
// put there.
func parseEntry(version uint64, text []byte) (entry, error) {
	e := entry{header: header{Revision: shardmap.Revision{Version: version}}, text: text}
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	first, ok := bytes.CutPrefix(line, []byte(headerMark))
	if !ok {
		return e, nil
	}
	e.text = rest
	if err := json.Unmarshal(first, &e.header); err != nil {
		return e, fmt.Errorf("version %d in the history: its first line can't be read: %w", version, err)
	}
	return e, nil
}

// version reads a key of the history.
func (s *Store) version(key []byte) (uint64, bool) {
	v, err := strconv.ParseUint(strings.TrimPrefix(string(key), s.historyPrefix()), 10, 64)
	return v, err == nil
}

// tidy returns what a Swap does to the history besides keeping its own
// version: it keeps the version that it replaces if that isn't there yet
// (current, nil for none), and removes those that are too many.
func (s *Store) tidy(ctx context.Context, current *shardmap.Map, text []byte, next uint64) ([]clientv3.Op, error) {
	var versions []uint64
	err := s.call(ctx, "list the history", func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, s.historyPrefix(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			return err
		}
		for _, kv := range r.Kvs {
			if v, ok := s.version(kv.Key); ok && v != next {
				versions = append(versions, v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var ops []clientv3.Op
	if current != nil && !slices.Contains(versions, current.Version()) {
		found, err := s.entry(current, text, "found in etcd", "")
		if err != nil {
			return nil, err
		}
		ops = append(ops, clientv3.OpPut(s.historyKey(current.Version()), found))
	}
	slices.Sort(versions)
	// A transaction has at most 128 operations; what is left goes with the next.
	for _, v := range versions[:min(100, max(0, len(versions)+len(ops)+1-kept))] {
		ops = append(ops, clientv3.OpDelete(s.historyKey(v)))
	}
	return ops, nil
}

// find reads one version.
func (s *Store) find(ctx context.Context, version uint64) (e entry, err error) {
	err = s.call(ctx, fmt.Sprintf("read version %d of the history", version), func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, s.historyKey(version))
		if err != nil {
			return err
		}
		if len(r.Kvs) > 0 {
			e.text = r.Kvs[0].Value
		}
		return nil
	})
	if err != nil {
		return entry{}, err
	}
	if e.text == nil {
		return entry{}, fmt.Errorf("version %d: %w", version, shardmap.ErrNoRevision)
	}
	return parseEntry(version, e.text)
}

// Revisions lists the versions in the history, newest first.
func (s *Store) Revisions(ctx context.Context) ([]shardmap.Revision, error) {
	var list []shardmap.Revision
	err := s.call(ctx, "list the history", func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, s.historyPrefix(), clientv3.WithPrefix())
		if err != nil {
			return err
		}
		list = make([]shardmap.Revision, 0, len(r.Kvs))
		for _, kv := range r.Kvs {
			v, ok := s.version(kv.Key)
			if !ok {
				continue
			}
			e, err := parseEntry(v, kv.Value)
			if err != nil {
				return err
			}
			list = append(list, e.Revision)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b shardmap.Revision) int {
		return cmp.Compare(b.Version, a.Version)
	})
	return list, err
}

// Revision returns a version from the history.
func (s *Store) Revision(ctx context.Context, version uint64) (*shardmap.Map, error) {
	e, err := s.find(ctx, version)
	if err != nil {
		return nil, err
	}
	return shardmap.Parse(e.text)
}

// unanswered tells errors after which it is unknown what etcd did.
func unanswered(err error) bool {
	switch code(err) {
	case codes.DeadlineExceeded, codes.Unavailable, codes.Canceled:
		return true
	default:
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
