package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shardway/shardmap"
)

func rebalanceCommands() []command {
	const accounts = "\n\nIt logs in to the servers as failover.user of the configuration, else as servers.user;\ndocs/rebalance.md lists the account's rights."
	return []command{
		{
			name: "rebalance plan", brief: "says which slots would move, looks for everything in the way, and stores the plan",
			details: "Rows are counted by slot, and the fewest slots are chosen that even out the shards. Ask\nfor one of: --add, --drain (or both), --even, --move, --isolate. What is in the way is\nlisted with its fix (exit status 3). Nothing moves before `rebalance start`." + accounts,
			example: "shardctl -c shardway.yaml rebalance plan --add s2,s3 --dry-run",
			flags:   func(f *pflag.FlagSet) { goalFlags(f); engineFlags(f) }, run: rebalancePlan,
		},
		{
			name: "rebalance start", args: "[ID]", max: 1, brief: "moves slots with their rows, while clients read and write",
			details: "With the flags of plan it plans and starts at once; without, it starts what is planned,\nor goes on with what was interrupted. Rows are copied and followed, compared, and then\nthe new shard takes over: statements for these slots wait for that, for --pause at most.\nAfterwards the old shard keeps its rows and gets all changes, so that `rebalance undo`\nis possible until `rebalance finish`. It may be stopped at any moment (Ctrl-C, kill -9):\nrun it again." + accounts,
			example: "shardctl -c shardway.yaml rebalance start --add s2,s3",
			flags: func(f *pflag.FlagSet) {
				goalFlags(f)
				engineFlags(f)
				f.Bool("manual", false, "don't take over by itself: stay level until `rebalance cutover`")
				f.Bool("stay", false, "stay until finish or undo is done, and keep the copies level all the time")
			}, run: rebalanceStart,
		},
		{
			name: "rebalance status", args: "[ID]", max: 1, brief: "shows how far moves are",
			details: "ROWS are copied or removed, LAG is how far the copies are behind, STRAYS are rows that were\nwritten past the proxies at a shard that doesn't own them any more." + accounts,
			example: "shardctl -c shardway.yaml rebalance status", flags: engineFlags, run: rebalanceStatus,
		},
		{
			name: "rebalance pause", args: "[ID]", max: 1, brief: "copies nothing until resume",
			details: "Clients go on as before. What has been copied stays.",
			example: "shardctl -c shardway.yaml rebalance pause", run: rebalancePause,
		},
		{
			name: "rebalance resume", args: "[ID]", max: 1, brief: "copies on after pause",
			details: "If no other shardctl has the rebalance, this one goes on with it, as start does." + accounts,
			example: "shardctl -c shardway.yaml rebalance resume", flags: engineFlags, run: rebalanceResume,
		},
		{
			name: "rebalance cutover", args: "[ID]", max: 1, brief: "lets the new shards take over, after start --manual",
			details: "It waits until the rows are copied and equal, and then as start does." + accounts,
			example: "shardctl -c shardway.yaml rebalance cutover", flags: engineFlags, run: rebalanceCutover,
		},
		{
			name: "rebalance undo", args: "[ID]", max: 1, brief: "gives slots back to the old shards, with every write made since",
			details: "It is possible from the takeover until finish. The copies on the new shards are removed\nafterwards." + accounts,
			example: "shardctl -c shardway.yaml rebalance undo", flags: endFlags, run: rebalanceUndo,
		},
		{
			name: "rebalance finish", args: "[ID]", max: 1, brief: "removes the moved rows from the old shards",
			details: "After that undo isn't possible. It is refused while rows are known that were written past\nthe proxies at the old shard; `rebalance status` lists them." + accounts,
			example: "shardctl -c shardway.yaml rebalance finish --yes",
			flags:   endFlags, run: rebalanceFinish,
		},
		{
			name: "rebalance cancel", args: "[ID]", max: 1, brief: "goes back to the state before, whatever has been done",
			details: "Copies are removed from the new shards. Where they have taken over already, slots and\nwrites go back first, as undo does." + accounts,
			example: "shardctl -c shardway.yaml rebalance cancel", flags: endFlags, run: rebalanceCancel,
		},
	}
}

