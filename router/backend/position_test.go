package backend

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"shardway/shardmap/gtid"
)

// row encodes values as a server's row has them.
func row(values ...string) []byte {
	var p []byte
	for _, v := range values {
		p = append(append(p, byte(len(v))), v...)
	}
	return p
}

func TestReadSample(t *testing.T) {
	const u1, u2 = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
	for _, c := range []struct {
		row          []byte
		mariaDB      bool
		known, upper string
		whole        bool
	}{
		{row("", u1+":1-9", "1"), false, u1 + ":1-9", u1 + ":1-9", true},
		{row(u1+":10#13:11#14,\n"+u2+":1#15", u1+":1-9", "1"), false, u1 + ":1-9", u1 + ":1-11," + u2 + ":1", true},
		{row("", "", "0"), false, "", "", false},
		{row("1-1-7", "1-1-5", "1"), true, "1-1-5", "1-1-7", true},
		{row("1-1-7", "", "1"), true, "", "1-1-7", true},
		{row("", "1-1-5", "0"), true, "1-1-5", "1-1-5", false},
	} {
		known, upper, whole, err := readSample(c.row, c.mariaDB)
		if err != nil || known.String() != c.known || upper.String() != c.upper || whole != c.whole {
			t.Errorf("%q: %s, %s, %v, %v", c.row, known, upper, whole, err)
		}
	}
	for _, bad := range [][]byte{nil, row("", ""), row("x", "", ""), row("", "x", ""), {5, 'a'}} {
		if _, _, _, err := readSample(bad, false); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// modelServer is a server with the newest transaction that it shows, and the newest that it counts as executed, which
// may be a moment behind.
type modelServer struct {
	*member
	shows, executed int
}

const modelUUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"

func upTo(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s:1-%d", modelUUID, n)
}

// question is a sample that was asked for and isn't answered yet.
type question struct {
	of       *modelServer
	at, life uint64
}

type modelSession struct {
	trail     Trail
	own, seen int
}

// model is a shard whose servers do anything that servers may do, in any order.
type model struct {
	t        *testing.T
	rng      *rand.Rand
	c        *Cluster
	v        *view
	primary  *modelServer
	replicas []*modelServer
	asked    []question
	reads    map[string]int
}

func newModel(t *testing.T, seed uint64, policy string) *model {
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), c: &Cluster{began: time.Now()}, reads: map[string]int{}}
	add := func(role Role) *modelServer {
		return &modelServer{member: &member{srv: &server{cluster: m.c}, shard: "s0", role: role, weight: 1}}
	}
	m.primary = add(Primary)
	m.v = &view{policy: policy, fallback: true, primary: m.primary.member}
	s := &shard{id: "s0", primary: m.primary.member}
	for range 3 {
		r := add(Replica)
		m.replicas = append(m.replicas, r)
		m.v.eligible = append(m.v.eligible, r.member)
		s.replicas = append(s.replicas, r.member)
	}
	s.view.Store(m.v)
	m.c.snapshot.Store(&snapshot{shards: map[string]*shard{"s0": s}, order: []*shard{s}})
	return m
}

func (m *model) conn(s *member) *Conn { return &Conn{srv: s.srv, member: s} }

func (m *model) of(s *member) *modelServer {
	for _, r := range m.replicas {
		if r.member == s {
			return r
		}
	}
	return m.primary
}

func (m *model) ask(s *modelServer) {
	m.asked = append(m.asked, question{s, m.c.samples.Add(1), s.srv.position.life.Load()})
}

