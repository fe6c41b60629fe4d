package rows

import (
	"bytes"
	"slices"
	"testing"
)

// table makes a table of columns for tests without servers; those named are the
// primary key.
func tableOf(key []int, columns ...Column) *Table {
	for i := range columns {
		columns[i].form = formOf(columns[i].Data)
	}
	return &Table{Schema: "s", Name: "t`1", Columns: columns, Key: key}
}

func TestWhere(t *testing.T) {
	one := tableOf([]int{0}, Column{Name: "a", Data: "int"})
	desc := tableOf([]int{0}, Column{Name: "a", Data: "int", Desc: true})
	two := tableOf([]int{1, 0}, Column{Name: "a", Data: "int"}, Column{Name: "b", Data: "varchar", Charset: "utf8mb4"})
	three := tableOf([]int{0, 1, 2}, Column{Name: "a", Data: "int"}, Column{Name: "b", Data: "int", Desc: true}, Column{Name: "c", Data: "int"})
	for _, c := range []struct{ got, want string }{
		{one.where(Range{}, ""), ""},
		{one.where(Range{}, "k = 1"), " WHERE (k = 1)"},
		{one.where(Range{After: "1", To: "9"}, "k = 1"), " WHERE (`a`>1) AND (`a`<=9) AND (k = 1)"},
		{desc.where(Range{After: "9", To: "1"}, ""), " WHERE (`a`<9) AND (`a`>=1)"},
		{two.where(Range{After: "_utf8mb4 x'2c',5"}, ""), " WHERE (`b`>=_utf8mb4 x'2c' AND (`b`>_utf8mb4 x'2c' OR `b`=_utf8mb4 x'2c' AND (`a`>5)))"},
		{three.where(Range{To: "1,2,3"}, ""), " WHERE (`a`<=1 AND (`a`<1 OR `a`=1 AND (`b`>2 OR `b`=2 AND (`c`<=3))))"},
		{one.whereKeys([]Key{"1", "2"}, "k = 1"), " WHERE `a` IN (1,2) AND (k = 1)"},
		{two.whereKeys([]Key{"_utf8mb4 x'2c',5", "_utf8mb4 x'',6"}, ""), " WHERE (`b`=_utf8mb4 x'2c' AND `a`=5 OR `b`=_utf8mb4 x'' AND `a`=6)"},
		{three.order(), " ORDER BY `a`,`b` DESC,`c`"},
		{one.from(), " FROM `s`.`t``1` FORCE INDEX (PRIMARY)"},
	} {
		if c.got != c.want {
			t.Errorf("%s\nwant %s", c.got, c.want)
		}
	}
}

func TestGroups(t *testing.T) {
	var keys []Key
	for i := range 1200 {
		keys = append(keys, Key(bytes.Repeat([]byte{'1'}, 1+i%700)))
	}
	before := slices.Clone(keys)
	got := groups(keys)
	if len(got) != 2 || len(got[0]) != group || len(got[1]) != 200 {
		t.Errorf("700 keys are in %d groups", len(got))
	}
	if !slices.Equal(keys, before) {
		t.Error("the caller's list is changed")
	}
	if groups(nil) != nil {
		t.Error("no keys are a group")
	}
}

func TestDiffering(t *testing.T) {
	got := Differing(map[Key]Hash{"1": "a", "2": "b", "4": "d"}, map[Key]Hash{"1": "a", "2": "x", "3": "c"})
	if !slices.Equal(got, []Key{"2", "3", "4"}) {
		t.Errorf("%q differ", got)
	}
}

// FuzzLiterals shows that values with any bytes are cut apart again where they
// were joined.
func FuzzLiterals(f *testing.F) {
	f.Add([]byte("a,b"), []byte(`'\'`), int64(-1))
	f.Add([]byte("\x00\n\r\x1a\\"), []byte{0xff, ','}, int64(1))
	f.Fuzz(func(t *testing.T, a, b []byte, n int64) {
		columns := []Column{{Name: "a", Data: "varchar"}, {Name: "b", Data: "blob"}, {Name: "j", Data: "json"}, {Name: "n", Data: "int"}}
		var text []byte
		var want [][]byte
		for i, v := range []any{a, b, b, n, nil} {
			c := &columns[i%len(columns)]
			c.form = formOf(c.Data)
			if i > 0 {
				text = append(text, ',')
			}
			from := len(text)
			var err error
			if text, err = c.appendValue(text, v); err != nil {
				t.Fatal(err)
			}
			want = append(want, bytes.Clone(text[from:]))
		}
		got := literals(text)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%q is cut into %q, want %q", text, got, want)
		}
		key := columns[0].AppendKey(append(columns[1].AppendKey(nil, a), ','), b)
		if n := len(Key(key).parts()); n != 2 {
			t.Errorf("the key %s has %d parts", key, n)
		}
	})
}
