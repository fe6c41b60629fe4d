package failover

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/gtid"
)

// Gone says whether the primary at addr is gone by the word of the proxies that
// are announced, and why or why not. It is when at least quorum of them haven't
// reached it for at least after; quorum 0 is the majority of them. The times
// are of the proxies' clocks and now is of the caller's, so clocks that differ
// make it earlier or later by as much.
func Gone(proxies []shardmap.Proxy, addr string, quorum int, after time.Duration, now time.Time) (bool, string) {
	if quorum <= 0 {
		quorum = len(proxies)/2 + 1
	}
	miss, long := 0, 0
	for i := range proxies {
		since, gone := proxies[i].Gone[addr]
		if !gone {
			continue
		}
		miss++
		if now.Sub(since) >= after {
			long++
		}
	}
	text := fmt.Sprintf("%d of %d proxies can't reach %s, %d of them for %s or longer; %d must",
		miss, len(proxies), addr, long, after, quorum)
	return long >= quorum, text
}

// candidate is a replica that might be promoted.
type candidate struct {
	addr     string
	received gtid.Set // all that it has, applied or not
	usable   string   // why it can't be promoted; empty when it can
}

// choose returns the candidate that has all that any of them has: the wanted
// one if it is that, else the first in the map's order. Where no usable one has
// all, it says why.
func choose(all []candidate, want string) (string, error) {
	var whys []string
	best := ""
	for i, c := range all {
		lacks := slices.IndexFunc(all, func(o candidate) bool { return !c.received.Contains(o.received) })
		switch {
		case c.usable != "":
			whys = append(whys, c.addr+" "+c.usable)
		case lacks >= 0:
			whys = append(whys, fmt.Sprintf("%s lacks transactions that %s has (it has %s, the other %s)", c.addr, all[lacks].addr, c.received, all[lacks].received))
		case best == "" || c.addr == want:
			best = all[i].addr
		}
	}
	switch {
	case best != "":
		return best, nil
	case len(all) == 0:
		return "", fmt.Errorf("no replica can be reached")
	}
	return "", fmt.Errorf("no replica can be promoted without losing transactions that another one has: %s", strings.Join(whys, "; "))
}
