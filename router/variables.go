package router

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
)

// ownVariable is a session variable of Shardway's own: no server knows it.
type ownVariable struct {
	name   string // lower case, beginning with parse.OwnPrefix
	values []string
	get    func(*session) string
	set    func(*session, string) // one of values, or "" for the default
}

// variablesOfOwn are all of them, by name.
func variablesOfOwn() []ownVariable {
	return []ownVariable{
		{
			name: "shardway_causal_reads", values: []string{"off", "session"},
			get: func(s *session) string {
				if s.x.Causal() {
					return "session"
				}
				return "off"
			},
			set: func(s *session, v string) {
				s.x.SetCausal(v == "session" || v == "" && s.srv.options.Load().Executor.Cluster().CausalReads())
			},
		},
		{
			name: "shardway_cross_shard", values: crossShards(),
			get: func(s *session) string { return s.x.CrossShard().String() },
			set: func(s *session, v string) {
				own := s.srv.options.Load().Executor.CrossShard()
				if i := slices.Index(crossShards(), v); i >= 0 {
					own = exec.CrossShard(i)
				}
				s.x.SetCrossShard(own)
			},
		},
	}
}

// crossShards are the values of shardway_cross_shard, by the number of their exec.CrossShard.
func crossShards() []string {
	return []string{exec.CrossShardAtomic.String(), exec.CrossShardForbid.String(), exec.CrossShardUnsafe.String()}
}

func ownVariableOf(name string) (ownVariable, *protocol.Error) {
	all := variablesOfOwn()
	i := slices.IndexFunc(all, func(v ownVariable) bool { return v.name == name })
	if i < 0 {
		return ownVariable{}, protocol.Errorf(1193, "HY000", "Unknown system variable '%s'", name)
	}
	return all[i], nil
}

// setsOwn says whether a SET assigns a variable of Shardway's own.
func setsOwn(st *parse.Statement) bool {
	for i := range st.Set {
		if isOwn(&st.Set[i]) {
			return true
		}
	}
	return false
}

func isOwn(v *parse.SetVar) bool {
	return v.Scope != parse.ScopeUser && strings.HasPrefix(v.Name, parse.OwnPrefix)
}

// ownVariables answers the statements that are about Shardway's own variables.
func (s *session) ownVariables(ctx context.Context, o *Options, t *text) (answered bool, err error) {
	switch {
	case t.st.Kind == parse.Set && setsOwn(t.st):
		return true, s.setOwn(ctx, o, t)
	case t.st.Is(parse.FlagOwnVariable):
		return true, s.selectOwn(t)
	case t.st.Kind == parse.Show && t.st.Name == "variables":
		return s.showOwn(t)
	default:
		return false, nil
	}
}

// setOwn is SET of variables of Shardway's own, and perhaps of others, which the server sets first: either all are set
// or none.
func (s *session) setOwn(ctx context.Context, o *Options, t *text) error {
	var apply []func()
	var rest []string
	for i := range t.st.Set {
		v := &t.st.Set[i]
		if !isOwn(v) {
			rest = append(rest, assignmentText(v, i > 0 && t.st.Set[i-1].Name == "names"))
			continue
		}
		own, unknown := ownVariableOf(v.Name)
		if unknown != nil {
			return unknown
		}
		if v.Scope != parse.ScopeSession {
			return protocol.Errorf(1228, "HY000", "Variable '%s' is a SESSION variable and can't be used with SET GLOBAL", v.Name)
		}
		value := ""
		if !v.Default {
			value = strings.ToLower(string(v.Value.S))
			if !v.Literal || v.Value.Kind != parse.String || !slices.Contains(own.values, value) {
				return protocol.Errorf(1231, "42000", "Variable '%s' can't be set to the value of '%s'; shardway: it takes %s",
					v.Name, strings.Trim(v.Text, `'"`), strings.Join(own.values, " or "))
			}
		}
		apply = append(apply, func() { own.set(s, value) })
	}
	if len(rest) > 0 {
		if t.execution != nil && t.execution.stmt.params > 0 {
			return protocol.Errorf(1295, "HY000", "shardway: %s can't be set together with others by a prepared statement; set it in a statement of its own", parse.OwnPrefix+"…")
		}
		sql := []byte("SET " + strings.ReplaceAll(strings.Join(rest, ","), ", COLLATE", " COLLATE"))
		d := new(parse.Digest)
		other := text{st: s.parse(o, d, sql), args: d.Args, sql: sql}
		if err := s.run(ctx, o, &other); err != nil || s.event.Outcome != OutcomeOK {
			return err
		}
	}
	for _, set := range apply {
		set()
	}
	if len(rest) > 0 {
		return nil // the server's OK was relayed
	}
	s.affected = 0
	s.forget(t)
	return s.ok()
}

