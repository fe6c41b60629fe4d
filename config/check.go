package config

import (
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// check reports values that are wrong in themselves or contradict each other.
func (c *Config) check(ps *problems) {
	c.checkListen(ps)
	c.checkAdmin(ps)
	c.checkMap(ps)
	c.checkEtcd(ps)
	c.checkFailover(ps)
	c.checkTLS(ps)
	c.checkUsers(ps)
	c.checkHandshake(ps)
	for _, cidr := range c.ProxyProtocol.Trusted {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			c.problem(ps, "proxy_protocol.trusted", "%q isn't a CIDR; write a network with its length, such as 10.0.0.0/8 or 192.0.2.1/32", cidr)
		}
	}
	for _, algorithm := range c.Compression {
		if algorithm != "zlib" && algorithm != "zstd" {
			c.problem(ps, "compression", "%q is none of zlib, zstd; write [] to offer none", algorithm)
		}
	}
	if c.Servers.ProxyProtocol == "v2" && c.Pool.Multiplex {
		c.problem(ps, "servers.proxy_protocol", "is v2, which tells a server one client's address for the whole connection, but connections serve one client after another: set pool.multiplex: false, or take v2 out")
	}
	if c.Servers.User == "" {
		c.problem(ps, "servers.user", "is empty; name the user as whom Shardway logs in to the servers")
	}
}

func (c *Config) problem(ps *problems, key, format string, args ...any) {
	where, ok := c.origins[key]
	if !ok && len(c.files) > 0 {
		where = origin{file: c.files[len(c.files)-1]}
		for _, f := range c.files {
			if ext := filepath.Ext(f); ext == ".yaml" || ext == ".yml" {
				where.file = f
			}
		}
	}
	ps.add(where, key, format, args...)
}

// checkAddress says what is wrong with an address to listen on, or "".
func checkAddress(addr string) string {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		switch {
		case path == "":
			return "has no path after unix:"
		case len(path) > 107: // sun_path of the kernel, less its final 0
			return "has a path of more than 107 bytes, which is more than a unix socket may have"
		}
		return ""
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "is neither host:port nor unix:/path"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "has a port that isn't a number up to 65535"
	}
	return ""
}

func (c *Config) checkListen(ps *problems) {
	if len(c.Listen) == 0 {
		c.problem(ps, "listen", "is empty; name at least one host:port or unix:/path")
	}
	for i, addr := range c.Listen {
		if wrong := checkAddress(addr); wrong != "" {
			c.problem(ps, "listen", "%q %s", addr, wrong)
		}
		if slices.Contains(c.Listen[:i], addr) && !anyPort(addr) {
			c.problem(ps, "listen", "%q is there twice", addr)
		}
	}
}

// anyPort reports an address whose port the kernel chooses.
func anyPort(addr string) bool { return strings.HasSuffix(addr, ":0") }

func (c *Config) checkAdmin(ps *problems) {
	addr := c.Admin.Listen
	if addr == "" {
		return
	}
	if wrong := checkAddress(addr); wrong != "" {
		c.problem(ps, "admin.listen", "%q %s", addr, wrong)
		return
	}
	if slices.Contains(c.Listen, addr) && !anyPort(addr) {
		c.problem(ps, "admin.listen", "%q is in listen too; clients and operators need addresses of their own", addr)
	}
	if c.Admin.Token == "" && !isLocal(addr) {
		c.problem(ps, "admin.listen", "%q can be reached from other machines; set admin.token, or listen on 127.0.0.1", addr)
	}
	if strings.ContainsFunc(c.Admin.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		c.problem(ps, "admin.token", "has spaces or characters that an HTTP header can't hold")
	}
}

// isLocal reports addresses that only this machine reaches.
func isLocal(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *Config) checkMap(ps *problems) {
	rest, isEtcd := strings.CutPrefix(c.Map, "etcd://")
	switch {
	case c.Map == "":
		c.problem(ps, "map", "is empty; name the file that holds the shard map")
	case isEtcd && strings.Contains(strings.SplitN(rest, "/", 2)[0], "@"):
		// The value is not repeated: it may hold a password.
		c.problem(ps, "map", "has a user in its address, and addresses are shown and logged; set etcd.user and etcd.password")
	case isEtcd:
		hosts, prefix, _ := strings.Cut(rest, "/")
		if strings.Trim(prefix, "/") == "" {
			c.problem(ps, "map", "%q has no prefix; write etcd://%s/PREFIX, such as etcd://%s/shardway", c.Map, hosts, hosts)
		}
		for h := range strings.SplitSeq(hosts, ",") {
			if _, _, err := net.SplitHostPort(h); err != nil {
				c.problem(ps, "map", "%q has %q where HOST:PORT must stand", c.Map, h)
			}
		}
	case strings.Contains(c.Map, "://"):
		scheme, _, _ := strings.Cut(c.Map, "://")
		c.problem(ps, "map", "is neither a file nor etcd://HOST:PORT/PREFIX: it begins with %q", scheme+"://")
	}
}

