package merge

import (
	"fmt"
	"io"
	"testing"

	"shardway/router/plan"
)

// again is a Source that gives the same rows over and over, with a number that grows.
type again struct {
	row   []byte
	at    int // of the number's ten digits
	next  int
	step  int
	until int
}

func (a *again) Next() ([]byte, error) {
	if a.next >= a.until {
		return nil, io.EOF
	}
	n := a.next
	a.next += a.step
	for i := a.at + 9; i >= a.at; i-- {
		a.row[i] = byte('0' + n%10)
		n /= 10
	}
	return a.row, nil
}

type counted struct{ rows int }

func (c *counted) WriteRow([]byte) error {
	c.rows++
	return nil
}

// BenchmarkMerge tells what a row costs, b.N being rows.
func BenchmarkMerge(b *testing.B) {
	columns := []column{colInt, colText, colDecimal, colDatetime, colBlob, colText}
	const shards = 4
	run := func(b *testing.B, p *plan.Merge) {
		b.Helper()
		from := make([]Source, shards)
		for i := range from {
			row := encodeRow(columns, false, "0000000000", fmt.Sprintf("customer %d of the shop", i), "1234.50", "2024-02-29 10:00:00.000001", "\x000123456789", "pads not")
			from[i] = &again{row: row, at: 1, next: i, step: shards, until: b.N}
		}
		m, err := New(p, same(encodeAll(columns), shards), Options{Padding: spaces})
		if err != nil {
			b.Fatal(err)
		}
		var out counted
		b.ReportAllocs()
		b.ResetTimer()
		if _, err := m.Run(from, &out); err != nil {
			b.Fatal(err)
		}
		if out.rows == 0 {
			b.Fatal("no rows")
		}
	}
	b.Run("plain", func(b *testing.B) { run(b, &plan.Merge{}) })
	b.Run("order", func(b *testing.B) { run(b, &plan.Merge{Order: []plan.Key{keyed(0)}}) })
	b.Run("order cut", func(b *testing.B) {
		run(b, &plan.Merge{Visible: 4, Appended: 2, Order: []plan.Key{keyed(3), keyed(0)}})
	})
	b.Run("order by weight", func(b *testing.B) {
		run(b, &plan.Merge{Visible: 4, Appended: 2, Order: []plan.Key{{Column: 1, Weight: 4, Collation: 5}, keyed(0)}})
	})
	b.Run("group", func(b *testing.B) {
		run(b, &plan.Merge{Group: []plan.Key{keyed(3)}, Sums: []plan.Sum{{Column: 0, Op: plan.SumCount}, {Column: 2, Op: plan.SumSum}}})
	})
}

// TestRowsAllocateNothing is what the benchmark measures, as a test.
func TestRowsAllocateNothing(t *testing.T) {
	columns := []column{colInt, colText, colDecimal, colDouble, colBlob, colText}
	for _, p := range []*plan.Merge{
		{Visible: 4, Appended: 2, Order: []plan.Key{{Column: 1, Weight: 4, Collation: 5}, keyed(2), keyed(3), keyed(0)}},
		{Order: []plan.Key{keyed(0)}, Distinct: true},
		{Group: []plan.Key{keyed(0)}, Sums: []plan.Sum{{Column: 2, Op: plan.SumSum}, {Column: 3, Op: plan.SumSum}, {Column: 1, Op: plan.SumMax, With: []int{4, 5}}}},
	} {
		allocs := func(n int) float64 {
			return testing.AllocsPerRun(3, func() {
				from := make([]Source, 2)
				for i := range from {
					row := encodeRow(columns, false, "0000000000", "text", "1234.50", "12.5", "\x000123456789", "pads not")
					from[i] = &again{row: row, at: 1, step: 1, until: n}
				}
				m, err := New(p, same(encodeAll(columns), 2), Options{Padding: spaces})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := m.Run(from, &counted{}); err != nil {
					t.Fatal(err)
				}
			})
		}
		if few, many := allocs(100), allocs(3000); many > few+20 {
			t.Errorf("%s: %v allocations for 100 rows, %v for 3000", p, few, many)
		}
	}
}
