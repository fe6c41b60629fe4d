package gather

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Rooms bounds how many statements are finished at once on a shard's servers. Each holds a connection there while it waits
// for others to read its rows by: without a bound, statements could hold all of them and wait for one another.
type Rooms struct {
	mu    sync.Mutex
	rooms map[string]*room // by shard
}

// room is who is at a shard and who waits.
type room struct {
	busy    int
	waiting []chan struct{} // in the order in which they came; closed for who may enter
}

// ErrFull says that a room had no place in time.
var ErrFull = errors.New("no place became free")

// Enter takes one of most places at a shard. It waits for one as long as it may; the error is ErrFull or the cause of ctx.
// Who has entered must Leave.
func (r *Rooms) Enter(ctx context.Context, shard string, most int, wait time.Duration) error {
	r.mu.Lock()
	if r.rooms == nil {
		r.rooms = map[string]*room{}
	}
	at := r.rooms[shard]
	if at == nil {
		at = &room{}
		r.rooms[shard] = at
	}
	if at.busy < most && len(at.waiting) == 0 {
		at.busy++
		r.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	at.waiting = append(at.waiting, turn)
	r.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	err := ErrFull
	select {
	case <-turn:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range at.waiting {
		if other == turn {
			at.waiting = append(at.waiting[:i], at.waiting[i+1:]...)
			return err
		}
	}
	return nil // the turn came at the same moment
}

// Leave gives a place back, to who has waited longest.
func (r *Rooms) Leave(shard string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.rooms[shard]
	if len(at.waiting) > 0 {
		close(at.waiting[0])
		at.waiting = at.waiting[1:]
		return
	}
	if at.busy--; at.busy == 0 {
		delete(r.rooms, shard)
	}
}
