package exec

import (
	"context"

	"shardway/protocol"
	"shardway/router/backend"
)

// Keep runs f with a client that keeps the reply that f would give to the session's own.
func (s *Session) Keep(m *protocol.Memory, f func() error) error {
	client := s.client
	s.client = m.Conn
	defer func() { s.client = client }()
	return f()
}

// PrimaryKey returns the columns of a table's primary key, in its order; none where it has none. The error is the
// client's.
func (s *Session) PrimaryKey(ctx context.Context, shard, schema, table string) ([]string, error) {
	c, err := s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Primary})
	if err != nil {
		return nil, acquireError(err)
	}
	r := &Request{Shard: shard, Read: true}
	if err := s.sync(c, (&state{schema: stateOf(c.State).schema}).handle()); err != nil {
		return nil, unready(c, r, err)
	}
	res, err := c.Query("SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA=" + quote(schema) +
		" AND TABLE_NAME=" + quote(table) + " AND INDEX_NAME='PRIMARY' ORDER BY SEQ_IN_INDEX")
	if err != nil {
		return nil, unready(c, r, s.lost(c, err, true))
	}
	c.Release()
	keys := make([]string, 0, len(res.Rows))
	for _, row := range res.Rows {
		if row[0] != nil {
			keys = append(keys, *row[0])
		}
	}
	return keys, nil
}

// Answer gives the client the reply to a statement that was done by several others.
func (s *Session) Answer(ok protocol.OK) (Outcome, error) {
	ok.Status = s.Status()
	out := Outcome{Reply: protocol.Reply{OK: ok}}
	return out, s.client.WriteOK(ok)
}

// AddInfo adds the numbers of what two statements said: "Rows matched: 3  Changed: 1  Warnings: 0".
func AddInfo(a, b string) string { return addNumbers(a, b) }
