package policy

import (
	"sync/atomic"
	"time"
)

// WarmUp is a replica's way back to its full share of reads. Nobody is held back
// by the zero WarmUp.
type WarmUp struct {
	from  atomic.Int64 // when it began
	whole atomic.Int64 // its length; 0 when the server is warm
	turn  atomic.Uint32
}

// Begin begins it; a whole of 0 ends it.
func (w *WarmUp) Begin(now, whole time.Duration) {
	w.from.Store(int64(now))
	w.whole.Store(int64(whole))
}

// End ends it.
func (w *WarmUp) End() { w.whole.Store(0) }

// Warming says whether it goes on, or was over since End was called last.
func (w *WarmUp) Warming() bool { return w.whole.Load() > 0 }

// Share is the part of its turns that the server takes now, up to 1.
func (w *WarmUp) Share(now time.Duration) float64 {
	whole := w.whole.Load()
	if whole <= 0 {
		return 1
	}
	return min(max(float64(int64(now)-w.from.Load())/float64(whole), 0), 1)
}

// TakesTurn says whether a server with that share takes the turn that has come to
// it. The turns taken are spread evenly: multiples of the golden ratio, modulo 1,
// that are less than the share.
func (w *WarmUp) TakesTurn(share float64) bool {
	return float64(w.turn.Add(1)*0x9e3779b9) < share*(1<<32)
}

// TakesClient says whether a server with that share takes a client that has it for
// its own. Clients come back one after the other, each for good.
func TakesClient(client uint64, share float64) bool {
	return float64(uint32(mix(client))) < share*(1<<32)
}
