package rewrite_test

import (
	"slices"
	"strings"
	"testing"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
)

// TestPlace puts a condition into statements: as text, with the client's literals and comments, and prepared.
func TestPlace(t *testing.T) {
	for _, c := range []struct{ sql, want, prepared string }{
		{"select * from t", "select * from t WHERE own", ""},
		{"select a /* x */ from t -- y\n", "select a /* x */ from t WHERE own", ""},
		{"select a from t where b = 'x' or c /* d */ = 2 order by e limit 3", "select a from t where (b = 'x' or c /* d */ = 2) AND own order by e limit 3", ""},
		{"select a from t force index for order by (i) group by a having a > 1", "select a from t force index for order by (i) WHERE own group by a having a > 1", ""},
		{"select a from t where b in (select c from u where d = 1) for update", "select a from t where (b in (select c from u where d = 1)) AND own for update", ""},
		{"select a from t join u using (k) lock in share mode", "select a from t join u using (k) WHERE own lock in share mode", ""},
		{"with x as (select 1 from v where w = 1) select a from t where b = ?", "with x as (select 1 from v where w = 1) select a from t where (b = ?) AND own", "with x as (select 1 from v where w = 1) select a from t where (b = ?) AND own"},
		{"select a from t where b = ? union all select c from u", "select a from t where (b = ?) AND own union all select c from u WHERE own", "select a from t where (b = ?) AND own union all select c from u WHERE own"},
		{"update t set a = ?, b = 1 where c = ? order by d", "update t set a = ?, b = 1 where (c = ?) AND own order by d", "update t set a = ?, b = 1 where (c = ?) AND own order by d"},
		{"update t join u using (k) set a = (select 1 where 2)", "update t join u using (k) set a = (select 1 where 2) WHERE own", ""},
		{"delete from t", "delete from t WHERE own", ""},
		{"delete t, u from t join u using (k) where a = 1 or b = 2", "delete t, u from t join u using (k) where (a = 1 or b = 2) AND own", ""},
		{"delete from t using t join u using (k) where a", "delete from t using t join u using (k) where (a) AND own", ""},
	} {
		d := new(parse.Digest)
		d.Scan([]byte(c.sql), 0)
		st := parse.NewCache(1, 1<<20).Statement(d)
		n := st.Norm()
		var places []rewrite.Place
		if s := st.Shape(); s != nil {
			places = s.Places
		} else if change, ok := n.Change(); ok {
			places = []rewrite.Place{change.Place()}
		}
		var edits []rewrite.Edit
		for i := range places {
			edits = append(edits, places[i].Condition("own")...)
		}
		got := rewrite.New(n).Copy(n.All()).Edited(edits)
		if len(edits) == 0 || got == nil {
			t.Errorf("%s: no place", c.sql)
			continue
		}
		fill := &rewrite.Fill{SQL: []byte(c.sql)}
		text, err := got.Append(nil, fill)
		if err != nil || string(text) != c.want {
			t.Errorf("%s\n got: %s %v\nwant: %s", c.sql, text, err, c.want)
		}
		if c.prepared == "" {
			continue
		}
		text, params, err := got.Prepared(nil, fill)
		if err != nil || string(text) != c.prepared || !slices.IsSorted(params) || len(params) != strings.Count(c.sql, "?") {
			t.Errorf("%s\nprepared: %s %v %v", c.sql, text, params, err)
		}
	}
}

// TestEdited: a text that has one of the tokens twice, or not at all, isn't edited.
func TestEdited(t *testing.T) {
	n, ok := rewrite.NewNorm("select a from t where b", 0)
	if !ok {
		t.Fatal("no norm")
	}
	edits := []rewrite.Edit{{Token: 4, Text: "("}, {Token: 5, Text: ")"}}
	if got := rewrite.New(n).Copy(rewrite.Range{From: 0, To: 5}).Edited(edits); got != nil {
		t.Errorf("without the token: %s", got)
	}
	if got := rewrite.New(n).Copy(n.All()).Text(",").Copy(rewrite.Range{From: 4, To: 6}).Edited(edits); got != nil {
		t.Errorf("with the token twice: %s", got)
	}
	if got := rewrite.New(n).Copy(n.All()).Edited(edits).String(); got != "select a from t where (b)" {
		t.Error(got)
	}
}
