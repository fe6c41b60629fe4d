package rewrite_test

import (
	"slices"
	"testing"

	"shardway/router/parse/digest"
	"shardway/router/parse/rewrite"
)

// norm scans a text and takes its norm apart.
func norm(t *testing.T, sql string, mode digest.Mode) *rewrite.Norm {
	t.Helper()
	var d digest.Digest
	d.Scan([]byte(sql), mode)
	n, ok := rewrite.NewNorm(string(d.Norm), mode)
	if !ok {
		t.Fatalf("%q can't be taken apart", sql)
	}
	return n
}

// TestCopyIsTheClientsText copies all tokens, which must be the text itself, without what is around it.
func TestCopyIsTheClientsText(t *testing.T) {
	for _, c := range []struct {
		sql, want string
		mode      digest.Mode
	}{
		{sql: "select 1", want: "select 1"},
		{sql: "  select  1 ;; -- end", want: "select  1"},
		{sql: "SELECT a /* of b */ , 'x''y' , \"z\\\"\" FROM t -- one\n WHERE b=-1.5e3", want: "SELECT a /* of b */ , 'x''y' , \"z\\\"\" FROM t -- one\n WHERE b=-1.5e3"},
		{sql: "select _binary 'a' , x'1F',0x1f,b'1', _latin1'e', N'x', date '2020-01-01' from t", want: "select _binary 'a' , x'1F',0x1f,b'1', _latin1'e', N'x', date '2020-01-01' from t"},
		{sql: "select 'a' 'b', interval 1 day + now(), .5, 1., t.1a from t limit 5,6", want: "select 'a' 'b', interval 1 day + now(), .5, 1., t.1a from t limit 5,6"},
		{sql: "select /*+ NO_INDEX_MERGE(t) */ a from t /* shardway: primary */ limit 1", want: "select /*+ NO_INDEX_MERGE(t) */ a from t /* shardway: primary */ limit 1"},
		{sql: "select \"a\" from `t t`", want: "select \"a\" from `t t`", mode: digest.AnsiQuotes},
		{sql: `select 'a\' from t where b = 'c'`, want: `select 'a\' from t where b = 'c'`, mode: digest.NoBackslashEscapes},
		{sql: "select /*! 1 + */ 2 from t", want: "select     1 +    2 from t"},
		{sql: "select a from t where b = ? and c in (?, 'x')", want: "select a from t where b = ? and c in (?, 'x')"},
	} {
		n := norm(t, c.sql, c.mode)
		got, err := rewrite.New(n).Copy(n.All()).Append(nil, &rewrite.Fill{SQL: []byte(c.sql)})
		if err != nil || string(got) != c.want {
			t.Errorf("%q\n got %q, %v\nwant %q", c.sql, got, err, c.want)
		}
	}
}

// TestTemplate makes a text of ranges, words and numbers.
func TestTemplate(t *testing.T) {
	sql := "select a, 'x' from t where b = ? limit ?"
	n := norm(t, sql, 0)
	tpl := rewrite.New(n).Copy(rewrite.Range{From: 0, To: 4}).Text(", 1").Text("AS c").Copy(rewrite.Range{From: 4, To: 10}).Text("LIMIT").Window()
	f := &rewrite.Fill{SQL: []byte(sql), Window: 12}
	got, err := tpl.Append(nil, f)
	if want := "select a, 'x', 1 AS c from t where b = ? LIMIT 12"; err != nil || string(got) != want {
		t.Errorf("Append: %q, %v; want %q", got, err, want)
	}
	got, params, err := tpl.Prepared(nil, f)
	if want := "select a, 'x', 1 AS c from t where b = ? LIMIT ?"; err != nil || string(got) != want || !slices.Equal(params, []int{0, rewrite.ParamWindow}) {
		t.Errorf("Prepared: %q, %v, %v; want %q", got, params, err, want)
	}
	if got, want := tpl.String(), "select a, ?, 1 AS c from t where b = ? LIMIT …"; got != want {
		t.Errorf("String: %q, want %q", got, want)
	}
}

// TestOtherText gives a text that hasn't the norm.
func TestOtherText(t *testing.T) {
	n := norm(t, "select a from t where b = 5", 0)
	for _, sql := range []string{"select a from t", "select a from t where c = 5", "select a from t where b = c", "select a from t where b = 5 or 1", "select '"} {
		if got, err := rewrite.New(n).Copy(n.All()).Append(nil, &rewrite.Fill{SQL: []byte(sql)}); err == nil {
			t.Errorf("%q gave %q", sql, got)
		}
	}
}
