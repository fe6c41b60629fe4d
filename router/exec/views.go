package exec

import (
	"context"
	"errors"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
)

// View is a view as a server has it. It doesn't change.
type View struct {
	SQL string // its SELECT, in which each table has its schema; "" where the server doesn't show it to Shardway's account
	// Columns are the names of its columns.
	Columns []string
}

// knownView is what is known of a name: nil for what is no view.
type knownView struct {
	view *View
	at   time.Time
}

// View returns the view of a name as it was on the shard at most a second ago; nil for a table, and for nothing at all.
// While the shard can't be asked, what was known before holds on.
func (s *Session) View(ctx context.Context, shard, schema, name string) (*View, error) {
	key := strings.ToLower(schema + "." + name)
	cache := &s.x.columns
	cache.mu.Lock()
	got, ok := cache.views[key]
	cache.mu.Unlock()
	if ok && time.Since(got.at) < columnsAge {
		return got.view, nil
	}
	at := time.Now()
	view, err := s.askView(ctx, shard, schema, name)
	switch {
	case err != nil && ok:
		return got.view, nil
	case err != nil:
		return nil, err
	}
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.views == nil || len(cache.views) >= mostViews {
		cache.views = map[string]knownView{}
	}
	if at.After(cache.forgotten) {
		cache.views[key] = knownView{view, at}
	}
	return view, nil
}

// mostViews bounds the names of which it is kept whether they are views.
const mostViews = 10_000

func (s *Session) askView(ctx context.Context, shard, schema, name string) (*View, error) {
	c, err := s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Primary})
	if err != nil {
		// Reads of its replicas go on without it.
		if c, err = s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Any}); err != nil {
			return nil, acquireError(err)
		}
	}
	r := &Request{Shard: shard, Read: true}
	// Another client's sql_select_limit or character set would make the answer another one.
	if err := s.sync(c, (&state{schema: stateOf(c.State).schema}).handle()); err != nil {
		return nil, unready(c, r, err)
	}
	where := " WHERE TABLE_SCHEMA=" + quote(schema) + " AND TABLE_NAME=" + quote(name)
	res, err := c.Query("SELECT VIEW_DEFINITION FROM information_schema.VIEWS" + where)
	_, broke := errors.AsType[*protocol.SideError](err)
	if e, ok := errors.AsType[*protocol.Error](err); ok && !broke && !serverGone(e) {
		c.Release()
		return nil, nil // a server that knows of no views
	}
	if err != nil {
		return nil, unready(c, r, s.lost(c, err, true))
	}
	if len(res.Rows) == 0 {
		c.Release()
		return nil, nil
	}
	view := &View{}
	if sql := res.Rows[0][0]; sql != nil {
		view.SQL = *sql
	}
	if res, err = c.Query("SELECT COLUMN_NAME FROM information_schema.COLUMNS" + where + " ORDER BY ORDINAL_POSITION"); err != nil {
		return nil, unready(c, r, s.lost(c, err, true))
	}
	c.Release()
	for _, row := range res.Rows {
		if row[0] != nil {
			view.Columns = append(view.Columns, *row[0])
		}
	}
	return view, nil
}
