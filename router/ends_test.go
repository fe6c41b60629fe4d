package router_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/test/fakemysql"
)

func TestLimitsOfShowWarnings(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	for _, limit := range []string{"1, 18446744073709551615", "1, 9223372036854775807", "9223372036854775807, 9223372036854775807", "0"} {
		if _, err := c.Exec("SELECT GET_LOCK('a', 1), server FROM users WHERE id IN (2, 3)"); err == nil {
			t.Fatal("no error")
		}
		res, err := c.Query("SHOW WARNINGS LIMIT " + limit)
		if err != nil {
			t.Fatal(limit, err)
		}
		if len(res.Rows) != 0 {
			t.Errorf("LIMIT %s: %d rows", limit, len(res.Rows))
		}
	}
}

func TestAResetForgetsWarnings(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	const sql = "UPDATE users SET name = 'long' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) { s.OK(protocol.OK{Status: protocol.StatusAutocommit, Warnings: 1}) })
	p.fakes["s0p"].on("SHOW WARNINGS", func(s *fakemysql.Session) {
		s.Table([]string{"Level", "Code", "Message"}, []any{"Warning", "1265", "Data truncated"})
	})
	exec1(t, c, sql)
	eventually(t, "the connection is given back", func() bool { return p.busy() == 0 })
	simpleCommand(t, c, protocol.ComResetConnection, nil)
	if res, err := c.Query("SHOW WARNINGS"); err != nil || len(res.Rows) != 0 {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestADrainEndsAClientThatHasWarnings(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	const sql = "UPDATE users SET name = 'long' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) { s.OK(protocol.OK{Status: protocol.StatusAutocommit, Warnings: 1}) })
	exec1(t, c, sql)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func TestKillEndsAClientThatHasWarnings(t *testing.T) {
	p := newProxy(t, nil)
	c, killer := p.connect(), p.connect()
	const sql = "UPDATE users SET name = 'long' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) { s.OK(protocol.OK{Status: protocol.StatusAutocommit, Warnings: 1}) })
	id := one(t, c, "SELECT CONNECTION_ID()")
	exec1(t, c, sql)
	exec1(t, killer, "KILL "+id)
	eventually(t, "the session is gone", func() bool { return p.Sessions() == 1 })
}

func TestACallThatFailsLeavesNothingToOthers(t *testing.T) {
	p := newProxy(t, nil)
	a, b := p.connect(), p.connect()
	const call = "CALL leave_things()"
	p.fakes["s0p"].on(call, func(s *fakemysql.Session) {
		s.Values["left"] = "a variable"
		s.Error(1644, "45000", "that's enough")
	})
	var found atomic.Bool
	p.fakes["s0p"].on(writeOfS0, func(s *fakemysql.Session) {
		if s.Values["left"] != "" {
			found.Store(true)
		}
	})
	_, err := a.Exec(call)
	wantError(t, err, 1644)
	a.Close()
	eventually(t, "the session is gone", func() bool { return p.Sessions() == 1 })
	exec1(t, b, writeOfS0)
	if found.Load() {
		t.Error("another client got what the CALL left")
	}
}

func TestTheColumnsOfATableAreReadUnderNobodysState(t *testing.T) {
	p := newProxy(t, nil)
	p.fakes["s0p"].onCommand(func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
		if cmd != protocol.ComQuery || !strings.Contains(string(payload), "information_schema.COLUMNS") {
			return false
		}
		if s.Values["@@sql_select_limit"] == "1" {
			s.Table([]string{"COLUMN_NAME"}, []any{"name"})
		} else {
			s.Table([]string{"COLUMN_NAME"}, []any{"name"}, []any{"id"})
		}
		return true
	})
	p.fakes["s0p"].on("SET SESSION sql_select_limit=DEFAULT", func(s *fakemysql.Session) { delete(s.Values, "@@sql_select_limit") })
	a, b := p.connect(), p.connect()
	exec1(t, a, "SET sql_select_limit = 1")
	exec1(t, a, writeOfS0)
	exec1(t, b, "INSERT INTO users VALUES ('x', 3)")
	if n := count(p.fakes["s1p"].texts(), "INSERT INTO users VALUES ('x', 3)"); n != 1 {
		t.Errorf("shard s1 saw the row %d times", n)
	}
}

// killsGiveUpSoon is for when the statement runs that is going to be killed: so small a DialTimeout takes a server that is
// only slow for one that is down.
func (p *proxy) killsGiveUpSoon() {
	p.opts.Executor.Cluster().SetOptions(backend.Options{
		User: "shardway", TLS: protocol.TLSDisabled, FallbackToPrimary: true, WaitTimeout: 2 * time.Second, DialTimeout: 100 * time.Millisecond,
	})
}

func TestShutdownEndsThoughAServerIsFrozen(t *testing.T) {
	p := newProxy(t, nil)
	frozen := make(chan struct{})
	t.Cleanup(func() { close(frozen) })
	running := make(chan struct{}, 1)
	p.fakes["s0p"].on(writeOfS0, func(s *fakemysql.Session) {
		running <- struct{}{}
		s.Wait(frozen)
	})
	p.fakes["s0p"].onCommand(func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
		if strings.HasPrefix(string(payload), "KILL") {
			s.Wait(frozen)
			return true
		}
		return false
	})
	c := p.connect()
	go func() { _, _ = c.Exec(writeOfS0) }()
	<-running
	p.killsGiveUpSoon()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		_ = p.Shutdown(ctx)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("Shutdown waits for a server that doesn't answer")
	}
}

