package ties

import (
	"reflect"
	"testing"
)

func TestSort(t *testing.T) {
	bound, free := []bool{true}, []bool{false}
	for _, c := range []struct {
		name   string
		copies []Copy
		ties   []Tie
		order  []int
		keys   [][]Key
	}{
		{name: "nothing"},
		{
			name:   "without ties as they come",
			copies: []Copy{{Members: []int{0}, Bound: free}, {Members: []int{1}, Bound: bound}},
			order:  []int{0, 1}, keys: [][]Key{nil, nil},
		},
		{
			name:   "conditions of its own come first",
			copies: []Copy{{Members: []int{0}, Bound: free}, {Members: []int{1}, Bound: bound}},
			ties:   []Tie{{0, 1, "a", "b"}, {1, 0, "b", "a"}},
			order:  []int{1, 0}, keys: [][]Key{nil, {{0, 0, "a", "b"}}},
		},
		{
			name:   "what is tied to nothing comes first",
			copies: []Copy{{Members: []int{0}, Bound: bound}, {Members: []int{1}, Bound: free}},
			ties:   []Tie{{0, 1, "a", "b"}},
			order:  []int{1, 0}, keys: [][]Key{nil, {{0, 0, "a", "b"}}},
		},
		{
			name:   "what is brought for the others' sake comes before all",
			copies: []Copy{{Members: []int{0}, Bound: bound}, {Members: []int{1}, Bound: bound, First: true}},
			ties:   []Tie{{0, 1, "a", "b"}, {1, 0, "b", "a"}},
			order:  []int{1, 0}, keys: [][]Key{nil, {{0, 0, "a", "b"}}},
		},
		{
			name:   "a chain from its bound end",
			copies: []Copy{{Members: []int{0}, Bound: free}, {Members: []int{1}, Bound: free}, {Members: []int{2}, Bound: bound}},
			ties:   []Tie{{0, 1, "a", "b"}, {1, 0, "b", "a"}, {1, 2, "c", "d"}, {2, 1, "d", "c"}},
			order:  []int{2, 1, 0}, keys: [][]Key{nil, {{1, 0, "c", "d"}}, {{0, 1, "a", "b"}}},
		},
		{
			name:   "one copy for two places says nothing of itself",
			copies: []Copy{{Members: []int{0, 1}, Bound: []bool{true, false}}},
			ties:   []Tie{{1, 0, "a", "b"}},
			order:  []int{0}, keys: [][]Key{nil},
		},
		{
			name:   "a definition that is repeated says nothing",
			copies: []Copy{{Members: []int{0}, Bound: bound}, {Members: []int{0}, Bound: bound}, {Members: []int{1}, Bound: free}},
			ties:   []Tie{{1, 0, "a", "b"}},
			order:  []int{0, 1, 2}, keys: [][]Key{nil, nil, nil},
		},
		{
			name:   "a tie that is said twice",
			copies: []Copy{{Members: []int{0}, Bound: free}, {Members: []int{1}, Bound: bound}},
			ties:   []Tie{{0, 1, "a", "b"}, {0, 1, "a", "b"}},
			order:  []int{1, 0}, keys: [][]Key{nil, {{0, 0, "a", "b"}}},
		},
	} {
		order, keys := Sort(c.copies, c.ties)
		if !reflect.DeepEqual(order, c.order) || !reflect.DeepEqual(keys, c.keys) {
			t.Errorf("%s: %v with %v, want %v with %v", c.name, order, keys, c.order, c.keys)
		}
	}
}
