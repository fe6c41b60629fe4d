package rows

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
)

// ReplaceRange puts rows in place of all that the server has in a range and that
// meets the condition. displaced are the keys of other rows that met the
// condition, held a value of a unique index that a new row has, and so were
// deleted: they are out of date, and the caller reads them again and writes what
// they are now. The error is a [Collision] where such a row doesn't meet the
// condition.
func (s *Session) ReplaceRange(ctx context.Context, t *Table, r Range, condition string, b *Batch) (displaced []Key, err error) {
	if _, err := s.DeleteRange(ctx, t, r, condition); err != nil {
		return nil, err
	}
	return s.insert(ctx, t, condition, b)
}

// ReplaceKeys is ReplaceRange for a list of keys: those that aren't in the batch
// are deleted.
func (s *Session) ReplaceKeys(ctx context.Context, t *Table, keys []Key, condition string, b *Batch) (displaced []Key, err error) {
	if err := s.deleteKeys(ctx, t, keys, condition); err != nil {
		return nil, err
	}
	return s.insert(ctx, t, condition, b)
}

// DeleteRange deletes the rows of a range that meet the condition, and says how
// many. Those that don't meet it are not waited for when others hold locks on
// them, so the rows are found first and deleted by their keys: this fits where
// nobody else writes rows that meet the condition.
func (s *Session) DeleteRange(ctx context.Context, t *Table, r Range, condition string) (int64, error) {
	if condition == "" {
		res, err := s.Exec(ctx, "DELETE FROM "+t.String()+t.where(r, ""))
		if err != nil {
			return 0, err
		}
		return res.RowsAffected()
	}
	parts := make([]string, len(t.Key))
	for k, i := range t.Key {
		parts[k] = t.Columns[i].read()
	}
	var keys []Key
	query := "SELECT " + strings.Join(parts, ",") + t.from() + t.where(r, condition)
	err := s.each(ctx, query, func(v []driver.Value) error {
		key, err := t.keyOf(v)
		keys = append(keys, key)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int64(len(keys)), s.deleteKeys(ctx, t, keys, condition)
}

// Lock locks the rows with these keys for the transaction.
func (s *Session) Lock(ctx context.Context, t *Table, keys []Key) error {
	for _, some := range groups(keys) {
		err := s.each(ctx, "SELECT 1"+t.from()+t.whereKeys(some, "")+" FOR UPDATE", func([]driver.Value) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) deleteKeys(ctx context.Context, t *Table, keys []Key, condition string) error {
	for _, some := range groups(keys) {
		// With several tables' syntax a server can be told to use the key, and
		// then locks no other rows, however few there are.
		if err := s.exec(ctx, "DELETE "+t.String()+t.from()+t.whereKeys(some, condition)); err != nil {
			return err
		}
	}
	return nil
}

// statement is how long an INSERT becomes: longer ones are no faster, and cost
// memory on both sides.
const statement = 1 << 20

// rowsInStatement bounds the warnings of an INSERT, of which a server keeps some
// ten thousands.
const rowsInStatement = 10000

// insert writes all rows of a batch.
func (s *Session) insert(ctx context.Context, t *Table, condition string, b *Batch) (displaced []Key, err error) {
	if len(b.zeros) > 0 {
		if err := s.exec(ctx, "SET sql_mode='"+looseMode+"'"); err != nil {
			return nil, err
		}
		defer func() {
			if back := s.exec(ctx, "SET sql_mode='"+strictMode+"'"); err == nil {
				err = back
			}
		}()
	}
	w := &writer{session: s, table: t, shape: t.shape(), condition: condition, batch: b}
	w.head = "INSERT INTO " + t.String() + " (" + w.shape.columns() + ") VALUES "
	most := min(statement, s.packet/2)
	for from := 0; from < b.Len(); {
		to, size := from, 0
		for to < b.Len() && (to == from || to-from < rowsInStatement && size+len(b.tuples.at(to)) < most) {
			size += len(b.tuples.at(to)) + 1
			to++
		}
		if err := w.put(ctx, from, to); err != nil {
			return w.displaced, err
		}
		from = to
	}
	return w.displaced, nil
}

// writer writes one batch.
type writer struct {
	session   *Session
	table     *Table
	shape     *shape
	condition string
	batch     *Batch
	head      string
	text      []byte
	displaced []Key
}

// run inserts some rows in one statement.
func (w *writer) run(ctx context.Context, from, to int) error {
	w.text = append(w.text[:0], w.head...)
	for i := from; i < to; i++ {
		if i > from {
			w.text = append(w.text, ',')
		}
		w.text = append(w.text, w.batch.tuples.at(i)...)
	}
	if len(w.text) > w.session.packet {
		return fmt.Errorf("%s: a row of %s has %d bytes as SQL, more than the server's max_allowed_packet of %d: raise that, and that of the "+
			"server's replicas; its key is %s", w.session.addr, w.table, len(w.text), w.session.packet, w.batch.Key(from))
	}
	// The driver reads the text before it returns, and doesn't keep it.
	if err := w.session.exec(ctx, string(w.text)); err != nil {
		return err
	}
	if len(w.batch.zeros) == 0 {
		return nil
	}
	zeros := 0
	for i := from; i < to; i++ {
		zeros += w.batch.zeros[i]
	}
	return w.checkWarnings(ctx, zeros)
}

// checkWarnings makes an error of what a strict session would have refused, but
// for so many times an ENUM's 0.
func (w *writer) checkWarnings(ctx context.Context, zeros int) error {
	var bad string
	listed := int64(0)
	err := w.session.each(ctx, "SHOW WARNINGS", func(v []driver.Value) error {
		listed++
		level, _ := v[0].([]byte)
		code, err := int64Of(v[1])
		text, _ := v[2].([]byte)
		switch {
		case string(level) == "Note":
		case zeros > 0 && w.ofEnum(code, string(text)):
			zeros--
		default:
			bad = fmt.Sprintf("%d: %s", code, text)
		}
		return err
	})
	if err != nil {
		return err
	}
	all := int64(0)
	err = w.session.each(ctx, "SELECT @@warning_count", func(v []driver.Value) (err error) {
		all, err = int64Of(v[0])
		return err
	})
	switch {
	case err != nil:
		return err
	case bad != "":
		return fmt.Errorf("%s: %s: a row isn't stored as it was read: %s", w.session.addr, w.table, bad)
	case all > listed:
		return fmt.Errorf("%s: %s: only %d of %d warnings are known", w.session.addr, w.table, listed, all)
	}
	return nil
}

// ofEnum says whether a warning is that of an ENUM's 0.
func (w *writer) ofEnum(code int64, text string) bool {
	if code != 1265 {
		return false
	}
	for i := range w.table.Columns {
		c := &w.table.Columns[i]
		if c.Data == "enum" && strings.HasPrefix(text, "Data truncated for column '"+c.Name+"' ") {
			return true
		}
	}
	return false
}
