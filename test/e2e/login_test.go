package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

// TestF13Logins logs in by each plugin, transport and way of TLS, rightly and wrongly.
func TestF13Logins(t *testing.T) {
	onBoth(t, "login", app, func(e *env) {
		files, err := cluster.Certificates(e.TempDir())
		e.must(err)
		pem, err := os.ReadFile(files.CA)
		e.must(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		secure := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}

		for _, mode := range []string{"disabled", "preferred", "required"} {
			s := settings{"tls": fmt.Sprintf("{mode: %s, cert: %q, key: %q}", mode, files.Cert, files.Key)}
			if mode == "disabled" {
				s["tls"] = "{mode: disabled}"
			}
			d := e.serve(s)
			for _, plugin := range []string{"", "caching_sha2_password", "mysql_native_password", "unknown_plugin"} {
				for _, transport := range []string{"tcp", "tls", "unix"} {
					for _, password := range []string{"app", "wrong", ""} {
						name := fmt.Sprintf("tls %s, plugin %q, %s, password %q", mode, plugin, transport, password)
						o := wireOptions{addr: d.addr, user: "app", password: password, db: e.db.Name, plugin: plugin}
						want := uint16(0)
						switch {
						case transport == "tls" && mode == "disabled":
							continue
						case transport == "tls":
							o.tls = secure
						case transport == "unix":
							o.network, o.addr = "unix", d.socket
						}
						if password != "app" {
							want = 1045
						}
						if transport == "tcp" && mode == "required" {
							want = 3159
						}
						for range 2 { // the second time from whatever was cached
							w, err := dialWire(o)
							if want == 0 {
								if err != nil {
									e.Errorf("%s: %v", name, err)
									break
								}
								if got, err := w.one("SELECT DATABASE()"); got != e.db.Name || err != nil {
									e.Errorf("%s: database %q, %v", name, got, err)
								}
								w.close()
								continue
							}
							var we *wireError
							if !errors.As(err, &we) || we.Code != want {
								e.Errorf("%s: %v, want %d", name, err, want)
							}
							if err == nil {
								w.close()
							}
						}
					}
				}
			}
			if _, err := dialWire(wireOptions{addr: d.addr, user: "nobody", password: "x"}); err == nil {
				e.Errorf("tls %s: an unknown user logged in", mode)
			}
			var we *wireError
			o := wireOptions{network: "unix", addr: d.socket, user: "app", password: "app", db: "mysql"}
			if _, err := dialWire(o); !errors.As(err, &we) || we.Code != 1044 && we.Code != 1049 {
				e.Errorf("tls %s: a database that isn't the user's: %v, want 1044 or 1049", mode, err)
			}
		}

		// The greeting agrees with the server.
		d := e.serve(nil)
		w, plain := e.dial(d, nil), e.plain(nil)
		if w.version != plain.version {
			e.Errorf("the greeting says %q, the servers say %q", w.version, plain.version)
		}
		if got, err := w.one("SELECT VERSION()"); got != strings.TrimPrefix(w.version, "5.5.5-") || err != nil {
			e.Errorf("VERSION() is %q, %v, the greeting said %q", got, err, w.version)
		}
		got, err1 := w.one("SELECT @@max_allowed_packet")
		want, err2 := plain.one("SELECT @@max_allowed_packet")
		if err := errors.Join(err1, err2); err != nil || got == "0" || want == "0" {
			e.Errorf("max_allowed_packet is %s, on the server %s, %v", got, want, err)
		}
	})
}

// TestF13ServerTLS logs in to the servers in all ways of TLS: to MariaDB by mysql_native_password, to MySQL by
// caching_sha2_password.
func TestF13ServerTLS(t *testing.T) {
	onBoth(t, "srvtls", app, func(e *env) {
		other, err := cluster.Certificates(e.TempDir())
		e.must(err)
		for _, c := range []struct {
			tls    string
			cipher bool
		}{
			{"{mode: disabled}", false},
			{"{mode: preferred}", true},
			{"{mode: required}", true},
			{fmt.Sprintf("{mode: verify-ca, ca: %q}", e.c.TLS.CA), true},
			{fmt.Sprintf("{mode: verify-identity, ca: %q}", e.c.TLS.CA), true},
		} {
			if e.mysql() {
				// The servers forget who has logged in, so that caching_sha2_password asks for the whole password: by TLS,
				// or without it under the server's public key.
				for _, s := range e.c.Servers() {
					e.must(s.Exec(e.ctx, "FLUSH LOCAL PRIVILEGES"))
				}
			}
			d := e.serve(settings{"servers": "{user: shardway, password: secret, tls: " + c.tls + "}"})
			rows, err := e.dial(d, nil).text("SHOW STATUS LIKE 'Ssl_cipher'")
			if err != nil || (rows[0][1] != "") != c.cipher {
				e.Errorf("%s: cipher %v, %v", c.tls, rows, err)
			}
		}
		// Another authority: no server is usable.
		path, err := daemonBinary()
		e.must(err)
		dir := e.TempDir()
		d := &daemon{addr: freeAddr(e), admin: freeAddr(e), socket: filepath.Join(dir, "sock")}
		e.must(os.WriteFile(filepath.Join(dir, "shards.yaml"), []byte(e.c.Map(e.db.Map(e.c.Shards))), 0o600))
		conf := d.configuration(settings{"servers": fmt.Sprintf("{user: shardway, password: secret, tls: {mode: verify-ca, ca: %q}}", other.CA)}, e.db.Name)
		e.must(os.WriteFile(filepath.Join(dir, "shardway.yaml"), []byte(conf), 0o600))
		out, err := shardwayCommand(path, "check", "--connect", "-c", filepath.Join(dir, "shardway.yaml")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "certificate") {
			e.Errorf("check with another authority: %v\n%s", err, out)
		}
	})
}

