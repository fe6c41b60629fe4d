//go:build gms_pure_go

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

// databases are the databases of one server as its connections see them: those of the shard, and before them the
// connection's own temporary tables, which the engine's databases don't have.
type databases struct {
	*memory.DbProvider // of the shard
	replica            bool

	mu        sync.Mutex
	temporary map[uint32]map[string]*memory.Database // by connection, then by database; guarded by mu
}

// Database returns a database as the connection of ctx sees it.
func (d *databases) Database(ctx *sql.Context, name string) (sql.Database, error) {
	db, err := d.DbProvider.Database(ctx, name)
	if shared, ok := db.(*memory.Database); ok && err == nil && ctx != nil && ctx.Session != nil {
		return &connectionDatabase{Database: shared, all: d, connection: ctx.ID()}, nil
	}
	return db, err
}

// has says whether a connection has temporary tables.
func (d *databases) has(connection uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.temporary[connection]) > 0
}

// of returns the temporary tables that a connection has in a database; nil if it has none and create is false.
func (d *databases) of(connection uint32, name string, create bool) *memory.Database {
	name = strings.ToLower(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	db := d.temporary[connection][name]
	if db == nil && create {
		if d.temporary == nil {
			d.temporary = map[uint32]map[string]*memory.Database{}
		}
		if d.temporary[connection] == nil {
			d.temporary[connection] = map[string]*memory.Database{}
		}
		db = memory.NewDatabase(fmt.Sprintf("%d/%s", connection, name))
		db.EnablePrimaryKeyIndexes()
		d.temporary[connection][name] = db
	}
	return db
}

// forget drops a connection's temporary tables.
func (d *databases) forget(connection uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.temporary, connection)
}

// session returns the session of a new connection.
func (d *databases) session(conn *mysql.Conn, addr string) sql.Session {
	client := sql.Client{Capabilities: conn.Capabilities}
	if user, ok := conn.UserData.(sql.MysqlConnectionUser); ok {
		client.User, client.Address = user.User, user.Host
	}
	base := sql.NewBaseSessionWithClientServer(addr, client, conn.ConnectionID)
	return memory.NewSession(base, stored{d})
}

// stored are the databases as a commit puts tables into them: each by its own name.
type stored struct{ *databases }

// Database returns the database that a table's rows are in.
func (s stored) Database(ctx *sql.Context, name string) (sql.Database, error) {
	var connection uint32
	var of string
	if n, _ := fmt.Sscanf(name, "%d/%s", &connection, &of); n == 2 {
		if db := s.of(connection, of, false); db != nil {
			return db, nil
		}
	}
	return s.DbProvider.Database(ctx, name)
}

// connectionDatabase is a database with one connection's temporary tables, which hide those of the same name.
type connectionDatabase struct {
	*memory.Database
	all        *databases
	connection uint32
}

// GetTableInsensitive returns the temporary table of that name or else the shared one.
func (d *connectionDatabase) GetTableInsensitive(ctx *sql.Context, name string) (sql.Table, bool, error) {
	if temporary := d.all.of(d.connection, d.Name(), false); temporary != nil {
		if t, ok, err := temporary.GetTableInsensitive(ctx, name); ok || err != nil {
			return t, ok, err
		}
	}
	if d.temporaryAlone(ctx.Query()) {
		return nil, false, nil
	}
	return d.Database.GetTableInsensitive(ctx, name)
}

// temporaryAlone says whether a statement may name temporary tables only.
func (d *connectionDatabase) temporaryAlone(query string) bool {
	return dropsTemporary(query) || d.all.replica && changesTemporary(query)
}

// CreateTemporaryTable makes a table that the connection alone sees, until its end.
func (d *connectionDatabase) CreateTemporaryTable(ctx *sql.Context, name string, schema sql.PrimaryKeySchema, collation sql.CollationID) error {
	return d.all.of(d.connection, d.Name(), true).CreateTable(ctx, name, schema, collation, "")
}

// DropTable drops the temporary table of that name or else the shared one.
func (d *connectionDatabase) DropTable(ctx *sql.Context, name string) error {
	if temporary := d.all.of(d.connection, d.Name(), false); temporary != nil {
		if _, ok, err := temporary.GetTableInsensitive(ctx, name); ok || err != nil {
			if err == nil {
				err = temporary.DropTable(ctx, name)
			}
			return err
		}
	}
	if d.temporaryAlone(ctx.Query()) {
		return sql.ErrTableNotFound.New(name)
	}
	return d.Database.DropTable(ctx, name)
}

// createsTemporary, dropsTemporary and changesTemporary say what a statement does with temporary tables; the last
// one if the table that it names is one.
func createsTemporary(query string) bool {
	return firstWord(query) == "create" && secondWord(query) == "temporary"
}

func dropsTemporary(query string) bool {
	return firstWord(query) == "drop" && secondWord(query) == "temporary"
}

func changesTemporary(query string) bool {
	word := firstWord(query)
	return word == "insert" || word == "alter"
}

func secondWord(query string) string {
	words := strings.Fields(strings.ToLower(query))
	if len(words) < 2 {
		return ""
	}
	return words[1]
}

// sessionBuilder makes the sessions of server n.
func sessionBuilder(n node, id int, all *databases) func(ctx context.Context, conn *mysql.Conn, addr string) (sql.Session, error) {
	values := identity(n, id)
	return func(ctx context.Context, conn *mysql.Conn, addr string) (sql.Session, error) {
		session := all.session(conn, addr)
		sqlCtx := sql.NewContext(ctx, sql.WithSession(session))
		for name, value := range values {
			if err := session.InitSessionVariable(sqlCtx, name, value); err != nil {
				return nil, err
			}
		}
		return session, nil
	}
}
