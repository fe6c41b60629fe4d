package exec_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec"
	"shardway/shardmap"
	"shardway/test/fakemysql"
)

func TestAPanicKeepsNoConnection(t *testing.T) {
	f := fakemysql.Serve(t, func(s *fakemysql.Session, _ protocol.Command, _ []byte) {
		s.OK(protocol.OK{Status: protocol.StatusAutocommit, InsertID: 7})
	})
	m, err := shardmap.Parse([]byte("version: 1\nshards:\n  s0: {primary: \"" + f.Addr + "\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	cluster := backend.New(backend.Options{User: "shardway", TLS: protocol.TLSDisabled, WaitTimeout: time.Second})
	defer cluster.Close()
	cluster.Apply(m)
	client, other := net.Pipe()
	defer client.Close()
	defer other.Close()
	s := exec.New(cluster).NewSession(protocol.NewConn(client), netip.Addr{}, &protocol.Client{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
			s.Close()
		}()
		_, _ = s.Run(context.Background(), &exec.Request{
			Command: protocol.ComQuery, Payload: []byte("INSERT"), Shard: "s0", Role: exec.Primary,
			Given: func(uint64) bool { panic("as the test asks") },
		})
	}()
	for _, pool := range cluster.Pools() {
		if pool.Busy != 0 {
			t.Errorf("%d connections to %s are held by nobody", pool.Busy, pool.Addr)
		}
	}
}
