// Gosql is the matrix for go-sql-driver; with the argument "interpolate" it
// puts parameters into the text instead of preparing statements.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// program is one run.
type program struct {
	interpolate bool
	ctx         context.Context
}

func run(args []string) error {
	p := program{interpolate: len(args) > 0 && args[0] == "interpolate", ctx: context.Background()}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/go-sql-driver/mysql" {
				version = m.Version
			}
		}
	}
	fmt.Printf("version\t%s\n", version)
	types := "binary"
	if p.interpolate {
		types = "text"
	}
	for _, c := range []struct {
		name string
		do   func(cell) error
	}{
		{"connect", p.connect},
		{"tls", p.tls},
		{types, p.types},
		{"nulls", p.nulls},
		{"utf8mb4", p.utf8mb4},
		{"fractions", p.fractions},
		{"blob", p.blob},
		{"transactions", p.transactions},
		{"errors", p.errors},
		{"ids", p.ids},
		{"results", p.results},
		{"statements", p.statements},
		{"reset", p.reset},
		{"load", p.load},
		{"compression", p.compression},
	} {
		to := cell(c.name)
		if err := c.do(to); err != nil {
			if server, ok := errors.AsType[*mysql.MySQLError](err); ok {
				to.say("! %d %s %s", server.Number, server.SQLState[:], server.Message)
			} else {
				to.say("! %v", err)
			}
		}
	}
	return nil
}

// cell prints the lines of a cell.
type cell string

func (c cell) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Printf("%s\t%s\n", string(c), strings.NewReplacer("\\", `\\`, "\n", `\n`, "\t", `\t`).Replace(text))
}

func (p program) open(change func(*mysql.Config)) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.DBName = os.Getenv("MATRIX_USER"), os.Getenv("MATRIX_PASSWORD"), "tcp", os.Getenv("MATRIX_DB")
	c.Addr = os.Getenv("MATRIX_HOST") + ":" + os.Getenv("MATRIX_PORT")
	c.InterpolateParams = p.interpolate
	c.Logger = &mysql.NopLogger{}
	if change != nil {
		change(c)
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// rows prints all results of a query and returns the last row.
func (p program) rows(to cell, q querier, query string, args ...any) ([]any, error) {
	rs, err := q.QueryContext(p.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }()
	var row []any
	for {
		types, err := rs.ColumnTypes()
		if err != nil {
			return nil, err
		}
		for _, t := range types {
			precision, scale, _ := t.DecimalSize()
			nullable, known := t.Nullable()
			to.say("%s %s %v %d %d %t %t", t.Name(), t.DatabaseTypeName(), t.ScanType(), precision, scale, nullable, known)
		}
		for rs.Next() {
			row = make([]any, len(types))
			into := make([]any, len(types))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rs.Scan(into...); err != nil {
				return nil, err
			}
			for i, v := range row {
				if b, ok := v.([]byte); ok { // printed as text
					v = string(b)
				}
				to.say("%s %T %q", types[i].Name(), v, fmt.Sprint(v))
			}
		}
		if !rs.NextResultSet() {
			return row, rs.Err()
		}
		to.say("next result")
	}
}

func (p program) exec(q querier, queries ...string) error {
	for _, query := range queries {
		if _, err := q.ExecContext(p.ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// with opens a pool for f.
func (p program) with(change func(*mysql.Config), f func(*sql.DB) error) error {
	db, err := p.open(change)
	if err != nil {
		return err
	}
	return errors.Join(f(db), db.Close())
}

func (p program) connect(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		if err := db.PingContext(p.ctx); err != nil {
			return err
		}
		_, err := p.rows(to, db, "SELECT 1, DATABASE(), @@autocommit")
		return err
	})
}

func (p program) tls(to cell) error {
	for _, name := range []string{"MATRIX_CA", "MATRIX_OTHER_CA"} {
		pem, err := os.ReadFile(os.Getenv(name))
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		err = p.with(func(c *mysql.Config) {
			c.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
		}, func(db *sql.DB) error {
			_, err := p.rows(to, db, "SELECT 'over TLS'")
			return err
		})
		if name == "MATRIX_OTHER_CA" {
			to.say("another authority: %v", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (p program) types(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		for _, id := range []int{1, 11, 12} {
			row, err := p.rows(to, db, "SELECT * FROM kinds WHERE id = ?", id)
			if err != nil {
				return err
			}
			row[0] = 100 + id
			if _, err := db.ExecContext(p.ctx, "INSERT INTO kinds VALUES (?"+strings.Repeat(", ?", len(row)-1)+")", p.written(row)...); err != nil {
				return err
			}
			if _, err := p.rows(to, db, "SELECT * FROM kinds WHERE id = ?", 100+id); err != nil {
				return err
			}
		}
		return nil
	})
}

// written makes text of the values that are text, since an interpolated []byte is _binary.
func (p program) written(row []any) []any {
	for i, v := range row {
		if b, ok := v.([]byte); ok && (i < 15 || i > 17) && bytes.IndexByte(b, 0) < 0 && bytes.IndexByte(b, 0xff) < 0 {
			row[i] = string(b)
		}
	}
	return row
}

func (p program) nulls(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		_, err := p.rows(to, db, "SELECT * FROM kinds WHERE id = ?", 2)
		return err
	})
}

func (p program) utf8mb4(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		const text = "\U0001F600 \U00020000 \u65e5\u672c caf\u00e9"
		if _, err := db.ExecContext(p.ctx, "INSERT INTO people (user_id, name) VALUES (31, ?)", text); err != nil {
			return err
		}
		_, err := p.rows(to, db, "SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\u65e5\u672c` FROM people WHERE user_id = 31 AND name = ?", text)
		return err
	})
}

