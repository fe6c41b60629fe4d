package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The watcher sees files that are written, replaced by renaming, and switched
// by a link as Kubernetes does, and nothing else.
func TestWatchFiles(t *testing.T) {
	dir := files(t, "a", "1", "b", "1", "v1", "x", "v2", "yy")
	link := filepath.Join(dir, "data")
	if err := os.Symlink("v1", link); err != nil {
		t.Fatal(err)
	}
	watched := []string{filepath.Join(dir, "a"), link}
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 16)
	ended := make(chan struct{})
	seen := stamps(watched)
	// It changes after it was read and before it is watched.
	write(t, watched[0], "early")
	go func() {
		defer close(ended)
		watchFiles(ctx, slog.New(slog.DiscardHandler), seen, func() []string { return watched }, func() { changed <- struct{}{} })
	}()
	expect := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s wasn't seen", what)
		}
	}
	expect("a write before the watch")
	write(t, watched[0], "a write")
	expect("a write")
	write(t, filepath.Join(dir, "new"), "longer")
	if err := os.Rename(filepath.Join(dir, "new"), watched[0]); err != nil {
		t.Fatal(err)
	}
	expect("a renamed file")
	if err := os.Symlink("v2", link+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".tmp", link); err != nil {
		t.Fatal(err)
	}
	expect("a switched link")
	if err := os.Remove(watched[0]); err != nil {
		t.Fatal(err)
	}
	expect("a removed file")
	// Changes are handled in order, so a change of another file would be seen
	// before that of a watched one.
	write(t, filepath.Join(dir, "b"), "2")
	select {
	case <-changed:
		t.Error("another file's change was taken for one of those")
	case <-time.After(2 * settle):
	}
	cancel()
	<-ended
}
