package backend

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A shard's fence is the row of shardway.fence on its servers: the version of
// the map below which a proxy may not use them any more. Whoever changes a
// shard's primary writes it when a proxy doesn't answer, and then ends that
// proxy's connections; new ones read the row before their first use.

// fenced says that a server's fence is above the version of the map in use.
type fenced struct{ version, fence uint64 }

func (f *fenced) Error() string {
	return fmt.Sprintf("fenced: this proxy's map has version %d, and shardway.fence at the server asks for %d; it is used again when the proxy has read the newer map from its store (if a map with lower versions has taken its place on purpose, give it a higher one, or DELETE FROM shardway.fence there)", f.version, f.fence)
}

// overtaken says whether an error is of a fence that keeps the map in use out no longer, since it is a newer one by now.
func (s *server) overtaken(err error) bool {
	f, ok := errors.AsType[*fenced](err)
	m := s.cluster.snapshot.Load().m
	return ok && m != nil && m.Version() >= f.fence
}

const fenceSQL = "SELECT version FROM shardway.fence WHERE id=1"

// fenceEvery is the time between two looks of a prober.
const fenceEvery = time.Second

// checkFence is readFence as long as ctx lasts.
func (c *Conn) checkFence(ctx context.Context) error {
	stop := interruptOn(ctx, c.Conn)
	err := c.readFence()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// readFence reads the fence of the connection's server: it is a *fenced where
// the map is too old. No table, no row, and no right to read it mean that
// there is no fence.
func (c *Conn) readFence() error {
	res, err := queryTolerant(c, fenceSQL)
	if err != nil || res == nil || len(res.Rows) != 1 || len(res.Rows[0]) != 1 || res.Rows[0][0] == nil {
		return err
	}
	fence, err := strconv.ParseUint(*res.Rows[0][0], 10, 64)
	if err != nil {
		return nil
	}
	if m := c.srv.cluster.snapshot.Load().m; m != nil && m.Version() < fence {
		return &fenced{m.Version(), fence}
	}
	return nil
}

// Fenced says which servers refuse this proxy because its map is too old; "" if
// none does.
func (c *Cluster) Fenced() string {
	var list []string
	c.eachMember(func(m *member) {
		if h := m.srv.health.Load(); h.fenced {
			list = append(list, m.srv.addr+": "+h.why)
		}
	})
	return strings.Join(list, "; ")
}

// unfence lets a server that was fenced be tried at once, since the map is a
// newer one.
func (s *server) unfence() {
	if !s.health.Load().fenced {
		return
	}
	s.pool.mu.Lock()
	s.pool.circuit.Forgive()
	s.pool.serve(s.cluster.now())
	s.pool.mu.Unlock()
}
