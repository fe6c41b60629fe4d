package fakemysql_test

import (
	"errors"
	"strings"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

func TestScript(t *testing.T) {
	s := fakemysql.New(t,
		fakemysql.Always(protocol.ComPing, ""),
		fakemysql.Expect(protocol.ComQuery, "select 1").Table([]string{"1"}, []any{"1"}, []any{nil}),
		fakemysql.Expect(protocol.ComQuery, "/^insert/").OK(protocol.OK{AffectedRows: 3}),
		fakemysql.Expect(protocol.ComQuery, "").Err(1062, "23000", "dup"),
		fakemysql.Expect(protocol.ComQuery, "bye").Close(),
	)
	c := s.Connect()
	r, err := c.Query("SELECT 1")
	if err != nil || len(r.Rows) != 2 || *r.Rows[0][0] != "1" || r.Rows[1][0] != nil {
		t.Fatal(r, err)
	}
	if r, err := c.Exec("insert into t values (1)"); err != nil || r.AffectedRows != 3 {
		t.Fatal(r, err)
	}
	if _, err := c.Exec("anything"); !errors.Is(err, &protocol.Error{Code: 1062}) || !c.Clean() {
		t.Fatal(err)
	}
	if _, err := c.Exec("bye"); err == nil {
		t.Fatal("no error although the server closed")
	}
	if q := strings.Join(s.Queries(), "|"); q != "SELECT 1|insert into t values (1)|anything|bye" {
		t.Error(q)
	}
}

func TestStopAndStart(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		s := fakemysql.Options{Network: network}.Serve(t, func(*fakemysql.Session, protocol.Command, []byte) {})
		c := s.Connect()
		if _, err := c.Exec("x"); err != nil {
			t.Fatal(err)
		}
		s.Stop()
		if _, err := c.Exec("x"); err == nil {
			t.Fatal("a stopped server answers")
		}
		if _, _, err := protocol.Dial(t.Context(), protocol.DialOptions{Addr: s.Addr}); err == nil {
			t.Fatal("a stopped server is dialled")
		}
		s.Start()
		if _, err := s.Connect().Exec("x"); err != nil {
			t.Fatal(err)
		}
		s.Refuse(protocol.Errorf(1040, "08004", "Too many connections"))
		if _, _, err := protocol.Dial(t.Context(), protocol.DialOptions{Addr: s.Addr}); !errors.Is(err, &protocol.Error{Code: 1040}) {
			t.Fatal(err)
		}
	}
}

func TestUsersAndHang(t *testing.T) {
	release := make(chan struct{})
	s := fakemysql.Options{Users: map[string]string{"app": "pw"}, FullAuth: true}.New(t,
		fakemysql.Expect(protocol.ComQuery, "q").OK(protocol.OK{AffectedRows: 1}).Hang(release))
	if _, _, err := protocol.Dial(t.Context(), protocol.DialOptions{Addr: s.Addr, User: "app"}); !errors.Is(err, &protocol.Error{Code: 1045}) {
		t.Fatal(err)
	}
	c, _, err := protocol.Dial(t.Context(), protocol.DialOptions{Addr: s.Addr, User: "app", Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	close(release)
	if r, err := c.Exec("q"); err != nil || r.AffectedRows != 1 {
		t.Fatal(r, err)
	}
}
