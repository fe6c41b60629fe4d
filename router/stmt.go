package router

import (
	"context"
	"encoding/binary"
	"errors"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/plan"
	"shardway/shardmap"
)

// maxPrepared bounds one client's prepared statements, as servers' max_prepared_stmt_count does for all.
const maxPrepared = 16382

// statement is one of the client's prepared statements.
type statement struct {
	st       *parse.Statement
	prepared *exec.Prepared
	args     []parse.Value // of the text; Markers take the bound values
	params   int
	types    []byte // of the parameters, as sent last
	long     []exec.LongData
	longErr  *protocol.Error
	bound    []protocol.Param // reused
	local    bool             // the session answers it without a server
}

// execution is one COM_STMT_EXECUTE.
type execution struct {
	stmt *statement
	exec protocol.Execute
}

func (e *execution) fill(r *exec.Request) {
	r.Command, r.Payload = protocol.ComStmtExecute, nil
	r.Statement, r.Execute, r.Types, r.LongData = e.stmt.prepared, &e.exec, e.stmt.types, e.stmt.long
}

func (s *session) stmtPrepare(ctx context.Context, o *Options, payload []byte) error {
	s.event.Kind = "prepare"
	if len(s.prepared) >= maxPrepared {
		return protocol.Errorf(1461, "42000", "Can't create more than max_prepared_stmt_count statements (current value: %d)", maxPrepared)
	}
	sql := string(payload)
	d := new(parse.Digest)
	st := s.parse(o, d, []byte(sql))
	s.event.Digest = d.Norm
	stmt := &statement{st: st, prepared: s.x.Prepared(string(ownDatabases(s.user, st, payload))), args: d.Args}
	for i := range d.Args {
		if d.Args[i].Kind == parse.Marker {
			stmt.params++
		}
	}
	switch {
	case st.Kind == parse.Several:
		return s.notOne(ctx, o, payload)
	case st.Kind == parse.Set && setsOwn(st):
		stmt.local = true
		return s.answerPrepare(stmt, &protocol.Prepared{})
	case st.Is(parse.FlagOwnVariable):
		return protocol.Errorf(1295, "HY000", "This command is not supported in the prepared statement protocol yet")
	}
	if s.x.Unknown() {
		s.takeBack()
	}
	m := o.Maps.Current()
	shard, role := m.DefaultShard(s.x.Schema()).ID, exec.Any
	switch p := plan.Build(st, d.Args, m, s.know()).(type) {
	case *plan.Local:
		switch p.Op {
		case plan.OpBegin, plan.OpShowShardway, plan.OpExplainRoute, plan.OpKill, plan.OpProcesslist, plan.OpDiagnostics, plan.OpSavepoint,
			plan.OpRollbackTo, plan.OpReleaseSavepoint:
			return protocol.Errorf(1295, "HY000", "This command is not supported in the prepared statement protocol yet")
		default:
			stmt.local = true
			return s.answerPrepare(stmt, &protocol.Prepared{})
		}
	case *plan.One:
		if s.facts.TxReadOnly && len(s.facts.TempTables) == 0 && writes(st) {
			return s.readOnlyError(o)
		}
		shard, role = p.Shard.ID, roleOf(p.Role)
	case *plan.Many:
		shard, role = p.Parts[0].Shard.ID, roleOf(p.Role)
		if !s.x.Usable(shard) {
			shard, role = s.homeOf(m, st)
		}
	case *plan.Gather:
		if shard, role = p.Shard.ID, roleOf(p.Role); !p.Finds() || !s.x.Usable(shard) {
			shard, role = s.homeOf(m, st)
		}
	case *plan.Pick:
		shard, role = s.homeOf(m, st)
	case *plan.Each:
		if s.facts.TxReadOnly && writes(st) {
			return s.readOnlyError(o)
		}
		shard, role = p.Shards[0].ID, roleOf(p.Role)
	case *plan.Load:
		shard, role = p.Shards[0].ID, exec.Primary
	case *plan.Refuse:
		// The values decide where a statement runs, and they come later; what no value can cure is refused now.
		if hopeless(p.Code) {
			return &protocol.Error{Code: p.Code, State: p.State, Message: p.Message}
		}
		shard, role = s.homeOf(m, st)
	}
	s.event.Shard, s.event.Role = shard, role.String()
	prepared, err := s.x.Prepare(ctx, stmt.prepared, shard, role, st.Is(parse.FlagRead))
	if err != nil {
		s.event.Outcome = OutcomeError
		if e, ok := errors.AsType[*protocol.Error](err); ok { // SHOW ERRORS is about it
			s.x.ForgetDiagnostics()
			s.told, s.affected = told{refused: e}, -1
		}
		return err
	}
	stmt.params = prepared.Params
	return s.answerPrepare(stmt, prepared)
}

