package router_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

func TestATransactionIsOpenedAtTheShardOfItsFirstStatement(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	exec1(t, c, "SET shardway_cross_shard = 'forbid'")
	if r := exec1(t, c, "BEGIN"); !r.Status.Has(protocol.StatusInTrans) {
		t.Error("BEGIN is answered without a transaction in its status")
	}
	exec1(t, c, "SAVEPOINT a")
	if got := one(t, c, "SELECT server FROM users WHERE id = 3"); got != "s1p" {
		t.Errorf("a read in the transaction was served by %s", got)
	}
	_, err := c.Exec("UPDATE users SET name = 'x' WHERE id = 2")
	wantError(t, err, 1235, "s0", "s1")
	exec1(t, c, "UPDATE users SET name = 'x' WHERE id = 5")
	if r := exec1(t, c, "COMMIT"); r.Status.Has(protocol.StatusInTrans) {
		t.Error("the transaction is still open after COMMIT")
	}
	want := []string{"BEGIN", "SAVEPOINT a", "SELECT server FROM users WHERE id = 3", "UPDATE users SET name = 'x' WHERE id = 5", "COMMIT"}
	if got := p.fakes["s1p"].texts(); strings.Join(got, ";") != strings.Join(want, ";") {
		t.Errorf("the primary saw %q, want %q", got, want)
	}
	if got := p.fakes["s0p"].texts(); len(got) != 0 {
		t.Errorf("the other shard saw %q", got)
	}
}

func TestVariablesFollowTheClientAndNobodyElse(t *testing.T) {
	p := newProxy(t, nil)
	a, b := p.connect(), p.connect()
	exec1(t, a, "SET time_zone = '+05:00'")
	for range 6 {
		if got := one(t, a, "SELECT @@time_zone"); got != "+05:00" {
			t.Fatalf("the client has time_zone %q", got)
		}
		if got := one(t, b, "SELECT @@time_zone"); got == "+05:00" {
			t.Fatal("another client got the variable")
		}
	}
}

func TestAStatementDoesNotRunUnderAStateThatItsServerRefuses(t *testing.T) {
	p := newProxy(t, nil)
	refuse := func(s *fakemysql.Session) { s.Error(1231, "42000", "Variable 'time_zone' can't be set to the value") }
	for _, name := range []string{"s1p", "s1r1", "s1r2"} {
		p.fakes[name].on("SET SESSION time_zone='+05:00'", refuse)
	}
	c := p.connect()
	exec1(t, c, "SET time_zone = '+05:00'")
	const sql = "SELECT server FROM users WHERE id = 3"
	_, err := c.Query(sql)
	wantError(t, err, 1231, "s1", "state")
	for _, name := range []string{"s1p", "s1r1", "s1r2"} {
		if n := count(p.fakes[name].texts(), sql); n != 0 {
			t.Errorf("%s ran the statement", name)
		}
	}
	if got := one(t, c, "SELECT server FROM users WHERE id = 2"); !strings.HasPrefix(got, "s0r") {
		t.Errorf("the other shard's read was served by %s", got)
	}
}

func TestAnInsertIDThatTheStatementGaveIsNotLastInsertID(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	f := p.fakes["s0p"]
	insert := func(sql string, id uint64, generated string) {
		f.on(sql, func(s *fakemysql.Session) {
			s.Values["generated"] = generated
			s.OK(protocol.OK{Status: protocol.StatusAutocommit, InsertID: id, AffectedRows: 1})
		})
		exec1(t, c, sql)
	}
	var asked atomic.Pointer[string]
	f.on("SELECT LAST_INSERT_ID()", func(s *fakemysql.Session) {
		v := s.Values["generated"]
		if p := asked.Load(); p != nil {
			v = *p
		}
		s.Table([]string{"LAST_INSERT_ID()"}, []any{v})
	})
	set := func(id string) {
		f.on("SET last_insert_id="+id, func(s *fakemysql.Session) {
			asked.Store(&id)
			s.OK(protocol.OK{Status: protocol.StatusAutocommit})
		})
	}
	set("77")
	set("40")
	insert("INSERT INTO notes (note) VALUES ('a')", 77, "77")
	if got := one(t, c, "SELECT LAST_INSERT_ID()"); got != "77" {
		t.Errorf("after a generated id LAST_INSERT_ID() is %s", got)
	}
	asked.Store(nil)
	insert("INSERT INTO notes (id, note) VALUES (40, 'b')", 40, "0")
	if got := one(t, c, "SELECT LAST_INSERT_ID()"); got != "77" {
		t.Errorf("after a given id LAST_INSERT_ID() is %s", got)
	}
}

