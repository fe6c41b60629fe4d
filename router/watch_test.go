package router_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router"
	"shardway/test/fakemysql"
)

// slowRead is a statement that runs until it is killed, on whichever server.
const slowRead = "SELECT SLEEP(100) FROM users WHERE id = 2"

// hangs lets slowRead hang on every server until a KILL comes to it, and returns a channel of those.
func (p *proxy) hangs() <-chan string {
	killed := make(chan string, 10)
	for _, f := range p.fakes {
		release := make(chan struct{}, 1)
		f.on(slowRead, func(s *fakemysql.Session) {
			s.Wait(asClosed(release))
			s.Error(1317, "70100", "Query execution was interrupted")
		})
		f.onCommand(func(_ *fakemysql.Session, cmd protocol.Command, payload []byte) bool {
			if cmd == protocol.ComQuery && strings.HasPrefix(string(payload), "KILL ") {
				killed <- string(payload)
				select {
				case release <- struct{}{}:
				default:
				}
			}
			return false
		})
	}
	return killed
}

// asClosed is closed when c has got something.
func asClosed(c <-chan struct{}) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		<-c
		close(done)
	}()
	return done
}

func (p *proxy) send(c *protocol.Conn, sql string) {
	p.t.Helper()
	err := c.WriteCommand(protocol.ComQuery, []byte(sql))
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// isRunning waits until the servers have got a statement for the nth time.
func (p *proxy) isRunning(sql string, nth int) {
	p.t.Helper()
	eventually(p.t, sql+" runs", func() bool {
		n := 0
		for _, f := range p.fakes {
			n += count(f.texts(), sql)
		}
		return n == nth
	})
}

// killedBy is the KILL that came to a server.
func killedBy(t *testing.T, killed <-chan string) string {
	t.Helper()
	select {
	case sql := <-killed:
		return sql
	case <-time.After(10 * time.Second):
		t.Fatal("no server was told to kill")
		return ""
	}
}

func TestK18AClientThatLeavesHasItsStatementKilled(t *testing.T) {
	p := newProxy(t, nil)
	killed := p.hangs()
	c := p.connect()
	p.send(c, slowRead)
	p.isRunning(slowRead, 1)
	c.Close()
	if sql := killedBy(t, killed); !strings.HasPrefix(sql, "KILL QUERY ") {
		t.Errorf("the server was told %q", sql)
	}
	eventually(t, "the session is over", func() bool { return p.Sessions() == 0 })
}

func twoUsers(o *router.Options) {
	o.Users["other"] = &router.User{Name: "other", Password: "app"}
	o.Users["root"] = &router.User{Name: "root", Password: "app", Admin: true}
}

func TestK18KillIsForTheSameUserOrAnAdministrator(t *testing.T) {
	p := newProxy(t, twoUsers)
	killed := p.hangs()
	victim := p.connect()
	id := one(t, victim, "SELECT CONNECTION_ID()")
	stranger, err := p.dial("other")
	if err != nil {
		t.Fatal(err)
	}
	root, err := p.dial("root")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"KILL " + id, "KILL QUERY " + id} {
		_, err = stranger.Exec(sql)
		wantError(t, err, 1095, "not owner of thread "+id)
		for _, unknown := range []string{"4294967299", "99999999999999999999", "77"} {
			_, err = stranger.Exec(strings.TrimSuffix(sql, id) + unknown)
			wantError(t, err, 1094, "Unknown thread id: "+unknown)
		}
	}
	for n, killer := range []*protocol.Conn{p.connect(), root} {
		p.send(victim, slowRead)
		p.isRunning(slowRead, n+1)
		res, err := killer.Query("SHOW PROCESSLIST")
		if err != nil {
			t.Fatal(err)
		}
		shown := false
		for i := range res.Rows {
			info, _ := res.Get(i, "Info")
			if got, _ := res.Get(i, "Id"); got == id && info == slowRead {
				shown = true
			}
		}
		if !shown {
			t.Error("SHOW PROCESSLIST doesn't show the statement")
		}
		exec1(t, killer, "KILL QUERY "+id)
		killedBy(t, killed)
		reply, err := victim.Forward(nil, protocol.ReplyQuery, nil)
		if err != nil || reply.Err == nil || reply.Err.Code != 1317 {
			t.Fatal(reply, err)
		}
	}
	// COM_PROCESS_KILL ends the connection.
	if err := root.WriteCommand(protocol.ComProcessKill, []byte{id[0] - '0', 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := root.Flush(); err != nil {
		t.Fatal(err)
	}
	if reply, err := root.Forward(nil, protocol.ReplySimple, nil); err != nil || reply.Err != nil {
		t.Fatal(reply, err)
	}
	if _, err := victim.Exec("SELECT 1"); err == nil {
		t.Error("the session goes on after a kill")
	}
}

func TestK18ProcesslistIsOfTheOwnUser(t *testing.T) {
	p := newProxy(t, twoUsers)
	p.connect()
	for user, want := range map[string]string{"app": "app,app", "other": "other", "root": "app,app,other,root"} {
		c, err := p.dial(user)
		if err != nil {
			t.Fatal(err)
		}
		if user == "other" {
			continue // it stays for root to see
		}
		var users []string
		wantUsers := strings.Split(want, ",")
		eventually(t, user+" sees "+want, func() bool {
			res, err := c.Query("SHOW FULL PROCESSLIST")
			if err != nil {
				t.Fatal(err)
			}
			users = users[:0]
			for i := range res.Rows {
				name, _ := res.Get(i, "User")
				users = append(users, name)
			}
			slices.Sort(users)
			users = slices.Compact(users)
			return slices.Equal(users, slices.Compact(wantUsers)) || user == "root" && slices.Contains(users, "app") && slices.Contains(users, "root")
		})
	}
}

func TestAClientThatIsIdleForTooLongIsLeft(t *testing.T) {
	p := newProxy(t, nil)
	busy, c := p.connect(), p.connect()
	exec1(t, c, "SET wait_timeout = 1")
	err := func() error {
		if _, err := c.ReadPacket(); err != nil {
			return err
		}
		_, err := c.ReadPacket()
		return err
	}()
	var told *protocol.Error
	if !errors.Is(err, io.EOF) && !errors.As(err, &told) {
		t.Errorf("got %v, want the end", err)
	}
	one(t, busy, readOfS0)
	eventually(t, "one session is left", func() bool { return p.Sessions() == 1 })
}

func TestK18KillUserEndsTheSessionsOfOneUser(t *testing.T) {
	for version, mariaDB := range map[string]bool{"10.11.6-MariaDB": true, "9.7.0": false} {
		t.Run(version, func(t *testing.T) {
			p := newProxyOf(t, version, twoUsers)
			as := func(user string) *protocol.Conn {
				c, err := p.dial(user)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			app, other, root := as("app"), as("other"), as("root")
			if !mariaDB {
				for _, sql := range []string{"KILL USER app", "KILL QUERY ID 5", "KILL SOFT 5", "KILL HARD QUERY 5"} {
					_, err := root.Exec(sql)
					wantError(t, err, 1064)
				}
				return
			}
			_, err := root.Exec("KILL QUERY ID 5")
			wantError(t, err, 1957, "Unknown query id: 5")
			ends := func(killer *protocol.Conn, sql string, n uint64) {
				t.Helper()
				if r := exec1(t, killer, sql); r.AffectedRows != n {
					t.Errorf("%s ended %d, want %d", sql, r.AffectedRows, n)
				}
			}
			ends(other, "KILL USER app", 0)
			ends(other, "KILL USER nobody", 0)
			ends(root, "KILL USER app@localhost", 0)
			ends(root, "/* x */ KILL SOFT QUERY USER 'app'@'%'", 1)
			one(t, app, readOfS0)
			killed := p.hangs()
			p.send(app, slowRead)
			p.isRunning(slowRead, 1)
			ends(root, "KILL USER `app`", 1)
			killedBy(t, killed)
			eventually(t, "the session is over", func() bool { return p.Sessions() == 2 })
			if _, err := app.Exec("SELECT 1"); err == nil {
				t.Error("the session goes on")
			}
			ends(other, "KILL QUERY USER CURRENT_USER()", 1)
			ends(other, "KILL USER current_user", 1)
			if _, err := other.ReadPacket(); !errors.Is(err, io.EOF) {
				t.Errorf("the killer's own session: %v, want its end", err)
			}
		})
	}
}

func TestTransactionsThatStayOpenForTooLong(t *testing.T) {
	for _, tc := range []struct {
		name  string
		limit func(o *router.Options)
	}{
		{"idle", func(o *router.Options) { o.TxIdle = 300 * time.Millisecond }},
		{"old", func(o *router.Options) { o.TxMaxAge = 300 * time.Millisecond }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProxy(t, tc.limit)
			c, other := p.connect(), p.connect()
			exec1(t, c, "BEGIN")
			exec1(t, c, "UPDATE users SET name = 'x' WHERE id = 2")
			if _, err := c.ReadPacket(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the session goes on, or ends with %v", err)
			}
			eventually(t, "the transaction is rolled back", func() bool { return slices.Contains(p.fakes["s0p"].texts(), "ROLLBACK") })
			exec1(t, other, "UPDATE users SET name = 'x' WHERE id = 2")
		})
	}
}
