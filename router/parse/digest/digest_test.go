package digest

import (
	"strings"
	"testing"
)

func TestDigest(t *testing.T) {
	for _, c := range []struct {
		sql  string
		mode Mode
		want string // norm | args
	}{
		{"select 1", 0, "select ? | 1"},
		{"SELECT *\n\tFROM t  WHERE id=  5 ;", 0, "SELECT * FROM t WHERE id= ? | 5"},
		{"select 'it''s', 'a\\'b\\n\\%'", 0, "select ?, ? | \"it's\" \"a'b\\n\\\\%\""},
		{"select 'a\\', 'b'", NoBackslashEscapes, `select ?, ? | "a\\" "b"`},
		{`select "a" from "t"`, AnsiQuotes, `select "a" from "t" |`},
		{`select "a"`, 0, `select ? | "a"`},
		{"select 1.5, .5, 1e3, 1.e3, 0x1F, 0b101, x'1f2e', b'000100000001'", 0, `select ?, ?, ?, ?, ?, ?, ?, ? | d1.5 d.5 f1000 f1000 x1f x05 x1f2e x0101`},
		{"select b'10111', 0b110111, b'0011000100110111', 0xfF", 0, "select ?, ?, ?, ? | x17 x37 x3137 xff"},
		{"select 1abc, t.1, t.1a, `t`.`1` from t", 0, "select 1abc, t.1, t.1a, `t`.`1` from t |"},
		{"select -5, - 18446744073709551615, 18446744073709551616, 9223372036854775808", 0, "select -?, - ?, ?, ? | 5 u18446744073709551615 d18446744073709551616 u9223372036854775808"},
		{"select a--1, b-- c\n, d --\n-1", 0, "select a--?, b , d -? | 1 1"},
		{"select /* c */1/**/+#x\n2", 0, "select ? + ? | 1 2"},
		{"/*!40001 select*/ 1", 0, "select ? | 1"},
		{"select /*!40001 SQL_NO_CACHE */ * from t where a=1", 0, "select SQL_NO_CACHE * from t where a=? | 1"},
		{"select /*!99999 1 + */ 2", 0, "select /*!99999 1 + */ 2 |"},
		{"select /*M! 1 + */ 2", 0, "select /*M! 1 + */ 2 |"},
		{"select /*+ MAX_EXECUTION_TIME(10) */ 1", 0, "select /*+ MAX_EXECUTION_TIME(10) */ ? | 1"},
		{"select 1 /*+ no hint */ + 1", 0, "select ? + ? | 1 1"},
		{"/*shardway:primary*/ select 1", 0, "/* shardway:primary */ select ? | 1"},
		{"-- shardway: shard=s1\nselect 1", 0, "/* shardway: shard=s1 */ select ? | 1"},
		{"select a from t order by 1, 2 desc limit 3, 4", 0, "select a from t order by 1, 2 desc limit ?, ? | 3 4"},
		{"select a from t group by 2 having a > 3 order by field(a, 4, 5), 6", 0, "select a from t group by 2 having a > ? order by field(a, ?, ?), 6 | 3 4 5"},
		{
			"select a like 'x' escape '|', group_concat(a separator ',') as 'n', d = date '2020-01-01', j->'$.a', j->>'$.b'", 0,
			"select a like ? escape '|', group_concat(a separator ',') as 'n', d = date '2020-01-01', j->'$.a', j->>'$.b' | \"x\"",
		},
		{"select _utf8mb4'a', n'b', 'c' 'd', cast(1 as char(10))", 0, "select _utf8mb4'a', n'b', 'c' 'd', cast(? as char(10)) | 1"},
		{
			"select _binary'\xff\\'', _BINARY  \"a\\0\", _binary 'a' 'b', a _binary, `_binary` 'x', _binary", 0,
			"select ?, ?, _binary 'a' 'b', a _binary, `_binary` 'x', _binary | xff27 x6100",
		},
		{"select _binary \"a\", _binary'a\\'", AnsiQuotes | NoBackslashEscapes, "select _binary \"a\", ? | x615c"},
		{"select @a, @`b c`, @'d', @@x, @e.f, @1, @@session.x := 1", 0, "select @a, @`b c`, @'d', @@x, @e.f, @1, @@session.x := ? | 1"},
		{"select ? from t where a = ? and b = 1", 0, "select ? from t where a = ? and b = ? | ? ? 1"},
		{"set @a = 1, b = 'x'  -- end", 0, "set @a = 1, b = 'x' |"},
		{"(select 1)", 0, "(select ?) | 1"},
		{"select 'open", 0, "select 'open |"},
		{"insert into t values (null, true, DEFAULT, 1)", 0, "insert into t values (null, true, DEFAULT, ?) | 1"},
		{"select 'a'", MultibyteUnsafe, `select ? | "a"`},
		{"select '\xd5\\'", MultibyteUnsafe, "select '\xd5\\' |"},
		{"select 1 from t where a='x';;  ; ", 0, `select ? from t where a=? | 1 "x"`},
		{"  # only\n", 0, " |"},
		{"select 1e3from t", 0, "select ?from t | f1000"},
	} {
		var d Digest
		d.Scan([]byte(c.sql), c.mode)
		got := strings.TrimSpace(string(d.Norm)) + " |"
		for _, v := range d.Args {
			got += " " + v.String()
		}
		if got != c.want && got != strings.TrimSpace(c.want) {
			t.Errorf("%q\n got %s\nwant %s", c.sql, got, c.want)
		}
		norm := string(d.Norm)
		d.Scan([]byte(norm), c.mode)
		if string(d.Norm) != norm {
			t.Errorf("%q: norm %q scans to %q", c.sql, norm, d.Norm)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	for name, sql := range map[string]string{
		"point":  "SELECT c FROM sbtest1 WHERE id=5023",
		"orm":    "SELECT `t0`.`id` AS `id`, `t0`.`user_id` AS `user_id`, `t0`.`created_at` AS `created_at`, `t0`.`status` AS `status` FROM `shop`.`orders` AS `t0` INNER JOIN `shop`.`users` AS `t1` ON `t1`.`id` = `t0`.`user_id` WHERE `t0`.`user_id` = 42 AND `t0`.`status` IN ('new', 'paid') ORDER BY `t0`.`created_at` DESC LIMIT 20",
		"insert": "INSERT INTO sbtest1 (id, k, c, pad) VALUES (5023, 4990, '68487932199-96439406143-93774651418-41631865787-96406072701-20604855487-25459966574-28203206787-41238978918-19503783441', '22195207048-70116052123-74140395089-76317954521-98694025897')",
	} {
		b.Run(name, func(b *testing.B) {
			var d Digest
			text := []byte(sql)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				d.Scan(text, 0)
			}
		})
	}
}
