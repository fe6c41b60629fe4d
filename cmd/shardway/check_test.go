package main

import (
	"errors"
	"slices"
	"testing"

	"shardway/shardmap"
)

func TestMisfit(t *testing.T) {
	text := func(typ, charset, collation string) column {
		data, _, _ := cut(typ)
		return column{dataType: data, columnType: typ, charset: charset, collation: collation}
	}
	number := func(typ string) column {
		data, _, _ := cut(typ)
		return column{dataType: data, columnType: typ}
	}
	const mod, crc = shardmap.Mod, shardmap.CRC32
	none := shardmap.KeyType{}
	for _, tc := range []struct {
		name      string
		placement shardmap.Placement
		fold      string
		declared  shardmap.KeyType
		column    column
		fix       string // "" fits
	}{
		{"bigint", mod, "", none, number("bigint(20)"), ""},
		{"int unsigned", mod, "", none, number("int(10) unsigned"), ""},
		{"decimal", mod, "", none, number("decimal(10,0)"), "choose an integer column as the key"},
		{"datetime", mod, "", none, number("datetime"), "choose an integer column as the key"},
		{"varchar by mod", mod, "", none, text("varchar(9)", "utf8mb4", "utf8mb4_bin"), "set placement: crc32 in the map"},
		{"bigint by crc32", crc, "", none, number("bigint(20)"), "set placement: mod in the map"},
		{"text", crc, "rtrim", none, text("text", "utf8mb4", "utf8mb4_bin"), "choose a column of such a type as the key"},
		{"declared", mod, "", shardmap.KeyType{Name: "bigint"}, number("bigint(20)"), ""},
		{"declared otherwise", mod, "", shardmap.KeyType{Name: "int"}, number("bigint(20)"), "set key_type in the map to bigint"},
		{"declared signed", mod, "", shardmap.KeyType{Name: "bigint"}, number("bigint(20) unsigned"), "set key_type in the map to bigint unsigned"},
		{"declared shorter", crc, "rtrim", shardmap.KeyType{Name: "varchar", Len: 8}, text("varchar(9)", "utf8mb4", "utf8mb4_bin"), "set key_type in the map to varchar(9)"},
		{"varbinary", crc, "", none, number("varbinary(16)"), ""},
		{"varbinary folded", crc, "rtrim", none, number("varbinary(16)"), "take fold out of the map"},
		{"binary", crc, "", shardmap.KeyType{Name: "binary", Len: 16}, number("binary(16)"), ""},
		{"binary undeclared", crc, "", none, number("binary(16)"), "add key_type: binary(16) to the map"},
		{"pad space", crc, "", none, text("varchar(9)", "utf8mb4", "utf8mb4_bin"), "add fold: rtrim to the map"},
		{"pad space folded", crc, "rtrim", none, text("varchar(9)", "ascii", "ascii_bin"), ""},
		{"no pad", crc, "", none, text("varchar(9)", "utf8mb4", "utf8mb4_0900_bin"), ""},
		{"MariaDB's no pad", crc, "", none, text("varchar(9)", "utf8mb4", "utf8mb4_nopad_bin"), ""},
		{"no pad folded", crc, "rtrim", none, text("varchar(9)", "utf8mb4", "utf8mb4_nopad_bin"), "take fold out of the map"},
		{"char no pad", crc, "", none, text("char(9)", "utf8mb4", "utf8mb4_0900_bin"), "add fold: rtrim to the map"},
		{"char no pad folded", crc, "rtrim", none, text("char(9)", "utf8mb4", "utf8mb4_0900_bin"), ""},
		{"case-insensitive", crc, "rtrim", none, text("varchar(9)", "utf8mb4", "utf8mb4_general_ci"), "make its collation utf8mb4_bin with fold: rtrim, or its type varbinary"},
		{"accent-sensitive", crc, "", none, text("varchar(9)", "utf8mb4", "utf8mb4_0900_as_cs"), "make its collation utf8mb4_bin with fold: rtrim, or its type varbinary"},
		{"ascii without case", crc, "ascii_ci", none, text("varchar(9)", "ascii", "ascii_general_ci"), ""},
		{"ascii without case, unfolded", crc, "", none, text("varchar(9)", "ascii", "ascii_general_ci"), "add fold: ascii_ci to the map, or make the column's collation ascii_bin"},
		{"ascii with case, folded", crc, "ascii_ci", none, text("varchar(9)", "ascii", "ascii_bin"), "set fold: rtrim in the map"},
		{"another character set", crc, "rtrim", none, text("varchar(9)", "latin1", "latin1_bin"), "make it utf8mb4 with a binary collation, or ascii"},
	} {
		wrong, fix := misfit(&shardmap.Table{Placement: tc.placement, Fold: tc.fold, KeyType: tc.declared}, tc.column)
		if fix != tc.fix || (wrong == "") != (fix == "") {
			t.Errorf("%s: %q, fix %q, want %q", tc.name, wrong, fix, tc.fix)
		}
	}
}

