package backend

import (
	"sync/atomic"
	"time"
)

// warmup is a replica's way back to its full share of reads. Nobody is held back
// by the zero warmup.
type warmup struct {
	from  atomic.Int64 // Cluster.now at which it began
	whole atomic.Int64 // its length; 0 when the server is warm
	turn  atomic.Uint32
}

// share is the part of its turns that the server takes now, up to 1.
func (w *warmup) share(now time.Duration) float64 {
	whole := w.whole.Load()
	if whole <= 0 {
		return 1
	}
	return min(max(float64(int64(now)-w.from.Load())/float64(whole), 0), 1)
}

// takes says whether the server takes the turn that has come to it. The turns
// taken are spread evenly: multiples of the golden ratio, modulo 1, that are less
// than the share. Clients that have a server of their own come back one after the
// other, each for good.
func (s *server) takes(v *view, w *Want, now time.Duration) bool {
	share := s.warmup.share(now)
	switch {
	case share >= 1:
		return true
	case v.policy == PolicyClientIPHash && w.Client.IsValid():
		return float64(uint32(mix(clientHash(w.Client)))) < share*(1<<32)
	default:
		return float64(s.warmup.turn.Add(1)*0x9e3779b9) < share*(1<<32)
	}
}

// warms begins the warm-up of a server that returns, ends one that is over, and
// says whether it did. The caller holds Cluster.mu.
func (s *server) warms(old, h *health) bool {
	serves := h.state == StateUp || h.state == StateBusy
	now := s.cluster.now()
	switch {
	case serves && s.cold && s.replica.Load():
		s.cold = false
		s.warmup.from.Store(int64(now))
		s.warmup.whole.Store(int64(s.cluster.options().WarmUp))
		return true
	case serves && s.cold:
		s.cold = false // a primary has nobody to share with
	case s.warmup.whole.Load() > 0 && s.warmup.share(now) >= 1:
		s.warmup.whole.Store(0)
		return true
	}
	return false
}

// warmOnly returns those of the members that don't warm up, or nil if all or none do.
func warmOnly(members []*member) []*member {
	var warm []*member
	for _, m := range members {
		if m.srv.warmup.whole.Load() == 0 {
			warm = append(warm, m)
		}
	}
	if len(warm) == len(members) {
		return nil
	}
	return warm
}

// within says whether the member may serve a read that asks for at most w.MaxLag.
func (m *member) within(w *Want) bool {
	if w.MaxLag <= 0 || m.role == Primary {
		return true
	}
	p := &m.srv.health.Load().probed
	return p.lagKnown && p.lag <= w.MaxLag
}

// chooseWithin picks, in turn, an eligible replica whose lag is within w.MaxLag.
func (s *shard) chooseWithin(v *view, w *Want) *member {
	for _, members := range [][]*member{v.eligible, v.others} {
		if n := len(members); n > 0 {
			start := int(s.turn.Add(1) % uint64(n))
			for i := range n {
				if m := members[(start+i)%n]; m.within(w) {
					return m
				}
			}
		}
	}
	return nil
}
