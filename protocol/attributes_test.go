package protocol

import (
	"bytes"
	"net"
	"testing"
)

// pairOf gives two ends of one connection that have agreed on capabilities.
func pairOf(t *testing.T, client, server Capability) (c, s *Conn) {
	t.Helper()
	a, b := net.Pipe()
	c, s = NewConn(a), NewConn(b)
	c.SetCapabilities(client)
	s.SetCapabilities(server)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}

// attributes of a number and a text, as they lie before a statement.
var attributesOfTwo = []byte("\x02\x01\x00\x01\x08\x00\x01n\xfe\x00\x05trace\x07\x00\x00\x00\x00\x00\x00\x00\x03abc")

func TestQueryAttributesAreTakenAndPassedOn(t *testing.T) {
	for _, tt := range []struct {
		name           string
		caps           Capability
		payload        string
		text, attrs    string
		forServer      string // what a server with the capability gets
		forOtherServer string
	}{
		{"none", CapQueryAttributes, "\x00\x01SELECT 1", "SELECT 1", "", "\x00\x01SELECT 1", "SELECT 1"},
		{"an empty statement", CapQueryAttributes, "\x00\x01", "", "", "\x00\x01", ""},
		{"a client without them", 0, "\x00\x01SELECT 1", "\x00\x01SELECT 1", "", "\x00\x01\x00\x01SELECT 1", "\x00\x01SELECT 1"},
		{"two", CapQueryAttributes, string(attributesOfTwo) + "SELECT 2", "SELECT 2", string(attributesOfTwo), string(attributesOfTwo) + "SELECT 2", "SELECT 2"},
		{"NULL", CapQueryAttributes, "\x01\x01\x01\x01\x08\x00\x01nSELECT 3", "SELECT 3", "\x01\x01\x01\x01\x08\x00\x01n", "\x01\x01\x01\x01\x08\x00\x01nSELECT 3", "SELECT 3"},
	} {
		client, us := pairOf(t, 0, tt.caps)
		done := make(chan error, 1)
		go func() { done <- writeAll(client, append([]byte{byte(ComQuery)}, tt.payload...)) }()
		cmd, text, err := us.ReadCommand()
		if err != nil || cmd != ComQuery || string(text) != tt.text || string(us.QueryAttributes()) != tt.attrs {
			t.Errorf("%s: %s %q with %q, %v", tt.name, cmd, text, us.QueryAttributes(), err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, side := range []struct {
			caps Capability
			want string
		}{{CapQueryAttributes, tt.forServer}, {0, tt.forOtherServer}} {
			server, them := pairOf(t, side.caps, 0)
			go func() {
				err := server.WriteQuery(us.QueryAttributes(), text)
				if err == nil {
					err = server.Flush()
				}
				done <- err
			}()
			if p, err := them.ReadPacket(); err != nil || string(p) != string([]byte{byte(ComQuery)})+side.want {
				t.Errorf("%s: a server with %x gets %q, %v", tt.name, uint64(side.caps), p, err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
}

func writeAll(c *Conn, p []byte) error {
	c.seq = 0
	if err := c.WritePacket(p); err != nil {
		return err
	}
	return c.Flush()
}

func TestMalformedQueryAttributes(t *testing.T) {
	for _, payload := range []string{
		"", "\x00", "\x00\x02SELECT 1", "\xfb\x01SELECT 1", "\x01\x01", "\x01\x01\x00\x00SELECT 1", "\x01\x01\x00\x01\x08\x00\x09n",
		"\x01\x01\x00\x01\x08\x00\x01n\x01\x02", "\xfd\xff\xff\xff\x01SELECT 1", "\x01\x01\x00\x01\x99\x00\x01nSELECT 1",
		"\x01\x01\x00\x01\xfe\x00\x01n\xfd\xff\xff\xff", "\x01\x01\x00\x01\xfe\x00\x01n\xfd\x00\x00\x01" + string(make([]byte, 1<<16)) + "SELECT 1",
	} {
		c := &Conn{caps: CapQueryAttributes}
		text, err := c.takeAttributes([]byte(payload))
		isWire(t, err)
		if err == nil || c.attrs != nil {
			t.Errorf("%.40q: text %q, attributes %q", payload, text, c.attrs)
		}
	}
}

func TestAttributesOfAnExecution(t *testing.T) {
	// Statement 7 of two parameters, the first one NULL, and an attribute.
	payload := []byte("\x07\x00\x00\x00\x09\x01\x00\x00\x00\x03\x01\x01\x08\x00\x00\xfe\x00\x00\xfe\x00\x05trace\x02ab\x03xyz")
	e, err := DecodeExecute(payload, 2, CapQueryAttributes)
	if err != nil {
		t.Fatal(err)
	}
	if e.Flags != 1 || e.Attributes != 1 || !bytes.Equal(e.Types, []byte{8, 0, 0xfe, 0}) {
		t.Fatalf("%+v", e)
	}
	params, err := e.DecodeParams(e.Types, nil, nil)
	if err != nil || len(params) != 2 || !params[0].Null || string(params[1].Bytes) != "ab" {
		t.Fatalf("%+v, %v", params, err)
	}
	if got := AppendExecute(nil, 7, &e, e.Types, CapQueryAttributes); !bytes.Equal(got, payload) {
		t.Errorf("a server with attributes gets\n%q, want\n%q", got, payload)
	}
	want := []byte("\x07\x00\x00\x00\x01\x01\x00\x00\x00\x01\x01\x08\x00\xfe\x00\x02ab")
	if got := AppendExecute(nil, 7, &e, e.Types, 0); !bytes.Equal(got, want) {
		t.Errorf("a server without gets\n%q, want\n%q", got, want)
	}
	// A statement without parameters.
	payload = []byte("\x07\x00\x00\x00\x08\x01\x00\x00\x00\x01\x00\x01\xfe\x00\x05trace\x03xyz")
	if e, err = DecodeExecute(payload, 0, CapQueryAttributes); err != nil || e.Attributes != 1 || e.Flags != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := e.DecodeParams(nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := AppendExecute(nil, 7, &e, nil, CapQueryAttributes); !bytes.Equal(got, payload) {
		t.Errorf("a server with attributes gets\n%q, want\n%q", got, payload)
	}
	if got := AppendExecute(nil, 7, &e, nil, 0); !bytes.Equal(got, []byte("\x07\x00\x00\x00\x00\x01\x00\x00\x00")) {
		t.Errorf("a server without gets %q", got)
	}
	for n := 9; n < len(payload)-4; n++ { // its value isn't looked at
		if _, err := DecodeExecute(payload[:n], 0, CapQueryAttributes); err == nil {
			t.Errorf("%d bytes of it are taken", n)
		}
	}
	if _, err := DecodeExecute([]byte("\x07\x00\x00\x00\x08\x01\x00\x00\x00\x01\x00\x01\x08\x00\x00"), 2, CapQueryAttributes); err == nil {
		t.Error("one value for two parameters is taken")
	}
	if _, err := DecodeExecute([]byte("\x07\x00\x00\x00\x08\x01\x00\x00\x00\x01\x00\x00"), 0, CapQueryAttributes); err == nil {
		t.Error("an attribute without a type is taken")
	}
}

func FuzzQueryAttributes(f *testing.F) {
	f.Add([]byte("\x00\x01SELECT 1"))
	f.Add(append(bytes.Clone(attributesOfTwo), "SELECT 2"...))
	f.Fuzz(func(t *testing.T, p []byte) {
		c := &Conn{caps: CapQueryAttributes}
		text, err := c.takeAttributes(p)
		isWire(t, err)
		if err == nil && !bytes.HasSuffix(p, text) || err == nil && len(c.attrs) > 0 && len(c.attrs)+len(text) != len(p) {
			t.Fatalf("%q: text %q, attributes %q", p, text, c.attrs)
		}
	})
}
