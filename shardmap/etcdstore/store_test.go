package etcdstore_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/etcdstore"
	"shardway/test/cluster"
)

func content(version int, addr string) string {
	return fmt.Sprintf("# the map\nversion: %d\nshards: {s0: {primary: %q}}\n", version, addr)
}

func parse(t *testing.T, s string) *shardmap.Map {
	t.Helper()
	m, err := shardmap.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// etcd starts a server of the test's own.
func etcd(t *testing.T, o cluster.EtcdOptions) *cluster.Etcd {
	t.Helper()
	if why := cluster.EtcdMissing(); why != "" {
		t.Skip(why)
	}
	e, err := cluster.StartEtcd(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func open(t *testing.T, at string, o etcdstore.Options) *etcdstore.Store {
	t.Helper()
	s, err := etcdstore.Open(at, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a key as somebody with etcdctl does.
func put(t *testing.T, e *cluster.Etcd, key, value string) {
	t.Helper()
	must(t, e.Call(t.Context(), "/v3/kv/put", map[string]any{"key": []byte(key), "value": []byte(value)}, nil))
}

// keys lists the keys below a prefix.
func keys(t *testing.T, e *cluster.Etcd, prefix string) []string {
	t.Helper()
	end := []byte(prefix)
	end[len(end)-1]++
	var answer struct{ Kvs []struct{ Key string } }
	must(t, e.Call(t.Context(), "/v3/kv/range", map[string]any{"key": []byte(prefix), "range_end": end, "keys_only": true}, &answer))
	var list []string
	for _, kv := range answer.Kvs {
		key, err := base64.StdEncoding.DecodeString(kv.Key)
		must(t, err)
		list = append(list, string(key))
	}
	return list
}

// result is what a Watch returned, and when.
type result struct {
	m   *shardmap.Map
	err error
	at  time.Time
}

// watch calls Watch in the background. The test waits for it before it ends.
func watch(t *testing.T, s *etcdstore.Store, after uint64) <-chan result {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan result, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		m, err := s.Watch(ctx, after)
		out <- result{m, err, time.Now()}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return out
}

func await(t *testing.T, what string, c <-chan result, within time.Duration) result {
	t.Helper()
	select {
	case r := <-c:
		return r
	case <-time.After(within):
		t.Fatalf("%s: Watch returned nothing within %s", what, within)
		return result{}
	}
}

// eventually polls what has no event of its own.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logs collects a log.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func TestSwap(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{})
	a, b := open(t, e.Map("a/b"), etcdstore.Options{}), open(t, e.Map("a/b/"), etcdstore.Options{})
	ctx := t.Context()

	if _, err := a.Load(ctx); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "etcd at "+e.Addr+": a/b/map: there is no map") || !strings.Contains(err.Error(), "shardctl map apply") {
		t.Errorf("Load without a map: %v", err)
	}
	if err := a.Swap(ctx, 1, parse(t, content(2, "x:1"))); !errors.Is(err, shardmap.ErrConflict) {
		t.Errorf("Swap from a version that isn't there: %v", err)
	}
	must(t, a.Swap(ctx, 0, parse(t, content(1, "a:1"))))
	if err := b.Swap(ctx, 0, parse(t, content(1, "b:1"))); !errors.Is(err, shardmap.ErrConflict) || !strings.Contains(err.Error(), "is at version 1, not 0") {
		t.Errorf("a second first map: %v", err)
	}
	if err := b.Swap(ctx, 1, parse(t, content(1, "b:1"))); err == nil || errors.Is(err, shardmap.ErrConflict) {
		t.Errorf("Swap to a version that isn't above its base: %v", err)
	}
	must(t, b.Swap(ctx, 1, parse(t, content(2, "b:1"))))
	if err := a.Swap(ctx, 1, parse(t, content(2, "a:2"))); !errors.Is(err, shardmap.ErrConflict) {
		t.Errorf("Swap from an old version: %v", err)
	}
	m, err := a.Load(ctx)
	must(t, err)
	if want := parse(t, content(2, "b:1")); !m.Equal(want) || m.Version() != 2 {
		t.Errorf("version %d is stored, and isn't what was swapped", m.Version())
	}
	text, err := a.Text(ctx)
	if err != nil || !strings.Contains(string(text), "# the map\n") {
		t.Errorf("the text that is stored is %q, %v, without its comment", text, err)
	}
}

// Of many that follow the same version one succeeds, each time.
func TestSwapRace(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{})
	const rounds, racers = 10, 4
	stores := make([]*etcdstore.Store, racers)
	for i := range stores {
		stores[i] = open(t, e.Map("p"), etcdstore.Options{})
	}
	for round := range rounds {
		errs := make([]error, racers)
		var wg sync.WaitGroup
		for i, s := range stores {
			next := parse(t, content(round+1, fmt.Sprintf("h%d:1", i)))
			wg.Go(func() { errs[i] = s.Swap(t.Context(), uint64(round), next) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won < 0:
				won = i
			case err == nil:
				t.Fatalf("round %d: both %d and %d succeeded", round, won, i)
			case !errors.Is(err, shardmap.ErrConflict):
				t.Errorf("round %d: %v", round, err)
			}
		}
		if won < 0 {
			t.Fatalf("round %d: nobody succeeded", round)
		}
		m, err := stores[0].Load(t.Context())
		must(t, err)
		if got := m.Shards()[0].Primary.Addr; got != fmt.Sprintf("h%d:1", won) {
			t.Errorf("round %d: %s is stored, but %d succeeded", round, got, won)
		}
	}
	list, err := stores[0].Revisions(t.Context())
	if err != nil || len(list) != rounds {
		t.Errorf("the history has %d versions, %v, want %d", len(list), err, rounds)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{})
	s := open(t, e.Map("p"), etcdstore.Options{})
	ctx := t.Context()
	put(t, e, "p/map", content(7, "hand:1"))
	must(t, s.Swap(shardmap.WithNote(ctx, "expand 2"), 7, parse(t, content(8, "b:1"))))
	list, err := s.Revisions(ctx)
	must(t, err)
	if len(list) != 2 || list[0].Version != 8 || list[0].Note != "expand 2" || list[1].Version != 7 || list[1].Note != "found in etcd" {
		t.Fatalf("the history is %+v", list)
	}
	if r := list[0]; r.Author != shardmap.Author() || time.Since(r.Time).Abs() > time.Minute {
		t.Errorf("version 8 is by %s at %s", r.Author, r.Time)
	}
	old, err := s.Revision(ctx, 7)
	must(t, err)
	if !old.Equal(parse(t, content(7, "hand:1"))) {
		t.Error("version 7 of the history isn't what was replaced")
	}
	if _, err := s.Revision(ctx, 6); !errors.Is(err, shardmap.ErrNoRevision) {
		t.Errorf("a version that never was: %v", err)
	}
	must(t, s.Swap(ctx, 8, old.WithVersion(9)))
	if m, err := s.Load(ctx); err != nil || !m.Equal(old) {
		t.Errorf("after going back: %v, equal: %t", err, err == nil && m.Equal(old))
	}

	// Only the newest 100 stay, and numbers of nine digits are newer than those of two.
	for v := 9; v < 110; v++ {
		must(t, s.Swap(ctx, uint64(v), parse(t, content(v+1, "c:1"))))
	}
	must(t, s.Swap(ctx, 110, parse(t, content(123456789, "d:1"))))
	list, err = s.Revisions(ctx)
	must(t, err)
	if len(list) != 100 || list[0].Version != 123456789 || list[1].Version != 110 || list[99].Version != 12 {
		t.Errorf("the history has %d versions from %d to %d", len(list), list[len(list)-1].Version, list[0].Version)
	}
	if n := len(keys(t, e, "p/history/")); n != 100 {
		t.Errorf("%d keys hold the history", n)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{})
	a, b := open(t, e.Map("p"), etcdstore.Options{}), open(t, e.Map("p"), etcdstore.Options{})
	ctx := t.Context()
	none := await(t, "no map", watch(t, b, 0), 5*time.Second)
	if !errors.Is(none.err, fs.ErrNotExist) {
		t.Errorf("Watch without a map: %+v", none)
	}
	first := watch(t, b, 0)
	must(t, a.Swap(ctx, 0, parse(t, content(1, "a:1"))))
	if r := await(t, "the first map", first, 5*time.Second); r.err != nil || r.m.Version() != 1 {
		t.Fatalf("Watch: %+v", r)
	}

	for v := uint64(1); v < 6; v++ {
		next := watch(t, b, v)
		began := time.Now()
		must(t, a.Swap(ctx, v, parse(t, content(int(v)+1, "a:1"))))
		r := await(t, "a change", next, 5*time.Second)
		if r.err != nil || r.m.Version() != v+1 {
			t.Fatalf("Watch: %+v", r)
		}
		if took := r.at.Sub(began); took > time.Second {
			t.Errorf("version %d was seen after %s", v+1, took)
		}
	}

	// A change that was made while nobody watched is seen at once.
	must(t, a.Swap(ctx, 6, parse(t, content(7, "a:1"))))
	if r := await(t, "an earlier change", watch(t, b, 6), 5*time.Second); r.err != nil || r.m.Version() != 7 {
		t.Errorf("Watch: %+v", r)
	}

	// What can't be used is told once, and the next right map is seen.
	bad := watch(t, b, 7)
	put(t, e, "p/map", "version: 8\nshards: {s0: 7}\n")
	r := await(t, "a wrong map", bad, 5*time.Second)
	if _, invalid := errors.AsType[*shardmap.Invalid](r.err); !invalid || !strings.Contains(r.err.Error(), "p/map: shard map: line 2: ") {
		t.Errorf("Watch of a wrong map: %v", r.err)
	}
	quiet := watch(t, b, 7)
	put(t, e, "p/map", "version: 8\nshards: {s0: 7}\n")
	if err := a.Swap(ctx, 7, parse(t, content(8, "a:1"))); err == nil || errors.Is(err, shardmap.ErrConflict) || !strings.Contains(err.Error(), "mend it or delete the key") {
		t.Errorf("Swap over a wrong map: %v", err)
	}
	put(t, e, "p/map", content(9, "a:1"))
	if r := await(t, "a right map", quiet, 5*time.Second); r.err != nil || r.m.Version() != 9 {
		t.Errorf("Watch: %+v", r)
	}

	// A change without a new version is told, too.
	same := watch(t, b, 9)
	put(t, e, "p/map", content(9, "b:1"))
	if r := await(t, "the same version", same, 5*time.Second); r.err == nil || !strings.Contains(r.err.Error(), "is version 9 as before") {
		t.Errorf("Watch of a change without a version: %+v", r)
	}

	stopped, stop := context.WithCancelCause(ctx)
	stop(errors.New("enough"))
	if _, err := b.Watch(stopped, 9); err == nil || err.Error() != "enough" {
		t.Errorf("Watch ends with %v", err)
	}
	last := watch(t, b, 9)
	must(t, b.Close())
	if r := await(t, "Close", last, 5*time.Second); r.err == nil || !strings.Contains(r.err.Error(), "was closed") {
		t.Errorf("Watch after Close: %+v", r)
	}
}

// Etcd is killed, is away for longer than a request may take, and comes back
// with its data: the outage is told once, and what changed is seen.
func TestWatchAcrossRestart(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]cluster.EtcdOptions{
		"plain": {},
		"users": {Root: "r00t", Users: map[string]string{"shardway": "secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := etcd(t, o)
			var log logs
			user := etcdstore.Options{DialTimeout: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))}
			if o.Root != "" {
				user.User, user.Password = "shardway", "secret"
			}
			s := open(t, e.Map("p"), user)
			must(t, s.Swap(t.Context(), 0, parse(t, content(1, "a:1"))))
			next := watch(t, s, 1)
			must(t, s.Announce(t.Context(), shardmap.Proxy{ID: "p1"}))
			if o.Root != "" {
				if _, err := open(t, e.Map("p"), etcdstore.Options{}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "this etcd has users: set etcd.user and etcd.password") {
					t.Errorf("Load without a user: %v", err)
				}
			}

			must(t, e.Kill())
			eventually(t, "the outage is in the log", 10*time.Second, func() bool { return log.count("can't be reached") == 1 })
			began := time.Now()
			if _, err := s.Load(t.Context()); !errors.Is(err, shardmap.ErrUnavailable) || !strings.Contains(err.Error(), "etcd at "+e.Addr+": read the map: ") || !strings.Contains(err.Error(), "check that etcd runs there") {
				t.Errorf("Load while etcd is away: %v", err)
			}
			if err := s.Announce(t.Context(), shardmap.Proxy{ID: "p1"}); err == nil {
				t.Error("Announce succeeds while etcd is away")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("two requests to an etcd that is away took %s", took)
			}

			must(t, e.Start(t.Context()))
			back := time.Now()
			other := open(t, e.Map("p"), user)
			must(t, other.Swap(t.Context(), 1, parse(t, content(2, "a:1"))))
			r := await(t, "a change after the restart", next, 10*time.Second)
			if r.err != nil || r.m.Version() != 2 {
				t.Fatalf("Watch: %+v", r)
			}
			t.Logf("the change was seen %s after etcd was back", r.at.Sub(back).Round(time.Millisecond))
			if took := r.at.Sub(back); took > 5*time.Second {
				t.Errorf("the change was seen %s after etcd was back", took)
			}
			if lost, again := log.count("can't be reached"), log.count("reached again"); lost != 1 || again != 1 {
				t.Errorf("the log tells of %d outages and %d ends\n%s", lost, again, &log.b)
			}
			must(t, s.Announce(t.Context(), shardmap.Proxy{ID: "p1"}))
		})
	}
}

