package exec

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// longestValue bounds in bytes the value of a user variable that follows its client without being a literal of its
// text: each connection that the client uses is told the value.
const longestValue = 64 << 10

// learnUserVariables takes over what a statement has assigned to user variables. Where asking for the values would
// disturb what the client may still ask about the statement, that has to wait: keep the connection for WhyAssigned.
func (s *Session) learnUserVariables(c *backend.Conn, r *Request, reply *protocol.Reply, wait bool) Why {
	if wait || reply.Status.Has(protocol.StatusMoreResults) {
		for _, name := range r.Variables {
			if !slices.Contains(s.assigned, name) {
				s.assigned = append(s.assigned, name)
			}
		}
		return WhyAssigned
	}
	return s.askVariables(c, r.Variables)
}

// askPending finds out the values that learnUserVariables had to leave open.
func (s *Session) askPending() {
	h := s.holdWith(WhyAssigned)
	if h == nil {
		return
	}
	names := s.assigned
	s.assigned = nil
	c, shard := h.conn, h.shard
	if why := s.askVariables(c, names); why != 0 && s.holdOf(c) != nil {
		s.keep(c, shard, why)
	}
	if h := s.holdOf(c); h != nil {
		h.why &^= WhyAssigned // the next let gives the connection back
		if len(s.fixed) == 0 {
			h.why &^= WhyUserVariable
		}
	}
}

// askVariables makes the values of user variables on a connection part of the session's state. It returns
// WhyUserVariable when one of them can't be.
func (s *Session) askVariables(c *backend.Conn, names []string) (why Why) {
	known, err := variablesOn(c, names)
	if err != nil {
		for _, name := range names {
			s.fix(name)
		}
		s.broke(c, err)
		return WhyUserVariable
	}
	now := stateOf(c.State)
	for i, name := range names {
		sql := known[i]
		switch {
		case sql == "":
			s.fix(name)
			why = WhyUserVariable
		case sql == neverSet && s.state.get(name) == "":
			sql = ""
		case sql == neverSet:
			sql = "NULL"
		}
		if why == 0 || sql != "" {
			s.unfix(name)
		}
		s.state.set(name, sql)
		now.set(name, sql)
	}
	c.State = now.handle()
	s.changed()
	return why
}

// fix notes that a user variable has a value that only its connection has; "" stands for ones that aren't known.
func (s *Session) fix(name string) {
	if !slices.Contains(s.fixed, name) {
		s.fixed = append(s.fixed, name)
	}
}

// unfix notes that a user variable has a value that follows the client. With the last one that didn't, the pin ends.
func (s *Session) unfix(name string) {
	s.fixed = slices.DeleteFunc(s.fixed, func(n string) bool { return n == name })
}

// requote keeps the values of user variables whose texts mean something else in another character set or sql_mode.
func (s *Session) requote(c *backend.Conn) {
	var names []string
	for _, v := range s.state.vars {
		if v.name[0] == '@' && v.sql[0] == '\'' {
			names = append(names, v.name)
		}
	}
	if len(names) > 0 {
		s.askVariables(c, names)
	}
}

// neverSet stands for the value of a variable that has none.
const neverSet = "?"

// variablesOn returns, for user variables on a connection, the SQL text that gives another connection the same value
// of the same type; "" where there is none.
func variablesOn(c *backend.Conn, names []string) ([]string, error) {
	var list, where strings.Builder
	for i, name := range names {
		if i > 0 {
			list.WriteString(", ")
			where.WriteString(" AND ")
		}
		v := "@`" + strings.ReplaceAll(name[1:], "`", "``") + "`"
		list.WriteString(v + ", CHARSET(" + v + "), COLLATION(" + v + "), HEX(" + v + ")")
		where.WriteString("COALESCE(LENGTH(" + v + "), 0) <= " + strconv.Itoa(longestValue))
	}
	res, err := c.Query("SELECT " + list.String() + " FROM DUAL WHERE " + where.String())
	if _, broke := errors.AsType[*protocol.SideError](err); broke {
		return nil, err
	}
	known := make([]string, len(names))
	if err == nil && len(res.Rows) == 1 && len(res.Rows[0]) == 4*len(names) {
		for i := range names {
			known[i] = literal(&res.Types[4*i], res.Rows[0][4*i:4*i+4])
		}
		return known, nil
	}
	if len(names) == 1 { // too long, or it can't be read
		return known, nil
	}
	for i := range names {
		one, err := variablesOn(c, names[i:i+1])
		if err != nil {
			return nil, err
		}
		known[i] = one[0]
	}
	return known, nil
}

// literal is the SQL text of a value of a type, "" when there is none. The texts are the value, its character set, its
// collation, and the value's bytes in hexadecimal.
func literal(t *protocol.Column, texts []*string) string {
	value, charset, collation, hex := texts[0], texts[1], texts[2], texts[3]
	switch t.Type {
	case protocol.TypeTiny, protocol.TypeShort, protocol.TypeLong, protocol.TypeInt24, protocol.TypeLongLong:
		kind := "SIGNED"
		if t.Unsigned {
			kind = "UNSIGNED"
		}
		switch {
		case value == nil:
			return "CAST(NULL AS " + kind + ")"
		case !isNumber(*value):
			return ""
		default:
			return "CAST('" + *value + "' AS " + kind + ")"
		}
	case protocol.TypeNewDecimal:
		switch {
		case value == nil:
			return "CAST(NULL AS DECIMAL)"
		case !isNumber(*value):
			return ""
		case strings.Contains(*value, "."):
			return *value
		default:
			return "CAST(" + *value + " AS DECIMAL(65,0))"
		}
	case protocol.TypeDouble:
		switch {
		case value == nil:
			return "0e0+NULL"
		case strings.Trim(*value, "0123456789.+-e") != "":
			return ""
		case strings.Contains(*value, "e"):
			return *value
		default:
			return *value + "e0"
		}
	case protocol.TypeVarString, protocol.TypeVarchar, protocol.TypeString, protocol.TypeBlob, protocol.TypeTinyBlob, protocol.TypeMediumBlob, protocol.TypeLongBlob:
		return stringLiteral(t, charset, collation, hex)
	default:
		return ""
	}
}

func stringLiteral(t *protocol.Column, charset, collation, hex *string) string {
	switch {
	case charset == nil || collation == nil || !isWord(*charset) || !isWord(*collation):
		return ""
	case hex != nil && strings.Trim(*hex, "0123456789ABCDEF") != "":
		return ""
	case hex == nil && *charset == "binary":
		if t.Type == protocol.TypeVarString || t.Length == 1<<24 { // as MySQL and MariaDB show it
			return neverSet
		}
		return "NULL"
	case hex == nil:
		return "CONVERT(NULL USING " + *charset + ") COLLATE " + *collation
	case *charset == "binary":
		return "_binary x'" + *hex + "'"
	default:
		return "_" + *charset + " x'" + *hex + "' COLLATE " + *collation
	}
}

// isWord says whether a text is a plain name.
func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c != '_'|0x20 && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}
