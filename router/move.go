package router

import (
	"context"
	"errors"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse/rewrite"
	"shardway/shardmap"
)

// move runs an UPDATE that assigns the key for one row, whose primary key's values and new key are cells, as SQL: on the shard
// where the row is, with all that the server makes of it, and then takes the row to the shard of its new key.
func (w *picking) move(ctx context.Context, head string, row []byte, cells []string) error {
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
	old, err := w.locate(t, keyOf(w.kinds[at], row, at), cells[at])
	if err != nil {
		return err
	}
	from := old.Shard
	assigned := t.Locate(keyOf(w.kinds[n], row, n), shardmap.Equal)
	if assigned.Kind == shardmap.Placed {
		if err := passes(t, from, assigned); err != nil {
			return err
		}
	}
	_, _, reply, err := w.runAt(ctx, from, head+" WHERE "+strings.Join(was, " AND "), false)
	if err != nil {
		return meets(err, t, assigned, from)
	}
	w.sum.AffectedRows += reply.AffectedRows
	w.sum.Warnings += reply.Warnings
	w.sum.Info = exec.AddInfo(w.sum.Info, reply.Info)
	// What the server has stored may not be what was assigned: the row says.
	where := strings.Join(is, " AND ")
	var columns, rows [][]byte
	err = s.x.Under("character_set_results", "'utf8mb4'", func() (err error) {
		columns, rows, _, err = w.runAt(ctx, from, "SELECT "+rewrite.Quote(t.Key)+" FROM "+rewrite.Quote(p.DB)+"."+rewrite.Quote(p.Table)+" WHERE "+where, true)
		return err
	})
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
	place, err := w.locate(t, keyOf(kind, rows[0], 0), stored[0])
	if err != nil || place.Shard == from {
		return err
	}
	if err := passes(t, from, place); err != nil {
		return err
	}
	moved, err := s.x.Move(ctx, p.DB, p.Table, where, from.ID, place.Shard.ID)
	if err == nil && !moved {
		err = errors.New("shardway: a row that was just updated is gone")
	}
	return meets(err, t, old, place.Shard)
}

// copiesAt is the move by which a shard has copies of a slot's rows, or nil.
func copiesAt(t *shardmap.Table, slot int, at *shardmap.Shard) *shardmap.Move {
	for _, v := range t.Database.Moves() {
		if v.Begun() && v.Has(slot) && v.Copies() == at {
			return v
		}
	}
	return nil
}

// passes refuses to let a row pass through a shard that owned its new slot before: whatever is written there in these slots
// is taken for a write past the proxies.
func passes(t *shardmap.Table, from *shardmap.Shard, is shardmap.Location) error {
	if v := copiesAt(t, is.Slot, from); v != nil && (v.State == shardmap.MoveMoved || v.State == shardmap.MoveReturning) {
		return protocol.Errorf(1205, "HY000", "shardway: SET assigns %s.%s.%s, the key that decides the row's shard, and the row's new slot %d has just moved from shard %s, where the row is, to %s (move %s, %s); nothing was done, try it again when that is finished: see shardctl rebalance status",
			t.Database.Name, t.Name, t.Key, is.Slot, v.From.ID, v.To.ID, v.ID, v.State)
	}
	return nil
}

// meets says of a duplicate key on a shard that has copies of a slot's rows, the row's old slot or its new one, that it may
// be one of them that is in the way: copies are a moment behind.
func meets(err error, t *shardmap.Table, slot shardmap.Location, at *shardmap.Shard) error {
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok || e.Code != 1062 || slot.Kind != shardmap.Placed {
		return err
	}
	v := copiesAt(t, slot.Slot, at)
	if v == nil {
		return err
	}
	return protocol.Errorf(1205, "HY000", "shardway: SET assigns %s.%s.%s, the key that decides the row's shard, and what shard %s has while slot %d moves from shard %s to %s (move %s, %s) is in the way, be it a copy or another row (%s); nothing was done, try it again when that is finished: see shardctl rebalance status",
		t.Database.Name, t.Name, t.Key, at.ID, slot.Slot, v.From.ID, v.To.ID, v.ID, v.State, e.Message)
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

// locate is the place of a key that a server has sent; cell is its text for an error.
func (w *picking) locate(t *shardmap.Table, key shardmap.Value, cell string) (shardmap.Location, error) {
	loc := t.Locate(key, shardmap.Equal)
	if loc.Kind != shardmap.Placed {
		return loc, protocol.Errorf(1235, "42000", "shardway: SET assigns %s, the key that decides the row's shard, and the place of %s isn't certain; nothing was changed: delete the row and insert it with its new key", t.Key, cell)
	}
	return loc, nil
}
