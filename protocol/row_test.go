package protocol_test

import (
	"errors"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

func TestQueryRow(t *testing.T) {
	f := fakemysql.Serve(t, func(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
		switch string(payload) {
		case "one":
			s.Result(fakemysql.Table([]string{"a", "b", "c"}, []any{"x", nil, ""}), false, protocol.StatusAutocommit)
		case "two":
			s.Result(fakemysql.Table([]string{"a"}, []any{"x"}, []any{"y"}), false, protocol.StatusAutocommit)
		case "none":
			s.Result(fakemysql.Table([]string{"a"}), false, protocol.StatusAutocommit)
		case "error":
			s.Error(1193, "HY000", "Unknown system variable")
		}
	})
	dial := func() *protocol.Conn {
		c, _, err := protocol.Dial(t.Context(), protocol.DialOptions{Addr: f.Addr, User: "u", TLS: protocol.TLSDisabled})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial()
	row := make([]byte, 0, 64)
	one := []byte("one")
	for range 2 {
		var err error
		if row, err = c.QueryRow(row[:0], []byte("error")); err == nil {
			t.Fatal("no error")
		} else if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != 1193 || !c.Clean() {
			t.Fatalf("%v; clean %v", err, c.Clean())
		}
		if row, err = c.QueryRow(row[:0], one); err != nil || !c.Clean() {
			t.Fatal(err)
		}
		for i, want := range []string{"x", "", ""} {
			value, rest, ok := protocol.SplitRow(row)
			if !ok || string(value) != want || (value == nil) != (i == 1) {
				t.Errorf("value %d is %q, %v", i, value, ok)
			}
			row = rest
		}
		if _, _, ok := protocol.SplitRow(row); ok {
			t.Error("there is a fourth value")
		}
		row = make([]byte, 0, 64)
	}
	for _, bad := range []string{"two", "none", "nothing"} {
		c := dial()
		_, err := c.QueryRow(nil, []byte(bad))
		if _, ok := errors.AsType[*protocol.SideError](err); !ok || c.Clean() {
			t.Errorf("%s: %v, and the connection is clean: %v", bad, err, c.Clean())
		}
	}
	if _, _, ok := protocol.SplitRow([]byte{5, 'a'}); ok {
		t.Error("a value that is cut was read")
	}
}
