package protocol

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Login is the server's side of one login. It may be reused, one login after
// another.
type Login struct {
	Version      string
	ConnectionID uint32
	Collation    uint8      // 0 is utf8mb4_general_ci
	Status       Status     // 0 is StatusAutocommit
	Capabilities Capability // offered; 0 is DefaultCapabilities
	Auth         Authenticator

	// Trust lets everybody in with whatever password, as a server does that
	// was started with --skip-grant-tables. It is for tests.
	Trust bool

	// TLS gives the configuration to offer; nil, or a nil result, is none. It
	// is called once for each login.
	TLS func() *tls.Config

	// RequireTLS refuses clients without TLS with error 3159, except those on
	// a unix socket.
	RequireTLS bool

	// Proxies says from which addresses a PROXY header, version 1 or 2, is
	// believed; RemoteAddr is then the address that it tells. A header from
	// another one ends the login without an answer. Nil believes none.
	Proxies func(netip.Addr) bool

	// DefaultPlugin is what the greeting names, and what clients with an
	// unknown plugin are switched to: caching_sha2_password, the default, or
	// mysql_native_password. Either is accepted from any client.
	DefaultPlugin string

	// FullAuth asks clients with caching_sha2_password for the password
	// itself, as a server does that hasn't seen the user before. Without TLS
	// or a unix socket they encrypt it with RSAKey.
	FullAuth bool
	RSAKey   *RSAKey
}

// Client is who has logged in, and how.
type Client struct {
	User, Database string
	Collation      uint16 // 0 where COM_CHANGE_USER named none
	Capabilities   Capability
	Attrs          map[string]string // nil if none were sent
}

// Accept greets a client and verifies who it is. On success the caller writes
// and flushes the OK packet that the client then waits for, or an ERR packet
// if the client may not stay; compression, if agreed on, begins after that. An *Error has been sent already; a peer that
// left or fell silent before it said anything gives ErrProbe. After any error
// the caller closes the connection.
//
// The context's deadline ends the login; c has no deadline afterwards.
func (l *Login) Accept(ctx context.Context, c *Conn) (*Client, error) {
	release := c.within(ctx)
	defer release()
	limit := c.maxPacket
	c.maxPacket = min(limit, maxLogin)
	defer func() { c.maxPacket = limit }()

	before := c.BytesIn
	client, err := l.accept(ctx, c)
	if err == nil {
		c.zipNext = compressionOf(c.caps) != CompressNone
		return client, nil
	}
	if c.BytesIn-c.headed == before {
		return nil, ErrProbe
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Code == codeOutOfOrder || e.Code == codePacketTooLarge {
			e = badHandshake("%s", e.Message)
		}
		c.refuse(e)
		return nil, e
	}
	return nil, err
}

// refuse sends an error to a peer that is about to be left.
func (c *Conn) refuse(e *Error) {
	if c.WriteError(e) == nil {
		_ = c.Flush() // the peer may be gone; nothing depends on it
	}
}

func (l *Login) accept(ctx context.Context, c *Conn) (*Client, error) {
	var config *tls.Config
	if l.TLS != nil {
		config = l.TLS()
	}
	g := &Greeting{
		Version: l.Version, ConnectionID: l.ConnectionID, Collation: l.Collation, Status: l.Status,
		Capabilities: l.Capabilities, AuthPlugin: l.defaultPlugin(), salt: newSalt(),
	}
	if g.Capabilities == 0 {
		g.Capabilities = DefaultCapabilities
	}
	g.Capabilities |= CapProtocol41 | CapSecureConnection
	if config != nil {
		g.Capabilities |= CapSSL
	}
	if g.Collation == 0 {
		g.Collation = collationUTF8MB4
	}
	if g.Status == 0 {
		g.Status = StatusAutocommit
	}
	c.seq, c.salt, c.status = 0, g.salt, g.Status
	if err := c.WritePacket(g.append(nil)); err != nil {
		return nil, err
	}
	if err := c.Flush(); err != nil {
		return nil, err
	}
	if err := c.proxyHeader(l.Proxies); err != nil {
		return nil, err
	}
	p, err := c.ReadPacket()
	if err != nil {
		return nil, err
	}
	if len(p) == responseFixed && config != nil {
		if d := (decoder{p: p}); Capability(d.uint32()).Has(CapSSL) {
			if p, err = c.serveTLS(ctx, config); err != nil {
				return nil, err
			}
		}
	}
	r, err := parseResponse(p)
	if err != nil {
		return nil, err
	}
	r.caps &= g.Capabilities
	if c.tls == nil {
		r.caps &^= CapSSL
	}
	c.caps = r.caps
	if l.RequireTLS && !c.secure() {
		return nil, Errorf(codeSecureTransport, "HY000",
			"Connections using insecure transport are prohibited: shardway: connect with TLS")
	}
	r.auth = slices.Clone(r.auth)
	if err := l.authenticate(c, r, false); err != nil {
		return nil, err
	}
	return &Client{
		User: r.user, Database: r.database, Collation: r.collation,
		Capabilities: r.caps, Attrs: r.attrs,
	}, nil
}

// serveTLS does the TLS handshake and reads the response that follows it.
func (c *Conn) serveTLS(ctx context.Context, config *tls.Config) ([]byte, error) {
	t := tls.Server(c.socket(), config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	c.upgrade(t)
	return c.ReadPacket()
}

// ChangeUser answers COM_CHANGE_USER, of which payload is what ReadCommand
// returned. On success the caller writes the OK packet. An *Error has been
// sent already, and the caller closes the connection, as servers do.
func (l *Login) ChangeUser(c *Conn, payload []byte) (*Client, error) {
	r, err := parseChangeUser(payload, c.caps)
	if err == nil {
		r.auth = slices.Clone(r.auth)
		err = l.authenticate(c, r, true)
	}
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			c.refuse(e)
		}
		return nil, err
	}
	return &Client{
		User: r.user, Database: r.database, Collation: r.collation,
		Capabilities: r.caps, Attrs: r.attrs,
	}, nil
}

// within ends reads and writes with the context, until release is called.
func (c *Conn) within(ctx context.Context) (release func()) {
	if d, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(d) // fails on a closed socket only, which reads find out
	}
	stop := context.AfterFunc(ctx, c.Interrupt)
	return func() {
		if stop() {
			_ = c.SetDeadline(time.Time{})
		}
	}
}

func (c *Conn) remoteHost() string {
	a := c.RemoteAddr()
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return "localhost"
}
