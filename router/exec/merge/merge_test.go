package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"shardway/protocol"
	"shardway/router/plan"
)

// keyed is a key without a weight.
func keyed(column int) plan.Key {
	return plan.Key{Column: column, Weight: plan.NoColumn, Collation: plan.NoColumn}
}

// sortedValues are values of each type in ascending order.
var sortedValues = []struct {
	column column
	values []string
}{
	{colInt, []string{null, "-9223372036854775808", "-10", "-2", "0", "7", "10", "9223372036854775807"}},
	{colUint, []string{null, "0", "7", "10", "9223372036854775807", "9223372036854775808", "18446744073709551615"}},
	{colTiny, []string{null, "-128", "-1", "0", "127"}},
	{colShort, []string{"0", "32768", "65535"}},
	{colMedium, []string{null, "-8388608", "0", "8388607"}},
	{colYear, []string{"0", "1901", "2155"}},
	{colDouble, []string{null, "-1e300", "-2.5", "-2.25", "0", "1e-7", "3", "20", "1e300"}},
	{colDecimal, []string{null, "-100.50", "-20.00", "-2.10", "-0.01", "0.00", "0.10", "3.00", "12.00", "1200000000000000000000000000.00"}},
	{colDate, []string{null, "0000-00-00", "0000-01-00", "1000-01-01", "2024-02-29", "2024-03-01", "9999-12-31"}},
	{colDatetime, []string{
		null, "0000-00-00 00:00:00.000000", "2024-02-29 00:00:00.000000", "2024-02-29 23:59:59.999999",
		"2024-03-01 00:00:00.000000", "2024-03-01 00:00:00.000001",
	}},
	{colTime, []string{
		null, "-838:59:59.000000", "-100:00:00.000000", "-00:00:00.500000", "00:00:00.000000", "00:00:00.000001",
		"09:00:00.000000", "100:00:00.000000", "838:59:59.000000",
	}},
	{colBit, []string{null, "\x00\x00", "\x00\xff", "\x01\x00", "\xff\xff"}},
	{colBytes, []string{null, "", "\x00", "a", "a ", "ab", "b", "\xff"}},
}

func TestOrderOfTypes(t *testing.T) {
	both(t, func(t *testing.T, bin bool) {
		for _, tt := range sortedValues {
			for _, desc := range []bool{false, true} {
				columns := []column{colBytes, tt.column, colInt}
				values := slices.Clone(tt.values)
				if desc {
					slices.Reverse(values)
				}
				var all [][]byte
				for _, v := range values {
					all = append(all, encodeRow(columns, bin, "row", v, "7"))
				}
				k := keyed(1)
				k.Desc = desc
				for _, shards := range []int{1, 2, 3, 5} {
					m, err := New(&plan.Merge{Order: []plan.Key{k}}, same(encodeAll(columns), shards), Options{Binary: bin})
					if err != nil {
						t.Fatal(err)
					}
					var out written
					if _, err := m.Run(sources(shards, all), &out); err != nil {
						t.Fatalf("%s: %v", &tt.column, err)
					}
					equalRows(t, out.rows, all)
				}
			}
		}
	})
}

// spaces knows three collations: one that pads, one that does so but for the order of expressions, and one that doesn't.
func spaces(name string) (Padding, error) {
	switch name {
	case "pads":
		return Padding{Space: []byte{0, 0x20}}, nil
	case "cuts":
		return Padding{Space: []byte{0, 0x20}, Cut: true}, nil
	case "pads not":
		return Padding{}, nil
	default:
		return Padding{}, unmergeable("no such collation: %s", name)
	}
}

// wide is the weight of a text: two bytes for each, which is in capitals.
func wide(text string) string {
	if text == null {
		return null
	}
	var b strings.Builder
	for _, c := range strings.ToUpper(text) {
		b.WriteByte(byte(c >> 8))
		b.WriteByte(byte(c))
	}
	return b.String()
}

