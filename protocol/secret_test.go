package protocol

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"shardway/protocol/secret"
)

// verifiers are all kinds of Secret for a password.
func verifiers(t *testing.T, password string) map[string]*secret.Secret {
	t.Helper()
	native := sha1.Sum([]byte(password))
	native = sha1.Sum(native[:])
	sha2 := sha256.Sum256([]byte(password))
	sha2 = sha256.Sum256(sha2[:])
	const crypt = "$A$005$0123456789abcdefghijDzxW9TvqYzWluI.c0TEKGiv1WF2zptVscigC2dPeKP2"
	all := map[string]*secret.Secret{"password": secret.Password(password)}
	for name, text := range map[string]string{
		"crypt": crypt, "crypt in hex": "0x" + hex.EncodeToString([]byte(crypt)),
		"native": "*" + strings.ToUpper(hex.EncodeToString(native[:])), "sha256": hex.EncodeToString(sha2[:]),
	} {
		s, err := secret.Verifier(text)
		if err != nil {
			t.Fatal(name, err)
		}
		all[name] = s
	}
	return all
}

type accountsOf map[string]*secret.Account

func (a accountsOf) Admit(string) error                  { return nil }
func (a accountsOf) Account(user string) *secret.Account { return a[user] }
func (a accountsOf) Proved(string, bool)                 {}

func TestVerifiers(t *testing.T) {
	var key RSAKey
	for name, of := range verifiers(t, "secret") {
		for _, plugin := range []string{pluginSHA2, pluginNative} {
			for _, network := range []string{"tcp", "unix"} {
				for _, decoy := range []bool{false, true} {
					login := &Login{Version: "v", DefaultPlugin: plugin, RSAKey: &key, Auth: accountsOf{
						"app": {Secrets: []*secret.Secret{secret.Password("other"), of}},
					}}
					if decoy {
						login.Auth = accountsOf{"app": {Secrets: []*secret.Secret{of.Decoy()}}}
					}
					for _, password := range []string{"secret", "secret", "wrong", ""} {
						l, addr := listen(t, network)
						result := serveLogin(t, l, login)
						c, _, err := Dial(t.Context(), DialOptions{Addr: addr, User: "app", Password: password})
						got := <-result
						if want := password == "secret" && !decoy; (err == nil) != want || (got.err == nil) != want {
							t.Errorf("%s, %s, %s, password %q, decoy %v: client %v, server %v", name, plugin, network, password, decoy, err, got.err)
						}
						if err == nil {
							c.Close()
						}
					}
				}
			}
		}
	}
}