func (c *Config) checkFailover(ps *problems) {
	f := c.Failover
	if f.User == "" && f.Password != "" {
		c.problem(ps, "failover.password", "is set without failover.user; a user and its password go together")
	}
	if f.ReplicationUser == "" && f.ReplicationPassword != "" {
		c.problem(ps, "failover.replication_password", "is set without failover.replication_user; a user and its password go together")
	}
	if f.Enabled && f.ReplicationUser == "" {
		c.problem(ps, "failover.enabled", "is true without failover.replication_user, so that no former primary could come back; set it and failover.replication_password")
	}
}

func (c *Config) checkEtcd(ps *problems) {
	if (c.Etcd.User == "") != (c.Etcd.Password == "") {
		has, lacks := "user", "password"
		if c.Etcd.User == "" {
			has, lacks = lacks, has
		}
		c.problem(ps, "etcd."+has, "is set without etcd.%s; a user and its password go together", lacks)
	}
}

func (c *Config) checkTLS(ps *problems) {
	pair := func(section, cert, key string) {
		if (cert == "") != (key == "") {
			has, lacks := "cert", "key"
			if cert == "" {
				has, lacks = lacks, has
			}
			c.problem(ps, section+"."+has, "is set without %s.%s; a certificate and its key go together", section, lacks)
		}
	}
	pair("tls", c.TLS.Cert, c.TLS.Key)
	pair("etcd.tls", c.Etcd.TLS.Cert, c.Etcd.TLS.Key)
	pair("servers.tls", c.Servers.TLS.Cert, c.Servers.TLS.Key)
	if c.TLS.Cert == "" && c.TLS.Key == "" {
		if c.TLS.Mode == "required" {
			c.problem(ps, "tls.mode", "is required, but there is no tls.cert and tls.key")
		}
		if c.TLS.ClientCA != "" {
			c.problem(ps, "tls.client_ca", "is set, but there is no tls.cert and tls.key")
		}
	}
}

func (c *Config) checkUsers(ps *problems) {
	if len(c.Users) == 0 {
		c.problem(ps, "users", "is empty, so nobody could log in; add one as `users: {NAME: {password: …}}`")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		u, path := c.Users[name], "users."+name
		switch {
		case name == "":
			c.problem(ps, path, "is a user without a name")
		case utf8.RuneCountInString(name) > 80:
			c.problem(ps, path, "has a name of more than 80 characters, which no client can send")
		case strings.ContainsRune(name, 0):
			c.problem(ps, path, "has a zero byte in its name")
		}
		if u.PasswordFile == "" && u.Verifier == "" && !c.IsSet(path+".password") {
			ps.add(c.origins[path], path+".password", `is missing; write password, password_file, verifier, or password: "" for a user without one`)
		}
		c.checkSecrets(ps, u, path)
		if c.IsSet(path+".databases") && len(u.Databases) == 0 {
			c.problem(ps, path+".databases", "is empty; name at least one, or take the key out to allow all")
		}
		for i, db := range u.Databases {
			if db == "" || db == "*" {
				c.problem(ps, path+".databases", "%q isn't the name of a database; take the key out to allow all", db)
			}
			if slices.Contains(u.Databases[:i], db) {
				c.problem(ps, path+".databases", "%q is there twice", db)
			}
		}
	}
}

// checkSecrets is about what besides a password lets a user in.
func (c *Config) checkSecrets(ps *problems, u *User, path string) {
	for _, old := range []string{"", "old_"} {
		for _, other := range []string{"password", "password_file"} {
			if c.IsSet(path+"."+old+"verifier") && c.IsSet(path+"."+old+other) {
				c.problem(ps, path+"."+old+"verifier", "is set, and %s is too; keep one of them", path+"."+old+other)
			}
		}
	}
	if c.IsSet(path+".old_password") && u.OldPassword == "" {
		c.problem(ps, path+".old_password", "is empty, which would let the user in without a password; take the key out")
	}
	if u.OldPasswordFile != "" && u.OldPassword == "" {
		c.problem(ps, path+".old_password_file", "holds no password; take the key out")
	}
	needs := "require"
	if u.Subject != "" {
		needs = "subject"
	}
	certificate := u.Subject != "" || u.Require == "x509"
	switch {
	case certificate && c.TLS.ClientCA == "":
		c.problem(ps, path+"."+needs, "asks for a certificate, but there is no tls.client_ca, so none could be verified")
	case (certificate || u.Require == "tls") && (c.TLS.Cert == "" || c.TLS.Mode == "disabled"):
		c.problem(ps, path+"."+needs, "asks for an encrypted connection, but clients can't encrypt: set tls.cert, tls.key and tls.mode")
	}
}

func (c *Config) checkHandshake(ps *problems) {
	h := c.Handshake
	if h.Version != "" && !regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+[!-~]*$`).MatchString(h.Version) || len(h.Version) > 60 {
		c.problem(ps, "handshake.version", "%q isn't a server version; write it as servers do, such as 8.4.0 or 10.11.6-MariaDB", h.Version)
	}
	if h.Collation != "" && CollationID(h.Collation) == 0 {
		c.problem(ps, "handshake.collation", "%q isn't a collation that a handshake can name, such as utf8mb4_general_ci or utf8mb4_0900_ai_ci", h.Collation)
	}
}
