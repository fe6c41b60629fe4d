package gather

import (
	"strconv"
	"strings"
	"testing"

	"shardway/shardmap"
)

func TestTies(t *testing.T) {
	integer, unsigned := Column{Data: "int"}, Column{Data: "bigint", Type: "bigint unsigned"}
	ci, other := Column{Data: "varchar", Collation: "utf8mb4_general_ci"}, Column{Data: "varchar", Collation: "utf8mb4_bin"}
	char := Column{Data: "char", Collation: "utf8mb4_general_ci"}
	fixed, free, blob := Column{Data: "binary"}, Column{Data: "varbinary"}, Column{Data: "blob"}
	for _, c := range []struct {
		from, to     Column
		want, padded bool // padded: also where CHARs are filled
	}{
		{integer, unsigned, true, true},
		{integer, Column{Data: "decimal"}, false, false},
		{Column{Data: "double"}, integer, false, false},
		{integer, ci, false, false},
		{ci, ci, true, true},
		{ci, other, false, false},
		{char, ci, true, false},
		{ci, char, true, false},
		{fixed, free, true, true},
		{fixed, blob, false, false},
		{ci, fixed, false, false},
		{Column{Data: "date"}, Column{Data: "date"}, false, false},
		{Column{Data: "enum", Collation: "utf8mb4_bin"}, Column{Data: "enum", Collation: "utf8mb4_bin"}, false, false},
	} {
		if got := Ties(&c.from, &c.to, false); got != c.want {
			t.Errorf("%s with %s: %v", c.from.Data, c.to.Data, got)
		}
		if got := Ties(&c.from, &c.to, true); got != c.padded {
			t.Errorf("%s with %s, filled: %v", c.from.Data, c.to.Data, got)
		}
	}
}

func TestKeys(t *testing.T) {
	m, err := shardmap.Parse([]byte(`version: 1
shards: {s0: {primary: "127.0.0.1:1"}, s1: {primary: "127.0.0.1:2"}}
databases:
  d:
    slots: 4
    owners: {s0: ["0-1"], s1: ["2-3"]}
    default_shard: s0
    tables: {n: {key: id, placement: mod}, s: {key: token, placement: crc32}}
`))
	if err != nil {
		t.Fatal(err)
	}
	s0, s1 := m.Shard("s0"), m.Shard("s1")
	number, text := Column{Name: "id", Data: "bigint"}, Column{Name: "to`ken", Data: "varchar", Collation: "utf8mb4_bin"}
	rows := func(values ...string) (list [][]*string) {
		for _, v := range values {
			list = append(list, []*string{&v})
		}
		return list
	}
	for _, c := range []struct {
		name     string
		col      Column
		rows     [][]*string
		places   *shardmap.Table
		at0, at1 string // "" where no row can meet it
	}{
		{"none", number, nil, nil, "", ""},
		{"of another column everywhere", number, rows("3", "-1"), nil, "`id` IN (-1,3)", "`id` IN (-1,3)"},
		{"of the key at its shard", number, rows("4", "6", "5", "-1"), m.Table("d", "n"), "`id` IN (4,5)", "`id` IN (-1,6)"},
		{"a key whose shard isn't certain", number, rows("4", "18446744073709551615"), m.Table("d", "n"), "`id` IN (18446744073709551615,4)", "`id` IN (18446744073709551615,4)"},
		{"one shard alone", number, rows("00005"), m.Table("d", "n"), "`id` IN (00005)", ""},
		{"text", text, rows("6127", ""), nil, "`to``ken` IN (_utf8mb4 x'',_utf8mb4 x'6127')", "`to``ken` IN (_utf8mb4 x'',_utf8mb4 x'6127')"},
		{"bytes", Column{Name: "b", Data: "binary"}, rows("00FF"), nil, "`b` IN (x'00FF')", "`b` IN (x'00FF')"},
	} {
		k := NewKeys(&c.col, &c.col, c.rows, c.places)
		if k == nil {
			t.Errorf("%s: no keys", c.name)
			continue
		}
		for s, want := range map[*shardmap.Shard]string{s0: c.at0, s1: c.at1} {
			if got, ok := k.At(s); got != want || ok != (want != "") {
				t.Errorf("%s at %s: %q %v, want %q", c.name, s.ID, got, ok, want)
			}
		}
	}
	k := NewKeys(&text, &text, rows("61", "62", "63", "64", "65"), m.Table("d", "s"))
	n := 0
	for _, s := range []*shardmap.Shard{s0, s1} {
		if where, ok := k.At(s); ok {
			n += strings.Count(where, "_utf8mb4")
		}
	}
	if n != 5 {
		t.Errorf("%d of 5 keys are at their shards", n)
	}

	var many [][]*string
	for i := range MaxKeys + 1 {
		many = append(many, rows(strconv.Itoa(i))...)
	}
	long := strings.Repeat("61", maxKeysBytes/2)
	for name, list := range map[string][][]*string{"many": many, "long": rows(long), "NULL": {{nil}}} {
		if NewKeys(&text, &text, list, nil) != nil {
			t.Errorf("%s: keys", name)
		}
	}
	if NewKeys(&number, &number, many[:MaxKeys], nil) == nil {
		t.Error("no keys of as many as are allowed")
	}
}
