package protocol

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

// isWire fails the test if a decoder's error is no *Error.
func isWire(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%T: %v", err, err)
	}
}

func FuzzResponse(f *testing.F) {
	r := response{caps: DefaultCapabilities, user: "app", auth: []byte("x"), database: "d", plugin: pluginSHA2, attrs: map[string]string{"a": "b"}}
	f.Add(r.append(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := parseResponse(p)
		isWire(t, err)
		if err != nil {
			return
		}
		if len(r.auth) > 200 || !r.caps.Has(CapPluginAuth) || bytes.IndexByte(r.auth, 0) >= 0 {
			return
		}
		again, err := parseResponse(r.append(nil))
		if err != nil || again.user != r.user || !bytes.Equal(again.auth, r.auth) || again.plugin != r.plugin {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

func FuzzChangeUser(f *testing.F) {
	r := response{caps: DefaultCapabilities, user: "app", auth: []byte("x"), database: "d", plugin: pluginSHA2, attrs: map[string]string{"a": "b"}}
	f.Add(r.appendChangeUser(nil), uint32(r.caps))
	f.Fuzz(func(t *testing.T, p []byte, caps uint32) {
		_, err := parseChangeUser(p, Capability(caps))
		isWire(t, err)
	})
}

func FuzzGreeting(f *testing.F) {
	g := Greeting{Version: "8.4.0", Capabilities: DefaultCapabilities, AuthPlugin: pluginSHA2, salt: newSalt()}
	f.Add(g.append(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		_, err := parseGreeting(p)
		isWire(t, err)
	})
}

func FuzzOK(f *testing.F) {
	o := okPacket{affected: 5, insertID: 1 << 33, status: StatusSessionStateChanged, info: []byte("x"), track: appendTrack(nil, []Change{{Kind: ChangeSchema, Value: "s"}, {Kind: ChangeSysVar, Name: "n", Value: "v"}})}
	f.Add(appendOK(nil, headerOK, &o, both), uint32(both))
	f.Fuzz(func(t *testing.T, p []byte, caps uint32) {
		o, err := parseOK(p, Capability(caps))
		isWire(t, err)
		if err != nil {
			return
		}
		ok, err := o.decode()
		isWire(t, err)
		if err != nil || !Capability(caps).Has(CapSessionTrack) {
			return
		}
		again, err := parseOK(appendOK(nil, headerOK, &o, Capability(caps)), Capability(caps))
		if err != nil {
			t.Fatal(err)
		}
		ok2, err := again.decode()
		ok.Status &^= StatusSessionStateChanged
		ok2.Status &^= StatusSessionStateChanged
		if err != nil || !reflect.DeepEqual(ok, ok2) {
			t.Fatalf("%+v came back as %+v, %v", ok, ok2, err)
		}
		(&Relay{}).filter(o.track)
	})
}

func FuzzError(f *testing.F) {
	f.Add(appendError(nil, Errorf(1045, "28000", "no")))
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := decodeError(p)
		isWire(t, err)
		if err == nil && len(e.State) == 5 {
			if again, err := decodeError(appendError(nil, e)); err != nil || *again != *e {
				t.Fatalf("%v came back as %v, %v", e, again, err)
			}
		}
	})
}

func FuzzExecute(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 8, 0, 253, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 'a'}, 2, []byte{}, uint64(0))
	f.Add([]byte("\x07\x00\x00\x00\x09\x01\x00\x00\x00\x03\x01\x01\x08\x00\x00\xfe\x00\x00\xfe\x00\x05trace\x02ab\x03xyz"), 2, []byte{}, uint64(CapQueryAttributes))
	f.Fuzz(func(t *testing.T, p []byte, params int, types []byte, caps uint64) {
		if params < 0 || params > 65535 {
			return
		}
		e, err := DecodeExecute(p, params, Capability(caps))
		isWire(t, err)
		if err != nil {
			return
		}
		if e.TypesSent {
			types = e.Types
		}
		got, err := e.DecodeParams(types, func(i int) bool { return i%7 == 3 }, nil)
		isWire(t, err)
		if err == nil && len(got) != len(types)/2 {
			t.Fatalf("%d values of %d types", len(got), len(types)/2)
		}
		if err == nil {
			AppendExecute(nil, 1, &e, types, 0)
			AppendExecute(nil, 1, &e, types, CapQueryAttributes)
		}
	})
}

// FuzzReply gives Forward and the readers of replies whatever a server might
// say.
func FuzzReply(f *testing.F) {
	f.Add(frame(1, reply(both, result{columns: 1, rows: texts("a"), end: OK{Status: 2}})...), uint64(both), uint8(0), 3)
	f.Add(frame(1, reply(0, result{columns: 1, rows: texts("a"), end: OK{Status: 2}})...), uint64(0), uint8(0), 0)
	f.Add(frame(1, []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, []byte{3, 'd', 'e', 'f'}), uint64(both), uint8(5), 0)
	f.Add(frame(1, reply(both, result{columns: 1, rows: texts("a"), end: OK{Status: 2}})...), uint64(both|CapExtendedMetadata), uint8(0), 0)
	f.Fuzz(func(t *testing.T, in []byte, caps uint64, kind uint8, piece int) {
		src, dst := NewConn(&memory{in: in, piece: max(0, piece)}), NewConn(&memory{})
		src.caps, src.seq, dst.caps = Capability(caps), 1, both
		src.SetMaxPacket(1 << 20)
		var side *SideError
		switch kind {
		case 5:
			if _, _, err := src.ReadPrepared(); err != nil && !errors.As(err, &side) {
				t.Fatal(err)
			}
		case 6:
			src.seq = 0
			var e *Error
			if _, err := src.Query("q"); err != nil && !errors.As(err, &side) && !errors.As(err, &e) {
				t.Fatal(err)
			}
		default:
			r, err := src.Forward(dst, ReplyKind(kind%5), &Relay{SetStatus: 1})
			if err != nil && !errors.As(err, &side) {
				t.Fatal(err)
			}
			if err != nil && !r.FirstByte && dst.n != 0 {
				t.Fatal("something of a lost reply is left")
			}
		}
	})
}

// FuzzAccept gives a login whatever a client might say after the greeting: it ends with a client, with an error of the
// protocol, or as the connection does.
func FuzzAccept(f *testing.F) {
	r := response{caps: DefaultCapabilities, user: "app", auth: []byte("x"), database: "d", plugin: pluginNative, attrs: map[string]string{"a": "b"}}
	whole := append([]byte{byte(len(r.append(nil))), 0, 0, 1}, r.append(nil)...)
	f.Add(whole, 0)
	f.Add(append(whole, 20, 0, 0, 3, 1, 2, 3), 3)
	f.Add(append([]byte("PROXY TCP4 192.0.2.7 127.0.0.1 50000 4406\r\n"), whole...), 1)
	f.Add([]byte{0xff, 0xff, 0xff, 1, 0}, 0)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 0)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		c := NewConn(&memory{in: in, piece: max(0, piece)})
		l := &Login{Version: "8.4.0", ConnectionID: 1, Trust: true, Proxies: func(netip.Addr) bool { return true }}
		client, err := l.Accept(t.Context(), c)
		if (client == nil) != (err != nil) {
			t.Fatalf("%v and %v", client, err)
		}
		if c.BytesIn > uint64(len(in)) {
			t.Fatalf("%d bytes of %d were read", c.BytesIn, len(in))
		}
	})
}
