package merge

import (
	"testing"

	"shardway/protocol"
	"shardway/router/plan"
)

// FuzzRows reads rows that no server would send: whatever they are, they are an error or they are whole.
func FuzzRows(f *testing.F) {
	columns := []column{colInt, colText, colDecimal, colDatetime, colTime, colDouble, colBit, colDate, colTiny, colBlob, colText}
	for _, bin := range []bool{false, true} {
		f.Add(encodeRow(columns, bin, "5", "text", "-1.50", "2024-02-29 10:00:00.000001", "-10:00:00.500000", "1.5", "\x01\x02", "2024-02-29", "-3", wide("text"), "pads"), bin)
		f.Add(encodeRow(columns, bin, null, null, null, null, null, null, null, null, null, null, null), bin)
	}
	f.Add([]byte{0xfc, 1}, false)
	f.Add([]byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, false)
	f.Fuzz(func(t *testing.T, raw []byte, bin bool) {
		l := layout{columns: columns, binary: bin, needed: len(columns)}
		var r row
		if err := l.split(&r, raw); err == nil {
			from := l.header()
			for i, p := range r.at {
				if p.to < from || p.to > len(raw) || !p.null() && (p.from < from || p.from > p.to) {
					t.Fatalf("column %d lies at %v in %d bytes", i, p, len(raw))
				}
				from = p.to
			}
		}
		order := []plan.Key{{Column: 1, Weight: 9, Collation: 10}}
		for _, i := range []int{0, 2, 3, 4, 5, 6, 7, 8} {
			order = append(order, keyed(i))
		}
		for _, p := range []*plan.Merge{
			{Order: order},
			{Visible: 4, Appended: 7, Order: order, Distinct: true},
			{Group: order[1:2], Final: order, Sums: []plan.Sum{
				{Column: 2, Op: plan.SumSum},
				{Column: 5, Op: plan.SumSum},
				{Column: 8, Op: plan.SumBitOr},
				{Column: 3, Op: plan.SumMin},
				{Column: 1, Op: plan.SumMax, With: []int{9, 10}},
				{Column: 0, Op: plan.SumAvg, With: []int{2, 0}},
			}},
		} {
			m, err := New(p, same(encodeAll(columns), 2), Options{Binary: bin, Padding: spaces})
			if err != nil {
				t.Fatal(err)
			}
			var out written
			_, err = m.Run([]Source{&rows{rows: [][]byte{raw, raw}}, &rows{rows: [][]byte{raw}}}, &out)
			if isUnmergeable(err) {
				continue
			}
			isWire(t, err)
		}
	})
}

// FuzzDefinition reads what may not be a column's definition.
func FuzzDefinition(f *testing.F) {
	f.Add(colText.encode())
	f.Add([]byte{3, 'd', 'e', 'f'})
	f.Fuzz(func(t *testing.T, def []byte) {
		c, err := columnOf(def)
		isWire(t, err)
		if err == nil && c.String() == "" {
			t.Error("a type without a name")
		}
		_, err = New(&plan.Merge{Order: []plan.Key{keyed(0)}}, [][][]byte{{def}, {def}}, Options{})
		if !isUnmergeable(err) {
			isWire(t, err)
		}
	})
}

// isWire fails the test if an error is none that a client can be told.
func isWire(t *testing.T, err error) {
	t.Helper()
	if _, ok := err.(*protocol.Error); err != nil && !ok { //nolint:errorlint // it isn't wrapped
		t.Fatalf("%T: %v", err, err)
	}
}
