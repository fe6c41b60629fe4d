package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"shardway/shardmap"
)

// leastPatience is how long a pause of slots is left alone in any case.
const leastPatience = 5 * time.Second

// takeBack ends pauses of slots that have lasted for longer than statements wait
// for them: whoever moves the slots pauses them for a second, so it is dead. Its
// place is taken by whoever stores the map: the pause is taken back by
// compare-and-swap, as the new owner would be stored.
func (s *steward) takeBack(ctx context.Context) {
	m := s.d.live.Current()
	s.d.mu.Lock()
	patience := max(s.d.parts.config.Failover.HoldTimeout, leastPatience)
	s.d.mu.Unlock()
	now, seen := time.Now(), map[string]time.Time{}
	for _, d := range m.Databases() {
		for _, v := range d.Moves() {
			if !v.Waits() {
				continue
			}
			key := d.Name + "/" + v.ID + " " + string(v.State)
			since, known := s.waiting[key]
			if !known {
				since = now
			}
			seen[key] = since
			if now.Sub(since) > patience {
				s.takeBackOne(ctx, m, v)
			}
		}
	}
	s.waiting = seen
}

func (s *steward) takeBackOne(ctx context.Context, m *shardmap.Map, v *shardmap.Move) {
	state := shardmap.MoveCopying
	if v.State == shardmap.MoveReturning {
		state = shardmap.MoveMoved
	}
	next, err := m.WithMove(v.Database.Name, v.ID, func(edit *shardmap.Move) bool {
		edit.State = state
		return true
	})
	if err == nil {
		ctx, cancel := context.WithTimeout(shardmap.WithNote(ctx, "the pause of move "+v.ID+" was left behind"), adoptWithin)
		defer cancel()
		err = s.store.Swap(ctx, m.Version(), next)
	}
	attrs := []any{"database", v.Database.Name, "move", v.ID, "state", string(v.State)}
	switch {
	case errors.Is(err, shardmap.ErrConflict): // somebody was quicker, and the map that comes says what with
	case err != nil:
		s.once(v.ID, slog.LevelWarn, "a pause of slots was left behind, and can't be taken back", append(attrs, "error", err)...)
	default:
		s.log.Warn("a pause of slots was left behind and is taken back: whoever moved them has ended, shardctl rebalance start goes on", attrs...)
	}
}
