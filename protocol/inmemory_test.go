package protocol

import (
	"errors"
	"fmt"
	"testing"
)

func TestMemory(t *testing.T) {
	m := NewMemory(0)
	def := []byte("\x03def\x00\x00\x00\x01a\x00\x0c\x21\x00\x09\x00\x00\x00\xfd\x00\x00\x00\x00\x00")
	if err := m.Conn.WriteColumns([][]byte{def}, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if err := m.Conn.WriteRow(fmt.Appendf(nil, "\x03%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Conn.WriteEOF(StatusAutocommit, 3); err != nil {
		t.Fatal(err)
	}
	columns, rows, reply, err := m.Read()
	if err != nil || len(columns) != 1 || string(columns[0]) != string(def) || len(rows) != 300 || string(rows[299]) != "\x03299" || reply.Warnings != 3 {
		t.Errorf("%q, %d rows, %+v, %v", columns, len(rows), reply, err)
	}

	m = NewMemory(0)
	if err := m.Conn.WriteOK(OK{AffectedRows: 7, InsertID: 9}); err != nil {
		t.Fatal(err)
	}
	if columns, rows, reply, err := m.Read(); err != nil || len(columns)+len(rows) > 0 || reply.AffectedRows != 7 || reply.InsertID != 9 {
		t.Errorf("%q, %q, %+v, %v", columns, rows, reply, err)
	}

	m = NewMemory(0)
	if err := m.Conn.WriteError(Errorf(1062, "23000", "twice")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := m.Read(); err == nil || err.Error() != Errorf(1062, "23000", "twice").Error() {
		t.Errorf("an error was read as %v", err)
	}

	m = NewMemory(100)
	row := make([]byte, 99<<10)
	if err := m.Conn.WriteRow(row); err == nil {
		err = m.Conn.Flush()
		if !errors.Is(err, ErrMemory) || !m.Full() {
			t.Errorf("a row beyond the limit: %v", err)
		}
	} else if !m.Full() {
		t.Error(err)
	}
}
