package router

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse/rewrite"
	"shardway/shardmap"
)

// move runs an UPDATE that assigns the key for one row, whose primary key's values and new key are cells: on the shard
// where the row is, with all that the server makes of it, and then takes the row to the shard of its new key.
func (w *picking) move(ctx context.Context, head string, cells []string) error {
	s, p, t := w.s, &w.p.Targets[0], w.p.Move
	n := len(p.Keys)
	at := -1 // the sharding key in the primary key
	var was, is []string
	for i, k := range p.Keys {
		was = append(was, rewrite.Quote(p.Alias)+"."+rewrite.Quote(k)+" = "+cells[i])
		if strings.EqualFold(k, t.Key) {
			at = i
			is = append(is, rewrite.Quote(k)+" = "+cells[n])
			continue
		}
		is = append(is, rewrite.Quote(k)+" = "+cells[i])
	}
	if at < 0 {
		return protocol.Errorf(1235, "42000", "shardway: SET assigns %s.%s.%s, the key that decides the row's shard, and the table's primary key doesn't hold it: delete the row and insert it with its new key", p.DB, p.Table, t.Key)
	}
	from, err := w.shardOf(t, w.kinds[at], cells[at])
	if err != nil {
		return err
	}
	_, _, reply, err := w.runAt(ctx, from, head+" WHERE "+strings.Join(was, " AND "), false)
	if err != nil {
		return err
	}
	w.sum.AffectedRows += reply.AffectedRows
	w.sum.Warnings += reply.Warnings
	w.sum.Info = exec.AddInfo(w.sum.Info, reply.Info)
	// What the server has stored may not be what was assigned: the row says.
	where := strings.Join(is, " AND ")
	columns, rows, _, err := w.runAt(ctx, from, "SELECT "+rewrite.Quote(t.Key)+" FROM "+rewrite.Quote(p.DB)+"."+rewrite.Quote(p.Table)+" WHERE "+where, true)
	if err != nil {
		return err
	}
	if len(rows) != 1 || len(columns) != 1 {
		return protocol.Errorf(1235, "42000", "shardway: SET assigns %s.%s.%s, the key that decides the row's shard, and the row isn't found again by its new key %s; nothing was changed: delete the row and insert it with its new key", p.DB, p.Table, t.Key, cells[n])
	}
	kind := literalOf(columns[0])
	stored, ok := s.cells([]literalKind{kind}, rows[0])
	if !ok {
		return protocol.Errorf(1105, "HY000", "shardway: a server sent a row that makes no sense")
	}
	to, err := w.shardOf(t, kind, stored[0])
	if err != nil || to == from {
		return err
	}
	moved, err := s.x.Move(ctx, p.DB, p.Table, where, from.ID, to.ID)
	if err == nil && !moved {
		err = errors.New("shardway: a row that was just updated is gone")
	}
	return err
}

// runAt runs a statement on a shard as it is, and keeps its reply.
func (w *picking) runAt(ctx context.Context, at *shardmap.Shard, sql string, read bool) (columns, rows [][]byte, reply protocol.Reply, err error) {
	s := w.s
	return s.replyOf(func() error {
		_, err := s.x.Run(ctx, &exec.Request{
			Command: protocol.ComQuery, Payload: []byte(sql), Reply: protocol.ReplyQuery, Shard: at.ID, Role: exec.Primary, Read: read, Timeout: w.o.QueryTimeout,
		})
		return err
	})
}

// replyOf runs f and gives the reply that the client would have got of it.
func (s *session) replyOf(f func() error) (columns, rows [][]byte, reply protocol.Reply, err error) {
	m := protocol.NewMemory(0)
	m.Conn.SetCapabilities(m.Conn.Capabilities() | s.conn.Capabilities()&protocol.CapExtendedMetadata)
	if err := s.x.Keep(m, f); err != nil {
		return nil, nil, protocol.Reply{}, err
	}
	return m.Read()
}

// shardOf is the shard of a key that a server has sent, as a literal.
func (w *picking) shardOf(t *shardmap.Table, kind literalKind, cell string) (*shardmap.Shard, error) {
	var v shardmap.Value
	switch {
	case kind == literalNumber:
		if n, err := strconv.ParseInt(cell, 10, 64); err == nil {
			v = shardmap.Value{Kind: shardmap.Int, I: n}
		} else if n, err := strconv.ParseUint(cell, 10, 64); err == nil {
			v = shardmap.Value{Kind: shardmap.Uint, U: n}
		} else {
			v = shardmap.Value{Kind: shardmap.Decimal, S: []byte(cell)}
		}
	case kind == literalText && strings.HasPrefix(cell, "'") && !strings.Contains(cell, `\`) && strings.Count(cell, "'") == 2:
		v = shardmap.Value{Kind: shardmap.String, S: []byte(strings.Trim(cell, "'")), UTF8: strings.HasPrefix(w.s.x.Charset(), "utf8")}
	}
	loc := t.Locate(v, shardmap.Equal)
	if loc.Kind != shardmap.Placed {
		return nil, protocol.Errorf(1235, "42000", "shardway: SET assigns %s, the key that decides the row's shard, and the place of %s isn't certain; nothing was changed: delete the row and insert it with its new key", t.Key, cell)
	}
	return loc.Shard, nil
}
