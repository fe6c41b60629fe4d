package protocol

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardway/protocol/secret"
)

type passwords map[string]string

func (p passwords) Admit(string) error { return nil }

func (p passwords) Account(user string) *secret.Account {
	if password, ok := p[user]; ok {
		return &secret.Account{Secrets: []*secret.Secret{secret.Password(password)}}
	}
	return nil
}

func (p passwords) Proved(string, bool) {}

var testUsers = passwords{"app": "secret", "empty": "", "long": strings.Repeat("pä55", 40)}

// accepted is what a login came to on the server's side.
type accepted struct {
	client *Client
	err    error
	server *Conn
}

// serveLogin accepts one login at the listener and says OK. The connection
// stays open until the test ends.
func serveLogin(t *testing.T, l net.Listener, login *Login) <-chan accepted {
	t.Helper()
	result := make(chan accepted, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			result <- accepted{err: err}
			return
		}
		c := NewConn(nc)
		t.Cleanup(func() { c.Close() })
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		client, err := login.Accept(ctx, c)
		if err == nil {
			if err = c.WriteOK(OK{Status: StatusAutocommit}); err == nil {
				err = c.Flush()
			}
		} else {
			c.Close()
		}
		result <- accepted{client: client, err: err, server: c}
	}()
	return result
}

