package backend

import (
	"fmt"
	"time"
)

// lagSteady is the number of probes within the limit after which a lagging
// replica serves again. One probe is enough if it finds half of the limit or less.
const lagSteady = 3

// judge says what an answered probe makes of a server. maxLag 0 doesn't look at
// the lag. A replica leaves with the first probe over the limit and returns with
// hysteresis, so that one at the limit doesn't flap. It counts in p.inTime.
func judge(before State, p *probed, maxLag time.Duration) (State, string) {
	switch {
	case maxLag <= 0:
		p.inTime = 0
		return StateUp, ""
	case !p.lagKnown:
		p.inTime = 0
		return StateLagging, "lag unknown: " + p.lagWhy
	case p.lag > maxLag:
		p.inTime = 0
		return StateLagging, fmt.Sprintf("lag %s is over replicas.max_lag %s", short(p.lag), maxLag)
	}
	p.inTime++
	if before == StateLagging && p.lag > maxLag/2 && p.inTime < lagSteady {
		return StateLagging, fmt.Sprintf("lag %s is within replicas.max_lag %s again, for %d of %d probes", short(p.lag), maxLag, p.inTime, lagSteady)
	}
	return StateUp, ""
}

// short leaves out what nobody reads of a time.
func short(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
