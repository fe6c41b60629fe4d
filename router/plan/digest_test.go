package plan_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shardway/router/parse"
	"shardway/router/plan"
	"shardway/shardmap"
)

// statements are those of the golden files.
func statements(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for par := range strings.SplitSeq(string(text), "\n\n") {
			var sql []string
			for l := range strings.SplitSeq(par, "\n") {
				if !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "    ") && !strings.HasPrefix(l, "map: ") &&
					!strings.HasPrefix(l, "with: ") && !strings.HasPrefix(l, "args: ") {
					sql = append(sql, l)
				}
			}
			if q := strings.TrimSpace(strings.Join(sql, "\n")); q != "" {
				out = append(out, q)
			}
		}
	}
	return out
}

// TestDigest shows that the cache can't answer one statement with another's plan: a statement that some other text with
// the same digest has put into the cache gives, with this text's values, the plan that this text gives when it alone is
// scanned and parsed afresh. And parsed with its literals in place, where less may be proven, it never gives another shard.
func TestDigest(t *testing.T) {
	texts := statements(t)
	for i := range 3000 {
		g := &generator{r: rand.New(rand.NewPCG(2, uint64(i)))}
		texts = append(texts, g.query().sql)
	}
	maps := []*shardmap.Map{readMap(t, "two"), readMap(t, "five"), readMap(t, "hundred")}
	f := facts(t, "db=shop columns=id,user_id,total")
	shared, single := 0, 0
	cache := parse.NewCache(10_000, 64<<20)
	for i, text := range texts {
		other := vary(text, i)
		d := new(parse.Digest)
		d.Scan([]byte(other), 0)
		cache.Statement(d)
		norm := string(d.Norm)
		d.Scan([]byte(text), 0)
		if other != text && string(d.Norm) == norm {
			shared++
		}
		cached := cache.Statement(d)
		own, args := read(text, nil)
		literal := parse.Parse(text, 0)
		for _, m := range maps {
			got := plan.Build(cached, d.Args, m, f)
			if want := plan.Build(own, args, m, f); got.String() != want.String() {
				t.Errorf("%s\ncached: %s\n fresh: %s", text, got, want)
			}
			one, ok := got.(*plan.One)
			if !ok {
				continue
			}
			single++
			want, ok := plan.Build(literal, nil, m, f).(*plan.One)
			if ok && (one.Shard != want.Shard || one.Role != want.Role) && !strings.Contains(one.Why()+want.Why(), "no row can meet") {
				t.Errorf("%s\n cached: %s\nliteral: %s", text, one, want)
			}
		}
	}
	t.Logf("%d texts, %d share a digest with another, %d plans for one shard", len(texts), shared, single)
	if shared < len(texts)/2 {
		t.Errorf("only %d of %d texts share a digest with their variant", shared, len(texts))
	}
}

// vary gives a text with other numbers.
func vary(text string, i int) string {
	out := []byte(text)
	for j := range out {
		inName := j > 0 && (out[j-1] == '_' || 'a' <= out[j-1] && out[j-1] <= 'z' || 'A' <= out[j-1] && out[j-1] <= 'Z')
		if '1' <= out[j] && out[j] <= '9' && !inName {
			out[j] = '1' + (out[j]-'1'+byte(i%8)+1)%9
		}
	}
	return string(out)
}

// FuzzBuild: whatever the text and the session, Build gives a plan that can be shown, and one for a shard of the map.
func FuzzBuild(f *testing.F) {
	for _, s := range statements(f) {
		f.Add(s, "db=shop")
	}
	for _, words := range []string{
		"", "db=shop tx=s1", "db=shop txro=s0", "db=wiki dbs=shop,wiki ro", "db=shop pin=s1 temp=shop.orders", "db=shop pin=s9 tx=s9",
		"db=shop columns=id,user_id lax charset=latin1", "noauto",
	} {
		f.Add("select * from orders where user_id = 7", words)
		f.Add("insert into orders values (1, 2)", words)
	}
	m2, m1, m100 := readMap(f, "two"), readMap(f, "one"), readMap(f, "hundred")
	f.Fuzz(func(t *testing.T, sql, words string) {
		known := strings.FieldsSeq(words)
		for w := range known {
			k, _, _ := strings.Cut(w, "=")
			if !slices.Contains(strings.Fields("db dbs ro tx txro noauto pin why temp charset lax columns"), k) {
				t.Skip("not a fact of the golden files: " + k)
			}
		}
		fs := facts(t, words)
		st, args := read(sql, nil)
		for _, m := range []struct {
			name string
			p    plan.Plan
		}{{"two", plan.Build(st, args, m2, fs)}, {"one", plan.Build(st, args, m1, fs)}, {"hundred", plan.Build(st, args[:len(args)/2], m100, fs)}} {
			switch p := m.p.(type) {
			case *plan.One:
				if p.Shard == nil {
					t.Errorf("%s: no shard", m.name)
				}
			case *plan.Refuse:
				if p.Code == 0 || len(p.State) != 5 || p.Message == "" || p.Error() != p.Message {
					t.Errorf("%s: %#v", m.name, p)
				}
			}
			if m.p.String() == "" {
				t.Error("no text")
			}
			cols, rows := plan.Rows(m.p, m2)
			if len(rows) == 0 || slices.ContainsFunc(rows, func(row []string) bool { return len(row) != len(cols) }) {
				t.Errorf("rows %v", rows)
			}
		}
	})
}