// homeOf says where a statement is asked about whose shards aren't known yet, or are several.
func (s *session) homeOf(m *shardmap.Map, st *parse.Statement) (shard string, role exec.Role) {
	home := homeTable(st)
	if home == "" {
		home = s.x.Schema()
	}
	switch role = exec.Any; {
	case st.Is(parse.FlagRead):
		role = exec.Replica
	case s.x.InTransaction():
		role = exec.Primary // any server is the one of the transaction's first shard, which needn't have all tables
	}
	return s.asks(m, home), role
}

// asks is the shard that is asked about a statement before its values say where it runs: the default shard of the
// schema that it names, or, while no server there can be used, another one that has the schema's sharded tables.
func (s *session) asks(m *shardmap.Map, schema string) string {
	first := m.DefaultShard(schema).ID
	db := m.Database(schema)
	if db == nil || s.x.Usable(first) {
		return first
	}
	for _, sh := range m.Shards() {
		if len(db.Owned(sh.ID)) > 0 && s.x.Usable(sh.ID) {
			return sh.ID
		}
	}
	return first
}

// hopeless are the codes of refusals that no bound value can change.
func hopeless(code uint16) bool {
	switch code {
	case 1044, 1045, 1064, 1142, 1227, 1290, 1065:
		return true
	default:
		return false
	}
}

// homeTable is the schema that the first table of a statement names, "" for none.
func homeTable(st *parse.Statement) string {
	for _, b := range st.Blocks {
		for _, t := range b.Tables {
			if t.DB != "" {
				return t.DB
			}
		}
	}
	return ""
}

func (s *session) answerPrepare(stmt *statement, p *protocol.Prepared) error {
	if s.prepared == nil {
		s.prepared = map[uint32]*statement{}
	}
	s.nextStmt++
	s.prepared[s.nextStmt] = stmt
	return s.conn.WritePrepared(s.nextStmt, p)
}

func unknownStatement(id uint32, command string) error {
	return protocol.Errorf(1243, "HY000", "Unknown prepared statement handler (%d) given to %s", id, command)
}

// stmtOf finds the statement whose id begins a payload.
func (s *session) stmtOf(payload []byte, command string) (*statement, error) {
	if len(payload) < 4 {
		return nil, protocol.Errorf(1835, "HY000", "Malformed communication packet.")
	}
	id := binary.LittleEndian.Uint32(payload)
	if stmt := s.prepared[id]; stmt != nil {
		return stmt, nil
	}
	return nil, unknownStatement(id, command)
}

func (s *session) stmtExecute(ctx context.Context, o *Options, payload []byte) error {
	s.event.Kind = "execute"
	stmt, err := s.stmtOf(payload, "mysqld_stmt_execute")
	if err != nil {
		return err
	}
	e := execution{stmt: stmt}
	defer func() {
		stmt.long = nil
		clear(stmt.bound) // its strings are parts of the packet
	}()
	if stmt.longErr != nil {
		return stmt.longErr
	}
	if e.exec, err = protocol.DecodeExecute(payload, stmt.params, s.conn.Capabilities()); err != nil {
		return err
	}
	if e.exec.TypesSent {
		stmt.types = append(stmt.types[:0], e.exec.Types...)
	} else if stmt.params > 0 && len(stmt.types) != 2*stmt.params {
		return protocol.Errorf(1210, "HY000", "Incorrect arguments to mysqld_stmt_execute")
	}
	stmt.bound, err = e.exec.DecodeParams(stmt.types, stmt.hasLong, stmt.bound[:0])
	if err != nil {
		return err
	}
	t := &text{st: stmt.st, args: stmt.bind(), sql: []byte(stmt.prepared.Text), execution: &e}
	s.event.Digest = t.sql
	s.x.CloseCursor(stmt.prepared)
	s.show(t.sql)
	defer s.show(nil)
	return s.run(ctx, o, t)
}

func (stmt *statement) hasLong(i int) bool {
	for j := range stmt.long {
		if stmt.long[j].Param == i {
			return true
		}
	}
	return false
}

