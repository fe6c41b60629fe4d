package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Describe reads what a table is. The error is [ErrNoTable] where there is none.
func Describe(ctx context.Context, db *sql.DB, schema, table string) (*Table, error) {
	t := &Table{Schema: schema, Name: table}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", t, err)
	}
	defer func() { _ = conn.Close() }()
	d := &describer{ctx: ctx, conn: conn, t: t}
	for _, step := range []func() error{d.table, d.columns, d.indexes, d.foreign, d.triggers, d.create} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("describe %s: %w", t, err)
		}
	}
	return t, nil
}

type describer struct {
	ctx  context.Context
	conn *sql.Conn
	t    *Table
}

// each runs a query and gives each row, with "" for NULL.
func (d *describer) each(query string, args []any, row func(v []string)) error {
	rows, err := d.conn.QueryContext(d.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	cells := make([]sql.NullString, len(names))
	to := make([]any, len(names))
	for i := range cells {
		to[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		v := make([]string, len(cells))
		for i := range cells {
			v[i] = cells[i].String
		}
		row(v)
	}
	return rows.Err()
}

func (d *describer) names() []any { return []any{d.t.Schema, d.t.Name} }

func (d *describer) table() error {
	var version string
	if err := d.each("SELECT VERSION()", nil, func(v []string) { version = v[0] }); err != nil {
		return err
	}
	d.t.MariaDB = strings.Contains(version, "MariaDB")
	if !d.t.MariaDB {
		// MySQL's estimates are a day old otherwise.
		if _, err := d.conn.ExecContext(d.ctx, "SET SESSION information_schema_stats_expiry=0"); err != nil {
			return err
		}
	}
	found := false
	err := d.each("SELECT t.ENGINE, t.TABLE_ROWS, t.DATA_LENGTH+t.INDEX_LENGTH, s.DEFAULT_CHARACTER_SET_NAME, s.DEFAULT_COLLATION_NAME, t.TABLE_SCHEMA, t.TABLE_NAME "+
		"FROM information_schema.TABLES t JOIN information_schema.SCHEMATA s ON s.SCHEMA_NAME=t.TABLE_SCHEMA "+
		"WHERE t.TABLE_SCHEMA=? AND t.TABLE_NAME=? AND t.TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED')", d.names(), func(v []string) {
		found = true
		d.t.Engine = v[0]
		d.t.Rows, _ = strconv.ParseInt(v[1], 10, 64) // 0 for NULL
		d.t.Bytes, _ = strconv.ParseInt(v[2], 10, 64)
		d.t.schemaCharset, d.t.schemaCollation = v[3], v[4]
		d.t.Schema, d.t.Name = v[5], v[6] // as the server writes them, where it makes letters small
	})
	if err == nil && !found {
		err = ErrNoTable
	}
	return err
}

func (d *describer) columns() error {
	return d.each("SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, CHARACTER_OCTET_LENGTH, IS_NULLABLE, "+
		"EXTRA, GENERATION_EXPRESSION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=? AND TABLE_NAME=? ORDER BY ORDINAL_POSITION",
		d.names(), func(v []string) {
			c := Column{
				Name: v[0], Type: v[1], Data: strings.ToLower(v[2]), Charset: v[3], Collation: v[4], Nullable: v[6] == "YES",
				Generated: v[8] != "", Invisible: strings.Contains(strings.ToUpper(v[7]), "INVISIBLE"),
				Unsigned: strings.Contains(strings.ToLower(v[1]), "unsigned"),
			}
			c.form = formOf(c.Data)
			if c.form == formText || c.form == formBytes {
				c.Length, _ = strconv.ParseInt(v[5], 10, 64) // 0 where there is no bound
			}
			d.t.Columns = append(d.t.Columns, c)
		})
}

func (d *describer) indexes() error {
	return d.each("SELECT INDEX_NAME, COLUMN_NAME, SUB_PART, COLLATION FROM information_schema.STATISTICS "+
		"WHERE TABLE_SCHEMA=? AND TABLE_NAME=? AND NON_UNIQUE=0 ORDER BY INDEX_NAME, SEQ_IN_INDEX", d.names(), func(v []string) {
		at := slices.IndexFunc(d.t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, v[1]) })
		length, _ := strconv.Atoi(v[2]) // 0 for NULL: the whole column
		if v[0] == "PRIMARY" {
			d.t.Key = append(d.t.Key, at)
			d.t.Columns[at].Desc = v[3] == "D"
			d.t.keyPrefix = d.t.keyPrefix || length > 0
			return
		}
		first := len(d.t.Unique) == 0 || d.t.Unique[len(d.t.Unique)-1].Name != v[0]
		if first {
			d.t.Unique = append(d.t.Unique, Index{Name: v[0]})
		}
		x := &d.t.Unique[len(d.t.Unique)-1]
		switch {
		case at < 0: // an expression
			x.Columns, x.Lengths = nil, nil
		case first || x.Columns != nil:
			x.Columns, x.Lengths = append(x.Columns, at), append(x.Lengths, length)
		}
	})
}

func (d *describer) foreign() error {
	query := "SELECT r.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, " +
		"k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS r " +
		"JOIN information_schema.KEY_COLUMN_USAGE k ON k.CONSTRAINT_SCHEMA=r.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME=r.CONSTRAINT_NAME " +
		"AND k.TABLE_NAME=r.TABLE_NAME WHERE "
	read := func(list *[]Foreign, where string) error {
		return d.each(query+where+" ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, r.CONSTRAINT_NAME, k.ORDINAL_POSITION", d.names(), func(v []string) {
			n := len(*list)
			if n == 0 || (*list)[n-1].Name != v[0] || (*list)[n-1].Schema != v[1] || (*list)[n-1].Table != v[2] {
				*list = append(*list, Foreign{Name: v[0], Schema: v[1], Table: v[2], ToSchema: v[4], ToTable: v[5], OnUpdate: v[7], OnDelete: v[8]})
				n++
			}
			f := &(*list)[n-1]
			f.Columns, f.ToColumns = append(f.Columns, v[3]), append(f.ToColumns, v[6])
		})
	}
	if err := read(&d.t.Foreign, "k.TABLE_SCHEMA=? AND k.TABLE_NAME=?"); err != nil {
		return err
	}
	return read(&d.t.Referenced, "k.REFERENCED_TABLE_SCHEMA=? AND k.REFERENCED_TABLE_NAME=?")
}

func (d *describer) triggers() error {
	return d.each("SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION FROM information_schema.TRIGGERS "+
		"WHERE EVENT_OBJECT_SCHEMA=? AND EVENT_OBJECT_TABLE=? ORDER BY TRIGGER_NAME", d.names(), func(v []string) {
		d.t.Triggers = append(d.t.Triggers, Trigger{Name: v[0], Timing: v[1], Event: v[2]})
	})
}

func (d *describer) create() error {
	err := d.each("SHOW CREATE TABLE "+d.t.String(), nil, func(v []string) { d.t.Create = v[1] })
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok && e.Number == 1146 {
		return ErrNoTable // it was dropped meanwhile
	}
	return err
}
