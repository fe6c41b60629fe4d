package protocol

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// DialOptions say how to log in to a server.
type DialOptions struct {
	// Addr is host:port, or the path of a unix socket, with or without
	// "unix:" before it. Network, if set, overrules what Addr looks like.
	Network, Addr string

	User, Password string
	Database       string

	// Collation is the connection's. Numbers over 255 don't fit the
	// handshake: the connection then begins with utf8mb4_general_ci, as it
	// does with 0, and the caller sets it.
	Collation uint16

	// TLS is disabled where empty. TLSConfig, from ClientTLS, may be nil for
	// the modes that verify nothing. On a unix socket "preferred" is plain.
	TLS       TLSMode
	TLSConfig *tls.Config

	// Capabilities are asked for besides Dial's own.
	Capabilities Capability
	Attrs        map[string]string
	// Compression is used where the server offers it; "" is none.
	Compression Compression

	// Proxy, if set, goes ahead of the login as a PROXY header of version 2. A
	// server that doesn't expect one refuses the login.
	Proxy *ProxyHeader

	KeepAlive   time.Duration // TCP keep-alive; 0 is Go's default, negative none
	UserTimeout time.Duration // TCP_USER_TIMEOUT; 0 is the system's
}

// wanted is what Dial asks for where the server offers it, CapLocalFiles among
// it, since servers refuse LOAD DATA LOCAL without: Forward sees to it that a
// server gets no file that the client doesn't load. never is what it
// doesn't ask for whatever the options say, since it would change the
// packets that Forward reads, or let one query be several.
const (
	wanted = CapLongPassword | CapLongFlag | CapProtocol41 | CapTransactions | CapSecureConnection |
		CapMultiResults | CapPSMultiResults | CapPluginAuth | CapPluginAuthLenenc | CapSessionTrack |
		CapDeprecateEOF | CapConnectAttrs | CapLocalFiles | CapQueryAttributes
	never = CapMultiStatements | CapCompress | CapZstd | CapOptionalMetadata |
		CapMultiFactor | CapSSL | CapConnectWithDB | mariaDBOnly&^CapExtendedMetadata
)

// Dial connects to a server and logs in. What the server refuses is an
// *Error with its code; a context that ends is its cause.
func Dial(ctx context.Context, o DialOptions) (*Conn, *Greeting, error) {
	network, addr := o.address()
	d := net.Dialer{KeepAlive: o.KeepAlive, Control: userTimeout(o.UserTimeout)}
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, nil, fmt.Errorf("protocol: %w", err)
	}
	c := NewConn(nc)
	g, err := c.login(ctx, &o)
	if err != nil {
		c.Close()
		var e *Error
		switch {
		case errors.As(err, &e):
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case errors.Is(err, os.ErrDeadlineExceeded): // the socket's clock was ahead of the context's
			err = context.DeadlineExceeded
		}
		return nil, nil, fmt.Errorf("protocol: log in to %s: %w", addr, err)
	}
	return c, g, nil
}

func (o *DialOptions) address() (network, addr string) {
	addr, unix := strings.CutPrefix(o.Addr, "unix:")
	switch {
	case o.Network != "":
		return o.Network, addr
	case unix || strings.HasPrefix(addr, "/"):
		return "unix", addr
	}
	return "tcp", addr
}

// login is the client's side of a login over the connection just made.
func (c *Conn) login(ctx context.Context, o *DialOptions) (*Greeting, error) {
	release := c.within(ctx)
	defer release()
	if o.Proxy != nil {
		if _, err := c.base.Write(o.Proxy.append(nil)); err != nil {
			return nil, err
		}
	}
	p, err := c.readAnswer()
	if err != nil {
		return nil, err
	}
	g, err := parseGreeting(p)
	if err != nil {
		return nil, err
	}
	if !g.Capabilities.Has(CapProtocol41 | CapSecureConnection) {
		return nil, badHandshake("the server is older than MySQL 4.1")
	}
	r := &response{
		caps:      (wanted | o.Capabilities&^never) & g.Capabilities,
		maxPacket: 1 << 30,
		collation: o.Collation,
		user:      o.User,
		database:  o.Database,
		attrs:     o.Attrs,
	}
	if r.collation == 0 || r.collation > 255 {
		r.collation = collationUTF8MB4
	}
	if o.Database != "" {
		r.caps |= CapConnectWithDB & g.Capabilities
	}
	if len(o.Attrs) == 0 {
		r.caps &^= CapConnectAttrs
	}
	r.caps |= CompressionCapability(o.Compression) & g.Capabilities
	if err := c.dialTLS(ctx, o, g, r); err != nil {
		return nil, err
	}
	r.plugin = g.AuthPlugin
	if scrambleSize(r.plugin) < 0 {
		r.plugin = pluginNative // the server asks again for what it wants
	}
	if r.auth, err = scramble(r.plugin, g.salt, o.Password); err != nil {
		return nil, err
	}
	if err := c.WritePacket(r.append(nil)); err != nil {
		return nil, err
	}
	c.caps = r.caps
	if err := c.prove(o.Password, r.plugin, g.salt); err != nil {
		return nil, err
	}
	c.startCompression()
	c.Idle()
	return g, nil
}

