package backend

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"shardway/router/backend/health"
	"shardway/router/backend/policy"
	"shardway/router/backend/roles"
	"shardway/shardmap"
)

// snapshot is what one map says about servers. It is immutable; Apply replaces it.
type snapshot struct {
	m       *shardmap.Map
	shards  map[string]*shard
	order   []*shard // in the order of the map
	servers map[string]*server
}

// shard is one shard of a snapshot.
type shard struct {
	id       string
	primary  *member
	replicas []*member
	turn     *atomic.Uint64 // whose turn it is; outlives the snapshot
	gate     *gate          // outlives the snapshot, too
	roles    *shardRoles    // what was observed; outlives it too
	view     atomic.Pointer[view]
}

// member is a server's place in a shard; immutable.
type member struct {
	srv    *server
	shard  string
	role   Role
	weight int
	zone   string
}

// view is what Acquire reads of a shard: who may serve. It is immutable and made
// anew when a server's health or the options change.
type view struct {
	policy   string
	fallback bool
	primary  *member   // nil when it can't be used
	eligible []*member // replicas that serve reads, only those of the preferred zone if any of these is eligible
	others   []*member // eligible replicas of other zones, for when all of those above failed
	suspects []*member // replicas that a probe is deciding on
	turns    []int32   // schedule over eligible, for PolicyWeighted
	warm     []*member // those eligible that aren't warming up; nil while none is
	deciding bool      // who is the primary isn't known yet: nobody writes
	split    string    // why nobody may be written to: a split brain
	strays   map[string]string
	// strays are members that take writes without being the primary, by address,
	// each with its reason. They serve nothing.
}

// rebuild makes the shard's view from the health of its servers and the verdict on
// their roles. The caller holds Cluster.mu.
func (s *shard) rebuild(o *Options) {
	v := &view{policy: o.Policy, fallback: o.FallbackToPrimary, strays: s.roles.verdict.Strays, deciding: !s.roles.decided}
	if s.roles.verdict.Kind == roles.Split {
		v.split = s.roles.verdict.Why
	} else if s.primary.eligible(o) {
		v.primary = s.primary
	}
	for _, m := range s.replicas {
		switch {
		case v.strays[m.srv.addr] != "":
		case !m.eligible(o):
			if m.srv.health.Load().state == health.Suspect {
				v.suspects = append(v.suspects, m)
			}
		case o.Zone != "" && m.zone != o.Zone:
			v.others = append(v.others, m)
		default:
			v.eligible = append(v.eligible, m)
		}
	}
	if len(v.eligible) == 0 {
		v.eligible, v.others = v.others, nil
	}
	if v.policy == PolicyWeighted {
		weights := make([]int, len(v.eligible))
		for i, m := range v.eligible {
			weights[i] = m.weight
		}
		v.turns = policy.Turns(weights)
	}
	v.warm = warmOnly(v.eligible)
	s.view.Store(v)
	s.gate.ring()
}

// eligible says whether the member's server may be chosen for the member's role.
func (m *member) eligible(o *Options) bool {
	state := m.srv.health.Load().state
	if m.role == Primary {
		return state != health.Down
	}
	switch state {
	case health.Up, health.Busy:
		return true
	case health.Connecting:
		return o.MaxLag <= 0
	default:
		return false
	}
}

// choose picks an eligible replica for a session, nil if there is none. It may be
// the primary if no replica can be expected to have what the session needs.
func (s *shard) choose(v *view, w *Want, now time.Duration) *member {
	if w.MaxLag > 0 {
		return s.chooseWithin(v, w)
	}
	m := s.byPolicy(v, w, now)
	if w.Trail != nil && m != nil {
		return w.Trail.prefer(v, m, s.primary.srv, w.Stay, now)
	}
	return m
}

// byPolicy picks an eligible replica by the policy, nil if there is none. One that
// warms up gives some of its turns to the others.
func (s *shard) byPolicy(v *view, w *Want, now time.Duration) *member {
	m := s.pick(v, v.eligible, w, now)
	if v.warm != nil && !m.srv.takes(v, w, now) {
		m = s.pick(v, v.warm, w, now)
	}
	return m
}

// pick picks one of the members, which are v.eligible or some of them.
func (s *shard) pick(v *view, members []*member, w *Want, now time.Duration) *member {
	n := uint64(len(members))
	switch n {
	case 0:
		return nil
	case 1:
		return members[0]
	}
	switch v.policy {
	case PolicyWeighted:
		if len(members) < len(v.eligible) {
			break // in turn
		}
		return v.eligible[v.turns[(s.turn.Add(1)-1)%uint64(len(v.turns))]]
	case PolicyLeastConnections:
		return leastBusy(members, int((s.turn.Add(1)-1)%n))
	case PolicyLatency:
		return fasterOfTwo(members, now)
	case PolicyClientIPHash:
		if w.Client.IsValid() {
			return highestScore(members, w)
		}
	}
	return members[(s.turn.Add(1)-1)%n]
}

// leastBusy returns the member with the fewest connections in use; among equals
// the first one from start on.
func leastBusy(members []*member, start int) *member {
	best := members[start]
	least := best.srv.pool.load.Load()
	for i := 1; i < len(members) && least > 0; i++ {
		m := members[(start+i)%len(members)]
		if n := m.srv.pool.load.Load(); n < least {
			best, least = m, n
		}
	}
	return best
}

// highestScore returns the member that rendezvous hashing gives to the client.
func highestScore(members []*member, w *Want) *member {
	client := policy.ClientHash(w.Client)
	best, high := members[0], policy.Score(members[0].srv.hash, client)
	for _, m := range members[1:] {
		if score := policy.Score(m.srv.hash, client); score > high {
			best, high = m, score
		}
	}
	return best
}

// fasterOfTwo returns the better one of two different random members.
func fasterOfTwo(members []*member, now time.Duration) *member {
	i := rand.IntN(len(members))
	j := rand.IntN(len(members) - 1)
	if j >= i {
		j++
	}
	a, b := members[i], members[j]
	if b.srv.latency.Score(now, int(b.srv.pool.load.Load())) < a.srv.latency.Score(now, int(a.srv.pool.load.Load())) {
		return b
	}
	return a
}

// candidates lists who may serve w, the preferred ones first, without those whose
// addresses are excluded or in tried.
func (s *shard) candidates(v *view, w *Want, tried []string) []*member {
	var list []*member
	add := func(members ...*member) {
		for _, m := range members {
			if m != nil && !slices.Contains(w.Exclude, m.srv.addr) && !slices.Contains(tried, m.srv.addr) && (m.role == Primary || m.within(w)) {
				list = append(list, m)
			}
		}
	}
	replicas := func() {
		for _, group := range [][]*member{v.eligible, v.others} {
			begin := len(list)
			add(group...)
			rest := list[begin:]
			if v.policy == PolicyClientIPHash && w.Client.IsValid() {
				client := policy.ClientHash(w.Client)
				slices.SortFunc(rest, func(a, b *member) int {
					if policy.Score(a.srv.hash, client) > policy.Score(b.srv.hash, client) {
						return -1
					}
					return 1
				})
				continue
			}
			rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		}
	}
	switch w.Role {
	case Primary:
		if !v.deciding {
			add(v.primary)
		}
	case Replica:
		replicas()
		if v.fallback {
			add(v.primary)
		}
		add(v.suspects...)
	case Any:
		add(v.primary)
		replicas()
		add(v.suspects...)
	}
	return list
}
