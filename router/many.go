package router

import (
	"context"
	"errors"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/exec/merge"
	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan"
	"shardway/shardmap"
)

// several is the shard of an Event that is about more than one.
const several = "several"

// number draws the numbers that the rows of an INSERT get, and moves the sequence past those that they bring.
func (s *session) number(ctx context.Context, t *text, m *shardmap.Map, f *plan.Facts) error {
	f.FirstID, f.ZeroID = 0, strings.Contains(s.x.SQLMode(), "NO_AUTO_VALUE_ON_ZERO")
	table, n, past := plan.Numbers(t.st, t.args, m, f)
	if table == nil {
		return nil
	}
	if past > 0 {
		if err := s.x.Past(ctx, m, table, past); err != nil {
			return err
		}
	}
	if n == 0 {
		return nil
	}
	var err error
	f.FirstID, err = s.x.Draw(ctx, m, table, n)
	return err
}

// runMany runs a statement on several shards.
func (s *session) runMany(ctx context.Context, o *Options, t *text, p *plan.Many) error {
	r, err := s.manyRequest(o, t, p)
	if err != nil {
		return err
	}
	s.event.Way, s.event.Shards = WayMany, len(r.Parts)
	s.event.Shard, s.event.Role = several, r.Parts[0].Role.String()
	if len(r.Parts) == 1 {
		s.event.Shard = r.Parts[0].Shard
	}
	run := s.x.RunMany
	switch {
	case p.Returning:
		run = s.x.RunReturning
	case p.Write:
		run = s.x.RunWrite
	}
	if p.Write && len(r.Parts) == 1 {
		if err := s.effects(t, &r.Parts[0]); err != nil {
			return err
		}
		r.Parts[0].Given = nil // its reply is judged as a whole
	}
	out, err := run(ctx, r)
	if cannot, ok := errors.AsType[*merge.UnmergeableError](err); ok {
		if p.Else != nil {
			return s.runGather(ctx, o, t, p.Else)
		}
		return protocol.Errorf(1235, "42000", "shardway: the shards' rows can't be brought together: %s", cannot.Why)
	}
	return s.ranText(t, &out, err)
}

// manyRequest makes the shards' own statements.
func (s *session) manyRequest(o *Options, t *text, p *plan.Many) (*exec.ManyRequest, error) {
	st := t.st
	r := &exec.ManyRequest{
		Parts: make([]exec.Request, len(p.Parts)), Merge: p.Merge, Binary: t.execution != nil,
		OneByOne: p.Write || st.Is(parse.FlagLocks), MaxRows: o.GatherRows, MaxBytes: o.GatherBytes, Copies: p.Copies,
	}
	if p.Numbers > 0 {
		r.InsertID = p.FirstID
	} else if st.Insert != nil {
		r.Given = func(id uint64) bool { return given(t, id) }
	}
	base := exec.Request{
		Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Role: roleOf(p.Role),
		Read: st.Is(parse.FlagRead) && !p.Write, Timeout: o.QueryTimeout, MaxLag: st.Hints.MaxLag, Stale: st.Hints.Stale,
	}
	if t.execution == nil {
		base.Attributes = s.conn.QueryAttributes()
	}
	if st.Hints.Timeout > 0 {
		base.Timeout = st.Hints.Timeout
	}
	if s.facts.DB == "" {
		base.AnySchema = schemaFree(st, t.sql)
	}
	if p.Write && st.Is(parse.FlagLastInsertID) {
		s.x.AskInsertID()
		base.UsesLastInsertID = true
	}
	base.SetsLastInsertID = p.Copies && st.Is(parse.FlagSetsLastInsertID)
	base.Upserts = p.Write && st.Insert != nil && len(st.Insert.Rows) == 1 && len(st.Assign) > 0
	fill := rewrite.Fill{SQL: t.sql}
	if p.Merge != nil {
		fill.Window = p.Merge.Window().N
	}
	for i := range p.Numbers {
		fill.Numbers = append(fill.Numbers, p.FirstID+uint64(i))
	}
	var from *rewrite.Template // of which made is
	var made exec.Request
	for i := range p.Parts {
		part := &p.Parts[i]
		if i == 0 || part.SQL != from {
			var err error
			if made, err = s.partRequest(t, base, part.SQL, &fill); err != nil {
				return nil, err
			}
			from = part.SQL
		}
		r.Parts[i] = made
		r.Parts[i].Shard = part.Shard.ID
		if part.Rows > 0 {
			r.Rows = append(r.Rows, part.Rows)
		}
	}
	return r, nil
}

// partRequest makes the request of one text.
func (s *session) partRequest(t *text, r exec.Request, sql *rewrite.Template, fill *rewrite.Fill) (exec.Request, error) {
	e := t.execution
	switch {
	case e == nil && sql == nil:
		return r, nil
	case e == nil:
		var err error
		r.Payload, err = sql.Append(nil, fill)
		return r, err
	}
	e.fill(&r)
	e.exec.Flags = 0 // the rows of several servers have no cursor
	if sql == nil {
		return r, nil
	}
	text, params, err := sql.Prepared(nil, fill)
	if err != nil {
		return r, err
	}
	picked, err := e.exec.Pick(e.stmt.types, e.stmt.hasLong, params, func(param int) uint64 {
		if i, ok := rewrite.Numbered(param); ok {
			return fill.Numbers[i]
		}
		return fill.Window
	})
	if err != nil {
		return r, err
	}
	r.Statement, r.Execute, r.Types, r.LongData = e.stmt.prepared.Variant(string(text)), &picked, picked.Types, nil
	for i, param := range params {
		if param >= 0 && e.stmt.hasLong(param) {
			r.LongData = append(r.LongData, exec.LongData{Param: i, Data: e.stmt.longData(param)})
		}
	}
	return r, nil
}
