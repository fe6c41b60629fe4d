package backend

import (
	"net"
	"net/netip"
	"sync/atomic"
	"unique"

	"shardway/protocol"
)

// kind says whom a connection can serve. Each kind is pooled apart.
type kind struct {
	login login
	// owner is the client that the connection is kept for, nil for whoever is
	// like it in the rest.
	owner *Owner
	// from is the client's address that the server was told; the zero Handle for
	// none.
	from unique.Handle[netip.Addr]
}

// login says which of the capabilities that change what a client sees a connection was logged in with.
type login uint8

const (
	loginFoundRows login = 1 << iota
	loginExtended
	logins = 1 << iota
)

// serves says whether a connection of kind k can serve who wants one of kind w.
func (k kind) serves(w kind) bool {
	return k.login == w.login && k.from == w.from && (k.owner == nil || k.owner == w.owner)
}

// header is what the server is told of a connection that is dialed.
func (k kind) header() *protocol.ProxyHeader {
	if k.owner == nil || k.from == (unique.Handle[netip.Addr]{}) {
		return &protocol.ProxyHeader{}
	}
	return &k.owner.told
}

// kindOf is the kind of connection that w wants.
func (p *pool) kindOf(w *Want) kind {
	var k kind
	if w.FoundRows {
		k.login |= loginFoundRows
	}
	if w.Extended {
		k.login |= loginExtended
	}
	if w.Owner == nil {
		return k
	}
	if o := p.srv.cluster.options(); o.Dedicated {
		k.owner = w.Owner
		if o.ProxyProtocol {
			k.from = w.Owner.from
		}
	}
	return k
}

// Owner is a client for whom connections are kept where Options.Dedicated says so.
// Many goroutines may use it.
type Owner struct {
	told protocol.ProxyHeader
	from unique.Handle[netip.Addr] // the zero Handle where told has none
	left atomic.Bool
}

// NewOwner returns the owner for a client with that address, who has connected to
// the other. Addresses that aren't TCP's are told to no server.
func NewOwner(client, to net.Addr) *Owner {
	o := &Owner{told: protocol.ProxyHeader{From: addrPort(client), To: addrPort(to)}}
	if from := o.told.From.Addr(); from.IsValid() {
		o.from = unique.Make(from)
	}
	return o
}

// addrPort is the address of a TCP connection's end, the zero one of any other's.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := t.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// Leave says that o wants no more connections: those kept for it are there for
// other clients, of the same address if servers were told one.
func (c *Cluster) Leave(o *Owner) {
	if o.left.Swap(true) || !c.options().Dedicated {
		return
	}
	for _, s := range c.snapshot.Load().servers {
		p := &s.pool
		p.mu.Lock()
		for i := range p.idle {
			if e := &p.idle[i]; e.kind.owner == o {
				e.kind.owner, e.conn.kind.owner = nil, nil
			}
		}
		p.serve(c.now())
		p.mu.Unlock()
	}
}
