package config

import "time"

// Config is a complete and checked configuration. The comment of each key is
// in the table that [Keys] returns.
type Config struct {
	Listen        []string
	Admin         Admin
	Map           string
	Etcd          Etcd
	TLS           TLS
	Compression   []string         // of connections to clients
	Users         map[string]*User // by name as written: names are case-sensitive
	Servers       Servers
	Handshake     Handshake
	Pool          Pool
	Replicas      Replicas
	Failover      Failover
	Transactions  Transactions
	Limits        Limits
	Log           Log
	ProxyProtocol ProxyProtocol
	DrainTimeout  time.Duration

	origins map[string]origin // where each key that isn't a default was written
	files   []string          // every file that was read
}

// Admin is where operators' HTTP is served.
type Admin struct {
	Listen string // "" serves none
	Token  string
}

// Etcd says how to log in to the etcd that Map names.
type Etcd struct {
	User         string
	Password     string
	PasswordFile string
	TLS          EtcdTLS
	DialTimeout  time.Duration
}

// EtcdTLS is the encryption between Shardway and etcd. Without CA and Cert
// there is none.
type EtcdTLS struct {
	CA, Cert, Key string
}

// TLS is the encryption between clients and Shardway. Without Cert there is
// none.
type TLS struct {
	Cert, Key, ClientCA string
	Mode                string
}

// User is somebody who may log in to Shardway.
type User struct {
	Password        string
	PasswordFile    string
	Verifier        string
	OldPassword     string
	OldPasswordFile string
	OldVerifier     string
	Require         string
	Subject         string
	Databases       []string // nil: all
	MaxConnections  int      // 0: no limit of its own
	ReadOnly        bool
	Admin           bool
}

// Servers says how Shardway logs in to MySQL servers.
type Servers struct {
	User         string
	Password     string
	PasswordFile string
	TLS          ServerTLS
	DialTimeout  time.Duration
	Compression  string
	// ProxyProtocol is "off" or "v2".
	ProxyProtocol string
}

// ServerTLS is the encryption between Shardway and the servers.
type ServerTLS struct {
	Mode          string
	CA, Cert, Key string
}

// Handshake replaces what Shardway otherwise learns from the servers and tells
// its clients.
type Handshake struct {
	Version   string
	Collation string
}

// Pool is about the connections to servers.
type Pool struct {
	MaxPerServer int
	IdleTimeout  time.Duration
	WaitTimeout  time.Duration
	Multiplex    bool
}

// Replicas says which replica serves a read.
type Replicas struct {
	Policy            string
	MaxLag            time.Duration
	CausalReads       string
	CausalTimeout     time.Duration
	FallbackToPrimary bool
	Zone              string
	Heartbeat         time.Duration
	WarmUp            time.Duration
	Eject             Eject
}

// Eject says when a replica that answers probes serves no reads for a while.
type Eject struct {
	LatencyFactor int
	Errors        int
	For           time.Duration
}

// Failover says what happens when a primary is changed, planned or not.
type Failover struct {
	Enabled                 bool
	After                   time.Duration
	Quorum                  int // 0: the majority
	HoldTimeout             time.Duration
	User                    string // "": Servers' account
	Password                string
	PasswordFile            string
	ReplicationUser         string
	ReplicationPassword     string
	ReplicationPasswordFile string
}

// Transactions is about transactions over several shards.
type Transactions struct {
	CrossShard   string
	ResolveAfter time.Duration
	MaxAge       time.Duration // 0: no limit
	IdleTimeout  time.Duration // 0: no limit
}

// Limits protect Shardway and the servers.
type Limits struct {
	MaxConnections int
	QueryTimeout   time.Duration
	GatherRows     int
	GatherBytes    Size
	MaxPacket      Size
}

// Log is about what Shardway writes to its standard error and audit file.
type Log struct {
	Level     string
	Format    string
	SlowQuery time.Duration
	Audit     string
}

// ProxyProtocol names the load balancers whose word about the client's address
// is taken.
type ProxyProtocol struct {
	Trusted []string
}

// Files returns the files that the configuration was read from: the
// configuration file, the environment file and the password files. A change of
// any of them is worth another Load.
func (c *Config) Files() []string { return append([]string(nil), c.files...) }

// IsSet reports whether the key was written anywhere, that is, isn't merely a
// default.
func (c *Config) IsSet(key string) bool { _, ok := c.origins[key]; return ok }
