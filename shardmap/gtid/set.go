package gtid

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Set is a set of transactions.
//
// For MySQL it holds intervals of numbers for each source, a UUID with or
// without a tag. MariaDB numbers the transactions of a domain one after the
// other, whichever server writes them, and says only the newest of each server
// or of the domain: a Set then stands for all up to these.
type Set struct {
	mysql map[string][]interval // by source in lower case; sorted, apart from each other
	maria map[domain]uint64     // the newest number
}

// interval is a range of numbers, both ends included.
type interval struct{ from, to uint64 }

// domain is a replication domain of MariaDB and a server that wrote into it.
type domain struct{ domain, server uint32 }

// maxParts bounds the parts of a text, far above what servers have.
const maxParts = 1 << 20

// Parse reads the text of gtid_executed, gtid_current_pos and the like, or of
// one transaction. White space and line ends are passed over.
func Parse(text string) (Set, error) {
	var s Set
	if strings.Count(text, ",") > maxParts {
		return s, fmt.Errorf("a GTID set of more than %d parts", maxParts)
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		var err error
		switch {
		case part == "":
		case strings.Contains(part, ":"):
			err = s.addMySQL(part)
		default:
			err = s.addMariaDB(part)
		}
		if err != nil {
			return Set{}, err
		}
	}
	if s.mysql != nil && s.maria != nil {
		return Set{}, fmt.Errorf("%q mixes the GTIDs of MySQL and MariaDB", short(text))
	}
	return s, nil
}

func short(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}

// addMySQL adds uuid[:tag]:interval[:interval…][:tag:interval…].
func (s *Set) addMySQL(part string) error {
	fields := strings.Split(part, ":")
	uuid := strings.ToLower(strings.TrimSpace(fields[0]))
	if len(uuid) != 36 || strings.Count(uuid, "-") != 4 || strings.Trim(uuid, "0123456789abcdef-") != "" {
		return fmt.Errorf("%q is no GTID set: no UUID stands before the colon", short(part))
	}
	if s.mysql == nil {
		s.mysql = map[string][]interval{}
	}
	source := uuid
	for _, f := range fields[1:] {
		f = strings.ToLower(strings.TrimSpace(f))
		if f == "" {
			return fmt.Errorf("%q is no GTID set: nothing stands between two colons", short(part))
		}
		if f[0] == '_' || f[0] >= 'a' && f[0] <= 'z' {
			source = uuid + ":" + f
			continue
		}
		first, last, ranged := strings.Cut(f, "-")
		from, err := strconv.ParseUint(first, 10, 63)
		to := from
		if err == nil && ranged {
			to, err = strconv.ParseUint(last, 10, 63)
		}
		if err != nil || from == 0 || to < from {
			return fmt.Errorf("%q is no GTID set: %q is no range of numbers", short(part), short(f))
		}
		s.mysql[source] = insert(s.mysql[source], interval{from, to})
	}
	return nil
}

// insert adds in to a sorted list and joins what touches.
func insert(list []interval, in interval) []interval {
	at, _ := slices.BinarySearchFunc(list, in, func(a, b interval) int { return cmp.Compare(a.to+1, b.from) })
	end := at
	for end < len(list) && list[end].from <= in.to+1 {
		in.from, in.to = min(in.from, list[end].from), max(in.to, list[end].to)
		end++
	}
	return slices.Replace(list, at, end, in)
}

