package grammar

import (
	"strings"
	"testing"
)

func TestSeeds(t *testing.T) {
	for seed := range uint64(20) {
		a, b := NewSchema(seed, true), NewSchema(seed, true)
		if x, y := strings.Join(a.Script(), ";\n"), strings.Join(b.Script(), ";\n"); x != y {
			t.Fatalf("seed %d makes two schemas:\n%s\n%s", seed, x, y)
		}
		ga, gb := NewGenerator(a, seed), NewGenerator(b, seed)
		for i := range 500 {
			x, y := ga.Next(20), gb.Next(20)
			if x.Text() != y.Text() {
				t.Fatalf("seed %d, statement %d: %s\n%s", seed, i, x.Text(), y.Text())
			}
			if strings.Contains(x.Text(), mark) || strings.Contains(x.Text(), "%!") {
				t.Fatalf("seed %d, statement %d: %q", seed, i, x.Text())
			}
			text, args := x.Prepared()
			if strings.Count(text, "?") != len(args) {
				t.Fatalf("%s: %d values", text, len(args))
			}
			for _, small := range x.Smaller() {
				if small.Text() == x.Text() {
					t.Fatalf("%s isn't smaller than itself", x.Text())
				}
			}
		}
	}
}

func TestShrinkEnds(t *testing.T) {
	g := NewGenerator(NewSchema(1, false), 1)
	for range 200 {
		s := g.Next(20)
		for steps := 0; ; steps++ {
			small := s.Smaller()
			if len(small) == 0 {
				break
			}
			if steps > 300 {
				t.Fatalf("%s gets no smaller", s.Text())
			}
			s = small[0]
		}
	}
}
