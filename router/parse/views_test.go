package parse

import (
	"strings"
	"testing"
)

func TestReferences(t *testing.T) {
	for sql, want := range map[string]string{
		"select * from v": "v",
		"select v.a, shop.v.b from shop . v, `w` w2 where v.a in (select v from x as v)":                "shop . v|`w`|x",
		"with v as (select 1) select * from v join u":                                                   "u",
		"insert into t select a from v where a > ?":                                                     "t|v",
		"update t join v on v.a = t.a set t.b = v.b":                                                    "t|v",
		"delete from t where a in (select a from v)":                                                    "t|v",
		"select (select max(a) from v), v.b from (select * from v) v union select 1, 2 from db2.v":      "v|v|db2.v",
		"select /* v */ 'v' from v force index (v) where v.v = \"v\" order by v.v":                      "v",
		"select * from a left join (b join c on b.v = c.v) on a.v = b.v where exists (select 1 from a)": "a|b|c|a",
	} {
		st := Parse(sql, 0)
		n, list, ok := st.References()
		if !ok {
			t.Errorf("%s: not taken apart (%s)", sql, st.ParseError)
			continue
		}
		var got []string
		for _, r := range list {
			got = append(got, sql[n.Tokens[r.Name.From].A:n.Tokens[r.Name.To-1].B])
			if b := &st.Blocks[r.Block].Tables[r.Table]; !strings.Contains(got[len(got)-1], b.Name) {
				t.Errorf("%s: %q is the place of %s", sql, got[len(got)-1], b.Name)
			}
		}
		for name := range strings.SplitSeq(want, "|") {
			found := false
			for i := range got {
				if got[i] == name {
					got, found = append(got[:i], got[i+1:]...), true
					break
				}
			}
			if !found {
				t.Errorf("%s: %s isn't found", sql, name)
			}
		}
		if len(got) > 0 {
			t.Errorf("%s: %q are found as well", sql, got)
		}
	}
}
