package router_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router"
	"shardway/test/fakemysql"
)

func TestAnUnknownCommandAndAProbeEndNothing(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	if err := c.WriteCommand(protocol.ComBinlogDump, []byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := c.Forward(nil, protocol.ReplySimple, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, r.Err, 1047)
	one(t, c, "SELECT server FROM users WHERE id = 2")

	probe, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	eventually(t, "the probe is counted", func() bool {
		table, err := p.Table("variables")
		if err != nil {
			return false
		}
		for _, row := range table.Rows {
			if row[0] == "status.probes" {
				return row[1] == "1"
			}
		}
		return false
	})
}

// panics panics on a certain statement.
type panics struct{}

func (panics) Observe(e *router.Event) {
	if e.Kind == "do" {
		panic("as the test asks")
	}
}

func TestAPanicEndsOneSession(t *testing.T) {
	p := newProxy(t, func(o *router.Options) { o.Observer = panics{} })
	a, b := p.connect(), p.connect()
	if _, err := a.Exec("DO 1"); err == nil {
		t.Error("the session that panicked got an answer")
	}
	one(t, b, "SELECT server FROM users WHERE id = 2")
	eventually(t, "the session is gone", func() bool { return p.Sessions() == 1 })
}

func TestLimitsOfConnections(t *testing.T) {
	p := newProxy(t, func(o *router.Options) {
		o.MaxConnections = 3
		o.Users["few"] = &router.User{Name: "few", Password: "app", MaxConnections: 1}
	})
	if _, err := p.dial("few"); err != nil {
		t.Fatal(err)
	}
	_, err := p.dial("few")
	wantError(t, err, 1226, "'few'", "max_user_connections", "current value: 1")
	p.connect()
	c := p.connect()
	_, err = p.dial("app")
	wantError(t, err, 1040)
	c.Close()
	eventually(t, "a place is free", func() bool { return p.Sessions() == 2 })
	p.connect()
	_, err = p.dial("nobody")
	if err == nil {
		t.Error("a user that isn't configured was let in")
	}
}

func TestShutdownLetsTransactionsEnd(t *testing.T) {
	p := newProxy(t, nil)
	idle, busy := p.connect(), p.connect()
	exec1(t, busy, "BEGIN")
	exec1(t, busy, "UPDATE users SET name = 'x' WHERE id = 2")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- p.Shutdown(ctx)
	}()
	if _, err := idle.ReadPacket(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle client got %v", err)
	}
	exec1(t, busy, "UPDATE users SET name = 'y' WHERE id = 2")
	exec1(t, busy, "COMMIT")
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if count(p.fakes["s0p"].texts(), "COMMIT") != 1 {
		t.Error("the transaction wasn't committed")
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	p := newProxy(t, func(o *router.Options) { o.StallTimeout = 300 * time.Millisecond })
	const sql = "SELECT server FROM users WHERE id = 2"
	rows := fakemysql.Table([]string{"server"})
	for range 64 {
		rows.Rows = append(rows.Rows, []any{strings.Repeat("x", 1<<20)})
	}
	for _, name := range []string{"s0r1", "s0r2"} {
		p.fakes[name].on(sql, func(s *fakemysql.Session) { s.Rows(rows) })
	}
	c := p.connect()
	if err := c.WriteCommand(protocol.ComQuery, []byte(sql)); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client that doesn't read is gone", func() bool { return p.Sessions() == 0 })
	eventually(t, "its server connection is given up", func() bool {
		for _, s := range p.opts.Executor.Cluster().Pools() {
			if s.Busy != 0 {
				return false
			}
		}
		return true
	})
}
