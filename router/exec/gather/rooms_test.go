package gather

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Rooms
		ctx := context.Background()
		enter := func(shard string) chan error {
			got := make(chan error, 1)
			go func() { got <- r.Enter(ctx, shard, 2, time.Second) }()
			synctest.Wait()
			return got
		}
		for _, shard := range []string{"s0", "s0", "s1"} {
			if err := <-enter(shard); err != nil {
				t.Fatalf("%s: %v", shard, err)
			}
		}
		first, second := enter("s0"), enter("s0")
		select {
		case err := <-first:
			t.Fatalf("a third at two places: %v", err)
		default:
		}
		r.Leave("s0")
		if err := <-first; err != nil {
			t.Errorf("who waited longest: %v", err)
		}
		began := time.Now()
		if err := <-second; !errors.Is(err, ErrFull) || time.Since(began) != time.Second {
			t.Errorf("who waited too long: %v after %v", err, time.Since(began))
		}
		gone, cancel := context.WithCancelCause(ctx)
		left := errors.New("left")
		cancel(left)
		if err := r.Enter(gone, "s0", 2, time.Second); !errors.Is(err, left) {
			t.Errorf("who doesn't wait: %v", err)
		}
		for _, shard := range []string{"s0", "s0", "s1"} {
			r.Leave(shard)
		}
		if len(r.rooms) != 0 {
			t.Errorf("%d rooms are kept for nobody", len(r.rooms))
		}
	})
}
