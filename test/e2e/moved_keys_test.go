package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"shardway/shardmap"
	"shardway/test/cluster"
)

// keysWhileMoving runs UPDATEs of the key that take rows from shard to shard, and by the slots that move: in each state in
// which a shard has copies for long, with copies that are out of date in the way.
func keysWhileMoving(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, states := range [][]shardmap.MoveState{
		{shardmap.MoveCopying},
		{shardmap.MoveCopying, shardmap.MovePaused, shardmap.MoveMoved},
		{shardmap.MoveCopying, shardmap.MovePaused, shardmap.MoveMoved, shardmap.MoveCleaning},
	} {
		h := &handMade{state: states[len(states)-1], was: map[string]string{}}
		t.Run("keys "+string(h.state), func(t *testing.T) {
			e := &env{T: t, ctx: ctx, c: c, binary: plainBinary, moves: h}
			e.keys(states)
		})
	}
}

// keySlots are two for each of three shards. Slot 0, the first one's, moves to the second.
const keySlots = 6

func (e *env) keys(states []shardmap.MoveState) {
	e.Helper()
	h := e.moves
	e.db = cluster.Data{
		Name: "moving", Slots: keySlots, Shards: 3,
		Script: []string{
			`CREATE TABLE parts (k BIGINT NOT NULL, n INT NOT NULL, name VARCHAR(20) NOT NULL, twice BIGINT AS (k * 2), v INT NOT NULL DEFAULT 0, PRIMARY KEY (k, n), UNIQUE KEY (k, name))`,
			`CREATE TABLE mails (id BIGINT NOT NULL PRIMARY KEY, mail VARCHAR(20), UNIQUE KEY (mail))`,
		},
		Tables: []cluster.Placed{{Name: "parts", Key: "k", Placement: "mod", Options: "key_type: bigint"}, {Name: "mails", Key: "id", Placement: "mod"}},
	}
	var ghosts, parts, mails []string // ghosts are copies of rows that are there no more
	for k := range keySlots {
		for n := range 12 {
			parts = append(parts, fmt.Sprintf("(%d, %d, 'n%d')", k, n, n))
			ghosts = append(ghosts, fmt.Sprintf("(%d, %d, 'ghost')", ghost(k, n), n), fmt.Sprintf("(%d, 99, 'n%d')", ghost(k, 20+n), n))
		}
		mails = append(mails, fmt.Sprintf("(%d, 'm%d')", k, k))
	}
	e.db.Script = append(e.db.Script, "INSERT INTO parts (k, n, name) VALUES "+strings.Join(parts, ", "), "INSERT INTO mails VALUES "+strings.Join(mails, ", "))
	m, err := shardmap.Parse([]byte(e.c.Map(e.db.Map(e.c.Shards))))
	e.must(err)
	m, err = m.WithMoves(e.db.Name, []*shardmap.Move{shardmap.NewMove("r1.1", m.Shards()[0], m.Shards()[1], []int{0}, "", "")})
	e.must(err)
	for _, state := range states {
		m, err = m.WithMove(e.db.Name, "r1.1", func(v *shardmap.Move) bool { v.State = state; return true })
		e.must(err)
	}
	h.m = m
	move := m.Database(e.db.Name).Moves()[0]
	copies := move.Copies() // where rows pass among copies
	e.db.Also = make([][]int, len(e.c.Shards))
	e.db.Also[0], e.db.Also[1] = []int{0}, []int{0} // the owner of the moment, and the one that the servers were filled for
	e.must(e.c.Load(e.ctx, e.db))
	e.must(e.c.Shards[copies.Index].Primary.Exec(e.ctx, "INSERT INTO moving.parts (k, n, name) VALUES "+strings.Join(ghosts, ", "), "DELETE FROM moving.parts WHERE k = 0 AND n = 11"))
	d := h.start(e)
	p := &pair{e.dial(d, nil), e.plain(nil)}
	to := func(slot, n int) int { return 60000 + 60*n + slot }
	for was := range keySlots {
		for is := range keySlots {
			e.both(p, fmt.Sprintf("UPDATE parts SET k = %d, v = v + 1 WHERE k = %d AND n = 1", to(is, 1), was))
			e.both(p, fmt.Sprintf("UPDATE parts SET k = %d, name = CONCAT('x', k) WHERE k = %d AND n = 1", was, to(is, 1)))
			e.both(p, fmt.Sprintf("UPDATE parts SET k = %d WHERE k = %d AND n = 2", is, was))               // error 1062
			e.both(p, fmt.Sprintf("UPDATE parts SET k = %d, name = 'n5' WHERE k = %d AND n = 10", is, was)) // by the other unique index
		}
		for _, n := range []int{3, 4} { // a copy has the primary key, or the other unique index
			for _, ignore := range []string{"", "IGNORE "} {
				k := ghost(was, n)
				if n == 4 {
					k = ghost(was, 24)
				}
				e.both(p, fmt.Sprintf("UPDATE %sparts SET k = %d, v = 5 WHERE k = %d AND n = %d", ignore, k, was, n))
				e.both(p, fmt.Sprintf("UPDATE parts SET k = %d WHERE k = %d AND n = %d", was, k, n))
			}
		}
		e.both(p, fmt.Sprintf("UPDATE parts SET k = %d WHERE k = %d AND n IN (5, 6, 11)", ghost(was, 5), was))
		e.both(p, "BEGIN")
		e.both(p, "SELECT a.k, MAX(b.name) FROM parts a, parts b WHERE a.n = 7 AND b.n = 8 AND a.k <= b.k GROUP BY a.k HAVING COUNT(*) > 0 ORDER BY a.k") // temporary tables
		e.both(p, fmt.Sprintf("UPDATE parts SET k = %d WHERE k = %d AND n = 7", ghost(was, 7), was))
		e.both(p, fmt.Sprintf("UPDATE parts SET k = %d WHERE k = 5 AND n = 2", was)) // fails alone
		e.both(p, fmt.Sprintf("SELECT k, n, name FROM parts WHERE k IN (%d, %d) ORDER BY k, n", was, ghost(was, 7)))
		e.both(p, []string{"COMMIT", "ROLLBACK"}[was%2])
	}
	e.sameKeys(p, "parts")
	// What is in the way of the row is the copy of the row itself, by a unique index without the key.
	own := 1
	if copies.Index == 1 {
		own = 2
	}
	e.both(p, fmt.Sprintf("UPDATE mails SET id = %d, mail = 'other' WHERE id = 0", 600+own))
	e.both(p, fmt.Sprintf("UPDATE mails SET id = 0, mail = 'm0' WHERE id = %d", 600+own))
	e.both(p, fmt.Sprintf("UPDATE mails SET id = %d WHERE id = 0", own))                        // error 1062
	e.both(p, fmt.Sprintf("UPDATE mails SET id = %d, mail = 'm%d' WHERE id = 0", 600+own, own)) // error 1062 of the row that is there
	e.both(p, "UPDATE mails SET id = 605 WHERE id = 0")
	e.both(p, "UPDATE mails SET id = 0 WHERE id = 605")
	got, err := p.ours.query(fmt.Sprintf("UPDATE mails SET id = %d WHERE id = 0", 600+own))
	e.must(err)
	if refused := got[0].Err; refused == nil || refused.Code != 1205 || !strings.Contains(refused.Message, "has a copy of it") || !strings.Contains(refused.Message, "r1.1, "+string(h.state)) {
		e.Errorf("in the way of a row's own copy: %+v", refused)
	}
	e.sameKeys(p, "mails")
}

// ghost is a key of the slot that moves, of which a copy is out of date.
func ghost(k, n int) int { return keySlots * (1000 + 100*k + n) }

// sameKeys compares a table's rows with the plain server's. The copies must be what they were.
func (e *env) sameKeys(p *pair, table string) {
	e.Helper()
	want, err := p.plain.text("SELECT * FROM " + table)
	e.must(err)
	var got [][]string
	for i := range e.c.Shards {
		got = append(got, e.moves.owned(e, i, table)...)
	}
	if a, b := sorted(got), sorted(want); a != b {
		e.Fatalf("%s has other rows (%s): %s", table, e.moves, firstDifference(a, b))
	}
}