func (p program) fractions(to cell) error {
	return p.with(func(c *mysql.Config) { c.ParseTime = true }, func(db *sql.DB) error {
		for i, ns := range []int{0, 1000, 100_000_000, 999_999_000} {
			at := time.Date(2026, 2, 28, 23, 59, 59, ns, time.UTC)
			if _, err := db.ExecContext(p.ctx, "INSERT INTO people (user_id, name, born, score) VALUES (33, ?, ?, ?)", fmt.Sprint(i), at, fmt.Sprintf("1.00%d", i)); err != nil {
				return err
			}
		}
		_, err := p.rows(to, db, "SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 AND born >= ? ORDER BY name", time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC))
		return err
	})
}

func (p program) blob(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		content := bytes.Repeat(every, 17<<12)
		if _, err := db.ExecContext(p.ctx, "INSERT INTO files VALUES (1, ?)", content); err != nil {
			return err
		}
		if _, err := p.rows(to, db, "SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = 1"); err != nil {
			return err
		}
		var got []byte
		if err := db.QueryRowContext(p.ctx, "SELECT content FROM files WHERE id = ?", 1).Scan(&got); err != nil {
			return err
		}
		to.say("%d %x %t", len(got), sha256.Sum256(got), bytes.Equal(got, content))
		return nil
	})
}

func (p program) transactions(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		names := func(q querier) error {
			_, err := p.rows(to, q, "SELECT name FROM people WHERE user_id = 34 ORDER BY name")
			return err
		}
		tx, err := db.BeginTx(p.ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			return err
		}
		if err := p.exec(tx, "INSERT INTO people (user_id, name) VALUES (34, 'a')", "SAVEPOINT s", "INSERT INTO people (user_id, name) VALUES (34, 'b')",
			"ROLLBACK TO SAVEPOINT s", "INSERT INTO people (user_id, name) VALUES (34, 'c')"); err != nil {
			return err
		}
		if err := errors.Join(names(tx), tx.Commit(), names(db)); err != nil {
			return err
		}
		if tx, err = db.BeginTx(p.ctx, nil); err != nil {
			return err
		}
		if err := errors.Join(p.exec(tx, "DELETE FROM people WHERE user_id = 34"), names(tx), tx.Rollback(), names(db)); err != nil {
			return err
		}
		if tx, err = db.BeginTx(p.ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
			return err
		}
		err = p.exec(tx, "DELETE FROM people WHERE user_id = 34")
		to.say("read only: %v", err)
		return errors.Join(names(tx), tx.Rollback())
	})
}

