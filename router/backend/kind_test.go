package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"shardway/protocol"
)

func ownerAt(addr string) *Owner {
	return NewOwner(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:4406")))
}

func wantFor(o *Owner) Want {
	w := wantPrimary
	w.Owner = o
	return w
}

func TestMultiplexedConnectionsServeEverybody(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{})
		a, b := ownerAt("192.0.2.1:1"), ownerAt("192.0.2.2:2")
		conn := mustAcquire(t, c, wantFor(a))
		conn.Release()
		if mustAcquire(t, c, wantFor(b)) != conn {
			t.Error("a client's connection didn't serve the next one")
		}
		conn.Release()
		c.Leave(a)
		c.Leave(b)
		for _, told := range f.at("p:1").told {
			if told != nil {
				t.Errorf("a header was sent: %v", told)
			}
		}
	})
}

func TestDedicatedConnectionsServeOneClient(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{Dedicated: true})
		a, b := ownerAt("192.0.2.1:1"), ownerAt("192.0.2.2:2")
		conn := mustAcquire(t, c, wantFor(a))
		conn.Release()
		other := mustAcquire(t, c, wantFor(b))
		own := mustAcquire(t, c, wantPrimary)
		if other == conn || own == conn {
			t.Error("another client got the connection")
		}
		own.Release()
		if mustAcquire(t, c, wantFor(a)) != conn {
			t.Error("the client didn't get its own connection")
		}
		conn.Release()
		c.Leave(a)
		third := ownerAt("192.0.2.3:3")
		if got := mustAcquire(t, c, wantFor(third)); got != conn && got != own {
			t.Error("the connection of a client that left isn't there for others")
		}
		late := mustAcquire(t, c, wantFor(third))
		c.Leave(third)
		late.Release() // after its client has left: nobody's
		if mustAcquire(t, c, wantFor(ownerAt("192.0.2.4:4"))) != late {
			t.Error("a connection that came back late isn't there for others")
		}
		other.Release()
	})
}

func TestIdleConnectionsOfOthersGiveWay(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{ProxyProtocol: true, MaxPerServer: 2, WaitTimeout: time.Minute})
		owners := make([]*Owner, 5)
		for i := range owners {
			owners[i] = ownerAt(fmt.Sprintf("192.0.2.%d:%d", i+1, i+1))
		}
		for range 2 {
			for _, o := range owners {
				mustAcquire(t, c, wantFor(o)).Release()
			}
		}
		p := poolOf(c, "p:1")
		if p.Idle != 2 || p.Busy != 0 || p.Closed["ceiling"] != 8 {
			t.Errorf("pool is %+v", p)
		}
		// Those in use give way when they come back, in order of arrival.
		held := []*Conn{mustAcquire(t, c, wantFor(owners[0])), mustAcquire(t, c, wantFor(owners[1]))}
		got := make(chan *Conn, 1)
		go func() { got <- mustAcquire(t, c, wantFor(owners[2])) }()
		synctest.Wait()
		held[0].Release()
		conn := <-got
		if conn == held[0] || conn.kind.owner != owners[2] {
			t.Error("who waited got another client's connection")
		}
		conn.Release()
		held[1].Release()
		q := &conn.srv.pool.queue
		if len(q.own) != 0 || q.dials != 0 {
			t.Errorf("%d lanes and %d dials are left", len(q.own), q.dials)
		}
	})
}

func TestServersAreToldTheClient(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fleet) {
		c := f.cluster(0, Options{ProxyProtocol: true})
		first, next, unix := ownerAt("192.0.2.1:1"), ownerAt("[::ffff:192.0.2.1]:2"), NewOwner(&net.UnixAddr{}, &net.UnixAddr{})
		s := f.at("p:1")
		last := func() protocol.ProxyHeader {
			s.mu.Lock()
			defer s.mu.Unlock()
			return *s.told[len(s.told)-1]
		}
		own := mustAcquire(t, c, wantPrimary)
		if last() != (protocol.ProxyHeader{}) {
			t.Errorf("Shardway's own connection tells %v", last())
		}
		own.Release()
		conn := mustAcquire(t, c, wantFor(first))
		if want := netip.MustParseAddrPort("192.0.2.1:1"); last().From != want || last().To.Port() != 4406 {
			t.Errorf("the server is told %v, want %v", last(), want)
		}
		conn.Release()
		c.Leave(first)
		if got := mustAcquire(t, c, wantFor(ownerAt("192.0.2.9:1"))); got == conn {
			t.Error("a client of another address got the connection")
		}
		if got := mustAcquire(t, c, wantFor(unix)); got != own {
			t.Error("a client without an address didn't get the connection that tells none")
		}
		if got := mustAcquire(t, c, wantFor(next)); got != conn {
			t.Error("the next client of the address didn't get the connection")
		}
		// It ends with the setting.
		conn.Release()
		c.SetOptions(Options{Dial: f.dial})
		if got := mustAcquire(t, c, wantFor(next)); got == conn {
			t.Error("a connection of before serves on")
		}
	})
}

func TestAServerThatDoesNotExpectTheHeader(t *testing.T) {
	for _, refused := range []error{
		protocol.Errorf(1043, "08S01", "Bad handshake"), protocol.Errorf(1156, "08S01", "Got packets out of order"),
		protocol.Errorf(1130, "HY000", "Proxy header is not accepted from 127.0.0.1"),
		fmt.Errorf("log in: %w", io.ErrUnexpectedEOF), fmt.Errorf("log in: %w", syscall.ECONNRESET),
		fmt.Errorf("log in: %w", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}),
	} {
		inBubble(t, func(t *testing.T, f *fleet) {
			c := f.cluster(0, Options{ProxyProtocol: true})
			s := f.at("p:1")
			s.mu.Lock()
			s.refuse = refused
			s.mu.Unlock()
			_, err := c.Acquire(context.Background(), wantFor(ownerAt("192.0.2.1:1")))
			if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "servers.proxy_protocol") {
				t.Errorf("%v: %v", refused, err)
			}
		})
	}
}
