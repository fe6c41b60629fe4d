package health

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const limit = 10 * time.Second
	for _, c := range []struct {
		before State
		inTime int
		lag    time.Duration
		known  bool
		max    time.Duration
		want   State
	}{
		{Connecting, 0, 0, true, limit, Up},
		{Up, 9, 10 * time.Second, true, limit, Up},
		{Up, 9, 11 * time.Second, true, limit, Lagging},
		{Lagging, 0, 10 * time.Second, true, limit, Lagging},
		{Lagging, 1, 6 * time.Second, true, limit, Lagging},
		{Lagging, 2, 10 * time.Second, true, limit, Up},
		{Lagging, 0, 5 * time.Second, true, limit, Up},
		{Up, 5, 0, false, limit, Lagging},
		{Lagging, 0, time.Hour, true, 0, Up},
		{Down, 0, 0, false, 0, Up},
	} {
		l := &Lag{Behind: c.lag, Known: c.known, InTime: c.inTime}
		if got, _ := Judge(c.before, l, c.max); got != c.want {
			t.Errorf("%+v gives %s", c, got)
		}
	}
}