func TestOrderOfText(t *testing.T) {
	both(t, func(t *testing.T, bin bool) {
		columns := []column{colText, colBlob, colText}
		for collation, values := range map[string][]string{
			"pads":     {null, "\x01", "a\x01", "a", "A ", "a  ", "a!", "ab", "B"},
			"cuts":     {null, "", "\x01", "a", "A\x01", "A ", "a  ", "a!", "ab", "B"},
			"pads not": {null, "", "\x01", "a", "A\x01", "A ", "a  ", "a!", "ab", "B"},
		} {
			var all, want [][]byte
			for _, v := range values {
				all = append(all, encodeRow(columns, bin, v, wide(v), collation))
				want = append(want, encodeRow(columns[:1], bin, v))
			}
			for _, shards := range []int{1, 3} {
				p := &plan.Merge{Visible: 1, Appended: 2, Order: []plan.Key{{Column: 0, Weight: 1, Collation: 2, Computed: true}}}
				if shards == 3 {
					p = &plan.Merge{Visible: -1, Appended: 2, Order: []plan.Key{{Column: 0, Weight: -2, Collation: -1, Computed: true}}}
				}
				m, err := New(p, same(encodeAll(columns), shards), Options{Binary: bin, Padding: spaces})
				if err != nil {
					t.Fatal(err)
				}
				if len(m.Columns()) != 1 {
					t.Fatalf("%d columns are shown", len(m.Columns()))
				}
				var out written
				if _, err := m.Run(sources(shards, all), &out); err != nil {
					t.Fatal(err)
				}
				if collation == "pads" {
					// Those that differ in spaces alone are equal, and come in the order of their sources.
					slices.Sort(out.rows[3:6])
					slices.SortFunc(want[3:6], bytes.Compare)
				}
				equalRows(t, out.rows, want)
			}
		}
		row := encodeRow(columns, bin, "a", wide("a"), "unknown")
		m, err := New(&plan.Merge{Visible: 1, Appended: 2, Order: []plan.Key{{Column: 0, Weight: 1, Collation: 2}}}, same(encodeAll(columns), 1), Options{Binary: bin, Padding: spaces})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = m.Run(sources(1, [][]byte{row}), &written{}); !isUnmergeable(err) {
			t.Errorf("a collation that isn't known: %v", err)
		}
	})
}

func isUnmergeable(err error) bool {
	_, ok := errors.AsType[*UnmergeableError](err)
	return ok
}

// TestOrderAgainstSort compares with a sort of all rows.
func TestOrderAgainstSort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	columns := []column{colDecimal, colText, colInt, colBlob, colText}
	type record struct {
		decimal int64
		text    string
		number  int64
	}
	for round := range 300 {
		bin := round%2 == 0
		shards := 1 + random.IntN(6)
		desc := [3]bool{random.IntN(2) == 0, random.IntN(2) == 0, random.IntN(2) == 0}
		before := func(a, b record) int {
			c := [3]int{int(a.decimal - b.decimal), strings.Compare(wide(a.text), wide(b.text)), int(a.number - b.number)}
			for i := range c {
				if c[i] != 0 {
					if desc[i] {
						return -c[i]
					}
					return c[i]
				}
			}
			return 0
		}
		encode := func(list []record) (rows [][]byte) {
			for _, r := range list {
				sign, d := "", r.decimal
				if d < 0 {
					sign, d = "-", -d
				}
				rows = append(rows, encodeRow(columns, bin, fmt.Sprintf("%s%d.%02d", sign, d/100, d%100), r.text, strconv.FormatInt(r.number, 10), wide(r.text), "pads not"))
			}
			return rows
		}
		var all []record
		from := make([]Source, shards)
		for i := range from {
			var part []record
			for range random.IntN(30) {
				part = append(part, record{random.Int64N(9) - 4, string(rune('a'+random.IntN(3))) + string(rune('a'+random.IntN(2))), random.Int64N(5) - 2})
			}
			slices.SortFunc(part, before)
			all = append(all, part...)
			from[i] = &rows{rows: encode(part)}
		}
		slices.SortStableFunc(all, before)
		p := &plan.Merge{Order: []plan.Key{keyed(0), {Column: 1, Weight: 3, Collation: 4}, keyed(2)}}
		for i := range desc {
			p.Order[i].Desc = desc[i]
		}
		if random.IntN(2) == 0 {
			p.Offset, p.Limit = plan.Bound{Set: true, N: uint64(random.IntN(20))}, plan.Bound{Set: true, N: uint64(random.IntN(40))}
			all = all[min(len(all), int(p.Offset.N)):]
			all = all[:min(len(all), int(p.Limit.N))]
		}
		m, err := New(p, same(encodeAll(columns), shards), Options{Binary: bin, Padding: spaces})
		if err != nil {
			t.Fatal(err)
		}
		var out written
		n, err := m.Run(from, &out)
		if err != nil || n != uint64(len(all)) {
			t.Fatalf("round %d: %d rows, want %d; %v", round, n, len(all), err)
		}
		equalRows(t, out.rows, encode(all))
	}
}

