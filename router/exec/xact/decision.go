package xact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
)

// What makes the table of decisions where it is missing. Its keys are compared as bytes.
const (
	schemaSQL = "CREATE SCHEMA IF NOT EXISTS shardway"
	tableSQL  = "CREATE TABLE IF NOT EXISTS shardway.decisions (id VARBINARY(64) NOT NULL PRIMARY KEY, committed TINYINT NOT NULL, " +
		"at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (at)) ENGINE=InnoDB"
	lookSQL = "SELECT 1 FROM shardway.decisions LIMIT 0"
)

// SnapshotSQL makes the snapshot of a branch, for which XA START has no words.
const SnapshotSQL = "SELECT committed FROM shardway.decisions LIMIT 1"

// The errors of servers that this package acts on.
const (
	codeUnknownDatabase = 1049
	codeDuplicate       = 1062
	codeNoSuchTable     = 1146
	codeXARefused       = 1401 // XA RECOVER without the right to it, at MySQL
)

// errUndecided is why a branch's connection is ended whose transaction couldn't be decided.
var errUndecided = errors.New("the transaction isn't decided yet")

// decide is the statement that decides a transaction, unless somebody has done so.
func decide(id ID, committed bool) string {
	value := "0"
	if committed {
		value = "1"
	}
	return "INSERT INTO shardway.decisions (id, committed) VALUES ('" + string(id) + "', " + value + ")"
}

// Ready makes sure that a shard's primary can take part in transactions over several shards: it has the table of
// decisions, and lets this account see branches in doubt. addr is the primary's address. The errors are the client's.
func (t *Transactions) Ready(ctx context.Context, shard, addr string) error {
	t.mu.Lock()
	ready := t.ready[addr]
	t.mu.Unlock()
	if ready {
		return nil
	}
	c, err := t.acquire(ctx, shard)
	if err != nil {
		return err
	}
	defer c.Release()
	_, err = c.Exec(lookSQL)
	if isCode(err, codeUnknownDatabase, codeNoSuchTable) {
		if _, err = c.Exec(schemaSQL); err == nil {
			_, err = c.Exec(tableSQL)
		}
	}
	if err != nil {
		return t.unready(c, shard, "shardway.decisions can't be used", "GRANT ALL ON shardway.*", err)
	}
	if _, err = c.Exec("XA RECOVER"); err != nil {
		return t.unready(c, shard, "branches in doubt can't be seen", "GRANT XA_RECOVER_ADMIN ON *.*", err)
	}
	t.mu.Lock()
	t.ready[c.Addr()] = true
	t.mu.Unlock()
	return nil
}

func (t *Transactions) unready(c *backend.Conn, shard, what, advice string, err error) error {
	if _, refused := errors.AsType[*protocol.Error](err); !refused {
		c.Failed(err)
		return protocol.Errorf(1205, "HY000", "shardway: the connection to %s of shard %s broke (%v); try again", c.Addr(), shard, err)
	}
	return protocol.Errorf(1235, "42000", "shardway: %s of shard %s can't take part in a transaction over several shards: %s (%v): %s TO the account of servers.user there, or keep transactions on one shard (transactions.cross_shard: forbid)",
		c.Addr(), shard, what, err, advice)
}

// forget lets the next transaction look anew whether a server is ready.
func (t *Transactions) forget(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ready, addr)
}

// acquire returns a connection to a shard's primary in no client's state.
func (t *Transactions) acquire(ctx context.Context, shard string) (*backend.Conn, error) {
	c, err := t.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Primary})
	if err != nil {
		return nil, err
	}
	if c.State.Value() == "" {
		return c, nil
	}
	err = c.WriteCommand(protocol.ComResetConnection)
	if err == nil {
		err = c.Flush()
	}
	if err == nil {
		_, err = c.Forward(nil, protocol.ReplySimple, nil)
	}
	if err == nil { // MySQL gives the connection the server's character set, not the one that it logged in with
		_, err = c.Exec("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci")
	}
	if err == nil {
		c.Data = nil
		err = c.Setup(ctx)
	}
	if err != nil {
		c.Failed(err)
		return nil, fmt.Errorf("%s of shard %s: %w", c.Addr(), shard, err)
	}
	return c, nil
}

// DefaultWait is Transactions.Wait of New.
const DefaultWait = 10 * time.Second

// askAgain is the time between two questions.
const askAgain = 100 * time.Millisecond

// decided says whether a transaction has been committed whose COMMIT wasn't answered on the connection of first. An
// error says that nobody can tell yet.
func (t *Transactions) decided(ctx context.Context, id ID, first *Participant) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.Wait)
	defer cancel()
	// A server that hasn't noticed the break keeps the row locked.
	kill, done := context.WithTimeout(ctx, time.Second)
	_ = t.cluster.Kill(kill, first.Conn, false) // what can't be told that may be gone
	done()
	for {
		committed, err := t.settle(ctx, id, first.Shard)
		if err == nil || errors.Is(err, backend.ErrClosed) {
			return committed, err
		}
		if !pause(ctx, askAgain) {
			return false, err
		}
	}
}

// pause waits, and says false when ctx is done before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// settle returns how a transaction was decided. One that wasn't is decided now: it is rolled back.
func (t *Transactions) settle(ctx context.Context, id ID, shard string) (committed bool, err error) {
	c, err := t.acquire(ctx, shard)
	if err != nil {
		return false, err
	}
	defer c.Release()
	stop := context.AfterFunc(ctx, c.Interrupt)
	defer stop()
	_, err = c.Exec(decide(id, false))
	switch {
	case err == nil:
		return false, nil
	case isCode(err, codeUnknownDatabase, codeNoSuchTable):
		t.forget(c.Addr())
		return false, errors.Join(err, t.Ready(ctx, shard, c.Addr()))
	case !isCode(err, codeDuplicate):
		return false, t.broken(ctx, c, err)
	}
	res, err := c.Query("SELECT committed FROM shardway.decisions WHERE id='" + string(id) + "'")
	switch {
	case err != nil:
		return false, t.broken(ctx, c, err)
	case len(res.Rows) != 1 || res.Rows[0][0] == nil:
		return false, fmt.Errorf("the decision on %s at %s is gone", id, c.Addr())
	}
	return *res.Rows[0][0] == "1", nil
}

// broken ends a connection that failed, or on which the answer was waited for in vain.
func (t *Transactions) broken(ctx context.Context, c *backend.Conn, err error) error {
	if ctx.Err() != nil {
		c.Discard("no answer")
	} else if _, refused := errors.AsType[*protocol.Error](err); !refused {
		c.Failed(err)
	}
	return fmt.Errorf("%s: %w", c.Addr(), err)
}
