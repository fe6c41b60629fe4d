package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"shardway/shardmap/rebalance/rows"
	"shardway/test/cluster"
)

// early reads rows that are in the log and not committed yet: with semi-sync a
// server waits for a replica in between.
func early(s *servers) {
	t := s.table("ea", "id INT PRIMARY KEY, v INT")
	s.exec("INSERT INTO app.ea VALUES (1, 0), (2, 0)")
	word, replica := "master", "slave"
	if s.mysql() {
		word, replica = "source", "replica"
	}
	s.exec(fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_timeout=400", word), fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_wait_no_%s=ON", word, replica),
		fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_wait_point=AFTER_SYNC", word))
	on := "SET GLOBAL rpl_semi_sync_" + word + "_enabled="
	defer s.exec(on + "OFF")
	stream := s.start(t)
	for _, c := range []struct {
		key            string
		before, commit []string
	}{
		{"1", nil, []string{"UPDATE app.ea SET v=1 WHERE id=1"}},
		{"2", []string{"XA START 'early'", "UPDATE app.ea SET v=1 WHERE id=2", "XA END 'early'", "XA PREPARE 'early'"}, []string{"XA COMMIT 'early'"}},
	} {
		conn, err := s.primary.DB().Conn(s.ctx)
		s.must(err)
		run := func(statements []string) error {
			for _, q := range statements {
				if _, err := conn.ExecContext(s.ctx, q); err != nil {
					return err
				}
			}
			return nil
		}
		s.must(run(c.before))
		s.until(stream)
		s.exec(on+"OFF", on+"ON")
		done := make(chan error, 1)
		go func() { done <- run(c.commit) }()
		tx, err := stream.Next(s.ctx)
		s.must(err)
		if got := strings.Join(keys([]*Transaction{tx}), " "); got != c.key {
			s.Errorf("%q: %q are changed", c.commit, got)
		}
		value := func() (v int) {
			s.must(s.primary.DB().QueryRowContext(s.ctx, "SELECT v FROM app.ea WHERE id="+c.key).Scan(&v))
			return v
		}
		if value() == 0 {
			s.Logf("%q is in the log before it can be read", c.commit)
		} else if c.before == nil {
			s.Errorf("%q could be read at once: the test shows nothing", c.commit)
		}
		s.must(Await(s.ctx, s.primary.DB(), stream.Position()))
		if value() != 1 {
			s.Errorf("%q can't be read after Await", c.commit)
		}
		s.must(<-done)
		s.must(conn.Close())
	}
}

// awaited reads rows as soon as the log says that they have changed.
func awaited(s *servers) {
	t := s.table("aw", "id INT PRIMARY KEY, v INT")
	s.exec("INSERT INTO app.aw VALUES (0, 0), (1, 0), (2, 0), (3, 0)")
	stream := s.start(t)
	const each = 100
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	failed := make(chan error, 4)
	for id := range 4 {
		// Ended by its last statement, or by cancel; failed takes one of each.
		go func() {
			var err error
			for i := 0; i < each && err == nil; i++ {
				switch {
				case id < 3:
					err = s.primary.Exec(ctx, fmt.Sprintf("UPDATE app.aw SET v=v+1 WHERE id=%d", id))
				default:
					err = s.primary.Exec(ctx, "XA START 'w'", "UPDATE app.aw SET v=v+1 WHERE id=3", "XA END 'w'", "XA PREPARE 'w'", "XA COMMIT 'w'")
				}
			}
			failed <- err
		}()
	}
	db := s.primary.DB()
	want, early, late := map[string]int{}, 0, 0
	for total := 0; total < 4*each; {
		tx, err := stream.Next(s.ctx)
		s.must(err)
		for _, key := range keys([]*Transaction{tx}) {
			total++
			want[key]++
			var got int
			s.must(db.QueryRowContext(s.ctx, "SELECT v FROM app.aw WHERE id="+key).Scan(&got))
			if got < want[key] {
				early++
			}
			s.must(Await(s.ctx, db, tx.Position))
			s.must(db.QueryRowContext(s.ctx, "SELECT v FROM app.aw WHERE id="+key).Scan(&got))
			if got < want[key] {
				late++
			}
		}
	}
	for range 4 {
		s.must(<-failed)
	}
	s.Logf("of %d changes %d couldn't be read at once, and %d after Await", 4*each, early, late)
	if late > 0 {
		s.Errorf("%d changes couldn't be read after Await", late)
	}
}

