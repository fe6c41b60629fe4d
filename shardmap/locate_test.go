package shardmap_test

import (
	"fmt"
	"hash/crc32"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"shardway/shardmap"
)

const (
	nowhere = -1
	unknown = -2
)

func kindOf(loc shardmap.Location) int {
	switch loc.Kind {
	case shardmap.Placed:
		return loc.Slot
	case shardmap.Nowhere:
		return nowhere
	case shardmap.Unknown:
	}
	return unknown
}

func str(s string) shardmap.Value {
	return shardmap.Value{Kind: shardmap.String, S: []byte(s), UTF8: true}
}

func dec(s string) shardmap.Value { return shardmap.Value{Kind: shardmap.Decimal, S: []byte(s)} }

func float(f float64) shardmap.Value { return shardmap.Value{Kind: shardmap.Float, F: f} }

func integer(v int64) shardmap.Value { return shardmap.Value{Kind: shardmap.Int, I: v} }

// TestLocateInteger holds the answers for integer keys, which TestServers
// checks against servers, so that a change of them shows in a review.
func TestLocateInteger(t *testing.T) {
	table := serverTable(t, "key: id, placement: mod, sequence: n") // 97 slots
	typed := serverTable(t, "key: id, placement: mod, sequence: n, key_type: int")
	auto := serverTable(t, "key: id, placement: mod, sequence: id")
	for _, tt := range []struct {
		name                                string
		v                                   shardmap.Value
		compare, equal, insert, lax, typedL int
	}{
		{"5", integer(5), 5, 5, 5, 5, 5},
		{"-1", integer(-1), 96, 96, 96, unknown, 96},
		{"1000", integer(1000), 30, 30, 30, unknown, 30},
		{"2^40", integer(1 << 40), (1 << 40) % 97, (1 << 40) % 97, (1 << 40) % 97, unknown, unknown},
		{"min", integer(math.MinInt64), 18, 18, 18, unknown, unknown},
		{"2^64-1", shardmap.Value{Kind: shardmap.Uint, U: math.MaxUint64}, unknown, 60, 60, unknown, unknown},
		{"NULL", shardmap.Value{Kind: shardmap.Null}, nowhere, nowhere, unknown, unknown, unknown},
		{"a date", shardmap.Value{}, unknown, unknown, unknown, unknown, unknown},
		{"'5'", str("5"), 5, 5, 5, 5, 5},
		{"' 5'", str(" 5"), 5, 5, 5, 5, 5},
		{"'5 '", str("5 "), 5, 5, 5, 5, 5},
		{"'\\t5'", str("\t5"), unknown, unknown, unknown, unknown, unknown},
		{"'+5'", str("+5"), 5, 5, 5, 5, 5},
		{"'05'", str("05"), 5, 5, 5, 5, 5},
		{"'5.0'", str("5.0"), 5, 5, 5, 5, 5},
		{"'5.5'", str("5.5"), unknown, 6, unknown, unknown, unknown},
		{"'5abc'", str("5abc"), 5, 5, 5, 5, 5},
		{"''", str(""), 0, 0, 0, 0, 0},
		{"'abc'", str("abc"), 0, 0, 0, 0, 0},
		{"'1e2'", str("1e2"), unknown, 3, 3, 3, 3},
		{"'9007199254740993'", str("9007199254740993"), unknown, 33, 33, unknown, unknown},
		{"'9007199254740993x'", str("9007199254740993x"), unknown, unknown, 33, unknown, unknown},
		{"'1e400'", str("1e400"), unknown, nowhere, unknown, unknown, unknown},
		{"5.0", dec("5.0"), 5, 5, 5, 5, 5},
		{"5.5", dec("5.5"), 6, 6, 6, 6, 6},
		{"-5.5", dec("-5.5"), 91, 91, 91, unknown, 91},
		{"-0.4", dec("-0.4"), 0, 0, 0, 0, 0},
		{"10^25", dec("10000000000000000000000000"), unknown, nowhere, unknown, unknown, unknown},
		{"long fraction", dec("5." + strings.Repeat("0", 40)), unknown, unknown, unknown, unknown, unknown},
		{"5e0", float(5), 5, 5, 5, 5, 5},
		{"5.5e0", float(5.5), 6, 6, unknown, unknown, unknown},
		{"4.5e0", float(4.5), 4, 4, unknown, unknown, unknown},
		{"1e30", float(1e30), unknown, nowhere, unknown, unknown, unknown},
		{"1e18", float(1e18), unknown, unknown, unknown, unknown, unknown},
		{"NaN", float(math.NaN()), unknown, unknown, unknown, unknown, unknown},
		{"0x35", shardmap.Value{Kind: shardmap.Bytes, S: []byte("5"), Numeric: true}, 53, 53, 53, 53, 53},
		{"X'35'", shardmap.Value{Kind: shardmap.Bytes, S: []byte("5")}, unknown, unknown, unknown, unknown, unknown},
		{"0x with nine bytes", shardmap.Value{Kind: shardmap.Bytes, S: make([]byte, 9), Numeric: true}, unknown, unknown, unknown, unknown, unknown},
	} {
		got := []int{
			kindOf(table.Locate(tt.v, shardmap.Compare)), kindOf(table.Locate(tt.v, shardmap.Equal)),
			kindOf(table.Locate(tt.v, shardmap.Insert)), kindOf(table.Locate(tt.v, shardmap.InsertLax)), kindOf(typed.Locate(tt.v, shardmap.InsertLax)),
		}
		want := []int{tt.compare, tt.equal, tt.insert, tt.lax, tt.typedL}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: compare, equal, insert, lax, lax with a type are %v, want %v", tt.name, got, want)
		}
	}
	for _, v := range []shardmap.Value{integer(0), str("abc"), dec("0.2")} {
		if got := kindOf(auto.Locate(v, shardmap.Insert)); got != unknown {
			t.Errorf("a key that an AUTO_INCREMENT column renumbers is placed in slot %d", got)
		}
	}
}

