package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

const minimal = "users: {app: {password: app}}\n"

// write puts files into a fresh directory and returns the path of the first
// one, which is the configuration.
func writeFiles(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

func load(t *testing.T, yaml string, env ...string) (*Config, error) {
	t.Helper()
	return Load(Sources{File: writeFiles(t, "shardway.yaml", yaml), Environ: env})
}

func mustLoad(t *testing.T, yaml string, env ...string) *Config {
	t.Helper()
	c, err := load(t, yaml, env...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, minimal)
	switch {
	case !slices.Equal(c.Listen, []string{"127.0.0.1:4406"}),
		c.Admin.Listen != "127.0.0.1:4480",
		filepath.Base(c.Map) != "shards.yaml" || !filepath.IsAbs(c.Map),
		c.TLS.Mode != "preferred", c.Servers.TLS.Mode != "preferred",
		c.Servers.DialTimeout != 3*time.Second,
		c.Pool != Pool{100, 60 * time.Second, 5 * time.Second, true},
		c.Replicas != Replicas{"round_robin", 5 * time.Second, "session", 200 * time.Millisecond, true, "", 500 * time.Millisecond, 10 * time.Second, Eject{10, 5, 10 * time.Second}},
		c.Transactions.CrossShard != "atomic",
		c.Limits != Limits{10000, 0, 1000000, 256 << 20, 64 << 20},
		c.Log != Log{"info", "json", time.Second, ""},
		c.DrainTimeout != 30*time.Second:
		t.Errorf("defaults differ from the contract:\n%s", c.Redacted())
	}
	if c.IsSet("replicas.policy") || !c.IsSet("users") {
		t.Error("IsSet confuses defaults with what was written")
	}
}

// The contract's own example must load as it stands.
func TestContractExample(t *testing.T) {
	c := mustLoad(t, `
listen: [127.0.0.1:4406]            # host:port or unix:/path
admin: {listen: 127.0.0.1:4480, token: ""}     # off loopback a token is required
map: ./shards.yaml                  # or etcd://…
tls: {cert: "", key: "", client_ca: "", mode: preferred}      # disabled|preferred|required
users:
  app: {password: app, databases: [shop], max_connections: 0, read_only: false}
servers:
  user: shardway
  password: secret
  tls: {mode: preferred, ca: ""}
  dial_timeout: 3s
pool: {max_per_server: 100, idle_timeout: 60s, wait_timeout: 5s, multiplex: true}
replicas:
  policy: round_robin
  max_lag: 5s
  causal_reads: session
  causal_timeout: 200ms
  fallback_to_primary: true
  zone: ""
transactions: {cross_shard: atomic} # atomic|forbid
limits: {max_connections: 10000, query_timeout: 0s, gather_rows: 1000000, gather_bytes: 256MiB, max_packet: 64MiB}
log: {level: info, format: json, slow_query: 1s, audit: ""}
proxy_protocol: {trusted: []}
drain_timeout: 30s
`)
	if c.Servers.Password != "secret" || c.Users["app"].Password != "app" || !slices.Equal(c.Users["app"].Databases, []string{"shop"}) {
		t.Errorf("%+v %+v", c.Servers, c.Users["app"])
	}
}

func TestPrecedence(t *testing.T) {
	file := writeFiles(t, "shardway.yaml", minimal+"replicas: {max_lag: 1s}\n", "env", "SHARDWAY_REPLICAS_MAX_LAG=2s\n")
	lag := func(s Sources) time.Duration {
		t.Helper()
		s.File = file
		c, err := Load(s)
		if err != nil {
			t.Fatal(err)
		}
		return c.Replicas.MaxLag
	}
	envFile := filepath.Join(filepath.Dir(file), "env")
	environ := []string{"SHARDWAY_REPLICAS_MAX_LAG=3s"}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(flags)
	unset := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(unset)
	if err := flags.Parse([]string{"--replicas-max-lag=4s"}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		s    Sources
		want time.Duration
	}{
		{"file", Sources{}, 1 * time.Second},
		{"flags that aren't given", Sources{Flags: unset}, 1 * time.Second},
		{"environment file", Sources{EnvFile: envFile}, 2 * time.Second},
		{"environment", Sources{EnvFile: envFile, Environ: environ}, 3 * time.Second},
		{"flag", Sources{EnvFile: envFile, Environ: environ, Flags: flags}, 4 * time.Second},
	} {
		if got := lag(tc.s); got != tc.want {
			t.Errorf("%s: max_lag is %s, want %s", tc.name, got, tc.want)
		}
	}
}

// Each key can be set by the environment and by its flag, to a value that
// isn't its default.
func TestEachKeyFromEachSource(t *testing.T) {
	other := map[string]string{
		"listen": "127.0.0.1:1,unix:/run/x", "admin.listen": "127.0.0.1:2", "admin.token": "t", "map": "/m.yaml",
		"etcd.user": "e", "etcd.password": "p", "etcd.tls.ca": "/ca", "etcd.tls.cert": "/c", "etcd.tls.key": "/k", "etcd.dial_timeout": "9s",
		"tls.cert": "/c", "tls.key": "/k", "tls.client_ca": "/ca", "tls.mode": "required",
		"servers.user": "u", "servers.password": "p", "servers.tls.mode": "verify-ca", "servers.tls.ca": "/ca",
		"servers.tls.cert": "/c", "servers.tls.key": "/k", "servers.dial_timeout": "9s", "servers.compression": "zlib", "servers.proxy_protocol": "v2", "compression": "zstd",
		"handshake.version": "8.4.9", "handshake.collation": "latin1_bin",
		"pool.max_per_server": "7", "pool.idle_timeout": "9s", "pool.wait_timeout": "9s", "pool.multiplex": "false",
		"replicas.policy": "latency", "replicas.max_lag": "9s", "replicas.causal_reads": "off", "replicas.causal_timeout": "9s",
		"replicas.fallback_to_primary": "false", "replicas.zone": "z",
		"replicas.heartbeat": "9s", "replicas.warm_up": "9s", "replicas.eject.latency_factor": "9", "replicas.eject.errors": "9", "replicas.eject.for": "9s",
		"transactions.cross_shard": "forbid", "transactions.resolve_after": "7s", "transactions.max_age": "8s", "transactions.idle_timeout": "9s",
		"limits.max_connections": "7", "limits.query_timeout": "9s", "limits.gather_rows": "7", "limits.gather_bytes": "7MiB",
		"failover.enabled": "true", "failover.after": "9s", "failover.quorum": "7", "failover.hold_timeout": "9s", "failover.user": "u",
		"failover.password": "p", "failover.replication_user": "u", "failover.replication_password": "p",
		"limits.max_packet": "7MiB", "log.level": "warn", "log.format": "text", "log.slow_query": "9s", "log.audit": "/a",
		"proxy_protocol.trusted": "10.0.0.0/8,192.0.2.1/32", "drain_timeout": "9s",
	}
	var env, args []string
	for _, k := range Keys() {
		if strings.HasSuffix(k.Name, "password_file") {
			continue
		}
		v, ok := other[k.Name]
		if !ok {
			t.Fatalf("the test has no value for %s", k.Name)
		}
		env = append(env, k.Env()+"="+v)
		if k.Flag() != "" {
			args = append(args, "--"+k.Flag()+"="+v)
		}
	}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Sources{"environment": {Environ: env}, "flags": {Flags: fs}} {
		s.File = writeFiles(t, "c.yaml", minimal+"etcd: {password: q}\nfailover: {replication_user: q, password: q, replication_password: q, user: q}\n")
		c, err := Load(s)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, k := range Keys() {
			if k.Secret && name == "flags" || strings.HasSuffix(k.Name, "password_file") {
				continue
			}
			if got := strings.ReplaceAll(write(k.field(c)), ", ", ","); got != other[k.Name] {
				t.Errorf("%s: %s = %q, want %q", name, k.Name, got, other[k.Name])
			}
		}
	}
}

// A tool that wants the map alone isn't troubled by what is wrong elsewhere,
// and told of what is wrong with the map.
func TestOnly(t *testing.T) {
	only := []string{"map", "etcd"}
	file := writeFiles(t, "c.yaml", `
map: etcd://h:1/p
etcd: {user: e, password_file: pw}
users: {app: {password_file: missing}, b: {password: "${MISSING}"}}
replicas: {policy: best}
`, "pw", "s3cret\n")
	c, err := Load(Sources{File: file, Environ: []string{"SHARDWAY_MYSQL_ROOT=/x", "SHARDWAY_POOL_MULTIPLEX=7", "SHARDWAY_ETCD_DIAL_TIMEOUT=9s"}, Only: only})
	if err != nil {
		t.Fatal(err)
	}
	if c.Map != "etcd://h:1/p" || c.Etcd.User != "e" || c.Etcd.Password != "s3cret" || c.Etcd.DialTimeout != 9*time.Second {
		t.Errorf("%s\n%+v", c.Map, c.Redacted())
	}
	if c, err = Load(Sources{Only: only}); err != nil || c.Map != "./shards.yaml" {
		t.Errorf("nothing written anywhere: %v", err)
	}
	c, err = Load(Sources{Environ: []string{"SHARDWAY_MAP=etcd://h:1/p", "SHARDWAY_ETCD_PASSWORD=x", "SHARDWAY_ETCD_USER=y"}, Only: only})
	if err != nil || c.Map != "etcd://h:1/p" || c.Etcd.Password != "x" {
		t.Errorf("all in the environment: %v", err)
	}
	for want, s := range map[string]Sources{
		"no such file": {File: file + ".missing"},
		"SHARDWAY_ETCD_PASWORD: no key has this name in the environment": {Environ: []string{"SHARDWAY_ETCD_PASWORD=x"}},
		"etcd.dial_timeout: \"soon\" isn't a duration":                   {Environ: []string{"SHARDWAY_ETCD_DIAL_TIMEOUT=soon"}},
		"isn't YAML": {File: writeFiles(t, "c.yaml", "map: [")},
		"etcd.user: is set without etcd.password": {File: writeFiles(t, "c.yaml", "etcd: {user: x}")},
	} {
		s.Only = only
		if _, err := Load(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", s, err, want)
		}
	}
}

func TestUsersKeepTheirNames(t *testing.T) {
	c := mustLoad(t, `users: {App.One: {password: "0123"}, app.one: {password: no}}`)
	if len(c.Users) != 2 || c.Users["App.One"].Password != "0123" || c.Users["app.one"].Password != "no" {
		t.Errorf("%v", c.Redacted())
	}
	c = mustLoad(t, `users: {App-1: {password_file: none.txt}}`, "SHARDWAY_USERS_APP_1_PASSWORD=p", "SHARDWAY_USERS_APP_1_READ_ONLY=true", "SHARDWAY_USERS_APP_1_DATABASES=a, b")
	if u := c.Users["App-1"]; u.Password != "p" || !u.ReadOnly || !slices.Equal(u.Databases, []string{"a", "b"}) {
		t.Errorf("%+v", u)
	}
	c = mustLoad(t, minimal, `SHARDWAY_USERS={Bob: {password: "${PW}"}}`, "PW=x}y")
	if len(c.Users) != 1 || c.Users["Bob"].Password != "x}y" {
		t.Errorf("%v", c.Redacted())
	}
}

func TestExpansionAndPasswordFiles(t *testing.T) {
	file := writeFiles(t, "shardway.yaml", `
users:
  a: {password: "pre-${PW}-$${PW}-$PW"}
  b: {password_file: b.txt}
servers: {password_file: "${DIR}/b.txt"}
replicas: {max_lag: "${LAG}"}
map: sub/shards.yaml
`, "b.txt", " s3cret \n", "env", "LAG=7s\nPW=from-file\n")
	c, err := Load(Sources{File: file, EnvFile: filepath.Join(filepath.Dir(file), "env"), Environ: []string{"PW=real", "DIR=" + filepath.Dir(file)}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Users["a"].Password; got != "pre-real-${PW}-$PW" {
		t.Errorf("expanded to %q", got)
	}
	if c.Users["b"].Password != " s3cret " || c.Servers.Password != " s3cret " || c.Replicas.MaxLag != 7*time.Second {
		t.Errorf("%q %q %s", c.Users["b"].Password, c.Servers.Password, c.Replicas.MaxLag)
	}
	if want := filepath.Join(filepath.Dir(file), "sub/shards.yaml"); c.Map != want {
		t.Errorf("map is %s, want %s", c.Map, want)
	}
	if got := len(c.Files()); got != 4 {
		t.Errorf("Files() = %v", c.Files())
	}
	// What the environment says is a value already: nothing in it is expanded.
	if c = mustLoad(t, minimal, "SHARDWAY_SERVERS_PASSWORD=a${b}c"); c.Servers.Password != "a${b}c" {
		t.Errorf("the variable's value became %q", c.Servers.Password)
	}
}

func TestEnvFile(t *testing.T) {
	var ps problems
	e := newEnvironment([]string{"KEPT=mine"})
	e.readEnvFile("f.env", `# comment
A=1
export B = two words # kept
C='single $x \n'
D="line\nquote\" dollar\$ back\\ other\d"
E=
KEPT=other
`, &ps)
	want := map[string]string{"A": "1", "B": "two words # kept", "C": `single $x \n`, "D": "line\nquote\" dollar$ back\\ other\\d", "E": "", "KEPT": "mine"}
	for k, v := range want {
		if e.vars[k] != v {
			t.Errorf("%s = %q, want %q", k, e.vars[k], v)
		}
	}
	if len(ps.all) != 0 {
		t.Error(ps.err())
	}
	e.readEnvFile("f.env", "no equals\n=x\n1A=x\nQ='open\nA=1\nA=2\n", &ps)
	got := ps.err().Error()
	for _, want := range []string{"f.env:1: isn't a line of the form NAME=VALUE", "f.env:2:", "f.env:3:", "f.env:4: has a value for Q whose quote isn't closed", "f.env:6: sets A again; the first is in line 5"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q isn't in:\n%s", want, got)
		}
	}
}

func TestOrchestratorVariablesAreNotKeys(t *testing.T) {
	mustLoad(t, minimal, "SHARDWAY_SERVICE_HOST=10.0.0.1", "SHARDWAY_SERVICE_PORT=4406", "SHARDWAY_SERVICE_PORT_MYSQL=4406",
		"SHARDWAY_PORT=tcp://10.0.0.1:4406", "SHARDWAY_PORT_4406_TCP=tcp://10.0.0.1:4406", "SHARDWAY_PORT_4406_TCP_ADDR=10.0.0.1",
		"SHARDWAY_ADMIN_SERVICE_HOST=10.0.0.1", "SHARDWAY_ADMIN_PORT_80_TCP_PROTO=tcp")
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "12": 12, "12B": 12, "4KiB": 4096, "64MiB": 64 << 20, "1 GiB": 1 << 30, "2TiB": 2 << 40} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1MB", "9999999999TiB", "1 mib"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d", text, got)
		}
	}
	for s, want := range map[Size]string{0: "0", 1000: "1000", 1024: "1KiB", 3 << 20: "3MiB", 1<<30 + 1: "1073741825"} {
		if s.String() != want {
			t.Errorf("Size(%d) = %q", int64(s), s.String())
		}
	}
}

