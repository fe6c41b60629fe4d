package merge

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"shardway/protocol"
	"shardway/router/plan"
)

func TestSums(t *testing.T) {
	sumDecimal, avgDecimal, bit := colDecimal, colDecimal, colUint
	avgDecimal.decimals = 6
	notNull := colInt
	notNull.flags = flagNotNull
	columns := []column{colInt, notNull, sumDecimal, avgDecimal, colDouble, colDouble, bit, bit, bit, colText, colDate, colBlob, colText, colUint, colTime}
	const (
		count, sumD, avgD, sumF, avgF, and, or, xor, minText, maxDate, weight, coll, huge, maxTime = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
	)
	p := &plan.Merge{
		Visible: 15,
		Group:   []plan.Key{keyed(0)},
		Sums: []plan.Sum{
			{Column: maxTime, Op: plan.SumMax},
			{Column: count, Op: plan.SumCount},
			{Column: sumD, Op: plan.SumSum},
			{Column: avgD, Op: plan.SumAvg, With: []int{sumD, count}},
			{Column: sumF, Op: plan.SumSum},
			{Column: avgF, Op: plan.SumAvg, With: []int{sumF, count}},
			{Column: and, Op: plan.SumBitAnd},
			{Column: or, Op: plan.SumBitOr},
			{Column: xor, Op: plan.SumBitXor},
			{Column: minText, Op: plan.SumMin, With: []int{weight, coll}},
			{Column: maxDate, Op: plan.SumMax},
			{Column: huge, Op: plan.SumSum},
		},
	}
	all := "18446744073709551615"
	in := [][][]string{
		{
			{null, "1", "1.00", "1.000000", "0.5", "0.5", "7", "1", "1", "b", "2024-01-01", wide("b"), "pads", "1", "-00:00:01.000000"},
			{"2", "2", "-1.50", "-0.750000", "3", "1.5", "6", "2", "3", "C", null, wide("C"), "pads", "9223372036854775807", "10:00:00.000000"},
			{"3", "0", null, null, null, null, all, "0", "0", null, null, null, "pads", null, null},
		},
		{
			{"2", "1", "0.49", "0.490000", "0.25", "0.25", "3", "8", "1", "a ", "2023-01-01", wide("a "), "pads", "9223372036854775808", "9:00:00.000000"},
			{"3", "0", null, null, null, null, all, "0", "0", null, null, null, "pads", null, null},
			{"4", "1", "12345678901234567890.99", "12345678901234567890.990000", "1", "1", "1", "1", "1", "z", "0000-00-00", wide("z"), "pads", "5", "00:00:00.000000"},
		},
		{
			{"2", "0", null, null, null, null, all, "0", "0", null, null, null, "pads", null, null},
		},
	}
	want := [][]string{
		in[0][0],
		{"2", "3", "-1.01", "-0.336667", "3.25", "1.0833333333333333", "2", "10", "2", "a ", "2023-01-01", wide("C"), "pads", all, "10:00:00.000000"},
		in[0][2],
		in[1][2],
	}
	both(t, func(t *testing.T, bin bool) {
		var from []Source
		for _, part := range in {
			var list [][]byte
			for _, r := range part {
				list = append(list, encodeRow(columns, bin, r...))
			}
			from = append(from, &rows{rows: list})
		}
		var wanted [][]byte
		for _, r := range want {
			wanted = append(wanted, encodeRow(columns, bin, r...))
		}
		m, err := New(p, same(encodeAll(columns), 3), Options{Binary: bin, Padding: spaces})
		if err != nil {
			t.Fatal(err)
		}
		var out written
		if _, err := m.Run(from, &out); err != nil {
			t.Fatal(err)
		}
		equalRows(t, out.rows, wanted)
	})
}

func TestOneRow(t *testing.T) {
	columns := []column{colInt, colDecimal, colUint, colText, colBlob, colText}
	p := &plan.Merge{Visible: 4, Appended: 2, One: true, Sums: []plan.Sum{
		{Column: 0, Op: plan.SumCount}, {Column: 1, Op: plan.SumSum}, {Column: 2, Op: plan.SumBitAnd}, {Column: 3, Op: plan.SumMax, With: []int{4, 5}},
	}}
	both(t, func(t *testing.T, bin bool) {
		row := func(values ...string) []byte { return encodeRow(columns, bin, values...) }
		run := func(from ...Source) []string {
			m, err := New(p, same(encodeAll(columns), len(from)), Options{Binary: bin, Padding: spaces})
			if err != nil {
				t.Fatal(err)
			}
			var out written
			if _, err := m.Run(from, &out); err != nil {
				t.Fatal(err)
			}
			return out.rows
		}
		equalRows(t, run(&rows{rows: [][]byte{row("0", null, "18446744073709551615", null, null, "pads not")}}, &rows{rows: [][]byte{row("3", "5.00", "3", "x", wide("x"), "pads not")}}),
			[][]byte{encodeRow(columns[:4], bin, "3", "5.00", "3", "x")})
		equalRows(t, run(&rows{}, &rows{}), [][]byte{encodeRow(columns[:4], bin, "0", null, "18446744073709551615", null)})
	})
}

