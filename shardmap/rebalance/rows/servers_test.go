package rows

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/test/cluster"
)

// TestServers reads and writes rows of real servers. It needs them, so `make
// test` runs it apart.
func TestServers(t *testing.T) {
	cluster.OnEach(t, true, 4*time.Minute, cluster.Of(cluster.Options{Shards: 2}), func(ctx context.Context, t *testing.T, c *cluster.Cluster) {
		s := &servers{T: t, ctx: ctx, c: c}
		s.must(c.Exec(ctx, "CREATE DATABASE app"))
		s.from, s.to = s.connect(s.source()), s.connect(s.target())
		defer func() { _ = s.from.Close() }()
		defer func() { _ = s.to.Close() }()
		for _, test := range []struct {
			name string
			run  func(*servers)
		}{
			{"every type", kinds},
			{"an ENUM's 0", enumZero},
			{"keys of every type", keys},
			{"chunks", chunks},
			{"ranges use the index", ranges},
			{"what is replaced", replaced},
			{"collisions", collisions},
			{"what is refused", refused},
			{"checksums", checksums},
			{"counts", counts},
			{"described", described},
		} {
			t.Run(test.name, func(t *testing.T) {
				one := *s
				one.T = t
				test.run(&one)
			})
		}
	})
}

type servers struct {
	*testing.T
	ctx      context.Context
	c        *cluster.Cluster
	from, to *Session
}

func (s *servers) source() *cluster.Server { return s.c.Shards[0].Primary }
func (s *servers) target() *cluster.Server { return s.c.Shards[1].Primary }
func (s *servers) mysql() bool             { return s.c.Flavor == cluster.MySQL }

func (s *servers) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// connect opens a session as the account of the servers' owner.
func (s *servers) connect(server *cluster.Server) *Session {
	s.Helper()
	session, err := Connect(s.ctx, server.DB(), server.Name)
	s.must(err)
	return session
}

func (s *servers) describe(server *cluster.Server, name string) *Table {
	s.Helper()
	t, err := Describe(s.ctx, server.DB(), "app", name)
	s.must(err)
	return t
}

// made makes a table on the source, and its like on the target.
func (s *servers) made(name, body string, statements ...string) *Table {
	s.Helper()
	s.must(s.c.Exec(s.ctx, "DROP TABLE IF EXISTS app."+name))
	s.must(s.source().Exec(s.ctx, append([]string{"USE app", "CREATE TABLE app." + name + " (" + body + ")"}, statements...)...))
	t := s.describe(s.source(), name)
	s.must(s.to.Create(s.ctx, t))
	if diff := s.describe(s.target(), name).Diff(t); len(diff) > 0 {
		s.Errorf("the table that was made differs: %s", diff)
	}
	return t
}

// copied copies all rows.
func (s *servers) copied(t *Table, limit Limit) (chunks int) {
	s.Helper()
	scan := s.from.Scan(t, "", "", limit)
	for {
		chunk, err := scan.Next(s.ctx)
		s.must(err)
		if chunk == nil {
			return chunks
		}
		chunks++
		s.replaced(t, chunk.Range, "", chunk.Batch)
	}
}

func (s *servers) replaced(t *Table, r Range, condition string, b *Batch) {
	s.Helper()
	s.must(s.to.Begin(s.ctx))
	displaced, err := s.to.ReplaceRange(s.ctx, t, r, condition, b)
	s.must(err)
	if len(displaced) > 0 {
		s.Errorf("%q are displaced", displaced)
	}
	s.must(s.to.Commit(s.ctx))
}

// all are the rows of a query, NULL as "NULL".
func (s *servers) all(server *cluster.Server, query string) []string {
	s.Helper()
	rows, err := server.DB().QueryContext(s.ctx, query)
	s.must(err)
	defer rows.Close()
	names, err := rows.Columns()
	s.must(err)
	var all []string
	for rows.Next() {
		cells := make([]sql.NullString, len(names))
		to := make([]any, len(names))
		for i := range cells {
			to[i] = &cells[i]
		}
		s.must(rows.Scan(to...))
		var b strings.Builder
		for i, c := range cells {
			if !c.Valid {
				c.String = "NULL"
			}
			fmt.Fprintf(&b, "%s=%s ", names[i], c.String)
		}
		all = append(all, b.String())
	}
	s.must(rows.Err())
	return all
}

