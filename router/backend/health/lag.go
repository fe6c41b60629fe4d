package health

import (
	"fmt"
	"time"
)

// lagSteady is the number of probes within the limit after which a lagging
// replica serves again. One probe is enough if it finds half of the limit or less.
const lagSteady = 3

// Lag is what is known of how far a replica is behind.
type Lag struct {
	Behind time.Duration
	Known  bool
	Why    string // why it isn't known
	From   string // what it is known from
	InTime int    // probes in a row within the limit
}

// Unknown forgets the lag, for the reason given.
func (l *Lag) Unknown(why string) { l.Known, l.Why, l.InTime = false, why, 0 }

// Judge says what an answered probe makes of a server. maxLag 0 doesn't look at
// the lag. A replica leaves with the first probe over the limit and returns with
// hysteresis, so that one at the limit doesn't flap. It counts in l.InTime.
func Judge(before State, l *Lag, maxLag time.Duration) (State, string) {
	switch {
	case maxLag <= 0:
		l.InTime = 0
		return Up, ""
	case !l.Known:
		l.InTime = 0
		return Lagging, "lag unknown: " + l.Why
	case l.Behind > maxLag:
		l.InTime = 0
		return Lagging, fmt.Sprintf("lag %s is over replicas.max_lag %s", short(l.Behind), maxLag)
	}
	l.InTime++
	if before == Lagging && l.Behind > maxLag/2 && l.InTime < lagSteady {
		return Lagging, fmt.Sprintf("lag %s is within replicas.max_lag %s again, for %d of %d probes", short(l.Behind), maxLag, l.InTime, lagSteady)
	}
	return Up, ""
}

// short leaves out what nobody reads of a time.
func short(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
