package follow

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shardway/shardmap/gtid"
)

// Current is what a server has in its binary log now.
func Current(ctx context.Context, db *sql.DB) (gtid.Set, error) {
	version, err := one(ctx, db, "SELECT VERSION()")
	if err != nil {
		return gtid.Set{}, err
	}
	query := "SELECT @@GLOBAL.gtid_executed"
	if strings.Contains(version, "MariaDB") {
		query = "SELECT @@GLOBAL.gtid_binlog_pos"
	}
	return setOf(ctx, db, query)
}

func setOf(ctx context.Context, db *sql.DB, query string) (gtid.Set, error) {
	s, err := one(ctx, db, query)
	if err != nil {
		return gtid.Set{}, err
	}
	set, err := gtid.Parse(s)
	if err != nil {
		return gtid.Set{}, fmt.Errorf("%s: %w", query, err)
	}
	return set, nil
}

// one runs a query of one row and one column; NULL is "".
func one(ctx context.Context, db *sql.DB, query string, args ...any) (string, error) {
	var v sql.NullString
	if err := db.QueryRowContext(ctx, query, args...).Scan(&v); err != nil {
		return "", fmt.Errorf("%.80s: %w", query, err)
	}
	return v.String, nil
}

// Await waits until the changes of all transactions up to a position can be read
// on a server: on the one whose log it is in, they may be in the log before they
// are committed, and on one of its replicas later.
func Await(ctx context.Context, db *sql.DB, p Position) error {
	if p.GTID.IsEmpty() {
		return nil
	}
	version, err := one(ctx, db, "SELECT VERSION()")
	if err != nil {
		return err
	}
	if !strings.Contains(version, "MariaDB") {
		return awaitSet(ctx, db, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 1)", p)
	}
	server, err := one(ctx, db, "SELECT @@GLOBAL.server_id")
	if err != nil {
		return err
	}
	if p.ended != nil && server == strconv.FormatUint(uint64(p.Server), 10) {
		return awaitCommit(ctx, db, p)
	}
	return awaitSet(ctx, db, "SELECT MASTER_GTID_WAIT(?, 1)", p)
}

// awaitSet waits by a function of the server's that answers 0 when it has a set.
func awaitSet(ctx context.Context, db *sql.DB, query string, p Position) error {
	for {
		got, err := one(ctx, db, query, p.GTID.Position())
		if err != nil {
			return err
		}
		if got == "0" {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for %s: %w", p.GTID.Position(), err)
		}
	}
}

// awaitCommit waits until a primary of MariaDB has committed what is in its log.
// Its GTIDs tell what is written there, a moment before others can read it; its
// status variables tell which place of the log a snapshot would have.
func awaitCommit(ctx context.Context, db *sql.DB, p Position) error {
	p.ended.mu.Lock()
	waiting := make([]string, 0, len(p.ended.ids))
	for id := range p.ended.ids {
		waiting = append(waiting, id)
	}
	p.ended.mu.Unlock()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := committed(ctx, db, p)
		if err == nil && done && len(waiting) > 0 {
			// A branch is in the log before it is committed, and no snapshot tells.
			done, err = p.ended.gone(ctx, db, waiting)
		}
		if err != nil || done {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be committed: %w", p.GTID.Position(), ctx.Err())
		}
	}
}

func committed(ctx context.Context, db *sql.DB, p Position) (bool, error) {
	rows, err := db.QueryContext(ctx, "SHOW GLOBAL STATUS LIKE 'binlog\\_snapshot\\_%'")
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var file string
	var offset uint64
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return false, err
		}
		switch strings.ToLower(name) {
		case "binlog_snapshot_file":
			file = value
		case "binlog_snapshot_position":
			if offset, err = strconv.ParseUint(value, 10, 64); err != nil {
				return false, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	// The files' numbers grow, and get longer when they have to.
	if len(file) != len(p.File) {
		return len(file) > len(p.File), nil
	}
	return file > p.File || file == p.File && offset >= p.Offset, nil
}

// gone says whether none of some branches is prepared any more, and forgets them
// if so.
func (b *branches) gone(ctx context.Context, db *sql.DB, ids []string) (bool, error) {
	rows, err := db.QueryContext(ctx, "XA RECOVER")
	if err != nil {
		return false, fmt.Errorf("XA RECOVER: %w", err)
	}
	defer rows.Close()
	there := map[string]bool{}
	for rows.Next() {
		var format int64
		var global, local int
		var data []byte
		if err := rows.Scan(&format, &global, &local, &data); err != nil {
			return false, err
		}
		if global+local > len(data) {
			return false, fmt.Errorf("XA RECOVER shows a branch of %d bytes with %d and %d", len(data), global, local)
		}
		there[fmt.Sprintf("x'%x',x'%x',%d", data[:global], data[global:global+local], format)] = true
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	for _, id := range ids {
		if there[id] {
			return false, nil
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		delete(b.ids, id)
	}
	return true, nil
}