func TestDistinctAndLimit(t *testing.T) {
	both(t, func(t *testing.T, bin bool) {
		columns := []column{colInt}
		row := func(v string) []byte { return encodeRow(columns, bin, v) }
		from := func() []Source {
			return []Source{
				&rows{rows: [][]byte{row(null), row("1"), row("3"), row("4")}},
				&rows{rows: [][]byte{row(null), row("2"), row("3")}},
				&rows{},
			}
		}
		run := func(p *plan.Merge) []string {
			m, err := New(p, same(encodeAll(columns), 3), Options{Binary: bin})
			if err != nil {
				t.Fatal(err)
			}
			var out written
			if _, err := m.Run(from(), &out); err != nil {
				t.Fatal(err)
			}
			return out.rows
		}
		order := []plan.Key{keyed(0)}
		equalRows(t, run(&plan.Merge{Order: order, Distinct: true}), [][]byte{row(null), row("1"), row("2"), row("3"), row("4")})
		equalRows(t, run(&plan.Merge{Order: order, Distinct: true, Offset: plan.Bound{Set: true, N: 1}, Limit: plan.Bound{Set: true, N: 3}}), [][]byte{row("1"), row("2"), row("3")})
		equalRows(t, run(&plan.Merge{Order: order, Limit: plan.Bound{Set: true}}), nil)
		equalRows(t, run(&plan.Merge{Limit: plan.Bound{Set: true, N: 5}}), [][]byte{row(null), row("1"), row("3"), row("4"), row(null)})
	})
}

