package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"

	"shardway/config"
	"shardway/protocol"
	"shardway/shardmap"
)

// server is one server of the map, and what it said.
type server struct {
	shard   *shardmap.Shard
	addr    string
	primary bool
	db      *sql.DB

	err         error // it can't be logged in to, and nothing below is known
	version     string
	mariadb     bool
	vars        map[string]string
	grants      []string
	replication map[string]string // nil: it isn't a replica
	replErr     error             // the status of replication can't be asked for
}

func (s *server) String() string { return s.shard.ID + " " + s.addr }

// identity tells two servers apart however they are reached.
func (s *server) identity() string {
	if id := s.vars["server_uuid"]; id != "" {
		return id
	}
	return s.vars["hostname"] + " " + s.vars["port"] + " " + s.vars["datadir"]
}

// checkServers logs in to all servers and checks them, first each by itself
// and then against the others.
func checkServers(ctx context.Context, r *report, c *config.Config, m *shardmap.Map) {
	var all []*server
	for _, sh := range m.Shards() {
		all = append(all, &server{shard: sh, addr: sh.Primary.Addr, primary: true})
		for _, rep := range sh.Replicas {
			all = append(all, &server{shard: sh, addr: rep.Addr})
		}
	}
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() { s.err = s.ask(ctx, c) })
	}
	wg.Wait()
	defer func() {
		for _, s := range all {
			if s.db != nil {
				_ = s.db.Close() // nothing was written
			}
		}
	}()
	primaries := map[string]*server{}
	for _, s := range all {
		if s.primary && s.err == nil {
			primaries[s.shard.ID] = s
		}
	}
	for _, s := range all {
		if s.err != nil {
			r.fail(s.String(), "login", loginFix(s.err, c), "%s", s.err)
			continue
		}
		r.ok(s.String(), "login", "%s as %s", s.version, s.vars["user"])
		checkRole(r, s, primaries[s.shard.ID], c)
		checkPrivileges(r, s, c, m)
		checkHeartbeat(r, s, c)
		checkTransactions(r, s, c, len(primaries) > 1)
		checkSequences(r, s, c, m)
		checkGathered(r, s, c, m)
		checkLimits(r, s, c)
	}
	checkAlike(r, all)
	checkDatabases(ctx, r, m, primaries)
}

// driverConfig says how to log in to a server as Shardway does.
func driverConfig(c *config.Config, addr string) (*mysql.Config, error) {
	d := mysql.NewConfig()
	d.User, d.Passwd = c.Servers.User, c.Servers.Password
	d.Net, d.Addr = "tcp", addr
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if isUnix {
		d.Net, d.Addr = "unix", path
	}
	d.Timeout, d.ReadTimeout, d.WriteTimeout = c.Servers.DialTimeout, 2*c.Servers.DialTimeout, 2*c.Servers.DialTimeout
	d.InterpolateParams = true
	d.Logger = log.New(io.Discard, "", 0) // what it has to say comes as an error too
	mode := c.Servers.TLS.Mode
	if mode == "disabled" || isUnix && mode == "preferred" {
		return d, nil
	}
	host, _, _ := net.SplitHostPort(addr) // the map's addresses are checked
	conf, err := protocol.ClientTLS(protocol.TLSMode(mode), c.Servers.TLS.CA, c.Servers.TLS.Cert, c.Servers.TLS.Key, host)
	if err != nil {
		return nil, err
	}
	if conf == nil {
		conf = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // preferred and required verify nothing, as with MySQL's own clients
	}
	d.TLS, d.AllowFallbackToPlaintext = conf, mode == "preferred"
	return d, nil
}

// loginFix says what to do about a login that failed.
func loginFix(err error, c *config.Config) string {
	var e *mysql.MySQLError
	var dns *net.DNSError
	switch {
	case errors.As(err, &e) && (e.Number == 1045 || e.Number == 1698):
		return fmt.Sprintf("create the account there, CREATE USER '%s'@'%%' IDENTIFIED BY '…', or correct servers.user and servers.password", c.Servers.User)
	case errors.As(err, &e) && e.Number == 1040:
		return "the server has no connection left; raise its max_connections"
	case errors.As(err, &e) && (e.Number == 1130 || e.Number == 1129):
		return "allow this machine there: the account's host, and FLUSH HOSTS where it is blocked"
	case errors.As(err, &dns):
		return "correct the host name in the map"
	case strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "x509"):
		return "set servers.tls.ca to the authority of the servers' certificates, or choose another servers.tls.mode"
	case errors.Is(err, mysql.ErrNoTLS):
		return "let the server encrypt, or set servers.tls.mode to preferred"
	}
	return "start the server, or correct its address in the map"
}

// ask reads everything that the checks of a single server need.
func (s *server) ask(ctx context.Context, c *config.Config) error {
	d, err := driverConfig(c, s.addr)
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(d)
	if err != nil {
		return err
	}
	s.db = sql.OpenDB(connector)
	s.db.SetMaxOpenConns(1)
	rows, err := s.query(ctx, `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version','version_comment','read_only','super_read_only',
		'max_connections','max_user_connections','max_allowed_packet','sql_mode','time_zone','system_time_zone','character_set_server','collation_server',
		'lower_case_table_names','transaction_isolation','tx_isolation','server_id','server_uuid','hostname','port','datadir','log_bin','gtid_mode',
		'gtid_strict_mode','binlog_format','innodb_autoinc_lock_mode')`)
	if err != nil {
		return err
	}
	s.vars = map[string]string{}
	for _, row := range rows {
		s.vars[strings.ToLower(row["Variable_name"])] = row["Value"]
	}
	s.version = s.vars["version"]
	s.mariadb = strings.Contains(s.version, "MariaDB")
	if rows, err = s.query(ctx, "SELECT CURRENT_USER() AS user"); err != nil {
		return err
	}
	s.vars["user"] = rows[0]["user"]
	if rows, err = s.query(ctx, "SHOW GRANTS"); err != nil {
		return err
	}
	for _, row := range rows {
		for _, grant := range row {
			s.grants = append(s.grants, grant)
		}
	}
	rows, err = s.query(ctx, "SHOW REPLICA STATUS")
	var e *mysql.MySQLError
	if errors.As(err, &e) && e.Number == 1064 { // before MySQL 8.0.22 and MariaDB 10.5.1
		rows, err = s.query(ctx, "SHOW SLAVE STATUS")
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		s.replErr = err
	case len(rows) > 0:
		s.replication = rows[0]
	}
	return nil
}

// query returns all rows as texts by column name; NULL is left out.
func (s *server) query(ctx context.Context, query string, args ...any) ([]map[string]string, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []map[string]string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := map[string]string{}
		for i, c := range cells {
			if c.Valid {
				row[columns[i]] = c.String
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
