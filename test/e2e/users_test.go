package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"shardway/test/cluster"
)

// TestUsers logs in with a verifier of a server, with two passwords, and by certificates.
func TestUsers(t *testing.T) {
	onBoth(t, "users", app, func(e *env) {
		ask := "SELECT PASSWORD('geheim')"
		if e.mysql() {
			e.must(e.c.Plain.Exec(e.ctx, "DROP USER IF EXISTS verified", "CREATE USER verified IDENTIFIED WITH caching_sha2_password BY 'geheim'"))
			e.Cleanup(func() { _ = e.c.Plain.Exec(e.ctx, "DROP USER verified") })
			ask = "SELECT CONCAT('0x', HEX(authentication_string)) FROM mysql.user WHERE user = 'verified'"
		}
		verifier, err := e.c.Plain.Text(e.ctx, ask)
		e.must(err)
		files, err := cluster.Certificates(e.TempDir())
		e.must(err)
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		e.must(err)
		users := func(old string) string {
			return fmt.Sprintf("{app: {password: new%s, databases: [%s]}, verified: {verifier: '%s'}, cert: {password: c, require: x509}, "+
				"named: {password: n, subject: CN=127.0.0.1}, misnamed: {password: m, subject: CN=other}, tls: {password: t, require: tls}}", old, e.db.Name, verifier)
		}
		s := settings{
			"tls":   fmt.Sprintf("{mode: preferred, cert: %q, key: %q, client_ca: %q}", files.Cert, files.Key, files.CA),
			"users": users(", old_password: old"),
		}
		d := e.serve(s)
		plain := &tls.Config{InsecureSkipVerify: true}                                        //nolint:gosec // the client's side is what is tested
		shown := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}} //nolint:gosec // likewise
		try := func(user, password, network, plugin string, with *tls.Config, want bool) {
			e.Helper()
			o := wireOptions{addr: d.addr, user: user, password: password, plugin: plugin, tls: with}
			if network == "unix" {
				o.network, o.addr = "unix", d.socket
			}
			w, err := dialWire(o)
			if err == nil {
				if got, err := w.one("SELECT 1"); got != "1" || err != nil {
					e.Errorf("%s: %q, %v", user, got, err)
				}
				w.close()
			}
			var we *wireError
			if (err == nil) != want || err != nil && (!errors.As(err, &we) || we.Code != 1045) {
				e.Errorf("%s with %s by %s and %q: %v, want it to go well: %t", user, password, network, plugin, err, want)
			}
		}
		for _, plugin := range []string{"", "caching_sha2_password", "mysql_native_password"} {
			for _, network := range []string{"tcp", "unix"} {
				try("verified", "geheim", network, plugin, nil, true)
				try("verified", "falsch", network, plugin, nil, false)
				try("verified", "geheim", network, plugin, nil, true)
				try("app", "old", network, plugin, nil, true)
				try("app", "new", network, plugin, nil, true)
			}
			try("verified", "geheim", "tcp", plugin, plain, true)
		}
		try("cert", "c", "tcp", "", nil, false)
		try("cert", "c", "tcp", "", plain, false)
		try("cert", "c", "tcp", "", shown, true)
		try("cert", "x", "tcp", "", shown, false)
		try("named", "n", "tcp", "", shown, true)
		try("misnamed", "m", "tcp", "", shown, false)
		try("tls", "t", "tcp", "", nil, false)
		try("tls", "t", "tcp", "", plain, true)

		// Unknown users get what wrong passwords get.
		messages := map[string]string{}
		for _, user := range []string{"app", "nobody"} {
			_, err := dialWire(wireOptions{addr: d.addr, user: user, password: "wrong"})
			messages[user] = strings.ReplaceAll(fmt.Sprint(err), user, "USER")
		}
		if messages["app"] != messages["nobody"] || !strings.Contains(messages["app"], "1045 (28000) Access denied for user 'USER'@'127.0.0.1' (using password: YES)") {
			e.Errorf("%q", messages)
		}

		// The old password ends with a reload, and no session does.
		stays, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "old"})
		e.must(err)
		defer stays.close()
		s["users"] = users("")
		d.rewrite("shardway.yaml", d.configuration(s, e.db.Name))
		d.signal(syscall.SIGHUP)
		e.until("the end of the old password", func() bool {
			w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "old", network: "", from: "127.0.0.2"})
			if err == nil {
				w.close()
			}
			return err != nil
		})
		if got, err := stays.one("SELECT 1"); got != "1" || err != nil {
			e.Errorf("a session of before: %q, %v", got, err)
		}
		for _, secret := range []string{"geheim", "falsch", verifier} {
			if strings.Contains(d.log.String(), secret) {
				e.Errorf("the log holds %q", secret)
			}
		}

		// Guessing gets slow, for those who guess alone.
		for range 4 {
			_, _ = dialWire(wireOptions{addr: d.addr, user: "app", password: "guess", from: "127.0.0.3"})
		}
		began := time.Now()
		_, err = dialWire(wireOptions{addr: d.addr, user: "app", password: "guess", from: "127.0.0.3"})
		if took := time.Since(began); err == nil || took < 200*time.Millisecond {
			e.Errorf("the fifth guess took %v: %v", took, err)
		}
		w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "new", from: "127.0.0.4"})
		e.must(err)
		w.close()
	})
}