func TestWarningsAreThereAtOnceAndLater(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	f := p.fakes["s0p"]
	const sql = "UPDATE users SET name = 'long' WHERE id = 2"
	f.on(sql, func(s *fakemysql.Session) { s.OK(protocol.OK{Status: protocol.StatusAutocommit, Warnings: 1}) })
	f.on("SHOW WARNINGS", func(s *fakemysql.Session) {
		s.Table([]string{"Level", "Code", "Message"}, []any{"Warning", "1265", "Data truncated"})
	})
	for _, later := range []bool{false, true} {
		exec1(t, c, sql)
		if later {
			eventually(t, "the connection was given back", func() bool {
				table, err := p.Table("sessions")
				return err == nil && len(table.Rows) == 1 && table.Rows[0][7] == ""
			})
		}
		res, err := c.Query("SHOW WARNINGS")
		if err != nil || len(res.Rows) != 1 || *res.Rows[0][2] != "Data truncated" {
			t.Errorf("later=%v: got %v, %v", later, res, err)
		}
	}
	one(t, c, "SELECT server FROM users WHERE id = 2")
	if res, err := c.Query("SHOW WARNINGS"); err != nil || len(res.Rows) != 0 {
		t.Errorf("after a statement without warnings: got %v, %v", res, err)
	}
}

func TestATimeoutAndKillEndAStatementAtItsServer(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "/* shardway: timeout=20ms */ SELECT server FROM users WHERE id = 2 AND SLEEP(10)"
	const long = "SELECT server FROM users WHERE id = 2 AND SLEEP(20)"
	running := make(chan uint32, 8)
	for _, name := range []string{"s0p", "s0r1", "s0r2"} {
		f := p.fakes[name]
		killed := make(chan struct{}, 8)
		wait := func(s *fakemysql.Session) {
			running <- s.ID
			<-killed
			s.Error(1317, "70100", "Query execution was interrupted")
		}
		f.on(sql, wait)
		f.on(long, wait)
		for id := range uint32(64) {
			f.on(fmt.Sprintf("KILL QUERY %d", id), func(s *fakemysql.Session) {
				killed <- struct{}{}
				s.OK(protocol.OK{})
			})
		}
	}
	a, b := p.connect(), p.connect()
	_, err := a.Query(sql)
	wantError(t, err, 3024, "20ms")
	<-running

	done := make(chan error, 1)
	go func() {
		_, err := a.Query(long)
		done <- err
	}()
	<-running
	table, err := p.Table("sessions")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Rows {
		if row[4] == "running" {
			exec1(t, b, fmt.Sprintf("KILL QUERY %d", row[0]))
		}
	}
	wantError(t, <-done, 1317)
	one(t, a, "SELECT server FROM users WHERE id = 3")
	_, err = b.Exec("KILL 4000000")
	wantError(t, err, 1094)
}

func TestAPreparedStatementGoesWhereEachExecutionBinds(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	send := func(cmd protocol.Command, payload []byte) {
		t.Helper()
		if err := c.WriteCommand(cmd, payload); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send(protocol.ComStmtPrepare, []byte("SELECT server FROM users WHERE id = ?"))
	prepared, refused, err := c.ReadPrepared()
	if err != nil || refused != nil {
		t.Fatal(err, refused)
	}
	served := func() (s0, s1 int) {
		for name, f := range p.fakes {
			for _, got := range f.Got() {
				if got.Command == protocol.ComStmtExecute {
					if strings.HasPrefix(name, "s0") {
						s0++
					} else {
						s1++
					}
				}
			}
		}
		return s0, s1
	}
	for i, id := range []byte{2, 3, 3, 2, 4, 5} {
		e := protocol.Execute{Iterations: 1, NullBitmap: []byte{0}, Values: []byte{id}}
		if i == 0 {
			e.Types = []byte{protocol.TypeTiny, 0}
		}
		payload := protocol.AppendExecute(nil, prepared.ID, &e, e.Types, 0)
		if i > 0 { // the types are remembered
			payload = append(payload, 0, 0, id)
		}
		send(protocol.ComStmtExecute, payload)
		r, err := c.Forward(nil, protocol.ReplyQuery, nil)
		if err != nil || r.Err != nil || r.Rows != 1 {
			t.Fatal(err, r.Err, r.Rows)
		}
	}
	if s0, s1 := served(); s0 != 3 || s1 != 3 {
		t.Errorf("%d executions went to s0 and %d to s1, want 3 and 3", s0, s1)
	}
}
