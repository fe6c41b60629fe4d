package server

import (
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Account is a login at the servers. docs/failover.md and docs/rebalance.md
// list the rights that it needs for what it is used for.
type Account struct {
	User, Password string
	// TLS gives the encryption for a server's host; nil is none.
	TLS func(host string) (*tls.Config, error)
	// Plain allows a server that doesn't encrypt.
	Plain bool
	// DialTimeout bounds connecting and logging in. Default 3s.
	DialTimeout time.Duration
}

// Open opens the server at an address of the map. The caller closes it.
func (a Account) Open(addr string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.InterpolateParams = a.User, a.Password, true
	c.Logger = &mysql.NopLogger{} // what it has to say comes as an error too
	c.Timeout = a.DialTimeout
	if c.Timeout <= 0 {
		c.Timeout = 3 * time.Second
	}
	c.Net, c.Addr = "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		c.Net, c.Addr = "unix", path
	} else if a.TLS != nil {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("the address %q: %w", addr, err)
		}
		if c.TLS, err = a.TLS(host); err != nil {
			return nil, err
		}
		c.AllowFallbackToPlaintext = a.Plain
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
