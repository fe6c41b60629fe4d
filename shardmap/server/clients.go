package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
)

// ErrLockWait is the number of the error of a statement that waited for a lock
// too long.
const ErrLockWait = 1205

// IsReadOnly says whether the server refuses writes.
func (n *Server) IsReadOnly(ctx context.Context) (bool, error) {
	v, err := n.Text(ctx, "SELECT @@GLOBAL.read_only")
	return v != "0" && v != "OFF", err
}

// Client is a connection to a server.
type Client struct {
	ID            int64
	User, Command string
	Age           time.Duration
}

// Clients are connections to a server.
type Clients []Client

// Text names some, for an error, or is empty.
func (cs Clients) Text() string {
	var parts []string
	for _, c := range cs {
		if c.Command != "Sleep" || len(cs) < 5 {
			parts = append(parts, fmt.Sprintf("%d of %s (%s for %s)", c.ID, c.User, c.Command, c.Age))
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

// Clients lists the connections of a user, or of all users when it is empty,
// without our own, replicas and the server's own threads.
func (n *Server) Clients(ctx context.Context, user string) (Clients, error) {
	own, err := n.Text(ctx, "SELECT CONNECTION_ID()") // there is one: see open
	if err != nil {
		return nil, err
	}
	rows, err := n.Query(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return nil, err
	}
	var all Clients
	for _, row := range rows {
		c := Client{User: row["User"], Command: row["Command"]}
		switch {
		case row["Id"] == own, user != "" && c.User != user,
			strings.HasPrefix(c.Command, "Binlog Dump"), strings.HasPrefix(c.Command, "Slave_"), c.Command == "Daemon",
			c.User == "system user", c.User == "event_scheduler", c.User == "unauthenticated user":
			continue
		}
		c.ID, _ = strconv.ParseInt(row["Id"], 10, 64) // the server's own numbers
		seconds, _ := strconv.Atoi(row["Time"])
		c.Age = time.Duration(seconds) * time.Second
		all = append(all, c)
	}
	return all, nil
}

// Kill ends the connections of a user, or of all when it is empty, and says how
// many there were. Our own stays, and those with the ids to keep.
func (n *Server) Kill(ctx context.Context, user string, keep ...int64) (int, error) {
	list, err := n.Clients(ctx, user)
	if err != nil {
		return 0, err
	}
	killed := 0
	for _, c := range list {
		if slices.Contains(keep, c.ID) {
			continue
		}
		switch err := n.Exec(ctx, "KILL "+strconv.FormatInt(c.ID, 10)); {
		case Code(err) == errNoThread: // it has gone by itself
		case Code(err) == errNotOwner: // MySQL guards those with SYSTEM_USER
		case err != nil:
			return killed, err
		default:
			killed++
		}
	}
	return killed, nil
}

// Position is what a replica must reach to have all that the server has
// committed.
func (n *Server) Position(ctx context.Context) (gtid.Set, error) {
	if n.MariaDB {
		return n.Set(ctx, "SELECT @@GLOBAL.gtid_current_pos")
	}
	return n.Set(ctx, "SELECT @@GLOBAL.gtid_executed")
}

// ErrBehind is the error of a replica that didn't reach a position in time.
var ErrBehind = errors.New("hasn't applied all of it in time")

// Reach waits until the replica has applied the position.
func (n *Server) Reach(ctx context.Context, position gtid.Set, timeout time.Duration) error {
	if position.IsEmpty() {
		return nil
	}
	query := "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?)"
	if n.MariaDB {
		query = "SELECT MASTER_GTID_WAIT(?, ?)"
	}
	slow := *n
	slow.Limit = timeout + n.Limit
	got, err := slow.Text(ctx, query, position.String(), timeout.Seconds())
	switch {
	case err != nil:
		return err
	case got != "0":
		return fmt.Errorf("%s %w: %s", n.Addr, ErrBehind, position)
	}
	return nil
}
