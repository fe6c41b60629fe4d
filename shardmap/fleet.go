package shardmap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fleet is a Store that knows which proxies serve its map.
type Fleet interface {
	// Announce makes p visible to Proxies, and again with what has changed. An
	// announcement lasts for PresenceTTL unless it is repeated.
	Announce(ctx context.Context, p Proxy) error
	// Withdraw ends the announcement of a proxy that stops.
	Withdraw(ctx context.Context, id string) error
	// Proxies returns the proxies whose announcements last, sorted by ID.
	Proxies(ctx context.Context) ([]Proxy, error)
}

// PresenceTTL is how long an announcement lasts. A proxy repeats it at least
// three times as often.
const PresenceTTL = 5 * time.Second

// Proxy is what a proxy says of itself.
type Proxy struct {
	ID      string    `json:"id"` // unique for each start
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Listen  []string  `json:"listen"`
	Admin   string    `json:"admin"` // the address of its operators' HTTP; may be empty
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Seen is when the announcement was made, by the clock of whoever keeps it.
	Seen time.Time `json:"seen"`
	// Serving is the version of the map by which it plans statements. No
	// statement that it takes from now on is planned by an older one.
	Serving uint64 `json:"serving"`
	// Busy are the shards that are paused in that map and on whose primary it
	// still has a statement or a transaction from before the pause.
	Busy []string `json:"busy,omitempty"`
	// Moving are the moves, as DATABASE/ID, whose slots wait in that map and of
	// which it still has a write or a transaction from before.
	Moving []string `json:"moving,omitempty"`
	// Oldest is the version of the map by which the oldest statement that runs,
	// or of whose transaction one ran, was planned: Serving when there is none.
	Oldest uint64 `json:"oldest,omitempty"`
	// Gone are the primaries, by address, that it can't reach, and since when.
	Gone map[string]time.Time `json:"gone,omitempty"`
	// Refused says why servers refuse it as fenced; empty when they don't.
	Refused string `json:"refused,omitempty"`
}

// Left says whether the proxy has taken the map of that version over and has
// nothing running on the shard's primary any more from before that version.
func (p *Proxy) Left(shard string, version uint64) bool {
	return p.Serving >= version && !slices.Contains(p.Busy, shard)
}

// LeftMove is Left for the slots of a move.
func (p *Proxy) LeftMove(db, id string, version uint64) bool {
	return p.Serving >= version && !slices.Contains(p.Moving, db+"/"+id)
}

// CheckProxyID says what is wrong with the ID of a proxy, which stores use as
// the name of a key or a file.
func CheckProxyID(id string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}
	if id == "" || id[0] == '.' || len(id) > 128 || strings.ContainsFunc(id, bad) {
		return fmt.Errorf("%q can't be the ID of a proxy: write 1 to 128 letters, digits and - _ . and no dot at the start", id)
	}
	return nil
}