// dialTLS encrypts the connection as the options say and the server can.
func (c *Conn) dialTLS(ctx context.Context, o *DialOptions, g *Greeting, r *response) error {
	offered := g.Capabilities.Has(CapSSL)
	switch o.TLS {
	case TLSDisabled, "":
		return nil
	case TLSPreferred:
		if !offered || c.secure() {
			return nil
		}
	default:
		if !offered {
			return Errorf(2026, "HY000", "TLS is %s, but the server doesn't offer it", o.TLS)
		}
	}
	config := o.TLSConfig
	if config == nil {
		var err error
		if config, err = ClientTLS(o.TLS, "", "", "", ""); err != nil {
			return err
		}
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = c.remoteName(o)
	}
	r.caps |= CapSSL
	if err := c.WritePacket(r.appendFixed(nil)); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	t := tls.Client(c.socket(), config)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	c.upgrade(t)
	return nil
}

func (c *Conn) remoteName(o *DialOptions) string {
	_, addr := o.address()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return "localhost"
}

// readAnswer flushes, and reads a packet of the login that is no ERR packet.
func (c *Conn) readAnswer() ([]byte, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	p, err := c.ReadPacket()
	if err != nil {
		return nil, unexpected(err)
	}
	if len(p) == 0 {
		return nil, badHandshake("a packet of no bytes")
	}
	if p[0] == headerERR {
		e, err := decodeError(p)
		if err != nil {
			return nil, err
		}
		return nil, e
	}
	return p, nil
}

// prove goes through what the server asks until it says OK.
func (c *Conn) prove(password, plugin string, salt []byte) error {
	// A server asks for at most another plugin, the full password and the
	// key for it.
	for range 8 {
		p, err := c.readAnswer()
		if err != nil {
			return err
		}
		switch p[0] {
		case headerOK:
			ok, err := parseOK(p, c.caps)
			c.status = ok.status
			return err
		case headerEOF:
			d := decoder{p: p[1:]}
			if len(d.p) == 0 {
				return badHandshake("the server wants mysql_old_password, which is not safe; " +
					"create the user with caching_sha2_password or mysql_native_password")
			}
			plugin = string(d.nulString())
			salt = slices.Clone(bytes.TrimSuffix(d.p, []byte{0}))
			answer, err := scramble(plugin, salt, password)
			if err != nil {
				return err
			}
			if err := c.WritePacket(answer); err != nil {
				return err
			}
		case headerMore:
			if plugin != pluginSHA2 || len(p) < 2 {
				return badHandshake("the server goes on with the authentication plugin %q unexpectedly", plugin)
			}
			if err := c.proveMore(p[1:], password, salt); err != nil {
				return err
			}
		default:
			return badHandshake("a packet that begins with 0x%02x during authentication", p[0])
		}
	}
	return badHandshake("the server doesn't come to an end")
}

// proveMore answers a server with caching_sha2_password that doesn't say OK
// yet.
func (c *Conn) proveMore(p []byte, password string, salt []byte) error {
	switch {
	case p[0] == sha2FastOK:
		return nil // OK follows
	case p[0] == sha2FullAuth && c.secure():
		return c.WritePacket(append([]byte(password), 0))
	case p[0] == sha2FullAuth:
		return c.WritePacket([]byte{sha2KeyRequest})
	}
	secret, err := encrypt(password, salt, p)
	if err != nil {
		return err
	}
	return c.WritePacket(secret)
}

// ChangeUser logs in anew on a connection to a server.
func (c *Conn) ChangeUser(o DialOptions) error {
	r := &response{
		caps: c.caps, user: o.User, database: o.Database, collation: o.Collation,
		plugin: mysql.AUTH_NATIVE_PASSWORD, attrs: o.Attrs,
	}
	if r.collation == 0 {
		r.collation = collationUTF8MB4
	}
	// The proof is left empty: the server then sends a new salt to make it with.
	if err := c.WriteCommand(ComChangeUser, r.appendChangeUser(nil)); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.beginReply()
	return c.prove(o.Password, r.plugin, nil)
}