// cut takes the name off a type.
func cut(typ string) (name, rest string, found bool) {
	for i := range typ {
		if typ[i] == '(' || typ[i] == ' ' {
			return typ[:i], typ[i:], true
		}
	}
	return typ, "", false
}

func TestGranted(t *testing.T) {
	grants := []string{
		"GRANT USAGE ON *.* TO `shardway`@`%` IDENTIFIED BY PASSWORD '*X'",
		"GRANT SELECT, INSERT ON `shop`.* TO `shardway`@`%`",
		"GRANT UPDATE ON `sh\\_x`.* TO `shardway`@`%`",
		"GRANT DELETE ON `sh_p`.* TO `shardway`@`%`",
		"GRANT ALL PRIVILEGES ON `a b``c`.* TO `shardway`@`%`",
		"GRANT SELECT ON `other`.`t` TO `shardway`@`%`",
	}
	for db, want := range map[string][]string{
		"":      {"USAGE"},
		"shop":  {"SELECT", "INSERT", "DELETE"},
		"sh_x":  {"UPDATE"},
		"shyx":  nil,
		"a b`c": {"ALL PRIVILEGES"},
		"other": nil,
	} {
		if got := granted(grants, db); !slices.Equal(got, want) {
			t.Errorf("on %q: %v, want %v", db, got, want)
		}
	}
	if !usesRoles([]string{"GRANT `writers` TO `shardway`@`%`"}) || usesRoles(grants) {
		t.Error("roles aren't told from rights")
	}
}

func TestDifference(t *testing.T) {
	for _, tc := range [][3]string{
		{"a\nb", "a\nb", ""},
		{"a\n b,", "a\n c,", "b,\nc,"},
		{"a", "a\nb", "1 lines\n2 lines"},
	} {
		if got := difference(tc[0], tc[1]); got != tc[2] {
			t.Errorf("difference(%q, %q) = %q", tc[0], tc[1], got)
		}
	}
}

func TestCheckAlike(t *testing.T) {
	made := func(shard, addr, uuid, mode, zone string) *server {
		return &server{
			shard: &shardmap.Shard{ID: shard}, addr: addr,
			vars: map[string]string{"server_uuid": uuid, "sql_mode": mode, "time_zone": zone, "system_time_zone": "UTC"},
		}
	}
	r := &report{}
	checkAlike(r, []*server{made("s0", "a:1", "x", "ANSI", "SYSTEM"), made("s0", "b:1", "y", "ANSI", "UTC"), {err: errors.New("away")}})
	if len(r.findings) != 1 || r.findings[0].Level != levelOK {
		t.Errorf("servers that are alike: %+v", r.findings)
	}
	r = &report{}
	checkAlike(r, []*server{made("s0", "a:1", "x", "ANSI", "UTC"), made("s1", "b:1", "x", "", "UTC")})
	if len(r.findings) != 2 || r.findings[0].Level != levelFail || r.findings[0].Text != "is the same server as s0 a:1" ||
		r.findings[1].Level != levelWarn || r.findings[1].Text != "sql_mode differs, so one statement can mean two things\n\"ANSI\": s0 a:1\n\"\": s1 b:1" {
		t.Errorf("%+v", r.findings)
	}
	// Without server_uuid, as on MariaDB, host, port and directory tell.
	one, two := &server{vars: map[string]string{"hostname": "h", "port": "3306", "datadir": "/a"}}, &server{vars: map[string]string{"hostname": "h", "port": "3306", "datadir": "/b"}}
	if one.identity() == two.identity() {
		t.Error("two servers of one machine are taken for one")
	}
}
