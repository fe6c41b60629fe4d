package protocol

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// proxyV2 makes a binary header.
func proxyV2(command, family byte, body ...byte) []byte {
	return append(append(bytes.Clone(proxyV2Signature), 0x20|command, family, byte(len(body)>>8), byte(len(body))), body...)
}

var v2Headers = []struct {
	name   string
	header []byte
	want   string // the address of the client, "" for the peer's own, or "error: " and what it says
}{
	{"v1 IPv4", []byte("PROXY TCP4 192.0.2.7 192.0.2.1 50000 4406\r\n"), "192.0.2.7:50000"},
	{"v1 IPv6", []byte("PROXY TCP6 2001:db8::7 2001:db8::1 50000 4406\r\n"), "[2001:db8::7]:50000"},
	{"v1 unknown", []byte("PROXY UNKNOWN\r\n"), ""},
	{"v1 unknown with more", []byte("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), ""},
	{"v1 without an end", []byte("PROXY TCP4 " + strings.Repeat("1", 200)), "error: no line end"},
	{"v1 of no family", []byte("PROXY TCP5 192.0.2.7 192.0.2.1 50000 4406\r\n"), "error: is none"},
	{"v1 of another family", []byte("PROXY TCP4 ::1 ::1 50000 4406\r\n"), "error: no address for TCP4"},
	{"v1 without a port", []byte("PROXY TCP4 192.0.2.7 192.0.2.1\r\n"), "error: is none"},
	{"v1 of a bad port", []byte("PROXY TCP4 192.0.2.7 192.0.2.1 70000 4406\r\n"), "error: out of range"},
	{"v1 with a bare line end", []byte("PROXY TCP4 192.0.2.7 192.0.2.1 50000 4406\n"), "error: is none"},
	{"v2 IPv4", proxyV2(1, 0x11, 192, 0, 2, 7, 192, 0, 2, 1, 0xc3, 0x50, 0x11, 0x36), "192.0.2.7:50000"},
	{"v2 with extensions", proxyV2(1, 0x11, 192, 0, 2, 7, 192, 0, 2, 1, 0xc3, 0x50, 0x11, 0x36, 4, 0, 2, 9, 9), "192.0.2.7:50000"},
	{"v2 IPv6", proxyV2(1, 0x21, append(append(netip.MustParseAddr("2001:db8::7").AsSlice(), make([]byte, 16)...), 0xc3, 0x50, 0x11, 0x36)...), "[2001:db8::7]:50000"},
	{"v2 LOCAL", proxyV2(0, 0x00), ""},
	{"v2 LOCAL with an address", proxyV2(0, 0x11, make([]byte, 12)...), ""},
	{"v2 of a unix socket", proxyV2(1, 0x31, make([]byte, 216)...), ""},
	{"v2 too short", proxyV2(1, 0x11, 1, 2, 3), "error: 3 bytes for the address family"},
	{"v2 too long", proxyV2(1, 0x11, make([]byte, 5000)...), "error: more than 4096"},
	{"v2 of another command", proxyV2(5, 0x11, make([]byte, 12)...), "error: unknown command"},
	{"v2 of another version", append(bytes.Clone(proxyV2Signature), 0x31, 0x11, 0, 0), "error: none of version 2"},
}

// login connects with a header before everything, and logs in when the header is none that ends the login.
func loginThrough(t *testing.T, header []byte, proxies func(netip.Addr) bool, goOn bool) (said int, got accepted) {
	t.Helper()
	l, addr := listen(t, "tcp")
	result := serveLogin(t, l, &Login{Auth: testUsers, Proxies: proxies})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Write(header); err != nil {
		t.Fatal(err)
	}
	c := NewConn(nc)
	if !goOn {
		_ = nc.(*net.TCPConn).CloseWrite()
		got = <-result
		return int(c.BytesIn), got
	}
	_, err = c.login(t.Context(), &DialOptions{User: "app", Password: "secret"})
	got = <-result
	if err != nil && got.err == nil {
		t.Fatal(err)
	}
	return int(c.BytesIn), got
}

func TestU29ProxyHeaders(t *testing.T) {
	trusted := func(a netip.Addr) bool { return a.IsLoopback() }
	for _, h := range v2Headers {
		t.Run(h.name, func(t *testing.T) {
			_, got := loginThrough(t, h.header, trusted, !strings.HasPrefix(h.want, "error: "))
			if wrong, ok := strings.CutPrefix(h.want, "error: "); ok {
				var answered *Error
				if got.err == nil || !strings.Contains(got.err.Error(), wrong) || errors.As(got.err, &answered) {
					t.Errorf("got %v, want %s and no answer", got.err, wrong)
				}
				return
			}
			if got.err != nil {
				t.Fatal(got.err)
			}
			addr := got.server.RemoteAddr().String()
			if h.want == "" && !strings.HasPrefix(addr, "127.0.0.1:") || h.want != "" && addr != h.want {
				t.Errorf("the client is %s, want %q", addr, h.want)
			}
			got.server.Close()
		})
	}
}

func TestU29AProxyHeaderFromAnywhereElseEndsTheLogin(t *testing.T) {
	for _, proxies := range []func(netip.Addr) bool{nil, func(netip.Addr) bool { return false }} {
		for _, h := range v2Headers[:2] {
			_, got := loginThrough(t, h.header, proxies, false)
			var answered *Error
			if got.err == nil || !strings.Contains(got.err.Error(), "not trusted") || errors.As(got.err, &answered) {
				t.Errorf("%s: %v", h.name, got.err)
			}
		}
	}
}

func TestU29AHeaderAndNothingElseIsAProbe(t *testing.T) {
	for _, header := range [][]byte{proxyV2(0, 0), []byte("PROXY UNKNOWN\r\n"), nil} {
		_, got := loginThrough(t, header, func(netip.Addr) bool { return true }, false)
		if !errors.Is(got.err, ErrProbe) {
			t.Errorf("%q: %v", header, got.err)
		}
	}
}

func TestU29ProxyHeaderToAServer(t *testing.T) {
	at := netip.MustParseAddrPort
	v4 := []byte{192, 0, 2, 7, 127, 0, 0, 1, 0xc3, 0x50, 0x11, 0x36}
	v6 := func(from, to string) []byte {
		return append(append(netip.MustParseAddr(from).AsSlice(), netip.MustParseAddr(to).AsSlice()...), 0xc3, 0x50, 0x11, 0x36)
	}
	for _, h := range []struct {
		name string
		h    ProxyHeader
		want []byte
	}{
		{"IPv4", ProxyHeader{at("192.0.2.7:50000"), at("127.0.0.1:4406")}, proxyV2(1, 0x11, v4...)},
		{"IPv4 written as IPv6", ProxyHeader{at("[::ffff:192.0.2.7]:50000"), at("[::ffff:127.0.0.1]:4406")}, proxyV2(1, 0x11, v4...)},
		{"IPv4 to nowhere", ProxyHeader{From: at("192.0.2.7:50000")}, proxyV2(1, 0x11, 192, 0, 2, 7, 0, 0, 0, 0, 0xc3, 0x50, 0, 0)},
		{"IPv6", ProxyHeader{at("[2001:db8::7]:50000"), at("[2001:db8::1]:4406")}, proxyV2(1, 0x21, v6("2001:db8::7", "2001:db8::1")...)},
		{"IPv6 to nowhere", ProxyHeader{at("[2001:db8::7]:50000"), netip.AddrPortFrom(netip.Addr{}, 4406)}, proxyV2(1, 0x21, v6("2001:db8::7", "::")...)},
		{"IPv6 to IPv4", ProxyHeader{at("[2001:db8::7]:50000"), at("127.0.0.1:4406")}, proxyV2(1, 0x21, v6("2001:db8::7", "::ffff:127.0.0.1")...)},
		{"IPv4 to IPv6", ProxyHeader{at("192.0.2.7:50000"), at("[2001:db8::1]:4406")}, proxyV2(1, 0x21, v6("::ffff:192.0.2.7", "2001:db8::1")...)},
		{"a unix socket", ProxyHeader{}, proxyV2(0, 0)},
	} {
		got := h.h.append(nil)
		if !bytes.Equal(got, h.want) {
			t.Errorf("%s: % x, want % x", h.name, got, h.want)
		}
		// What we read of it is what was told.
		from, err := parseProxyV2(got)
		if told := netip.AddrPortFrom(h.h.From.Addr().Unmap(), h.h.From.Port()); err != nil || from != told && h.h.From.IsValid() || from.IsValid() != h.h.From.IsValid() {
			t.Errorf("%s: %v, %v is read of it", h.name, from, err)
		}
	}
}

func TestU29DialSendsTheHeaderFirst(t *testing.T) {
	l, addr := listen(t, "tcp")
	for want, header := range map[string]*ProxyHeader{
		"192.0.2.7:50000": {From: netip.MustParseAddrPort("192.0.2.7:50000")},
		"127.0.0.1:":      {},
	} {
		result := serveLogin(t, l, &Login{Auth: testUsers, Proxies: func(netip.Addr) bool { return true }})
		c, _, err := Dial(t.Context(), DialOptions{Addr: addr, User: "app", Password: "secret", Proxy: header})
		got := <-result
		if err != nil || got.err != nil {
			t.Fatal(err, got.err)
		}
		if told := got.server.RemoteAddr().String(); !strings.HasPrefix(told, want) {
			t.Errorf("the server sees %s, want %s", told, want)
		}
		c.Close()
		got.server.Close()
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, h := range v2Headers {
		f.Add(h.header)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if from, err := parseProxyV1(string(data)); err == nil && from.IsValid() && !bytes.HasPrefix(data, []byte("PROXY TCP")) {
			t.Errorf("%q is %v", data, from)
		}
		if from, err := parseProxyV2(data); err == nil && from.IsValid() && !bytes.HasPrefix(data, proxyV2Signature) {
			t.Errorf("%x is %v", data, from)
		}
		c := NewConn(&memory{in: data, piece: 3})
		if err := c.proxyHeader(func(netip.Addr) bool { return true }); err == nil && c.remote != nil && c.headed == 0 {
			t.Errorf("%x has an address and no header", data)
		}
	})
}
