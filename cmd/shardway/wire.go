package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"shardway/config"
	"shardway/protocol"
	"shardway/protocol/secret"
	"shardway/router"
	"shardway/router/backend"
	"shardway/shardmap"
	"shardway/shardmap/etcdstore"
	"shardway/shardmap/stores"
)

// Sizes of the cache of parsed statements.
const (
	cachedStatements = 20000
	cachedBytes      = 64 << 20
)

// parts are what a configuration makes of itself before anything uses it: all
// that can be wrong with it is wrong here.
type parts struct {
	config *config.Config
	store  stores.Store
	m      *shardmap.Map
	client *protocol.TLSReloader // nil: clients can't encrypt
	server *tls.Config           // nil: as backend makes it
	// secrets are what lets each user in, by name.
	secrets map[string][]*secret.Secret
	// serverFiles is a digest of what server was made of.
	serverFiles [sha256.Size]byte
}

// prepare reads everything that the configuration names. before is what is in
// force, nil at the start: connections to servers are made anew when their TLS
// changes, so it is kept where it is the same.
func prepare(ctx context.Context, c *config.Config, before *parts, log *slog.Logger) (_ *parts, err error) {
	p := &parts{config: c, serverFiles: filesDigest(c.Servers.TLS)}
	var errs []error
	fail := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	kept := before != nil && before.config.Map == c.Map && before.config.Etcd == c.Etcd
	if kept {
		p.store = before.store
	} else {
		p.store, err = openStore(c, log)
	}
	fail("map", err)
	if err == nil {
		if !kept {
			defer func() {
				if err != nil {
					_ = p.store.Close() // nobody uses it
				}
			}()
		}
		p.m, err = p.store.Load(ctx)
		if kept && errors.Is(err, shardmap.ErrUnavailable) {
			log.Warn("the stored map can't be read, the one in use stays", "error", err)
			p.m, err = before.m, nil
		}
		fail("map", err)
	}
	p.client, err = clientTLS(c)
	fail("tls", err)
	p.secrets, err = secrets(c)
	fail("users", err)
	if p.client != nil {
		p.client.OnError = func(err error) {
			log.Warn("the changed certificate can't be used, clients see the one of before", "error", err)
		}
	}
	p.server, err = serverTLS(c)
	fail("servers.tls", err)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if before != nil && before.serverFiles == p.serverFiles {
		p.server = before.server
	}
	return p, nil
}

