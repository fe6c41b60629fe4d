package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

// result is one part of a reply, to be encoded as a server with other
// capabilities would send it.
type result struct {
	ok      *OK
	err     *Error
	columns int // of rows, if not 0
	rows    [][]byte
	end     OK
	cursor  bool
}

const both = CapDeprecateEOF | CapSessionTrack | CapProtocol41

// reply encodes results as they look to a peer with caps. The EOF packet
// after columns says autocommit.
func reply(caps Capability, results ...result) (payloads [][]byte) {
	end := func(header byte, ok OK) {
		o := okPacket{
			affected: ok.AffectedRows, insertID: ok.InsertID, status: ok.Status, warnings: ok.Warnings,
			info: []byte(ok.Info), track: appendTrack(nil, ok.Changes),
		}
		payloads = append(payloads, appendOK(nil, header, &o, caps))
	}
	for _, r := range results {
		switch {
		case r.ok != nil:
			end(headerOK, *r.ok)
			continue
		case r.columns == 0:
			payloads = append(payloads, appendError(nil, r.err))
			continue
		}
		payloads = append(payloads, AppendLenInt(nil, uint64(r.columns)))
		for i := range r.columns {
			payloads = append(payloads, (&Column{Name: fmt.Sprint("c", i), Type: TypeVarString}).Definition(nil))
		}
		if !caps.Has(CapDeprecateEOF) && !r.cursor {
			payloads = append(payloads, appendEOF(nil, StatusAutocommit, 0))
		}
		payloads = append(payloads, r.rows...)
		switch {
		case r.err != nil:
			payloads = append(payloads, appendError(nil, r.err))
		case caps.Has(CapDeprecateEOF):
			end(headerEOF, r.end)
		default:
			payloads = append(payloads, appendEOF(nil, r.end.Status, r.end.Warnings))
		}
	}
	return payloads
}

func texts(values ...string) (rows [][]byte) {
	for _, v := range values {
		rows = append(rows, appendLenString(nil, v))
	}
	return rows
}

