package shardmap

import (
	"context"
	"errors"
	"os"
	"os/user"
	"strconv"
	"time"
)

// Store keeps the map for all proxies and tools.
type Store interface {
	// Load returns the map that is stored now.
	Load(ctx context.Context) (*Map, error)
	// Watch waits until the stored map's version is not after and returns that
	// map. An error that is not the context's concerns what is stored (a file
	// that can't be parsed, say) and is returned once; the next call waits on.
	Watch(ctx context.Context, after uint64) (*Map, error)
	// Swap stores next if the stored version still is base, and fails with
	// ErrConflict otherwise. next's version must be above base.
	Swap(ctx context.Context, base uint64, next *Map) error
}

// History is a Store that remembers earlier versions.
type History interface {
	// Revisions lists what is remembered, newest first.
	Revisions(ctx context.Context) ([]Revision, error)
	// Revision returns the map of that version; ErrNoRevision if it is not
	// remembered.
	Revision(ctx context.Context, version uint64) (*Map, error)
}

// Revision is one remembered version of the map.
type Revision struct {
	Version uint64    `json:"version"`
	Time    time.Time `json:"time"`   // when it was stored, or first seen if it was edited by hand
	Author  string    `json:"author"` // user@host, as the system knows them
	Note    string    `json:"note"`   // what stored it: "apply", "expand 2", "edited by hand"
}

// ErrConflict is returned by Store.Swap when the stored version is not base.
var ErrConflict = errors.New("the stored map has another version")

// Exchange is Store.Swap for those who have to know what came of it: it looks
// what is stored where the answer was lost, or where the stored version is not
// base. It returns what is stored now: next if there is no error; otherwise, with
// Swap's error, another map, or nil where the store doesn't say.
func Exchange(ctx context.Context, s Store, base uint64, next *Map) (*Map, error) {
	err := s.Swap(ctx, base, next)
	if err == nil {
		return next, nil
	}
	now, loadErr := s.Load(ctx)
	switch {
	case loadErr != nil:
		return nil, err
	case now.Version() == next.Version() && now.Equal(next):
		return now, nil
	default:
		return now, err
	}
}

// ErrNoRevision is returned by History.Revision for a version that is not
// remembered.
var ErrNoRevision = errors.New("no such version in the history")

// ErrUnavailable is the error of a Store that can't be reached or refuses to
// serve, which says nothing about what is stored.
var ErrUnavailable = errors.New("the map store can't be used now")

type noteKey struct{}

// WithNote returns a context that gives Store.Swap the note to remember with
// the version that it stores.
func WithNote(ctx context.Context, note string) context.Context {
	return context.WithValue(ctx, noteKey{}, note)
}

// Note returns the note of WithNote, or "".
func Note(ctx context.Context) string {
	s, _ := ctx.Value(noteKey{}).(string)
	return s
}

// Author names who runs this process, for Revision.Author: user@host.
func Author() string {
	name, host := strconv.Itoa(os.Getuid()), "localhost"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}
