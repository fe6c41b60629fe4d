package backend

import (
	"fmt"
	"math"
	"slices"
	"time"

	"shardway/router/backend/health"
	"shardway/router/backend/policy"
)

const (
	// ejectWindow is the time in which broken connections are counted together.
	ejectWindow = 10 * time.Second
	// ejectSlow is the number of probes in a row that must find a replica slow.
	ejectSlow = 3
	// ejectFloor is the time of a read that is never slow.
	ejectFloor = 5 * time.Millisecond
	// ejectMost bounds how long a replica is left out, ejectForget is the time after
	// which it is forgotten that it was.
	ejectMost, ejectForget = 5 * time.Minute, 10 * time.Minute
)

// ejection is why and until when a replica is left out. Times are Cluster.now.
type ejection struct {
	until  time.Duration
	why    string
	times  int           // how often, lately
	broken int           // connections that broke since first
	first  time.Duration // the first of these
	slow   int           // probes in a row that found it slow
}

// broke counts a connection that broke.
func (e *ejection) broke(now time.Duration) {
	if e.broken == 0 || now-e.first > ejectWindow {
		e.broken, e.first = 0, now
	}
	e.broken++
}

// judgeEjection leaves a replica out, or keeps it out, though its probe was
// answered. The caller holds Cluster.mu.
func (s *server) judgeEjection(h *condition) {
	o := &s.cluster.options().Eject
	e := &h.eject
	now := s.cluster.now()
	if !s.replica.Load() || h.state != health.Up && h.state != health.Busy {
		e.slow = 0
		return
	}
	if now < e.until {
		if s.peers() > 0 {
			h.state, h.why = health.Ejected, e.why
			return
		}
		e.until, s.cold = 0, true // nobody else is left
		return
	}
	if e.until > 0 { // its time is over
		e.until, s.cold = 0, true
	}
	if e.times > 0 && now-e.first > ejectForget {
		e.times = 0
	}
	why := ""
	if o.Errors > 0 && e.broken > o.Errors && now-e.first <= ejectWindow {
		why = fmt.Sprintf("%d of its connections broke within %s", e.broken, ejectWindow)
	}
	if slow := s.slow(o.LatencyFactor, now); slow == "" {
		e.slow = 0
	} else if e.slow++; e.slow >= ejectSlow {
		why = slow
	}
	if why == "" || s.peers() == 0 {
		return
	}
	left := min(o.For<<min(e.times, 16), ejectMost)
	*e = ejection{until: now + left, why: why, times: e.times + 1, first: now}
	h.state, h.why = health.Ejected, why
}

// peers counts the eligible replicas beside the server in the shard where there
// are fewest. The caller holds Cluster.mu.
func (s *server) peers() int {
	least := math.MaxInt
	for _, sh := range s.cluster.snapshot.Load().order {
		if !sh.names(s) {
			continue
		}
		n := 0
		v := sh.view.Load()
		for _, m := range append(slices.Clone(v.eligible), v.others...) {
			if m.srv != s {
				n++
			}
		}
		least = min(least, n)
	}
	return least
}

// slow says that the server's reads take more than factor times the median of its
// peers', or "".
func (s *server) slow(factor int, now time.Duration) string {
	own, fresh := s.latency.Lately(now)
	if factor <= 0 || !fresh || own < ejectFloor {
		return ""
	}
	sh, _ := s.cluster.placeOf(s)
	if sh == nil {
		return ""
	}
	var others []time.Duration
	for _, m := range sh.view.Load().eligible {
		if m.srv == s {
			continue
		}
		if t, fresh := m.srv.latency.Lately(now); fresh {
			others = append(others, t)
		}
	}
	if len(others) == 0 {
		return ""
	}
	slices.Sort(others)
	median := others[len(others)/2]
	if own <= time.Duration(factor)*max(median, policy.LatencyFloor) {
		return ""
	}
	return fmt.Sprintf("its reads take %s, more than %d times the %s of its peers", own.Round(time.Millisecond), factor, median.Round(10*time.Microsecond))
}
