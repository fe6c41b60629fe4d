package protocol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type certificateFiles struct{ cert, key string }

// newCertificate writes a certificate for a name, signed by itself.
func newCertificate(t *testing.T, dir, name string) certificateFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := certificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	write(t, f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return f
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLSModes(t *testing.T) {
	ours, others := newCertificate(t, t.TempDir(), "localhost"), newCertificate(t, t.TempDir(), "elsewhere")
	reloader, err := ServerTLS(ours.cert, ours.key, "")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		mode       TLSMode
		ca, name   string
		offered    bool
		encrypted  bool
		connection bool
	}{
		{TLSDisabled, "", "", true, false, true},
		{"", "", "", true, false, true},
		{TLSPreferred, "", "", true, true, true},
		{TLSPreferred, "", "", false, false, true},
		{TLSRequired, "", "", true, true, true},
		{TLSRequired, "", "", false, false, false},
		{TLSVerifyCA, ours.cert, "", true, true, true}, // dialled as 127.0.0.1
		{TLSVerifyCA, others.cert, "", true, false, false},
		{TLSVerifyCA, "", "", true, false, false},
		{TLSVerifyCA, ours.cert, "", false, false, false},
		{TLSVerifyIdentity, ours.cert, "localhost", true, true, true},
		{TLSVerifyIdentity, ours.cert, "elsewhere", true, false, false},
		{TLSVerifyIdentity, ours.cert, "", true, false, false}, // isn't for 127.0.0.1
		{TLSVerifyIdentity, others.cert, "localhost", true, false, false},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			config, err := ClientTLS(max(tt.mode, TLSDisabled), tt.ca, "", "", tt.name)
			if err != nil {
				t.Fatal(err)
			}
			l, addr := listen(t, "tcp")
			login := &Login{Auth: testUsers}
			if tt.offered {
				login.TLS = reloader.Config
			}
			result := serveLogin(t, l, login)
			c, _, err := Dial(t.Context(), DialOptions{Addr: addr, User: "app", Password: "secret", TLS: tt.mode, TLSConfig: config})
			if (err == nil) != tt.connection {
				t.Fatal(err)
			}
			if got := <-result; (got.err == nil) != tt.connection {
				t.Error(got.err)
			}
			if err == nil {
				if (c.TLS() != nil) != tt.encrypted {
					t.Errorf("encrypted: %v", c.TLS() != nil)
				}
				c.Close()
			}
		})
	}
	if _, err := ClientTLS("sometimes", "", "", "", ""); err == nil {
		t.Error("an unknown mode is accepted")
	}
}

func TestTLS11IsRefused(t *testing.T) {
	files := newCertificate(t, t.TempDir(), "localhost")
	reloader, err := ServerTLS(files.cert, files.key, "")
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() {
		_ = tls.Client(a, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
		a.Close()
	}()
	if err := tls.Server(b, reloader.Config()).Handshake(); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestClientCertificates(t *testing.T) {
	server, client, stranger := newCertificate(t, t.TempDir(), "localhost"), newCertificate(t, t.TempDir(), "c"), newCertificate(t, t.TempDir(), "x")
	reloader, err := ServerTLS(server.cert, server.key, client.cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		files certificateFiles
		ok    bool
		peers int
	}{{client, true, 1}, {certificateFiles{}, true, 0}, {stranger, false, 0}} {
		config, err := ClientTLS(TLSRequired, "", tt.files.cert, tt.files.key, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(config.Certificates) > 0 { // sent although the server names another authority
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &config.Certificates[0], nil
			}
		}
		l, addr := listen(t, "tcp")
		result := serveLogin(t, l, &Login{Auth: testUsers, TLS: reloader.Config})
		c, _, err := Dial(t.Context(), DialOptions{Addr: addr, User: "app", Password: "secret", TLS: TLSRequired, TLSConfig: config})
		got := <-result
		if (err == nil) != tt.ok || (got.err == nil) != tt.ok {
			t.Fatal(tt.files, err, got.err)
		}
		if tt.ok {
			if n := len(got.server.TLS().PeerCertificates); n != tt.peers {
				t.Errorf("%d certificates", n)
			}
			c.Close()
		}
	}
}

func TestCertificatesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	files := newCertificate(t, dir, "first")
	r, err := ServerTLS(files.cert, files.key, "")
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	r.OnError = func(err error) { errs = append(errs, err) }
	name := func() string {
		c, err := x509.ParseCertificate(r.Config().Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return c.Subject.CommonName
	}
	if first := r.Config(); first != r.Config() || name() != "first" {
		t.Fatal("files that haven't changed are read again")
	}
	newCertificate(t, dir, "second, with a longer name")
	if got := name(); got != "second, with a longer name" {
		t.Errorf("serves %q", got)
	}
	write(t, files.cert, []byte("broken"))
	if got := name(); got != "second, with a longer name" || len(errs) != 1 {
		t.Errorf("serves %q, errors %v", got, errs)
	}
	if name(); len(errs) != 1 {
		t.Errorf("the error is told again: %v", errs)
	}
	newCertificate(t, dir, "third")
	if got := name(); got != "third" || len(errs) != 1 {
		t.Errorf("serves %q, errors %v", got, errs)
	}
	if _, err := ServerTLS(filepath.Join(dir, "none"), files.key, ""); err == nil {
		t.Error("a missing certificate is accepted")
	}
	if _, err := ServerTLS(files.cert, files.key, files.key); err == nil {
		t.Error("a CA without certificates is accepted")
	}
}
