package router

import (
	"context"
	"time"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan"
)

// explaining is the work on an EXPLAIN of a statement that isn't for one shard.
type explaining struct {
	s             *session
	o             *Options
	t             *text
	head          string // EXPLAIN, with what is said of its form
	columns, rows [][]byte
	shards        map[string]bool
}

// explain has each shard explain what it would run, and gives their rows in the order of the steps.
func (s *session) explain(ctx context.Context, o *Options, t *text, p *plan.Explain) error {
	s.affected = -1
	s.forget(t)
	w := &explaining{s: s, o: o, t: t, shards: map[string]bool{}}
	fill := rewrite.Fill{SQL: t.sql}
	head, err := p.Head.Append(nil, &fill)
	if err != nil {
		return err
	}
	w.head = string(head)
	inner, err := p.Inner.Append(nil, &fill)
	if err != nil {
		return err
	}
	s.event.Way, s.event.Shard, s.event.Role = WayMany, several, exec.Any.String()
	if err := w.explain(ctx, string(inner)); err != nil {
		return err
	}
	s.event.Shards = len(w.shards)
	return w.answer()
}

// explain explains a statement by its plan.
func (w *explaining) explain(ctx context.Context, sql string) error {
	s, m := w.s, w.o.Maps.Current()
	d := new(parse.Digest)
	t := newText(sql)
	t.st = s.parse(w.o, d, t.sql)
	t.args = d.Args
	f := s.know()
	if db, table, ok := plan.InsertTarget(t.st, m, f); ok {
		var err error
		if f.Columns, err = s.x.Columns(ctx, m.DefaultShard(db).ID, db, table); err != nil {
			return err
		}
	}
	s.bindFacts(t)
	planned := s.plan(ctx, t, m, f)
	if pick, ok := planned.(*plan.Pick); ok {
		var err error
		if planned, err = s.withKeys(ctx, t, m, f, pick); err != nil {
			return err
		}
	}
	switch p := planned.(type) {
	case *plan.One:
		return w.step(ctx, p.Shard.ID, p.Role, sql)
	case *plan.Many:
		fill := rewrite.Fill{SQL: t.sql}
		if p.Merge != nil {
			fill.Window = p.Merge.Window().N
		}
		for i := range p.Numbers {
			fill.Numbers = append(fill.Numbers, p.FirstID+uint64(i))
		}
		for i := range p.Parts {
			part := sql
			if template := p.Parts[i].SQL; template != nil {
				text, err := template.Append(nil, &fill)
				if err != nil {
					return err
				}
				part = string(text)
			}
			if err := w.step(ctx, p.Parts[i].Shard.ID, p.Role, part); err != nil {
				return err
			}
		}
		return nil
	case *plan.Gather:
		return w.gather(ctx, t, p)
	case *plan.Pick:
		rows, err := s.literal(t, p.Rows)
		if err != nil {
			return err
		}
		return w.explain(ctx, rows)
	case *plan.Refuse:
		s.event.Way = WayRefused
		return &protocol.Error{Code: p.Code, State: p.State, Message: p.Message}
	default:
		s.event.Way = WayRefused
		return protocol.Errorf(1235, "42000", "shardway: EXPLAIN of a statement that isn't run by one server as it is: see EXPLAIN ROUTE")
	}
}

// step has one shard explain a statement.
func (w *explaining) step(ctx context.Context, shard string, role plan.Role, sql string) error {
	if w.t.st.Hints.Primary {
		role = plan.Primary
	}
	w.shards[shard] = true
	return w.take(func() error {
		_, err := w.s.x.Run(ctx, &exec.Request{
			Command: protocol.ComQuery, Payload: []byte(w.head + " " + sql), Reply: protocol.ReplyQuery,
			Shard: shard, Role: roleOf(role), Read: true, Timeout: w.timeout(), MaxLag: w.t.st.Hints.MaxLag, Stale: w.t.st.Hints.Stale,
		})
		return err
	})
}

// gather brings the rows together, since the servers' plans depend on them.
func (w *explaining) gather(ctx context.Context, t *text, p *plan.Gather) error {
	if w.t.st.Hints.Primary {
		p.Role, p.From = plan.Primary, plan.Primary
	}
	sql := t.sql
	if p.SQL != nil {
		var err error
		if sql, err = p.SQL.Append(nil, &rewrite.Fill{SQL: t.sql}); err != nil {
			return err
		}
	}
	w.shards[p.Shard.ID] = true
	for i := range p.Copies {
		for _, s := range p.Copies[i].Shards {
			w.shards[s.ID] = true
		}
	}
	r := exec.Request{
		Command: protocol.ComQuery, Payload: sql, Reply: protocol.ReplyQuery, Read: true, Timeout: w.timeout(),
		MaxLag: w.t.st.Hints.MaxLag, Stale: w.t.st.Hints.Stale, UsesLastInsertID: t.st.Is(parse.FlagLastInsertID),
	}
	return w.take(func() error {
		_, got, err := w.s.x.Gather(ctx, &exec.Gathering{Plan: p, Rows: w.o.GatherRows, Bytes: w.o.GatherBytes, Explain: w.head}, &r)
		w.s.event.GatheredRows, w.s.event.GatheredBytes = got.Rows, got.Bytes
		return err
	})
}

func (w *explaining) timeout() time.Duration {
	if w.t.st.Hints.Timeout > 0 {
		return w.t.st.Hints.Timeout
	}
	return w.o.QueryTimeout
}

// take keeps the rows of a reply.
func (w *explaining) take(run func() error) error {
	columns, rows, _, err := w.s.replyOf(run)
	switch {
	case err != nil:
		return err
	case w.columns != nil && len(columns) != len(w.columns):
		return protocol.Errorf(1235, "42000", "shardway: the shards' servers explain in different forms, since their versions differ; use EXPLAIN with the hint shard=NAME")
	}
	if w.columns == nil {
		w.columns = columns
	}
	w.rows = append(w.rows, rows...)
	return nil
}

// answer gives the client all rows.
func (w *explaining) answer() error {
	conn, status := w.s.conn, w.s.x.Status()
	err := conn.WriteColumnsOf(protocol.NewMemory(0).Conn, w.columns, status)
	for i := 0; i < len(w.rows) && err == nil; i++ {
		err = conn.WriteRow(w.rows[i])
	}
	if err == nil {
		err = conn.WriteEOF(status, 0)
	}
	return err
}
