package router_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

// busy is how many server connections somebody holds.
func (p *proxy) busy() int {
	n := 0
	for _, pool := range p.opts.Executor.Cluster().Pools() {
		n += pool.Busy
	}
	return n
}

// dialSchema logs in with another current schema, "" for none.
func (p *proxy) dialSchema(schema string) *protocol.Conn {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := protocol.Dial(ctx, protocol.DialOptions{Network: "tcp", Addr: p.addr, User: "app", Password: "app", Database: schema, TLS: protocol.TLSDisabled})
	if err != nil {
		p.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	p.t.Cleanup(func() { c.Close() })
	return c
}

const (
	readOfS0  = "SELECT server FROM users WHERE id = 2"
	writeOfS0 = "UPDATE users SET name = 'x' WHERE id = 2"
)

func TestAPinOnAReplicaTakesNoWrites(t *testing.T) {
	for _, pin := range []string{"SET @x = CONCAT('a', 'b')", "SET insert_id = 5", "SET @x = CONCAT('a', 'b')/BEGIN"} {
		t.Run(pin, func(t *testing.T) {
			p := newProxy(t, nil)
			c := p.connect()
			for range 4 {
				one(t, c, readOfS0) // the replicas have idle connections, and the primary none
			}
			for sql := range strings.SplitSeq(pin, "/") {
				exec1(t, c, sql)
			}
			exec1(t, c, writeOfS0)
			if n := count(p.fakes["s0p"].texts(), writeOfS0); n != 1 {
				t.Errorf("the primary saw the write %d times", n)
			}
		})
	}
}

func TestAVariableOfOneConnectionIsNotForgottenOnAnotherShard(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	exec1(t, c, "SET insert_id = 5")
	const sql = "INSERT INTO users (id, name) VALUES (3, 'x')"
	_, err := c.Exec(sql)
	wantError(t, err, 1235, "s0", "insert_id", "s1")
	if n := count(p.fakes["s1p"].texts(), sql); n != 0 {
		t.Error("the insert ran without the id")
	}
	if got := one(t, c, "SELECT server FROM users WHERE id = 3"); !strings.HasPrefix(got, "s1r") {
		t.Errorf("a read was served by %s", got)
	}
	exec1(t, c, writeOfS0)
}

func TestWhatAStatementLeftIsReadOnItsOwnConnection(t *testing.T) {
	for _, pin := range []string{"SET @x = CONCAT('a', 'b')", "CREATE TEMPORARY TABLE tmp (a INT)", "SELECT GET_LOCK('a', 1)"} {
		t.Run(pin, func(t *testing.T) {
			p := newProxy(t, nil)
			c := p.connect()
			if _, err := c.Query(pin); err != nil {
				t.Fatal(err)
			}
			const found = "SELECT SQL_CALC_FOUND_ROWS server FROM users WHERE id = 3 LIMIT 1"
			served := one(t, c, found)
			if got := one(t, c, "SELECT FOUND_ROWS()"); got != served {
				t.Errorf("FOUND_ROWS() was asked of %s, and the rows were found by %s", got, served)
			}
			const warns = "SELECT 1/0 FROM users WHERE id = 3"
			for _, f := range p.fakes {
				f.on(warns, func(s *fakemysql.Session) { s.OK(protocol.OK{Status: protocol.StatusAutocommit, Warnings: 1}) })
			}
			exec1(t, c, warns)
			if got := one(t, c, "SHOW WARNINGS"); !strings.HasPrefix(got, "s1") {
				t.Errorf("the warnings of a statement on s1 were asked of %s", got)
			}
		})
	}
}

func TestAClientWithoutASchemaOpensTransactionsAndSeesWarnings(t *testing.T) {
	p := newProxy(t, nil)
	other := p.connect()
	exec1(t, other, writeOfS0) // an idle connection with a schema
	one(t, other, readOfS0)
	one(t, other, readOfS0)
	c := p.dialSchema("")
	exec1(t, c, "BEGIN")
	exec1(t, c, "UPDATE shop.users SET name = 'y' WHERE id = 2")
	if got := one(t, c, "SELECT server FROM shop.users WHERE id = 2"); got != "s0p" {
		t.Errorf("the transaction reads from %s", got)
	}
	exec1(t, c, "COMMIT")
	const sql = "UPDATE shop.users SET name = 'long' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) { s.OK(protocol.OK{Status: protocol.StatusAutocommit, Warnings: 1}) })
	exec1(t, other, writeOfS0)
	one(t, other, readOfS0)
	exec1(t, c, sql)
	if _, err := c.Query("SHOW WARNINGS"); err != nil {
		t.Error(err)
	}
	exec1(t, c, "SET @x = GET_LOCK('a', 1)")
	one(t, c, "SELECT DATABASE()")
	other.Close()
	c.Close()
	eventually(t, "no connection is held", func() bool { return p.busy() == 0 })
}

func TestTheNextTransactionsCharacteristicsAreNobodyElses(t *testing.T) {
	p := newProxy(t, nil)
	const set = "SET TRANSACTION READ ONLY"
	p.fakes["s0p"].on(set, func(s *fakemysql.Session) {
		s.Values["once"] = "read only"
		s.OK(protocol.OK{})
	})
	const bad = "UPDATE users SET nothing = 'x' WHERE id = 2"
	p.fakes["s0p"].on(bad, func(s *fakemysql.Session) { s.Error(1054, "42S22", "Unknown column 'nothing' in 'SET'") })
	p.fakes["s0p"].on(writeOfS0, func(s *fakemysql.Session) {
		if s.Values["once"] != "" {
			s.Error(1792, "25006", "Cannot execute statement in a READ ONLY transaction.")
		}
	})
	a, b := p.connect(), p.connect()
	exec1(t, a, set)
	_, err := a.Exec(bad)
	wantError(t, err, 1054)
	one(t, a, "SELECT server FROM users WHERE id = 3") // ends what the error kept
	exec1(t, b, writeOfS0)
}

func TestARefusedCharacteristicIsToldOnce(t *testing.T) {
	p := newProxy(t, nil)
	const set = "SET @@transaction_isolation = 'FASTEST'"
	p.fakes["s0p"].on(set, func(s *fakemysql.Session) { s.Error(1231, "42000", "Variable 'transaction_isolation' can't be set") })
	c := p.connect()
	exec1(t, c, set)
	_, err := c.Exec(writeOfS0)
	wantError(t, err, 1231)
	exec1(t, c, writeOfS0)
}

func TestTheNextTransactionsCharacteristicsSurviveARetry(t *testing.T) {
	p := newProxy(t, nil)
	const set = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"
	for _, name := range []string{"s0r1", "s0r2"} {
		p.fakes[name].on(readOfS0, func(s *fakemysql.Session) { s.Close() })
	}
	c := p.connect()
	exec1(t, c, set)
	if got := one(t, c, readOfS0); got != "s0p" {
		t.Fatalf("served by %s", got)
	}
	if got := p.fakes["s0p"].texts(); count(got, set) != 1 {
		t.Errorf("the server that answered saw %q", got)
	}
}

func TestALostTransactionIsNeverForgotten(t *testing.T) {
	const insert = "INSERT INTO notes (id, note) VALUES (7, 'a')"
	setup := func(t *testing.T) (*proxy, *protocol.Conn) {
		p := newProxy(t, nil)
		p.fakes["s0p"].on(insert, func(s *fakemysql.Session) {
			s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans, InsertID: 7, AffectedRows: 1})
		})
		c := p.connect()
		exec1(t, c, "BEGIN")
		exec1(t, c, writeOfS0)
		return p, c
	}
	lost := func(t *testing.T, p *proxy, c *protocol.Conn, sql string) {
		t.Helper()
		_, err := c.Exec(sql)
		if err == nil {
			t.Errorf("%q went on as if the transaction were still there", sql)
		}
		if n := count(p.fakes["s0p"].texts(), sql); n != 0 {
			t.Errorf("%q ran outside of the transaction", sql)
		}
	}
	dies := func(s *fakemysql.Session) { s.Close() }
	t.Run("while LAST_INSERT_ID is asked for", func(t *testing.T) {
		p, c := setup(t)
		p.fakes["s0p"].on("SELECT LAST_INSERT_ID()", dies)
		exec1(t, c, insert)
		lost(t, p, c, "INSERT INTO notes (note) VALUES (LAST_INSERT_ID())")
	})
	t.Run("between statements", func(t *testing.T) {
		p, c := setup(t)
		p.fakes["s0p"].on("SHOW WARNINGS", dies)
		const warns = "UPDATE users SET name = 'long' WHERE id = 2"
		p.fakes["s0p"].on(warns, func(s *fakemysql.Session) {
			s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans, Warnings: 1})
		})
		exec1(t, c, warns)
		eventually(t, "the warnings are asked for", func() bool { return count(p.fakes["s0p"].texts(), "SHOW WARNINGS") > 0 })
		lost(t, p, c, "DELETE FROM users WHERE id = 2")
	})
	t.Run("after an error", func(t *testing.T) {
		p, c := setup(t)
		const bad = "UPDATE users SET nothing = 'x' WHERE id = 2"
		p.fakes["s0p"].on(bad, func(s *fakemysql.Session) {
			s.Error(1054, "42S22", "Unknown column 'nothing' in 'SET'")
			s.Close()
		})
		_, err := c.Exec(bad)
		wantError(t, err, 1054)
		lost(t, p, c, "DELETE FROM users WHERE id = 2")
	})
}

