package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestK18Kill ends statements and sessions by Shardway's ids, and looks at the servers whether they ended there.
func TestK18Kill(t *testing.T) {
	onBoth(t, "killing", app, func(e *env) {
		d := e.serve(settings{"users": "{app: {password: app}, other: {password: app}, root: {password: app, admin: true}}"})
		sleeping := func() int {
			n := 0
			for _, s := range e.c.Servers() {
				var here int
				e.must(s.DB().QueryRowContext(e.ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(77)%' AND info NOT LIKE '%processlist%'").Scan(&here))
				n += here
			}
			return n
		}
		const slow = "SELECT SLEEP(77) FROM users WHERE id = 3"

		// A client that goes away.
		for _, how := range []string{"text", "prepared"} {
			gone := e.dial(d, nil)
			if how == "text" {
				e.must(gone.send(comQuery, []byte(slow)))
			} else {
				s, err := gone.prepare(slow)
				e.must(err)
				e.must(gone.send(comStmtExecute, s.executePacket(0, true)))
			}
			e.until("the statement runs", func() bool { return sleeping() == 1 })
			gone.close()
			left := time.Now()
			e.until("the statement of a client that left has ended", func() bool { return sleeping() == 0 })
			if took := time.Since(left); took > 5*time.Second {
				e.Errorf("the statement of a client that left ran for %v", took)
			}
		}

		as := func(user string) *wire {
			return e.dial(d, func(o *wireOptions) { o.user = user })
		}
		victim, other, root := as("app"), as("other"), as("root")
		id, err := victim.one("SELECT CONNECTION_ID()")
		e.must(err)
		for _, q := range []string{"KILL " + id, "KILL QUERY " + id} {
			if rs, err := other.query(q); err != nil || rs[0].Err == nil || rs[0].Err.Code != 1095 {
				e.Errorf("%s by another user: %v, %v", q, rs, err)
			}
		}
		e.must(victim.send(comQuery, []byte(slow)))
		e.until("the statement runs", func() bool { return sleeping() == 1 })
		rows, err := root.text("SHOW PROCESSLIST")
		e.must(err)
		shown := 0
		for _, row := range rows {
			if row[0] == id && row[1] == "app" && row[4] == "Query" && row[7] == slow {
				shown++
			}
		}
		if shown != 1 {
			e.Errorf("SHOW PROCESSLIST is %q", rows)
		}
		columns := func(w *wire) (names []string) {
			rs, err := w.query("SHOW PROCESSLIST")
			e.must(err)
			for _, def := range rs[0].Columns {
				for range 4 {
					n, rest := lenenc(def)
					def = rest[n:]
				}
				n, rest := lenenc(def)
				names = append(names, string(rest[:n]))
			}
			return names
		}
		if got, want := strings.Join(columns(root), ","), strings.Join(columns(e.plain(nil)), ","); got != want {
			e.Errorf("the columns of SHOW PROCESSLIST are %s, want %s", got, want)
		}
		if rows, err := other.text("SHOW FULL PROCESSLIST"); err != nil || len(rows) != 1 || rows[0][1] != "other" {
			e.Errorf("another user sees %q, %v", rows, err)
		}
		_, err = root.query("KILL QUERY " + id)
		e.must(err)
		rs, err := victim.results()
		if err != nil || rs[0].Err == nil && len(rs[0].Rows) != 1 || rs[0].Err != nil && rs[0].Err.Code != 1317 {
			e.Errorf("the killed statement gave %v, %v", rs, err)
		}
		if got, err := victim.one("SELECT name FROM users WHERE id = 3"); err != nil || got != "user 3" {
			e.Errorf("after KILL QUERY: %q, %v", got, err)
		}
		e.must(victim.send(comQuery, []byte(slow)))
		e.until("the statement runs", func() bool { return sleeping() == 1 })
		_, err = as("app").query("KILL " + id)
		e.must(err)
		e.until("the statement has ended", func() bool { return sleeping() == 0 })
		if _, err := victim.one("SELECT 1"); err == nil {
			e.Error("the session goes on after KILL")
		}

		// wait_timeout is the client's own.
		idle := as("app")
		_, err = idle.query("SET wait_timeout = 1")
		e.must(err)
		time.Sleep(2500 * time.Millisecond)
		if _, err := idle.one("SELECT 1"); err == nil {
			e.Error("a client that was idle for longer than its wait_timeout goes on")
		}
	})
}