// answer answers a question as the server is now.
func (m *model) answer(i int) {
	q := m.asked[i]
	m.asked = append(m.asked[:i], m.asked[i+1:]...)
	owned := ""
	if q.of.shows > q.of.executed {
		owned = fmt.Sprintf("%s:%d-%d", modelUUID, q.of.executed+1, q.of.shows)
	}
	if err := q.of.srv.sampled(q.life, q.at, row(owned, upTo(q.of.executed), "1"), false, q.of.role == Primary); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) step() {
	switch m.rng.IntN(8) {
	case 0: // somebody else writes
		m.primary.shows++
	case 1:
		m.primary.executed = m.primary.shows
	case 2, 3:
		if r := m.replicas[m.rng.IntN(len(m.replicas))]; r.shows < m.primary.shows {
			r.shows += 1 + m.rng.IntN(m.primary.shows-r.shows)
		}
	case 4:
		r := m.replicas[m.rng.IntN(len(m.replicas))]
		r.executed = r.shows
	case 5:
		m.ask(m.replicas[m.rng.IntN(len(m.replicas))])
	case 6:
		if m.rng.IntN(4) == 0 {
			m.ask(m.primary)
		}
	case 7:
		if len(m.asked) > 0 {
			m.answer(m.rng.IntN(len(m.asked)))
		}
	}
}

func (m *model) write(s *modelSession) {
	m.primary.shows++
	m.primary.executed = m.primary.shows
	s.own = m.primary.shows
	if c := m.conn(m.primary.member); m.rng.IntN(4) == 0 {
		s.trail.Visited(c, true)
	} else {
		s.trail.Wrote(c, fmt.Sprintf("%s:%d", modelUUID, s.own))
	}
}

// read reads where the trail allows, as exec does.
func (m *model) read(s *modelSession) {
	if m.c.MustAsk(&s.trail) {
		m.ask(m.primary)
		m.answer(len(m.asked) - 1)
		m.reads["asked"]++
	}
	at := s.trail.prefer(m.v, m.v.eligible[m.rng.IntN(3)], m.primary.srv, m.rng.IntN(2) == 0, time.Hour)
	c := m.conn(at)
	server := m.of(at)
	switch {
	case at.role == Primary:
		m.reads["primary"]++
	case c.Has(&s.trail):
		m.reads["known"]++
	default: // wait, which comes to an end if the replica has it already
		need := s.trail.writes()
		if s.trail.last != nil && !s.trail.home(at.srv) {
			bound, ok := s.trail.bound(m.primary.srv)
			if !ok {
				m.reads["blind"]++
				at, server = m.primary.member, m.primary
			}
			need = need.Union(bound)
		}
		if has, _ := gtid.Parse(upTo(server.executed)); server != m.primary && has.Contains(need) {
			m.reads["waited"]++
			at.srv.reached(at.srv.position.life.Load(), need)
		} else {
			at, server = m.primary.member, m.primary
			m.reads["timeout"]++
		}
		c = m.conn(at)
	}
	if server.shows < s.own || server.shows < s.seen {
		m.t.Fatalf("a session that wrote %d and saw %d was served by a server that shows %d", s.own, s.seen, server.shows)
	}
	s.seen = server.shows
	s.trail.Read(c)
}

// TestTrailsNeverGoBack lets servers and sessions do what they may in any order. The rules must let no session miss
// its own write or see less than before, and still let most reads be served by replicas.
func TestTrailsNeverGoBack(t *testing.T) {
	total := map[string]int{}
	for seed := range uint64(200) {
		m := newModel(t, seed, []string{PolicyRoundRobin, PolicyClientIPHash, PolicyWeighted}[seed%3])
		sessions := make([]*modelSession, 4)
		for i := range sessions {
			sessions[i] = &modelSession{trail: Trail{Shard: "s0"}}
		}
		for range 2000 {
			s := sessions[m.rng.IntN(len(sessions))]
			switch m.rng.IntN(6) {
			case 0:
				m.write(s)
			case 1, 2:
				m.read(s)
			default:
				m.step()
			}
		}
		for k, n := range m.reads {
			total[k] += n
		}
	}
	for _, k := range []string{"known", "waited", "timeout", "asked"} {
		if total[k] == 0 {
			t.Errorf("no read was %s: %v", k, total)
		}
	}
}

