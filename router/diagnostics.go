package router

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
)

// told is what a session was told of its last statement, where no server connection is kept that knows.
type told struct {
	refused  *protocol.Error  // the error that Shardway gave
	warnings *protocol.Result // of SHOW WARNINGS, asked when the connection was given back
	count    uint64           // of the warnings
}

func (t *told) nothing() bool { return t.refused == nil && t.warnings == nil }

// mariaDB says whether the servers are MariaDB.
func (o *Options) mariaDB() bool {
	return strings.Contains(o.Executor.Cluster().Learned().Version, "MariaDB")
}

// keepsDiagnostics says whether a statement leaves the warnings of the one before: on MariaDB one without tables does.
func (s *session) keepsDiagnostics(t *text) bool {
	switch t.st.Kind {
	case parse.Select, parse.Set, parse.SetTransaction, parse.Do, parse.Begin, parse.Commit, parse.Rollback, parse.Savepoint, parse.RollbackTo,
		parse.ReleaseSavepoint, parse.Use, parse.Unlock, parse.Prepare, parse.Deallocate, parse.Explain, parse.Empty, parse.XA:
	default:
		if t.st.Kind != parse.Show || t.st.Name != "processlist" && t.st.Name != "grants" {
			return false
		}
	}
	for i := range t.st.Blocks {
		if len(t.st.Blocks[i].Tables) > 0 {
			return false
		}
	}
	if t.st.Inner != nil && len(t.st.Inner.Blocks) > 0 || t.st.Is(parse.FlagStoredFunction) {
		return false
	}
	return s.srv.options.Load().mariaDB()
}

// forget is for a statement that the session answers itself: it ends what the client may ask about the one before.
func (s *session) forget(t *text) {
	if !s.told.nothing() || s.x.HasDiagnostics() {
		if !s.keepsDiagnostics(t) {
			s.x.ForgetDiagnostics()
			s.told = told{}
		}
	}
}

// ranText is ran for a statement: what it leaves for the client to ask depends on its kind.
func (s *session) ranText(t *text, out *exec.Outcome, err error) error {
	before, rows := s.told, s.rows
	err = s.ran(out, err)
	r := &out.Reply
	if err != nil || r.Err != nil {
		return err
	}
	if r.Warnings == 0 && !before.nothing() && s.keepsDiagnostics(t) {
		s.told = before
	}
	s.rows = s.foundRows(t.st, r, rows)
	if t.st.Is(parse.FlagDiagnostics) {
		s.affected = -1
	}
	return nil
}

// foundRows is what FOUND_ROWS() is after a statement, when it was before.
func (s *session) foundRows(st *parse.Statement, r *protocol.Reply, before uint64) uint64 {
	switch st.Kind {
	case parse.Select:
		switch {
		case r.ResultSets > 0:
			return r.Rows
		case st.Is(parse.FlagInto):
			return r.AffectedRows
		}
	case parse.Insert, parse.Replace:
		if st.Insert != nil && st.Insert.Select >= 0 && r.ResultSets == 0 {
			return r.Records
		}
	case parse.Update: // of one table
		if r.Records > 0 && len(st.Blocks) > 0 && len(st.Blocks[0].Tables) == 1 && !s.srv.options.Load().mariaDB() {
			return r.Records
		}
	case parse.Do:
		if !s.srv.options.Load().mariaDB() {
			return 1
		}
	case parse.Show:
		if !shownDirectly(st.Name) {
			return r.Rows
		}
	case parse.Describe, parse.Call, parse.Execute, parse.Unparsed:
		if r.ResultSets > 0 {
			return r.Rows
		}
	default:
	}
	return before
}

// shownDirectly says whether what SHOW shows doesn't come from a table that the server makes for it: FOUND_ROWS() stays.
func shownDirectly(name string) bool {
	switch first, _, _ := strings.Cut(name, " "); first {
	case "warnings", "errors", "create", "grants", "engine", "privileges", "processlist", "binary", "master", "binlog", "slave", "replica",
		"relaylog", "slaves", "replicas", "profile", "profiles":
		return true
	default:
		return false
	}
}

