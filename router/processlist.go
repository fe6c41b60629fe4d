package router

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"shardway/protocol"
)

// show says which text runs for the client, nil for none. The text must stay as it is until the next call.
func (s *session) show(sql []byte) {
	s.info.Lock()
	s.shown = sql
	s.info.Unlock()
}

// maxInfo is how much of a text SHOW PROCESSLIST shows without FULL, in bytes, and maxFullInfo with it.
const (
	maxInfo     = 100
	maxFullInfo = 64 << 10
)

// running is the text that runs for the client, nil when none does. It is called from any goroutine.
func (s *session) running(most int) any {
	s.info.Lock()
	defer s.info.Unlock()
	if s.shown == nil {
		return nil
	}
	return strings.ToValidUTF8(string(s.shown[:min(len(s.shown), most)]), "?")
}

// sees says whether the client may see and end the sessions of a user.
func (s *session) sees(user string) bool { return s.user.Admin || s.user.Name == user }

var fullText = regexp.MustCompile(`(?is)^\s*(?:/\*.*?\*/\s*)*show\s+full\b`)

// processlist answers SHOW PROCESSLIST with Shardway's sessions, in the columns of the servers.
func (s *session) processlist(o *Options, binary, full bool) error {
	rows := &protocol.Rows{Columns: []protocol.Column{
		{Name: "Id", Type: protocol.TypeLongLong, NotNull: true},
		{Name: "User", Type: protocol.TypeVarString, NotNull: true},
		{Name: "Host", Type: protocol.TypeVarString, NotNull: true},
		{Name: "db", Type: protocol.TypeVarString},
		{Name: "Command", Type: protocol.TypeVarString, NotNull: true},
		{Name: "Time", Type: protocol.TypeLong},
		{Name: "State", Type: protocol.TypeVarString},
		{Name: "Info", Type: protocol.TypeVarString},
	}}
	mariaDB := o.mariaDB()
	if mariaDB {
		rows.Columns = append(rows.Columns, protocol.Column{Name: "Progress", Type: protocol.TypeVarString, NotNull: true})
	}
	most := maxInfo
	if full {
		most = maxFullInfo
	}
	for _, c := range s.srv.list() {
		if !s.sees(c.user) {
			continue
		}
		var db any
		if name := *c.schema.Load(); name != "" {
			db = name
		}
		command, state := "Sleep", ""
		if activity(c.doing.Load()) == running {
			command, state = "Query", "executing"
			if c.endWait.Load() != nil {
				state = "waiting for slots that move"
			}
		}
		row := []any{
			uint64(c.id), c.user, c.addr, db, command, int64(time.Since(time.Unix(0, c.since.Load())).Seconds()), state, c.running(most),
		}
		if mariaDB {
			row = append(row, "0.000")
		}
		rows.Rows = append(rows.Rows, row)
	}
	return s.conn.WriteRows(rows, binary, s.x.Status())
}

// listed is a session with the name under which its user is counted.
type listed struct {
	*session
	user string
}

// list is every session, by id.
func (s *Server) list() []listed {
	s.mu.Lock()
	all := make([]listed, 0, len(s.sessions))
	for _, c := range s.sessions {
		all = append(all, listed{c, c.entered})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b listed) int { return int(int64(a.id) - int64(b.id)) })
	return all
}

var (
	killText = regexp.MustCompile(`(?is)^\s*(?:/\*.*?\*/\s*)*kill\s+(?:(hard|soft)\s+)?(?:(connection|query)\s+)?(id\s+)?([0-9]+)\s*;?\s*$`)
	killUser = regexp.MustCompile("(?is)^\\s*(?:/\\*.*?\\*/\\s*)*kill\\s+(?:(?:hard|soft)\\s+)?(?:(connection|query)\\s+)?user\\s+" +
		"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|[\\w$.-]+(?:\\s*\\(\\s*\\))?)(?:\\s*@\\s*('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|[\\w$%.-]+))?\\s*;?\\s*$")
)

