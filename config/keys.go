package config

import "strings"

// Key describes one key of the configuration.
type Key struct {
	Name    string   // with its sections: replicas.max_lag
	Kind    Kind     // how its value is written
	Default string   // as it would be written; lists with commas
	Allowed []string // the words that are allowed, for Word
	Min     int64    // smallest Number or Size
	Max     int64    // largest Number or Size; 0 is no bound
	NotZero bool     // a Duration that may not be 0
	Secret  bool     // never shown, and no flag: other users of the machine see arguments
	Doc     string   // what it means, in one sentence or two

	field func(*Config) any // points at the field
}

// Kind says how the value of a key is written.
type Kind string

// The kinds of values.
const (
	Text     Kind = "text"
	File     Kind = "file" // relative to the configuration file when written there, else to the working directory
	Word     Kind = "word" // one of Key.Allowed
	Bool     Kind = "bool"
	Number   Kind = "number"
	Duration Kind = "duration" // 200ms, 5s, 1m30s
	ByteSize Kind = "size"     // 64MiB
	List     Kind = "list"
)

// Env returns the name that sets the key in the environment.
func (k Key) Env() string { return EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_")) }

// Flag returns the flag that sets the key, without its dashes, or "" when it
// has none.
func (k Key) Flag() string {
	if k.Secret {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.Name)
}

// EnvPrefix begins the name of every environment variable that is a key.
const EnvPrefix = "SHARDWAY_"

// Keys returns all keys in the order in which they are documented, except
// those of a user, which are in [UserKeys].
func Keys() []Key {
	return []Key{
		{
			Name: "listen", Kind: List, Default: "127.0.0.1:4406", field: func(c *Config) any { return &c.Listen },
			Doc: "Where clients connect: each `host:port` or `unix:/path`.",
		},
		{
			Name: "admin.listen", Kind: Text, Default: "127.0.0.1:4480", field: func(c *Config) any { return &c.Admin.Listen },
			Doc: "Where probes, metrics and status are served over HTTP: `host:port` or `unix:/path`. Empty serves none.",
		},
		{
			Name: "admin.token", Kind: Text, Secret: true, field: func(c *Config) any { return &c.Admin.Token },
			Doc: "What a caller of the admin address must send as `Authorization: Bearer TOKEN`; probes need none. Required when `admin.listen` isn't on loopback.",
		},
		{
			Name: "map", Kind: File, Default: "./shards.yaml", field: func(c *Config) any { return &c.Map },
			Doc: "The shard map: a YAML file, or `etcd://HOST:PORT[,HOST:PORT]/PREFIX`.",
		},

		{
			Name: "etcd.user", Kind: Text, field: func(c *Config) any { return &c.Etcd.User },
			Doc: "The user as whom Shardway logs in to etcd. Empty for an etcd without users.",
		},
		{
			Name: "etcd.password", Kind: Text, Secret: true, field: func(c *Config) any { return &c.Etcd.Password },
			Doc: "The password of that user.",
		},
		{
			Name: "etcd.password_file", Kind: File, field: func(c *Config) any { return &c.Etcd.PasswordFile },
			Doc: "A file that holds the password, instead of `etcd.password`. One line end at its end isn't part of it.",
		},
		{
			Name: "etcd.tls.ca", Kind: File, field: func(c *Config) any { return &c.Etcd.TLS.CA },
			Doc: "Certificates (PEM) of those who sign etcd's certificates. With it the connection to etcd is encrypted and verified.",
		},
		{
			Name: "etcd.tls.cert", Kind: File, field: func(c *Config) any { return &c.Etcd.TLS.Cert },
			Doc: "The certificate (PEM) that Shardway shows to an etcd that asks for one. Alone it encrypts too, and etcd's certificate is verified by the system's authorities.",
		},
		{
			Name: "etcd.tls.key", Kind: File, field: func(c *Config) any { return &c.Etcd.TLS.Key },
			Doc: "The private key (PEM) of `etcd.tls.cert`. Both are read again for each connection.",
		},
		{
			Name: "etcd.dial_timeout", Kind: Duration, Default: "3s", NotZero: true, field: func(c *Config) any { return &c.Etcd.DialTimeout },
			Doc: "How long connecting to etcd, and each request to it, may take.",
		},

		{
			Name: "tls.cert", Kind: File, field: func(c *Config) any { return &c.TLS.Cert },
			Doc: "The certificate (PEM, with its chain) that clients see. Without it clients can't encrypt.",
		},
		{
			Name: "tls.key", Kind: File, field: func(c *Config) any { return &c.TLS.Key },
			Doc: "The private key (PEM) of `tls.cert`. Both are read again when they change.",
		},
		{
			Name: "tls.client_ca", Kind: File, field: func(c *Config) any { return &c.TLS.ClientCA },
			Doc: "Certificates (PEM) of those who may sign clients' certificates. A certificate that a client shows must be signed by one of them; none is demanded.",
		},
		{
			Name: "tls.mode", Kind: Word, Default: "preferred", Allowed: []string{"disabled", "preferred", "required"}, field: func(c *Config) any { return &c.TLS.Mode },
			Doc: "Whether clients encrypt: never, when they want to, or always.",
		},

		{
			Name: "compression", Kind: List, Default: "zlib,zstd", field: func(c *Config) any { return &c.Compression },
			Doc: "The algorithms that clients may compress their connections with. An empty list offers none.",
		},

		{
			Name: "servers.user", Kind: Text, Default: "shardway", field: func(c *Config) any { return &c.Servers.User },
			Doc: "The user as whom Shardway logs in to every server.",
		},
		{
			Name: "servers.password", Kind: Text, Secret: true, field: func(c *Config) any { return &c.Servers.Password },
			Doc: "The password of that user.",
		},
		{
			Name: "servers.password_file", Kind: File, field: func(c *Config) any { return &c.Servers.PasswordFile },
			Doc: "A file that holds the password, instead of `servers.password`. One line end at its end isn't part of it.",
		},
		{
			Name: "servers.tls.mode", Kind: Word, Default: "preferred", Allowed: []string{"disabled", "preferred", "required", "verify-ca", "verify-identity"}, field: func(c *Config) any { return &c.Servers.TLS.Mode },
			Doc: "Whether the connections to servers are encrypted, and how much of a server's certificate is verified; the words of MySQL's `--ssl-mode`.",
		},
		{
			Name: "servers.tls.ca", Kind: File, field: func(c *Config) any { return &c.Servers.TLS.CA },
			Doc: "Certificates (PEM) of those who sign the servers' certificates, for the two verifying modes. Empty takes the system's.",
		},
		{
			Name: "servers.tls.cert", Kind: File, field: func(c *Config) any { return &c.Servers.TLS.Cert },
			Doc: "The certificate (PEM) that Shardway shows to servers that ask for one.",
		},
		{
			Name: "servers.tls.key", Kind: File, field: func(c *Config) any { return &c.Servers.TLS.Key },
			Doc: "The private key (PEM) of `servers.tls.cert`.",
		},
		{
			Name: "servers.dial_timeout", Kind: Duration, Default: "3s", NotZero: true, field: func(c *Config) any { return &c.Servers.DialTimeout },
			Doc: "How long connecting and logging in to a server may take.",
		},
		{
			Name: "servers.compression", Kind: Word, Default: "none", Allowed: []string{"none", "zlib", "zstd"}, field: func(c *Config) any { return &c.Servers.Compression },
			Doc: "How the connections to servers are compressed, where a server offers it: MariaDB offers zlib alone. It costs time on both sides, and pays over a slow network only.",
		},

		{
			Name: "servers.proxy_protocol", Kind: Word, Default: "off", Allowed: []string{"off", "v2"}, field: func(c *Config) any { return &c.Servers.ProxyProtocol },
			Doc: "Whether servers are told each client's address, by a PROXY header ahead of each connection. `v2` needs `pool.multiplex: false`, and servers that expect the header.",
		},

		{
			Name: "handshake.version", Kind: Text, field: func(c *Config) any { return &c.Handshake.Version },
			Doc: "The server version that clients are told. Empty tells them the servers' own.",
		},
		{
			Name: "handshake.collation", Kind: Text, field: func(c *Config) any { return &c.Handshake.Collation },
			Doc: "The default collation that clients are told, by name. Empty tells them the servers' own.",
		},

		{
			Name: "pool.max_per_server", Kind: Number, Default: "100", Min: 1, field: func(c *Config) any { return &c.Pool.MaxPerServer },
			Doc: "The most connections to one server. Keep it, times the number of proxies, below the server's `max_connections`.",
		},
		{
			Name: "pool.idle_timeout", Kind: Duration, Default: "60s", NotZero: true, field: func(c *Config) any { return &c.Pool.IdleTimeout },
			Doc: "How long a connection to a server may wait for work before it is closed.",
		},
		{
			Name: "pool.wait_timeout", Kind: Duration, Default: "5s", NotZero: true, field: func(c *Config) any { return &c.Pool.WaitTimeout },
			Doc: "How long a client's statement waits for a connection when the ceiling is reached; then it gets an error.",
		},
		{
			Name: "pool.multiplex", Kind: Bool, Default: "true", field: func(c *Config) any { return &c.Pool.Multiplex },
			Doc: "Whether a connection serves other clients between the statements of one. False keeps a client's connections for it alone until it leaves; idle ones give way to other clients when `pool.max_per_server` is reached.",
		},

		{
			Name: "replicas.policy", Kind: Word, Default: "round_robin", Allowed: []string{"round_robin", "weighted", "least_connections", "client_ip_hash", "latency"}, field: func(c *Config) any { return &c.Replicas.Policy },
			Doc: "Which replica serves a read.",
		},
		{
			Name: "replicas.max_lag", Kind: Duration, Default: "5s", field: func(c *Config) any { return &c.Replicas.MaxLag },
			Doc: "A replica whose lag is more, or unknown, serves no reads. 0 turns the check off.",
		},
		{
			Name: "replicas.causal_reads", Kind: Word, Default: "session", Allowed: []string{"off", "session"}, field: func(c *Config) any { return &c.Replicas.CausalReads },
			Doc: "`session`: a session reads its own writes on any replica, and never sees less than before. `off`: what any replica has.",
		},
		{
			Name: "replicas.causal_timeout", Kind: Duration, Default: "200ms", field: func(c *Config) any { return &c.Replicas.CausalTimeout },
			Doc: "How long a read waits for its replica to have the session's writes; then the primary serves it.",
		},
		{
			Name: "replicas.fallback_to_primary", Kind: Bool, Default: "true", field: func(c *Config) any { return &c.Replicas.FallbackToPrimary },
			Doc: "Whether the primary serves reads while no replica can.",
		},
		{
			Name: "replicas.zone", Kind: Text, field: func(c *Config) any { return &c.Replicas.Zone },
			Doc: "Replicas of this zone are preferred. Empty prefers none.",
		},
		{
			Name: "replicas.heartbeat", Kind: Duration, Default: "500ms", field: func(c *Config) any { return &c.Replicas.Heartbeat },
			Doc: "How often a beat is written to `shardway.heartbeat` on each primary, by which lag is known to less than a second. 0 writes none, and lag is what replication says.",
		},
		{
			Name: "replicas.warm_up", Kind: Duration, Default: "10s", field: func(c *Config) any { return &c.Replicas.WarmUp },
			Doc: "How long a replica that returns, or is new, takes to come to its full share of reads. 0 gives it at once.",
		},
		{
			Name: "replicas.eject.latency_factor", Kind: Number, Default: "10", Min: 0, field: func(c *Config) any { return &c.Replicas.Eject.LatencyFactor },
			Doc: "A replica whose reads take more than this many times the median of its peers (and more than 5ms) serves none for a while. 0 looks at no times.",
		},
		{
			Name: "replicas.eject.errors", Kind: Number, Default: "5", Min: 0, field: func(c *Config) any { return &c.Replicas.Eject.Errors },
			Doc: "A replica of which more connections than this break within 10s, while its probes are answered, serves no reads for a while. 0 counts none.",
		},
		{
			Name: "replicas.eject.for", Kind: Duration, Default: "10s", NotZero: true, field: func(c *Config) any { return &c.Replicas.Eject.For },
			Doc: "How long such a replica serves no reads; each time soon after doubles it, up to 5m.",
		},

		{
			Name: "failover.enabled", Kind: Bool, Default: "false", field: func(c *Config) any { return &c.Failover.Enabled },
			Doc: "Whether the proxies promote a replica when a primary is gone.",
		},
		{
			Name: "failover.after", Kind: Duration, Default: "3s", NotZero: true, field: func(c *Config) any { return &c.Failover.After },
			Doc: "How long proxies must have missed a primary before it counts as gone.",
		},
		{
			Name: "failover.quorum", Kind: Number, Default: "0", field: func(c *Config) any { return &c.Failover.Quorum },
			Doc: "How many proxies must miss it. 0 is the majority of those that are announced in the map's store.",
		},
		{
			Name: "failover.hold_timeout", Kind: Duration, Default: "10s", NotZero: true, field: func(c *Config) any { return &c.Failover.HoldTimeout },
			Doc: "How long a statement waits for a primary that is being changed, or for slots that are paused while they move; then it gets an error after which it can be tried again.",
		},
		{
			Name: "failover.user", Kind: Text, field: func(c *Config) any { return &c.Failover.User },
			Doc: "The user as whom primaries are changed; its rights are in failover.md. Empty takes `servers.user`, which on MariaDB could then write on read-only servers.",
		},
		{
			Name: "failover.password", Kind: Text, Secret: true, field: func(c *Config) any { return &c.Failover.Password },
			Doc: "The password of that user.",
		},
		{
			Name: "failover.password_file", Kind: File, field: func(c *Config) any { return &c.Failover.PasswordFile },
			Doc: "A file that holds the password, instead of `failover.password`. One line end at its end isn't part of it.",
		},
		{
			Name: "failover.replication_user", Kind: Text, field: func(c *Config) any { return &c.Failover.ReplicationUser },
			Doc: "The user as whom a former primary logs in at the new one to follow it.",
		},
		{
			Name: "failover.replication_password", Kind: Text, Secret: true, field: func(c *Config) any { return &c.Failover.ReplicationPassword },
			Doc: "The password of that user.",
		},
		{
			Name: "failover.replication_password_file", Kind: File, field: func(c *Config) any { return &c.Failover.ReplicationPasswordFile },
			Doc: "A file that holds the password, instead of `failover.replication_password`. One line end at its end isn't part of it.",
		},

		{
			Name: "transactions.cross_shard", Kind: Word, Default: "atomic", Allowed: []string{"atomic", "forbid", "unsafe"}, field: func(c *Config) any { return &c.Transactions.CrossShard },
			Doc: "What becomes of a transaction that needs a second shard: all its shards commit or none (`atomic`), the statement is refused (`forbid`), or each shard commits for itself (`unsafe`).",
		},
		{
			Name: "transactions.resolve_after", Kind: Duration, Default: "5s", NotZero: true, field: func(c *Config) any { return &c.Transactions.ResolveAfter },
			Doc: "How long a branch in doubt of another proxy is left to it before this one ends it.",
		},
		{
			Name: "transactions.max_age", Kind: Duration, Default: "0s", field: func(c *Config) any { return &c.Transactions.MaxAge },
			Doc: "How long a transaction may be open; then its session is ended, which rolls it back. 0 means no limit.",
		},
		{
			Name: "transactions.idle_timeout", Kind: Duration, Default: "0s", field: func(c *Config) any { return &c.Transactions.IdleTimeout },
			Doc: "How long a client may be idle in a transaction; then its session is ended, which rolls the transaction back. 0 means no limit.",
		},

		{
			Name: "limits.max_connections", Kind: Number, Default: "10000", Min: 1, field: func(c *Config) any { return &c.Limits.MaxConnections },
			Doc: "The most clients at a time; one more gets error 1040.",
		},
		{
			Name: "limits.query_timeout", Kind: Duration, Default: "0s", field: func(c *Config) any { return &c.Limits.QueryTimeout },
			Doc: "How long one statement may run. 0 is no limit.",
		},
		{
			Name: "limits.gather_rows", Kind: Number, Default: "1000000", Min: 1, field: func(c *Config) any { return &c.Limits.GatherRows },
			Doc: "The most rows that are brought together for one statement over several shards.",
		},
		{
			Name: "limits.gather_bytes", Kind: ByteSize, Default: "256MiB", Min: 1 << 10, field: func(c *Config) any { return &c.Limits.GatherBytes },
			Doc: "The most bytes that are brought together for one statement over several shards.",
		},
		{
			Name: "limits.max_packet", Kind: ByteSize, Default: "64MiB", Min: 1 << 10, Max: 1 << 30, field: func(c *Config) any { return &c.Limits.MaxPacket },
			Doc: "The largest command that a client may send; what the servers allow, where that is less.",
		},

		{
			Name: "log.level", Kind: Word, Default: "info", Allowed: []string{"debug", "info", "warn", "error"}, field: func(c *Config) any { return &c.Log.Level },
			Doc: "The least important messages that are written.",
		},
		{
			Name: "log.format", Kind: Word, Default: "json", Allowed: []string{"json", "text"}, field: func(c *Config) any { return &c.Log.Format },
			Doc: "How messages are written to standard error, one a line.",
		},
		{
			Name: "log.slow_query", Kind: Duration, Default: "1s", field: func(c *Config) any { return &c.Log.SlowQuery },
			Doc: "Statements that took at least this long are logged, without their values. 0 logs none.",
		},
		{
			Name: "log.audit", Kind: File, field: func(c *Config) any { return &c.Log.Audit },
			Doc: "A file that records who ran what. Empty records nothing.",
		},

		{
			Name: "proxy_protocol.trusted", Kind: List, field: func(c *Config) any { return &c.ProxyProtocol.Trusted },
			Doc: "CIDRs of the load balancers whose PROXY v1 and v2 headers are believed: the client's address is then the header's. A header from anywhere else ends the connection.",
		},
		{
			Name: "drain_timeout", Kind: Duration, Default: "30s", field: func(c *Config) any { return &c.DrainTimeout },
			Doc: "How long clients may finish their transactions when Shardway ends.",
		},
	}
}

// UserKeys returns the keys of a user, named without `users.NAME.` before
// them.
func UserKeys() []Key {
	keys := make([]Key, 0, 13)
	for _, f := range userFields() {
		keys = append(keys, f.Key)
	}
	return keys
}

type userField struct {
	Key
	of func(*User) any
}

func userFields() []userField {
	return []userField{
		{Key{Name: "password", Kind: Text, Secret: true, Doc: `The user's password; "" for none.`}, func(u *User) any { return &u.Password }},
		{Key{Name: "password_file", Kind: File, Doc: "A file that holds the password, instead of `password`. One line end at its end isn't part of it."}, func(u *User) any { return &u.PasswordFile }},
		{Key{Name: "verifier", Kind: Text, Secret: true, Doc: "A stored verifier instead of the password: `$A$005$…` or `*HEX` as in `mysql.user.authentication_string`, either also in hexadecimal after `0x`, or `SHA256(SHA256(password))` in hexadecimal."}, func(u *User) any { return &u.Verifier }},
		{Key{Name: "old_password", Kind: Text, Secret: true, Doc: "A password that lets the user in as well, while it is being replaced."}, func(u *User) any { return &u.OldPassword }},
		{Key{Name: "old_password_file", Kind: File, Doc: "A file that holds it, instead of `old_password`."}, func(u *User) any { return &u.OldPasswordFile }},
		{Key{Name: "old_verifier", Kind: Text, Secret: true, Doc: "Its stored verifier, instead of `old_password`."}, func(u *User) any { return &u.OldVerifier }},
		{Key{Name: "require", Kind: Word, Default: "none", Allowed: []string{"none", "tls", "x509"}, Doc: "What the user needs besides the password: nothing, an encrypted connection, or a certificate signed by one of `tls.client_ca`."}, func(u *User) any { return &u.Require }},
		{Key{Name: "subject", Kind: Text, Doc: "The subject that the user's certificate must have, as `CN=app,O=Shop` or `/O=Shop/CN=app`. It implies `require: x509`."}, func(u *User) any { return &u.Subject }},
		{Key{Name: "databases", Kind: List, Doc: "The databases that the user may use. Left out: all of them."}, func(u *User) any { return &u.Databases }},
		{Key{Name: "max_connections", Kind: Number, Default: "0", Doc: "The most connections of this user at a time. 0 leaves it to `limits.max_connections`."}, func(u *User) any { return &u.MaxConnections }},
		{Key{Name: "read_only", Kind: Bool, Default: "false", Doc: "Whether the user may only read."}, func(u *User) any { return &u.ReadOnly }},
		{Key{Name: "admin", Kind: Bool, Default: "false", Doc: "Whether the user sees every client's session, and may end it with `KILL`; others see and end those of their own name."}, func(u *User) any { return &u.Admin }},
	}
}