func TestFinalOrder(t *testing.T) {
	columns := []column{colInt, colInt, colBlob}
	columns[2].name = "padding"
	both(t, func(t *testing.T, bin bool) {
		encoded := func(key, count int) []byte {
			return encodeRow(columns, bin, strconv.Itoa(key), strconv.Itoa(count), "p")
		}
		const groups = 5000
		run := func(limit plan.Bound, o Options) ([]string, error) {
			from := make([]Source, 3)
			for i := range from {
				var list [][]byte
				for key := range groups {
					list = append(list, encoded(key, (key*7919+i)%groups))
				}
				from[i] = &rows{rows: list}
			}
			p := &plan.Merge{Visible: 2, Appended: 1, Group: []plan.Key{keyed(0)}, Sums: []plan.Sum{{Column: 1, Op: plan.SumCount}}, Final: []plan.Key{keyed(1)}, Limit: limit}
			p.Final[0].Desc = true
			if limit.Set {
				p.Offset = plan.Bound{Set: true, N: 2}
			}
			o.Binary = bin
			m, err := New(p, same(encodeAll(columns), 3), o)
			if err != nil {
				t.Fatal(err)
			}
			var out written
			_, err = m.Run(from, &out)
			return out.rows, err
		}
		all, err := run(plan.Bound{}, Options{})
		if err != nil || len(all) != groups {
			t.Fatal(len(all), err)
		}
		count := func(raw string) uint64 {
			l := layout{columns: columns[:2], binary: bin, needed: 2}
			var r row
			if err := l.split(&r, []byte(raw)); err != nil {
				t.Fatal(err)
			}
			n, _ := l.unsignedOf(&columns[1], r.value(1))
			return n
		}
		for i := range all[1:] {
			if count(all[i]) < count(all[i+1]) {
				t.Fatalf("group %d has %d, the next one %d", i, count(all[i]), count(all[i+1]))
			}
		}
		few, err := run(plan.Bound{Set: true, N: 10}, Options{MaxRows: 2000, MaxBytes: 1 << 20})
		if err != nil || strings.Join(few, "\n") != strings.Join(all[2:12], "\n") {
			t.Errorf("%q, %v; want %q", few, err, all[2:12])
		}
		for _, o := range []Options{{MaxRows: groups - 1}, {MaxBytes: 100 << 10}} {
			_, err := run(plan.Bound{}, o)
			if e, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(e.Message, "limits.gather_") {
				t.Errorf("%+v: %v", o, err)
			}
		}
	})
}

func TestWhatServersAloneAdd(t *testing.T) {
	for _, tt := range []struct {
		sum    plan.Sum
		column column
	}{
		{plan.Sum{Op: plan.SumSum}, colText},
		{plan.Sum{Op: plan.SumSum}, colTime},
		{plan.Sum{Op: plan.SumBitXor}, colBytes},
		{plan.Sum{Op: plan.SumMin}, colText},
		{plan.Sum{Op: plan.SumOp(99)}, colInt},
		{plan.Sum{Op: plan.SumAvg, With: []int{0, 0}}, colText},
	} {
		_, err := New(&plan.Merge{One: true, Sums: []plan.Sum{tt.sum}}, same(encodeAll([]column{tt.column}), 2), Options{})
		if !isUnmergeable(err) {
			t.Errorf("%s of %s: %v", tt.sum.Op, &tt.column, err)
		}
	}
	p := &plan.Merge{One: true, Sums: []plan.Sum{{Op: plan.SumSum}}}
	for c, value := range map[*column]string{&colDouble: "1.7e308", &colInt: "9223372036854775807", &colUint: "18446744073709551615"} {
		columns := []column{*c}
		m, err := New(p, same(encodeAll(columns), 2), Options{})
		if err != nil {
			t.Fatal(err)
		}
		row := encodeRow(columns, false, value)
		_, err = m.Run([]Source{&rows{rows: [][]byte{row}}, &rows{rows: [][]byte{row}}}, &written{})
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != 1690 {
			t.Errorf("twice %s: %v", value, err)
		}
	}
}

// number is a decimal as a test knows it.
func number(random *rand.Rand) (text string, exact *big.Rat) {
	n := new(big.Int)
	for range random.IntN(56) {
		n.Mul(n, big.NewInt(10)).Add(n, big.NewInt(random.Int64N(10)))
	}
	if random.IntN(2) == 0 {
		n.Neg(n)
	}
	scale := random.IntN(20)
	r := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
	return r.FloatString(scale), r
}