// diagnostics answers SHOW WARNINGS and the like about the last statement.
func (s *session) diagnostics(ctx context.Context, o *Options, t *text) error {
	if s.x.HasDiagnostics() || t.st.Kind != parse.Show {
		r := exec.Request{
			Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Role: exec.Any, Uses: exec.WhyDiagnostics,
			Shard: o.Maps.Current().DefaultShard(s.x.Schema()).ID,
		}
		if t.st.Is(parse.FlagSetsUserVar) {
			if !s.x.HasDiagnostics() && (!s.told.nothing() || bytes.Contains(bytes.ToLower(t.sql), []byte("row_count"))) || s.x.VariablesElsewhere() {
				return protocol.Errorf(1235, "42000", "shardway: GET DIAGNOSTICS into variables needs the server connection of the last statement, which this session no longer keeps, or its variables are on another: use SHOW WARNINGS or SELECT ROW_COUNT()")
			}
			setsVariables(t.st, &r)
			r.Blank = !s.x.HasDiagnostics()
		}
		if t.execution != nil {
			t.execution.fill(&r)
		}
		out, err := s.x.Run(ctx, &r)
		return s.ranText(t, &out, err)
	}
	if strings.Contains(t.st.Name, "count") {
		column := protocol.Column{Name: "@@session.warning_count", Type: protocol.TypeLongLong, Unsigned: true}
		errorsOnly := strings.Contains(t.st.Name, "errors")
		if errorsOnly {
			column.Name = "@@session.error_count"
		}
		n := s.warningCount(errorsOnly)
		s.affected, s.rows = -1, 1
		return s.rowsOut(t, &protocol.Rows{Columns: []protocol.Column{column}, Rows: [][]any{{n}}})
	}
	s.affected = -1
	rows := s.ownDiagnostics(t.st.Name, t.sql)
	if columns, err := s.x.WarningColumns(ctx, o.Maps.Current().DefaultShard(s.x.Schema()).ID); err == nil && len(columns) == len(rows.Columns) {
		rows.Columns = columns
	}
	return s.rowsOut(t, rows)
}

// warningCount is @@warning_count or @@error_count.
func (s *session) warningCount(errorsOnly bool) uint64 {
	switch {
	case s.told.refused != nil:
		return 1
	case s.told.warnings == nil:
		return 0
	case errorsOnly:
		return uint64(len(s.ownDiagnostics("errors", nil).Rows))
	default:
		return s.told.count
	}
}

var limitText = regexp.MustCompile(`(?is)\blimit\s+(?:([0-9]+)\s*,\s*)?([0-9]+)\s*;?\s*$`)

// ownDiagnostics answers SHOW WARNINGS or SHOW ERRORS from what the session was told.
func (s *session) ownDiagnostics(name string, sql []byte) *protocol.Rows {
	rows := &protocol.Rows{Columns: []protocol.Column{
		{Name: "Level", Type: protocol.TypeVarString, NotNull: true},
		{Name: "Code", Type: protocol.TypeLong, Unsigned: true, NotNull: true},
		{Name: "Message", Type: protocol.TypeVarString, NotNull: true},
	}}
	errorsOnly := strings.Contains(name, "errors")
	switch {
	case s.told.refused != nil:
		rows.Rows = [][]any{{"Error", uint64(s.told.refused.Code), s.told.refused.Message}}
	case s.told.warnings != nil:
		for _, row := range s.told.warnings.Rows {
			if len(row) == 3 && row[0] != nil && row[1] != nil && row[2] != nil && (!errorsOnly || *row[0] == "Error") {
				code, _ := strconv.ParseUint(*row[1], 10, 64)
				rows.Rows = append(rows.Rows, []any{*row[0], code, *row[2]})
			}
		}
	}
	if m := limitText.FindSubmatch(sql); m != nil {
		from, _ := strconv.Atoi(string(m[1]))
		n, _ := strconv.Atoi(string(m[2]))
		from = min(from, len(rows.Rows))
		rows.Rows = rows.Rows[from:][:min(n, len(rows.Rows)-from)]
	}
	return rows
}