// killStatement is KILL, in the forms that the servers know.
func (s *session) killStatement(ctx context.Context, t *text) error {
	mariaDB := strings.Contains(s.srv.options.Load().Executor.Cluster().Learned().Version, "MariaDB")
	if m := killUser.FindSubmatch(t.sql); m != nil && mariaDB {
		return s.killUser(ctx, string(m[2]), string(m[3]), strings.EqualFold(string(m[1]), "query"))
	}
	m := killText.FindSubmatch(t.sql)
	switch {
	case !mariaDB && (killUser.Match(t.sql) || m != nil && len(m[1])+len(m[3]) > 0):
		return protocol.Errorf(1064, "42000", "You have an error in your SQL syntax; shardway: MySQL's KILL takes [CONNECTION | QUERY] and the id of a session of SHOW PROCESSLIST")
	case m == nil:
		return protocol.Errorf(1235, "42000", "shardway: KILL takes [CONNECTION | QUERY] and the id of a session of SHOW PROCESSLIST")
	case len(m[3]) > 0:
		return protocol.Errorf(1957, "HY000", "Unknown query id: %s; shardway: query ids are the servers' own: use KILL QUERY and the id of SHOW PROCESSLIST", m[4])
	}
	id, err := strconv.ParseUint(string(m[4]), 10, 64)
	if err != nil {
		return protocol.Errorf(1094, "HY000", "Unknown thread id: %s", m[4])
	}
	return s.kill(ctx, id, strings.EqualFold(string(m[2]), "query"))
}

// killUser is MariaDB's KILL USER: it ends every session of a user, or its statement alone, of those that the client may
// end, and says of how many. Shardway's users have no host, which is as '%'.
func (s *session) killUser(ctx context.Context, name, host string, query bool) error {
	if fold := strings.ToLower(name); strings.HasPrefix(fold, "current_user") && strings.Trim(fold[len("current_user"):], "() \t\r\n") == "" {
		name = s.entered
	} else {
		name = unquotedName(name)
	}
	if host = unquotedName(host); host != "" && host != "%" {
		return s.ok()
	}
	var n uint64
	var kills sync.WaitGroup
	own := false
	for _, c := range s.srv.list() {
		if c.user != name || !s.sees(c.user) {
			continue
		}
		n++
		switch {
		case c.session == s:
			own = true
		case query:
			c.stopWaiting(interrupted())
			kills.Go(func() { _ = c.x.Kill(ctx) }) // one that can't be told isn't known to go on either
		default:
			kills.Go(func() { c.cut(ctx) })
		}
	}
	kills.Wait()
	err := s.conn.WriteOK(protocol.OK{Status: s.x.Status(), AffectedRows: n})
	if err == nil && own && !query {
		err = errLeave
	}
	return err
}

// unquotedName takes the quotes of any kind off a name.
func unquotedName(name string) string {
	if name == "" || strings.Trim(name[:1], "'\"`") != "" {
		return name
	}
	return strings.ReplaceAll(name[1:len(name)-1], name[:1]+name[:1], name[:1])
}

// interrupted is the error of a statement that was killed.
func interrupted() *protocol.Error {
	return protocol.Errorf(1317, "70100", "Query execution was interrupted")
}

// kill ends another client of the same user, or its statement alone, by Shardway's own connection ids. An administrator
// may end those of all users.
func (s *session) kill(ctx context.Context, id uint64, query bool) error {
	victim, user := s.srv.session(uint32(id))
	if id > 1<<32-1 || victim == nil {
		return protocol.Errorf(1094, "HY000", "Unknown thread id: %d", id)
	}
	if !s.sees(user) {
		return protocol.Errorf(1095, "HY000", "You are not owner of thread %d", id)
	}
	var err error
	switch {
	case query && victim == s:
		return interrupted()
	case query:
		victim.stopWaiting(interrupted())
		err = victim.x.Kill(ctx)
	case victim == s:
		_ = s.conn.WriteError(interrupted())
		return errLeave
	default:
		victim.cut(ctx)
	}
	if err != nil {
		return protocol.Errorf(1105, "HY000", "shardway: the statement of session %d couldn't be killed: %v", id, err)
	}
	return s.ok()
}
