package shardmap

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	for _, tt := range []struct {
		text  string
		slots int
		want  []int
		err   string
	}{
		{"7", 8, []int{7}, ""},
		{"0-3", 8, []int{0, 1, 2, 3}, ""},
		{"0-7/2", 8, []int{0, 2, 4, 6}, ""},
		{"1-7/3", 8, []int{1, 4, 7}, ""},
		{"3-3", 8, []int{3}, ""},
		{"8", 8, nil, "beyond the last slot, 7"},
		{"0-8", 8, nil, "beyond the last slot, 7"},
		{"5-3", 8, nil, "runs backwards; write 3-5"},
		{"0-7/0", 8, nil, "steps by 0"},
		{"7/2", 8, nil, "is no range"},
		{"", 8, nil, "is no range"},
		{"-1", 8, nil, "is no range"},
		{"0-", 8, nil, "is no range"},
		{"+1", 8, nil, "is no range"},
		{"0x1", 8, nil, "is no range"},
		{" 1", 8, nil, "is no range"},
		{"1-2-3", 8, nil, "is no range"},
		{"99999999999999999999", 8, nil, "is no range"},
	} {
		r, err := parseRange(tt.text, tt.slots)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := r.slots(); !slices.Equal(got, tt.want) {
			t.Errorf("%q gives %v, want %v", tt.text, got, tt.want)
		}
	}
}

func (r slotRange) slots() []int {
	var out []int
	for s := r.from; s <= r.to; s += r.step {
		out = append(out, s)
	}
	return out
}

func TestFormatSlotsReadsBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n := 1 + rnd.IntN(200)
		var slots []int
		density := 1 + rnd.IntN(8)
		for s := range n {
			if rnd.IntN(density) == 0 {
				slots = append(slots, s)
			}
		}
		var back []int
		for _, text := range FormatSlots(slots) {
			r, err := parseRange(text, n)
			if err != nil {
				t.Fatal(err)
			}
			back = append(back, r.slots()...)
		}
		if !slices.Equal(slots, back) {
			t.Fatalf("%v written as %v reads back as %v", slots, FormatSlots(slots), back)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"7", "0-511", "0-1023/2", "-", "1/2", "9999999999-1"} {
		f.Add(s, 1024)
	}
	f.Fuzz(func(t *testing.T, s string, slots int) {
		if slots < 1 || slots > MaxSlots {
			return
		}
		r, err := parseRange(s, slots)
		if err == nil && (r.from < 0 || r.to >= slots || r.from > r.to || r.step < 1) {
			t.Errorf("%q of %d gives %+v", s, slots, r)
		}
	})
}

// floorMod is the definition that all placements of integers are held to.
func floorMod(n *big.Int, slots int) int {
	// big.Int.Mod is Euclidean, which is floor for a positive divisor.
	return int(new(big.Int).Mod(n, big.NewInt(int64(slots))).Int64())
}

func TestModIsFloorModulo(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	ints := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1}
	for range 5000 {
		ints = append(ints, int64(rnd.Uint64()), rnd.Int64N(2000)-1000)
	}
	sizes := []int{1, 2, 3, 7, 16, 97, 1024, MaxSlots - 1, MaxSlots}
	for _, slots := range sizes {
		for _, v := range ints {
			want := floorMod(big.NewInt(v), slots)
			if got := intSlot(v, slots); got != want {
				t.Fatalf("intSlot(%d, %d) = %d, want %d", v, slots, got, want)
			}
			if got := signed(v).slot(slots); got != want {
				t.Fatalf("signed(%d).slot(%d) = %d, want %d", v, slots, got, want)
			}
			u := uint64(v)
			if got, want := uintSlot(u, slots), floorMod(new(big.Int).SetUint64(u), slots); got != want {
				t.Fatalf("uintSlot(%d, %d) = %d, want %d", u, slots, got, want)
			}
		}
	}
}

func TestParseSlots(t *testing.T) {
	for text, want := range map[string]string{
		"7": "[7]", "5-6, 0-3/2": "[0 2 5 6]", "15": "[15]",
		"16": "goes beyond the last slot", "a": "is no range", "": "is no range", "3,1-4": "names slot 3 twice",
	} {
		slots, err := ParseSlots(text, 16)
		got := fmt.Sprint(slots)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
