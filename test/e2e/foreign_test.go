package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"shardway/shardmap"
	"shardway/test/cluster"
)

// handMade are moves of slots that nobody makes: the copies are where a shard would have them, and stay as they are.
type handMade struct {
	state shardmap.MoveState
	m     *shardmap.Map
	// was are the copies at the beginning, by shard and table.
	was map[string]string
}

// whileMoving runs n random statements while slots move, in each state in which shards have copies for long.
func whileMoving(ctx context.Context, t *testing.T, c *cluster.Cluster, seed, n int) {
	t.Helper()
	var sum tally
	schemas := max(2, n/statementsPerSchema)
	for i := range schemas {
		state := []shardmap.MoveState{shardmap.MoveCopying, shardmap.MoveMoved}[i%2]
		some := n / schemas
		t.Run(fmt.Sprintf("%s%d", state, seed+i), func(t *testing.T) {
			e := &env{T: t, ctx: ctx, c: c, binary: plainBinary, moves: &handMade{state: state, was: map[string]string{}}}
			e.random("moving", uint64(seed+i), some, &sum)
		})
	}
	t.Logf("note: while slots move, %d statements answered alike, %d refused, %d different", sum.alike, sum.refused, sum.different)
	for _, why := range sum.refusals() {
		t.Logf("note: refused while slots move %s", why)
	}
}

// begin chooses moves for the schema of a seed: some or all slots of each shard go to another one, which may have none yet.
func (h *handMade) begin(e *env, seed uint64) {
	e.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	e.db.Shards = 2 + int(seed%3) // one may have none yet
	m, err := shardmap.Parse([]byte(e.c.Map(e.db.Map(e.c.Shards))))
	e.must(err)
	var moves []*shardmap.Move
	e.db.Also = make([][]int, len(e.c.Shards))
	for _, from := range m.Shards() {
		slots := m.Database(e.db.Name).Owned(from.ID)
		if len(slots) == 0 || len(moves) > 0 && r.IntN(4) == 0 {
			continue
		}
		among := e.db.Shards // those with slots, whose statements meet the copies
		if r.IntN(4) == 0 {
			among = len(m.Shards())
		}
		to := m.Shards()[(from.Index+1+r.IntN(among-1))%among]
		switch r.IntN(3) {
		case 0: // all
		case 1:
			slots = slots[:1+r.IntN(len(slots))]
		default:
			slots = slices.DeleteFunc(slots, func(slot int) bool { return slot%3 == 1 })
		}
		moves = append(moves, shardmap.NewMove(fmt.Sprintf("r1.%d", len(moves)+1), from, to, slots, "", ""))
		e.db.Also[to.Index] = append(e.db.Also[to.Index], slots...)
	}
	m, err = m.WithMoves(e.db.Name, moves)
	e.must(err)
	for _, v := range moves {
		for _, state := range []shardmap.MoveState{shardmap.MoveCopying, shardmap.MovePaused, shardmap.MoveMoved} {
			m, err = m.WithMove(e.db.Name, v.ID, func(v *shardmap.Move) bool {
				v.State = state
				return true
			})
			e.must(err)
			if state == h.state {
				break
			}
		}
	}
	h.m = m
}

// start takes the reference tables off the shards that aren't to have them, looks at the copies, and starts the daemon.
func (h *handMade) start(e *env) *daemon {
	e.Helper()
	for i, sh := range e.c.Shards {
		for _, t := range e.db.Tables {
			switch {
			case t.Key == "" && !h.holds(e, i):
				e.must(sh.Primary.Exec(e.ctx, "DROP TABLE "+e.db.Name+"."+t.Name))
			case t.Key != "":
				_, copies := h.rows(e, i, t)
				h.was[sh.ID+"."+t.Name] = sorted(copies)
			}
		}
	}
	text, err := h.m.Marshal()
	e.must(err)
	return e.serveMap(nil, string(text))
}

func (h *handMade) holds(e *env, shard int) bool {
	return h.m.Database(e.db.Name).Holds(h.m.Shard(e.c.Shards[shard].ID))
}

// rows are those of a table that a shard owns, and the copies that it has.
func (h *handMade) rows(e *env, shard int, t cluster.Placed) (own, copies [][]string) {
	e.Helper()
	sh := e.c.Shards[shard]
	owned := map[string]bool{}
	for _, slot := range h.m.Database(e.db.Name).Owned(sh.ID) {
		owned[fmt.Sprint(slot)] = true
	}
	rows, err := e.onServer(sh.Primary, fmt.Sprintf("SELECT t.*, %s FROM %s.%s t", t.Slot(e.db.Slots), e.db.Name, t.Name))
	e.must(err)
	for _, row := range rows {
		last := len(row) - 1
		if owned[row[last]] {
			own = append(own, row[:last])
		} else {
			copies = append(copies, row[:last])
		}
	}
	return own, copies
}

// owned are the rows of a table that a shard owns; the copies that it has must be what they were.
func (h *handMade) owned(e *env, shard int, table string) [][]string {
	e.Helper()
	at := slices.IndexFunc(e.db.Tables, func(t cluster.Placed) bool { return t.Name == table })
	own, copies := h.rows(e, shard, e.db.Tables[at])
	id := e.c.Shards[shard].ID
	if got, want := sorted(copies), h.was[id+"."+table]; got != want {
		e.Fatalf("the copies of %s on %s have changed (%s): %s", table, id, h, firstDifference(got, want))
	}
	return own
}

// String is the moves.
func (h *handMade) String() string {
	var list []string
	for _, d := range h.m.Databases() {
		for _, v := range d.Moves() {
			list = append(list, fmt.Sprintf("%s %s of %s from %s to %s", v.ID, v.State, strings.Join(shardmap.FormatSlots(v.Slots()), ","), v.From.ID, v.To.ID))
		}
	}
	return strings.Join(list, "; ")
}
