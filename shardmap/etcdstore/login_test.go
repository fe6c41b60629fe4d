package etcdstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/etcdstore"
	"shardway/test/cluster"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	e := etcd(t, cluster.EtcdOptions{TLS: true, Root: "r00t", Users: map[string]string{"shardway": "secret"}})
	tls := etcdstore.Options{CA: e.TLS.CA, Cert: e.TLS.Cert, Key: e.TLS.Key, DialTimeout: 2 * time.Second}
	right := tls
	right.User, right.Password = "shardway", "secret"
	s := open(t, e.Map("p"), right)
	must(t, s.Swap(t.Context(), 0, parse(t, content(1, "a:1"))))
	must(t, s.Announce(t.Context(), shardmap.Proxy{ID: "p1"}))
	next := watch(t, s, 1)
	must(t, s.Swap(t.Context(), 1, parse(t, content(2, "a:1"))))
	if r := await(t, "a change", next, 5*time.Second); r.err != nil || r.m.Version() != 2 {
		t.Errorf("Watch: %+v", r)
	}
	fresh, err := cluster.Certificates(t.TempDir())
	must(t, err)
	for name, c := range map[string]struct {
		change func(*etcdstore.Options)
		want   string
	}{
		"password":        {func(o *etcdstore.Options) { o.Password = "wr0ng" }, `etcd knows no user "shardway" with this password: correct etcd.user and etcd.password`},
		"no user":         {func(o *etcdstore.Options) { o.User, o.Password = "", "" }, "permission denied; set etcd.user and etcd.password"},
		"no TLS":          {func(o *etcdstore.Options) { o.CA, o.Cert, o.Key = "", "", "" }, "whether it wants TLS (etcd.tls.ca)"},
		"another CA":      {func(o *etcdstore.Options) { o.CA = fresh.CA }, "certificate signed by unknown authority"},
		"another's cert":  {func(o *etcdstore.Options) { o.Cert, o.Key = fresh.Cert, fresh.Key }, "check that etcd runs there"},
		"no certificates": {func(o *etcdstore.Options) { o.Cert, o.Key = "", "" }, "check that etcd runs there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := right
			c.change(&o)
			began := time.Now()
			_, err := open(t, e.Map("p"), o).Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "etcd at "+e.Addr+": read the map: ") {
				t.Errorf("Load: %v\nwant %s", err, c.want)
			} else {
				t.Log(err)
			}
			if strings.Contains(fmt.Sprint(err), "wr0ng") {
				t.Error("the error shows the password")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	must(t, os.WriteFile(empty, nil, 0o600))
	for at, want := range map[string]string{
		"shards.yaml":                    "doesn't begin with etcd://",
		"etcd://":                        `has "" where HOST:PORT must stand`,
		"etcd://h/p":                     `has "h" where HOST:PORT must stand`,
		"etcd://:2379/p":                 "where HOST:PORT must stand",
		"etcd://::1:2379/p":              "an IPv6 address in brackets",
		"etcd://h:0/p":                   `the port of "h:0"`,
		"etcd://h:65536/p":               `the port of "h:65536"`,
		"etcd://h:1,/p":                  `has "" where HOST:PORT must stand`,
		"etcd://h:1":                     "has no prefix; write etcd://h:1/PREFIX",
		"etcd://h:1//":                   "has no prefix",
		"etcd://h:1/p?x=1":               "characters that are not allowed",
		"etcd://shardway:hushhush@h:1/p": "has a user in it",
	} {
		s, err := etcdstore.Open(at, etcdstore.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("Open(%q) = %v, %v, want %s", at, s, err, want)
		}
	}
	for want, o := range map[string]etcdstore.Options{
		"a certificate and its key go together":    {Cert: "x"},
		"etcd.tls.ca: open ":                       {CA: filepath.Join(dir, "missing")},
		"holds no certificate in PEM form":         {CA: empty},
		"etcd.tls.cert, etcd.tls.key: ":            {Cert: empty, Key: empty},
		"etcd.user and etcd.password go together;": {User: "u"},
	} {
		if _, err := etcdstore.Open("etcd://h:1/p", o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open with %+v: %v, want %s", o, err, want)
		}
	}
	// Several servers, IPv6, a prefix of several parts.
	must(t, open(t, "etcd://[::1]:2379,h:2379/a/b/c", etcdstore.Options{}).Close())
}
