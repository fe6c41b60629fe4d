package parse

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"shardway/router/parse/digest"
)

// texts are the SQL of the golden files.
func texts(t testing.TB) (list []string) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "\n\n") {
			sql, _, _ := strings.Cut(part, "\n\t")
			list = append(list, sql)
		}
	}
	if len(list) < 100 {
		t.Fatal("too few texts", len(list))
	}
	return list
}

// facts are what two statements of one meaning have in common, whether their literals are Args or constants.
func facts(st *Statement, args []Value) string {
	var b strings.Builder
	plain := func(s string) string { // decimals and floats have more than one text
		return regexp.MustCompile(`-?\b[df][0-9.][-+e0-9.]*`).ReplaceAllString(strings.ReplaceAll(s, "const ", ""), "number")
	}
	fmt.Fprintf(&b, "%d %v %q %q %v %v", st.Kind, st.Flags, st.Why, st.Name, st.Tx, st.Qualifiers)
	for _, blk := range st.Blocks {
		fmt.Fprintf(&b, "\n%d %d %v %d %s", blk.Parent, blk.Role, blk.Derived, blk.Next, plain(condText(blk.Where, args)))
		for _, t := range blk.Tables {
			fmt.Fprintf(&b, " [%s %s %s %d %v %s]", t.DB, t.Name, t.Alias, t.Source, t.Write, plain(condText(t.On, args)))
		}
	}
	if st.Insert != nil {
		fmt.Fprintf(&b, "\n%v %d", st.Insert.Columns, st.Insert.Select)
		for _, row := range st.Insert.Rows {
			fmt.Fprintf(&b, "\n%s", plain(operandsText(row, args)))
		}
	}
	return b.String()
}

// checkLifting checks that a text means the same with its literals lifted and kept.
func checkLifting(t *testing.T, sql string, mode Mode) {
	t.Helper()
	var d Digest
	d.Scan([]byte(sql), mode)
	lifted := Parse(string(d.Norm), mode)
	args := slices.Clone(d.Args)
	if lifted.Kind != Unparsed && len(d.Args) != lifted.Params {
		t.Fatalf("%q: %d args, %d params", sql, len(d.Args), lifted.Params)
	}
	for i := range args {
		args[i].S = bytes.Clone(args[i].S)
	}
	d.Rescan()
	kept := Parse(string(d.Norm), mode)
	if lifted.Kind == Unparsed || kept.Kind == Unparsed {
		return
	}
	if a, b := facts(lifted, args), facts(kept, d.Args); a != b {
		t.Fatalf("%q: lifted\n%s\nkept\n%s", sql, a, b)
	}
}

