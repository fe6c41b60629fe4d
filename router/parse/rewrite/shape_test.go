package rewrite_test

import (
	"fmt"
	"strings"
	"testing"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
)

// text is a range as the norm has it.
func text(n *rewrite.Norm, r rewrite.Range) string { return rewrite.New(n).Copy(r).String() }

// show is a Shape in lines, to compare.
func show(s *rewrite.Shape) string {
	var out strings.Builder
	line := func(name string, r rewrite.Range) {
		if !r.Empty() {
			fmt.Fprintf(&out, "%s: %s\n", name, text(s.Norm, r))
		}
	}
	items := func(name string, list []rewrite.Item) {
		for i := range list {
			it := &list[i]
			fmt.Fprintf(&out, "%s: %s", name, text(s.Norm, it.Range))
			for word, on := range map[string]bool{" star": it.Star, " desc": it.Desc, " subquery": it.Subquery, " random": it.Random, " number": it.Number, " null": it.Null} {
				if on {
					out.WriteString(word)
				}
			}
			if it.Alias != "" {
				out.WriteString(" as " + it.Alias)
			}
			if it.Position > 0 {
				fmt.Fprintf(&out, " position %d", it.Position)
			}
			if a := it.Aggregate; a != nil {
				fmt.Fprintf(&out, " %s of %s", a.Func, text(s.Norm, a.Args))
			} else if it.Aggregates > 0 {
				fmt.Fprintf(&out, " with %d aggregates", it.Aggregates)
			}
			out.WriteByte('\n')
		}
	}
	line("head", s.Head)
	items("item", s.Items)
	line("body", s.Body)
	items("group", s.Group)
	items("order", s.Order)
	if s.Limit != nil {
		fmt.Fprintf(&out, "limit: %+v\n", *s.Limit)
	}
	line("tail", s.Tail)
	return out.String()
}

// shape reads a statement as a session does.
func shape(sql string, mode parse.Mode) *rewrite.Shape {
	d := new(parse.Digest)
	d.Scan([]byte(sql), mode)
	return parse.NewCache(16, 1<<20).Statement(d).Shape()
}

func TestShape(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"select a, t.b as c, 'x' d, count(*) from t", "head: select\nitem: a\nitem: t.b as c\nitem: ? as d\nitem: count(*) number count of *\nbody: from t\n"},
		{"select sql_no_cache distinct a from t where a in (select b from u order by 1 limit 1)", "head: select sql_no_cache distinct\nitem: a\nbody: from t where a in (select b from u order by 1 limit ?)\n"},
		{"select /*+ NO_ICP(t) */ extract(year from a) y, trim(both 'x' from b) from t", "head: select\nitem: extract(year from a) as y\nitem: trim(both ? from b)\nbody: from t\n"},
		{"with c as (select 1 from d order by 1) select *, c.* from c", "head: with c as (select ? from d order by 1) select\nitem: * star\nitem: c.* star\nbody: from c\n"},
		{
			"select a from t use index for order by (i) force index for group by (j) order by a desc, (b) asc, null, 2 limit 3, 4 for update",
			"head: select\nitem: a\nbody: from t use index for order by (i) force index for group by (j)\norder: a desc\norder: (b)\norder: null null\norder: 2 position 2\nlimit: {Count:{Set:true Arg:1 Value:0} Offset:{Set:true Arg:0 Value:0}}\ntail: for update\n",
		},
		{
			"select a + 1, sum(distinct b), sum(a) / 2, rand(), (select 1) from t group by a, f.b having c > 1 order by sum(b) limit 5 lock in share mode",
			"head: select\nitem: a + ? number\nitem: sum(distinct b) number sum of b\nitem: sum(a) / ? number with 1 aggregates\nitem: rand() random\nitem: (select ?) subquery\nbody: from t group by a, f.b having c > ?\ngroup: a\ngroup: f.b\norder: sum(b) number sum of b\nlimit: {Count:{Set:true Arg:4 Value:0} Offset:{Set:false Arg:0 Value:0}}\ntail: lock in share mode\n",
		},
		{"select `from`, t.`order`, t.limit from t where `group` = 1", "head: select\nitem: `from`\nitem: t.`order`\nitem: t.limit\nbody: from t where `group` = ?\n"},
		{"select case when a then b, c end from t", ""},
		{"select a from t union select b from u", ""},
		{"(select a from t) order by a", ""},
		{"select 1", ""},
		{"table t", ""},
		{"insert into t select a from u", ""},
		{"select a into @b from t", ""},
	} {
		got := ""
		if s := shape(c.sql, 0); s != nil {
			got = show(s)
		}
		if got != c.want {
			t.Errorf("%s\n got:\n%s\nwant:\n%s", c.sql, got, c.want)
		}
	}
}

// TestSame compares expressions with the values of their literals.
func TestSame(t *testing.T) {
	for _, c := range []struct {
		sql  string
		same bool
	}{
		{"select a + 1, A + 1 from t", true},
		{"select a + 1, a + 2 from t", false},
		{"select a + 1, a + 1.0 from t", false},
		{"select f(a, 'x'), f( a ,\"x\") from t", true},
		{"select f(a, 'x'), f(a, 'X') from t", false},
		{"select a + ?, a + ? from t", false},
		{"select a, t.a from t", false},
		{"select `a`, a from t", false},
	} {
		d := new(parse.Digest)
		d.Scan([]byte(c.sql), 0)
		s := parse.NewCache(16, 1<<20).Statement(d).Shape()
		if got := s.Norm.Same(s.Items[0].Range, s.Items[1].Range, d.Args); got != c.same {
			t.Errorf("%s: %v", c.sql, got)
		}
	}
}

func TestColumn(t *testing.T) {
	for _, c := range []struct {
		sql  string
		want rewrite.Column
		ok   bool
	}{
		{"select count(a) from t", rewrite.Column{Name: "a"}, true},
		{"select count(`t`.`a``b`) from t", rewrite.Column{Table: "t", Name: "a`b"}, true},
		{"select count(d.t.a) from t", rewrite.Column{DB: "d", Table: "t", Name: "a"}, true},
		{"select count(a + b) from t", rewrite.Column{}, false},
		{"select count(*) from t", rewrite.Column{}, false},
		{"select count((a)) from t", rewrite.Column{}, false},
	} {
		s := shape(c.sql, 0)
		if got, ok := s.Norm.Column(s.Items[0].Aggregate.Args); got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v", c.sql, got, ok)
		}
	}
}
