package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
)

// received is what an Incoming gave of one reply.
type received struct {
	columns []int    // of each result
	rows    [][]byte // of all results
	reply   Reply
	err     error
}

func receive(c *Conn, in *Incoming) received {
	var got received
	err := in.Begin(c)
	for err == nil {
		got.columns = append(got.columns, len(in.Columns))
		var row []byte
		for {
			if row, err = in.Next(); err != nil {
				break
			}
			got.rows = append(got.rows, bytes.Clone(row))
		}
		if !errors.Is(err, io.EOF) {
			break
		}
		var more bool
		if more, err = in.More(); !more {
			break
		}
	}
	got.reply, got.err = in.Reply, err
	return got
}

func TestIncoming(t *testing.T) {
	auto, more := StatusAutocommit, StatusAutocommit|StatusMoreResults
	changed := StatusAutocommit | StatusSessionStateChanged
	gtid := Change{Kind: ChangeGTID, Value: "0-1-7"}
	denied := Errorf(1317, "70100", "interrupted")
	huge := texts(string(bytes.Repeat([]byte("w"), maxChunk+10)), "", string(bytes.Repeat([]byte("v"), 3*bufferSize)), "after")
	tests := []struct {
		name  string
		reply []result
		want  received
	}{
		{"ok", []result{{ok: &OK{AffectedRows: 3, InsertID: 9, Status: auto, Warnings: 2, Info: "Rows matched: 3"}}}, received{
			columns: []int{0}, reply: Reply{OK: OK{AffectedRows: 3, InsertID: 9, Status: auto, Warnings: 2, Info: "Rows matched: 3"}, Records: 3},
		}},
		{"ok with session state", []result{{ok: &OK{Status: changed, Changes: []Change{gtid}}}}, received{
			columns: []int{0}, reply: Reply{OK: OK{Status: changed, Changes: []Change{gtid}}},
		}},
		{"error", []result{{err: denied}}, received{err: denied, reply: Reply{Err: denied}}},
		{"rows", []result{{columns: 2, rows: texts("a", "b", "c"), end: OK{Status: auto, Warnings: 3}}}, received{
			columns: []int{2}, rows: texts("a", "b", "c"), reply: Reply{OK: OK{Status: auto, Warnings: 3}, Rows: 3, ResultSets: 1},
		}},
		{"no rows", []result{{columns: 1, end: OK{Status: auto}}}, received{
			columns: []int{1}, reply: Reply{OK: OK{Status: auto}, ResultSets: 1},
		}},
		{"rows of more than one packet", []result{{columns: 1, rows: huge, end: OK{Status: auto}}}, received{
			columns: []int{1}, rows: huge, reply: Reply{OK: OK{Status: auto}, Rows: 4, ResultSets: 1},
		}},
		{"an error amid rows", []result{{columns: 1, rows: texts("a"), err: denied}}, received{
			columns: []int{1}, rows: texts("a"), err: denied, reply: Reply{Err: denied, Rows: 1, ResultSets: 1},
		}},
		{"several results", []result{
			{columns: 1, rows: texts("a"), end: OK{Status: more}},
			{columns: 3, rows: texts("b", "c"), end: OK{Status: more}},
			{ok: &OK{Status: auto, AffectedRows: 1}},
		}, received{
			columns: []int{1, 3, 0}, rows: texts("a", "b", "c"),
			reply: Reply{OK: OK{Status: auto, AffectedRows: 1}, Rows: 3, ResultSets: 2},
		}},
		{"a cursor", []result{{columns: 2, cursor: true, end: OK{Status: auto | StatusCursorExists}}}, received{
			columns: []int{2}, reply: Reply{OK: OK{Status: auto | StatusCursorExists}, ResultSets: 1},
		}},
	}
	for _, caps := range []Capability{CapProtocol41 | CapSessionTrack, both} {
		for _, piece := range []int{0, 5, 4099} {
			var in Incoming
			for _, tt := range tests {
				t.Run(fmt.Sprintf("%s/%x by %d", tt.name, uint32(caps), piece), func(t *testing.T) {
					if piece == 5 && len(tt.want.rows) > 0 && len(tt.want.rows[0]) > maxChunk {
						t.Skip("16 MiB by five bytes take too long")
					}
					c := NewConn(&memory{in: frame(1, reply(caps, tt.reply...)...), piece: piece})
					c.caps, c.seq = caps, 1
					got := receive(c, &in)
					if !errors.Is(got.err, tt.want.err) || !reflect.DeepEqual(got.columns, tt.want.columns) || !reflect.DeepEqual(got.rows, tt.want.rows) {
						t.Errorf("got %.300q, %v", fmt.Sprint(got.columns, got.rows), got.err)
					}
					if !reflect.DeepEqual(got.reply, tt.want.reply) {
						t.Errorf("reply\n%+v\nwant\n%+v", got.reply, tt.want.reply)
					}
					if !c.Clean() {
						t.Error("the connection isn't clean after the reply")
					}
				})
			}
		}
	}
}

