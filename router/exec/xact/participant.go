package xact

import (
	"errors"
	"fmt"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// Participant is a transaction's part on one shard.
type Participant struct {
	Shard  string
	Conn   *backend.Conn
	Branch string // the XA id as SQL; "" for a plain transaction
	Wrote  bool   // it may have changed something
	// Repeatable says that it reads rows as they were at its first read, unless it is known not to.
	Repeatable bool
	Ended      bool // nothing of the transaction is left on Conn

	// Reply is what the server said to the last statement that ended the transaction; Err that the connection is of no
	// more use.
	Reply protocol.Reply
	Err   error
}

// Saw takes over what a reply to a statement of the client's says about changes. writes says that the statement is none
// that only reads.
func (p *Participant) Saw(reply *protocol.Reply, writes bool) {
	switch {
	case p.Wrote:
	case reply.Err != nil, writes:
		p.Wrote = true // a change isn't reported along with an error
	default:
		for i := range reply.Changes {
			if ch := &reply.Changes[i]; ch.Kind == protocol.ChangeTxState && strings.ContainsAny(ch.Value, "wW") {
				p.Wrote = true
			}
		}
	}
}

// send writes statements to the participant's server; their replies are awaited in their order.
func (p *Participant) send(statements ...string) {
	if p.Err != nil {
		return
	}
	for _, sql := range statements {
		if p.Err = p.Conn.WriteCommand(protocol.ComQuery, []byte(sql)); p.Err != nil {
			return
		}
	}
	p.Err = p.Conn.Flush()
}

// receive reads the reply to the next statement. It says false if there was none, or an error.
func (p *Participant) receive() bool {
	if p.Err != nil {
		return false
	}
	p.Reply, p.Err = p.Conn.Forward(nil, protocol.ReplyQuery, nil)
	return p.Err == nil && p.Reply.Err == nil
}

// fault is why the participant failed; nil when it didn't.
func (p *Participant) fault() error {
	switch {
	case p.Err != nil:
		return p.Err
	case p.Reply.Err != nil:
		return p.Reply.Err
	default:
		return nil
	}
}

// rollBack begins to roll back what isn't prepared, rolledBack reads the replies. A server that has rolled a branch back
// by itself, after a deadlock, refuses XA END and takes XA ROLLBACK: MySQL only in this order, since the branch is ACTIVE
// there until XA END.
func (p *Participant) rollBack() {
	if p.Branch == "" {
		p.send("ROLLBACK")
		return
	}
	p.send("XA END "+p.Branch, "XA ROLLBACK "+p.Branch)
}

func (p *Participant) rolledBack() {
	if p.Branch != "" {
		p.receive()
	}
	if p.Ended = p.receive(); !p.Ended && p.Err == nil {
		p.Err = errors.New("rolling back was refused: " + p.Reply.Err.Message)
	}
}

// Rollback rolls back. A participant that can't be told is rolled back by its server when the connection ends, which is
// the caller's part where Err is set.
func Rollback(parts []*Participant) {
	for _, p := range parts {
		p.rollBack()
	}
	for _, p := range parts {
		p.rolledBack()
	}
}

// All runs a statement on all participants and returns the first error: a server's, or that of a connection, which is
// Err as well.
func All(parts []*Participant, sql string) error {
	var err error
	for _, p := range parts {
		p.send(sql)
	}
	for _, p := range parts {
		if !p.receive() && err == nil {
			err = p.fault()
		}
	}
	return err
}

// Unfit says why a server of a version can't have branches that outlive its clients; "" when it can.
func Unfit(version string) string {
	mariaDB := strings.Contains(version, "MariaDB")
	version = strings.TrimPrefix(version, "5.5.5-") // MariaDB's way to look like an old MySQL
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n < 2 {
		return ""
	}
	switch {
	case mariaDB && (major < 10 || major == 10 && minor < 5):
		return "MariaDB " + version + " rolls prepared branches back when their client leaves; 10.5 and later keep them"
	case !mariaDB && (major < 5 || major == 5 && (minor < 7 || minor == 7 && patch < 7)):
		return "MySQL " + version + " rolls prepared branches back when their client leaves; 5.7.7 and later keep them"
	}
	return ""
}