func TestForwardTranslates(t *testing.T) {
	auto, more := StatusAutocommit, StatusAutocommit|StatusMoreResults
	changed := StatusAutocommit | StatusSessionStateChanged
	schema := Change{Kind: ChangeSchema, Value: "shop"}
	zone := Change{Kind: ChangeSysVar, Name: "time_zone", Value: "+01:00"}
	mode := Change{Kind: ChangeSysVar, Name: "sql_mode", Value: "ANSI"}
	gtid := Change{Kind: ChangeGTID, Value: "0-1-7"}
	wide := texts(string(bytes.Repeat([]byte("w"), 3*bufferSize)), "", "after")
	var many [][]byte
	for i := range 5000 {
		many = append(many, texts(fmt.Sprintf("row %d", i))...)
	}
	tests := []struct {
		name  string
		kind  ReplyKind
		reply []result
		seen  []result // by the client, if it differs
		want  Reply
	}{
		{
			name:  "ok",
			reply: []result{{ok: &OK{AffectedRows: 300, InsertID: 1 << 40, Status: auto, Warnings: 2, Info: "Rows matched: 300"}}},
			want:  Reply{OK: OK{AffectedRows: 300, InsertID: 1 << 40, Status: auto, Warnings: 2}, Records: 300},
		},
		{
			name:  "ok with session state",
			reply: []result{{ok: &OK{Status: changed, Info: "i", Changes: []Change{zone, schema}}}},
			want:  Reply{OK: OK{Status: changed, Changes: []Change{zone, schema}}},
		},
		{
			name:  "session state that the client didn't ask for",
			reply: []result{{ok: &OK{Status: changed, Changes: []Change{mode, gtid}}}},
			seen:  []result{{ok: &OK{Status: auto}}},
			want:  Reply{OK: OK{Status: changed, Changes: []Change{mode, gtid}}},
		},
		{
			name:  "some session state that the client didn't ask for",
			reply: []result{{ok: &OK{Status: changed, Info: "text", Changes: []Change{schema, mode, zone, gtid}}}},
			seen:  []result{{ok: &OK{Status: changed, Info: "text", Changes: []Change{schema, zone}}}},
			want:  Reply{OK: OK{Status: changed, Changes: []Change{schema, mode, zone, gtid}}},
		},
		{
			name:  "error",
			reply: []result{{err: Errorf(1062, "23000", "Duplicate entry")}},
			want:  Reply{Err: Errorf(1062, "23000", "Duplicate entry")},
		},
		{
			name:  "rows",
			reply: []result{{columns: 2, rows: texts("a", "b", "c"), end: OK{Status: auto, Warnings: 3}}},
			want:  Reply{OK: OK{Status: auto, Warnings: 3}, Rows: 3, ResultSets: 1},
		},
		{
			name:  "no rows",
			reply: []result{{columns: 1, end: OK{Status: auto}}},
			want:  Reply{OK: OK{Status: auto}, ResultSets: 1},
		},
		{
			name:  "rows wider than the buffer",
			reply: []result{{columns: 1, rows: wide, end: OK{Status: auto}}},
			want:  Reply{OK: OK{Status: auto}, Rows: 3, ResultSets: 1},
		},
		{
			name:  "many rows",
			reply: []result{{columns: 1, rows: many, end: OK{Status: auto}}},
			want:  Reply{OK: OK{Status: auto}, Rows: 5000, ResultSets: 1},
		},
		{
			name: "several results",
			reply: []result{
				{columns: 1, rows: texts("a"), end: OK{Status: more}},
				{columns: 3, rows: texts("b", "c"), end: OK{Status: more}},
				{ok: &OK{Status: auto, AffectedRows: 1}},
			},
			want: Reply{OK: OK{Status: auto, AffectedRows: 1}, Rows: 3, ResultSets: 2},
		},
		{
			name: "a second result that fails",
			reply: []result{
				{ok: &OK{Status: more, AffectedRows: 1}},
				{err: Errorf(1064, "42000", "syntax")},
			},
			want: Reply{OK: OK{Status: more, AffectedRows: 1}, Err: Errorf(1064, "42000", "syntax")},
		},
		{
			name:  "an error amid rows",
			reply: []result{{columns: 1, rows: texts("a", "b"), err: Errorf(1317, "70100", "interrupted")}},
			want:  Reply{Rows: 2, ResultSets: 1, Err: Errorf(1317, "70100", "interrupted")},
		},
		{
			name:  "an error before rows",
			reply: []result{{columns: 1, err: Errorf(1317, "70100", "interrupted")}},
			want:  Reply{ResultSets: 1, Err: Errorf(1317, "70100", "interrupted")},
		},
		{
			name:  "a cursor",
			reply: []result{{columns: 2, cursor: true, end: OK{Status: auto | StatusCursorExists}}},
			want:  Reply{OK: OK{Status: auto | StatusCursorExists}, ResultSets: 1},
		},
	}
	for _, from := range []Capability{CapProtocol41 | CapSessionTrack, both} {
		for _, to := range []Capability{CapProtocol41, CapProtocol41 | CapDeprecateEOF, CapProtocol41 | CapSessionTrack, both} {
			for _, piece := range []int{0, 1, 5, 4099} {
				for _, tt := range tests {
					name := fmt.Sprintf("%s/%x to %x by %d", tt.name, uint32(from), uint32(to), piece)
					t.Run(name, func(t *testing.T) {
						in := &memory{in: frame(1, reply(from, tt.reply...)...), piece: piece}
						out := &memory{}
						src, dst := NewConn(in), NewConn(out)
						src.caps, dst.caps = from, to
						src.seq, dst.seq = 1, 9
						src.status = StatusAutocommit
						got, err := src.Forward(dst, tt.kind, nil)
						if err != nil {
							t.Fatal(err)
						}
						if err := dst.Flush(); err != nil {
							t.Fatal(err)
						}
						seen := tt.seen
						if seen == nil {
							seen = tt.reply
						}
						payloads, ok := unframe(9, out.out.Bytes())
						if want := reply(to, seen...); !ok || !reflect.DeepEqual(payloads, want) {
							t.Errorf("the client got\n%.900q\nwant\n%.900q", payloads, want)
						}
						got.FirstByte = false
						want := tt.want
						if !from.Has(CapDeprecateEOF) || from.Has(CapDeprecateEOF) && tt.reply[0].columns > 0 && len(tt.want.Changes) == 0 {
							want.AffectedRows = got.AffectedRows
						}
						if !reflect.DeepEqual(got, want) {
							t.Errorf("reply\n%+v\nwant\n%+v", got, want)
						}
						if src.in != nil {
							t.Error("the server connection holds a buffer after the reply")
						}
					})
				}
			}
		}
	}
}

