package router

import (
	"context"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan"
)

// runGather brings rows to one server and runs the statement there.
func (s *session) runGather(ctx context.Context, o *Options, t *text, p *plan.Gather) error {
	if t.spread { // temporary tables take the places of tables, but not of those in views
		whole := *t
		whole.spread = false
		t = &whole
	}
	st := t.st
	r := exec.Request{Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Read: true, Timeout: o.QueryTimeout}
	r, err := s.partRequest(t, r, p.SQL, &rewrite.Fill{SQL: t.sql})
	if err != nil {
		return err
	}
	if st.Hints.Timeout > 0 {
		r.Timeout = st.Hints.Timeout
	}
	r.MaxLag, r.Stale = st.Hints.MaxLag, st.Hints.Stale
	if st.Is(parse.FlagLastInsertID) {
		s.x.AskInsertID()
		r.UsesLastInsertID = true
	}
	s.event.Way, s.event.Shards = WayGather, p.Reads()
	s.event.Shard, s.event.Role = p.Shard.ID, roleOf(p.Role).String()
	out, got, err := s.x.Gather(ctx, &exec.Gathering{
		Plan: p, Rows: o.GatherRows, Bytes: o.GatherBytes, Found: st.Is(parse.FlagCalcFoundRows),
	}, &r)
	s.event.GatheredRows, s.event.GatheredBytes = got.Rows, got.Bytes
	err = s.ranText(t, &out, err)
	if out.Found != nil {
		s.rows = *out.Found
	}
	return err
}

// bindFacts tells the planner of an EXECUTE's values.
func (s *session) bindFacts(t *text) {
	s.facts.BinaryParams = false
	if t.execution == nil {
		return
	}
	types := t.execution.stmt.types
	for i := 0; i+1 < len(types); i += 2 {
		switch types[i] {
		case protocol.TypeTinyBlob, protocol.TypeMediumBlob, protocol.TypeLongBlob, protocol.TypeBlob:
			s.facts.BinaryParams = true
		}
	}
}
