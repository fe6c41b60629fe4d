package router_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

// fuzzTexts are statements that FuzzSession's clients choose from.
var fuzzTexts = []string{
	readOfS0, writeOfS0, "SELECT server FROM users WHERE id = 3", "UPDATE users SET name = 'y' WHERE id = 3", "SELECT 1",
	"SELECT server FROM users WHERE id IN (2, 3)", "INSERT INTO users (id, name) VALUES (2, 'a')", "INSERT INTO notes (note) SELECT 'a'",
	"BEGIN", "START TRANSACTION READ ONLY", "START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN",
	"ROLLBACK AND CHAIN", "COMMIT RELEASE", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE SAVEPOINT a", "SET autocommit = 0", "SET autocommit = 1",
	"SET TRANSACTION READ ONLY", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET time_zone = '+05:00'", "SET NAMES latin1",
	"SET CHARACTER SET utf8mb4", "SET @x = 1", "SET @x = CONCAT('a', 'b')", "SELECT @x := 2", "SELECT @x", "SET insert_id = 5", "USE shop", "USE other",
	"SELECT LAST_INSERT_ID()", "SELECT ROW_COUNT()", "SELECT FOUND_ROWS()", "SELECT CONNECTION_ID()", "SHOW WARNINGS", "SHOW WARNINGS LIMIT 1, 18446744073709551615",
	"SHOW COUNT(*) ERRORS", "SELECT SQL_CALC_FOUND_ROWS server FROM users WHERE id = 2 LIMIT 1", "SELECT GET_LOCK('a', 1)", "SELECT RELEASE_LOCK('a')",
	"LOCK TABLES notes WRITE", "UNLOCK TABLES", "CREATE TEMPORARY TABLE t (id INT)", "DROP TEMPORARY TABLE t", "PREPARE p FROM 'SELECT 1'", "EXECUTE p",
	"CALL p()", "KILL 1", "KILL QUERY 2", "SHOW SHARDWAY SESSIONS", "EXPLAIN ROUTE SELECT * FROM users", "no statement", "", "SELECT 'open", "ALTER TABLE notes ADD c INT",
	"SELECT server FROM users WHERE id = ?", "UPDATE users SET name = ? WHERE id = ?", "SET @@transaction_isolation = 'FASTEST'",
}

// FuzzSession sends whatever commands and checks that nothing panics or hangs and that no server connection is lost.
// A byte of the input chooses a command, the next ones its payload.
func FuzzSession(f *testing.F) {
	p := newProxy(f, nil)
	for _, fake := range p.fakes {
		fake.onCommand(unreliable)
	}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		in := make([]byte, 120)
		for i := range in {
			in[i] = byte(r.Uint32())
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, _, err := protocol.Dial(ctx, protocol.DialOptions{
			Network: "tcp", Addr: p.addr, User: "app", Password: "app", Database: "shop", TLS: protocol.TLSDisabled,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fuzzSession(c, in)
		c.Close()
		eventually(t, "the session is gone and holds nothing", func() bool { return p.Sessions() == 0 && p.busy() == 0 })
		table, err := p.Table("variables")
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range table.Rows {
			if row[0] == "status.panics" && row[1] != "0" {
				t.Fatal("a session panicked")
			}
		}
	})
}

// unreliable is a fake that answers some statements with warnings or errors, or by going away.
func unreliable(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
	if cmd == protocol.ComStmtFetch || cmd == protocol.ComFieldList {
		s.Raw()
		_ = s.WriteEOF(protocol.StatusAutocommit, 0)
		return true
	}
	if cmd != protocol.ComQuery && cmd != protocol.ComStmtExecute {
		return false
	}
	status := protocol.StatusAutocommit
	if s.Values["tx"] != "" {
		status |= protocol.StatusInTrans
	}
	sum := uint32(len(s.Values["n"]))
	for _, b := range payload {
		sum = sum*31 + uint32(b)
	}
	s.Values["n"] += "."
	if len(s.Values["n"]) > 64 {
		s.Values["n"] = ""
	}
	switch sum % 41 {
	case 0:
		s.Close()
	case 1, 2:
		s.Error(1213, "40001", "Deadlock found")
	case 3, 4:
		s.OK(protocol.OK{Status: status, Warnings: 3, InsertID: 2})
	case 5:
		s.OK(protocol.OK{Status: status, Changes: []protocol.Change{{Kind: protocol.ChangeState, Value: "1"}}})
	case 6:
		s.Error(1053, "08S01", "Server shutdown in progress")
	case 7:
		s.Raw([]byte{1}, (&protocol.Column{Name: "c", Type: protocol.TypeVarString}).Definition(nil))
		_ = s.WriteEOF(status|protocol.StatusCursorExists, 0)
	default:
		return false
	}
	return true
}

// fuzzSession sends commands until the input or the session ends.
func fuzzSession(c *protocol.Conn, in []byte) {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	next := func() byte {
		if len(in) == 0 {
			return 0
		}
		b := in[0]
		in = in[1:]
		return b
	}
	commands := []protocol.Command{
		protocol.ComStmtPrepare, protocol.ComStmtExecute, protocol.ComStmtFetch, protocol.ComStmtSendLongData, protocol.ComStmtReset,
		protocol.ComStmtClose, protocol.ComInitDB, protocol.ComFieldList, protocol.ComPing, protocol.ComStatistics, protocol.ComSetOption,
		protocol.ComResetConnection, protocol.ComChangeUser,
	}
	for len(in) > 0 {
		cmd, payload := protocol.ComQuery, []byte(nil)
		choice := next()
		switch {
		case choice < 128:
			payload = []byte(fuzzTexts[int(choice)%len(fuzzTexts)])
		case choice < 140: // anything at all
			cmd = protocol.Command(next())
			size := next() % 24
			n := min(int(size), len(in))
			payload, in = in[:n], in[n:]
		default:
			cmd = commands[int(choice)%len(commands)]
			switch cmd {
			case protocol.ComStmtPrepare:
				payload = []byte(fuzzTexts[int(next())%len(fuzzTexts)])
			case protocol.ComInitDB:
				payload = []byte("shop")
			default:
				id, size := next()%8, next()%16
				n := min(int(size), len(in))
				payload = append([]byte{id, 0, 0, 0}, in[:n]...)
				in = in[n:]
			}
		}
		if cmd == protocol.ComQuit || c.WriteCommand(cmd, payload) != nil || c.Flush() != nil {
			return
		}
		if next()%32 == 0 {
			return // leaves without waiting for the answer
		}
		var err error
		switch cmd {
		case protocol.ComStmtSendLongData, protocol.ComStmtClose:
		case protocol.ComStmtPrepare:
			_, _, err = c.ReadPrepared()
		case protocol.ComStmtFetch:
			_, err = c.Forward(nil, protocol.ReplyFetch, nil)
		case protocol.ComFieldList:
			_, err = c.Forward(nil, protocol.ReplyFieldList, nil)
		case protocol.ComStatistics:
			_, err = c.Forward(nil, protocol.ReplyString, nil)
		case protocol.ComQuery, protocol.ComStmtExecute:
			_, err = c.Forward(nil, protocol.ReplyQuery, nil)
		default:
			_, err = c.Forward(nil, protocol.ReplySimple, nil)
		}
		if err != nil {
			return
		}
	}
}
