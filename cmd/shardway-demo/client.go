package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/go-sql-driver/mysql"
)

// runSQL executes statements in order on one connection to the proxy at addr and prints each answer as a table.
// A statement that fails is reported in place; the error says that some did.
func runSQL(ctx context.Context, addr string, statements []string, w io.Writer) (err error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", addr, database
	cfg.User, cfg.Passwd = clientUser, clientPassword
	cfg.Timeout, cfg.Logger = 5*time.Second, &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w (is the demo running? start it with `make run`)", addr, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	failed := 0
	for _, s := range statements {
		if _, err := fmt.Fprintf(w, "> %s\n", s); err != nil {
			return err
		}
		if err := printAnswer(ctx, conn, s, w); err != nil {
			failed++
			if _, err := fmt.Fprintln(w, err); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d statements failed", failed, len(statements))
	}
	return nil
}

func printAnswer(ctx context.Context, conn *sql.Conn, statement string, w io.Writer) error {
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err below reports what ended the rows
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	if len(columns) == 0 {
		_, err := fmt.Fprintln(w, "OK")
		return errors.Join(rows.Err(), err)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells []string) {
		for _, c := range cells {
			// The table's writer keeps the first error for Flush.
			_, _ = fmt.Fprintf(table, "%s\t", c)
		}
		_, _ = fmt.Fprintln(table)
	}
	line(columns)
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	cells := make([]string, len(columns))
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			cells[i] = "NULL"
			if v.Valid {
				cells[i] = v.String
			}
		}
		line(cells)
	}
	return errors.Join(rows.Err(), table.Flush())
}
