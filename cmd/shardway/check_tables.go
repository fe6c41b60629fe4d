package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"shardway/shardmap"
)

// checkDatabases checks the listed tables on the primaries. A shard whose
// primary can't be asked is passed over: that has been reported.
func checkDatabases(ctx context.Context, r *report, m *shardmap.Map, primaries map[string]*server) {
	for _, db := range m.Databases() {
		var shards []*server // those that have the database
		for _, sh := range m.Shards() {
			s := primaries[sh.ID]
			if s == nil {
				continue
			}
			rows, err := s.query(ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", db.Name)
			switch {
			case err != nil:
				r.fail(s.String(), "database", "", "%s: %s", db.Name, err)
			case len(rows) == 0:
				r.fail(s.String(), "database", "CREATE DATABASE "+shardmap.QuoteName(db.Name)+" on its primary, or grant rights on it", "has no database %s that Shardway can see", db.Name)
			default:
				shards = append(shards, s)
			}
		}
		for _, t := range db.Tables {
			checkTable(ctx, r, t, shards)
		}
		if s := primaries[db.Default.ID]; s != nil && slices.Contains(shards, s) {
			checkStored(ctx, r, db, s)
		}
	}
}

func name(t *shardmap.Table) string { return t.Database.Name + "." + t.Name }

// checkTable compares a table's definitions on all shards, and checks its key
// on the first.
func checkTable(ctx context.Context, r *report, t *shardmap.Table, shards []*server) {
	var definitions []string
	var have []*server
	complete := true
	for _, s := range shards {
		text, err := definition(ctx, s, t)
		var e *mysql.MySQLError
		switch {
		case errors.As(err, &e) && e.Number == 1146:
			complete = false
			r.fail(s.String(), "table", "create it there as on the other shards", "%s is missing on shard %s", name(t), s.shard.ID)
		case err != nil:
			complete = false
			r.fail(s.String(), "table", "", "%s: %s", name(t), err)
		default:
			definitions, have = append(definitions, text), append(have, s)
		}
	}
	if len(have) == 0 {
		return
	}
	same := true
	for i := range have[1:] {
		if diff := difference(definitions[0], definitions[i+1]); diff != "" {
			same = false
			if have[0].mariadb != have[i+1].mariadb || have[0].version != have[i+1].version {
				r.warn(name(t), "table", "", "is written differently by %s and %s, which may be due to their versions\n%s", have[0], have[i+1], diff)
			} else {
				r.fail(name(t), "table", "ALTER TABLE on one of the shards", "differs between %s and %s\n%s", have[0], have[i+1], diff)
			}
		}
	}
	if same && complete {
		r.ok(name(t), "table", "the same on %s", plural(len(have), "shard"))
	}
	if t.Sharded() {
		checkKey(ctx, r, t, have[0])
	}
}

// definition is the table's CREATE TABLE without the counter.
func definition(ctx context.Context, s *server, t *shardmap.Table) (string, error) {
	rows, err := s.query(ctx, "SHOW CREATE TABLE "+shardmap.QuoteName(t.Database.Name)+"."+shardmap.QuoteName(t.Name))
	if err != nil {
		return "", err
	}
	text, ok := rows[0]["Create Table"]
	if !ok {
		return "", errors.New("is a view; list the tables that it reads instead")
	}
	return regexp.MustCompile(` AUTO_INCREMENT=\d+`).ReplaceAllString(text, ""), nil
}

// difference shows the first lines that aren't the same, or "".
func difference(a, b string) string {
	if a == b {
		return ""
	}
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return strings.TrimSpace(as[i]) + "\n" + strings.TrimSpace(bs[i])
		}
	}
	return fmt.Sprintf("%d lines\n%d lines", len(as), len(bs))
}

// column is the key's row of information_schema.COLUMNS.
type column struct {
	dataType, columnType, charset, collation, extra string
	nullable                                        bool
}

func (c column) unsigned() bool { return strings.Contains(c.columnType, "unsigned") }

func (c column) noPad() bool {
	return strings.Contains(c.collation, "_nopad_") || strings.Contains(c.collation, "_0900_")
}

