package filestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shardway/shardmap"
)

// forgotten is how old an announcement is when whoever lists removes its file.
// It is well above PresenceTTL, so that a proxy that was slow to repeat its
// announcement doesn't lose the new one.
const forgotten = 12 * shardmap.PresenceTTL

func (s *Store) proxiesDir() string { return s.path + ".proxies" }

func (s *Store) proxyFile(id string) string { return filepath.Join(s.proxiesDir(), id+".json") }

// Announce writes p into a file of its own. Where the directory of the map
// can't be written to, as in a read-only mount, it says so; the map can be
// served all the same.
func (s *Store) Announce(ctx context.Context, p shardmap.Proxy) error {
	if err := shardmap.CheckProxyID(p.ID); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.Seen = time.Now().UTC()
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = os.MkdirAll(s.proxiesDir(), 0o755)
	if err == nil {
		err = writeWhole(s.proxyFile(p.ID), text)
	}
	if err != nil {
		return fmt.Errorf("announce this proxy beside the map: %w; let its user write to %s, or keep the map in etcd", err, s.proxiesDir())
	}
	return nil
}

// writeWhole puts text in the place of path in one step. An announcement need
// not outlive a loss of power, so nothing is synced.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".*.new")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails once it has its new name, as it should
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Withdraw removes the announcement.
func (s *Store) Withdraw(ctx context.Context, id string) error {
	if err := shardmap.CheckProxyID(id); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(s.proxyFile(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Proxies returns the proxies whose announcements last, sorted by ID, and
// removes the files of those that are gone for long.
func (s *Store) Proxies(ctx context.Context) ([]shardmap.Proxy, error) {
	list := []shardmap.Proxy{}
	entries, err := os.ReadDir(s.proxiesDir()) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || shardmap.CheckProxyID(id) != nil {
			continue
		}
		text, err := readFile(s.proxyFile(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue // withdrawn just now
		}
		if err != nil {
			return nil, err
		}
		var p shardmap.Proxy
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("%s can't be read: %w", s.proxyFile(id), err)
		}
		// An announcement from the future was made before a clock was set back.
		switch age := time.Since(p.Seen).Abs(); {
		case age <= shardmap.PresenceTTL:
			list = append(list, p)
		case age > forgotten:
			_ = os.Remove(s.proxyFile(id)) // whoever may remove it will
		}
	}
	slices.SortFunc(list, func(a, b shardmap.Proxy) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// Close does nothing: no file stays open between calls.
func (s *Store) Close() error { return nil }
