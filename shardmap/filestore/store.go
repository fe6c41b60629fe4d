package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"shardway/shardmap"
)

// DefaultPoll is how often Watch reads the file even if the system reports no
// change, as network file systems and container mounts don't.
const DefaultPoll = time.Second

// Store is the map in one YAML file. Its methods can be called by several
// goroutines and processes at once.
type Store struct {
	path string
	poll time.Duration

	mu   sync.Mutex
	last *shardmap.Map // as last read, with the version it counts as
	bad  string        // the text of the error that Watch last returned
}

var (
	_ shardmap.Store   = (*Store)(nil)
	_ shardmap.History = (*Store)(nil)
	_ shardmap.Fleet   = (*Store)(nil)
)

// Open returns the store of the file at path. The file need not exist: Load
// then fails with an error that is fs.ErrNotExist and Swap from base 0 makes
// it. A symbolic link is followed, so that a Swap replaces its target.
func Open(path string) (*Store, error) {
	if path == "" {
		return nil, errors.New("the path of the shard map is empty")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(abs); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; the shard map is one YAML file", path)
	}
	return &Store{path: abs, poll: DefaultPoll}, nil
}

// SetPoll sets how often Watch reads the file without being told of a change.
// It must be called before Watch.
func (s *Store) SetPoll(every time.Duration) { s.poll = every }

// Text returns the file as it is, even where it has errors.
func (s *Store) Text(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return readFile(s.path)
}

// Load reads the map from the file.
func (s *Store) Load(ctx context.Context) (*shardmap.Map, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load(ctx)
}

// load reads the file and settles its version. s.mu is held.
func (s *Store) load(ctx context.Context) (*shardmap.Map, error) {
	m, err := readMap(s.path)
	if err != nil {
		return nil, err
	}
	settled, edited := s.settle(m)
	if edited {
		if settled, err = s.adopt(ctx, settled); err != nil {
			return nil, err
		}
	}
	s.last = settled
	return settled, nil
}

// settle gives the version that m, as written in the file, counts as; edited
// says that this version is new and nowhere recorded.
func (s *Store) settle(m *shardmap.Map) (settled *shardmap.Map, edited bool) {
	newest := s.newest()
	if s.last != nil && (newest == nil || s.last.Version() > newest.Version()) {
		newest = s.last
	}
	switch {
	case newest == nil || m.Version() > newest.Version():
		return m, false
	case m.Equal(newest):
		return m.WithVersion(newest.Version()), false
	}
	return m.WithVersion(newest.Version() + 1), true
}

// adopt records an edit by hand as a version. Two processes that see the same
// edit agree on its number through the lock; without one (a read-only mount)
// each counts for itself, and guess is the answer.
func (s *Store) adopt(ctx context.Context, guess *shardmap.Map) (*shardmap.Map, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return guess, nil
	}
	defer unlock()
	// What looked like an edit may have been the file before a Swap beside the
	// history after it.
	m, err := readMap(s.path)
	if err != nil {
		return nil, err
	}
	m, edited := s.settle(m)
	if !edited {
		return m, nil
	}
	if s.last != nil && !s.recorded(s.last.Version()) {
		// What was there before is known to this process alone: keep it too.
		err = s.record(s.last, "seen before an edit by hand")
	}
	if err == nil {
		err = s.record(m, "edited by hand")
	}
	if err != nil {
		return m, nil // it counts for this process, as without a lock
	}
	return m, nil
}

// Swap writes next to the file if the file's map still has version base, and
// otherwise fails with an error that is shardmap.ErrConflict. Base 0 stands
// for no file. What it replaces and what it writes are in the history; next
// goes there last, so a Swap that dies leaves no version that never was.
func (s *Store) Swap(ctx context.Context, base uint64, next *shardmap.Map) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if next.Version() <= base {
		return fmt.Errorf("the new version %d is not above %d, which it follows", next.Version(), base)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	current, err := readMap(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if base != 0 {
			return fmt.Errorf("%w: %s is gone and was at version %d", shardmap.ErrConflict, s.path, base)
		}
	case err != nil:
		return fmt.Errorf("%w; mend or remove the file first", err)
	default:
		if err := s.expect(base, current); err != nil {
			return err
		}
	}
	text, err := next.Marshal()
	if err != nil {
		return err
	}
	if err := replaceFile(s.path, text, 0o644); err != nil {
		return err
	}
	s.last = next
	if err := s.record(next, shardmap.Note(ctx)); err != nil {
		return fmt.Errorf("version %d is stored but not kept in the history: %w", next.Version(), err)
	}
	return nil
}

// expect checks that current counts as version base and puts it in the
// history. The lock is held.
func (s *Store) expect(base uint64, current *shardmap.Map) error {
	current, edited := s.settle(current)
	if current.Version() != base {
		return fmt.Errorf("%w: %s is at version %d, not %d; load it again", shardmap.ErrConflict, s.path, current.Version(), base)
	}
	if s.recorded(base) {
		return nil
	}
	note := "found in the file"
	if edited {
		note = "edited by hand"
	}
	if err := s.record(current, note); err != nil {
		return fmt.Errorf("keep version %d in the history: %w", base, err)
	}
	return nil
}

// Watch waits until the file's map is of another version than after. A change
// that can't be read is returned as an error once.
func (s *Store) Watch(ctx context.Context, after uint64) (*shardmap.Map, error) {
	// Without notifications (too many watches, an odd file system) reading
	// every so often does the whole work.
	var events <-chan fsnotify.Event
	if w, err := fsnotify.NewWatcher(); err == nil {
		defer func() { _ = w.Close() }()
		// The directory, since editors put a new file in the old one's place.
		if w.Add(filepath.Dir(s.path)) == nil {
			events = w.Events
		}
	}
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	for {
		m, err := s.look(ctx, after)
		if m != nil || err != nil {
			return m, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		case _, ok := <-events:
			if !ok {
				events = nil
			}
		}
	}
}

// look reads the file once for Watch: a map of another version, an error that
// wasn't returned before, or neither.
func (s *Store) look(ctx context.Context, after uint64) (*shardmap.Map, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.load(ctx)
	if err != nil {
		if err.Error() == s.bad {
			return nil, nil
		}
		s.bad = err.Error()
		return nil, err
	}
	s.bad = ""
	if m.Version() == after {
		return nil, nil
	}
	return m, nil
}

// readMap reads and checks one file.
func readMap(path string) (*shardmap.Map, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	m, err := shardmap.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}
