package rows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

func enumZero(s *servers) {
	t := s.made("zero", "id INT PRIMARY KEY, e ENUM('a','b') NOT NULL, n TINYINT",
		"SET sql_mode=''", "INSERT INTO zero VALUES (1,'a',1), (2,'nothing',2), (3,0,3), (4,'b',4)", "SET sql_mode=DEFAULT")
	s.copied(t, Limit{})
	s.same(t)
	// The session is strict again, and what doesn't fit is an error all the same.
	b, err := s.from.ReadRange(s.ctx, t, Range{}, "")
	s.must(err)
	s.must(s.target().Exec(s.ctx, "TRUNCATE app.zero", "ALTER TABLE app.zero MODIFY e ENUM('a')"))
	if _, err := s.to.ReplaceRange(s.ctx, t, Range{}, "", b); err == nil {
		s.Error("a value that isn't in the target's ENUM was written")
	}
	s.must(s.target().Exec(s.ctx, "TRUNCATE app.zero", "ALTER TABLE app.zero MODIFY e ENUM('a','b'), MODIFY n TINYINT UNSIGNED"))
	s.must(s.source().Exec(s.ctx, "UPDATE app.zero SET n=-1 WHERE id=4"))
	b, err = s.from.ReadRange(s.ctx, t, Range{}, "")
	s.must(err)
	if _, err := s.to.ReplaceRange(s.ctx, t, Range{}, "", b); err == nil || !strings.Contains(err.Error(), "1264") {
		s.Errorf("a number out of range beside an ENUM's 0 got %v, want error 1264", err)
	}
	if _, err := s.to.Exec(s.ctx, "INSERT INTO app.zero VALUES (9, 'a', 1000)"); err == nil {
		s.Error("the session isn't strict any more")
	}
}