func refused(s *servers) {
	t := s.table("re", "id INT PRIMARY KEY")
	old := s.current()
	for name, c := range map[string]struct {
		change func(*Source, *Options)
		want   string
	}{
		"a wrong password":          {func(s *Source, _ *Options) { s.Password = "no" }, "Access denied"},
		"an account without rights": {func(s *Source, _ *Options) { s.User, s.Password = cluster.User, cluster.Password }, "REPLICATION SLAVE"},
		"the other flavour":         {func(s *Source, _ *Options) { s.MariaDB = !s.MariaDB }, "another kind"},
		"nobody there":              {func(s *Source, _ *Options) { s.Addr = "127.0.0.1:1" }, "refused"},
	} {
		source, o := s.source(), Options{From: old, Tables: []*rows.Table{t}}
		c.change(&source, &o)
		stream, err := Start(s.ctx, source, o)
		if err == nil {
			_, err = stream.Next(s.ctx)
			_ = stream.Close()
		}
		if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Error(), c.want) || e.Purged {
			s.Errorf("%s got %v, want %s", name, err, c.want)
		}
	}
	s.exec("INSERT INTO app.re VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO app.re VALUES (2)")
	s.must(s.c.Sync(s.ctx))
	logs := "SHOW MASTER STATUS"
	if s.mysql() {
		logs = "SHOW BINARY LOG STATUS"
	}
	var file string
	var rest [4]any
	to := []any{&file, &rest[0], &rest[1], &rest[2]}
	if s.mysql() {
		to = append(to, &rest[3])
	}
	s.must(s.primary.DB().QueryRowContext(s.ctx, logs).Scan(to...))
	// A server keeps what it believes that others still read.
	for first := ""; first != file; {
		s.exec("PURGE BINARY LOGS TO '" + file + "'")
		rows, err := s.primary.DB().QueryContext(s.ctx, "SHOW BINARY LOGS")
		s.must(err)
		if rows.Next() {
			cells := []any{&first, &rest[0], &rest[1]}
			names, err := rows.Columns()
			s.must(err)
			s.must(rows.Scan(cells[:len(names)]...))
		}
		s.must(rows.Close())
	}
	stream := s.startAt(Options{From: old, Tables: []*rows.Table{t}})
	_, err := stream.Next(s.ctx)
	if e, ok := errors.AsType[*Error](err); !ok || !e.Purged || e.Fix == "" {
		s.Errorf("a log that is gone got %v", err)
	}
	if !s.mysql() {
		stream := s.startAt(Options{From: s.current().Union(s.next()), Tables: []*rows.Table{t}})
		_, err := stream.Next(s.ctx)
		if e, ok := errors.AsType[*Error](err); !ok || !e.Purged || e.Fix == "" {
			s.Errorf("a position that never was got %v", err)
		}
	}
}

func silence(s *servers) {
	t := s.table("si", "id INT PRIMARY KEY")
	source := s.source()
	source.Heartbeat = 50 * time.Millisecond
	stream, err := Start(s.ctx, source, Options{From: s.current(), Tables: []*rows.Table{t}})
	s.must(err)
	defer func() { _ = stream.Close() }()
	// Heartbeats keep an idle stream alive.
	idle, cancel := context.WithTimeout(s.ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := stream.Next(idle); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("an idle stream got %v", err)
	}
	if age := time.Since(stream.Heard()); age > 400*time.Millisecond {
		s.Errorf("the server was heard %s ago", age)
	}
	s.primary.Pause()
	defer s.primary.Continue()
	_, err = stream.Next(s.ctx)
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Text, "said nothing") {
		s.Errorf("a server that hangs got %v", err)
	}
}
