package exec

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
)

// columnsAge bounds how old the known columns of a table may be when an INSERT without a column list is routed by
// them.
const columnsAge = time.Second

// columnCache knows the columns and the primary keys of tables, and views.
type columnCache struct {
	mu        sync.Mutex
	known     map[string]tableColumns
	views     map[string]knownView
	forgotten time.Time
}

type tableColumns struct {
	names []string
	at    time.Time
}

// unready is what the client is told when a question of Shardway's own had no answer on a connection.
func unready(c *backend.Conn, r *Request, err error) error {
	if lost, ok := errors.AsType[*lostError](err); ok {
		return lost.forClient(r)
	}
	c.Discard("state refused")
	return err
}

// Columns returns the names of a table's columns in their order, as they were on the shard's primary at most a
// second ago. It is for an INSERT without a column list, whose row can't be placed otherwise.
func (s *Session) Columns(ctx context.Context, shard, schema, table string) ([]string, error) {
	names, err := s.names(ctx, shard, false, "columns of "+schema+"."+table, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA="+quote(schema)+
		" AND TABLE_NAME="+quote(table)+" ORDER BY ORDINAL_POSITION")
	if err == nil && len(names) == 0 {
		err = protocol.Errorf(1146, "42S02", "Table '%s.%s' doesn't exist", schema, table)
	}
	return names, err
}

// PrimaryKey returns the columns of a table's primary key, in its order, as they were at most a second ago; none where it
// has none. The error is the client's.
func (s *Session) PrimaryKey(ctx context.Context, shard, schema, table string) ([]string, error) {
	return s.names(ctx, shard, false, "key of "+schema+"."+table, "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA="+quote(schema)+
		" AND TABLE_NAME="+quote(table)+" AND INDEX_NAME='PRIMARY' ORDER BY SEQ_IN_INDEX")
}

// Numbered returns a table's AUTO_INCREMENT column, as it was at most a second ago; "" where there is none.
func (s *Session) Numbered(ctx context.Context, shard, schema, table string) (string, error) {
	names, err := s.names(ctx, shard, true, "number of "+schema+"."+table, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA="+quote(schema)+
		" AND TABLE_NAME="+quote(table)+" AND LOWER(EXTRA) LIKE '%auto_increment%'")
	return strings.Join(names, ""), err
}

// names returns the names that a query at the shard's primary gives, or gave a moment ago. That there are none is asked
// again, unless none says that this is an answer.
func (s *Session) names(ctx context.Context, shard string, none bool, what, sql string) ([]string, error) {
	key := strings.ToLower(what)
	cache := &s.x.columns
	cache.mu.Lock()
	got, ok := cache.known[key]
	cache.mu.Unlock()
	if ok && time.Since(got.at) < columnsAge {
		return got.names, nil
	}
	c, err := s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Primary})
	if err != nil {
		return nil, acquireError(err)
	}
	// Another client's sql_select_limit or character set would make the answer another one.
	if err := s.sync(c, (&state{schema: stateOf(c.State).schema}).handle()); err != nil {
		return nil, unready(c, &Request{Shard: shard, Read: true}, err)
	}
	at := time.Now()
	res, err := c.Query(sql)
	if err != nil {
		return nil, unready(c, &Request{Shard: shard, Read: true}, s.lost(c, err, true))
	}
	c.Release()
	names := make([]string, 0, len(res.Rows))
	for _, row := range res.Rows {
		if row[0] != nil {
			names = append(names, *row[0])
		}
	}
	if len(names) == 0 && !none {
		return nil, nil
	}
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.known == nil {
		cache.known = map[string]tableColumns{}
	}
	if at.After(cache.forgotten) {
		cache.known[key] = tableColumns{names, at}
	}
	return names, nil
}

// ForgetColumns forgets the columns and keys of all tables, and all views: a statement may have changed them.
func (x *Executor) ForgetColumns() {
	cache := &x.columns
	cache.mu.Lock()
	defer cache.mu.Unlock()
	cache.known, cache.views, cache.forgotten = nil, nil, time.Now()
}

// ForgetColumns is the Executor's.
func (s *Session) ForgetColumns() { s.x.ForgetColumns() }

// WarningColumns are the columns of SHOW WARNINGS as a server shows them to this client.
func (s *Session) WarningColumns(ctx context.Context, shard string) ([]protocol.Column, error) {
	if s.warnings.columns != nil && s.warnings.at == s.lex {
		return s.warnings.columns, nil
	}
	r := &Request{Shard: shard, Role: backend.Any, Read: true, AnySchema: true, Stale: true}
	c, err := s.connection(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Query("SHOW WARNINGS LIMIT 0")
	switch {
	case err != nil:
		return nil, s.lost(c, err, true)
	case s.holdOf(c) == nil:
		c.Release()
	default:
		s.park(c)
	}
	s.warnings.at, s.warnings.columns = s.lex, res.Types
	return res.Types, nil
}
