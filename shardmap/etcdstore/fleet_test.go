package etcdstore_test

import (
	"fmt"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/etcdstore"
	"shardway/test/cluster"
)

func TestFleet(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{})
	a, b := open(t, e.Map("p"), etcdstore.Options{}), open(t, e.Map("p"), etcdstore.Options{})
	ctx := t.Context()
	if list, err := b.Proxies(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("no proxies: %#v, %v", list, err)
	}
	p := shardmap.Proxy{
		ID: "host-2", Host: "host", PID: 7, Listen: []string{"127.0.0.1:4406"}, Version: "v1", Started: time.Now().UTC().Truncate(time.Second),
		Serving: 3, Busy: []string{"s0"}, Gone: map[string]time.Time{"a:1": time.Now().UTC().Truncate(time.Second)}, Refused: "fenced",
	}
	must(t, a.Announce(ctx, p))
	must(t, b.Announce(ctx, shardmap.Proxy{ID: "host-1"}))
	list, err := b.Proxies(ctx)
	must(t, err)
	if len(list) != 2 || list[0].ID != "host-1" || list[1].ID != "host-2" {
		t.Fatalf("the proxies are %+v", list)
	}
	got := list[1]
	if age := time.Since(got.Seen).Abs(); age > 10*time.Second {
		t.Errorf("it was seen %s ago", age)
	}
	got.Seen = p.Seen
	if fmt.Sprint(got) != fmt.Sprint(p) {
		t.Errorf("announced %+v\nlisted %+v", p, got)
	}
	must(t, b.Withdraw(ctx, "host-1"))
	must(t, b.Withdraw(ctx, "host-1"))
	if list, err := a.Proxies(ctx); err != nil || len(list) != 1 {
		t.Errorf("after Withdraw: %+v, %v", list, err)
	}
	for _, id := range []string{"", "a/b", "..", "a b"} {
		if err := a.Announce(ctx, shardmap.Proxy{ID: id}); err == nil {
			t.Errorf("the ID %q is taken", id)
		}
	}

	// Repeated announcements last longer than one does; then none comes any more.
	until := time.Now().Add(shardmap.PresenceTTL + 2*time.Second)
	eventually(t, "the repeated announcement has outlived its first lease", 2*shardmap.PresenceTTL, func() bool {
		p.Serving++
		must(t, a.Announce(ctx, p))
		list, err := b.Proxies(ctx)
		must(t, err)
		if len(list) != 1 || list[0].Serving != p.Serving {
			t.Fatalf("serving %d is announced, listed is %+v", p.Serving, list)
		}
		return time.Now().After(until)
	})
	last := time.Now()
	eventually(t, "the lease runs out", 3*shardmap.PresenceTTL, func() bool {
		list, err := b.Proxies(ctx)
		must(t, err)
		return len(list) == 0
	})
	if took := time.Since(last); took < shardmap.PresenceTTL-time.Second {
		t.Errorf("the announcement lasted only %s", took)
	}
	// The next announcement brings it back.
	must(t, a.Announce(ctx, p))
	if list, err := b.Proxies(ctx); err != nil || len(list) != 1 {
		t.Errorf("after an announcement that ran out: %+v, %v", list, err)
	}
}
