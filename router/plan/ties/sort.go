package ties

import "slices"

// Copy is a table that is brought, or a part of its rows.
type Copy struct {
	Members []int // the tables of the list that it is for
	// Bound says of each member that its rows meet conditions of their own, or that it has none.
	Bound []bool
	First bool // it is brought for the sake of the others
}

// Key says that the rows of a Copy for one of its members are those whose column equals one that an earlier Copy has.
type Key struct {
	Member, Copy int // Copy as Sort has ordered them
	Column, Of   string
}

// maxKeys bounds the columns by which rows for one member are chosen.
const maxKeys = 4

// repeated stands for the copies of a common table expression that is defined more than once: each definition has its own,
// read at another moment, so that one of them says nothing of another's rows.
const repeated = -2

// Sort gives the order in which copies are brought, and the keys of each in that order: first those that gain nothing by
// waiting for another, then those whose rows meet conditions of their own, then those that are tied to an earlier one.
func Sort(copies []Copy, ties []Tie) (order []int, keys [][]Key) {
	s := sorter{ties: ties, at: map[int]int{}, place: make([]int, len(copies))}
	for i := range copies {
		s.place[i] = -1
		for _, member := range copies[i].Members {
			if _, again := s.at[member]; again {
				s.at[member] = repeated
			} else {
				s.at[member] = i
			}
		}
	}
	for len(order) < len(copies) {
		next, best := 0, 0
		for i := range copies {
			if s.place[i] >= 0 {
				continue
			}
			if r := s.rank(i, &copies[i]); r > best {
				next, best = i, r
			}
		}
		keys = append(keys, s.keys(next))
		s.place[next] = len(order)
		order = append(order, next)
	}
	return order, keys
}

// sorter is the work of Sort.
type sorter struct {
	ties  []Tie
	at    map[int]int // by member: its copy
	place []int       // of each copy in the order; -1 for none yet
}

// of is the copy for a member, -1 where there is none or more than one.
func (s *sorter) of(member int) int {
	if i, ok := s.at[member]; ok && i != repeated {
		return i
	}
	return -1
}

// earlier is the place of the copy for a member; -1 where it has none yet.
func (s *sorter) earlier(member int) int {
	if i := s.of(member); i >= 0 {
		return s.place[i]
	}
	return -1
}

// rank is how early a copy is brought.
func (s *sorter) rank(i int, c *Copy) int {
	waits := slices.ContainsFunc(s.ties, func(t Tie) bool {
		from := s.of(t.From)
		return from >= 0 && from != i && s.place[from] < 0 && s.of(t.To) == i
	})
	switch {
	case c.First:
		return 5
	case !waits:
		return 4
	}
	rank := 3
	for k, member := range c.Members {
		switch {
		case c.Bound[k]:
		case slices.ContainsFunc(s.ties, func(t Tie) bool { return t.To == member && s.earlier(t.From) >= 0 }):
			rank = 2
		default:
			return 1
		}
	}
	return rank
}

// keys are those of the copy that comes next.
func (s *sorter) keys(next int) (list []Key) {
	for _, t := range s.ties {
		key := Key{t.To, s.earlier(t.From), t.ToColumn, t.FromColumn}
		if key.Copy < 0 || s.of(t.To) != next || slices.Contains(list, key) {
			continue
		}
		n := 0
		for _, k := range list {
			if k.Member == key.Member {
				n++
			}
		}
		if n < maxKeys {
			list = append(list, key)
		}
	}
	return list
}
