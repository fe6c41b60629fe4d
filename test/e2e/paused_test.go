package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shardway/shardmap"
	"shardway/test/cluster"
)

// TestSlotsThatArePaused: slot 3 goes from s0 to s1, by maps that are written by hand, while clients have statements and
// transactions there. Its rows are on s1 from the start.
func TestSlotsThatArePaused(t *testing.T) {
	data := func(f cluster.Flavor) cluster.Data {
		d := app(f)
		d.Also = [][]int{nil, {3}}
		return d
	}
	onBoth(t, "paused", data, func(e *env) {
		start := time.Now()
		maps := e.moveSlot(3)
		d := e.serveMap(nil, maps[shardmap.MoveCopying])
		late := e.serveMap(settings{"failover": "{hold_timeout: 200ms}"}, maps[shardmap.MovePaused])
		cut := e.serveMap(nil, maps[shardmap.MoveCopying])

		const write, read = "UPDATE users SET age = age + 1 WHERE id = 3", "SELECT age FROM users WHERE id = 3"
		tx, snapshot, fresh, other, writer := e.dial(d, nil), e.dial(d, nil), e.dial(d, nil), e.dial(d, nil), e.dial(d, nil)
		all := func(w *wire, statements ...string) {
			e.Helper()
			for _, sql := range statements {
				if err := errorOf(w.query(sql)); err != nil {
					e.Fatalf("%s: %v", sql, err)
				}
			}
		}
		all(tx, "BEGIN", write)
		all(snapshot, "BEGIN", "SELECT name FROM users WHERE id = 8")
		d.rewrite("shards.yaml", maps[shardmap.MovePaused])
		e.until("the pause is announced, and what uses the slot", func() bool {
			p := d.announced()
			return p.Serving == 3 && slices.Equal(p.Moving, []string{"paused/r1.1"}) && p.Oldest == 2
		})
		written := make(chan error, 1)
		prepared, err := writer.prepare("UPDATE users SET age = age + 1 WHERE id = ?")
		e.must(err)
		go func() { written <- errorOf(writer.execute(prepared, true, int64(3))) }()
		e.until("the write waits", func() bool {
			_, body := d.get("/api/v1/rebalances")
			return strings.Contains(body, `"waiting": 1`)
		})
		all(other, "UPDATE users SET age = 5 WHERE id = 4", "SELECT age FROM users WHERE id = 4", "BEGIN", "UPDATE users SET age = 5 WHERE id = 9", "COMMIT")
		// A snapshot of the target is taken after the slot has come.
		all(fresh, "BEGIN")
		seen := make(chan error, 1)
		go func() { seen <- errorOf(fresh.query("SELECT name FROM users WHERE id = 8")) }()
		e.until("the first read waits", func() bool {
			_, body := d.get("/api/v1/rebalances")
			return strings.Contains(body, `"waiting": 2`)
		})
		all(tx, write, "COMMIT")
		if moving := d.announced().Moving; !slices.Equal(moving, []string{"paused/r1.1"}) {
			e.Errorf("with an old snapshot of the target open, the proxy says that it uses %q", moving)
		}
		all(snapshot, read, "COMMIT")
		began := time.Now()
		e.until("the slot is left", func() bool { return d.announced().Moving == nil })
		e.Logf("note: %s after a transaction's end it was announced", time.Since(began).Round(time.Millisecond))
		select {
		case err := <-written:
			e.Fatalf("a write in the pause ended: %v", err)
		default:
		}
		age := func(sh int) string {
			got, err := e.c.Shards[sh].Primary.Text(e.ctx, "SELECT age FROM paused.users WHERE id = 3")
			e.must(err)
			return got
		}
		source := age(0)
		e.must(e.c.Shards[1].Primary.Exec(e.ctx, "UPDATE paused.users SET age = "+source+" WHERE id = 3"))
		e.must(e.c.Sync(e.ctx))
		d.rewrite("shards.yaml", maps[shardmap.MoveMoved])
		e.must(<-written)
		if got := age(0); got != source {
			e.Errorf("the source was written to: %s, was %s", got, source)
		}
		if got, err := writer.one(read); err != nil || got == source || got != age(1) {
			e.Errorf("after the move a client reads %s, %v; the source had %s and the target has %s", got, err, source, age(1))
		}
		e.must(<-seen)
		if got, err := fresh.one(read); err != nil || got != source && got != age(1) { // as before the write that has waited too, or after
			e.Errorf("a transaction that has waited for the slot reads %s, %v; the source had %s and the target has %s", got, err, source, age(1))
		}
		all(fresh, "COMMIT")

		// A statement waits no longer than failover.hold_timeout.
		e.refusedWith("a write in a pause", errorOf(e.dial(late, nil).query(write)), 1205, "slots 3 of database paused")
		all(e.dial(late, nil), "UPDATE users SET age = 5 WHERE id = 4")

		// A proxy that doesn't hear of the move is kept from the source, whatever it wants there, until it has the map.
		behind := e.dial(cut, nil)
		all(behind, "SELECT age FROM users WHERE id = 3 FOR UPDATE", "UPDATE users SET age = 5 WHERE id = 8")
		e.fence(e.c.Shards[0].Primary, 4)
		before := age(0)
		for range 3 {
			if errorOf(behind.query(write)) == nil {
				e.Error("a proxy with an old map wrote to the source")
			}
		}
		if got := age(0); got != before {
			e.Errorf("the source was written to after the fence: %s, was %s", got, before)
		}
		all(behind, "UPDATE users SET age = 6 WHERE id = 8")
		cut.rewrite("shards.yaml", maps[shardmap.MoveMoved])
		e.until("the proxy writes to the target", func() bool { return errorOf(behind.query(write)) == nil })
		if got := age(0); got != before {
			e.Errorf("the source was written to by the new map: %s, was %s", got, before)
		}
		e.until("the proxy uses the source again", func() bool {
			return errorOf(behind.query("UPDATE users SET age = 7 WHERE id = 4")) == nil
		})
		e.Logf("note: it took %s", time.Since(start).Round(time.Millisecond))
	})
}

