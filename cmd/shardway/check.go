package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"shardway/config"
	"shardway/shardmap"
)

// checkOptions are the flags of check.
type checkOptions struct {
	connect bool
	output  string
	timeout time.Duration
}

// check writes what is wrong, and returns errReported when something is.
func check(ctx context.Context, p *program, src config.Sources, o checkOptions) error {
	r := &report{}
	c := checkConfig(r, src)
	if c != nil {
		m := checkMap(ctx, r, c)
		checkCertificates(r, c, time.Now())
		checkUsers(r, c)
		if o.connect && m != nil {
			ctx, cancel := context.WithTimeout(ctx, o.timeout)
			defer cancel()
			checkServers(ctx, r, c, m)
		}
	}
	if err := r.write(p.stdout, o.output); err != nil {
		return err
	}
	if r.count(levelFail) > 0 {
		return errReported
	}
	return nil
}

// checkConfig returns nil when the configuration can't be used.
func checkConfig(r *report, src config.Sources) *config.Config {
	c, err := config.Load(src)
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		for _, p := range wrong.Problems {
			where := p.Where
			p.Where = ""
			r.fail(where, "configuration", "", "%s", p)
		}
		return nil
	}
	if err != nil {
		r.fail(src.File, "configuration", "", "%s", err)
		return nil
	}
	r.ok(src.File, "configuration", "%s", plural(len(c.Users), "user"))
	for _, p := range c.Inert() {
		where := p.Where
		if where == "" {
			where = src.File
		}
		p.Where = ""
		r.warn(where, "configuration", "", "%s", p)
	}
	return c
}

// checkMap returns nil when the map can't be used.
func checkMap(ctx context.Context, r *report, c *config.Config) *shardmap.Map {
	store, err := openStore(c, nil)
	if err != nil {
		r.fail(c.Map, "map", "set map in the configuration", "%s", err)
		return nil
	}
	defer store.Close()
	data, err := store.Text(ctx)
	switch {
	case errors.Is(err, shardmap.ErrUnavailable):
		r.fail(c.Map, "map", "", "%s", err) // which says what to do
		return nil
	case err != nil:
		r.fail(c.Map, "map", "write the map there, or set map in the configuration to where it is", "%s", err)
		return nil
	}
	m, problems := shardmap.Check(data)
	for _, p := range problems {
		where := c.Map
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d", c.Map, p.Line)
		}
		p.Line = 0
		if p.Warning {
			r.warn(where, "map", "", "%s", p)
		} else {
			r.fail(where, "map", "", "%s", p)
		}
	}
	if m == nil {
		return nil
	}
	tables := 0
	for _, db := range m.Databases() {
		tables += len(db.Tables)
	}
	r.ok(c.Map, "map", "version %d: %s, %s, %s", m.Version(), plural(len(m.Shards()), "shard"), plural(len(m.Databases()), "database"), plural(tables, "listed table"))
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		for _, db := range c.Users[name].Databases {
			if len(m.Databases()) > 0 && m.Database(db) == nil {
				r.warn(c.Map, "map", "", "user %s may use %s, which the map doesn't list: it lives whole on shard %s", name, db, m.DefaultShard(db).ID)
			}
		}
	}
	return m
}

// reachable reports addresses that other machines reach.
func reachable(addr string) bool {
	return !strings.HasPrefix(addr, "unix:") && !strings.HasPrefix(addr, "127.") && !strings.HasPrefix(addr, "localhost:") && !strings.HasPrefix(addr, "[::1]:")
}

// checkUsers warns of what lets in too many.
func checkUsers(r *report, c *config.Config) {
	if _, err := secrets(c); err != nil {
		for line := range strings.Lines(err.Error()) {
			r.fail(c.Files()[0], "users", "", "%s", strings.TrimSuffix(line, "\n"))
		}
	}
	open := slices.IndexFunc(c.Listen, reachable)
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		u := c.Users[name]
		key := "users." + name
		if u.Verifier == "" {
			switch {
			case u.Password == "" && open >= 0 && u.Require != "x509" && u.Subject == "":
				r.warn(key, "users", "give the user a password, or listen on 127.0.0.1", "has no password, and %s can be reached from other machines", c.Listen[open])
			case u.Password != "" && u.Password == name && open >= 0:
				r.warn(key, "users", "choose another password", "has its own name as its password, and %s can be reached from other machines", c.Listen[open])
			}
		}
		if u.OldPassword != "" || u.OldVerifier != "" {
			r.warn(key, "users", "take the old one out when all clients have the new one", "has two passwords")
		}
		if u.Password != "" && u.Password == c.Servers.Password {
			r.warn(key, "users", "choose another password", "has the password of servers.user, which may do more than the user")
		}
	}
}

// checkCertificates loads what TLS needs.
func checkCertificates(r *report, c *config.Config, now time.Time) {
	if _, err := clientTLS(c); err != nil {
		r.fail(c.TLS.Cert, "tls", "", "%s", err)
	} else if c.TLS.Cert != "" {
		checkExpiry(r, c.TLS.Cert, "tls", now)
	}
	if _, err := serverTLS(c); err != nil {
		r.fail("servers.tls", "tls", "", "%s", err)
	} else if c.Servers.TLS.Cert != "" {
		checkExpiry(r, c.Servers.TLS.Cert, "tls", now)
	}
	if c.TLS.Cert == "" {
		for _, addr := range c.Listen {
			if reachable(addr) {
				r.warn(addr, "tls", "set tls.cert and tls.key", "clients can't encrypt, and the address can be reached from other machines")
			}
		}
	}
}

func checkExpiry(r *report, file, check string, now time.Time) {
	data, err := os.ReadFile(file)
	if err != nil {
		r.fail(file, check, "", "%s", err)
		return
	}
	block, _ := pem.Decode(data)
	if block == nil {
		r.fail(file, check, "write the certificate as PEM", "holds no certificate")
		return
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		r.fail(file, check, "write the certificate as PEM", "%s", err)
	case now.After(cert.NotAfter):
		r.fail(file, check, "renew it; Shardway takes the new files up by itself", "the certificate ended on %s", cert.NotAfter.Format(time.DateOnly))
	case now.Before(cert.NotBefore):
		r.fail(file, check, "look at the clocks", "the certificate begins on %s", cert.NotBefore.Format(time.DateOnly))
	case now.Add(14 * 24 * time.Hour).After(cert.NotAfter):
		r.warn(file, check, "renew it; Shardway takes the new files up by itself", "the certificate ends on %s", cert.NotAfter.Format(time.DateOnly))
	default:
		r.ok(file, check, "valid until %s", cert.NotAfter.Format(time.DateOnly))
	}
}
