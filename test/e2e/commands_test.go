package e2e

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestCommands sends each command by hand.
func TestCommands(t *testing.T) {
	onBoth(t, "coms", app, func(e *env) {
		d := e.serve(settings{"users": "{app: {password: app, databases: [coms, mysql_other]}, second: {password: two, databases: [coms], read_only: true}}"})
		alive := func(w *wire, after string) {
			e.Helper()
			if got, err := w.one("SELECT 41 + 1"); got != "42" || err != nil {
				e.Fatalf("after %s: %q, %v", after, got, err)
			}
		}
		for _, mode := range []struct {
			name   string
			change func(*wireOptions)
		}{{"modern", nil}, {"old", func(o *wireOptions) { o.without = capDeprecateEOF | capMultiResults | capPSMultiResults }}} {
			e.Run(mode.name, func(t *testing.T) {
				w, plain := e.dial(d, mode.change), e.plain(mode.change)

				if _, err := w.simple(comPing); err != nil {
					t.Errorf("PING: %v", err)
				}
				if _, err := w.simple(comInitDB, []byte(e.db.Name)); err != nil {
					t.Errorf("INIT_DB: %v", err)
				}
				var we *wireError
				if _, err := w.simple(comInitDB, []byte("nowhere")); !errors.As(err, &we) || we.Code != 1049 && we.Code != 1044 {
					t.Errorf("INIT_DB of an unknown database: %v, want 1049 or 1044", err)
				}
				if got, err := w.one("SELECT DATABASE()"); got != e.db.Name || err != nil {
					t.Errorf("the database is %q, %v after a failed INIT_DB", got, err)
				}
				e.must(w.send(comStatistics))
				if p, err := w.readPacket(); err != nil || !strings.Contains(string(p), "Uptime") {
					t.Errorf("STATISTICS: %q, %v", p, err)
				}
				for _, option := range []byte{0, 1} {
					if _, err := w.simple(comSetOption, []byte{option, 0}); err != nil && option == 1 {
						t.Errorf("SET_OPTION %d: %v", option, err)
					}
				}
				if _, err := w.simple(comSetOption, []byte{9, 0}); err == nil {
					t.Error("SET_OPTION 9 went well")
				}
				alive(w, "SET_OPTION")

				// FIELD_LIST answers definitions and an EOF, as the plain server does.
				fields := func(w *wire, table string) ([][]byte, error) {
					e.must(w.send(comFieldList, []byte(table+"\x00")))
					var defs [][]byte
					for {
						p, err := w.readPacket()
						switch {
						case err != nil:
							return nil, err
						case p[0] == 0xff:
							return nil, parseError(p)
						case p[0] == 0xfe && len(p) < 20:
							return defs, nil
						}
						defs = append(defs, p)
					}
				}
				for _, table := range []string{"users", "notes", "nowhere"} {
					got, err1 := fields(w, table)
					want, err2 := fields(plain, table)
					if quoted(got) != quoted(want) || (err1 == nil) != (err2 == nil) {
						t.Errorf("FIELD_LIST %s: %s, %v\nwant %s, %v", table, quoted(got), err1, quoted(want), err2)
					}
				}
				alive(w, "FIELD_LIST")

				// Commands that no client needs, unknown ones, and a broken one.
				for _, com := range []byte{0, 5, 6, 7, 8, 11, 13, 15, 16, 18, 19, 20, 21, 29, 30, 32, 33, 99, 250, 255} {
					if _, err := w.simple(com); !errors.As(err, &we) || we.Code != 1047 {
						t.Errorf("command %d: %v, want 1047", com, err)
					}
				}
				alive(w, "unknown commands")
				// PROCESS_INFO is SHOW PROCESSLIST, and PROCESS_KILL is KILL.
				e.must(w.send(comProcessInfo))
				if rs, err := w.results(); err != nil || len(rs) != 1 || len(rs[0].Rows) == 0 || len(rs[0].Columns) < 8 {
					t.Errorf("PROCESS_INFO: %v, %v", rs, err)
				}
				if _, err := w.simple(comProcessKill, u32(4_000_000_000)); !errors.As(err, &we) || we.Code != 1094 {
					t.Errorf("PROCESS_KILL of nobody: %v, want 1094", err)
				}
				if _, err := w.simple(comProcessKill); err == nil {
					t.Error("PROCESS_KILL without an id went well")
				}
				alive(w, "PROCESS_KILL")
				for _, com := range []byte{comStmtExecute, comStmtReset, comStmtFetch} {
					if _, err := w.simple(com, []byte{1}); err == nil {
						t.Errorf("command %d of one byte went well", com)
					}
					if _, err := w.simple(com, []byte{9, 9, 9, 9, 0, 1, 0, 0, 0}); err == nil {
						t.Errorf("command %d of an unknown statement went well", com)
					}
				}
				alive(w, "broken statements")
				rs, err := w.query("")
				if err != nil || rs[0].Err == nil || rs[0].Err.Code != 1065 {
					t.Errorf("an empty query: %v, %v, want 1065", rs, err)
				}

				// RESET_CONNECTION keeps the database and drops the rest.
				if _, err := w.query("SET @x = 5, sql_mode = 'ANSI_QUOTES', autocommit = 0"); err != nil {
					t.Error(err)
				}
				s, err := w.prepare("SELECT 1")
				e.must(err)
				if _, err := w.simple(comReset); err != nil {
					t.Errorf("RESET_CONNECTION: %v", err)
				}
				rows, err := w.text("SELECT @x, @@autocommit, @@sql_mode = @@global.sql_mode, DATABASE()")
				if err != nil || strings.Join(rows[0], " ") != "NULL 1 1 "+e.db.Name {
					t.Errorf("after a reset: %v, %v", rows, err)
				}
				if rs, err := w.execute(s, false); err != nil || rs[0].Err == nil || rs[0].Err.Code != 1243 {
					t.Errorf("a statement after a reset: %v, %v, want 1243", rs, err)
				}

				// CHANGE_USER logs in anew.
				if err := w.changeUser("second", "two", e.db.Name); err != nil {
					t.Errorf("CHANGE_USER: %v", err)
				}
				alive(w, "CHANGE_USER")
				rs, err = w.query("UPDATE users SET age = 1 WHERE id = 7")
				if err != nil || rs[0].Err == nil {
					t.Errorf("a read-only user wrote: %v, %v", rs, err)
				}
				alive(w, "a refused write")
				if err := w.changeUser("app", "app", ""); err != nil {
					t.Errorf("CHANGE_USER back: %v", err)
				}
				if got, err := w.one("SELECT DATABASE()"); got != "NULL" || err != nil {
					t.Errorf("the database after CHANGE_USER without one is %q, %v", got, err)
				}
				if err := w.changeUser("app", "wrong", ""); !errors.As(err, &we) || we.Code != 1045 {
					t.Errorf("CHANGE_USER with a wrong password: %v, want 1045", err)
				}

				w = e.dial(d, mode.change)
				e.must(w.send(comQuit))
				if _, err := w.readPacket(); !errors.Is(err, io.EOF) {
					t.Errorf("after QUIT: %v, want the end", err)
				}
			})
		}
		e.Run("several results", func(t *testing.T) {
			e.must(e.c.Shards[0].Primary.Exec(e.ctx, "CREATE PROCEDURE coms.two() BEGIN SELECT 1; SELECT 2; END"))
			e.must(e.c.Plain.Exec(e.ctx, "CREATE PROCEDURE coms.two() BEGIN SELECT 1; SELECT 2; END"))
			w, plain := e.dial(d, nil), e.plain(nil)
			got, err1 := w.query("CALL two()")
			want, err2 := plain.query("CALL two()")
			if err1 != nil || err2 != nil || len(got) != len(want) {
				t.Errorf("CALL gave %v, %v, want %v, %v", got, err1, want, err2)
			}
			alive(w, "CALL")
		})
	})
}