func TestLocateString(t *testing.T) {
	sum := func(s string) int { return int(crc32.ChecksumIEEE([]byte(s)) % 97) }
	plain := serverTable(t, "key: id, placement: crc32")
	rtrim := serverTable(t, "key: id, placement: crc32, fold: rtrim")
	ci := serverTable(t, "key: id, placement: crc32, fold: ascii_ci")
	short := serverTable(t, "key: id, placement: crc32, key_type: varbinary(3)")
	padded := serverTable(t, "key: id, placement: crc32, key_type: binary(3)")
	typedText := serverTable(t, "key: id, placement: crc32, fold: rtrim, key_type: varchar(3)")
	latin := str("é")
	latin.UTF8 = false
	for _, tt := range []struct {
		name  string
		table *shardmap.Table
		v     shardmap.Value
		use   shardmap.Use
		want  int
	}{
		{"plain", plain, str("abc"), shardmap.Compare, sum("abc")},
		{"plain space", plain, str("abc "), shardmap.Compare, sum("abc ")},
		{"trimmed", rtrim, str("abc  "), shardmap.Compare, sum("abc")},
		{"spaces", rtrim, str("  "), shardmap.Compare, sum("")},
		{"lowered", ci, str("AbC "), shardmap.Compare, sum("abc")},
		{"long and lowered", ci, str(strings.Repeat("Ab", 100)), shardmap.Compare, sum(strings.Repeat("ab", 100))},
		{"NUL", plain, str("a\x00"), shardmap.Compare, sum("a\x00")},
		{"utf8", plain, str("é"), shardmap.Compare, sum("é")},
		{"another character set", plain, latin, shardmap.Compare, unknown},
		{"ASCII in another character set", plain, shardmap.Value{Kind: shardmap.String, S: []byte("a")}, shardmap.Compare, sum("a")},
		{"ill-formed", plain, str("\xff"), shardmap.Compare, unknown},
		{"ill-formed for bytes", short, str("\xff"), shardmap.Compare, sum("\xff")},
		{"beyond ASCII, folded", ci, str("é"), shardmap.Compare, unknown},
		{"number", plain, integer(5), shardmap.Compare, unknown},
		{"decimal", plain, dec("5.0"), shardmap.Insert, unknown},
		{"number stored", plain, integer(-5), shardmap.Insert, sum("-5")},
		{"unsigned stored", plain, shardmap.Value{Kind: shardmap.Uint, U: math.MaxUint64}, shardmap.Insert, sum("18446744073709551615")},
		{"NULL", plain, shardmap.Value{Kind: shardmap.Null}, shardmap.Compare, nowhere},
		{"NULL stored", plain, shardmap.Value{Kind: shardmap.Null}, shardmap.Insert, unknown},
		{"hex", plain, shardmap.Value{Kind: shardmap.Bytes, S: []byte("\xff")}, shardmap.Insert, sum("\xff")},
		{"stored", plain, str("abc"), shardmap.Insert, sum("abc")},
		{"stored with a space that may be cut", plain, str("abc "), shardmap.Insert, unknown},
		{"stored with a space", rtrim, str("abc "), shardmap.Insert, sum("abc")},
		{"stored where it may be cut", plain, str("abc"), shardmap.InsertLax, unknown},
		{"stored where it fits", short, str("abc"), shardmap.InsertLax, sum("abc")},
		{"stored where it is cut", short, str("abcd"), shardmap.InsertLax, unknown},
		{"stored where it may not be representable", typedText, str("７"), shardmap.InsertLax, unknown},
		{"bytes stored where they may not be representable", typedText, shardmap.Value{Kind: shardmap.Bytes, S: []byte("é")}, shardmap.InsertLax, unknown},
		{"stored where it is representable or refused", typedText, str("７"), shardmap.Insert, sum("７")},
		{"stored as bytes", short, str("é"), shardmap.InsertLax, sum("é")},
		{"padded", padded, str("a"), shardmap.Insert, sum("a\x00\x00")},
		{"compared with padded", padded, str("a"), shardmap.Compare, sum("a")},
	} {
		if got := kindOf(tt.table.Locate(tt.v, tt.use)); got != tt.want {
			t.Errorf("%s: slot %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestLocateAllocatesNothing(t *testing.T) {
	mod := serverTable(t, "key: id, placement: mod")
	crc := serverTable(t, "key: id, placement: crc32, fold: ascii_ci")
	m := mustParse(t, shopMap)
	s, d := str("12345"), dec("5.5")
	if n := testing.AllocsPerRun(100, func() {
		mod.Locate(integer(7), shardmap.Compare)
		mod.Locate(s, shardmap.Equal)
		mod.Locate(d, shardmap.Insert)
		crc.Locate(s, shardmap.Compare)
		m.Table("shop", "orders").Locate(integer(-7), shardmap.Equal)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzLocate holds strings and decimals to exact arithmetic: where a value is
// placed for Equal it is in the slot of the rational number that its text
// begins with, rounded half away from zero.
func FuzzLocate(f *testing.F) {
	for _, s := range []string{"5", " -5.5x", "1e2", "9007199254740993", "0.5e-3", "18446744073709551616", "-.5", "00012.50", "4.99999999999999999"} {
		f.Add(s)
	}
	table := serverTable(f, "key: id, placement: mod, sequence: n")
	far := regexp.MustCompile(`[eE][+-]?\d{4}`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 300 || far.MatchString(s) {
			return // too slow for exact arithmetic
		}
		for _, v := range []shardmap.Value{str(s), dec(s)} {
			for _, use := range []shardmap.Use{shardmap.Compare, shardmap.Equal, shardmap.Insert, shardmap.InsertLax} {
				loc := table.Locate(v, use)
				if loc.Kind != shardmap.Placed {
					continue
				}
				if want := slotOfText(s, 97); loc.Slot != want || loc.Shard == nil {
					t.Errorf("%q is placed in slot %d, want %d", s, loc.Slot, want)
				}
			}
		}
		table := serverTable(t, "key: id, placement: crc32, fold: rtrim")
		if loc := table.Locate(str(s), shardmap.Compare); loc.Kind == shardmap.Placed {
			if want := int(crc32.ChecksumIEEE([]byte(strings.TrimRight(s, " "))) % 97); loc.Slot != want {
				t.Errorf("%q is placed in slot %d, want %d", s, loc.Slot, want)
			}
		}
	})
}

// slotOfText is a slow and plain reading of the numeral that s begins with.
func slotOfText(s string, slots int64) int {
	s = strings.TrimLeft(s, " ")
	r := new(big.Rat)
	for n := len(s); n > 0; n-- {
		head := s[:n]
		if strings.ContainsAny(head, "/_xXbBoOpPiInN") || strings.HasSuffix(head, "e") || strings.HasSuffix(head, "E") {
			continue
		}
		if _, ok := r.SetString(head); ok {
			break
		}
		r.SetInt64(0)
	}
	half := big.NewRat(1, 2)
	if r.Sign() < 0 {
		half.Neg(half)
	}
	r.Add(r, half)
	whole := new(big.Int).Quo(r.Num(), r.Denom()) // towards zero
	return int(whole.Mod(whole, big.NewInt(slots)).Int64())
}
