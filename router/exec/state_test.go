package exec

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// server is what script's statements would do to a server's session, for the few forms that script uses.
type server map[string]string

func (s server) run(t *testing.T, sql string) {
	t.Helper()
	rest, ok := strings.CutPrefix(sql, "SET ")
	if !ok {
		t.Fatalf("not a SET: %s", sql)
	}
	for one := range strings.SplitSeq(rest, ",") {
		if names, ok := strings.CutPrefix(one, "NAMES "); ok {
			for _, name := range charsetNames {
				delete(s, name)
			}
			s[namesVariable] = names
			if names == freshNames {
				delete(s, namesVariable)
			}
			continue
		}
		name, value, ok := strings.Cut(one, "=")
		if !ok {
			t.Fatalf("no assignment in %q of %s", one, sql)
		}
		name = strings.ReplaceAll(strings.TrimPrefix(name, "SESSION "), "`", "")
		if value == "DEFAULT" || value == "NULL" && strings.HasPrefix(name, "@") {
			delete(s, name)
			continue
		}
		s[name] = value
	}
}

func (s server) holds(want *state) bool {
	all := server{}
	for _, v := range want.vars {
		all[v.name] = v.sql
	}
	if len(all) != len(s) {
		return false
	}
	for name, sql := range all {
		if s[name] != sql {
			return false
		}
	}
	return true
}

func TestScriptTakesAServerFromAnyStateToAnyOther(t *testing.T) {
	names := slices.Concat(charsetNames[:], []string{namesVariable, "sql_mode", "time_zone", "autocommit", "@x", "@a b"})
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() state {
		var s state
		for _, name := range names {
			switch rng.IntN(3) {
			case 0:
				s.set(name, "'one'")
			case 1:
				s.set(name, "2")
			}
		}
		return s
	}
	for range 2000 {
		from, to := random(), random()
		srv := server{}
		for _, step := range []*state{{}, &from, &to} {
			at := state{}
			if step == &to {
				at = from
			}
			for _, one := range script(&at, step) {
				srv.run(t, one.sql)
				if !srv.holds(&one.then) {
					t.Fatalf("after %s the server holds %v, want %v", one.sql, srv, one.then)
				}
			}
			if !srv.holds(step) {
				t.Fatalf("after %v the server holds %v, want %v", script(&at, step), srv, step)
			}
		}
	}
}

func TestHandleIsReversibleAndEqualForEqualStates(t *testing.T) {
	a := state{schema: "shop"}
	a.set("time_zone", "'+00:00'")
	a.set("@note", "x'00ff'")
	b := state{schema: "shop"}
	b.set("@note", "1")
	b.set("time_zone", "'+00:00'")
	b.set("@note", "x'00ff'")
	if a.handle() != b.handle() {
		t.Error("equal states have different handles")
	}
	back := stateOf(a.handle())
	if back.handle() != a.handle() || back.schema != "shop" || back.get("@note") != "x'00ff'" {
		t.Errorf("got back %+v", back)
	}
	b.set("@note", "")
	b.set("time_zone", "")
	b.schema = ""
	if b.handle() != fresh {
		t.Error("an empty state is not the fresh one")
	}
}

func TestTrackedValuesBecomeSQLThatServersTake(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"sql_mode", "", "''"},
		{"sql_mode", "ANSI_QUOTES,STRICT_ALL_TABLES", "'ANSI_QUOTES,STRICT_ALL_TABLES'"},
		{"sort_buffer_size", "262144", "262144"},
		{"long_query_time", "10.000000", "10.000000"},
		{"autocommit", "OFF", "'OFF'"},
		{"character_set_results", "", "NULL"},
		{"time_zone", "+05:30", "'+05:30'"},
		{"init_connect", `it's \`, "x'69742773205c'"},
		{"max_statement_time", "-1", "-1"},
		{"sql_mode", ".", "'.'"},
	} {
		if got := trackedSQL(c.name, c.value); got != c.want {
			t.Errorf("%s=%q: got %s, want %s", c.name, c.value, got, c.want)
		}
	}
}