// bind returns the statement's args with the bound values in the places of its markers.
func (stmt *statement) bind() []parse.Value {
	args := make([]parse.Value, len(stmt.args))
	n := 0
	for i, a := range stmt.args {
		if a.Kind == parse.Marker && n < len(stmt.bound) {
			start, end := a.Start, a.End
			a = valueOf(&stmt.bound[n])
			if stmt.bound[n].LongData {
				a.S = stmt.longData(n)
			}
			a.Start, a.End = start, end
			n++
		}
		args[i] = a
	}
	return args
}

func (stmt *statement) longData(param int) []byte {
	for _, l := range stmt.long {
		if l.Param == param {
			return l.Data
		}
	}
	return nil
}

// valueOf turns a bound value into what the planner compares keys with.
func valueOf(p *protocol.Param) parse.Value {
	switch {
	case p.Null:
		return parse.Value{Kind: parse.Null}
	case p.LongData:
		return parse.Value{Kind: parse.String}
	}
	switch p.Type {
	case protocol.TypeTiny, protocol.TypeShort, protocol.TypeLong, protocol.TypeInt24, protocol.TypeLongLong, protocol.TypeYear:
		if p.Unsigned && p.Uint > 1<<63-1 {
			return parse.Value{Kind: parse.Uint, U: p.Uint}
		}
		if p.Unsigned {
			return parse.Value{Kind: parse.Int, I: int64(p.Uint)}
		}
		return parse.Value{Kind: parse.Int, I: p.Int}
	case protocol.TypeFloat, protocol.TypeDouble:
		return parse.Value{Kind: parse.Float, F: p.Float}
	case protocol.TypeDecimal, protocol.TypeNewDecimal:
		return parse.Value{Kind: parse.Decimal, S: p.Bytes}
	case protocol.TypeDate, protocol.TypeDatetime, protocol.TypeTimestamp, protocol.TypeTime:
		return parse.Value{Kind: parse.Marker} // a key that no rule places
	default:
		return parse.Value{Kind: parse.String, S: p.Bytes}
	}
}

// stmtLongData keeps a part of a parameter's value. It has no reply, so that an error waits for the EXECUTE: each fails
// with it until the statement is reset.
func (s *session) stmtLongData(o *Options, payload []byte) error {
	if len(payload) < 6 {
		return nil
	}
	stmt := s.prepared[binary.LittleEndian.Uint32(payload)]
	if stmt == nil || stmt.longErr != nil {
		return nil
	}
	param := int(binary.LittleEndian.Uint16(payload[4:]))
	total := len(payload)
	for i := range stmt.long {
		total += len(stmt.long[i].Data)
	}
	limit := maxPacket(o)
	switch {
	case param >= stmt.params:
		stmt.longErr = protocol.Errorf(1210, "HY000", "Incorrect arguments to mysqld_stmt_send_long_data")
		return nil
	case limit > 0 && total > limit:
		stmt.long = nil
		stmt.longErr = protocol.Errorf(1301, "HY000", "shardway: parameters of %d bytes sent in parts are larger than max_allowed_packet (%d)", total, limit)
		return nil
	}
	for i := range stmt.long {
		if stmt.long[i].Param == param {
			stmt.long[i].Data = append(stmt.long[i].Data, payload[6:]...)
			return nil
		}
	}
	stmt.long = append(stmt.long, exec.LongData{Param: param, Data: append([]byte(nil), payload[6:]...)})
	return nil
}

func (s *session) stmtReset(payload []byte) error {
	stmt, err := s.stmtOf(payload, "mysqld_stmt_reset")
	if err != nil {
		return err
	}
	stmt.long, stmt.longErr = nil, nil
	s.x.CloseCursor(stmt.prepared)
	return s.ok()
}

func (s *session) stmtClose(payload []byte) error {
	stmt, err := s.stmtOf(payload, "mysqld_stmt_close")
	if err == nil {
		s.x.CloseCursor(stmt.prepared)
		delete(s.prepared, binary.LittleEndian.Uint32(payload))
	}
	return nil // no reply, whatever the id
}

func (s *session) stmtFetch(ctx context.Context, payload []byte) error {
	s.event.Kind = "fetch"
	stmt, err := s.stmtOf(payload, "mysqld_stmt_fetch")
	if err != nil {
		return err
	}
	if len(payload) < 8 {
		return protocol.Errorf(1835, "HY000", "Malformed communication packet.")
	}
	out, err := s.x.Fetch(ctx, stmt.prepared, binary.LittleEndian.Uint32(payload), binary.LittleEndian.Uint32(payload[4:]))
	return s.ran(&out, err)
}
