package protocol

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLSMode says how a connection to a server is encrypted, in the words of
// MySQL's clients.
type TLSMode string

// The modes.
const (
	TLSDisabled       TLSMode = "disabled"        // never
	TLSPreferred      TLSMode = "preferred"       // where the server offers it; nothing is verified
	TLSRequired       TLSMode = "required"        // always; nothing is verified
	TLSVerifyCA       TLSMode = "verify-ca"       // and the certificate is one of the CA's
	TLSVerifyIdentity TLSMode = "verify-identity" // and it is for the name that was dialled
)

// ClientTLS makes the configuration for Dial. An empty ca means the system's;
// cert and key, both or neither, are what the server gets to see; an empty
// serverName is the host that is dialled. All are paths of PEM files. It is
// nil when the mode is disabled.
func ClientTLS(mode TLSMode, ca, cert, key, serverName string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	switch mode {
	case TLSDisabled:
		return nil, nil
	case TLSPreferred, TLSRequired:
		config.InsecureSkipVerify = true
	case TLSVerifyCA, TLSVerifyIdentity:
	default:
		return nil, fmt.Errorf("protocol: TLS mode %q is none of disabled, preferred, required, verify-ca, verify-identity", mode)
	}
	if ca != "" {
		pool, err := readCA(ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if mode == TLSVerifyCA {
		// crypto/tls verifies the chain only together with the name.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, config.RootCAs) }
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("protocol: client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("protocol: the server has no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}

func readCA(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("protocol: CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("protocol: CA: no certificate in %s", path)
	}
	return pool, nil
}

// TLSReloader is the server's side of TLS with files that may change. At each
// handshake it looks whether they have; while new files are broken the old
// certificate stays. It is safe for concurrent use.
type TLSReloader struct {
	// OnError is told, once for each change, why changed files can't be used.
	// It is set before the first Config; it may be nil.
	OnError func(error)

	files [3]string // certificate, key, client CA

	mu     sync.Mutex
	seen   [3]stamp
	config *tls.Config
}

// stamp is by what a changed file is known.
type stamp struct {
	modified time.Time
	size     int64
}

// ServerTLS reads a certificate with its key, and with clientCA, which may be
// empty, the authority that clients' certificates must be from where they
// send one.
func ServerTLS(cert, key, clientCA string) (*TLSReloader, error) {
	r := &TLSReloader{files: [3]string{cert, key, clientCA}}
	r.seen = r.stamps()
	config, err := r.read()
	if err != nil {
		return nil, err
	}
	r.config = config
	return r, nil
}

// Config gives the configuration for one more connection.
func (r *TLSReloader) Config() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.stamps()
	if now == r.seen {
		return r.config
	}
	r.seen = now
	config, err := r.read()
	if err != nil {
		if r.OnError != nil {
			r.OnError(err)
		}
		return r.config
	}
	r.config = config
	return config
}

func (r *TLSReloader) stamps() (s [3]stamp) {
	for i, name := range r.files {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{modified: info.ModTime(), size: info.Size()}
		}
	}
	return s
}

func (r *TLSReloader) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(r.files[0], r.files[1])
	if err != nil {
		return nil, fmt.Errorf("protocol: server certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if r.files[2] != "" {
		if config.ClientCAs, err = readCA(r.files[2]); err != nil {
			return nil, err
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}
