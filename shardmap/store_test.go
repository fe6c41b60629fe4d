package shardmap

import (
	"context"
	"errors"
	"testing"
)

// forgetful is a Store whose answers can be lost.
type forgetful struct {
	stored *Map
	lost   error // what Swap says instead, after its work
	away   error // what Load says
}

func (f *forgetful) Load(context.Context) (*Map, error) { return f.stored, f.away }

func (f *forgetful) Watch(ctx context.Context, _ uint64) (*Map, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (f *forgetful) Swap(_ context.Context, base uint64, next *Map) error {
	if f.stored.Version() != base {
		return ErrConflict
	}
	f.stored = next
	return f.lost
}

// TestExchange: what was stored is known where the store says.
func TestExchange(t *testing.T) {
	const shop = "shards: {s0: {primary: \"h:1\"}}\ndatabases: {shop: {slots: 4, owners: {s0: [\"0-3\"]}}}\n"
	parse := func(text string) *Map {
		t.Helper()
		m, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	before, next, other := parse("version: 1\n"+shop), parse("version: 2\n"+shop), parse("version: 2\nshards: {s0: {primary: \"h:2\"}}\n")
	lost, away := errors.New("the answer is lost"), errors.New("the store is away")
	for _, c := range []struct {
		name  string
		store forgetful
		now   *Map
		err   error
	}{
		{"stored", forgetful{stored: before}, next, nil},
		{"stored, and the answer lost", forgetful{stored: before, lost: lost}, next, nil},
		{"stored, and the store away since", forgetful{stored: before, lost: lost, away: away}, nil, lost},
		{"stored before, and the answer lost then", forgetful{stored: parse("version: 2\n" + shop)}, next, nil},
		{"another one was stored", forgetful{stored: other}, other, ErrConflict},
		{"another one was stored, and the store is away", forgetful{stored: other, away: away}, nil, ErrConflict},
	} {
		now, err := Exchange(t.Context(), &c.store, 1, next)
		if !errors.Is(err, c.err) || err != nil && c.err == nil || (now == nil) != (c.now == nil) || now != nil && !now.Equal(c.now) {
			t.Errorf("%s: %v, %v", c.name, now, err)
		}
	}
}