func TestRedactedAndChanges(t *testing.T) {
	a := mustLoad(t, "users: {app: {password: hunter2}, old: {password: x}}\nservers: {password: hunter3}\nreplicas: {max_lag: 5m}\n")
	if s := a.Redacted(); strings.Contains(s, "hunter") || !strings.Contains(s, "servers.password: (hidden)\n") || !strings.Contains(s, "replicas.max_lag: 5m\n") {
		t.Error(s)
	}
	b := mustLoad(t, "users: {app: {password: hunter9}, new: {password: y, read_only: true}}\nservers: {password: hunter3}\nreplicas: {max_lag: 1s}\n")
	got := a.Changes(b)
	for i, s := range got {
		if strings.HasPrefix(s, "map: ") { // each has a directory of its own
			got = slices.Delete(got, i, i+1)
			break
		}
	}
	want := []string{"replicas.max_lag: 5m -> 1s", "users.app.password: changed", "users.new.password: changed", `users.new.read_only: "" -> true`, "users.old: taken out"}
	if !slices.Equal(got, want) {
		t.Errorf("changes:\n%s", strings.Join(got, "\n"))
	}
	if len(a.Changes(a)) != 0 {
		t.Error("a configuration differs from itself")
	}
}

func TestInert(t *testing.T) {
	names := func(c *Config) []string {
		var n []string
		for _, p := range c.Inert() {
			n = append(n, p.Key)
		}
		return n
	}
	if got := names(mustLoad(t, minimal)); len(got) != 0 {
		t.Errorf("of the defaults: %v", got)
	}
	c := mustLoad(t, minimal+"log: {audit: /tmp/audit}\n")
	last := c.Inert()[0].String()
	if !strings.HasSuffix(last, "shardway.yaml:2: log.audit: has no effect in this version: nothing is recorded") {
		t.Error(last)
	}
	keys := Keys()
	for _, i := range inert() {
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.Name == i.key }) {
			t.Errorf("%s isn't a key", i.key)
		}
	}
}

