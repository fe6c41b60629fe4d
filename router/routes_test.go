package router_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"shardway/protocol"
	"shardway/test/fakemysql"
)

func TestReadsGoToReplicasInTurnAndWritesToThePrimary(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	served := map[string]int{}
	for range 10 {
		served[one(t, c, "SELECT server FROM users WHERE id = 3")]++
	}
	if served["s1r1"] != 5 || served["s1r2"] != 5 {
		t.Errorf("reads of shard s1 were served by %v", served)
	}
	exec1(t, c, "UPDATE users SET name = 'x' WHERE id = 2")
	if got := p.fakes["s0p"].texts(); count(got, "UPDATE users SET name = 'x' WHERE id = 2") != 1 {
		t.Errorf("the primary of s0 saw %q", got)
	}
	_, err := c.Query("SELECT GET_LOCK('a', 1), users.* FROM users WHERE id IN (2, 3)")
	wantError(t, err, 1235, "s0", "s1")
}

func TestAReadWhoseServerDiesIsAnsweredByAnother(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "SELECT server FROM users WHERE id = 3"
	var died atomic.Int32
	for _, name := range []string{"s1r1", "s1r2"} {
		p.fakes[name].on(sql, func(s *fakemysql.Session) {
			died.Add(1)
			s.Close()
		})
	}
	if got := one(t, p.connect(), sql); got != "s1p" {
		t.Errorf("served by %s", got)
	}
	if died.Load() != 2 {
		t.Errorf("%d replicas were tried", died.Load())
	}
}

func TestAWriteIsNeverSentTwice(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "UPDATE users SET name = 'x' WHERE id = 2"
	p.fakes["s0p"].on(sql, func(s *fakemysql.Session) { s.Close() })
	c := p.connect()
	_, err := c.Exec(sql)
	wantError(t, err, 1105, "s0", "isn't known")
	if n := count(p.fakes["s0p"].texts(), sql); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	if got := one(t, c, "SELECT server FROM users WHERE id = 3"); !strings.HasPrefix(got, "s1r") {
		t.Errorf("afterwards served by %s", got)
	}
}

func TestALostTransactionAsksForARetryAndALostCommitDoesNot(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "UPDATE users SET name = 'x' WHERE id = 3"
	c := p.connect()
	p.fakes["s1p"].on(sql, func(s *fakemysql.Session) { s.Close() })
	exec1(t, c, "BEGIN")
	one(t, c, "SELECT server FROM users WHERE id = 3")
	_, err := c.Exec(sql)
	wantError(t, err, 1213, "rolled back")
	if r := exec1(t, c, "SET @x = 1"); r.Status.Has(protocol.StatusInTrans) {
		t.Error("the lost transaction is still open")
	}

	p.fakes["s1p"].on(sql, func(s *fakemysql.Session) {
		s.OK(protocol.OK{Status: protocol.StatusAutocommit | protocol.StatusInTrans})
	})
	p.fakes["s1p"].on("COMMIT", func(s *fakemysql.Session) { s.Close() })
	exec1(t, c, "BEGIN")
	exec1(t, c, sql)
	_, err = c.Exec("COMMIT")
	wantError(t, err, 1105, "isn't known")
}

func TestAnErrorThatEndsATransactionEndsItForTheClient(t *testing.T) {
	p := newProxy(t, nil)
	const sql = "UPDATE users SET name = 'x' WHERE id = 3"
	p.fakes["s1p"].on(sql, func(s *fakemysql.Session) {
		delete(s.Values, "tx")
		s.Error(1213, "40001", "Deadlock found when trying to get lock; try restarting transaction")
	})
	c := p.connect()
	exec1(t, c, "BEGIN")
	one(t, c, "SELECT server FROM users WHERE id = 3")
	_, err := c.Exec(sql)
	wantError(t, err, 1213, "Deadlock found")
	if got := one(t, c, "SELECT server FROM users WHERE id = 3"); got == "s1p" {
		t.Error("the read after the deadlock is still in the transaction")
	}
}

func TestStartTransactionReadWriteOverridesSetTransaction(t *testing.T) {
	p := newProxy(t, nil)
	c := p.connect()
	exec1(t, c, "SET TRANSACTION READ ONLY")
	exec1(t, c, "START TRANSACTION READ WRITE")
	exec1(t, c, "UPDATE users SET name = 'x' WHERE id = 2")
	exec1(t, c, "COMMIT")
	exec1(t, c, "SET TRANSACTION READ ONLY")
	exec1(t, c, "START TRANSACTION")
	_, err := c.Exec("UPDATE users SET name = 'x' WHERE id = 2")
	wantError(t, err, 1792)
}
