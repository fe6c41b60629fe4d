package router_test

import (
	"strings"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

const loadNotes = "LOAD DATA LOCAL INFILE 'notes.csv' INTO TABLE notes"

func TestJ17ALocalFileGoesToTheServer(t *testing.T) {
	p := newProxy(t, nil)
	got := make(chan string, 1)
	p.fakes["s0p"].on(loadNotes, func(s *fakemysql.Session) {
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
	})
	c := p.connect()
	if err := c.WriteCommand(protocol.ComQuery, []byte(loadNotes)); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	p1, err := c.ReadPacket()
	if err != nil || string(p1) != "\xfbnotes.csv" {
		t.Fatalf("%q, %v", p1, err)
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
		t.Fatalf("%x, %v", ok, err)
	}
	if file := <-got; file != "one\ntwo\n" {
		t.Errorf("the server got %q", file)
	}
	one(t, c, readOfS0)
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
	exec1(t, c, "SELECT server FROM users WHERE id = 3")
}

func TestJ17ALocalFileIsForOneShard(t *testing.T) {
	p := newProxy(t, nil)
	_, err := p.connect().Exec("LOAD DATA LOCAL INFILE 'u.csv' INTO TABLE users")
	wantError(t, err, 1235, "split the file by shard")
}
