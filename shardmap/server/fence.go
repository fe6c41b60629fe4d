package server

import (
	"context"
	"fmt"
	"strconv"
)

// FenceQuery reads the version of the map below which a server refuses
// proxies. A proxy runs it on each new connection to a server before its first
// use, and refuses the connection when its own map is older. Errors 1049 (no
// such database) and 1146 (no such table) mean that nothing was ever fenced.
const FenceQuery = "SELECT version FROM shardway.fence WHERE id = 1"

const (
	fenceDatabase = "CREATE DATABASE IF NOT EXISTS shardway"
	fenceTable    = `CREATE TABLE IF NOT EXISTS shardway.fence (
		id TINYINT NOT NULL PRIMARY KEY,
		version BIGINT UNSIGNED NOT NULL,
		note VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
		at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)) ENGINE=InnoDB`
	fenceRaise = `INSERT INTO shardway.fence (id, version, note, at) VALUES (1, ?, ?, CURRENT_TIMESTAMP(6))
		ON DUPLICATE KEY UPDATE note = IF(VALUES(version) > version, VALUES(note), note),
		at = IF(VALUES(version) > version, VALUES(at), at), version = GREATEST(version, VALUES(version))`
)

// ProxyUser is the name of the account that proxies use: user, or that of the
// own connection where it is empty.
func (n *Server) ProxyUser(ctx context.Context, user string) (string, error) {
	if user != "" {
		return user, nil
	}
	return n.Text(ctx, "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)")
}

// Fence returns the fence's version; there is none where the table is missing.
func (n *Server) Fence(ctx context.Context) (version uint64, table bool, err error) {
	v, err := n.Text(ctx, FenceQuery)
	switch {
	case Code(err) == errNoDatabase || Code(err) == errNoTable:
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case v == "":
		return 0, true, nil
	}
	version, err = strconv.ParseUint(v, 10, 64)
	return version, true, err
}

// MakeFence makes the table where it is missing. It isn't in Raise's way then,
// when time is short.
func (n *Server) MakeFence(ctx context.Context) error {
	if _, table, err := n.Fence(ctx); table || err != nil {
		return err
	}
	if err := n.Exec(ctx, fenceDatabase); err != nil {
		return err
	}
	return n.Exec(ctx, fenceTable)
}

// Raise sets the fence: from now on proxies whose map is older than version get
// no new connection here, nor at the server's replicas as soon as they have the
// row. The fence only ever rises. Raise makes the table where it is missing. It
// fails on a server that is read-only, since the row would make it differ from
// its primary.
func (n *Server) Raise(ctx context.Context, version uint64, note string) error {
	if is, err := n.IsReadOnly(ctx); err != nil {
		return err
	} else if is {
		return fmt.Errorf("%s is read-only: its fence can't be raised", n.Addr)
	}
	if err := n.MakeFence(ctx); err != nil {
		return err
	}
	if runes := []rune(note); len(runes) > 255 {
		note = string(runes[:255])
	}
	return n.Exec(ctx, fenceRaise, version, note)
}
