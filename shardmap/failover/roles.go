package failover

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shardway/shardmap/gtid"
	"shardway/shardmap/server"
)

// readOnly makes the server refuse writes, also by its administrators on
// MySQL, and returns when no commit is under way any more. What keeps it from
// that for a second is handed to unblock, three times at most.
func (n *node) readOnly(ctx context.Context, unblock func(context.Context) error) error {
	query := "SET GLOBAL super_read_only = ON"
	if n.MariaDB {
		query = "SET GLOBAL read_only = ON"
	}
	// The server must give up before we do: a statement that is cut off by us
	// would go on waiting and take effect later.
	err := n.Exec(ctx, "SET SESSION lock_wait_timeout = 1")
	for range 3 {
		if err != nil {
			return err
		}
		if err = n.Exec(ctx, query); server.Code(err) != server.ErrLockWait {
			return err
		}
		if unblock == nil {
			break
		}
		if err := unblock(ctx); err != nil {
			return err
		}
		err = n.Exec(ctx, "SET SESSION lock_wait_timeout = 1")
	}
	blockers, _ := n.Clients(ctx, "") // an error leaves the message without names
	return fmt.Errorf("%s can't become read-only: its clients have statements or table locks that don't end%s", n.Addr, blockers.Text())
}

// writable lets the server take writes.
func (n *node) writable(ctx context.Context) error {
	return n.Exec(ctx, "SET GLOBAL read_only = OFF") // takes super_read_only with it
}

// stopReceiver stops receiving; what was received is still applied.
func (n *node) stopReceiver(ctx context.Context) error {
	return n.Exec(ctx, "STOP "+n.word()+" IO_THREAD")
}

func (n *node) startReceiver(ctx context.Context) error {
	return n.Exec(ctx, "START "+n.word()+" IO_THREAD")
}

// stopFollowing ends replication and forgets its source.
func (n *node) stopFollowing(ctx context.Context) error {
	if err := n.Exec(ctx, "STOP "+n.word()); err != nil {
		return err
	}
	return n.Exec(ctx, "RESET "+n.word()+" ALL")
}

// login is what a server that has followed nobody logs in with at its source,
// and the settings that it shares with its fellows.
type login struct {
	user, password string
	like           *Replica // a fellow's settings; may be nil
}

// follow makes the server follow the one at addr from where it is. A nil login
// keeps what the server has.
func (n *node) follow(ctx context.Context, addr string, l *login) error {
	host, port, err := hostPort(addr)
	if err != nil {
		return err
	}
	query, args := "CHANGE REPLICATION SOURCE TO SOURCE_HOST=?, SOURCE_PORT=?, SOURCE_AUTO_POSITION=1", []any{host, port}
	if n.MariaDB {
		query = "CHANGE MASTER TO SOURCE_HOST=?, SOURCE_PORT=?, MASTER_USE_GTID=slave_pos"
	}
	if err := n.Exec(ctx, "STOP "+n.word()); err != nil {
		return err
	}
	if l != nil {
		query += ", SOURCE_USER=?, SOURCE_PASSWORD=?"
		args = append(args, l.user, l.password)
		// It tries again each second, as long as it takes: after a change of
		// primary the next one may come before it is connected.
		retry := 1
		if l.like != nil {
			if seconds, err := strconv.Atoi(l.like.retry); err == nil {
				retry = seconds
			}
		}
		query += fmt.Sprintf(", SOURCE_CONNECT_RETRY=%d, SOURCE_HEARTBEAT_PERIOD=1", retry)
		if !n.MariaDB {
			query += ", SOURCE_RETRY_COUNT=604800"
		}
		switch secure := l.like != nil && l.like.secure; {
		case secure:
			query += ", SOURCE_SSL=1"
			if l.like.ca != "" {
				query += ", SOURCE_SSL_CA=?"
				args = append(args, l.like.ca)
			}
			if l.like.verify {
				query += ", SOURCE_SSL_VERIFY_SERVER_CERT=1"
			}
		case !n.MariaDB:
			query += ", GET_SOURCE_PUBLIC_KEY=1"
		}
		if n.MariaDB {
			// What it wrote as a primary isn't in the position that it has of
			// its time as a replica.
			if err := n.Exec(ctx, "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos"); err != nil {
				return err
			}
		}
	}
	if n.MariaDB || n.Before([3]int{8, 0, 23}) {
		query = strings.ReplaceAll(strings.ReplaceAll(query, "SOURCE_", "MASTER_"), "REPLICATION SOURCE TO", "MASTER TO")
	}
	if err := n.Exec(ctx, query, args...); err != nil {
		return err
	}
	return n.Exec(ctx, "START "+n.word())
}

// followed waits until both threads of the replica run.
func (n *node) followed(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last *Replica
	ok, err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
		r, err := n.replica(ctx, gtid.Set{})
		if err != nil || r == nil {
			return false, err
		}
		last = r
		return r.Receiver == "Yes" && r.Applier, nil
	})
	switch {
	case ok:
		return nil
	case last != nil:
		return fmt.Errorf("%s doesn't follow %s: receiver %s, applier %s: %s", n.Addr, last.Source, last.Receiver, yes(last.Applier), last.Error)
	case err == nil:
		err = errors.New("isn't set up as a replica")
	}
	return fmt.Errorf("%s: %w", n.Addr, err)
}

func yes(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}

// semiSync sets semi-sync up for a source or for a replica. A replica doesn't
// keep the source's side: on MariaDB its applier would wait for
// acknowledgements of its own. A server without semi-sync is left alone.
func (n *node) semiSync(ctx context.Context, source bool) error {
	rows, err := n.Query(ctx, "SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%enabled'")
	if err != nil {
		return err
	}
	for _, row := range rows {
		name, on := row["Variable_name"], truth(row["Value"])
		ofSource := strings.Contains(name, "_source_") || strings.Contains(name, "_master_")
		switch {
		case ofSource && on != source:
			err = n.Exec(ctx, "SET GLOBAL "+name+" = "+map[bool]string{true: "ON", false: "OFF"}[source])
		case !ofSource && !source && !on:
			err = n.Exec(ctx, "SET GLOBAL "+name+" = ON")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *node) word() string {
	if n.MariaDB {
		return "SLAVE"
	}
	return "REPLICA"
}
