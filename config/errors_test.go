package config

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Each mistake, and the whole text of what is said about it. FILE stands for
// the configuration's path.
func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		name, yaml string
		env, args  []string
		want       string
	}{
		{name: "not YAML", yaml: "users: [", want: "FILE: isn't YAML: line 1: did not find expected node content"},
		{name: "not a mapping", yaml: "hello", want: "FILE:1: must be a section of keys, each on its own line as `key: value`"},
		{name: "two documents", yaml: minimal + "---\nx: 1\n", want: "FILE:2: has a second YAML document; one configuration is one document"},
		{name: "unknown key", yaml: minimal + "replicas:\n  max_lagg: 1s\n", want: "FILE:3: replicas.max_lagg: is not a key (did you mean max_lag?)"},
		{name: "unknown section", yaml: minimal + "zzzzzzzz: 1\n", want: "FILE:2: zzzzzzzz: is not a key; known here: admin, compression, drain_timeout, etcd, failover, handshake, limits, listen, log, map, pool, proxy_protocol, replicas, servers, tls, transactions, users"},
		{name: "dotted key", yaml: minimal + "replicas.max_lag: 1s\n", want: "FILE:2: replicas.max_lag: is not a key; known here: admin, compression, drain_timeout, etcd, failover, handshake, limits, listen, log, map, pool, proxy_protocol, replicas, servers, tls, transactions, users"},
		{name: "wrong case", yaml: minimal + "replicas: {Max_lag: 1s}\n", want: "FILE:2: replicas.Max_lag: is not a key (did you mean max_lag?)"},
		{name: "twice", yaml: minimal + "map: a\nmap: b\n", want: "FILE:3: map: is there twice; the first is in line 2"},
		{name: "user twice", yaml: "users:\n  app: {password: a}\n  app: {password: b}\n", want: "FILE:3: users.app: is there twice; the first is in line 2"},
		{name: "no value", yaml: minimal + "map:\n", want: `FILE:2: map: has no value; write "" for an empty one, or take the line out`},
		{name: "list for a text", yaml: minimal + "map: [a, b]\n", want: "FILE:2: map: is one file, not a section or a list"},
		{name: "section for a text", yaml: minimal + "map: {a: b}\n", want: "FILE:2: map: is one file, not a section or a list"},
		{name: "text for a section", yaml: minimal + "pool: 5\n", want: "FILE:2: pool: must be a section of keys, each on its own line as `key: value`"},
		{name: "odd list", yaml: minimal + "listen: [[a]]\n", want: "FILE:2: listen: has an item that isn't one plain value"},
		{name: "merge key", yaml: minimal + "pool: {<<: {idle_timeout: 1s}}\n", want: "FILE:2: pool: has a key that isn't a plain word; merge keys (<<) aren't known here"},
		{name: "word", yaml: minimal + "replicas: {policy: robin}\n", want: `FILE:2: replicas.policy: "robin" isn't one of round_robin, weighted, least_connections, client_ip_hash, latency`},
		{name: "bool", yaml: minimal + "pool: {multiplex: yes}\n", want: `FILE:2: pool.multiplex: "yes" is neither true nor false`},
		{name: "number", yaml: minimal + "pool: {max_per_server: many}\n", want: `FILE:2: pool.max_per_server: "many" isn't a whole number`},
		{name: "small number", yaml: minimal + "pool: {max_per_server: 0}\n", want: "FILE:2: pool.max_per_server: 0 is too small; it must be at least 1"},
		{name: "duration", yaml: minimal + "drain_timeout: 5\n", want: `FILE:2: drain_timeout: "5" isn't a duration; write a number with its unit, such as 200ms, 5s or 1m30s`},
		{name: "negative duration", yaml: minimal + "drain_timeout: -5s\n", want: `FILE:2: drain_timeout: "-5s" is negative`},
		{name: "no duration", yaml: minimal + "servers: {dial_timeout: 0s}\n", want: `FILE:2: servers.dial_timeout: "0s" is too short; it must be more than 0`},
		{name: "size", yaml: minimal + "limits: {max_packet: 64MB}\n", want: `FILE:2: limits.max_packet: "64MB" isn't a size; write a number of bytes, KiB, MiB, GiB or TiB, such as 64MiB`},
		{name: "large size", yaml: minimal + "limits: {max_packet: 2GiB}\n", want: "FILE:2: limits.max_packet: 2GiB is too large; it may be at most 1GiB"},
		{name: "environment", yaml: minimal, env: []string{"SHARDWAY_REPLICAS_POLICY=robin"}, want: `SHARDWAY_REPLICAS_POLICY: replicas.policy: "robin" isn't one of round_robin, weighted, least_connections, client_ip_hash, latency`},
		{name: "unknown variable", yaml: minimal, env: []string{"SHARDWAY_REPLICA_MAX_LAG=1s"}, want: "SHARDWAY_REPLICA_MAX_LAG: no key has this name in the environment (did you mean SHARDWAY_REPLICAS_MAX_LAG?)"},
		{name: "unknown user variable", yaml: minimal, env: []string{"SHARDWAY_USERS_BOB_PASSWORD=x"}, want: "SHARDWAY_USERS_BOB_PASSWORD: no user and key have this name in the environment; the user must be in the file or in SHARDWAY_USERS, and the keys are PASSWORD, PASSWORD_FILE, VERIFIER, OLD_PASSWORD, OLD_PASSWORD_FILE, OLD_VERIFIER, REQUIRE, SUBJECT, DATABASES, MAX_CONNECTIONS, READ_ONLY and ADMIN"},
		{name: "user variable of two", yaml: "users: {a-b: {password: x}, A.B: {password: y}}\n", env: []string{"SHARDWAY_USERS_A_B_PASSWORD=x"}, want: "SHARDWAY_USERS_A_B_PASSWORD: could mean each of the users A.B, a-b; set it in the file"},
		{name: "users variable", yaml: minimal, env: []string{"SHARDWAY_USERS=[x]"}, want: "SHARDWAY_USERS: users: must be a section of keys, each on its own line as `key: value`"},
		{name: "flag", yaml: minimal, args: []string{"--replicas-policy=robin"}, want: `--replicas-policy: replicas.policy: "robin" isn't one of round_robin, weighted, least_connections, client_ip_hash, latency`},
		{name: "unset variable", yaml: "users: {app: {password: '${NOPE}'}}\n", want: "FILE:1: users.app.password: needs the environment variable NOPE, which isn't set"},
		{name: "odd variable", yaml: "users: {app: {password: '${a b}'}}\n", want: "FILE:1: users.app.password: has \"${a b}\", which isn't the name of a variable as in ${NAME}; write $${ for a plain ${"},
		{name: "no users", yaml: "map: x\n", want: "FILE: users: is empty, so nobody could log in; add one as `users: {NAME: {password: …}}`"},
		{name: "no password", yaml: "users:\n  app: {}\n", want: `FILE:2: users.app.password: is missing; write password, password_file, verifier, or password: "" for a user without one`},
		{name: "two passwords", yaml: "users:\n  app:\n    password: x\n    password_file: y\n", want: "FILE:4: users.app.password_file: is set, and users.app.password is too; keep one of them"},
		{name: "user's unknown key", yaml: "users: {app: {password: x, pasword: y}}\n", want: "FILE:1: users.app.pasword: is not a key (did you mean password?)"},
		{name: "user's databases", yaml: "users: {app: {password: x, databases: []}}\n", want: "FILE:1: users.app.databases: is empty; name at least one, or take the key out to allow all"},
		{name: "user's database twice", yaml: "users: {app: {password: x, databases: [a, a]}}\n", want: `FILE:1: users.app.databases: "a" is there twice`},
		{name: "user's any database", yaml: "users: {app: {password: x, databases: ['*']}}\n", want: `FILE:1: users.app.databases: "*" isn't the name of a database; take the key out to allow all`},
		{name: "user's limit", yaml: "users: {app: {password: x, max_connections: -1}}\n", want: "FILE:1: users.app.max_connections: -1 is too small; it must be at least 0"},
		{name: "nameless user", yaml: `users: {"": {password: x}}`, want: "FILE:1: users.: is a user without a name"},
		{name: "PROXY headers and multiplexing", yaml: minimal + "servers: {proxy_protocol: v2}\n", want: "FILE:2: servers.proxy_protocol: is v2, which tells a server one client's address for the whole connection, but connections serve one client after another: set pool.multiplex: false, or take v2 out"},
		{name: "listen", yaml: minimal + "listen: [localhost]\n", want: `FILE:2: listen: "localhost" is neither host:port nor unix:/path`},
		{name: "listen port", yaml: minimal + "listen: ['127.0.0.1:99999']\n", want: `FILE:2: listen: "127.0.0.1:99999" has a port that isn't a number up to 65535`},
		{name: "listen twice", yaml: minimal + "listen: ['127.0.0.1:1', '127.0.0.1:1']\n", want: `FILE:2: listen: "127.0.0.1:1" is there twice`},
		{name: "listen nowhere", yaml: minimal + "listen: []\n", want: "FILE:2: listen: is empty; name at least one host:port or unix:/path"},
		{name: "unix without a path", yaml: minimal + "listen: ['unix:']\n", want: `FILE:2: listen: "unix:" has no path after unix:`},
		{name: "admin for all", yaml: minimal + "admin: {listen: ':4480'}\n", want: `FILE:2: admin.listen: ":4480" can be reached from other machines; set admin.token, or listen on 127.0.0.1`},
		{name: "admin among clients", yaml: minimal + "admin: {listen: '127.0.0.1:4406'}\n", want: `FILE:2: admin.listen: "127.0.0.1:4406" is in listen too; clients and operators need addresses of their own` + "\n"},
		{name: "admin token", yaml: minimal + "admin: {token: 'a b'}\n", want: "FILE:2: admin.token: has spaces or characters that an HTTP header can't hold"},
		{name: "map nowhere", yaml: minimal + `map: ""` + "\n", want: "FILE:2: map: is empty; name the file that holds the shard map"},
		{name: "map elsewhere", yaml: minimal + "map: http://x\n", want: `FILE:2: map: is neither a file nor etcd://HOST:PORT/PREFIX: it begins with "http://"`},
		{name: "map in etcd", yaml: minimal + "map: etcd://a:1,b/x\n", want: `FILE:2: map: "etcd://a:1,b/x" has "b" where HOST:PORT must stand`},
		{name: "map without a prefix", yaml: minimal + "map: etcd://a:1/\n", want: `FILE:2: map: "etcd://a:1/" has no prefix; write etcd://a:1/PREFIX, such as etcd://a:1/shardway`},
		{name: "map with a user", yaml: minimal + "map: etcd://u:hunter2@a:1/x\n", want: "FILE:2: map: has a user in its address, and addresses are shown and logged; set etcd.user and etcd.password"},
		{name: "etcd's user alone", yaml: minimal + "etcd: {user: x}\n", want: "FILE:2: etcd.user: is set without etcd.password; a user and its password go together"},
		{name: "failover without a way back", yaml: minimal + "failover: {enabled: true}\n", want: "FILE:2: failover.enabled: is true without failover.replication_user, so that no former primary could come back; set it and failover.replication_password"},
		{name: "a replication password alone", yaml: minimal + "failover: {replication_password: x}\n", want: "FILE:2: failover.replication_password: is set without failover.replication_user; a user and its password go together"},
		{name: "a failover password alone", yaml: minimal + "failover: {password: x}\n", want: "FILE:2: failover.password: is set without failover.user; a user and its password go together"},
		{name: "etcd's passwords", yaml: minimal + "etcd:\n  user: x\n  password: x\n  password_file: y\n", want: "FILE:5: etcd.password_file: is set, and etcd.password is too; keep one of them"},
		{name: "etcd's cert alone", yaml: minimal + "etcd: {tls: {cert: x}}\n", want: "FILE:2: etcd.tls.cert: is set without etcd.tls.key; a certificate and its key go together"},
		{name: "cert alone", yaml: minimal + "tls: {cert: x}\n", want: "FILE:2: tls.cert: is set without tls.key; a certificate and its key go together"},
		{name: "key alone", yaml: minimal + "servers: {tls: {key: x}}\n", want: "FILE:2: servers.tls.key: is set without servers.tls.cert; a certificate and its key go together"},
		{name: "TLS without a certificate", yaml: minimal + "tls: {mode: required}\n", want: "FILE:2: tls.mode: is required, but there is no tls.cert and tls.key"},
		{name: "clients' CA without a certificate", yaml: minimal + "tls: {client_ca: x}\n", want: "FILE:2: tls.client_ca: is set, but there is no tls.cert and tls.key"},
		{name: "CIDR", yaml: minimal + "proxy_protocol: {trusted: [10.0.0.1]}\n", want: `FILE:2: proxy_protocol.trusted: "10.0.0.1" isn't a CIDR; write a network with its length, such as 10.0.0.0/8 or 192.0.2.1/32`},
		{name: "servers' user", yaml: minimal + `servers: {user: ""}` + "\n", want: "FILE:2: servers.user: is empty; name the user as whom Shardway logs in to the servers"},
		{name: "version", yaml: minimal + "handshake: {version: eight}\n", want: `FILE:2: handshake.version: "eight" isn't a server version; write it as servers do, such as 8.4.0 or 10.11.6-MariaDB`},
		{name: "collation", yaml: minimal + "handshake: {collation: 'a b'}\n", want: `FILE:2: handshake.collation: "a b" isn't a collation that a handshake can name, such as utf8mb4_general_ci or utf8mb4_0900_ai_ci`},
		{name: "all at once", yaml: "map: [\"\"]\ntls: {mode: maybe}\n", env: []string{"SHARDWAY_QUITE_ANOTHER=1"}, want: "FILE:1: map: is one file, not a section or a list\nSHARDWAY_QUITE_ANOTHER: no key has this name in the environment\nFILE:2: tls.mode: \"maybe\" isn't one of disabled, preferred, required"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := writeFiles(t, "shardway.yaml", tc.yaml)
			fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
			AddFlags(fs)
			if err := fs.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			_, err := Load(Sources{File: file, Environ: tc.env, Flags: fs})
			if err == nil {
				t.Fatalf("loads; want %s", tc.want)
			}
			got := strings.ReplaceAll(err.Error(), file, "FILE")
			if want := strings.TrimSpace(tc.want); got != want {
				t.Errorf("says\n\t%s\nwant\n\t%s", got, want)
			}
		})
	}
}

// A secret is in no message, whatever is wrong with it.
func TestMistakesKeepSecrets(t *testing.T) {
	for _, yaml := range []string{
		"users: {app: {password: [hunter2]}}",
		"users: {app: {password: {hunter2: 1}}}",
		"users: {app: {password: hunter2}}\nadmin: {token: 'hunter2 x'}",
		"users: {app: {password: hunter2, password_file: x}}",
	} {
		_, err := load(t, yaml)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s\n\tsays %v", yaml, err)
		}
	}
	_, err := Load(Sources{File: writeFiles(t, "c.yaml", "users: {app: {password_file: gone.txt}}")})
	if err == nil || !strings.Contains(err.Error(), "gone.txt") {
		t.Error(err)
	}
}
