package filestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardway/shardmap"
)

// headerMark begins the first line of a file of the history; JSON follows.
const headerMark = "# shardway map "

func (s *Store) historyDir() string { return s.path + ".history" }

func (s *Store) historyFile(version uint64) string {
	return filepath.Join(s.historyDir(), fmt.Sprintf("%08d.yaml", version))
}

func (s *Store) recorded(version uint64) bool {
	_, err := os.Stat(s.historyFile(version))
	return err == nil
}

// record writes a version into the history. The lock is held.
func (s *Store) record(m *shardmap.Map, note string) error {
	if err := os.MkdirAll(s.historyDir(), 0o755); err != nil {
		return err
	}
	text, err := m.Marshal()
	if err != nil {
		return err
	}
	header, err := json.Marshal(shardmap.Revision{Version: m.Version(), Time: time.Now().UTC().Truncate(time.Second), Author: shardmap.Author(), Note: note})
	if err != nil {
		return err
	}
	return replaceFile(s.historyFile(m.Version()), slices.Concat([]byte(headerMark), header, []byte("\n"), text), 0o644)
}

// versions lists what the history holds, newest first.
func (s *Store) versions() ([]uint64, error) {
	entries, err := os.ReadDir(s.historyDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		if v, err := strconv.ParseUint(name, 10, 64); ok && err == nil {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out, nil
}

// newest returns the newest map of the history that can be read, or nil.
func (s *Store) newest() *shardmap.Map {
	versions, err := s.versions()
	if err != nil {
		return nil
	}
	for _, v := range versions {
		if m, err := readMap(s.historyFile(v)); err == nil {
			return m
		}
	}
	return nil
}

// Revisions lists the versions in the history, newest first.
func (s *Store) Revisions(ctx context.Context) ([]shardmap.Revision, error) {
	versions, err := s.versions()
	if err != nil {
		return nil, err
	}
	out := make([]shardmap.Revision, 0, len(versions))
	for _, v := range versions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text, err := readFile(s.historyFile(v))
		if err != nil {
			return nil, err
		}
		r := shardmap.Revision{Version: v}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		if header, ok := bytes.CutPrefix(line, []byte(headerMark)); ok {
			if err := json.Unmarshal(header, &r); err != nil {
				return nil, fmt.Errorf("%s: its first line can't be read: %w", s.historyFile(v), err)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// Revision returns a version from the history.
func (s *Store) Revision(ctx context.Context, version uint64) (*shardmap.Map, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text, err := readFile(s.historyFile(version))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("version %d: %w", version, shardmap.ErrNoRevision)
	}
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(text, []byte(headerMark)) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return shardmap.Parse(text)
}
