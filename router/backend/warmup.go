package backend

import (
	"time"

	"shardway/router/backend/health"
	"shardway/router/backend/policy"
)

// takes says whether the server takes the turn that has come to it. Clients that
// have a server of their own come back one after the other, each for good.
func (s *server) takes(v *view, w *Want, now time.Duration) bool {
	share := s.warmup.Share(now)
	switch {
	case share >= 1:
		return true
	case v.policy == PolicyClientIPHash && w.Client.IsValid():
		return policy.TakesClient(policy.ClientHash(w.Client), share)
	default:
		return s.warmup.TakesTurn(share)
	}
}

// warms begins the warm-up of a server that returns, ends one that is over, and
// says whether it did. The caller holds Cluster.mu.
func (s *server) warms(old, h *condition) bool {
	serves := h.state == health.Up || h.state == health.Busy
	now := s.cluster.now()
	switch {
	case serves && s.cold && s.replica.Load():
		s.cold = false
		s.warmup.Begin(now, s.cluster.options().WarmUp)
		return true
	case serves && s.cold:
		s.cold = false // a primary has nobody to share with
	case s.warmup.Warming() && s.warmup.Share(now) >= 1:
		s.warmup.End()
		return true
	}
	return false
}

// warmOnly returns those of the members that don't warm up, or nil if all or none do.
func warmOnly(members []*member) []*member {
	var warm []*member
	for _, m := range members {
		if !m.srv.warmup.Warming() {
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
	return p.lag.Known && p.lag.Behind <= w.MaxLag
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