func TestUnsortedRowsAreFound(t *testing.T) {
	columns := []column{colBytes}
	row := func(v string) []byte { return encodeRow(columns, false, v) }
	m, err := New(&plan.Merge{Order: []plan.Key{keyed(0)}, Distinct: true}, same(encodeAll(columns), 1), Options{Shards: []string{"s7"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Run([]Source{&rows{rows: [][]byte{row("b"), row("a")}}}, &written{})
	if !isUnmergeable(err) || !strings.Contains(err.Error(), "s7") {
		t.Error(err)
	}
}

func TestWhatServersAloneCompare(t *testing.T) {
	enum, set, json, geometry, vector := colText, colText, colText, colText, colText
	enum.flags, set.flags = flagEnum, flagSet
	json.kind, geometry.kind, vector.kind = protocol.TypeJSON, protocol.TypeGeometry, 0xf2
	rounded, stored := colDouble, colDouble
	rounded.decimals, stored.decimals, stored.stored = 2, 2, true
	for _, tt := range []struct {
		column column
		binary bool
		bad    bool
	}{
		{enum, false, true},
		{enum, true, true},
		{set, false, true},
		{json, false, true},
		{geometry, true, true},
		{vector, true, true},
		{colFloat, false, true},
		{colFloat, true, false},
		{rounded, false, true},
		{rounded, true, false},
		{stored, false, false},
		{colText, false, true}, // without a weight
		{colNull, false, false},
	} {
		_, err := New(&plan.Merge{Order: []plan.Key{keyed(0)}}, same(encodeAll([]column{tt.column}), 2), Options{Binary: tt.binary})
		if isUnmergeable(err) != tt.bad || err != nil && !tt.bad {
			t.Errorf("%s, binary %t: %v", &tt.column, tt.binary, err)
		}
		if _, err := New(&plan.Merge{}, same(encodeAll([]column{tt.column}), 2), Options{}); err != nil {
			t.Errorf("%s isn't even passed on: %v", &tt.column, err)
		}
	}
}

func TestColumnsOfShards(t *testing.T) {
	long, nullable, unsigned, cents := colText, colInt, colInt, colDecimal
	long.length, unsigned.flags, cents.decimals = 4000, flagUnsigned, 3
	mandatory := colInt
	mandatory.flags = flagNotNull
	o := Options{Shards: []string{"s0", "s1"}}
	m, err := New(&plan.Merge{}, [][][]byte{encodeAll([]column{colText, mandatory}), encodeAll([]column{long, nullable})}, o)
	if err != nil {
		t.Fatal(err)
	}
	equalRows(t, []string{string(m.Columns()[0]), string(m.Columns()[1])}, encodeAll([]column{long, nullable}))
	for _, other := range [][]column{{colText, colInt, colInt}, {colText, unsigned}, {colBytes, colInt}, {cents, colInt}} {
		first := []column{colText, colInt}
		if other[0].kind == protocol.TypeNewDecimal {
			first[0] = colDecimal
		}
		_, err := New(&plan.Merge{}, [][][]byte{encodeAll(first), encodeAll(other)}, o)
		if e, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(e.Message, "shard s1") || !strings.Contains(e.Message, "shard s0") {
			t.Errorf("%v and %v: %v", first, other, err)
		}
	}
}

func TestManyColumnsAreCut(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	both(t, func(t *testing.T, bin bool) {
		for total := 1; total < 30; total++ {
			for shown := 1; shown <= total; shown++ {
				columns := make([]column, total)
				values := make([]string, total)
				for i := range columns {
					columns[i] = []column{colInt, colText, colTiny, colDatetime}[random.IntN(4)]
					values[i] = null
					if random.IntN(2) == 0 {
						values[i] = []string{"5", "text", "7", "2024-02-29 00:00:01.000000"}[map[byte]int{protocol.TypeLongLong: 0, protocol.TypeVarString: 1, protocol.TypeTiny: 2, protocol.TypeDatetime: 3}[columns[i].kind]]
					}
				}
				m, err := New(&plan.Merge{Visible: shown, Appended: total - shown}, same(encodeAll(columns), 1), Options{Binary: bin})
				if err != nil {
					t.Fatal(err)
				}
				var out written
				if _, err := m.Run([]Source{&rows{rows: [][]byte{encodeRow(columns, bin, values...)}}}, &out); err != nil {
					t.Fatal(err)
				}
				equalRows(t, out.rows, [][]byte{encodeRow(columns[:shown], bin, values[:shown]...)})
			}
		}
	})
}

func TestErrorsOfSources(t *testing.T) {
	columns := []column{colInt}
	broken := errors.New("broken")
	for _, p := range []*plan.Merge{{}, {Order: []plan.Key{keyed(0)}}, {Group: []plan.Key{keyed(0)}}, {One: true}} {
		m, err := New(p, same(encodeAll(columns), 2), Options{})
		if err != nil {
			t.Fatal(err)
		}
		first := &rows{rows: [][]byte{encodeRow(columns, false, "1")}}
		if _, err := m.Run([]Source{first, &rows{err: broken}}, &written{}); !errors.Is(err, broken) {
			t.Errorf("%s: %v", p, err)
		}
		if p.Order == nil && p.Group == nil && !p.One {
			continue // such rows aren't looked at
		}
		_, err = m.Run([]Source{&rows{rows: [][]byte{{5, 'a'}}}, &rows{}}, &written{})
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != codeMalformed {
			t.Errorf("%s: a row that is cut: %v", p, err)
		}
	}
}

// TestBitsOfTemporaryTables: MariaDB answers SELECT DISTINCT of a BIT with an integer where it sorts as well.
func TestBitsOfTemporaryTables(t *testing.T) {
	c := colUint
	c.stored = true // and its definition names no table
	p := &plan.Merge{Order: []plan.Key{keyed(0)}, Distinct: true}
	if _, err := New(p, same(encodeAll([]column{c}), 2), Options{}); !isUnmergeable(err) {
		t.Error(err)
	}
	p.Distinct = false
	if _, err := New(p, same(encodeAll([]column{c}), 2), Options{}); err != nil {
		t.Error(err)
	}
}