func (p program) errors(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		if err := p.exec(db, "INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')"); err != nil {
			return err
		}
		for _, query := range []string{
			"INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b')", "SELEC 1", "SELECT * FROM nosuch", "SELECT nosuch FROM people WHERE user_id = 35",
			"INSERT INTO people (user_id, name) VALUES (35, NULL)", "INSERT INTO people (user_id, name) VALUES (35, REPEAT('x', 41))", "SELECT NOSUCH(1)",
		} {
			to.say("%v", p.exec(db, query))
			_, err := p.rows(to, db, query+" -- ?", 1)
			to.say("prepared: %v", err)
		}
		err := p.with(func(c *mysql.Config) { c.Passwd = "wrong" }, func(db *sql.DB) error { return db.PingContext(p.ctx) })
		var server *mysql.MySQLError
		if !errors.As(err, &server) {
			return fmt.Errorf("a wrong password: %w", err)
		}
		to.say("a wrong password: %d %s", server.Number, server.SQLState[:])
		return nil
	})
}

func (p program) ids(to cell) error {
	return p.with(nil, func(pool *sql.DB) error {
		db, err := pool.Conn(p.ctx)
		if err != nil {
			return err
		}
		for _, query := range []string{
			"INSERT INTO people (user_id, name) VALUES (36, 'a')", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, 'c'), (36, 'd')",
			"INSERT INTO people (user_id, name) VALUES (36, 'a') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), score = 1",
		} {
			result, err := db.ExecContext(p.ctx, query)
			if err != nil {
				return err
			}
			id, _ := result.LastInsertId()
			n, _ := result.RowsAffected()
			to.say("affected %d", n)
			if _, err := p.rows(to, db, "SELECT name FROM people WHERE user_id = 36 AND id = ?", id); err != nil {
				return err
			}
			if _, err := p.rows(to, db, "SELECT LAST_INSERT_ID() = ? AS same", id); err != nil {
				return err
			}
		}
		for _, score := range []int{1, 1, 2} {
			result, err := db.ExecContext(p.ctx, "UPDATE people SET score = ? WHERE user_id = 36", score)
			if err != nil {
				return err
			}
			n, _ := result.RowsAffected()
			to.say("affected %d", n)
		}
		return errors.Join(db.Close(), p.with(func(c *mysql.Config) { c.ClientFoundRows = true }, func(db *sql.DB) error {
			result, err := db.ExecContext(p.ctx, "UPDATE people SET score = 2 WHERE user_id = 36")
			if err != nil {
				return err
			}
			n, _ := result.RowsAffected()
			to.say("found %d", n)
			return nil
		}))
	})
}

func (p program) results(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		if _, err := p.rows(to, db, "CALL two_results()"); err != nil {
			return err
		}
		st, err := db.PrepareContext(p.ctx, "CALL two_results()")
		if err != nil {
			return err
		}
		for range 2 {
			rs, err := st.QueryContext(p.ctx)
			if err != nil {
				return err
			}
			n := 0
			for more := true; more; more = rs.NextResultSet() {
				for rs.Next() {
					n++
				}
			}
			to.say("prepared: %d rows, %v", n, errors.Join(rs.Err(), rs.Close()))
		}
		_, err = p.rows(to, db, "SELECT 'and after'")
		return errors.Join(err, st.Close())
	})
}

func (p program) statements(to cell) error {
	return p.with(func(c *mysql.Config) { c.MultiStatements = true }, func(db *sql.DB) error {
		_, err := p.rows(to, db, "SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37")
		return err
	})
}

// reset is what database/sql does with a connection that it hands out again: it
// checks that the server hasn't closed it.
func (p program) reset(to cell) error {
	return p.with(nil, func(db *sql.DB) error {
		db.SetMaxOpenConns(1)
		for range 3 {
			conn, err := db.Conn(p.ctx)
			if err != nil {
				return err
			}
			if _, err := p.rows(to, conn, "SELECT DATABASE()"); err != nil {
				return err
			}
			if err := conn.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p program) load(to cell) error {
	mysql.RegisterLocalFile(os.Getenv("MATRIX_FILE"))
	return p.with(nil, func(db *sql.DB) error {
		result, err := db.ExecContext(p.ctx, "LOAD DATA LOCAL INFILE '"+os.Getenv("MATRIX_FILE")+"' INTO TABLE people (user_id, name)")
		if err != nil {
			return err
		}
		n, _ := result.RowsAffected()
		to.say("%d", n)
		_, err = p.rows(to, db, "SELECT name FROM people WHERE user_id = 39 ORDER BY name")
		return err
	})
}

func (p program) compression(to cell) error {
	return p.with(func(c *mysql.Config) { _ = c.Apply(mysql.EnableCompression(true)) }, func(db *sql.DB) error {
		_, err := p.rows(to, db, "SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)")
		return err
	})
}
