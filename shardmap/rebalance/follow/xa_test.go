package follow

import (
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"

	"shardway/shardmap/rebalance/rows"
)

func xaBranches(s *servers) {
	t := s.table("xa", "id INT PRIMARY KEY, v INT")
	s.table("else2", "id INT PRIMARY KEY")
	start := s.current()
	stream := s.startAt(Options{From: start, Tables: []*rows.Table{t}})
	one := func(want string) *Transaction {
		s.Helper()
		list := s.until(stream)
		if len(list) != 1 {
			s.Fatalf("there are %d transactions, want one", len(list))
		}
		if got := strings.Join(keys(list), " "); got != want {
			s.Errorf("%q are changed, want %q", got, want)
		}
		return list[0]
	}
	prepare := func(id string, statement string) {
		s.Helper()
		conn, err := s.primary.DB().Conn(s.ctx)
		s.must(err)
		for _, q := range []string{"XA START " + id, statement, "XA END " + id, "XA PREPARE " + id} {
			_, err := conn.ExecContext(s.ctx, q)
			s.must(err)
		}
		// The branch outlives its connection, which can do nothing else.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	// end ends a branch, when its connection is gone.
	end := func(statement string) {
		s.Helper()
		for {
			err := s.primary.Exec(s.ctx, statement)
			if err == nil {
				return
			}
			if e, ok := errors.AsType[*mysql.MySQLError](err); !ok || e.Number != 1397 {
				s.Fatal(err)
			}
			s.must(s.ctx.Err())
		}
	}
	prepare("'a','1'", "INSERT INTO app.xa VALUES (1, 1), (2, 2)")
	if tx := one(""); tx.Keep.String() != start.String() || tx.Branch != "" {
		s.Errorf("a PREPARE keeps %s, want %s; its branch is %q", tx.Keep, start, tx.Branch)
	}
	s.exec("INSERT INTO app.xa VALUES (3, 3)")
	afterA := one("3")
	if afterA.Keep.String() != start.String() {
		s.Errorf("with a branch prepared, %s is kept, want %s", afterA.Keep, start)
	}
	prepare("'b',x'00ff',7", "INSERT INTO app.xa VALUES (4, 4)")
	one("")
	prepare("'c'", "INSERT INTO app.xa VALUES (5, 5)")
	one("")
	end("XA COMMIT 'a','1'")
	tx := one("1 2")
	if tx.Branch != "x'61',x'31',1" || tx.Unseen || tx.Keep.String() != afterA.Position.GTID.String() {
		s.Errorf("the COMMIT is %+v, keeps %s, want %s", tx, tx.Keep, afterA.Position.GTID)
	}
	s.must(Await(s.ctx, s.primary.DB(), stream.Position()))
	end("XA ROLLBACK 'c'")
	one("")
	// A stream that begins anew misses nothing.
	second := s.startAt(Options{From: stream.Keep(), Done: stream.Position().GTID, Tables: []*rows.Table{t}})
	end("XA COMMIT 'b',x'00ff',7")
	if tx := one("4"); tx.Keep.String() != tx.Position.GTID.String() {
		s.Errorf("with no branch prepared, %s is kept of %s", tx.Keep, tx.Position.GTID)
	}
	if list := s.until(second); len(list) != 1 || strings.Join(keys(list), " ") != "4" || list[0].Unseen {
		s.Errorf("a second stream has %d transactions, %q", len(list), keys(list))
	}
	prepare("'d'", "INSERT INTO app.xa VALUES (6, 6)")
	one("")
	late := s.start(t)
	end("XA COMMIT 'd'")
	one("6")
	if list := s.until(late); len(list) != 1 || !list[0].Unseen || list[0].Branch != "x'64',x'',1" {
		s.Errorf("a COMMIT without its PREPARE is %+v", list[0])
	}
	s.exec("XA START 'e'", "INSERT INTO app.xa VALUES (7, 7)", "XA END 'e'", "XA COMMIT 'e' ONE PHASE")
	if tx := one("7"); tx.Unseen || tx.Keep.String() != tx.Position.GTID.String() {
		s.Errorf("a COMMIT in one phase is %+v", tx)
	}
	s.must(Await(s.ctx, s.primary.DB(), stream.Position()))
	s.exec("XA START 'f'", "INSERT INTO app.xa VALUES (8, 8)", "XA END 'f'", "XA ROLLBACK 'f'", "INSERT INTO app.else2 VALUES (1)")
	one("")
}