// keys moves rows of tables with keys of every type in chunks of one row, and by
// lists of keys.
func keys(s *servers) {
	tables := []struct{ kind, values string }{
		{"TINYINT", "(-128), (0), (127)"},
		{"BIGINT", "(-9223372036854775808), (-1), (0), (9223372036854775807)"},
		{"BIGINT UNSIGNED", "(0), (9223372036854775808), (18446744073709551615)"},
		{"DECIMAL(30,10)", "(-1.5), (0), (12345678901234567890.0123456789)"},
		{"BIT(64)", "(0), (255), (18446744073709551615)"},
		{"YEAR", "(0), (1901), (2155)"},
		{"DATE", "('0000-00-00'), ('2024-02-31'), ('2024-00-00'), ('9999-12-31')"},
		{"TIME(3)", "('-838:59:59'), ('-00:00:00.001'), ('00:00:00'), ('12:00:00.5')"},
		{"DATETIME(6)", "('0000-00-00'), ('2024-01-01 00:00:00.000001'), ('2024-00-01')"},
		{"TIMESTAMP(6)", "('1970-01-01 00:00:01'), ('2024-01-01 00:00:00.000001')"},
		{"ENUM('z','m','a')", "('a'), ('m'), ('z')"},
		{"SET('z','m','a')", "(''), ('z'), ('a,z'), ('a')"},
		{"CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "(''), ('a'), ('B'), ('ß'), ('\U0001f600'), ('c\\'\\\\')"},
		{"VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "(''), ('a'), ('A'), ('ä'), ('\U0001f600'), ('a\\0b')"},
		{"VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "('a'), ('B'), ('ü'), ('Z')"},
		{"VARCHAR(20) CHARACTER SET utf16", "('a'), ('B'), ('ü'), ('\U0001f600')"},
		{"VARCHAR(20) CHARACTER SET gbk", "('a'), ('B'), ('中'), ('文')"},
		{"CHAR(20) CHARACTER SET ucs2", "('a'), ('B'), ('ü')"},
		{"BINARY(5)", "(x'00'), (x'0100'), (x'41'), (x'ffffffffff')"},
		{"VARBINARY(5)", "(x''), (x'00'), (x'0000'), (x'41'), (x'ff')"},
	}
	if !s.mysql() {
		tables = append(tables, struct{ kind, values string }{"UUID", "('6ccd780c-baba-1026-9564-5b8c656024db'), ('00000000-0000-0000-0000-000000000000'), ('ffffffff-0000-1026-9564-5b8c656024db')"},
			struct{ kind, values string }{"INET6", "('::'), ('::1'), ('ff::')"})
	}
	for i, c := range tables {
		n := strings.Count(c.values, "), (") + 1
		bodies := []string{"k " + c.kind + " PRIMARY KEY"}
		switch i % 4 { // not each type in each place, for the time that it takes
		case 1:
			bodies = append(bodies, "g INT DEFAULT 1, k "+c.kind+", PRIMARY KEY (g, k)")
		case 3:
			bodies = append(bodies, "g INT DEFAULT 1, k "+c.kind+", PRIMARY KEY (k, g)")
		}
		for _, body := range bodies {
			t := s.made("keyed", body, "SET NAMES utf8mb4, time_zone='+00:00', sql_mode='ALLOW_INVALID_DATES'", "INSERT INTO keyed (k) VALUES "+c.values,
				"SET time_zone=DEFAULT, sql_mode=DEFAULT")
			if got := s.copied(t, Limit{Rows: 1}); got != n+1 {
				s.Errorf("%s: %d rows came in %d chunks, want one more than rows", body, n, got)
			}
			s.same(t)
			b, err := s.from.ReadRange(s.ctx, t, Range{}, "")
			s.must(err)
			all := b.Keys()
			s.must(s.target().Exec(s.ctx, "DELETE FROM app.keyed"))
			_, err = s.to.ReplaceKeys(s.ctx, t, all, "", b)
			s.must(err)
			s.same(t)
			for i, key := range all {
				one, err := s.from.ReadKeys(s.ctx, t, []Key{key}, "")
				s.must(err)
				if one.Len() != 1 || one.Key(0) != key {
					s.Errorf("%s: key %s gives %q", body, key, one.Keys())
				}
				below, err := s.from.ReadRange(s.ctx, t, Range{To: key}, "")
				s.must(err)
				above, err := s.from.ReadRange(s.ctx, t, Range{After: key}, "")
				s.must(err)
				if below.Len() != i+1 || above.Len() != n-i-1 {
					s.Errorf("%s: around key %s are %d and %d of %d rows", body, key, below.Len(), above.Len(), n)
				}
			}
			if _, err := s.to.ReplaceKeys(s.ctx, t, all, "", &Batch{}); err != nil {
				s.Error(err)
			}
			if left := s.all(s.target(), "SELECT * FROM app.keyed"); len(left) > 0 {
				s.Errorf("%s: %q are left", body, left)
			}
		}
	}
}

func chunks(s *servers) {
	t := s.made("walk", "a INT, b VARCHAR(10), c INT, v VARBINARY(200), PRIMARY KEY (a, b, c)", s.numbered("walk", 1000, "n DIV 100, CHAR(65 + n DIV 10 % 10), n, REPEAT('x', n % 200)"))
	for _, c := range []struct {
		limit     Limit
		condition string
	}{{Limit{Rows: 7}, ""}, {Limit{Rows: 100}, "c % 5 = 1"}, {Limit{Rows: 1000, Bytes: 3000}, ""}, {Limit{Rows: 1000, Bytes: 3000}, "c % 2 = 1"}, {Limit{}, ""}} {
		var seen []Key
		scan, last := s.from.Scan(t, c.condition, "", c.limit), Key("")
		for {
			chunk, err := scan.Next(s.ctx)
			s.must(err)
			if chunk == nil {
				break
			}
			if chunk.After != last || chunk.Last != (chunk.To == "") {
				s.Errorf("%+v: a chunk goes from %s to %s behind %s, last is %t", c, chunk.After, chunk.To, last, chunk.Last)
			}
			if n := chunk.Batch.Bytes(); n > c.limit.withDefaults().Bytes*4+300 {
				s.Errorf("%+v: a chunk has %d bytes", c, n)
			}
			seen, last = append(seen, chunk.Batch.Keys()...), chunk.To
			// What is read is the same by itself.
			if again, err := s.from.ReadRange(s.ctx, t, chunk.Range, c.condition); err != nil || !slices.Equal(again.Keys(), chunk.Batch.Keys()) {
				s.Errorf("%+v: a chunk of %d rows has %d the next time, %v", c, chunk.Batch.Len(), again.Len(), err)
			}
		}
		whole, err := s.from.ReadRange(s.ctx, t, Range{}, c.condition)
		s.must(err)
		if !slices.Equal(seen, whole.Keys()) {
			s.Errorf("%+v: %d rows in chunks, %d in all", c, len(seen), whole.Len())
		}
	}
	scan, n := s.from.Scan(t, "", "", Limit{Rows: 300}), 0
	for {
		chunk, err := scan.Skip(s.ctx)
		s.must(err)
		if chunk == nil {
			break
		}
		n++
	}
	if n != 4 {
		s.Errorf("1000 rows are skipped in %d chunks of 300", n)
	}
}

// numbered is an INSERT of rows with n from 0 on.
func (s *servers) numbered(table string, rows int, values string) string {
	digits := "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)"
	return fmt.Sprintf("INSERT INTO app.%s SELECT %s FROM (SELECT a.d+10*b.d+100*c.d+1000*d.d AS n FROM %s a, %s b, %s c, %s d) AS r WHERE n < %d",
		table, values, digits, digits, digits, digits, rows)
}

// ranges looks at how many rows a server reads for a chunk in the middle of a
// table, also where the key's first column has few values.
func ranges(s *servers) {
	for _, c := range []struct{ body, values string }{
		{"a INT PRIMARY KEY, v INT", "n, n"},
		{"a INT, b INT, v INT, PRIMARY KEY (a, b)", "1, n, n"},
		{"a INT, b INT, v INT, PRIMARY KEY (a, b)", "n, 1, n"},
		{"a INT, b INT, c INT, v INT, PRIMARY KEY (a, b, c)", "1, n DIV 1500, n, n"},
		{"a VARCHAR(10), b INT, v INT, PRIMARY KEY (a, b)", "'x', n, n"},
		{"a YEAR, b BIT(20), v INT, PRIMARY KEY (a, b)", "2000, n, n"},
		{"a BINARY(4), b DATE, v INT, PRIMARY KEY (a, b)", "x'01', DATE_ADD('2000-01-01', INTERVAL n DAY), n"},
	} {
		t := s.made("ranged", c.body, s.numbered("ranged", 3000, c.values), "ANALYZE TABLE ranged")
		b, err := s.from.ReadRange(s.ctx, t, Range{}, "v IN (1999, 2099)")
		s.must(err)
		if b.Len() != 2 {
			s.Fatalf("%s: %q", c.body, b.Keys())
		}
		r := Range{After: b.Key(0), To: b.Key(1)}
		for name, read := range map[string]func() error{
			"a chunk": func() error {
				got, err := s.from.ReadRange(s.ctx, t, r, "v % 10 = 1")
				if err == nil && got.Len() != 10 {
					err = fmt.Errorf("%d rows", got.Len())
				}
				return err
			},
			"the next chunk": func() error {
				_, err := s.from.Scan(t, "v % 10 = 1", r.After, Limit{Rows: 100}).Next(s.ctx)
				return err
			},
			"a checksum": func() error {
				_, err := s.from.Checksum(s.ctx, t, r, "")
				return err
			},
			"a list": func() error {
				_, err := s.from.ReadKeys(s.ctx, t, b.Keys(), "")
				return err
			},
		} {
			if n, err := s.handled(read); n > 450 || err != nil {
				s.Errorf("%s: %s of 100 in 3000 rows reads %d, %v", c.body, name, n, err)
			}
		}
	}
}

// handled is how many rows the source's session reads in its tables by a call.
func (s *servers) handled(call func() error) (int64, error) {
	count := func() (n int64) {
		rows, err := s.from.Query(s.ctx, "SHOW SESSION STATUS LIKE 'Handler_read%'")
		s.must(err)
		defer rows.Close()
		for rows.Next() {
			var name string
			var v int64
			s.must(rows.Scan(&name, &v))
			if name != "Handler_read_rnd_next" { // SHOW STATUS's own
				n += v
			}
		}
		return n
	}
	before := count()
	err := call()
	return count() - before, err
}

func replaced(s *servers) {
	t := s.made("part", "id INT PRIMARY KEY, k INT, v VARCHAR(20)", s.numbered("part", 100, "n, n % 4, n"))
	condition := "k = 1"
	s.must(s.target().Exec(s.ctx, "INSERT INTO app.part VALUES (1, 1, 'old'), (2, 2, 'stays'), (150, 1, 'is gone'), (151, 2, 'stays')"))
	b, err := s.from.ReadRange(s.ctx, t, Range{}, condition)
	s.must(err)
	s.replaced(t, Range{}, condition, b)
	if got := s.all(s.target(), "SELECT COUNT(*) AS n, SUM(k=1) AS k, SUM(v='stays') AS stay, SUM(v='old') AS old FROM app.part"); got[0] != "n=27 k=25 stay=2 old=0 " {
		s.Errorf("the target has %s", got)
	}
	// By keys: 5 has changed, 9 is gone, 6 isn't ours, 1000 never was.
	s.must(s.source().Exec(s.ctx, "UPDATE app.part SET v='new' WHERE id IN (5, 6)", "DELETE FROM app.part WHERE id=9"))
	list := []Key{"5", "6", "9", "1000", "5", "151"}
	b, err = s.from.ReadKeys(s.ctx, t, list, condition)
	s.must(err)
	s.must(s.to.Begin(s.ctx))
	_, err = s.to.ReplaceKeys(s.ctx, t, list, condition, b)
	s.must(err)
	s.must(s.to.Commit(s.ctx))
	if got := s.all(s.target(), "SELECT COUNT(*) AS n, SUM(v='new') AS new, SUM(id=9) AS gone, SUM(v='stays') AS stay FROM app.part"); got[0] != "n=26 new=1 gone=0 stay=2 " {
		s.Errorf("the target has %s", got)
	}
	n, err := s.to.DeleteRange(s.ctx, t, Range{After: "10", To: "21"}, condition)
	if n != 3 || err != nil {
		s.Errorf("%d rows are deleted, %v, want 13, 17, 21", n, err)
	}
	// Nobody waits for a row that isn't ours, and nobody's insert waits for us.
	other, err := s.target().DB().Conn(s.ctx)
	s.must(err)
	defer func() { _ = other.Close() }()
	for _, q := range []string{"SET innodb_lock_wait_timeout=1", "START TRANSACTION", "UPDATE app.part SET v='held' WHERE id=2"} {
		_, err := other.ExecContext(s.ctx, q)
		s.must(err)
	}
	b, err = s.from.ReadRange(s.ctx, t, Range{}, condition)
	s.must(err)
	s.must(s.to.Begin(s.ctx))
	_, err = s.to.ReplaceRange(s.ctx, t, Range{}, condition, b)
	s.must(err)
	_, err = other.ExecContext(s.ctx, "INSERT INTO app.part VALUES (3, 3, 'theirs'), (1000, 3, 'theirs')")
	s.must(err)
	s.must(s.to.Commit(s.ctx))
	_, err = other.ExecContext(s.ctx, "COMMIT")
	s.must(err)
}

func collisions(s *servers) {
	t := s.made("uniq", "id INT PRIMARY KEY, k INT, mail VARCHAR(50) CHARACTER SET latin1, a INT, b INT, t TEXT, g INT GENERATED ALWAYS AS (a * 10) VIRTUAL, "+
		"UNIQUE mail (mail), UNIQUE ab (a, b), UNIQUE t (t(3)), UNIQUE g (g)",
		"SET NAMES utf8mb4", "INSERT INTO uniq (id, k, mail, a, b, t) VALUES (1, 1, 'ä@x', 1, 1, 'abcd'), (2, 1, NULL, 2, NULL, NULL), (3, 1, NULL, NULL, 5, 'xyz')")
	condition := "k = 1"
	write := func(rows string) ([]Key, error) {
		s.must(s.target().Exec(s.ctx, "DELETE FROM app.uniq", "SET NAMES utf8mb4", "INSERT INTO app.uniq (id, k, mail, a, b, t) VALUES "+rows))
		b, err := s.from.ReadKeys(s.ctx, t, []Key{"1", "2", "3"}, condition)
		s.must(err)
		s.must(s.to.Begin(s.ctx))
		displaced, err := s.to.ReplaceKeys(s.ctx, t, []Key{"1", "2", "3"}, condition, b)
		if err != nil {
			s.must(s.to.Rollback(s.ctx))
			return displaced, err
		}
		s.must(s.to.Commit(s.ctx))
		return displaced, nil
	}
	for _, c := range []struct{ rows, displaced string }{
		{"(10, 1, 'Ä@X', 7, 7, NULL)", "[10]"},
		{"(10, 1, NULL, 7, 7, 'ABC other')", "[10]"},
		{"(10, 1, 'ä@x', NULL, 7, NULL), (11, 1, NULL, 1, 1, NULL), (12, 1, NULL, 2, 9, 'XYZ'), (13, 1, NULL, 30, NULL, NULL), (14, 2, NULL, NULL, NULL, NULL)", "[10 11 12]"},
		{"(10, 2, NULL, NULL, 5, NULL)", "[]"},
	} {
		displaced, err := write(c.rows)
		slices.Sort(displaced)
		if err != nil || fmt.Sprint(displaced) != c.displaced {
			s.Errorf("%s: displaced are %s, %v, want %s", c.rows, displaced, err, c.displaced)
		}
		if got := s.all(s.target(), "SELECT COUNT(*) AS n FROM app.uniq WHERE id < 10"); got[0] != "n=3 " {
			s.Errorf("%s: the target has %s", c.rows, got)
		}
	}
	for _, c := range []struct {
		rows string
		want Collision
	}{
		{"(10, 2, 'Ä@x', 7, 7, NULL)", Collision{Index: "mail", Mine: "1", Other: "10"}},
		{"(10, 2, NULL, 2, 8, NULL)", Collision{Index: "g", Mine: "2", Other: "10"}},
		{"(10, 2, NULL, NULL, NULL, 'Xyz2')", Collision{Index: "t", Mine: "3", Other: "10"}},
		{"(10, NULL, NULL, NULL, NULL, 'Xyz2')", Collision{Index: "t", Mine: "3", Other: "10"}},
		{"(3, 2, NULL, NULL, NULL, NULL)", Collision{Index: "PRIMARY", Mine: "3", Other: "3"}},
	} {
		_, err := write(c.rows)
		got, ok := errors.AsType[*Collision](err)
		if !ok || got.Index != c.want.Index || got.Mine != c.want.Mine || got.Other != c.want.Other || got.Values == "" {
			s.Errorf("%s: the error is %v, want %+v", c.rows, err, c.want)
		}
	}
	// Rows that were read at different moments are in each other's way.
	old, err := s.from.ReadKeys(s.ctx, t, []Key{"1"}, condition)
	s.must(err)
	s.must(s.source().Exec(s.ctx, "UPDATE app.uniq SET mail=NULL, a=NULL, t=NULL WHERE id=1", "SET NAMES utf8mb4", "UPDATE app.uniq SET mail='Ä@X' WHERE id=3"))
	s.must(s.from.read(s.ctx, t.shape(), t.whereKeys([]Key{"3"}, condition), old))
	s.must(s.target().Exec(s.ctx, "DELETE FROM app.uniq"))
	displaced, err := s.to.ReplaceKeys(s.ctx, t, []Key{"1", "3"}, condition, old)
	if err != nil || fmt.Sprint(displaced) != "[1]" {
		s.Errorf("displaced are %s, %v, want [1]", displaced, err)
	}
}

func refused(s *servers) {
	for _, c := range []struct{ body, want string }{
		{"a INT", "no primary key"},
		{"a TEXT, PRIMARY KEY (a(10))", "beginning of a column"},
		{"a INT PRIMARY KEY) ENGINE=MyISAM COMMENT=('x'", "MyISAM"},
		{"a DOUBLE PRIMARY KEY", "double"},
	} {
		body := strings.ReplaceAll(c.body, ") ENGINE=MyISAM COMMENT=('x'", "")
		s.must(s.source().Exec(s.ctx, "DROP TABLE IF EXISTS app.odd", "CREATE TABLE app.odd ("+body+")"))
		if body != c.body {
			s.must(s.source().Exec(s.ctx, "ALTER TABLE app.odd ENGINE=MyISAM"))
		}
		if got := s.describe(s.source(), "odd").Problems(); len(got) != 1 || !strings.Contains(got[0], c.want) {
			s.Errorf("%s: the problems are %q, want %s", c.body, got, c.want)
		}
	}
	if _, err := Describe(s.ctx, s.source().DB(), "app", "nothing"); !errors.Is(err, ErrNoTable) {
		s.Errorf("describing what isn't there got %v", err)
	}
}

func checksums(s *servers) {
	t := s.made("sums", "id INT PRIMARY KEY, a VARCHAR(20), b VARCHAR(20), n INT, bl LONGBLOB", s.numbered("sums", 300, "n, 'a', 'b', n, REPEAT('x', n * 100)"))
	s.copied(t, Limit{})
	sum := func(session *Session) Sum {
		sum, err := session.Checksum(s.ctx, t, Range{After: "10", To: "200"}, "id % 2 = 0")
		s.must(err)
		return sum
	}
	want := sum(s.from)
	if want.Rows != 95 || sum(s.to) != want {
		s.Errorf("the checksums are %+v and %+v", want, sum(s.to))
	}
	byKeys, err := s.from.ChecksumKeys(s.ctx, t, []Key{"12", "14", "12"}, "")
	s.must(err)
	byRange, err := s.from.Checksum(s.ctx, t, Range{After: "11", To: "14"}, "id <> 13")
	s.must(err)
	if byKeys != byRange || byKeys.Rows != 2 {
		s.Errorf("the checksum is %+v by keys and %+v by range", byKeys, byRange)
	}
	seen := map[Sum]string{want: "unchanged"}
	for _, change := range []string{
		"a=NULL", "b=NULL", "a=''", "b=''", "a='a#', b='b'", "a='a', b='#b'", "a='A'", "a='a '", "n=NULL", "bl=NULL", "bl=''", "bl=REPEAT('x', 1999)", "id=1000000",
		"a='', b='a#b'", "a='a#b', b=''",
	} {
		s.must(s.target().Exec(s.ctx, "START TRANSACTION", "UPDATE app.sums SET "+change+" WHERE id=20", "COMMIT"))
		got := sum(s.to)
		if before := seen[got]; before != "" {
			s.Errorf("%s has the same checksum as %s", change, before)
		}
		seen[got] = change
		a, err := s.from.Hashes(s.ctx, t, Range{}, "")
		s.must(err)
		b, err := s.to.Hashes(s.ctx, t, Range{}, "")
		s.must(err)
		differing := Differing(a, b)
		if len(differing) == 0 || !slices.Contains(differing, "20") {
			s.Errorf("%s: %q differ", change, differing)
		}
		fresh, err := s.from.ReadKeys(s.ctx, t, differing, "")
		s.must(err)
		_, err = s.to.ReplaceKeys(s.ctx, t, differing, "", fresh)
		s.must(err)
		if sum(s.to) != want {
			s.Errorf("%s: what was read again differs still", change)
		}
	}
}

func counts(s *servers) {
	t := s.made("counted", "id INT PRIMARY KEY, k INT", s.numbered("counted", 10000, "n - 5000, IF(n % 10 = 0, 3, n % 8)"), "ANALYZE TABLE counted")
	for _, most := range []int64{0, 100} {
		t := t
		if most > 0 {
			t = s.describe(s.source(), "counted")
		}
		loads, exact, err := s.from.Count(s.ctx, t, "k % 8", most)
		s.must(err)
		if exact != (most == 0) || len(loads) != 8 {
			s.Errorf("%d slots, exact is %t", len(loads), exact)
		}
		// Samples tell a slot's share of what the server takes for the number of rows.
		if n, share := loads[3].Rows, t.Rows*2250/10000; exact && n != 2250 || !exact && (n < share*1900/2250 || n > share*2600/2250) {
			s.Errorf("slot 3 has %d rows of 2250, or of %d, exact is %t", n, share, exact)
		}
		if loads[1].Bytes <= 0 || loads[3].Bytes < loads[1].Bytes {
			s.Errorf("the loads are %v", loads)
		}
	}
}

func described(s *servers) {
	s.must(s.c.Exec(s.ctx, "DROP TABLE IF EXISTS app.child, app.parent", "CREATE TABLE app.parent (id INT PRIMARY KEY, v INT)",
		"CREATE TABLE app.child (b INT, a INT, v INT, w VARCHAR(10), PRIMARY KEY (a, b), UNIQUE u (w(3), v), CONSTRAINT f FOREIGN KEY (v) REFERENCES app.parent (id) ON DELETE CASCADE)",
		"CREATE TRIGGER app.tr BEFORE INSERT ON app.child FOR EACH ROW SET NEW.v = NEW.v"))
	t := s.describe(s.source(), "child")
	if fmt.Sprint(t.Key) != "[1 0]" || len(t.Unique) != 1 || fmt.Sprint(t.Unique[0].Columns, t.Unique[0].Lengths) != "[3 2] [3 0]" {
		s.Errorf("the keys are %v, %+v", t.Key, t.Unique)
	}
	if len(t.Foreign) != 1 || t.Foreign[0].OnDelete != "CASCADE" || t.Foreign[0].ToTable != "parent" || fmt.Sprint(t.Foreign[0].Columns, t.Foreign[0].ToColumns) != "[v] [id]" {
		s.Errorf("the foreign keys are %+v", t.Foreign)
	}
	if len(t.Triggers) != 1 || t.Triggers[0] != (Trigger{"tr", "BEFORE", "INSERT"}) {
		s.Errorf("the triggers are %+v", t.Triggers)
	}
	if p := s.describe(s.source(), "parent"); len(p.Referenced) != 1 || p.Referenced[0].Table != "child" {
		s.Errorf("it is referenced by %+v", p.Referenced)
	}
	for _, c := range []struct{ change, want string }{
		{"MODIFY w VARCHAR(11)", "of type"},
		{"MODIFY w VARCHAR(10) CHARACTER SET latin1", "collation"},
		{"MODIFY v INT NOT NULL", "NULL"},
		{"ADD x INT", "there only"},
		{"DROP INDEX u, DROP COLUMN w", "missing"},
		{"DROP INDEX u", "unique"},
		{"MODIFY w VARCHAR(10) FIRST", "number"},
		{"DROP PRIMARY KEY, ADD PRIMARY KEY (b, a)", "primary key"},
	} {
		s.must(s.target().Exec(s.ctx, "DROP TABLE app.child", "CREATE TABLE app.child (b INT, a INT, v INT, w VARCHAR(10), PRIMARY KEY (a, b), UNIQUE u (w(3), v))"))
		if diff := t.Diff(s.describe(s.target(), "child")); len(diff) > 0 {
			s.Errorf("unchanged, they differ: %s", diff)
		}
		s.must(s.target().Exec(s.ctx, "ALTER TABLE app.child "+c.change))
		if diff := t.Diff(s.describe(s.target(), "child")); len(diff) == 0 || !strings.Contains(strings.Join(diff, "; "), c.want) {
			s.Errorf("%s: %q, want %s", c.change, diff, c.want)
		}
	}
}
