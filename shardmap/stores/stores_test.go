package stores_test

import (
	"path/filepath"
	"strings"
	"testing"

	"shardway/shardmap/etcdstore"
	"shardway/shardmap/filestore"
	"shardway/shardmap/stores"
)

func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shards.yaml")
	s, err := stores.Open(file, etcdstore.Options{})
	if _, ok := s.(*filestore.Store); err != nil || !ok || !stores.IsFile(file) {
		t.Errorf("%s opens %T, %v", file, s, err)
	}
	const etcd = "etcd://127.0.0.1:2379/shardway"
	s, err = stores.Open(etcd, etcdstore.Options{})
	if _, ok := s.(*etcdstore.Store); err != nil || !ok || stores.IsFile(etcd) {
		t.Fatalf("%s opens %T, %v", etcd, s, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for at, want := range map[string]string{
		"":                      "the path of the shard map is empty",
		"etcd://127.0.0.1:2379": "has no prefix",
		"http://u:hush@h/x":     "no store has addresses that begin with http://",
	} {
		s, err := stores.Open(at, etcdstore.Options{})
		if s != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q opens %v, %v, want %s", at, s, err, want)
		}
	}
}
