//go:build gms_pure_go

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/sirupsen/logrus"
)

// engineVersion is what the embedded servers call themselves: the version whose behaviour the engine imitates.
const engineVersion = "8.0.31"

// engines are the embedded servers of all shards. Each has a listener, accounts, sessions and a name of its own;
// the servers of one shard share one database, which stands in for replication.
type engines struct {
	nodes   []node
	running []*engine
}

// engine is one embedded server.
type engine struct {
	sqle    *sqle.Engine
	server  *server.Server
	sockets *sockets
	turns   *turnHandler
	done    chan struct{} // closed when the accept loop has ended
}

// startEngines starts shardCount shards of one primary and replicaCount replicas on free loopback ports and fills
// each shard with load, which gets the shard's number and a function that executes one statement there. On an
// error nothing is left running.
func startEngines(shardCount, replicaCount int, load func(shard int, exec func(query string) error) error) (_ *engines, err error) {
	silenceEngine()
	identifySessions()
	all := &engines{}
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	for shard := range shardCount {
		db := memory.NewDatabase(database)
		db.EnablePrimaryKeyIndexes()
		provider := memory.NewDBProvider(db)
		turns := newTurns()
		for i := range replicaCount + 1 {
			n := node{Shard: fmt.Sprintf("s%d", shard), Primary: i == 0}
			n.Name = n.Shard + "-primary"
			if !n.Primary {
				n.Name = fmt.Sprintf("%s-replica-%d", n.Shard, i)
			}
			e, err := startEngine(&n, len(all.nodes)+1, provider, turns)
			if err != nil {
				return nil, fmt.Errorf("start embedded server %s: %w", n.Name, err)
			}
			all.nodes = append(all.nodes, n)
			all.running = append(all.running, e)
			if n.Primary {
				if err := load(shard, e.execute(provider)); err != nil {
					return nil, fmt.Errorf("fill %s: %w", n.Name, err)
				}
			}
		}
	}
	return all, nil
}

// startEngine starts one server and stores its address in n. A replica refuses to change data.
func startEngine(n *node, id int, provider *memory.DbProvider, t *turns) (*engine, error) {
	all := &databases{DbProvider: provider, replica: !n.Primary}
	e := sqle.NewDefault(all)
	e.Analyzer.Catalog.RegisterFunction(sql.NewEmptyContext(), sql.Function1{Name: "weight_string", Fn: newWeightString})
	accounts := e.Analyzer.Catalog.MySQLDb
	edit := accounts.Editor()
	accounts.AddSuperUser(edit, serverUser, "localhost", serverPassword)
	edit.Close()
	e.ReadOnly.Store(!n.Primary)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	s := &sockets{Listener: l, open: map[*socket]struct{}{}}
	n.Addr = l.Addr().String()
	cfg := server.Config{Listener: s, Address: n.Addr, Version: engineVersion}
	handler := &turnHandler{turns: t, databases: all, readOnly: &e.ReadOnly}
	srv, err := server.NewServerWithHandler(cfg, e, sql.NewContext, sessionBuilder(*n, id, all), nil,
		func(h mysql.Handler) (mysql.Handler, error) {
			handler.Handler = h
			return handler, nil
		})
	if err != nil {
		return nil, errors.Join(err, l.Close(), e.Close())
	}
	run := &engine{sqle: e, server: srv, sockets: s, turns: handler, done: make(chan struct{})}
	go func() {
		defer close(run.done)
		srv.Listener.Accept()
	}()
	return run, nil
}

// execute returns a function that executes a statement inside the server, without a connection.
func (e *engine) execute(provider *memory.DbProvider) func(query string) error {
	client := sql.Client{User: serverUser, Address: "localhost"}
	session := memory.NewSession(sql.NewBaseSessionWithClientServer("", client, 0), provider)
	session.SetCurrentDatabase(database)
	return func(query string) error {
		ctx := sql.NewContext(context.Background(), sql.WithSession(session))
		_, rows, _, err := e.sqle.Query(ctx, query)
		if err != nil {
			return err
		}
		_, err = sql.RowIterToRows(ctx, rows)
		return err
	}
}

// close ends every server: connections are closed and their goroutines joined.
func (all *engines) close() {
	for _, e := range all.running {
		// The engine's Close reports only background threads, of which these servers have none.
		_ = e.server.Close()
		<-e.done
		e.sockets.closeAll()
		// A connection's goroutine closes its socket last, unless the connection was killed before.
		e.sockets.serving.Wait()
		e.turns.serving.Wait()
		_ = e.sqle.Close()
	}
	all.running = nil
}

// identity are the variables in which the embedded servers differ. The engine keeps one set of global variables for
// the whole process, so here they are variables of a session, set when the session begins.
func identity(n node, id int) map[string]any {
	_, port, _ := net.SplitHostPort(n.Addr)
	readOnly := int8(1)
	if n.Primary {
		readOnly = 0
	}
	return map[string]any{
		"hostname": n.Name, "port": port, "read_only": readOnly, "server_id": int64(id),
		"version_comment": "embedded in shardway-demo",
	}
}

// identifySessions redefines the variables of identity as variables of a session.
func identifySessions() {
	scope := sql.GetMysqlScope(sql.SystemVariableScope_Both)
	text := func(name string) sql.SystemVariable {
		return &sql.MysqlSystemVariable{Name: name, Scope: scope, Type: types.NewSystemStringType(name), Default: ""}
	}
	sql.SystemVariables.AddSystemVariables([]sql.SystemVariable{
		text("hostname"), text("port"), text("version_comment"),
		&sql.MysqlSystemVariable{Name: "read_only", Scope: scope, Type: types.NewSystemBoolType("read_only"), Default: int8(0)},
		&sql.MysqlSystemVariable{Name: "server_id", Scope: scope, Type: types.NewSystemIntType("server_id", 0, 1<<32-1, false), Default: int64(0)},
		&sql.MysqlSystemVariable{Name: "version", Scope: scope, Type: types.NewSystemStringType("version"), Default: engineVersion},
	})
}

// silenceEngine discards what the engine writes to the process-wide loggers; Shardway itself uses neither.
func silenceEngine() {
	logrus.SetOutput(io.Discard)
	log.SetOutput(io.Discard)
}

// sockets is a listener that remembers its open connections, so that they can be closed at the end.
type sockets struct {
	net.Listener
	serving sync.WaitGroup // sockets that their goroutines haven't closed
	mu      sync.Mutex
	open    map[*socket]struct{} // guarded by mu; nil once closed
}

type socket struct {
	net.Conn
	owner  *sockets
	closed sync.Once
}

func (s *sockets) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tracked := &socket{Conn: c, owner: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	s.open[tracked] = struct{}{}
	s.serving.Add(1)
	return tracked, nil
}

func (c *socket) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	c.closed.Do(c.owner.serving.Done)
	return c.Conn.Close()
}

// closeAll closes what is open and refuses what may still come.
func (s *sockets) closeAll() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close() // its own goroutine sees the error and ends
	}
}
