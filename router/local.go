package router

import (
	"context"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/plan"
	"shardway/shardmap"
)

// runLocal does what a session does itself.
func (s *session) runLocal(ctx context.Context, o *Options, t *text, p *plan.Local, m *shardmap.Map) error {
	if p.Op != plan.OpDiagnostics {
		defer func() {
			s.affected = 0
			if p.Op == plan.OpProcesslist || p.Op == plan.OpShowShardway || p.Op == plan.OpExplainRoute {
				s.affected = -1
			}
		}()
		s.forget(t)
	}
	switch p.Op {
	case plan.OpBegin:
		return s.begin(ctx, t, m)
	case plan.OpCommit, plan.OpRollback:
		return s.end(ctx, t)
	case plan.OpSavepoint, plan.OpRollbackTo, plan.OpReleaseSavepoint:
		return s.savepoint(ctx, t, p.Op)
	case plan.OpSetTransaction:
		return s.setTransaction(ctx, o, t)
	case plan.OpShowShardway:
		return s.showShardway(t)
	case plan.OpExplainRoute:
		return s.explainRoute(ctx, o, t)
	case plan.OpKill:
		return s.killStatement(ctx, t)
	case plan.OpProcesslist:
		return s.processlist(o, t.execution != nil, fullText.Match(t.sql))
	case plan.OpDiagnostics:
		return s.diagnostics(ctx, o, t)
	default:
		panic("a local plan of an unknown kind: " + p.Op.String())
	}
}

func (s *session) begin(ctx context.Context, t *text, m *shardmap.Map) error {
	if err := s.unlockTables(); err != nil {
		return err
	}
	if s.x.InTransaction() {
		if err := s.x.CommitSilently(ctx); err != nil {
			return err
		}
		s.claim.Restart(m)
	}
	s.x.Begin(string(t.sql), t.st.Tx.ReadOnly, t.st.Tx.ReadWrite)
	if t.st.Tx.Snapshot {
		// A snapshot is of the moment when it is asked for, so it can't wait for the first statement on a shard.
		home := m.DefaultShard(s.x.Schema())
		shards := []*shardmap.Shard{home}
		if s.x.CrossShard() != exec.CrossShardForbid {
			shards = append(shards, m.Shards()...)
		}
		role := exec.Primary
		if t.st.Tx.ReadOnly {
			role = exec.Replica
		}
		for i, shard := range shards {
			if i > 0 && shard == home {
				continue
			}
			if err := s.x.Open(ctx, shard.ID, role); err != nil {
				s.x.Abandon()
				return err
			}
			s.claim.Saw(shard.ID, m)
		}
	}
	return s.ok()
}

// end commits or rolls back.
func (s *session) end(ctx context.Context, t *text) error {
	tx := t.st.Tx
	completion := strings.ToUpper(unquoted(s.x.Variable("completion_type")))
	chain := tx.Chain || completion == "CHAIN" && !tx.NoChain
	release := tx.Release || completion == "RELEASE" && !tx.NoRelease
	var err error
	shards := s.x.TransactionShards()
	if len(shards) == 0 {
		s.x.EndUnbound(chain)
		err = s.ok()
	} else {
		s.event.Shard, s.event.Role = strings.Join(shards, ","), exec.Primary.String()
		sql := t.sql
		if release || chain {
			sql = []byte("COMMIT AND NO CHAIN NO RELEASE")
			if t.st.Kind == parse.Rollback {
				sql = []byte("ROLLBACK AND NO CHAIN NO RELEASE")
			}
		}
		var out exec.Outcome
		out, err = s.x.End(ctx, sql, t.st.Kind == parse.Rollback, chain && !release)
		err = s.ranText(t, &out, err)
	}
	if err == nil && release {
		return errLeave
	}
	return err
}

func (s *session) savepoint(ctx context.Context, t *text, op plan.LocalOp) error {
	name := t.st.Tx.Savepoint
	if shards := s.x.TransactionShards(); len(shards) > 0 {
		s.event.Shard, s.event.Role = strings.Join(shards, ","), exec.Primary.String()
		out, err := s.x.RunSavepoint(ctx, t.sql)
		if err == nil && out.Reply.Err == nil {
			s.keepSavepoint(t, op, name)
		}
		return s.ranText(t, &out, err)
	}
	if !s.keepSavepoint(t, op, name) {
		return protocol.Errorf(1305, "42000", "SAVEPOINT %s does not exist", name)
	}
	return s.ok()
}

// keepSavepoint takes a savepoint over for the shards that are yet to join. It says false if there is none of that name.
func (s *session) keepSavepoint(t *text, op plan.LocalOp, name string) bool {
	if op != plan.OpSavepoint {
		return s.x.RollbackTo(name, op == plan.OpReleaseSavepoint)
	}
	if s.x.InTransaction() || !s.x.Autocommit() {
		s.x.Savepoint(name, string(t.sql))
	}
	return true
}

func (s *session) setTransaction(ctx context.Context, o *Options, t *text) error {
	if t.st.Tx.Scope == parse.ScopeNext {
		return s.nextTransaction(t)
	}
	role := exec.Any
	if t.st.Tx.Scope == parse.ScopeGlobal {
		role = exec.Primary
	}
	out, err := s.x.Run(ctx, &exec.Request{
		Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery,
		Shard: o.Maps.Current().DefaultShard(s.x.Schema()).ID, Role: role,
	})
	return s.ranText(t, &out, err)
}

// nextTransaction keeps a statement that sets the characteristics of the next transaction alone.
func (s *session) nextTransaction(t *text) error {
	if s.x.InTransaction() {
		return protocol.Errorf(1568, "25001", "Transaction characteristics can't be changed while a transaction is in progress")
	}
	if t.execution != nil && t.execution.stmt.params > 0 {
		return protocol.Errorf(1295, "HY000", "shardway: the next transaction's characteristics can't be bound to a prepared statement; write them into the text")
	}
	s.x.Next(string(t.sql))
	return s.ok()
}

func (s *session) showShardway(t *text) error {
	table, err := s.srv.Table(t.st.Name)
	if err != nil {
		return protocol.Errorf(1064, "42000", "shardway: %v", err)
	}
	s.visible(t.st.Name, table)
	rows := &protocol.Rows{Rows: table.Rows}
	for i, name := range table.Columns {
		column := protocol.Column{Name: name, Type: protocol.TypeVarString}
		for _, row := range table.Rows {
			switch row[i].(type) {
			case int64, bool:
				column.Type = protocol.TypeLongLong
			case uint64:
				column.Type, column.Unsigned = protocol.TypeLongLong, true
			case float64:
				column.Type = protocol.TypeDouble
			default:
			}
		}
		rows.Columns = append(rows.Columns, column)
	}
	return s.rowsOut(t, rows)
}

func (s *session) explainRoute(ctx context.Context, o *Options, t *text) error {
	d := digests.Get().(*parse.Digest)
	defer putDigest(d, len(t.st.InnerText))
	st := s.parse(o, d, []byte(t.st.InnerText))
	m := o.Maps.Current()
	columns, rows := plan.Rows(s.plan(ctx, &text{st: st, args: d.Args}, m, s.know()), m)
	out := &protocol.Rows{}
	for _, name := range columns {
		out.Columns = append(out.Columns, protocol.Column{Name: name, Type: protocol.TypeVarString})
	}
	for _, row := range rows {
		cells := make([]any, len(row))
		for i, cell := range row {
			cells[i] = cell
		}
		out.Rows = append(out.Rows, cells)
	}
	return s.rowsOut(t, out)
}
