package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/shardmap/gtid"
)

// Server is one server of the map, open under one connection.
type Server struct {
	Addr    string
	DB      *sql.DB
	Limit   time.Duration // of each statement
	MariaDB bool
	Version string

	number [3]int // of the version
}

// Open asks the server that db reaches, which is at addr, what it is. It takes
// db, of which one connection is used, over: Close closes it.
func Open(ctx context.Context, db *sql.DB, addr string, limit time.Duration) (*Server, error) {
	db.SetMaxOpenConns(1) // so its own connection is easily told from others'
	n := &Server{Addr: addr, DB: db, Limit: limit}
	var err error
	if n.Version, err = n.Text(ctx, "SELECT VERSION()"); err != nil {
		_ = db.Close()
		return nil, err
	}
	n.MariaDB = strings.Contains(n.Version, "MariaDB")
	for i, part := range strings.SplitN(n.Version, ".", 3) {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n.number[i], _ = strconv.Atoi(digits) // 0 for what is no number
	}
	oldest := [3]int{8, 0, 22}
	if n.MariaDB {
		oldest = [3]int{10, 5, 0}
	}
	if n.Before(oldest) {
		_ = db.Close()
		return nil, fmt.Errorf("%s runs %s; this needs MariaDB 10.5 or MySQL 8.0.22 at least", addr, n.Version)
	}
	return n, nil
}

// Close ends the connection.
func (n *Server) Close() { _ = n.DB.Close() } // nothing is left unwritten

// Before says whether the version is older than v.
func (n *Server) Before(v [3]int) bool {
	for i := range v {
		if n.number[i] != v[i] {
			return n.number[i] < v[i]
		}
	}
	return false
}

// Flavor is MariaDB or MySQL.
func (n *Server) Flavor() string {
	if n.MariaDB {
		return "MariaDB"
	}
	return "MySQL"
}

// Fail names the server and the statement. Passwords are arguments and so not
// in the statement's text.
func (n *Server) Fail(query string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in time: %w", err)
	}
	return fmt.Errorf("%s: %.80s: %w", n.Addr, query, err)
}

// Exec runs a statement.
func (n *Server) Exec(ctx context.Context, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, n.Limit)
	defer cancel()
	if _, err := n.DB.ExecContext(ctx, query, args...); err != nil {
		return n.Fail(query, err)
	}
	return nil
}

// Query returns all rows as texts by column name; NULL is left out.
func (n *Server) Query(ctx context.Context, query string, args ...any) ([]map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Limit)
	defer cancel()
	rows, err := n.DB.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, n.Fail(query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, n.Fail(query, err)
	}
	var all []map[string]string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		to := make([]any, len(columns))
		for i := range cells {
			to[i] = &cells[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, n.Fail(query, err)
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
		return nil, n.Fail(query, err)
	}
	return all, nil
}

// Text runs a query of one row and one column; NULL is "".
func (n *Server) Text(ctx context.Context, query string, args ...any) (string, error) {
	rows, err := n.Query(ctx, query, args...)
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

// Set is Text for a GTID set.
func (n *Server) Set(ctx context.Context, query string) (gtid.Set, error) {
	text, err := n.Text(ctx, query)
	if err != nil {
		return gtid.Set{}, err
	}
	s, err := gtid.Parse(text)
	if err != nil {
		return s, n.Fail(query, err)
	}
	return s, nil
}

// Code is the number of a server's error, 0 for other errors.
func Code(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}