// addMariaDB adds domain-server-number.
func (s *Set) addMariaDB(part string) error {
	fields := strings.Split(part, "-")
	if len(fields) != 3 {
		return fmt.Errorf("%q is no GTID set: MariaDB writes domain-server-number", short(part))
	}
	d, err1 := strconv.ParseUint(fields[0], 10, 32)
	server, err2 := strconv.ParseUint(fields[1], 10, 32)
	n, err3 := strconv.ParseUint(fields[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return fmt.Errorf("%q is no GTID set: MariaDB writes domain-server-number", short(part))
	}
	if s.maria == nil {
		s.maria = map[domain]uint64{}
	}
	at := domain{uint32(d), uint32(server)}
	s.maria[at] = max(s.maria[at], n)
	return nil
}

// IsEmpty says whether the set holds no transaction.
func (s Set) IsEmpty() bool { return len(s.mysql) == 0 && len(s.maria) == 0 }

// Contains says whether every transaction of o is in s. In a domain of MariaDB
// the newest number decides, whichever server wrote it: a replica that reports
// 0-2-7 is taken to have 0-1-6.
func (s Set) Contains(o Set) bool {
	for source, want := range o.mysql {
		have := s.mysql[source]
		for _, in := range want {
			at, _ := slices.BinarySearchFunc(have, in, func(a, b interval) int { return cmp.Compare(a.to, b.to) })
			if at == len(have) || have[at].from > in.from {
				return false
			}
		}
	}
	for d, n := range o.maria {
		if n > s.newest(d.domain) {
			return false
		}
	}
	return true
}

// newest is the highest number in a domain, 0 where there is none.
func (s Set) newest(id uint32) (n uint64) {
	for d, v := range s.maria {
		if d.domain == id {
			n = max(n, v)
		}
	}
	return n
}

// Union returns the set of what is in s or in o.
func (s Set) Union(o Set) Set {
	switch {
	case o.IsEmpty():
		return s
	case s.IsEmpty():
		return o
	}
	var u Set
	if s.mysql != nil || o.mysql != nil {
		u.mysql = map[string][]interval{}
		for _, part := range []Set{s, o} {
			for source, list := range part.mysql {
				for _, in := range list {
					u.mysql[source] = insert(u.mysql[source], in)
				}
			}
		}
	}
	if s.maria != nil || o.maria != nil {
		u.maria = maps.Clone(s.maria)
		if u.maria == nil {
			u.maria = map[domain]uint64{}
		}
		for d, n := range o.maria {
			u.maria[d] = max(u.maria[d], n)
		}
	}
	return u
}

// Minus returns what is in s and not in o. Of MariaDB both must be states
// (gtid_binlog_state), which tell each server's newest transaction: the result
// names the newest transaction of each server that has more in s, since two
// servers that went apart have the same numbers for different transactions.
func (s Set) Minus(o Set) Set {
	var d Set
	for source, list := range s.mysql {
		left := slices.Clone(list)
		for _, cut := range o.mysql[source] {
			left = subtract(left, cut)
		}
		if len(left) > 0 {
			if d.mysql == nil {
				d.mysql = map[string][]interval{}
			}
			d.mysql[source] = left
		}
	}
	for at, n := range s.maria {
		if n > o.maria[at] {
			if d.maria == nil {
				d.maria = map[domain]uint64{}
			}
			d.maria[at] = n
		}
	}
	return d
}

func subtract(list []interval, cut interval) []interval {
	var left []interval
	for _, in := range list {
		if cut.to < in.from || cut.from > in.to {
			left = append(left, in)
			continue
		}
		if in.from < cut.from {
			left = append(left, interval{in.from, cut.from - 1})
		}
		if in.to > cut.to {
			left = append(left, interval{cut.to + 1, in.to})
		}
	}
	return left
}

// Count is the number of transactions of a set of MySQL, and of MariaDB the sum
// of the newest numbers of its domains: of two sets of one history the one with
// more is ahead.
func (s Set) Count() (n uint64) {
	for _, list := range s.mysql {
		for _, in := range list {
			n += in.to - in.from + 1
		}
	}
	seen := map[uint32]bool{}
	for d := range s.maria {
		if !seen[d.domain] {
			seen[d.domain] = true
			n += s.newest(d.domain)
		}
	}
	return n
}

// Position is the set as a server's function that waits for it reads it
// (WAIT_FOR_EXECUTED_GTID_SET, MASTER_GTID_WAIT). MariaDB takes one transaction
// of a domain: the newest.
func (s Set) Position() string {
	if s.maria == nil {
		return s.String()
	}
	last := map[uint32]domain{}
	for d, n := range s.maria {
		if at, ok := last[d.domain]; !ok || n > s.maria[at] || n == s.maria[at] && d.server > at.server {
			last[d.domain] = d
		}
	}
	p := Set{maria: make(map[domain]uint64, len(last))}
	for _, d := range last {
		p.maria[d] = s.maria[d]
	}
	return p.String()
}

// String writes the set so that servers and Parse read it, in one order.
func (s Set) String() string {
	var parts []string
	for _, source := range slices.Sorted(maps.Keys(s.mysql)) {
		var b strings.Builder
		b.WriteString(source)
		for _, in := range s.mysql[source] {
			fmt.Fprintf(&b, ":%d", in.from)
			if in.to > in.from {
				fmt.Fprintf(&b, "-%d", in.to)
			}
		}
		parts = append(parts, b.String())
	}
	for _, d := range slices.SortedFunc(maps.Keys(s.maria), func(a, b domain) int {
		return cmp.Or(cmp.Compare(a.domain, b.domain), cmp.Compare(a.server, b.server))
	}) {
		parts = append(parts, fmt.Sprintf("%d-%d-%d", d.domain, d.server, s.maria[d]))
	}
	return strings.Join(parts, ",")
}