// assignmentText is one assignment as SQL. The collation of SET NAMES follows on it without a comma.
func assignmentText(v *parse.SetVar, afterNames bool) string {
	name := v.Name
	if v.Scope == parse.ScopeUser {
		name = "`" + strings.ReplaceAll(name, "`", "``") + "`"
	}
	switch {
	case v.Name == "names":
		return "NAMES " + v.Text
	case v.Name == "collate" && afterNames:
		return " COLLATE " + v.Text
	case v.Name == "character set":
		return "CHARACTER SET " + v.Text
	case v.Scope == parse.ScopeUser:
		return "@" + name + "=" + v.Text
	case v.Scope == parse.ScopeGlobal:
		return "GLOBAL " + name + "=" + v.Text
	case v.Scope == parse.ScopePersist:
		return "PERSIST " + name + "=" + v.Text
	case v.Scope == parse.ScopeNext:
		return "@@" + v.Name + "=" + v.Text
	default:
		return "SESSION " + name + "=" + v.Text
	}
}

// aboutOwn matches the SELECTs of one variable, and its alias.
var aboutOwn = regexp.MustCompile("(?is)^\\s*(?:/\\*.*?\\*/\\s*)?select\\s+(@@(?:session\\.|local\\.)?`?(shardway_[a-z_]+)`?)(?:\\s+(?:as\\s+)?[`'\"]?([a-z_0-9]+)[`'\"]?)?\\s*(?:limit\\s+[1-9][0-9]*\\s*)?;?\\s*$")

func (s *session) selectOwn(t *text) error {
	m := aboutOwn.FindSubmatch(t.sql)
	if m == nil {
		return protocol.Errorf(1235, "42000", "shardway: variables of Shardway's own are answered only one by one, as in SELECT @@shardway_causal_reads; select each in a statement of its own, without a scope of GLOBAL")
	}
	own, unknown := ownVariableOf(strings.ToLower(string(m[2])))
	if unknown != nil {
		return unknown
	}
	column := string(m[1])
	if len(m[3]) > 0 {
		column = string(m[3])
	}
	s.forget(t)
	s.affected, s.rows = -1, 1
	return s.rowsOut(t, &protocol.Rows{
		Columns: []protocol.Column{{Name: column, Type: protocol.TypeVarString}}, Rows: [][]any{{own.get(s)}},
	})
}

// likeOwn matches SHOW VARIABLES whose pattern is about variables of Shardway's own alone.
var likeOwn = regexp.MustCompile(`(?is)^\s*show\s+(?:session\s+|local\s+)?variables\s+like\s+['"](shardway[a-z_\\%]*)['"]\s*;?\s*$`)

func (s *session) showOwn(t *text) (answered bool, err error) {
	m := likeOwn.FindSubmatch(t.sql)
	if m == nil {
		return false, nil
	}
	pattern := strings.NewReplacer(`\_`, "_", `\%`, "%", "_", ".", "%", ".*").Replace(strings.ToLower(string(m[1])))
	like, err := regexp.Compile("^" + pattern + "$")
	if err != nil {
		return false, nil
	}
	rows := &protocol.Rows{Columns: []protocol.Column{
		{Name: "Variable_name", Type: protocol.TypeVarString}, {Name: "Value", Type: protocol.TypeVarString},
	}}
	for _, v := range variablesOfOwn() {
		if like.MatchString(v.name) {
			rows.Rows = append(rows.Rows, []any{v.name, v.get(s)})
		}
	}
	s.forget(t)
	s.affected, s.rows = -1, uint64(len(rows.Rows))
	return true, s.rowsOut(t, rows)
}