// TestCheck runs `shardway check --connect` on what is right and what isn't.
func TestCheck(t *testing.T) {
	onBoth(t, "checks", app, func(e *env) {
		path, err := daemonBinary()
		e.must(err)
		check := func(shardmap string, s settings) (string, error) {
			dir := e.TempDir()
			d := &daemon{addr: freeAddr(e), admin: freeAddr(e), socket: filepath.Join(dir, "sock")}
			e.must(os.WriteFile(filepath.Join(dir, "shards.yaml"), []byte(shardmap), 0o600))
			e.must(os.WriteFile(filepath.Join(dir, "shardway.yaml"), []byte(d.configuration(s, e.db.Name)), 0o600))
			out, err := shardwayCommand(path, "check", "--connect", "-c", filepath.Join(dir, "shardway.yaml")).CombinedOutput()
			return string(out), err
		}
		good := e.c.Map(e.db.Map(e.c.Shards))
		if out, err := check(good, nil); err != nil {
			e.Errorf("a right configuration: %v\n%s", err, out)
		}
		sh := e.c.Shards[0]
		swapped := strings.NewReplacer(sh.Primary.Addr, sh.Replicas[0].Addr, sh.Replicas[0].Addr, sh.Primary.Addr).Replace(good)
		for _, c := range []struct {
			name, shardmap, want string
			s                    settings
		}{
			{name: "primary and replica swapped", shardmap: swapped, want: sh.Replicas[0].Addr},
			{name: "no such table", shardmap: good + "      nosuch: {key: id, placement: mod}\n", want: "nosuch"},
			{name: "no such key", shardmap: strings.Replace(good, "key: user_id", "key: nosuch", 1), want: "nosuch"},
			{name: "text placed by mod", shardmap: strings.Replace(good, "placement: crc32", "placement: mod", 1), want: "sessions"},
			{name: "a wrong password", shardmap: good, want: "1045", s: settings{"servers": "{user: shardway, password: wrong}"}},
		} {
			if out, err := check(c.shardmap, c.s); err == nil || !strings.Contains(out, c.want) {
				e.Errorf("%s: %v, want an error about %s\n%s", c.name, err, c.want, out)
			}
		}
	})
}

