package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestTurns(t *testing.T) {
	if got := fmt.Sprint(Turns([]int{5, 1, 1})); got != "[0 0 1 0 2 0 0]" { // nginx's own example
		t.Error(got)
	}
	if got := fmt.Sprint(Turns([]int{0, 0})); got != "[0 1]" {
		t.Error(got)
	}
	if got := Turns(nil); len(got) != 0 {
		t.Error(got)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		weights := make([]int, 1+r.IntN(8))
		total := 0
		for i := range weights {
			weights[i] = r.IntN(1001)
			total += weights[i]
		}
		turns := Turns(weights)
		count := make([]int, len(weights))
		for k, i := range turns {
			count[i]++
			// Smooth: at any point each has had its share, give or take less than the number of servers.
			share := float64(weights[i]) * float64(k+1) / float64(total)
			if total <= maxTurns && total > 0 && (float64(count[i]) > share+float64(len(weights)) || float64(count[i]) < share-float64(len(weights))) {
				t.Fatalf("weights %v: after %d turns %d had %d", weights, k+1, i, count[i])
			}
		}
		if len(turns) > maxTurns+len(weights) {
			t.Fatalf("weights %v: %d turns", weights, len(turns))
		}
		for i, w := range weights {
			if total == 0 {
				continue
			}
			want := float64(w) / float64(total) * float64(len(turns))
			if d := float64(count[i]) - want; d > 1.5+float64(len(weights)) || d < -1.5-float64(len(weights)) || (w > 0) != (count[i] > 0) {
				t.Fatalf("weights %v: %d has %d of %d turns", weights, i, count[i], len(turns))
			}
		}
	}
}
