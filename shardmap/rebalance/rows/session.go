package rows

import (
	"context"
	"database/sql"
)

// Session is one connection with settings under which values are read and
// written exactly. It is for one goroutine at a time. An error of the connection
// ends it: make another one.
type Session struct {
	conn *sql.Conn
}

// Connect opens a session. addr is for errors.
func Connect(ctx context.Context, db *sql.DB, addr string) (*Session, error) { panic("to do") }

// Close ends the session and its connection. What is not committed is undone.
func (s *Session) Close() error { panic("to do") }

// MariaDB says that the server is MariaDB.
func (s *Session) MariaDB() bool { panic("to do") }

// Exec runs a statement of the caller's, with arguments put in place of ?.
func (s *Session) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	panic("to do")
}

// Query runs a query of the caller's.
func (s *Session) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	panic("to do")
}

// Begin, Commit and Rollback are a transaction of the session. Writes belong
// into one; without, each statement is one of its own.
func (s *Session) Begin(ctx context.Context) error    { panic("to do") }
func (s *Session) Commit(ctx context.Context) error   { panic("to do") }
func (s *Session) Rollback(ctx context.Context) error { panic("to do") }

// Create makes a table as it is elsewhere, empty and without its foreign keys
// and triggers, and its database if there is none.
func (s *Session) Create(ctx context.Context, t *Table) error { panic("to do") }
