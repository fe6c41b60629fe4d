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
//
// While slots move the shard may have copies of rows that another one owns, and there the row's new key may belong among
// them: a copy could be in its way, and what comes and goes among the copies would be taken for a write past the proxies. So
// the row is read as it has become, and then the shard goes back to where nothing was done.
func (w *picking) move(ctx context.Context, head string, row []byte, cells []string) error {
	s, p, t := w.s, &w.p.Targets[0], w.p.Move
	n := len(p.Keys)
	at := -1 // the sharding key in the primary key
	var named, before, after []string
	for i, k := range p.Keys {
		before = append(before, rewrite.Quote(k)+" = "+cells[i])
		named = append(named, rewrite.Quote(p.Alias)+"."+before[i])
		if strings.EqualFold(k, t.Key) {
			at = i
			after = append(after, rewrite.Quote(k)+" = "+cells[n])
			continue
		}
		after = append(after, before[i])
	}
	if at < 0 {
		return protocol.Errorf(1235, "42000", "shardway: SET assigns %s.%s.%s, the key that decides the row's shard, and the table's primary key doesn't hold it: delete the row and insert it with its new key", p.DB, p.Table, t.Key)
	}
	old, err := w.locate(t, keyOf(w.kinds[at], row, at), cells[at])
	if err != nil {
		return err
	}
	from := old.Shard
	was, is := strings.Join(before, " AND "), strings.Join(after, " AND ")
	own := t.OwnSQL(from.ID, "")
	if own != "" {
		if err := s.x.Point(ctx, from.ID); err != nil {
			return err
		}
	}
	a := assigning{sql: head + " WHERE " + strings.Join(named, " AND "), at: from, own: own, copies: []string{is, after[at]}}
	if err := w.assign(ctx, &a); err != nil {
		return err
	}
	w.sum.AffectedRows += a.reply.AffectedRows
	w.sum.Warnings += a.reply.Warnings
	w.sum.Info = exec.AddInfo(w.sum.Info, a.reply.Info)
	if a.skipped {
		return nil
	}
	// What the server has stored may not be what was assigned: the row says.
	var columns, rows [][]byte
	err = s.x.Under("character_set_results", "'utf8mb4'", func() (err error) {
		columns, rows, _, err = w.runAt(ctx, from, "SELECT "+rewrite.Quote(t.Key)+" FROM "+rewrite.Quote(p.DB)+"."+rewrite.Quote(p.Table)+" WHERE "+is, true)
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
	switch {
	case err != nil:
		return err
	case place.Shard != from:
	case a.cleared:
		return errors.New("shardway: a row stays where a copy has its key")
	default:
		return nil
	}
	way := exec.Passage{DB: p.DB, Table: p.Table, From: from.ID, To: place.Shard.ID, Where: is}
	if own != "" {
		way.Was = was
	}
	v := copiesAt(t, old.Slot, place.Shard)
	if v != nil {
		way.Copy = was + " AND NOT (" + t.OwnSQL(place.Shard.ID, "") + ")"
	}
	moved, err := s.x.Move(ctx, &way)
	if copied, ok := errors.AsType[*exec.CopyError](err); ok {
		return protocol.Errorf(1205, "HY000", "shardway: SET assigns %s.%s.%s, the key that decides the row's shard, and shard %s, to which the row goes, has a copy of it as it is, which holds a value of a unique index without the key (%s), since slot %d moves from shard %s to %s (move %s, %s); nothing was changed: try it again when that is finished (shardctl rebalance finish), or cancel the move",
			p.DB, p.Table, t.Key, place.Shard.ID, copied.Err.Message, old.Slot, v.From.ID, v.To.ID, v.ID, v.State)
	}
	if err == nil && !moved {
		err = errors.New("shardway: a row that was just updated is gone")
	}
	return err
}

// copiesAt is the move by which a shard has copies of a slot's rows, or nil.
func copiesAt(t *shardmap.Table, slot int, at *shardmap.Shard) *shardmap.Move {
	if v := t.Database.Moving(slot); v != nil && v.Copies() == at {
		return v
	}
	return nil
}

// assigning is the UPDATE of one row, at its shard.
type assigning struct {
	sql    string
	at     *shardmap.Shard
	own    string   // the condition for the shard's own rows; "" where it has no others
	copies []string // conditions for what may be in the way: it is looked for with one after the other

	reply   protocol.Reply
	cleared bool // copies were deleted
	skipped bool // an UPDATE IGNORE has left the row as it is
}

// assign runs an UPDATE, again where copies were in its way. They are deleted, for as long as the row is among them.
func (w *picking) assign(ctx context.Context, a *assigning) (err error) {
	for {
		_, _, a.reply, err = w.runAt(ctx, a.at, a.sql, false)
		e, failed := errors.AsType[*protocol.Error](err)
		a.skipped = err == nil && w.p.Ignore && strings.Contains(a.reply.Info, "Changed: 0 ")
		if a.own == "" || !a.skipped && (!failed || e.Code != duplicate) {
			return err
		}
		found := false
		for !found {
			if len(a.copies) == 0 {
				return err // it is a row of the shard's own that is in the way
			}
			var failed error
			if found, failed = w.clear(ctx, a.at, a.copies[0]+" AND NOT ("+a.own+")"); failed != nil {
				return failed
			}
			a.copies = a.copies[1:]
		}
		a.cleared = true
	}
}

// duplicate is a server's error for a value that a unique index has already.
const duplicate = 1062

// clear deletes copies at a shard. Whatever refers to them stays.
func (w *picking) clear(ctx context.Context, at *shardmap.Shard, where string) (found bool, err error) {
	p := &w.p.Targets[0]
	err = w.s.x.Under("foreign_key_checks", "0", func() error {
		_, _, reply, err := w.runAt(ctx, at, "DELETE FROM "+rewrite.Quote(p.DB)+"."+rewrite.Quote(p.Table)+" WHERE "+where, false)
		found = err == nil && reply.AffectedRows > 0
		return err
	})
	return found, err
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