// filesDigest covers the settings and the contents of the files they name.
func filesDigest(t config.ServerTLS) (sum [sha256.Size]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%+v", t)
	for _, name := range []string{t.CA, t.Cert, t.Key} {
		data, err := os.ReadFile(name)
		fmt.Fprintf(h, "%d %v %s", len(data), err == nil, data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// openStore opens the store of the map without reading it.
func openStore(c *config.Config, log *slog.Logger) (stores.Store, error) {
	return stores.Open(c.Map, etcdstore.Options{
		User: c.Etcd.User, Password: c.Etcd.Password,
		CA: c.Etcd.TLS.CA, Cert: c.Etcd.TLS.Cert, Key: c.Etcd.TLS.Key,
		DialTimeout: c.Etcd.DialTimeout, Log: log,
	})
}

// secrets makes what lets each user in: the password, and the old one while it is being replaced.
func secrets(c *config.Config) (map[string][]*secret.Secret, error) {
	all := map[string][]*secret.Secret{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		u := c.Users[name]
		add := func(key, password, verifier string) {
			if verifier == "" {
				all[name] = append(all[name], secret.Password(password))
				return
			}
			parsed, err := secret.Verifier(verifier)
			if err != nil {
				errs = append(errs, fmt.Errorf("users.%s.%s: %w", name, key, err))
				return
			}
			all[name] = append(all[name], parsed)
		}
		add("verifier", u.Password, u.Verifier)
		if u.OldPassword != "" || u.OldVerifier != "" {
			add("old_verifier", u.OldPassword, u.OldVerifier)
		}
	}
	return all, errors.Join(errs...)
}

// clientTLS is nil when clients can't encrypt.
func clientTLS(c *config.Config) (*protocol.TLSReloader, error) {
	if c.TLS.Cert == "" || c.TLS.Mode == "disabled" {
		return nil, nil
	}
	return protocol.ServerTLS(c.TLS.Cert, c.TLS.Key, c.TLS.ClientCA)
}

// serverTLS is nil when Shardway doesn't encrypt. The name to verify is that
// of each server's address, which backend and protocol put in.
func serverTLS(c *config.Config) (*tls.Config, error) {
	t := c.Servers.TLS
	if t.Mode == "disabled" {
		return nil, nil
	}
	return protocol.ClientTLS(protocol.TLSMode(t.Mode), t.CA, t.Cert, t.Key, "")
}

func (d *daemon) backendOptions(p *parts) backend.Options {
	c := p.config
	return backend.Options{
		User: c.Servers.User, Password: c.Servers.Password,
		TLS: protocol.TLSMode(c.Servers.TLS.Mode), TLSConfig: p.server,
		Attrs:       map[string]string{"program_name": "shardway", "_client_version": version()},
		DialTimeout: c.Servers.DialTimeout, Compression: protocol.Compression(c.Servers.Compression),
		ProxyProtocol: c.Servers.ProxyProtocol == "v2", Dedicated: !c.Pool.Multiplex,
		MaxPerServer: c.Pool.MaxPerServer, IdleTimeout: c.Pool.IdleTimeout, WaitTimeout: c.Pool.WaitTimeout,
		Policy: c.Replicas.Policy, MaxLag: c.Replicas.MaxLag, FallbackToPrimary: c.Replicas.FallbackToPrimary, Zone: c.Replicas.Zone,
		Heartbeat: c.Replicas.Heartbeat, WarmUp: c.Replicas.WarmUp,
		Eject:       backend.Eject{LatencyFactor: c.Replicas.Eject.LatencyFactor, Errors: c.Replicas.Eject.Errors, For: c.Replicas.Eject.For},
		HoldTimeout: c.Failover.HoldTimeout, HoldLost: c.Failover.Enabled,
		OnPromoted:  d.observed,
		Log:         d.log,
		CausalReads: c.Replicas.CausalReads != "off", CausalTimeout: c.Replicas.CausalTimeout,
	}
}

// routerOptions leaves out what doesn't come from the configuration.
func routerOptions(p *parts) router.Options {
	c := p.config
	o := router.Options{
		Users:      map[string]*router.User{},
		RequireTLS: c.TLS.Mode == "required",
		Version:    c.Handshake.Version, Collation: config.CollationID(c.Handshake.Collation),
		MaxPacket:      int(c.Limits.MaxPacket),
		MaxConnections: c.Limits.MaxConnections,
		LoginTimeout:   10 * time.Second,
		QueryTimeout:   c.Limits.QueryTimeout,
		GatherRows:     uint64(c.Limits.GatherRows),
		GatherBytes:    uint64(c.Limits.GatherBytes),
		HoldTimeout:    c.Failover.HoldTimeout,
		TxMaxAge:       c.Transactions.MaxAge, TxIdle: c.Transactions.IdleTimeout,
		Variables: func() [][2]string { return variables(c) },
	}
	if p.client != nil {
		o.TLS = p.client.Config
	}
	for _, algorithm := range c.Compression {
		o.Compression = append(o.Compression, protocol.Compression(algorithm))
	}
	if len(c.ProxyProtocol.Trusted) > 0 {
		o.Proxies = trusted(c.ProxyProtocol.Trusted)
	}
	for name, u := range c.Users {
		o.Users[name] = &router.User{
			Name: name, Secrets: p.secrets[name], Databases: u.Databases, MaxConnections: u.MaxConnections, ReadOnly: u.ReadOnly, Admin: u.Admin,
			TLS: u.Require == "tls", X509: u.Require == "x509", Subject: u.Subject,
		}
	}
	return o
}

// trusted says which addresses are in one of the networks, which the configuration has checked.
func trusted(cidrs []string) func(netip.Addr) bool {
	var networks []netip.Prefix
	for _, cidr := range cidrs {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			networks = append(networks, p.Masked())
		}
	}
	return func(a netip.Addr) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}
}

func variables(c *config.Config) [][2]string {
	var all [][2]string
	for line := range strings.Lines(c.Redacted()) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		all = append(all, [2]string{key, value})
	}
	return all
}

// observed hands a promotion that the cluster has seen to the steward.
func (d *daemon) observed(shard, from, to string) {
	select {
	case d.promotions <- promotion{shard, from, to}:
	default: // far more shards at once than a map should lose; the cluster follows all the same
	}
}