func TestForwardOtherKinds(t *testing.T) {
	def := (&Column{Name: "c", Type: TypeLong}).Definition(nil)
	tests := []struct {
		name     string
		kind     ReplyKind
		from, to [][]byte
		rows     uint64
	}{
		{"fetch", ReplyFetch, [][]byte{{0, 0, 1}, {0, 0, 2}, {headerEOF, 0, 0, 0x82, 0}}, [][]byte{{0, 0, 1}, {0, 0, 2}, {headerEOF, 0, 0, 0x82, 0, 0, 0}}, 2},
		{"field list", ReplyFieldList, [][]byte{def, def, {headerEOF, 0, 0, 2, 0}}, [][]byte{def, def, {headerEOF, 0, 0, 2, 0, 0, 0}}, 0},
		{"simple", ReplySimple, [][]byte{{0, 0, 0, 2, 0, 0, 0}}, [][]byte{{0, 0, 0, 2, 0, 0, 0}}, 0},
		{"simple by EOF", ReplySimple, [][]byte{{headerEOF, 0, 0, 2, 0}}, [][]byte{{headerEOF, 0, 0, 2, 0, 0, 0}}, 0},
		{"string", ReplyString, [][]byte{[]byte("Uptime: 7")}, [][]byte{[]byte("Uptime: 7")}, 0},
		{"error", ReplyFetch, [][]byte{appendError(nil, Errorf(1243, "HY000", "Unknown statement"))}, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := &memory{}
			src, dst := NewConn(&memory{in: frame(1, tt.from...)}), NewConn(out)
			src.seq, dst.seq, dst.caps = 1, 1, both
			got, err := src.Forward(dst, tt.kind, &Relay{})
			if err != nil || got.Rows != tt.rows {
				t.Fatal(got, err)
			}
			_ = dst.Flush()
			want := tt.to
			if want == nil {
				want = tt.from
			}
			if p, ok := unframe(1, out.out.Bytes()); !ok || !reflect.DeepEqual(p, want) {
				t.Errorf("the client got %q, want %q", p, want)
			}
		})
	}
}

func TestForwardRewritesStatus(t *testing.T) {
	r := &Relay{SetStatus: StatusInTrans, ClearStatus: StatusAutocommit | StatusNoIndex}
	for _, caps := range []Capability{0, both} {
		for _, part := range []result{
			{ok: &OK{Status: StatusAutocommit | StatusNoIndex}},
			{columns: 1, rows: texts("a"), end: OK{Status: StatusAutocommit | StatusNoIndex}},
		} {
			out := &memory{}
			src, dst := NewConn(&memory{in: frame(1, reply(caps, part)...)}), NewConn(out)
			src.seq, dst.seq, src.caps, dst.caps = 1, 1, caps, caps
			got, err := src.Forward(dst, ReplyQuery, r)
			if err != nil || got.Status != StatusAutocommit|StatusNoIndex {
				t.Fatal(got, err)
			}
			_ = dst.Flush()
			payloads, _ := unframe(1, out.out.Bytes())
			last := payloads[len(payloads)-1]
			if status := last[3]; status != byte(StatusInTrans) {
				t.Errorf("caps %x: the client sees status %x in %x", uint32(caps), status, last)
			}
		}
	}
}