func TestIncomingBreaks(t *testing.T) {
	whole := frame(1, reply(both, result{columns: 1, rows: texts("a", "b"), end: OK{Status: StatusAutocommit}})...)
	for n := range len(whole) {
		c := NewConn(&memory{in: whole[:n]})
		c.caps, c.seq = both, 1
		var in Incoming
		got := receive(c, &in)
		if side, ok := errors.AsType[*SideError](got.err); !ok || side.Side != SideServer || c.Clean() {
			t.Fatalf("after %d bytes of %d: %v, clean %v", n, len(whole), got.err, c.Clean())
		}
	}
	for _, bad := range [][]byte{{0xfb, 'f'}, {0xfc, 1}, {}, {0xfd, 0, 0, 1}} {
		c := NewConn(&memory{in: frame(1, bad)})
		c.caps, c.seq = both, 1
		var in Incoming
		if _, ok := errors.AsType[*SideError](in.Begin(c)); !ok {
			t.Errorf("%x was taken for a reply", bad)
		}
	}
}

func TestOutgoing(t *testing.T) {
	def := (&Column{Name: "c", Type: TypeVarString}).Definition(nil)
	var rows [][]byte
	for i := range 3000 {
		rows = append(rows, texts(fmt.Sprintf("row %d", i))...)
	}
	rows = append(rows, texts(string(bytes.Repeat([]byte("w"), maxChunk)), "last")...)
	for _, caps := range []Capability{CapProtocol41, both} {
		out := &memory{}
		c := NewConn(out)
		c.caps, c.seq = caps, 1
		if err := c.WriteColumns([][]byte{def, def}, StatusAutocommit); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if err := c.WriteRow(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.WriteEOF(StatusAutocommit, 7); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		got := NewConn(&memory{in: out.out.Bytes()})
		got.caps, got.seq = caps, 1
		var in Incoming
		r := receive(got, &in)
		if !reflect.DeepEqual(r.rows, rows) || r.reply.Warnings != 7 || !reflect.DeepEqual(r.columns, []int{2}) {
			t.Errorf("caps %x: %d rows, columns %v, %+v, %v", uint32(caps), len(r.rows), r.columns, r.reply, r.err)
		}
	}
}

func TestColumnsOfAServerWithExtendedMetadata(t *testing.T) {
	plain := (&Column{Name: "c", Type: TypeVarString}).Definition(nil)
	extended, err := convertDefinition(nil, plain, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []bool{false, true} {
		for _, to := range []bool{false, true} {
			form := map[bool][]byte{false: plain, true: extended}
			caps := map[bool]Capability{false: both, true: both | CapExtendedMetadata}
			out := &memory{}
			c, server := NewConn(out), NewConn(&memory{})
			c.caps, c.seq, server.caps = caps[to], 1, caps[from]
			if err := c.WriteColumnsOf(server, [][]byte{form[from]}, StatusAutocommit); err != nil {
				t.Fatal(err)
			}
			_ = c.Flush()
			if p, ok := unframe(1, out.out.Bytes()); !ok || !reflect.DeepEqual(p, [][]byte{{1}, form[to]}) {
				t.Errorf("from %t to %t: %q", from, to, p)
			}
		}
	}
}

func TestRewind(t *testing.T) {
	out := &memory{}
	c := NewConn(out)
	c.seq = 1
	first, second := []byte("first"), []byte("second")
	if err := c.WritePacket(first); err != nil {
		t.Fatal(err)
	}
	m := c.Mark()
	if err := c.WritePacket(bytes.Repeat([]byte("x"), bufferSize/2)); err != nil || c.Sent(m) {
		t.Fatal(err, c.Sent(m))
	}
	if !c.Rewind(m) {
		t.Fatal("what wasn't sent can't be taken back")
	}
	if err := c.WritePacket(second); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if p, ok := unframe(1, out.out.Bytes()); !ok || !reflect.DeepEqual(p, [][]byte{first, second}) {
		t.Errorf("the client got %q", p)
	}
	m = c.Mark()
	if err := c.WritePacket(bytes.Repeat([]byte("x"), 2*bufferSize)); err != nil {
		t.Fatal(err)
	}
	if !c.Sent(m) || c.Rewind(m) {
		t.Error("what was sent was taken back")
	}
}

func TestRowsAllocateNothing(t *testing.T) {
	var rows [][]byte
	for range 2000 {
		rows = append(rows, texts("some text of a row")...)
	}
	raw := frame(1, reply(both, result{columns: 1, rows: rows, end: OK{Status: StatusAutocommit}})...)
	m := &memory{in: raw}
	c, dst := NewConn(m), NewConn(&memory{})
	c.caps, c.seq = both, 1
	var in Incoming
	if err := in.Begin(c); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1500, func() {
		row, err := in.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := dst.WriteRow(row); err != nil {
			t.Fatal(err)
		}
	}); n > 0.1 {
		t.Errorf("%v allocations a row", n)
	}
}