func listen(t *testing.T, network string) (net.Listener, string) {
	t.Helper()
	addr, prefix := "127.0.0.1:0", ""
	if network == "unix" {
		addr, prefix = filepath.Join(t.TempDir(), "s"), "unix:"
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, prefix + l.Addr().String()
}

func TestLoginMatrix(t *testing.T) {
	files := newCertificate(t, t.TempDir(), "localhost")
	reloader, err := ServerTLS(files.cert, files.key, "")
	if err != nil {
		t.Fatal(err)
	}
	var key RSAKey
	for _, network := range []string{"tcp", "tls", "unix"} {
		for _, plugin := range []string{"", pluginSHA2, pluginNative} {
			for _, full := range []bool{false, true} {
				for _, user := range []string{"app", "empty", "long", "wrong", "nobody"} {
					for _, database := range []string{"", "shop"} {
						name := fmt.Sprintf("%s/%s/full=%v/%s/%s", network, plugin, full, user, database)
						t.Run(name, func(t *testing.T) {
							login := &Login{
								Version: "8.4.9-test", ConnectionID: 77, Collation: 46, Auth: testUsers,
								DefaultPlugin: plugin, FullAuth: full, RSAKey: &key,
							}
							o := DialOptions{User: user, Password: testUsers[user], Database: database, Collation: 33, Attrs: map[string]string{"program_name": "test", "empty": ""}}
							switch user {
							case "wrong":
								o.User, o.Password = "app", "Secret"
							case "nobody":
								o.Password = "secret"
							}
							if network == "tls" {
								login.TLS = reloader.Config
								o.TLS = TLSRequired
							}
							var l net.Listener
							if network == "unix" {
								l, o.Addr = listen(t, "unix")
							} else {
								l, o.Addr = listen(t, "tcp")
							}
							result := serveLogin(t, l, login)
							c, g, err := Dial(t.Context(), o)
							got := <-result
							if user == "wrong" || user == "nobody" {
								if !errors.Is(err, &Error{Code: 1045}) || !errors.Is(got.err, &Error{Code: 1045}) {
									t.Fatalf("client: %v; server: %v", err, got.err)
								}
								return
							}
							if err != nil || got.err != nil {
								t.Fatalf("client: %v; server: %v", err, got.err)
							}
							defer c.Close()
							if g.Version != login.Version || g.ConnectionID != 77 || g.Collation != 46 {
								t.Errorf("greeting %+v", g)
							}
							cl := got.client
							if cl.User != o.User || cl.Database != database || cl.Collation != 33 || cl.Attrs["program_name"] != "test" || len(cl.Attrs) != 2 {
								t.Errorf("client %+v", cl)
							}
							if c.Capabilities() != got.server.Capabilities() || !c.Capabilities().Has(both) {
								t.Errorf("capabilities %x and %x", uint32(c.Capabilities()), uint32(got.server.Capabilities()))
							}
							if (c.TLS() != nil) != (network == "tls") || (got.server.TLS() != nil) != (network == "tls") {
								t.Error("TLS is on one side, or not where it was asked for")
							}
							if s := got.server.TLS(); s != nil && s.Version < tls.VersionTLS12 {
								t.Errorf("TLS version %x", s.Version)
							}
							if !c.Clean() || c.Status() != StatusAutocommit {
								t.Errorf("after the login: clean %v, status %x", c.Clean(), c.Status())
							}
						})
					}
				}
			}
		}
	}
}

func TestChangeUser(t *testing.T) {
	for _, plugin := range []string{pluginSHA2, pluginNative} {
		for user, code := range map[string]uint16{"app": 0, "empty": 0, "nobody": 1045} {
			t.Run(plugin+"/"+user, func(t *testing.T) {
				l, addr := listen(t, "tcp")
				login := &Login{Version: "v", Auth: testUsers, DefaultPlugin: plugin}
				result := serveLogin(t, l, login)
				c, _, err := Dial(t.Context(), DialOptions{Addr: addr, User: "app", Password: "secret"})
				got := <-result
				if err != nil || got.err != nil {
					t.Fatal(err, got.err)
				}
				defer c.Close()
				done := make(chan accepted, 1)
				go func() {
					cmd, payload, err := got.server.ReadCommand()
					if err != nil || cmd != ComChangeUser {
						done <- accepted{err: fmt.Errorf("%v: %w", cmd, err)}
						return
					}
					client, err := login.ChangeUser(got.server, payload)
					if err == nil {
						_ = got.server.WriteOK(OK{Status: StatusAutocommit})
						_ = got.server.Flush()
					}
					done <- accepted{client: client, err: err}
				}()
				err = c.ChangeUser(DialOptions{User: user, Password: testUsers[user], Database: "other", Collation: 300})
				changed := <-done
				if code != 0 {
					if !errors.Is(err, &Error{Code: code}) || !errors.Is(changed.err, &Error{Code: code}) {
						t.Fatal(err, changed.err)
					}
					return
				}
				if err != nil || changed.err != nil {
					t.Fatal(err, changed.err)
				}
				if cl := changed.client; cl.User != user || cl.Database != "other" || cl.Collation != 300 {
					t.Errorf("changed to %+v", cl)
				}
				if !c.Clean() {
					t.Error("not clean afterwards")
				}
			})
		}
	}
}

// handWritten logs in with a response made by the test. It gives the packets
// that the server answers, up to OK or ERR.
func handWritten(t *testing.T, login *Login, r response, answers ...string) (packets []string, got accepted) {
	t.Helper()
	l, addr := listen(t, "tcp")
	result := serveLogin(t, l, login)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(nc)
	defer c.Close()
	p, err := c.ReadPacket()
	if err != nil {
		t.Fatal(err)
	}
	g, err := parseGreeting(p)
	if err != nil {
		t.Fatal(err)
	}
	salt := g.salt
	answer := func(name string) []byte {
		switch name {
		case pluginNative, pluginSHA2:
			b, err := scramble(name, salt, "secret")
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		return []byte(name)
	}
	r.auth = answer(string(r.auth))
	_ = c.WritePacket(r.append(nil))
	for {
		_ = c.Flush()
		p, err := c.ReadPacket()
		if err != nil {
			packets = append(packets, err.Error())
			break
		}
		packets = append(packets, string(p))
		if p[0] == headerOK || p[0] == headerERR {
			break
		}
		if p[0] == headerEOF {
			d := decoder{p: p[1:]}
			d.nulString()
			salt = append([]byte(nil), d.p[:saltSize]...)
			if len(answers) == 0 {
				break
			}
			_ = c.WritePacket(answer(answers[0]))
			answers = answers[1:]
		}
	}
	return packets, <-result
}

func TestClientsOfAllKinds(t *testing.T) {
	const old = CapProtocol41 | CapSecureConnection
	tests := []struct {
		name    string
		r       response
		answers []string
		switched,
		ok bool
	}{
		{"without plugins", response{caps: old, auth: []byte(pluginNative)}, nil, false, true},
		{"without plugins, wrong", response{caps: old, auth: []byte(strings.Repeat("x", 20))}, nil, false, false},
		{"without plugins, empty", response{caps: old}, nil, false, false},
		{"native at once", response{caps: old | CapPluginAuth, plugin: pluginNative, auth: []byte(pluginNative)}, nil, false, true},
		{"sha2 at once", response{caps: old | CapPluginAuth, plugin: pluginSHA2, auth: []byte(pluginSHA2)}, nil, false, true},
		{"sha2 with lenenc", response{caps: old | CapPluginAuth | CapPluginAuthLenenc, plugin: pluginSHA2, auth: []byte(pluginSHA2)}, nil, false, true},
		{"unknown plugin", response{caps: old | CapPluginAuth, plugin: "dialog", auth: []byte("?")}, []string{pluginSHA2}, true, true},
		{"no plugin named", response{caps: old | CapPluginAuth, auth: []byte("?")}, []string{pluginSHA2}, true, true},
		{"proof made for another plugin", response{caps: old | CapPluginAuth, plugin: pluginNative}, []string{pluginNative}, true, true},
		{"proof of another length", response{caps: old | CapPluginAuth, plugin: pluginNative, auth: []byte("x")}, []string{pluginNative}, true, true},
		{"empty again", response{caps: old | CapPluginAuth, plugin: pluginNative}, []string{""}, true, false},
		{"wrong after the switch", response{caps: old | CapPluginAuth, plugin: "dialog"}, []string{strings.Repeat("y", 32)}, true, false},
		{"short after the switch", response{caps: old | CapPluginAuth, plugin: "dialog"}, []string{"y"}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.user = "app"
			packets, got := handWritten(t, &Login{Version: "v", Auth: testUsers}, tt.r, tt.answers...)
			last := packets[len(packets)-1]
			if (last[0] == headerOK) != tt.ok || (got.err == nil) != tt.ok {
				t.Errorf("%q, %v", packets, got.err)
			}
			if (packets[0][0] == headerEOF) != tt.switched {
				t.Errorf("switched is %v: %q", !tt.switched, packets)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	files := newCertificate(t, t.TempDir(), "localhost")
	reloader, err := ServerTLS(files.cert, files.key, "")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		login Login
		send  []byte
		code  uint16
	}{
		{"TLS required", Login{RequireTLS: true, TLS: reloader.Config}, frame(1, (&response{caps: CapProtocol41, user: "app"}).append(nil)), 3159},
		{"before 4.1", Login{}, frame(1, make([]byte, 40)), 1043},
		{"cut", Login{}, frame(1, (&response{caps: CapProtocol41, user: "app"}).append(nil)[:33]), 1043},
		{"HTTP", Login{}, []byte("GET / HTTP/1.1\r\n\r\n"), 1043},
		{"too large", Login{}, frame(1, make([]byte, maxLogin+1)), 1043},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.login.Auth = testUsers
			l, addr := listen(t, "tcp")
			result := serveLogin(t, l, &tt.login)
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			c := NewConn(nc)
			if _, err := c.ReadPacket(); err != nil {
				t.Fatal(err)
			}
			if _, err := nc.Write(tt.send); err != nil {
				t.Fatal(err)
			}
			if got := <-result; !errors.Is(got.err, &Error{Code: tt.code}) {
				t.Errorf("server: %v, want %d", got.err, tt.code)
			}
		})
	}
}

func TestProbes(t *testing.T) {
	for name, probe := range map[string]func(nc *net.TCPConn){
		"closes":             func(nc *net.TCPConn) { _ = nc.Close() },
		"resets":             func(nc *net.TCPConn) { _ = nc.SetLinger(0); _ = nc.Close() },
		"reads and closes":   func(nc *net.TCPConn) { _, _ = nc.Read(make([]byte, 200)); _ = nc.Close() },
		"says nothing":       func(*net.TCPConn) {},
		"closes its writing": func(nc *net.TCPConn) { _ = nc.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			peer, nc := tcpPair(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				probe(peer.(*net.TCPConn))
			}()
			defer func() { <-done }()
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if _, err := (&Login{Auth: testUsers}).Accept(ctx, NewConn(nc)); !errors.Is(err, ErrProbe) {
				t.Error(err)
			}
		})
	}
	peer, nc := tcpPair(t)
	_, _ = peer.Write([]byte{1, 2})
	_ = peer.(*net.TCPConn).CloseWrite()
	if _, err := (&Login{Auth: testUsers}).Accept(t.Context(), NewConn(nc)); err == nil || errors.Is(err, ErrProbe) {
		t.Errorf("a peer that began to speak: %v", err)
	}
}

func TestDialRefusals(t *testing.T) {
	greeting := func(caps Capability, plugin string) []byte {
		g := &Greeting{Version: "v", Capabilities: caps, AuthPlugin: plugin, salt: newSalt()}
		return frame(0, g.append(nil))
	}
	const usual = CapProtocol41 | CapSecureConnection | CapPluginAuth
	tests := []struct {
		name string
		o    DialOptions
		say  []byte
		want string
	}{
		{"too many connections", DialOptions{}, frame(0, []byte("\xff\x10\x04Too many connections")), "ERROR 1040 (HY000): Too many connections"},
		{"no MySQL", DialOptions{}, frame(0, []byte("hello")), "protocol version 104"},
		{"cut greeting", DialOptions{}, frame(0, []byte("\x0a8.0\x00")), "ends early"},
		{"gone", DialOptions{}, nil, io.ErrUnexpectedEOF.Error()},
		{"no TLS", DialOptions{TLS: TLSRequired}, greeting(usual, pluginSHA2), "doesn't offer it"},
		{"ancient", DialOptions{}, greeting(CapProtocol41, ""), "older than MySQL 4.1"},
		{"old passwords", DialOptions{}, append(greeting(usual, pluginNative), frame(2, []byte{headerEOF})...), "mysql_old_password"},
		{"unknown plugin", DialOptions{}, append(greeting(usual, pluginNative), frame(2, []byte("\xfeauth_pam\x00x\x00"))...), `"auth_pam"`},
		{"unexpected more", DialOptions{}, append(greeting(usual, pluginNative), frame(2, []byte{headerMore, 4})...), "unexpectedly"},
		{"bad key", DialOptions{Password: "x"}, append(greeting(usual, pluginSHA2), frame(2, []byte("\x01no pem"))...), "not in PEM"},
		{"nonsense", DialOptions{}, append(greeting(usual, pluginSHA2), frame(2, []byte{0x77})...), "0x77"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, addr := listen(t, "tcp")
			done := make(chan struct{})
			go func() {
				defer close(done)
				nc, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = nc.Write(tt.say)
				_ = nc.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, nc)
				nc.Close()
			}()
			tt.o.Addr = addr
			_, _, err := Dial(t.Context(), tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			<-done
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	_, addr := listen(t, "tcp") // nobody accepts
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := Dial(ctx, DialOptions{Addr: addr}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	cause := errors.New("enough")
	ctx2, cancel2 := context.WithCancelCause(context.Background())
	cancel2(cause)
	if _, _, err := Dial(ctx2, DialOptions{Addr: addr}); err == nil {
		t.Error("dialled with a context that had ended")
	}
}

func TestDialNeverAsksForWhatForwardCantRead(t *testing.T) {
	l, addr := listen(t, "tcp")
	all := DefaultCapabilities | CapLocalFiles | CapCompress | CapQueryAttributes | CapOptionalMetadata | CapZstd
	result := serveLogin(t, l, &Login{Auth: testUsers, Capabilities: all})
	c, _, err := Dial(t.Context(), DialOptions{
		Addr: addr, User: "empty",
		Capabilities: CapFoundRows | CapMultiStatements | CapCompress | CapQueryAttributes | CapOptionalMetadata | CapZstd,
	})
	got := <-result
	if err != nil || got.err != nil {
		t.Fatal(err, got.err)
	}
	defer c.Close()
	if caps := got.client.Capabilities; caps&never != 0 || !caps.Has(CapFoundRows) {
		t.Errorf("asked for %x", uint32(caps))
	}
}

func TestAcceptClearsItsDeadline(t *testing.T) {
	l, addr := listen(t, "tcp")
	result := serveLogin(t, l, &Login{Auth: testUsers})
	c, _, err := Dial(t.Context(), DialOptions{Addr: addr, User: "app", Password: "secret"})
	got := <-result
	if err != nil || got.err != nil {
		t.Fatal(err, got.err)
	}
	// serveLogin's context has been cancelled since; neither it nor the
	// deadline may reach the session.
	_ = c.WriteCommand(ComPing)
	_ = c.Flush()
	if cmd, _, err := got.server.ReadCommand(); err != nil || cmd != ComPing {
		t.Error(cmd, err)
	}
	c.Close()
}
