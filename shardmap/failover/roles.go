package failover

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shardway/shardmap/gtid"
)

// The numbers of servers' errors that mean something here.
const (
	errNoDatabase = 1049
	errNoThread   = 1094
	errNotOwner   = 1095
	errNoTable    = 1146
	errLockWait   = 1205
)

// readOnly makes the server refuse writes, also by its administrators on
// MySQL, and returns when no commit is under way any more. What keeps it from
// that for a second is handed to unblock, three times at most.
func (n *node) readOnly(ctx context.Context, unblock func(context.Context) error) error {
	query := "SET GLOBAL super_read_only = ON"
	if n.mariadb {
		query = "SET GLOBAL read_only = ON"
	}
	// The server must give up before we do: a statement that is cut off by us
	// would go on waiting and take effect later.
	err := n.exec(ctx, "SET SESSION lock_wait_timeout = 1")
	for range 3 {
		if err != nil {
			return err
		}
		if err = n.exec(ctx, query); code(err) != errLockWait {
			return err
		}
		if unblock == nil {
			break
		}
		if err := unblock(ctx); err != nil {
			return err
		}
		err = n.exec(ctx, "SET SESSION lock_wait_timeout = 1")
	}
	blockers, _ := n.clients(ctx, "") // an error leaves the message without names
	return fmt.Errorf("%s can't become read-only: its clients have statements or table locks that don't end%s", n.addr, blockers.text())
}

// writable lets the server take writes.
func (n *node) writable(ctx context.Context) error {
	return n.exec(ctx, "SET GLOBAL read_only = OFF") // takes super_read_only with it
}

func (n *node) isReadOnly(ctx context.Context) (bool, error) {
	v, err := n.text(ctx, "SELECT @@GLOBAL.read_only")
	return v != "0" && v != "OFF", err
}

// client is a connection to a server.
type client struct {
	id            int64
	user, command string
	age           time.Duration
}

type clients []client

func (cs clients) text() string {
	var parts []string
	for _, c := range cs {
		if c.command != "Sleep" || len(cs) < 5 {
			parts = append(parts, fmt.Sprintf("%d of %s (%s for %s)", c.id, c.user, c.command, c.age))
		}
		if len(parts) == 5 {
			break
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", among them " + strings.Join(parts, ", ")
}

// clients lists the connections of a user, or of all users when it is empty,
// without our own, replicas and the server's own threads.
func (n *node) clients(ctx context.Context, user string) (clients, error) {
	own, err := n.text(ctx, "SELECT CONNECTION_ID()") // there is one: see open
	if err != nil {
		return nil, err
	}
	rows, err := n.query(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return nil, err
	}
	var all clients
	for _, row := range rows {
		c := client{user: row["User"], command: row["Command"]}
		switch {
		case row["Id"] == own, user != "" && c.user != user,
			strings.HasPrefix(c.command, "Binlog Dump"), strings.HasPrefix(c.command, "Slave_"), c.command == "Daemon",
			c.user == "system user", c.user == "event_scheduler", c.user == "unauthenticated user":
			continue
		}
		c.id, _ = strconv.ParseInt(row["Id"], 10, 64) // the server's own numbers
		seconds, _ := strconv.Atoi(row["Time"])
		c.age = time.Duration(seconds) * time.Second
		all = append(all, c)
	}
	return all, nil
}

// kill ends the connections of a user, or of all when it is empty, and says how
// many there were. Our own stays.
func (n *node) kill(ctx context.Context, user string) (int, error) {
	list, err := n.clients(ctx, user)
	if err != nil {
		return 0, err
	}
	killed := 0
	for _, c := range list {
		switch err := n.exec(ctx, "KILL "+strconv.FormatInt(c.id, 10)); {
		case code(err) == errNoThread: // it has gone by itself
		case code(err) == errNotOwner: // MySQL guards those with SYSTEM_USER
		case err != nil:
			return killed, err
		default:
			killed++
		}
	}
	return killed, nil
}

// stopReceiver stops receiving; what was received is still applied.
func (n *node) stopReceiver(ctx context.Context) error {
	return n.exec(ctx, "STOP "+n.word()+" IO_THREAD")
}

func (n *node) startReceiver(ctx context.Context) error {
	return n.exec(ctx, "START "+n.word()+" IO_THREAD")
}

// stopFollowing ends replication and forgets its source.
func (n *node) stopFollowing(ctx context.Context) error {
	if err := n.exec(ctx, "STOP "+n.word()); err != nil {
		return err
	}
	return n.exec(ctx, "RESET "+n.word()+" ALL")
}

// position is what a replica must reach to have all that the server has
// committed.
func (n *node) position(ctx context.Context) (gtid.Set, error) {
	if n.mariadb {
		return n.set(ctx, "SELECT @@GLOBAL.gtid_current_pos")
	}
	return n.set(ctx, "SELECT @@GLOBAL.gtid_executed")
}

// errBehind is the error of a replica that didn't reach a position in time.
var errBehind = errors.New("hasn't applied all of it in time")

// reach waits until the replica has applied the position.
func (n *node) reach(ctx context.Context, position gtid.Set, timeout time.Duration) error {
	if position.IsEmpty() {
		return nil
	}
	query := "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?)"
	if n.mariadb {
		query = "SELECT MASTER_GTID_WAIT(?, ?)"
	}
	slow := *n
	slow.limit = timeout + n.limit
	got, err := slow.text(ctx, query, position.String(), timeout.Seconds())
	switch {
	case err != nil:
		return err
	case got != "0":
		return fmt.Errorf("%s %w: %s", n.addr, errBehind, position)
	}
	return nil
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
	if n.mariadb {
		query = "CHANGE MASTER TO SOURCE_HOST=?, SOURCE_PORT=?, MASTER_USE_GTID=slave_pos"
	}
	if err := n.exec(ctx, "STOP "+n.word()); err != nil {
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
		if !n.mariadb {
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
		case !n.mariadb:
			query += ", GET_SOURCE_PUBLIC_KEY=1"
		}
		if n.mariadb {
			// What it wrote as a primary isn't in the position that it has of
			// its time as a replica.
			if err := n.exec(ctx, "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos"); err != nil {
				return err
			}
		}
	}
	if n.mariadb || n.before([3]int{8, 0, 23}) {
		query = strings.ReplaceAll(strings.ReplaceAll(query, "SOURCE_", "MASTER_"), "REPLICATION SOURCE TO", "MASTER TO")
	}
	if err := n.exec(ctx, query, args...); err != nil {
		return err
	}
	return n.exec(ctx, "START "+n.word())
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
		return fmt.Errorf("%s doesn't follow %s: receiver %s, applier %s: %s", n.addr, last.Source, last.Receiver, yes(last.Applier), last.Error)
	case err == nil:
		err = errors.New("isn't set up as a replica")
	}
	return fmt.Errorf("%s: %w", n.addr, err)
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
	rows, err := n.query(ctx, "SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%enabled'")
	if err != nil {
		return err
	}
	for _, row := range rows {
		name, on := row["Variable_name"], truth(row["Value"])
		ofSource := strings.Contains(name, "_source_") || strings.Contains(name, "_master_")
		switch {
		case ofSource && on != source:
			err = n.exec(ctx, "SET GLOBAL "+name+" = "+map[bool]string{true: "ON", false: "OFF"}[source])
		case !ofSource && !source && !on:
			err = n.exec(ctx, "SET GLOBAL "+name+" = ON")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *node) word() string {
	if n.mariadb {
		return "SLAVE"
	}
	return "REPLICA"
}
