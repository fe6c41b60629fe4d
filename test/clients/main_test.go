package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/test/cluster"
)

// target is a server as the programs see it.
type target struct {
	name     string // as the table calls it
	addr     string
	user     string
	password string
	db       string
}

// bench is what the programs of one kind of server run on: a plain server and
// a daemon before two shards, with both databases.
type bench struct {
	*testing.T
	ctx     context.Context
	c       *cluster.Cluster
	dir     string
	otherCA string // of an authority that nobody here has a certificate of
	file    string // for LOAD DATA LOCAL
	plain   target
	layouts []target // through Shardway
	tools   *tools
}

// startTimeout bounds how long the servers, and the daemon, may take to start.
const startTimeout = 3 * time.Minute

// account is a user of the plain server that may do what Shardway's own may.
const account = "app"

func newBench(t *testing.T, f cluster.Flavor, tools *tools) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	c, err := cluster.Start(ctx, cluster.Options{
		Flavor: f, Shards: 2, Replicas: 1, Plain: true,
		Args: []string{"--local-infile=ON", "--default-time-zone=+00:00"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	b := &bench{T: t, ctx: ctx, c: c, dir: t.TempDir(), tools: tools}
	b.must(os.Mkdir(filepath.Join(b.dir, "other"), 0o700))
	other, err := cluster.Certificates(filepath.Join(b.dir, "other"))
	b.must(err)
	b.otherCA = other.CA
	b.file = filepath.Join(b.dir, "people.tsv")
	b.must(os.WriteFile(b.file, []byte("39\tfirst\n39\tsecond\n39\t\u00fcber\n"), 0o600))
	databases := ""
	for _, d := range layouts() {
		b.must(c.Load(ctx, d))
		if len(d.Tables) == 0 {
			databases += fmt.Sprintf("  %s: {default_shard: %s}\n", d.Name, c.Shards[0].ID)
		} else {
			databases += d.Map(c.Shards)
		}
	}
	addr := b.daemon(databases)
	b.plain = target{name: "plain", addr: c.Plain.Addr, user: cluster.User, password: cluster.Password, db: whole}
	for _, d := range layouts() {
		b.layouts = append(b.layouts, target{name: d.Name, addr: addr, user: account, password: "app", db: d.Name})
	}
	// The first login with caching_sha2_password needs TLS or a key; after it the
	// server knows the password, also of clients that have neither.
	b.must(b.login(b.plain))
	for _, to := range b.layouts {
		b.must(b.login(to))
	}
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// login logs in once over TLS.
func (b *bench) login(to target) error {
	pem, err := os.ReadFile(b.c.TLS.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("no certificate in " + b.c.TLS.CA)
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = to.user, to.password, "tcp", to.addr, to.db
	c.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	conn, err := connector.Connect(b.ctx)
	if err != nil {
		return fmt.Errorf("log in to %s: %w", to.name, err)
	}
	return conn.Close()
}

// daemon starts Shardway over the cluster, ends it with the test, and returns
// its address.
func (b *bench) daemon(databases string) string {
	b.Helper()
	dir := filepath.Join(b.dir, "shardway")
	b.must(os.Mkdir(dir, 0o700))
	addr, admin := freeAddr(b), freeAddr(b)
	config := filepath.Join(dir, "shardway.yaml")
	b.must(os.WriteFile(filepath.Join(dir, "shards.yaml"), []byte(b.c.Map(databases)), 0o600))
	b.must(os.WriteFile(config, fmt.Appendf(nil, `listen: [%q]
admin: {listen: %q}
map: ./shards.yaml
tls: {mode: preferred, cert: %q, key: %q}
users: {app: {password: app}}
servers: {user: %s, password: %s}
log: {format: text, level: info}
`, addr, admin, b.c.TLS.Cert, b.c.TLS.Key, cluster.User, cluster.Password), 0o600))
	log, err := os.Create(filepath.Join(dir, "log"))
	b.must(err)
	cmd := exec.Command(b.tools.shardway, "serve", "-c", config)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SHARDWAY_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	b.must(cmd.Start())
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-exited:
			if err != nil {
				b.Errorf("the daemon ended with %v", err)
			}
		case <-time.After(40 * time.Second):
			_ = cmd.Process.Kill()
			b.Errorf("the daemon didn't end on SIGTERM: %v", <-exited)
		}
		_ = log.Close()
		text, err := os.ReadFile(log.Name())
		if err != nil || strings.Contains(string(text), "panic") || b.Failed() {
			b.Logf("the daemon's log, %v:\n%s", err, text[max(0, len(text)-8000):])
		}
		if strings.Contains(string(text), "panic") {
			b.Error("the daemon panicked")
		}
	})
	deadline := time.Now().Add(startTimeout)
	for {
		req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, "http://"+admin+"/readyz", http.NoBody)
		b.must(err)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return addr
			}
		}
		select {
		case err := <-exited:
			exited <- err
			b.Fatalf("the daemon ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			b.Fatal("the daemon isn't ready")
		}
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	addr, err := cluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