func TestDecimals(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		a, x := number(random)
		b, y := number(random)
		if random.IntN(3) == 0 {
			b, y = a, x
		}
		if got := compareDecimals([]byte(a), []byte(b)); got != x.Cmp(y) {
			t.Fatalf("%s and %s: %d", a, b, got)
		}
		var d, e decimal
		if !d.parse([]byte(a)) || string(d.append(nil)) != a && x.Sign() != 0 {
			t.Fatalf("%s came back as %s", a, d.append(nil))
		}
		if !e.parse([]byte(b)) || !d.add(&e) {
			t.Fatalf("%s and %s can't be added", a, b)
		}
		sum := new(big.Rat).Add(x, y)
		if want := sum.FloatString(d.scale); string(d.append(nil)) != want && sum.Sign() != 0 {
			t.Fatalf("%s and %s are %s, want %s", a, b, d.append(nil), want)
		}
	}
	var d decimal
	for _, bad := range []string{"", "-", ".", "1.2.3", "1e5", "x", strings.Repeat("9", 80)} {
		if d.parse([]byte(bad)) {
			t.Errorf("%q is a decimal", bad)
		}
	}
}

// TestAverages has what MariaDB 10.11 and MySQL 9.7 answer.
func TestAverages(t *testing.T) {
	for _, tt := range []struct {
		sum   string
		count uint64
		scale int
		want  string
	}{
		{"2", 3, 4, "0.6667"},
		{"1", 3, 4, "0.3333"},
		{"-2", 3, 4, "-0.6667"},
		{"1.00", 8, 6, "0.125000"},
		{"2.00000", 3, 9, "0.666666666"}, // the words of the quotient end there
		{"2.000000", 3, 10, "0.6666666667"},
		{"99999999999999999999999999999999999999999999999999999999999", 7, 4, "14285714285714285714285714285714285714285714285714285714285.5714"},
		{"0.00", 5, 6, "0.000000"},
	} {
		var d decimal
		if !d.parse([]byte(tt.sum)) || !d.average(tt.count, tt.scale) {
			t.Fatal(tt.sum)
		}
		if got := string(d.append(nil)); got != tt.want {
			t.Errorf("%s / %d is %s, want %s", tt.sum, tt.count, got, tt.want)
		}
	}
}

// TestFloats has what MariaDB 10.11 and MySQL 9.7 write.
func TestFloats(t *testing.T) {
	for _, tt := range []struct {
		f        float64
		decimals byte
		want     string
	}{
		{0, 31, "0"},
		{math.Copysign(0, -1), 31, "0"},
		{0.30000000000000004, 31, "0.30000000000000004"},
		{1e14, 31, "100000000000000"},
		{1e15, 31, "1e15"},
		{-123456789012345678, 31, "-1.2345678901234568e17"},
		{123456789012345.6, 31, "123456789012345.6"},
		{1e-5, 31, "0.00001"},
		{1e-15, 31, "0.000000000000001"},
		{1.5e-16, 31, "1.5e-16"},
		{1.7976931348623157e308, 31, "1.7976931348623157e308"},
		{2.375, 2, "2.38"},
		{1e15, 2, "1000000000000000.00"},
	} {
		if got := string(appendFloat(nil, tt.f, tt.decimals)); got != tt.want {
			t.Errorf("%v is %s, want %s", tt.f, got, tt.want)
		}
	}
}

// TestGroupsAgainstMap compares with a map of all groups.
func TestGroupsAgainstMap(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	columns := []column{colInt, colInt, colDecimal}
	for round := range 200 {
		bin := round%2 == 0
		shards := 1 + random.IntN(5)
		counts, sums := map[int]int64{}, map[int]int64{}
		from := make([]Source, shards)
		for i := range from {
			var list [][]byte
			for key := range 40 {
				if random.IntN(3) > 0 {
					continue
				}
				n, s := random.Int64N(100), random.Int64N(100000)
				counts[key] += n
				sums[key] += s
				list = append(list, encodeRow(columns, bin, strconv.Itoa(key), strconv.FormatInt(n, 10), fmt.Sprintf("%d.%02d", s/100, s%100)))
			}
			from[i] = &rows{rows: list}
		}
		var want [][]byte
		for key := range 40 {
			if n, ok := counts[key]; ok {
				s := sums[key]
				want = append(want, encodeRow(columns, bin, strconv.Itoa(key), strconv.FormatInt(n, 10), fmt.Sprintf("%d.%02d", s/100, s%100)))
			}
		}
		m, err := New(&plan.Merge{Group: []plan.Key{keyed(0)}, Sums: []plan.Sum{{Column: 1, Op: plan.SumCount}, {Column: 2, Op: plan.SumSum}}}, same(encodeAll(columns), shards), Options{Binary: bin})
		if err != nil {
			t.Fatal(err)
		}
		var out written
		if _, err := m.Run(from, &out); err != nil {
			t.Fatal(err)
		}
		equalRows(t, out.rows, want)
	}
}
