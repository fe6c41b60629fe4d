package router

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/parse"
)

// about matches the SELECTs that the session itself can answer, of the function or variable and its alias.
var about = regexp.MustCompile("(?is)^\\s*select\\s+((connection_id|row_count|found_rows)\\s*\\(\\s*\\)|@@(?:session\\.)?(warning_count|error_count))" +
	"(?:\\s+(?:as\\s+)?[`'\"]?([a-z_0-9]+)[`'\"]?)?\\s*(?:limit\\s+[1-9][0-9]*\\s*)?;?\\s*$")

// asksSession are the flags of statements about what the session knows better than any server.
const asksSession = parse.FlagConnectionID | parse.FlagRowCount | parse.FlagFoundRows | parse.FlagWaitTimeout

// pooledIdle is the wait_timeout of server connections where the servers' own is less: it has to outlast the pool.
const pooledIdle = 8 * time.Hour

// answerAbout answers statements with CONNECTION_ID(), ROW_COUNT(), FOUND_ROWS(), @@warning_count or @@error_count where
// the server doesn't know them: a SELECT of one of them alone by itself, any other by writing the values into its text.
func (s *session) answerAbout(ctx context.Context, o *Options, t *text) (answered bool, err error) {
	st := t.st
	asks := st.Flags & asksSession
	if asks&parse.FlagWaitTimeout != 0 && s.idleLimit() >= pooledIdle {
		asks &^= parse.FlagWaitTimeout // a server connection has the same
	}
	counts := st.Is(parse.FlagDiagnostics) && !s.x.HasDiagnostics()
	switch {
	case asks == 0 && !counts:
		return false, nil
	case st.Kind == parse.DDL && !strings.HasPrefix(st.Name, "create table"):
		return false, nil // a view or a body asks when it runs
	case asks == parse.FlagFoundRows && !st.Is(parse.FlagDiagnostics) && s.x.HasFoundRows():
		return false, nil
	case asks == parse.FlagConnectionID && s.x.HoldsLock():
		return false, nil // IS_USED_LOCK(…) = CONNECTION_ID(): both are the server's own numbers
	}
	if m := about.FindSubmatch(t.sql); m != nil {
		return true, s.answerAlone(o, t, m)
	}
	if s.x.Keeps() {
		s.takeBack()
	}
	sql, ok := parse.Substitute(t.sql, s.sqlMode(), s.valueOf)
	other := text{sql: sql}
	if ok {
		d := new(parse.Digest)
		other.st = s.parse(o, d, sql)
		other.args = d.Args
		ok = other.st.Flags&(asksSession|parse.FlagDiagnostics) == 0
	}
	if !ok {
		return true, protocol.Errorf(1235, "42000",
			"shardway: the CONNECTION_ID(), ROW_COUNT(), FOUND_ROWS(), @@warning_count or @@error_count of this statement can't be found in its text: select it in a statement of its own, as in SELECT CONNECTION_ID()")
	}
	if e := t.execution; e != nil {
		// The types and bytes of the bound values are the client's; only the text is another.
		stmt := *e.stmt
		stmt.st, stmt.prepared = other.st, s.x.Prepared(string(sql))
		stmt.args = other.args
		other.args = stmt.bind()
		other.execution = &execution{stmt: &stmt, exec: e.exec}
	}
	return true, s.run(ctx, o, &other)
}

// answerAlone answers a SELECT that about has matched.
func (s *session) answerAlone(o *Options, t *text, m [][]byte) error {
	column := protocol.Column{Name: string(m[1]), Type: protocol.TypeLongLong, NotNull: true}
	if len(m[4]) > 0 {
		column.Name = string(m[4])
	}
	var value any
	switch strings.ToLower(string(m[2])) {
	case "connection_id":
		column.Unsigned, value = true, uint64(s.id)
		if o.mariaDB() {
			column.Type, column.Length = protocol.TypeLong, 10
		}
	case "row_count":
		value = s.affected
	case "found_rows":
		value = int64(s.rows)
	default:
		column.Unsigned, column.NotNull = true, false
		value = s.warningCount(strings.EqualFold(string(m[3]), "error_count"))
		s.forget(t)
	}
	s.affected, s.rows = -1, 1
	return s.rowsOut(t, &protocol.Rows{Columns: []protocol.Column{column}, Rows: [][]any{{value}}})
}

// valueOf is the SQL text of what the session knows of its last statement, of the type that the function has, "" for
// any other name.
func (s *session) valueOf(name string) string {
	switch name {
	case "row_count":
		return fmt.Sprintf("CAST('%021d' AS SIGNED)", s.affected)
	case "found_rows":
		return fmt.Sprintf("CAST('%021d' AS SIGNED)", s.rows)
	case "connection_id":
		return fmt.Sprintf("CAST('%010d' AS UNSIGNED)", s.id)
	case "@@pseudo_thread_id":
		return fmt.Sprintf("CAST(NULLIF('%021d','') AS UNSIGNED)", s.id)
	case "@@wait_timeout":
		return fmt.Sprintf("CAST(NULLIF('%021d','') AS UNSIGNED)", s.idleLimit()/time.Second)
	case "@@warning_count", "@@error_count":
		return fmt.Sprintf("CAST(NULLIF('%021d','') AS UNSIGNED)", s.warningCount(name == "@@error_count"))
	default:
		return ""
	}
}

// rowsOut answers with rows of the session's own.
func (s *session) rowsOut(t *text, rows *protocol.Rows) error {
	return s.conn.WriteRows(rows, t.execution != nil, s.x.Status())
}
