package digest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// texts are the SQL of the golden files of package parse.
func texts(t testing.TB) (list []string) {
	files, err := filepath.Glob("../testdata/*.txt")
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

// checkDigest checks what must hold of a digest.
func checkDigest(t *testing.T, sql string, mode Mode) {
	t.Helper()
	var d Digest
	d.Scan([]byte(sql), mode)
	norm := string(d.Norm)
	last := 0
	for i, v := range d.Args {
		if v.Start < last || v.End <= v.Start || v.End > len(sql) {
			t.Fatalf("%q: arg %d is [%d:%d] after %d", sql, i, v.Start, v.End, last)
		}
		last = v.End
	}
	src := Split([]byte(norm), mode, true)
	if src.Bad == "" && !d.odd && len(src.Markers) != len(d.Args) {
		t.Fatalf("%q: %d args, but norm %q has %d markers", sql, len(d.Args), norm, len(src.Markers))
	}
	exact := d.exact
	var again Digest
	again.Scan([]byte(norm), mode)
	if string(again.Norm) != norm {
		t.Fatalf("%q: norm %q scans to %q", sql, norm, again.Norm)
	}
	if again.Lifted() {
		t.Fatalf("%q: norm %q still holds literals to lift", sql, norm)
	}
	d.Rescan()
	if exact && string(d.Norm) != norm {
		t.Fatalf("%q: rescan makes %q of %q", sql, d.Norm, norm)
	}
	if d.Lifted() {
		t.Fatalf("%q: rescan lifts", sql)
	}
}

func TestDigestProperties(t *testing.T) {
	for _, sql := range texts(t) {
		for _, mode := range []Mode{0, AnsiQuotes, NoBackslashEscapes, MultibyteUnsafe} {
			checkDigest(t, sql, mode)
		}
	}
}

func FuzzDigest(f *testing.F) {
	for _, sql := range texts(f) {
		f.Add(sql, byte(0))
	}
	f.Fuzz(func(t *testing.T, sql string, mode byte) { checkDigest(t, sql, Mode(mode)) })
}

func TestModeOf(t *testing.T) {
	for _, c := range []struct {
		mode, charset string
		want          Mode
	}{
		{"", "utf8mb4", 0},
		{"STRICT_TRANS_TABLES,ANSI_QUOTES,NO_ENGINE_SUBSTITUTION", "latin1", AnsiQuotes},
		{"no_backslash_escapes,pipes_as_concat", "", NoBackslashEscapes | PipesAsConcat},
		{"REAL_AS_FLOAT,ANSI", "SJIS", AnsiQuotes | PipesAsConcat | IgnoreSpace | MultibyteUnsafe},
	} {
		if got := ModeOf(c.mode, c.charset); got != c.want {
			t.Errorf("ModeOf(%q, %q) = %b, want %b", c.mode, c.charset, got, c.want)
		}
	}
}
