package router_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"shardway/protocol"
	"shardway/router"
	"shardway/test/fakemysql"
)

// severalOn sends COM_SET_OPTION, which lets a text hold several statements, or no longer.
func severalOn(t *testing.T, c *protocol.Conn, on bool) {
	t.Helper()
	option := byte(1)
	if on {
		option = 0
	}
	if err := c.WriteCommand(protocol.ComSetOption, []byte{option, 0}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Forward(nil, protocol.ReplySimple, nil)
	if err != nil || reply.Err != nil {
		t.Fatal(err, reply.Err)
	}
}

type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) Observe(ev *router.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev.Kind+" "+ev.Server+" "+ev.Outcome)
}

func TestI16EachStatementOfATextHasItsOwnPlan(t *testing.T) {
	seen := &events{}
	p := newProxy(t, func(o *router.Options) { o.Observer = seen })
	c := p.connect()
	severalOn(t, c, true)
	const text = readOfS0 + "; " + writeOfS0 + ";UPDATE users SET name = 'x;y' WHERE id = 3; SELECT server FROM users WHERE id = 3;"
	reply := exec1(t, c, text)
	if reply.ResultSets != 2 || reply.Rows != 2 || reply.Status.Has(protocol.StatusMoreResults) {
		t.Errorf("got %+v, want two results and an end", reply)
	}
	s0, s1 := p.fakes["s0p"].texts(), p.fakes["s1p"].texts()
	if count(s0, writeOfS0) != 1 || count(s1, "UPDATE users SET name = 'x;y' WHERE id = 3") != 1 {
		t.Errorf("the primaries got %q and %q, want each its write", s0, s1)
	}
	for name, f := range p.fakes {
		if slices.ContainsFunc(f.texts(), func(sql string) bool { return strings.Contains(sql, "; ") }) {
			t.Errorf("%s got several statements in one text: %q", name, f.texts())
		}
	}
	eventually(t, "each statement is an event", func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		var kinds []string
		for _, e := range seen.all {
			kind, _, _ := strings.Cut(e, " ")
			kinds = append(kinds, kind)
		}
		return slices.Equal(kinds, []string{"select", "update", "update", "select"})
	})
	if got := one(t, c, readOfS0); !strings.HasPrefix(got, "s0r") {
		t.Errorf("a read after the text is served by %s, want a replica", got)
	}
}

func TestI16StatementsShareTheSession(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	severalOn(t, c, true)
	reply := exec1(t, c, "BEGIN; "+readOfS0+"; "+writeOfS0)
	if !reply.Status.Has(protocol.StatusInTrans) {
		t.Errorf("the last reply has status %#x, want a transaction", reply.Status)
	}
	texts := p.fakes["s0p"].texts()
	if i := slices.Index(texts, "BEGIN"); i < 0 || !slices.Equal(texts[i:], []string{"BEGIN", readOfS0, writeOfS0}) {
		t.Errorf("the primary got %q, want the transaction as a whole", texts)
	}
	exec1(t, c, "COMMIT; SET sql_mode = 'ANSI_QUOTES'")
	exec1(t, c, `UPDATE users SET name = "a;b" WHERE id = 2; COMMIT`)
	if texts := p.fakes["s0p"].texts(); count(texts, `UPDATE users SET name = "a;b" WHERE id = 2`) != 1 {
		t.Errorf("the primary got %q", texts)
	}
}

func TestI16AnErrorEndsTheText(t *testing.T) {
	p := newProxy(t, nil)
	for _, f := range p.fakes {
		f.on("SELECT server FROM nowhere", func(s *fakemysql.Session) { s.Error(1146, "42S02", "Table 'nowhere' doesn't exist") })
	}
	c := p.connect()
	severalOn(t, c, true)
	for _, failing := range []struct {
		sql  string
		code uint16
	}{{"SELECT server FROM nowhere", 1146}, {"SELECT GET_LOCK('a', 1), server FROM users", 1235}} {
		_, err := c.Exec(readOfS0 + "; " + failing.sql + "; " + writeOfS0)
		wantError(t, err, failing.code)
	}
	if texts := p.fakes["s0p"].texts(); count(texts, writeOfS0) != 0 {
		t.Errorf("the write after the error has run: %q", texts)
	}
	exec1(t, c, writeOfS0)
}

func TestI16WithoutTheCapabilityAServerSaysWhatIsWrong(t *testing.T) {
	p := newProxy(t, nil)
	for _, f := range p.fakes {
		f.onCommand(func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
			if cmd == protocol.ComStmtPrepare && strings.Contains(string(payload), "; ") {
				s.Error(1064, "42000", "You have an error in your SQL syntax near 'UPDATE'")
				return true
			}
			return false
		})
	}
	c := p.connect()
	for range 2 {
		_, err := c.Exec(readOfS0 + "; " + writeOfS0)
		wantError(t, err, 1064, "near 'UPDATE'")
		severalOn(t, c, true)
		exec1(t, c, readOfS0+"; "+readOfS0)
		if err := c.WriteCommand(protocol.ComStmtPrepare, []byte(readOfS0+"; "+readOfS0)); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		_, refused, err := c.ReadPrepared()
		if err != nil || refused == nil {
			t.Fatal(err, "several statements were prepared")
		}
		wantError(t, refused, 1064)
		severalOn(t, c, false)
	}
	if texts := p.fakes["s0p"].texts(); count(texts, writeOfS0) != 0 {
		t.Errorf("a write has run: %q", texts)
	}
}
