package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
)

func TestDecodeParams(t *testing.T) {
	tests := []struct {
		typ, flag byte
		value     []byte
		want      Param
	}{
		{TypeTiny, 0, []byte{0xff}, Param{Int: -1}},
		{TypeTiny, 0x80, []byte{0xff}, Param{Unsigned: true, Uint: 255}},
		{TypeShort, 0, []byte{0xfe, 0xff}, Param{Int: -2}},
		{TypeYear, 0x80, []byte{0xea, 7}, Param{Unsigned: true, Uint: 2026}},
		{TypeLong, 0, []byte{1, 0, 0, 0x80}, Param{Int: -1<<31 + 1}},
		{TypeLongLong, 0, bytes.Repeat([]byte{0xff}, 8), Param{Int: -1}},
		{TypeLongLong, 0x80, bytes.Repeat([]byte{0xff}, 8), Param{Unsigned: true, Uint: 1<<64 - 1}},
		{TypeFloat, 0, []byte{0, 0, 0xc0, 0x3f}, Param{Float: 1.5}},
		{TypeDouble, 0, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, Param{Float: 1.5}},
		{TypeVarString, 0, []byte("\x02hi"), Param{Bytes: []byte("hi")}},
		{TypeNewDecimal, 0, []byte("\x04-1.5"), Param{Bytes: []byte("-1.5")}},
		{TypeDate, 0, []byte{4, 0xea, 7, 1, 2}, Param{Bytes: []byte("2026-01-02")}},
		{TypeDatetime, 0, []byte{0}, Param{Bytes: []byte("0000-00-00 00:00:00")}},
		{TypeDatetime, 0, []byte{7, 0xea, 7, 1, 2, 3, 4, 5}, Param{Bytes: []byte("2026-01-02 03:04:05")}},
		{TypeTimestamp, 0, []byte{11, 0xea, 7, 1, 2, 3, 4, 5, 6, 0, 0, 0}, Param{Bytes: []byte("2026-01-02 03:04:05.000006")}},
		{TypeTime, 0, []byte{8, 1, 1, 0, 0, 0, 2, 3, 4}, Param{Bytes: []byte("-26:03:04")}},
		{TypeTime, 0, []byte{12, 0, 0, 0, 0, 0, 2, 3, 4, 7, 0, 0, 0}, Param{Bytes: []byte("02:03:04.000007")}},
	}
	for _, tt := range tests {
		tt.want.Type = tt.typ
		types := []byte{tt.typ, tt.flag}
		payload := AppendExecute(nil, 9, &Execute{Iterations: 1, NullBitmap: []byte{0}, Values: tt.value}, types, 0)
		e, err := DecodeExecute(payload, 1, 0)
		if err != nil || e.StmtID != 9 || !e.TypesSent {
			t.Fatalf("%x: %+v, %v", tt.typ, e, err)
		}
		got, err := e.DecodeParams(e.Types, nil, nil)
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], tt.want) {
			t.Errorf("%x %x: %+v, %v, want %+v", tt.typ, tt.value, got, err, tt.want)
		}
		for n := range len(payload) - 1 {
			if e, err = DecodeExecute(payload[:n], 1, 0); err == nil {
				_, err = e.DecodeParams(e.Types, nil, nil)
			}
			if !errors.Is(err, &Error{Code: 1835}) {
				t.Errorf("%x cut at %d: %v", tt.typ, n, err)
			}
		}
	}
}

func TestDecodeParamsWithoutValues(t *testing.T) {
	types := bytes.Repeat([]byte{TypeVarString, 0}, 10)
	e := Execute{NullBitmap: []byte{0xfe, 0x00}, Values: []byte("\x01z")}
	got, err := e.DecodeParams(types, func(i int) bool { return i == 0 || i == 8 }, make([]Param, 0, 10))
	if err != nil || len(got) != 10 {
		t.Fatal(got, err)
	}
	for i, p := range got {
		if p.LongData != (i == 0 || i == 8) || p.Null != (i > 0 && i < 8) {
			t.Errorf("%d: %+v", i, p)
		}
	}
	if string(got[9].Bytes) != "z" {
		t.Errorf("%+v", got[9])
	}
}

