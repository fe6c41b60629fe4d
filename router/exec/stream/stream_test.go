package stream

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

// ask starts the reading of a statement on a connection to each of n servers.
func ask(t *testing.T, inOrder bool, n int, h fakemysql.Handler) (*Streams, []*protocol.Conn) {
	t.Helper()
	var conns []*protocol.Conn
	for range n {
		c := fakemysql.Serve(t, h).Connect()
		if err := c.WriteCommand(protocol.ComQuery, []byte("rows")); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	s := New(conns, inOrder)
	for i := range conns {
		s.Start(i)
	}
	t.Cleanup(func() {
		s.Stop()
		for _, c := range conns {
			c.Interrupt()
		}
		s.Wait()
	})
	return s, conns
}

func sends(n int) fakemysql.Handler {
	return func(s *fakemysql.Session, _ protocol.Command, _ []byte) {
		var rows [][]any
		for i := range n {
			rows = append(rows, []any{fmt.Sprintf("%05d %s", i, strings.Repeat("x", i%200))})
		}
		s.Table([]string{"v"}, rows...)
	}
}

func TestRows(t *testing.T) {
	const servers, each = 3, 4000
	for _, inOrder := range []bool{true, false} {
		s, conns := ask(t, inOrder, servers, sends(each))
		for i := range servers {
			if err := s.Began(i); err != nil || len(s.Columns(i)) != 1 {
				t.Fatal(err, len(s.Columns(i)))
			}
		}
		want := servers
		if !inOrder {
			want = 1
		}
		sources := s.Sources()
		if len(sources) != want {
			t.Fatalf("%d sources", len(sources))
		}
		var all []string
		for _, from := range sources {
			last := ""
			for {
				row, err := from.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				v, rest, ok := protocol.SplitRow(row)
				if !ok || len(rest) > 0 || inOrder && string(v) < last {
					t.Fatalf("%q after %q", v, last)
				}
				last = string(v)
				all = append(all, last)
			}
			if _, err := from.Next(); !errors.Is(err, io.EOF) {
				t.Error("a row after the last one")
			}
		}
		slices.Sort(all)
		if len(all) != servers*each || all[0] != all[servers-1] || all[len(all)-1][:5] != fmt.Sprintf("%05d", each-1) {
			t.Errorf("in order %t: %d rows from %q to %q", inOrder, len(all), all[0], all[len(all)-1])
		}
		s.Wait()
		for i, c := range conns {
			if s.Err(i) != nil || s.Reply(i).Rows != each || !c.Clean() {
				t.Errorf("reply %d: %v, %d rows, clean %t", i, s.Err(i), s.Reply(i).Rows, c.Clean())
			}
		}
	}
}

func TestStop(t *testing.T) {
	s, conns := ask(t, true, 2, sends(20000))
	row, err := s.Sources()[0].Next()
	if err != nil || len(row) == 0 {
		t.Fatal(err)
	}
	s.Stop()
	s.Wait()
	for i, c := range conns {
		if s.Err(i) != nil || !c.Clean() {
			t.Errorf("reply %d: %v, clean %t", i, s.Err(i), c.Clean())
		}
	}
}

func TestFailure(t *testing.T) {
	release := make(chan struct{})
	s, _ := ask(t, true, 1, func(s *fakemysql.Session, _ protocol.Command, _ []byte) {
		s.Wait(release)
		s.Error(1105, "HY000", "no")
	})
	from := s.Sources()[0]
	close(release)
	if _, err := from.Next(); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if err := s.Began(0); !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	<-s.Done(0)
	if i, ok := s.First(); i != 0 || !ok {
		t.Error(i, ok)
	}
	if e, ok := errors.AsType[*protocol.Error](s.Err(0)); !ok || e.Code != 1105 {
		t.Error(s.Err(0))
	}
}

func TestASecondResult(t *testing.T) {
	s, _ := ask(t, false, 1, func(s *fakemysql.Session, _ protocol.Command, _ []byte) {
		s.Result(fakemysql.Table([]string{"v"}, []any{"a"}), false, protocol.StatusMoreResults)
		s.OK(protocol.OK{})
	})
	<-s.Done(0)
	if _, ok := errors.AsType[*protocol.SideError](s.Err(0)); !ok {
		t.Error(s.Err(0))
	}
}
