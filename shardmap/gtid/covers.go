package gtid

// Covers says whether a server that has s has every transaction of one that has
// o. For MySQL it is Contains. For MariaDB both should be states
// (gtid_binlog_state together with the positions), and it is stricter than
// Contains, which takes the newest number of a domain for all of it: a
// transaction of o counts as covered if s has that server's number too, or if
// both have a later one in common, which the transaction came before. So two
// servers that went apart don't cover each other though their numbers are alike.
func (s Set) Covers(o Set) bool {
	if s.maria == nil && o.maria == nil {
		return s.Contains(o)
	}
	if s.mysql != nil || o.mysql != nil {
		return false
	}
	for d, n := range o.maria {
		if s.maria[d] < n && s.common(o, d.domain) < n {
			return false
		}
	}
	return true
}

// common is the newest number of a domain that is the same transaction in both.
func (s Set) common(o Set, id uint32) (n uint64) {
	for d, mine := range s.maria {
		if d.domain == id {
			n = max(n, min(mine, o.maria[d]))
		}
	}
	return n
}

// Shares says whether some transaction is in both sets, which two servers that
// never had to do with each other don't have.
func (s Set) Shares(o Set) bool {
	for source, list := range o.mysql {
		for _, a := range list {
			for _, b := range s.mysql[source] {
				if a.from <= b.to && b.from <= a.to {
					return true
				}
			}
		}
	}
	for d := range o.maria {
		if s.maria[d] > 0 {
			return true
		}
	}
	return false
}
