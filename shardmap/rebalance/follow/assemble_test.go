package follow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/rows"
)

// script feeds events of MariaDB to an assembler.
type script struct {
	*testing.T
	a   *assembler
	end uint32 // of the last event, in its file
	all []string
}

func newScript(t *testing.T, o Options) *script {
	s := &script{T: t, a: newAssembler(Source{Addr: "a:1", MariaDB: true}, o), end: 4}
	return s
}

func (s *script) add(kind replication.EventType, body []byte) error {
	s.end += uint32(19 + len(body))
	b := binary.LittleEndian.AppendUint32(nil, 1700000000)
	b = append(b, byte(kind))
	b = binary.LittleEndian.AppendUint32(b, 3) // the server's id
	b = binary.LittleEndian.AppendUint32(b, uint32(19+len(body)))
	b = binary.LittleEndian.AppendUint32(b, s.end)
	b = append(binary.LittleEndian.AppendUint16(b, 0), body...)
	list, err := s.a.add(b)
	for _, t := range list {
		text := t.GTID
		for _, c := range t.Changed {
			text += fmt.Sprint(" ", c.Table.Name, c.Keys)
		}
		if t.Keep.String() != t.Position.GTID.String() {
			text += " keeps " + t.Keep.String()
		}
		if t.Unseen {
			text += " unseen " + t.Branch
		}
		s.all = append(s.all, text)
	}
	return err
}

func (s *script) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *script) begin(number uint64, single bool) {
	s.Helper()
	b := binary.LittleEndian.AppendUint64(nil, number)
	b = binary.LittleEndian.AppendUint32(b, 1)
	flags := byte(0)
	if single {
		flags = 1
	}
	s.must(s.add(replication.MARIADB_GTID_EVENT, append(b, flags, 0, 0, 0, 0, 0, 0)))
}

func (s *script) statement(text string) error {
	b := append(make([]byte, 8), 3, 0, 0, 0, 0)
	return s.add(replication.QUERY_EVENT, append(b, "app\x00"+text...))
}

// insert writes a row of app.t.
func (s *script) insert(id byte) {
	s.Helper()
	s.must(s.add(replication.TABLE_MAP_EVENT, unhex("010000000000010003617070000174000103000000")))
	s.must(s.add(replication.WRITE_ROWS_EVENTv1, append(unhex("010000000000010001ff00"), id, 0, 0, 0)))
}

func (s *script) commit() {
	s.Helper()
	s.must(s.add(replication.XID_EVENT, make([]byte, 8)))
}

func (s *script) prepare(number uint64, name string, id byte) {
	s.Helper()
	s.begin(number, false)
	s.must(s.statement(fmt.Sprintf("XA START X'%x',X'',1", name)))
	s.insert(id)
	s.must(s.statement(fmt.Sprintf("XA END X'%x',X'',1", name)))
	b := append([]byte{0, 1, 0, 0, 0}, byte(len(name)), 0, 0, 0, 0, 0, 0, 0)
	s.must(s.add(replication.XA_PREPARE_LOG_EVENT, append(b, name...)))
}

func (s *script) finish(number uint64, verb, name string) {
	s.Helper()
	s.begin(number, true)
	s.must(s.statement(fmt.Sprintf("XA %s X'%x',X'',1", verb, name)))
}