func TestATimeoutEndsAStatementOfAFrozenServer(t *testing.T) {
	p := newProxy(t, nil)
	frozen := make(chan struct{})
	t.Cleanup(func() { close(frozen) })
	const sql = "/* shardway: timeout=20ms */ UPDATE users SET name = 'x' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) {
		p.killsGiveUpSoon()
		s.Wait(frozen)
	})
	p.fakes["s0p"].onCommand(func(s *fakemysql.Session, _ protocol.Command, payload []byte) bool {
		if strings.HasPrefix(string(payload), "KILL") {
			s.Wait(frozen)
			return true
		}
		return false
	})
	c := p.connect()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Exec(sql)
	wantError(t, err, 1105, "isn't known")
}

func TestUsersMayChangeWhileSessionsAreListed(t *testing.T) {
	p := newProxy(t, nil)
	c, other := p.connect(), p.connect()
	id := one(t, c, "SELECT CONNECTION_ID()")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			_, _ = p.Table("sessions")
			_, _ = other.Exec("KILL QUERY " + id)
		}
	}()
	for range 20 {
		if err := c.ChangeUser(protocol.DialOptions{User: "app", Password: "app", Database: "shop"}); err != nil {
			t.Error(err)
			break
		}
	}
	<-done
}

func TestWhatTriggersLeaveIsNobodyElses(t *testing.T) {
	p := newProxy(t, nil)
	a, b := p.connect(), p.connect()
	const sql = "UPDATE users SET name = 'fires' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) {
		s.Values["left"] = "a variable"
		s.OK(protocol.OK{Status: protocol.StatusAutocommit, Changes: []protocol.Change{{Kind: protocol.ChangeState, Value: "1"}}})
	})
	var found atomic.Int32
	p.fakes["s0p"].on(writeOfS0, func(s *fakemysql.Session) {
		if s.Values["left"] != "" {
			found.Add(1)
		}
	})
	exec1(t, a, sql)
	exec1(t, b, writeOfS0)
	a.Close()
	eventually(t, "the session is gone", func() bool { return p.Sessions() == 1 })
	exec1(t, b, writeOfS0)
	if found.Load() != 0 {
		t.Error("another client got what the trigger left")
	}
}

func TestLastInsertIDAfterOtherStatements(t *testing.T) {
	for _, sql := range []string{"INSERT INTO notes (note) SELECT 'a'", "CALL add_note()"} {
		p := newProxy(t, nil)
		var last atomic.Value
		last.Store("0")
		for _, name := range []string{"s0p", "s0r1", "s0r2"} {
			f := p.fakes[name]
			f.on(sql, func(s *fakemysql.Session) {
				last.Store("77")
				ok := protocol.OK{Status: protocol.StatusAutocommit, AffectedRows: 1}
				if strings.HasPrefix(sql, "INSERT") {
					ok.InsertID = 77
				}
				s.OK(ok)
			})
			f.on("SELECT LAST_INSERT_ID()", func(s *fakemysql.Session) { s.Table([]string{"id"}, []any{last.Load()}) })
			f.on("SET last_insert_id=0", func(s *fakemysql.Session) { last.Store("0") })
		}
		c := p.connect()
		exec1(t, c, sql)
		one(t, c, "SELECT server FROM users WHERE id = 3")
		if got := one(t, c, "SELECT LAST_INSERT_ID()"); got != "77" {
			t.Errorf("after %s and another statement LAST_INSERT_ID() is %s", sql, got)
		}
	}
}

func TestAWriteThatItsServerEndedIsNeverSentTwice(t *testing.T) {
	for _, code := range []uint16{1053, 1927, 3169} {
		p := newProxy(t, nil)
		p.fakes["s0p"].on(writeOfS0, func(s *fakemysql.Session) { s.Error(code, "08S01", "Server shutdown in progress") })
		_, err := p.connect().Exec(writeOfS0)
		wantError(t, err, 1105, "isn't known")
		if n := count(p.fakes["s0p"].texts(), writeOfS0); n != 1 {
			t.Errorf("after error %d it was sent %d times", code, n)
		}
	}
}