func checkKey(ctx context.Context, r *report, t *shardmap.Table, s *server) {
	rows, err := s.query(ctx, `SELECT LOWER(DATA_TYPE) AS data_type, LOWER(COLUMN_TYPE) AS column_type, CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation,
		EXTRA AS extra, IS_NULLABLE AS nullable FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_NAME = ?`,
		t.Database.Name, t.Name, t.Key)
	if err != nil {
		r.fail(name(t), "key", "", "%s", err)
		return
	}
	if len(rows) == 0 {
		r.fail(name(t), "key", "correct key in the map, or add the column", "has no column %s", t.Key)
		return
	}
	row := rows[0]
	c := column{row["data_type"], row["column_type"], row["charset"], row["collation"], row["extra"], row["nullable"] == "YES"}
	if wrong, fix := misfit(t, c); wrong != "" {
		r.fail(name(t), "key", fix, "%s is %s: %s", t.Key, describe(c), wrong)
	} else {
		r.ok(name(t), "key", "%s is %s, which fits placement %s", t.Key, describe(c), t.Placement)
	}
	if c.nullable {
		r.warn(name(t), "key", "declare it NOT NULL", "%s may be NULL, but a row without a key has no shard and is refused", t.Key)
	}
	checkUnique(ctx, r, t, s)
}

func describe(c column) string {
	if c.collation != "" {
		return c.columnType + " " + c.collation
	}
	return c.columnType
}

// misfit says why rows can't be placed by the column, and what to do. Two
// values that are equal for the server must get the same slot.
func misfit(t *shardmap.Table, c column) (wrong, fix string) {
	if t.KeyType.Declared() && !declares(t.KeyType, c) {
		return "the map declares it as " + t.KeyType.String(), "set key_type in the map to " + keyType(c)
	}
	isInteger := slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "bigint"}, c.dataType)
	if t.Placement == shardmap.Mod {
		switch {
		case isInteger:
			return "", ""
		case slices.Contains([]string{"char", "varchar", "binary", "varbinary"}, c.dataType):
			return "placement mod is for integers", "set placement: crc32 in the map"
		}
		return "placement mod is for integers", "choose an integer column as the key"
	}
	switch c.dataType {
	case "varbinary":
		if t.Fold != shardmap.FoldNone {
			return "its values are equal byte by byte", "take fold out of the map"
		}
		return "", ""
	case "binary":
		switch {
		case t.Fold != shardmap.FoldNone:
			return "its values are equal byte by byte", "take fold out of the map"
		case !t.KeyType.Declared():
			return "the server fills shorter values up, and the map doesn't say to what length", "add key_type: " + keyType(c) + " to the map"
		}
		return "", ""
	case "char", "varchar":
		return misfitText(t, c)
	}
	if isInteger {
		return "placement crc32 is for strings", "set placement: mod in the map"
	}
	return "placement crc32 is for char, varchar, binary and varbinary", "choose a column of such a type as the key"
}

func misfitText(t *shardmap.Table, c column) (wrong, fix string) {
	switch {
	case !slices.Contains([]string{"utf8mb4", "utf8mb3", "utf8", "ascii"}, c.charset):
		return "the bytes of its character set " + c.charset + " aren't those that clients send", "make it utf8mb4 with a binary collation, or ascii"
	case c.charset == "ascii" && strings.HasSuffix(c.collation, "_ci"):
		if t.Fold != shardmap.FoldASCIICI {
			return "its equality ignores case", "add fold: ascii_ci to the map, or make the column's collation ascii_bin"
		}
		return "", ""
	case !strings.HasSuffix(c.collation, "_bin"):
		return "its equality is wider than its bytes, so equal values could get different slots", "make its collation " + c.charset + "_bin with fold: rtrim, or its type varbinary"
	case t.Fold == shardmap.FoldASCIICI:
		return "its equality minds case", "set fold: rtrim in the map"
	case t.Fold == shardmap.FoldNone && (c.dataType == "char" || !c.noPad()):
		return "its equality ignores spaces at the end", "add fold: rtrim to the map"
	case t.Fold == shardmap.FoldRTrim && c.dataType != "char" && c.noPad():
		return "its equality minds spaces at the end", "take fold out of the map"
	}
	return "", ""
}

