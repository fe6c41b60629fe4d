package router_test

import (
	"strings"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

const loadNotes = "LOAD DATA LOCAL INFILE 'notes.csv' INTO TABLE notes"

// TestJ17ALocalFileGoesToTheServer: from a query, and from a prepared
// statement, which MariaDB allows.
func TestJ17ALocalFileGoesToTheServer(t *testing.T) {
	for _, prepared := range []bool{false, true} {
		p := newProxy(t, nil)
		got := make(chan string, 1)
		load := func(s *fakemysql.Session) {
			s.Raw([]byte("\xfbnotes.csv"))
			_ = s.Flush()
			file := ""
			for {
				part, err := s.ReadPacket()
				if err != nil || len(part) == 0 {
					break
				}
				file += string(part)
			}
			got <- file
			s.OK(protocol.OK{Status: protocol.StatusAutocommit, AffectedRows: 2})
		}
		p.fakes["s0p"].on(loadNotes, load)
		c := p.connect()
		cmd, payload := protocol.ComQuery, []byte(loadNotes)
		if prepared {
			p.fakes["s0p"].onCommand(func(s *fakemysql.Session, cmd protocol.Command, _ []byte) bool {
				switch cmd {
				case protocol.ComStmtPrepare:
					s.Prepared(1, 0)
				case protocol.ComStmtExecute:
					load(s)
				default:
					return false
				}
				return true
			})
			cmd, payload = protocol.ComStmtExecute, protocol.AppendExecute(nil, prepare(t, c, loadNotes), &protocol.Execute{Iterations: 1}, nil, 0)
		}
		command(t, c, cmd, payload)
		p1, err := c.ReadPacket()
		if err != nil || string(p1) != "\xfbnotes.csv" {
			t.Fatalf("prepared: %t: %q, %v", prepared, p1, err)
		}
		for _, part := range []string{"one\n", "two\n", ""} {
			if err := c.WritePacket([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		if ok, err := c.ReadPacket(); err != nil || ok[0] != 0 || ok[1] != 2 {
			t.Fatalf("prepared: %t: %x, %v", prepared, ok, err)
		}
		if file := <-got; file != "one\ntwo\n" {
			t.Errorf("prepared: %t: the server got %q", prepared, file)
		}
		one(t, c, readOfS0)
	}
}

func TestJ17AServersOwnWishForAFileReachesNobody(t *testing.T) {
	p := newProxy(t, nil)
	for _, f := range p.fakes {
		for _, sql := range []string{readOfS0, writeOfS0, loadNotes} {
			f.on(sql, func(s *fakemysql.Session) { s.Raw([]byte("\xfb/etc/passwd")) })
		}
	}
	c := p.connect()
	for _, sql := range []string{writeOfS0, loadNotes, readOfS0} {
		if _, err := c.Exec(sql); err == nil || !strings.Contains(err.Error(), "shardway: ") || !strings.Contains(err.Error(), "local file") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	// That no server is left for a read says of itself why the last one didn't answer: its state may be another by then.
	_, err := c.Exec(readOfS0)
	wantError(t, err, 1205, "; the connection to 127.0.0.1:")
	exec1(t, c, "SELECT server FROM users WHERE id = 3")
}

// TestJ17WhatCantBeSplitIsRefused before the client is asked for its file.
func TestJ17WhatCantBeSplitIsRefused(t *testing.T) {
	p := newProxy(t, nil)
	for _, f := range p.fakes {
		f.onCommand(func(s *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
			if cmd != protocol.ComQuery || !strings.Contains(string(payload), "information_schema.COLUMNS") {
				return false
			}
			column := func(name string) protocol.Column { return protocol.Column{Name: name, Type: protocol.TypeVarString} }
			s.Rows(&protocol.Rows{Columns: []protocol.Column{column("COLUMN_NAME"), column("EXTRA"), column("charset")}, Rows: [][]any{
				{"id", "", "utf8mb4"}, {"name", "", "utf8mb4"}, {"twice", "STORED GENERATED", "utf8mb4"},
			}})
			return true
		})
	}
	c := p.connect()
	for _, tt := range []struct{ rest, want string }{
		{"", "depends on the column twice"},
		{"(name)", "no field of the file goes to the key id"},
		{"(@id, name) SET id = @id", "no field of the file goes to the key id"},
		{"(id, name) SET id = 1", "SET computes the key id"},
		{"(id, name, ID)", "two fields go to the key id"},
		{"CHARACTER SET gbk (id, name)", "a file in gbk can't be split"},
		{"FIELDS TERMINATED BY '' (id, name)", "fixed width"},
		{"(id, name) SET name = (SELECT 1)", "subquery"},
	} {
		_, err := c.Exec("LOAD DATA LOCAL INFILE 'u.csv' INTO TABLE users " + tt.rest)
		wantError(t, err, 1235, tt.want)
	}
}