// changeUser sends COM_CHANGE_USER with whatever exchange follows.
func (w *wire) changeUser(user, password, db string) error {
	w.password = password
	plugin := "mysql_native_password"
	answer := w.scramble(plugin)
	b := append([]byte(user), 0, byte(len(answer)))
	b = append(b, answer...)
	b = append(append(b, db...), 0)
	b = append(b, 45, 0)
	b = append(append(b, plugin...), 0)
	w.seq = 0
	if err := w.writePacket(append([]byte{comChangeUser}, b...)); err != nil {
		return err
	}
	return w.finishLogin()
}

// TestU29ProbesAreSilent opens TCP connections that say nothing, hang up early or
// talk nonsense, and looks whether any server or the log noticed.
func TestU29ProbesAreSilent(t *testing.T) {
	onEach(t, "probe", app, func(e *env) {
		d := e.serve(nil)
		aborted := func() int64 {
			var n int64
			for _, s := range e.c.Servers() {
				m, err := s.Status(e.ctx, "Aborted_%")
				e.must(err)
				n += m["aborted_connects"] + m["aborted_clients"]
			}
			return n
		}
		before, logged := aborted(), len(d.log.String())
		for i := range 50 {
			nc, err := net.DialTimeout("tcp", d.addr, 5*time.Second)
			e.must(err)
			if i%2 == 0 {
				b := make([]byte, 200)
				_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
				if n, err := nc.Read(b); n < 20 || err != nil || b[4] != 10 {
					e.Errorf("greeting % x, %v", b[:n], err)
				}
			}
			_ = nc.Close()
		}
		w := e.dial(d, nil) // and the daemon still serves
		if got, err := w.one("SELECT 1"); got != "1" || err != nil {
			e.Error(got, err)
		}
		if n := aborted() - before; n != 0 {
			e.Errorf("the servers counted %d aborted connections", n)
		}
		if text := d.log.String()[logged:]; strings.Contains(text, "level=ERROR") || strings.Contains(text, "level=WARN") {
			e.Errorf("the probes are in the log:\n%s", text)
		}
		if code, _ := d.get("/livez"); code != 200 {
			e.Errorf("/livez answers %d", code)
		}
		if code, body := d.get("/metrics"); code != 200 || !strings.Contains(body, "shardway_") {
			e.Errorf("/metrics answers %d", code)
		}
		// Nonsense gets an end, and harms nobody.
		for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x00", "\xff\xff\xff\xff\xff\xff", strings.Repeat("\x01\x00\x00\x01", 100)} {
			nc, err := net.DialTimeout("tcp", d.addr, 5*time.Second)
			e.must(err)
			_, _ = nc.Write([]byte(text))
			_ = nc.(*net.TCPConn).CloseWrite()
			_ = nc.SetReadDeadline(time.Now().Add(15 * time.Second))
			if _, err := io.ReadAll(nc); err != nil && !strings.Contains(err.Error(), "reset") {
				e.Errorf("after %q: %v", text, err)
			}
			_ = nc.Close()
		}
		if got, err := w.one("SELECT 1"); got != "1" || err != nil {
			e.Error(got, err)
		}
	})
}