// TestDrivers uses Shardway as programs do.
func TestDrivers(t *testing.T) {
	onBoth(t, "drivers", app, func(e *env) {
		files, err := cluster.Certificates(e.TempDir())
		e.must(err)
		d := e.serve(settings{"tls": fmt.Sprintf("{mode: preferred, cert: %q, key: %q}", files.Cert, files.Key)})
		host, port, _ := strings.Cut(d.addr, ":")

		for _, c := range []struct {
			name   string
			change func(*mysql.Config)
		}{
			{"plain", nil},
			{"interpolated", func(c *mysql.Config) { c.InterpolateParams = true }},
			{"tls", func(c *mysql.Config) { c.TLSConfig = "skip-verify" }},
			{"times", func(c *mysql.Config) { c.ParseTime, c.Loc = true, time.UTC }},
			{"unix", func(c *mysql.Config) { c.Net, c.Addr = "unix", d.socket }},
			{"found rows", func(c *mysql.Config) { c.ClientFoundRows = true }},
			{"variables", func(c *mysql.Config) {
				c.Params = map[string]string{"sql_mode": "'ANSI_QUOTES'", "time_zone": "'+01:00'"}
			}},
			{"collation", func(c *mysql.Config) { c.Collation = "utf8mb4_bin" }},
			{"charset", func(c *mysql.Config) { _ = c.Apply(mysql.Charset("utf8mb4", "utf8mb4_unicode_ci")) }},
		} {
			e.Run("go-sql-driver "+c.name, func(t *testing.T) { e.goDriver(t, e.open(d, c.change), c.name) })
		}

		query := "SELECT name FROM users WHERE id = 7; SELECT COUNT(*) FROM countries; UPDATE users SET age = 50 WHERE id = 8; SHOW WARNINGS; SELECT CHARSET('x'), DATABASE();"
		for _, c := range []struct {
			name string
			cmd  *exec.Cmd
		}{
			{"tcp", e.c.Flavor.Client("-h"+host, "-P"+port, "-uapp", "-papp", e.db.Name, "-e", query)},
			{"socket", e.c.Flavor.Client("-S"+d.socket, "-uapp", "-papp", e.db.Name, "-e", query)},
			{"the other kind's client", other(e.c.Flavor).Client("-h"+host, "-P"+port, "-uapp", "-papp", e.db.Name, "-e", query)},
		} {
			e.Run("client "+c.name, func(t *testing.T) {
				if why := other(e.c.Flavor).Missing(); strings.HasPrefix(c.name, "the other") && why != "" {
					t.Skip(why)
				}
				out, err := c.cmd.CombinedOutput()
				for _, want := range []string{"user 7", "\n5\n", e.db.Name} {
					if err != nil || !strings.Contains(string(out), want) {
						t.Errorf("%v, want %q in\n%s", err, want, out)
						break
					}
				}
			})
		}

		e.Run("PyMySQL", func(t *testing.T) {
			python := "/usr/bin/python3"
			if err := exec.Command(python, "-c", "import pymysql").Run(); err != nil {
				t.Skip("python3-pymysql isn't installed: run make test-tools")
			}
			script, err := filepath.Abs("testdata/pymysql_client.py")
			e.must(err)
			if out, err := exec.Command(python, script, host, port, d.socket, e.db.Name, files.CA).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	})
}

func other(f cluster.Flavor) cluster.Flavor {
	if f == cluster.MySQL {
		return cluster.MariaDB
	}
	return cluster.MySQL
}

func (e *env) goDriver(t *testing.T, db *sql.DB, mode string) {
	t.Helper()
	db.SetMaxOpenConns(4)
	for id := int64(-3); id < 20; id++ {
		var name string
		if err := db.QueryRowContext(e.ctx, "SELECT name FROM users WHERE id = ?", id).Scan(&name); err != nil || name != fmt.Sprintf("user %d", id) {
			t.Fatalf("id %d: %q, %v", id, name, err)
		}
	}
	c, err := db.Conn(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	one := func(want, q string, args ...any) {
		t.Helper()
		var got sql.NullString
		if err := c.QueryRowContext(e.ctx, q, args...).Scan(&got); err != nil || got.String != want {
			t.Errorf("%s: %q, %v, want %q", q, got.String, err, want)
		}
	}
	switch mode {
	case "variables":
		one("ANSI_QUOTES", "SELECT @@sql_mode")
		one("+01:00", "SELECT @@time_zone")
	case "collation":
		one("utf8mb4_bin", "SELECT @@collation_connection")
	case "charset":
		one("utf8mb4_unicode_ci", "SELECT @@collation_connection")
	case "found rows":
		res, err := c.ExecContext(e.ctx, "UPDATE notes SET user_id = 2 WHERE id = 2")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			t.Errorf("found %d rows, %v, want 1", n, err)
		}
	}
	one("日本", "SELECT name FROM countries WHERE code = ?", "jp")
	one("😀", "SELECT ?", "😀")

	tx, err := c.BeginTx(e.ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(e.ctx, "INSERT INTO users (id, name) VALUES (?, ?)", 9000, "from go"); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	one("0", "SELECT COUNT(*) FROM users WHERE id = ?", 9000)
	ro, err := c.BeginTx(e.ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ro.ExecContext(e.ctx, "INSERT INTO users (id, name) VALUES (?, ?)", 9001, "from go"); err == nil {
		t.Error("a READ ONLY transaction wrote")
	}
	if err := ro.Commit(); err != nil {
		t.Error(err)
	}
	res, err := c.ExecContext(e.ctx, "INSERT INTO notes (txt) VALUES (?)", "go "+mode)
	if err != nil {
		t.Fatal(err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		t.Fatal(err)
	}
	one(fmt.Sprint(id), "SELECT LAST_INSERT_ID()")
	rows, err := c.QueryContext(e.ctx, "SELECT * FROM kinds WHERE id = ?", 1)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := rows.ColumnTypes()
	if err != nil || len(columns) != 30 {
		t.Errorf("%d columns, %v, want 30", len(columns), err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	stmt, err := c.PrepareContext(e.ctx, "SELECT total FROM orders WHERE user_id = ? AND id = ?")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stmt.Close() }()
	for id := range 10 {
		var total string
		if err := stmt.QueryRowContext(e.ctx, id, 100*(id+20)).Scan(&total); err != nil || total != fmt.Sprintf("%d.00", 10+id) {
			t.Errorf("order of %d: %q, %v", id, total, err)
		}
	}
}
