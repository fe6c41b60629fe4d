package failover

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

// Raise sets the fence of a shard's primary: from now on proxies whose map is
// older than version get no new connection there, nor at its replicas as soon
// as they have the row. The fence only ever rises. It makes the table where it
// is missing. Then Raise kills the connections of o.ProxyUser, which were
// opened before, and says how many.
//
// It fails on a server that is read-only, since the row would make it differ
// from its primary.
func Raise(ctx context.Context, o Options, addr string, version uint64, note string) (killed int, err error) {
	n, err := open(ctx, o.withDefaults(), addr)
	if err != nil {
		return 0, err
	}
	defer n.db.Close()
	if err := n.raise(ctx, version, note); err != nil {
		return 0, err
	}
	user, err := n.proxyUser(ctx, o)
	if err != nil {
		return 0, err
	}
	return n.kill(ctx, user)
}

func (n *node) proxyUser(ctx context.Context, o Options) (string, error) {
	if o.ProxyUser != "" {
		return o.ProxyUser, nil
	}
	return n.text(ctx, "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)")
}

// fence returns the fence's version; there is none where the table is missing.
func (n *node) fence(ctx context.Context) (version uint64, table bool, err error) {
	v, err := n.text(ctx, FenceQuery)
	switch {
	case code(err) == errNoDatabase || code(err) == errNoTable:
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case v == "":
		return 0, true, nil
	}
	version, err = strconv.ParseUint(v, 10, 64)
	return version, true, err
}

// makeFence makes the table where it is missing. It isn't in raise's way then,
// when time is short.
func (n *node) makeFence(ctx context.Context) error {
	if _, table, err := n.fence(ctx); table || err != nil {
		return err
	}
	if err := n.exec(ctx, fenceDatabase); err != nil {
		return err
	}
	return n.exec(ctx, fenceTable)
}

func (n *node) raise(ctx context.Context, version uint64, note string) error {
	if is, err := n.isReadOnly(ctx); err != nil {
		return err
	} else if is {
		return fmt.Errorf("%s is read-only: its fence can't be raised", n.addr)
	}
	if err := n.makeFence(ctx); err != nil {
		return err
	}
	if runes := []rune(note); len(runes) > 255 {
		note = string(runes[:255])
	}
	return n.exec(ctx, fenceRaise, version, note)
}
