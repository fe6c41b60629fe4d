package backend

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"shardway/protocol"
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
		return StateLagging, fmt.Sprintf("lag %s is over replicas.max_lag %s", p.lag, maxLag)
	}
	p.inTime++
	if before == StateLagging && p.lag > maxLag/2 && p.inTime < lagSteady {
		return StateLagging, fmt.Sprintf("lag %s is within replicas.max_lag %s again, for %d of %d probes", p.lag, maxLag, p.inTime, lagSteady)
	}
	return StateUp, ""
}

// readLag reads the answer to SHOW REPLICA STATUS or one of its older forms: the
// greatest lag over all channels, or why it isn't known.
func readLag(res *protocol.Result) (lag time.Duration, known bool, why string) {
	if len(res.Rows) == 0 {
		return 0, false, "the server isn't a replica of any source"
	}
	for _, row := range res.Rows {
		get := func(names ...string) (string, bool) {
			for i, column := range res.Columns {
				for _, name := range names {
					if strings.EqualFold(column, name) && i < len(row) && row[i] != nil {
						return *row[i], true
					}
				}
			}
			return "", false
		}
		for _, thread := range []struct{ name, now, before, failure string }{
			{"receiver", "Replica_IO_Running", "Slave_IO_Running", "Last_IO_Error"},
			{"applier", "Replica_SQL_Running", "Slave_SQL_Running", "Last_SQL_Error"},
		} {
			running, ok := get(thread.now, thread.before)
			if ok && !strings.EqualFold(running, "Yes") {
				why := "the replication " + thread.name + " isn't running (" + running + ")"
				if text, _ := get(thread.failure); text != "" {
					why += ": " + text
				}
				return 0, false, why
			}
		}
		text, ok := get("Seconds_Behind_Source", "Seconds_Behind_Master")
		if !ok {
			return 0, false, "the server reports no seconds behind its source"
		}
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds < 0 {
			return 0, false, "the server reports " + strconv.Quote(text) + " seconds behind its source"
		}
		lag = max(lag, time.Duration(seconds*float64(time.Second)))
	}
	return lag, true, ""
}
