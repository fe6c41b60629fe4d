package failover

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/gtid"
)

func TestGone(t *testing.T) {
	const p = "127.0.0.1:3310"
	now := time.Unix(1000, 0)
	miss := func(seconds ...int) []shardmap.Proxy {
		var all []shardmap.Proxy
		for _, s := range seconds {
			one := shardmap.Proxy{Gone: map[string]time.Time{"127.0.0.1:9": {}}}
			if s >= 0 {
				one.Gone[p] = now.Add(-time.Duration(s) * time.Second)
			}
			all = append(all, one)
		}
		return all
	}
	for _, c := range []struct {
		proxies []shardmap.Proxy
		quorum  int
		want    bool
	}{
		{nil, 0, false},
		{nil, 1, false},
		{miss(3), 0, true},
		{miss(2), 0, false},
		{miss(-1), 0, false},
		{miss(3, -1), 0, false},
		{miss(3, 2), 0, false},
		{miss(3, 4), 0, true},
		{miss(3, 4, -1), 0, true},
		{miss(3, 4, -1, -1), 0, false},
		{miss(3, 4, -1, -1), 2, true},
		{miss(3, 4), 3, false},
	} {
		got, why := Gone(c.proxies, p, c.quorum, 3*time.Second, now)
		if got != c.want || !strings.Contains(why, p) {
			t.Errorf("%d proxies, quorum %d: %v, %s", len(c.proxies), c.quorum, got, why)
		}
	}
}

func TestChoose(t *testing.T) {
	const u = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-"
	c := func(addr, set, usable string) candidate {
		s, err := gtid.Parse(set)
		if err != nil {
			t.Fatal(err)
		}
		return candidate{addr, s, usable}
	}
	for _, test := range []struct {
		all        []candidate
		want       string
		got, error string
	}{
		{nil, "", "", "no replica can be reached"},
		{[]candidate{c("a", u+"5", "")}, "", "a", ""},
		{[]candidate{c("a", u+"5", ""), c("b", u+"7", "")}, "", "b", ""},
		{[]candidate{c("a", u+"7", ""), c("b", u+"7", "")}, "", "a", ""},
		{[]candidate{c("a", u+"7", ""), c("b", u+"7", "")}, "b", "b", ""},
		{[]candidate{c("a", u+"7", ""), c("b", u+"6", "")}, "b", "a", ""},
		{[]candidate{c("a", u+"5", ""), c("b", u+"7", "has a broken applier")}, "", "", "a lacks transactions that b has"},
		{[]candidate{c("a", u+"7", ""), c("b", u+"7", "has a broken applier")}, "b", "a", ""},
		{[]candidate{c("a", "0-1-7", ""), c("b", "0-1-9", "")}, "", "b", ""},
		{[]candidate{c("a", "0-1-7,1-1-9", ""), c("b", "0-1-9,1-1-7", "")}, "", "", "b lacks transactions that a has"},
	} {
		got, err := choose(test.all, test.want)
		if got != test.got || (err != nil) != (test.error != "") || err != nil && !strings.Contains(err.Error(), test.error) {
			t.Errorf("%v: %q, %v", test.all, got, err)
		}
	}
}

func TestPause(t *testing.T) {
	for _, p := range []pause{
		{to: "10.0.0.11:3306", by: "ops@db1 (pid 7)"},
		{to: "10.0.0.11:3306", by: "by to: x", phase: promoting},
		{to: "unix:/run/a", by: "ops@db1", phase: undoing},
		{failover: true, from: "10.0.0.10:3306", by: "p1"},
		{failover: true, from: "10.0.0.10:3306", to: "[::1]:3306", by: "p1", phase: promoting},
	} {
		if got, ok := parsePause(p.String()); !ok || got != p {
			t.Errorf("%q is read as %+v, %v", p, got, ok)
		}
	}
	for _, text := range []string{"", "switchover", "switchover to", "switchover to a", "switchover to a by", "failover to a by b", "failover from a to b c d", "rebalance 7"} {
		if got, ok := parsePause(text); ok {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// A proxy may find a primary gone that another proxy has replaced meanwhile. The
// new one isn't touched.
func TestFailoverOfAnotherPrimary(t *testing.T) {
	store := newMemory(t, "version: 3\nshards:\n  s0: {primary: \"b:1\", replicas: [{addr: \"a:1\"}, {addr: \"c:1\"}]}\n", "p1")
	o := Options{By: "p1", Open: func(addr string) (*sql.DB, error) {
		t.Errorf("%s is asked", addr)
		return nil, errors.New("no server")
	}}
	report, err := Failover(t.Context(), store, "s0", "a:1", o)
	if !IsRefused(err) || !strings.Contains(err.Error(), "b:1 is the primary of shard s0 by now") || report.Done || store.m.Version() != 3 {
		t.Errorf("%v, report %+v, map version %d", err, report, store.m.Version())
	}
}
