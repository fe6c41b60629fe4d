package gather

import (
	"strings"
	"testing"
)

// users is a table as MySQL tells it.
func users(mariadb bool) *Table {
	return Read([][]*string{
		{new("id"), new("bigint unsigned"), new("bigint"), nil, new("NO"), nil, new("auto_increment"), new("")},
		{new("name"), new("varchar(20)"), new("varchar"), new("utf8mb4_bin"), new("NO"), new("it's"), new(""), new("")},
		{new("born"), new("timestamp(6)"), new("timestamp"), nil, new("YES"), new("CURRENT_TIMESTAMP(6)"), new("DEFAULT_GENERATED on update CURRENT_TIMESTAMP(6)"), new("")},
		{new("f"), new("float"), new("float"), nil, new("YES"), nil, new(""), new("")},
		{new("e"), new("enum('a','b')"), new("enum"), new("latin1_swedish_ci"), new("YES"), nil, new("INVISIBLE"), new("")},
		{new("g"), new("int"), new("int"), nil, new("YES"), nil, new("VIRTUAL GENERATED"), new("id + 1")},
		{new("j"), new("json"), new("json"), nil, new("YES"), nil, new(""), new("")},
	}, [][]*string{
		{new("both"), new("1"), new("name"), new("5"), new("A"), new("BTREE")},
		{new("both"), new("1"), new("f"), nil, new("D"), new("BTREE")},
		{new("PRIMARY"), new("0"), new("id"), nil, new("A"), new("BTREE")},
		{new("words"), new("1"), new("name"), nil, nil, new("FULLTEXT")},
	}, mariadb)
}

func TestCopy(t *testing.T) {
	table := users(false)
	for _, tc := range []struct {
		name                   string
		all                    bool
		names                  []string
		create, read, fallback string
	}{
		{
			"some", false,
			[]string{"born", "f", "from", "users"},
			"CREATE TEMPORARY TABLE `shop`.`users` (`name` varchar(20) COLLATE utf8mb4_bin NOT NULL DEFAULT 'it''s', `born` timestamp(6) NULL DEFAULT CURRENT_TIMESTAMP(6) on update current_timestamp(6), `f` float NULL, " +
				"INDEX `both` (`name`(5),`f` DESC)) ENGINE=InnoDB",
			"SELECT CAST(`name` AS BINARY),UNIX_TIMESTAMP(`born`),`f`*1e0 FROM `shop`.`users` WHERE `f` > 1 LIMIT 18446744073709551615",
			"CREATE TEMPORARY TABLE `shop`.`users` (`name` varchar(20) COLLATE utf8mb4_bin NOT NULL, `born` timestamp(6) NULL, `f` float NULL) ENGINE=InnoDB",
		},
		{
			"none: one that an index has", false,
			[]string{"count", "from", "users"},
			"CREATE TEMPORARY TABLE `shop`.`users` (`id` bigint unsigned NOT NULL AUTO_INCREMENT, PRIMARY KEY (`id`)) ENGINE=InnoDB",
			"SELECT `id` FROM `shop`.`users` WHERE `f` > 1 LIMIT 18446744073709551615",
			"CREATE TEMPORARY TABLE `shop`.`users` (`id` bigint unsigned NOT NULL) ENGINE=InnoDB",
		},
		{
			"enum, generated and json", false,
			[]string{"e", "g", "j"},
			"CREATE TEMPORARY TABLE `shop`.`users` (`e` enum('a','b') COLLATE latin1_swedish_ci NULL INVISIBLE, `g` int NULL, `j` json NULL) ENGINE=InnoDB",
			"SELECT CAST(`e` AS UNSIGNED),`g`,CAST(CONVERT(`j` USING utf8mb4) AS BINARY) FROM `shop`.`users` WHERE `f` > 1 LIMIT 18446744073709551615",
			"CREATE TEMPORARY TABLE `shop`.`users` (`e` enum('a','b') COLLATE latin1_swedish_ci NULL, `g` int NULL, `j` json NULL) ENGINE=InnoDB",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := table.Choose("shop", "users", tc.all, tc.names)
			if got := c.Create(false); got != tc.create {
				t.Errorf("create\n%s\nwant\n%s", got, tc.create)
			}
			if got := c.Create(true); got != tc.fallback {
				t.Errorf("plain\n%s\nwant\n%s", got, tc.fallback)
			}
			if got := c.Select("shop", "users", "`f` > 1", All); got != tc.read {
				t.Errorf("select\n%s\nwant\n%s", got, tc.read)
			}
		})
	}
	all := table.Choose("shop", "_shardway_1", true, nil)
	if got := len(all.Columns()); got != len(table.Columns) {
		t.Errorf("%d columns of %d", got, len(table.Columns))
	}
	if got, want := all.Relax(), "ALTER TABLE `shop`.`_shardway_1` DROP PRIMARY KEY, ADD INDEX `_primary` (`id`)"; got != want {
		t.Errorf("relax %s", got)
	}
	if again := all.Relax(); again != "" {
		t.Errorf("relaxed again: %s", again)
	}
}

