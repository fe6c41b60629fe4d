package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/rows"
	"shardway/test/cluster"
)

// TestServers follows the logs of real servers. It needs them, so `make test`
// runs it apart.
func TestServers(t *testing.T) {
	cluster.OnEach(t, true, 4*time.Minute, func(f cluster.Flavor) cluster.Options {
		return cluster.Options{Shards: 1, Replicas: 1, Args: plugins(f)}
	}, func(ctx context.Context, t *testing.T, c *cluster.Cluster) {
		s := &servers{T: t, ctx: ctx, c: c, primary: c.Shards[0].Primary, replica: c.Shards[0].Replicas[0]}
		s.exec("CREATE DATABASE app")
		for _, test := range []struct {
			name string
			run  func(*servers)
		}{
			{"keys of every type", keysOfTypes},
			{"images", images},
			{"transactions", transactions},
			{"what is undone", undone},
			{"XA branches", xaBranches},
			{"statements", statements},
			{"what is read after Await is not before it", awaited},
			{"what is in the log before it is committed", early},
			{"refused", refused},
			{"silence", silence},
		} {
			t.Run(test.name, func(t *testing.T) {
				one := *s
				one.T = t
				test.run(&one)
			})
		}
	})
}

// plugins bring semi-sync, which MariaDB has built in.
func plugins(f cluster.Flavor) []string {
	if f == cluster.MySQL {
		return []string{"--plugin-load-add=semisync_source.so"}
	}
	return nil
}

type servers struct {
	*testing.T
	ctx              context.Context
	c                *cluster.Cluster
	primary, replica *cluster.Server
}

func (s *servers) mysql() bool { return s.c.Flavor == cluster.MySQL }

func (s *servers) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// exec runs statements on one connection of the primary, in app.
func (s *servers) exec(statements ...string) {
	s.Helper()
	s.must(s.primary.Exec(s.ctx, statements...))
}

// table makes a table.
func (s *servers) table(name, body string) *rows.Table {
	s.Helper()
	s.exec("DROP TABLE IF EXISTS app."+name, "CREATE TABLE app."+name+" ("+body+")")
	t, err := rows.Describe(s.ctx, s.primary.DB(), "app", name)
	s.must(err)
	return t
}

func (s *servers) source() Source {
	return Source{Addr: s.primary.Addr, User: "repl", Password: "repl", MariaDB: !s.mysql(), Heartbeat: 500 * time.Millisecond}
}

func (s *servers) current() gtid.Set {
	s.Helper()
	set, err := Current(s.ctx, s.primary.DB())
	s.must(err)
	return set
}

// start follows tables from now on.
func (s *servers) start(tables ...*rows.Table) *Stream {
	s.Helper()
	return s.startAt(Options{From: s.current(), Tables: tables})
}

func (s *servers) startAt(o Options) *Stream {
	s.Helper()
	stream, err := Start(s.ctx, s.source(), o)
	s.must(err)
	s.Cleanup(func() { _ = stream.Close() })
	return stream
}

// until gives the transactions up to now.
func (s *servers) until(stream *Stream) []*Transaction {
	s.Helper()
	var all []*Transaction
	for to := s.current(); !stream.Reached(to); {
		t, err := stream.Next(s.ctx)
		s.must(err)
		all = append(all, t)
	}
	return all
}

