package gtid

import (
	"strings"
	"testing"
)

const (
	u1 = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	u2 = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func parse(t testing.TB, text string) Set {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	for _, tc := range []struct{ in, out string }{
		{"", ""},
		{strings.ToUpper(u1) + ":1-5", u1 + ":1-5"},
		{u1 + ":7:1-3:4:9-10", u1 + ":1-4:7:9-10"},
		{u2 + ":1,\n" + u1 + ":2-2", u1 + ":2," + u2 + ":1"},
		{u1 + ":1-3:tag:4-5", u1 + ":1-3," + u1 + ":tag:4-5"},
		{u1 + ":5," + u1 + ":1-4", u1 + ":1-5"},
		{"1-2-7, 0-1-42,0-1-40", "0-1-42,1-2-7"},
	} {
		if got := parse(t, tc.in).String(); got != tc.out {
			t.Errorf("%q: %s, not %s", tc.in, got, tc.out)
		}
	}
	for _, bad := range []string{"x", "1-2", "1-2-3-4", u1 + ":", u1 + ":0", u1 + ":5-4", u1[1:] + ":1", "-1-2-3", u1 + ":1,0-1-2", u1 + ":1::2", "0-1-99999999999999999999"} {
		if s, err := Parse(bad); err == nil {
			t.Errorf("%q was read as %s", bad, s)
		}
	}
}

func TestContains(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{u1 + ":1-5", "", true},
		{"", u1 + ":1", false},
		{u1 + ":1-5:7-9", u1 + ":2-4:7", true},
		{u1 + ":1-5:7-9", u1 + ":5-7", false},
		{u1 + ":1-5", u2 + ":1", false},
		{u1 + ":1-5", u1 + ":t:1", false},
		{"0-1-10", "0-1-10", true},
		{"0-2-10", "0-1-9", true},
		{"0-1-10", "0-1-11", false},
		{"0-1-10,1-1-1", "1-1-2", false},
		{"0-1-10", "1-1-1", false},
	} {
		if got := parse(t, tc.a).Contains(parse(t, tc.b)); got != tc.want {
			t.Errorf("%q contains %q: %v", tc.a, tc.b, got)
		}
	}
}

func TestSetOperations(t *testing.T) {
	for _, tc := range []struct{ a, b, union, minus string }{
		{u1 + ":1-5", u1 + ":4-9", u1 + ":1-9", u1 + ":1-3"},
		{u1 + ":1-9", u1 + ":3-4:6", u1 + ":1-9", u1 + ":1-2:5:7-9"},
		{u1 + ":1-2", u2 + ":1", u1 + ":1-2," + u2 + ":1", u1 + ":1-2"},
		{u1 + ":1-2", u1 + ":1-2", u1 + ":1-2", ""},
		{"0-1-5", "", "0-1-5", "0-1-5"},
		// Server 1 has written 101 to 103 after server 2 went on from 100.
		{"0-1-103", "0-1-100,0-2-105", "0-1-103,0-2-105", "0-1-103"},
		{"0-1-100", "0-1-100,0-2-105", "0-1-100,0-2-105", ""},
	} {
		a, b := parse(t, tc.a), parse(t, tc.b)
		if got := a.Union(b).String(); got != tc.union {
			t.Errorf("%q and %q: %s, not %s", tc.a, tc.b, got, tc.union)
		}
		if got := a.Minus(b).String(); got != tc.minus {
			t.Errorf("%q minus %q: %s, not %s", tc.a, tc.b, got, tc.minus)
		}
		if a.String() != tc.a || b.String() != tc.b {
			t.Errorf("%q and %q were changed to %s and %s", tc.a, tc.b, a, b)
		}
	}
	if n := parse(t, u1+":1-5:7,"+u2+":1").Count(); n != 7 {
		t.Errorf("%d transactions", n)
	}
	if n := parse(t, "0-1-100,0-2-105,1-1-3").Count(); n != 108 {
		t.Errorf("%d transactions", n)
	}
}

func TestPosition(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{u1 + ":1-5:7," + u2 + ":1", u1 + ":1-5:7," + u2 + ":1"},
		{"0-1-5,0-2-7,1-1-1", "0-2-7,1-1-1"},
		{"0-1-5,0-2-5", "0-2-5"},
	} {
		if got := parse(t, tc.in).Position(); got != tc.want {
			t.Errorf("%q: %s, not %s", tc.in, got, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", u1 + ":1-5:7", u1 + ":1:tag:2," + u2 + ":3", "0-1-42,1-2-7"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, x, y string) {
		a, err := Parse(x)
		if err != nil {
			return
		}
		if again := parse(t, a.String()); again.String() != a.String() {
			t.Fatalf("%q became %q", a, again)
		}
		if !a.Contains(a) || !a.Minus(a).IsEmpty() {
			t.Fatalf("%q isn't its own", a)
		}
		b, err := Parse(y)
		if err != nil {
			return
		}
		u := a.Union(b)
		if !u.Contains(a) || !u.Contains(b) {
			t.Fatalf("%q and %q are not in %q", a, b, u)
		}
		if len(a.mysql) > 0 && !u.Minus(a).Minus(b).IsEmpty() {
			t.Fatalf("%q has more than %q and %q", u, a, b)
		}
	})
}