// keyType writes the column's type as key_type wants it.
func keyType(c column) string {
	if c.collation == "" && c.dataType != "binary" && c.dataType != "varbinary" {
		if c.unsigned() {
			return c.dataType + " unsigned"
		}
		return c.dataType
	}
	return c.columnType
}

func declares(k shardmap.KeyType, c column) bool {
	if k.Name != c.dataType || k.Integer() && k.Unsigned != c.unsigned() {
		return false
	}
	if k.Len == 0 {
		return true
	}
	_, rest, _ := strings.Cut(c.columnType, "(")
	digits, _, _ := strings.Cut(rest, ")")
	n, err := strconv.Atoi(digits)
	return err != nil || n == k.Len
}

// checkUnique warns of what the servers keep unique on each shard by itself.
func checkUnique(ctx context.Context, r *report, t *shardmap.Table, s *server) {
	rows, err := s.query(ctx, `SELECT INDEX_NAME AS name, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX SEPARATOR ', ') AS columns,
		MAX(LOWER(COLUMN_NAME) = LOWER(?)) AS has_key FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 GROUP BY INDEX_NAME ORDER BY INDEX_NAME`, t.Key, t.Database.Name, t.Name)
	if err != nil {
		r.fail(name(t), "unique", "", "%s", err)
		return
	}
	good := true
	for _, row := range rows {
		if row["has_key"] == "0" {
			good = false
			r.warn(name(t), "unique", "add "+t.Key+" to it, or let the application choose values that are unique everywhere",
				"%s (%s) doesn't hold the key %s, so it is unique on each shard only", row["name"], row["columns"], t.Key)
		}
	}
	rows, err = s.query(ctx, "SELECT COLUMN_NAME AS name FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND LOWER(EXTRA) LIKE '%auto_increment%'", t.Database.Name, t.Name)
	if err != nil {
		r.fail(name(t), "unique", "", "%s", err)
		return
	}
	for _, row := range rows {
		if strings.EqualFold(row["name"], t.Sequence) {
			continue // Shardway gives the numbers
		}
		good = false
		r.warn(name(t), "unique", "declare it as the table's sequence in the map, let the application choose the values, or set auto_increment_increment and auto_increment_offset on the shards",
			"%s is AUTO_INCREMENT, which counts on each shard by itself", row["name"])
	}
	if good {
		r.ok(name(t), "unique", "the key %s is in every unique index", t.Key)
	}
}

// checkStored warns of views, triggers and routines of the default shard that
// speak of sharded tables: they see the rows of that shard only.
func checkStored(ctx context.Context, r *report, db *shardmap.Database, s *server) {
	for _, q := range []struct{ kind, query string }{
		{"view", "SELECT TABLE_NAME AS name, VIEW_DEFINITION AS body FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?"},
		{"trigger", "SELECT TRIGGER_NAME AS name, ACTION_STATEMENT AS body FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?"},
		{"routine", "SELECT ROUTINE_NAME AS name, ROUTINE_DEFINITION AS body FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?"},
		{"event", "SELECT EVENT_NAME AS name, EVENT_DEFINITION AS body FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?"},
	} {
		rows, err := s.query(ctx, q.query, db.Name)
		if err != nil {
			r.warn(s.String(), "stored", "", "%ss of %s can't be read: %s", q.kind, db.Name, err)
			continue
		}
		for _, row := range rows {
			for _, t := range db.Tables {
				word := `(?i)(^|[^\w$])` + regexp.QuoteMeta(t.Name) + `($|[^\w$])`
				if !t.Sharded() || !regexp.MustCompile(word).MatchString(row["body"]) {
					continue
				}
				r.warn(db.Name+"."+row["name"], "stored", "move its work into the application, or off the sharded table", "this %s names the sharded table %s, and sees the rows of shard %s only", q.kind, t.Name, s.shard.ID)
			}
		}
	}
}
