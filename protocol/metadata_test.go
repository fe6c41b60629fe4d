package protocol

import (
	"bytes"
	"testing"
)

func TestMariaDBsCapabilitiesInTheHandshake(t *testing.T) {
	g := &Greeting{Version: "5.5.5-10.11.6-MariaDB", Capabilities: DefaultCapabilities | CapExtendedMetadata, AuthPlugin: pluginNative, salt: newSalt()}
	got, err := parseGreeting(g.append(nil))
	if err != nil || !got.Capabilities.Has(CapExtendedMetadata) || got.Capabilities.Has(CapLongPassword) {
		t.Errorf("offered %x, %v", uint64(got.Capabilities), err)
	}
	g.Capabilities = DefaultCapabilities
	if got, err = parseGreeting(g.append(nil)); err != nil || got.Capabilities != DefaultCapabilities {
		t.Errorf("offered %x, %v", uint64(got.Capabilities), err)
	}
	for _, long := range []Capability{0, CapLongPassword} {
		r := &response{caps: CapProtocol41 | CapSecureConnection | CapExtendedMetadata | long, user: "u"}
		got, err := parseResponse(r.append(nil))
		if err != nil || got.caps.Has(CapExtendedMetadata) != (long == 0) {
			t.Errorf("a client with %x has %x, %v", uint64(r.caps), uint64(got.caps), err)
		}
	}
}

// TestExtendedMetadataIsTranslated between a server and a client of which one
// has the capability.
func TestExtendedMetadataIsTranslated(t *testing.T) {
	plain := (&Column{Name: "c", Type: TypeVarString}).Definition(nil)
	json := bytes.Replace(plain, []byte{1, 'c', 0}, []byte("\x01c\x00\x06\x01\x04json"), 1)
	none := bytes.Replace(plain, []byte{1, 'c', 0}, []byte("\x01c\x00\x00"), 1)
	const caps = CapProtocol41 | CapDeprecateEOF
	for _, tt := range []struct {
		name         string
		server, to   Capability
		sent, wanted []byte
	}{
		{"neither", 0, 0, plain, plain},
		{"both", CapExtendedMetadata, CapExtendedMetadata, json, json},
		{"the server alone", CapExtendedMetadata, 0, json, plain},
		{"the client alone", 0, CapExtendedMetadata, plain, none},
	} {
		end := []byte{0xfe, 0, 0, 2, 0, 0, 0}
		for _, kind := range []ReplyKind{ReplyQuery, ReplyFieldList} {
			packets := [][]byte{{1}, tt.sent, {1, 'v'}, end}
			want := [][]byte{{1}, tt.wanted, {1, 'v'}, end}
			if kind == ReplyFieldList {
				packets, want = [][]byte{tt.sent, tt.sent, end}, [][]byte{tt.wanted, tt.wanted, end}
			}
			src, dst := NewConn(&memory{in: frame(1, packets...)}), NewConn(&memory{})
			src.caps, src.seq, dst.caps, dst.seq = caps|tt.server, 1, caps|tt.to, 1
			if _, err := src.Forward(dst, kind, nil); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if got := dst.out[:dst.n]; !bytes.Equal(got, frame(1, want...)) {
				t.Errorf("%s: the client gets\n%q, want\n%q", tt.name, got, frame(1, want...))
			}
		}
		// The same of a prepared statement, whose definitions are kept in between.
		src := NewConn(&memory{in: frame(1, []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, tt.sent)})
		src.caps, src.seq = caps|tt.server, 1
		p, _, err := src.ReadPrepared()
		if err != nil {
			t.Fatal(err)
		}
		dst := NewConn(&memory{})
		dst.caps, dst.seq = caps|tt.to, 1
		if err := dst.WritePrepared(9, p); err != nil {
			t.Fatal(err)
		}
		if want := frame(1, []byte{0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, tt.wanted); !bytes.Equal(dst.out[:dst.n], want) {
			t.Errorf("%s: the client's statement is\n%q, want\n%q", tt.name, dst.out[:dst.n], want)
		}
	}
	// What Shardway makes itself has none.
	dst := NewConn(&memory{})
	dst.caps = caps | CapExtendedMetadata
	if err := dst.WriteRows(&Rows{Columns: []Column{{Name: "c", Type: TypeVarString}}}, false, 0); err != nil || !bytes.Contains(dst.out[:dst.n], none) {
		t.Errorf("%q, %v", dst.out[:dst.n], err)
	}
	if _, err := convertDefinition(nil, plain[:4], true); err == nil {
		t.Error("a definition that is cut is taken")
	}
}
