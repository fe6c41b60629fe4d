package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardway/test/cluster"
)

// TestVCertificateReload replaces the certificate under a daemon that serves.
func TestVCertificateReload(t *testing.T) {
	on(t, cluster.MariaDB, "certs", app, func(e *env) {
		files, err := cluster.Certificates(e.TempDir())
		e.must(err)
		d := e.serve(settings{"tls": fmt.Sprintf("{mode: required, cert: %q, key: %q}", files.Cert, files.Key)})
		// put replaces one file as editors and Kubernetes do, by renaming.
		put := func(path string, content []byte) {
			e.Helper()
			e.must(os.WriteFile(path+".new", content, 0o600))
			e.must(os.Rename(path+".new", path))
		}
		dial := func() (*wire, string) {
			e.Helper()
			w := e.dial(d, func(o *wireOptions) { o.tls = &tls.Config{InsecureSkipVerify: true} }) //nolint:gosec // the certificate is looked at
			if got, err := w.one("SELECT name FROM users WHERE id = 7"); err != nil || got != "user 7" {
				e.Fatalf("%q, %v", got, err)
			}
			return w, w.nc.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
		}
		first, serial := dial()
		for round := range 3 {
			// Between the two files comes a connection: the pair doesn't fit then.
			next, err := cluster.Certificates(e.TempDir())
			e.must(err)
			cert, err := os.ReadFile(next.Cert)
			e.must(err)
			key, err := os.ReadFile(next.Key)
			e.must(err)
			put(files.Cert, cert)
			if _, got := dial(); got != serial {
				e.Errorf("round %d: certificate %s with half of the files replaced, want still %s", round, got, serial)
			}
			put(files.Key, key)
			_, got := dial()
			if got == serial {
				e.Errorf("round %d: still certificate %s with both files replaced", round, got)
			}
			serial = got

			for _, broken := range []func(){
				func() { put(files.Cert, []byte("nonsense")) },
				func() { put(files.Cert, cert[:len(cert)/2]) },
				func() { put(files.Key, nil) },
				func() { e.must(os.Remove(files.Key)) },
			} {
				broken()
				if _, got := dial(); got != serial {
					e.Errorf("round %d: certificate %s with broken files, want still %s", round, got, serial)
				}
			}
			if !strings.Contains(d.log.String(), filepath.Base(files.Cert)) && !strings.Contains(d.log.String(), "certificate") {
				e.Error("the log says nothing of a broken certificate")
			}
			put(files.Cert, cert)
			put(files.Key, key)
			if _, got := dial(); got != serial {
				e.Errorf("round %d: certificate %s with the files whole again, want %s", round, got, serial)
			}
		}
		// Who was connected all the time still is.
		if got, err := first.one("SELECT name FROM users WHERE id = 8"); err != nil || got != "user 8" {
			e.Errorf("a connection from before: %q, %v", got, err)
		}
	})
}

// TestVTLSVersions: TLS 1.2 at least.
func TestVTLSVersions(t *testing.T) {
	on(t, cluster.MariaDB, "tlsversions", app, func(e *env) {
		files, err := cluster.Certificates(e.TempDir())
		e.must(err)
		d := e.serve(settings{"tls": fmt.Sprintf("{mode: preferred, cert: %q, key: %q}", files.Cert, files.Key)})
		for _, c := range []struct {
			name    string
			version uint16
			good    bool
		}{{"1.0", tls.VersionTLS10, false}, {"1.1", tls.VersionTLS11, false}, {"1.2", tls.VersionTLS12, true}, {"1.3", tls.VersionTLS13, true}} {
			w, err := dialWire(wireOptions{
				addr: d.addr, user: "app", password: "app", db: e.db.Name,
				tls: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: c.version}, //nolint:gosec // old versions are what is tested
			})
			if err == nil {
				got := w.nc.(*tls.Conn).ConnectionState().Version
				if got != c.version {
					e.Errorf("TLS %s: the connection has version %x", c.name, got)
				}
				w.close()
			}
			if (err == nil) != c.good {
				e.Errorf("TLS %s: %v, want it to go well: %t", c.name, err, c.good)
			}
			var alert tls.AlertError
			if !c.good && !errors.As(err, &alert) && !strings.Contains(fmt.Sprint(err), "protocol version") {
				e.Errorf("TLS %s: %v, want the alert for a version that isn't supported", c.name, err)
			}
		}
	})
}