func TestLifting(t *testing.T) {
	for _, sql := range texts(t) {
		for _, mode := range []Mode{0, digest.AnsiQuotes, digest.NoBackslashEscapes, digest.MultibyteUnsafe} {
			checkLifting(t, sql, mode)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, sql := range texts(f) {
		f.Add(sql, byte(0))
	}
	f.Fuzz(func(t *testing.T, sql string, mode byte) {
		checkLifting(t, sql, Mode(mode))
		st := Parse(sql, Mode(mode))
		if st.Is(FlagRead) && st.Why != "" {
			t.Fatalf("%q: a read, and not: %s", sql, st.Why)
		}
		if again := Parse(sql, Mode(mode)); !reflect.DeepEqual(st, again) {
			t.Fatalf("%q: two readings differ", sql)
		}
	})
}

// Two texts with one norm have one Statement, whichever came first.
func TestOneNormOneStatement(t *testing.T) {
	for _, pair := range [][2]string{
		{"select * from t where id = 5", "select  *\tfrom t where id = 'x'"},
		{"select * from t where id in (1, 2.5)", "select * from t where id in (x'1f',/* c */ 1e3)"},
		{"insert into t values (1, 'a')", "insert into t values (0x1f, 'it''s')"},
		{"select a from t limit 1", "select a from t limit 99"},
	} {
		var norms [2]string
		var sts [2]*Statement
		for i, sql := range pair {
			var d Digest
			d.Scan([]byte(sql), 0)
			sts[i] = NewCache(1000, 1<<20).Statement(&d)
			norms[i] = string(d.Norm)
		}
		if norms[0] != norms[1] || !reflect.DeepEqual(sts[0], sts[1]) {
			t.Errorf("%q and %q: norms %q, statements %v", pair[0], pair[1], norms, sts)
		}
	}
	for _, pair := range [][2]string{ // literals that are part of the grammar stay apart
		{"select a from t order by 1", "select a from t order by 2"},
		{"select a from t where d = date '2020-01-01'", "select a from t where d = date '2020-01-02'"},
		{"select a 'x' from t", "select a 'y' from t"},
	} {
		var norms [2]string
		for i, sql := range pair {
			var d Digest
			d.Scan([]byte(sql), 0)
			if st := NewCache(1000, 1<<20).Statement(&d); st.Kind != Select {
				t.Errorf("%q: %s", sql, st.ParseError)
			}
			norms[i] = string(d.Norm)
		}
		if norms[0] == norms[1] {
			t.Errorf("%q and %q share the norm %q", pair[0], pair[1], norms[0])
		}
	}
}

// Texts made to break a parser are refused, quickly and without a stack overflow.
func TestHostileTexts(t *testing.T) {
	for name, sql := range map[string]string{
		"parentheses": "select " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000),
		"not":         "select " + strings.Repeat("not ", 200_000) + "1",
		"minus":       "select " + strings.Repeat("- ", 200_000) + "1",
		"plus":        "select 1" + strings.Repeat("+1", 200_000),
		"case":        "select " + strings.Repeat("case when ", 200_000) + "1",
		"long norm":   "select " + strings.Repeat("a,", 5<<20) + "a",
		"bridges":     "select (" + strings.Repeat("returning select, ", 100_000) + "1) frob frob frob",
		"casts":       "select " + strings.Repeat("cast(", 900) + strings.Repeat("1, ", 20_000) + strings.Repeat(" as frob)", 900),
		"dots":        "frob " + strings.Repeat("`a`.", 500_000),
		"ctes":        "with a as (select 1)" + strings.Repeat(", a as (select * from a)", 20_000) + " select 1",
		"zero byte":   "select 1\x00; delete from t",
	} {
		t.Run(name, func(t *testing.T) {
			var d Digest
			d.Scan([]byte(sql), 0)
			st := NewCache(1000, 1<<20).Statement(&d)
			if st.Kind != Unparsed || st.ParseError == "" {
				t.Errorf("kind %s", kindNames[st.Kind])
			}
		})
	}
	// What is long but flat is read.
	var d Digest
	d.Scan([]byte("insert into t (a, b) values (1, 'x')"+strings.Repeat(", (2, -3)", 20_000)), 0)
	if st := NewCache(1000, 1<<20).Statement(&d); st.Kind != Insert || len(st.Insert.Rows) != 20_001 {
		t.Errorf("a long insert: %s %s", kindNames[st.Kind], st.ParseError)
	}
	d.Scan([]byte("select * from t where id = 1"+strings.Repeat(" or id = 2", 5_000)), 0)
	if st := NewCache(1000, 1<<20).Statement(&d); st.Kind != Select || len(st.Blocks[0].Where.Args) != 5_001 {
		t.Errorf("a long condition: %s %s", kindNames[st.Kind], st.ParseError)
	}
}

func TestMultibyte(t *testing.T) {
	// In gbk, 0xd5 0x5c is one character, and the quote after it ends the string.
	sql := []byte("select '\xd5\\' or '1'")
	var d Digest
	d.Scan(sql, ModeOf("", "gbk"))
	st := NewCache(1000, 1<<20).Statement(&d)
	if st.Kind != Unparsed || len(d.Args) != 0 || !bytes.Equal(d.Norm, sql) {
		t.Errorf("kind %s, norm %q", kindNames[st.Kind], d.Norm)
	}
}

func TestArgsAfterFallback(t *testing.T) {
	c := NewCache(1000, 1<<20)
	for range 3 {
		var d Digest
		d.Scan([]byte("select col 'alias' from t where id = 7 and b = ?"), 0)
		st := c.Statement(&d)
		if st.Kind != Select || st.Params != 1 || len(d.Args) != 1 || d.Args[0].Kind != Marker {
			t.Fatalf("%s, %d params, args %v", kindNames[st.Kind], st.Params, d.Args)
		}
		if got := condText(st.Blocks[0].Where, d.Args); got != "(id = const 7 and b = ?)" {
			t.Fatal(got)
		}
	}
	if n := c.Counts(); n.Misses != 2 || n.Hits != 4 || n.Entries != 2 {
		t.Errorf("%+v", n)
	}
}

func TestQ26CacheIsBounded(t *testing.T) {
	c := NewCache(160, 1<<20)
	var d Digest
	for i := range 1000 {
		d.Scan(fmt.Appendf(nil, "select c%d from t", i), 0)
		c.Statement(&d)
	}
	if n := c.Counts(); n.Entries > 160 || n.Evictions < 800 || n.Misses != 1000 {
		t.Errorf("%+v", n)
	}
	c = NewCache(1_000_000, 64<<10)
	for i := range 1000 {
		d.Scan(fmt.Appendf(nil, "select c%d from t", i), 0)
		c.Statement(&d)
	}
	if n := c.Counts(); n.Bytes > 64<<10 || n.Entries == 0 {
		t.Errorf("%+v", n)
	}
	// What is asked for again and again stays.
	c = NewCache(160, 1<<20)
	for i := range 1000 {
		d.Scan([]byte("select hot from t"), 0)
		c.Statement(&d)
		d.Scan(fmt.Appendf(nil, "select c%d from t", i), 0)
		c.Statement(&d)
	}
	if n := c.Counts(); n.Misses != 1001 {
		t.Errorf("%+v", n)
	}
	// What is long is read and not kept.
	c = NewCache(160, 1<<30)
	d.Scan([]byte("select "+strings.Repeat("a, ", 10_000)+"a from t"), 0)
	if st := c.Statement(&d); st.Kind != Select || c.Counts().Entries != 0 {
		t.Errorf("%s %+v", kindNames[st.Kind], c.Counts())
	}
}

func TestCacheConcurrently(t *testing.T) {
	c := NewCache(64, 1<<20)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var d Digest
			for i := range 500 {
				d.Scan(fmt.Appendf(nil, "select c%d 'x' from t%d where id = %d", i%50, (i+g)%3, i), 0)
				st := c.Statement(&d)
				if st.Kind != Select || st.Blocks[0].Tables[0].Name != fmt.Sprintf("t%d", (i+g)%3) {
					t.Errorf("%q: %s", d.Norm, kindNames[st.Kind])
				}
			}
		})
	}
	wg.Wait()
}

func TestHitAllocatesNothing(t *testing.T) {
	c := NewCache(100, 1<<20)
	var d Digest
	text := []byte("select c from sbtest1 where id = 5 and a = 'it''s' and b in (x'1f', -1.5)")
	hit := func() {
		d.Scan(text, 0)
		if c.Statement(&d).Kind != Select {
			t.Fatal("not read")
		}
	}
	hit()
	if n := testing.AllocsPerRun(100, hit); n != 0 {
		t.Errorf("%v allocations on a hit", n)
	}
}

func BenchmarkHit(b *testing.B) {
	c := NewCache(1000, 1<<20)
	var d Digest
	text := []byte("SELECT c FROM sbtest1 WHERE id=5023")
	b.ReportAllocs()
	for b.Loop() {
		d.Scan(text, 0)
		c.Statement(&d)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Parse("SELECT c FROM sbtest1 WHERE id=?", 0)
	}
}
