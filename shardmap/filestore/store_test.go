package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/filestore"
)

const text = `# the map
version: %d
shards: {s0: {primary: "%s"}}
`

func content(version int, addr string) string { return fmt.Sprintf(text, version, addr) }

func parse(t *testing.T, s string) *shardmap.Map {
	t.Helper()
	m, err := shardmap.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t *testing.T, path string) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o640); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, s *filestore.Store) *shardmap.Map {
	t.Helper()
	m, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start writes version 1 and returns its path and a store.
func start(t *testing.T) (string, *filestore.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shards.yaml")
	write(t, path, content(1, "a:1"))
	return path, open(t, path)
}

func TestSwap(t *testing.T) {
	path, s := start(t)
	if v := load(t, s).Version(); v != 1 {
		t.Fatalf("version %d", v)
	}
	ctx := shardmap.WithNote(t.Context(), "a note")
	if err := s.Swap(ctx, 1, parse(t, content(2, "b:1"))); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != content(2, "b:1") {
		t.Errorf("the file holds\n%s", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := s.Swap(ctx, 1, parse(t, content(3, "c:1"))); !errors.Is(err, shardmap.ErrConflict) {
		t.Errorf("a second swap from 1: %v", err)
	}
	if err := s.Swap(ctx, 2, parse(t, content(2, "c:1"))); err == nil {
		t.Error("a version was stored twice")
	}
	list, err := s.Revisions(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("history %v, %v", list, err)
	}
	if r := list[0]; r.Version != 2 || r.Note != "a note" || !strings.Contains(r.Author, "@") || time.Since(r.Time) > time.Hour {
		t.Errorf("revision %+v", r)
	}
	old, err := s.Revision(t.Context(), 1)
	if err != nil || old.Shard("s0").Primary.Addr != "a:1" {
		t.Errorf("version 1 is %v, %v", old, err)
	}
	if _, err := s.Revision(t.Context(), 9); !errors.Is(err, shardmap.ErrNoRevision) {
		t.Errorf("version 9: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestSwapMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.yaml")
	s := open(t, path)
	if _, err := s.Load(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("load without a file: %v", err)
	}
	if err := s.Swap(t.Context(), 3, parse(t, content(4, "a:1"))); !errors.Is(err, shardmap.ErrConflict) {
		t.Errorf("swap from 3 without a file: %v", err)
	}
	if err := s.Swap(t.Context(), 0, parse(t, content(1, "a:1"))); err != nil {
		t.Fatal(err)
	}
	if v := load(t, open(t, path)).Version(); v != 1 {
		t.Errorf("version %d", v)
	}
}

func TestSwapFollowsALink(t *testing.T) {
	path, _ := start(t)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := open(t, link).Swap(t.Context(), 1, parse(t, content(2, "b:1"))); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != content(2, "b:1") {
		t.Errorf("the target holds\n%s", got)
	}
}

func TestSwapsRace(t *testing.T) {
	path, _ := start(t)
	const n = 8
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			s, err := filestore.Open(path)
			if err == nil {
				var m *shardmap.Map
				m, err = shardmap.Parse([]byte(content(2, fmt.Sprintf("h:%d", i+1))))
				if err == nil {
					err = s.Swap(context.Background(), 1, m)
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, shardmap.ErrConflict):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d swaps from version 1 were done", won, n)
	}
}

func TestLockIsWaitedForAndNeverStale(t *testing.T) {
	path, s := start(t)
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := s.Swap(ctx, 1, parse(t, content(2, "b:1"))); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process holds") {
		t.Errorf("swap under another's lock: %v", err)
	}
	f.Close() // as when its holder dies; the file stays
	if err := s.Swap(t.Context(), 1, parse(t, content(2, "b:1"))); err != nil {
		t.Error(err)
	}
}

func TestEditByHandGetsTheNextVersion(t *testing.T) {
	path, s := start(t)
	if err := s.Swap(t.Context(), 1, parse(t, content(2, "b:1"))); err != nil {
		t.Fatal(err)
	}
	write(t, path, content(2, "c:1"))
	other := open(t, path) // another process
	for _, st := range []*filestore.Store{s, other} {
		if m := load(t, st); m.Version() != 3 || m.Shard("s0").Primary.Addr != "c:1" {
			t.Errorf("the first edit is version %d", m.Version())
		}
	}
	write(t, path, content(2, "d:1"))
	for _, st := range []*filestore.Store{other, s, open(t, path)} {
		if m := load(t, st); m.Version() != 4 {
			t.Errorf("the second edit is version %d", m.Version())
		}
	}
	write(t, path, "# only a comment\n"+content(2, "d:1"))
	if m := load(t, s); m.Version() != 4 {
		t.Errorf("a comment makes version %d", m.Version())
	}
	write(t, path, content(9, "e:1"))
	if m := load(t, s); m.Version() != 9 {
		t.Errorf("an edit with a version is %d", m.Version())
	}
	if err := s.Swap(t.Context(), 9, parse(t, content(10, "f:1"))); err != nil {
		t.Error(err)
	}
	list, err := s.Revisions(t.Context())
	if err != nil || len(list) != 6 || list[2].Note != "edited by hand" {
		t.Errorf("history %v, %v", list, err)
	}
}

func TestEditWithoutAHistory(t *testing.T) {
	path, s := start(t)
	load(t, s)
	write(t, path, content(1, "b:1"))
	if m := load(t, s); m.Version() != 2 {
		t.Errorf("the edit is version %d", m.Version())
	}
	if m, err := s.Revision(t.Context(), 1); err != nil || m.Shard("s0").Primary.Addr != "a:1" {
		t.Errorf("what was before is not kept: %v", err)
	}
	if m := load(t, open(t, path)); m.Version() != 2 {
		t.Errorf("another process sees version %d", m.Version())
	}
}

func TestBrokenFile(t *testing.T) {
	path, s := start(t)
	load(t, s)
	write(t, path, "version: 2\nshards: [\n")
	if _, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("load: %v", err)
	}
	if err := s.Swap(t.Context(), 1, parse(t, content(2, "b:1"))); err == nil || !strings.Contains(err.Error(), "mend or remove") {
		t.Errorf("swap: %v", err)
	}
}

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		poll   time.Duration
		change func(t *testing.T, path string)
	}{
		{"written in place", time.Hour, func(t *testing.T, path string) { write(t, path, content(2, "b:1")) }},
		{"renamed over", time.Hour, func(t *testing.T, path string) {
			write(t, path+"~", content(2, "b:1"))
			if err := os.Rename(path+"~", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"moved away and written anew", time.Hour, func(t *testing.T, path string) {
			if err := os.Rename(path, path+".bak"); err != nil {
				t.Fatal(err)
			}
			write(t, path, content(2, "b:1"))
		}},
		{"swapped", time.Hour, func(t *testing.T, path string) {
			if err := open(t, path).Swap(t.Context(), 1, parse(t, content(2, "b:1"))); err != nil {
				t.Fatal(err)
			}
		}},
		{"same version", time.Hour, func(t *testing.T, path string) { write(t, path, content(1, "b:1")) }},
		{"polled", time.Millisecond, func(t *testing.T, path string) { write(t, path, content(2, "b:1")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, s := start(t)
			s.SetPoll(tt.poll)
			load(t, s)
			type result struct {
				m   *shardmap.Map
				err error
			}
			got := make(chan result, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			go func() {
				for {
					m, err := s.Watch(ctx, 1)
					if err != nil && ctx.Err() == nil {
						continue // the file between two states
					}
					got <- result{m, err}
					return
				}
			}()
			tt.change(t, path)
			r := <-got
			if r.err != nil || r.m.Version() != 2 || r.m.Shard("s0").Primary.Addr != "b:1" {
				t.Errorf("watch gives %v, %v", r.m, r.err)
			}
		})
	}
}

func TestWatchReturnsAnErrorOnce(t *testing.T) {
	path, s := start(t)
	s.SetPoll(time.Millisecond)
	load(t, s)
	write(t, path, "version: x\n")
	if _, err := s.Watch(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "line 1: version") {
		t.Fatalf("watch: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Watch(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the same error again: %v", err)
	}
	write(t, path, content(1, "a:1"))
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Watch(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the mended file: %v", err)
	}
}

func TestOpenRefusesADirectory(t *testing.T) {
	if _, err := filestore.Open(t.TempDir()); err == nil {
		t.Error("a directory was opened")
	}
}
