package secret

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
)

// Account is what a user must prove to log in.
type Account struct {
	Secrets []*Secret // one of them

	// TLS, X509 and Subject ask for an encrypted connection, for a certificate
	// (which the TLS configuration verifies), and for one of that subject, in
	// the order of RFC 2253 or of OpenSSL: CN=app,O=Shop or /O=Shop/CN=app.
	TLS, X509 bool
	Subject   string
}

// Empty says whether the empty password will do.
func (a *Account) Empty() bool {
	return slices.ContainsFunc(a.Secrets, func(s *Secret) bool { return s.Empty() })
}

// Proves says whether data proves one of the secrets; unknown is one for which
// it can't be said, if there is any: one of crypt where there is.
func (a *Account) Proves(plugin string, salt, data []byte) (ok bool, unknown *Secret) {
	for _, s := range a.Secrets {
		proven, known := s.Proves(plugin, salt, data)
		ok = ok || proven
		// After a change of password the proof of a crypt may be that of the
		// other password, or wrong: only the password itself tells.
		if (!known || s.Salted()) && (unknown == nil || !unknown.Salted()) {
			unknown = s
		}
	}
	return ok, unknown
}

// Fits says whether this is one of the passwords.
func (a *Account) Fits(password string) (ok bool) {
	for _, s := range a.Secrets {
		ok = s.Fits(password) || ok
	}
	return ok
}

// Admits says whether a connection is what the account asks for; t is nil for
// one that isn't encrypted.
func (a *Account) Admits(t *tls.ConnectionState) bool {
	if !a.TLS && !a.X509 && a.Subject == "" {
		return true
	}
	if t == nil {
		return false
	}
	if !a.X509 && a.Subject == "" {
		return true
	}
	if len(t.VerifiedChains) == 0 {
		return false
	}
	return a.Subject == "" || hasSubject(t.PeerCertificates[0].RawSubject, a.Subject)
}

func hasSubject(raw []byte, want string) bool {
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &names); err != nil || len(rest) > 0 {
		return false
	}
	got := make([]string, 0, len(names))
	for _, name := range names {
		got = append(got, pkix.RDNSequence{name}.String())
	}
	list := splitSubject(want)
	if slices.Equal(got, list) {
		return true
	}
	slices.Reverse(got)
	return slices.Equal(got, list)
}

// splitSubject takes a subject apart at its commas, or at its slashes where it
// begins with one. A comma that is part of a value has a backslash before it.
func splitSubject(s string) []string {
	if strings.HasPrefix(s, "/") {
		return strings.Split(s[1:], "/")
	}
	var list []string
	begin := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',':
			list = append(list, strings.TrimSpace(s[begin:i]))
			begin = i + 1
		}
	}
	return append(list, strings.TrimSpace(s[begin:]))
}
