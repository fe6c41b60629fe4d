package follow

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// followed is a table whose changes are told.
type followed struct {
	table *rows.Table
	mark  bool
}

func nameOf(schema, table string) string { return schema + "\x00" + table }

// keysOf gives the keys of all rows of an event: of an update those before and
// after. body is the event's, behind its header.
func keysOf(t *rows.Table, m *tableMap, kind replication.EventType, body []byte, add func(rows.Key)) error {
	e := &rowsEvent{table: t, tableMap: m}
	if err := e.parse(kind, body); err != nil {
		return err
	}
	if len(m.types) < len(t.Columns) {
		return errors.New("it has fewer columns in the log than on the server: its definition has changed")
	}
	for i := range t.Columns {
		switch m.types[i] {
		case mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIME, mysql.MYSQL_TYPE_TIMESTAMP:
			if strings.Contains(t.Columns[i].Type, "(") {
				return fmt.Errorf("column %s is in the log in an old form; rebuild the table with ALTER TABLE … FORCE", shardmap.QuoteName(t.Columns[i].Name))
			}
		}
	}
	for len(e.data) > 0 {
		before, err := e.image(e.present[0], false)
		if err != nil {
			return err
		}
		key, err := e.key(before, nil)
		if err != nil {
			return err
		}
		add(key)
		if !e.update {
			continue
		}
		after, err := e.image(e.present[1], e.partial)
		if err != nil {
			return err
		}
		if key, err = e.key(after, before); err != nil {
			return err
		}
		add(key)
	}
	return nil
}

// rowsEvent is an event of rows that are inserted, updated or deleted.
type rowsEvent struct {
	table           *rows.Table
	tableMap        *tableMap
	update, partial bool
	present         [2][]byte // bits of the columns that images have
	data            []byte    // of the images that are left
}

// rowsTable reads the id of the table that an event's rows are of.
func rowsTable(body []byte) (uint64, error) {
	id, _, err := takeInt(body, 6)
	return id, err
}

func (e *rowsEvent) parse(kind replication.EventType, data []byte) error {
	_, data, err := take(data, 6+2) // the table's id, flags
	if err != nil {
		return err
	}
	compressed := false
	switch kind {
	case replication.WRITE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1:
	case replication.UPDATE_ROWS_EVENTv1:
		e.update = true
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		compressed = true
	case replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1:
		compressed, e.update = true, true
	case replication.WRITE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT:
		e.partial = kind == replication.PARTIAL_UPDATE_ROWS_EVENT
		e.update = e.partial || kind == replication.UPDATE_ROWS_EVENTv2
		n, _, err := takeInt(data, 2) // of what else may be there, with itself
		if err != nil {
			return err
		}
		if _, data, err = take(data, int(max(2, n))); err != nil {
			return err
		}
	default:
		return fmt.Errorf("events of type %s aren't known", kind)
	}
	n, data, err := takePacked(data)
	if err != nil {
		return err
	}
	if n != uint64(len(e.tableMap.types)) {
		return fmt.Errorf("rows of %d columns, of a table of %d", n, len(e.tableMap.types))
	}
	size := (len(e.tableMap.types) + 7) / 8
	if e.present[0], data, err = take(data, size); err != nil {
		return err
	}
	if e.update {
		if e.present[1], data, err = take(data, size); err != nil {
			return err
		}
	}
	if compressed {
		if data, err = decompress(data); err != nil {
			return err
		}
	}
	e.data = data
	return nil
}

// decompress undoes MariaDB's compression of an event. The size that is said isn't
// believed before the bytes are there.
func decompress(data []byte) ([]byte, error) {
	if len(data) < 1 || len(data) < 1+int(data[0]&7) {
		return nil, errShort
	}
	size, packed := data[1:1+int(data[0]&7)], data[1+int(data[0]&7):]
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(io.LimitReader(r, 1<<31))
	if err == nil && uint64(len(all)) != bigEndian(size) {
		err = fmt.Errorf("%d bytes are packed, and it says %d", len(all), bigEndian(size))
	}
	return all, err
}

func bit(bits []byte, i int) bool { return bits[i>>3]>>(i&7)&1 != 0 }

// image reads the next image: the key's columns' literals, "" for those that
// aren't in it.
func (e *rowsEvent) image(present []byte, partial bool) ([]string, error) {
	var err error
	if partial {
		// Which JSON values are changes of documents; they look like documents.
		var options uint64
		if options, e.data, err = takePacked(e.data); err != nil {
			return nil, err
		}
		if options&1 != 0 {
			if _, e.data, err = take(e.data, (e.tableMap.jsons+7)/8); err != nil {
				return nil, err
			}
		}
	}
	columns := 0
	for i := range e.tableMap.types {
		if bit(present, i) {
			columns++
		}
	}
	nulls, rest, err := take(e.data, (columns+7)/8)
	if err != nil {
		return nil, err
	}
	e.data = rest
	literals := make([]string, len(e.table.Key))
	at := 0
	for i, kind := range e.tableMap.types {
		if !bit(present, i) {
			continue
		}
		null := bit(nulls, at)
		at++
		if null {
			continue
		}
		var v []byte
		if v, e.data, err = cut(kind, e.tableMap.meta[i], e.data); err != nil {
			return nil, err
		}
		for k, column := range e.table.Key {
			if column != i {
				continue
			}
			c := &e.table.Columns[i]
			if v, err = text(c, kind, e.tableMap.meta[i], v); err != nil {
				return nil, err
			}
			literals[k] = string(c.AppendKey(nil, v))
		}
	}
	if columns == 0 && len(rest) == len(e.data) && !partial && !e.update {
		return nil, errors.New("an image without columns")
	}
	return literals, nil
}

// key joins the literals; those that are missing are as before.
func (e *rowsEvent) key(literals, before []string) (rows.Key, error) {
	var b strings.Builder
	for k, text := range literals {
		if text == "" && before != nil {
			text = before[k]
		}
		if text == "" {
			return "", fmt.Errorf("a row is in the log without column %s of its primary key; set binlog_row_image to FULL",
				shardmap.QuoteName(e.table.Columns[e.table.Key[k]].Name))
		}
		if k > 0 {
			b.WriteByte(',')
		}
		b.WriteString(text)
	}
	return rows.Key(b.String()), nil
}
