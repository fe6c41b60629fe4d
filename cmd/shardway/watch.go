package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// A change is taken up when the files have rested for so long, because
	// editors write in several steps, and a configuration and its map often
	// change together.
	settle = 250 * time.Millisecond
	// Network file systems tell no changes made elsewhere; looking at a few
	// files costs nothing.
	poll = 5 * time.Second
)

// watchFiles calls changed when one of the files that list returns isn't as it
// was in last any more, until ctx is done. Stamps in last that are older than
// the reading of the files let no change slip through in between. It watches
// the files' directories, so that files which are replaced by renaming (editors,
// Kubernetes) are seen too.
func watchFiles(ctx context.Context, log *slog.Logger, last map[string]stamp, list func() []string, changed func()) {
	watcher, err := fsnotify.NewWatcher()
	var events chan fsnotify.Event
	var failures chan error
	if err != nil {
		log.Warn("files are looked at every few seconds only, because the system can't tell of changes", "error", err)
	} else {
		defer func() { _ = watcher.Close() }() // nothing was written
		events, failures = watcher.Events, watcher.Errors
	}
	follow := func() {
		if watcher == nil {
			return
		}
		want := map[string]bool{}
		for _, f := range list() {
			want[filepath.Dir(f)] = true
		}
		for _, dir := range watcher.WatchList() {
			if !want[dir] {
				_ = watcher.Remove(dir) // gone already
			}
		}
		for dir := range want {
			if err := watcher.Add(dir); err != nil {
				log.Warn("a directory can't be watched, its files are looked at every few seconds", "dir", dir, "error", err)
			}
		}
	}
	follow()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	rest := time.NewTimer(settle) // looks for what changed before the watch began
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			rest.Reset(settle)
		case err, ok := <-failures:
			if !ok {
				failures = nil
				continue
			}
			log.Warn("changes of files may have been missed", "error", err)
			rest.Reset(settle)
		case <-ticker.C:
			if !maps.Equal(last, stamps(list())) {
				rest.Reset(settle)
			}
		case <-rest.C:
			if now := stamps(list()); !maps.Equal(last, now) {
				changed()
				follow()
				// The list may be another one now. What has changed meanwhile in a file that
				// was on the list before must still be noticed.
				last = stamps(list())
				for f, s := range now {
					if _, ok := last[f]; ok {
						last[f] = s
					}
				}
			}
		}
	}
}

// stamp tells two states of a file apart.
type stamp struct {
	size     int64
	modified int64
	id       uint64
}

func stamps(files []string) map[string]stamp {
	all := make(map[string]stamp, len(files))
	for _, f := range slices.Compact(slices.Sorted(slices.Values(files))) {
		s := stamp{size: -1}
		if info, err := os.Stat(f); err == nil {
			s = stamp{info.Size(), info.ModTime().UnixNano(), fileID(info)}
		}
		all[f] = s
	}
	return all
}