func (s *script) want(want ...string) {
	s.Helper()
	if got := strings.Join(s.all, "\n"); got != strings.Join(want, "\n") {
		s.Errorf("the transactions are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	s.all = nil
}

func tableT() *rows.Table {
	return &rows.Table{Schema: "app", Name: "t", Columns: []rows.Column{{Name: "id", Data: "int", Type: "int"}}, Key: []int{0}}
}

func set(t *testing.T, text string) gtid.Set {
	t.Helper()
	s, err := gtid.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAssemble(t *testing.T) {
	s := newScript(t, Options{From: set(t, "1-3-10"), Tables: []*rows.Table{tableT()}})
	s.must(s.add(replication.XID_EVENT, make([]byte, 8))) // of nothing
	s.begin(11, false)
	s.insert(1)
	s.insert(2)
	s.insert(1)
	s.commit()
	s.begin(12, true)
	s.must(s.statement("CREATE TABLE x (t INT)"))
	s.begin(13, false)
	s.insert(3)
	s.begin(14, true) // what ended 13 wasn't understood
	s.must(s.statement("FLUSH TABLES"))
	s.want("1-3-11 t[1 2]", "1-3-12", "1-3-13 t[3]", "1-3-14")
	if p := s.a.position; p.Offset != uint64(s.end) || p.GTID.String() != "1-3-14" {
		t.Errorf("the position is %+v", p)
	}
	s.begin(15, false)
	err := s.statement("UPDATE t SET id=1")
	if e, ok := errors.AsType[*Error](err); !ok || e.Addr != "a:1" || e.Fix == "" {
		t.Errorf("a statement in place of rows got %v", err)
	}
	s.a.position.Offset = 1<<32 - 1000
	s.end = 500
	s.begin(16, false)
	if p := s.a.position; p.Offset != 1<<32+uint64(s.end) {
		t.Errorf("behind 4 GiB the offset is %d", p.Offset)
	}
	if err := s.add(replication.INCIDENT_EVENT, nil); err == nil || !strings.Contains(err.Error(), "incident") {
		t.Errorf("an incident got %v", err)
	}
	if err := s.add(replication.WRITE_ROWS_EVENTv1, unhex("0100")); err == nil {
		t.Error("half an event is no error")
	}
}

// TestAssembleUndone: rows that a transaction has changed and changed back haven't changed.
func TestAssembleUndone(t *testing.T) {
	s := newScript(t, Options{From: set(t, "1-3-10"), Tables: []*rows.Table{tableT()}})
	s.begin(11, false)
	s.insert(1)
	s.must(s.statement("SAVEPOINT `a`"))
	s.insert(1)
	s.insert(2)
	s.must(s.statement("ROLLBACK TO `a`"))
	s.insert(3)
	s.must(s.statement("rollback to savepoint a"))
	s.insert(4)
	s.must(s.statement("SAVEPOINT b"))
	s.insert(5)
	s.must(s.statement("ROLLBACK TO a")) // what came before b is undone as well, which isn't looked for
	s.insert(2)
	s.commit()
	s.begin(12, false)
	s.must(s.statement("ROLLBACK TO x")) // of which nothing is known
	s.insert(1)
	s.must(s.statement("ROLLBACK TO x"))
	s.commit()
	s.begin(13, false)
	s.must(s.statement("SAVEPOINT a"))
	s.insert(1)
	s.must(s.statement("ROLLBACK TO a"))
	s.commit()
	s.begin(14, false)
	s.insert(1)
	s.must(s.statement("ROLLBACK"))
	s.want("1-3-11 t[1 4 2]", "1-3-12 t[1]", "1-3-13", "1-3-14")
}

func TestAssembleBranches(t *testing.T) {
	o := Options{From: set(t, "1-3-10"), Tables: []*rows.Table{tableT()}}
	s := newScript(t, o)
	script := func(s *script, upTo int) {
		for i, step := range []func(){
			func() { s.prepare(11, "a", 1) },
			func() { s.prepare(12, "b", 2) },
			func() { s.finish(13, "COMMIT", "a") },
			func() { s.prepare(14, "c", 3) },
			func() { s.finish(15, "ROLLBACK", "c") },
			func() { s.finish(16, "COMMIT", "z") },
			func() { s.finish(17, "COMMIT", "b") },
		} {
			if i < upTo {
				step()
			}
		}
	}
	script(s, 7)
	s.want("1-3-11 keeps 1-3-10", "1-3-12 keeps 1-3-10", "1-3-13 t[1] keeps 1-3-11", "1-3-14 keeps 1-3-11", "1-3-15 keeps 1-3-11",
		"1-3-16 keeps 1-3-11 unseen x'7a',x'',1", "1-3-17 t[2]")
	// Who was ended behind 15 begins with 12 and gives what is behind 15: the COMMIT
	// of a, whose PREPARE isn't read again, was dealt with.
	s = newScript(t, Options{From: set(t, "1-3-11"), Done: set(t, "1-3-15"), Tables: o.Tables})
	s.prepare(12, "b", 2)
	s.finish(13, "COMMIT", "a")
	s.prepare(14, "c", 3)
	s.finish(15, "ROLLBACK", "c")
	s.want()
	s.begin(16, true)
	s.must(s.statement("FLUSH TABLES"))
	s.finish(17, "COMMIT", "b")
	s.want("1-3-16 keeps 1-3-11", "1-3-17 t[2]")
}