// moveSlot makes the versions of the map for a move of one slot from s0 to s1, by its state.
func (e *env) moveSlot(slot int) map[shardmap.MoveState]string {
	e.Helper()
	m, err := shardmap.Parse([]byte(e.c.Map(e.db.Map(e.c.Shards))))
	e.must(err)
	m, err = m.WithMoves(e.db.Name, []*shardmap.Move{shardmap.NewMove("r1.1", m.Shard("s0"), m.Shard("s1"), []int{slot}, "", "")})
	e.must(err)
	maps := map[shardmap.MoveState]string{}
	for i, state := range []shardmap.MoveState{shardmap.MoveCopying, shardmap.MovePaused, shardmap.MoveMoved} {
		next, err := m.WithMove(e.db.Name, "r1.1", func(v *shardmap.Move) bool {
			v.State = state
			return true
		})
		e.must(err)
		m = next.WithVersion(uint64(2 + i))
		text, err := m.Marshal()
		e.must(err)
		maps[state] = string(text)
	}
	return maps
}

// announced is what the daemon has said of itself last.
func (d *daemon) announced() (p shardmap.Proxy) {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.dir, "shards.yaml.proxies", "*.json"))
	if err != nil || len(files) != 1 {
		return p
	}
	text, err := os.ReadFile(files[0])
	if err != nil || json.Unmarshal(text, &p) != nil {
		d.t.Errorf("the announcement %q can't be read: %v", text, err)
	}
	return p
}

// fence raises a server's fence and kills the proxies' connections there, as who changes the map does.
func (e *env) fence(s *cluster.Server, version int) {
	e.Helper()
	// The other tests' maps begin with version 1 again, which the fence would keep out.
	e.Cleanup(func() {
		ctx := context.Background()
		if err := s.Exec(ctx, "DELETE FROM shardway.fence"); err != nil {
			e.Error(err)
		}
		if err := e.c.Sync(ctx); err != nil {
			e.Error(err)
		}
	})
	e.must(s.Exec(e.ctx, "CREATE DATABASE IF NOT EXISTS shardway",
		"CREATE TABLE IF NOT EXISTS shardway.fence (id TINYINT NOT NULL PRIMARY KEY, version BIGINT UNSIGNED NOT NULL, note VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)) ENGINE=InnoDB",
	))
	_, err := s.DB().ExecContext(e.ctx, "REPLACE INTO shardway.fence (id, version, note) VALUES (1, ?, 'a test')", version)
	e.must(err)
	rows, err := s.DB().QueryContext(e.ctx, "SELECT id FROM information_schema.processlist WHERE user = ?", cluster.User)
	e.must(err)
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		e.must(rows.Scan(&id))
		ids = append(ids, id)
	}
	e.must(rows.Err())
	for _, id := range ids {
		_, _ = s.DB().ExecContext(e.ctx, "KILL "+id) // it may have gone by itself
	}
}