func TestForwardTracksByName(t *testing.T) {
	changes := []Change{
		{Kind: ChangeSysVar, Name: "sql_mode", Value: "ANSI"},
		{Kind: ChangeSysVar, Name: "time_zone", Value: "UTC"},
		{Kind: ChangeGTID, Value: "0-1-7"},
		{Kind: ChangeState, Value: "1"},
	}
	tests := []struct {
		relay Relay
		want  []int
	}{
		{Relay{}, []int{1}},
		{Relay{Track: []string{"SQL_MODE"}}, []int{0}},
		{Relay{Track: []string{"*"}}, []int{0, 1}},
		{Relay{Track: []string{}, TrackKinds: []ChangeKind{ChangeGTID}}, []int{2}},
		{Relay{Track: []string{"*"}, TrackKinds: []ChangeKind{ChangeGTID, ChangeState}}, []int{0, 1, 2, 3}},
		{Relay{Track: []string{}}, nil},
	}
	for i, tt := range tests {
		got, err := appendChanges(nil, tt.relay.filter(appendTrack(nil, changes)))
		var want []Change
		for _, j := range tt.want {
			want = append(want, changes[j])
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d: got %v, %v, want %v", i, got, err, want)
		}
	}
}

func TestForwardHoldsErrors(t *testing.T) {
	for _, hold := range []bool{true, false} {
		out := &memory{}
		in := reply(both, result{err: Errorf(1290, "HY000", "read only")})
		src, dst := NewConn(&memory{in: frame(1, in...)}), NewConn(out)
		src.seq, dst.seq, src.caps, dst.caps = 1, 1, both, both
		got, err := src.Forward(dst, ReplyQuery, &Relay{HoldError: func(e *Error) bool { return hold && e.Code == 1290 }})
		if err != nil || got.Held != hold || got.Err == nil || got.Err.Code != 1290 {
			t.Fatal(got, err)
		}
		if want := 1; !hold && dst.seq != uint8(want+1) || hold && (dst.seq != 1 || dst.n != 0) {
			t.Errorf("hold %v: seq %d, %d bytes for the client", hold, dst.seq, dst.n)
		}
	}
	// Only what a reply begins with can be held.
	in := reply(both, result{columns: 1, rows: texts("a"), err: Errorf(1290, "HY000", "read only")})
	src, dst := NewConn(&memory{in: frame(1, in...)}), NewConn(&memory{})
	src.seq, dst.seq, src.caps, dst.caps = 1, 1, both, both
	got, err := src.Forward(dst, ReplyQuery, &Relay{HoldError: func(*Error) bool { return true }})
	if err != nil || got.Held || dst.seq != 5 {
		t.Fatal(got, err, dst.seq)
	}
}

func TestForwardReplacesLateErrors(t *testing.T) {
	for _, c := range []struct {
		in      result
		replace bool
		code    uint16 // that the client sees
	}{
		{result{columns: 1, rows: texts("a"), err: Errorf(1317, "70100", "interrupted")}, true, 3024},
		{result{columns: 1, rows: texts("a"), err: Errorf(1317, "70100", "interrupted")}, false, 1317},
		{result{err: Errorf(1317, "70100", "interrupted")}, true, 1317}, // the reply hasn't begun
	} {
		in, out := reply(both, c.in), &memory{}
		src, dst := NewConn(&memory{in: frame(1, in...)}), NewConn(out)
		src.seq, dst.seq, src.caps, dst.caps = 1, 1, both, both
		got, err := src.Forward(dst, ReplyQuery, &Relay{LateError: func(e *Error) *Error {
			if c.replace {
				return Errorf(3024, "HY000", "stopped")
			}
			return e
		}})
		if err != nil || got.Err == nil || got.Err.Code != c.code || int(dst.seq) != 1+len(in) || !src.Clean() {
			t.Errorf("%+v: %v, %v, seq %d", c, got, err, dst.seq)
		}
		if err := dst.Flush(); err != nil || !bytes.Contains(out.out.Bytes(), []byte{0xff, byte(c.code), byte(c.code >> 8)}) {
			t.Errorf("the client got %x, %v", out.out.Bytes(), err)
		}
	}
}