// An etcd that hangs is as one that is away, although connections stay open.
func TestHangingEtcd(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{})
	s := open(t, e.Map("p"), etcdstore.Options{DialTimeout: 500 * time.Millisecond})
	must(t, s.Swap(t.Context(), 0, parse(t, content(1, "a:1"))))
	must(t, e.Pause())
	defer e.Continue()
	began := time.Now()
	_, err := s.Load(t.Context())
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "no answer in time") || took > 3*time.Second {
		t.Errorf("Load from an etcd that hangs took %s: %v", took, err)
	}
	began = time.Now()
	err = s.Swap(t.Context(), 1, parse(t, content(2, "a:1")))
	if took := time.Since(began); err == nil || errors.Is(err, shardmap.ErrConflict) || took > 5*time.Second {
		t.Errorf("Swap on an etcd that hangs took %s: %v", took, err)
	}
}

// A revision from which the watch would go on is compacted away meanwhile.
func TestWatchAcrossCompaction(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{})
	s := open(t, e.Map("p"), etcdstore.Options{DialTimeout: time.Second})
	must(t, s.Swap(t.Context(), 0, parse(t, content(1, "a:1"))))
	next := watch(t, s, 1)
	for range 20 {
		put(t, e, "elsewhere", "x")
	}
	var now struct{ Header struct{ Revision string } }
	must(t, e.Call(t.Context(), "/v3/kv/range", map[string]any{"key": []byte("elsewhere")}, &now))
	must(t, e.Call(t.Context(), "/v3/kv/compaction", map[string]any{"revision": now.Header.Revision, "physical": true}, nil))
	must(t, e.Kill())
	must(t, e.Start(t.Context()))
	other := open(t, e.Map("p"), etcdstore.Options{})
	must(t, other.Swap(t.Context(), 1, parse(t, content(2, "a:1"))))
	if r := await(t, "a change after a compaction", next, 10*time.Second); r.err != nil || r.m.Version() != 2 {
		t.Errorf("Watch: %+v", r)
	}
}