// same checks that both servers have the same rows, by ways that aren't ours.
func (s *servers) same(t *Table) {
	s.Helper()
	parts := make([]string, 0, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		name := shardmap.QuoteName(c.Name)
		switch c.form {
		case formNumber, formDouble, formPlain:
			parts = append(parts, name)
		default:
			parts = append(parts, "HEX("+name+") AS "+name)
		}
	}
	query := "SELECT " + strings.Join(parts, ",") + " FROM " + t.String() + t.order()
	want, got := s.all(s.source(), query), s.all(s.target(), query)
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			s.Errorf("row %d differs:\n%s\n%s", i, at(want, i), at(got, i))
		}
	}
	// The sum of the records' bytes, by which a FLOAT is exact as well.
	query = "CHECKSUM TABLE " + t.String()
	if want, got := s.all(s.source(), query), s.all(s.target(), query); want[0] != got[0] {
		s.Errorf("the records differ: %s, %s", want, got)
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

func kinds(s *servers) {
	columns := []string{
		"id INT PRIMARY KEY", "i1 TINYINT", "i2 SMALLINT UNSIGNED", "i3 MEDIUMINT", "i8 BIGINT", "u8 BIGINT UNSIGNED", "zf INT(5) ZEROFILL",
		"f FLOAT", "f2 FLOAT(10,3)", "d DOUBLE", "d2 DOUBLE(20,4)", "n DECIMAL(65,30)", "b1 BIT(1)", "b9 BIT(9)", "b64 BIT(64)", "bo BOOL",
		"e ENUM('a','b','\u00fc')", "st SET('x','y','z')", "da DATE", "ti TIME(6)", "dt DATETIME(6)", "ts TIMESTAMP(6) NULL", "tz TIMESTAMP NULL", "y YEAR",
		"c CHAR(10) CHARACTER SET utf8mb4", "v VARCHAR(100) CHARACTER SET utf8mb4", "l1 VARCHAR(50) CHARACTER SET latin1", "gb VARCHAR(50) CHARACTER SET gbk",
		"sj VARCHAR(50) CHARACTER SET sjis", "u16 VARCHAR(50) CHARACTER SET utf16", "uc CHAR(50) CHARACTER SET ucs2", "u32 VARCHAR(50) CHARACTER SET utf32",
		"b5 VARCHAR(50) CHARACTER SET big5", "ko TEXT CHARACTER SET cp1251", "t TEXT CHARACTER SET utf8mb3", "lt LONGTEXT CHARACTER SET ucs2", "bi BINARY(6)", "vb VARBINARY(300)",
		"bl BLOB", "lb LONGBLOB", "ge GEOMETRY", "po POINT", "gv INT GENERATED ALWAYS AS (id+1) VIRTUAL", "gs INT GENERATED ALWAYS AS (id+2) STORED",
		"inv INT INVISIBLE", "js JSON", "`a``b 'c` INT",
	}
	if s.mysql() {
		columns = append(columns, "ve VECTOR(3)", "ps POINT SRID 4326")
	} else {
		columns = append(columns, "uu UUID", "i6 INET6", "i4 INET4")
	}
	insert := func(id int, set ...string) string {
		return fmt.Sprintf("INSERT INTO kinds SET id=%d%s", id, strings.Join(append([]string{""}, set...), ","))
	}
	nasty := `'a\'b\\c\0\n\r\Z"%_ü €  '`
	var bytes strings.Builder
	for i := range 256 {
		fmt.Fprintf(&bytes, "%02x", i)
	}
	all := "x'" + bytes.String() + "'"
	reset := "SET time_zone=DEFAULT, sql_mode=DEFAULT"
	statements := []string{
		"SET NAMES utf8mb4, time_zone='+05:30', sql_mode='ALLOW_INVALID_DATES'",
		insert(1), // all NULL
		insert(2, "i1=-128, i2=0, i3=-8388608, i8=-9223372036854775808, u8=0, zf=7, f=-0.0, f2=0, d=-0.0, d2=-0.0, n=-99999999999999999999999999999999999.999999999999999999999999999999",
			"b1=b'0', b9=0, b64=0, bo=0, e='a', st='', da='0000-00-00', ti='-838:59:59', dt='0000-00-00', ts=0, tz=0, y=0",
			"c='', v='', l1='', gb='', sj='', u16='', uc='', u32='', b5='', ko='', t='', lt='', bi='', vb='', bl='', lb='', ge=ST_GeomFromText('POINT(0 0)'), js='{}', inv=0, `a``b 'c`=0"),
		insert(3, "i1=127, i2=65535, i3=8388607, i8=9223372036854775807, u8=18446744073709551615, zf=12345, f=1.1, f2=1234567.891, d=0.1, d2=123456789012.3456, n=0.000000000000000000000000000001",
			"b1=b'1', b9=511, b64=18446744073709551615, bo=1, e='\u00fc', st='x,y,z', da='9999-12-31', ti='838:59:58.999999', dt='9999-12-31 23:59:59.999999', ts='2038-01-19 03:14:07.999999', tz='1970-01-01 05:30:01', y=2155",
			"c="+nasty+", v="+nasty+", l1="+nasty+", gb="+`'a\'b\\ 中文\\'`+", sj="+`'a\'b\\ ソ表能'`+", u16="+nasty+", uc="+nasty+", u32="+nasty+", b5="+`'功許\\'`+", ko='ж\\\\', t="+nasty+", lt="+nasty,
			"bi=x'000102', vb="+all+", bl="+all+", lb=REPEAT("+all+",500), ge=ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1.1 -1e300))'), po=ST_GeomFromText('POINT(0.1 -0.0)'), js='{\"a\": [1, 2.5, \"\\\\u0000\\\\\"é\", null, 1e100, 18446744073709551615]}', inv=5, `a``b 'c`=-1"),
		insert(4, "f=3.4028234e38, d=1.7976931348623157e308, da='2024-02-31', ti='00:00:00.000001', dt='2024-00-00 01:02:03', y=1901, v='\U0001f600', u16='\U0001f600', u32='\U0001f600', e='b', st='y'"),
		insert(5, "f=1.17549435e-38, d=2.2250738585072014e-308, da='2024-02-00', ti='-00:00:00.000001', dt='0000-00-00 01:00:00', n=99999999999999999999999999999999999, v=CONCAT('x', SPACE(20)), vb=x'2020', bl=x'00', uc='x '"),
		insert(6, "f=16777217, d=9007199254740993, d2=0.00005, f2=-0.0005, ti='23:59:59.5', ts='1970-01-01 05:30:00.000001'"),
		insert(7, "f=1e-45, d=4.9406564584124654e-324"),
		insert(8, "f=0.30000001192092896, d=0.30000000000000004, t=REPEAT('€',1000), lt=REPEAT('x',70000), lb=REPEAT('\\\\',300000)"),
	}
	if s.mysql() {
		statements = append(statements,
			insert(20, "ve=STRING_TO_VECTOR('[1.5,-0.0,3e38]'), ps=ST_GeomFromText('POINT(1 2)',4326), ge=ST_GeomFromText('POINT(1 2)',4326)"),
			insert(21, "js=JSON_ARRAY(1.0, -0.0, 1e22, 1234567.123456789, TRUE, 'x', JSON_OBJECT('k',NULL))"), insert(22, "js='\"'  '\"'"), insert(23, "js='null'"))
	} else {
		statements = append(statements, insert(20, "uu='6ccd780c-baba-1026-9564-5b8c656024db', i6='::ffff:1.2.3.4', i4='1.2.3.4'"),
			insert(21, "uu='ffffffff-ffff-ffff-ffff-ffffffffffff', i6='::', i4='255.255.255.255'"))
	}
	if s.mysql() {
		statements = append(statements, "UPDATE kinds SET ve=STRING_TO_VECTOR('[1,2,3]'), ps=ST_GeomFromText('POINT(1 2)',4326) WHERE id=3", reset)
	} else {
		statements = append(statements, "UPDATE kinds SET uu='6ccd780c-baba-1026-9564-5b8c656024db', i6='::ffff:1.2.3.4', i4='1.2.3.4' WHERE id=3", reset)
	}
	t := s.made("kinds", strings.Join(columns, ", "), statements...)
	if problems := t.Problems(); len(problems) > 0 {
		s.Errorf("it can't be moved: %s", problems)
	}
	s.copied(t, Limit{})
	s.same(t)
	for _, limit := range []Limit{{Rows: 1}, {Rows: 3, Bytes: 100}} {
		s.copied(t, limit)
		s.same(t)
	}
	want, err := s.from.Hashes(s.ctx, t, Range{}, "")
	s.must(err)
	got, err := s.to.Hashes(s.ctx, t, Range{}, "")
	s.must(err)
	if keys := Differing(want, got); len(keys) > 0 || len(want) < 8 {
		s.Errorf("%d rows; the checksums of %q differ", len(want), keys)
	}
	// A change of any column changes the checksum.
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated || c.Name == "id" {
			continue
		}
		s.must(s.target().Exec(s.ctx, "UPDATE app.kinds SET "+shardmap.QuoteName(c.Name)+"=NULL WHERE id=3"))
		got, err := s.to.HashesOf(s.ctx, t, []Key{"3"}, "")
		s.must(err)
		if got["3"] == want["3"] || len(got) != 1 {
			s.Errorf("the checksum without column %s is the same", c.Name)
		}
		want["3"] = got["3"]
	}
}