func TestJ17ForwardAsksForNoFileOnAServersWord(t *testing.T) {
	in := frame(1, []byte("\xfb/etc/passwd"))
	in = append(in, frame(3, reply(both, result{ok: &OK{Status: StatusAutocommit}})...)...)
	for _, sql := range []string{"", "LOAD DATA LOCAL INFILE '/tmp/a' INTO TABLE t"} {
		server, out := &memory{in: in}, &memory{}
		src, dst := NewConn(server), NewConn(out)
		src.seq, dst.seq, src.caps, dst.caps = 1, 1, both, both
		got, err := src.Forward(dst, ReplyQuery, &Relay{LocalFile: []byte(sql)})
		var side *SideError
		if !errors.As(err, &side) || side.Side != SideServer || !strings.Contains(err.Error(), "local file") || got.FirstByte {
			t.Fatalf("%q: %v, %v", sql, got, err)
		}
		if server.out.Len() != 0 || dst.n != 0 || dst.seq != 1 {
			t.Errorf("%q: the server got %x, and the client %d bytes", sql, server.out.Bytes(), dst.n)
		}
		if src.Clean() {
			t.Errorf("%q: the server connection goes on", sql)
		}
	}
}

func TestJ17ForwardRelaysALocalFile(t *testing.T) {
	parts := [][]byte{bytes.Repeat([]byte("a"), 3*bufferSize), []byte("b\n"), bytes.Repeat([]byte("c"), maxChunk), {}, []byte("d"), {}}
	var file []byte
	for i, p := range parts { // frame would join an empty packet to a full one
		file = append(file, byte(len(p)), byte(len(p)>>8), byte(len(p)>>16), byte(2+i))
		file = append(file, p...)
	}
	last := uint8(2 + len(parts))
	in := append(frame(1, []byte("\xfbf.csv")), frame(last, reply(both, result{ok: &OK{Status: StatusAutocommit, AffectedRows: 4}})...)...)
	server, client := &memory{in: in}, &memory{in: file, piece: 10000}
	src, dst := NewConn(server), NewConn(client)
	src.seq, dst.seq, src.caps, dst.caps = 1, 1, both, both
	got, err := src.Forward(dst, ReplyQuery, &Relay{LocalFile: []byte("load data local infile 'f.csv' into table t")})
	if err != nil || got.AffectedRows != 4 {
		t.Fatal(got, err)
	}
	if !bytes.Equal(server.out.Bytes(), file) {
		t.Errorf("the server got %d bytes, want the file's %d", server.out.Len(), len(file))
	}
	_ = dst.Flush()
	head := frame(1, []byte("\xfbf.csv"))
	if sent := client.out.Bytes(); !bytes.HasPrefix(sent, head) || len(sent) < len(head)+headerSize || sent[len(head)+3] != last {
		t.Errorf("the client got %x", client.out.Bytes())
	}
	// A client that breaks off, and one that is out of step, end both.
	for _, bad := range [][]byte{file[:100], frame(9, []byte("x"))} {
		src, dst := NewConn(&memory{in: in}), NewConn(&memory{in: bad})
		src.seq, dst.seq, src.caps, dst.caps = 1, 1, both, both
		_, err := src.Forward(dst, ReplyQuery, &Relay{LocalFile: []byte("'f.csv'")})
		var side *SideError
		var own *Error
		if !errors.As(err, &side) || side.Side != SideClient || errors.As(err, &own) || src.Clean() {
			t.Errorf("%.20x: %v", bad, err)
		}
	}
}

func TestForwardLeavesNothingOfALostReply(t *testing.T) {
	whole := frame(1, reply(both, result{columns: 1, rows: texts("a", "b"), end: OK{Status: 2}})...)
	for n := range len(whole) {
		dst := NewConn(&memory{})
		dst.caps, dst.seq = both, 1
		_ = dst.WritePacket([]byte("before"))
		src := NewConn(&memory{in: whole[:n], piece: 7})
		src.caps, src.seq = both, 1
		got, err := src.Forward(dst, ReplyQuery, nil)
		var side *SideError
		if !errors.As(err, &side) || side.Side != SideServer || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if got.FirstByte || got.Broken || dst.n != 10 || dst.seq != 2 {
			t.Fatalf("cut at %d: %+v, %d bytes, seq %d", n, got, dst.n, dst.seq)
		}
		if src.Clean() {
			t.Fatalf("cut at %d: clean", n)
		}
	}
}

