package failover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/shardmap/gtid"
)

// node is a server of the shard that is being changed.
type node struct {
	addr    string
	db      *sql.DB
	limit   time.Duration // of each statement
	mariadb bool
	version string
	number  [3]int // of the version
}

// node opens a server, or returns the one that is open.
func (r *run) node(ctx context.Context, addr string) (*node, error) {
	if n := r.nodes[addr]; n != nil {
		return n, nil
	}
	n, err := open(ctx, r.Options, addr)
	if err == nil {
		r.nodes[addr] = n
	}
	return n, err
}

func open(ctx context.Context, o Options, addr string) (*node, error) {
	db, err := o.Open(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	db.SetMaxOpenConns(1) // so its own connection is easily told from others'
	n := &node{addr: addr, db: db, limit: o.Statement}
	if n.version, err = n.text(ctx, "SELECT VERSION()"); err != nil {
		_ = db.Close()
		return nil, err
	}
	n.mariadb = strings.Contains(n.version, "MariaDB")
	for i, part := range strings.SplitN(n.version, ".", 3) {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n.number[i], _ = strconv.Atoi(digits) // 0 for what is no number
	}
	oldest := [3]int{8, 0, 22}
	if n.mariadb {
		oldest = [3]int{10, 5, 0}
	}
	if n.before(oldest) {
		_ = db.Close()
		return nil, fmt.Errorf("%s runs %s; a change of primary needs MariaDB 10.5 or MySQL 8.0.22 at least", addr, n.version)
	}
	return n, nil
}

func (n *node) before(v [3]int) bool {
	for i := range v {
		if n.number[i] != v[i] {
			return n.number[i] < v[i]
		}
	}
	return false
}

func (n *node) flavor() string {
	if n.mariadb {
		return "MariaDB"
	}
	return "MySQL"
}

// fail names the server and the statement. Passwords are arguments and so not
// in the statement's text.
func (n *node) fail(query string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in time: %w", err)
	}
	return fmt.Errorf("%s: %.80s: %w", n.addr, query, err)
}

func (n *node) exec(ctx context.Context, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, n.limit)
	defer cancel()
	if _, err := n.db.ExecContext(ctx, query, args...); err != nil {
		return n.fail(query, err)
	}
	return nil
}

// query returns all rows as texts by column name; NULL is left out.
func (n *node) query(ctx context.Context, query string, args ...any) ([]map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, n.limit)
	defer cancel()
	rows, err := n.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, n.fail(query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, n.fail(query, err)
	}
	var all []map[string]string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		to := make([]any, len(columns))
		for i := range cells {
			to[i] = &cells[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, n.fail(query, err)
		}
		row := map[string]string{}
		for i, c := range cells {
			if c.Valid {
				row[columns[i]] = c.String
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, n.fail(query, err)
	}
	return all, nil
}

// text runs a query of one row and one column; NULL is "".
func (n *node) text(ctx context.Context, query string, args ...any) (string, error) {
	rows, err := n.query(ctx, query, args...)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		for _, v := range row {
			return v, nil
		}
	}
	return "", nil
}

func (n *node) set(ctx context.Context, query string) (gtid.Set, error) {
	text, err := n.text(ctx, query)
	if err != nil {
		return gtid.Set{}, err
	}
	s, err := gtid.Parse(text)
	if err != nil {
		return s, n.fail(query, err)
	}
	return s, nil
}

// code is the number of a server's error, 0 for other errors.
func code(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// hostPort cuts an address of the map for CHANGE REPLICATION SOURCE.
func hostPort(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s is no address of host and port, which a replica needs to follow it", addr)
	}
	return host, port, nil
}
