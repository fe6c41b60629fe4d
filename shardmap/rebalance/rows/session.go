package rows

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"shardway/shardmap"
)

// Session is one connection with settings under which values are read and
// written exactly. It is for one goroutine at a time. An error of the connection
// ends it: make another one.
type Session struct {
	db      *sql.DB
	conn    *sql.Conn
	id      int64 // of the connection
	addr    string
	mariadb bool
	packet  int // the server's max_allowed_packet
	counter *atomic.Int64
}

// The sql_mode of a session. It is strict, so that what doesn't fit is an error;
// loose is for the one value that a strict server refuses though it may have it,
// the ENUM's 0.
const (
	looseMode  = "ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO"
	strictMode = looseMode + ",STRICT_ALL_TABLES"
)

// settings are what a session sets on both kinds of servers. READ COMMITTED
// keeps writes from locking the gaps between rows, where others insert.
var settings = []string{
	"SET NAMES utf8mb4",
	"SET character_set_results=NULL, time_zone='+00:00', sql_mode='" + strictMode + "', foreign_key_checks=0, unique_checks=1, " +
		"autocommit=1, sql_select_limit=DEFAULT, sql_safe_updates=0, sql_auto_is_null=0, max_error_count=65535, " +
		"innodb_lock_wait_timeout=5, lock_wait_timeout=5, net_write_timeout=600, wait_timeout=28800, sql_quote_show_create=1",
	"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	"SET SESSION TRANSACTION READ WRITE",
}

// Connect opens a session. addr is for errors.
func Connect(ctx context.Context, db *sql.DB, addr string) (*Session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	s := &Session{db: db, conn: conn, addr: addr}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Session) prepare(ctx context.Context) error {
	var version string
	err := s.conn.QueryRowContext(ctx, "SELECT VERSION(), @@max_allowed_packet, CONNECTION_ID()").Scan(&version, &s.packet, &s.id)
	if err != nil {
		return fmt.Errorf("%s: %w", s.addr, err)
	}
	s.mariadb = strings.Contains(version, "MariaDB")
	all := slices.Clone(settings)
	if s.mariadb {
		all = append(all, "SET check_constraint_checks=0, max_statement_time=0, in_predicate_conversion_threshold=0")
	} else {
		all = append(all, "SET max_execution_time=0")
	}
	for _, q := range all {
		if err := s.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// CountStatements adds the session's statements from now on to n.
func (s *Session) CountStatements(n *atomic.Int64) { s.counter = n }

func (s *Session) count() {
	if s.counter != nil {
		s.counter.Add(1)
	}
}

// Close ends the session and its connection. What is not committed is undone.
func (s *Session) Close() error {
	// The settings are not for others, so the connection doesn't go back.
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := s.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("%s: %w", s.addr, err)
	}
	return nil
}

// MariaDB says that the server is MariaDB.
func (s *Session) MariaDB() bool { return s.mariadb }

// Exec runs a statement of the caller's, with arguments put in place of ?.
func (s *Session) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s.count()
	res, err := s.conn.ExecContext(ctx, query, args...)
	if err != nil {
		return nil, s.fail(query, err)
	}
	return res, nil
}

// Query runs a query of the caller's.
func (s *Session) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s.count()
	rows, err := s.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.fail(query, err)
	}
	return rows, nil
}

// Begin begins a transaction of the session. Writes belong into one; without,
// each statement is one of its own.
func (s *Session) Begin(ctx context.Context) error { return s.exec(ctx, "START TRANSACTION") }

// Commit ends the transaction.
func (s *Session) Commit(ctx context.Context) error { return s.exec(ctx, "COMMIT") }

// Rollback undoes the transaction.
func (s *Session) Rollback(ctx context.Context) error { return s.exec(ctx, "ROLLBACK") }

// Retryable says that an error is of a lock that others held: the same
// transaction can go well the next time.
func Retryable(err error) bool {
	n := number(err)
	return n == 1205 || n == 1213
}

// number is that of a server's error, 0 for other errors.
func number(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

func (s *Session) fail(query string, err error) error {
	return fmt.Errorf("%s: %.80s: %w", s.addr, query, err)
}

func (s *Session) exec(ctx context.Context, query string) error {
	_, err := s.Exec(ctx, query)
	return err
}

// each runs a query and gives each row as the driver has it; the values live
// until row returns. It goes past database/sql, which would copy each value.
func (s *Session) each(ctx context.Context, query string, row func(v []driver.Value) error) error {
	s.count()
	err := s.conn.Raw(func(c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		v := make([]driver.Value, len(rows.Columns()))
		for err == nil {
			if err = rows.Next(v); err == nil {
				err = row(v)
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return errors.Join(err, rows.Close())
	})
	if err != nil {
		return s.fail(query, err)
	}
	return nil
}

// interrupted is the server's error for a query that was killed.
const interrupted = 1317

// interrupt ends the query whose rows are being read, by another connection.
// Without it all of them come, which takes longer and does no harm.
func (s *Session) interrupt(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, _ = s.db.ExecContext(ctx, fmt.Sprintf("KILL QUERY %d", s.id))
}

// Create makes a table as it is elsewhere, empty and without triggers, and its
// database if there is none.
func (s *Session) Create(ctx context.Context, t *Table) error {
	err := s.exec(ctx, "CREATE DATABASE IF NOT EXISTS "+shardmap.QuoteName(t.Schema)+" CHARACTER SET "+t.schemaCharset+" COLLATE "+t.schemaCollation)
	if err != nil {
		return err
	}
	rest, ok := strings.CutPrefix(t.Create, "CREATE TABLE "+shardmap.QuoteName(t.Name)+" ")
	if !ok {
		return fmt.Errorf("%s: %s can't be made: its definition begins with %.60q", s.addr, t, t.Create)
	}
	// Its text has no database's name.
	return s.exec(ctx, "CREATE TABLE "+t.String()+" "+rest)
}

// int64Of is a number of a driver.
func int64Of(v driver.Value) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case uint64:
		return int64(v), nil
	case []byte:
		return strconv.ParseInt(string(v), 10, 64)
	default:
		return 0, fmt.Errorf("%T is no whole number", v)
	}
}
