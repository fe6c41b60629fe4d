package filestore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardway/shardmap"
)

func TestFleet(t *testing.T) {
	path, a := start(t)
	b, ctx := open(t, path), t.Context()
	if list, err := b.Proxies(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("no proxies: %#v, %v", list, err)
	}
	p := shardmap.Proxy{
		ID: "host-2", Host: "host", PID: 7, Listen: []string{"127.0.0.1:4406"}, Version: "v1", Started: time.Now().UTC().Truncate(time.Second),
		Serving: 3, Busy: []string{"s0"}, Gone: map[string]time.Time{"a:1": time.Now().UTC().Truncate(time.Second)}, Refused: "fenced",
	}
	for _, q := range []shardmap.Proxy{{ID: "host-2"}, p, {ID: "host-1"}} {
		if err := a.Announce(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.Proxies(ctx)
	if err != nil || len(list) != 2 || list[0].ID != "host-1" {
		t.Fatalf("the proxies are %+v, %v", list, err)
	}
	got := list[1]
	if age := time.Since(got.Seen).Abs(); age > 10*time.Second {
		t.Errorf("it was seen %s ago", age)
	}
	got.Seen = p.Seen
	if fmt.Sprint(got) != fmt.Sprint(p) {
		t.Errorf("announced %+v\nlisted %+v", p, got)
	}
	for range 2 {
		if err := b.Withdraw(ctx, "host-1"); err != nil {
			t.Error(err)
		}
	}
	if list, err := a.Proxies(ctx); err != nil || len(list) != 1 {
		t.Errorf("after Withdraw: %+v, %v", list, err)
	}
	for _, id := range []string{"", "a/b", "..", "a b"} {
		if err := a.Announce(ctx, shardmap.Proxy{ID: id}); err == nil {
			t.Errorf("the ID %q is taken", id)
		}
	}

	// An announcement that isn't repeated lasts for its time, and its file is
	// removed long after that. So is one from before a clock was set back.
	dir := path + ".proxies"
	for id, age := range map[string]time.Duration{
		"fresh": shardmap.PresenceTTL / 2, "old": shardmap.PresenceTTL + time.Second, "ancient": time.Hour, "future": -time.Hour,
	} {
		write(t, filepath.Join(dir, id+".json"), fmt.Sprintf(`{"id": %q, "seen": %q}`, id, time.Now().Add(-age).Format(time.RFC3339Nano)))
	}
	list, err = b.Proxies(ctx)
	if err != nil || len(list) != 2 || list[0].ID != "fresh" || list[1].ID != "host-2" {
		t.Errorf("listed are %+v, %v", list, err)
	}
	for id, want := range map[string]bool{"fresh": true, "old": true, "ancient": false, "future": false} {
		_, err := os.Stat(filepath.Join(dir, id+".json"))
		if is := !errors.Is(err, fs.ErrNotExist); is != want {
			t.Errorf("the file of %s is there: %t, want %t", id, is, want)
		}
	}
	if entries, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	write(t, filepath.Join(dir, "half.json"), "{")
	if _, err := b.Proxies(ctx); err == nil || !strings.Contains(err.Error(), "half.json can't be read") {
		t.Errorf("half a file: %v", err)
	}
}

// Where nothing can be written beside the map, Announce says so.
func TestAnnounceReadOnly(t *testing.T) {
	path, s := start(t)
	write(t, path+".proxies", "in the directory's place, which stops root too")
	err := s.Announce(t.Context(), shardmap.Proxy{ID: "p1"})
	if err == nil || !strings.Contains(err.Error(), "let its user write to "+path+".proxies, or keep the map in etcd") {
		t.Errorf("Announce: %v", err)
	}
	if m := load(t, s); m.Version() != 1 {
		t.Error("the map isn't served any more")
	}
}