// split reads the rows of these tests: values between commas, ~ for NULL.
func split(row []byte) (value, rest []byte, ok bool) {
	v, after, more := strings.Cut(string(row), ",")
	if more {
		rest = []byte(after)
	}
	if v == "~" {
		return nil, rest, true
	}
	return []byte(v), rest, true
}

func TestAppendRow(t *testing.T) {
	c := users(true).Choose("shop", "users", true, nil)
	var sql []byte
	for _, row := range []string{"7,a'b\\c\x00\n\xff,1700000000.123456,1.5,2,8,{\"a\": \"\\\"'\"}", "8,,0.000000,~,~,~,~"} {
		var ok bool
		if sql, ok = c.AppendRow(sql, []byte(row), split); !ok {
			t.Fatalf("%q isn't a row", row)
		}
	}
	want := "INSERT INTO `shop`.`users` (`id`,`name`,`born`,`f`,`e`,`g`,`j`) VALUES " +
		`(7,_binary'a\'b\\c\0\n` + "\xff" + `','2023-11-14 22:13:20.123456','1.5',2,8,'{"a": "\\"\'"}'),` +
		"(8,_binary'','0000-00-00 00:00:00',NULL,NULL,NULL,NULL)"
	if got := string(sql); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if _, ok := c.AppendRow(nil, []byte("7,a,yesterday,1,1,1,1"), split); ok {
		t.Error("a time that isn't seconds was taken")
	}
}

func TestRename(t *testing.T) {
	def := []byte("\x03def\x04shop\x01u\x0b_shardway_1\x04name\x04name\x0crest")
	want := "\x03def\x04shop\x01u\x05users\x04name\x04name\x0crest"
	names := map[string]string{"_shardway_1": "users"}
	if got := string(Rename(def, names)); got != want {
		t.Errorf("%q", got)
	}
	for n := range def {
		Rename(def[:n], names) // doesn't panic
	}
	if got := string(Rename([]byte(want), names)); got != want {
		t.Errorf("another table's column became %q", got)
	}
}

func TestCompares(t *testing.T) {
	table := users(false)
	for _, tc := range []struct {
		column         string
		texts, numbers bool
		want           bool
	}{
		{"id", false, true, true},
		{"id", true, false, false},
		{"name", true, false, true},
		{"name", false, true, false},
		{"born", true, false, true},
		{"j", true, false, false},
		{"j", false, false, true},
		{"f", false, true, true},
		{"e", true, false, true},
	} {
		if got := table.Has([]string{tc.column}, func(c *Column) bool { return c.Compares(tc.texts, tc.numbers) }); got != tc.want {
			t.Errorf("%s with texts %v, numbers %v: %v", tc.column, tc.texts, tc.numbers, got)
		}
	}
	if table.Has([]string{"nosuch"}, func(*Column) bool { return true }) {
		t.Error("a column that isn't there")
	}
}