// goalFlags say what is to move.
func goalFlags(f *pflag.FlagSet) {
	f.StringSlice("add", nil, "shards that take slots from those that have more")
	f.StringSlice("drain", nil, "shards that give all their slots away")
	f.Bool("even", false, "let the shards that have slots even out among themselves")
	f.StringArray("move", nil, "SLOTS:SHARD, as 128-255:s1; may be given again")
	f.String("isolate", "", "DATABASE.TABLE:KEY, as shop.users:42: give the slot of that key a shard of its own")
	f.String("to", "", "the shard for --isolate (default: the first that has no slots)")
	f.String("by", "rows", "even out rows or bytes")
	f.String("database", "", "the database whose slots move (default: the only one that has slots)")
	f.Bool("dry-run", false, "say what would be done, and store nothing")
}

// engineFlags say how to do it.
func engineFlags(f *pflag.FlagSet) {
	f.Int("limit", 0, "copy or remove at most so many rows each second; 0 is no limit")
	f.Int("share", 25, "how much of the time, in percent, rows are copied, compared and removed while clients use the servers; 100 is all of it")
	f.Duration("max-lag", 5*time.Second, "how far replicas of the shard that is written to may be behind; copying waits while they are")
	f.Duration("pause", time.Second, "how long statements for the slots may wait at the takeover; then it is taken back and tried again later")
	accountFlags(f)
}

// endFlags say how to end it.
func endFlags(f *pflag.FlagSet) {
	engineFlags(f)
	f.Bool("allow-strays", false, "go on although rows were written past the proxies: they have been seen to, and are lost")
}

// asksGoal says whether one of goalFlags asks for something.
func asksGoal(f *pflag.FlagSet) bool {
	return slices.ContainsFunc([]string{"add", "drain", "even", "move", "isolate"}, f.Changed)
}

// found is a rebalance in the map, or one move of it.
type found struct {
	id    string // of the rebalance
	only  string // the one move; empty is all
	moves []*shardmap.Move
}

// which finds the rebalance of an id, or the only one there is.
func which(m *shardmap.Map, args []string) (found, error) {
	all := rebalances(m)
	if len(args) == 0 {
		switch len(all) {
		case 0:
			return found{}, usagef("no rebalance is planned or under way; shardctl rebalance plan makes one")
		case 1:
			return all[0], nil
		}
		var ids []string
		for _, r := range all {
			ids = append(ids, r.id)
		}
		return found{}, usagef("there are several rebalances, %s: say which one", strings.Join(ids, ", "))
	}
	for _, r := range all {
		if r.id == args[0] {
			return r, nil
		}
		for _, v := range r.moves {
			if v.ID == args[0] {
				return found{r.id, v.ID, []*shardmap.Move{v}}, nil
			}
		}
	}
	return found{}, usagef("the map has no rebalance %q; shardctl rebalance status lists them", args[0])
}

// rebalances are those in the map, in the order of their databases and ids.
func rebalances(m *shardmap.Map) []found {
	var all []found
	for _, d := range m.Databases() {
		for _, v := range d.Moves() {
			i := slices.IndexFunc(all, func(r found) bool { return r.id == v.Rebalance() })
			if i < 0 {
				i = len(all)
				all = append(all, found{id: v.Rebalance()})
			}
			all[i].moves = append(all[i].moves, v)
		}
	}
	return all
}

// again is the same in a later map.
func (r found) again(m *shardmap.Map) []*shardmap.Move {
	for _, other := range rebalances(m) {
		if other.id == r.id {
			return slices.DeleteFunc(other.moves, func(v *shardmap.Move) bool { return r.only != "" && v.ID != r.only })
		}
	}
	return nil
}

func (r found) String() string {
	if r.only != "" {
		return r.only
	}
	return r.id
}

// all says whether the state of each move is one of these.
func all(moves []*shardmap.Move, states ...shardmap.MoveState) bool {
	return !slices.ContainsFunc(moves, func(v *shardmap.Move) bool { return !slices.Contains(states, v.State) })
}

// states names the moves with their states.
func states(moves []*shardmap.Move) string {
	out := make([]string, len(moves))
	for i, v := range moves {
		out[i] = fmt.Sprintf("%s is %s", v.ID, v.State)
	}
	return strings.Join(out, ", ")
}
