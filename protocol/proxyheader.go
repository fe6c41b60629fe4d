package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt defines it: what a load balancer says of the
// connection that it forwards, before anything else.
const (
	proxyV1Max  = 107 // bytes of a header in text, with its line end
	proxyV2Head = 16
	proxyV2Max  = 4 << 10 // bytes of a binary header's addresses and extensions
)

var proxyV2Signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Version, command and family of a binary header.
const (
	proxyV2Local = 0x20
	proxyV2Proxy = 0x21
	proxyV2TCP4  = 0x11
	proxyV2TCP6  = 0x21
)

// ProxyHeader is what a PROXY header tells a server: that a connection is From a client who has connected To. Without
// an address in From it says that the connection is the sender's own (LOCAL).
type ProxyHeader struct {
	From, To netip.AddrPort
}

// append appends the header in the form of version 2.
func (h *ProxyHeader) append(p []byte) []byte {
	p = append(p, proxyV2Signature...)
	from, to := h.From.Addr().Unmap(), h.To.Addr().Unmap()
	switch {
	case !from.IsValid():
		return append(p, proxyV2Local, 0, 0, 0)
	case from.Is4() && (to.Is4() || !to.IsValid()):
		p = append(p, proxyV2Proxy, proxyV2TCP4, 0, 12)
		p = append(p, from.AsSlice()...)
		if !to.IsValid() {
			to = netip.IPv4Unspecified()
		}
		p = append(p, to.AsSlice()...)
	default: // one family for both: an IPv4 address beside an IPv6 one is written as a mapped one
		if !to.IsValid() {
			to = netip.IPv6Unspecified()
		}
		p = append(p, proxyV2Proxy, proxyV2TCP6, 0, 36)
		for _, a := range []netip.Addr{from, to} {
			b := a.As16()
			p = append(p, b[:]...)
		}
	}
	p = binary.BigEndian.AppendUint16(p, h.From.Port())
	return binary.BigEndian.AppendUint16(p, h.To.Port())
}

// proxyHeader takes over a PROXY header, if the client's first bytes are one: a handshake response can't begin with
// them. Only a peer that trusted says true of may send one.
func (c *Conn) proxyHeader(trusted func(netip.Addr) bool) error {
	if err := c.ensure(headerSize); err != nil {
		return nil // the reader of the response finds out
	}
	first := c.in[c.r : c.r+headerSize]
	v1 := bytes.Equal(first, []byte("PROX"))
	if !v1 && !bytes.Equal(first, proxyV2Signature[:headerSize]) {
		return nil
	}
	peer := addrOf(c.base.RemoteAddr())
	if trusted == nil || !peer.IsValid() || !trusted(peer) {
		return fmt.Errorf("protocol: a PROXY header from %s, which is not trusted to send one", c.base.RemoteAddr())
	}
	var n int
	var from netip.AddrPort
	var err error
	if v1 {
		n, from, err = c.proxyV1()
	} else {
		n, from, err = c.proxyV2()
	}
	if err != nil {
		return fmt.Errorf("protocol: PROXY header from %s: %w", c.base.RemoteAddr(), err)
	}
	c.r += n
	c.headed = uint64(n)
	if from.IsValid() {
		c.remote = net.TCPAddrFromAddrPort(from)
	}
	return nil
}

// proxyV1 reads "PROXY TCP4 192.0.2.1 192.0.2.2 50000 4406" and says how long it is. The address is the zero one where
// the header says UNKNOWN.
func (c *Conn) proxyV1() (n int, from netip.AddrPort, err error) {
	for n = headerSize; ; {
		if n++; n > proxyV1Max {
			return 0, from, fmt.Errorf("no line end in %d bytes", proxyV1Max)
		}
		if err := c.ensure(n); err != nil {
			return 0, from, unexpected(err)
		}
		if c.in[c.r+n-1] == '\n' {
			break
		}
	}
	from, err = parseProxyV1(string(c.in[c.r : c.r+n]))
	return n, from, err
}

func parseProxyV1(line string) (from netip.AddrPort, err error) {
	line, ended := strings.CutSuffix(line, "\r\n")
	fields := strings.Split(line, " ")
	switch {
	case !ended || fields[0] != "PROXY" || len(fields) < 2:
		return from, fmt.Errorf("%q is none", line)
	case fields[1] == "UNKNOWN":
		return from, nil
	case fields[1] != "TCP4" && fields[1] != "TCP6" || len(fields) != 6:
		return from, fmt.Errorf("%q is none", line)
	}
	addr, err := netip.ParseAddr(fields[2])
	if err == nil && (addr.Is4() != (fields[1] == "TCP4") || addr.Zone() != "") {
		err = fmt.Errorf("%q is no address for %s", fields[2], fields[1])
	}
	if err != nil {
		return from, err
	}
	port, err := strconv.ParseUint(fields[4], 10, 16)
	if err != nil {
		return from, err
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
}

// proxyV2 reads a binary header and says how long it is. The address is the zero one for a connection of the load
// balancer's own (LOCAL), and where it isn't an IP address.
func (c *Conn) proxyV2() (n int, from netip.AddrPort, err error) {
	if err := c.ensure(proxyV2Head); err != nil {
		return 0, from, unexpected(err)
	}
	h := c.in[c.r : c.r+proxyV2Head]
	size := int(binary.BigEndian.Uint16(h[14:]))
	if size > proxyV2Max {
		return 0, from, fmt.Errorf("%d bytes of addresses and extensions are more than %d", size, proxyV2Max)
	}
	if err := c.ensure(proxyV2Head + size); err != nil {
		return 0, from, unexpected(err)
	}
	from, err = parseProxyV2(c.in[c.r : c.r+proxyV2Head+size])
	return proxyV2Head + size, from, err
}

func parseProxyV2(p []byte) (from netip.AddrPort, err error) {
	if len(p) < proxyV2Head || !bytes.HasPrefix(p, proxyV2Signature) || p[12]>>4 != 2 {
		return from, fmt.Errorf("% x is none of version 2", p[:min(len(p), proxyV2Head)])
	}
	body := p[proxyV2Head:]
	switch command, family := p[12]&15, p[13]; {
	case command == 0: // LOCAL
		return from, nil
	case command != 1:
		return from, fmt.Errorf("unknown command %d", command)
	case family == proxyV2TCP4 && len(body) >= 12: // TCP over IPv4
		addr := netip.AddrFrom4([4]byte(body[:4]))
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(body[8:])), nil
	case family == proxyV2TCP6 && len(body) >= 36: // TCP over IPv6
		addr := netip.AddrFrom16([16]byte(body[:16]))
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(body[32:])), nil
	case family == 0x00 || family>>4 == 3: // not told, or a unix socket
		return from, nil
	default:
		return from, fmt.Errorf("%d bytes for the address family and transport 0x%02x", len(body), family)
	}
}

// addrOf is the IP address of a peer, the zero Addr where it has none.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		addr := t.AddrPort().Addr()
		return addr.Unmap()
	}
	return netip.Addr{}
}
