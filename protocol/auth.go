package protocol

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"

	"github.com/go-mysql-org/go-mysql/mysql"

	"shardway/protocol/secret"
)

const (
	pluginNative = mysql.AUTH_NATIVE_PASSWORD
	pluginSHA2   = mysql.AUTH_CACHING_SHA2_PASSWORD

	sha2KeyRequest = 0x02
	sha2FastOK     = 0x03
	sha2FullAuth   = 0x04
)

// newSalt makes the random bytes that a password is hashed with: printable
// ones, since old clients take them for a string.
func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	for i, b := range salt {
		salt[i] = '%' + b%('~'-'%')
	}
	return salt
}

// scramble proves that one knows the password; nil for an empty one.
func scramble(plugin string, salt []byte, password string) ([]byte, error) {
	switch plugin {
	case pluginNative:
		return mysql.CalcNativePassword(salt, []byte(password)), nil
	case pluginSHA2:
		return mysql.CalcCachingSha2Password(salt, []byte(password)), nil
	case mysql.AUTH_MARIADB_ED25519:
		return mysql.CalcEd25519Password(salt, password)
	}
	return nil, fmt.Errorf("protocol: the server wants the authentication plugin %q for this user; "+
		"create the user with caching_sha2_password or mysql_native_password", plugin)
}

func scrambleSize(plugin string) int {
	switch plugin {
	case pluginNative:
		return 20
	case pluginSHA2:
		return 32
	}
	return -1
}

// RSAKey is the key with which clients encrypt a password when they have
// neither TLS nor a unix socket. The zero value is ready: the key is made
// when it is first needed. It is shared by all Logins of a process.
type RSAKey struct {
	once sync.Once
	key  *rsa.PrivateKey
	pem  []byte
	err  error
}

func (k *RSAKey) load() error {
	k.once.Do(func() {
		if k.key, k.err = rsa.GenerateKey(rand.Reader, 2048); k.err != nil {
			return
		}
		var der []byte
		if der, k.err = x509.MarshalPKIXPublicKey(&k.key.PublicKey); k.err == nil {
			k.pem = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		}
	})
	return k.err
}

// decrypt undoes mysql.EncryptPassword.
func (k *RSAKey) decrypt(sealed, salt []byte) ([]byte, error) {
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, k.key, sealed, nil)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(mysql.Xor(plain, salt), []byte{0}), nil
}

func encrypt(password string, salt, key []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, badHandshake("the server's public key is not in PEM")
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, badHandshake("the server's public key: %v", err)
	}
	rsaKey, ok := pub.(*rsa.PublicKey)
	if !ok {
		return nil, badHandshake("the server's public key is a %T, not RSA", pub)
	}
	return mysql.EncryptPassword(password, salt, rsaKey)
}

// authenticate verifies who the client is. It returns an *Error if the client
// may not log in.
func (l *Login) authenticate(c *Conn, r *response, change bool) error {
	if l.Trust {
		return nil
	}
	if err := l.Auth.Admit(r.user); err != nil {
		return err
	}
	account := l.Auth.Account(r.user)
	if account == nil {
		account = &secret.Account{Secrets: []*secret.Secret{secret.Password("").Decoy()}}
	}
	err := l.prove(c, r, account, change)
	if err == nil && !account.Admits(c.TLS()) {
		err = AccessDenied(c, r.user, len(r.auth) > 0)
	}
	l.Auth.Proved(r.user, err == nil)
	return err
}

// prove verifies the user's password by whichever plugin it comes, and asks
// again where the client can't have known how to send it.
func (l *Login) prove(c *Conn, r *response, account *secret.Account, change bool) error {
	plugin, data, salt := r.plugin, r.auth, c.salt
	if !r.caps.Has(CapPluginAuth) {
		plugin = pluginNative
	}
	for switched := false; ; switched = true {
		size := scrambleSize(plugin)
		empty := len(data) == 0 || plugin == pluginSHA2 && len(data) == 1 && data[0] == 0
		next := plugin
		switch {
		case size < 0:
			next = l.defaultPlugin()
		case empty:
			if account.Empty() {
				return nil
			}
		case plugin == pluginSHA2 && l.FullAuth && len(data) == size:
			return l.fullAuth(c, r.user, account, salt)
		case len(data) == size:
			ok, unknown := account.Proves(plugin, salt, data)
			switch {
			case ok && plugin == pluginSHA2:
				return c.WritePacket([]byte{headerMore, sha2FastOK})
			case ok:
				return nil
			case unknown == nil:
				// The salt of a COM_CHANGE_USER may be one that the client has
				// forgotten; it gets a new one.
				if switched || !change {
					return AccessDenied(c, r.user, true)
				}
			case plugin == pluginNative:
				next = pluginSHA2
			case c.secure() || unknown.Salted():
				return l.fullAuth(c, r.user, account, salt)
			default:
				next = pluginNative
			}
		}
		if switched || !r.caps.Has(CapPluginAuth) {
			return AccessDenied(c, r.user, !empty)
		}
		plugin = next
		salt = newSalt()
		c.salt = salt
		request := append([]byte{headerEOF}, plugin...)
		request = append(append(append(request, 0), salt...), 0)
		var err error
		if data, err = c.exchange(request); err != nil {
			return err
		}
	}
}

func (l *Login) defaultPlugin() string {
	if scrambleSize(l.DefaultPlugin) < 0 {
		return pluginSHA2
	}
	return l.DefaultPlugin
}

// fullAuth has the client send its password: as it is where nobody can
// listen, else encrypted with the RSA key.
func (l *Login) fullAuth(c *Conn, user string, account *secret.Account, salt []byte) error {
	answer, err := c.exchange([]byte{headerMore, sha2FullAuth})
	if err != nil {
		return err
	}
	var sent []byte
	switch {
	case c.secure():
		sent = bytes.TrimSuffix(answer, []byte{0})
	case l.RSAKey == nil:
		return badHandshake("full authentication needs TLS, a unix socket or an RSA key")
	default:
		if err := l.RSAKey.load(); err != nil {
			return err
		}
		if len(answer) == 1 && answer[0] == sha2KeyRequest {
			if answer, err = c.exchange(append([]byte{headerMore}, l.RSAKey.pem...)); err != nil {
				return err
			}
		}
		if sent, err = l.RSAKey.decrypt(answer, salt); err != nil {
			return AccessDenied(c, user, true)
		}
	}
	if !account.Fits(string(sent)) {
		return AccessDenied(c, user, len(sent) > 0)
	}
	return nil
}

// exchange sends a packet and reads the answer.
func (c *Conn) exchange(request []byte) ([]byte, error) {
	if err := c.WritePacket(request); err != nil {
		return nil, err
	}
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return c.ReadPacket()
}

// secure says that nobody else can read what goes over the connection.
func (c *Conn) secure() bool {
	return c.tls != nil || c.base.RemoteAddr().Network() == "unix"
}

// AccessDenied is error 1045 in the servers' words; password says whether one
// was used.
func AccessDenied(c *Conn, user string, password bool) *Error {
	using := "NO"
	if password {
		using = "YES"
	}
	return Errorf(codeAccessDenied, "28000", "Access denied for user '%s'@'%s' (using password: %s)",
		user, c.remoteHost(), using)
}
