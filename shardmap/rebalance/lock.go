package rebalance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shardway/shardmap/server"
)

// locks are the named locks of an engine, one on each primary of its moves. A
// lock lasts as long as its connection, so an engine that dies leaves none.
type locks struct {
	name   string
	limit  time.Duration
	mu     sync.Mutex
	closed bool
	held   []lock
}

type lock struct {
	addr string
	id   int64 // of the connection
	db   *sql.DB
	conn *sql.Conn
}

// lockWait is how long an engine waits for a lock: that of one that was killed
// just now ends when its server notices.
const lockWait = 3

// lock takes the locks on all primaries, in the order of their addresses, so
// that of two engines one gets all.
func (r *run) lock(ctx context.Context) (*locks, error) {
	l := &locks{name: lockName(r.id), limit: r.Statement}
	for _, addr := range r.primaries() {
		if err := r.lockOne(ctx, l, addr); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// lockName is within the 64 characters that a server allows.
func lockName(id string) string {
	name := "shardway.rebalance." + id
	if len(name) > 64 {
		name = name[:64]
	}
	return name
}

func (r *run) lockOne(ctx context.Context, l *locks, addr string) (err error) {
	db, err := r.Account.Open(addr)
	if err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	defer func() {
		if err != nil {
			_ = db.Close() // nothing is left unwritten
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, r.Statement+lockWait*time.Second)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	h := lock{addr: addr, db: db, conn: conn}
	// It may be idle for long between two looks.
	if _, err := conn.ExecContext(ctx, "SET SESSION wait_timeout = 28800"); err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?), CONNECTION_ID()", l.name, lockWait).Scan(&got, &h.id); err != nil {
		return fmt.Errorf("%s: GET_LOCK: %w", addr, err)
	}
	if got.Int64 == 1 {
		l.held = append(l.held, h)
		return nil
	}
	return &Running{Rebalance: r.id, Server: addr, By: lockedBy(ctx, conn, l.name, r.id)}
}

// lockedBy says who has a lock: as the state of a move names it, else by its
// connection.
func lockedBy(ctx context.Context, conn *sql.Conn, name, id string) string {
	var by string
	err := conn.QueryRowContext(ctx, "SELECT engine FROM shardway.rebalances WHERE move = ? OR move LIKE ? ORDER BY at DESC LIMIT 1", id, likeMoves(id)).Scan(&by)
	if err == nil && by != "" {
		return withoutToken(by)
	}
	var connection sql.NullInt64
	_ = conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", name).Scan(&connection) // without it there is no number
	return fmt.Sprintf("connection %d", connection.Int64)
}

func (l *locks) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, h := range l.held {
		_ = h.conn.Close() // nothing is left unwritten
		_ = h.db.Close()
	}
	l.held = nil
}

// cover says whether all these primaries are locked.
func (l *locks) cover(addrs []string) bool {
	for _, addr := range addrs {
		if !slices.ContainsFunc(l.held, func(h lock) bool { return h.addr == addr }) {
			return false
		}
	}
	return true
}

// connections are the ids of those that hold the locks at a server.
func (l *locks) connections(addr string) []int64 {
	var ids []int64
	for _, h := range l.held {
		if h.addr == addr {
			ids = append(ids, h.id)
		}
	}
	return ids
}

// check says whether the locks at these servers are held still, all for none. A
// lock's statement is never cut off, which would end its connection.
func (l *locks) check(ctx context.Context, addrs ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errAgain
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.limit)
	defer cancel()
	for _, h := range l.held {
		if len(addrs) > 0 && !slices.Contains(addrs, h.addr) {
			continue
		}
		var mine sql.NullBool
		err := h.conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?) = CONNECTION_ID()", l.name).Scan(&mine)
		if err != nil || !mine.Bool {
			return fmt.Errorf("%s: the lock that keeps other engines away is lost (%w): %w", h.addr, orNotHeld(err), errAgain)
		}
	}
	return nil
}

// errNotHeld is the reason when a server says that a lock isn't held.
var errNotHeld = errors.New("the server doesn't know of it")

func orNotHeld(err error) error {
	if err == nil {
		return errNotHeld
	}
	return err
}

// keep looks after the locks every second and ends the session without them.
func (l *locks) keep(ctx context.Context, cancel context.CancelCauseFunc) {
	for sleep(ctx, time.Second) {
		if err := l.check(ctx); err != nil && ctx.Err() == nil {
			cancel(err)
			return
		}
	}
}

// open opens a server under one connection.
func (r *run) open(ctx context.Context, addr string) (*server.Server, error) {
	db, err := r.Account.Open(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	return server.Open(ctx, db, addr, r.Statement)
}