// keys are the changed keys of transactions, sorted, each once.
func keys(list []*Transaction) []string {
	var all []string
	for _, t := range list {
		for _, c := range t.Changed {
			for _, key := range c.Keys {
				all = append(all, string(key))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// read are the keys that a session reads, sorted.
func (s *servers) read(t *rows.Table) []string {
	s.Helper()
	session, err := rows.Connect(s.ctx, s.primary.DB(), s.primary.Addr)
	s.must(err)
	defer func() { _ = session.Close() }()
	b, err := session.ReadRange(s.ctx, t, rows.Range{}, "")
	s.must(err)
	all := make([]string, b.Len())
	for i, key := range b.Keys() {
		all[i] = string(key)
	}
	slices.Sort(all)
	return all
}

// keysOfTypes compares the log's keys with those that are read.
func keysOfTypes(s *servers) {
	tables := []struct{ kind, values string }{
		{"TINYINT", "(-128), (-1), (0), (127)"},
		{"SMALLINT UNSIGNED", "(0), (65535)"},
		{"MEDIUMINT", "(-8388608), (-1), (8388607)"},
		{"INT(5) ZEROFILL", "(7), (99999)"},
		{"BIGINT", "(-9223372036854775808), (-1), (0), (9223372036854775807)"},
		{"BIGINT UNSIGNED", "(0), (9223372036854775808), (18446744073709551615)"},
		{"DECIMAL(30,10)", "(-1.5), (0), (-0.0000000001), (12345678901234567890.0123456789)"},
		{"DECIMAL(65,30)", "(-99999999999999999999999999999999999.999999999999999999999999999999), (1)"},
		{"DECIMAL(5,5)", "(-0.5), (0.00001)"},
		{"DECIMAL(9)", "(-999999999), (10)"},
		{"BIT(1)", "(0), (1)"},
		{"BIT(12)", "(0), (2049), (4095)"},
		{"BIT(64)", "(0), (255), (18446744073709551615)"},
		{"YEAR", "(0), (1901), (2155)"},
		{"DATE", "('0000-00-00'), ('2024-02-31'), ('2024-00-00'), ('9999-12-31')"},
		{"TIME", "('-838:59:59'), ('-00:00:01'), ('00:00:00'), ('838:59:59')"},
		{"TIME(1)", "('-00:00:00.1'), ('00:00:00.9')"},
		{"TIME(4)", "('-00:00:00.0001'), ('00:00:00.9999'), ('-10:00:00.5')"},
		{"TIME(6)", "('-838:59:58.999999'), ('-00:00:00.000001'), ('12:00:00.000001')"},
		{"DATETIME", "('0000-00-00'), ('2024-12-31 23:59:59')"},
		{"DATETIME(3)", "('0000-00-00'), ('9999-12-31 23:59:59.999')"},
		{"DATETIME(6)", "('0000-00-00'), ('2024-01-01 00:00:00.000001'), ('2024-00-01')"},
		{"TIMESTAMP", "(0), ('1970-01-01 00:00:01'), ('2038-01-19 03:14:07')"},
		{"TIMESTAMP(5)", "(0), ('1970-01-01 00:00:01.00001'), ('2024-01-01 00:00:00.99999')"},
		{"ENUM('z','m','a')", "('a'), ('m'), ('z')"},
		{"SET('z','m','a')", "(''), ('z'), ('a,z'), ('a')"},
		{"CHAR(20) CHARACTER SET utf8mb4", "(''), ('a '), ('B'), ('ß'), ('\U0001f600'), ('c\\'\\\\')"},
		{"CHAR(200) CHARACTER SET utf8mb4", "('a'), ('\U0001f600')"},
		{"VARCHAR(20) CHARACTER SET utf8mb4", "(''), ('a '), ('B'), ('\U0001f600'), ('a\\0b')"},
		{"VARCHAR(300) CHARACTER SET latin1", "('a'), ('B'), ('ü'), ('Z')"},
		{"VARCHAR(20) CHARACTER SET utf16", "('a'), ('ü'), ('\U0001f600')"},
		{"CHAR(20) CHARACTER SET ucs2", "('a'), ('B'), ('ü')"},
		{"CHAR(20) CHARACTER SET gbk", "('a'), ('中'), ('文')"},
		{"BINARY(5)", "(x'00'), (x'0100'), (x'41'), (x'ffffffffff'), (x'4120')"},
		{"VARBINARY(5)", "(x''), (x'00'), (x'0000'), (x'41'), (x'ff')"},
	}
	if !s.mysql() {
		tables = append(tables, struct{ kind, values string }{"UUID", "('6ccd780c-baba-1026-9564-5b8c656024db'), ('00000000-0000-0000-0000-000000000000'), ('ffffffff-0000-7026-9564-5b8c656024db'), ('ffffffff-ffff-ffff-ffff-ffffffffff00'), ('6ccd780c-baba-4026-1564-5b8c656024db')"},
			struct{ kind, values string }{"INET6", "('::'), ('::1'), ('ff::'), ('::ffff:1.2.3.4'), ('1:0:0:2::3')"},
			struct{ kind, values string }{"INET4", "('0.0.0.0'), ('1.2.3.0'), ('255.255.255.255')"})
	}
	// Some columns in one table, since a table costs more than a row.
	var all []*rows.Table
	set := []string{"USE app", "SET NAMES utf8mb4, time_zone='+00:00', sql_mode='ALLOW_INVALID_DATES'"}
	for some := range slices.Chunk(tables, 10) {
		columns, key := []string{"j JSON", "t TEXT", "g INT UNSIGNED"}, []string{}
		var values [8][]string
		for i, c := range some {
			columns, key = append(columns, fmt.Sprintf("k%d %s NOT NULL", i, c.kind)), append(key, fmt.Sprintf("k%d", i))
			list := strings.Split(strings.Trim(c.values, "()"), "), (")
			for row := range values {
				values[row] = append(values[row], list[row%len(list)])
			}
		}
		name := fmt.Sprintf("keys%d", len(all))
		slices.Reverse(key)
		all = append(all, s.table(name, strings.Join(columns, ", ")+", PRIMARY KEY (g, "+strings.Join(key, ", ")+")"))
		for row, list := range values {
			set = append(set, fmt.Sprintf("INSERT INTO %s VALUES (NULL, 'x', %d, %s)", name, 4294967295-row, strings.Join(list, ", ")))
		}
	}
	stream := s.start(all...)
	s.exec(append(set, "SET time_zone=DEFAULT, sql_mode=DEFAULT")...)
	list := s.until(stream)
	for _, t := range all {
		var of []*Transaction
		for _, tx := range list {
			if len(tx.Changed) == 1 && tx.Changed[0].Table == t {
				of = append(of, tx)
			}
		}
		got, want := keys(of), s.read(t)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				s.Errorf("%s: %d transactions\nkeys %q\nwant %q", t.Create, len(of), got, want)
				break
			}
		}
	}
}

// images are the ways in which rows are in the log.
func images(s *servers) {
	t := s.table("im", "id INT AUTO_INCREMENT PRIMARY KEY, j JSON, b LONGBLOB, v VARCHAR(300), e ENUM('a','b'), bt BIT(3), d DATETIME(3), f FLOAT, g GEOMETRY, n INT GENERATED ALWAYS AS (bt+1) VIRTUAL")
	other := s.table("other", "id INT PRIMARY KEY, v TEXT")
	s.exec("INSERT INTO app.other VALUES (1, REPEAT('x', 1000))")
	stream := s.start(t)
	change := []string{
		"INSERT INTO app.im (j, b, v, e, bt, d, f, g) VALUES ('{\"a\": \"aaaaaaaaaaaaaaaaaaaaaaaa\", \"b\": 1}', REPEAT('x', 100000), REPEAT('y', 299), 'a', 5, '2024-01-01', 1.5, ST_GeomFromText('POINT(1 2)')), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
		"UPDATE app.im SET j=JSON_SET(j, '$.a', 'b', '$.b', 2) WHERE j IS NOT NULL",
		"UPDATE app.im SET f=f+1, d='2025-01-01'",
		"UPDATE app.im SET id=id+100",
		"UPDATE app.im SET v=REPEAT('z', 300), b=REPEAT('w', 70000)",
		"UPDATE app.other SET v=UUID()",
		"DELETE FROM app.im WHERE id > 100",
	}
	settings := []string{"SET binlog_row_image=FULL", "SET binlog_row_image=MINIMAL", "SET binlog_row_image=NOBLOB"}
	if s.mysql() {
		for _, image := range settings[:2] {
			settings = append(settings, image+", binlog_transaction_compression=ON", image+", binlog_row_value_options='PARTIAL_JSON'",
				image+", binlog_transaction_compression=ON, binlog_row_value_options='PARTIAL_JSON', binlog_rows_query_log_events=ON")
		}
		settings = append(settings, "SET GLOBAL binlog_row_metadata=FULL", "SET GLOBAL binlog_row_metadata=MINIMAL")
	} else {
		for _, image := range settings[:3] {
			settings = append(settings, image+", GLOBAL log_bin_compress=ON, GLOBAL log_bin_compress_min_len=10")
		}
		settings = append(settings, "SET GLOBAL log_bin_compress=OFF", "SET GLOBAL binlog_row_metadata=FULL", "SET GLOBAL binlog_row_metadata=NO_LOG", "SET binlog_annotate_row_events=OFF")
	}
	reset := "SET binlog_row_image=DEFAULT"
	if s.mysql() {
		reset += ", binlog_transaction_compression=DEFAULT, binlog_row_value_options=DEFAULT, binlog_rows_query_log_events=DEFAULT"
	} else {
		reset += ", binlog_annotate_row_events=DEFAULT"
	}
	for _, setting := range settings {
		s.exec("TRUNCATE app.im", "ALTER TABLE app.im AUTO_INCREMENT=1")
		for _, tx := range s.until(stream) {
			if tx.Statement == "" {
				s.Errorf("%s: what empties the table is no statement: %+v", setting, tx)
			}
		}
		s.exec(append(append([]string{setting}, change...), reset)...)
		var got []string
		for _, tx := range s.until(stream) {
			got = append(got, strings.Join(keys([]*Transaction{tx}), " "))
		}
		if want := []string{"1 2", "1", "1 2", "1 101 102 2", "101 102", "", "101 102"}; !slices.Equal(got, want) {
			s.Errorf("%s: changed are %q, want %q", setting, got, want)
		}
	}
	_ = other
}

// undone changes rows and goes back to a savepoint, also where a server's log has what was undone.
func undone(s *servers) {
	t := s.table("tu", "id INT PRIMARY KEY, v INT")
	s.exec("DROP TABLE IF EXISTS app.plain", "CREATE TABLE app.plain (id INT PRIMARY KEY) ENGINE=MyISAM")
	s.exec("INSERT INTO app.tu VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8)")
	stream := s.start(t)
	ways := [][3]string{
		{"DO 0", "DO 0", "DO 0"},
		{"CREATE TEMPORARY TABLE app.x (id INT)", "INSERT INTO app.x VALUES (1)", "DROP TEMPORARY TABLE app.x"},
		{"DO 0", "CREATE TEMPORARY TABLE app.x (id INT)", "DROP TEMPORARY TABLE app.x"},
		{"CREATE TEMPORARY TABLE app.x (id INT)", "DROP TEMPORARY TABLE app.x", "DO 0"},
		{"INSERT INTO app.plain VALUES (1)", "DO 0", "DO 0"},
		{"DO 0", "DO 0", "INSERT INTO app.plain VALUES (2)"},
	}
	if s.mysql() { // which refuses the last two
		ways = ways[:4]
	}
	for i, around := range ways {
		id := i + 1
		s.exec("START TRANSACTION", "UPDATE app.tu SET v = v + 1 WHERE id = 7", around[0], "SAVEPOINT `a b`", fmt.Sprintf("UPDATE app.tu SET id = id + 100 WHERE id = %d", id), around[1],
			"ROLLBACK TO SAVEPOINT `a b`", "UPDATE app.tu SET v = v + 1 WHERE id = 8", around[2], fmt.Sprintf("DELETE FROM app.tu WHERE id = %d", id), "COMMIT")
		if got, want := keys(s.until(stream)), []string{fmt.Sprint(id), "7", "8"}; !slices.Equal(got, want) {
			s.Errorf("with %q changed are %q, want %q", around, got, want)
		}
	}
}

func transactions(s *servers) {
	t, u := s.table("ta", "id INT PRIMARY KEY, v INT"), s.table("tb", "a INT, b VARCHAR(10), PRIMARY KEY (b, a)")
	mark := s.table("mark", "id VARCHAR(10) CHARACTER SET ascii PRIMARY KEY, v INT")
	s.table("else1", "id INT PRIMARY KEY")
	before := s.current()
	stream := s.startAt(Options{From: before, Tables: []*rows.Table{t, u}, Marks: []*rows.Table{mark}})
	s.exec("START TRANSACTION", "INSERT INTO app.ta VALUES (1, 1), (2, 2)", "INSERT INTO app.else1 VALUES (1)", "SAVEPOINT x", "INSERT INTO app.ta VALUES (3, 3)", "ROLLBACK TO x",
		"INSERT INTO app.tb VALUES (1, 'x')", "UPDATE app.ta SET v=v+1 WHERE id=1", "COMMIT",
		"INSERT INTO app.else1 VALUES (2)",
		"START TRANSACTION", "DELETE FROM app.ta WHERE id=2", "INSERT INTO app.mark VALUES ('r1', 1)", "COMMIT")
	list := s.until(stream)
	var got []string
	for _, tx := range list {
		text := ""
		for _, c := range tx.Changed {
			text += fmt.Sprint(c.Table.Name, c.Keys)
		}
		for _, c := range tx.Marked {
			text += fmt.Sprint(" by ", c.Table.Name, c.Keys)
		}
		got = append(got, text)
		if age := time.Since(tx.At); age > time.Minute || age < -time.Minute {
			s.Errorf("a transaction is of %s", tx.At)
		}
	}
	if want := []string{"ta[1 2]tb[_utf8mb4 x'78',1]", "", "ta[2] by mark[_ascii x'7231']"}; !slices.Equal(got, want) {
		s.Errorf("the transactions are %q, want %q", got, want)
	}
	if p := stream.Position(); p.File == "" || p.Offset == 0 || p.Server != uint32(s.primary.ID) || p.GTID.String() != stream.Keep().String() {
		s.Errorf("the position is %+v", p)
	}
	if !stream.Reached(s.current()) || stream.Reached(s.current().Union(s.next())) {
		s.Error("what is reached isn't what was read")
	}
	// From the middle on.
	again := s.startAt(Options{From: list[0].Position.GTID, Tables: []*rows.Table{t}})
	if rest := s.until(again); len(rest) != 2 || rest[0].GTID != list[1].GTID {
		s.Errorf("from the middle on there are %d transactions", len(rest))
	}
	again = s.startAt(Options{From: before, Done: list[1].Position.GTID, Tables: []*rows.Table{t}})
	if rest := s.until(again); len(rest) != 1 || rest[0].GTID != list[2].GTID || again.Position().GTID.String() != list[2].Position.GTID.String() {
		s.Errorf("behind what was dealt with there are %d transactions", len(rest))
	}
	// The replica's log has the same.
	s.must(s.c.Sync(s.ctx))
	source := s.source()
	source.Addr = s.replica.Addr
	replica, err := Start(s.ctx, source, Options{From: before, Tables: []*rows.Table{t, u}})
	s.must(err)
	defer func() { _ = replica.Close() }()
	for i := range list {
		tx, err := replica.Next(s.ctx)
		s.must(err)
		if tx.GTID != list[i].GTID || len(tx.Changed) != len(list[i].Changed) {
			s.Errorf("the replica has %+v, want %+v", tx, list[i])
		}
	}
	s.must(Await(s.ctx, s.replica.DB(), replica.Position()))
	s.must(Await(s.ctx, s.replica.DB(), stream.Position()))
	s.must(Await(s.ctx, s.primary.DB(), stream.Position()))
	s.must(Await(s.ctx, s.replica.DB(), Position{GTID: s.current()}))
	// Next doesn't wait with a context that has ended, and gives what is there.
	done, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := stream.Next(done); !errors.Is(err, context.Canceled) {
		s.Errorf("with nothing there and a context that has ended, Next got %v", err)
	}
	s.exec("INSERT INTO app.else1 VALUES (3)")
	if tx, err := stream.Next(s.ctx); err != nil || len(tx.Changed) != 0 {
		s.Errorf("after that Next got %+v, %v", tx, err)
	}
}

// next is a transaction that isn't there yet.
func (s *servers) next() gtid.Set {
	text := "00000000-0000-0000-0000-000000000001:1"
	if !s.mysql() {
		text = "1-77-1000000"
	}
	set, err := gtid.Parse(text)
	s.must(err)
	return set
}

func statements(s *servers) {
	t := s.table("st", "id INT PRIMARY KEY, v INT")
	s.table("else3", "id INT PRIMARY KEY, v INT")
	for _, c := range []struct {
		statement string
		reported  bool
	}{
		{"ALTER TABLE app.st ADD c INT", true},
		{"CREATE INDEX i ON app.st (v)", true},
		{"DROP INDEX i ON app.st", true},
		{"TRUNCATE TABLE app.st", true},
		{"TRUNCATE app.else3", false},
		{"ANALYZE TABLE app.st", false},
		{"CREATE TABLE app.st2 LIKE app.st", false},
		{"CREATE TABLE app.st3 AS SELECT * FROM app.st", false},
		{"DROP TABLE app.st2, app.st3", false},
		{"CREATE TRIGGER app.tr BEFORE INSERT ON app.st FOR EACH ROW SET NEW.v=1", true},
		{"ALTER TABLE app.else3 ADD st INT", false},
		{"RENAME TABLE app.st TO app.st9, app.st9 TO app.st", true},
		{"FLUSH TABLES", false},
		{"FLUSH BINARY LOGS", false},
		{"CREATE VIEW app.vw AS SELECT * FROM app.st", false},
		{"DROP VIEW app.vw", false},
		{"GRANT SELECT ON app.st TO repl", false},
		{"DROP TABLE app.st", true},
	} {
		stream := s.start(t)
		s.exec(c.statement)
		var got []string
		for _, tx := range s.until(stream) {
			if tx.Statement != "" {
				got = append(got, tx.Statement)
			}
		}
		s.must(Await(s.ctx, s.primary.DB(), stream.Position()))
		if (len(got) > 0) != c.reported {
			s.Errorf("%s: reported are %q, want any: %t", c.statement, got, c.reported)
		}
	}
	t = s.table("st", "id INT PRIMARY KEY, v INT")
	s.exec("INSERT INTO app.st VALUES (1, 1)", "INSERT INTO app.else3 VALUES (1, 1, 1)")
	stream := s.start(t)
	s.exec("SET binlog_format=STATEMENT", "UPDATE app.else3 SET v=2", "SET binlog_format=ROW")
	s.until(stream)
	s.exec("SET binlog_format=STATEMENT", "UPDATE app.st SET v=2", "SET binlog_format=ROW")
	_, err := stream.Next(s.ctx)
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Text, "UPDATE app.st SET v=2") || !strings.Contains(e.Fix, "binlog_format") {
		s.Errorf("a statement in place of rows got %v", err)
	}
	if _, again := stream.Next(s.ctx); !errors.Is(again, err) {
		s.Errorf("the stream goes on: %v", again)
	}
}