func TestForwardSaysWhatTheClientHasGot(t *testing.T) {
	rows := texts(string(bytes.Repeat([]byte("x"), 5*bufferSize)), "y")
	whole := frame(1, reply(both, result{columns: 1, rows: rows, end: OK{Status: 2}})...)
	tests := []struct {
		name   string
		keep   int
		broken bool
	}{
		{"in a row", 4 * bufferSize, true},
		{"after a row", len(whole) - 11, false},
	}
	for _, tt := range tests {
		src, dst := NewConn(&memory{in: whole[:tt.keep]}), NewConn(&memory{})
		src.caps, src.seq, dst.caps, dst.seq = both, 1, both, 1
		got, err := src.Forward(dst, ReplyQuery, nil)
		if err == nil || !got.FirstByte || got.Broken != tt.broken {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	src, dst := NewConn(&memory{in: whole}), NewConn(&memory{fail: io.ErrClosedPipe})
	src.caps, src.seq, dst.caps, dst.seq = both, 1, both, 1
	_, err := src.Forward(dst, ReplyQuery, nil)
	var side *SideError
	if !errors.As(err, &side) || side.Side != SideClient || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a client that is gone: %v", err)
	}
	if src.Clean() {
		t.Error("a server connection amid a reply is clean")
	}
}

func TestForwardNilReadsPast(t *testing.T) {
	parts := []result{
		{columns: 1, rows: texts("a", string(make([]byte, 100000))), end: OK{Status: 10}},
		{ok: &OK{Status: 2, AffectedRows: 4}},
	}
	for _, caps := range []Capability{0, both} {
		in := append(frame(1, reply(caps, parts...)...), frame(1, reply(caps, result{err: Errorf(1064, "42000", "x")})...)...)
		src := NewConn(&memory{in: in, piece: 999})
		src.caps = caps
		for range 2 {
			if err := src.WriteCommand(ComQuery, []byte("q")); err != nil {
				t.Fatal(err)
			}
		}
		_ = src.Flush()
		got, err := src.Forward(nil, ReplyQuery, nil)
		if err != nil || got.Rows != 2 || got.ResultSets != 1 || got.AffectedRows != 4 {
			t.Fatalf("%+v, %v", got, err)
		}
		if src.Clean() {
			t.Error("clean while a reply is awaited")
		}
		if got, err = src.Forward(nil, ReplyQuery, nil); err != nil || got.Err == nil || !src.Clean() {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

func TestForwardNamesWhatIsMalformed(t *testing.T) {
	def := (&Column{Name: "c"}).Definition(nil)
	tests := map[string][]byte{
		"no bytes":           frame(1, []byte{}),
		"column count":       frame(1, []byte{0xfc, 1}),
		"column count of 10": frame(1, make([]byte, 10)[:1], nil),
		"many columns":       frame(1, []byte{0xfd, 0, 0, 2}),
		"EOF for a column":   frame(1, []byte{1}, []byte{headerEOF, 0, 0, 0, 0}),
		"short OK":           frame(1, []byte{0, 0, 0, 2}),
		"short ERR":          frame(1, []byte{headerERR, 1}),
		"out of order":       append(frame(1, []byte{1}), frame(7, def)...),
		"short end":          frame(1, []byte{1}, def, []byte{headerEOF, 0}),
		"session state":      frame(1, []byte{0, 0, 0, 0, 0x40, 0, 0, 0, 5, 1, 9}),
		"cut session state":  frame(1, []byte{0, 0, 0, 0, 0x40, 0, 0, 0, 2, 1, 9}),
	}
	for name, in := range tests {
		src, dst := NewConn(&memory{in: in}), NewConn(&memory{})
		src.caps, src.seq, dst.caps = both, 1, both
		_, err := src.Forward(dst, ReplyQuery, nil)
		var e *Error
		var side *SideError
		if !errors.As(err, &side) || side.Side != SideServer || !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
	src := NewConn(&memory{in: frame(0, appendError(nil, Errorf(4031, "HY000", "The client was disconnected by the server because of inactivity.")))})
	src.seq = 1
	if _, err := src.Forward(nil, ReplyQuery, nil); !errors.Is(err, &Error{Code: 4031}) {
		t.Errorf("a server that gave the connection up: %v", err)
	}
}
