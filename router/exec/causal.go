package exec

import (
	"context"
	"errors"
	"os"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// Causal says whether the session reads its own writes on replicas, and never goes back in time.
func (s *Session) Causal() bool { return s.causal }

// SetCausal turns that on or off for what the session does from now on.
func (s *Session) SetCausal(on bool) {
	s.causal = on
	if !on {
		s.trails = nil
	}
}

// trail is where the session has been on a shard; nil when it doesn't matter.
func (s *Session) trail(shard string) *backend.Trail {
	if !s.causal {
		return nil
	}
	for _, t := range s.trails {
		if t.Shard == shard {
			return t
		}
	}
	t := &backend.Trail{Shard: shard}
	s.trails = append(s.trails, t)
	return t
}

// follow makes a wish for a replica one for a replica that has what the session needs.
func (s *Session) follow(ctx context.Context, want *backend.Want) error {
	t := s.trail(want.Shard)
	if t == nil {
		return nil
	}
	cluster := s.x.cluster
	if cluster.MustAsk(t) {
		c, err := cluster.Acquire(ctx, backend.Want{Shard: want.Shard, Role: backend.Primary})
		if err != nil {
			return acquireError(err)
		}
		if err := c.Sample(); err != nil {
			unheard(c, err)
			if !cluster.FallsBack() {
				return protocol.Errorf(1205, "HY000", "shardway: the primary %s of shard %s doesn't say its position (%v), so no replica can be known to have what this session has seen; try again", c.Addr(), want.Shard, err)
			}
			want.Role = backend.Primary
			return nil
		}
		c.Release()
	}
	if cluster.OnlyPrimary(t) {
		want.Role = backend.Primary
		return nil
	}
	want.Trail = t
	return nil
}

// admit says whether a connection may serve the session's next read. If not, it is given back, and want is one that
// will come to an end.
func (s *Session) admit(c *backend.Conn, want *backend.Want) (bool, error) {
	t := want.Trail
	if t == nil {
		return true, nil
	}
	cluster := s.x.cluster
	if c.Role() == backend.Primary {
		cluster.CountCausal(backend.CausalPrimary)
		return true, nil
	}
	if c.Has(t) {
		if c.Moves(t) {
			cluster.CountCausal(backend.CausalKnown)
		}
		return true, nil
	}
	if !want.Stay && c.MayStay(t) {
		// Moving is a wish of the policy, and worth a question but no wait.
		want.Stay = true
		if err := c.Sample(); err != nil {
			unheard(c, err)
			return false, nil
		}
		if c.Has(t) {
			cluster.CountCausal(backend.CausalWaited)
			return true, nil
		}
		c.Release()
		return false, nil
	}
	broken, err := c.CatchUp(t)
	if err == nil {
		cluster.CountCausal(backend.CausalWaited)
		return true, nil
	}
	if broken {
		unheard(c, err)
	} else {
		c.Release()
	}
	if !cluster.FallsBack() {
		return false, protocol.Errorf(1205, "HY000", "shardway: %s of shard %s doesn't have what this session has written or read yet (%v), and replicas.fallback_to_primary is off; try again, or raise replicas.causal_timeout", c.Addr(), want.Shard, err)
	}
	cluster.CountCausal(backend.CausalPrimary)
	want.Role, want.Trail = backend.Primary, nil
	return false, nil
}

// unheard ends a connection on which the answer to a question of Shardway's own didn't come. A server that is only late
// isn't taken to be gone.
func unheard(c *backend.Conn, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.Discard("no answer")
		return
	}
	c.Failed(err)
}

// admitHeld is admit for a replica's connection that the session keeps and that alone can serve the read.
func (s *Session) admitHeld(c *backend.Conn, r *Request) error {
	if c.Role() != backend.Replica || len(s.tx.parts) > 0 || r.Role == backend.Any || r.Stale {
		return nil
	}
	t := s.trail(r.Shard)
	if t == nil || c.Has(t) {
		return nil
	}
	broken, err := c.CatchUp(t)
	switch {
	case err == nil:
		s.x.cluster.CountCausal(backend.CausalWaited)
		return nil
	case broken:
		return s.lost(c, err, true)
	}
	return protocol.Errorf(1205, "HY000", "shardway: %s of shard %s, on which this session keeps a connection (%s), doesn't have what it has written or read yet (%v); try again", c.Addr(), r.Shard, s.holdOf(c).why, err)
}

// note takes over where a statement that was answered has been, for the reads that follow. inTx says whether a
// transaction is open now.
func (s *Session) note(c *backend.Conn, r *Request, reply *protocol.Reply, inTx bool) {
	t := s.trail(c.Shard())
	if t == nil {
		return
	}
	if c.Role() == backend.Replica {
		if r.Role != backend.Any && !r.Stale {
			t.Read(c)
		}
		return
	}
	told := s.noteWrites(t, c, reply)
	changed := reply.Err != nil || reply.AffectedRows > 0 || r.Holds&WhyUnknown != 0 || !c.Reports()
	switch {
	case r.Role == backend.Any && !told: // it is about the session alone
	case inTx:
		if r.Read || reply.ResultSets > 0 || reply.Err != nil {
			t.InTransaction()
		}
	case t.HasRead(), r.Read, reply.ResultSets > 0:
		t.Visited(c, !r.Read && !told)
	case told: // a write, whose position is all there is to know
	case changed:
		t.Visited(c, true)
		if s.state.get("sql_log_bin") != "" {
			t.Unreplicated()
		}
	}
}

// noteWrites takes over the positions of writes, and says whether there were any. MySQL tells them as such, MariaDB in
// a variable.
func (s *Session) noteWrites(t *backend.Trail, c *backend.Conn, reply *protocol.Reply) (told bool) {
	for i := range reply.Changes {
		ch := &reply.Changes[i]
		if ch.Kind == protocol.ChangeGTID || ch.Kind == protocol.ChangeSysVar && strings.EqualFold(ch.Name, "last_gtid") {
			if ch.Value != "" {
				t.Wrote(c, ch.Value)
				told = true
			}
		}
	}
	return told
}

// noteLost takes over that it isn't known whether a write happened.
func (s *Session) noteLost(shard string) {
	if t := s.trail(shard); t != nil {
		s.x.cluster.Lost(t)
	}
}

// look asks a replica for its position behind a read, once the client has its rows. It says false if that ended the
// connection.
func (s *Session) look(c *backend.Conn, r *Request) bool {
	if !s.causal || r.Stale || r.Role == backend.Any || c.Role() != backend.Replica || !c.WantsSample() {
		return true
	}
	if s.client.Flush() != nil {
		return true // the session ends at its next use of the client
	}
	if err := c.Sample(); err != nil {
		unheard(c, err)
		return false
	}
	return true
}

// gtidKinds let a client see GTIDs that asked for them.
var gtidKinds = []protocol.ChangeKind{protocol.ChangeGTID}

// tracked are the changes that the client has asked to see besides those that every client does.
func (s *Session) tracked() []protocol.ChangeKind {
	if s.gtids {
		return gtidKinds
	}
	return nil
}

// asksGTIDs says whether the session's own session_track_gtids is on.
func (s *Session) asksGTIDs() bool {
	v := strings.Trim(s.state.get("session_track_gtids"), "'")
	return v != "" && !strings.EqualFold(v, "OFF")
}
