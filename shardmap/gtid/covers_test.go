package gtid

import "testing"

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		name, s, o string
		want       bool
	}{
		{"nothing", "", "", true},
		{"nothing is covered by all", "1-1-5", "", true},
		{"the empty set covers nothing", "", "1-1-5", false},
		{"MySQL, more", u1 + ":1-9", u1 + ":1-5", true},
		{"MySQL, apart", u1 + ":1-9," + u2 + ":1", u1 + ":1-10", false},
		{"promoted at 100", "1-1-100,1-2-105", "1-1-100", true},
		{"the former primary lacks the new one's", "1-1-100", "1-1-100,1-2-105", false},
		{"apart, the same numbers", "1-1-100,1-2-105", "1-1-105", false},
		{"apart, seen from the other side", "1-1-105", "1-1-100,1-2-105", false},
		{"rebuilt from a backup: the oldest server isn't in the state", "1-1-100", "1-1-100,1-3-50", true},
		{"rebuilt too early", "1-1-40", "1-1-40,1-3-50", false},
		{"another domain is missing", "1-1-100", "1-1-100,2-1-1", false},
		{"kinds mixed", u1 + ":1", "1-1-1", false},
	} {
		if got := parse(t, tc.s).Covers(parse(t, tc.o)); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestShares(t *testing.T) {
	for _, tc := range []struct {
		s, o string
		want bool
	}{
		{"", "1-1-5", false},
		{"1-1-5", "1-1-9,1-2-4", true},
		{"1-1-5", "1-2-5", false},
		{u1 + ":1-5", u1 + ":5-9", true},
		{u1 + ":1-4," + u2 + ":1-9", u1 + ":5-9", false},
	} {
		if s, o := parse(t, tc.s), parse(t, tc.o); s.Shares(o) != tc.want || o.Shares(s) != tc.want {
			t.Errorf("%q and %q: not %v", tc.s, tc.o, tc.want)
		}
	}
}