func TestMissingFiles(t *testing.T) {
	_, err := Load(Sources{File: "/nonexistent/shardway.yaml"})
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "/nonexistent/shardway.yaml") {
		t.Error(err)
	}
	_, err = Load(Sources{File: writeFiles(t, "c.yaml", minimal), EnvFile: "/nonexistent/env"})
	if err == nil || !strings.Contains(err.Error(), "--env-file: open /nonexistent/env") {
		t.Error(err)
	}
}

func TestCollationID(t *testing.T) {
	seen := map[uint16]string{}
	for word := range strings.FieldsSeq(collations) {
		name, _, _ := strings.Cut(word, "=")
		id := CollationID(name)
		if id == 0 || id > 255 {
			t.Errorf("%s has id %d", name, id)
		}
		if other := seen[id]; other != "" {
			t.Errorf("%s and %s both have id %d", name, other, id)
		}
		seen[id] = name
	}
	for name, id := range map[string]uint16{"utf8mb4_general_ci": 45, "utf8mb4_bin": 46, "binary": 63, "latin1_swedish_ci": 8, "utf8mb4_0900_ai_ci": 255, "utf8mb4_0900_bin": 0, "": 0} {
		if got := CollationID(name); got != id {
			t.Errorf("CollationID(%q) = %d, want %d", name, got, id)
		}
	}
}