func TestTheModelFindsASampleThatForgetsWhatIsBeingCommitted(t *testing.T) {
	// The replica shows 2 while it counts 1 as executed: a bound without what is owned would let the session move to a
	// replica that has 1 alone.
	m := newModel(t, 1, PolicyRoundRobin)
	m.primary.shows, m.primary.executed = 2, 2
	a, b := m.replicas[0], m.replicas[1]
	a.shows, a.executed, b.shows, b.executed = 2, 1, 1, 1
	s := &modelSession{trail: Trail{Shard: "s0"}}
	s.trail.Read(m.conn(a.member))
	for _, r := range []*modelServer{a, b} {
		m.ask(r)
		m.answer(0)
	}
	if m.conn(b.member).Has(&s.trail) {
		t.Error("the session may go back")
	}
	b.shows, b.executed = 2, 2
	m.ask(b)
	m.answer(0)
	if !m.conn(b.member).Has(&s.trail) {
		t.Error("the session may not move to a replica that has it all")
	}
	// A server that may have become another one is known no more.
	b.srv.position.forget()
	if m.conn(b.member).Has(&s.trail) {
		t.Error("what was known outlived the server")
	}
}

func TestTrailBoundsItsWrites(t *testing.T) {
	m := newModel(t, 1, PolicyRoundRobin)
	s := &Trail{Shard: "s0"}
	for n := range 10 * maxWrites {
		s.Wrote(m.conn(m.primary.member), fmt.Sprintf("%s:%d", modelUUID, 2*n+1))
		if len(s.wrote) > maxWrites {
			t.Fatalf("%d positions are kept", len(s.wrote))
		}
	}
	if m.conn(m.replicas[0].member).Has(s) {
		t.Error("a replica that nobody has asked is known to have the writes")
	}
}

func TestServersWithoutGTIDs(t *testing.T) {
	m := newModel(t, 1, PolicyRoundRobin)
	s := &Trail{Shard: "s0"}
	s.Read(m.conn(m.replicas[0].member))
	m.replicas[0].srv.position.off.Store(true)
	if !m.conn(m.replicas[1].member).Has(s) {
		t.Error("a reader is kept on its replica though nothing can be compared")
	}
	s.Visited(m.conn(m.primary.member), true)
	m.primary.srv.position.off.Store(true)
	if m.c.MustAsk(s) || !m.c.OnlyPrimary(s) {
		t.Error("after a write the primary alone can serve the session")
	}
}

// trailCases are a session's next read: the first, on the replica that it read last, on another that is known to have
// it all, and after a write that the replica is known to have.
func trailCases(t *testing.T) map[string]func() {
	m := newModel(t, 1, PolicyRoundRobin)
	m.primary.shows, m.primary.executed = 9, 9
	for _, r := range m.replicas {
		r.shows, r.executed = 9, 9
	}
	for _, r := range append(m.replicas, m.primary) {
		m.ask(r)
		m.answer(0)
	}
	a, b := m.conn(m.replicas[0].member), m.conn(m.replicas[1].member)
	read := func(c *Conn, s *Trail) {
		if at := s.prefer(m.v, c.member, m.primary.srv, false, time.Hour); at != c.member || !c.Has(s) {
			t.Fatalf("it isn't served where the policy wants")
		}
	}
	var first, home, moves, wrote Trail
	home.Read(a)
	moves.Read(a)
	moves.mark = 0 // the replicas were asked since
	wrote.Wrote(m.conn(m.primary.member), modelUUID+":9")
	return map[string]func(){
		"first": func() { read(a, &first) },
		"home":  func() { read(a, &home); home.Read(a) },
		"moves": func() { read(b, &moves) },
		"wrote": func() { read(b, &wrote) },
	}
}

func TestTrailsAllocateNothing(t *testing.T) {
	for name, read := range trailCases(t) {
		read()
		if n := testing.AllocsPerRun(100, read); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkTrail(b *testing.B) {
	for name, read := range trailCases(&testing.T{}) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read()
			}
		})
	}
}

func BenchmarkSampleUnchanged(b *testing.B) {
	s := &server{cluster: &Cluster{}}
	r := row("", upTo(1234567), "1")
	b.ReportAllocs()
	for n := uint64(1); b.Loop(); n++ {
		if err := s.sampled(0, n, r, false, false); err != nil {
			b.Fatal(err)
		}
	}
}