func TestPreparedInBothForms(t *testing.T) {
	def := (&Column{Name: "c", Type: TypeLong}).Definition(nil)
	p := &Prepared{ID: 5, Params: 2, Columns: 1, Warnings: 3, ParamDefs: [][]byte{def, def}, ColumnDefs: [][]byte{def}}
	for caps, packets := range map[Capability]int{0: 6, both: 4} {
		m := &memory{}
		c := NewConn(m)
		c.caps, c.seq = caps, 1
		if err := c.WritePrepared(7, p); err != nil {
			t.Fatal(err)
		}
		_ = c.Flush()
		if got, ok := unframe(1, m.out.Bytes()); !ok || len(got) != packets {
			t.Errorf("%d packets, want %d", len(got), packets)
		}
		r := NewConn(&memory{in: m.out.Bytes()})
		r.caps, r.seq = caps, 1
		got, e, err := r.ReadPrepared()
		want := *p
		want.ID = 7
		if err != nil || e != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%+v, %v, %v", got, e, err)
		}
	}
}

func TestRowsInTextAndBinary(t *testing.T) {
	r := &Rows{
		Columns: []Column{{Name: "s", Type: TypeVarString}, {Name: "n", Type: TypeLongLong}, {Name: "f", Type: TypeDouble}},
		Rows:    [][]any{{"x", int64(-2), 1.5}, {nil, nil, nil}, {true, uint64(7), "2"}},
	}
	for _, caps := range []Capability{0, both} {
		m := &memory{}
		c := NewConn(m)
		c.caps, c.seq = caps, 1
		if err := c.WriteRows(r, false, StatusAutocommit); err != nil {
			t.Fatal(err)
		}
		_ = c.Flush()
		q := NewConn(&memory{in: m.out.Bytes()})
		q.caps = caps
		got, err := q.Query("q")
		if err != nil || len(got.Rows) != 3 || *got.Rows[0][1] != "-2" || *got.Rows[0][2] != "1.5" || got.Rows[1][0] != nil || *got.Rows[2][0] != "1" {
			t.Fatalf("%+v, %v", got, err)
		}
		if s, ok := got.Get(0, "s"); !ok || s != "x" {
			t.Error(s, ok)
		}
	}
	row := appendBinaryRow(nil, r.Columns, r.Rows[0])
	want := binary.LittleEndian.AppendUint64([]byte{0, 0, 1, 'x'}, 1<<64-2)
	want = binary.LittleEndian.AppendUint64(want, 0x3ff8<<48)
	if !bytes.Equal(row, want) {
		t.Errorf("binary row %x, want %x", row, want)
	}
	if nulls := appendBinaryRow(nil, r.Columns, r.Rows[1]); !bytes.Equal(nulls, []byte{0, 0b11100}) {
		t.Errorf("row of NULLs %x", nulls)
	}
}

func TestPick(t *testing.T) {
	types := []byte{TypeLongLong, 0, TypeVarString, 0, TypeNull, 0, TypeDatetime, 0, TypeBlob, 0, TypeTiny, 0x80}
	e := Execute{Flags: 1, Iterations: 1, NullBitmap: []byte{0b100100}, TypesSent: true, Types: types}
	e.Values = append(e.Values, 5, 0, 0, 0, 0, 0, 0, 0)
	e.Values = appendLenString(e.Values, "text")
	e.Values = append(e.Values, 4, 0xe8, 7, 2, 29)
	long := func(i int) bool { return i == 4 }
	picked, err := e.Pick(types, long, []int{3, -1, 1, 1, 5, 2, 4, 0}, func(int) uint64 { return 77 })
	if err != nil {
		t.Fatal(err)
	}
	params, err := picked.DecodeParams(picked.Types, func(i int) bool { return i == 6 }, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Param{
		{Type: TypeDatetime, Bytes: []byte("2024-02-29 00:00:00")},
		{Type: TypeLongLong, Unsigned: true, Uint: 77},
		{Type: TypeVarString, Bytes: []byte("text")},
		{Type: TypeVarString, Bytes: []byte("text")},
		{Type: TypeTiny, Unsigned: true, Null: true},
		{Type: TypeNull, Null: true},
		{Type: TypeBlob, LongData: true},
		{Type: TypeLongLong, Int: 5},
	}
	if !reflect.DeepEqual(params, want) {
		t.Errorf("got\n%+v\nwant\n%+v", params, want)
	}
	if picked.Flags != 0 {
		t.Error("the cursor was picked as well")
	}
	if _, err := e.Pick(types, long, []int{6}, nil); err == nil {
		t.Error("a seventh parameter of six")
	}
}
