package operator

import (
	"crypto/tls"
	"fmt"

	"shardway/config"
	"shardway/protocol"
	"shardway/shardmap/server"
)

// Account is the login of whoever changes primaries and moves slots:
// failover.user, or servers.user where that isn't set.
func Account(c *config.Config) server.Account {
	a := server.Account{User: c.Failover.User, Password: c.Failover.Password, DialTimeout: c.Servers.DialTimeout}
	if a.User == "" {
		a.User, a.Password = c.Servers.User, c.Servers.Password
	}
	t := c.Servers.TLS
	if t.Mode == string(protocol.TLSDisabled) {
		return a
	}
	a.Plain = t.Mode == string(protocol.TLSPreferred)
	a.TLS = func(host string) (*tls.Config, error) {
		conf, err := protocol.ClientTLS(protocol.TLSMode(t.Mode), t.CA, t.Cert, t.Key, host)
		if err != nil {
			return nil, fmt.Errorf("servers.tls: %w", err)
		}
		return conf, nil
	}
	return a
}
