package protocol

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
)

func TestSHACrypt(t *testing.T) {
	// Of the specification.
	const want = "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8"
	if got := string(shaCrypt([]byte("Hello world!"), []byte("saltstring"), 5000)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// verifiers are all kinds of Secret for a password.
func verifiers(t *testing.T, password string) map[string]*Secret {
	t.Helper()
	salt := "0123456789abcdefghij"
	plain := Password(password)
	all := map[string]*Secret{"password": plain}
	for name, text := range map[string]string{
		"crypt":        "$A$005$" + salt + string(shaCrypt([]byte(password), []byte(salt), 5000)),
		"crypt in hex": "0x" + hex.EncodeToString([]byte("$A$005$"+salt+string(shaCrypt([]byte(password), []byte(salt), 5000)))),
		"native":       "*" + strings.ToUpper(hex.EncodeToString(plain.native[:])),
		"sha256":       hex.EncodeToString(plain.sha2.Load()[:]),
	} {
		s, err := Verifier(text)
		if err != nil {
			t.Fatal(name, err)
		}
		all[name] = s
	}
	return all
}

type accountsOf map[string]*Account

func (a accountsOf) Admit(string) error           { return nil }
func (a accountsOf) Account(user string) *Account { return a[user] }
func (a accountsOf) Proved(string, bool)          {}

func TestVerifiers(t *testing.T) {
	var key RSAKey
	for name, secret := range verifiers(t, "secret") {
		for _, plugin := range []string{pluginSHA2, pluginNative} {
			for _, network := range []string{"tcp", "unix"} {
				for _, decoy := range []bool{false, true} {
					login := &Login{Version: "v", DefaultPlugin: plugin, RSAKey: &key, Auth: accountsOf{
						"app": {Secrets: []*Secret{Password("other"), secret}},
					}}
					if decoy {
						login.Auth = accountsOf{"app": {Secrets: []*Secret{secret.Decoy()}}}
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
	for _, text := range []string{"", "*", "*12", "$A$", "$A$005$short", "$A$00z$" + strings.Repeat("x", 63), "0xz", strings.Repeat("g", 64)} {
		if _, err := Verifier(text); err == nil || text != "" && len(text) > 4 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSubject(t *testing.T) {
	raw, err := asn1.Marshal(pkix.Name{CommonName: "app", Organization: []string{"Shop, Inc"}, Country: []string{"DE"}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]bool{
		`CN=app,O=Shop\, Inc,C=DE`: true, `C=DE, O=Shop\, Inc, CN=app`: true, "CN=app": false, "CN=App": false,
		`CN=app,O=Shop\, Inc,C=D`: false, "": false, `\`: false,
	} {
		if got := hasSubject(raw, subject); got != want {
			t.Errorf("%s: %v", subject, got)
		}
	}
}
