package router

import (
	"context"
	"strconv"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/exec/tables"
	"shardway/router/parse"
	"shardway/router/plan"
)

// runEach runs a statement on one shard after another.
func (s *session) runEach(ctx context.Context, o *Options, t *text, p *plan.Each) error {
	s.event.Way, s.event.Shards = WayMany, len(p.Shards)
	s.event.Shard, s.event.Role = several, roleOf(p.Role).String()
	st := t.st
	if p.Answer == plan.AnswerChecksums && s.x.InTransaction() {
		return protocol.Errorf(1235, "42000", "shardway: CHECKSUM TABLE on several shards can't see what the open transaction has changed: COMMIT or ROLLBACK first")
	}
	if p.Answer != plan.AnswerSizes {
		for _, shard := range p.Shards {
			if err := s.lockedTables(st, shard.ID); err != nil {
				return err
			}
		}
	}
	if st.Is(parse.FlagImplicitCommit) && s.x.InTransaction() {
		if err := s.x.CommitSilently(ctx); err != nil {
			return err
		}
	}
	base := exec.Request{
		Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Role: roleOf(p.Role), Timeout: o.QueryTimeout, Passing: passing(st),
	}
	base.MaxLag, base.Stale = st.Hints.MaxLag, st.Hints.Stale
	if st.Hints.Timeout > 0 {
		base.Timeout = st.Hints.Timeout
	}
	switch p.Answer {
	case plan.AnswerSum, plan.AnswerLargest:
		r := &exec.EachRequest{Tables: p.Tables, Repeatable: p.Repeatable, Largest: p.Answer == plan.AnswerLargest, Verb: strings.ToUpper(st.Name)}
		for _, shard := range p.Shards {
			part := base
			part.Shard = shard.ID
			r.Parts = append(r.Parts, part)
		}
		out, err := s.x.RunEach(ctx, r)
		return s.ranText(t, &out, err)
	default:
		return s.askEach(ctx, t, p, base)
	}
}

// askEach answers with one result what each of the shards answers with one.
func (s *session) askEach(ctx context.Context, t *text, p *plan.Each, base exec.Request) error {
	var results []*protocol.Result
	var servers, shards []string
	base.Read = p.Answer == plan.AnswerSizes
	for i, shard := range p.Shards {
		r := base
		r.Shard = shard.ID
		shards = append(shards, shard.ID)
		if p.Answer == plan.AnswerSizes && i > 0 {
			r.Payload = []byte("SHOW TABLE STATUS FROM `" + strings.ReplaceAll(p.Schema, "`", "``") + "`")
		}
		res, server, err := s.x.Ask(ctx, &r)
		servers = append(servers, server)
		if err != nil {
			return s.ranText(t, &exec.Outcome{Server: server}, err)
		}
		results = append(results, res)
	}
	sum := results[0]
	switch p.Answer {
	case plan.AnswerChecksums:
		tables.AddChecksums(results)
	case plan.AnswerStatus:
		tables.AddStatus(results, shards)
	default:
		m := s.srv.options.Load().Maps.Current()
		names := p.Columns
		if names == nil {
			names = sum.Columns
		}
		tables.AddSizes(results, names, func(table string) bool {
			listed := m.Table(p.Schema, table)
			return listed != nil && listed.Sharded()
		})
	}
	rows := &protocol.Rows{Columns: sum.Types}
	for _, row := range sum.Rows {
		cells := make([]any, len(row))
		for i, v := range row {
			cells[i] = cell(v, sum.Types[i])
		}
		rows.Rows = append(rows.Rows, cells)
	}
	out := exec.Outcome{Server: strings.Join(servers, ",")}
	out.Reply.ResultSets, out.Reply.Rows, out.Reply.Status = 1, uint64(len(rows.Rows)), s.x.Status()
	return s.ranText(t, &out, s.rowsOut(t, rows))
}

// cell is a value as rowsOut takes it.
func cell(v *string, c protocol.Column) any {
	if v == nil {
		return nil
	}
	if c.Type == protocol.TypeLongLong {
		if c.Unsigned {
			if n, err := strconv.ParseUint(*v, 10, 64); err == nil {
				return n
			}
		}
		if n, err := strconv.ParseInt(*v, 10, 64); err == nil {
			return n
		}
	}
	return *v
}