func TestATransactionThatCannotBeOpenedIsTriedOnAFreshConnection(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	var died atomic.Bool // the two connections have a goroutine each
	p.fakes["s0p"].on("BEGIN", func(s *fakemysql.Session) {
		if !died.Swap(true) {
			s.Close()
			return
		}
		s.Values["tx"] = "open"
		s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans})
	})
	exec1(t, c, "BEGIN")
	exec1(t, c, writeOfS0)
	if r := exec1(t, c, "COMMIT"); r.Status.Has(protocol.StatusInTrans) {
		t.Error("still open")
	}
}

// command sends a command that is answered by one packet, or isn't answered.
func command(t *testing.T, c *protocol.Conn, cmd protocol.Command, payload []byte) {
	t.Helper()
	if err := c.WriteCommand(cmd, payload); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

func simpleCommand(t *testing.T, c *protocol.Conn, cmd protocol.Command, payload []byte) protocol.Reply {
	t.Helper()
	command(t, c, cmd, payload)
	r, err := c.Forward(nil, protocol.ReplySimple, nil)
	if err != nil || r.Err != nil {
		t.Fatal(cmd, err, r.Err)
	}
	return r
}

func prepare(t *testing.T, c *protocol.Conn, sql string) uint32 {
	t.Helper()
	command(t, c, protocol.ComStmtPrepare, []byte(sql))
	p, refused, err := c.ReadPrepared()
	if err != nil || refused != nil {
		t.Fatal(sql, err, refused)
	}
	return p.ID
}

func executes(t *testing.T, c *protocol.Conn, id uint32, flags byte) protocol.Reply {
	t.Helper()
	e := protocol.Execute{Flags: flags, Iterations: 1}
	command(t, c, protocol.ComStmtExecute, protocol.AppendExecute(nil, id, &e, nil, 0))
	r, err := c.Forward(nil, protocol.ReplyQuery, nil)
	if err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	return r
}

// statementsOpen is the most prepared statements that one connection to a fake has open.
func statementsOpen(f *fakeServer) (most int) {
	open := map[uint32]int{}
	for _, got := range f.Got() {
		switch got.Command {
		case protocol.ComStmtPrepare:
			open[got.Session]++
		case protocol.ComStmtClose:
			open[got.Session]--
		default:
		}
		most = max(most, open[got.Session])
	}
	return most
}

// A statement whose shard its values will say is prepared where a server can be used.
func TestPrepareWithoutTheDefaultShard(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	for _, name := range []string{"s0p", "s0r1", "s0r2"} {
		p.fakes[name].Stop()
	}
	eventually(t, "s0 is down", func() bool { return !p.opts.Executor.Cluster().Usable("s0") })
	prepare(t, c, "SELECT name FROM users WHERE id = ?")
	prepare(t, c, "UPDATE users SET name = 'x' WHERE id = ?")
	for _, name := range []string{"s1p", "s1r1", "s1r2"} {
		p.fakes[name].Stop()
	}
	eventually(t, "s1 is down", func() bool { return !p.opts.Executor.Cluster().Usable("s1") })
	command(t, c, protocol.ComStmtPrepare, []byte("DELETE FROM users WHERE id = ?"))
	if _, refused, err := c.ReadPrepared(); err != nil || refused == nil || !strings.Contains(refused.Message, "shard s0 has no usable server") {
		t.Errorf("without any server: %v, %v", refused, err)
	}
}

func TestE10PreparedStatementsDoNotPileUpAtServers(t *testing.T) {
	t.Run("one text", func(t *testing.T) {
		p := newProxy(t, nil)
		c := p.connect()
		for range 20 {
			id := prepare(t, c, writeOfS0)
			executes(t, c, id, 0)
			command(t, c, protocol.ComStmtClose, []byte{byte(id), byte(id >> 8), 0, 0})
		}
		exec1(t, c, writeOfS0)
		if n := statementsOpen(p.fakes["s0p"]); n > 2 {
			t.Errorf("%d statements are open", n)
		}
	})
	t.Run("cursors that never were", func(t *testing.T) {
		p := newProxy(t, nil)
		c := p.connect()
		for i := range 250 {
			id := prepare(t, c, writeOfS0+strings.Repeat(" ", i))
			executes(t, c, id, 1)
		}
		if n := statementsOpen(p.fakes["s0p"]); n > 205 {
			t.Errorf("%d statements are open", n)
		}
		if n := p.fakes["s0p"].Connections(); n > 3 {
			t.Errorf("it took %d connections", n)
		}
	})
}

func TestTwoStatementsOfOneTextHaveTheirOwnCursors(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	for _, name := range []string{"s0p", "s0r1", "s0r2"} {
		f := p.fakes[name]
		var next atomic.Uint32
		f.onCommand(func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
			switch cmd {
			case protocol.ComStmtPrepare:
				s.Prepared(next.Add(1), 0, "server")
			case protocol.ComStmtExecute:
				s.Raw([]byte{1}, (&protocol.Column{Name: "server", Type: protocol.TypeVarString}).Definition(nil))
				_ = s.WriteEOF(protocol.StatusAutocommit|protocol.StatusCursorExists, 0)
			case protocol.ComStmtFetch:
				s.Raw()
				_ = s.WriteEOF(protocol.StatusAutocommit|protocol.StatusCursorExists, 0)
			default:
				return false
			}
			return true
		})
	}
	a, b := prepare(t, c, readOfS0), prepare(t, c, readOfS0)
	fetch := func(id uint32) {
		t.Helper()
		command(t, c, protocol.ComStmtFetch, []byte{byte(id), 0, 0, 0, 1, 0, 0, 0})
		r, err := c.Forward(nil, protocol.ReplyFetch, nil)
		if err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	executes(t, c, a, 1)
	fetch(a)
	exec1(t, c, "BEGIN")
	exec1(t, c, writeOfS0) // the cursor is on another connection than the transaction
	fetch(a)
	executes(t, c, b, 1)
	fetch(b)
	fetch(a)
	exec1(t, c, "COMMIT")
	var fetches []string // server, connection and statement
	for _, f := range p.fakes {
		for _, got := range f.Got() {
			if got.Command == protocol.ComStmtFetch {
				fetches = append(fetches, fmt.Sprint(f.name, " ", got.Session, " ", got.Payload[0]))
			}
		}
	}
	same := map[string]int{}
	for _, f := range fetches {
		same[f]++
	}
	counts := slices.Sorted(maps.Values(same))
	if !slices.Equal(counts, []int{1, 3}) {
		t.Errorf("the fetches went to %q", fetches)
	}
}

func TestH15APinEndsWithItsCause(t *testing.T) {
	for name, sqls := range map[string]string{
		"locks one by one": "SELECT GET_LOCK('a', 1)/SELECT GET_LOCK('b', 1)/SELECT RELEASE_LOCK('a')/SELECT RELEASE_LOCK('b')",
		"all locks":        "SELECT GET_LOCK(CONCAT('a', 'b'), 1)/SELECT RELEASE_ALL_LOCKS()",
		"handlers":         "HANDLER notes OPEN AS h/HANDLER notes OPEN AS g/HANDLER h CLOSE/HANDLER g CLOSE",
		"PREPARE":          "PREPARE p FROM 'SELECT 1'/PREPARE q FROM 'SELECT 2'/DEALLOCATE PREPARE q/DROP PREPARE p",
		"temporary tables": "CREATE TEMPORARY TABLE a (n INT)/CREATE TEMPORARY TABLE b (n INT)/DROP TABLE a/DROP TEMPORARY TABLE b",
		"table locks":      "LOCK TABLES notes READ/UNLOCK TABLES",
		"BEGIN unlocks":    "LOCK TABLES notes READ/BEGIN",
		"other table":      "LOCK TABLES notes READ/LOCK TABLES notes WRITE/UNLOCK TABLES",
		"read lock":        "/* shardway: shard=s0 */ FLUSH TABLES WITH READ LOCK/UNLOCK TABLES",
		"XA":               "/* shardway: shard=s0 */ XA START 'x'/" + writeOfS0 + "//* shardway: shard=s0 */ XA END 'x'//* shardway: shard=s0 */ XA ROLLBACK 'x'",
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, nil)
			held := "1"
			p.fakes["s0p"].on("SELECT 0+COALESCE(IS_USED_LOCK('a')=CONNECTION_ID(),0)+COALESCE(IS_USED_LOCK('b')=CONNECTION_ID(),0)", func(s *fakemysql.Session) {
				s.Table([]string{"n"}, []any{held})
				held = "0"
			})
			c := p.connect()
			all := strings.Split(strings.NewReplacer("/* ", "<", " */", ">").Replace(sqls), "/")
			for i, sql := range all {
				sql = strings.NewReplacer("<", "/* ", ">", " */").Replace(sql)
				if _, err := c.Query(sql); err != nil {
					t.Fatal(sql, err)
				}
				table, err := p.Table("sessions")
				if err != nil {
					t.Fatal(err)
				}
				if last := i == len(all)-1; (table.Rows[0][8] == "") != last {
					t.Errorf("after %s the session is pinned for %q", sql, table.Rows[0][8])
				}
			}
		})
	}
}
